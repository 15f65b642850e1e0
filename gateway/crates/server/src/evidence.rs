//! What is counted of a target's attempts, so that a newer revision can be judged beside the one in force. Nothing
//! here takes a lock on a call's way, and what most targets never need is made when it is needed first.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use towpath_wire::durations::{BUCKETS, bucket};

/// Failures of a candidate in a row that are said at once.
pub const ALARM: u32 = 5;

/// A target's part in a rollout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Part {
    #[default]
    None,
    /// It has a candidate.
    Stable,
    /// It is one.
    Candidate,
}

/// How an attempt ended, as far as its target is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Met {
    Answered,
    /// No connection, no answer in time, 5xx, 429, an answer that broke off or cannot be read.
    Failed,
    /// Another 4xx: the request is at fault, or the target takes it for that.
    Refused,
    /// It says nothing of the target.
    Nothing,
}

/// Attempts at one target, since it is known.
#[derive(Debug, Default)]
pub struct Evidence {
    failed: AtomicU64,
    refused: AtomicU64,
    /// Failures since the last answer.
    in_a_row: AtomicU32,
    took: Durations,
}

impl Evidence {
    /// Count an attempt that took so long; returns whether it is the one that makes its failures an alarm.
    pub fn count(&self, part: Part, met: Met, took_us: u64) -> bool {
        match met {
            Met::Answered if part == Part::None => {}
            Met::Answered => {
                self.took.count(took_us);
                self.in_a_row.store(0, Ordering::Relaxed);
            }
            Met::Failed => {
                self.failed.fetch_add(1, Ordering::Relaxed);
                return self.in_a_row.fetch_add(1, Ordering::Relaxed) + 1 == ALARM;
            }
            Met::Refused => {
                self.refused.fetch_add(1, Ordering::Relaxed);
            }
            Met::Nothing => {}
        }
        false
    }

    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Attempts that were answered, by bucket.
    pub fn took(&self) -> BTreeMap<u32, u64> {
        self.took.counted()
    }
}

/// Counts of durations by bucket: some 8 KB once there is one.
#[derive(Debug, Default)]
pub struct Durations {
    buckets: OnceLock<Box<[AtomicU64]>>,
}

impl Durations {
    pub fn count(&self, us: u64) {
        let buckets =
            self.buckets.get_or_init(|| (0..BUCKETS).map(|_| AtomicU64::new(0)).collect());
        if let Some(count) = buckets.get(bucket(us) as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Those that have any.
    pub fn counted(&self) -> BTreeMap<u32, u64> {
        let all = (0..).zip(self.buckets.get().into_iter().flatten());
        let counts = all.map(|(bucket, count)| (bucket, count.load(Ordering::Relaxed)));
        counts.filter(|(_, count)| *count > 0).collect()
    }
}
