use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::errors::FaultCode;

const PASS: StreamRules = StreamRules { usage: UsageChunk::Pass, choices: 1, keep_text: false };
const STRIP: StreamRules = StreamRules { usage: UsageChunk::Strip, choices: 1, keep_text: false };

/// What a caller would have received, and how it ended.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    out: String,
    fault: Option<UpstreamFault>,
    usage: Option<Usage>,
    content_events: u64,
}

fn tell(rules: StreamRules, chunks: &[&[u8]], end: End) -> Told {
    let mut meter = StreamMeter::new(rules);
    let mut out = Vec::new();
    let mut fault = None;
    for chunk in chunks {
        let fed = meter.feed(Bytes::copy_from_slice(chunk));
        out.extend_from_slice(&fed.out);
        fault = fed.fault;
        if fault.is_some() || fed.done {
            break;
        }
    }
    if fault.is_none() {
        match meter.finish(end) {
            Ok(last) => out.extend_from_slice(&last),
            Err(found) => fault = Some(found),
        }
    }
    let out = String::from_utf8(out).unwrap();
    Told { out, fault, usage: meter.usage(), content_events: meter.content_events() }
}

fn event(value: &Value) -> String {
    format!("data: {value}\n\n")
}

fn delta(index: u32, text: &str) -> String {
    event(
        &json!({"choices": [{"index": index, "delta": {"content": text}, "finish_reason": null}]}),
    )
}

fn finish(index: u32) -> String {
    event(&json!({"choices": [{"index": index, "delta": {}, "finish_reason": "stop"}]}))
}

fn usage_chunk() -> String {
    event(&json!({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}))
}

fn whole() -> String {
    let role =
        event(&json!({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}));
    [role, delta(0, "Hel"), delta(0, "lo"), finish(0), usage_chunk(), "data: [DONE]\n\n".into()]
        .concat()
}

#[test]
fn a_whole_stream_passes_untouched_and_is_counted() {
    let stream = whole();

    let told = tell(PASS, &[stream.as_bytes()], End::Clean);

    let usage = Usage { input_tokens: Some(3), output_tokens: Some(2), ..Usage::default() };
    let expected = Told { out: stream, fault: None, usage: Some(usage), content_events: 2 };
    assert_eq!(told, expected);
}

#[test]
fn chunks_of_whole_events_are_passed_without_a_copy() {
    let chunk = Bytes::from(delta(0, "a") + &delta(0, "b"));
    let mut meter = StreamMeter::new(STRIP);

    let fed = meter.feed(chunk.clone());

    assert_eq!((fed.out.as_ptr(), fed.out.len()), (chunk.as_ptr(), chunk.len()));
}

#[test]
fn usage_that_only_the_gateway_asked_for_is_read_and_taken_out() {
    let expected = whole().replace(&usage_chunk(), "");

    let told = tell(STRIP, &[whole().as_bytes()], End::Clean);

    assert_eq!(told.out, expected);
    assert_eq!(told.usage.and_then(|u| u.output_tokens), Some(2));
}

