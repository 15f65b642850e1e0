//! Property tests over tables: the rules that hold whatever the control plane sends.

use proptest::prelude::*;
use serde_json::{Value as Json, json};
use towpath_wire::routing::{Batch, EntityRef, Envelope, Revocation, Snapshot, TABLE_VERSION};

use super::{Table, examine};
use crate::KeyHash;

fn entity(kind: &str, id: &str, value: Json) -> Envelope {
    serde_json::from_value(json!({"kind": kind, "id": id, "value": value})).unwrap()
}

fn hash(number: u32) -> String {
    format!("{number:064x}")
}

fn key(number: u32, project: &str) -> Envelope {
    let value = json!({
        "hash": hash(number), "project": project, "environment": "sandbox", "scopes": ["invoke"],
    });
    entity("key", &format!("key_{number}"), value)
}

fn target(number: u32, address: &str) -> Envelope {
    let value = json!({
        "name": format!("t{number}"), "kind": "static", "dialect": "openai", "upstream_model": "m",
        "replicas": [{"id": "rep_1", "address": address}], "operations": ["chat"], "prices": ["prc_1"],
    });
    entity("target", &format!("tgt_{number}"), value)
}

fn endpoint(number: u32, name: &str, targets: &[u32]) -> Envelope {
    let targets: Vec<_> =
        targets.iter().map(|t| json!({"target": format!("tgt_{t}"), "weight": t})).collect();
    let value = json!({
        "name": name, "environment": "sandbox", "project": "prj_1", "visibility": "organization",
        "callers": ["sandbox"], "targets": targets,
    });
    entity("endpoint", &format!("end_{number}"), value)
}

fn ground() -> Vec<Envelope> {
    vec![
        entity("team", "team_1", json!({"name": "care"})),
        entity("project", "prj_1", json!({"name": "triage", "team": "team_1"})),
        entity(
            "price",
            "prc_1",
            json!({"currency": "EUR", "input_nano_per_million": 1, "output_nano_per_million": 2}),
        ),
        target(1, "http://127.0.0.1:1/v1"),
        endpoint(1, "chat", &[1]),
        key(1, "prj_1"),
    ]
}

fn snapshot(revision: u64, entities: Vec<Envelope>) -> Snapshot {
    Snapshot { version: TABLE_VERSION, revision, advisory: vec![], entities }
}

fn table(entities: Vec<Envelope>) -> Table {
    Table::default().apply_snapshot(&snapshot(1, entities)).unwrap()
}

fn batch(upserts: Vec<Envelope>, deletes: &[(&str, &str)]) -> Batch {
    let gone = |&(kind, id): &(&str, &str)| EntityRef { kind: kind.into(), id: id.into() };
    let deletes = deletes.iter().map(gone).collect();
    Batch { version: TABLE_VERSION, from: 1, to: 2, advisory: vec![], upserts, deletes }
}

fn refusal(batch: &Batch) -> String {
    let Err(refused) = table(ground()).apply(batch) else { panic!("the batch was taken") };
    refused.reason
}

/// All that can be seen of a table.
fn view(table: &Table) -> String {
    let mut keys: Vec<_> =
        table.keys.iter().map(|(hash, key)| format!("{hash:?} {key:?}")).collect();
    keys.sort();
    let mut references: Vec<_> = table.references.iter().map(|r| format!("{r:?}")).collect();
    references.sort();
    let endpoints: Vec<_> = table
        .routes()
        .endpoints()
        .iter()
        .map(|e| format!("{} {:?} {:?} {:?}", e.id, e.spec, e.team, e.targets))
        .collect();
    let mut targets: Vec<_> = table.routes().targets().map(|t| format!("{t:?}")).collect();
    targets.sort();
    let mut names: Vec<_> = table.project_names.iter().map(|n| format!("{n:?}")).collect();
    names.extend(table.team_names.iter().map(|n| format!("{n:?}")));
    names.sort();
    format!("{} {keys:#?} {references:#?} {endpoints:#?} {targets:#?} {names:#?}", table.revision())
}

