use bytes::Bytes;
use serde_json::{Value, json};
use towpath_wire::routing::{Dialect, Operation};

use crate::{
    Begun, End, Follower, MessagesRequest, OpenAiRequest, Quirk, Quirks, Receiver, Request,
    ResponsesRequest, Stamp, Usage,
};

fn chat(changes: &Value) -> Request {
    let mut body = json!({"model": "m", "stream": true,
        "messages": [{"role": "user", "content": "count"}]});
    merge(&mut body, changes);
    let body = Bytes::from(body.to_string());
    Request::OpenAi(OpenAiRequest::read(Operation::Chat, body).unwrap())
}

fn messages(changes: &Value) -> Request {
    let mut body = json!({"model": "m", "stream": true, "max_tokens": 64,
        "messages": [{"role": "user", "content": "count"}]});
    merge(&mut body, changes);
    let body = Bytes::from(body.to_string());
    Request::Messages(MessagesRequest::read(Operation::Chat, body).unwrap())
}

fn response(changes: &Value) -> Request {
    let mut body = json!({"model": "m", "stream": true, "input": "count"});
    merge(&mut body, changes);
    Request::Responses(ResponsesRequest::read(Bytes::from(body.to_string())).unwrap())
}

fn merge(body: &mut Value, changes: &Value) {
    for (field, change) in changes.as_object().unwrap() {
        body[field] = change.clone();
    }
}

fn receiver(dialect: Dialect, quirks: &[&str]) -> Receiver<'static> {
    Receiver { quirks: Quirks::of(quirks), goes_on: true, ..Receiver::new(dialect, "up") }
}

/// What a target is sent for the rest of an answer.
fn sent(request: &Request, receiver: &Receiver<'_>) -> Value {
    let rest = request.going_on("one two ", 2).unwrap();
    serde_json::from_slice(&rest.for_target(receiver).unwrap().body).unwrap()
}

/// Follow the beginning of a stream whose text is kept.
fn follow(request: &Request, dialect: Dialect, events: &str) -> Follower {
    let sent = request.for_target(&Receiver::new(dialect, "up")).unwrap();
    let mut follower = sent.reply.follow(true, Stamp::default);
    follower.feed(Bytes::copy_from_slice(events.as_bytes()));
    follower
}

fn begun(request: &Request, dialect: Dialect, events: &[Value]) -> Option<Begun> {
    let line = |event: &Value| format!("data: {event}\n\n");
    let events: String = events.iter().map(line).collect();
    follow(request, dialect, &events).begun(Usage::default())
}

fn delta(delta: &Value) -> Value {
    json!({"id": "one", "created": 7, "model": "first",
        "choices": [{"index": 0, "delta": delta, "finish_reason": null}]})
}

fn word(text: &str) -> Value {
    delta(&json!({"content": text}))
}

#[test]
fn the_rest_is_asked_for_in_the_words_of_each_server() {
    let answer = json!({"role": "assistant", "content": "one two"});
    let request = chat(&json!({"max_tokens": 10, "continue_final_message": null, "top_k": 5}));
    let named = sent(&request, &receiver(Dialect::Openai, &["continue_final_message"]));
    let prefilled = sent(&request, &receiver(Dialect::Openai, &["assistant_prefill"]));
    let anthropic = sent(&request, &receiver(Dialect::Anthropic, &["assistant_prefill"]));

    assert_eq!(named["messages"][1], answer);
    assert_eq!(named["continue_final_message"], true);
    assert_eq!(named["add_generation_prompt"], false);
    assert_eq!((&named["max_tokens"], &named["top_k"]), (&json!(8), &json!(5)));
    assert_eq!(prefilled["messages"][1], answer);
    assert!(prefilled["add_generation_prompt"].is_null());
    assert_eq!(anthropic["messages"][1]["content"][0]["text"], "one two");
    assert_eq!(anthropic["max_tokens"], 8);
}

#[test]
fn every_dialect_of_callers_can_ask_for_the_rest() {
    let to = receiver(Dialect::Openai, &["continue_final_message", "responses"]);
    let answer = json!({"role": "assistant", "content": "one two"});

    for request in [
        messages(&json!({})),
        response(&json!({})),
        response(&json!({
        "input": [{"role": "user", "content": "count"}]})),
    ] {
        let body = sent(&request, &to);
        assert_eq!(body["messages"][0], json!({"role": "user", "content": "count"}), "{body}");
        assert_eq!(body["messages"][1], answer, "{body}");
        assert_eq!(body["continue_final_message"], true, "{body}");
    }
}

#[test]
fn what_a_model_cannot_go_on_with_is_not_asked_for() {
    let answer = json!({"role": "assistant", "content": "well"});
    let turns = json!([{"role": "user", "content": "count"}, answer]);
    let schema = json!({"type": "json_schema", "schema": {}});
    for request in [
        chat(&json!({"n": 2})),
        chat(&json!({"stream": false})),
        chat(&json!({"logprobs": true})),
        chat(&json!({"response_format": {"type": "json_object"}})),
        chat(&json!({"messages": turns})),
        chat(&json!({"max_completion_tokens": 2})),
        messages(&json!({"messages": turns})),
        messages(&json!({"output_config": {"format": schema}})),
        messages(&json!({"max_tokens": 2})),
        response(&json!({"input": turns})),
        response(&json!({"text": {"format": schema}})),
    ] {
        assert!(request.going_on("one two ", 2).is_none(), "{request:?}");
    }
    let harmless = json!({"logprobs": false, "response_format": {"type": "text"}, "n": 1});
    assert!(chat(&harmless).going_on("one two ", 2).is_some());
    assert!(chat(&json!({})).going_on(" \n", 1).is_none());
}