#[test]
fn null_usage_is_taken_out_of_every_chunk_wherever_it_stands() {
    let choice = r#""choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]"#;
    let cases = [
        (format!(r#"{{"id":"x",{choice},"usage":null}}"#), format!(r#"{{"id":"x",{choice}}}"#)),
        (format!(r#"{{{choice} , "usage" : null , "x":1}}"#), format!(r#"{{{choice} , "x":1}}"#)),
        (format!(r#"{{"usage":null,{choice}}}"#), format!(r#"{{{choice}}}"#)),
        (format!(r#"{{ "usage":{{"prompt_tokens":1}} , {choice}}}"#), format!(r#"{{ {choice}}}"#)),
    ];
    for (sent, expected) in cases {
        let told = tell(STRIP, &[format!("data: {sent}\n\n").as_bytes()], End::Clean);

        assert_eq!(told.out, format!("data: {expected}\n\ndata: [DONE]\n\n"));
    }
}

#[test]
fn a_missing_done_is_added_to_a_stream_that_is_whole() {
    let told = tell(PASS, &[delta(0, "a").as_bytes(), finish(0).as_bytes()], End::Clean);

    assert_eq!(told.out, delta(0, "a") + &finish(0) + "data: [DONE]\n\n");
}

#[test]
fn a_last_event_may_lack_its_blank_line() {
    let told = tell(PASS, &[finish(0).as_bytes(), b"data: [DONE]"], End::Clean);

    assert_eq!((told.out, told.fault), (finish(0) + "data: [DONE]\n\n", None));
}

#[test]
fn an_early_end_is_an_error_and_never_done() {
    let text = delta(0, "a");
    let end_of_choice = finish(0);
    let both = delta(0, "a") + &delta(1, "b") + &finish(0);
    let cases: [(&[&[u8]], u32, End, &str); 6] = [
        (
            &[text.as_bytes()],
            1,
            End::Clean,
            "the model's server ended before the answer was finished",
        ),
        (
            &[text.as_bytes()],
            1,
            End::Cut,
            "the model's server broke off in the middle of the answer",
        ),
        (
            &[end_of_choice.as_bytes()],
            1,
            End::Cut,
            "the model's server broke off in the middle of the answer",
        ),
        (
            &[end_of_choice.as_bytes()],
            2,
            End::Clean,
            "the model's server ended before the answer was finished",
        ),
        (&[], 1, End::Clean, "the model's server ended without an answer"),
        (
            &[both.as_bytes(), b"data: [DONE]\n\n"],
            2,
            End::Clean,
            "the model's server ended before the answer was finished",
        ),
    ];
    for (chunks, choices, end, expected) in cases {
        let told = tell(StreamRules { choices, ..PASS }, chunks, end);

        let fault = told.fault.unwrap();
        assert_eq!((fault.code, fault.message.as_str()), (FaultCode::UpstreamCut, expected));
        assert!(!told.out.contains("[DONE]"));
    }
}

#[test]
fn done_decides_where_fewer_choices_came_than_were_asked_for() {
    let rules = StreamRules { choices: 3, ..PASS };
    let stream = delta(0, "a") + &finish(0) + "data: [DONE]\n\n";

    assert_eq!(tell(rules, &[stream.as_bytes()], End::Clean).out, stream);
}

#[test]
fn a_broken_event_ends_the_stream_after_what_was_good() {
    let first = delta(0, "a");
    for broken in ["data: {\"choices\":[\n\n", "data: oops\n\n", "data: 5\n\n", "data: {} {}\n\n"] {
        let told = tell(PASS, &[(first.clone() + broken + &finish(0)).as_bytes()], End::Clean);

        assert_eq!(told.out, first);
        assert_eq!(told.fault.unwrap().message, "the model's server sent a broken event");
    }
    let told = tell(PASS, &[b"data: {\"x\":\"\xff\"}\n\n"], End::Clean);
    assert_eq!(told.fault.unwrap().message, "the model's server sent a broken event");
}

#[test]
fn an_error_as_the_first_event_is_seen_before_the_status_goes_out() {
    let mut meter = StreamMeter::new(PASS);

    let fed = meter.feed(Bytes::from_static(
        b": hello\n\ndata: {\"error\":{\"message\":\"out of memory\",\"code\":503}}\n\n",
    ));

    assert!(!meter.started());
    assert_eq!(fed.out, ": hello\n\n");
    assert_eq!(fed.fault.unwrap().status, 503);
    assert!(meter.finish(End::Clean).is_err());
}

#[test]
fn an_error_in_the_middle_ends_the_stream() {
    let told = tell(
        PASS,
        &[delta(0, "a").as_bytes(), b"event: error\ndata: {\"error\":\"x\"}\n\n"],
        End::Clean,
    );

    assert_eq!((told.out, told.fault.unwrap().status), (delta(0, "a"), 502));
}

#[test]
fn comments_names_and_carriage_returns_pass() {
    let stream = ": ping\r\n\r\nevent: x\r\nid: 1\r\ndata:{\"choices\":[{\"index\":0,\"finish_reason\":\"stop\",\"text\":\"a\"}]}\r\n\r\n\r\n";

    let told = tell(PASS, &[stream.as_bytes()], End::Clean);

    assert_eq!((told.out, told.content_events), (format!("{stream}data: [DONE]\n\n"), 1));
}

#[test]
fn data_on_several_lines_is_one_text() {
    let stream =
        "data: {\"choices\":\ndata: [{\"index\":0,\"finish_reason\":\"stop\"}],\"usage\":null}\n\n";

    let told = tell(STRIP, &[stream.as_bytes()], End::Clean);

    assert_eq!((told.out, told.fault), (format!("{stream}data: [DONE]\n\n"), None));
}

#[test]
fn what_follows_done_is_not_passed() {
    let stream = finish(0) + "data: [DONE]\n\n";

    let told = tell(PASS, &[(stream.clone() + &delta(0, "late")).as_bytes()], End::Clean);

    assert_eq!(told.out, stream);
}

#[test]
fn what_the_first_choice_says_is_kept_on_demand() {
    let stream = delta(0, "a\n\u{e9}") + &delta(1, "b") + &delta(0, "c") + &finish(0);
    let text = |keep_text| {
        let mut meter = StreamMeter::new(StreamRules { keep_text, ..STRIP });
        stream.as_bytes().chunks(5).for_each(|chunk| {
            meter.feed(Bytes::copy_from_slice(chunk));
        });
        meter.text().to_owned()
    };

    assert_eq!((text(true), text(false)), ("a\n\u{e9}c".to_owned(), String::new()));
}

#[test]
fn an_event_without_end_is_given_up() {
    let mut meter = StreamMeter::new(PASS);
    let chunk = Bytes::from(vec![b'x'; 64 * 1024]);
    let mut fed = meter.feed(chunk.clone());
    let mut bytes = chunk.len();
    while fed.fault.is_none() {
        fed = meter.feed(chunk.clone());
        bytes += chunk.len();
    }

    assert_eq!(fed.fault.unwrap().message, "the model's server sent an event without end");
    assert!(bytes <= MAX_EVENT_BYTES + chunk.len());
}

#[test]
fn choices_beyond_any_bound_are_refused() {
    let told = tell(PASS, &[delta(u32::MAX, "x").as_bytes()], End::Clean);

    assert_eq!(told.fault.unwrap().code, FaultCode::UpstreamError);
}

/// Events of all kinds, good and bad.
fn events() -> impl Strategy<Value = Vec<String>> {
    let text = (0_u32..3, ".{0,6}").prop_map(|(i, t)| delta(i, &t));
    let one = prop_oneof![
        6 => text,
        2 => (0_u32..3).prop_map(finish),
        1 => Just(usage_chunk()),
        1 => Just(event(&json!({"choices": [{"index": 0, "delta": {"content": "n"}}], "usage": null}))),
        1 => Just(": comment\n\n".to_owned()),
        1 => Just("\n".to_owned()),
        1 => Just("event: x\r\ndata: {\"choices\":[]}\r\n\r\n".to_owned()),
        1 => Just("data: [DONE]\n\n".to_owned()),
        1 => Just("data: {broken\n\n".to_owned()),
        1 => Just(event(&json!({"error": {"message": "no"}}))),
    ];
    prop::collection::vec(one, 0..12)
}

/// The rules once more, on whole events with a real JSON parser.
fn reference(rules: StreamRules, events: &[String], end: End) -> (String, bool) {
    let mut out = String::new();
    let (mut seen, mut finished) =
        (std::collections::BTreeSet::new(), std::collections::BTreeSet::new());
    let mut done = false;
    for event in events {
        let data = event.lines().find_map(|l| l.strip_prefix("data: "));
        let Some(data) = data else {
            out.push_str(event);
            continue;
        };
        if data == "[DONE]" {
            done = true;
            break;
        }
        let Ok(mut value) = serde_json::from_str::<Value>(data) else { return (out, false) };
        if value.get("error").is_some() {
            return (out, false);
        }
        for choice in value["choices"].as_array().into_iter().flatten() {
            seen.insert(choice["index"].to_string());
            if !choice["finish_reason"].is_null() {
                finished.insert(choice["index"].to_string());
            }
        }
        let strip = rules.usage == UsageChunk::Strip && value.get("usage").is_some();
        if strip && value["usage"].is_object() {
            continue;
        }
        if strip {
            value.as_object_mut().unwrap().remove("usage");
            out.push_str(&super::tests::event(&value));
        } else {
            out.push_str(event);
        }
    }
    let whole = !seen.is_empty() && seen == finished;
    let enough = done || seen.len() >= rules.choices as usize;
    if whole && enough && (done || end == End::Clean) {
        out.push_str("data: [DONE]\n\n");
        (out, true)
    } else {
        (out, false)
    }
}

proptest! {
    #[test]
    fn the_meter_does_what_a_naive_reader_would(
        events in events(),
        strip: bool,
        choices in 1_u32..3,
        cut: bool,
    ) {
        let usage = if strip { UsageChunk::Strip } else { UsageChunk::Pass };
        let rules = StreamRules { usage, choices, keep_text: false };
        let end = if cut { End::Cut } else { End::Clean };

        let told = tell(rules, &[events.concat().as_bytes()], end);

        prop_assert_eq!((told.out, told.fault.is_none()), reference(rules, &events, end));
    }

    /// Where chunks begin and end is the network's business.
    #[test]
    fn chunk_boundaries_change_nothing(
        events in events(),
        strip: bool,
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let usage = if strip { UsageChunk::Strip } else { UsageChunk::Pass };
        let rules = StreamRules { usage, choices: 1, keep_text: false };
        let stream = events.concat();
        let mut at: Vec<_> = cuts.iter().map(|c| c.index(stream.len() + 1)).collect();
        at.extend([0, stream.len()]);
        at.sort_unstable();
        let chunks: Vec<&[u8]> = at.windows(2).map(|w| &stream.as_bytes()[w[0]..w[1]]).collect();

        prop_assert_eq!(
            tell(rules, &chunks, End::Clean),
            tell(rules, &[stream.as_bytes()], End::Clean)
        );
    }

    #[test]
    fn foreign_bytes_never_panic(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..6)) {
        let mut meter = StreamMeter::new(STRIP);
        for chunk in chunks {
            meter.feed(Bytes::from(chunk));
        }
        let _ = meter.finish(End::Clean);
    }
}

#[test]
fn whose_turn_it_is_alone_is_no_beginning() {
    let mut meter = StreamMeter::new(STRIP);
    let opening = r#"data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"#
        .to_owned()
        + "\n\n";
    let filter = "data: {\"choices\":[],\"prompt_filter_results\":[]}\n\n";
    let word = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n";

    for (event, started) in [(opening.as_str(), false), (filter, false), (word, true)] {
        assert_eq!(meter.feed(Bytes::from(event.to_owned())).out, event);
        assert_eq!(meter.started(), started, "{event}");
    }
}
