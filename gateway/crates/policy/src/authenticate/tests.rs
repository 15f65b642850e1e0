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

/// SHA-256 of `stand-in`.
const STAND_IN: &str = "d6051828bcfb0d71b36b47bae7a08a68b33db611fe7209eda303167ed78d21fe";

/// `key_1` as changed, and `bkey_1`, presented as `stand-in`, which acts as it.
fn acting(key: Value, stand_in: Value) -> Table {
    let mut acting = json!({
        "hash": STAND_IN, "project": "prj_1", "environment": "sandbox", "scopes": [], "acts_as": "key_1",
    });
    for (field, change) in stand_in.as_object().unwrap() {
        acting[field] = change.clone();
    }
    let batch = json!({
        "version": 1, "from": 1, "to": 2,
        "upserts": [
            {"kind": "project", "id": "prj_2", "value": {"name": "c", "team": "team_1"}},
            {"kind": "key", "id": "bkey_1", "value": acting},
        ],
    });
    table(key).apply(&serde_json::from_value(batch).unwrap()).unwrap()
}

#[test]
fn a_key_that_acts_as_another_is_that_one_wherever_it_is_bound_to() {
    let table = acting(json!({"sources": ["10.0.0.0/8"]}), json!({"sources": ["127.0.0.0/8"]}));
    let from = |address: &str| authenticate(&table, b"stand-in", 0, Some(address.parse().unwrap()));

    assert_eq!(from("127.0.0.1").unwrap().id.as_ref(), "key_1");
    assert!(matches!(from("10.1.2.3").unwrap_err(), Unauthenticated::SourceNotAllowed(_)));
}

#[test]
fn it_ends_with_itself_and_with_the_one_it_acts_as() {
    let own = acting(json!({}), json!({"expires_at_ms": 100}));
    let other = acting(json!({"expires_at_ms": 100}), json!({}));
    let revocations = [Revocation { key_id: "key_1".into(), hash: HASH.into() }];
    let (revoked, _) = other.revoke(&revocations);
    let at = |table: &Table, now_ms| authenticate(table, b"stand-in", now_ms, None).cloned();

    assert!(at(&own, 99).is_ok() && at(&other, 99).is_ok());
    assert!(
        matches!(at(&own, 100).unwrap_err(), Unauthenticated::Expired(key) if &*key.id == "bkey_1")
    );
    assert!(
        matches!(at(&other, 100).unwrap_err(), Unauthenticated::Expired(key) if &*key.id == "key_1")
    );
    assert!(matches!(at(&revoked, 0).unwrap_err(), Unauthenticated::Revoked(Some(_))));
}

#[test]
fn it_gives_no_rights_of_another_project_or_environment_or_of_nobody() {
    for changes in [
        json!({"project": "prj_2"}),
        json!({"environment": "production"}),
        json!({"acts_as": "key_2"}),
        json!({"acts_as": "bkey_1"}),
    ] {
        let table = acting(json!({}), changes.clone());
        let refused = authenticate(&table, b"stand-in", 0, None).unwrap_err();

        assert!(matches!(refused, Unauthenticated::Unknown), "{changes}");
    }
}
