//! The upstream as a client sees it, byte by byte.

use std::io::ErrorKind;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::script::{Fault, UsageReport};

/// What came back on one connection, and how it ended.
struct Answer {
    text: String,
    reset: bool,
}

impl Answer {
    fn status(&self) -> u16 {
        self.text.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0)
    }

    fn json(&self) -> Value {
        let (_, body) = self.text.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap()
    }

    /// The `data:` lines, in order.
    fn events(&self) -> Vec<&str> {
        self.text.lines().filter_map(|line| line.strip_prefix("data: ")).collect()
    }
}

async fn connect(upstream: &FakeUpstream) -> TcpStream {
    let address = upstream.base_url().strip_prefix("http://").unwrap();
    TcpStream::connect(address).await.unwrap()
}

fn post(path: &str, headers: &str, body: &Value) -> String {
    let body = body.to_string();
    format!(
        "POST {path} HTTP/1.1\r\nhost: fake\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Send one request and read until the upstream closes, or until the answer's end is seen.
async fn ask(upstream: &FakeUpstream, request: &str) -> Answer {
    let mut stream = connect(upstream).await;
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    let mut reset = false;
    while !is_whole(&bytes) {
        match stream.read_buf(&mut bytes).await {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) => {
                reset = error.kind() == ErrorKind::ConnectionReset;
                break;
            }
        }
    }
    Answer { text: String::from_utf8_lossy(&bytes).into_owned(), reset }
}

fn is_whole(bytes: &[u8]) -> bool {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return false };
    let (head, body) = (String::from_utf8_lossy(&bytes[..end]), &bytes[end + 4..]);
    match head.lines().find_map(|line| line.strip_prefix("content-length: ")) {
        Some(length) => length.parse() == Ok(body.len()),
        None => body.ends_with(b"0\r\n\r\n"),
    }
}

fn chat(model: &str, stream: bool) -> Value {
    json!({
        "model": model,
        "messages": [{"role": "user", "content": "three words here"}],
        "stream": stream,
        "stream_options": {"include_usage": true},
    })
}

async fn chat_with(upstream: &FakeUpstream, stream: bool, script: &Value) -> Answer {
    let header = format!("x-fake-script: {script}\r\n");
    ask(upstream, &post("/v1/chat/completions", &header, &chat("fake", stream))).await
}

#[tokio::test]
async fn a_chat_is_answered_with_foretold_counts() {
    let upstream = FakeUpstream::start().await.unwrap();

    let answer = ask(&upstream, &post("/v1/chat/completions", "", &chat("fake", false))).await;

    let body = answer.json();
    assert_eq!(
        body["usage"],
        json!({"prompt_tokens": 3, "completion_tokens": 8, "total_tokens": 11})
    );
    assert_eq!(body["choices"][0]["message"]["content"], "t0 t1 t2 t3 t4 t5 t6 t7 ");
    let seen = upstream.requests().remove(0);
    assert_eq!((seen.input_tokens, seen.output_tokens, seen.status), (3, 8, Some(200)));
}

#[tokio::test]
async fn a_stream_ends_with_usage_and_done_when_asked() {
    let upstream = FakeUpstream::start().await.unwrap();

    let answer = chat_with(&upstream, true, &json!({"tokens": 2})).await;

    let events = answer.events();
    let parsed: Vec<Value> =
        events.iter().filter_map(|event| serde_json::from_str(event).ok()).collect();
    assert_eq!(events.last(), Some(&"[DONE]"));
    assert_eq!(parsed.len(), 5);
    assert_eq!(parsed[1]["choices"][0]["delta"]["content"], "t0 ");
    assert!(parsed[1]["usage"].is_null() && parsed[1].get("usage").is_some());
    assert_eq!(parsed[3]["choices"][0]["finish_reason"], "stop");
    assert_eq!(parsed[4]["choices"], json!([]));
    assert_eq!(parsed[4]["usage"]["completion_tokens"], 2);
}

