use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::json;
use towpath_wire::routing::{Batch, EntityRef, Envelope, Snapshot, TABLE_VERSION};

use super::Parties;
use crate::{Ask, Counted, Moment, Table};

fn entity(kind: &str, id: &str, value: &serde_json::Value) -> Envelope {
    serde_json::from_value(json!({"kind": kind, "id": id, "value": value})).unwrap()
}

/// Two teams with two projects each, two keys in each project, three endpoints.
fn ground() -> Vec<Envelope> {
    let mut all = Vec::new();
    for team in 0..2 {
        all.push(entity("team", &format!("t{team}"), &json!({"name": format!("team-{team}")})));
    }
    for project in 0..4 {
        let value = json!({"name": format!("p{project}"), "team": format!("t{}", project / 2)});
        all.push(entity("project", &format!("p{project}"), &value));
    }
    for key in 0..8 {
        let value = json!({
            "hash": format!("{key:064x}"), "project": format!("p{}", key / 2),
            "environment": "sandbox", "scopes": ["invoke"],
        });
        all.push(entity("key", &format!("k{key}"), &value));
    }
    for endpoint in 0..3 {
        let value = json!({
            "name": format!("e{endpoint}"), "environment": "sandbox", "visibility": "organization",
            "callers": ["sandbox"], "targets": [],
        });
        all.push(entity("endpoint", &format!("e{endpoint}"), &value));
    }
    all
}

fn table(revision: u64, more: Vec<Envelope>) -> Table {
    let mut entities = ground();
    entities.extend(more);
    let snapshot = Snapshot { version: TABLE_VERSION, revision, advisory: vec![], entities };
    Table::default().apply_snapshot(&snapshot).unwrap()
}

fn batch(from: u64, upserts: Vec<Envelope>, gone: &[String]) -> Batch {
    let deletes = gone.iter().map(|id| EntityRef { kind: "limit".to_owned(), id: id.clone() });
    let deletes = deletes.collect();
    Batch { version: TABLE_VERSION, from, to: from + 1, advisory: vec![], upserts, deletes }
}

/// A subject of one or two parts, as the bits of `shape` say.
fn subject(shape: u8, part: usize) -> Option<serde_json::Value> {
    let ids = [
        ("key", format!("k{}", part % 8)),
        ("project", format!("p{}", part % 4)),
        ("team", format!("t{}", part % 2)),
        ("endpoint", format!("e{}", part % 3)),
    ];
    let given = ids.into_iter().enumerate().filter(|(bit, _)| shape & (1 << bit) != 0);
    let given: serde_json::Map<_, _> =
        given.map(|(_, (name, id))| (name.to_owned(), id.into())).collect();
    (1..=2).contains(&given.len()).then_some(given.into())
}

fn limit(id: usize, subject: &serde_json::Value) -> Envelope {
    let value = json!({"subject": subject, "label": "x", "requests_per_second": {"limit": 10, "burst": 10}});
    entity("limit", &format!("lim_{id}"), &value)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever was put in, changed and taken out: a call meets the limits whose every part it matches.
    #[test]
    fn a_call_meets_exactly_the_rules_about_it(
        shapes in prop::collection::vec((1_u8..16, 0_usize..24), 1..30),
        changed in prop::collection::vec((0_usize..30, 1_u8..16, 0_usize..24), 0..10),
        gone in prop::collection::btree_set(0_usize..30, 0..8),
    ) {
        let mut subjects: Vec<_> = shapes.iter().map(|(shape, part)| subject(*shape, *part)).collect();
        let put = |subjects: &[Option<serde_json::Value>]| -> Vec<_> {
            let given = subjects.iter().enumerate();
            given.filter_map(|(id, subject)| Some(limit(id, subject.as_ref()?))).collect()
        };
        let mut table = table(1, put(&subjects));
        for (index, shape, part) in changed {
            if let (Some(slot), Some(new)) = (subjects.get_mut(index), subject(shape, part)) {
                table = table.apply(&batch(table.revision(), vec![limit(index, &new)], &[])).unwrap();
                *slot = Some(new);
            }
        }
        let names: Vec<_> = gone.iter().map(|id| format!("lim_{id}")).collect();
        table = table.apply(&batch(table.revision(), vec![], &names)).unwrap();
        for (key, endpoint) in (0..8).flat_map(|key| (0..3).map(move |endpoint| (key, endpoint))) {
            let parts = [format!("k{key}"), format!("p{}", key / 2), format!("t{}", key / 4), format!("e{endpoint}")];
            let parties = Parties { key: &parts[0], project: &parts[1], team: Some(&parts[2]), endpoint: &parts[3] };
            let found: BTreeSet<_> = table.rules(parties).flat_map(|rules| &rules.limits).map(|rule| rule.id.to_string()).collect();
            let matches = |subject: &serde_json::Value| {
                let given = subject.as_object().unwrap();
                given.iter().all(|(name, id)| {
                    let part = ["key", "project", "team", "endpoint"].iter().position(|part| part == name).unwrap();
                    *id == parts[part]
                })
            };
            let expected: BTreeSet<_> = subjects.iter().enumerate()
                .filter(|(id, subject)| !gone.contains(id) && subject.as_ref().is_some_and(matches))
                .map(|(id, _)| format!("lim_{id}")).collect();
            prop_assert_eq!(found, expected);
        }
    }
}

/// What was used of a limit outlives batches, snapshots and changes of its rate.
#[test]
fn what_was_used_of_a_limit_survives_changes_of_the_table() {
    let subject = json!({"key": "k0"});
    let first = table(1, vec![limit(0, &subject)]);
    let ask = Ask { now: Moment::default(), tokens: 0, gateways: 1 };
    let left = |table: &Table| {
        let rule = table.limits().next().unwrap();
        rule.standing(Counted::RequestsPerSecond, Moment::default(), 1).unwrap().remaining
    };
    for _ in 0..4 {
        first.limits().next().unwrap().take(&ask).unwrap();
    }
    let second = first.apply(&batch(1, vec![limit(0, &subject)], &[])).unwrap();
    let kept = left(&second);
    let mut entities = ground();
    let faster = json!({"subject": subject, "label": "x", "requests_per_second": {"limit": 90, "burst": 10}});
    entities.push(entity("limit", "lim_0", &faster));
    let snapshot = Snapshot { version: TABLE_VERSION, revision: 9, advisory: vec![], entities };
    let third = second.apply_snapshot(&snapshot).unwrap();

    assert_eq!((kept, left(&third)), (6, 6));
}
