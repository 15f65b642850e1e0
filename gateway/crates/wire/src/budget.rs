//! Budget state: what the ledger knows of each budget, and up to which record of each gateway.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Use of one budget in one period. A gateway adds only records of its own that are later than `as_of`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BudgetState {
    /// Id of the budget.
    pub budget: String,
    /// Start of the period, milliseconds since the epoch.
    pub period_start_ms: i64,
    /// Tokens or nano-units of money, as the budget counts.
    pub used: u64,
    /// Highest sequence of each gateway that `used` contains.
    pub as_of: BTreeMap<String, u64>,
}
