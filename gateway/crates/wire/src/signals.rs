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
