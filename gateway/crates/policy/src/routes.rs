//! Endpoints with their targets, prepared so that a request follows pointers instead of ids.

use std::collections::HashMap;
use std::sync::Arc;

use towpath_wire::Environment;
use towpath_wire::routing::{self, Operation, Price};

use crate::{FastHash, Id, IdMap, Tiers};

/// Most targets that one call may go to, fallbacks of fallbacks included: a bit each in [`crate::Candidates`].
pub(crate) const MAX_REACHED: usize = 64;

/// A target with the prices that apply to it.
#[derive(Debug)]
pub struct Target {
    pub id: Id,
    pub spec: Arc<routing::Target>,
    /// With their ids, in the order in which they begin.
    pub prices: Vec<(Id, Arc<Price>)>,
    /// Its newer revision, while that gets a part of its calls.
    pub candidate: Option<Arc<Self>>,
}

impl Target {
    /// Whether it answers this kind of call. Whoever chats can have tokens counted: what the target
    /// cannot count is estimated.
    pub fn answers(&self, operation: Operation) -> bool {
        let implied =
            operation == Operation::CountTokens && self.spec.operations.contains(&Operation::Chat);
        implied || self.spec.operations.contains(&operation)
    }

    /// Whether it serves this version of its registry model.
    pub fn serves(&self, version: u32) -> bool {
        self.spec.model.as_ref().is_some_and(|model| model.version == version)
    }

    /// It, and its candidate where it has one.
    pub fn sides(self: &Arc<Self>) -> impl Iterator<Item = &Arc<Self>> + Clone {
        std::iter::once(self).chain(&self.candidate)
    }

    /// The one of its sides that a call is for that asks for a version; itself where none is asked for.
    pub fn side(self: &Arc<Self>, version: Option<u32>) -> Option<&Arc<Self>> {
        let Some(version) = version else { return Some(self) };
        self.sides().find(|side| side.serves(version))
    }

    /// The price that applies at a time, with its id.
    pub fn price_at(&self, time_ms: i64) -> Option<&(Id, Arc<Price>)> {
        self.prices.iter().rev().find(|(_, price)| price.from_ms.is_none_or(|from| from <= time_ms))
    }
}

/// A target's share of an endpoint's traffic.
#[derive(Clone, Debug)]
pub struct Share {
    pub target: Arc<Target>,
    pub weight: u32,
}

/// An endpoint with everything a request needs to know of it.
#[derive(Debug)]
pub struct Endpoint {
    pub id: Id,
    pub spec: Arc<routing::Endpoint>,
    /// Team of the owning project; absent for the platform's own.
    pub team: Option<Id>,
    pub targets: Vec<Share>,
    /// The chain, endpoints in it replaced by what they lead to.
    pub fallback: Vec<Arc<Target>>,
    /// Present where a call chooses among levels instead of weights.
    pub tiers: Option<Arc<Tiers>>,
}

impl Endpoint {
    /// All targets that a call may go to, candidates included.
    pub fn reached(&self) -> impl Iterator<Item = &Arc<Target>> + Clone {
        let shares = self.targets.iter().map(|share| &share.target);
        shares.chain(&self.fallback).flat_map(Target::sides)
    }
}

/// All endpoints, by id and by the names that callers use.
#[derive(Debug, Default)]
pub struct Routes {
    pub(crate) by_id: IdMap<Arc<Endpoint>>,
    by_name: HashMap<String, Vec<Arc<Endpoint>>, FastHash>,
    /// By name, for lists.
    pub(crate) sorted: Vec<Arc<Endpoint>>,
    pub(crate) targets: IdMap<Arc<Target>>,
}

impl Routes {
    /// Every target, whether or not an endpoint uses it.
    pub fn targets(&self) -> impl Iterator<Item = &Arc<Target>> {
        self.targets.values()
    }

    /// Every endpoint, by name and environment.
    pub fn endpoints(&self) -> &[Arc<Endpoint>] {
        &self.sorted
    }

    /// The endpoint of this id.
    pub fn endpoint(&self, id: &str) -> Option<&Arc<Endpoint>> {
        self.by_id.get(id)
    }

    /// Endpoints of this name that keys of `environment` may call by where they come from: its own
    /// first.
    pub(crate) fn named(
        &self,
        environment: Environment,
        name: &str,
    ) -> impl Iterator<Item = &Arc<Endpoint>> {
        let all = self.by_name.get(name).map_or(&[][..], Vec::as_slice);
        let own = all.iter().filter(move |e| e.spec.environment == environment);
        let lent = all.iter().filter(move |e| {
            e.spec.environment != environment && e.spec.callers.contains(&environment)
        });
        own.chain(lent)
    }

    /// Endpoints of this name in whatever environment.
    pub(crate) fn anywhere(&self, name: &str) -> &[Arc<Endpoint>] {
        self.by_name.get(name).map_or(&[], Vec::as_slice)
    }

    /// Index endpoints, refusing a name that is taken.
    pub(crate) fn build(
        targets: IdMap<Arc<Target>>,
        endpoints: Vec<Arc<Endpoint>>,
    ) -> Result<Self, String> {
        let mut routes = Self { targets, ..Self::default() };
        for endpoint in &endpoints {
            let name = &endpoint.spec.name;
            let same = routes.by_name.entry(name.clone()).or_default();
            for other in same.iter() {
                if other.spec.environment == endpoint.spec.environment {
                    let environment = endpoint.spec.environment.as_str();
                    return Err(format!(
                        "endpoints `{}` and `{}` are both called `{name}` in {environment}",
                        other.id, endpoint.id
                    ));
                }
                if other.spec.project != endpoint.spec.project {
                    return Err(format!(
                        "endpoints `{}` and `{}` are called `{name}` but belong to different projects",
                        other.id, endpoint.id
                    ));
                }
            }
            same.push(Arc::clone(endpoint));
            routes.by_id.insert(Arc::clone(&endpoint.id), Arc::clone(endpoint));
        }
        for same in routes.by_name.values_mut() {
            same.sort_by_key(|endpoint| endpoint.spec.environment);
        }
        routes.sorted = endpoints;
        routes.sorted.sort_by(|a, b| {
            (&a.spec.name, a.spec.environment).cmp(&(&b.spec.name, b.spec.environment))
        });
        Ok(routes)
    }
}
