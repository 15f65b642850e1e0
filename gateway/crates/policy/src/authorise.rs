//! What a caller may do: from a key and a name to an endpoint, or to a refusal that gives nothing away.

use std::sync::Arc;

use towpath_wire::routing::{Allow, DataClass, Operation, Scope, Visibility};

use crate::suggest::closest;
use crate::{Endpoint, Key, Met, Table};

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Call<'c> {
    /// The endpoint's name, as the caller wrote it.
    pub name: &'c str,
    pub operation: Operation,
    pub data_class: DataClass,
}

/// Why a call is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denied {
    /// The key lacks the scope that calls need.
    Scope(Scope),
    /// The key is restricted to other operations.
    Operation,
    /// The project may call it, this key may not.
    EndpointNotListed,
    /// There is nothing of this name that the caller may know of.
    Unknown { did_you_mean: Option<String> },
    /// The project has it, but in other environments.
    OtherEnvironment { found_in: &'static str },
    /// The data is more sensitive than the key may send.
    KeyDataClass { most: DataClass },
    /// The data is more sensitive than any of the endpoint's targets may receive.
    TargetDataClass,
    /// Somebody stopped the endpoint, or every provider or model behind it.
    Blocked { reason: Option<String> },
    /// No target of the endpoint answers this kind of call.
    Unsupported { supported: Vec<Operation> },
}

/// Decide whether a key may make a call, and find the endpoint it means.
///
/// # Errors
/// The rule that forbids it. What the caller may not know of is [`Denied::Unknown`].
pub fn authorise<'t>(
    table: &'t Table,
    key: &Key,
    call: Call<'_>,
) -> Result<&'t Arc<Endpoint>, Denied> {
    if !key.scopes.contains(&Scope::Invoke) {
        return Err(Denied::Scope(Scope::Invoke));
    }
    if key.operations.as_ref().is_some_and(|only| !only.contains(&call.operation)) {
        return Err(Denied::Operation);
    }
    let mut named = table.routes().named(key.environment, call.name);
    let Some(endpoint) = named.find(|endpoint| sees(table, key, endpoint)) else {
        return Err(unknown(table, key, call.name));
    };
    if !listed(key, call.name) {
        return Err(Denied::EndpointNotListed);
    }
    if let Some(met) = table.blocked().endpoint(&endpoint.id) {
        return Err(blocked(met));
    }
    if let Some(most) = key.max_data_class.filter(|most| call.data_class > *most) {
        return Err(Denied::KeyDataClass { most });
    }
    let targets = || {
        let shares = endpoint.targets.iter().map(|share| &share.target);
        shares.chain(&endpoint.fallback)
    };
    let mut any = targets().peekable();
    if any.peek().is_none() {
        return Ok(endpoint);
    }
    if !targets().any(|target| target.answers(call.operation)) {
        let mut supported: Vec<_> =
            targets().flat_map(|target| target.spec.operations.iter().copied()).collect();
        supported.sort_unstable();
        supported.dedup();
        return Err(Denied::Unsupported { supported });
    }
    if !targets().any(|target| target.spec.max_data_class >= call.data_class) {
        return Err(Denied::TargetDataClass);
    }
    // With one that is not, the call goes there.
    let mut met = targets().map(|target| table.blocked().target(&target.spec));
    match met.next() {
        Some(Some(first)) if met.all(|other| other.is_some()) => Err(blocked(first)),
        _ => Ok(endpoint),
    }
}

fn blocked(met: Met<'_>) -> Denied {
    Denied::Blocked { reason: met.reason.map(str::to_owned) }
}

/// Every endpoint that a key may call, by name; of two with one name, the key's own environment's.
pub fn visible<'t>(table: &'t Table, key: &Key) -> Vec<&'t Arc<Endpoint>> {
    let mut found: Vec<&Arc<Endpoint>> = Vec::new();
    for endpoint in table.routes().endpoints() {
        let callable = endpoint.spec.environment == key.environment
            || endpoint.spec.callers.contains(&key.environment);
        if !callable || !listed(key, &endpoint.spec.name) || !sees(table, key, endpoint) {
            continue;
        }
        match found.last_mut().filter(|last| last.spec.name == endpoint.spec.name) {
            Some(last) if endpoint.spec.environment == key.environment => *last = endpoint,
            Some(_) => {}
            None => found.push(endpoint),
        }
    }
    found
}

fn listed(key: &Key, name: &str) -> bool {
    key.endpoints.as_ref().is_none_or(|only| only.iter().any(|listed| listed == name))
}

/// Whether the key's project may know of an endpoint, environments aside.
fn sees(table: &Table, key: &Key, endpoint: &Endpoint) -> bool {
    if endpoint.spec.visibility == Visibility::Organization {
        return true;
    }
    let own_project = endpoint.spec.project.as_deref() == Some(&key.project);
    let team = table.project(&key.project).map(|project| project.team.as_str());
    let own_team = team.is_some() && endpoint.team.as_deref() == team;
    own_project
        || endpoint.spec.visibility == Visibility::Team && own_team
        || endpoint.spec.allow.iter().any(|allow| match allow {
            Allow::Team(id) => team == Some(id.as_str()),
            Allow::Project(id) => **id == *key.project,
        })
}

fn unknown(table: &Table, key: &Key, name: &str) -> Denied {
    let elsewhere = table.routes().anywhere(name);
    let elsewhere = elsewhere.iter().find(|e| listed(key, name) && sees(table, key, e));
    if let Some(endpoint) = elsewhere {
        return Denied::OtherEnvironment { found_in: endpoint.spec.environment.as_str() };
    }
    let names = visible(table, key);
    let names = names.iter().map(|endpoint| endpoint.spec.name.as_str());
    Denied::Unknown { did_you_mean: closest(name, names).map(str::to_owned) }
}

#[cfg(test)]
mod tests;
