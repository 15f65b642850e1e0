//! Answers that are kept: for whom, for how long, and what the record says.

use std::time::Duration;

use serde_json::{Value, json};
use towpath_testkit::{Fault, Script};
use towpath_wire::usage::{Cache, CountedBy, Ended};

use crate::support::client::Answer;
use crate::support::{World, chat, streamed, tables};

const CHAT: &str = "/v1/chat/completions";

async fn world(ttl_ms: u64) -> World {
    World::with(&[], |base| {
        vec![
            tables::entity("project", "prj_2", &json!({"name": "other", "team": "team_1"})),
            tables::key_with("key_2", "tp_sandbox_other", &json!({"project": "prj_2"})),
            tables::target("m", base, &json!({})),
            tables::endpoint("m", &json!({"cache": {"ttl_ms": ttl_ms}})),
            tables::target("n", base, &json!({})),
            tables::endpoint("n", &json!({})),
        ]
    })
    .await
}

fn told(answer: &Answer) -> &str {
    if answer.headers.contains_key("x-towpath-cache") {
        answer.header("x-towpath-cache")
    } else {
        ""
    }
}

#[tokio::test]
async fn an_equal_request_is_served_from_what_is_kept_at_no_cost() {
    let world = world(60_000).await;
    let first = world.gateway.post(CHAT, &chat("m")).await;
    let spelled = r#"{"messages": [{"content": "one two three", "role": "user"}], "stream": false, "model": "m"}"#;
    let headers = [("authorization", "Bearer tp_sandbox_good")];
    let second = world.gateway.send(http::Method::POST, CHAT, &headers, spelled).await.rest().await;
    let paid = world.control.record(first.id()).await;
    let free = world.control.record(second.id()).await;

    assert_eq!((told(&first), told(&second)), ("miss", "hit"));
    assert_eq!(first.body, second.body);
    assert_eq!(world.upstream.requests().len(), 1);
    assert_eq!(second.header("x-towpath-target"), "m");
    assert_eq!(second.header("x-towpath-attempts"), "0");
    assert_eq!(second.header("x-towpath-cost-nano"), "0");
    assert_eq!((paid.cache, paid.cost_nano), (Cache::Miss, Some(700)));
    assert_eq!((free.cache, free.cost_nano, free.attempts), (Cache::Hit, Some(0), 0));
    assert_eq!((free.input_tokens, free.output_tokens), (None, None));
    assert_eq!((free.counted_by, free.ended), (CountedBy::None, Ended::Complete));
    assert_eq!((free.target.as_deref(), free.currency.as_deref()), (Some("m"), Some("EUR")));
}

#[tokio::test]
async fn a_stream_is_served_as_a_stream() {
    let world = world(60_000).await;
    let first = world.gateway.post(CHAT, &streamed("m")).await;
    let second = world.gateway.post(CHAT, &streamed("m")).await;
    let plain = world.gateway.post(CHAT, &chat("m")).await;

    assert_eq!((told(&first), told(&second), told(&plain)), ("miss", "hit", "miss"));
    assert!(second.header("content-type").starts_with("text/event-stream"));
    assert_eq!(first.text(), second.text());
    assert!(second.text().trim_end().ends_with("data: [DONE]"), "{}", second.text());
    assert_eq!(world.control.record(second.id()).await.cost_nano, Some(0));
}

#[tokio::test]
async fn another_project_or_another_question_is_not_served() {
    let world = world(60_000).await;
    world.gateway.post(CHAT, &chat("m")).await;
    let other = world.gateway.post_as("tp_sandbox_other", CHAT, &chat("m")).await;
    let mut warmer = chat("m");
    warmer["temperature"] = json!(1.5);
    let warmer = world.gateway.post(CHAT, &warmer).await;
    let without = world.gateway.post(CHAT, &chat("n")).await;

    assert_eq!((told(&other), told(&warmer), told(&without)), ("miss", "miss", ""));
    assert_eq!(world.control.record(without.id()).await.cache, Cache::None);
}

#[tokio::test]
async fn whoever_asks_for_a_fresh_answer_gets_one_and_evaluations_always_do() {
    let world = world(60_000).await;
    world.gateway.post(CHAT, &chat("m")).await;
    for header in [
        ("cache-control", "no-store"),
        ("cache-control", "no-cache"),
        ("x-towpath-evaluation", "evr_1"),
        ("x-towpath-labels", "evaluation=evr_1"),
    ] {
        let asked = world.upstream.requests().len();
        let answer = world.gateway.post_with(CHAT, &[header], &chat("m")).await;

        assert_eq!((answer.status.as_u16(), told(&answer)), (200, ""), "{header:?}");
        assert_eq!(world.upstream.requests().len(), asked + 1, "{header:?}");
        assert_eq!(world.control.record(answer.id()).await.cache, Cache::None, "{header:?}");
    }
}

#[tokio::test]
async fn what_failed_or_was_cut_is_not_kept() {
    let world = world(60_000).await;
    world.upstream.script_next("m", Script::fault(Fault::Cut { after: 3 }), 1);
    let cut = world.gateway.post(CHAT, &streamed("m")).await;
    let after = world.gateway.post(CHAT, &streamed("m")).await;

    assert!(cut.text().contains("\"error\""), "{}", cut.text());
    assert_eq!((after.status.as_u16(), told(&after)), (200, "miss"));
}

#[tokio::test]
async fn an_answer_is_forgotten_when_its_time_is_over() {
    let world = world(1_000).await;
    let first = world.gateway.post(CHAT, &chat("m")).await;
    let forgotten = async {
        while told(&world.gateway.post(CHAT, &chat("m")).await) != "miss" {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };

    tokio::time::timeout(Duration::from_secs(20), forgotten).await.expect("it is never forgotten");
    assert_eq!(told(&first), "miss");
}

#[tokio::test]
async fn limits_count_what_is_served_from_what_is_kept() {
    let rate = json!({"subject": {"project": "prj_1"}, "label": "l", "requests_per_minute": {"limit": 20, "burst": 2}});
    let world = World::with(&[], |base| {
        vec![
            tables::target("m", base, &json!({})),
            tables::endpoint("m", &json!({"cache": {"ttl_ms": 60_000}})),
            tables::entity("limit", "lim_1", &rate),
        ]
    })
    .await;
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(world.gateway.post(CHAT, &chat("m")).await.status.as_u16());
    }

    assert_eq!(statuses, [200, 200, 429]);
}

#[tokio::test]
async fn a_model_that_was_replaced_answers_anew() {
    let world = world(60_000).await;
    world.gateway.post(CHAT, &chat("m")).await;
    let model: Value = json!({"name": "llama", "version": 2, "digest": "sha256:0"});
    let replaced = tables::target("m", world.upstream.base_url(), &json!({"model": model}));
    world.control.batch(towpath_wire::routing::Batch {
        version: 1,
        from: 1,
        to: 2,
        advisory: vec![],
        upserts: vec![replaced],
        deletes: vec![],
    });
    world.control.applied(2).await;

    assert_eq!(told(&world.gateway.post(CHAT, &chat("m")).await), "miss");
}
