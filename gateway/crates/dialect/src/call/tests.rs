use serde_json::{Value, json};

use super::*;
use crate::{ErrorBody, FaultCode};

mod streams;

fn stamp() -> Stamp {
    Stamp { id: "0198".to_owned(), created_s: 1_790_000_000 }
}

fn chat(body: &Value) -> Request {
    let body = Bytes::from(body.to_string());
    Request::OpenAi(OpenAiRequest::read(Operation::Chat, body).unwrap())
}

fn messages(body: &Value) -> Request {
    let body = Bytes::from(body.to_string());
    Request::Messages(MessagesRequest::read(Operation::Chat, body).unwrap())
}

fn response(body: &Value) -> Request {
    Request::Responses(ResponsesRequest::read(Bytes::from(body.to_string())).unwrap())
}

const CHAT: Receiver<'static> = Receiver {
    dialect: Dialect::Openai,
    model: "up",
    request_fields: None,
    quirks: Quirks::NONE,
    cache_salt: None,
    goes_on: false,
};
const MESSAGES: Receiver<'static> = Receiver { dialect: Dialect::Anthropic, ..CHAT };

fn sent(request: &Request, receiver: &Receiver<'_>) -> (&'static str, Value) {
    let sent = request.for_target(receiver).unwrap();
    (sent.path, serde_json::from_slice(&sent.body).unwrap())
}

fn refused(request: &Request, receiver: &Receiver<'_>) -> (RequestCode, String) {
    let error = request.for_target(receiver).unwrap_err();
    assert!(error.fix.is_some() || error.code != RequestCode::UnsupportedField, "{error:?}");
    (error.code, error.param.unwrap_or_default())
}

/// What the caller gets of a plain answer.
fn answer(request: &Request, receiver: &Receiver<'_>, said: &Value) -> (Value, Usage) {
    let reply = request.for_target(receiver).unwrap().reply;
    let answered = reply.answer(Bytes::from(said.to_string()), stamp).unwrap();
    (serde_json::from_slice(&answered.body).unwrap(), answered.usage.unwrap_or_default())
}

/// A chat with everything that both dialects can say.
fn full_chat() -> Value {
    json!({
        "model": "m",
        "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": [
                {"type": "text", "text": "what is this?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}},
                {"type": "image_url", "image_url": {"url": "https://x.example/a.png"}},
            ]},
            {"role": "assistant", "content": "let me look", "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{\"at\":1}"}},
                {"id": "call_2", "type": "function", "function": {"name": "look", "arguments": "{\"at\":2}"}},
            ]},
            {"role": "tool", "tool_call_id": "call_1", "content": "a cat"},
            {"role": "tool", "tool_call_id": "call_2", "content": "a dog"},
            {"role": "user", "content": "and?"},
        ],
        "max_tokens": 50,
        "stop": ["END"],
        "temperature": 0.5,
        "top_p": 0.9,
        "tools": [{"type": "function", "function": {
            "name": "look", "description": "look at it",
            "parameters": {"type": "object", "properties": {"z": {}, "at": {"type": "integer"}}},
        }}],
        "tool_choice": "required",
        "parallel_tool_calls": true,
        "user": "u-1",
        "stream": true,
    })
}

/// The same as Anthropic has it.
fn full_messages() -> Value {
    json!({
        "model": "up",
        "max_tokens": 50,
        "system": "be brief",
        "messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "what is this?"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBO"}},
                {"type": "image", "source": {"type": "url", "url": "https://x.example/a.png"}},
            ]},
            {"role": "assistant", "content": [
                {"type": "text", "text": "let me look"},
                {"type": "tool_use", "id": "call_1", "name": "look", "input": {"at": 1}},
                {"type": "tool_use", "id": "call_2", "name": "look", "input": {"at": 2}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "call_1", "content": [{"type": "text", "text": "a cat"}]},
                {"type": "tool_result", "tool_use_id": "call_2", "content": [{"type": "text", "text": "a dog"}]},
                {"type": "text", "text": "and?"},
            ]},
        ],
        "stop_sequences": ["END"],
        "temperature": 0.5,
        "top_p": 0.9,
        "tools": [{"name": "look", "description": "look at it",
            "input_schema": {"type": "object", "properties": {"z": {}, "at": {"type": "integer"}}}}],
        "tool_choice": {"type": "any", "disable_parallel_tool_use": false},
        "metadata": {"user_id": "u-1"},
        "stream": true,
    })
}

