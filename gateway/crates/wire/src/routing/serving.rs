//! How an endpoint chooses among its targets, and what it does when one of them fails or sleeps.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is tried when none of an endpoint's targets answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fallback {
    /// Id of a target.
    Target(String),
    /// Id of an endpoint: its targets, then its own fallbacks. What occurs twice is tried once.
    Endpoint(String),
}

/// How calls are spread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Balance {
    /// Among an endpoint's targets.
    pub targets: Spread,
    /// Among one target's replicas; absent: `prefix` for targets that chat or complete, else
    /// `least_outstanding`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<Spread>,
    /// What keeps going to the same target of a weighted choice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sticky: Option<Sticky>,
}

/// A way to choose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Spread {
    /// By chance, in proportion to the weights.
    #[default]
    Weighted,
    /// The one with the fewest calls in flight for its weight.
    LeastOutstanding,
    /// Of two taken by chance, the one with the lower moving peak of latency times calls in flight.
    PeakEwma,
    /// The one that has the longest beginning of the prompt in its cache, unless it is overloaded.
    Prefix,
}

/// What a sticky choice is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sticky {
    Key,
    /// The request's `user`; the key where there is none.
    User,
}

/// How often a call is tried, over all targets and replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Retries {
    /// Attempts of one call, the first one included.
    pub attempts: u32,
    /// Retries that one endpoint may add to its calls, in percent of them, so that a sick upstream gets no
    /// storm.
    pub budget_percent: u32,
    /// Retries per second that are always allowed, so that quiet endpoints can retry at all.
    pub min_per_second: u32,
}

impl Default for Retries {
    /// Attempts: a dead replica, a sick target and a good one. Budget: Envoy's and Finagle's usual 20 %.
    fn default() -> Self {
        Self { attempts: 4, budget_percent: 20, min_per_second: 10 }
    }
}

/// What happens to a stream that breaks after its first byte has left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StreamRecovery {
    /// It ends with an error event.
    #[default]
    None,
    /// The next target is asked to go on from the text already sent.
    Continue,
}

/// Answers kept for exactly equal requests of one project.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CachePolicy {
    pub ttl_ms: u64,
}

/// A choice between models by what is asked, and by whether a cheap answer will do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Tier {
    /// From cheap to strong; at least two, each with an id of one of the endpoint's targets.
    pub levels: Vec<TierLevel>,
    /// The first rule that is true decides; without one, the first level.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<TierRule>,
    /// When the answer of a level below the last is thrown away and the next level asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub escalate_on: Vec<TierCheck>,
}

/// One model of a tiered endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TierLevel {
    pub name: String,
    /// Id of the target.
    pub target: String,
}

/// A CEL expression over the request's facts, and the level it chooses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TierRule {
    pub name: String,
    pub when: String,
    /// Name of the level.
    pub level: String,
}

/// What makes an answer not good enough.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TierCheck {
    /// No text and no tool call.
    Empty,
    /// The model declined, by `refusal` or by its stop reason.
    Refusal,
    /// Not the JSON that `response_format` asked for.
    Schema,
    /// Cut off by the length limit.
    Length,
    /// Mean log-probability of its tokens below this.
    MeanLogprob(f64),
}

/// Calls that wait for room at a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Queue {
    pub max_queued: u32,
    pub max_wait_ms: u32,
}

impl Default for Queue {
    /// Length: a few rounds of the largest batch of an engine. Wait: what a person bears.
    fn default() -> Self {
        Self { max_queued: 200, max_wait_ms: 30_000 }
    }
}

/// What callers of a target meet that has nothing loaded, and can be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ColdStart {
    pub max_wait_ms: u32,
    pub max_queued: u32,
    /// When a waiting stream gets its head and comment lines; 0: never.
    pub progress_after_ms: u32,
    /// How long it took the last times, for `Retry-After`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimate_ms: Option<u32>,
}

impl Default for ColdStart {
    fn default() -> Self {
        Self { max_wait_ms: 60_000, max_queued: 200, progress_after_ms: 10_000, estimate_ms: None }
    }
}

/// What a target hands on to its newer revision. That one is a target of its own, has no candidate itself, and
/// is named by no endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Candidate {
    /// Id of the target.
    pub target: String,
    /// Of the calls that come to this target, so many in a hundred go there instead. What fails there before
    /// its first byte comes back.
    pub percent: u32,
    /// Of the calls that this target answers, so many in a hundred are copied there; nobody sees the answers.
    #[serde(default)]
    pub shadow_percent: u32,
}

/// A question that is asked regularly to learn whether a replica answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Probe {
    /// Path from the root of the server: `/health`, `/v2/health/ready`.
    pub path: String,
    pub interval_ms: u32,
    pub timeout_ms: u32,
}
