//! A target with a candidate: its share of the calls, who is asked when it fails, and what is counted.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use serde_json::{Value, json};
use towpath_testkit::{FakeUpstream, Fault, Script};
use towpath_wire::routing::{Batch, EntityRef, Envelope, TABLE_VERSION};
use towpath_wire::signals::TargetSignal;

use crate::fault_table::{At, LIMITS, rows};
use crate::support::client::Answer;
use crate::support::{World, chat, streamed, tables};

/// The target `name`, and its candidate at the upstream's model `<name>-2`, under the same name.
pub fn pair(name: &str, base: &str, share: &Value, changes: &Value) -> Vec<Envelope> {
    let mut stable = json!({});
    let mut candidate = json!({
        "name": name, "upstream_model": format!("{name}-2"),
        "replicas": [{"id": format!("rep_{name}-2"), "address": format!("{base}/v1")}],
    });
    for (field, change) in changes.as_object().unwrap() {
        candidate[field] = change.clone();
    }
    stable["candidate"] = share.clone();
    stable["candidate"]["target"] = format!("dep_{name}.2").into();
    let mut candidate = tables::target(name, base, &candidate);
    candidate.id = format!("dep_{name}.2");
    vec![tables::target(name, base, &stable), candidate]
}

/// `m`, so many in a hundred of whose calls go to its candidate.
async fn split(percent: u32, endpoint: &Value) -> World {
    World::with(&[], |base| {
        let mut entities = pair("m", base, &json!({"percent": percent}), &json!({}));
        entities.push(tables::endpoint("m", endpoint));
        let keys = (0..24).map(|n| tables::key(&format!("key_s{n}"), &format!("tp_sandbox_s{n}")));
        entities.extend(keys);
        entities
    })
    .await
}

/// Models that were asked, in order.
pub fn asked(world: &World) -> Vec<String> {
    world.upstream.requests().into_iter().filter_map(|seen| seen.model).collect()
}

/// What the latest signal says of a target.
fn signal(world: &World, target: &str) -> Option<TargetSignal> {
    let signals = world.control.signals();
    signals.iter().rev().find_map(|signals| signals.targets.get(target).cloned())
}

/// Wait until the signals say this of a target.
pub async fn said(
    world: &World,
    target: &str,
    what: impl Fn(&TargetSignal) -> bool,
) -> TargetSignal {
    world.control.wait_until(|_| signal(world, target).is_some_and(|signal| what(&signal))).await;
    signal(world, target).unwrap()
}

fn answered(signal: &TargetSignal) -> u64 {
    signal.took.values().sum()
}

#[tokio::test]
async fn a_candidate_gets_its_share_and_both_sides_are_counted() {
    let world = split(30, &json!({})).await;
    for _ in 0..10 {
        let bodies: Vec<_> = (0..20).map(|_| chat("m")).collect();
        let calls = bodies.iter().map(|body| world.gateway.post("/v1/chat/completions", body));
        for answer in join_all(calls).await {
            assert_eq!((answer.status.as_u16(), answer.header("x-towpath-attempts")), (200, "1"));
        }
    }
    let asked = asked(&world);
    let taken = asked.iter().filter(|model| *model == "m-2").count();
    let candidate =
        said(&world, "dep_m.2", |signal| answered(signal) == u64::try_from(taken).unwrap()).await;
    let stable =
        said(&world, "dep_m", |signal| answered(signal) + answered(&candidate) == 200).await;

    // Five standard deviations of two hundred draws.
    assert!((28..=92).contains(&taken), "{taken} of {}", asked.len());
    assert_eq!((stable.failed, stable.refused, candidate.failed, candidate.refused), (0, 0, 0, 0));
    assert_eq!(stable.calls + candidate.calls, 200);
}

#[tokio::test]
async fn a_subject_keeps_its_side_and_stays_in_when_the_share_grows() {
    let world = split(40, &json!({"balance": {"sticky": "key"}})).await;
    let sides = async || {
        let mut inside = BTreeSet::new();
        for key in 0..24 {
            let bearer = format!("tp_sandbox_s{key}");
            let before = asked(&world).len();
            for _ in 0..3 {
                world.gateway.post_as(&bearer, "/v1/chat/completions", &chat("m")).await;
            }
            let models: BTreeSet<String> = asked(&world).split_off(before).into_iter().collect();
            assert_eq!(models.len(), 1, "{key}: {models:?}");
            if models.contains("m-2") {
                inside.insert(key);
            }
        }
        inside
    };
    let few = sides().await;
    let upserts = pair("m", world.upstream.base_url(), &json!({"percent": 80}), &json!({}));
    world.control.batch(Batch {
        version: TABLE_VERSION,
        from: 1,
        to: 2,
        advisory: vec![],
        upserts,
        deletes: vec![],
    });
    world.control.applied(2).await;
    let many = sides().await;

    assert!(few.is_subset(&many) && few.len() < many.len(), "{few:?} {many:?}");
    assert!(!few.is_empty() && many.len() < 24, "{few:?} {many:?}");
}

