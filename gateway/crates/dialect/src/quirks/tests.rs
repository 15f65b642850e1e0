use bytes::Bytes;
use serde_json::{Value, json};
use towpath_wire::routing::{Dialect, Operation, QUIRKS};

use super::*;
use crate::{OpenAiRequest, Receiver, Request};

/// What a target with these quirks gets of a chat.
fn sent(quirks: &[&str], body: &Value) -> Value {
    let body = Bytes::from(body.to_string());
    let request = Request::OpenAi(OpenAiRequest::read(Operation::Chat, body).unwrap());
    let receiver = Receiver {
        quirks: Quirks::of(quirks),
        cache_salt: Some("salt-of-the-project"),
        ..Receiver::new(Dialect::Openai, "m")
    };
    serde_json::from_slice(&request.for_target(&receiver).unwrap().body).unwrap()
}

fn chat(more: Value) -> Value {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "x"}]});
    body.as_object_mut().unwrap().append(more.as_object().cloned().as_mut().unwrap());
    body
}

#[test]
fn every_name_that_a_table_may_hold_is_known_and_no_other() {
    assert!(QUIRKS.iter().all(|name| Quirk::named(name).is_some()));
    assert_eq!(QUIRKS.len(), Quirk::AssistantPrefill as usize + 1);
    assert_eq!(Quirk::named("speaks_latin"), None);
}

#[test]
fn fields_get_the_servers_own_names() {
    let cases = [
        ("max_completion_tokens", json!({"max_tokens": 5}), json!({"max_completion_tokens": 5})),
        ("max_tokens", json!({"max_completion_tokens": 5}), json!({"max_tokens": 5})),
        ("random_seed", json!({"seed": 7}), json!({"random_seed": 7})),
        ("tool_choice_any", json!({"tool_choice": "required"}), json!({"tool_choice": "any"})),
        ("tool_choice_any", json!({"tool_choice": "auto"}), json!({"tool_choice": "auto"})),
    ];
    for (quirk, given, expected) in cases {
        assert_eq!(sent(&[quirk], &chat(given)), chat(expected), "{quirk}");
    }
}

/// Of both names the newer one counts, as it does for the gateway.
#[test]
fn both_names_of_a_bound_become_one_field() {
    let both = chat(json!({"max_tokens": 9, "max_completion_tokens": 5}));

    assert_eq!(sent(&["max_tokens"], &both), chat(json!({"max_tokens": 5})));
    assert_eq!(sent(&["max_completion_tokens"], &both), chat(json!({"max_completion_tokens": 5})));
}

#[test]
fn usage_of_streams_is_not_asked_for_where_that_is_refused() {
    let given = chat(json!({"stream": true, "stream_options": {"include_usage": true}}));

    assert_eq!(sent(&["drop_stream_options"], &given), chat(json!({"stream": true})));
}

#[test]
fn bookkeeping_is_left_out() {
    let given = chat(json!({"user": "u", "store": true, "metadata": {}, "temperature": 1}));

    assert_eq!(sent(&["drop_bookkeeping"], &given), chat(json!({"temperature": 1})));
}

#[test]
fn roles_change_and_nothing_else_of_a_message_does() {
    let with = |role: &str| {
        json!({"model": "m", "messages": [
            {"role": role, "content": "say developer or system"},
            {"content": [{"role": "system", "type": "text", "text": "\"system\""}], "role": "user"},
        ]})
    };

    assert_eq!(sent(&["system_as_developer"], &with("system")), with("developer"));
    assert_eq!(sent(&["developer_as_system"], &with("developer")), with("system"));
    assert_eq!(sent(&["developer_as_system"], &with("assistant")), with("assistant"));
}

#[test]
fn the_cache_is_salted_by_project_whatever_the_caller_says() {
    let salted = chat(json!({"cache_salt": "salt-of-the-project"}));

    assert_eq!(sent(&["cache_salt"], &chat(json!({}))), salted);
    assert_eq!(sent(&["cache_salt"], &chat(json!({"cache_salt": "another's"}))), salted);
}
