//! Bad input: a clear error in the caller's dialect, a record, and nothing sent upstream.

use http::Method;
use serde_json::json;
use towpath_wire::usage::Ended;

use crate::support::client::Answer;
use crate::support::{World, chat, tables};

async fn raw(world: &World, path: &str, body: impl Into<bytes::Bytes>) -> Answer {
    let headers = [("authorization", "Bearer tp_sandbox_good")];
    world.gateway.send(Method::POST, path, &headers, body).await.rest().await
}

#[tokio::test]
async fn bodies_that_are_no_request_are_refused_with_a_place() {
    let world = World::simple().await;
    let cases: [(&[u8], &str, &str); 7] = [
        (b"", "invalid_json", ""),
        (b"{\"model\": \"m\"", "invalid_json", ""),
        (b"[1, 2]", "invalid_field", "an array"),
        (b"{\"model\": \"\xff\xfe\", \"messages\": [{\"role\": \"user\", \"content\": \"a\"}]}", "invalid_json", "UTF-8"),
        (b"{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}]}", "missing_field", "model"),
        (b"{\"model\": 7, \"messages\": [{\"role\": \"user\", \"content\": \"a\"}]}", "invalid_field", "model"),
        (b"{\"model\": \"m\", \"messages\": [{\"role\": \"user\", \"content\": \"a\"}], \"stream\": \"yes\"}", "invalid_field", "stream"),
    ];
    for (body, code, part) in cases {
        let shown = String::from_utf8_lossy(body);
        let answer = raw(&world, "/v1/chat/completions", body.to_vec()).await;
        let record = world.control.record(answer.id()).await;

        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (400, code),
            "{shown}: {}",
            answer.text()
        );
        assert!(answer.message().contains(part), "{shown}: {}", answer.message());
        assert_eq!((record.ended, record.error_code.as_deref()), (Ended::Refused, Some(code)));
    }
    assert!(world.upstream.requests().is_empty());
}

#[tokio::test]
async fn predictions_that_are_none_are_refused_as_problem_documents() {
    let world = World::simple().await;
    let answer = world.gateway.post("/v1/models/m/predict", &json!({"inputs": ["a"]})).await;

    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "unsupported_operation"));
    assert!(answer.json()["fix"].as_str().unwrap().contains("/v1/chat/completions"));
}

#[tokio::test]
async fn keys_that_do_not_count_get_401_each_with_its_reason() {
    let world = World::with(&[], |base| {
        vec![
            tables::target("m", base, &json!({})),
            tables::endpoint("m", &json!({})),
            tables::key_with("key_old", "tp_sandbox_old", &json!({"expires_at_ms": 1})),
        ]
    })
    .await;
    let none = world.gateway.send(Method::POST, "/v1/chat/completions", &[], chat("m").to_string());
    let none = none.await.rest().await;
    let wrong = world.gateway.post_as("tp_sandbox_wrong", "/v1/chat/completions", &chat("m")).await;
    let old = world.gateway.post_as("tp_sandbox_old", "/v1/chat/completions", &chat("m")).await;

    for (answer, code) in
        [(&none, "missing_api_key"), (&wrong, "invalid_api_key"), (&old, "key_expired")]
    {
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (401, code));
        assert_eq!(answer.header("www-authenticate"), "Bearer");
        assert!(!answer.text().contains("tp_sandbox"), "{}", answer.text());
        let record = world.control.record(answer.id()).await;
        assert_eq!((record.ended, record.status), (Ended::Refused, Some(401)));
    }
    assert_eq!(world.control.record(old.id()).await.key_id.as_deref(), Some("key_old"));
    assert_eq!(world.control.record(wrong.id()).await.key_id, None);
    assert!(!world.gateway.log().contains("tp_sandbox"));
}

