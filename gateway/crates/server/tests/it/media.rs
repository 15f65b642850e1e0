//! Rankings and transcripts: passed through, metered, tried again and refused as every other call.

use http::Method;
use serde_json::{Value, json};
use towpath_testkit::{Fault, Script, UsageReport};
use towpath_wire::routing::Operation;
use towpath_wire::usage::{CountedBy, Ended};

use crate::support::client::{Answer, Head};
use crate::support::{World, tables};

const KIND: &str = "multipart/form-data; boundary=----b0undary";

fn ranking(model: &str) -> Value {
    json!({
        "model": model, "query": "red fox", "top_n": 2,
        "documents": ["a red house", {"text": "the red fox"}, "nothing"],
    })
}

/// A form with these fields after a file of so many bytes, which are no text.
fn form(size: usize, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut body = b"------b0undary\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\nContent-Type: audio/wav\r\n\r\n".to_vec();
    body.extend((0..size).map(|at| if at % 2 == 0 { 0xff } else { b'\n' }));
    for (name, value) in fields {
        let part = format!(
            "\r\n------b0undary\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}"
        );
        body.extend_from_slice(part.as_bytes());
    }
    body.extend_from_slice(b"\r\n------b0undary--\r\n");
    body
}

async fn begin(world: &World, body: Vec<u8>) -> Head {
    let headers = [("authorization", "Bearer tp_sandbox_good"), ("content-type", KIND)];
    world.gateway.send(Method::POST, "/v1/audio/transcriptions", &headers, body).await
}

async fn transcribe(world: &World, fields: &[(&str, &str)]) -> Answer {
    begin(world, form(2_500, fields)).await.rest().await
}

/// An endpoint `m` on the models `one`, and where that fails `two`, under the names their servers have.
async fn world(endpoint: Value) -> World {
    World::with(&[("body_max_bytes", 100_000)], |base| {
        let target = |name: &str| {
            let changes = json!({
                "upstream_model": format!("up-{name}"), "operations": ["rerank", "transcriptions"],
            });
            tables::target(name, base, &changes)
        };
        let mut routed = json!({
            "targets": [{"target": "dep_one", "weight": 1}], "fallback": [{"target": "dep_two"}],
        });
        for (field, value) in endpoint.as_object().unwrap() {
            routed[field] = value.clone();
        }
        vec![target("one"), target("two"), tables::endpoint("m", &routed)]
    })
    .await
}

fn failing(code: u16) -> Script {
    Script { fault: Some(Fault::Status { code, retry_after: None }), ..Script::default() }
}

#[tokio::test]
async fn a_ranking_passes_and_what_was_read_is_recorded() {
    let world = world(json!({})).await;
    let answer = world.gateway.post("/v1/rerank", &ranking("m")).await;
    let record = world.control.record(answer.id()).await;

    assert_eq!(answer.status, 200, "{}", answer.text());
    let results = answer.json()["results"].clone();
    assert_eq!(
        results,
        json!([{"index": 1, "relevance_score": 1.0}, {"index": 0, "relevance_score": 0.5}])
    );
    assert_eq!(answer.header("x-towpath-target"), "one");
    assert_eq!((record.operation, record.ended), (Operation::Rerank, Ended::Complete));
    assert_eq!((record.input_tokens, record.output_tokens), (Some(3 * 2 + 3 + 3 + 1), None));
    assert_eq!((record.counted_by, record.cost_nano), (CountedBy::Upstream, Some(13 * 20)));
    let seen = &world.upstream.requests()[0];
    assert_eq!((seen.path.as_str(), seen.model.as_deref()), ("/v1/rerank", Some("up-one")));
}

/// Without usage the gateway counts what was read by what it has learned: nothing was written.
#[tokio::test]
async fn a_ranking_without_usage_is_counted_by_the_gateway() {
    let world = world(json!({})).await;
    world.upstream.script("up-one", Script { usage: UsageReport::Missing, ..Script::default() });
    let answer = world.gateway.post("/v1/rerank", &ranking("m")).await;
    let record = world.control.record(answer.id()).await;

    assert_eq!(record.counted_by, CountedBy::Gateway);
    assert_eq!(record.output_tokens, None);
    assert!(record.input_tokens.is_some_and(|tokens| tokens > 5), "{record:?}");
}

#[tokio::test]
async fn a_ranking_falls_back_and_a_wrong_one_is_refused_by_name() {
    let world = world(json!({})).await;
    world.upstream.script("up-one", failing(500));
    let answer = world.gateway.post("/v1/rerank", &ranking("m")).await;
    let refused = world.gateway.post("/v1/rerank", &json!({"model": "m", "query": "q"})).await;

    assert_eq!((answer.status.as_u16(), answer.header("x-towpath-target")), (200, "two"));
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (400, "missing_field"));
    assert_eq!(refused.json()["error"]["param"], "documents");
}

