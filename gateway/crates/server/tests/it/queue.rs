//! Targets that take so many calls at a time: who goes first, how long others wait, and that no place is lost.

use http::Method;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use towpath_testkit::{Ended as Upstream, Script};
use towpath_wire::routing::{Batch, Envelope, TABLE_VERSION};
use towpath_wire::signals::Signals;
use towpath_wire::usage::Ended;

use crate::support::client::{Answer, Head, send};
use crate::support::{World, chat, streamed, tables};

const CHAT: &str = "/v1/chat/completions";
const OTHER: &str = "tp_sandbox_other_team";
const BATCH: &str = "tp_sandbox_batch";

/// `m` on a target that takes one call at a time, with these changes of it and of its endpoint; keys of two
/// teams, and one whose calls are batch work. Every answer waits for the gate `gate`.
async fn narrow(target: &Value, endpoint: &Value) -> World {
    let mut changes = json!({"max_concurrency": 1});
    changes.as_object_mut().unwrap().extend(target.as_object().unwrap().clone());
    let world = World::with(&[], |base| {
        vec![
            tables::target("m", base, &changes),
            tables::target("other", base, &json!({})),
            tables::endpoint("m", endpoint),
            tables::entity("team", "team_2", &json!({"name": "sales"})),
            tables::entity("project", "prj_2", &json!({"name": "leads", "team": "team_2"})),
            tables::key_with("key_2", OTHER, &json!({"project": "prj_2"})),
            tables::key_with("key_3", BATCH, &json!({"priority": "batch"})),
        ]
    })
    .await;
    let gates = [("headers".to_owned(), "gate".to_owned())].into();
    world.upstream.script("m", Script { gates, ..Script::default() });
    world
}

fn opening(world: &World, key: &str, headers: &[(&str, &str)], body: &Value) -> JoinHandle<Head> {
    let (address, body, bearer) =
        (world.gateway.address, body.to_string(), format!("Bearer {key}"));
    let headers: Vec<_> =
        headers.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    tokio::spawn(async move {
        let mut all = vec![("authorization", bearer.as_str())];
        all.extend(headers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        send(address, Method::POST, CHAT, &all, body).await
    })
}

/// Send a chat of these words in a task of its own.
fn calling(world: &World, key: &str, headers: &[(&str, &str)], words: &str) -> JoinHandle<Answer> {
    let mut body = chat("m");
    body["messages"][0]["content"] = words.into();
    let head = opening(world, key, headers, &body);
    tokio::spawn(async move { head.await.unwrap().rest().await })
}

/// Wait until so many calls wait, as `/metrics` has it.
async fn queued(world: &World, count: usize) {
    let line = format!("towpath_gateway_target_queued{{target=\"m\"}} {count}\n");
    let waits = async { while !world.gateway.get("/metrics").await.text().contains(&line) {} };
    tokio::time::timeout(std::time::Duration::from_secs(20), waits).await.expect("never so many");
}

/// Wait until so many calls have come to the upstream in all.
async fn arrived(world: &World, count: usize) {
    world.upstream.wait_until(|seen, _| seen.len() == count).await;
}

/// Occupy the target with one call.
async fn occupy(world: &World) -> JoinHandle<Answer> {
    let call = calling(world, tables::GOOD, &[], "first");
    arrived(world, 1).await;
    call
}

/// The first words of the calls in the order in which they reached the upstream.
fn order(world: &World) -> Vec<String> {
    let body = |seen: &towpath_testkit::Seen| serde_json::from_str::<Value>(&seen.body).unwrap();
    let words = |body: Value| body["messages"][0]["content"].as_str().unwrap().to_owned();
    world.upstream.requests().iter().map(body).map(words).collect()
}

fn batch(from: u64, upserts: Vec<Envelope>) -> Batch {
    Batch { version: TABLE_VERSION, from, to: from + 1, advisory: vec![], upserts, deletes: vec![] }
}

#[tokio::test]
async fn fifty_batch_calls_of_one_team_do_not_hold_back_another_s_chat() {
    let world = narrow(&json!({}), &json!({})).await;
    let first = occupy(&world).await;
    let batches: Vec<_> = (0..50).map(|_| calling(&world, BATCH, &[], "batch")).collect();
    queued(&world, 50).await;
    let chat = calling(&world, OTHER, &[], "chat");
    queued(&world, 51).await;
    world.upstream.release("gate");
    let chat = chat.await.unwrap();

    assert_eq!(
        (chat.status, first.await.unwrap().status),
        (http::StatusCode::OK, http::StatusCode::OK)
    );
    let all = futures_util::future::join_all(batches).await;
    assert!(all.into_iter().all(|answer| answer.unwrap().status == 200));
    let order = order(&world);
    assert!(order[1..3].contains(&"chat".to_owned()), "{order:?}");
    assert_eq!(order.len(), 52);
}

#[tokio::test]
async fn within_a_team_the_more_urgent_goes_first_and_a_header_only_lowers() {
    let world = narrow(&json!({}), &json!({})).await;
    let first = occupy(&world).await;
    let mut calls = vec![first];
    let waiting = [
        (BATCH, "interactive", "raised"),
        (tables::GOOD, "batch", "lowered"),
        (tables::GOOD, "interactive", "own"),
    ];
    for (count, (key, priority, words)) in waiting.into_iter().enumerate() {
        calls.push(calling(&world, key, &[("x-towpath-priority", priority)], words));
        queued(&world, count + 1).await;
    }
    world.upstream.release("gate");
    for call in calls {
        assert_eq!(call.await.unwrap().status, 200);
    }

    assert_eq!(order(&world), ["first", "own", "raised", "lowered"]);
}

#[tokio::test]
async fn a_malformed_priority_is_refused() {
    let world = narrow(&json!({}), &json!({})).await;
    let headers = [("x-towpath-priority", "urgent")];
    let answer = world.gateway.post_with(CHAT, &headers, &chat("m")).await;

    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "invalid_header"));
    assert!(answer.message().contains("`x-towpath-priority`"), "{}", answer.message());
}

