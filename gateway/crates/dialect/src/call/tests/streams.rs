use proptest::prelude::*;

use super::*;
use crate::stream::End;

/// All that can be seen of a followed stream.
#[derive(Debug, PartialEq)]
struct Told {
    out: String,
    fault: Option<FaultCode>,
    started: bool,
    usage: Option<Usage>,
    content_events: u64,
    text: String,
}

fn follow(reply: &Reply, chunks: &[&[u8]], end: End) -> Told {
    let mut follower = reply.follow(true, stamp);
    let (mut out, mut fault) = (Vec::new(), None);
    for chunk in chunks {
        let fed = follower.feed(Bytes::copy_from_slice(chunk));
        out.extend_from_slice(&fed.out);
        fault = fault.or(fed.fault);
        if fault.is_some() || fed.done {
            break;
        }
    }
    if fault.is_none() {
        match follower.finish(end) {
            Ok(last) => out.extend_from_slice(&last),
            Err(found) => fault = Some(found),
        }
    }
    Told {
        out: String::from_utf8(out).unwrap(),
        fault: fault.map(|fault| fault.code),
        started: follower.started(),
        usage: follower.usage(),
        content_events: follower.content_events(),
        text: follower.text().to_owned(),
    }
}

/// The data of a stream's events.
fn values(stream: &str) -> Vec<Value> {
    let data = stream.lines().filter_map(|line| line.strip_prefix("data: "));
    data.map(|data| serde_json::from_str(data).unwrap_or_else(|_| json!(data))).collect()
}

fn chat_stream() -> String {
    let chunk = |delta: Value, reason: Value| {
        let value = json!({"id": "c", "object": "chat.completion.chunk", "model": "gpt",
            "choices": [{"index": 0, "delta": delta, "finish_reason": reason}], "usage": null});
        format!("data: {value}\n\n")
    };
    let usage = json!({"choices": [], "usage": {"prompt_tokens": 4, "completion_tokens": 6, "total_tokens": 10}});
    [
        ": a comment\n\n".to_owned(),
        chunk(json!({"role": "assistant", "content": ""}), Value::Null),
        chunk(json!({"reasoning_content": "hm"}), Value::Null),
        chunk(json!({"content": "one "}), Value::Null),
        chunk(json!({"content": "two"}), Value::Null),
        chunk(json!({"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": {"name": "look", "arguments": ""}}]}), Value::Null),
        chunk(json!({"tool_calls": [{"index": 0, "function": {"arguments": "{\"a\":"}}]}), Value::Null),
        chunk(json!({"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]}), Value::Null),
        chunk(json!({}), json!("tool_calls")),
        format!("data: {usage}\n\n"),
        "data: [DONE]\n\n".to_owned(),
    ]
    .concat()
}

fn messages_stream() -> String {
    let event =
        |value: Value| format!("event: {}\ndata: {value}\n\n", value["type"].as_str().unwrap());
    let delta = |index: u32, delta: Value| {
        event(json!({"type": "content_block_delta", "index": index, "delta": delta}))
    };
    let block = |index: u32, block: Value| {
        event(json!({"type": "content_block_start", "index": index, "content_block": block}))
    };
    let stop = |index: u32| event(json!({"type": "content_block_stop", "index": index}));
    [
        event(json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant",
            "model": "claude", "content": [], "stop_reason": null, "stop_sequence": null,
            "usage": {"input_tokens": 3, "cache_read_input_tokens": 1, "output_tokens": 1}}})),
        event(json!({"type": "ping"})),
        block(0, json!({"type": "thinking", "thinking": "", "signature": ""})),
        delta(0, json!({"type": "thinking_delta", "thinking": "hm"})),
        delta(0, json!({"type": "signature_delta", "signature": "sig"})),
        stop(0),
        block(1, json!({"type": "text", "text": ""})),
        delta(1, json!({"type": "text_delta", "text": "one "})),
        delta(1, json!({"type": "text_delta", "text": "two"})),
        stop(1),
        block(2, json!({"type": "tool_use", "id": "call_1", "name": "look", "input": {}})),
        delta(2, json!({"type": "input_json_delta", "partial_json": "{\"a\":"})),
        delta(2, json!({"type": "input_json_delta", "partial_json": "1}"})),
        stop(2),
        event(json!({"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": null},
            "usage": {"output_tokens": 6}})),
        event(json!({"type": "message_stop"})),
    ]
    .concat()
}

fn pairs() -> Vec<(Reply, String)> {
    let asked = response(&json!({"model": "m", "input": "x"}));
    let reply = |request: &Request, receiver| request.for_target(&receiver).unwrap().reply;
    let usage = json!({"model": "m", "messages": [{"role": "user", "content": "x"}], "stream": true,
        "stream_options": {"include_usage": true}});
    vec![
        (reply(&chat(&usage), CHAT), chat_stream()),
        (reply(&chat(&usage), MESSAGES), messages_stream()),
        (reply(&messages(&ask()), MESSAGES), messages_stream()),
        (reply(&messages(&ask()), CHAT), chat_stream()),
        (reply(&asked, CHAT), chat_stream()),
        (reply(&asked, MESSAGES), messages_stream()),
    ]
}

