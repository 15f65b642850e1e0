//! Who gets a call: health, retries within their budget, and how calls are spread.

use serde_json::{Value, json};
use towpath_testkit::{FakeUpstream, Fault, Script};
use towpath_wire::routing::Envelope;
use towpath_wire::signals::{Breaker, ReplicaSignal};
use towpath_wire::usage::Ended;

use crate::support::{World, chat, tables};

fn status(code: u16, retry_after: Option<&str>) -> Script {
    Script::fault(Fault::Status { code, retry_after: retry_after.map(str::to_owned) })
}

/// `m` with the targets `a` and its fallback `b`.
async fn pair(changes: Value) -> World {
    World::with(&[], |base| {
        let mut endpoint = json!({
            "targets": [{"target": "dep_a", "weight": 1}], "fallback": [{"target": "dep_b"}],
        });
        for (field, change) in changes.as_object().unwrap() {
            endpoint[field] = change.clone();
        }
        vec![
            tables::target("a", base, &json!({})),
            tables::target("b", base, &json!({})),
            tables::endpoint("m", &endpoint),
        ]
    })
    .await
}

/// `m` on one target with so many replicas at the scripted upstream.
fn replicas(base: &str, count: usize, endpoint: &Value) -> Vec<Envelope> {
    let replicas: Vec<Value> = (0..count)
        .map(|index| json!({"id": format!("rep_{index}"), "address": format!("{base}/v1")}))
        .collect();
    vec![tables::target("m", base, &json!({"replicas": replicas})), tables::endpoint("m", endpoint)]
}

/// What the latest signal says of a replica of a target.
fn signal(world: &World, target: &str, replica: &str) -> Option<ReplicaSignal> {
    let signals = world.control.signals();
    let of = |signals: &towpath_wire::signals::Signals| {
        signals.targets.get(target)?.replicas.get(replica).cloned()
    };
    signals.iter().rev().find_map(of)
}

/// How many replicas were ejected so far, over all targets.
async fn ejections(world: &World) -> u64 {
    let metrics = world.gateway.get("/metrics").await.text();
    let counts = metrics.lines().filter_map(|line| {
        line.strip_prefix("towpath_gateway_target_ejections_total{")?.rsplit(' ').next()
    });
    let counts: Vec<u64> = counts.map(|count| count.parse().unwrap()).collect();
    assert!(!counts.is_empty(), "{metrics}");
    counts.iter().sum()
}

fn to(world: &World, model: &str) -> usize {
    world.upstream.requests().iter().filter(|seen| seen.model.as_deref() == Some(model)).count()
}

