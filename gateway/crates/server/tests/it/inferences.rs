//! `ModelStreamInfer`: each message of a stream is a call.

use bytes::{BufMut, Bytes, BytesMut};
use serde_json::{Value, json};
use towpath_dialect::kserve::Answer as V2Answer;
use towpath_testkit::{Fault, Script};
use towpath_wire::routing::{Envelope, Revocation};
use towpath_wire::usage::{CallerDialect, CountedBy, Ended};

use crate::grpc::{grpc_target, infer};
use crate::kserve::{target, texts};
use crate::support::http2::{Connection, Talk};
use crate::support::{World, tables};

const INNER: &str = "inner";

async fn world(more: Vec<Envelope>) -> World {
    World::with(&[], |base| {
        let mut all = vec![grpc_target(base, &json!({})), tables::endpoint("m", &json!({}))];
        all.extend(more);
        all
    })
    .await
}

async fn talk(world: &World) -> Talk {
    Connection::open(world.gateway.address).await.talk(&[]).await
}

fn message(id: &str, data: &[&str]) -> Bytes {
    let mut body = texts(data);
    body["id"] = id.into();
    infer("m", &body)
}

/// One `ModelStreamInferResponse`.
struct Told {
    error: String,
    /// Its inference as JSON.
    answer: Value,
}

impl Told {
    fn parameter(&self, name: &str) -> &Value {
        &self.answer["parameters"][name]
    }
}

fn varint(bytes: &mut &[u8]) -> usize {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let (byte, rest) = bytes.split_first().unwrap();
        *bytes = rest;
        value |= usize::from(byte & 0x7f) << shift;
        if *byte < 0x80 {
            break;
        }
    }
    value
}

/// Read it as clients do: of a message that comes in parts, all parts count.
fn read(framed: &Bytes) -> Told {
    let mut rest = &framed[5..];
    let (mut error, mut inner) = (String::new(), BytesMut::from(&[0; 5][..]));
    while !rest.is_empty() {
        let tag = varint(&mut rest);
        let size = varint(&mut rest);
        let (content, after) = rest.split_at(size);
        match tag {
            0x0a => error = String::from_utf8(content.to_vec()).unwrap(),
            0x12 => inner.put(content),
            _ => panic!("tag {tag}"),
        }
        rest = after;
    }
    let length = u32::try_from(inner.len() - 5).unwrap();
    inner[1..5].copy_from_slice(&length.to_be_bytes());
    let answer = V2Answer::from_grpc(&inner.freeze()).unwrap().for_json().unwrap();
    Told { error, answer: serde_json::from_slice(&answer).unwrap() }
}

async fn told(talk: &mut Talk) -> Told {
    read(&talk.told().await.expect("the stream ended"))
}

#[tokio::test]
async fn each_message_is_a_call_with_a_record_of_its_own() {
    let world = world(vec![]).await;
    let mut talk = talk(&world).await;
    let first = talk.head["x-request-id"].to_str().unwrap().to_owned();
    talk.ask(message("one", &["a b"])).await;
    let one = told(&mut talk).await;
    talk.ask(message("two", &["c"])).await;
    let two = told(&mut talk).await;
    talk.end();
    let status = talk.ending("grpc-status").await;
    world.control.wait_until(|control| control.records().len() == 2).await;
    let records = world.control.records();
    let seen = &world.upstream.requests();

    assert_eq!((one.error.as_str(), &one.answer["id"]), ("", &json!("one")));
    assert_eq!(two.answer["outputs"][0]["data"], json!(["label-0"]));
    assert_eq!(status, "0");
    assert_eq!(seen[0].path, "/inference.GRPCInferenceService/ModelStreamInfer");
    assert!(seen[0].headers.contains(&("triton_grpc_error".into(), "true".into())));
    assert_eq!(records[0].id, first);
    let ids: Vec<_> = records.iter().map(|r| r.client_request_id.as_deref()).collect();
    assert_eq!(ids, [Some("one"), Some("two")]);
    for (record, tokens) in records.iter().zip([2, 1]) {
        assert_eq!((record.dialect, record.stream), (CallerDialect::KserveGrpc, true));
        assert_eq!((record.ended, record.status), (Ended::Complete, Some(200)));
        assert_eq!((record.input_tokens, record.counted_by), (Some(tokens), CountedBy::Upstream));
    }
    assert_eq!(world.upstream.counts().connections, 1);
}