#[test]
fn a_chat_with_everything_is_told_in_messages() {
    assert_eq!(sent(&chat(&full_chat()), &MESSAGES), ("/v1/messages", full_messages()));
}

#[test]
fn messages_with_everything_are_told_in_a_chat() {
    let mut expected = full_chat();
    expected["model"] = json!("up");
    expected["stream_options"] = json!({"include_usage": true});

    assert_eq!(sent(&messages(&full_messages()), &CHAT), ("/chat/completions", expected));
}

#[test]
fn the_order_of_a_schema_is_kept_since_models_answer_in_it() {
    let body = Bytes::from(
        full_chat().to_string().replace("\"properties\"", "\"b\":1,\"a\":2,\"properties\""),
    );
    let request = Request::OpenAi(OpenAiRequest::read(Operation::Chat, body).unwrap());

    let sent = request.for_target(&MESSAGES).unwrap();

    assert!(String::from_utf8_lossy(&sent.body).contains("\"b\":1,\"a\":2"));
}

#[test]
fn a_response_is_told_in_either_dialect() {
    let body = json!({
        "model": "m",
        "instructions": "be brief",
        "input": [
            {"role": "user", "content": [
                {"type": "input_text", "text": "what is this?"},
                {"type": "input_image", "image_url": "https://x.example/a.png", "detail": "low"},
            ]},
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"},
            {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "look", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "call_1", "output": "a cat"},
        ],
        "tools": [{"type": "function", "name": "look", "parameters": {"type": "object"}, "strict": true}],
        "tool_choice": {"type": "function", "name": "look"},
        "text": {"format": {"type": "json_schema", "name": "s", "schema": {"type": "object"}, "strict": true}},
        "reasoning": {"effort": "low", "summary": "auto"},
        "max_output_tokens": 9,
        "store": false,
        "include": ["reasoning.encrypted_content"],
    });

    let (path, chat) = sent(&response(&body), &CHAT);
    assert_eq!(path, "/chat/completions");
    assert_eq!(
        chat,
        json!({
            "model": "up",
            "messages": [
                {"role": "system", "content": "be brief"},
                {"role": "user", "content": [
                    {"type": "text", "text": "what is this?"},
                    {"type": "image_url", "image_url": {"url": "https://x.example/a.png"}},
                ]},
                {"role": "assistant", "content": null, "tool_calls": [
                    {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}},
                ]},
                {"role": "tool", "tool_call_id": "call_1", "content": "a cat"},
            ],
            "max_tokens": 9,
            "reasoning_effort": "low",
            "tools": [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}, "strict": true}}],
            "tool_choice": {"type": "function", "function": {"name": "look"}},
            "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}, "strict": true}},
        })
    );
    let (path, told) = sent(&response(&body), &MESSAGES);
    assert_eq!(path, "/v1/messages");
    assert_eq!((&told["system"], &told["max_tokens"]), (&json!("be brief"), &json!(9)));
    assert_eq!(
        told["output_config"],
        json!({"effort": "low", "format": {"type": "json_schema", "schema": {"type": "object"}}})
    );
    assert_eq!(told["tool_choice"], json!({"type": "tool", "name": "look"}));
}

