//! What the scripted upstream does wrong, and how it is told apart.

use http::StatusCode;
use towpath_testkit::FakeUpstream;
use towpath_upstream::{Address, Call, Expect, Phase, Reply, UpstreamError};
use towpath_wire::routing::Timeouts;

use crate::stage::{PATIENT, SHORT_MS, address, get, pool, post};

fn stream(model: &str) -> String {
    format!(
        r#"{{"model":"{model}","messages":[{{"role":"user","content":"x"}}],"max_tokens":8,"stream":true}}"#
    )
}

async fn ask(upstream: &FakeUpstream, model: &str) -> Result<Reply, UpstreamError> {
    let timeouts = Timeouts { first_byte_ms: 10 * SHORT_MS, silence_ms: SHORT_MS, ..PATIENT };
    let body = towpath_upstream::Payload::Whole(stream(model).into());
    let call = Call { timeouts, expect: Expect::Events, body, ..post("/v1/chat/completions", "") };
    pool().send(&address(upstream.base_url()), call).await
}

/// The error that ends a stream, and what came before it.
async fn broken(upstream: &FakeUpstream, model: &str) -> (usize, UpstreamError) {
    let mut reply = ask(upstream, model).await.unwrap();
    assert_eq!(reply.status, StatusCode::OK);
    let mut bytes = 0;
    loop {
        match reply.body.chunk().await.expect("an error, not an end") {
            Ok(chunk) => bytes += chunk.len(),
            Err(error) => return (bytes, error),
        }
        reply.body.first_event_seen();
    }
}

#[tokio::test]
async fn nobody_listening_is_no_connection() {
    let refused = FakeUpstream::refusing().unwrap();

    let error = pool().send(&address(&refused), get("/")).await.unwrap_err();

    assert!(matches!(error, UpstreamError::Connect(_)), "{error:?}");
    assert_eq!((error.code(), error.retryable()), ("upstream_unavailable", true));
}

#[tokio::test]
async fn a_socket_that_is_not_there_is_no_connection() {
    let folder = tempfile::tempdir().unwrap();
    let missing = format!("unix:{}/none.sock", folder.path().display());

    let error = pool().send(&Address::parse(&missing, "").unwrap(), get("/")).await.unwrap_err();

    assert!(matches!(error, UpstreamError::Connect(_)), "{error:?}");
}

#[tokio::test]
async fn an_upstream_that_closes_or_resets_without_an_answer_is_a_cut() {
    let upstream = FakeUpstream::start().await.unwrap();
    for model in ["fake-close", "fake-reset"] {
        let error = ask(&upstream, model).await.unwrap_err();

        assert!(matches!(error, UpstreamError::Cut { received_bytes: 0 }), "{model}: {error:?}");
        assert_eq!((error.code(), error.retryable()), ("upstream_error", true));
    }
}

#[tokio::test]
async fn an_upstream_that_never_answers_times_out() {
    let upstream = FakeUpstream::start().await.unwrap();

    let error = ask(&upstream, "fake-silence").await.unwrap_err();

    assert!(matches!(error, UpstreamError::Timeout { phase: Phase::FirstByte, .. }), "{error:?}");
    upstream.wait_until(|_, counts| counts.client_gone == 1).await;
}

#[tokio::test]
async fn a_stream_that_stalls_times_out() {
    let upstream = FakeUpstream::start().await.unwrap();

    let (bytes, error) = broken(&upstream, "fake-stall").await;

    assert!(matches!(error, UpstreamError::Timeout { phase: Phase::Silence, .. }), "{error:?}");
    assert!(bytes > 0);
    upstream.wait_until(|_, counts| counts.client_gone == 1).await;
}

#[tokio::test]
async fn a_stream_that_is_cut_or_reset_is_never_a_clean_end() {
    let upstream = FakeUpstream::start().await.unwrap();
    for model in ["fake-cut", "fake-cut-in-chunk", "fake-reset-after"] {
        let (_, error) = broken(&upstream, model).await;

        assert!(matches!(error, UpstreamError::Cut { received_bytes: 1.. }), "{model}: {error:?}");
        assert_eq!(error.code(), "upstream_cut");
    }
}

#[tokio::test]
async fn a_redirect_a_huge_header_and_an_old_protocol_are_told_apart() {
    let upstream = FakeUpstream::start().await.unwrap();

    let redirect = ask(&upstream, "fake-redirect").await.unwrap_err();
    let huge = ask(&upstream, "fake-huge-header").await.unwrap_err();
    let old = ask(&upstream, "fake-http10").await.unwrap();

    assert!(matches!(redirect, UpstreamError::Redirect { .. }), "{redirect:?}");
    assert!(matches!(huge, UpstreamError::Protocol(_)), "{huge:?}");
    assert!(!old.body.collect(1 << 20).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_error_status_is_an_answer() {
    let upstream = FakeUpstream::start().await.unwrap();

    let reply = ask(&upstream, "fake-429-later").await.unwrap();

    assert_eq!(reply.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(reply.headers[http::header::RETRY_AFTER], "7");
}