#[test]
fn a_table_indexes_what_its_snapshot_holds() {
    let table = table(ground());

    assert_eq!(table.revision(), 1);
    assert_eq!(table.key(&KeyHash::from_hex(&hash(1)).unwrap()).unwrap().id.as_ref(), "key_1");
    assert_eq!(table.routes().endpoints()[0].targets[0].target.spec.name, "t1");
}

#[test]
fn what_cannot_be_used_is_refused_with_its_reason() {
    let no_hash =
        json!({"hash": "xyz", "project": "prj_1", "environment": "sandbox", "scopes": []});
    let bad_source = json!({
        "hash": hash(9), "project": "prj_1", "environment": "sandbox", "scopes": [],
        "sources": ["10.0.0.0/40"],
    });
    let unknown_field = json!({"name": "x", "colour": "red"});
    let elsewhere = json!({
        "name": "chat", "environment": "staging", "visibility": "project", "callers": ["staging"],
        "targets": [],
    });
    let odd = json!({
        "name": "t3", "kind": "static", "dialect": "openai", "upstream_model": "m", "replicas": [],
        "operations": ["chat"], "quirks": ["max_tokens", "speaks_latin"],
    });
    let cases = [
        (
            batch(vec![entity("key", "key_9", no_hash)], &[]),
            "key `key_9`: hash is not a SHA-256 of 64 lower-case hex digits",
        ),
        (
            batch(vec![entity("key", "key_9", bad_source)], &[]),
            "key `key_9`: source `10.0.0.0/40` is not a network in CIDR form",
        ),
        (
            batch(vec![key(9, "prj_9")], &[]),
            "project `prj_9` is not in the table, but key `key_9` names it",
        ),
        (
            batch(vec![], &[("project", "prj_1")]),
            "project `prj_1` is not in the table, but endpoint `end_1` names it",
        ),
        (
            batch(vec![], &[("target", "tgt_1")]),
            "target `tgt_1` is not in the table, but endpoint `end_1` names it",
        ),
        (
            batch(vec![], &[("price", "prc_1")]),
            "price `prc_1` is not in the table, but target `tgt_1` names it",
        ),
        (
            batch(vec![target(2, "localhost:80")], &[]),
            "target `tgt_2`: replica `rep_1`: address `localhost:80` does not begin with `http://`, `https://` or `unix:`",
        ),
        (
            batch(vec![entity("target", "tgt_3", odd)], &[]),
            "target `tgt_3`: quirk `speaks_latin` is none of `max_completion_tokens`, ",
        ),
        (batch(vec![endpoint(2, "chat", &[1])], &[]), "are both called `chat` in sandbox"),
        (
            batch(vec![entity("endpoint", "end_3", elsewhere)], &[]),
            "are called `chat` but belong to different projects",
        ),
        (
            batch(vec![endpoint(2, "Chat", &[1])], &[]),
            "endpoint `end_2`: name `Chat` is not 1 to 63 characters",
        ),
        (
            batch(vec![entity("team", "team_2", unknown_field)], &[]),
            "team `team_2` has the field `colour`",
        ),
        (
            batch(vec![entity("quota", "q_1", json!({}))], &[]),
            "`quota` is a kind this gateway does not know",
        ),
        (batch(vec![], &[("quota", "q_1")]), "`quota` is a kind this gateway does not know"),
        (batch(vec![key(5, "prj_1"), key(5, "prj_1")], &[]), "key `key_5` occurs twice"),
        (batch(vec![key(1, "prj_1")], &[("key", "key_1")]), "key `key_1` occurs twice"),
        (
            Batch { from: 7, to: 8, ..batch(vec![], &[]) },
            "the batch starts at revision 7, the table is at 1",
        ),
        (Batch { from: 1, to: 1, ..batch(vec![], &[]) }, "the batch leads from 1 back to 1"),
        (Batch { version: 2, ..batch(vec![], &[]) }, "table version 2 is not 1"),
    ];

    for (batch, expected) in cases {
        let reason = refusal(&batch);
        assert!(reason.contains(expected), "{reason}\n  does not say\n{expected}");
    }
}

