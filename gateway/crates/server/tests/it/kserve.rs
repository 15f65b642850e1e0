//! Callers of the KServe protocol over REST.

use http::Method;
use serde_json::{Value, json};
use towpath_wire::routing::Operation;
use towpath_wire::usage::{CallerDialect, CountedBy, Ended};

use crate::support::{World, tables};

fn signature() -> Value {
    json!({
        "inputs": [{"name": "text", "datatype": "BYTES", "shape": [-1, 1]}],
        "outputs": [
            {"name": "label", "datatype": "BYTES", "shape": [-1, 1]},
            {"name": "score", "datatype": "FP32", "shape": [-1, 1]},
        ],
    })
}

pub fn target(base: &str, changes: &Value) -> towpath_wire::routing::Envelope {
    let mut all = json!({
        "kind": "deployment", "dialect": "kserve_v2", "signature": signature(),
        "operations": ["predict"], "replicas": [{"id": "rep_m", "address": base}],
        "upstream_model": "inner", "model": {"name": "triage", "version": 3, "digest": "sha256:abc"},
    });
    for (name, value) in changes.as_object().unwrap() {
        all[name] = value.clone();
    }
    tables::target("m", base, &all)
}

async fn world() -> World {
    World::with(&[], |base| {
        vec![
            target(base, &json!({})),
            tables::endpoint("m", &json!({})),
            tables::entity("team", "team_2", &json!({"name": "others"})),
            tables::entity("project", "prj_2", &json!({"name": "secret", "team": "team_2"})),
            tables::endpoint(
                "hidden",
                &json!({"project": "prj_2", "visibility": "project", "targets": [{"target": "dep_m", "weight": 1}]}),
            ),
        ]
    })
    .await
}

pub fn texts(data: &[&str]) -> Value {
    json!({"id": "call-1", "inputs": [
        {"name": "text", "datatype": "BYTES", "shape": [data.len(), 1], "data": data},
    ]})
}

#[tokio::test]
async fn an_inference_passes_untouched_and_is_recorded() {
    let world = world().await;
    let body = texts(&["one two", "three"]);
    let answer = world.gateway.post("/v2/models/m/infer", &body).await;
    let record = world.control.record(answer.id()).await;
    let seen = &world.upstream.requests()[0];

    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["outputs"][1]["data"], json!([0.5, 1.5]));
    assert_eq!(answer.json()["id"], "call-1");
    assert_eq!(answer.header("x-towpath-model-version"), "3");
    assert_eq!(seen.body, body.to_string());
    assert_eq!(seen.path, "/v2/models/inner/infer");
    assert_eq!((record.operation, record.dialect), (Operation::Predict, CallerDialect::KserveV2));
    assert_eq!((record.endpoint.as_deref(), record.ended), (Some("m"), Ended::Complete));
    assert_eq!((record.input_tokens, record.counted_by), (Some(3), CountedBy::Upstream));
    assert_eq!((record.cost_nano, record.model_version), (Some(60), Some(3)));
}

#[tokio::test]
async fn tensors_as_bytes_pass_both_ways() {
    let world = world().await;
    let mut head = texts(&[]);
    head["inputs"] = json!([{
        "name": "text", "datatype": "BYTES", "shape": [2, 1], "parameters": {"binary_data_size": 11},
    }]);
    head["outputs"] = json!([{"name": "score", "parameters": {"binary_data": true}}]);
    let head = head.to_string();
    let mut body = head.clone().into_bytes();
    body.extend(b"\x01\0\0\0a\x02\0\0\0b\xff");
    let headers =
        [("x-api-key", tables::GOOD), ("inference-header-content-length", &head.len().to_string())];
    let answer =
        world.gateway.send(Method::POST, "/v2/models/m/infer", &headers, body).await.rest().await;
    let size: usize = answer.header("inference-header-content-length").parse().unwrap();
    let (head, raw) = answer.body.split_at(size);
    let head: Value = serde_json::from_slice(head).unwrap();

    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), "application/octet-stream");
    assert_eq!(head["outputs"][1]["parameters"]["binary_data_size"], 8);
    assert_eq!(raw, [0.5_f32.to_le_bytes(), 1.5_f32.to_le_bytes()].concat());
}

#[tokio::test]
async fn what_does_not_fit_the_signature_is_refused_before_it_is_sent() {
    let world = world().await;
    let mut wrong = texts(&["a"]);
    wrong["inputs"][0]["datatype"] = "INT64".into();
    wrong["inputs"][0]["data"] = json!([1]);
    let answer = world.gateway.post("/v2/models/m/infer", &wrong).await;
    let record = world.control.record(answer.id()).await;

    assert_eq!(answer.status, 400);
    assert_eq!(
        answer.json(),
        json!({"error": "`text` is INT64, but the model takes BYTES. Send `text` as BYTES. [invalid_field]"})
    );
    assert_eq!(record.error_code.as_deref(), Some("invalid_field"));
    assert!(world.upstream.requests().is_empty());
}

