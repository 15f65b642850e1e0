//! The link: tables come, take effect or are refused, and survive on disk; usage gets through.

use serde_json::json;
use towpath_testkit::Script;
use towpath_wire::routing::{Batch, Envelope, Revocation, TABLE_VERSION};
use towpath_wire::usage::Ended;

use crate::support::{World, chat, streamed, tables};

fn batch(from: u64, upserts: Vec<Envelope>) -> Batch {
    Batch { version: TABLE_VERSION, from, to: from + 1, advisory: vec![], upserts, deletes: vec![] }
}

#[tokio::test]
async fn a_batch_takes_effect_and_is_acknowledged() {
    let world = World::simple().await;
    let before = world.gateway.post_as("new", "/v1/chat/completions", &chat("m")).await;
    world.control.batch(batch(1, vec![tables::key("key_2", "new")]));
    world.control.applied(2).await;
    let after = world.gateway.post_as("new", "/v1/chat/completions", &chat("m")).await;

    assert_eq!((before.status.as_u16(), after.status.as_u16()), (401, 200));
}

#[tokio::test]
async fn a_bad_batch_is_refused_whole_and_said_so() {
    let world = World::simple().await;
    let broken = tables::target("x", "nowhere", &json!({}));
    world.control.batch(batch(1, vec![tables::key("key_2", "new"), broken]));
    world.control.wait_until(|control| control.refused().is_some()).await;
    let refused = world.control.refused().unwrap();
    let answer = world.gateway.post_as("new", "/v1/chat/completions", &chat("m")).await;
    let ready = world.gateway.get("/readyz").await;

    assert_eq!(refused.revision, 2);
    assert!(refused.reason.contains("target `dep_x`"), "{}", refused.reason);
    assert_eq!(answer.status, 401);
    assert_eq!(ready.status, 200, "the table before is in force");
    assert_eq!(ready.json()["warnings"][0]["code"], "table_refused");
}

#[tokio::test]
async fn a_table_with_a_field_that_must_be_understood_is_refused_by_name() {
    let world = World::simple().await;
    let team = tables::entity("team", "team_1", &json!({"name": "care", "embargo": true}));
    world.control.batch(batch(1, vec![team]));
    world.control.wait_until(|control| control.refused().is_some()).await;

    let reason = world.control.refused().unwrap().reason;
    assert!(reason.contains("`embargo`") && reason.contains("upgrade the gateway"), "{reason}");
}

#[tokio::test]
async fn a_revocation_applies_though_the_batch_with_it_is_refused() {
    let world = World::simple().await;
    let broken = tables::target("x", "nowhere", &json!({}));
    world.control.batch(batch(1, vec![broken]));
    let hash = tables::hash(tables::GOOD);
    world.control.revoke(Revocation { key_id: "key_1".into(), hash });
    world
        .control
        .wait_until(|control| {
            control.polls().last().is_some_and(|poll| poll.revocations_after == 1)
        })
        .await;
    let answer = world.gateway.post("/v1/chat/completions", &chat("m")).await;

    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (401, "key_revoked"));
}

#[tokio::test]
async fn the_table_on_disk_serves_when_the_control_plane_is_gone() {
    let mut world = World::simple().await;
    let hash = tables::hash("lost");
    world.control.batch(batch(1, vec![tables::key("key_2", "new"), tables::key("key_3", "lost")]));
    world.control.applied(2).await;
    world.control.revoke(Revocation { key_id: "key_3".into(), hash });
    world
        .control
        .wait_until(|control| {
            control.polls().last().is_some_and(|poll| poll.revocations_after == 1)
        })
        .await;
    world.options.control = None;
    world.restart();
    let kept = world.gateway.post_as("new", "/v1/chat/completions", &chat("m")).await;
    let lost = world.gateway.post_as("lost", "/v1/chat/completions", &chat("m")).await;
    let ready = world.gateway.get("/readyz").await;

    assert_eq!(
        (kept.status.as_u16(), lost.status.as_u16(), ready.status.as_u16()),
        (200, 401, 200)
    );
    assert_eq!(ready.json()["revision"], 2);
}

