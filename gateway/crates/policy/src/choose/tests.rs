use proptest::prelude::*;
use serde_json::{Value, json};
use towpath_wire::routing::{DataClass, Operation, Snapshot};

use super::{Candidates, Condition, Course, choose};
use crate::{Load, Table};

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

const READY: Condition = Condition::Ready(Load { weight: 1, in_flight: 0, latency_us: 0 });

/// Targets that have replicas are ready.
fn order(table: &Table, random: u64, class: DataClass, version: Option<u32>) -> Vec<String> {
    let endpoint = &table.routes().endpoints()[0];
    let mut candidates = Candidates::new(endpoint, Operation::Chat, class).of_version(version);
    std::iter::from_fn(|| {
        let condition = |target: &std::sync::Arc<crate::Target>| match target.spec.replicas.len() {
            0 => Condition::Down,
            _ => READY,
        };
        candidates.next(condition, random)
    })
    .map(|chosen| chosen.target.id.to_string())
    .collect()
}

/// Every step of a call while each target stays as it is.
fn steps(
    table: &Table,
    random: u64,
    condition: &dyn Fn(&str) -> Condition,
) -> Vec<(String, Course)> {
    let endpoint = &table.routes().endpoints()[0];
    let mut candidates = Candidates::new(endpoint, Operation::Chat, DataClass::Public);
    std::iter::from_fn(|| candidates.next(|target| condition(&target.id), random))
        .map(|chosen| (chosen.target.id.to_string(), chosen.course))
        .collect()
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

fn three() -> Table {
    endpoint(&[("a", 1, json!({})), ("b", 1, json!({})), ("f", 0, json!({}))], &["f"])
}

#[test]
fn who_is_ejected_is_passed_over_while_anybody_is_left() {
    let ejected = |id: &str| if id == "a" { Condition::Ejected } else { READY };

    assert_eq!(
        steps(&three(), 0, &ejected),
        [("b".into(), Course::Call), ("f".into(), Course::Call)]
    );
}

#[test]
fn when_all_are_ejected_one_gets_the_call_all_the_same() {
    let all = |_: &str| Condition::Ejected;

    assert_eq!(steps(&three(), 0, &all), [("a".into(), Course::CallEjected)]);
}

#[test]
fn who_sleeps_is_woken_when_no_target_is_awake_and_before_the_fallback() {
    let asleep = |id: &str| if id == "f" { READY } else { Condition::Asleep };

    assert_eq!(
        steps(&three(), 0, &asleep),
        [("a".into(), Course::Wake), ("b".into(), Course::Wake), ("f".into(), Course::Call)]
    );
}

#[test]
fn a_share_of_a_target_that_sleeps_wakes_it_while_another_answers() {
    let table = three();
    let mut candidates =
        Candidates::new(&table.routes().endpoints()[0], Operation::Chat, DataClass::Public);
    let condition = |target: &std::sync::Arc<crate::Target>| {
        if &*target.id == "a" { Condition::Asleep } else { READY }
    };
    let chosen = candidates.clone().next(condition, 0).unwrap();
    let other = candidates.next(condition, u64::MAX).unwrap();

    assert_eq!((&*chosen.target.id, chosen.missed.map(|target| &*target.id)), ("b", Some("a")));
    assert_eq!((&*other.target.id, other.missed.map(|target| &*target.id)), ("b", None));
}

#[test]
fn after_an_overflow_only_longer_contexts_are_left() {
    let table = endpoint(
        &[
            ("short", 1, json!({"context_length": 4_096})),
            ("unknown", 1, json!({})),
            ("long", 0, json!({"context_length": 32_768})),
        ],
        &["long"],
    );
    let mut candidates =
        Candidates::new(&table.routes().endpoints()[0], Operation::Chat, DataClass::Public);
    candidates.longer_than(4_096);

    assert_eq!(&*candidates.next(|_| READY, 0).unwrap().target.id, "long");
    assert!(candidates.next(|_| READY, 0).is_none());
}

proptest! {
    /// Whatever the targets' conditions are: who gets the call is ready whenever anybody is; else it sleeps
    /// or is ejected; and nothing is chosen only when nothing listens or can be woken.
    #[test]
    fn a_ready_target_is_chosen_or_there_is_none(kinds in prop::array::uniform3(0..4_u8), random: u64) {
        let table = three();
        let of = |id: &str| {
            let index = ["a", "b", "f"].iter().position(|known| *known == id).unwrap();
            [READY, Condition::Ejected, Condition::Asleep, Condition::Down][usize::from(kinds[index])]
        };
        let steps = steps(&table, random, &of);
        let has = |kind: u8| kinds.contains(&kind);

        for (id, course) in &steps {
            prop_assert_eq!(*course, match of(id) {
                Condition::Ready(_) => Course::Call,
                Condition::Asleep => Course::Wake,
                Condition::Ejected => Course::CallEjected,
                Condition::Down => return Err(TestCaseError::fail("nothing listens there")),
            });
        }
        prop_assert_eq!(steps.is_empty(), !has(0) && !has(1) && !has(2));
        let calls = steps.iter().filter(|(_, course)| *course == Course::Call).count();
        prop_assert_eq!(calls, kinds.iter().filter(|kind| **kind == 0).count());
    }

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

/// `stable` with the version 1, and its candidate with the version 2.
fn with_candidate(percent: u32, changes: &Value) -> Table {
    let model = |version| json!({"name": "m", "version": version, "digest": "sha256:0"});
    let stable = json!({"model": model(1), "max_data_class": "confidential",
        "candidate": {"target": "dep.2", "percent": percent}});
    let mut candidate = json!({"model": model(2)});
    for (field, change) in changes.as_object().unwrap() {
        candidate[field] = change.clone();
    }
    endpoint(&[("stable", 1, stable), ("other", 0, json!({})), ("dep.2", 0, candidate)], &["dep.2"])
}

/// The side that a call of a version comes to first.
fn side(table: &Table, version: Option<u32>, class: DataClass) -> Option<String> {
    let endpoint = &table.routes().endpoints()[0];
    let mut candidates = Candidates::new(endpoint, Operation::Chat, class).of_version(version);
    let chosen = candidates.next(|_| READY, 0)?;
    let side = candidates.split(chosen.target, 0).unwrap_or(chosen.target);
    Some(side.id.to_string())
}

#[test]
fn a_call_of_a_version_goes_to_the_side_that_serves_it() {
    for percent in [0, 100] {
        let table = with_candidate(percent, &json!({}));

        assert_eq!(side(&table, Some(1), DataClass::Public).as_deref(), Some("stable"));
        assert_eq!(side(&table, Some(2), DataClass::Public).as_deref(), Some("dep.2"));
        assert_eq!(side(&table, Some(3), DataClass::Public), None);
    }
}

#[test]
fn a_candidate_gets_no_call_that_it_may_not_have() {
    let all = with_candidate(100, &json!({"max_data_class": "internal"}));
    let no_chats = with_candidate(100, &json!({"operations": ["embeddings"]}));

    assert_eq!(side(&all, None, DataClass::Public).as_deref(), Some("dep.2"));
    assert_eq!(side(&all, None, DataClass::Confidential).as_deref(), Some("stable"));
    assert_eq!(side(&no_chats, None, DataClass::Public).as_deref(), Some("stable"));
}
