//! The durable usage journal: one record per request, in slots of memory-mapped segments.
//!
//! A slot opens before the request is dispatched, is brought up to date in place, and closes before the
//! last byte leaves. Nothing on that path is a system call. After `kill -9` at any instruction a slot is
//! absent, open with consistent content, or closed; open ones are closed as `gateway_lost` at the next start.
//!
//! Closed records are shipped in the order of their sequences, once they are on disk. A slot is used
//! again after its record was acknowledged.

mod allocate;
mod codec;
mod codes;
mod error;
mod journal;
mod layout;
mod record;
mod recovery;
mod segment;
mod shipping;
mod slot;
mod state;
mod sync;

pub use error::{BeginError, OpenError};
pub use journal::{Config, Journal, Recovered, Status};
pub use layout::{MAX_RECORD_BYTES, Scan, VERSION as FORMAT, scan};
pub use record::{Outcome, Progress, RecordHead, TargetPart};
pub use slot::{ABANDONED, Slot};
pub use sync::Durable;