#[tokio::test]
async fn a_restarted_gateway_goes_on_from_its_revision() {
    let mut world = World::simple().await;
    world.restart();
    let polls = world.control.polls().len();
    world.control.wait_until(|control| control.polls().len() > polls).await;
    let poll = world.control.polls().pop().unwrap();

    assert_eq!((poll.after, poll.refused), (1, None));
}

#[tokio::test]
async fn a_torn_line_on_disk_costs_only_what_it_held() {
    let mut world = World::simple().await;
    world.control.batch(batch(1, vec![tables::key("key_2", "new")]));
    world.control.applied(2).await;
    world.options.control = None;
    let batches = world.folder().join("table/batches.jsonl");
    let text = std::fs::read_to_string(&batches).unwrap();
    std::fs::write(&batches, &text[..text.len() / 2]).unwrap();
    world.restart();

    assert_eq!(world.gateway.get("/readyz").await.json()["revision"], 1);
    assert_eq!(world.gateway.post("/v1/chat/completions", &chat("m")).await.status, 200);
}

#[tokio::test]
async fn records_wait_for_a_control_plane_that_is_gone_and_arrive_once() {
    let world = World::simple().await;
    world.control.sick(Some(503));
    let mut ids = Vec::new();
    for _ in 0..20 {
        let answer = world.gateway.post("/v1/chat/completions", &chat("m")).await;
        assert_eq!(answer.status, 200);
        ids.push(answer.id().to_owned());
    }
    assert!(world.control.records().is_empty());
    world.control.sick(None);
    world.control.wait_until(|control| control.records().len() >= 20).await;
    let records = world.control.records();

    let mut arrived: Vec<_> = records.iter().map(|record| record.id.clone()).collect();
    arrived.sort();
    ids.sort();
    assert_eq!(arrived, ids);
    assert!(records.is_sorted_by_key(|record| record.sequence));
}

/// What a client saw complete has one record after `kill -9`; what was in flight is `gateway_lost`, with
/// what had been sent.
#[tokio::test]
async fn a_killed_gateway_loses_no_record() {
    let mut world = World::simple().await;
    world.control.sick(Some(503));
    let answer = world.gateway.post("/v1/chat/completions", &chat("m")).await;
    let gates = [("token:4".to_owned(), "gate".to_owned())].into();
    world.upstream.script("m", Script { gates, ..Script::default() });
    let mut head = world.gateway.stream(&streamed("m")).await;
    let in_flight = head.headers["x-request-id"].to_str().unwrap().to_owned();
    let mut seen = String::new();
    while !seen.contains("t3") {
        seen.push_str(&String::from_utf8_lossy(&head.chunk().await.unwrap()));
    }
    world.restart();
    world.control.sick(None);
    let complete = world.control.record(answer.id()).await;
    let lost = world.control.record(&in_flight).await;

    assert_eq!(complete.ended, Ended::Complete);
    assert_eq!((lost.ended, lost.output_tokens), (Ended::GatewayLost, Some(4)));
    assert!(lost.cost_nano.is_some());
    assert_eq!(world.control.records().len(), 2);
}

#[tokio::test]
async fn signals_say_how_busy_an_endpoint_is() {
    let world = World::simple().await;
    let gates = [("token:1".to_owned(), "gate".to_owned())].into();
    world.upstream.script("m", Script { gates, ..Script::default() });
    let mut head = world.gateway.stream(&streamed("m")).await;
    head.chunk().await.unwrap();
    world
        .control
        .wait_until(|control| {
            control
                .signals()
                .iter()
                .any(|s| s.endpoints.get("end_m").is_some_and(|e| e.in_flight == 1))
        })
        .await;
    world.upstream.release("gate");
    head.rest().await;
    world
        .control
        .wait_until(|control| {
            control.signals().iter().any(|s| s.endpoints.get("end_m").is_some_and(|e| e.ended == 1))
        })
        .await;
}