/// What one call of every row met: its answer, and what is counted of the candidate.
async fn faults(stream: bool) -> Vec<(&'static str, Answer, TargetSignal)> {
    let (deaf, _listener) = FakeUpstream::deaf().unwrap();
    let all = rows(&deaf).into_iter().enumerate();
    let all: Vec<_> = all.filter(|(_, row)| !matches!(row.at, At::Grpc(..))).collect();
    let timeouts: Value = serde_json::from_str(LIMITS).unwrap();
    let world = World::with(&[], |base| {
        let mut entities = Vec::new();
        for (index, row) in &all {
            let name = format!("f{index}");
            let changes = match &row.at {
                At::Address(other) => json!({"replicas": [{"id": "rep", "address": other}]}),
                _ => json!({}),
            };
            entities.extend(pair(&name, base, &json!({"percent": 100}), &changes));
            entities.push(tables::endpoint(&name, &json!({"timeouts": timeouts})));
        }
        entities
    })
    .await;
    for (index, row) in &all {
        if let At::Script(script) = &row.at {
            world.upstream.script(&format!("f{index}-2"), script.clone());
        }
    }
    let call = async |index: usize, what: &'static str| {
        let name = format!("f{index}");
        let body = if stream { streamed(&name) } else { chat(&name) };
        let answer = world.gateway.post("/v1/chat/completions", &body).await;
        let over = |signal: &TargetSignal| answered(signal) + signal.failed + signal.refused > 0;
        let signal = said(&world, &format!("dep_{name}.2"), over).await;
        (what, answer, signal)
    };
    join_all(all.iter().map(|(index, row)| call(*index, row.what))).await
}

#[tokio::test]
async fn whatever_a_candidate_fails_by_the_stable_target_answers() {
    for (what, answer, signal) in faults(false).await {
        let whole = (0..8).all(|n| answer.text().contains(&format!("t{n}")));
        assert!(answer.status == 200 && whole, "{what}: {}", answer.text());
        let refused = what.starts_with("400") || what.starts_with("401") || what.starts_with("404");
        let expected = match (answer.header("x-towpath-attempts"), refused) {
            ("1", _) => (1, 0, 0),
            (_, true) => (0, 0, 1),
            _ => (0, 1, 0),
        };
        assert_eq!((answered(&signal), signal.failed, signal.refused), expected, "{what}");
    }
}

#[tokio::test]
async fn a_stream_of_a_candidate_is_rescued_until_its_first_event_and_counted_to_its_end() {
    let mut rescued = 0;
    for (what, answer, signal) in faults(true).await {
        assert_eq!(answer.status, 200, "{what}: {}", answer.text());
        let broken = answer.text().contains("\"error\"");
        let first = answer.header("x-towpath-attempts") == "1";
        assert!(!broken || first, "{what}: {}", answer.text());
        rescued += u32::from(!first);
        let whole = first && !broken;
        assert_eq!(answered(&signal), u64::from(whole), "{what}");
    }

    assert!(rescued >= 15, "{rescued}");
}

#[tokio::test]
async fn attempts_of_the_endpoint_bound_the_rescue() {
    let world = split(100, &json!({"retries": {"attempts": 1}})).await;
    world.upstream.script("m-2", Script::fault(Fault::Status { code: 500, retry_after: None }));
    let answer = world.gateway.post("/v1/chat/completions", &chat("m")).await;

    assert_eq!((answer.status.as_u16(), asked(&world)), (502, vec!["m-2".to_owned()]));
}

#[tokio::test]
async fn an_ejected_candidate_gets_no_calls_and_its_failures_are_said_at_once() {
    let world = split(100, &json!({})).await;
    world.upstream.script("m-2", Script::fault(Fault::Close));
    // Right after a regular signal.
    let count = world.control.signals().len();
    world.control.wait_until(|control| control.signals().len() > count).await;
    let regular = world.control.signals().last().unwrap().time_ms;
    for attempts in ["2", "2", "2", "2", "2", "1", "1"] {
        let answer = world.gateway.post("/v1/chat/completions", &chat("m")).await;
        assert_eq!((answer.status.as_u16(), answer.header("x-towpath-attempts")), (200, attempts));
    }
    let five = said(&world, "dep_m.2", |signal| signal.failed == 5).await;
    let signals = world.control.signals();
    let knows = |signals: &&towpath_wire::signals::Signals| {
        signals.targets.get("dep_m.2").is_some_and(|candidate| candidate.failed == 5)
    };
    let first = signals.iter().find(knows).unwrap();

    assert_eq!((five.calls, five.failed), (5, 5));
    // The next regular one is a second later.
    assert!(first.time_ms - regular < 950, "{} {regular}", first.time_ms);
}