#[tokio::test]
async fn a_message_may_have_many_answers_or_none_which_come_as_they_are_made() {
    let world = world(vec![]).await;
    let gates = [("token:2".to_owned(), "go".to_owned())].into();
    let three = Script { tokens: Some(3), gates, ..Script::default() };
    world.upstream.script_next(INNER, three, 1);
    world.upstream.script_next(INNER, Script { tokens: Some(0), ..Script::default() }, 1);
    let mut talk = talk(&world).await;
    talk.ask(message("many", &["a"])).await;
    let early = [told(&mut talk).await, told(&mut talk).await];
    world.upstream.release("go");
    let late = told(&mut talk).await;
    talk.ask(message("none", &["a"])).await;
    talk.ask(message("one", &["a"])).await;
    let after = told(&mut talk).await;
    world.control.wait_until(|control| control.records().len() == 3).await;

    assert!(early.iter().chain([&late]).all(|told| told.answer["id"] == "many"));
    assert_eq!(after.answer["id"], "one");
    assert!(world.control.records().iter().all(|record| record.ended == Ended::Complete));
}

#[tokio::test]
async fn a_rest_server_answers_each_message_once() {
    let world =
        World::with(&[], |base| vec![target(base, &json!({})), tables::endpoint("m", &json!({}))])
            .await;
    let mut talk = talk(&world).await;
    talk.ask(message("one", &["a", "b"])).await;
    let one = told(&mut talk).await;
    talk.end();

    assert_eq!(one.answer["outputs"][0]["data"], json!(["label-0", "label-1"]));
    assert_eq!(one.parameter("triton_final_response"), &json!(true));
    assert_eq!(talk.ending("grpc-status").await, "0");
}

#[tokio::test]
async fn a_server_of_another_dialect_refuses_the_message_by_name() {
    let world = World::simple().await;
    let mut talk = talk(&world).await;
    talk.ask(message("one", &["a"])).await;
    let told = told(&mut talk).await;

    assert_eq!(told.parameter("towpath_code"), "unsupported_operation");
    assert!(world.upstream.requests().is_empty());
}

#[tokio::test]
async fn a_refusal_is_an_answer_and_the_stream_goes_on() {
    let world = world(vec![]).await;
    let mut talk = talk(&world).await;
    let mut wrong = texts(&["a"]);
    (wrong["id"], wrong["inputs"][0]["name"]) = ("wrong".into(), "other".into());
    talk.ask(infer("m", &wrong)).await;
    let wrong = told(&mut talk).await;
    talk.ask(infer("nowhere", &texts(&["a"]))).await;
    let unknown = told(&mut talk).await;
    talk.ask(&b"\0\0\0\0\x01\xff"[..]).await;
    let nonsense = told(&mut talk).await;
    talk.ask(message("good", &["a"])).await;
    let good = told(&mut talk).await;
    let id = wrong.parameter("towpath_request_id").as_str().unwrap();
    let record = world.control.record(id).await;

    assert!(wrong.error.starts_with("`other` is not an input of the model."), "{}", wrong.error);
    assert_eq!(wrong.answer["id"], "wrong");
    assert_eq!(wrong.parameter("towpath_code"), "unsupported_field");
    assert_eq!(record.error_code.as_deref(), Some("unsupported_field"));
    assert_eq!(unknown.parameter("towpath_code"), "model_not_found");
    assert_eq!(nonsense.parameter("towpath_code"), "invalid_field");
    assert_eq!((good.error.as_str(), &good.answer["id"]), ("", &json!("good")));
}

