//! Calls that go well, and what their records say.

use http::Method;
use serde_json::{Value, json};
use towpath_wire::Environment;
use towpath_wire::routing::{DataClass, Operation, TargetKind};
use towpath_wire::usage::{CallerDialect, CountedBy, Ended};

use crate::support::{World, chat, tables};

#[tokio::test]
async fn a_chat_is_answered_and_recorded() {
    let world = World::simple().await;
    let answer = world.gateway.post("/v1/chat/completions", &chat("m")).await;
    let record = world.control.record(answer.id()).await;

    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.whole);
    assert_eq!(answer.json()["choices"][0]["message"]["role"], "assistant");
    assert_eq!(answer.header("x-towpath-endpoint"), "m");
    assert_eq!(answer.header("x-towpath-target"), "m");
    assert_eq!(answer.header("x-towpath-attempts"), "1");
    assert!(answer.header("x-towpath-overhead-us").parse::<u64>().is_ok());
    assert_eq!(answer.header("x-towpath-cost-nano"), "700");
    assert_eq!(record.team.as_deref(), Some("team_1"));
    assert_eq!(record.project.as_deref(), Some("prj_1"));
    assert_eq!(record.key_id.as_deref(), Some("key_1"));
    assert_eq!(record.environment, Some(Environment::Sandbox));
    assert_eq!(record.endpoint.as_deref(), Some("m"));
    assert_eq!((record.operation, record.dialect), (Operation::Chat, CallerDialect::Openai));
    assert_eq!(
        (record.target_kind, record.target.as_deref()),
        (Some(TargetKind::Static), Some("m"))
    );
    assert_eq!(record.replica.as_deref(), Some("rep_m"));
    assert_eq!((record.ended, record.status), (Ended::Complete, Some(200)));
    assert_eq!((record.input_tokens, record.output_tokens), (Some(3), Some(8)));
    assert_eq!(record.counted_by, CountedBy::Upstream);
    assert_eq!((record.cost_nano, record.currency.as_deref()), (Some(60 + 640), Some("EUR")));
    assert_eq!(record.price_id.as_deref(), Some("prc_1"));
    assert_eq!((record.attempts, record.count), (1, 1));
    assert!(record.latency_ms.is_some() && record.overhead_us.is_some());
}

/// Its time on the target's GPUs is in the record, and priced beside its tokens.
#[tokio::test]
async fn time_on_gpus_is_recorded_and_priced() {
    let price = json!({
        "currency": "EUR", "input_nano_per_million": 0, "output_nano_per_million": 0,
        "request_nano": 7, "gpu_second_nano": 1_000_000_000,
    });
    let world = World::with(&[], |base| {
        vec![
            tables::entity("price", "prc_gpu", &price),
            tables::target("m", base, &json!({"gpus": 2, "prices": ["prc_gpu"]})),
            tables::endpoint("m", &json!({})),
        ]
    })
    .await;
    let answer = world.gateway.post("/v1/chat/completions", &chat("m")).await;
    let record = world.control.record(answer.id()).await;

    let gpu_us = record.gpu_us.unwrap();
    assert!(gpu_us > 0);
    assert!(gpu_us <= 2 * 1_000 * (record.latency_ms.unwrap() + 1), "{gpu_us}");
    assert_eq!(record.cost_nano, Some(7 + 1_000 * gpu_us));
}

