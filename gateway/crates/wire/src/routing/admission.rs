//! What is counted before a call is made: limits, budgets, and who goes first where targets are full.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a limit or budget counts: calls that match every part that is given. One or two parts are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Subject {
    /// Id of the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Id of the project whose key calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Id of the team whose key calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// Id of the endpoint that is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
}

/// A rate: in any window of length t at most `burst + limit · t` are let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rate {
    /// Per second or per minute, as the field that holds it says.
    pub limit: u64,
    /// Absent: 0.1 s worth of a rate per second, 5 s worth of one per minute; at least 1 either way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<u64>,
}

/// How much a subject may ask for. At least one of the four is given; each holds by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Limit {
    pub subject: Subject,
    /// The subject in words, for refusals: `project customer-care/triage`.
    pub label: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_second: Option<Rate>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<Rate>,
    /// Input and output together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_minute: Option<Rate>,
    /// Calls in flight, those that wait in a queue included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
}

/// How much a subject may use in a period. Exactly one of `tokens` and `cost_nano` is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Budget {
    pub subject: Subject,
    /// The subject in words, for refusals and warnings.
    pub label: String,
    /// Input and output together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// Nano-units of the organisation's currency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_nano: Option<u64>,
    pub period: Period,
    pub mode: BudgetMode,
    /// A soft budget warns from this share of it, in percent.
    #[serde(default = "warn_percent")]
    pub warn_percent: u8,
}

fn warn_percent() -> u8 {
    80
}

/// A calendar period in UTC. A request belongs to the period in which it came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    Day,
    /// From Monday.
    Week,
    Month,
}

/// What happens when a budget is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BudgetMode {
    /// Callers are told, and served.
    Soft,
    /// Calls are refused until the next period.
    Hard,
}

/// Who goes first where calls wait for a target.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Work that nobody waits for.
    Batch,
    #[default]
    Default,
    /// Somebody looks at the screen.
    Interactive,
}
