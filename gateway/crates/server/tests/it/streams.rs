//! Streams: passed on untouched, metered, and honest about how they ended.

use serde_json::{Value, json};
use towpath_testkit::{Ended as Upstream, Fault, Script};
use towpath_wire::usage::{CountedBy, Ended};

use crate::support::client::Answer;
use crate::support::{World, streamed, tables};

/// The `data:` lines of a stream, `[DONE]` as a string.
fn events(answer: &Answer) -> Vec<Value> {
    let text = answer.text();
    let lines = text.lines().filter_map(|line| line.strip_prefix("data: "));
    lines.map(|data| serde_json::from_str(data).unwrap_or_else(|_| json!(data))).collect()
}

fn gated(point: &str) -> Script {
    let gates = [(point.to_owned(), "gate".to_owned())].into();
    Script { gates, ..Script::default() }
}

#[tokio::test]
async fn a_stream_ends_with_done_and_without_the_usage_nobody_asked_for() {
    let world = World::simple().await;
    let answer = world.gateway.stream(&streamed("m")).await.rest().await;
    let record = world.control.record(answer.id()).await;
    let events = events(&answer);

    assert_eq!(answer.header("content-type"), "text/event-stream; charset=utf-8");
    assert_eq!(answer.header("x-accel-buffering"), "no");
    assert_eq!(events.last().unwrap(), "[DONE]");
    assert!(events.iter().all(|event| event["usage"].is_null()), "{events:?}");
    assert!(events.iter().all(|event| event["choices"] != json!([])), "{events:?}");
    assert_eq!((record.ended, record.stream), (Ended::Complete, true));
    assert_eq!((record.input_tokens, record.output_tokens), (Some(3), Some(8)));
    assert_eq!(record.counted_by, CountedBy::Upstream);
    assert!(record.first_byte_ms.is_some());
}

#[tokio::test]
async fn usage_that_was_asked_for_comes_before_done() {
    let world = World::simple().await;
    let mut body = streamed("m");
    body["stream_options"] = json!({"include_usage": true});
    let answer = world.gateway.stream(&body).await.rest().await;
    let events = events(&answer);
    let usage = &events[events.len() - 2];

    assert_eq!(events.last().unwrap(), "[DONE]");
    assert_eq!((&usage["choices"], &usage["usage"]["completion_tokens"]), (&json!([]), &json!(8)));
}

#[tokio::test]
async fn each_event_leaves_as_it_comes() {
    let world = World::simple().await;
    world.upstream.script("m", gated("token:4"));
    let mut head = world.gateway.stream(&streamed("m")).await;
    let mut seen = String::new();
    while !seen.contains("t3") {
        seen.push_str(&String::from_utf8_lossy(&head.chunk().await.unwrap()));
    }
    world.upstream.release("gate");
    let rest = head.rest().await;

    assert!(rest.text().contains("t7") && rest.text().ends_with("data: [DONE]\n\n"));
}

#[tokio::test]
async fn a_stream_in_flight_is_in_the_journal_and_not_yet_shipped() {
    let world = World::simple().await;
    world.upstream.script("m", gated("token:4"));
    let mut head = world.gateway.stream(&streamed("m")).await;
    head.chunk().await.unwrap();
    let figures = world.gateway.get("/metrics").await.text();
    world.upstream.release("gate");
    let answer = head.rest().await;

    assert!(figures.contains("towpath_gateway_journal_open_records 1\n"), "{figures}");
    assert_eq!(world.control.record(answer.id()).await.ended, Ended::Complete);
}

#[tokio::test]
async fn a_caller_that_leaves_cancels_the_upstream_and_is_recorded_with_what_was_sent() {
    let world = World::simple().await;
    world.upstream.script("m", gated("token:4"));
    let mut head = world.gateway.stream(&streamed("m")).await;
    let id = head.headers["x-request-id"].to_str().unwrap().to_owned();
    let mut seen = String::new();
    while !seen.contains("t3") {
        seen.push_str(&String::from_utf8_lossy(&head.chunk().await.unwrap()));
    }
    drop(head);
    world.upstream.wait_until(|seen, _| seen[0].ended == Upstream::ClientGone).await;
    let record = world.control.record(&id).await;

    assert_eq!((record.ended, record.status), (Ended::ClientGone, Some(200)));
    assert_eq!((record.output_tokens, record.counted_by), (Some(4), CountedBy::Gateway));
}