#[tokio::test]
async fn a_team_that_fills_the_room_is_refused_and_others_are_not() {
    let world = narrow(&json!({"queue": {"max_queued": 2}}), &json!({})).await;
    let first = occupy(&world).await;
    let kept = calling(&world, tables::GOOD, &[], "kept");
    queued(&world, 1).await;
    let displaced = calling(&world, tables::GOOD, &[], "displaced");
    queued(&world, 2).await;
    let refused = world.gateway.post(CHAT, &chat("m")).await;
    let other = calling(&world, OTHER, &[], "other");
    let displaced = displaced.await.unwrap();
    world.upstream.release("gate");
    for call in [first, kept, other] {
        assert_eq!(call.await.unwrap().status, 200);
    }

    for answer in [&refused, &displaced] {
        let record = world.control.record(answer.id()).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (429, "queue_full"));
        let seconds: u32 = answer.header("retry-after").parse().unwrap();
        assert!((1..=120).contains(&seconds), "{seconds}");
        assert_eq!((record.ended, record.attempts), (Ended::Refused, 0));
    }
    assert_eq!(world.upstream.requests().len(), 3);
}

#[tokio::test]
async fn a_wait_that_is_over_is_refused_and_recorded() {
    let world = narrow(&json!({"queue": {"max_wait_ms": 100}}), &json!({})).await;
    let first = occupy(&world).await;
    let late = world.gateway.post(CHAT, &chat("m")).await;
    let record = world.control.record(late.id()).await;
    world.upstream.release("gate");

    assert_eq!(first.await.unwrap().status, 200);
    assert_eq!((late.status.as_u16(), late.code().as_str()), (503, "queue_timeout"));
    let seconds: u64 = late.header("retry-after").parse().unwrap();
    assert!((1..=120).contains(&seconds), "{seconds}");
    assert_eq!((record.ended, record.attempts), (Ended::Timeout, 0));
    let queue_ms = record.queue_ms.unwrap();
    assert!(queue_ms >= 100, "{queue_ms}");
    // Waiting is none of the gateway's own time.
    assert!(record.overhead_us.unwrap() < queue_ms * 1_000, "{:?}", record.overhead_us);
}

#[tokio::test]
async fn a_full_target_is_waited_for_and_only_a_wait_in_vain_falls_back() {
    let fallback = json!({"fallback": [{"target": "dep_other"}]});
    let world = narrow(&json!({}), &fallback).await;
    let first = occupy(&world).await;
    let second = calling(&world, tables::GOOD, &[], "second");
    queued(&world, 1).await;
    world.upstream.release("gate");
    let second = second.await.unwrap();
    let waited = world.control.record(second.id()).await;
    let free = world.control.record(first.await.unwrap().id()).await;

    assert_eq!((second.status.as_u16(), second.header("x-towpath-target")), (200, "m"));
    assert!(waited.queue_ms.is_some() && waited.ended == Ended::Complete, "{waited:?}");
    assert_eq!(free.queue_ms, None);

    let no_places = json!({"queue": {"max_queued": 0}});
    let world = narrow(&no_places, &fallback).await;
    let first = occupy(&world).await;
    let answer = world.gateway.post(CHAT, &chat("m")).await;
    world.upstream.release("gate");

    assert_eq!((answer.status.as_u16(), answer.header("x-towpath-target")), (200, "other"));
    assert_eq!(first.await.unwrap().status, 200);
}

