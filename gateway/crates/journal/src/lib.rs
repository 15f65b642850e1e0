//! The durable usage journal: one record per request, in slots of memory-mapped segments.
//!
//! A slot opens before the request is dispatched, is brought up to date in place, and closes before the
//! last byte leaves. Nothing on that path is a system call. After `kill -9` at any instruction a slot is
//! absent, open with consistent content, or closed; open ones are closed as `gateway_lost` at the next start.

mod error;
mod record;

pub use error::{BeginError, OpenError};
pub use record::{Outcome, Progress, RecordHead, TargetPart};
