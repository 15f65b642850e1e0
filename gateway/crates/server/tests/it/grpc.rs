//! Callers of the KServe protocol over gRPC, and HTTP/2 for everybody.

use bytes::Bytes;
use serde_json::{Value, json};
use towpath_dialect::kserve::{Answer as V2Answer, Body, Inference};
use towpath_testkit::{Fault, Script};
use towpath_wire::routing::Operation;
use towpath_wire::usage::{CallerDialect, CountedBy, Ended};

use crate::kserve::{target, texts};
use crate::support::http2::Connection;
use crate::support::{World, chat, streamed, tables};

async fn world(settings: &[(&'static str, u64)]) -> World {
    World::with(settings, |base| vec![target(base, &json!({})), tables::endpoint("m", &json!({}))])
        .await
}

/// `ModelInferRequest` of a REST body.
pub fn infer(model: &str, body: &Value) -> Bytes {
    let bytes = body.to_string().into();
    Inference::from_rest(Body { bytes, json_size: None }).unwrap().for_grpc(model).unwrap()
}

/// `ModelInferResponse` as JSON.
pub fn read(message: &Bytes) -> Value {
    serde_json::from_slice(&V2Answer::from_grpc(message).unwrap().for_json().unwrap()).unwrap()
}

/// `ModelReadyRequest` and `ModelMetadataRequest`: the name, and the version behind it.
fn naming(name: &str, version: &str) -> Bytes {
    let mut message = vec![0, 0, 0, 0, 0];
    for (tag, text) in [(0x0a, name), (0x12, version)] {
        message.extend([tag, u8::try_from(text.len()).unwrap()]);
        message.extend(text.as_bytes());
    }
    message[4] = u8::try_from(message.len() - 5).unwrap();
    message.into()
}

#[tokio::test]
async fn an_inference_over_grpc_reaches_a_rest_server_and_is_recorded() {
    let world = world(&[]).await;
    let mut caller = Connection::open(world.gateway.address).await;
    let message = infer("m", &texts(&["one two", "three"]));
    let answer = caller.grpc("ModelInfer", &[("x-towpath-labels", "a=b")], message).await;
    let record = world.control.record(answer.header("x-request-id")).await;
    let body = read(&answer.body);

    assert_eq!((answer.status.as_u16(), answer.header("grpc-status")), (200, "0"));
    assert!(answer.trailers.contains_key("grpc-status"));
    assert_eq!(answer.header("content-type"), "application/grpc");
    assert_eq!(body["outputs"][0]["data"], json!(["label-0", "label-1"]));
    assert_eq!(body["outputs"][1]["data"], json!([0.5, 1.5]));
    assert_eq!(body["id"], "call-1");
    assert_eq!((record.operation, record.dialect), (Operation::Predict, CallerDialect::KserveGrpc));
    assert_eq!((record.endpoint.as_deref(), record.ended), (Some("m"), Ended::Complete));
    assert_eq!((record.input_tokens, record.counted_by), (Some(3), CountedBy::Upstream));
    assert_eq!((record.status, record.labels["a"].as_str()), (Some(200), "b"));
}

#[tokio::test]
async fn the_service_says_what_it_is_and_of_models_what_the_key_may_know() {
    let world = world(&[]).await;
    let mut caller = Connection::open(world.gateway.address).await;
    let path = |method: &str| format!("/inference.GRPCInferenceService/{method}");
    let grpc = [("content-type", "application/grpc")];
    let empty = || Bytes::from_static(&[0; 5]);
    for method in ["ServerLive", "ServerReady"] {
        let answer = caller.call("POST", &path(method), &grpc, empty()).await;
        assert_eq!(
            (answer.header("grpc-status"), &*answer.body),
            ("0", &b"\0\0\0\0\x02\x08\x01"[..])
        );
    }
    let server = caller.call("POST", &path("ServerMetadata"), &grpc, empty()).await;
    let ready = caller.grpc("ModelReady", &[], naming("m", "")).await;
    let metadata = caller.grpc("ModelMetadata", &[], naming("m", "3")).await;
    let unknown = caller.grpc("ModelMetadata", &[], naming("mm", "")).await;
    let version = caller.grpc("ModelReady", &[], naming("m", "4")).await;
    let keyless = caller.call("POST", &path("ModelReady"), &grpc, naming("m", "")).await;
    let record = world.control.record(metadata.header("x-request-id")).await;

    assert!(server.body.windows(7).any(|part| part == b"towpath"));
    assert_eq!(&*ready.body, b"\0\0\0\0\x02\x08\x01");
    for part in ["triage", "inner"] {
        assert!(!metadata.body.windows(part.len()).any(|found| found == part.as_bytes()));
    }
    for part in ["text", "BYTES", "score", "FP32"] {
        assert!(metadata.body.windows(part.len()).any(|found| found == part.as_bytes()), "{part}");
    }
    assert_eq!(record.operation, Operation::Models);
    let (status, code, message) = unknown.refusal();
    assert_eq!((status, code), ("5", "model_not_found"));
    assert!(message.contains("Did you mean `m`?"), "{message}");
    assert_eq!(version.refusal().0, "5");
    assert_eq!((keyless.refusal().0, keyless.refusal().1), ("16", "missing_api_key"));
}

#[tokio::test]
async fn refusals_come_as_status_message_and_code() {
    let world = world(&[("body_max_bytes", 4_096)]).await;
    let mut caller = Connection::open(world.gateway.address).await;
    let mut wrong = texts(&["a"]);
    wrong["inputs"][0]["name"] = "other".into();
    let wrong = caller.grpc("ModelInfer", &[], infer("m", &wrong)).await;
    let unknown = caller.grpc("ModelConfig", &[], naming("m", "")).await;
    let mut squeezed = infer("m", &texts(&["a"])).to_vec();
    squeezed[0] = 1;
    let squeezed = caller.grpc("ModelInfer", &[], squeezed).await;
    let torn = caller.grpc("ModelInfer", &[], &b"\0\0\0\0\x09ab"[..]).await;
    let large = caller.grpc("ModelInfer", &[], infer("m", &texts(&[&"x".repeat(5_000)]))).await;
    let record = world.control.record(wrong.header("x-request-id")).await;

    let (status, code, message) = wrong.refusal();
    assert_eq!((status, code), ("3", "unsupported_field"));
    assert!(message.starts_with("`other` is not an input of the model."), "{message}");
    assert_eq!(record.error_code.as_deref(), Some("unsupported_field"));
    assert_eq!((unknown.refusal().0, unknown.refusal().1), ("12", "route_not_found"));
    assert_eq!((squeezed.refusal().0, squeezed.refusal().1), ("12", "unsupported_encoding"));
    assert_eq!(squeezed.header("grpc-accept-encoding"), "identity");
    assert_eq!((torn.refusal().0, torn.refusal().1), ("3", "invalid_field"));
    assert_eq!((large.refusal().0, large.refusal().1), ("8", "body_too_large"));
    assert!(world.upstream.requests().is_empty());
}

#[tokio::test]
async fn the_callers_deadline_ends_the_call() {
    let world = world(&[]).await;
    world.upstream.script("inner", Script::fault(Fault::Silence));
    let mut caller = Connection::open(world.gateway.address).await;
    let message = infer("m", &texts(&["a"]));
    let answer = caller.grpc("ModelInfer", &[("grpc-timeout", "200m")], message).await;
    let record = world.control.record(answer.header("x-request-id")).await;

    assert_eq!((answer.refusal().0, answer.refusal().1), ("4", "upstream_timeout"));
    assert_eq!(record.ended, Ended::Timeout);
    world.upstream.wait_until(|_, counts| counts.client_gone == 1).await;
}

#[tokio::test]
async fn a_caller_that_cancels_cancels_the_model() {
    let world = world(&[]).await;
    world.upstream.script("inner", Script::fault(Fault::Silence));
    let caller = Connection::open(world.gateway.address).await;
    let message = infer("m", &texts(&["a"]));
    let mut cancelled = caller.clone();
    let call = tokio::spawn(async move { cancelled.grpc("ModelInfer", &[], message).await.status });
    world.upstream.wait_until(|seen, _| !seen.is_empty()).await;
    call.abort();
    world.upstream.wait_until(|_, counts| counts.client_gone == 1).await;
    world.control.wait_until(|control| !control.records().is_empty()).await;
    // The connection goes on.
    let ready = caller.clone().grpc("ModelReady", &[], naming("m", "")).await;

    assert_eq!(world.control.records()[0].ended, Ended::ClientGone);
    assert_eq!(ready.header("grpc-status"), "0");
}

#[tokio::test]
async fn one_connection_carries_rest_calls_and_streams_side_by_side() {
    let world = World::simple().await;
    let gate = Script { gates: [("end".to_owned(), "go".to_owned())].into(), ..Script::default() };
    world.upstream.script_next("m", gate, 1);
    let caller = Connection::open(world.gateway.address).await;
    let headers = [("authorization", "Bearer tp_sandbox_good")];
    let path = "/v1/chat/completions";
    let (mut first, mut second) = (caller.clone(), caller);
    let held =
        tokio::spawn(
            async move { first.call("POST", path, &headers, streamed("m").to_string()).await },
        );
    world.upstream.wait_until(|seen, _| !seen.is_empty()).await;
    let plain = second.call("POST", path, &headers, chat("m").to_string()).await;
    world.upstream.release("go");
    let stream = held.await.unwrap();

    assert_eq!(plain.status, 200);
    assert_eq!(world.control.record(plain.header("x-request-id")).await.ended, Ended::Complete);
    assert!(stream.body.ends_with(b"data: [DONE]\n\n"));
    assert_eq!(second.call("GET", "/healthz", &[], "").await.status, 200);
    assert_eq!(world.gateway.get("/v1/models").await.status, 200);
}

#[tokio::test]
async fn a_large_answer_arrives_whole() {
    let signature = json!({
        "inputs": [{"name": "n", "datatype": "UINT8", "shape": [1]}],
        "outputs": [{"name": "y", "datatype": "FP64", "shape": [-1, 200_000]}],
    });
    let world = World::with(&[], |base| {
        vec![target(base, &json!({"signature": signature})), tables::endpoint("m", &json!({}))]
    })
    .await;
    world.upstream.signature("inner", signature);
    let mut caller = Connection::open(world.gateway.address).await;
    let asked = json!({"inputs": [{"name": "n", "datatype": "UINT8", "shape": [1], "data": [1]}]});
    let answer = caller.grpc("ModelInfer", &[], infer("m", &asked)).await;
    let data = &read(&answer.body)["outputs"][0]["data"];

    assert_eq!(answer.header("grpc-status"), "0");
    assert_eq!((data[0].as_f64(), data[199_999].as_f64()), (Some(0.5), Some(199_999.5)));
}

#[tokio::test]
async fn stopping_lets_calls_of_http_2_end() {
    let mut world = World::simple().await;
    let gate =
        Script { gates: [("headers".to_owned(), "go".to_owned())].into(), ..Script::default() };
    world.upstream.script("m", gate);
    let mut caller = Connection::open(world.gateway.address).await;
    let headers = [("authorization", "Bearer tp_sandbox_good")];
    let call = tokio::spawn(async move {
        caller.call("POST", "/v1/chat/completions", &headers, chat("m").to_string()).await
    });
    world.upstream.wait_until(|seen, _| !seen.is_empty()).await;
    world.gateway.signal("-TERM");
    world.upstream.release("go");
    let answer = call.await.unwrap();

    assert_eq!(answer.status, 200);
    assert!(world.gateway.ended().await.success());
}

pub fn grpc_target(base: &str, changes: &Value) -> towpath_wire::routing::Envelope {
    let mut all = json!({"dialect": "kserve_grpc"});
    for (name, value) in changes.as_object().unwrap() {
        all[name] = value.clone();
    }
    target(base, &all)
}

async fn grpc_world() -> World {
    World::with(&[], |base| vec![grpc_target(base, &json!({})), tables::endpoint("m", &json!({}))])
        .await
}

#[tokio::test]
async fn a_grpc_server_answers_callers_of_every_form() {
    let world = grpc_world().await;
    let body = texts(&["one two", "three"]);
    let rest = world.gateway.post("/v2/models/m/infer", &body).await;
    let predict =
        world.gateway.post("/v1/models/m/predict", &json!({"inputs": ["one two", "three"]})).await;
    let mut caller = Connection::open(world.gateway.address).await;
    let grpc = caller.grpc("ModelInfer", &[], infer("m", &body)).await;
    let record = world.control.record(rest.id()).await;
    let seen = &world.upstream.requests()[0];
    let sent = |name: &str| seen.headers.iter().any(|(header, _)| header == name);

    assert_eq!(rest.status, 200, "{}", rest.text());
    assert_eq!(rest.json()["outputs"][1]["data"], json!([0.5, 1.5]));
    assert_eq!(rest.json()["id"], "call-1");
    assert_eq!(predict.json()["outputs"][1], json!({"label": ["label-1"], "score": [1.5]}));
    assert_eq!(grpc.header("grpc-status"), "0");
    assert_eq!(read(&grpc.body)["outputs"], rest.json()["outputs"]);
    assert_eq!(
        (seen.model.as_deref(), &*seen.path),
        (Some("inner"), "/inference.GRPCInferenceService/ModelInfer")
    );
    assert!(sent("te") && sent("grpc-timeout") && !sent("x-api-key"), "{:?}", seen.headers);
    assert_eq!((record.input_tokens, record.counted_by), (Some(3), CountedBy::Upstream));
    // One for each worker that was asked.
    assert!(world.upstream.counts().connections <= 2);
}

#[tokio::test]
async fn what_a_grpc_server_has_not_begun_is_sent_again_unseen() {
    for fault in [Fault::GoAway, Fault::RefusedStream] {
        let world = grpc_world().await;
        world.upstream.script_next("inner", Script::fault(fault.clone()), 1);
        let answer = world.gateway.post("/v2/models/m/infer", &texts(&["a"])).await;

        assert_eq!(answer.status, 200, "{fault:?}: {}", answer.text());
        assert_eq!(answer.header("x-towpath-attempts"), "1");
        assert_eq!(world.upstream.counts().requests, 2);
        assert_eq!(world.upstream.counts().connections, 2);
    }
}

#[tokio::test]
async fn a_grpc_server_that_leaves_after_its_answer_costs_nobody_a_call() {
    let world = grpc_world().await;
    world.upstream.script("inner", Script { hang_up: true, ..Script::default() });
    for _ in 0..5 {
        let answer = world.gateway.post("/v2/models/m/infer", &texts(&["a"])).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

#[tokio::test]
async fn what_a_grpc_server_fails_at_falls_back() {
    for fault in [
        Fault::Close,
        Fault::Reset,
        Fault::Cut { after: 0 },
        Fault::NoFinish,
        Fault::GrpcStatus { code: 14 },
        Fault::GrpcStatus { code: 2 },
        Fault::Status { code: 503, retry_after: None },
    ] {
        let world = World::with(&[], |base| {
            let replicas = json!([{"id": "rep_n", "address": base}]);
            vec![
                grpc_target(base, &json!({})),
                tables::target(
                    "n",
                    base,
                    &json!({"dialect": "kserve_v2", "operations": ["predict"], "replicas": replicas}),
                ),
                tables::endpoint("m", &json!({"fallback": [{"target": "dep_n"}]})),
            ]
        })
        .await;
        world.upstream.script("inner", Script::fault(fault.clone()));
        let answer = world.gateway.post("/v2/models/m/infer", &texts(&["a"])).await;

        assert_eq!(answer.status, 200, "{fault:?}: {}", answer.text());
        assert_eq!(answer.header("x-towpath-target"), "n", "{fault:?}");
    }
}

#[tokio::test]
async fn a_grpc_servers_own_refusal_reaches_the_caller() {
    let world = grpc_world().await;
    world.upstream.script("inner", Script::fault(Fault::GrpcStatus { code: 3 }));
    let mut caller = Connection::open(world.gateway.address).await;
    let grpc = caller.grpc("ModelInfer", &[], infer("m", &texts(&["a"]))).await;
    let rest = world.gateway.post("/v2/models/m/infer", &texts(&["a"])).await;

    assert_eq!((grpc.refusal().0, grpc.refusal().1), ("3", "upstream_refused"));
    assert!(grpc.refusal().2.starts_with("100 %25 scripted."), "{}", grpc.refusal().2);
    assert_eq!(rest.status, 400);
    assert!(rest.text().contains("100 % scripted"), "{}", rest.text());
}

#[tokio::test]
async fn a_silent_grpc_server_is_cancelled_in_time() {
    let world = World::with(&[], |base| {
        vec![
            grpc_target(base, &json!({})),
            tables::endpoint("m", &json!({"timeouts": {"first_byte_ms": 100}})),
        ]
    })
    .await;
    world.upstream.script("inner", Script::fault(Fault::Silence));
    let answer = world.gateway.post("/v2/models/m/infer", &texts(&["a"])).await;
    world.upstream.wait_until(|_, counts| counts.client_gone >= 1).await;

    assert_eq!(answer.status, 504, "{}", answer.text());
}

#[tokio::test]
async fn calls_to_a_grpc_server_share_its_connection() {
    let world = grpc_world().await;
    let gate =
        Script { gates: [("headers".to_owned(), "go".to_owned())].into(), ..Script::default() };
    let first = world.gateway.post("/v2/models/m/infer", &texts(&["a"])).await;
    world.upstream.script("inner", gate);
    let caller = Connection::open(world.gateway.address).await;
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let mut caller = caller.clone();
            let message = infer("m", &texts(&["a"]));
            tokio::spawn(async move { caller.grpc("ModelInfer", &[], message).await })
        })
        .collect();
    world.upstream.wait_until(|_, counts| counts.requests == 21).await;
    world.upstream.release("go");
    for call in calls {
        assert_eq!(call.await.unwrap().header("grpc-status"), "0");
    }

    assert_eq!(first.status, 200);
    // One for each worker that was asked.
    assert!(world.upstream.counts().connections <= 2, "{:?}", world.upstream.counts());
}
