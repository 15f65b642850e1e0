//! Calls that go well.

use serde_json::json;
use towpath_wire::usage::{CountedBy, Ended};

use crate::support::{World, chat};

#[tokio::test]
async fn a_chat_is_answered_and_recorded() {
    let world = World::simple().await;
    let answer = world.gateway.post("/v1/chat/completions", &chat("m")).await;
    let record = world.control.record(answer.id()).await;

    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["choices"][0]["message"]["role"], "assistant");
    assert_eq!(answer.header("x-towpath-endpoint"), "m");
    assert_eq!(answer.header("x-towpath-target"), "m");
    assert_eq!(answer.header("x-towpath-attempts"), "1");
    assert!(answer.header("x-towpath-overhead-us").parse::<u64>().is_ok());
    assert_eq!(record.team.as_deref(), Some("team_1"));
    assert_eq!(record.key_id.as_deref(), Some("key_1"));
    assert_eq!(record.endpoint.as_deref(), Some("m"));
    assert_eq!((record.ended, record.status), (Ended::Complete, Some(200)));
    assert_eq!((record.input_tokens, record.output_tokens), (Some(3), Some(8)));
    assert_eq!(record.counted_by, CountedBy::Upstream);
    assert_eq!(record.cost_nano, Some(60 + 640));
    assert_eq!(answer.header("x-towpath-cost-nano"), "700");
    assert_eq!(json!(record.currency), json!("EUR"));
}
