//! Who may call what, at which price, on which target: pure functions over the routing table.
//!
//! No clock, no randomness, no I/O: time and chance are parameters, so every rule is a unit test.
//! What belongs here is a decision; what waits, connects or logs belongs to `server`.

mod authenticate;
mod authorise;
mod calendar;
mod check;
mod choose;
mod cost;
mod hash;
mod learned;
mod limits;
mod routes;
mod suggest;
mod table;

pub use authenticate::{Unauthenticated, authenticate};
pub use authorise::{Call, Denied, authorise, visible};
pub use calendar::{period_end, period_start, rfc3339};
pub use check::network;
pub use choose::{Candidates, choose};
pub use cost::{Usage, cost};
pub use hash::{KeyHash, MalformedHash};
pub use learned::Learned;
pub use limits::{Ask, Counted, Full, LimitRule, Meter, Moment, Standing, Taken, take_all};
pub use routes::{Endpoint, Routes, Share, Target};
pub use suggest::closest;
pub use table::{Key, Parties, Refused, Rules, Table, examine};

pub use ipnet::IpNet;

/// Id of an entity, shared by everything that names it.
pub type Id = std::sync::Arc<str>;
