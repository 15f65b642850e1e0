//! Small tables: one team with one project, keys, endpoints on a scripted upstream.

use serde_json::{Value, json};
use towpath_wire::routing::Envelope;

pub const SECRET: &str = "an-organisation-secret-of-32-characters";
/// `sk-upstream`, sealed with [`SECRET`] for `crd_1`.
pub const SEALED: &str = "v1.AAECAwQFBgcICQoLheD-BgTIyn8baVF5wjRhzaNgaA8zwWg234vs";

pub fn entity(kind: &str, id: &str, value: &Value) -> Envelope {
    serde_json::from_value(json!({"kind": kind, "id": id, "value": value})).unwrap()
}

/// SHA-256 in hex.
pub fn hash(key: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, key.as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn key(id: &str, key: &str) -> Envelope {
    key_with(id, key, &json!({}))
}

/// A sandbox key of `prj_1` with some fields replaced.
pub fn key_with(id: &str, key: &str, changes: &Value) -> Envelope {
    let mut value = json!({
        "hash": hash(key), "project": "prj_1", "environment": "sandbox", "scopes": ["invoke", "read"],
    });
    merge(&mut value, changes);
    entity("key", id, &value)
}

/// An endpoint of `prj_1` in the sandbox, seen by all, with one target `dep_<name>`.
pub fn endpoint(name: &str, changes: &Value) -> Envelope {
    let mut value = json!({
        "name": name, "environment": "sandbox", "project": "prj_1", "visibility": "organization",
        "callers": ["sandbox"], "targets": [{"target": format!("dep_{name}"), "weight": 1}],
    });
    merge(&mut value, changes);
    entity("endpoint", &format!("end_{name}"), &value)
}

/// An OpenAI target at `base` whose upstream model is `name`.
pub fn target(name: &str, base: &str, changes: &Value) -> Envelope {
    let mut value = json!({
        "name": name, "kind": "static", "dialect": "openai", "upstream_model": name, "prices": ["prc_1"],
        "replicas": [{"id": format!("rep_{name}"), "address": format!("{base}/v1")}],
        "operations": ["chat", "completions", "embeddings"],
    });
    merge(&mut value, changes);
    entity("target", &format!("dep_{name}"), &value)
}

fn merge(value: &mut Value, changes: &Value) {
    for (field, change) in changes.as_object().unwrap() {
        value[field] = change.clone();
    }
}

/// Team, project, price, platform and the key `tp_sandbox_good`.
pub fn organisation() -> Vec<Envelope> {
    vec![
        entity("team", "team_1", &json!({"name": "care"})),
        entity("project", "prj_1", &json!({"name": "triage", "team": "team_1"})),
        entity(
            "price",
            "prc_1",
            &json!({"currency": "EUR", "input_nano_per_million": 20_000_000, "output_nano_per_million": 80_000_000}),
        ),
        entity(
            "platform",
            "platform",
            &json!({"name": "towpath", "currency": "EUR", "egress_allow": ["127.0.0.0/8"]}),
        ),
        key("key_1", GOOD),
    ]
}

pub const GOOD: &str = "tp_sandbox_good";
