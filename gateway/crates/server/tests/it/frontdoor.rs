//! The front door: the control plane's public paths are relayed, and nothing else exists.

use http::Method;
use serde_json::json;

use crate::support::api::Api;
use crate::support::{World, tables};

async fn world() -> (World, Api) {
    let api = Api::start().await;
    let mut world = World::with(&[], |base| {
        vec![tables::target("m", base, &json!({})), tables::endpoint("m", &json!({}))]
    })
    .await;
    world.options.api = Some(api.address.clone());
    world.restart();
    (world, api)
}

#[tokio::test]
async fn the_api_is_relayed_with_what_it_must_know_of_the_caller() {
    let (world, api) = world().await;
    let headers = [
        ("authorization", "Bearer tp_admin_x"),
        ("x-forwarded-for", "1.2.3.4"),
        ("connection", "x-private, keep-alive"),
        ("x-private", "for this hop"),
    ];
    let answer = world
        .gateway
        .send(Method::POST, "/api/v1/teams?dry_run=true", &headers, r#"{"name":"a"}"#)
        .await
        .rest()
        .await;
    let seen = api.seen();

    assert_eq!((answer.status.as_u16(), answer.header("x-from")), (201, "api"));
    assert_eq!(answer.text(), r#"{"name":"a"}"#);
    assert_eq!(
        (seen[0].method.as_str(), seen[0].path.as_str()),
        ("POST", "/api/v1/teams?dry_run=true")
    );
    assert_eq!(seen[0].header("authorization"), "Bearer tp_admin_x");
    assert_eq!(seen[0].header("x-forwarded-for"), "127.0.0.1");
    assert_eq!(seen[0].header("x-forwarded-host"), "towpath");
    assert!(seen[0].header("x-request-id").starts_with("req_"));
    assert_eq!(seen[0].header("x-private"), "");
}

#[tokio::test]
async fn the_portal_and_the_discovery_document_are_relayed() {
    let (world, api) = world().await;
    for path in ["/", "/assets/app.js", "/portal", "/portal/teams", "/.well-known/towpath"] {
        assert_eq!(world.gateway.get(path).await.status, 201, "{path}");
    }
    assert_eq!(api.seen().len(), 5);
}

#[tokio::test]
async fn large_bodies_pass_through_in_both_directions() {
    let (world, _api) = world().await;
    let body = "x".repeat(40 << 20);
    let answer =
        world.gateway.send(Method::PUT, "/api/v1/blobs", &[], body.clone()).await.rest().await;

    assert_eq!(answer.body.len(), body.len());
}

#[tokio::test]
async fn files_and_batches_are_the_control_planes() {
    let (world, api) = world().await;
    for path in ["/v1/files", "/v1/files/file_1/content", "/v1/batches/batch_1/cancel"] {
        assert_eq!(world.gateway.send(Method::POST, path, &[], "").await.status, 201, "{path}");
    }
    let body = "x".repeat(40 << 20);
    let answer =
        world.gateway.send(Method::POST, "/v1/files", &[], body.clone()).await.rest().await;
    let seen = api.seen().len();
    api.stop().await;
    let down = world.gateway.get("/v1/batches?limit=2").await;

    assert_eq!((answer.body.len(), seen), (body.len(), 4));
    assert_eq!((down.status.as_u16(), down.code().as_str()), (503, "control_unavailable"));
    assert!(down.json()["error"]["message"].is_string());
}

#[tokio::test]
async fn no_internal_path_can_be_reached_from_outside() {
    let (world, api) = world().await;
    let paths = [
        "/link",
        "/link/",
        "/link/v1/routing",
        "/link/v1/usage",
        "/link/v1/signals",
        "/link/v1/bodies",
        "/LINK/v1/routing",
        "//link/v1/routing",
        "/api/../link/v1/routing",
        "/api/%2e%2e/link/v1/routing",
        "/api/..%2flink/v1/routing",
        "/api//link/v1/routing",
        "/portal/../link/v1/usage",
        "/%6cink/v1/routing",
        "/v1/../link/v1/routing",
        "/v1/files/../../link/v1/routing",
        "/v1/files/%2e%2e/%2e%2e/link/v1/routing",
        "/v1/batches/..%2f..%2flink/v1/usage",
        "/v1/batches//link/v1/usage",
        "/v1/filesystem",
        "/api/.%2E/link/v1/routing",
        "/slots",
        "/props",
        "/health",
        "/docs",
        "/openapi.json",
        "/metrics/",
        "/internal",
        "/debug",
        "/admin",
        "/apiv1",
        "/.well-known/",
        "/.git/config",
    ];
    for path in paths {
        for method in [Method::GET, Method::POST] {
            let headers = [("authorization", "Bearer link-credential-of-at-least-32-characters")];
            let answer = world.gateway.send(method.clone(), path, &headers, "").await.rest().await;

            assert_eq!(answer.status, 404, "{method} {path}");
        }
    }
    assert!(api.seen().is_empty());
}

#[tokio::test]
async fn an_api_that_is_down_is_503_while_calls_go_on() {
    let (world, api) = world().await;
    api.stop().await;
    let down = world.gateway.get("/api/v1/teams").await;
    let call = world.gateway.post("/v1/chat/completions", &crate::support::chat("m")).await;

    assert_eq!((down.status.as_u16(), down.code().as_str()), (503, "control_unavailable"));
    assert_eq!(down.header("content-type"), "application/problem+json");
    assert_eq!(call.status, 200);
}
