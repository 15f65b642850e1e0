use serde_json::{Value, json};
use towpath_wire::routing::{DataClass, Operation, Scope, Snapshot};

use super::{Call, Denied, authorise, visible};
use crate::{Key, KeyHash, Table};

/// Two teams: `care` (projects `triage`, `notes`) and `web` (project `chat`), a key of each project.
fn table(endpoints: &[Value], key: &Value) -> Table {
    let mut entities = vec![
        json!({"kind": "team", "id": "team_care", "value": {"name": "care"}}),
        json!({"kind": "team", "id": "team_web", "value": {"name": "web"}}),
        json!({"kind": "project", "id": "prj_triage", "value": {"name": "triage", "team": "team_care"}}),
        json!({"kind": "project", "id": "prj_notes", "value": {"name": "notes", "team": "team_care"}}),
        json!({"kind": "project", "id": "prj_chat", "value": {"name": "chat", "team": "team_web"}}),
        json!({"kind": "target", "id": "tgt", "value": {
            "name": "t", "kind": "static", "dialect": "openai", "upstream_model": "m", "replicas": [],
            "operations": ["chat"], "max_data_class": "internal"}}),
    ];
    for (index, project) in ["prj_triage", "prj_notes", "prj_chat"].into_iter().enumerate() {
        let mut value = json!({
            "hash": format!("{index:064x}"), "project": project, "environment": "sandbox",
            "scopes": ["invoke"],
        });
        for (field, change) in key.as_object().unwrap() {
            value[field] = change.clone();
        }
        entities.push(json!({"kind": "key", "id": format!("key_{index}"), "value": value}));
    }
    for (index, changes) in endpoints.iter().enumerate() {
        let mut value = json!({
            "name": "m", "environment": "sandbox", "project": "prj_triage", "visibility": "project",
            "callers": ["sandbox"], "targets": [{"target": "tgt", "weight": 1}],
        });
        for (field, change) in changes.as_object().unwrap() {
            value[field] = change.clone();
        }
        entities.push(json!({"kind": "endpoint", "id": format!("end_{index}"), "value": value}));
    }
    let snapshot = json!({"version": 1, "revision": 1, "entities": entities});
    let snapshot: Snapshot = serde_json::from_value(snapshot).unwrap();
    Table::default().apply_snapshot(&snapshot).unwrap()
}

fn key(table: &Table, index: usize) -> &Key {
    table.key(&KeyHash::from_hex(&format!("{index:064x}")).unwrap()).unwrap()
}

const TRIAGE: usize = 0;
const NOTES: usize = 1;
const CHAT: usize = 2;

fn call(name: &str) -> Call<'_> {
    Call { name, operation: Operation::Chat, data_class: DataClass::Public }
}

fn ask(table: &Table, who: usize, name: &str) -> Result<String, Denied> {
    authorise(table, key(table, who), call(name)).map(|endpoint| endpoint.id.to_string())
}

fn unknown() -> Denied {
    Denied::Unknown { did_you_mean: None }
}

#[test]
fn visibility_decides_who_may_call() {
    for (visibility, allowed) in [
        ("project", [true, false, false]),
        ("team", [true, true, false]),
        ("organization", [true, true, true]),
    ] {
        let table = table(&[json!({"visibility": visibility})], &json!({}));
        let found = [TRIAGE, NOTES, CHAT].map(|who| ask(&table, who, "m").is_ok());

        assert_eq!(found, allowed, "{visibility}");
    }
}

#[test]
fn allowed_teams_and_projects_may_call_too() {
    let table =
        table(&[json!({"allow": [{"team": "team_web"}, {"project": "prj_notes"}]})], &json!({}));

    assert!(ask(&table, NOTES, "m").is_ok() && ask(&table, CHAT, "m").is_ok());
}

#[test]
fn a_foreign_endpoint_is_unknown_and_never_suggested() {
    let table = table(&[json!({"name": "secret-model"})], &json!({}));

    assert_eq!(ask(&table, CHAT, "secret-model"), Err(unknown()));
    assert_eq!(ask(&table, CHAT, "secret-modl"), Err(unknown()));
    let near = Denied::Unknown { did_you_mean: Some("secret-model".into()) };
    assert_eq!(ask(&table, TRIAGE, "secret-modl"), Err(near));
}

#[test]
fn the_keys_own_environment_comes_before_one_that_lends() {
    let lent = json!({"environment": "production", "callers": ["production", "sandbox"]});
    let both = table(&[lent.clone(), json!({})], &json!({}));
    let one = table(&[lent], &json!({}));

    assert_eq!(ask(&both, TRIAGE, "m").unwrap(), "end_1");
    assert_eq!(ask(&one, TRIAGE, "m").unwrap(), "end_0");
}

#[test]
fn an_endpoint_of_another_environment_is_named_to_those_who_may_know_it() {
    let table = table(&[json!({"environment": "staging", "callers": ["staging"]})], &json!({}));

    assert_eq!(ask(&table, TRIAGE, "m"), Err(Denied::OtherEnvironment { found_in: "staging" }));
    assert_eq!(ask(&table, CHAT, "m"), Err(unknown()));
}

#[test]
fn a_keys_own_restrictions_are_named() {
    let restricted = |key: Value| ask(&table(&[json!({})], &key), TRIAGE, "m").unwrap_err();

    assert_eq!(restricted(json!({"scopes": ["read"]})), Denied::Scope(Scope::Invoke));
    assert_eq!(restricted(json!({"operations": ["embeddings"]})), Denied::Operation);
    assert_eq!(restricted(json!({"endpoints": ["other"]})), Denied::EndpointNotListed);
}

#[test]
fn data_goes_only_where_it_may() {
    let send = |key: Value, class: DataClass| {
        let table = table(&[json!({})], &key);
        let call = Call { data_class: class, ..call("m") };
        authorise(&table, super::tests::key(&table, TRIAGE), call).map(|_| ()).err()
    };

    assert_eq!(send(json!({}), DataClass::Internal), None);
    assert_eq!(send(json!({}), DataClass::Confidential), Some(Denied::TargetDataClass));
    let most = DataClass::Public;
    let denied = Some(Denied::KeyDataClass { most });
    assert_eq!(send(json!({"max_data_class": "public"}), DataClass::Internal), denied);
}

#[test]
fn an_operation_no_target_answers_is_refused_with_those_it_does() {
    let table = table(&[json!({})], &json!({}));
    let call = Call { operation: Operation::Embeddings, ..call("m") };
    let denied = authorise(&table, key(&table, TRIAGE), call).unwrap_err();

    assert_eq!(denied, Denied::Unsupported { supported: vec![Operation::Chat] });
}

#[test]
fn the_list_holds_each_name_once_and_only_what_may_be_called() {
    let endpoints = [
        json!({"name": "a", "environment": "production", "callers": ["production", "sandbox"]}),
        json!({"name": "a"}),
        json!({"name": "b", "environment": "staging", "callers": ["staging"]}),
        json!({"name": "c", "visibility": "organization"}),
    ];
    let table = table(&endpoints, &json!({}));
    let names = |who| {
        let ids: Vec<_> =
            visible(&table, key(&table, who)).iter().map(|e| e.id.to_string()).collect();
        ids
    };

    assert_eq!(names(TRIAGE), ["end_1", "end_3"]);
    assert_eq!(names(CHAT), ["end_3"]);
}
