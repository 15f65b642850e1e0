//! The table in force: one immutable value, and the only ways to make the next one.
//!
//! Entities sit in persistent maps, so that a batch that changes one key of 100,000 copies a handful
//! of nodes. What requests walk over (endpoints and targets, a few thousand at most) is prepared anew
//! only when a batch touches it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use ipnet::IpNet;
use rpds::HashTrieMapSync as Map;
use towpath_wire::Environment;
use towpath_wire::routing::{
    self, Allow, Batch, Credential, DataClass, Envelope, Operation, Platform, Price, Project,
    Revocation, Scope, Snapshot, TABLE_VERSION, Team, Value,
};

use crate::routes::{Endpoint, Routes, Share, Target};
use crate::{Id, KeyHash, check};

/// A key as requests are checked against it.
#[derive(Debug)]
pub struct Key {
    pub id: Id,
    pub hash: KeyHash,
    pub project: Id,
    pub environment: Environment,
    pub application: Option<Id>,
    pub scopes: Vec<Scope>,
    pub endpoints: Option<Vec<String>>,
    pub operations: Option<Vec<Operation>>,
    pub sources: Option<Vec<IpNet>>,
    pub max_data_class: Option<DataClass>,
    pub expires_at_ms: Option<i64>,
}

/// A document that would not be taken, and why. Nothing of it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Refused {
    pub reason: String,
}

/// The routing table at one revision. Cloning costs a few pointers.
#[derive(Clone)]
pub struct Table {
    revision: u64,
    revoked: Map<KeyHash, ()>,
    keys: Map<KeyHash, Arc<Key>>,
    key_hashes: Map<Id, KeyHash>,
    teams: Map<Id, Arc<Team>>,
    team_names: Map<String, Id>,
    projects: Map<Id, Arc<Project>>,
    project_names: Map<(Id, String), Id>,
    endpoints: Map<Id, Arc<routing::Endpoint>>,
    targets: Map<Id, Arc<routing::Target>>,
    prices: Map<Id, Arc<Price>>,
    credentials: Map<Id, Arc<Credential>>,
    platform: Option<Arc<Platform>>,
    /// How many entities name each entity.
    references: Map<Reference, u32>,
    routes: Arc<Routes>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Team,
    Project,
    Key,
    Endpoint,
    Target,
    Price,
    Credential,
    Platform,
}

type Reference = (Kind, Id);

impl Default for Table {
    fn default() -> Self {
        Self {
            revision: 0,
            revoked: Map::new_sync(),
            keys: Map::new_sync(),
            key_hashes: Map::new_sync(),
            teams: Map::new_sync(),
            team_names: Map::new_sync(),
            projects: Map::new_sync(),
            project_names: Map::new_sync(),
            endpoints: Map::new_sync(),
            targets: Map::new_sync(),
            prices: Map::new_sync(),
            credentials: Map::new_sync(),
            platform: None,
            references: Map::new_sync(),
            routes: Arc::default(),
        }
    }
}

// ---------------------------------------------------------------------------------------- reading

impl Table {
    /// Revision in force; 0 before the first snapshot.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    pub fn routes(&self) -> &Arc<Routes> {
        &self.routes
    }

    pub fn platform(&self) -> Option<&Platform> {
        self.platform.as_deref()
    }

    pub fn project(&self, id: &str) -> Option<&Project> {
        self.projects.get(id).map(Arc::as_ref)
    }

    pub fn team(&self, id: &str) -> Option<&Team> {
        self.teams.get(id).map(Arc::as_ref)
    }

    pub fn credential(&self, id: &str) -> Option<&Arc<Credential>> {
        self.credentials.get(id)
    }

    pub fn key_count(&self) -> usize {
        self.keys.size()
    }

    pub fn key(&self, hash: &KeyHash) -> Option<&Arc<Key>> {
        self.keys.get(hash)
    }

    pub fn is_revoked(&self, hash: &KeyHash) -> bool {
        self.revoked.contains_key(hash)
    }
}

// --------------------------------------------------------------------------------------- changing

impl Table {
    /// Build the table that a snapshot describes; revocations in force stay in force.
    ///
    /// # Errors
    /// Any part of the snapshot cannot be used; nothing of it is.
    pub fn apply_snapshot(&self, snapshot: &Snapshot) -> Result<Self, Refused> {
        version(snapshot.version)?;
        let empty = Self { revoked: self.revoked.clone(), ..Self::default() };
        let mut change = Change::on(empty);
        change.apply(&snapshot.advisory, &snapshot.entities, &[])?;
        change.finish(snapshot.revision)
    }

