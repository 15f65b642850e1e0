//! One gateway takes over from another on the same folder: what each accepts, answers, keeps and ships.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use towpath_testkit::Script;
use towpath_wire::usage::Ended;

use crate::support::http2::Connection;
use crate::support::tables::GOOD;
use crate::support::{Gateway, Options, World, chat, streamed};

/// A request as it is on the wire, for connections that are kept.
fn wire() -> Vec<u8> {
    let body = chat("m").to_string();
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: towpath.test\r\nauthorization: Bearer {GOOD}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Ask on a connection; returns the head and the body of the answer.
async fn ask(connection: &mut TcpStream) -> String {
    connection.write_all(&wire()).await.unwrap();
    answer(connection).await
}

async fn answer(connection: &mut TcpStream) -> String {
    let (mut text, mut part) = (String::new(), [0; 4096]);
    loop {
        let read = connection.read(&mut part).await.unwrap();
        text.push_str(std::str::from_utf8(&part[..read]).unwrap());
        let lower = text.to_ascii_lowercase();
        let Some((head, body)) = lower.split_once("\r\n\r\n") else {
            assert!(read > 0, "cut: {text}");
            continue;
        };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if read == 0 || length.is_some_and(|length| body.len() >= length.parse().unwrap()) {
            return lower;
        }
    }
}

/// A gateway beside the one of the world, once it is ready.
async fn beside(world: &World) -> Gateway {
    let options = Options { standby: true, ..world.options.clone() };
    let gateway = Gateway::start(world.data.path(), &options);
    world
        .control
        .wait_until(|control| {
            control.polls().iter().any(|poll| poll.gateway_id.ends_with("-2") && poll.after > 0)
        })
        .await;
    gateway
}

#[tokio::test]
async fn one_that_stands_by_accepts_when_it_is_let_go_and_has_a_journal_of_its_own() {
    let mut world = World::simple().await;
    world.gateway.post("/v1/chat/completions", &chat("m")).await;
    let mut next = beside(&world).await;
    let mut early = TcpStream::connect(next.address).await.unwrap();
    early.write_all(&wire()).await.unwrap();
    let silent =
        tokio::time::timeout(std::time::Duration::from_millis(100), early.readable()).await;
    world.gateway.signal("-USR1");
    let ended = world.gateway.ended().await;
    next.let_go();
    let answered = answer(&mut early).await;
    world.control.wait_until(|control| control.records().len() == 2).await;
    next.logged("table.applied").await;
    next.signal("-KILL");
    next.ended().await;
    let again = Gateway::start(world.data.path(), &world.options);
    let call = again.post("/v1/chat/completions", &chat("m")).await;
    world.control.wait_until(|control| control.records().len() == 3).await;

    assert!(silent.is_err(), "it answers before it is let go");
    assert!(ended.success());
    assert!(answered.starts_with("http/1.1 200"), "{answered}");
    assert_eq!(call.status, 200);
    let ids: Vec<_> = world.control.records().iter().map(|one| one.gateway_id.clone()).collect();
    assert_eq!((&ids[1], &ids[2]), (&format!("{}-2", ids[0]), &format!("{}-2", ids[0])));
}

#[tokio::test]
async fn one_that_leaves_answers_what_it_has_and_every_kept_connection_once_more() {
    let mut world = World::simple().await;
    let gates = [("token:4".to_owned(), "gate".to_owned())].into();
    let mut kept = TcpStream::connect(world.gateway.address).await.unwrap();
    let before = ask(&mut kept).await;
    let mut http2 = Connection::open(world.gateway.address).await;
    let called = http2.call("GET", "/healthz", &[], "").await;
    world.upstream.script("m", Script { gates, ..Script::default() });
    let mut stream = world.gateway.stream(&streamed("m")).await;
    stream.chunk().await.unwrap();
    world.gateway.signal("-USR1");
    while TcpStream::connect(world.gateway.address).await.is_ok() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    world.upstream.script("m", Script::default());
    let after = ask(&mut kept).await;
    world.upstream.release("gate");
    let whole = stream.rest().await;
    let ended = world.gateway.ended().await;

    assert!(!before.contains("connection: close"), "{before}");
    assert_eq!(called.status, 200);
    assert!(after.starts_with("http/1.1 200") && after.contains("connection: close"), "{after}");
    assert!(whole.text().ends_with("data: [DONE]\n\n"));
    assert!(ended.success());
    let records = world.control.records();
    assert_eq!(records.len(), 3);
    assert!(records.iter().all(|record| record.ended == Ended::Complete));
}

#[tokio::test]
async fn what_a_killed_one_left_is_shipped_by_the_one_that_accepts() {
    let mut world = World::simple().await;
    let gates = [("token:4".to_owned(), "gate".to_owned())].into();
    world.upstream.script("m", Script { gates, ..Script::default() });
    let mut stream = world.gateway.stream(&streamed("m")).await;
    stream.chunk().await.unwrap();
    let mut next = beside(&world).await;
    world.gateway.signal("-USR1");
    world.gateway.logged("gateway.draining").await;
    next.let_go();
    world.gateway.signal("-KILL");
    world.gateway.ended().await;
    world.control.wait_until(|control| !control.records().is_empty()).await;

    let records = world.control.records();
    assert_eq!((records.len(), records[0].ended), (1, Ended::GatewayLost));
    assert!(!records[0].gateway_id.ends_with("-2"));
}

#[tokio::test]
async fn one_that_is_ended_before_it_is_let_go_has_taken_nothing() {
    let world = World::simple().await;
    let mut next = beside(&world).await;
    next.signal("-TERM");
    let ended = next.ended().await;
    let call = world.gateway.post("/v1/chat/completions", &chat("m")).await;

    assert!(ended.success());
    assert_eq!(call.status, 200);
}

#[tokio::test]
async fn a_stop_answers_a_request_that_was_on_its_way_on_a_kept_connection() {
    let mut world = World::with(&[("workers", 1)], |base| {
        let target = crate::support::tables::target("m", base, &json!({}));
        vec![target, crate::support::tables::endpoint("m", &json!({}))]
    })
    .await;
    let mut kept = TcpStream::connect(world.gateway.address).await.unwrap();
    ask(&mut kept).await;
    world.gateway.signal("-TERM");
    world.gateway.logged("gateway.draining").await;
    let after = ask(&mut kept).await;
    let ended = world.gateway.ended().await;

    assert!(after.starts_with("http/1.1 200") && after.contains("connection: close"), "{after}");
    assert!(ended.success());
}
