//! Traces for OpenTelemetry: a span for each call and one for each of its attempts, sent on by the OTLP
//! protocol. Off unless a setting names a receiver; then a call pays for two comparisons and no more.
//!
//! Nothing here waits for the receiver. A call's spans are written once, as the bytes that are sent, and
//! handed over within a bound of memory; what finds no room, or is not taken, is lost, counted and said.
//! Keys, bodies, users and the addresses of upstreams never get here.

mod attributes;
mod exporter;
mod recording;
mod trace;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

use crate::clock;
use crate::config::Otlp;
use crate::log::{self, Level, Throttle};
use crate::metrics::Metrics;

pub use attributes::Attributes;
pub use exporter::Exporter;
pub use recording::{Ending, Finished, Recording, provider};
pub use trace::Trace;

/// Bytes of one message to the receiver, and of what is waited for before one is sent early: receivers take
/// 4 MiB and more.
const BATCH: usize = 512 << 10;
/// How often it is said that spans are lost.
const SAY_MS: i64 = 60_000;

/// Where calls hand their spans over.
#[derive(Debug, Default)]
pub struct Telemetry {
    /// Absent: nothing is recorded.
    out: Option<Out>,
}

#[derive(Debug)]
struct Out {
    /// Traces that begin here are recorded if half of the last half of their id is below this.
    below: u64,
    most_bytes: usize,
    waiting: Mutex<VecDeque<Finished>>,
    /// Bytes that wait or are being sent.
    held: AtomicUsize,
    changed: Notify,
    closing: AtomicBool,
    /// Callers without a key must not crowd the others out.
    strangers: Throttle,
    said: Mutex<Said>,
}

/// What the log knows of losses.
#[derive(Debug, Default)]
struct Said {
    lost: u64,
    at_ms: Option<i64>,
}

impl Telemetry {
    /// Record as the settings say; no receiver, no record.
    pub fn new(otlp: Option<&Otlp>, memory_bytes: u64) -> Self {
        let out = otlp.map(|otlp| Out {
            below: otlp.sample_below,
            most_bytes: usize::try_from(memory_bytes).unwrap_or(usize::MAX),
            waiting: Mutex::default(),
            held: AtomicUsize::new(0),
            changed: Notify::new(),
            closing: AtomicBool::new(false),
            strangers: Throttle::default(),
            said: Mutex::default(),
        });
        Self { out }
    }

    /// Whether the spans of a call are recorded: as its caller decided, or by chance where it did not.
    pub fn records(&self, parent: Option<Sampled>, trace_id: u128) -> bool {
        let Some(out) = &self.out else { return false };
        match parent {
            Some(sampled) => sampled == Sampled::Yes,
            None => {
                let low = u64::try_from(trace_id & u128::from(u64::MAX)).unwrap_or(u64::MAX);
                low >> 1 < out.below
            }
        }
    }

    /// Whether there is room for one more call of somebody without a key at this moment.
    pub fn takes_stranger(&self, now_ms: i64) -> bool {
        self.out.as_ref().is_some_and(|out| out.strangers.lets_through(now_ms))
    }

    /// Take the spans of a call that has ended, if there is room.
    pub fn hand_over(&self, finished: Finished, metrics: &Metrics) {
        let Some(out) = &self.out else { return };
        let size = finished.bytes.len();
        let add = |held: usize| held.checked_add(size).filter(|held| *held <= out.most_bytes);
        let Ok(before) = out.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add) else {
            metrics.lost_spans.fetch_add(finished.spans, Ordering::Relaxed);
            return;
        };
        out.waiting.lock().unwrap_or_else(PoisonError::into_inner).push_back(finished);
        // Whoever sends them looks when the first has come, and when a message is full.
        if before == 0 || (before < BATCH && before + size >= BATCH) {
            out.changed.notify_one();
        }
    }

    /// Say in the log what was lost since it was last said, not oftener than once in a while.
    pub fn tell(&self, metrics: &Metrics) {
        if let Some(out) = &self.out {
            out.tell(metrics, SAY_MS);
        }
    }

    /// Say what was lost and not yet said.
    pub fn tell_all(&self, metrics: &Metrics) {
        if let Some(out) = &self.out {
            out.tell(metrics, 0);
        }
    }

    /// No more spans will come: what is there is sent at once.
    pub fn close(&self) {
        if let Some(out) = &self.out {
            out.closing.store(true, Ordering::Relaxed);
            out.changed.notify_one();
        }
    }
}

impl Out {
    fn tell(&self, metrics: &Metrics, after_ms: i64) {
        let now_ms = clock::steady_ms();
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let lost = metrics.lost_spans.load(Ordering::Relaxed);
        let due = said.at_ms.is_none_or(|at_ms| now_ms - at_ms >= after_ms);
        if lost > said.lost && due {
            let fields: [(&str, &dyn std::fmt::Display); 2] =
                [("spans", &(lost - said.lost)), ("in_all", &lost)];
            log::event(Level::Warning, "spans.lost", &fields);
            *said = Said { lost, at_ms: Some(now_ms) };
        }
    }

    fn closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    /// What one message has room for, at least one call's; empty when nothing waits.
    fn take(&self) -> Vec<Finished> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = 0;
        let fits = waiting.iter().take_while(|finished| {
            bytes += finished.bytes.len();
            bytes <= BATCH
        });
        let count = fits.count().max(1).min(waiting.len());
        waiting.drain(..count).collect()
    }

    /// So many bytes are sent, or given up.
    fn release(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// What a caller's `traceparent` says of its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampled {
    Yes,
    No,
}
