//! Correct answers of a server that speaks Anthropic's messages, with the same counts as its sibling's.

use serde_json::{Value, json};

use crate::openai::{Ask, Events, words_in};
use crate::script::{Script, UsageReport};

/// Tokens of a prompt: its words, those of the system prompt included.
pub(crate) fn prompt_tokens(body: &Value) -> u64 {
    let messages = body["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let said = messages.iter().map(|message| words_in(&message["content"]));
    words_in(&body["system"]) + said.sum::<u64>()
}

/// The answer to a count.
pub(crate) fn count(body: &Value) -> Value {
    json!({"input_tokens": prompt_tokens(body)})
}

fn usage(ask: &Ask, script: &Script, output: u64) -> Value {
    let cached = u64::from(script.cached_tokens.unwrap_or(0));
    let mut usage = json!({
        "input_tokens": ask.input_tokens.saturating_sub(cached),
        "output_tokens": output,
    });
    if cached > 0 {
        usage["cache_read_input_tokens"] = json!(cached);
    }
    if let Some(thought) = script.reasoning_tokens {
        usage["output_tokens_details"] = json!({"thinking_tokens": thought});
    }
    usage
}

fn reason(openai: &str) -> &'static str {
    if openai == "length" { "max_tokens" } else { "end_turn" }
}

/// A plain answer and the output tokens in it.
pub(crate) fn answer(ask: &Ask, script: &Script) -> (Value, u64) {
    let (words, ending) = ask.words(script);
    let mut body = json!({
        "id": "msg_fake",
        "type": "message",
        "role": "assistant",
        "model": ask.model,
        "content": [{"type": "text", "text": words.concat()}],
        "stop_reason": reason(ending),
        "stop_sequence": null,
    });
    if script.usage != UsageReport::Missing {
        body["usage"] = usage(ask, script, words.len() as u64);
    }
    (body, words.len() as u64)
}

/// A streamed answer, event by event.
pub(crate) fn events(ask: &Ask, script: &Script) -> Events {
    let (words, ending) = ask.words(script);
    let counted = script.usage != UsageReport::Missing;
    let mut start = json!({"type": "message_start", "message": {
        "id": "msg_fake", "type": "message", "role": "assistant", "model": ask.model, "content": [],
        "stop_reason": null, "stop_sequence": null,
    }});
    let mut delta = json!({
        "type": "message_delta",
        "delta": {"stop_reason": reason(ending), "stop_sequence": null},
    });
    if counted {
        start["message"]["usage"] = usage(ask, script, 1);
        delta["usage"] = json!({"output_tokens": words.len()});
        if let Some(thought) = script.reasoning_tokens {
            delta["usage"]["output_tokens_details"] = json!({"thinking_tokens": thought});
        }
    }
    let block = json!({"type": "content_block_start", "index": 0,
        "content_block": {"type": "text", "text": ""}});
    let token = |word: &String| {
        vec![json!({"type": "content_block_delta", "index": 0,
            "delta": {"type": "text_delta", "text": word}})]
    };
    Events {
        opening: vec![start, json!({"type": "ping"}), block],
        tokens: words.iter().map(token).collect(),
        closing: vec![json!({"type": "content_block_stop", "index": 0}), delta],
        usage: None,
    }
}

/// What ends a stream.
pub(crate) fn last() -> Value {
    json!({"type": "message_stop"})
}

/// An error as such servers word it.
pub(crate) fn error(status: u16) -> Value {
    let kind = match status {
        400 => "invalid_request_error",
        401 => "authentication_error",
        404 => "not_found_error",
        429 => "rate_limit_error",
        503 | 529 => "overloaded_error",
        _ => "api_error",
    };
    let message = format!("the upstream was told to fail with {status}");
    json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_fake"})
}