#[tokio::test]
async fn a_dead_replica_is_ejected_and_everybody_is_told() {
    let world = World::with(&[], |base| {
        let dead = format!("{}/v1", FakeUpstream::refusing().unwrap());
        let replicas = json!([
            {"id": "rep_dead", "address": dead},
            {"id": "rep_alive", "address": format!("{base}/v1")},
        ]);
        let balance = json!({"balance": {"replicas": "weighted"}});
        vec![
            tables::target("m", base, &json!({"replicas": replicas})),
            tables::endpoint("m", &balance),
        ]
    })
    .await;
    let mut calls = 0;
    while !world.gateway.log().contains("replica.ejected") {
        assert_eq!(world.gateway.post("/v1/chat/completions", &chat("m")).await.status, 200);
        calls += 1;
        assert!(calls < 100, "{}", world.gateway.log());
    }
    for _ in 0..20 {
        let answer = world.gateway.post("/v1/chat/completions", &chat("m")).await;
        assert_eq!(answer.header("x-towpath-attempts"), "1");
    }
    let open = |dead: ReplicaSignal| dead.breaker == Breaker::Open;
    world.control.wait_until(|_| signal(&world, "dep_m", "rep_dead").is_some_and(open)).await;
    let dead = signal(&world, "dep_m", "rep_dead").unwrap();
    let metrics = world.gateway.get("/metrics").await.text();

    assert_eq!((dead.breaker, dead.failures), (Breaker::Open, 5));
    assert!(dead.last_error.unwrap().contains("no connection"));
    assert!(dead.ejected_until_ms > dead.last_error_at_ms);
    assert!(
        metrics.contains(r#"towpath_gateway_target_replicas{target="m",breaker="open"} 1"#),
        "{metrics}"
    );
    assert!(metrics.contains(r#"towpath_gateway_target_ejections_total{target="m"} 1"#));
}

#[tokio::test]
async fn a_target_that_is_all_there_is_gets_calls_though_it_is_ejected_and_is_restored_by_one() {
    let world = World::simple().await;
    world.upstream.script_next("m", status(500, None), 6);
    for _ in 0..6 {
        assert_eq!(world.gateway.post("/v1/chat/completions", &chat("m")).await.status, 502);
    }
    world.gateway.logged("replica.ejected").await;
    let answer = world.gateway.post("/v1/chat/completions", &chat("m")).await;

    assert_eq!(answer.status, 200, "{}", answer.text());
    world.gateway.logged("replica.restored").await;
}

#[tokio::test]
async fn a_sick_target_is_passed_over_once_it_is_ejected() {
    let world = pair(json!({})).await;
    world.upstream.script("a", status(500, None));
    for _ in 0..12 {
        let answer = world.gateway.post("/v1/chat/completions", &chat("m")).await;
        assert_eq!((answer.status.as_u16(), answer.header("x-towpath-target")), (200, "b"));
    }

    assert_eq!(to(&world, "a"), 5);
}

#[tokio::test]
async fn requests_at_fault_themselves_eject_nobody() {
    let world = World::simple().await;
    for code in [400, 413, 422, 404] {
        world.upstream.script_next("m", status(code, None), 4);
    }
    for _ in 0..16 {
        world.gateway.post("/v1/chat/completions", &chat("m")).await;
    }

    assert_eq!(ejections(&world).await, 0);
    assert_eq!(world.gateway.post("/v1/chat/completions", &chat("m")).await.status, 200);
}

#[tokio::test]
async fn who_limits_its_callers_is_left_alone_for_as_long_as_it_says() {
    let world = pair(json!({})).await;
    world.upstream.script("a", status(429, Some("60")));
    for attempts in ["2", "1", "1"] {
        let answer = world.gateway.post("/v1/chat/completions", &chat("m")).await;
        assert_eq!((answer.status.as_u16(), answer.header("x-towpath-attempts")), (200, attempts));
    }
    let rests = |a: ReplicaSignal| a.ejected_until_ms.is_some();
    world.control.wait_until(|_| signal(&world, "dep_a", "rep_a").is_some_and(rests)).await;
    let resting = signal(&world, "dep_a", "rep_a").unwrap();

    assert_eq!(to(&world, "a"), 1);
    assert_eq!((resting.breaker, resting.failures), (Breaker::Closed, 0));
    assert_eq!(resting.last_error.as_deref(), Some("status 429"));
    assert!(resting.ejected_until_ms.unwrap() > resting.last_error_at_ms.unwrap() + 50_000);
}

#[tokio::test]
async fn when_all_limit_their_callers_the_first_to_be_free_is_named() {
    let world = pair(json!({})).await;
    world.upstream.script("a", status(429, Some("7")));
    world.upstream.script("b", status(429, Some("400")));
    let answer = world.gateway.post("/v1/chat/completions", &chat("m")).await;
    let record = world.control.record(answer.id()).await;

    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (429, "upstream_rate_limited"));
    assert_eq!((answer.header("retry-after"), answer.header("x-towpath-attempts")), ("7", "2"));
    assert_eq!((record.attempts, record.ended), (2, Ended::Error));
}

#[tokio::test]
async fn a_limit_beside_another_failure_is_not_what_the_caller_is_told() {
    let world = pair(json!({})).await;
    world.upstream.script("a", status(500, None));
    world.upstream.script("b", status(429, Some("7")));
    let answer = world.gateway.post("/v1/chat/completions", &chat("m")).await;

    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (502, ""));
    assert_eq!(answer.header("x-towpath-target"), "b", "the one that was asked last");
}

#[tokio::test]
async fn our_own_credential_refused_is_our_fault_and_seen() {
    let world = pair(json!({})).await;
    for code in [401, 403] {
        world.upstream.script("a", status(code, None));
        let rescued = world.gateway.post("/v1/chat/completions", &chat("m")).await;
        assert_eq!((rescued.status.as_u16(), rescued.header("x-towpath-target")), (200, "b"));
    }
    world.upstream.script("b", status(401, None));
    let answer = world.gateway.post("/v1/chat/completions", &chat("m")).await;
    let failed = |b: ReplicaSignal| b.failures > 0;
    world.control.wait_until(|_| signal(&world, "dep_b", "rep_b").is_some_and(failed)).await;
    let seen = signal(&world, "dep_b", "rep_b").unwrap().last_error;

    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (502, "upstream_error"));
    assert!(answer.headers.get("www-authenticate").is_none());
    assert_eq!(seen.as_deref(), Some("status 401: the credential is refused"));
}

