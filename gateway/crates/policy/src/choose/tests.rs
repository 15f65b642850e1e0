use proptest::prelude::*;
use serde_json::{Value, json};
use towpath_wire::routing::{DataClass, Operation, Snapshot};

use super::{Candidates, choose};
use crate::Table;

fn endpoint(targets: &[(&str, u32, Value)], fallback: &[&str]) -> Table {
    let mut entities: Vec<_> = targets
        .iter()
        .map(|(name, _, changes)| {
            let mut value = json!({
                "name": name, "kind": "static", "dialect": "openai", "upstream_model": "m",
                "replicas": [{"id": "r", "address": "http://h/v1"}], "operations": ["chat"],
            });
            for (field, change) in changes.as_object().unwrap() {
                value[field] = change.clone();
            }
            json!({"kind": "target", "id": name, "value": value})
        })
        .collect();
    let shares: Vec<_> = targets
        .iter()
        .filter(|(name, ..)| !fallback.contains(name))
        .map(|(name, weight, _)| json!({"target": name, "weight": weight}))
        .collect();
    entities.push(json!({"kind": "endpoint", "id": "end", "value": {
        "name": "m", "environment": "sandbox", "visibility": "organization", "callers": ["sandbox"],
        "targets": shares,
        "fallback": fallback.iter().map(|id| json!({"target": id})).collect::<Vec<_>>()}}));
    let snapshot: Snapshot =
        serde_json::from_value(json!({"version": 1, "revision": 1, "entities": entities})).unwrap();
    Table::default().apply_snapshot(&snapshot).unwrap()
}

fn order(table: &Table, random: u64, class: DataClass, version: Option<u32>) -> Vec<String> {
    let endpoint = &table.routes().endpoints()[0];
    let mut candidates = Candidates::new(endpoint, Operation::Chat, class).of_version(version);
    std::iter::from_fn(|| candidates.next(random)).map(|target| target.id.to_string()).collect()
}

#[test]
fn each_target_is_tried_once_and_the_fallback_chain_last() {
    let targets =
        [("a", 1, json!({})), ("b", 1, json!({})), ("c", 0, json!({})), ("d", 0, json!({}))];
    let table = endpoint(&targets, &["d"]);

    assert_eq!(order(&table, 0, DataClass::Public, None), ["a", "b", "d"]);
    assert_eq!(order(&table, u64::MAX, DataClass::Public, None), ["b", "a", "d"]);
}

#[test]
fn targets_that_do_not_listen_or_may_not_receive_the_data_are_passed_over() {
    let targets = [
        ("asleep", 1, json!({"replicas": []})),
        ("public", 1, json!({})),
        ("cleared", 1, json!({"max_data_class": "restricted"})),
    ];
    let table = endpoint(&targets, &[]);

    assert_eq!(order(&table, 0, DataClass::Internal, None), ["cleared"]);
}

#[test]
fn a_version_is_answered_by_targets_that_serve_it() {
    let model =
        |version: u32| json!({"model": {"name": "m", "version": version, "digest": "sha256:0"}});
    let table =
        endpoint(&[("one", 1, model(1)), ("two", 1, model(2)), ("none", 1, json!({}))], &[]);

    assert_eq!(order(&table, 0, DataClass::Public, Some(2)), ["two"]);
}

#[test]
fn all_weights_zero_choose_nothing() {
    assert_eq!(choose([0, 0].into_iter(), 7), None);
    assert_eq!(choose([].into_iter(), 7), None);
}

proptest! {
    /// What is chosen has a weight, whatever chance says.
    #[test]
    fn only_weighted_indices_are_chosen(weights in prop::collection::vec(any::<u32>(), 0..8), random: u64) {
        match choose(weights.iter().copied(), random) {
            Some(index) => prop_assert!(weights[index] > 0),
            None => prop_assert!(weights.iter().all(|&weight| weight == 0)),
        }
    }

    /// Shares follow weights: of evenly spread chance, each index gets its part.
    #[test]
    fn shares_follow_weights(a in 1..100_u32, b in 1..100_u32) {
        const STEPS: u64 = 10_000;
        let hits = (0..STEPS).filter(|step| {
            choose([a, b].into_iter(), step * (u64::MAX / STEPS)) == Some(0)
        });
        let expected = STEPS * u64::from(a) / u64::from(a + b);

        prop_assert!(hits.count().abs_diff(usize::try_from(expected).unwrap()) <= 2);
    }
}