#[tokio::test]
async fn limits_count_messages() {
    let limit = json!({
        "subject": {"project": "prj_1"}, "label": "project care/triage",
        "requests_per_minute": {"limit": 20, "burst": 2},
    });
    let world = world(vec![tables::entity("limit", "lim_1", &limit)]).await;
    let mut talk = talk(&world).await;
    let mut codes = Vec::new();
    let mut wait = Value::Null;
    for id in ["one", "two", "three"] {
        talk.ask(message(id, &["a"])).await;
        let told = told(&mut talk).await;
        codes.push(told.parameter("towpath_code").as_str().unwrap_or("").to_owned());
        wait = told.parameter("towpath_retry_after_s").clone();
    }

    assert_eq!(codes, ["", "", "rate_limit_exceeded"]);
    assert_eq!(wait, 3);
}

#[tokio::test]
async fn a_key_that_is_taken_away_asks_nothing_more() {
    let world = world(vec![]).await;
    let mut talk = talk(&world).await;
    talk.ask(message("one", &["a"])).await;
    let before = told(&mut talk).await;
    let hash = tables::hash(tables::GOOD);
    world.control.revoke(Revocation { key_id: "key_1".into(), hash });
    world
        .control
        .wait_until(|control| {
            control.polls().last().is_some_and(|poll| poll.revocations_after == 1)
        })
        .await;
    talk.ask(message("two", &["a"])).await;
    let after = told(&mut talk).await;

    assert_eq!(before.error, "");
    assert_eq!(after.parameter("towpath_code"), "key_revoked");
}

#[tokio::test]
async fn a_stream_that_may_not_begin_is_refused_as_a_call_is() {
    let world = world(vec![]).await;
    let mut caller = Connection::open(world.gateway.address).await;
    let mut stranger = caller.talk(&[("authorization", "Bearer tp_sandbox_bad")]).await;
    let refused = stranger.ending("grpc-status").await;
    let silent = caller.talk(&[]).await;
    drop(silent);
    let mut good = caller.talk(&[]).await;
    good.end();
    let status = good.ending("grpc-status").await;
    world.control.wait_until(|control| !control.records().is_empty()).await;

    assert_eq!((refused.as_str(), status.as_str()), ("16", "0"));
    // Where nothing was asked there is nothing to book.
    assert!(world.control.records().iter().all(|record| record.ended == Ended::Refused));
}

#[tokio::test]
async fn what_a_server_fails_at_before_its_first_answer_falls_back() {
    for fault in [
        Fault::Close,
        Fault::Reset,
        Fault::Cut { after: 0 },
        Fault::GrpcStatus { code: 14 },
        Fault::GrpcStatus { code: 12 },
        Fault::RefusedStream,
    ] {
        let world = World::with(&[], |base| {
            let other = json!({
                "dialect": "kserve_grpc", "operations": ["predict"],
                "replicas": [{"id": "rep_n", "address": base}],
            });
            vec![
                grpc_target(base, &json!({})),
                tables::target("n", base, &other),
                tables::endpoint("m", &json!({"fallback": [{"target": "dep_n"}]})),
            ]
        })
        .await;
        world.upstream.script(INNER, Script::fault(fault.clone()));
        let mut talk = talk(&world).await;
        talk.ask(message("one", &["a"])).await;
        let told = told(&mut talk).await;
        world.control.wait_until(|control| !control.records().is_empty()).await;

        assert_eq!((told.error.as_str(), &told.answer["id"]), ("", &json!("one")), "{fault:?}");
        assert_eq!(world.control.records()[0].target.as_deref(), Some("n"), "{fault:?}");
    }
}