#[tokio::test]
async fn retries_of_a_sick_target_keep_to_their_budget() {
    let retries = json!({"retries": {"attempts": 4, "budget_percent": 0, "min_per_second": 0}});
    let world = World::with(&[], |base| replicas(base, 3, &retries)).await;
    world.upstream.script("m", status(500, None));
    for _ in 0..40 {
        assert_eq!(world.gateway.post("/v1/chat/completions", &chat("m")).await.status, 502);
    }
    let metrics = world.gateway.get("/metrics").await.text();

    assert_eq!(to(&world, "m"), 40 + 10, "ten are saved up, and none is earned");
    assert!(
        metrics.contains(r#"towpath_gateway_retries_total{endpoint="m",outcome="made"} 10"#),
        "{metrics}"
    );
}

#[tokio::test]
async fn a_call_has_no_more_attempts_than_its_endpoint_allows() {
    let world = pair(json!({"retries": {"attempts": 1}})).await;
    world.upstream.script("a", status(500, None));
    let answer = world.gateway.post("/v1/chat/completions", &chat("m")).await;

    assert_eq!((answer.status.as_u16(), answer.header("x-towpath-attempts")), (502, "1"));
}

#[tokio::test]
async fn one_attempt_may_not_take_the_time_of_all() {
    let timeouts = json!({"connect_ms": 1_000, "first_byte_ms": 20_000, "silence_ms": 20_000,
                          "total_ms": 20_000, "attempt_ms": 150});
    let world = pair(json!({"timeouts": timeouts})).await;
    world.upstream.script("a", Script::fault(Fault::Stall { after: 1 }));
    let answer = world.gateway.post("/v1/chat/completions", &chat("m")).await;

    assert_eq!((answer.status.as_u16(), answer.header("x-towpath-target")), (200, "b"));
    assert_eq!(answer.header("x-towpath-attempts"), "2");
}

#[tokio::test]
async fn no_replica_is_asked_twice_unless_it_was_not_reached() {
    let world = World::simple().await;
    world.upstream.script("m", status(500, None));
    let answer = world.gateway.post("/v1/chat/completions", &chat("m")).await;
    assert_eq!(answer.header("x-towpath-attempts"), "1");
    drop(world);

    let world = World::with(&[], |_| {
        let address = FakeUpstream::refusing().unwrap();
        vec![tables::target("m", &address, &json!({})), tables::endpoint("m", &json!({}))]
    })
    .await;
    let answer = world.gateway.post("/v1/chat/completions", &chat("m")).await;
    assert_eq!(answer.header("x-towpath-attempts"), "2");
}

/// A chat whose prompt begins with a long text of its own.
fn long(topic: &str, question: &str) -> Value {
    let system = format!("{topic} ").repeat(1_000);
    json!({"model": "m", "messages": [
        {"role": "system", "content": system}, {"role": "user", "content": question},
    ]})
}

#[tokio::test]
async fn requests_that_begin_alike_go_to_one_replica() {
    let world = World::with(&[], |base| replicas(base, 4, &json!({}))).await;
    for topic in ["boats", "locks", "horses"] {
        let mut seen = std::collections::BTreeSet::new();
        for question in 0..8 {
            let body = long(topic, &format!("question {question}"));
            let answer = world.gateway.post("/v1/chat/completions", &body).await;
            seen.insert(world.control.record(answer.id()).await.replica.unwrap());
        }
        assert_eq!(seen.len(), 1, "{topic}: {seen:?}");
    }
}

#[tokio::test]
async fn a_replica_that_everybody_wants_is_relieved() {
    let world = World::with(&[], |base| replicas(base, 4, &json!({}))).await;
    let gates = [("headers".to_owned(), "gate".to_owned())].into();
    world.upstream.script("m", Script { gates, ..Script::default() });
    let calls = (0..16).map(|question| {
        let body = long("boats", &format!("question {question}"));
        let address = world.gateway.address;
        tokio::spawn(async move {
            let headers = [("authorization", "Bearer tp_sandbox_good")];
            let path = "/v1/chat/completions";
            let send = crate::support::client::send;
            send(address, http::Method::POST, path, &headers, body.to_string()).await.rest().await
        })
    });
    let calls: Vec<_> = calls.collect();
    world.upstream.wait_until(|seen, _| seen.len() == 16).await;
    world.upstream.release("gate");
    let mut by_replica = std::collections::BTreeMap::new();
    for call in calls {
        let answer = call.await.unwrap();
        let replica = world.control.record(answer.id()).await.replica.unwrap();
        *by_replica.entry(replica).or_insert(0) += 1;
    }

    // A quarter above the mean of 4, rounded up, and a little for workers that choose at the same time.
    assert_eq!(by_replica.len(), 4, "{by_replica:?}");
    assert!(by_replica.values().all(|count| *count <= 7), "{by_replica:?}");
}

#[tokio::test]
async fn a_key_stays_with_its_side_of_a_canary() {
    let world = World::with(&[], |base| {
        let mut entities = vec![
            tables::target("a", base, &json!({})),
            tables::target("b", base, &json!({})),
            tables::endpoint(
                "m",
                &json!({"targets": [{"target": "dep_a", "weight": 1}, {"target": "dep_b", "weight": 1}],
                        "balance": {"sticky": "key"}}),
            ),
        ];
        entities.extend(
            (0..24).map(|n| tables::key(&format!("key_s{n}"), &format!("tp_sandbox_s{n}"))),
        );
        entities
    })
    .await;
    let mut sides = [0; 2];
    for key in 0..24 {
        let key = format!("tp_sandbox_s{key}");
        let mut targets = std::collections::BTreeSet::new();
        for _ in 0..5 {
            let answer = world.gateway.post_as(&key, "/v1/chat/completions", &chat("m")).await;
            targets.insert(answer.header("x-towpath-target").to_owned());
        }
        assert_eq!(targets.len(), 1, "{key}: {targets:?}");
        sides[usize::from(targets.contains("b"))] += 1;
    }

    assert!(sides.iter().all(|side| *side > 0), "{sides:?}");
}

#[tokio::test]
async fn a_replica_that_fails_its_probe_gets_no_calls_until_it_passes() {
    let well = FakeUpstream::start().await.unwrap();
    let world = World::with(&[], |base| {
        let probe = json!({"path": "/health", "interval_ms": 100, "timeout_ms": 500});
        let dead = format!("{}/v1", FakeUpstream::refusing().unwrap());
        let replicas = json!([
            {"id": "rep_dead", "address": dead},
            {"id": "rep_well", "address": format!("{}/v1", well.base_url())},
        ]);
        vec![
            tables::target("m", base, &json!({"replicas": replicas, "probe": probe})),
            tables::endpoint("m", &json!({})),
        ]
    })
    .await;
    world
        .control
        .wait_until(|_| {
            signal(&world, "dep_m", "rep_dead").is_some_and(|dead| dead.breaker == Breaker::Open)
        })
        .await;
    let dead = signal(&world, "dep_m", "rep_dead").unwrap();
    for _ in 0..8 {
        let answer = world.gateway.post("/v1/chat/completions", &chat("m")).await;
        assert_eq!((answer.status.as_u16(), answer.header("x-towpath-attempts")), (200, "1"));
    }

    assert_eq!(dead.last_error.as_deref(), Some("probe: upstream_unavailable"));
}

/// `m` on `short`, which takes 100 tokens, and where `more` says so on a longer fallback.
async fn contexts(more: Value) -> World {
    World::with(&[], |base| {
        let mut endpoint = json!({"targets": [{"target": "dep_short", "weight": 1}]});
        for (field, change) in more.as_object().unwrap() {
            endpoint[field] = change.clone();
        }
        vec![
            tables::target("short", base, &json!({"context_length": 100})),
            tables::target("long", base, &json!({"context_length": 10_000})),
            tables::target("other", base, &json!({"context_length": 50})),
            tables::endpoint("m", &endpoint),
        ]
    })
    .await
}

#[tokio::test]
async fn an_input_that_cannot_fit_is_refused_with_numbers_and_not_sent() {
    let world = contexts(json!({})).await;
    let answer = world.gateway.post("/v1/chat/completions", &long("boats", "?")).await;
    let record = world.control.record(answer.id()).await;

    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "context_length_exceeded"));
    assert!(answer.message().contains("at most 100"), "{}", answer.message());
    assert!(world.upstream.requests().is_empty());
    assert_eq!((record.ended, record.attempts), (Ended::Refused, 0));
}

