//! Addresses that were given by URL and lead inside.

use serde_json::{Value, json};
use towpath_wire::routing::{Batch, Envelope};

use crate::support::{World, chat, tables};

fn platform(allow: &Value) -> Envelope {
    let value = json!({"name": "towpath", "currency": "EUR", "egress_allow": allow});
    tables::entity("platform", "platform", &value)
}

fn batch(from: u64, upserts: Vec<Envelope>) -> Batch {
    Batch { version: 1, from, to: from + 1, advisory: vec![], upserts, deletes: vec![] }
}

#[tokio::test]
async fn a_url_that_leads_inside_is_refused_until_the_platform_lists_it() {
    let world = World::simple().await;
    world.control.batch(batch(1, vec![platform(&json!([]))]));
    world.control.applied(2).await;

    let refused = world.gateway.post("/v1/chat/completions", &chat("m")).await;
    let record = world.control.record(refused.id()).await;
    world.control.batch(batch(2, vec![platform(&json!(["127.0.0.0/8"]))]));
    world.control.applied(3).await;
    let served = world.gateway.post("/v1/chat/completions", &chat("m")).await;

    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (502, "egress_denied"));
    assert!(!refused.text().contains("127.0.0.1"), "{}", refused.text());
    assert_eq!(record.error_code.as_deref(), Some("egress_denied"));
    assert_eq!(served.status, 200);
}

#[tokio::test]
async fn what_the_platform_runs_itself_is_called_wherever_it_is() {
    let world = World::with(&[], |base| {
        let own = json!({"kind": "deployment"});
        vec![tables::target("m", base, &own), tables::endpoint("m", &json!({}))]
    })
    .await;
    world.control.batch(batch(1, vec![platform(&json!([]))]));
    world.control.applied(2).await;

    let served = world.gateway.post("/v1/chat/completions", &chat("m")).await;

    assert_eq!(served.status, 200);
}
