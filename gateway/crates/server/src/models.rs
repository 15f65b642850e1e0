//! `/v1/models`: what a key may call, with what a caller wants to know before choosing.

use std::sync::Arc;

use bytes::Bytes;
use towpath_dialect::models::{ModelEntry, ModelPrice, list, one};
use towpath_policy::{Endpoint, Key, Table, closest, visible};
use towpath_wire::routing::{Operation, Scope};

use crate::authorise::unknown_model;
use crate::errors::{Code, Refusal};

/// Owner of endpoints that name none.
const PLATFORM: &str = "towpath";

/// All models of a key, or the one of this name.
///
/// # Errors
/// The key may not list models, or sees none of this name.
pub fn answer(table: &Table, key: &Key, name: Option<&str>, now_ms: i64) -> Result<Bytes, Refusal> {
    let Some(name) = name else {
        may_list(key)?;
        let endpoints = visible(table, key);
        let entries: Vec<_> =
            endpoints.iter().map(|endpoint| entry(table, endpoint, now_ms)).collect();
        return Ok(list(&entries));
    };
    let endpoint = find(table, key, name)?;
    Ok(one(&entry(table, &endpoint, now_ms)))
}

/// The model of this name, if the key may know it.
///
/// # Errors
/// The key may not list models, or sees none of this name.
pub fn find(table: &Table, key: &Key, name: &str) -> Result<Arc<Endpoint>, Refusal> {
    may_list(key)?;
    let endpoints = visible(table, key);
    match endpoints.iter().find(|endpoint| endpoint.spec.name == name) {
        Some(endpoint) => Ok(Arc::clone(endpoint)),
        None => {
            let names = endpoints.iter().map(|endpoint| endpoint.spec.name.as_str());
            Err(unknown_model(name, closest(name, names)))
        }
    }
}

fn may_list(key: &Key) -> Result<(), Refusal> {
    if !key.scopes.iter().any(|scope| matches!(scope, Scope::Invoke | Scope::Read)) {
        let detail = "The key lacks the scope `invoke` or `read`.";
        return Err(Refusal::new(Code::PermissionDenied, detail));
    }
    if key.operations.as_ref().is_some_and(|only| !only.contains(&Operation::Models)) {
        let detail = "The key may not be used for `models`.";
        return Err(Refusal::new(Code::PermissionDenied, detail));
    }
    Ok(())
}

fn entry<'t>(table: &'t Table, endpoint: &'t Endpoint, now_ms: i64) -> ModelEntry<'t> {
    let target = endpoint.targets.first().map(|share| &share.target);
    let target = target.or(endpoint.fallback.first());
    let team = endpoint.team.as_deref().and_then(|id| table.team(id));
    let owner = target.and_then(|target| target.spec.owned_by.as_deref());
    let price = target.and_then(|target| target.price_at(now_ms)).map(|(_, price)| price);
    ModelEntry {
        id: &endpoint.spec.name,
        created: endpoint.spec.created_at_ms.unwrap_or(0) / 1_000,
        owned_by: owner.or(team.map(|team| team.name.as_str())).unwrap_or(PLATFORM),
        context_length: target.and_then(|target| target.spec.context_length),
        modalities: target.map_or(&[], |target| target.spec.modalities.as_slice()),
        price: price.map(|price| ModelPrice {
            currency: &price.currency,
            input_nano_per_million: price.input_nano_per_million,
            output_nano_per_million: price.output_nano_per_million,
        }),
    }
}
