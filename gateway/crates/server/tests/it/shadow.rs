//! Copies of calls for a candidate: nobody sees, pays or waits for them, and they are compared.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use serde_json::{Value, json};
use towpath_testkit::{Ended, Fault, Script};
use towpath_wire::signals::{ShadowSignal, TargetSignal};

use crate::rollout::{asked, pair, said};
use crate::support::{World, chat, streamed, tables};

const CHATS: &str = "/v1/chat/completions";

/// `m`, all of whose calls are answered by the stable target and copied to its candidate.
async fn copied(endpoint: &Value) -> World {
    World::with(&[("cache_max_bytes", 1 << 20)], |base| {
        let share = json!({"percent": 0, "shadow_percent": 100});
        let mut entities = pair("m", base, &share, &json!({}));
        entities.push(tables::endpoint("m", endpoint));
        entities
    })
    .await
}

/// Wait until the signals say this of the copies.
async fn shadow(world: &World, what: impl Fn(&ShadowSignal) -> bool) -> ShadowSignal {
    let said = said(world, "dep_m.2", |signal| signal.shadow.as_ref().is_some_and(&what)).await;
    said.shadow.unwrap()
}

fn saying(text: &str) -> Script {
    Script { text: Some(text.to_owned()), ..Script::default() }
}

fn held() -> Script {
    Script { gates: [("headers".to_owned(), "hold".to_owned())].into(), ..Script::default() }
}

/// Answers of the candidate's that have not ended.
fn running(seen: &[towpath_testkit::Seen]) -> usize {
    let theirs = seen.iter().filter(|seen| seen.model.as_deref() == Some("m-2"));
    theirs.filter(|seen| seen.ended == Ended::Running).count()
}

#[tokio::test]
async fn copies_are_compared_and_leave_no_trace_at_the_caller() {
    let world = copied(&json!({})).await;
    for body in [chat("m"), streamed("m"), chat("m"), streamed("m")] {
        let answer = world.gateway.post(CHATS, &body).await;
        assert_eq!((answer.status.as_u16(), answer.header("x-towpath-attempts")), (200, "1"));
        let record = world.control.record(answer.id()).await;
        assert_eq!((record.attempts, record.replica.as_deref()), (1, Some("rep_m")));
    }
    let shadow = shadow(&world, |shadow| shadow.compared == 4).await;
    let candidate = said(&world, "dep_m.2", |_| true).await;
    let metrics = world.gateway.get("/metrics").await.text();

    assert_eq!((shadow.calls, shadow.failed, shadow.different, shadow.skipped), (4, 0, 0, 0));
    assert_eq!(shadow.took.values().sum::<u64>(), 4);
    assert_eq!((candidate.calls, candidate.failed, candidate.took), (0, 0, BTreeMap::new()));
    assert_eq!(world.control.records().len(), 4, "a copy has no record");
    for line in [
        r#"towpath_gateway_shadow_calls_total{target="m",outcome="answered"} 4"#,
        r#"towpath_gateway_shadow_compared_total{target="m",outcome="same"} 4"#,
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }
}

#[tokio::test]
async fn a_difference_is_told_by_its_place_alone() {
    let world = copied(&json!({})).await;
    world.upstream.script("m-2", saying("something else"));
    for body in [chat("m"), streamed("m")] {
        assert!(world.gateway.post(CHATS, &body).await.text().contains("t0"));
    }
    let texts = shadow(&world, |shadow| shadow.compared == 2).await;
    world.upstream.script("m-2", Script::fault(Fault::Status { code: 400, retry_after: None }));
    world.gateway.post(CHATS, &chat("m")).await;
    let both = shadow(&world, |shadow| shadow.compared == 3).await;

    assert_eq!((texts.different, texts.failed), (2, 0));
    assert_eq!((both.different, both.failed), (3, 1));
    assert_eq!(both.paths, [("$.status".to_owned(), 1), ("$.text".to_owned(), 2)].into());
}

#[tokio::test]
async fn a_candidate_that_holds_its_answers_holds_up_nobody() {
    let world = copied(&json!({})).await;
    world.upstream.script("m-2", held());
    for body in [chat("m"), streamed("m")] {
        let answer = world.gateway.post(CHATS, &body).await;
        assert!(answer.status == 200 && answer.whole && answer.text().contains("t7"));
    }
    world.upstream.wait_until(|seen, _| running(seen) == 2).await;
    world.upstream.release("hold");
    let shadow = shadow(&world, |shadow| shadow.compared == 2).await;

    assert_eq!((shadow.calls, shadow.different), (2, 0));
}

