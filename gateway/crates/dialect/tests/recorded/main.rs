//! Exchanges as real servers had them, recorded byte by byte; one folder per server.
//!
//! `llama_cpp`: xllamacpp 2026.10 with SmolLM2-135M-Instruct Q4_1, temperature 0, seed 1.
//! `agents`: what coding agents sent after their shell tool had run (Claude Code 2.1.197, Codex 0.171.0 without
//! hosted tools, opencode 1.18.33, pi 0.73.1); long texts are cut to `…`, of tools there is one of each kind.

mod agents;

use bytes::Bytes;
use towpath_dialect::{
    Answer, End, FaultCode, MessagesRequest, Receiver, Request, ResponsesRequest, Stamp,
    StreamMeter, StreamRules, UpstreamFault, Usage, UsageChunk,
};
use towpath_wire::routing::{Dialect, Operation};

const CHAT_STREAM: &str = include_str!("llama_cpp/chat.sse");
const COMPLETION_STREAM: &str = include_str!("llama_cpp/completion.sse");
const CHAT: &[u8] = include_bytes!("llama_cpp/chat.json");
const TOO_LONG: &[u8] = include_bytes!("llama_cpp/too_long.json");
const WRONG_TYPE: &[u8] = include_bytes!("llama_cpp/wrong_type.json");

/// What the caller gets of a stream that comes in chunks of `size` bytes, and what was metered.
fn follow(stream: &str, usage: UsageChunk, size: usize) -> (String, Option<Usage>, u64) {
    let mut meter = StreamMeter::new(StreamRules { usage, choices: 1, keep_text: false });
    let mut out = Vec::new();
    for chunk in stream.as_bytes().chunks(size) {
        let fed = meter.feed(Bytes::copy_from_slice(chunk));
        assert_eq!(fed.fault, None);
        out.extend_from_slice(&fed.out);
    }
    if let Ok(last) = meter.finish(End::Clean) {
        out.extend_from_slice(&last);
    }
    (String::from_utf8_lossy(&out).into_owned(), meter.usage(), meter.content_events())
}

fn used(input: u64, output: u64) -> Usage {
    Usage {
        input_tokens: Some(input),
        output_tokens: Some(output),
        cached_input_tokens: Some(0),
        ..Usage::default()
    }
}

#[test]
fn a_recorded_chat_passes_untouched_for_who_asked_for_usage() {
    for size in [1, 7, 1400, 1 << 20] {
        let expected = (CHAT_STREAM.to_owned(), Some(used(33, 6)), 6);

        assert_eq!(follow(CHAT_STREAM, UsageChunk::Pass, size), expected);
    }
}

#[test]
fn a_recorded_chat_loses_its_usage_chunk_and_nothing_else() {
    let events: Vec<_> = CHAT_STREAM.split_inclusive("\n\n").collect();
    let expected: String = events.iter().filter(|e| !e.contains("\"usage\"")).copied().collect();

    for size in [1, 7, 1400, 1 << 20] {
        let (out, usage, content) = follow(CHAT_STREAM, UsageChunk::Strip, size);

        assert_eq!((out.as_str(), usage, content), (expected.as_str(), Some(used(33, 6)), 6));
    }
    assert_eq!(events.len() - 1, expected.matches("\n\n").count());
}

/// Completions of this server carry their usage in the last content chunk, which must stay.
#[test]
fn a_recorded_completion_loses_the_member_alone() {
    let (out, usage, content) = follow(COMPLETION_STREAM, UsageChunk::Strip, 64);

    let start = COMPLETION_STREAM.find(",\"usage\"").unwrap_or_default();
    let end = start + COMPLETION_STREAM[start..].find(",\"id\"").unwrap_or_default();
    let expected = [&COMPLETION_STREAM[..start], &COMPLETION_STREAM[end..]].concat();
    assert_eq!((out, usage, content), (expected, Some(used(4, 4)), 4));
}

#[test]
fn a_recorded_stream_that_is_cut_anywhere_never_looks_whole() {
    let finished = CHAT_STREAM.find("\"length\"").unwrap_or_default();
    for cut in (0..finished).step_by(97) {
        let (out, _, _) = follow(&CHAT_STREAM[..cut], UsageChunk::Strip, 512);

        assert!(!out.contains("[DONE]"), "cut at {cut}");
    }
}

#[test]
fn a_recorded_answer_is_metered() {
    let usage = Usage { cached_input_tokens: Some(32), ..used(33, 6) };
    let content_bytes = "Hello! I'm here to".len() as u64;

    assert_eq!(Answer::read(CHAT), Ok(Answer { usage: Some(usage), content_bytes }));
}

#[test]
fn recorded_errors_reach_the_caller_as_codes() {
    let too_long = UpstreamFault::from_status(400, TOO_LONG);
    let wrong_type = UpstreamFault::from_status(400, WRONG_TYPE);

    assert_eq!(
        (too_long.code, too_long.message.as_str()),
        (
            FaultCode::ContextLengthExceeded,
            "request (9031 tokens) exceeds the available context size (4096 tokens), try increasing it"
        )
    );
    assert_eq!(
        (wrong_type.code, wrong_type.message.as_str()),
        (FaultCode::UpstreamRefused, "Expected 'content' to be a string or an array")
    );
}

/// A recorded stream as callers of the other dialects get it, in chunks of `size` bytes.
#[expect(clippy::unwrap_used, reason = "a helper of tests")]
fn told(body: &str, read: fn(Bytes) -> Request, size: usize) -> (String, Option<Usage>) {
    let request = read(Bytes::copy_from_slice(body.as_bytes()));
    let sent = request.for_target(&Receiver::new(Dialect::Openai, "m")).unwrap();
    let stamp = || Stamp { id: "0".to_owned(), created_s: 0 };
    let mut follower = sent.reply.follow(false, stamp);
    let mut out = Vec::new();
    for chunk in CHAT_STREAM.as_bytes().chunks(size) {
        let fed = follower.feed(Bytes::copy_from_slice(chunk));
        assert_eq!(fed.fault, None);
        out.extend_from_slice(&fed.out);
    }
    out.extend_from_slice(&follower.finish(End::Clean).unwrap());
    (String::from_utf8(out).unwrap(), follower.usage())
}

#[test]
fn a_recorded_chat_is_told_as_messages_and_as_a_response() {
    let messages =
        r#"{"model":"m","max_tokens":6,"messages":[{"role":"user","content":"x"}],"stream":true}"#;
    let responses = r#"{"model":"m","input":"x","stream":true}"#;
    let read_messages =
        |body| Request::Messages(MessagesRequest::read(Operation::Chat, body).unwrap());
    let read_responses = |body| Request::Responses(ResponsesRequest::read(body).unwrap());
    for size in [1, 7, 1 << 20] {
        let (events, usage) = told(messages, read_messages, size);
        assert_eq!(events, include_str!("llama_cpp/chat.as_messages.sse"));
        assert_eq!(usage, Some(used(33, 6)));
        let (events, usage) = told(responses, read_responses, size);
        assert_eq!(events, include_str!("llama_cpp/chat.as_response.sse"));
        assert_eq!(usage, Some(used(33, 6)));
    }
}