#[tokio::test]
async fn what_the_headers_say_stands_in_the_record() {
    let world = World::with(&[], |base| {
        vec![
            tables::target("m", base, &json!({"max_data_class": "confidential", "region": "eu"})),
            tables::endpoint("m", &json!({})),
        ]
    })
    .await;
    let headers = [
        ("x-request-id", "mine-1"),
        ("x-towpath-labels", "cost-center=cc-1, case=triage"),
        ("x-towpath-data-class", "internal"),
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ("tracestate", "vendor=1"),
    ];
    let mut body = chat("m");
    body["user"] = "alice".into();
    let answer = world.gateway.post_with("/v1/chat/completions", &headers, &body).await;
    let record = world.control.record(answer.id()).await;

    assert_eq!(record.client_request_id.as_deref(), Some("mine-1"));
    assert_ne!(answer.id(), "mine-1");
    assert_eq!(record.labels["cost-center"], "cc-1");
    assert_eq!(record.labels["case"], "triage");
    assert_eq!(record.data_class, Some(DataClass::Internal));
    assert_eq!(record.region.as_deref(), Some("eu"));
    assert_eq!(record.trace_id.as_deref(), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
    assert_eq!(record.user.as_deref(), Some("c43a64979dbfb067a2b37da40ce16ebc"));
    let seen = &world.upstream.requests()[0];
    let sent = |name: &str| {
        let found = seen.headers.iter().find(|(header, _)| header == name);
        found.map_or("", |(_, value)| value.as_str()).to_owned()
    };
    assert!(sent("traceparent").starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"));
    assert!(!sent("traceparent").contains("00f067aa0ba902b7"));
    assert_eq!(sent("tracestate"), "vendor=1");
}

#[tokio::test]
async fn the_callers_key_is_stripped_and_the_targets_credential_sent() {
    let world = World::with(&[], |base| {
        vec![
            tables::entity(
                "credential",
                "crd_1",
                &json!({"sealed": tables::SEALED, "scheme": "bearer"}),
            ),
            tables::target("m", base, &json!({"credential": "crd_1"})),
            tables::endpoint("m", &json!({})),
        ]
    })
    .await;
    world.upstream.require_bearer("sk-upstream");
    let headers = [("x-api-key", tables::GOOD)];
    let answer = world
        .gateway
        .send(Method::POST, "/v1/chat/completions", &headers, chat("m").to_string())
        .await
        .rest()
        .await;

    assert_eq!(answer.status, 200, "{}", answer.text());
    let seen = format!("{:?}", world.upstream.requests());
    assert!(!seen.contains(tables::GOOD) && !seen.contains("x-api-key"), "{seen}");
}

#[tokio::test]
async fn the_upstream_gets_its_own_models_name_and_the_caller_gets_the_bytes_it_sent() {
    let world = World::with(&[], |base| {
        vec![
            tables::target("m", base, &json!({"upstream_model": "vendor/m-8b"})),
            tables::endpoint("m", &json!({})),
        ]
    })
    .await;
    let mut body = chat("m");
    body["vendor_field"] = json!({"kept": true});
    let answer = world.gateway.post("/v1/chat/completions", &body).await;
    let seen = &world.upstream.requests()[0];
    let sent: Value = serde_json::from_str(&seen.body).unwrap();

    assert_eq!(seen.model.as_deref(), Some("vendor/m-8b"));
    assert_eq!(sent["vendor_field"], json!({"kept": true}));
    assert_eq!(answer.json()["model"], "vendor/m-8b");
}

#[tokio::test]
async fn own_runtimes_get_only_the_fields_they_list_within_their_ranges() {
    let fields = json!({"messages": {}, "temperature": {"minimum": 0, "maximum": 2}});
    let world = World::with(&[], |base| {
        vec![
            tables::target("m", base, &json!({"request_fields": fields})),
            tables::endpoint("m", &json!({})),
        ]
    })
    .await;
    let mut body = chat("m");
    body["temperature"] = 3.into();
    let refused = world.gateway.post("/v1/chat/completions", &body).await;

    assert_eq!(refused.status, 400);
    assert!(refused.message().contains("temperature"), "{}", refused.message());
    assert!(world.upstream.requests().is_empty());
}

#[tokio::test]
async fn completions_and_embeddings_are_answered() {
    let world = World::simple().await;
    let completion =
        world.gateway.post("/v1/completions", &json!({"model": "m", "prompt": "a b"})).await;
    let embedding =
        world.gateway.post("/v1/embeddings", &json!({"model": "m", "input": ["a", "b c"]})).await;
    let record = world.control.record(embedding.id()).await;

    assert_eq!(completion.json()["object"], "text_completion");
    assert_eq!(embedding.json()["data"].as_array().unwrap().len(), 2);
    assert_eq!((record.operation, record.input_tokens), (Operation::Embeddings, Some(3)));
    assert_eq!(record.output_tokens, None);
}

fn kserve(base: &str, signature: &Value) -> towpath_wire::routing::Envelope {
    tables::target(
        "m",
        base,
        &json!({
            "kind": "deployment", "dialect": "kserve_v2", "signature": signature, "operations": ["predict", "embeddings"],
            "replicas": [{"id": "rep_m", "address": base}],
            "model": {"name": "triage", "version": 3, "digest": "sha256:abc"},
        }),
    )
}

fn labels() -> Value {
    json!({
        "inputs": [{"name": "text", "datatype": "BYTES", "shape": [-1, 1]}],
        "outputs": [
            {"name": "label", "datatype": "BYTES", "shape": [-1, 1]},
            {"name": "score", "datatype": "FP32", "shape": [-1, 1]},
        ],
    })
}

#[tokio::test]
async fn predict_is_translated_through_the_signature() {
    let world =
        World::with(&[], |base| vec![kserve(base, &labels()), tables::endpoint("m", &json!({}))])
            .await;
    let answer =
        world.gateway.post("/v1/models/m/predict", &json!({"inputs": ["one two", "three"]})).await;
    let record = world.control.record(answer.id()).await;
    let body = answer.json();

    assert_eq!(answer.status, 200, "{body}");
    assert_eq!(body["outputs"].as_array().unwrap().len(), 2);
    assert_eq!(body["model"], json!({"name": "triage", "version": 3, "digest": "sha256:abc"}));
    assert_eq!(body["request_id"], answer.id());
    assert_eq!(answer.header("x-towpath-model-version"), "3");
    assert_eq!((record.operation, record.dialect), (Operation::Predict, CallerDialect::Predict));
    assert_eq!((record.model.as_deref(), record.model_version), (Some("triage"), Some(3)));
    assert_eq!(record.input_tokens, Some(3));
}

#[tokio::test]
async fn a_loaded_version_can_be_named_and_another_cannot() {
    let world =
        World::with(&[], |base| vec![kserve(base, &labels()), tables::endpoint("m", &json!({}))])
            .await;
    let body = json!({"inputs": ["one"]});
    let third = world.gateway.post("/v1/models/m/versions/3/predict", &body).await;
    let fourth = world.gateway.post("/v1/models/m/versions/4/predict", &body).await;

    assert_eq!(third.status, 200);
    assert_eq!((fourth.status.as_u16(), fourth.code().as_str()), (404, "model_not_found"));
    assert_eq!(fourth.header("content-type"), "application/problem+json");
    assert!(fourth.json()["fix"].as_str().unwrap().contains('3'));
}

#[tokio::test]
async fn a_model_with_typed_inputs_takes_objects_and_names_the_wrong_one() {
    let signature = json!({
        "inputs": [
            {"name": "age", "datatype": "INT64", "shape": [-1, 1]},
            {"name": "income", "datatype": "FP64", "shape": [-1, 1]},
        ],
        "outputs": [{"name": "risk", "datatype": "FP32", "shape": [-1]}],
    });
    let world =
        World::with(&[], |base| vec![kserve(base, &signature), tables::endpoint("m", &json!({}))])
            .await;
    world.upstream.signature("m", signature.clone());
    let good = json!({"inputs": [{"age": 41, "income": 1.5}, {"age": 23, "income": 2}]});
    let bad = json!({"inputs": [{"age": 41, "income": 1.5}, {"age": "old", "income": 2}]});
    let answer = world.gateway.post("/v1/models/m/predict", &good).await;
    let refused = world.gateway.post("/v1/models/m/predict", &bad).await;

    assert_eq!(answer.json()["outputs"], json!([{"risk": 0.5}, {"risk": 1.5}]));
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("inputs[1].age"), "{}", refused.text());
}

#[tokio::test]
async fn embeddings_of_a_v2_model_have_the_openai_shape() {
    let signature = json!({
        "inputs": [{"name": "text", "datatype": "BYTES", "shape": [-1]}],
        "outputs": [{"name": "embedding", "datatype": "FP32", "shape": [-1, 4]}],
    });
    let world =
        World::with(&[], |base| vec![kserve(base, &signature), tables::endpoint("m", &json!({}))])
            .await;
    world.upstream.signature("m", signature);
    let answer =
        world.gateway.post("/v1/embeddings", &json!({"model": "m", "input": ["a b", "c"]})).await;
    let body = answer.json();

    assert_eq!(body["data"][1]["embedding"], json!([4.5, 5.5, 6.5, 7.5]), "{body}");
    assert_eq!((&body["model"], &body["usage"]["prompt_tokens"]), (&json!("m"), &json!(3)));
}

#[tokio::test]
async fn the_list_of_models_says_what_a_caller_wants_to_know() {
    let world = World::with(&[], |base| {
        vec![
            tables::target(
                "m",
                base,
                &json!({"context_length": 2048, "modalities": ["text"], "owned_by": "care"}),
            ),
            tables::endpoint("m", &json!({"created_at_ms": 1_790_000_000_000_u64})),
        ]
    })
    .await;
    let list = world.gateway.get("/v1/models").await;
    let one = world.gateway.get("/v1/models/m").await;
    let none = world.gateway.get("/v1/models/mm").await;
    let record = world.control.record(list.id()).await;

    assert_eq!(list.json()["data"][0], one.json());
    assert_eq!(one.json()["id"], "m");
    assert_eq!(
        (&one.json()["owned_by"], &one.json()["created"]),
        (&json!("care"), &json!(1_790_000_000))
    );
    assert_eq!(one.json()["context_length"], 2048);
    assert_eq!((none.status.as_u16(), none.code().as_str()), (404, "model_not_found"));
    assert!(none.message().contains("Did you mean `m`"));
    assert_eq!((record.operation, record.ended), (Operation::Models, Ended::Complete));
}

#[tokio::test]
async fn tokens_that_the_upstream_does_not_report_are_counted_and_marked() {
    let world = World::with(&[], |base| {
        vec![
            tables::target("fake-no-usage", base, &json!({})),
            tables::endpoint("fake-no-usage", &json!({})),
        ]
    })
    .await;
    let answer = world.gateway.post("/v1/chat/completions", &chat("fake-no-usage")).await;
    let record = world.control.record(answer.id()).await;

    assert_eq!(record.counted_by, CountedBy::Gateway);
    assert!(record.input_tokens.unwrap() > 0 && record.output_tokens.unwrap() > 0);
    assert!(record.cost_nano.is_some());
}
