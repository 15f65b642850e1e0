//! What is stopped: by the table's blocks, by the gateway's own word, by the table's age.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use towpath_wire::routing::{Batch, EntityRef, Envelope};

use crate::support::tables::{self, GOOD, endpoint, target};
use crate::support::{World, chat};

fn batch(from: u64, upserts: Vec<Envelope>, deletes: Vec<EntityRef>) -> Batch {
    Batch { version: 1, from, to: from + 1, advisory: vec![], upserts, deletes }
}

fn block(what: &Value) -> Envelope {
    tables::entity("block", "blk_1", &json!({"what": what, "reason": "it leaked"}))
}

async fn answer(world: &World) -> (u16, String, String) {
    let answer = world.gateway.post("/v1/chat/completions", &chat("m")).await;
    let code = if answer.status == 200 { String::new() } else { answer.code() };
    let message = if answer.status == 200 { String::new() } else { answer.message() };
    (answer.status.as_u16(), code, message)
}

#[tokio::test]
async fn a_block_holds_from_its_revision_on_and_ends_with_it() {
    let world = World::with(&[], |base| {
        let vendor = json!({"kind": "provider", "provider": "vendor"});
        vec![target("m", base, &vendor), endpoint("m", &json!({}))]
    })
    .await;
    let mut revision = 1;
    for what in [
        json!({"key": "key_1"}),
        json!({"endpoint": "end_m"}),
        json!({"provider": "vendor"}),
        json!({"model": "m"}),
    ] {
        world.control.batch(batch(revision, vec![block(&what)], vec![]));
        world.control.applied(revision + 1).await;
        let (status, code, message) = answer(&world).await;
        assert_eq!((status, code.as_str()), (403, "blocked"), "{what}");
        assert!(message.contains("is blocked: it leaked"), "{message}");

        let gone = EntityRef { kind: "block".to_owned(), id: "blk_1".to_owned() };
        world.control.batch(batch(revision + 1, vec![], vec![gone]));
        world.control.applied(revision + 2).await;
        assert_eq!(answer(&world).await.0, 200, "{what}");
        revision += 2;
    }
}

#[tokio::test]
async fn a_blocked_provider_is_passed_over_while_another_target_is_left() {
    let world = World::with(&[], |base| {
        let vendor = json!({"kind": "provider", "provider": "vendor"});
        vec![
            target("m", base, &vendor),
            target("n", base, &json!({})),
            endpoint("m", &json!({"fallback": [{"target": "dep_n"}]})),
        ]
    })
    .await;
    world.control.batch(batch(1, vec![block(&json!({"provider": "vendor"}))], vec![]));
    world.control.applied(2).await;

    let served = world.gateway.post("/v1/chat/completions", &chat("m")).await;

    assert_eq!(served.status, 200);
    assert_eq!(served.header("x-towpath-target"), "n");
}

fn revoke(world: &World, what: &str) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_towpath-gateway"));
    let output = command.args(["revoke", "--data"]).arg(world.folder()).arg(what).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

/// Wait until the key is no longer taken.
async fn refused(world: &World) {
    let gone = async {
        while answer(world).await.1 != "key_revoked" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), gone).await.expect("the key still works");
}

#[tokio::test]
async fn a_key_is_revoked_at_the_gateway_alone_by_itself_and_by_its_id() {
    for what in [GOOD, "key_1"] {
        let mut world = World::simple().await;
        world.control.sick(Some(503));
        assert_eq!(answer(&world).await.0, 200);

        let (done, said) = revoke(&world, what);
        assert!(done && said.contains("revoked key_1 at this gateway"), "{said}");
        refused(&world).await;

        world.restart();
        assert_eq!(answer(&world).await.1, "key_revoked", "a start forgot it");
    }
}

#[tokio::test]
async fn what_is_no_key_and_no_id_is_not_revoked() {
    let world = World::simple().await;

    let (unknown, said) = revoke(&world, "key_2");
    let (stranger, heard) = revoke(&world, "tp_sandbox_stranger");

    assert!(
        !unknown && said.contains("no key of the gateway's table has the id `key_2`"),
        "{said}"
    );
    assert!(said.contains("fix: Give the whole key"), "{said}");
    assert!(stranger && heard.contains("which is not in the table"), "{heard}");
    assert_eq!(answer(&world).await.0, 200);
}

#[tokio::test]
async fn a_class_of_data_is_served_only_while_the_table_is_young_enough() {
    let mut world = World::simple().await;
    let age = json!({"internal": 3_600_000});
    let platform = json!({"name": "towpath", "currency": "EUR", "egress_allow": ["127.0.0.0/8"], "max_table_age_ms": age});
    let cleared = json!({"max_data_class": "internal"});
    let cleared = target("m", world.upstream.base_url(), &cleared);
    let platform = tables::entity("platform", "platform", &platform);
    world.control.batch(batch(1, vec![platform, cleared], vec![]));
    world.control.applied(2).await;
    let internal = [("x-towpath-data-class", "internal")];
    let young = world.gateway.post_with("/v1/chat/completions", &internal, &chat("m")).await;

    // The gateway comes back after two hours, and the control plane does not.
    world.control.sick(Some(503));
    world.options.control = Some("unix:/nowhere/link.sock".to_owned());
    world.stop().await;
    let contact = world.folder().join("table/contact");
    let then: i64 = std::fs::read_to_string(&contact).unwrap().parse().unwrap();
    std::fs::write(&contact, (then - 2 * 3_600_000).to_string()).unwrap();
    world.restart();
    let old = world.gateway.post_with("/v1/chat/completions", &internal, &chat("m")).await;
    let public = world.gateway.post("/v1/chat/completions", &chat("m")).await;
    let ready = world.gateway.get("/readyz").await;

    assert_eq!(young.status, 200);
    assert_eq!((old.status.as_u16(), old.code().as_str()), (503, "table_stale"));
    assert_eq!(public.status, 200);
    let warnings = &ready.json()["warnings"];
    assert!(warnings.as_array().unwrap().iter().any(|w| w["code"] == "table_stale"), "{warnings}");
}