/// What the other dialect has no words for is refused with its path, never dropped.
#[test]
fn what_cannot_be_told_is_refused_by_name() {
    let user = json!([{"role": "user", "content": "x"}]);
    let chats = [
        ("seed", json!(1)),
        ("n", json!(2)),
        ("logprobs", json!(true)),
        ("presence_penalty", json!(0.5)),
        ("logit_bias", json!({"5": 1})),
        ("prediction", json!({})),
        ("some_field_of_tomorrow", json!(0)),
    ];
    for (name, value) in chats {
        let mut body = json!({"model": "m", "messages": user});
        body[name] = value;
        let expected = (RequestCode::UnsupportedField, name.to_owned());
        assert_eq!(refused(&chat(&body), &MESSAGES), expected);
    }
    let told = [
        ("container", json!("c"), "container"),
        ("mcp_servers", json!([{}]), "mcp_servers"),
        (
            "tools",
            json!([{"type": "web_search_20250305", "name": "s"}]),
            "tools[0].type=web_search_20250305",
        ),
        (
            "messages",
            json!([{"role": "user", "content": [{"type": "document"}]}]),
            "messages[0].content[0].type=document",
        ),
    ];
    for (name, value, param) in told {
        let mut body = json!({"model": "m", "messages": user, "max_tokens": 5});
        body[name] = value;
        let expected = (RequestCode::UnsupportedField, param.to_owned());
        assert_eq!(refused(&messages(&body), &CHAT), expected);
    }
    let responses = [
        ("previous_response_id", json!("resp_1"), "previous_response_id"),
        ("store", json!(true), "store"),
        ("conversation", json!("c"), "conversation"),
        ("background", json!(true), "background"),
        ("tools", json!([{"type": "web_search"}]), "tools[0].type=web_search"),
        ("max_tool_calls", json!(3), "max_tool_calls"),
        ("input", json!([{"type": "item_reference", "id": "x"}]), "input[0].type=item_reference"),
    ];
    for (name, value, param) in responses {
        for receiver in [&CHAT, &MESSAGES] {
            let mut body = json!({"model": "m", "input": "x"});
            body[name] = value.clone();
            let expected = (RequestCode::UnsupportedField, param.to_owned());
            assert_eq!(refused(&response(&body), receiver), expected);
        }
    }
}

/// Clients write out defaults, and marks that only a vendor's cache or books would heed.
#[test]
fn what_asks_for_nothing_is_left_out() {
    let body = json!({
        "model": "m", "messages": [{"role": "user", "content": "x"}], "n": 1, "logprobs": false,
        "presence_penalty": 0, "metadata": {"a": "b"}, "store": false, "service_tier": "auto", "seed": null,
    });
    let (_, told) = sent(&chat(&body), &MESSAGES);
    let plain = json!({
        "model": "up", "max_tokens": 4096,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}],
    });
    assert_eq!(told, plain);

    let body = json!({
        "model": "m", "max_tokens": 5, "thinking": {"type": "adaptive"}, "service_tier": "auto",
        "system": [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}, {"type": "text", "text": "b"}],
        "messages": [
            {"role": "user", "content": "x"},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "text", "text": "y"},
            ]},
        ],
    });
    let (_, told) = sent(&messages(&body), &CHAT);
    assert_eq!(
        told,
        json!({"model": "up", "max_tokens": 5, "messages": [
            {"role": "system", "content": "a\n\nb"},
            {"role": "user", "content": "x"},
            {"role": "assistant", "content": "y"},
        ]})
    );

    let body = json!({
        "model": "m", "input": "x", "store": false, "include": ["reasoning.encrypted_content"],
        "prompt_cache_key": "k", "client_metadata": {"turn": "1"}, "reasoning": {"summary": "auto"},
    });
    let (_, told) = sent(&response(&body), &CHAT);
    assert_eq!(told, json!({"model": "up", "messages": [{"role": "user", "content": "x"}]}));
}

/// A refusal by a target's own rules names the caller's field.
#[test]
fn refusals_speak_the_callers_words() {
    let fields = [
        ("messages".to_owned(), FieldRule::default()),
        ("max_tokens".to_owned(), FieldRule::default()),
    ];
    let fields = fields.into();
    let receiver = Receiver { request_fields: Some(&fields), ..CHAT };
    let body = json!({"model": "m", "max_tokens": 5, "stop_sequences": ["x"],
        "messages": [{"role": "user", "content": "x"}]});

    let error = messages(&body).for_target(&receiver).unwrap_err();

    assert_eq!(error.param.as_deref(), Some("stop_sequences"));
    assert_eq!(error.message, "`up` does not take the field `stop_sequences`");
}

#[test]
fn the_same_dialect_passes_untouched_but_for_the_name() {
    let body = r#"{"model":"m", "max_tokens":5,"messages":[{"role":"user","content":"x"}],"new":{"a" : 1}}"#;
    let request = MessagesRequest::read(Operation::Chat, Bytes::from(body)).unwrap();
    let sent = Request::Messages(request).for_target(&MESSAGES).unwrap();
    assert_eq!(
        sent.body,
        r#"{"model":"up","max_tokens":5,"messages":[{"role":"user","content":"x"}],"new":{"a" : 1}}"#
    );

    let body = r#"{"model":"m","input":"x","previous_response_id":"resp_1","store":true}"#;
    let request = Request::Responses(ResponsesRequest::read(Bytes::from(body)).unwrap());
    let receiver = Receiver { quirks: Quirks::of(&["responses"]), ..CHAT };
    let sent = request.for_target(&receiver).unwrap();
    assert_eq!(
        (sent.path, sent.body.as_ref()),
        ("/responses", body.replace("\"m\"", "\"up\"").as_bytes())
    );
}

