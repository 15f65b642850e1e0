//! Tiered endpoints: rules, cascade, and the money of both.

use serde_json::{Value, json};
use towpath_testkit::Script;
use towpath_wire::routing::{Batch, Envelope};
use towpath_wire::usage::{CountedBy, Ended};

use crate::support::{World, chat, streamed, tables};

const CHAT: &str = "/v1/chat/completions";

/// `auto`: `cheap` at the usual price, `strong` at ten times it.
fn auto(tier: &Value) -> Envelope {
    let mut whole = json!({"levels": [
        {"name": "cheap", "target": "dep_cheap"}, {"name": "strong", "target": "dep_strong"},
    ]});
    for (field, value) in tier.as_object().unwrap() {
        whole[field] = value.clone();
    }
    let targets =
        json!([{"target": "dep_cheap", "weight": 1}, {"target": "dep_strong", "weight": 1}]);
    tables::endpoint("auto", &json!({"targets": targets, "tier": whole}))
}

async fn world(tier: &Value) -> World {
    World::with(&[], |base| {
        let dear = json!({"currency": "EUR", "input_nano_per_million": 200_000_000, "output_nano_per_million": 800_000_000});
        vec![
            tables::entity("price", "prc_dear", &dear),
            tables::target("cheap", base, &json!({})),
            tables::target("strong", base, &json!({"prices": ["prc_dear"]})),
            auto(tier),
        ]
    })
    .await
}

#[tokio::test]
async fn a_rule_chooses_the_level_and_the_record_says_why() {
    let rules = json!({"rules": [
        {"name": "tools", "when": "has_tools", "level": "strong"},
        {"name": "declared hard", "when": "difficulty == 'hard'", "level": "strong"},
        {"name": "labelled", "when": "labels.case == 'triage'", "level": "strong"},
    ]});
    let world = world(&rules).await;
    let plain = world.gateway.post(CHAT, &chat("auto")).await;
    let hard = [("x-towpath-difficulty", "hard")];
    let hard = world.gateway.post_with(CHAT, &hard, &chat("auto")).await;
    let labelled = [("x-towpath-labels", "case=triage")];
    let labelled = world.gateway.post_with(CHAT, &labelled, &streamed("auto")).await;
    let cheap = world.control.record(plain.id()).await;
    let strong = world.control.record(hard.id()).await;

    assert_eq!(plain.header("x-towpath-target"), "cheap");
    assert_eq!(plain.header("x-towpath-tier"), "cheap: no rule applied");
    assert_eq!(hard.header("x-towpath-target"), "strong");
    assert_eq!(hard.header("x-towpath-tier"), "strong: declared hard");
    assert_eq!(labelled.header("x-towpath-target"), "strong");
    assert_eq!(cheap.decision.as_deref(), Some("tier cheap: no rule applied"));
    assert_eq!((cheap.cost_nano, cheap.saved_nano), (Some(700), Some(6_300)));
    assert_eq!(strong.decision.as_deref(), Some("tier strong: declared hard"));
    assert_eq!((strong.cost_nano, strong.saved_nano), (Some(7_000), Some(0)));
}

#[tokio::test]
async fn a_bad_answer_is_thrown_away_and_paid_for() {
    let world = world(&json!({"escalate_on": ["schema"]})).await;
    for mut body in [chat("auto"), streamed("auto")] {
        body["response_format"] = json!({"type": "json_object"});
        let answer = world.gateway.post(CHAT, &body).await;
        let record = world.control.record(answer.id()).await;

        let said = "strong: cheap answered with other JSON than was asked for";
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("x-towpath-target"), "strong");
        assert_eq!(answer.header("x-towpath-tier"), said);
        assert_eq!(answer.header("x-towpath-attempts"), "2");
        assert_eq!(record.ended, Ended::Complete);
        assert_eq!(record.decision.as_deref(), Some(format!("tier {said}").as_str()));
        assert_eq!((record.input_tokens, record.output_tokens), (Some(6), Some(16)));
        assert_eq!((record.cost_nano, record.saved_nano), (Some(7_700), Some(-700)));
        assert_eq!(record.counted_by, CountedBy::Upstream);
    }
}

#[tokio::test]
async fn a_good_answer_of_a_checked_level_passes_whole() {
    let world = world(&json!({"escalate_on": ["empty", "refusal", "length"]})).await;
    let plain = world.gateway.post(CHAT, &chat("auto")).await;
    let stream = world.gateway.post(CHAT, &streamed("auto")).await;

    assert_eq!(plain.header("x-towpath-target"), "cheap");
    assert_eq!(stream.header("x-towpath-target"), "cheap");
    assert!(stream.text().trim_end().ends_with("data: [DONE]"), "{}", stream.text());
    assert_eq!(world.control.record(stream.id()).await.output_tokens, Some(8));
}

#[tokio::test]
async fn a_level_that_is_down_is_answered_for_by_the_next_one_up() {
    let world = world(&json!({})).await;
    world.upstream.script_next("cheap", Script::of_model("fake-503").unwrap(), 4);
    let answer = world.gateway.post(CHAT, &chat("auto")).await;

    assert_eq!((answer.status.as_u16(), answer.header("x-towpath-target")), (200, "strong"));
}

#[tokio::test]
async fn a_table_with_a_bad_rule_is_refused_with_its_place() {
    let world = world(&json!({})).await;
    let rules = json!({"rules": [{"name": "r", "when": "input_token > 1", "level": "strong"}]});
    let batch = Batch {
        version: 1,
        from: 1,
        to: 2,
        advisory: vec![],
        upserts: vec![auto(&rules)],
        deletes: vec![],
    };
    world.control.batch(batch);
    world.control.wait_until(|control| control.refused().is_some()).await;

    let reason = world.control.refused().unwrap().reason;
    assert!(reason.contains("endpoint `end_auto`: rule `r`: column 1: `input_token`"), "{reason}");
    assert_eq!(world.gateway.post(CHAT, &chat("auto")).await.status, 200);
}