#[test]
fn a_candidate_is_a_target_without_one() {
    let with = |number: u32, candidate: &str, percent: u32| {
        let mut made = target(number, "http://127.0.0.1:1/v1");
        let mut value: Json = serde_json::from_str(made.value.get()).unwrap();
        value["candidate"] = json!({"target": candidate, "percent": percent});
        made.value = serde_json::value::to_raw_value(&value).unwrap();
        made
    };
    let plain = || target(2, "http://127.0.0.1:2/v1");
    let cases = [
        (vec![with(1, "tgt_2", 101), plain()], "its candidate gets 101 of 100 calls"),
        (
            vec![with(1, "tgt_2", 10)],
            "target `tgt_2` is not in the table, but target `tgt_1` names",
        ),
        (vec![with(1, "tgt_1", 10)], "the candidate of target `tgt_1` has a candidate itself"),
        (
            vec![with(1, "tgt_2", 10), with(2, "tgt_3", 10), target(3, "http://127.0.0.1:3/v1")],
            "the candidate of target `tgt_1` has a candidate itself",
        ),
    ];
    for (upserts, expected) in cases {
        let reason = refusal(&batch(upserts, &[]));
        assert!(reason.contains(expected), "{reason}\n  does not say\n{expected}");
    }
    let taken = table(ground()).apply(&batch(vec![with(1, "tgt_2", 10), plain()], &[]));

    assert_eq!(taken.map(|table| table.revision()), Ok(2));
}

#[test]
fn a_hash_belongs_to_one_key() {
    let twin = json!({"hash": hash(1), "project": "prj_1", "environment": "sandbox", "scopes": []});

    assert!(refusal(&batch(vec![entity("key", "key_2", twin)], &[])).contains("has the same hash"));
}

#[test]
fn what_is_advisory_may_be_unknown() {
    let mut batch = batch(
        vec![
            entity("team", "team_1", json!({"name": "care", "colour": "red"})),
            entity("quota", "q_1", json!({})),
        ],
        &[("forecast", "f_1")],
    );
    batch.advisory = vec!["team.colour".into(), "quota".into(), "forecast".into()];

    assert_eq!(table(ground()).apply(&batch).unwrap().revision(), 2);
}

#[test]
fn names_and_hashes_may_change_hands_within_one_batch() {
    let swapped = vec![
        endpoint(1, "talk", &[1]),
        endpoint(2, "chat", &[1]),
        entity(
            "key",
            "key_2",
            json!({"hash": hash(1), "project": "prj_1", "environment": "sandbox", "scopes": []}),
        ),
    ];
    let next = table(ground()).apply(&batch(swapped, &[("key", "key_1")])).unwrap();

    assert_eq!(next.key(&KeyHash::from_hex(&hash(1)).unwrap()).unwrap().id.as_ref(), "key_2");
}

#[test]
fn deleting_what_is_not_there_is_no_error() {
    assert!(table(ground()).apply(&batch(vec![], &[("key", "key_77")])).is_ok());
}

#[test]
fn a_changed_price_reaches_targets_and_endpoints() {
    let price =
        json!({"currency": "EUR", "input_nano_per_million": 9, "output_nano_per_million": 9});
    let next = table(ground()).apply(&batch(vec![entity("price", "prc_1", price)], &[])).unwrap();
    let target = &next.routes().endpoints()[0].targets[0].target;

    assert_eq!(target.prices[0].1.input_nano_per_million, 9);
}

#[test]
fn the_price_that_has_begun_last_applies() {
    let price = |from: i64, nano: u64| json!({"currency": "EUR", "from_ms": from, "input_nano_per_million": nano, "output_nano_per_million": 0});
    let mut entities = ground();
    entities.push(entity("price", "prc_late", price(200, 3)));
    entities.push(entity("price", "prc_early", price(100, 2)));
    let mut value: Json = serde_json::from_str(target(1, "http://a/v1").value.get()).unwrap();
    value["prices"] = json!(["prc_late", "prc_1", "prc_early"]);
    entities.retain(|known| known.id != "tgt_1");
    entities.push(entity("target", "tgt_1", value));
    let table = table(entities);
    let target = table.routes().targets().find(|target| &*target.id == "tgt_1").unwrap();

    let at = |time_ms| target.price_at(time_ms).map(|(id, _)| id.to_string());
    assert_eq!(at(99).as_deref(), Some("prc_1"));
    assert_eq!(at(100).as_deref(), Some("prc_early"));
    assert_eq!(at(199).as_deref(), Some("prc_early"));
    assert_eq!(at(200).as_deref(), Some("prc_late"));
}

