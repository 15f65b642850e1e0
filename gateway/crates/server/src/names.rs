//! Names of headers that answers and calls carry: made once, since making one from its text reads it
//! letter by letter.

use http::HeaderName;

pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
pub const ANTHROPIC_REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
pub const ATTEMPTS: HeaderName = HeaderName::from_static("x-towpath-attempts");
pub const TARGET: HeaderName = HeaderName::from_static("x-towpath-target");
pub const COLD_START_MS: HeaderName = HeaderName::from_static("x-towpath-cold-start-ms");
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
pub const ENDPOINT: HeaderName = HeaderName::from_static("x-towpath-endpoint");
pub const TIER: HeaderName = HeaderName::from_static("x-towpath-tier");
pub const CACHE: HeaderName = HeaderName::from_static("x-towpath-cache");
pub const OVERHEAD_US: HeaderName = HeaderName::from_static("x-towpath-overhead-us");
pub const COST_NANO: HeaderName = HeaderName::from_static("x-towpath-cost-nano");
pub const LIMIT: HeaderName = HeaderName::from_static("x-towpath-limit");
pub const BUDGET_WARNING: HeaderName = HeaderName::from_static("x-towpath-budget-warning");
pub const RETRY_AT: HeaderName = HeaderName::from_static("x-towpath-retry-at");
