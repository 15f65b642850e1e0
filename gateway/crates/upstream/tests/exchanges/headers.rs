//! What goes out and what comes in besides the body.

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http_body_util::StreamBody;
use tokio::sync::mpsc;
use towpath_upstream::{Address, Call, Expect, Payload, UpstreamError};

use crate::stage::{OK, Stage, get, gone, pool, post, request, say};

/// A stage that shows what it was asked.
async fn mirror() -> (Stage, mpsc::Receiver<String>) {
    let (seen, requests) = mpsc::channel(8);
    let stage = Stage::open(move |_, mut stream| {
        let seen = seen.clone();
        async move {
            seen.send(request(&mut stream).await).await.unwrap();
            say(&mut stream, OK).await;
            gone(&mut stream).await;
        }
    })
    .await;
    (stage, requests)
}

#[tokio::test]
async fn a_request_carries_prefix_host_and_length_and_asks_for_plain_text() {
    let (stage, mut requests) = mirror().await;
    let host = stage.address.to_string().replace("http://", "");
    let address = Address::parse(&format!("{}/base/v1/", stage.address), "").unwrap();

    pool().send(&address, post("/chat/completions?x=1", "hello")).await.unwrap();

    let expected = format!(
        "POST /base/v1/chat/completions?x=1 HTTP/1.1\r\nhost: {host}\r\naccept-encoding: identity\r\ncontent-length: 5\r\n\r\nhello"
    );
    assert_eq!(requests.recv().await.unwrap(), expected);
}

#[tokio::test]
async fn headers_of_the_callers_connection_stay_behind() {
    let (stage, mut requests) = mirror().await;
    let mut call = get("/");
    for (name, value) in [
        ("connection", "keep-alive, x-hop"),
        ("x-hop", "1"),
        ("keep-alive", "timeout=5"),
        ("te", "trailers"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("host", "evil.example"),
        ("content-length", "99"),
        ("accept-encoding", "br"),
        ("x-kept", "yes"),
    ] {
        call.headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }

    pool().send(&stage.address, call).await.unwrap();

    let head = requests.recv().await.unwrap();
    let host = stage.address.to_string().replace("http://", "");
    let mut lines: Vec<_> = head.trim_end().lines().collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        ["GET / HTTP/1.1", "accept-encoding: br", &format!("host: {host}"), "x-kept: yes"]
    );
}

#[tokio::test]
async fn headers_of_the_upstreams_connection_stay_behind() {
    let stage = Stage::open(|_, mut stream| async move {
        request(&mut stream).await;
        say(
            &mut stream,
            "HTTP/1.1 200 OK\r\nconnection: keep-alive, x-hop\r\nx-hop: 1\r\nkeep-alive: timeout=5\r\ncontent-length: 0\r\nx-kept: yes\r\n\r\n",
        )
        .await;
        gone(&mut stream).await;
    })
    .await;

    let reply = pool().send(&stage.address, get("/")).await.unwrap();

    let mut names: Vec<_> = reply.headers.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["content-length", "x-kept"]);
}

#[tokio::test]
async fn redirects_are_not_followed_but_may_be_relayed() {
    let stage = Stage::open(|_, mut stream| async move {
        while !request(&mut stream).await.is_empty() {
            say(
                &mut stream,
                "HTTP/1.1 307 x\r\nlocation: http://evil.example/\r\ncontent-length: 0\r\n\r\n",
            )
            .await;
        }
    })
    .await;
    let pool = pool();

    let refused = pool.send(&stage.address, get("/")).await.unwrap_err();
    let relayed = Call { expect: Expect::Anything, ..get("/") };
    let relayed = pool.send(&stage.address, relayed).await.unwrap();

    assert!(matches!(refused, UpstreamError::Redirect { status: 307 }), "{refused:?}");
    assert_eq!(relayed.headers[header::LOCATION], "http://evil.example/");
}

#[tokio::test]
async fn a_head_that_is_too_large_or_no_head_is_a_protocol_error() {
    let heads = [
        format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(200_000)),
        format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(200)),
        "SSH-2.0-OpenSSH\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n".to_owned(),
    ];
    for head in heads {
        let start: String = head.chars().take(40).collect();
        let stage = Stage::open(move |_, mut stream| {
            let head = head.clone();
            async move {
                request(&mut stream).await;
                say(&mut stream, &head).await;
                gone(&mut stream).await;
            }
        })
        .await;

        let error = pool().send(&stage.address, get("/")).await.err();

        assert!(matches!(error, Some(UpstreamError::Protocol(_))), "{start}: {error:?}");
    }
}

#[tokio::test]
async fn a_path_that_is_none_is_refused_before_anything_is_sent() {
    let (stage, _requests) = mirror().await;
    for path in ["", "x", "@evil.example/", "/a b", "/a\r\nx: y"] {
        let error = pool().send(&stage.address, get(path)).await.unwrap_err();

        assert!(matches!(error, UpstreamError::Path(_)), "{path}: {error:?}");
    }
    assert_eq!(stage.accepted(), 0);
}

#[tokio::test]
async fn a_streamed_body_is_relayed_as_it_comes() {
    let (stage, mut requests) = mirror().await;
    let (chunk, chunks) = mpsc::channel(1);
    let mut chunks = chunks;
    let frames = futures(move |cx| chunks.poll_recv(cx));
    let body = Payload::Streamed(Box::pin(StreamBody::new(frames)));
    let call = Call { body, expect: Expect::Anything, ..post("/", "") };
    let pool = pool();

    let feed = async move {
        for part in ["hel", "lo"] {
            let frame = http_body::Frame::data(Bytes::from_static(part.as_bytes()));
            chunk.send(Ok(frame)).await.unwrap();
        }
    };
    let (reply, ()) = tokio::join!(pool.send(&stage.address, call), feed);

    assert_eq!(reply.unwrap().body.collect(10).await.unwrap(), "ok");
    let sent = requests.recv().await.unwrap();
    assert!(sent.ends_with("\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"), "{sent}");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_the_callers_fault() {
    let (stage, _requests) = mirror().await;
    let mut parts =
        vec![Err("client went away".into()), Ok(http_body::Frame::data(Bytes::from("hel")))];
    let frames = futures(move |_| std::task::Poll::Ready(parts.pop()));
    let body = Payload::Streamed(Box::pin(StreamBody::new(frames)));

    let error = pool().send(&stage.address, Call { body, ..post("/", "") }).await.unwrap_err();

    assert!(matches!(error, UpstreamError::Payload(_)), "{error:?}");
    assert!(!error.retryable());
}

type Part = Result<http_body::Frame<Bytes>, Box<dyn std::error::Error + Send + Sync>>;

/// A stream out of a polling function.
fn futures<F>(poll: F) -> impl futures_core::Stream<Item = Part>
where
    F: FnMut(&mut std::task::Context<'_>) -> std::task::Poll<Option<Part>> + Unpin,
{
    struct Polled<F>(F);
    impl<F> futures_core::Stream for Polled<F>
    where
        F: FnMut(&mut std::task::Context<'_>) -> std::task::Poll<Option<Part>> + Unpin,
    {
        type Item = Part;

        fn poll_next(
            mut self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Part>> {
            (self.0)(cx)
        }
    }
    Polled(poll)
}
