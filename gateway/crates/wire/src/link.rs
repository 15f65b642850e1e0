//! How the documents travel: the gateway asks, over a listener of the link's own.
//!
//! | call | body | answer |
//! |---|---|---|
//! | `POST /link/v1/routing` | [`RoutingPoll`] | [`RoutingReply`], held up to `wait_ms` while there is nothing new |
//! | `POST /link/v1/usage` | [`UsageBatch`] | [`UsageAck`] |
//! | `POST /link/v1/signals` | `Signals` | 204 |
//! | `POST /link/v1/bodies` | [`BodyBatch`] | 204 |
//!
//! Every call carries `Authorization: Bearer <link credential>`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::budget::BudgetState;
use crate::routing::{Batch, Revocation, Snapshot};
use crate::usage::UsageRecord;

/// Most records in one [`UsageBatch`]: what the ledger takes in one transaction.
pub const MAX_USAGE_BATCH: usize = 1_000;

/// "I have applied `after`; what comes next?"
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RoutingPoll {
    pub gateway_id: String,
    /// Version of the gateway program.
    pub gateway_version: String,
    /// Highest revision in force here; this acknowledges it. 0: none, send a snapshot.
    pub after: u64,
    /// Highest [`RoutingReply::budgets_to`] that is in force here; 0: send all.
    #[serde(default)]
    pub budgets_after: u64,
    /// How many revocations (`revocations_to` of the last reply) are in force here.
    pub revocations_after: u64,
    /// A table that was refused, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refusal>,
    /// Longest time to hold the answer back.
    pub wait_ms: u32,
}

/// A table the gateway would not take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Refusal {
    pub revision: u64,
    pub reason: String,
}

/// What is new. All parts empty: nothing was, within `wait_ms`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RoutingReply {
    /// Lane of their own: applied before anything else is looked at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revocations: Vec<Revocation>,
    pub revocations_to: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<Snapshot>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<Batch>,
    /// Budgets whose use changed since the gateway last heard of them, by other gateways too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<BudgetState>,
    /// Position after these budgets.
    #[serde(default)]
    pub budgets_to: u64,
    /// Gateways that are connected, this one included: each keeps to its part of every limit, so that
    /// one limit is one limit. 0: not said.
    #[serde(default)]
    pub gateways: u32,
}

/// Closed records in rising order of sequence, at most [`MAX_USAGE_BATCH`].
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct UsageBatch {
    pub gateway_id: String,
    pub records: Vec<UsageRecord>,
}

/// Everything up to this sequence is stored for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UsageAck {
    pub acknowledged: u64,
    /// The budgets that the batch counted towards, as of the batch. The gateway keeps them before it
    /// forgets the records.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<BudgetState>,
}

/// Most bodies in one [`BodyBatch`].
pub const MAX_BODY_BATCH: usize = 64;

/// Bodies of requests and answers of projects that log them. They are kept in memory alone until they
/// are shipped: a crash loses some, and so does a control plane that is away for long.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct BodyBatch {
    pub gateway_id: String,
    /// Requests since the last batch whose bodies were not kept, for want of memory.
    #[serde(default)]
    pub lost: u64,
    pub bodies: Vec<LoggedBodies>,
}

/// What one request sent and was answered, redacted. Headers are never part of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LoggedBodies {
    /// Id of the usage record.
    pub request_id: String,
    pub time_ms: i64,
    /// Id of the project.
    pub project: String,
    pub request: LoggedBody,
    /// HTTP status of the answer.
    pub status: u16,
    pub response: LoggedBody,
}

/// One body, as far as it was kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LoggedBody {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// Its text; bytes that are no UTF-8 are replaced.
    pub text: String,
    /// Size of the whole body as it was sent.
    pub bytes: u64,
    /// Whether `text` ends before the body did.
    #[serde(default)]
    pub truncated: bool,
}
