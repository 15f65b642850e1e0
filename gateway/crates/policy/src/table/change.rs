//! Making the next table out of one and what is to change, entity by entity.

use std::collections::HashSet;
use std::sync::Arc;

use towpath_wire::routing::{self, Allow, Envelope, Fallback, Subject, Value};

use super::{Key, Kind, Reference, Refused, Table, refuse};
use crate::{Blocks, BudgetRule, Id, LimitRule, Redactor, Tiers, check};

/// A table under construction: dropped unless every check passes.
pub(super) struct Change {
    next: Table,
    /// What it was before: limits that stay keep what was used of them.
    former: Table,
    /// Entities whose presence must be checked at the end.
    touched: HashSet<Reference>,
    routes_changed: bool,
}

impl Change {
    pub(super) fn on(next: Table, former: Table) -> Self {
        Self { next, former, touched: HashSet::new(), routes_changed: false }
    }

    /// Take out everything that goes or is replaced, then put in what comes, so that names may move
    /// from one entity to another within one batch.
    pub(super) fn apply(
        &mut self,
        advisory: &[String],
        upserts: &[Envelope],
        deletes: &[Reference],
    ) -> Result<(), Refused> {
        let mut values = Vec::with_capacity(upserts.len());
        let mut seen = HashSet::with_capacity(upserts.len() + deletes.len());
        for reference in deletes {
            seen.insert(reference.clone());
        }
        for envelope in upserts {
            let Some(value) = envelope.read(advisory).or_else(|error| refuse(error.to_string()))?
            else {
                continue;
            };
            let id = Id::from(envelope.id.as_str());
            if !seen.insert((Kind::of_value(&value), Arc::clone(&id))) {
                return refuse(format!("{} `{id}` occurs twice", envelope.kind));
            }
            check::id(&id).or_else(|error| refuse(format!("{}: {error}", envelope.kind)))?;
            values.push((id, value));
        }
        for (kind, id) in deletes {
            self.remove(*kind, id);
        }
        for (id, value) in &values {
            self.remove(Kind::of_value(value), id);
        }
        for (id, value) in values {
            let kind = Kind::of_value(&value);
            self.insert(&id, value)
                .or_else(|why| refuse(format!("{} `{id}`: {why}", kind.as_str())))?;
        }
        Ok(())
    }

    pub(super) fn finish(mut self, revision: u64) -> Result<Table, Refused> {
        for (kind, id) in &self.touched {
            let wanted = self.next.references.contains_key(&(*kind, Arc::clone(id)));
            if wanted && !self.next.contains(*kind, id) {
                return refuse(format!(
                    "{} `{id}` is not in the table, but {} names it",
                    kind.as_str(),
                    self.next.who_names(*kind, id)
                ));
            }
        }
        if self.routes_changed {
            let routes = self.next.build_routes().or_else(refuse)?;
            self.next.routes = Arc::new(routes);
        }
        if self.touched.iter().any(|(kind, _)| *kind == Kind::Block) {
            self.next.blocked = Arc::new(Blocks::of(self.next.blocks.values().map(Arc::as_ref)));
        }
        self.next.revision = revision;
        // Last, when nothing can fail any more: what was used is shared with the former table.
        for (kind, id) in &self.touched {
            if *kind == Kind::Limit
                && let Some(rule) = self.next.limits.get(id)
                && let Some(former) = self.former.limits.get(id)
                && former.limit.subject == rule.limit.subject
            {
                rule.take_over(&former.limit, self.next.now);
            }
        }
        Ok(self.next)
    }