/// An endpoint in a fallback chain stands for its targets and its own chain; circles end.
#[test]
fn a_fallback_to_an_endpoint_leads_to_its_targets_and_on() {
    let linked = |number: u32, name: &str, target: u32, fallback: Json| {
        let mut value: Json =
            serde_json::from_str(endpoint(number, name, &[target]).value.get()).unwrap();
        value["fallback"] = fallback;
        entity("endpoint", &format!("end_{number}"), value)
    };
    let mut entities = ground();
    entities.retain(|known| known.kind != "endpoint" && known.kind != "target");
    entities.extend((1..=4).map(|number| target(number, "http://a/v1")));
    entities.push(linked(1, "one", 1, json!([{"endpoint": "end_2"}, {"target": "tgt_4"}])));
    entities.push(linked(2, "two", 2, json!([{"endpoint": "end_3"}])));
    entities.push(linked(3, "three", 3, json!([{"endpoint": "end_1"}])));

    let table = table(entities);

    let chain = |id| {
        let endpoint = table.routes().endpoint(id).unwrap();
        endpoint.fallback.iter().map(|target| target.id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(chain("end_1"), ["tgt_2", "tgt_3", "tgt_4"]);
    assert_eq!(chain("end_3"), ["tgt_1", "tgt_2", "tgt_4"]);
}

#[test]
fn a_keys_change_leaves_the_routes_as_they_are() {
    let table = table(ground());
    let next = table.apply(&batch(vec![key(2, "prj_1")], &[])).unwrap();

    assert!(std::sync::Arc::ptr_eq(table.routes(), next.routes()));
}

#[test]
fn revocations_outlive_snapshots_and_name_a_key_by_id_too() {
    let revocation = Revocation { key_id: "key_1".into(), hash: "nonsense".into() };
    let revocations = [revocation];
    let (revoked, malformed) = table(ground()).revoke(&revocations);
    let next = revoked.apply_snapshot(&snapshot(5, ground())).unwrap();

    assert_eq!(malformed.len(), 1);
    assert!(next.is_revoked(&KeyHash::from_hex(&hash(1)).unwrap()));
}

#[test]
fn entities_are_examined_without_what_they_name() {
    assert_eq!(examine(&[], &[key(1, "prj_absent")]), Ok(()));
    assert!(examine(&[], &[target(1, "nowhere")]).is_err());
}

/// With 100,000 keys, a change of one key shares all the rest: were the keys copied or walked for each
/// of these batches, this test would run for minutes.
#[test]
fn one_keys_change_among_100_000_leaves_the_others_where_they_are() {
    let mut entities = ground();
    entities.extend((10..100_010).map(|number| key(number, "prj_1")));
    let mut large = table(entities);
    for number in 0..500_u32 {
        let mut batch = batch(vec![key(200_000 + number, "prj_1")], &[]);
        (batch.from, batch.to) = (large.revision(), large.revision() + 1);
        large = large.apply(&batch).unwrap();
    }

    assert_eq!(large.key_count(), 100_501);
}

/// One step of a table's life: what may come, in any order, good or bad.
#[derive(Clone, Debug)]
enum Step {
    Key(u32, bool),
    DropKey(u32),
    Target(u32, bool),
    DropTarget(u32),
    Endpoint(u32, u32, Vec<u32>),
    DropEndpoint(u32),
    Project(u32, u32),
    DropProject(u32),
}

fn step() -> impl Strategy<Value = Step> {
    let small = 0..6_u32;
    prop_oneof![
        4 => (small.clone(), any::<bool>()).prop_map(|(n, good)| Step::Key(n, good)),
        2 => small.clone().prop_map(Step::DropKey),
        2 => (small.clone(), prop::bool::weighted(0.9)).prop_map(|(n, good)| Step::Target(n, good)),
        1 => small.clone().prop_map(Step::DropTarget),
        2 => (small.clone(), small.clone(), prop::collection::btree_set(small.clone(), 0..3))
            .prop_map(|(n, name, targets)| Step::Endpoint(n, name, targets.into_iter().collect())),
        1 => small.clone().prop_map(Step::DropEndpoint),
        1 => (small.clone(), small.clone()).prop_map(|(n, name)| Step::Project(n, name)),
        1 => small.prop_map(Step::DropProject),
    ]
}

/// The entity a step puts, or the one it takes away.
fn outcome(step: &Step) -> (EntityRef, Option<Envelope>) {
    let reference = |kind: &str, id: String| EntityRef { kind: kind.into(), id };
    let put = |envelope: Envelope| (reference(&envelope.kind, envelope.id.clone()), Some(envelope));
    match step {
        Step::Key(n, good) => put(key(*n, if *good { "prj_1" } else { "prj_3" })),
        Step::DropKey(n) => (reference("key", format!("key_{n}")), None),
        Step::Target(n, good) => put(target(*n, if *good { "http://h/v1" } else { "h" })),
        Step::DropTarget(n) => (reference("target", format!("tgt_{n}")), None),
        Step::Endpoint(n, name, targets) => put(endpoint(*n, &format!("e{name}"), targets)),
        Step::DropEndpoint(n) => (reference("endpoint", format!("end_{n}")), None),
        Step::Project(n, name) => put(entity(
            "project",
            &format!("prj_{n}"),
            json!({"name": format!("p{name}"), "team": "team_1"}),
        )),
        Step::DropProject(n) => (reference("project", format!("prj_{n}")), None),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Snapshot + batches = fresh snapshot, and a batch that is refused leaves no trace.
    #[test]
    fn batches_lead_where_a_fresh_snapshot_does(
        batches in prop::collection::vec(prop::collection::vec(step(), 1..4), 1..12)
    ) {
        let mut state: std::collections::BTreeMap<(String, String), Envelope> = ground()
            .into_iter()
            .map(|envelope| ((envelope.kind.clone(), envelope.id.clone()), envelope))
            .collect();
        let mut table = table(ground());
        for steps in batches {
            let mut batch = batch(vec![], &[]);
            (batch.from, batch.to) = (table.revision(), table.revision() + 1);
            let mut next = state.clone();
            for step in &steps {
                let (reference, envelope) = outcome(step);
                let place = (reference.kind.clone(), reference.id.clone());
                match envelope {
                    Some(envelope) => {
                        next.insert(place, envelope.clone());
                        batch.upserts.push(envelope);
                    }
                    None => {
                        next.remove(&place);
                        batch.deletes.push(reference);
                    }
                }
            }
            let before = view(&table);
            let fresh =
                Table::default().apply_snapshot(&snapshot(batch.to, next.values().cloned().collect()));
            match table.apply(&batch) {
                Ok(applied) => {
                    prop_assert_eq!(view(&applied), view(&fresh.expect("a batch was taken that makes a bad table")));
                    table = applied;
                    state = next;
                }
                Err(_) => prop_assert_eq!(view(&table), before),
            }
        }
    }

    /// Whatever stands in a batch, reading it neither panics nor changes the table it is refused by.
    #[test]
    fn any_value_is_taken_or_refused(
        kind in "team|project|key|endpoint|target|price|credential|platform|other",
        value in "[ -~]{0,80}",
    ) {
        let Ok(value) = serde_json::from_str::<Json>(&value).or_else(|_| Ok::<_, ()>(json!(value))) else {
            return Ok(());
        };
        let table = table(ground());
        let before = view(&table);
        let _ = table.apply(&batch(vec![entity(&kind, "x_1", value)], &[]));

        prop_assert_eq!(view(&table), before);
    }
}
