//! What requests walk over, made out of the entities: endpoints with their targets, prices and fallbacks.

use std::collections::HashSet;
use std::sync::Arc;

use towpath_wire::routing::{self, Fallback, Price};

use super::change::{endpoint_references, target_references};
use super::{Kind, Table};
use crate::routes::{Endpoint, MAX_REACHED, Routes, Share, Target};
use crate::{FastHash, Id, IdMap};

impl Table {
    pub(super) fn contains(&self, kind: Kind, id: &Id) -> bool {
        match kind {
            Kind::Team => self.teams.contains_key(id),
            Kind::Project => self.projects.contains_key(id),
            Kind::Key => self.key_hashes.contains_key(id),
            Kind::Endpoint => self.endpoints.contains_key(id),
            Kind::Target => self.targets.contains_key(id),
            Kind::Price => self.prices.contains_key(id),
            Kind::Credential => self.credentials.contains_key(id),
            Kind::Limit => self.limits.contains_key(id),
            Kind::Budget => self.budgets.contains_key(id),
            Kind::Block => self.blocks.contains_key(id),
            Kind::Platform => self.platform.is_some(),
        }
    }

    /// One entity that names another: the search is long, and only made for a refusal's text.
    pub(super) fn who_names(&self, kind: Kind, id: &Id) -> String {
        let wanted = (kind, Arc::clone(id));
        let endpoint =
            self.endpoints.iter().find(|(_, e)| endpoint_references(e).contains(&wanted));
        let target = self.targets.iter().find(|(_, t)| target_references(t).contains(&wanted));
        let found = endpoint
            .map(|(id, _)| ("endpoint", id))
            .or(target.map(|(id, _)| ("target", id)))
            .or_else(|| {
                let mut projects = self.projects.iter();
                projects
                    .find(|(_, p)| kind == Kind::Team && *p.team == **id)
                    .map(|(id, _)| ("project", id))
            })
            .or_else(|| {
                let mut keys = self.keys.values();
                keys.find(|key| kind == Kind::Project && key.project == *id)
                    .map(|key| ("key", &key.id))
            });
        found.map_or_else(|| "another".to_owned(), |(kind, id)| format!("{kind} `{id}`"))
    }

    /// Prepare endpoints and targets, keeping the former value of each target that did not change.
    pub(super) fn build_routes(&self) -> Result<Routes, String> {
        let mut targets = IdMap::with_capacity_and_hasher(self.targets.size(), FastHash::default());
        let (having, plain): (Vec<_>, Vec<_>) =
            self.targets.iter().partition(|(_, spec)| spec.candidate.is_some());
        for (id, spec) in plain {
            targets.insert(Arc::clone(id), self.prepared(id, spec, None));
        }
        for (id, spec) in having {
            let candidate = spec.candidate.as_ref().map(|candidate| candidate.target.as_str());
            if candidate
                .and_then(|id| self.targets.get(id))
                .is_some_and(|candidate| candidate.candidate.is_some())
            {
                return Err(format!("the candidate of target `{id}` has a candidate itself"));
            }
            let candidate = candidate.and_then(|id| targets.get(id).cloned());
            targets.insert(Arc::clone(id), self.prepared(id, spec, candidate));
        }
        let endpoints = self.endpoints.iter().map(|(id, spec)| {
            let project = spec.project.as_deref().and_then(|id| self.projects.get(id));
            let shares = spec.targets.iter().filter_map(|share| {
                let target = Arc::clone(targets.get(share.target.as_str())?);
                Some(Share { target, weight: share.weight })
            });
            let fallback = self.chain(spec).into_iter().filter_map(|id| targets.get(id).cloned());
            Arc::new(Endpoint {
                id: Arc::clone(id),
                spec: Arc::clone(spec),
                team: project.map(|project| Id::from(project.team.as_str())),
                targets: shares.collect(),
                fallback: fallback.collect(),
                tiers: self.tiers.get(id).cloned(),
            })
        });
        let endpoints = endpoints.collect();
        Routes::build(targets, endpoints)
    }

    /// One target, which is its former value where nothing of it changed.
    fn prepared(
        &self,
        id: &Id,
        spec: &Arc<routing::Target>,
        candidate: Option<Arc<Target>>,
    ) -> Arc<Target> {
        let mut prices: Vec<(Id, Arc<Price>)> = spec
            .prices
            .iter()
            .filter_map(|id| {
                Some((Id::from(id.as_str()), Arc::clone(self.prices.get(id.as_str())?)))
            })
            .collect();
        prices.sort_by_key(|(_, price)| price.from_ms);
        let same_prices = |former: &Target| {
            let pairs = || former.prices.iter().zip(&prices);
            former.prices.len() == prices.len() && pairs().all(|(a, b)| Arc::ptr_eq(&a.1, &b.1))
        };
        let same_candidate = |former: &Target| match (&former.candidate, &candidate) {
            (Some(former), Some(candidate)) => Arc::ptr_eq(former, candidate),
            (former, candidate) => former.is_none() && candidate.is_none(),
        };
        let former = self.routes.targets.get(id).filter(|former| {
            Arc::ptr_eq(&former.spec, spec) && same_prices(former) && same_candidate(former)
        });
        former.cloned().unwrap_or_else(|| {
            let (id, spec) = (Arc::clone(id), Arc::clone(spec));
            Arc::new(Target { id, spec, prices, candidate })
        })
    }

    /// Ids of the targets of a fallback chain, each once. An endpoint in it stands for its targets and its
    /// own chain; endpoints that lead back to one that was passed lead nowhere.
    fn chain<'t>(&'t self, endpoint: &'t routing::Endpoint) -> Vec<&'t str> {
        let mut found: Vec<&str> = Vec::new();
        let mut passed: HashSet<&str> = HashSet::new();
        let own = endpoint.targets.len();
        let mine = |id: &str| endpoint.targets.iter().any(|s| s.weight > 0 && s.target == id);
        let add = |found: &mut Vec<&'t str>, id: &'t str| {
            if own + found.len() < MAX_REACHED && !found.contains(&id) && !mine(id) {
                found.push(id);
            }
        };
        let mut ahead: Vec<&Fallback> = endpoint.fallback.iter().rev().collect();
        while let Some(next) = ahead.pop() {
            match next {
                Fallback::Target(id) => add(&mut found, id),
                Fallback::Endpoint(id) if passed.insert(id) => {
                    let Some(other) = self.endpoints.get(id.as_str()) else { continue };
                    for share in other.targets.iter().filter(|share| share.weight > 0) {
                        add(&mut found, &share.target);
                    }
                    ahead.extend(other.fallback.iter().rev());
                }
                Fallback::Endpoint(_) => {}
            }
        }
        found
    }
}