#[tokio::test]
async fn a_caller_who_leaves_frees_its_place_and_its_room() {
    let world = narrow(&json!({"queue": {"max_queued": 1}}), &json!({})).await;
    let first = opening(&world, tables::GOOD, &[], &streamed("m"));
    arrived(&world, 1).await;
    let gone = opening(&world, tables::GOOD, &[], &chat("m"));
    queued(&world, 1).await;
    gone.abort();
    queued(&world, 0).await;
    let next = calling(&world, tables::GOOD, &[], "next");
    queued(&world, 1).await;
    // The one that has room goes away before it is answered.
    first.abort();
    world.upstream.wait_until(|seen, _| seen.iter().any(|s| s.ended == Upstream::ClientGone)).await;
    arrived(&world, 2).await;
    world.upstream.release("gate");

    assert_eq!(next.await.unwrap().status, 200);
    assert_eq!(order(&world), ["one two three", "next"]);
}

#[tokio::test]
async fn a_stream_holds_its_room_until_its_end() {
    let world = narrow(&json!({}), &json!({})).await;
    let gates = [("end".to_owned(), "end".to_owned())].into();
    world.upstream.script("m", Script { gates, ..Script::default() });
    let mut stream = world.gateway.stream(&streamed("m")).await;
    stream.chunk().await.unwrap();
    let next = calling(&world, tables::GOOD, &[], "next");
    queued(&world, 1).await;
    assert_eq!(world.upstream.requests().len(), 1);
    world.upstream.release("end");

    assert!(stream.rest().await.whole);
    assert_eq!(next.await.unwrap().status, 200);
}

#[tokio::test]
async fn a_replica_that_comes_lets_those_go_who_wait() {
    let world = narrow(&json!({}), &json!({})).await;
    let first = occupy(&world).await;
    let second = calling(&world, tables::GOOD, &[], "second");
    queued(&world, 1).await;
    let address = format!("{}/v1", world.upstream.base_url());
    let replicas = json!([
        {"id": "rep_m", "address": address},
        {"id": "rep_2", "address": address},
    ]);
    let changes = json!({"max_concurrency": 1, "replicas": replicas});
    world.control.batch(batch(1, vec![tables::target("m", world.upstream.base_url(), &changes)]));
    arrived(&world, 2).await;
    world.upstream.release("gate");
    let (first, second) = (first.await.unwrap(), second.await.unwrap());
    let records = [world.control.record(first.id()).await, world.control.record(second.id()).await];

    // Each replica has one.
    assert_eq!(records.map(|record| record.replica.unwrap()), ["rep_m", "rep_2"]);
}

#[tokio::test]
async fn a_model_that_is_blocked_gets_none_of_those_who_waited_for_it() {
    let world = narrow(&json!({}), &json!({"fallback": [{"target": "dep_other"}]})).await;
    let first = occupy(&world).await;
    let second = calling(&world, tables::GOOD, &[], "second");
    queued(&world, 1).await;
    let block = json!({"what": {"model": "m"}});
    world.control.batch(batch(1, vec![tables::entity("block", "blk_1", &block)]));
    world.control.applied(2).await;
    world.upstream.release("gate");
    let second = second.await.unwrap();

    assert_eq!(first.await.unwrap().status, 200);
    assert_eq!((second.status.as_u16(), second.header("x-towpath-target")), (200, "other"));
}

#[tokio::test]
async fn each_of_several_gateways_has_its_part_and_at_least_one() {
    let world = narrow(&json!({"max_concurrency": 4}), &json!({})).await;
    let base = world.upstream.base_url().to_owned();
    world.control.gateways(2);
    let four =
        tables::target("m", &base, &json!({"max_concurrency": 4, "queue": {"max_queued": 9}}));
    world.control.batch(batch(1, vec![four]));
    world.control.applied(2).await;
    let calls: Vec<_> = (0..5).map(|_| calling(&world, tables::GOOD, &[], "one")).collect();
    queued(&world, 3).await;
    arrived(&world, 2).await;
    world.control.gateways(9);
    let one = tables::target("m", &base, &json!({"max_concurrency": 1}));
    world.control.batch(batch(2, vec![one]));
    world.control.applied(3).await;
    world.upstream.release("gate");

    for call in calls {
        assert_eq!(call.await.unwrap().status, 200);
    }
}

#[tokio::test]
async fn signals_say_how_many_wait() {
    let world = narrow(&json!({}), &json!({})).await;
    let first = occupy(&world).await;
    let second = calling(&world, tables::GOOD, &[], "second");
    let told = |signals: &Signals| {
        let endpoint = signals.endpoints.get("end_m");
        let target = signals.targets.get("dep_m");
        endpoint.is_some_and(|end| end.queued == 1 && !end.waiting_for_wake)
            && target.is_some_and(|target| target.queued == 1 && target.in_flight == 1)
    };
    world.control.wait_until(|control| control.signals().iter().any(told)).await;
    world.upstream.release("gate");

    assert_eq!(first.await.unwrap().status, 200);
    assert_eq!(second.await.unwrap().status, 200);
}