#[tokio::test]
async fn what_a_server_fails_at_later_ends_in_an_error_and_the_stream_goes_on() {
    for (fault, code, ended) in [
        (Fault::Cut { after: 1 }, "upstream_cut", Ended::UpstreamCut),
        (Fault::NoFinish, "upstream_cut", Ended::UpstreamCut),
        (Fault::ErrorEventAfter { after: 1 }, "upstream_refused", Ended::Error),
    ] {
        let world = world(vec![]).await;
        // What goes wrong takes along what has not left by then.
        let gates = [("token:1".to_owned(), "go".to_owned())].into();
        let script = Script { gates, ..Script::fault(fault.clone()) };
        world.upstream.script_next(INNER, script, 1);
        let mut talk = talk(&world).await;
        talk.ask(message("one", &["a"])).await;
        let first = told(&mut talk).await;
        world.upstream.release("go");
        let failed = told(&mut talk).await;
        talk.ask(message("two", &["a"])).await;
        let after = told(&mut talk).await;
        let id = failed.parameter("towpath_request_id").as_str().unwrap();
        let record = world.control.record(id).await;

        assert_eq!((first.error.as_str(), after.error.as_str()), ("", ""), "{fault:?}");
        assert_eq!(failed.answer["id"], "one", "{fault:?}");
        assert_eq!(failed.parameter("towpath_code"), code, "{fault:?}");
        assert_eq!((record.error_code.as_deref(), record.ended), (Some(code), ended), "{fault:?}");
    }
}

#[tokio::test]
async fn a_servers_own_words_reach_the_caller() {
    let world = world(vec![]).await;
    world.upstream.script_next(INNER, Script::fault(Fault::ErrorEvent), 1);
    let mut talk = talk(&world).await;
    talk.ask(message("one", &["a"])).await;
    let told = told(&mut talk).await;

    assert!(told.error.starts_with("Scripted words."), "{}", told.error);
    assert_eq!(world.upstream.counts().requests, 1);
}

#[tokio::test]
async fn a_caller_that_leaves_cancels_the_server() {
    let world = world(vec![]).await;
    world.upstream.script(INNER, Script::fault(Fault::Silence));
    let talk = talk(&world).await;
    talk.ask(message("one", &["a"])).await;
    world.upstream.wait_until(|seen, _| !seen.is_empty()).await;
    drop(talk);
    world.upstream.wait_until(|_, counts| counts.client_gone == 1).await;
    world.control.wait_until(|control| !control.records().is_empty()).await;

    assert_eq!(world.control.records()[0].ended, Ended::ClientGone);
}

#[tokio::test]
async fn a_message_that_is_too_large_or_torn_ends_the_stream() {
    let world = World::with(&[("body_max_bytes", 2_000)], |base| {
        vec![grpc_target(base, &json!({})), tables::endpoint("m", &json!({}))]
    })
    .await;
    let mut large = talk(&world).await;
    large.ask(message("one", &[&"x".repeat(3_000)])).await;
    let said = told(&mut large).await;
    let status = large.ending("grpc-status").await;
    let mut torn = talk(&world).await;
    let whole = message("two", &["a"]);
    torn.ask(whole.slice(..3)).await;
    torn.ask(whole.slice(3..20)).await;
    torn.end();
    let cut = told(&mut torn).await;

    assert_eq!(said.parameter("towpath_code"), "body_too_large");
    assert_eq!(status, "8");
    assert_eq!(cut.parameter("towpath_code"), "body_cut");
    assert_eq!(torn.ending("grpc-status").await, "3");
}

#[tokio::test]
async fn messages_that_come_in_pieces_or_together_are_the_same() {
    let world = world(vec![]).await;
    let mut talk = talk(&world).await;
    let both = [message("one", &["a"]), message("two", &["b"])].concat();
    for piece in both.chunks(7) {
        talk.ask(Bytes::copy_from_slice(piece)).await;
    }
    talk.ask(Bytes::from(both)).await;
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(told(&mut talk).await.answer["id"].clone());
    }

    assert_eq!(ids, ["one", "two", "one", "two"]);
}

#[tokio::test]
async fn stopping_ends_a_stream_on_which_nothing_is_asked() {
    let mut world = world(vec![]).await;
    let mut talk = talk(&world).await;
    talk.ask(message("one", &["a"])).await;
    told(&mut talk).await;
    world.gateway.signal("-TERM");

    assert_eq!(talk.ending("grpc-status").await, "14");
    drop(talk);
    assert!(world.gateway.ended().await.success());
}