    fn remove(&mut self, kind: Kind, id: &Id) {
        let next = &mut self.next;
        let mut gone = Vec::new();
        match kind {
            Kind::Team => {
                if let Some(team) = next.teams.get(id).cloned() {
                    next.team_names.remove_mut(&team.name);
                    next.teams.remove_mut(id);
                }
            }
            Kind::Project => {
                if let Some(project) = next.projects.get(id).cloned() {
                    let name = (Id::from(project.team.as_str()), project.name.clone());
                    next.project_names.remove_mut(&name);
                    gone.push((Kind::Team, name.0));
                    next.projects.remove_mut(id);
                }
            }
            Kind::Key => {
                if let Some(hash) = next.key_hashes.get(id).copied() {
                    if let Some(key) = next.keys.get(&hash) {
                        gone.push((Kind::Project, Arc::clone(&key.project)));
                    }
                    next.keys.remove_mut(&hash);
                    next.key_hashes.remove_mut(id);
                }
            }
            Kind::Endpoint => {
                if let Some(endpoint) = next.endpoints.get(id).cloned() {
                    gone.extend(endpoint_references(&endpoint));
                    next.endpoints.remove_mut(id);
                    next.tiers.remove_mut(id);
                }
            }
            Kind::Target => {
                if let Some(target) = next.targets.get(id).cloned() {
                    gone.extend(target_references(&target));
                    next.targets.remove_mut(id);
                }
            }
            Kind::Price => {
                next.prices.remove_mut(id);
            }
            Kind::Credential => {
                next.credentials.remove_mut(id);
            }
            Kind::Limit => {
                if let Some(rule) = next.limits.get(id).cloned() {
                    let subject = &rule.limit.subject;
                    gone.extend(subject_references(subject));
                    next.rules.change(subject, |rules| rules.limits.retain(|rule| rule.id != *id));
                    next.limits.remove_mut(id);
                }
            }
            Kind::Budget => {
                if let Some(rule) = next.budgets.get(id).cloned() {
                    let subject = &rule.budget.subject;
                    gone.extend(subject_references(subject));
                    next.rules.change(subject, |rules| rules.budgets.retain(|rule| rule.id != *id));
                    next.budgets.remove_mut(id);
                }
            }
            Kind::Block => {
                next.blocks.remove_mut(id);
            }
            Kind::Platform => next.platform = None,
        }
        self.routes_changed |=
            !matches!(kind, Kind::Key | Kind::Limit | Kind::Budget | Kind::Block);
        self.touched.insert((kind, Arc::clone(id)));
        for reference in gone {
            let count = self.next.references.get(&reference).copied().unwrap_or(0);
            if count > 1 {
                self.next.references.insert_mut(reference, count - 1);
            } else {
                self.next.references.remove_mut(&reference);
            }
        }
    }

