//! Signals: how busy a gateway is. Losing one costs time, never truth.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What one gateway sees at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Signals {
    pub gateway_id: String,
    pub time_ms: i64,
    /// By endpoint id.
    pub endpoints: BTreeMap<String, EndpointSignal>,
    /// By target id; only targets with something to say.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub targets: BTreeMap<String, TargetSignal>,
    /// Where limits and budgets stand, by id; only those that were used since the last signal.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<String, LimitSignal>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub budgets: BTreeMap<String, BudgetSignal>,
}

/// Load of one endpoint since the last signal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EndpointSignal {
    pub in_flight: u32,
    pub queued: u32,
    /// Requests that ended since the last signal.
    pub ended: u64,
    /// Their mean latency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<f64>,
    /// Somebody waits for a model that is asleep.
    #[serde(default)]
    pub waiting_for_wake: bool,
}

/// State of one target, as this gateway meets it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TargetSignal {
    pub in_flight: u32,
    pub queued: u32,
    /// Calls that its replicas have got since this gateway knows it.
    #[serde(default)]
    pub calls: u64,
    /// For how long its replicas had calls in that time, all calls that ended added up.
    #[serde(default)]
    pub busy_ms: u64,
    /// Tokens of the calls in flight, as they were estimated: their prompts and what keys like theirs
    /// usually get.
    #[serde(default)]
    pub tokens: u64,
    /// By replica id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub replicas: BTreeMap<String, ReplicaSignal>,
    /// Somebody waits for it to be woken.
    #[serde(default)]
    pub waiting_for_wake: bool,
    /// Attempts that it failed since this gateway knows it, whoever answered in the end: no connection, no
    /// answer in time, 5xx, 429, an answer that broke off or cannot be read.
    #[serde(default)]
    pub failed: u64,
    /// Attempts that it answered with another 4xx, and calls that its model's signature or its runtime does not take.
    #[serde(default)]
    pub refused: u64,
    /// Attempts that it answered, by duration (see [`crate::durations`]). Counted for targets that have or are
    /// a candidate.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub took: BTreeMap<u32, u64>,
    /// What copies of calls met at this candidate; absent: there were none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<ShadowSignal>,
}

/// Copies of calls that a candidate got since this gateway knows it. Of its other figures only `in_flight` counts
/// them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ShadowSignal {
    /// Copies that were sent and are over.
    pub calls: u64,
    /// Those of them that failed, by any 4xx as well, or because the candidate's model does not take such calls.
    pub failed: u64,
    /// Answers that were held against the one that the caller got.
    pub compared: u64,
    /// Those of them that differed.
    pub different: u64,
    /// Copies that were not made: too many were under way, or the call was too large.
    pub skipped: u64,
    /// Copies that were answered, by duration, as for the target.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub took: BTreeMap<u32, u64>,
    /// Where answers differed, as JSON paths, by how many did: at most 16, the first that were met.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub paths: BTreeMap<String, u64>,
}

/// State of one replica.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReplicaSignal {
    pub breaker: Breaker,
    pub in_flight: u32,
    /// Moving mean of its latency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<f64>,
    /// Failures in a row.
    pub failures: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error_at_ms: Option<i64>,
    /// Until when it gets no calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ejected_until_ms: Option<i64>,
}

/// Whether a replica gets calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Breaker {
    #[default]
    Closed,
    /// It gets none for a while.
    Open,
    /// It gets one, to see.
    HalfOpen,
}

/// Where one limit stands at this gateway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LimitSignal {
    /// Calls in flight that count towards it.
    pub in_flight: u32,
    /// What could be had at once now, by rate; absent where the limit has no such rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_left: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_left: Option<u64>,
    /// Calls it refused since the last signal.
    pub refused: u64,
}

/// Where one budget stands at this gateway, beyond what the ledger knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BudgetSignal {
    /// Held for calls in flight.
    pub reserved: u64,
    /// Used by records that the ledger does not have yet.
    pub unshipped: u64,
    /// Calls it refused since the last signal.
    pub refused: u64,
}