#[test]
fn only_text_is_gone_on_with() {
    let role = delta(&json!({"role": "assistant", "content": ""}));
    let call = json!({"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f"}}]});
    let quiet = delta(&json!({"content": "two ", "tool_calls": [], "refusal": null}));
    let ended = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]});
    let other = json!({"choices": [{"index": 1, "delta": {"content": "uno "}}]});
    let of = |events: &[Value]| begun(&chat(&json!({})), Dialect::Openai, events);

    let text = of(&[role.clone(), word("one "), quiet]).unwrap();
    assert_eq!(text.said(), "one two ");
    assert!(of(&[role]).is_none());
    assert!(of(&[word("one "), delta(&call)]).is_none());
    assert!(of(&[delta(&json!({"reasoning_content": "hm"})), word("one ")]).is_none());
    assert!(of(&[word("one "), delta(&json!({"refusal": "no"}))]).is_none());
    assert!(of(&[word("one "), ended.clone()]).is_none());
    assert!(of(&[word("one "), other]).is_none());

    let of = |events: &[Value]| begun(&messages(&json!({})), Dialect::Openai, events);
    assert!(of(&[word("one ")]).is_some());
    assert!(of(&[word("one "), delta(&call)]).is_none());
    assert!(of(&[word("one "), ended]).is_none());
}

#[test]
fn blocks_of_messages_are_gone_on_with_where_they_are_text() {
    let start =
        |block: &Value| json!({"type": "content_block_start", "index": 0, "content_block": block});
    let said = |delta: &Value| json!({"type": "content_block_delta", "index": 0, "delta": delta});
    let text = start(&json!({"type": "text", "text": ""}));
    let one = said(&json!({"type": "text_delta", "text": "one "}));
    let of = |events: &[Value]| begun(&messages(&json!({})), Dialect::Anthropic, events);

    assert_eq!(of(&[text.clone(), one.clone()]).unwrap().said(), "one ");
    let tool = start(&json!({"type": "tool_use", "id": "t", "name": "f", "input": {}}));
    assert!(of(&[text.clone(), one.clone(), tool]).is_none());
    let thought = said(&json!({"type": "thinking_delta", "thinking": "hm"}));
    assert!(of(&[text.clone(), thought, one.clone()]).is_none());
    let stop = json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}});
    assert!(of(&[text, one, stop]).is_none());
}

/// The last event of a body that ends without its blank line has not left.
#[test]
fn what_has_not_left_is_not_part_of_the_text() {
    let events = format!("data: {}\n\ndata: {}", word("one "), word("two "));
    let mut follower = follow(&chat(&json!({})), Dialect::Openai, &events);
    assert!(follower.finish(End::Clean).is_err());

    assert_eq!(follower.begun(Usage::default()).unwrap().said(), "one ");
}

#[test]
fn both_parts_are_one_answer_with_the_usage_of_both() {
    let request = chat(&json!({"stream_options": {"include_usage": true}}));
    let used = Usage { input_tokens: Some(1), output_tokens: Some(2), ..Usage::default() };
    let events = format!("data: {}\n\n", word("one two "));
    let begun = follow(&request, Dialect::Openai, &events).begun(used).unwrap();
    let rest = request.going_on(begun.said(), 2).unwrap();
    let reply = rest.for_target(&receiver(Dialect::Openai, &["assistant_prefill"])).unwrap().reply;
    let mut follower = begun.follow(&reply).unwrap();
    let second = [
        json!({"id": "two", "created": 9, "model": "second", "choices": [{"index": 0, "delta": {"role": "assistant", "content": " "}}]}),
        json!({"id": "two", "choices": [{"index": 0, "delta": {"content": " three"}}]}),
        json!({"id": "two", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}),
        json!({"id": "two", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 1}}),
    ];
    let mut out = String::new();
    for event in &second {
        let fed = follower.feed(Bytes::from(format!("data: {event}\n\n")));
        out.push_str(std::str::from_utf8(&fed.out).unwrap());
    }
    out.push_str(std::str::from_utf8(&follower.finish(End::Clean).unwrap()).unwrap());
    let data = out.lines().filter_map(|line| line.strip_prefix("data: "));
    let chunks: Vec<Value> = data.filter_map(|data| serde_json::from_str(data).ok()).collect();
    let text: String =
        chunks.iter().filter_map(|one| one["choices"][0]["delta"]["content"].as_str()).collect();

    // The space has left with the first part; of the two that the second begins with, one is new.
    assert_eq!(text, " three");
    for chunk in &chunks {
        assert_eq!((&chunk["id"], &chunk["created"]), (&json!("one"), &json!(7)), "{chunk}");
        assert_eq!(chunk["model"], "first");
        assert!(chunk["choices"][0]["delta"]["role"].is_null(), "{chunk}");
    }
    let usage = &chunks.last().unwrap()["usage"];
    assert_eq!((&usage["prompt_tokens"], &usage["completion_tokens"]), (&json!(4), &json!(3)));
    assert_eq!(follower.usage().unwrap().output_tokens, Some(1));
    assert!(out.ends_with("data: [DONE]\n\n"), "{out}");
}

#[test]
fn a_longer_text_than_any_answer_is_not_kept() {
    let request = chat(&json!({}));
    let long = word(&"x".repeat(super::MAX_SAID / 2 + 1));

    assert!(begun(&request, Dialect::Openai, std::slice::from_ref(&long)).is_some());
    assert!(begun(&request, Dialect::Openai, &[long.clone(), long]).is_none());
}

#[test]
fn servers_say_by_a_quirk_that_they_go_on() {
    assert!(Quirks::of(&["continue_final_message"]).go_on());
    assert!(Quirks::of(&["assistant_prefill"]).has(Quirk::AssistantPrefill));
    assert!(!Quirks::of(&["responses"]).go_on());
}