#[tokio::test]
async fn a_call_of_a_version_goes_to_the_side_that_serves_it_alone() {
    let signature = json!({
        "inputs": [{"name": "text", "datatype": "BYTES", "shape": [-1, 1]}],
        "outputs": [{"name": "label", "datatype": "BYTES", "shape": [-1, 1]}],
    });
    let world = World::with(&[], |base| {
        let served = |version: u32| {
            json!({
                "kind": "deployment", "dialect": "kserve_v2", "signature": signature,
                "operations": ["predict"], "replicas": [{"id": format!("rep_{version}"), "address": base}],
                "model": {"name": "triage", "version": version, "digest": "sha256:abc"},
            })
        };
        let mut stable = served(1);
        stable["candidate"] = json!({"target": "dep_m.2", "percent": 0});
        let mut second = served(2);
        second["name"] = "m".into();
        second["upstream_model"] = "m-2".into();
        let mut candidate = tables::target("m", base, &second);
        candidate.id = "dep_m.2".to_owned();
        vec![tables::target("m", base, &stable), candidate, tables::endpoint("m", &json!({}))]
    })
    .await;
    world.upstream.signature("m", signature.clone());
    world.upstream.signature("m-2", signature.clone());
    let body = json!({"inputs": [{"text": "a"}]});
    for version in [1, 2] {
        let path = format!("/v1/models/m/versions/{version}/predict");
        let answer = world.gateway.post(&path, &body).await;
        let served = answer.header("x-towpath-model-version").to_owned();
        assert_eq!(
            (answer.status.as_u16(), served),
            (200, version.to_string()),
            "{}",
            answer.text()
        );
        let record = world.control.record(answer.id()).await;
        assert_eq!(record.model_version, Some(version));
    }
    world.upstream.script("m-2", Script::fault(Fault::Status { code: 500, retry_after: None }));
    let failed = world.gateway.post("/v1/models/m/versions/2/predict", &body).await;
    let unknown = world.gateway.post("/v1/models/m/versions/3/predict", &body).await;

    assert_eq!(failed.status, 502, "another version is no answer");
    assert_eq!((unknown.status.as_u16(), unknown.code().as_str()), (404, "model_not_found"));
    assert!(unknown.text().contains("1, 2"), "{}", unknown.text());
}

#[tokio::test]
async fn calls_of_a_candidate_that_is_taken_away_or_takes_over_are_told_to_their_end() {
    for takes_over in [false, true] {
        let world = split(100, &json!({})).await;
        let gates = [("token:2".to_owned(), "hold".to_owned())].into();
        world.upstream.script("m-2", Script { gates, ..Script::default() });
        let mut stream = world.gateway.stream(&streamed("m")).await;
        stream.chunk().await.unwrap();
        let base = world.upstream.base_url();
        let changes = match takes_over {
            true => json!({"replicas": [{"id": "rep_m-2", "address": format!("{base}/v1")}]}),
            false => json!({}),
        };
        world.control.batch(Batch {
            version: TABLE_VERSION,
            from: 1,
            to: 2,
            advisory: vec![],
            upserts: vec![tables::target("m", base, &changes)],
            deletes: vec![EntityRef { kind: "target".to_owned(), id: "dep_m.2".to_owned() }],
        });
        world.control.applied(2).await;
        let count = world.control.signals().len();
        world.control.wait_until(|control| control.signals().len() > count + 1).await;
        let busy = signal(&world, "dep_m").unwrap();
        world.upstream.release("hold");
        let answer = stream.rest().await;
        let idle = |signal: &TargetSignal| {
            signal.replicas.get("rep_m-2").is_some_and(|replica| replica.in_flight == 0)
        };

        assert_eq!(busy.replicas["rep_m-2"].in_flight, 1, "{takes_over}");
        assert_eq!(busy.in_flight, u32::from(takes_over), "of its own replicas");
        assert!(answer.whole && answer.text().ends_with("data: [DONE]\n\n"), "{}", answer.text());
        if takes_over {
            said(&world, "dep_m", idle).await;
        }
    }
}
