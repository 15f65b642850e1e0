//! What clients and upstreams speak: read, translate, follow streams, count; no I/O and no vendor names.
//!
//! Everything here is bytes in, bytes out. A body is read once and lazily: what the gateway decides by
//! is found in one pass, the rest stays as the bytes that came.

pub mod answer;
pub mod embeddings;
pub mod errors;
pub mod estimate;
mod json;
pub mod models;
pub mod predict;
pub mod request;
pub mod stream;

pub use answer::{Answer, Usage};
pub use errors::{ErrorBody, FaultCode, UpstreamFault};
pub use estimate::BytesPerToken;
pub use predict::{Served, V2Answer, V2Call};
pub use request::{OpenAiRequest, RequestCode, RequestError, Rewrite};
pub use stream::{End, Fed, StreamMeter, StreamRules, UsageChunk};
