use serde_json::{Value, json};

use super::*;

fn blocks(all: &[Value]) -> Blocks {
    let read: Vec<Block> =
        all.iter().map(|block| serde_json::from_value(block.clone()).unwrap()).collect();
    Blocks::of(read.iter())
}

fn target(changes: &Value) -> routing::Target {
    let mut value = json!({
        "name": "t", "kind": "provider", "dialect": "openai", "upstream_model": "gpt-4o",
        "replicas": [], "operations": ["chat"], "provider": "vendor",
    });
    for (field, change) in changes.as_object().unwrap() {
        value[field] = change.clone();
    }
    serde_json::from_value(value).unwrap()
}

#[test]
fn a_target_is_blocked_by_its_provider_and_by_either_name_of_its_model() {
    let ours = json!({"model": {"name": "llama", "version": 1, "digest": "sha256:0"}});
    let cases = [
        (json!({"what": {"provider": "vendor"}}), json!({}), true),
        (json!({"what": {"provider": "other"}}), json!({}), false),
        (json!({"what": {"model": "gpt-4o"}}), json!({}), true),
        (json!({"what": {"model": "llama"}}), ours, true),
        (json!({"what": {"key": "vendor"}}), json!({}), false),
    ];
    for (block, changes, blocked) in cases {
        let found = blocks(std::slice::from_ref(&block)).target(&target(&changes)).is_some();
        assert_eq!(found, blocked, "{block}");
    }
    assert_eq!(Blocks::default().target(&target(&json!({}))), None);
}

#[test]
fn of_two_blocks_of_one_thing_the_one_with_a_reason_speaks() {
    let found = blocks(&[
        json!({"what": {"key": "key_1"}}),
        json!({"what": {"key": "key_1"}, "reason": "leaked"}),
    ]);

    assert_eq!(found.key("key_1"), Some(Met { reason: Some("leaked") }));
    assert_eq!(found.endpoint("key_1"), None);
}
