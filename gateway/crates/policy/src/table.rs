//! The table in force: one immutable value, and the only ways to make the next one.
//!
//! Entities sit in persistent maps, so that a batch that changes one key of 100,000 copies a handful
//! of nodes. What requests walk over (endpoints and targets, a few thousand at most) is prepared anew
//! only when a batch touches it.

mod build;
mod change;
mod rules;

use std::sync::Arc;

use ipnet::IpNet;
use towpath_wire::Environment;
use towpath_wire::routing::{
    self, Batch, Block, Credential, DataClass, Envelope, Operation, Platform, Price, Priority,
    Project, Revocation, Scope, Snapshot, TABLE_VERSION, Team, Value,
};

use crate::routes::Routes;
use crate::{Blocks, BudgetRule, Id, KeyHash, LimitRule, Moment, SharedMap as Map, Tiers, check};
use change::Change;
use rules::Index;

pub use rules::{Parties, Rules};

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
    pub priority: Option<Priority>,
    pub acts_as: Option<Id>,
}

/// A document that would not be taken, and why. Nothing of it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Refused {
    pub reason: String,
}

/// The routing table at one revision. Cloning costs a few pointers.
#[derive(Clone, Default)]
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
    /// Compiled, of endpoints that have them.
    tiers: Map<Id, Arc<Tiers>>,
    targets: Map<Id, Arc<routing::Target>>,
    prices: Map<Id, Arc<Price>>,
    credentials: Map<Id, Arc<Credential>>,
    limits: Map<Id, LimitRule>,
    budgets: Map<Id, BudgetRule>,
    /// Limits and budgets by what they are about.
    rules: Index,
    blocks: Map<Id, Arc<Block>>,
    blocked: Arc<Blocks>,
    platform: Option<Arc<Platform>>,
    /// How many entities name each entity.
    references: Map<Reference, u32>,
    routes: Arc<Routes>,
    /// When the next change takes effect.
    now: Moment,
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
    Limit,
    Budget,
    Block,
    Platform,
}

type Reference = (Kind, Id);

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

    /// A project to hold on to: the same value as long as nothing of it changes.
    pub fn shared_project(&self, id: &str) -> Option<&Arc<Project>> {
        self.projects.get(id)
    }

    pub fn team(&self, id: &str) -> Option<&Team> {
        self.teams.get(id).map(Arc::as_ref)
    }

    pub fn credential(&self, id: &str) -> Option<&Arc<Credential>> {
        self.credentials.get(id)
    }

    pub fn limits(&self) -> impl Iterator<Item = &LimitRule> {
        self.limits.values()
    }

    /// The limits and budgets that apply to a call. Nothing is allocated or locked.
    pub fn rules<'t>(
        &'t self,
        parties: Parties<'t>,
    ) -> impl Iterator<Item = &'t Rules> + Clone + 't {
        self.rules.of(parties)
    }

    pub fn budgets(&self) -> impl Iterator<Item = &BudgetRule> {
        self.budgets.values()
    }

    pub fn budget(&self, id: &str) -> Option<&BudgetRule> {
        self.budgets.get(id)
    }

    /// What is stopped, whatever else the table says.
    pub fn blocked(&self) -> &Arc<Blocks> {
        &self.blocked
    }

    pub fn key_count(&self) -> usize {
        self.keys.size()
    }

    pub fn key(&self, hash: &KeyHash) -> Option<&Arc<Key>> {
        self.keys.get(hash)
    }

    /// A key by its id, as records name it.
    pub fn key_of(&self, id: &str) -> Option<&Arc<Key>> {
        self.key_hashes.get(id).and_then(|hash| self.keys.get(hash))
    }

    pub fn is_revoked(&self, hash: &KeyHash) -> bool {
        self.revoked.contains_key(hash)
    }
}

// --------------------------------------------------------------------------------------- changing

impl Table {
    /// The same table, whose next change takes effect at `now`: what was used of a limit is carried over
    /// into its new rate as of then.
    #[must_use]
    pub fn at(mut self, now: Moment) -> Self {
        self.now = now;
        self
    }

    /// Build the table that a snapshot describes; revocations in force stay in force.
    ///
    /// # Errors
    /// Any part of the snapshot cannot be used; nothing of it is.
    pub fn apply_snapshot(&self, snapshot: &Snapshot) -> Result<Self, Refused> {
        version(snapshot.version)?;
        let empty = Self { revoked: self.revoked.clone(), now: self.now, ..Self::default() };
        let mut change = Change::on(empty, self.clone());
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
        let mut change = Change::on(self.clone(), self.clone());
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
    Change::on(Table::default(), Table::default()).apply(advisory, entities, &[])
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
            "limit" => Self::Limit,
            "budget" => Self::Budget,
            "block" => Self::Block,
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
            Value::Limit(_) => Self::Limit,
            Value::Budget(_) => Self::Budget,
            Value::Block(_) => Self::Block,
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
            Self::Limit => "limit",
            Self::Budget => "budget",
            Self::Block => "block",
            Self::Platform => "platform",
        }
    }
}

impl Key {
    fn read(id: &Id, key: routing::Key) -> Result<Self, String> {
        let sources = key
            .sources
            .map(|sources| sources.iter().map(|s| check::source(s)).collect::<Result<_, _>>())
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
            priority: key.priority,
            acts_as: key.acts_as.map(Id::from),
        })
    }
}

#[cfg(test)]
mod tests;