#[tokio::test]
async fn an_unknown_model_is_404_with_a_suggestion_from_what_the_caller_may_see() {
    let world = World::with(&[], |base| {
        vec![
            tables::target("smollm2", base, &json!({})),
            tables::endpoint("smollm2", &json!({})),
            tables::endpoint(
                "secret-m",
                &json!({"targets": [], "visibility": "project", "project": null}),
            ),
        ]
    })
    .await;
    let near = world.gateway.post("/v1/chat/completions", &chat("smolm2")).await;
    let hidden = world.gateway.post("/v1/chat/completions", &chat("secret-n")).await;
    let exact = world.gateway.post("/v1/chat/completions", &chat("secret-m")).await;

    assert_eq!((near.status.as_u16(), near.code().as_str()), (404, "model_not_found"));
    assert!(near.message().contains("Did you mean `smollm2`?"), "{}", near.message());
    assert_eq!(near.json()["error"]["param"], "model");
    assert!(!hidden.message().contains("Did you mean"));
    assert_eq!((exact.status.as_u16(), exact.code().as_str()), (404, "model_not_found"));
}

#[tokio::test]
async fn a_key_of_another_environment_is_told_which_one_has_the_model() {
    let world = World::with(&[], |base| {
        vec![
            tables::target("m", base, &json!({})),
            tables::endpoint("m", &json!({"environment": "staging", "callers": ["staging"]})),
        ]
    })
    .await;
    let answer = world.gateway.post("/v1/chat/completions", &chat("m")).await;

    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (404, "model_not_found"));
    assert!(answer.message().contains("there is one in staging"), "{}", answer.message());
}

#[tokio::test]
async fn what_a_key_may_not_do_is_403() {
    let world = World::with(&[], |base| {
        vec![
            tables::target("m", base, &json!({})),
            tables::endpoint("m", &json!({})),
            tables::key_with("key_r", "read", &json!({"scopes": ["read"]})),
            tables::key_with("key_o", "other", &json!({"endpoints": ["other"]})),
            tables::key_with("key_e", "embed", &json!({"operations": ["embeddings"]})),
            tables::key_with("key_s", "source", &json!({"sources": ["10.0.0.0/8"]})),
        ]
    })
    .await;
    for key in ["read", "other", "embed", "source"] {
        let answer = world.gateway.post_as(key, "/v1/chat/completions", &chat("m")).await;

        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (403, "permission_denied"),
            "{key}"
        );
    }
}

#[tokio::test]
async fn data_that_is_too_sensitive_is_403_and_unknown_classes_400() {
    let world = World::simple().await;
    let send = |class: &'static str| {
        let gateway = &world.gateway;
        async move {
            let headers = [("x-towpath-data-class", class)];
            gateway.post_with("/v1/chat/completions", &headers, &chat("m")).await
        }
    };
    let internal = send("internal").await;
    let unknown = send("secret").await;

    assert_eq!(
        (internal.status.as_u16(), internal.code().as_str()),
        (403, "data_class_not_allowed")
    );
    assert_eq!((unknown.status.as_u16(), unknown.code().as_str()), (400, "invalid_header"));
    assert!(world.upstream.requests().is_empty());
}

#[tokio::test]
async fn malformed_labels_are_400() {
    let world = World::simple().await;
    let headers = [("x-towpath-labels", "a")];
    let answer = world.gateway.post_with("/v1/chat/completions", &headers, &chat("m")).await;

    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "invalid_header"));
}

#[tokio::test]
async fn a_wrong_method_is_405_and_a_compressed_body_415() {
    let world = World::simple().await;
    let method = world.gateway.get("/v1/chat/completions").await;
    let headers = [("content-encoding", "gzip")];
    let encoding = world.gateway.post_with("/v1/chat/completions", &headers, &chat("m")).await;

    assert_eq!((method.status.as_u16(), method.code().as_str()), (405, "method_not_allowed"));
    assert_eq!((encoding.status.as_u16(), encoding.code().as_str()), (415, "unsupported_encoding"));
}

#[tokio::test]
async fn an_unknown_path_is_404_in_the_shape_of_its_neighbours() {
    let world = World::simple().await;
    let openai = world.gateway.post("/v1/chat/complete", &chat("m")).await;
    let other = world.gateway.get("/nowhere").await;

    assert_eq!(
        (openai.status.as_u16(), &openai.json()["error"]["code"]),
        (404, &json!("route_not_found"))
    );
    assert_eq!((other.status.as_u16(), &other.json()["code"]), (404, &json!("route_not_found")));
}