#[tokio::test]
async fn a_transcript_passes_and_what_was_heard_and_written_is_recorded() {
    let world = world(json!({})).await;
    let answer = transcribe(&world, &[("model", "m"), ("language", "en")]).await;
    let record = world.control.record(answer.id()).await;

    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["text"], "t0 t1 t2 t3 t4 t5 t6 t7 ");
    assert_eq!((record.operation, record.ended), (Operation::Transcriptions, Ended::Complete));
    assert_eq!((record.input_tokens, record.audio_input_tokens), (Some(25), Some(25)));
    assert_eq!((record.output_tokens, record.counted_by), (Some(8), CountedBy::Upstream));
    assert_eq!(record.cost_nano, Some(25 * 20 + 8 * 80));
    let seen = &world.upstream.requests()[0];
    assert_eq!(seen.path, "/v1/audio/transcriptions");
    assert_eq!((seen.model.as_deref(), seen.input_tokens), (Some("up-one"), 25));
    assert!(seen.headers.iter().any(|(name, value)| name == "content-type" && value == KIND));
}

#[tokio::test]
async fn the_formats_that_are_no_json_pass_as_text_and_are_counted_by_the_gateway() {
    let world = world(json!({})).await;
    let answer = transcribe(&world, &[("model", "m"), ("response_format", "text")]).await;
    let record = world.control.record(answer.id()).await;

    assert_eq!(answer.text(), "t0 t1 t2 t3 t4 t5 t6 t7 ");
    assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!((record.input_tokens, record.counted_by), (None, CountedBy::Gateway));
    assert!(record.output_tokens.is_some_and(|tokens| tokens > 0));
}

/// A length of sound is no count of tokens: the gateway counts those of the text.
#[tokio::test]
async fn a_transcript_reported_in_seconds_is_counted_by_the_gateway() {
    let world = world(json!({})).await;
    world.upstream.script("up-one", Script { usage: UsageReport::Seconds, ..Script::default() });
    for format in ["json", "verbose_json"] {
        let answer = transcribe(&world, &[("model", "m"), ("response_format", format)]).await;
        let record = world.control.record(answer.id()).await;

        assert_eq!(answer.json()["usage"]["seconds"], 3);
        assert_eq!((record.input_tokens, record.counted_by), (None, CountedBy::Gateway));
        assert!(record.output_tokens.is_some_and(|tokens| tokens > 0), "{format}");
    }
}

#[tokio::test]
async fn a_transcript_is_streamed_and_counted() {
    let world = world(json!({})).await;
    let answer = transcribe(&world, &[("model", "m"), ("stream", "true")]).await;
    let record = world.control.record(answer.id()).await;

    assert!(answer.whole);
    assert!(answer.header("content-type").starts_with("text/event-stream"));
    assert_eq!(answer.text().matches("transcript.text.delta").count(), 8);
    assert!(answer.text().contains("transcript.text.done"));
    assert!(record.stream);
    assert_eq!((record.input_tokens, record.output_tokens), (Some(25), Some(8)));
    assert_eq!((record.counted_by, record.ended), (CountedBy::Upstream, Ended::Complete));
}

#[tokio::test]
async fn a_stream_that_breaks_ends_in_an_error_event() {
    let world = world(json!({})).await;
    let cut = Script { fault: Some(Fault::Cut { after: 3 }), ..Script::default() };
    world.upstream.script("up-one", cut);
    let answer = transcribe(&world, &[("model", "m"), ("stream", "true")]).await;
    let record = world.control.record(answer.id()).await;

    assert_eq!(answer.text().matches("transcript.text.delta").count(), 3);
    assert!(!answer.text().contains("transcript.text.done"));
    assert!(answer.text().contains("\"error\""), "{}", answer.text());
    assert_eq!((record.ended, record.output_tokens), (Ended::UpstreamCut, Some(3)));
    assert_eq!(record.counted_by, CountedBy::Gateway);
}

/// What is sent again is the same form, but for the name that each server has for the model.
#[tokio::test]
async fn a_form_is_sent_again_whole_under_each_targets_name() {
    for script in [
        failing(503),
        Script { fault: Some(Fault::Reset), ..Script::default() },
        Script { fault: Some(Fault::ErrorBody), ..Script::default() },
        Script { fault: Some(Fault::Html), ..Script::default() },
    ] {
        let world = world(json!({})).await;
        world.upstream.script("up-one", script);
        let fields = [("temperature", "0.5"), ("model", "m"), ("prompt", "Dr. No")];
        let answer = transcribe(&world, &fields).await;
        let record = world.control.record(answer.id()).await;

        assert_eq!((answer.status.as_u16(), answer.header("x-towpath-target")), (200, "two"));
        assert!(record.attempts >= 2);
        let seen = world.upstream.requests();
        let sent = |model: &str| {
            let fields = [("temperature", "0.5"), ("model", model), ("prompt", "Dr. No")];
            String::from_utf8_lossy(&form(2_500, &fields)).into_owned()
        };
        let (last, first) = (seen.last().unwrap(), seen.first().unwrap());
        assert_eq!(last.body, sent("up-two"));
        assert_eq!(first.body, sent("up-one"));
    }
}