#[tokio::test]
async fn metadata_come_from_the_table_and_show_the_callers_own_name() {
    let world = world().await;
    let plain = world.gateway.get("/v2/models/m").await;
    let versioned = world.gateway.get("/v2/models/m/versions/3").await;
    let ready = world.gateway.get("/v2/models/m/ready").await;
    let record = world.control.record(plain.id()).await;
    let mut expected = signature();
    expected["name"] = "m".into();
    expected["versions"] = json!(["3"]);
    expected["platform"] = "towpath".into();

    assert_eq!(plain.json(), expected);
    assert_eq!(versioned.json(), expected);
    assert_eq!((ready.status.as_u16(), &ready.json()["ready"]), (200, &json!(true)));
    assert_eq!((record.operation, record.dialect), (Operation::Models, CallerDialect::KserveV2));
    assert!(world.upstream.requests().is_empty());
}

#[tokio::test]
async fn a_model_of_others_and_one_that_is_not_there_look_alike() {
    let world = world().await;
    for path in ["", "/ready", "/infer"] {
        let mut texts_of = Vec::new();
        for name in ["hidden", "nowhere"] {
            let path = format!("/v2/models/{name}{path}");
            let answer = match path.ends_with("infer") {
                true => world.gateway.post(&path, &texts(&["a"])).await,
                false => world.gateway.get(&path).await,
            };
            assert_eq!(answer.status, 404, "{path}: {}", answer.text());
            let error = answer.json()["error"].as_str().unwrap().to_owned();
            assert!(error.ends_with("[model_not_found]"), "{error}");
            texts_of.push(error.replace(name, "…"));
        }
        assert_eq!(texts_of[0], texts_of[1]);
    }
}

#[tokio::test]
async fn versions_that_are_not_loaded_are_not_found() {
    let world = world().await;
    for version in ["4", "latest"] {
        let path = format!("/v2/models/m/versions/{version}/infer");
        let answer = world.gateway.post(&path, &texts(&["a"])).await;

        assert_eq!(answer.status, 404, "{}", answer.text());
        assert!(answer.text().contains(version), "{}", answer.text());
    }
}

#[tokio::test]
async fn a_server_says_what_it_is_to_everybody_and_of_models_to_callers_alone() {
    let world = world().await;
    let open = |path: &'static str| world.gateway.send(Method::GET, path, &[], "");
    let server = open("/v2").await.rest().await;
    let live = open("/v2/health/live").await.rest().await;
    let ready = open("/v2/health/ready").await.rest().await;
    let model = open("/v2/models/m").await.rest().await;
    let nowhere = open("/v2/repository/index").await.rest().await;

    assert_eq!(server.json()["name"], "towpath");
    assert_eq!(server.json()["extensions"], json!(["binary_tensor_data"]));
    assert_eq!((live.status.as_u16(), ready.status.as_u16()), (200, 200));
    assert_eq!(model.status, 401);
    assert!(model.json()["error"].as_str().unwrap().ends_with("[missing_api_key]"));
    assert!(nowhere.json()["error"].as_str().unwrap().ends_with("[route_not_found]"));
}

#[tokio::test]
async fn a_model_that_chats_takes_no_inference() {
    let world = World::simple().await;
    let answer = world.gateway.post("/v2/models/m/infer", &texts(&["a"])).await;

    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("[unsupported_operation]"), "{}", answer.text());
}

#[tokio::test]
async fn a_failing_target_falls_back_and_its_own_refusal_is_passed_on() {
    let world = World::with(&[], |base| {
        vec![
            target(base, &json!({"upstream_model": "fake-500"})),
            tables::target(
                "n",
                base,
                &json!({
                    "dialect": "kserve_v2", "operations": ["predict"],
                    "replicas": [{"id": "rep_n", "address": base}],
                }),
            ),
            tables::endpoint("m", &json!({"fallback": [{"target": "dep_n"}]})),
            tables::endpoint("n", &json!({})),
        ]
    })
    .await;
    let answer = world.gateway.post("/v2/models/m/infer", &texts(&["a"])).await;
    let refused = world
        .gateway
        .post(
            "/v2/models/n/infer",
            &json!({"inputs": [
                {"name": "other", "datatype": "FP32", "shape": [1], "data": [1]},
            ]}),
        )
        .await;

    assert_eq!((answer.status.as_u16(), answer.header("x-towpath-target")), (200, "n"));
    assert_eq!(answer.header("x-towpath-attempts"), "2");
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("Input `text` is missing"), "{}", refused.text());
    assert!(refused.text().contains("[upstream_refused]"), "{}", refused.text());
}
