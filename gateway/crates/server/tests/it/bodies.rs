//! Bodies of projects that log them: copied within bounds, redacted, shipped; never a key.

use http::Method;
use serde_json::{Value, json};
use towpath_wire::link::LoggedBodies;
use towpath_wire::routing::{Batch, TABLE_VERSION};

use crate::support::{World, chat, streamed, tables};

const CARD: &str = "4111 1111 1111 1111";

/// A world whose project logs as told, and how often it is told.
async fn logging(settings: &[(&'static str, u64)], mode: Value) -> World {
    let world = World::with(settings, |base| {
        vec![tables::target("m", base, &json!({})), tables::endpoint("m", &json!({}))]
    })
    .await;
    change(&world, 1, mode).await;
    world
}

async fn change(world: &World, from: u64, body_log: Value) {
    let project = json!({"name": "triage", "team": "team_1", "body_log": body_log});
    let upserts = vec![tables::entity("project", "prj_1", &project)];
    let (version, advisory, deletes) = (TABLE_VERSION, vec![], vec![]);
    world.control.batch(Batch { version, from, to: from + 1, advisory, upserts, deletes });
    world.control.applied(from + 1).await;
}

async fn logged(world: &World, id: &str) -> LoggedBodies {
    world.control.wait_until(|c| c.bodies().iter().any(|one| one.request_id == id)).await;
    world.control.bodies().into_iter().find(|one| one.request_id == id).unwrap()
}

fn full() -> Value {
    json!({"mode": "full", "redact": [{"name": "card", "pattern": r"\d{4}(?: \d{4}){3}"}]})
}

#[tokio::test]
async fn request_and_answer_are_kept_redacted_and_without_any_credential() {
    let world = logging(&[], full()).await;
    let key = format!("tp_production_{}", "k".repeat(38));
    let mut body = chat("m");
    body["messages"][0]["content"] = format!("my card {CARD} and my key {key}").into();
    let answer = world.gateway.post("/v1/chat/completions", &body).await;
    let one = logged(&world, answer.id()).await;
    let everything = serde_json::to_string(&one).unwrap();

    assert_eq!((one.project.as_str(), one.status), ("prj_1", 200));
    assert!(one.request.text.contains("my card [redacted:card] and my key [redacted:towpath_key]"));
    assert_eq!(one.response.text, answer.text());
    assert_eq!(one.request.bytes, body.to_string().len() as u64);
    assert_eq!(one.response.content_type.as_deref(), Some("application/json"));
    assert!(!one.request.truncated && !one.response.truncated);
    for secret in [CARD, key.as_str(), tables::GOOD, "sk-upstream"] {
        assert!(!everything.contains(secret), "{everything}");
    }
    assert!(!world.gateway.log().contains(CARD));
}

#[tokio::test]
async fn a_stream_is_kept_as_it_was_sent_and_a_refusal_too() {
    let world = logging(&[], full()).await;
    let stream = world.gateway.stream(&streamed("m")).await.rest().await;
    let refused = world.gateway.post("/v1/chat/completions", &chat("unknown")).await;
    let (of_stream, of_refusal) =
        (logged(&world, stream.id()).await, logged(&world, refused.id()).await);

    assert_eq!(of_stream.response.text, stream.text());
    assert_eq!((of_refusal.status, of_refusal.response.text), (404, refused.text()));
}

#[tokio::test]
async fn a_stream_that_its_caller_left_is_kept_as_far_as_it_went() {
    let world = logging(&[], full()).await;
    let gates = [("token:4".to_owned(), "gate".to_owned())].into();
    world.upstream.script("m", towpath_testkit::Script { gates, ..Default::default() });
    let mut head = world.gateway.stream(&streamed("m")).await;
    let id = head.headers["x-request-id"].to_str().unwrap().to_owned();
    let mut seen = String::new();
    while !seen.contains("t3") {
        seen.push_str(&String::from_utf8_lossy(&head.chunk().await.unwrap()));
    }
    drop(head);
    let one = logged(&world, &id).await;

    assert!(one.response.text.contains("t3"), "{}", one.response.text);
    assert!(!one.response.text.contains("[DONE]"));
}

#[tokio::test]
async fn nothing_is_kept_of_other_projects_and_a_quiet_one_leaves_no_names_in_its_records() {
    let world = logging(&[], json!({"mode": "none"})).await;
    let headers = [
        ("authorization", "Bearer tp_sandbox_good"),
        ("x-towpath-labels", "job=nightly"),
        ("x-request-id", "mine"),
    ];
    let mut body = chat("m");
    body["user"] = "ada".into();
    let text = body.to_string();
    let call = || world.gateway.send(Method::POST, "/v1/chat/completions", &headers, text.clone());
    let quiet = call().await.rest().await;
    let quiet = world.control.record(quiet.id()).await;
    change(&world, 2, json!({"mode": "metadata"})).await;
    let plain = call().await.rest().await;
    let plain = world.control.record(plain.id()).await;
    // What is logged after these two is logged alone.
    change(&world, 3, full()).await;
    let last = call().await.rest().await;
    logged(&world, last.id()).await;

    assert!(quiet.labels.is_empty());
    assert_eq!((&quiet.user, &quiet.client_request_id), (&None, &None));
    assert_eq!(plain.labels["job"], "nightly");
    assert!(plain.user.is_some());
    assert_eq!(plain.client_request_id.as_deref(), Some("mine"));
    assert_eq!(world.control.bodies().len(), 1);
}

#[tokio::test]
async fn a_body_beyond_its_bound_is_cut_and_says_so() {
    let world = logging(&[("body_log_max_bytes", 1_024)], full()).await;
    let mut body = chat("m");
    body["pad"] = "x".repeat(5_000).into();
    let answer = world.gateway.post("/v1/chat/completions", &body).await;
    let one = logged(&world, answer.id()).await;

    assert_eq!((one.request.text.len(), one.request.truncated), (1_024, true));
    assert_eq!(one.request.bytes, body.to_string().len() as u64);
    assert!(!one.response.truncated);
}

#[tokio::test]
async fn what_finds_no_room_is_lost_counted_and_said_and_calls_go_on() {
    let world = logging(&[("body_log_memory_bytes", 2_048)], full()).await;
    let mut body = chat("m");
    body["pad"] = "x".repeat(5_000).into();
    let answer = world.gateway.post("/v1/chat/completions", &body).await;
    world.control.wait_until(|control| control.lost_bodies() > 0).await;
    let small = world.gateway.post("/v1/chat/completions", &chat("m")).await;
    logged(&world, small.id()).await;
    let metrics = world.gateway.get("/metrics").await.text();

    assert_eq!((answer.status.as_u16(), world.control.lost_bodies()), (200, 1));
    assert!(metrics.contains("towpath_gateway_bodies_lost_total 1\n"));
    world.gateway.logged("bodies.lost").await;
    assert_eq!(world.control.bodies().len(), 1);
}

#[tokio::test]
async fn bodies_wait_for_a_control_plane_that_is_away() {
    let world = logging(&[], full()).await;
    world.control.sick(Some(503));
    let answer = world.gateway.post("/v1/chat/completions", &chat("m")).await;
    world.control.sick(None);

    assert_eq!(logged(&world, answer.id()).await.status, 200);
}
