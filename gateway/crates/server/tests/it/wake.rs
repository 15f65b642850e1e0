//! Targets that sleep: signalled at once, waited for within bounds, and no call lost.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use towpath_testkit::{Fault, Script};
use towpath_wire::routing::{Batch, Envelope, TABLE_VERSION};
use towpath_wire::usage::{Ended, UsageRecord};

use crate::support::client::{Answer, Head};
use crate::support::control::Control;
use crate::support::{World, chat, streamed, tables};

/// `m` on one target that sleeps, with these rules of its cold start and changes of its endpoint.
async fn asleep(cold_start: Value, endpoint: Value) -> World {
    World::with(&[], |base| {
        vec![
            tables::target("m", base, &json!({"replicas": [], "cold_start": cold_start})),
            tables::target("other", base, &json!({})),
            tables::endpoint("m", &endpoint),
        ]
    })
    .await
}

fn batch(upserts: Vec<Envelope>) -> Batch {
    Batch { version: TABLE_VERSION, from: 1, to: 2, advisory: vec![], upserts, deletes: vec![] }
}

/// The table that brings a replica.
fn wake(world: &World) {
    let base = world.upstream.base_url();
    world.control.batch(batch(vec![tables::target("m", base, &json!({"cold_start": {}}))]));
}

/// Wait until the control plane knows that somebody waits.
async fn signalled(world: &World) {
    let waiting = |signals: &towpath_wire::signals::Signals| {
        signals.endpoints.get("end_m").is_some_and(|end| end.waiting_for_wake)
            && signals.targets.get("dep_m").is_some_and(|target| target.waiting_for_wake)
    };
    world.control.wait_until(|control| control.signals().iter().any(waiting)).await;
}

/// Wait until so many calls wait.
async fn waiting(world: &World, count: u32) {
    let all = |signals: &towpath_wire::signals::Signals| {
        signals.targets.get("dep_m").is_some_and(|target| target.queued == count)
    };
    world.control.wait_until(|control| control.signals().iter().any(all)).await;
}

/// Send a body in a task of its own.
fn calling(world: &World, body: &Value) -> tokio::task::JoinHandle<Answer> {
    let head = opening(world, body);
    tokio::spawn(async move { head.await.unwrap().rest().await })
}

fn opening(world: &World, body: &Value) -> tokio::task::JoinHandle<Head> {
    let (address, body) = (world.gateway.address, body.to_string());
    tokio::spawn(async move {
        let headers = [("authorization", "Bearer tp_sandbox_good")];
        let path = "/v1/chat/completions";
        crate::support::client::send(address, http::Method::POST, path, &headers, body).await
    })
}

async fn record(world: &World, answer: &Answer) -> UsageRecord {
    world.control.record(answer.id()).await
}

#[tokio::test]
async fn a_sleeping_model_is_signalled_at_once_and_every_call_is_served_when_it_wakes() {
    let world = asleep(json!({}), json!({})).await;
    let start = Instant::now();
    let plain: Vec<_> = (0..8).map(|_| calling(&world, &chat("m"))).collect();
    let streams: Vec<_> = (0..8).map(|_| calling(&world, &streamed("m"))).collect();
    signalled(&world).await;
    let took = start.elapsed();
    waiting(&world, 16).await;
    wake(&world);
    for call in plain.into_iter().chain(streams) {
        let answer = call.await.unwrap();
        let record = record(&world, &answer).await;

        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(!answer.header("x-towpath-cold-start-ms").is_empty(), "{:?}", answer.headers);
        assert_eq!((record.ended, record.attempts), (Ended::Complete, 1));
        assert!(record.cold_start_ms.is_some());
    }

    // The regular signal comes every second.
    assert!(took < Duration::from_millis(800), "{took:?}");
}

#[tokio::test]
async fn when_the_wait_is_over_the_estimate_says_when_to_come_back() {
    for (estimate, retry_after) in [(41_200, "42"), (900_000, "120")] {
        let rules = json!({"max_wait_ms": 100, "estimate_ms": estimate});
        let world = asleep(rules, json!({})).await;
        let answer = world.gateway.post("/v1/chat/completions", &chat("m")).await;
        let record = record(&world, &answer).await;

        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "model_waking"));
        assert_eq!(answer.header("retry-after"), retry_after);
        assert_eq!((record.ended, record.attempts), (Ended::Timeout, 0));
    }
}

