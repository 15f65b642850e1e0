//! Connections are kept, replaced when they are stale, and closed when nobody listens.

use std::time::Duration;

use http::StatusCode;
use tokio::sync::mpsc;
use towpath_testkit::{FakeUpstream, Script};
use towpath_upstream::{Address, Call, Expect, Payload, Pool, Settings, UpstreamError};

use crate::stage::{OK, Stage, address, get, gone, pool, post, request, say, settings};

const CHAT: &str = r#"{"model":"m","messages":[{"role":"user","content":"x"}],"max_tokens":4}"#;
const STREAM: &str =
    r#"{"model":"m","messages":[{"role":"user","content":"x"}],"max_tokens":4,"stream":true}"#;

async fn ok(pool: &Pool, address: &Address) -> String {
    let reply = pool.send(address, post("/x", "hello")).await.unwrap();
    assert_eq!(reply.status, StatusCode::OK);
    String::from_utf8(reply.body.collect(1024).await.unwrap().to_vec()).unwrap()
}

#[tokio::test]
async fn one_connection_serves_answers_and_streams_in_turn() {
    let upstream = FakeUpstream::start().await.unwrap();
    let address = address(&format!("{}/v1", upstream.base_url()));
    let pool = pool();
    for body in [CHAT, STREAM, CHAT, STREAM] {
        let reply = pool.send(&address, post("/chat/completions", body)).await.unwrap();
        assert_eq!(reply.status, StatusCode::OK);
        assert!(!reply.body.collect(1 << 20).await.unwrap().is_empty());
    }

    let counts = upstream.counts();
    assert_eq!((counts.connections, counts.requests, counts.whole), (1, 4, 4));
    assert_eq!(pool.idle_connections(), 1);
}

#[tokio::test]
async fn a_unix_socket_is_an_address_like_any_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = format!("unix:{}/model.sock", folder.path().display());
    let upstream = FakeUpstream::listen(&path).await.unwrap();
    let address = Address::parse(&path, "/v1").unwrap();
    let pool = pool();
    for _ in 0..2 {
        let reply = pool.send(&address, post("/chat/completions", CHAT)).await.unwrap();
        reply.body.collect(1 << 20).await.unwrap();
    }

    assert_eq!((upstream.counts().connections, upstream.counts().whole), (1, 2));
    assert_eq!(upstream.requests()[0].path, "/v1/chat/completions");
}

#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_is_replaced() {
    let (closed, mut told) = mpsc::channel(4);
    let stage = Stage::open(move |_, mut stream| {
        let closed = closed.clone();
        async move {
            request(&mut stream).await;
            say(&mut stream, OK).await;
            drop(stream);
            closed.send(()).await.unwrap();
        }
    })
    .await;
    let pool = pool();

    assert_eq!(ok(&pool, &stage.address).await, "ok");
    told.recv().await.unwrap();
    assert_eq!(ok(&pool, &stage.address).await, "ok");
    assert_eq!(stage.accepted(), 2);
}

/// The server closes an idle connection in the moment the request is on its way.
#[tokio::test]
async fn a_connection_closed_under_the_request_is_replaced_once() {
    let stage = Stage::open(|number, mut stream| async move {
        request(&mut stream).await;
        say(&mut stream, OK).await;
        request(&mut stream).await;
        if number > 0 {
            say(&mut stream, OK).await;
        }
    })
    .await;
    let pool = pool();

    assert_eq!(ok(&pool, &stage.address).await, "ok");
    assert_eq!(ok(&pool, &stage.address).await, "ok");
    assert_eq!(stage.accepted(), 2);
}

#[tokio::test]
async fn a_fresh_connection_that_closes_without_an_answer_is_not_tried_again() {
    let stage = Stage::open(|_, mut stream| async move {
        request(&mut stream).await;
    })
    .await;

    let error = pool().send(&stage.address, post("/x", "hello")).await.unwrap_err();

    assert!(matches!(error, UpstreamError::Cut { received_bytes: 0 }), "{error:?}");
    assert_eq!(stage.accepted(), 1);
}

#[tokio::test]
async fn a_request_that_was_partly_answered_is_not_sent_again() {
    let stage = Stage::open(|_, mut stream| async move {
        request(&mut stream).await;
        say(&mut stream, OK).await;
        request(&mut stream).await;
        say(&mut stream, "HTTP/1.1 200 OK\r\ncont").await;
    })
    .await;
    let pool = pool();
    ok(&pool, &stage.address).await;

    let error = pool.send(&stage.address, post("/x", "hello")).await.unwrap_err();

    assert!(matches!(error, UpstreamError::Cut { received_bytes: 21 }), "{error:?}");
    assert_eq!(stage.accepted(), 1);
}

#[tokio::test]
async fn a_body_that_was_relayed_is_not_sent_again() {
    let stage = Stage::open(|_, mut stream| async move {
        request(&mut stream).await;
        say(&mut stream, OK).await;
        request(&mut stream).await;
    })
    .await;
    let pool = pool();
    ok(&pool, &stage.address).await;
    let relayed = http_body_util::BodyExt::map_err(
        http_body_util::Full::new(bytes::Bytes::from_static(b"hello")),
        Into::into,
    );
    let body = Payload::Streamed(Box::pin(relayed));

    let error = pool.send(&stage.address, Call { body, ..post("/x", "") }).await.unwrap_err();

    assert!(matches!(error, UpstreamError::Cut { received_bytes: 0 }), "{error:?}");
}