#[test]
fn counting_goes_to_whoever_can_count() {
    let body = Bytes::from(r#"{"model":"m","messages":[{"role":"user","content":"x"}]}"#);
    let request = Request::Messages(MessagesRequest::read(Operation::CountTokens, body).unwrap());
    let counter = Receiver { quirks: Quirks::of(&["count_tokens"]), ..CHAT };

    assert_eq!(sent(&request, &MESSAGES).0, "/v1/messages/count_tokens");
    assert_eq!(sent(&request, &counter).0, "/messages/count_tokens");
    assert_eq!(
        [&MESSAGES, &counter, &CHAT].map(|receiver| request.is_uncountable_at(receiver)),
        [false, false, true]
    );
    let (answer, usage) = answer(&request, &MESSAGES, &json!({"input_tokens": 7}));
    assert_eq!((answer, usage), (json!({"input_tokens": 7}), Usage::default()));
}

fn ask() -> Value {
    json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]})
}

#[test]
fn answers_of_messages_become_answers_of_a_chat() {
    let said = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "stop_reason": "tool_use",
        "stop_sequence": null,
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "s"},
            {"type": "text", "text": "one "}, {"type": "text", "text": "two"},
            {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"a": 1, "b": 2}},
        ],
        "usage": {"input_tokens": 10, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 3, "output_tokens": 7,
            "output_tokens_details": {"thinking_tokens": 2}},
    });

    let (answer, usage) = answer(&chat(&ask()), &MESSAGES, &said);

    assert_eq!(
        answer,
        json!({
            "id": "chatcmpl_0198", "object": "chat.completion", "created": 1_790_000_000, "model": "claude",
            "choices": [{"index": 0, "logprobs": null, "finish_reason": "tool_calls", "message": {
                "role": "assistant", "content": "one two", "refusal": null, "reasoning_content": "hm",
                "tool_calls": [{"id": "toolu_1", "type": "function",
                    "function": {"name": "look", "arguments": "{\"a\":1,\"b\":2}"}}],
            }}],
            "usage": {"prompt_tokens": 18, "completion_tokens": 7, "total_tokens": 25,
                "prompt_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 3},
                "completion_tokens_details": {"reasoning_tokens": 2}},
        })
    );
    assert_eq!(
        usage,
        Usage {
            input_tokens: Some(18),
            output_tokens: Some(7),
            cached_input_tokens: Some(5),
            cache_write_tokens: Some(3),
            reasoning_tokens: Some(2),
            ..Usage::default()
        }
    );
}

fn said_in_a_chat() -> Value {
    json!({
        "id": "c", "object": "chat.completion", "model": "gpt", "choices": [{"index": 0, "finish_reason": "tool_calls",
            "message": {"role": "assistant", "content": "look", "reasoning_content": "hm", "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{\"a\":2}"}},
            ]}}],
        "usage": {"prompt_tokens": 18, "completion_tokens": 7, "total_tokens": 25,
            "prompt_tokens_details": {"cached_tokens": 5}, "completion_tokens_details": {"reasoning_tokens": 2}},
    })
}

#[test]
fn answers_of_a_chat_become_messages() {
    let (answer, _) = answer(&messages(&ask()), &CHAT, &said_in_a_chat());

    assert_eq!(
        answer,
        json!({
            "id": "msg_0198", "type": "message", "role": "assistant", "model": "gpt",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": ""},
                {"type": "text", "text": "look"},
                {"type": "tool_use", "id": "call_1", "name": "look", "input": {"a": 2}},
            ],
            "stop_reason": "tool_use", "stop_sequence": null,
            "usage": {"input_tokens": 13, "cache_read_input_tokens": 5, "output_tokens": 7,
                "output_tokens_details": {"thinking_tokens": 2}},
        })
    );
}