#[tokio::test]
async fn a_caller_that_leaves_before_the_first_byte_cancels_the_upstream_too() {
    let world = World::simple().await;
    world.upstream.script("m", gated("headers"));
    let body = streamed("m");
    let request = world.gateway.stream(&body);
    tokio::select! {
        _ = request => panic!("nothing was released"),
        () = world.upstream.wait_until(|seen, _| seen.len() == 1) => {}
    }
    world.upstream.wait_until(|seen, _| seen[0].ended == Upstream::ClientGone).await;
    world.control.wait_until(|control| !control.records().is_empty()).await;
    let record = &world.control.records()[0];

    assert_eq!((record.ended, record.status), (Ended::ClientGone, None));
    assert_eq!((record.attempts, record.output_tokens), (1, None));
}

#[tokio::test]
async fn a_cut_stream_ends_with_an_error_event_and_without_done() {
    for fault in [
        Fault::Cut { after: 3 },
        Fault::CutInChunk { after: 3 },
        Fault::ResetAfter { after: 3 },
        Fault::NoFinish,
    ] {
        let world = World::simple().await;
        world.upstream.script("m", Script::fault(fault.clone()));
        let answer = world.gateway.stream(&streamed("m")).await.rest().await;
        let record = world.control.record(answer.id()).await;
        let events = events(&answer);
        let last = events.last().unwrap();

        assert_eq!(last["error"]["code"], "upstream_cut", "{fault:?}: {events:?}");
        assert!(!answer.text().contains("[DONE]"), "{fault:?}");
        assert_eq!((record.ended, record.status), (Ended::UpstreamCut, Some(200)), "{fault:?}");
        assert_eq!(record.error_code.as_deref(), Some("upstream_cut"));
        assert!(record.output_tokens.unwrap() >= 3);
    }
}

#[tokio::test]
async fn an_error_event_in_mid_stream_ends_it() {
    for fault in [Fault::ErrorEventAfter { after: 3 }, Fault::BadEvent { after: 3 }] {
        let world = World::simple().await;
        world.upstream.script("m", Script::fault(fault.clone()));
        let answer = world.gateway.stream(&streamed("m")).await.rest().await;
        let record = world.control.record(answer.id()).await;
        let events = events(&answer);

        assert!(events.last().unwrap()["error"]["code"].is_string(), "{fault:?}: {events:?}");
        assert!(!answer.text().contains("[DONE]"));
        assert!(matches!(record.ended, Ended::Error | Ended::UpstreamCut), "{:?}", record.ended);
    }
}

#[tokio::test]
async fn a_missing_done_is_added_to_a_whole_stream() {
    let world = World::simple().await;
    world.upstream.script("m", Script::fault(Fault::NoDone));
    let answer = world.gateway.stream(&streamed("m")).await.rest().await;
    let record = world.control.record(answer.id()).await;

    assert!(answer.text().ends_with("data: [DONE]\n\n"), "{}", answer.text());
    assert_eq!(record.ended, Ended::Complete);
}

#[tokio::test]
async fn a_stream_that_falls_silent_ends_with_a_timeout() {
    let timeouts = json!({"timeouts": {"connect_ms": 1000, "first_byte_ms": 5000, "silence_ms": 100, "total_ms": 9000}});
    let world = World::with(&[], |base| {
        vec![tables::target("m", base, &json!({})), tables::endpoint("m", &timeouts)]
    })
    .await;
    world.upstream.script("m", Script::fault(Fault::Stall { after: 3 }));
    let answer = world.gateway.stream(&streamed("m")).await.rest().await;
    let record = world.control.record(answer.id()).await;
    let events = events(&answer);

    assert_eq!(events.last().unwrap()["error"]["code"], "upstream_timeout");
    assert_eq!((record.ended, record.output_tokens), (Ended::Timeout, Some(3)));
    world.upstream.wait_until(|seen, _| seen[0].ended == Upstream::ClientGone).await;
}

#[tokio::test]
async fn events_of_a_stream_that_comes_in_splinters_stay_whole() {
    let world = World::simple().await;
    world.upstream.script("m", Script { split_bytes: Some(7), ..Script::default() });
    let answer = world.gateway.stream(&streamed("m")).await.rest().await;

    assert_eq!(events(&answer).last().unwrap(), "[DONE]");
    assert_eq!(world.control.record(answer.id()).await.output_tokens, Some(8));
}

#[tokio::test]
async fn streamed_tokens_that_are_not_reported_are_counted() {
    let world = World::simple().await;
    world
        .upstream
        .script("m", Script { usage: towpath_testkit::UsageReport::Missing, ..Script::default() });
    let answer = world.gateway.stream(&streamed("m")).await.rest().await;
    let record = world.control.record(answer.id()).await;

    assert_eq!((record.output_tokens, record.counted_by), (Some(8), CountedBy::Gateway));
}
