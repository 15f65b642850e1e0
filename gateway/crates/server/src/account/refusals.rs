//! Refusals: the first few of a kind in each second have a row of their own, the rest share one, so
//! that a client in a loop cannot fill the journal.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};

use towpath_journal::Journal;
use towpath_wire::usage::UsageRecord;

use crate::errors::Code;
use crate::metrics::Metrics;

/// Rows of their own per second of one key, endpoint and code.
const OWN_ROWS: u64 = 10;
/// Kinds told apart; beyond it endpoints are no longer told apart, so that memory stays bounded.
const MAX_KINDS: usize = 4_096;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Kind {
    key: Option<String>,
    endpoint: Option<String>,
    code: Option<String>,
}

#[derive(Debug)]
struct Window {
    second: i64,
    seen: u64,
    merged: Option<UsageRecord>,
}

/// The refusals of the last second, by kind.
#[derive(Debug, Default)]
pub struct Refusals(Mutex<HashMap<Kind, Window>>);

impl Refusals {
    /// Record a refusal, on its own or merged with others of its kind and second.
    pub fn book(&self, journal: &Journal, metrics: &Metrics, record: UsageRecord) {
        let second = record.time_ms / 1_000;
        let mut kind = Kind {
            key: record.key_id.clone(),
            endpoint: record.endpoint.clone(),
            code: record.error_code.clone(),
        };
        if kind.code.as_deref() == Some(Code::ModelNotFound.code()) {
            // A name that leads nowhere is no endpoint; a client may invent any number of them.
            kind.endpoint = None;
        }
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kinds.len() >= MAX_KINDS && !kinds.contains_key(&kind) {
            kind.endpoint = None;
        }
        let window = kinds.entry(kind).or_insert(Window { second, seen: 0, merged: None });
        let mut due = None;
        if window.second < second {
            due = window.merged.take();
            (window.second, window.seen) = (second, 0);
        }
        window.seen += 1;
        let own = if window.seen <= OWN_ROWS {
            Some(record)
        } else {
            match &mut window.merged {
                Some(merged) => merged.count += 1,
                None => window.merged = Some(record),
            }
            None
        };
        drop(kinds);
        for record in due.iter().chain(&own) {
            append(journal, metrics, record);
        }
    }

    /// Record what was merged in seconds before this one, and forget those kinds.
    pub fn flush(&self, journal: &Journal, metrics: &Metrics, now_ms: i64) {
        let second = now_ms / 1_000;
        let mut due = Vec::new();
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kinds.retain(|_, window| {
            if window.second < second {
                due.extend(window.merged.take());
            }
            window.second >= second
        });
        drop(kinds);
        for record in &due {
            append(journal, metrics, record);
        }
    }
}

fn append(journal: &Journal, metrics: &Metrics, record: &UsageRecord) {
    if journal.append(record).is_err() {
        metrics.unrecorded_refusals.fetch_add(record.count, Ordering::Relaxed);
    }
}
