//! Upstreams behind TLS: certificate authorities of one's own, by target.

use serde_json::{Value, json};
use towpath_testkit::FakeUpstream;
use towpath_wire::routing::{Batch, Envelope, TABLE_VERSION};

use crate::grpc::{grpc_target, infer, read};
use crate::kserve::{target, texts};
use crate::support::http2::Connection;
use crate::support::tls::{Authority, before};
use crate::support::{World, chat, tables};

/// A world whose table is made later, since the upstream's address is known late.
async fn world(
    protocols: &[&str],
    table: impl FnOnce(&str, &Value) -> Vec<Envelope>,
    trusted: &Authority,
    shown: &Authority,
) -> World {
    let world = World::with(&[], |_| vec![]).await;
    let base = before(world.upstream.base_url(), shown, protocols).await;
    let upserts = table(&base, &json!({"ca_pem": trusted.0.pem()}));
    let batch = Batch {
        version: TABLE_VERSION,
        from: 1,
        to: 2,
        advisory: vec![],
        upserts,
        deletes: vec![],
    };
    world.control.batch(batch);
    world.control.applied(2).await;
    world
}

fn openai(base: &str, changes: &Value) -> Vec<Envelope> {
    vec![tables::target("m", base, changes), tables::endpoint("m", &json!({}))]
}

fn kserve(base: &str, changes: &Value) -> Vec<Envelope> {
    vec![target(base, &with(changes, "static")), tables::endpoint("m", &json!({}))]
}

fn grpc(base: &str, changes: &Value) -> Vec<Envelope> {
    vec![grpc_target(base, &with(changes, "static")), tables::endpoint("m", &json!({}))]
}

/// Somebody gave the address, as with every server that is not the platform's own.
fn with(changes: &Value, kind: &str) -> Value {
    let mut all = changes.clone();
    all["kind"] = kind.into();
    all
}

#[tokio::test]
async fn an_upstream_of_a_private_authority_answers_where_the_target_names_it() {
    let ours = Authority::new();
    let chats = world(&["http/1.1"], openai, &ours, &ours).await;
    let answer = chats.gateway.post("/v1/chat/completions", &chat("m")).await;
    let infers = world(&["http/1.1"], kserve, &ours, &ours).await;
    let inference = infers.gateway.post("/v2/models/m/infer", &texts(&["a"])).await;

    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(inference.status, 200, "{}", inference.text());
}

#[tokio::test]
async fn a_grpc_server_of_a_private_authority_answers_calls_and_streams() {
    let ours = Authority::new();
    let world = world(&["h2"], grpc, &ours, &ours).await;
    let mut caller = Connection::open(world.gateway.address).await;
    let message = || infer("m", &texts(&["a b"]));
    let one = caller.grpc("ModelInfer", &[], message()).await;
    let mut talk = caller.talk(&[]).await;
    talk.ask(message()).await;
    let told = talk.told().await.unwrap();
    talk.end();

    assert_eq!(one.header("grpc-status"), "0");
    assert_eq!(read(&one.body)["outputs"][0]["data"], json!(["label-0"]));
    assert!(told.len() > one.body.len());
    assert_eq!(talk.ending("grpc-status").await, "0");
    assert_eq!(world.upstream.requests().len(), 2);
}

#[tokio::test]
async fn another_authority_is_not_trusted_and_the_reason_is_kept_for_operators() {
    let (ours, other) = (Authority::new(), Authority::new());
    for (protocols, table) in [
        (&["http/1.1"], openai as fn(&str, &Value) -> Vec<Envelope>),
        (&["h2"], grpc as fn(&str, &Value) -> Vec<Envelope>),
    ] {
        let world = world(protocols, table, &ours, &other).await;
        let refused = match protocols[0] {
            "h2" => world.gateway.post("/v2/models/m/infer", &texts(&["a"])).await,
            _ => world.gateway.post("/v1/chat/completions", &chat("m")).await,
        };
        world.gateway.logged("invalid peer certificate").await;

        assert_eq!(refused.status, 503, "{}", refused.text());
        assert!(refused.text().contains("no trusted connection"), "{}", refused.text());
        assert!(!refused.text().contains("localhost"), "{}", refused.text());
        assert!(world.upstream.requests().is_empty());
    }
}

#[tokio::test]
async fn a_server_that_speaks_no_http2_is_no_grpc_server() {
    let ours = Authority::new();
    let world = world(&["http/1.1"], grpc, &ours, &ours).await;
    let refused = world.gateway.post("/v2/models/m/infer", &texts(&["a"])).await;

    assert_eq!(refused.status, 503, "{}", refused.text());
}

#[tokio::test]
async fn without_its_authority_a_private_upstream_is_not_trusted() {
    let upstream = FakeUpstream::start().await.unwrap();
    let base = before(upstream.base_url(), &Authority::new(), &["http/1.1"]).await;
    let world = World::with(&[], |_| openai(&base, &json!({}))).await;
    let refused = world.gateway.post("/v1/chat/completions", &chat("m")).await;

    assert_eq!(refused.status, 503, "{}", refused.text());
}