#[tokio::test]
async fn an_input_that_may_fit_is_sent() {
    let world = contexts(json!({})).await;
    // 1,500 bytes are 375 tokens of the usual four, and may be a hundred long ones.
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "x".repeat(1_500)}]});

    assert_eq!(world.gateway.post("/v1/chat/completions", &body).await.status, 200);
}

#[tokio::test]
async fn an_input_that_is_too_long_goes_to_a_longer_model_where_there_is_one() {
    let chain = json!({"fallback": [{"target": "dep_other"}, {"target": "dep_long"}]});
    let world = contexts(chain).await;
    let foreseen = world.gateway.post("/v1/chat/completions", &long("boats", "?")).await;
    world.upstream.script("short", Script::fault(Fault::TooLong));
    let told = world.gateway.post("/v1/chat/completions", &chat("m")).await;

    assert_eq!((foreseen.status.as_u16(), foreseen.header("x-towpath-target")), (200, "long"));
    assert_eq!(foreseen.header("x-towpath-attempts"), "1");
    assert_eq!((told.status.as_u16(), told.header("x-towpath-target")), (200, "long"));
    assert_eq!(told.header("x-towpath-attempts"), "2");
    assert_eq!(ejections(&world).await, 0);
}

#[tokio::test]
async fn an_upstream_that_says_too_long_is_believed_in_its_own_words() {
    let world = contexts(json!({"fallback": [{"target": "dep_other"}]})).await;
    world.upstream.script("short", Script::fault(Fault::TooLong));
    let answer = world.gateway.post("/v1/chat/completions", &chat("m")).await;

    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "context_length_exceeded"));
    assert!(answer.message().contains("8 tokens"), "{}", answer.message());
    assert_eq!(to(&world, "other"), 0, "it is shorter still");
}