#[tokio::test]
async fn no_more_wait_than_may() {
    let world = asleep(json!({"max_queued": 2}), json!({})).await;
    let waiting: Vec<_> = (0..2).map(|_| calling(&world, &chat("m"))).collect();
    self::waiting(&world, 2).await;
    let third = world.gateway.post("/v1/chat/completions", &chat("m")).await;
    wake(&world);
    for call in waiting {
        assert_eq!(call.await.unwrap().status, 200);
    }

    assert_eq!((third.status.as_u16(), third.code().as_str()), (503, "model_waking"));
}

#[tokio::test]
async fn a_stream_that_waits_long_gets_comments_and_then_all_it_asked_for() {
    let world = asleep(json!({"progress_after_ms": 50}), json!({})).await;
    let mut head = opening(&world, &streamed("m")).await.unwrap();
    let first = head.chunk().await.unwrap();
    wake(&world);
    let answer = head.rest().await;
    let record = record(&world, &answer).await;
    let text = answer.text();
    let before = text.split("data: ").next().unwrap();

    assert_eq!((answer.status.as_u16(), answer.whole), (200, true));
    assert_eq!(answer.header("content-type"), "text/event-stream; charset=utf-8");
    assert!(first.starts_with(b": waiting"), "{first:?}");
    assert!(before.contains(": x-towpath-target: m\n"), "{text}");
    assert!(before.contains(": x-towpath-attempts: 1\n"), "{text}");
    assert!(before.contains(": x-towpath-cold-start-ms: "), "{text}");
    assert!(text.contains("t7 ") && text.ends_with("data: [DONE]\n\n"), "{text}");
    assert_eq!((record.ended, record.output_tokens), (Ended::Complete, Some(8)));
}

#[tokio::test]
async fn a_stream_whose_wait_is_over_after_its_head_ends_in_an_error_event() {
    let rules = json!({"progress_after_ms": 50, "max_wait_ms": 200, "estimate_ms": 30_000});
    let world = asleep(rules, json!({})).await;
    let answer = world.gateway.stream(&streamed("m")).await.rest().await;
    let record = record(&world, &answer).await;
    let text = answer.text();
    let event: Value = serde_json::from_str(text.split("data: ").nth(1).unwrap().trim()).unwrap();

    assert_eq!(answer.status, 200);
    assert_eq!(event["error"]["code"], "model_waking");
    assert_eq!(event["error"]["retry_after_s"], 30);
    assert!(!text.contains("[DONE]"), "{text}");
    assert_eq!((record.status, record.ended), (Some(200), Ended::Timeout));
    assert_eq!(record.error_code.as_deref(), Some("model_waking"));
}

#[tokio::test]
async fn after_an_early_head_the_call_still_falls_back() {
    let rules = json!({"progress_after_ms": 50, "max_wait_ms": 200});
    let world = asleep(rules, json!({"fallback": [{"target": "dep_other"}]})).await;
    let answer = world.gateway.stream(&streamed("m")).await.rest().await;
    let record = record(&world, &answer).await;

    assert!(answer.text().contains(": x-towpath-target: other\n"), "{}", answer.text());
    assert!(answer.text().ends_with("data: [DONE]\n\n"), "{}", answer.text());
    assert_eq!((record.target.as_deref(), record.ended), (Some("other"), Ended::Complete));
}

#[tokio::test]
async fn progress_can_be_switched_off() {
    let rules = json!({"progress_after_ms": 0, "max_wait_ms": 200});
    let world = asleep(rules, json!({})).await;
    let answer = world.gateway.stream(&streamed("m")).await.rest().await;

    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "model_waking"));
}

#[tokio::test]
async fn a_caller_who_leaves_while_waiting_is_booked_as_gone() {
    let world = asleep(json!({"progress_after_ms": 50}), json!({})).await;
    let mut head = opening(&world, &streamed("m")).await.unwrap();
    head.chunk().await.unwrap();
    let id = head.headers["x-request-id"].to_str().unwrap().to_owned();
    drop(head);
    let record = world.control.record(&id).await;

    assert_eq!((record.ended, record.attempts), (Ended::ClientGone, 0));
    assert_eq!(record.status, Some(200), "the head went out");
}