#[tokio::test]
async fn whatever_a_candidate_does_to_copies_changes_no_answer() {
    let timeouts =
        json!({"connect_ms": 2000, "first_byte_ms": 900, "silence_ms": 900, "total_ms": 8000});
    let faults = [
        Fault::Silence,
        Fault::Close,
        Fault::Reset,
        Fault::Cut { after: 3 },
        Fault::Stall { after: 3 },
        Fault::ErrorBody,
        Fault::ErrorEvent,
        Fault::BadBody,
        Fault::BadFirstEvent,
        Fault::Html,
    ];
    let world = World::with(&[], |base| {
        let share = json!({"percent": 0, "shadow_percent": 100});
        let mut entities = Vec::new();
        for name in (0..faults.len()).map(|index| format!("f{index}")) {
            entities.extend(pair(&name, base, &share, &json!({})));
            entities.push(tables::endpoint(&name, &json!({"timeouts": timeouts})));
        }
        entities
    })
    .await;
    for (index, fault) in faults.iter().enumerate() {
        world.upstream.script(&format!("f{index}-2"), Script::fault(fault.clone()));
    }
    let call = async |index: usize| {
        let name = format!("f{index}");
        for body in [chat(&name), streamed(&name)] {
            let answer = world.gateway.post(CHATS, &body).await;
            let whole = answer.whole && answer.text().contains("t7");
            let attempts = answer.header("x-towpath-attempts");
            assert!(answer.status == 200 && whole && attempts == "1", "{:?}", faults[index]);
        }
        let both = |signal: &TargetSignal| signal.shadow.as_ref().is_some_and(|it| it.calls == 2);
        said(&world, &format!("dep_{name}.2"), both).await
    };
    let signals = join_all((0..faults.len()).map(call)).await;
    let failed: u64 = signals.iter().map(|signal| signal.shadow.as_ref().unwrap().failed).sum();

    // A fault of streams alone is none of a plain answer, and the other way round.
    assert!(failed >= 15, "{failed}");
    let well = signals.iter().flat_map(|signal| signal.replicas.values());
    assert!(well.into_iter().all(|replica| replica.failures == 0), "{signals:?}");
}

#[tokio::test]
async fn predictions_are_compared_output_by_output() {
    let texts = json!([{"name": "text", "datatype": "BYTES", "shape": [-1, 1]}]);
    let score = json!({"name": "score", "datatype": "FP32", "shape": [-1]});
    let label = |datatype: &str| json!({"name": "label", "datatype": datatype, "shape": [-1]});
    let first = json!({"inputs": texts, "outputs": [label("BYTES"), score]});
    let second = json!({"inputs": texts, "outputs": [label("INT64"), score]});
    let other = json!({"inputs": [label("INT64")], "outputs": [score]});
    let world = World::with(&[], |base| {
        let served = |name: &str, signature: &Value| {
            json!({"kind": "deployment", "dialect": "kserve_v2", "signature": signature,
                "operations": ["predict"], "upstream_model": name,
                "replicas": [{"id": format!("rep_{name}"), "address": base}]})
        };
        let mut entities = Vec::new();
        for (name, candidate) in [("m", &second), ("n", &other)] {
            let id = format!("dep_{name}.2");
            let mut stable = served(name, &first);
            stable["candidate"] = json!({"target": id, "percent": 0, "shadow_percent": 100});
            let mut newer = tables::target(name, base, &served(&format!("{name}-2"), candidate));
            newer.id = id;
            entities.extend([tables::target(name, base, &stable), newer]);
            entities.push(tables::endpoint(name, &json!({})));
        }
        entities
    })
    .await;
    for (model, signature) in [("m", &first), ("n", &first), ("m-2", &second), ("n-2", &other)] {
        world.upstream.signature(model, signature.clone());
    }
    let body = json!({"inputs": [{"text": "a"}, {"text": "b"}]});
    for name in ["m", "n"] {
        let path = format!("/v1/models/{name}/predict");
        let answer = world.gateway.post(&path, &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let answered = shadow(&world, |shadow| shadow.compared == 1).await;
    let one = |signal: &TargetSignal| signal.shadow.as_ref().is_some_and(|it| it.compared == 1);
    let refused = said(&world, "dep_n.2", one).await.shadow.unwrap();

    let labels = ["$.outputs[0].label", "$.outputs[1].label"].map(|path| (path.to_owned(), 1));
    assert_eq!((answered.failed, answered.paths), (0, labels.into()));
    assert_eq!((refused.failed, refused.paths), (1, [("$.status".to_owned(), 1)].into()));
}

#[tokio::test]
async fn copies_are_bounded_and_what_is_beyond_is_counted() {
    let world = copied(&json!({})).await;
    world.upstream.script("m-2", held());
    let body = chat("m");
    for _ in 0..3 {
        let calls = (0..10).map(|_| world.gateway.post(CHATS, &body));
        assert!(join_all(calls).await.iter().all(|answer| answer.status == 200));
    }
    let full = shadow(&world, |shadow| shadow.skipped == 14).await;
    world.upstream.wait_until(|seen, _| running(seen) == 16).await;
    let large =
        json!({"model": "m", "messages": [{"role": "user", "content": "a ".repeat(600_000)}]});
    assert_eq!(world.gateway.post(CHATS, &large).await.status, 200);
    world.upstream.release("hold");
    let after = shadow(&world, |shadow| shadow.compared == 16).await;

    assert_eq!(full.calls, 0, "none of them is over");
    assert_eq!((after.calls, after.skipped), (16, 15));
}

#[tokio::test]
async fn batches_and_kept_answers_are_not_copied() {
    let world = copied(&json!({"cache": {"ttl_ms": 60_000}})).await;
    let headers = [("x-towpath-priority", "batch"), ("cache-control", "no-store")];
    world.gateway.post_with(CHATS, &headers, &chat("m")).await;
    world.gateway.post(CHATS, &chat("m")).await;
    shadow(&world, |shadow| shadow.compared == 1).await;
    let kept = world.gateway.post(CHATS, &chat("m")).await;
    let last = world.gateway.post_with(CHATS, &headers[1..], &chat("m")).await;
    let shadow = shadow(&world, |shadow| shadow.compared == 2).await;

    assert_eq!((kept.header("x-towpath-cache"), last.status.as_u16()), ("hit", 200));
    assert_eq!((shadow.calls, shadow.skipped), (2, 0));
    let copies = asked(&world).iter().filter(|model| *model == "m-2").count();
    assert_eq!(copies, 2);
}
