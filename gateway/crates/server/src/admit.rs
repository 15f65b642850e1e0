//! Third step, `admit`: what a call takes is reserved before it is made and settled when it ends.
//!
//! The process has bounds of its own, on calls in flight and on memory for bodies; `rules` has those of
//! keys, projects, teams and endpoints, `shown` what callers are told of them, `queue` the wait for targets
//! that take so many calls at a time.

pub mod queue;
mod rules;
mod shown;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::errors::{Code, Refusal};
use crate::live::EndpointState;

pub use rules::{Admission, Held, Needs, Used, hold};

// -------------------------------------------------------------------------------------- calls

/// Calls in flight in the whole process.
#[derive(Debug)]
pub struct Calls {
    limit: usize,
    in_flight: AtomicUsize,
}

/// One admitted call. Dropping it is settling it with nothing known.
pub struct Reservation {
    calls: Arc<Calls>,
    endpoint: Arc<EndpointState>,
    started: Instant,
    /// What it holds of limits; absent where none applies.
    pub held: Option<Box<Held>>,
}

impl Calls {
    pub fn new(limit: u64) -> Self {
        Self { limit: usize::try_from(limit).unwrap_or(usize::MAX), in_flight: AtomicUsize::new(0) }
    }

    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }
}

/// Reserve what one call to an endpoint takes.
///
/// # Errors
/// The process is at its limit.
pub fn reserve(calls: &Arc<Calls>, endpoint: &Arc<EndpointState>) -> Result<Reservation, Refusal> {
    if calls.in_flight.fetch_add(1, Ordering::Relaxed) >= calls.limit {
        calls.in_flight.fetch_sub(1, Ordering::Relaxed);
        let detail = format!("This gateway already has {} calls in flight.", calls.limit);
        return Err(Refusal::new(Code::Overloaded, detail));
    }
    endpoint.in_flight.fetch_add(1, Ordering::Relaxed);
    Ok(Reservation {
        calls: Arc::clone(calls),
        endpoint: Arc::clone(endpoint),
        started: Instant::now(),
        held: None,
    })
}

impl Reservation {
    /// Give back what was reserved beyond what was used; the call is over.
    pub fn settle(mut self, used: Used) {
        if let Some(held) = &mut self.held {
            held.used = used;
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.calls.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.endpoint.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.endpoint.ended(self.started.elapsed());
    }
}

// ------------------------------------------------------------------------------------- memory

/// Memory for buffered bodies, of the whole process.
#[derive(Debug)]
pub struct BodyMemory {
    limit: usize,
    used: AtomicUsize,
    freed: Notify,
}

/// A part of the body memory; given back when dropped.
#[derive(Debug)]
pub struct Lease {
    memory: Arc<BodyMemory>,
    bytes: usize,
}

impl BodyMemory {
    pub fn new(limit: u64) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Self { limit, used: AtomicUsize::new(0), freed: Notify::new() }
    }

    /// A lease of nothing, to be grown as bytes arrive.
    pub fn lease(self: &Arc<Self>) -> Lease {
        Lease { memory: Arc::clone(self), bytes: 0 }
    }

    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: usize) -> bool {
        let taken = self.used.fetch_update(Ordering::AcqRel, Ordering::Relaxed, |used| {
            used.checked_add(bytes).filter(|&used| used <= self.limit)
        });
        taken.is_ok()
    }
}

impl Lease {
    /// Grow to so many bytes, waiting until others give theirs back, at most `wait`.
    ///
    /// # Errors
    /// No room came up in time. What was leased before stays leased until the lease is dropped.
    pub async fn grow_to(&mut self, bytes: usize, wait: Duration) -> Result<(), Refusal> {
        let more = bytes.saturating_sub(self.bytes);
        if more == 0 || self.memory.take(more) {
            self.bytes += more;
            return Ok(());
        }
        let deadline = Instant::now() + wait;
        loop {
            let freed = self.memory.freed.notified();
            tokio::pin!(freed);
            // Enrolled before the second look, so that no release between the two is missed.
            freed.as_mut().enable();
            if self.memory.take(more) {
                self.bytes += more;
                return Ok(());
            }
            if tokio::time::timeout_at(deadline, freed).await.is_err() {
                return Err(Refusal::new(
                    Code::Overloaded,
                    "The memory for request bodies is in use, and none became free in time.",
                ));
            }
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.memory.used.fetch_sub(self.bytes, Ordering::AcqRel);
            self.memory.freed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests;