    /// Build the table that follows from this one and a batch.
    ///
    /// # Errors
    /// The batch does not start at this revision, or any part of it cannot be used; nothing of it is.
    pub fn apply(&self, batch: &Batch) -> Result<Self, Refused> {
        version(batch.version)?;
        if batch.from != self.revision {
            return refuse(format!(
                "the batch starts at revision {}, the table is at {}",
                batch.from, self.revision
            ));
        }
        if batch.to <= batch.from {
            return refuse(format!("the batch leads from {} back to {}", batch.from, batch.to));
        }
        let mut deletes = Vec::with_capacity(batch.deletes.len());
        for gone in &batch.deletes {
            match Kind::of(&gone.kind) {
                Some(kind) => deletes.push((kind, Id::from(gone.id.as_str()))),
                None if batch.advisory.contains(&gone.kind) => {}
                None => {
                    return refuse(
                        routing::ReadError::UnknownKind { kind: gone.kind.clone() }.to_string(),
                    );
                }
            }
        }
        let mut change = Change::on(self.clone());
        change.apply(&batch.advisory, &batch.upserts, &deletes)?;
        change.finish(batch.to)
    }

    /// Stop these keys for good, whatever becomes of any table. Entries that are no hash are returned
    /// so that the caller can report them; the others are in force all the same.
    #[must_use]
    pub fn revoke<'r>(&self, revocations: &'r [Revocation]) -> (Self, Vec<&'r Revocation>) {
        let mut next = self.clone();
        let mut malformed = Vec::new();
        for revocation in revocations {
            match KeyHash::from_hex(&revocation.hash) {
                Ok(hash) => next.revoked.insert_mut(hash, ()),
                Err(_) => malformed.push(revocation),
            }
            if let Some(hash) = next.key_hashes.get(revocation.key_id.as_str()).copied() {
                next.revoked.insert_mut(hash, ());
            }
        }
        (next, malformed)
    }
}

/// Look at entities by themselves and beside each other; what they name may be missing.
///
/// # Errors
/// One of them would make a table be refused.
pub fn examine(advisory: &[String], entities: &[Envelope]) -> Result<(), Refused> {
    Change::on(Table::default()).apply(advisory, entities, &[])
}

fn version(version: u32) -> Result<(), Refused> {
    if version == TABLE_VERSION {
        return Ok(());
    }
    refuse(format!("{}; upgrade the gateway", routing::ReadError::Version(version)))
}

fn refuse<T>(reason: impl Into<String>) -> Result<T, Refused> {
    Err(Refused { reason: reason.into() })
}

/// A table under construction: dropped unless every check passes.
struct Change {
    next: Table,
    /// Entities whose presence must be checked at the end.
    touched: HashSet<Reference>,
    routes_changed: bool,
}

impl Change {
    fn on(next: Table) -> Self {
        Self { next, touched: HashSet::new(), routes_changed: false }
    }

