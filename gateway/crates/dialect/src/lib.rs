//! What clients and upstreams speak: read, translate, follow streams, count; no I/O and no vendor names.
//!
//! Everything here is bytes in, bytes out. A body is read once and lazily: what the gateway decides by
//! is found in one pass, the rest stays as the bytes that came.

pub mod answer;
mod call;
mod chat;
pub mod embeddings;
pub mod errors;
pub mod estimate;
mod follow;
mod json;
pub mod kserve;
mod messages;
mod middle;
pub mod models;
mod multipart;
mod object;
pub mod predict;
pub mod protobuf;
pub mod quirks;
mod recovery;
pub mod remote;
pub mod request;
mod rerank;
mod responses;
pub mod stream;
mod told;
mod transcription;
mod translation;
mod typed;

pub use answer::{Answer, Usage};
pub use call::{Answered, Receiver, Reply, Request, Sent};
pub use errors::{ErrorBody, FaultCode, UpstreamFault};
pub use estimate::BytesPerToken;
pub use follow::Follower;
pub use messages::MessagesRequest;
pub use middle::Stamp;
pub use predict::{Served, V2Answer, V2Call};
pub use quirks::{Quirk, Quirks};
pub use recovery::Begun;
pub use remote::{Inline, Remote};
pub use request::{OpenAiRequest, RequestCode, RequestError, Rewrite};
pub use rerank::RerankRequest;
pub use responses::ResponsesRequest;
pub use stream::{End, Fed, StreamMeter, StreamRules, UsageChunk};
pub use told::Told;
pub use transcription::TranscriptionRequest;