#[tokio::test]
async fn what_is_no_form_is_refused_by_name_and_nothing_is_called() {
    let world = world(json!({})).await;
    let send = async |kind: &str, body: Vec<u8>| {
        let headers = [("authorization", "Bearer tp_sandbox_good"), ("content-type", kind)];
        let path = "/v1/audio/transcriptions";
        world.gateway.send(Method::POST, path, &headers, body).await.rest().await
    };
    let whole = form(100, &[("model", "m")]);
    let cut = whole[..whole.len() - 30].to_vec();
    let long = "x".repeat(5_000);
    let cases = [
        (send("application/json", b"{}".to_vec()).await, "invalid_field", "multipart/form-data"),
        (send("multipart/form-data", whole.clone()).await, "invalid_field", "boundary"),
        (send("multipart/form-data; boundary=x", whole).await, "invalid_form", "boundary"),
        (send(KIND, cut).await, "invalid_form", "ends in the"),
        (send(KIND, form(100, &[(&long, "x")])).await, "invalid_form", "head is larger than 4096"),
        (send(KIND, form(100, &[])).await, "missing_field", "`model` is missing"),
        (send(KIND, form(0, &[("model", "m")])).await, "invalid_field", "`file` is empty"),
        (send(KIND, form(9, &[("model", "m"), ("model", "n")])).await, "invalid_field", "twice"),
    ];
    for (answer, code, said) in cases {
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (400, code),
            "{}",
            answer.text()
        );
        assert!(answer.message().contains(said), "{}", answer.text());
    }
    let large = begin(&world, form(100_001, &[("model", "m")])).await.rest().await;
    assert_eq!((large.status.as_u16(), large.code().as_str()), (413, "body_too_large"));
    assert_eq!(world.upstream.counts().requests, 0);
}

#[tokio::test]
async fn a_caller_who_goes_away_cancels_and_is_recorded() {
    let world = world(json!({})).await;
    let gates = [("token:2".to_owned(), "open".to_owned())].into();
    world.upstream.script("up-one", Script { gates, ..Script::default() });
    let mut head = begin(&world, form(2_500, &[("model", "m"), ("stream", "true")])).await;
    let id = head.headers["x-request-id"].to_str().unwrap().to_owned();
    head.chunk().await.unwrap();
    drop(head);
    world.upstream.wait_until(|_, counts| counts.client_gone == 1).await;
    let record = world.control.record(&id).await;

    assert_eq!((record.ended, record.operation), (Ended::ClientGone, Operation::Transcriptions));
}

#[tokio::test]
async fn keys_and_endpoints_that_do_not_name_the_operation_refuse_it() {
    let world = World::with(&[], |base| {
        vec![
            tables::target("m", base, &json!({})),
            tables::endpoint("m", &json!({})),
            tables::key_with("key_2", "tp_sandbox_chats", &json!({"operations": ["chat"]})),
        ]
    })
    .await;
    let unsupported = world.gateway.post("/v1/rerank", &ranking("m")).await;
    let denied = world.gateway.post_as("tp_sandbox_chats", "/v1/rerank", &ranking("m")).await;
    let form = transcribe(&world, &[("model", "m")]).await;

    assert_eq!(unsupported.code(), "unsupported_operation");
    assert_eq!(form.code(), "unsupported_operation");
    assert_eq!((denied.status.as_u16(), denied.code().as_str()), (403, "permission_denied"));
}

/// A hard budget in tokens takes a file only if there is room for the longest speech it can hold.
#[tokio::test]
async fn a_hard_budget_is_not_overrun_by_sound() {
    let world = World::with(&[], |base| {
        let budget = json!({
            "subject": {"project": "prj_1"}, "label": "project triage", "tokens": 100,
            "period": "month", "mode": "hard",
        });
        vec![
            tables::target("m", base, &json!({"operations": ["transcriptions"]})),
            tables::endpoint("m", &json!({})),
            tables::entity("budget", "bud_1", &budget),
        ]
    })
    .await;
    let taken = transcribe(&world, &[("model", "m")]).await;
    let record = world.control.record(taken.id()).await;
    let refused = begin(&world, form(50_000, &[("model", "m")])).await.rest().await;

    assert_eq!(taken.status, 200, "{}", taken.text());
    assert_eq!((record.input_tokens, record.output_tokens), (Some(25), Some(8)));
    assert_eq!(refused.status, 429);
    assert_eq!(world.upstream.counts().requests, 1);
}