#[test]
fn answers_become_responses() {
    let request = response(&json!({"model": "m", "input": "x", "temperature": 0.5}));
    let (answer, _) = answer(&request, &CHAT, &said_in_a_chat());

    assert_eq!((&answer["id"], &answer["status"]), (&json!("resp_0198"), &json!("completed")));
    assert_eq!((&answer["temperature"], &answer["tool_choice"]), (&json!(0.5), &json!("auto")));
    assert_eq!(
        answer["output"],
        json!([
            {"type": "reasoning", "id": "rs_0198_0", "status": "completed", "summary": [],
                "content": [{"type": "reasoning_text", "text": "hm"}]},
            {"type": "message", "id": "msg_0198_1", "status": "completed", "role": "assistant",
                "content": [{"type": "output_text", "text": "look", "annotations": [], "logprobs": []}]},
            {"type": "function_call", "id": "fc_0198_2", "status": "completed", "call_id": "call_1", "name": "look",
                "arguments": "{\"a\":2}"},
        ])
    );
    assert_eq!(
        answer["usage"],
        json!({"input_tokens": 18, "input_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 0},
            "output_tokens": 7, "output_tokens_details": {"reasoning_tokens": 2}, "total_tokens": 25})
    );
}

#[test]
fn endings_keep_their_meaning() {
    let ending = |reason: &str| {
        let mut said = said_in_a_chat();
        said["choices"][0] =
            json!({"index": 0, "finish_reason": reason, "message": {"content": "x"}});
        let (told, _) = answer(&messages(&ask()), &CHAT, &said);
        let (response, _) = answer(&response(&json!({"model": "m", "input": "x"})), &CHAT, &said);
        (told["stop_reason"].clone(), response["incomplete_details"]["reason"].clone())
    };
    assert_eq!(ending("stop"), (json!("end_turn"), Value::Null));
    assert_eq!(ending("length"), (json!("max_tokens"), json!("max_output_tokens")));
    assert_eq!(ending("content_filter"), (json!("refusal"), json!("content_filter")));

    let reason = |stop: &str| {
        let said = json!({"content": [{"type": "text", "text": "x"}], "stop_reason": stop, "stop_sequence": "END"});
        answer(&chat(&ask()), &MESSAGES, &said).0["choices"][0]["finish_reason"].clone()
    };
    assert_eq!(reason("end_turn"), "stop");
    assert_eq!(reason("stop_sequence"), "stop");
    assert_eq!(reason("max_tokens"), "length");
    assert_eq!(reason("refusal"), "content_filter");
}

#[test]
fn a_schema_by_tool_looks_to_the_caller_like_any_other() {
    let mut body = ask();
    body["response_format"] =
        json!({"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}});
    let receiver = Receiver { quirks: Quirks::of(&["json_schema_by_tool"]), ..MESSAGES };
    let request = chat(&body);
    let (_, told) = sent(&request, &receiver);
    assert_eq!(told["tool_choice"], json!({"type": "tool", "name": "answer_as_json"}));

    let said = json!({"stop_reason": "tool_use", "content": [
        {"type": "tool_use", "id": "t", "name": "answer_as_json", "input": {"a": 1}}]});
    let (answer, _) = answer(&request, &receiver, &said);
    let choice = &answer["choices"][0];
    assert_eq!(
        (&choice["message"]["content"], &choice["finish_reason"]),
        (&json!("{\"a\":1}"), &json!("stop"))
    );
}

#[test]
fn errors_in_a_success_are_faults_in_every_pair() {
    let error = json!({"type": "error", "error": {"type": "overloaded_error", "message": "later"}});
    let pairs = [
        (chat(&ask()), MESSAGES),
        (messages(&ask()), MESSAGES),
        (messages(&ask()), CHAT),
        (response(&json!({"model": "m", "input": "x"})), CHAT),
    ];
    for (request, receiver) in pairs {
        let reply = request.for_target(&receiver).unwrap().reply;
        let fault = reply.answer(Bytes::from(error.to_string()), stamp).unwrap_err();
        assert_eq!((fault.status, fault.code), (503, FaultCode::UpstreamError));
        let fault = reply.answer(Bytes::from_static(b"<html>"), stamp).unwrap_err();
        assert_eq!(fault.status, 502);
    }
}
