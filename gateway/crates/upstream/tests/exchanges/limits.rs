//! The four time limits and the size limits.

use bytes::Bytes;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use towpath_upstream::{Call, Expect, Phase, UpstreamError};
use towpath_wire::routing::Timeouts;

use crate::stage::{PATIENT, SHORT_MS, Stage, get, gone, pool, request, say};

const HEAD: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

fn timed_out(error: &UpstreamError) -> Option<(Phase, u32)> {
    match error {
        UpstreamError::Timeout { phase, limit_ms } => Some((*phase, *limit_ms)),
        _ => None,
    }
}

/// A server that says this and then nothing more.
async fn says(text: &'static str) -> Stage {
    Stage::open(move |_, mut stream: TcpStream| async move {
        request(&mut stream).await;
        say(&mut stream, text).await;
        gone(&mut stream).await;
    })
    .await
}

#[tokio::test]
async fn connecting_has_a_limit() {
    // The connection stands, but nobody answers the handshake.
    let stage = Stage::open(|_, mut stream| async move { gone(&mut stream).await }).await;
    let address = stage.address.to_string().replace("http:", "https:");
    let timeouts = Timeouts { connect_ms: SHORT_MS, ..PATIENT };

    let call = Call { timeouts, ..get("/") };
    let error = pool().send(&crate::stage::address(&address), call).await.unwrap_err();

    assert_eq!(timed_out(&error), Some((Phase::Connect, SHORT_MS)));
    assert_eq!((error.code(), error.retryable()), ("upstream_unavailable", true));
}

#[tokio::test]
async fn the_first_byte_has_a_limit() {
    let stage = says("").await;
    let timeouts = Timeouts { first_byte_ms: SHORT_MS, ..PATIENT };

    let error = pool().send(&stage.address, Call { timeouts, ..get("/") }).await.unwrap_err();

    assert_eq!(timed_out(&error), Some((Phase::FirstByte, SHORT_MS)));
    assert_eq!((error.code(), error.retryable()), ("upstream_timeout", true));
}

#[tokio::test]
async fn on_streams_the_first_byte_is_the_first_event() {
    let stage =
        says("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n8\r\n: wait\n\n\r\n").await;
    let timeouts = Timeouts { first_byte_ms: SHORT_MS, ..PATIENT };
    let call = Call { timeouts, expect: Expect::Events, ..get("/") };
    let mut reply = pool().send(&stage.address, call).await.unwrap();
    assert_eq!(reply.body.chunk().await.unwrap().unwrap(), ": wait\n\n");

    let error = reply.body.chunk().await.unwrap().unwrap_err();

    assert_eq!(timed_out(&error), Some((Phase::FirstByte, SHORT_MS)));
}

#[tokio::test]
async fn silence_has_a_limit_once_the_first_event_was_seen() {
    let stage =
        says("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n8\r\ndata: 1\n\r\n").await;
    let timeouts = Timeouts { silence_ms: SHORT_MS, ..PATIENT };
    let call = Call { timeouts, expect: Expect::Events, ..get("/") };
    let mut reply = pool().send(&stage.address, call).await.unwrap();
    assert!(reply.body.chunk().await.unwrap().is_ok());

    reply.body.first_event_seen();
    let error = reply.body.chunk().await.unwrap().unwrap_err();

    assert_eq!(timed_out(&error), Some((Phase::Silence, SHORT_MS)));
}

#[tokio::test]
async fn silence_counts_from_the_head_of_a_plain_answer() {
    let stage = says(HEAD).await;
    let timeouts = Timeouts { silence_ms: SHORT_MS, ..PATIENT };
    let reply = pool().send(&stage.address, Call { timeouts, ..get("/") }).await.unwrap();

    let error = reply.body.collect(1024).await.unwrap_err();

    assert_eq!(timed_out(&error), Some((Phase::Silence, SHORT_MS)));
}

/// A stream that never pauses for long still ends when the whole has taken too long.
#[tokio::test]
async fn the_whole_has_a_limit_however_lively_it_is() {
    let stage = Stage::open(|_, mut stream| async move {
        request(&mut stream).await;
        say(&mut stream, HEAD).await;
        let mut tick = tokio::time::interval(std::time::Duration::from_millis(5));
        while stream.writable().await.is_ok() {
            tick.tick().await;
            if tokio::io::AsyncWriteExt::write_all(&mut stream, b"1\r\nx\r\n").await.is_err() {
                return;
            }
        }
    })
    .await;
    let timeouts = Timeouts { total_ms: 4 * SHORT_MS, silence_ms: 2_000, ..PATIENT };
    let mut reply = pool().send(&stage.address, Call { timeouts, ..get("/") }).await.unwrap();

    let error = loop {
        if let Err(error) = reply.body.chunk().await.unwrap() {
            break error;
        }
    };

    assert_eq!(timed_out(&error), Some((Phase::Total, 4 * SHORT_MS)));
    assert!(!error.retryable());
}

#[tokio::test]
async fn a_timeout_closes_the_connection() {
    let (event, mut events) = mpsc::channel(1);
    let stage = Stage::open(move |_, mut stream| {
        let event = event.clone();
        async move {
            request(&mut stream).await;
            gone(&mut stream).await;
            event.send(()).await.unwrap();
        }
    })
    .await;
    let timeouts = Timeouts { first_byte_ms: SHORT_MS, ..PATIENT };
    let pool = pool();

    assert!(pool.send(&stage.address, Call { timeouts, ..get("/") }).await.is_err());

    events.recv().await.unwrap();
    assert_eq!(pool.idle_connections(), 0);
}

#[tokio::test]
async fn answers_beyond_the_size_limit_are_refused_with_and_without_a_length() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n12345678",
        "HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n1",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\n1234\r\n4\r\n5678\r\n0\r\n\r\n",
    ] {
        let stage = says(answer).await;
        let reply = pool().send(&stage.address, get("/")).await.unwrap();

        let error = reply.body.collect(7).await.unwrap_err();

        assert!(matches!(error, UpstreamError::TooLarge { limit_bytes: 7 }), "{error:?}");
    }
}

#[tokio::test]
async fn an_answer_of_exactly_the_limit_is_taken() {
    let stage = says(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\n1234\r\n4\r\n5678\r\n0\r\n\r\n",
    )
    .await;
    let reply = pool().send(&stage.address, get("/")).await.unwrap();

    assert_eq!(reply.body.collect(8).await.unwrap(), Bytes::from("12345678"));
}