#[test]
fn every_pair_tells_the_whole_stream_and_counts_it() {
    for (reply, stream) in pairs() {
        let told = follow(&reply, &[stream.as_bytes()], End::Clean);

        let usage = told.usage.unwrap();
        assert_eq!(
            (told.fault, told.started, told.text.as_str()),
            (None, true, "one two"),
            "{told:?}"
        );
        assert_eq!((usage.input_tokens, usage.output_tokens), (Some(4), Some(6)));
        assert!((5..=6).contains(&told.content_events), "{told:?}");
    }
}

#[test]
fn a_chat_streams_as_messages() {
    let told = follow(&pairs()[3].0, &[chat_stream().as_bytes()], End::Clean);

    let kinds: Vec<_> =
        values(&told.out).iter().map(|v| v["type"].as_str().unwrap().to_owned()).collect();
    let block = |deltas: usize| {
        let mut kinds = vec!["content_block_start"];
        kinds.extend(std::iter::repeat_n("content_block_delta", deltas));
        kinds.push("content_block_stop");
        kinds
    };
    let expected = [
        vec!["message_start"],
        block(1),
        block(2),
        block(2),
        vec!["message_delta", "message_stop"],
    ]
    .concat();
    assert_eq!(kinds, expected);
    let ending = &values(&told.out)[kinds.len() - 2];
    assert_eq!(
        (&ending["delta"]["stop_reason"], &ending["usage"]),
        (&json!("tool_use"), &json!({"input_tokens": 4, "output_tokens": 6}))
    );
    assert!(told.out.starts_with("event: message_start\ndata: {"));
}

#[test]
fn messages_stream_as_a_chat() {
    let told = follow(&pairs()[1].0, &[messages_stream().as_bytes()], End::Clean);

    let values = values(&told.out);
    let deltas: Vec<_> =
        values.iter().filter_map(|v| v["choices"].get(0)).map(|c| c["delta"].clone()).collect();
    assert_eq!(
        deltas,
        [
            json!({"role": "assistant", "content": ""}),
            json!({"reasoning_content": "hm"}),
            json!({"content": "one "}),
            json!({"content": "two"}),
            json!({"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": {"name": "look", "arguments": ""}}]}),
            json!({"tool_calls": [{"index": 0, "function": {"arguments": "{\"a\":"}}]}),
            json!({"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]}),
            json!({}),
        ]
    );
    assert_eq!(values.last().unwrap(), "[DONE]");
    let usage = &values[values.len() - 2];
    assert_eq!((&usage["choices"], &usage["usage"]["prompt_tokens"]), (&json!([]), &json!(4)));
    assert_eq!(values[values.len() - 3]["choices"][0]["finish_reason"], "tool_calls");
}