    fn insert(&mut self, id: &Id, value: Value) -> Result<(), String> {
        let next = &mut self.next;
        let id = Arc::clone(id);
        let mut named = Vec::new();
        match value {
            Value::Team(team) => {
                if let Some(other) = next.team_names.get(&team.name) {
                    return Err(format!("team `{other}` is called `{}` too", team.name));
                }
                next.team_names.insert_mut(team.name.clone(), Arc::clone(&id));
                next.teams.insert_mut(id, Arc::new(team));
            }
            Value::Project(project) => {
                Redactor::new(&project.body_log.redact)?;
                let name = (Id::from(project.team.as_str()), project.name.clone());
                if let Some(other) = next.project_names.get(&name) {
                    return Err(format!("project `{other}` is called `{}` too", project.name));
                }
                named.push((Kind::Team, Arc::clone(&name.0)));
                next.project_names.insert_mut(name, Arc::clone(&id));
                next.projects.insert_mut(id, Arc::new(project));
            }
            Value::Key(key) => {
                let key = Key::read(&id, key)?;
                if let Some(other) = next.keys.get(&key.hash) {
                    return Err(format!("key `{}` has the same hash", other.id));
                }
                named.push((Kind::Project, Arc::clone(&key.project)));
                next.key_hashes.insert_mut(id, key.hash);
                next.keys.insert_mut(key.hash, Arc::new(key));
            }
            Value::Endpoint(endpoint) => {
                check::endpoint(&endpoint)?;
                if let Some(tier) = &endpoint.tier {
                    let targets: Vec<_> =
                        endpoint.targets.iter().map(|share| share.target.as_str()).collect();
                    let tiers = Tiers::compile(tier, &targets)?;
                    next.tiers.insert_mut(Id::clone(&id), Arc::new(tiers));
                }
                named.extend(endpoint_references(&endpoint));
                next.endpoints.insert_mut(id, Arc::new(endpoint));
            }
            Value::Target(target) => {
                check::target(&target)?;
                named.extend(target_references(&target));
                next.targets.insert_mut(id, Arc::new(target));
            }
            Value::Price(price) => {
                check::price(&price)?;
                next.prices.insert_mut(id, Arc::new(price));
            }
            Value::Credential(credential) => {
                check::credential(&credential)?;
                next.credentials.insert_mut(id, Arc::new(credential));
            }
            Value::Limit(limit) => {
                check::limit(&limit)?;
                named.extend(subject_references(&limit.subject));
                let limit = Arc::new(limit);
                let rule = match self.former.limits.get(&id) {
                    Some(former) => former.changed(Arc::clone(&limit)),
                    None => LimitRule::new(Id::clone(&id), Arc::clone(&limit)),
                };
                next.rules.change(&limit.subject, |rules| rules.limits.push(rule.clone()));
                next.limits.insert_mut(id, rule);
            }
            Value::Budget(budget) => {
                check::budget(&budget)?;
                named.extend(subject_references(&budget.subject));
                let budget = Arc::new(budget);
                let rule = match self.former.budgets.get(&id) {
                    Some(former) => former.changed(Arc::clone(&budget)),
                    None => BudgetRule::new(Id::clone(&id), Arc::clone(&budget)),
                };
                next.rules.change(&budget.subject, |rules| rules.budgets.push(rule.clone()));
                next.budgets.insert_mut(id, rule);
            }
            Value::Block(block) => {
                check::block(&block)?;
                next.blocks.insert_mut(id, Arc::new(block));
            }
            Value::Platform(platform) => {
                if &*id != "platform" {
                    return Err("the platform's id is `platform`".to_owned());
                }
                check::platform(&platform)?;
                next.platform = Some(Arc::new(platform));
            }
        }
        for reference in named {
            let count = next.references.get(&reference).copied().unwrap_or(0);
            next.references.insert_mut(reference.clone(), count.saturating_add(1));
            self.touched.insert(reference);
        }
        Ok(())
    }
}

pub(super) fn endpoint_references(endpoint: &routing::Endpoint) -> Vec<Reference> {
    let project = endpoint.project.iter().map(|id| (Kind::Project, id));
    let targets = endpoint.targets.iter().map(|share| (Kind::Target, &share.target));
    let levels = endpoint.tier.iter().flat_map(|tier| &tier.levels);
    let levels = levels.map(|level| (Kind::Target, &level.target));
    let fallback = endpoint.fallback.iter().map(|fallback| match fallback {
        Fallback::Target(id) => (Kind::Target, id),
        Fallback::Endpoint(id) => (Kind::Endpoint, id),
    });
    let allow = endpoint.allow.iter().map(|allow| match allow {
        Allow::Team(id) => (Kind::Team, id),
        Allow::Project(id) => (Kind::Project, id),
    });
    let all = project.chain(targets).chain(levels).chain(fallback).chain(allow);
    all.map(|(kind, id)| (kind, Id::from(id.as_str()))).collect()
}

pub(super) fn target_references(target: &routing::Target) -> Vec<Reference> {
    let own = target.credential.iter().map(|id| (Kind::Credential, id));
    let replicas = target.replicas.iter().filter_map(|replica| replica.credential.as_ref());
    let prices = target.prices.iter().map(|id| (Kind::Price, id));
    let candidate = target.candidate.iter().map(|it| (Kind::Target, &it.target));
    let all = own.chain(replicas.map(|id| (Kind::Credential, id))).chain(prices).chain(candidate);
    all.map(|(kind, id)| (kind, Id::from(id.as_str()))).collect()
}

fn subject_references(subject: &Subject) -> Vec<Reference> {
    let parts = [
        (Kind::Key, &subject.key),
        (Kind::Project, &subject.project),
        (Kind::Team, &subject.team),
        (Kind::Endpoint, &subject.endpoint),
    ];
    let given = parts.into_iter().filter_map(|(kind, id)| Some((kind, id.as_deref()?)));
    given.map(|(kind, id)| (kind, Id::from(id))).collect()
}