    /// Take out everything that goes or is replaced, then put in what comes, so that names may move
    /// from one entity to another within one batch.
    fn apply(
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

    fn finish(mut self, revision: u64) -> Result<Table, Refused> {
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
        self.next.revision = revision;
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
            Kind::Platform => next.platform = None,
        }
        self.routes_changed |= kind != Kind::Key;
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
            Value::Platform(platform) => {
                if &*id != "platform" {
                    return Err("the platform's id is `platform`".to_owned());
                }
                check::currency(&platform.currency)?;
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

fn endpoint_references(endpoint: &routing::Endpoint) -> Vec<Reference> {
    let project = endpoint.project.iter().map(|id| (Kind::Project, id));
    let targets = endpoint.targets.iter().map(|share| (Kind::Target, &share.target));
    let fallback = endpoint.fallback.iter().map(|id| (Kind::Target, id));
    let allow = endpoint.allow.iter().map(|allow| match allow {
        Allow::Team(id) => (Kind::Team, id),
        Allow::Project(id) => (Kind::Project, id),
    });
    let all = project.chain(targets).chain(fallback).chain(allow);
    all.map(|(kind, id)| (kind, Id::from(id.as_str()))).collect()
}

fn target_references(target: &routing::Target) -> Vec<Reference> {
    let own = target.credential.iter().map(|id| (Kind::Credential, id));
    let replicas = target.replicas.iter().filter_map(|replica| replica.credential.as_ref());
    let price = target.price.iter().map(|id| (Kind::Price, id));
    let all = own.chain(replicas.map(|id| (Kind::Credential, id))).chain(price);
    all.map(|(kind, id)| (kind, Id::from(id.as_str()))).collect()
}

impl Kind {
    fn of(kind: &str) -> Option<Self> {
        Some(match kind {
            "team" => Self::Team,
            "project" => Self::Project,
            "key" => Self::Key,
            "endpoint" => Self::Endpoint,
            "target" => Self::Target,
            "price" => Self::Price,
            "credential" => Self::Credential,
            "platform" => Self::Platform,
            _ => return None,
        })
    }

    fn of_value(value: &Value) -> Self {
        match value {
            Value::Team(_) => Self::Team,
            Value::Project(_) => Self::Project,
            Value::Key(_) => Self::Key,
            Value::Endpoint(_) => Self::Endpoint,
            Value::Target(_) => Self::Target,
            Value::Price(_) => Self::Price,
            Value::Credential(_) => Self::Credential,
            Value::Platform(_) => Self::Platform,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Team => "team",
            Self::Project => "project",
            Self::Key => "key",
            Self::Endpoint => "endpoint",
            Self::Target => "target",
            Self::Price => "price",
            Self::Credential => "credential",
            Self::Platform => "platform",
        }
    }
}

impl Key {
    fn read(id: &Id, key: routing::Key) -> Result<Self, String> {
        let sources = key
            .sources
            .map(|sources| sources.iter().map(|s| check::network(s)).collect::<Result<_, _>>())
            .transpose()?;
        for name in key.endpoints.iter().flatten() {
            check::name(name)?;
        }
        Ok(Self {
            id: Arc::clone(id),
            hash: KeyHash::from_hex(&key.hash).map_err(|error| format!("hash {error}"))?,
            project: Id::from(key.project),
            environment: key.environment,
            application: key.application.map(Id::from),
            scopes: key.scopes,
            endpoints: key.endpoints,
            operations: key.operations,
            sources,
            max_data_class: key.max_data_class,
            expires_at_ms: key.expires_at_ms,
        })
    }
}

// --------------------------------------------------------------------------------------- building

impl Table {
    fn contains(&self, kind: Kind, id: &Id) -> bool {
        match kind {
            Kind::Team => self.teams.contains_key(id),
            Kind::Project => self.projects.contains_key(id),
            Kind::Key => self.key_hashes.contains_key(id),
            Kind::Endpoint => self.endpoints.contains_key(id),
            Kind::Target => self.targets.contains_key(id),
            Kind::Price => self.prices.contains_key(id),
            Kind::Credential => self.credentials.contains_key(id),
            Kind::Platform => self.platform.is_some(),
        }
    }

    /// One entity that names another: the search is long, and only made for a refusal's text.
    fn who_names(&self, kind: Kind, id: &Id) -> String {
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
    fn build_routes(&self) -> Result<Routes, String> {
        let mut targets = HashMap::with_capacity(self.targets.size());
        for (id, spec) in &self.targets {
            let price = spec.price.as_deref().and_then(|id| self.prices.get(id)).cloned();
            let same_price = |former: &Target| match (&former.price, &price) {
                (Some(a), Some(b)) => Arc::ptr_eq(a, b),
                (a, b) => a.is_none() && b.is_none(),
            };
            let former = self.routes.targets.get(id);
            let target = former
                .filter(|former| Arc::ptr_eq(&former.spec, spec) && same_price(former))
                .cloned()
                .unwrap_or_else(|| {
                    Arc::new(Target { id: Arc::clone(id), spec: Arc::clone(spec), price })
                });
            targets.insert(Arc::clone(id), target);
        }
        let endpoints = self.endpoints.iter().map(|(id, spec)| {
            let project = spec.project.as_deref().and_then(|id| self.projects.get(id));
            let shares = spec.targets.iter().filter_map(|share| {
                let target = Arc::clone(targets.get(share.target.as_str())?);
                Some(Share { target, weight: share.weight })
            });
            let fallback = spec.fallback.iter().filter_map(|id| targets.get(id.as_str()).cloned());
            Arc::new(Endpoint {
                id: Arc::clone(id),
                spec: Arc::clone(spec),
                team: project.map(|project| Id::from(project.team.as_str())),
                targets: shares.collect(),
                fallback: fallback.collect(),
            })
        });
        let endpoints = endpoints.collect();
        Routes::build(targets, endpoints)
    }
}

#[cfg(test)]
mod tests;
