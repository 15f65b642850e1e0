//! The four documents in which the two planes meet, and nothing else: no I/O, no clock, no policy.
//!
//! Routing table and budget state go down to the gateway, usage records and signals come up from it.
//! The JSON Schemas in `contracts/` are generated from these types (`make gen`); the control plane is
//! tested against them and never mirrors a structure by hand.

pub mod budget;
pub mod durations;
pub mod link;
pub mod routing;
pub mod signals;
pub mod usage;

/// Environments a project works in; a key belongs to exactly one.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Environment {
    Sandbox,
    Staging,
    Production,
}

impl Environment {
    /// The word used in keys, the API and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sandbox => "sandbox",
            Self::Staging => "staging",
            Self::Production => "production",
        }
    }
}