#[test]
fn a_chat_streams_as_a_response() {
    let told = follow(&pairs()[4].0, &[chat_stream().as_bytes()], End::Clean);

    let values = values(&told.out);
    let kinds: Vec<_> = values.iter().map(|v| v["type"].as_str().unwrap()).collect();
    assert_eq!(
        kinds,
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.content_part.added",
            "response.reasoning_text.delta",
            "response.reasoning_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.output_item.added",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.done",
            "response.output_item.done",
            "response.completed",
        ]
    );
    let numbers: Vec<_> = values.iter().map(|v| v["sequence_number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (0..values.len() as u64).collect::<Vec<_>>());
    let last = &values.last().unwrap()["response"];
    assert_eq!(last["output"][1]["content"][0]["text"], "one two");
    assert_eq!(last["output"][2]["arguments"], "{\"a\":1}");
    assert_eq!(
        (&last["status"], &last["usage"]["total_tokens"]),
        (&json!("completed"), &json!(10))
    );
}

#[test]
fn the_same_dialect_streams_untouched_to_the_byte() {
    let told = follow(&pairs()[2].0, &[messages_stream().as_bytes()], End::Clean);

    assert_eq!(told.out, messages_stream());
}

/// The caller sees no beginning that the upstream does not live up to.
#[test]
fn nothing_starts_before_real_content() {
    let overloaded = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"m\"}}\n\n";
    let start = messages_stream().split_inclusive("\n\n").take(2).collect::<String>();
    for at in [1, 2, 5] {
        let told = follow(&pairs()[at].0, &[start.as_bytes(), overloaded.as_bytes()], End::Clean);

        assert!(!told.started);
        assert_eq!(told.fault, Some(FaultCode::UpstreamError));
    }
}

#[test]
fn an_early_end_is_an_error_in_every_pair_and_never_looks_whole() {
    for (reply, stream) in pairs() {
        let whole = follow(&reply, &[stream.as_bytes()], End::Clean);
        let events: Vec<_> = stream.split_inclusive("\n\n").collect();
        let last = events
            .iter()
            .position(|e| e.contains("\"tool_calls\"}") || e.contains("message_delta"));
        let end = events
            .iter()
            .position(|e| e.contains("\"finish_reason\":\"tool_calls\""))
            .or(last)
            .unwrap();
        for count in 0..end {
            let cut = events[..count].concat();
            for ending in [End::Clean, End::Cut] {
                let told = follow(&reply, &[cut.as_bytes()], ending);

                assert_eq!(told.fault, Some(FaultCode::UpstreamCut), "{count} {told:?}");
                assert!(whole.out.starts_with(&told.out));
            }
        }
    }
}

#[test]
fn a_stream_that_cannot_go_on_ends_in_an_error_of_the_callers_dialect() {
    let error = ErrorBody {
        status: 502,
        code: "upstream_cut",
        title: "t",
        detail: "it broke",
        fix: None,
        param: None,
        request_id: Some("req_1"),
        retry_after_s: None,
    };
    let ends = pairs().into_iter().map(|(reply, stream)| {
        let mut follower = reply.follow(false, stamp);
        let half = stream.find("two").unwrap();
        follower.feed(Bytes::copy_from_slice(&stream.as_bytes()[..half]));
        String::from_utf8(follower.fail(&error).to_vec()).unwrap()
    });
    let ends: Vec<_> = ends.collect();

    assert!(ends[0].starts_with("data: {\"error\":{\"message\":\"It broke.\""), "{ends:?}");
    assert_eq!(ends[1], ends[0]);
    assert!(
        ends[2].starts_with(
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\""
        ),
        "{ends:?}"
    );
    assert_eq!(ends[3], ends[2]);
    for end in &ends[4..] {
        let values = values(end);
        assert_eq!(
            (&values[0]["type"], &values[0]["response"]["status"]),
            (&json!("response.failed"), &json!("failed"))
        );
        assert_eq!(
            (&values[1]["type"], &values[1]["error"]["code"]),
            (&json!("error"), &json!("upstream_cut"))
        );
    }
}

#[test]
fn a_response_passes_untouched_and_is_metered() {
    let request = response(&json!({"model": "m", "input": "x", "stream": true}));
    let receiver = Receiver { quirks: Quirks::of(&["responses"]), ..CHAT };
    let reply = request.for_target(&receiver).unwrap().reply;
    // What we write for others serves as the vendor's own.
    let stream = follow(&pairs()[4].0, &[chat_stream().as_bytes()], End::Clean).out;

    let told = follow(&reply, &[stream.as_bytes()], End::Clean);

    let usage = told.usage.unwrap();
    assert_eq!((told.out, told.text.as_str()), (stream, "hmone two{\"a\":1}"));
    assert_eq!((usage.input_tokens, usage.output_tokens), (Some(4), Some(6)));
}

proptest! {
    /// Where chunks begin and end is the network's business.
    #[test]
    fn chunk_boundaries_change_nothing_in_any_pair(
        pair in 0_usize..6,
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let (reply, stream) = pairs().swap_remove(pair);
        let mut at: Vec<_> = cuts.iter().map(|c| c.index(stream.len() + 1)).collect();
        at.extend([0, stream.len()]);
        at.sort_unstable();
        let chunks: Vec<&[u8]> = at.windows(2).map(|w| &stream.as_bytes()[w[0]..w[1]]).collect();

        prop_assert_eq!(
            follow(&reply, &chunks, End::Clean),
            follow(&reply, &[stream.as_bytes()], End::Clean)
        );
    }

    /// What was said in one dialect says the same after a trip through the other.
    #[test]
    fn a_conversation_survives_the_trip_there_and_back(
        turns in prop::collection::vec((".{1,12}", ".{1,12}", any::<bool>()), 1..4),
        system in proptest::option::of(".{1,8}"),
        bound in 1_u64..5_000,
        stop in prop::collection::vec("[a-z]{1,4}", 0..3),
    ) {
        let mut told: Vec<Value> = Vec::new();
        told.extend(system.map(|text| json!({"role": "system", "content": text})));
        for (at, (asked, said, calls)) in turns.iter().enumerate() {
            told.push(json!({"role": "user", "content": asked}));
            let id = format!("call_{at}");
            if *calls {
                let function = json!({"name": "f", "arguments": json!({"x": said}).to_string()});
                told.push(json!({"role": "assistant", "content": said,
                    "tool_calls": [{"id": id, "type": "function", "function": function}]}));
                told.push(json!({"role": "tool", "tool_call_id": id, "content": asked}));
            }
            if !*calls {
                told.push(json!({"role": "assistant", "content": said}));
            }
        }
        let mut body = json!({"model": "m", "messages": told, "max_tokens": bound});
        if !stop.is_empty() {
            body["stop"] = json!(stop);
        }

        let (_, there) = sent(&chat(&body), &MESSAGES);
        let (_, mut back) = sent(&messages(&there), &CHAT);

        back["model"] = json!("m");
        prop_assert_eq!(back, body);
    }

    #[test]
    fn foreign_bytes_never_panic(
        pair in 0_usize..6,
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..6),
    ) {
        let (reply, _) = pairs().swap_remove(pair);
        let mut follower = reply.follow(true, stamp);
        for chunk in chunks {
            follower.feed(Bytes::from(chunk));
        }
        let _ = follower.finish(End::Clean);
    }
}