#[tokio::test]
async fn usage_is_left_out_where_the_script_says_so() {
    let upstream = FakeUpstream::start().await.unwrap();

    let answer =
        ask(&upstream, &post("/v1/chat/completions", "", &chat("fake-no-usage", true))).await;

    assert!(!answer.text.contains(r#""usage":"#));
    assert_eq!(answer.events().last(), Some(&"[DONE]"));
}

#[tokio::test]
async fn faults_end_an_answer_as_they_say() {
    let upstream = FakeUpstream::start().await.unwrap();
    let cut = chat_with(&upstream, true, &json!({"fault": {"cut": {"after": 2}}})).await;
    let in_chunk =
        chat_with(&upstream, true, &json!({"fault": {"cut_in_chunk": {"after": 2}}})).await;
    let reset = chat_with(&upstream, true, &json!({"fault": {"reset_after": {"after": 2}}})).await;
    let at_once = chat_with(&upstream, true, &json!({"fault": "reset"})).await;
    let no_done = chat_with(&upstream, true, &json!({"fault": "no_done"})).await;
    let error = chat_with(&upstream, true, &json!({"fault": "error_event"})).await;
    let bad = chat_with(&upstream, true, &json!({"fault": {"bad_event": {"after": 1}}})).await;

    assert!(cut.text.ends_with("\n\n\r\n") && !cut.reset && cut.text.contains("t1"));
    assert!(!in_chunk.text.ends_with("\r\n") && in_chunk.text.contains("t1"));
    assert!(reset.reset && at_once.reset && at_once.text.is_empty());
    assert!(!no_done.text.contains("[DONE]") && no_done.text.ends_with("0\r\n\r\n"));
    assert!(error.events()[0].starts_with(r#"{"error""#));
    assert!(serde_json::from_str::<Value>(bad.events().last().unwrap()).is_err());
    upstream.wait_until(|_, counts| counts.ended() == 7).await;
    let ended: Vec<Ended> = upstream.requests().iter().map(|seen| seen.ended).collect();
    assert_eq!(
        ended,
        [Ended::Cut, Ended::Cut, Ended::Cut, Ended::Cut, Ended::Whole, Ended::Whole, Ended::Whole]
    );
}

#[tokio::test]
async fn bodies_and_heads_are_spoilt_as_the_script_says() {
    let upstream = FakeUpstream::start().await.unwrap();
    let later = chat_with(
        &upstream,
        false,
        &json!({"fault": {"status": {"code": 429, "retry_after": "7"}}}),
    )
    .await;
    let html = chat_with(&upstream, false, &json!({"fault": "html"})).await;
    let error = chat_with(&upstream, false, &json!({"fault": "error_body"})).await;
    let old = chat_with(&upstream, false, &json!({"fault": "http10"})).await;
    let huge =
        chat_with(&upstream, false, &json!({"fault": {"huge_header": {"bytes": 100_000}}})).await;
    let moved =
        chat_with(&upstream, false, &json!({"fault": {"redirect": {"location": "/x"}}})).await;
    let gzip = chat_with(&upstream, false, &json!({"fault": "gzip"})).await;

    assert!(later.status() == 429 && later.text.contains("retry-after: 7\r\n"));
    assert!(html.status() == 200 && html.text.contains("content-type: text/html\r\n"));
    assert!(error.status() == 200 && error.json()["error"]["code"] == "scripted");
    assert!(old.text.starts_with("HTTP/1.0 200") && old.text.ends_with('}'));
    assert!(huge.text.len() > 100_000);
    assert!(moved.status() == 307 && moved.text.contains("location: /x\r\n"));
    assert!(gzip.text.contains("content-encoding: gzip\r\n"));
}

#[tokio::test]
async fn a_gate_holds_an_answer_until_it_is_released() {
    let upstream = FakeUpstream::start().await.unwrap();
    let gates =
        Script { gates: [("token:1".to_owned(), "g".to_owned())].into(), ..Script::default() };
    upstream.script("fake", gates);
    let request = post("/v1/chat/completions", "", &chat("fake", true));

    let asked = ask(&upstream, &request);
    let held = async {
        upstream
            .wait_until(|seen, _| seen.iter().any(|s| s.waiting_at.as_deref() == Some("g")))
            .await;
        let produced = upstream.requests()[0].output_tokens;
        upstream.release("g");
        produced
    };
    let (answer, produced) = tokio::join!(asked, held);

    assert_eq!(produced, 1);
    assert_eq!(answer.events().last(), Some(&"[DONE]"));
}

#[tokio::test]
async fn a_client_that_goes_away_is_noticed() {
    let upstream = FakeUpstream::start().await.unwrap();
    let mut stream = connect(&upstream).await;
    let request =
        post("/v1/chat/completions", "x-request-id: req_7\r\n", &chat("fake-stall", true));
    stream.write_all(request.as_bytes()).await.unwrap();
    upstream.wait_until(|seen, _| seen.iter().any(|s| s.output_tokens == 3)).await;

    drop(stream);
    upstream.wait_until(|_, counts| counts.client_gone == 1).await;

    let seen = upstream.requests().remove(0);
    assert_eq!((seen.id.as_deref(), seen.ended), (Some("req_7"), Ended::ClientGone));
}

#[tokio::test]
async fn a_queued_script_applies_as_often_as_it_says() {
    let upstream = FakeUpstream::start().await.unwrap();
    let fails = Script::fault(Fault::Status { code: 503, retry_after: None });
    upstream.script_next("fake", fails, 2);
    let request = post("/v1/chat/completions", "", &chat("fake", false));

    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(ask(&upstream, &request).await.status());
    }

    assert_eq!(statuses, [503, 503, 200]);
}

#[tokio::test]
async fn connections_are_kept_and_numbered() {
    let upstream = FakeUpstream::start().await.unwrap();
    let mut stream = connect(&upstream).await;
    let request = post("/v1/embeddings", "", &json!({"model": "fake", "input": ["a b", "c"]}));
    for _ in 0..2 {
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        while !is_whole(&bytes) {
            assert!(stream.read_buf(&mut bytes).await.unwrap() > 0);
        }
    }

    let connections: Vec<u64> = upstream.requests().iter().map(|seen| seen.connection).collect();
    assert_eq!(connections, [1, 1]);
    assert_eq!(upstream.counts().input_tokens, 6);
}

#[tokio::test]
async fn embeddings_are_the_same_in_both_encodings() {
    let upstream = FakeUpstream::start().await.unwrap();
    let body = |format| json!({"model": "fake", "input": "a b", "dimensions": 2, "encoding_format": format});
    let floats = ask(&upstream, &post("/v1/embeddings", "", &body("float"))).await.json();
    let coded = ask(&upstream, &post("/v1/embeddings", "", &body("base64"))).await.json();

    assert_eq!(floats["data"][0]["embedding"].as_array().unwrap().len(), 2);
    assert_eq!(coded["data"][0]["embedding"].as_str().unwrap().len(), 12);
    assert_eq!(floats["usage"], json!({"prompt_tokens": 2, "total_tokens": 2}));
}

#[tokio::test]
async fn a_kserve_model_checks_its_inputs_and_answers_by_its_signature() {
    let upstream = FakeUpstream::start().await.unwrap();
    let input = |data: Value, shape: Value| json!({"inputs": [{"name": "text", "datatype": "BYTES", "shape": shape, "data": data}]});
    let right = post("/v2/models/m/infer", "", &input(json!(["a b", "c"]), json!([2, 1])));
    let wrong = post("/v2/models/m/infer", "", &input(json!(["a"]), json!([2, 1])));

    let (right, wrong) = (ask(&upstream, &right).await, ask(&upstream, &wrong).await);

    let body = right.json();
    assert_eq!(body["outputs"][0]["data"], json!(["label-0", "label-1"]));
    assert_eq!(body["outputs"][1]["data"], json!([0.5, 1.5]));
    assert_eq!(body["parameters"]["input_tokens"], 3);
    assert_eq!((wrong.status(), wrong.json()["error"].is_string()), (400, true));
}

#[tokio::test]
async fn a_test_in_another_process_has_the_same_controls() {
    let upstream = FakeUpstream::start().await.unwrap();
    let set = json!({"model": "m", "script": {"usage": "missing"}, "times": 1});
    let refused = json!({"model": "m", "script": {"falut": "cut"}});
    let set = ask(&upstream, &post("/__script", "", &set)).await;
    let refused = ask(&upstream, &post("/__script", "", &refused)).await;
    let answer = ask(&upstream, &post("/v1/chat/completions", "", &chat("m", false))).await;
    let waited = ask(&upstream, "GET /__wait?ended=1 HTTP/1.1\r\n\r\n").await;
    let listed = ask(&upstream, "GET /__requests?model=m HTTP/1.1\r\n\r\n").await;

    assert_eq!((set.status(), refused.status()), (200, 400));
    assert!(refused.json()["error"].as_str().unwrap().contains("falut"));
    assert_eq!(answer.json().get("usage"), None);
    assert_eq!(waited.json()["reached"], true);
    assert_eq!(listed.json()["requests"][0]["ended"], "whole");
    assert_eq!(listed.json()["counts"]["requests"], 1);
}

#[tokio::test]
async fn a_wrong_bearer_is_refused() {
    let upstream = FakeUpstream::start().await.unwrap();
    upstream.require_bearer("secret");
    let request = |bearer: &str| {
        let header = format!("authorization: Bearer {bearer}\r\n");
        post("/v1/chat/completions", &header, &chat("fake", false))
    };

    let statuses = (
        ask(&upstream, &request("wrong")).await.status(),
        ask(&upstream, &request("secret")).await.status(),
    );

    assert_eq!(statuses, (401, 200));
}

#[tokio::test]
async fn it_listens_on_a_unix_socket_too() {
    let dir = tempfile::tempdir().unwrap();
    let address = format!("unix:{}", dir.path().join("s").display());
    let upstream = FakeUpstream::listen(&address).await.unwrap();
    let mut stream = UnixStream::connect(dir.path().join("s")).await.unwrap();

    stream.write_all(b"GET /health HTTP/1.1\r\n\r\n").await.unwrap();
    let mut bytes = Vec::new();
    while !is_whole(&bytes) {
        assert!(stream.read_buf(&mut bytes).await.unwrap() > 0);
    }

    assert_eq!(upstream.base_url(), address);
    assert!(bytes.starts_with(b"HTTP/1.1 200 OK\r\n"));
}

#[tokio::test]
async fn small_chunks_carry_the_same_stream() {
    let upstream = FakeUpstream::start().await.unwrap();
    let script = Script { split_bytes: Some(3), usage: UsageReport::Unasked, ..Script::default() };
    upstream.script("fake", script);

    let answer = ask(&upstream, &post("/v1/chat/completions", "", &chat("fake", true))).await;

    let body = answer.text.split_once("\r\n\r\n").unwrap().1;
    let sizes: Vec<&str> = body.split("\r\n").step_by(2).collect();
    assert!(sizes.iter().all(|size| ["", "0", "1", "2", "3"].contains(size)));
}

#[tokio::test]
async fn every_model_named_for_a_fault_has_its_answer_end() {
    let upstream = FakeUpstream::start().await.unwrap();
    let waits = ["fake-silence", "fake-stall", "fake-whitespace"];
    let names =
        crate::named().into_iter().map(|(name, _)| name).filter(|name| !waits.contains(name));

    let mut asked = 0;
    for name in names {
        for stream in [false, true] {
            ask(&upstream, &post("/v1/chat/completions", "", &chat(name, stream))).await;
            asked += 1;
        }
    }

    upstream.wait_until(|_, counts| counts.ended() == asked).await;
    assert_eq!(upstream.counts().client_gone, 0);
}
