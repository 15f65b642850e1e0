//! Who may call what, at which price, on which target: pure functions over the routing table.
//!
//! No clock, no randomness, no I/O: time and chance are parameters, so every rule is a unit test.
//! What belongs here is a decision; what waits, connects or logs belongs to `server`.

mod authenticate;
mod authorise;
mod balance;
mod blocks;
mod budgets;
mod calendar;
mod check;
mod choose;
mod cost;
mod gpu;
mod hash;
mod health;
mod learned;
mod limits;
mod mix;
mod prefix;
mod queue;
mod redact;
mod retry;
mod routes;
mod suggest;
mod table;
mod tier;

pub use authenticate::{Unauthenticated, authenticate};
pub use authorise::{Call, Denied, authorise, visible};
pub use balance::{Load, PeakEwma, drawn, pick, rendezvous, sticky_key};
pub use blocks::{Blocks, Met};
pub use budgets::{BudgetRule, BudgetStanding, Claim, Exhausted, Grant};
pub use calendar::{period_end, period_start, rfc3339};
pub use check::network;
pub use choose::{Candidates, Chosen, Condition, Course, choose};
pub use cost::{Dearest, Usage, cost, gpu_cost};
pub use gpu::{GpuClock, OnGpu};
pub use hash::{KeyHash, MalformedHash};
pub use health::{Change, Health, HealthRules};
pub use learned::Learned;
pub use limits::{Ask, Counted, Full, LimitRule, Meter, Moment, Standing, Taken, take_all};
pub use prefix::{Marks, Prefixes, Seat, replica_tag, within_bound};
pub use queue::{Asker, Entered, FairQueue};
pub use redact::Redactor;
pub use retry::RetryBudget;
pub use routes::{Endpoint, Routes, Share, Target};
pub use suggest::closest;
pub use table::{Key, Parties, Refused, Rules, Table, examine};
pub use tier::{Decision, Facts, Tiers};

pub use ipnet::IpNet;

/// Id of an entity, shared by everything that names it.
pub type Id = std::sync::Arc<str>;

/// Hashing of what callers cannot choose: what they can, as names of models that do not exist, goes
/// into no map that uses it.
pub type FastHash = foldhash::fast::RandomState;

/// Entities by their ids.
pub type IdMap<V> = std::collections::HashMap<Id, V, FastHash>;

/// The same, shared between one table and the next.
pub(crate) type SharedMap<K, V> = rpds::HashTrieMapSync<K, V, FastHash>;
