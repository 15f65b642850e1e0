//! Bounds: bodies, memory, heads, calls, the journal, and refusals that are merged.

use http::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use towpath_testkit::Script;
use towpath_wire::usage::Ended;

use crate::support::{World, chat, streamed, tables};

async fn with(settings: &[(&'static str, u64)]) -> World {
    World::with(settings, |base| {
        vec![tables::target("m", base, &json!({})), tables::endpoint("m", &json!({}))]
    })
    .await
}

/// Open a connection and send this much of a request.
async fn begin(world: &World, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(world.gateway.address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

fn head(length: usize) -> String {
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: t\r\nauthorization: Bearer tp_sandbox_good\r\ncontent-length: {length}\r\n\r\n"
    )
}

async fn rest(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// Read until the answer's head and body are there.
async fn answer(stream: &mut TcpStream) -> String {
    let mut answer = String::new();
    let mut buffer = [0; 4096];
    while !answer.contains("request_id") {
        let read = stream.read(&mut buffer).await.unwrap();
        assert!(read > 0, "the connection ended: {answer}");
        answer.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
    answer
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_413_and_one_at_the_limit_is_taken() {
    let world = with(&[("body_max_bytes", 2_000)]).await;
    let mut body = chat("m");
    let empty = body.to_string().len();
    body["pad"] = "x".repeat(2_000 - empty - r#","pad":"""#.len()).into();
    let taken = world.gateway.post("/v1/chat/completions", &body).await;
    body["pad"] = "x".repeat(2_000).into();
    let refused = world.gateway.post("/v1/chat/completions", &body).await;
    let record = world.control.record(refused.id()).await;

    assert_eq!(taken.status, 200, "{}", taken.text());
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (413, "body_too_large"));
    assert_eq!(record.ended, Ended::Refused);
}

#[tokio::test]
async fn a_body_of_unknown_length_beyond_the_limit_is_413_too() {
    let world = with(&[("body_max_bytes", 2_000)]).await;
    let text = head(0).replace("content-length: 0", "transfer-encoding: chunked");
    let mut stream = begin(&world, &text).await;
    stream.write_all(format!("1000\r\n{}\r\n", "x".repeat(0x1000)).as_bytes()).await.unwrap();

    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 413 "));
}

#[tokio::test]
async fn a_large_body_is_refused_before_it_is_sent_and_the_answer_is_read_in_peace() {
    let world = with(&[]).await;
    let body = vec![b'x'; 33 << 20];
    let headers = [("authorization", "Bearer tp_sandbox_good")];
    let answer = world.gateway.send(Method::POST, "/v1/chat/completions", &headers, body).await;

    assert_eq!(answer.rest().await.status, 413);
}

#[tokio::test]
async fn a_body_that_stops_arriving_is_408() {
    let world = with(&[("body_idle_ms", 50)]).await;
    let mut stream = begin(&world, &format!("{}{{\"model\"", head(1_000))).await;

    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 408 "));
}

#[tokio::test]
async fn a_body_that_trickles_is_408_in_the_end() {
    let world = with(&[("body_idle_ms", 500), ("body_timeout_ms", 200)]).await;
    let mut stream = begin(&world, &head(1_000)).await;
    let (mut reading, mut writing) = stream.split();
    let trickle = async {
        loop {
            if writing.write_all(b"x").await.is_err() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        std::future::pending::<()>().await;
    };
    let mut status = [0; 13];
    tokio::select! {
        () = trickle => {}
        read = reading.read_exact(&mut status) => { read.unwrap(); }
    }

    assert_eq!(&status, b"HTTP/1.1 408 ");
}

#[tokio::test]
async fn a_head_that_never_ends_is_given_up() {
    let world = with(&[("header_timeout_ms", 50)]).await;
    let stream = begin(&world, "POST /v1/chat/completions HTTP/1.1\r\nhost: t\r\n").await;

    assert!(!rest(stream).await.contains("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_flood_of_headers_is_431() {
    let world = with(&[]).await;
    let many: Vec<_> = (0..90).map(|n| (format!("x-{n}"), "v".to_owned())).collect();
    let many: Vec<_> = many.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let many = world.gateway.post_with("/v1/chat/completions", &many, &chat("m")).await;
    let long = "v".repeat(40_000);
    let long =
        world.gateway.post_with("/v1/chat/completions", &[("x-long", &long)], &chat("m")).await;
    let flood = format!("POST / HTTP/1.1\r\nhost: t\r\n{}", "x-flood: yes\r\n".repeat(50_000));
    let mut stream = TcpStream::connect(world.gateway.address).await.unwrap();
    let _ = stream.write_all(flood.as_bytes()).await;

    assert_eq!((many.status.as_u16(), many.code().as_str()), (431, "headers_too_large"));
    assert_eq!((long.status.as_u16(), long.code().as_str()), (431, "headers_too_large"));
    let bare = rest(stream).await;
    assert!(bare.is_empty() || bare.starts_with("HTTP/1.1 431 "), "{bare}");
}

/// Slow uploads hold what they have sent and no more; when memory is full, reading waits and is then
/// refused, and everything is given back.
#[tokio::test]
async fn buffered_bodies_are_bounded_together() {
    let settings = [
        ("body_memory_bytes", 1 << 20),
        ("body_max_bytes", 1 << 20),
        ("body_wait_ms", 100),
        ("body_idle_ms", 60_000),
    ];
    let world = with(&settings).await;
    let mut slow = Vec::new();
    for _ in 0..3 {
        let mut stream = begin(&world, &head(1 << 20)).await;
        stream.write_all(&vec![b' '; 400 << 10]).await.unwrap();
        slow.push(stream);
    }
    let mut refused = 0;
    let mut held = Vec::new();
    for mut stream in slow {
        let mut status = [0; 13];
        let read = stream.read_exact(&mut status);
        match tokio::time::timeout(std::time::Duration::from_millis(500), read).await {
            Ok(_) => {
                assert_eq!(&status, b"HTTP/1.1 503 ");
                refused += 1;
            }
            Err(_) => held.push(stream),
        }
    }
    let figures = world.gateway.get("/metrics").await.text();
    let used = figure(&figures, "towpath_gateway_body_memory_bytes");
    drop(held);

    assert!(refused >= 1, "nothing was refused");
    assert!(used <= 1 << 20, "{used}");
    let answer = world.gateway.post("/v1/chat/completions", &chat("m")).await;
    assert_eq!(answer.status, 200);
}

fn figure(text: &str, name: &str) -> u64 {
    let line = text.lines().find(|line| line.starts_with(&format!("{name} ")));
    line.unwrap().rsplit(' ').next().unwrap().parse().unwrap()
}

/// Most memory the process ever had, in bytes.
fn peak_memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[tokio::test]
async fn two_thousand_slow_uploads_leave_memory_bounded() {
    let world = with(&[("body_memory_bytes", 64 << 20), ("body_wait_ms", 200)]).await;
    let mut streams = Vec::new();
    for _ in 0..2_000 {
        let mut stream = begin(&world, &head(1 << 20)).await;
        // Each sends a part and stops; some fill the memory, the others wait and are refused.
        let _ = stream.try_write(&[b' '; 100 << 10]);
        let _ = stream.flush().await;
        streams.push(stream);
    }
    let figures = world.gateway.get("/metrics").await.text();

    assert!(figure(&figures, "towpath_gateway_body_memory_bytes") <= 64 << 20);
    let peak = peak_memory(world.gateway.pid());
    assert!(peak < 400 << 20, "{} MiB", peak >> 20);
    drop(streams);
}

#[tokio::test]
async fn calls_beyond_the_limit_are_503_with_a_time_to_come_back() {
    let world = with(&[("max_in_flight", 1)]).await;
    let gates = [("token:1".to_owned(), "gate".to_owned())].into();
    world.upstream.script("m", Script { gates, ..Script::default() });
    let mut first = world.gateway.stream(&streamed("m")).await;
    first.chunk().await.unwrap();
    let second = world.gateway.post("/v1/chat/completions", &chat("m")).await;
    world.upstream.release("gate");
    first.rest().await;
    let third = world.gateway.post("/v1/chat/completions", &chat("m")).await;

    assert_eq!((second.status.as_u16(), second.code().as_str()), (503, "overloaded"));
    assert_eq!(second.header("retry-after"), "1");
    assert_eq!(third.status, 200);
}

#[tokio::test]
async fn a_full_journal_refuses_calls_and_readiness_says_why_until_it_is_shipped() {
    let settings = [("journal_max_bytes", 1 << 20), ("journal_segment_bytes", 64 << 10)];
    let world = with(&settings).await;
    world.control.sick(Some(503));
    let mut full = None;
    for _ in 0..5_000 {
        let answer = world.gateway.post("/v1/chat/completions", &chat("m")).await;
        if answer.status != 200 {
            full = Some(answer);
            break;
        }
    }
    let full = full.expect("the journal never filled up");
    let ready = world.gateway.get("/readyz").await;
    world.control.sick(None);

    assert_eq!((full.status.as_u16(), full.code().as_str()), (503, "journal_full"));
    assert_eq!(ready.status, 503);
    assert_eq!(ready.json()["reasons"][0]["code"], "journal_full");
    while world.gateway.get("/readyz").await.status != 200 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(world.gateway.post("/v1/chat/completions", &chat("m")).await.status, 200);
}

/// A client in a loop has ten rows a second of its own, and one row for all the rest.
#[tokio::test]
async fn refusals_of_one_kind_are_merged() {
    let world = with(&[]).await;
    let mut ids = std::collections::BTreeSet::new();
    for _ in 0..200 {
        let answer = world.gateway.post("/v1/chat/completions", &chat("none")).await;
        assert_eq!(answer.status, 404);
        ids.insert(answer.id().to_owned());
    }
    let total = |control: &crate::support::control::Control| {
        control.records().iter().map(|record| record.count).sum::<u64>()
    };
    world.control.wait_until(|control| total(control) >= 200).await;
    let records = world.control.records();

    assert_eq!(total(&world.control), 200);
    assert!(records.len() < 100, "{} rows", records.len());
    assert!(records.iter().any(|record| record.count > 1));
    assert!(records.iter().all(|record| ids.contains(&record.id)));
}