#[tokio::test]
async fn a_server_that_says_close_is_believed() {
    let stage = Stage::open(|_, mut stream| async move {
        request(&mut stream).await;
        say(&mut stream, "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok")
            .await;
        gone(&mut stream).await;
    })
    .await;
    let pool = pool();

    ok(&pool, &stage.address).await;
    ok(&pool, &stage.address).await;

    assert_eq!(stage.accepted(), 2);
}

#[tokio::test]
async fn dropping_the_wait_for_an_answer_closes_the_connection() {
    let (event, mut events) = mpsc::channel(4);
    let stage = Stage::open(move |_, mut stream| {
        let event = event.clone();
        async move {
            request(&mut stream).await;
            event.send("asked").await.unwrap();
            gone(&mut stream).await;
            event.send("gone").await.unwrap();
        }
    })
    .await;
    let pool = pool();
    {
        let mut sending = std::pin::pin!(pool.send(&stage.address, post("/x", "hello")));
        tokio::select! {
            _ = &mut sending => panic!("nobody answered"),
            asked = events.recv() => assert_eq!(asked, Some("asked")),
        }
    }

    assert_eq!(events.recv().await, Some("gone"));
}

#[tokio::test]
async fn dropping_a_stream_cancels_the_upstream() {
    let upstream = FakeUpstream::start().await.unwrap();
    let gates = [("token:2".to_owned(), "held".to_owned())].into();
    upstream.script("m", Script { gates, ..Script::default() });
    let pool = pool();
    let call = Call { expect: Expect::Events, ..post("/v1/chat/completions", STREAM) };
    let mut reply = pool.send(&address(upstream.base_url()), call).await.unwrap();
    assert!(reply.body.chunk().await.unwrap().is_ok());

    drop(reply);

    upstream.wait_until(|_, counts| counts.client_gone == 1).await;
    assert_eq!(pool.idle_connections(), 0);
}

#[tokio::test]
async fn draining_a_stream_that_is_done_keeps_its_connection() {
    let (go, waiting) = tokio::sync::oneshot::channel::<()>();
    let waiting = std::sync::Mutex::new(Some(waiting));
    let stage = Stage::open(move |_, mut stream| {
        let waiting = waiting.lock().unwrap().take();
        async move {
            request(&mut stream).await;
            let done = "e\r\ndata: [DONE]\n\n\r\n";
            say(
                &mut stream,
                &format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{done}"),
            )
            .await;
            waiting.unwrap().await.unwrap();
            say(&mut stream, "0\r\n\r\n").await;
            request(&mut stream).await;
            say(&mut stream, OK).await;
        }
    })
    .await;
    let pool = pool();
    let call = Call { expect: Expect::Events, ..post("/x", "hello") };
    let mut reply = pool.send(&stage.address, call).await.unwrap();
    assert_eq!(reply.body.chunk().await.unwrap().unwrap(), "data: [DONE]\n\n");

    go.send(()).unwrap();
    reply.body.drain().await;

    assert_eq!(ok(&pool, &stage.address).await, "ok");
    assert_eq!(stage.accepted(), 1);
}

#[tokio::test]
async fn unused_connections_are_bounded_in_number() {
    let (asked, mut asks) = mpsc::channel(8);
    let (release, _) = tokio::sync::broadcast::channel(1);
    let opened = release.clone();
    let stage = Stage::open(move |_, mut stream| {
        let (asked, mut released) = (asked.clone(), opened.subscribe());
        async move {
            request(&mut stream).await;
            asked.send(()).await.unwrap();
            released.recv().await.unwrap();
            say(&mut stream, OK).await;
            gone(&mut stream).await;
        }
    })
    .await;
    let pool = Pool::new(Settings { max_idle_per_address: 2, ..settings() });
    let all = async {
        tokio::join!(
            ok(&pool, &stage.address),
            ok(&pool, &stage.address),
            ok(&pool, &stage.address)
        )
    };
    let open = async {
        for _ in 0..3 {
            asks.recv().await.unwrap();
        }
        release.send(()).unwrap();
    };
    tokio::join!(all, open);

    assert_eq!((stage.accepted(), pool.idle_connections()), (3, 2));
}

#[tokio::test]
async fn what_is_unused_too_long_is_closed() {
    let (event, mut events) = mpsc::channel(1);
    let stage = Stage::open(move |_, mut stream| {
        let event = event.clone();
        async move {
            request(&mut stream).await;
            say(&mut stream, OK).await;
            gone(&mut stream).await;
            event.send(()).await.unwrap();
        }
    })
    .await;
    let swept = Pool::new(Settings { idle: Duration::ZERO, ..settings() });
    ok(&swept, &stage.address).await;
    assert_eq!(swept.idle_connections(), 1);

    swept.sweep();

    events.recv().await.unwrap();
    assert_eq!(swept.idle_connections(), 0);
    ok(&swept, &stage.address).await;
    ok(&swept, &stage.address).await;
    assert_eq!(stage.accepted(), 3);
}

#[tokio::test]
async fn an_answer_without_a_body_frees_its_connection_at_once() {
    let stage = Stage::open(|_, mut stream| async move {
        while !request(&mut stream).await.is_empty() {
            say(&mut stream, "HTTP/1.1 204 No Content\r\n\r\n").await;
        }
    })
    .await;
    let pool = pool();

    let first = pool.send(&stage.address, get("/")).await.unwrap();
    let second = pool.send(&stage.address, get("/")).await.unwrap();

    assert_eq!((first.status, second.status), (StatusCode::NO_CONTENT, StatusCode::NO_CONTENT));
    assert_eq!(stage.accepted(), 1);
}
