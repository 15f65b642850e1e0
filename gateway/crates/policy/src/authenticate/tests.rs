use serde_json::{Value, json};
use towpath_wire::routing::{Revocation, Snapshot};

use super::{Unauthenticated, authenticate};
use crate::Table;

/// SHA-256 of `secret`.
const HASH: &str = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";

fn table(changes: Value) -> Table {
    let mut key = json!({"hash": HASH, "project": "prj_1", "environment": "sandbox", "scopes": []});
    for (field, change) in changes.as_object().unwrap() {
        key[field] = change.clone();
    }
    let entities = json!([
        {"kind": "team", "id": "team_1", "value": {"name": "a"}},
        {"kind": "project", "id": "prj_1", "value": {"name": "b", "team": "team_1"}},
        {"kind": "key", "id": "key_1", "value": key},
    ]);
    let snapshot = json!({"version": 1, "revision": 1, "entities": entities});
    let snapshot: Snapshot = serde_json::from_value(snapshot).unwrap();
    Table::default().apply_snapshot(&snapshot).unwrap()
}

#[test]
fn a_known_key_is_found_by_what_was_presented() {
    let table = table(json!({}));

    assert_eq!(authenticate(&table, b"secret", 0, None).unwrap().id.as_ref(), "key_1");
    let wrong = authenticate(&table, b"Secret", 0, None).unwrap_err();
    assert!(matches!(wrong, Unauthenticated::Unknown));
}

#[test]
fn a_key_expires_at_its_very_millisecond() {
    let table = table(json!({"expires_at_ms": 100}));

    assert!(authenticate(&table, b"secret", 99, None).is_ok());
    let expired = authenticate(&table, b"secret", 100, None).unwrap_err();
    assert!(matches!(expired, Unauthenticated::Expired(_)));
}

#[test]
fn a_key_bound_to_networks_is_refused_from_elsewhere_and_from_nowhere() {
    let table = table(json!({"sources": ["10.0.0.0/8", "fd00::/8"]}));
    let from = |address: &str| authenticate(&table, b"secret", 0, Some(address.parse().unwrap()));

    assert!(from("10.1.2.3").is_ok() && from("::ffff:10.1.2.3").is_ok() && from("fd00::1").is_ok());
    assert!(matches!(from("11.0.0.1").unwrap_err(), Unauthenticated::SourceNotAllowed(_)));
    let nowhere = authenticate(&table, b"secret", 0, None).unwrap_err();
    assert!(matches!(nowhere, Unauthenticated::SourceNotAllowed(_)));
}

#[test]
fn a_revoked_key_is_refused_whether_or_not_the_table_still_has_it() {
    let revocations = [Revocation { key_id: "key_1".into(), hash: HASH.into() }];
    let (with, _) = table(json!({})).revoke(&revocations);
    let (without, _) = Table::default().revoke(&revocations);

    let known = authenticate(&with, b"secret", 0, None).unwrap_err();
    assert!(matches!(known, Unauthenticated::Revoked(Some(_))));
    let gone = authenticate(&without, b"secret", 0, None).unwrap_err();
    assert!(matches!(gone, Unauthenticated::Revoked(None)));
}