#[tokio::test]
async fn a_target_that_sleeps_beside_one_that_is_awake_is_woken_without_a_wait() {
    let world = asleep(
        json!({}),
        json!({"targets": [{"target": "dep_m", "weight": 1_000}, {"target": "dep_other", "weight": 1}]}),
    )
    .await;
    let answer = world.gateway.post("/v1/chat/completions", &chat("m")).await;
    signalled(&world).await;

    assert_eq!((answer.status.as_u16(), answer.header("x-towpath-target")), (200, "other"));
    assert_eq!(answer.header("x-towpath-cold-start-ms"), "");
}

#[tokio::test]
async fn a_model_that_wakes_and_fails_falls_back() {
    let world = asleep(json!({}), json!({"fallback": [{"target": "dep_other"}]})).await;
    world.upstream.script("m", Script::fault(Fault::Close));
    let call = calling(&world, &chat("m"));
    signalled(&world).await;
    wake(&world);
    let answer = call.await.unwrap();

    assert_eq!((answer.status.as_u16(), answer.header("x-towpath-target")), (200, "other"));
    assert_eq!(answer.header("x-towpath-attempts"), "2");
}

/// Between two signals a short call comes and goes: what it took shows all the same.
#[tokio::test]
async fn signals_say_how_much_there_was_to_do() {
    let world = World::with(&[], |base| {
        vec![
            tables::target("m", base, &json!({"kind": "deployment"})),
            tables::endpoint("m", &json!({})),
        ]
    })
    .await;
    let gates = [("token:1".to_owned(), "held".to_owned())].into();
    world.upstream.script_next("m", Script { gates, ..Script::default() }, 1);
    let mut open = world.gateway.stream(&streamed("m")).await;
    open.chunk().await.unwrap();
    let told = |signals: &towpath_wire::signals::Signals| signals.targets.get("dep_m").cloned();
    let busy = |control: &Control| {
        control.signals().iter().filter_map(told).any(|target| {
            (target.calls, target.in_flight, target.busy_ms) == (1, 1, 0) && target.tokens > 0
        })
    };
    world.control.wait_until(busy).await;
    world.upstream.release("held");
    open.rest().await;
    let over = |control: &Control| {
        let last = control.signals().iter().rev().find_map(told).unwrap();
        (last.calls, last.in_flight, last.tokens) == (1, 0, 0) && last.busy_ms > 0
    };
    world.control.wait_until(over).await;
}

/// Whoever ends a replica waits for its last call: it is told of for as long as it has one.
#[tokio::test]
async fn signals_tell_of_a_replica_that_left_the_table_until_its_last_call_is_over() {
    let world = World::with(&[], |base| {
        vec![tables::target("m", base, &json!({})), tables::endpoint("m", &json!({}))]
    })
    .await;
    let gates = [("token:1".to_owned(), "held".to_owned())].into();
    world.upstream.script_next("m", Script { gates, ..Script::default() }, 1);
    let mut open = world.gateway.stream(&streamed("m")).await;
    open.chunk().await.unwrap();
    let gone = tables::target("m", world.upstream.base_url(), &json!({"replicas": []}));
    world.control.batch(batch(vec![gone]));
    world.control.applied(2).await;
    let applied = world.control.signals().len();
    let busy = move |signals: &towpath_wire::signals::Signals| {
        let target = signals.targets.get("dep_m");
        target.is_some_and(|target| target.replicas.get("rep_m").is_some_and(|r| r.in_flight == 1))
    };
    let told = |control: &Control| control.signals().iter().skip(applied).any(busy);
    world.control.wait_until(told).await;
    world.upstream.release("held");
    let over = world.control.signals().len();
    assert!(open.rest().await.whole);
    let quiet = |control: &Control| {
        let after = control.signals();
        after.len() > over + 1 && after.iter().skip(over + 1).any(|signals| !busy(signals))
    };
    world.control.wait_until(quiet).await;
}
