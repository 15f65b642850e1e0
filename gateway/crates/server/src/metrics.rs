//! Figures for Prometheus, by OpenTelemetry's names where it has some ([`crate::genai`]).
//!
//! Labels have few values: team, endpoint, target and status class; never a key, a user or a request.

mod fleet;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use towpath_policy::{Counted, Id};
use towpath_wire::routing::Operation;

use crate::genai::{figure, operation_name};
use crate::live::Live;

/// Series beyond this many are counted together: memory is bounded whatever the table holds.
const MAX_SERIES: usize = 10_000;

/// From 10 µs, the cost of a request on a quiet machine, to a second.
const OVERHEAD_US: [u64; 14] =
    [10, 20, 40, 60, 100, 150, 250, 500, 1_000, 2_500, 10_000, 50_000, 250_000, 1_000_000];
/// From a cached classifier to a long generation.
const DURATION_US: [u64; 14] = [
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    5_000_000,
    20_000_000,
    60_000_000,
    300_000_000,
];

/// A histogram over fixed bounds, in microseconds.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [u64; 14],
    buckets: [AtomicU64; 15],
    sum_us: AtomicU64,
}

impl Histogram {
    fn new(bounds: &'static [u64; 14]) -> Self {
        Self { bounds, buckets: Default::default(), sum_us: AtomicU64::new(0) }
    }

    pub fn observe_us(&self, us: u64) {
        let index = self.bounds.partition_point(|&bound| bound < us);
        self.buckets[index].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    fn write(&self, out: &mut String, name: &str, labels: &str) {
        let comma = if labels.is_empty() { "" } else { "," };
        let mut total = 0;
        for (index, bucket) in self.buckets.iter().enumerate() {
            total += bucket.load(Ordering::Relaxed);
            let bound = self.bounds.get(index).map_or("+Inf".to_owned(), |&us| seconds(us));
            let _ = writeln!(out, "{name}_bucket{{{labels}{comma}le=\"{bound}\"}} {total}");
        }
        let sum = seconds(self.sum_us.load(Ordering::Relaxed));
        let _ = writeln!(out, "{name}_sum{{{labels}}} {sum}\n{name}_count{{{labels}}} {total}");
    }
}

/// Microseconds as seconds, exactly.
fn seconds(us: u64) -> String {
    let text = format!("{}.{:06}", us / 1_000_000, us % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// What one series is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Labels {
    /// Names; empty where nothing was recognised.
    pub team: Id,
    pub endpoint: Id,
    pub target: Id,
    pub operation: Operation,
    /// First digit of the status; 0 where none was sent.
    pub class: u8,
}

/// Figures of one series.
#[derive(Debug)]
pub struct Series {
    requests: AtomicU64,
    input_tokens: AtomicU64,
    output_tokens: AtomicU64,
    duration: Histogram,
    first_token: Histogram,
}

/// What one request adds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample {
    pub count: u64,
    pub input_tokens: Option<u64>,
    pub output_tokens: Option<u64>,
    pub duration: Option<Duration>,
    /// Until the first event of a stream.
    pub first_token: Option<Duration>,
}

impl Series {
    fn new() -> Self {
        Self {
            requests: AtomicU64::new(0),
            input_tokens: AtomicU64::new(0),
            output_tokens: AtomicU64::new(0),
            duration: Histogram::new(&DURATION_US),
            first_token: Histogram::new(&DURATION_US),
        }
    }

    pub fn add(&self, sample: &Sample) {
        self.requests.fetch_add(sample.count, Ordering::Relaxed);
        self.input_tokens.fetch_add(sample.input_tokens.unwrap_or(0), Ordering::Relaxed);
        self.output_tokens.fetch_add(sample.output_tokens.unwrap_or(0), Ordering::Relaxed);
        if let Some(duration) = sample.duration {
            self.duration.observe_us(crate::clock::us(duration));
        }
        if let Some(first) = sample.first_token {
            self.first_token.observe_us(crate::clock::us(first));
        }
    }
}

/// All figures of the process.
#[derive(Debug)]
pub struct Metrics {
    pub overhead: Histogram,
    series: RwLock<HashMap<Labels, Arc<Series>>>,
    pub connections: AtomicU64,
    pub unrecorded_refusals: AtomicU64,
    pub shipped_records: AtomicU64,
    /// Requests whose bodies were to be logged and were not.
    pub lost_bodies: AtomicU64,
    /// Spans that the receiver of traces took, and those that it did not get.
    pub exported_spans: AtomicU64,
    pub lost_spans: AtomicU64,
    pub table_refusals: AtomicU64,
    pub budget_refusals: AtomicU64,
    /// Calls refused by limits, in the order of [`Counted::ALL`].
    limited: [AtomicU64; 4],
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            overhead: Histogram::new(&OVERHEAD_US),
            series: RwLock::default(),
            connections: AtomicU64::new(0),
            unrecorded_refusals: AtomicU64::new(0),
            shipped_records: AtomicU64::new(0),
            lost_bodies: AtomicU64::new(0),
            exported_spans: AtomicU64::new(0),
            lost_spans: AtomicU64::new(0),
            table_refusals: AtomicU64::new(0),
            budget_refusals: AtomicU64::new(0),
            limited: Default::default(),
        }
    }
}

/// Gauges that other parts keep.
#[derive(Clone, Copy, Debug)]
pub struct Gauges {
    pub in_flight: u64,
    pub body_memory_bytes: u64,
    pub cache_bytes: u64,
    pub access_log_lost: u64,
    pub table_revision: u64,
    pub table_keys: u64,
    pub journal_used_bytes: u64,
    pub journal_max_bytes: u64,
    pub journal_open: u64,
    pub journal_unshipped: u64,
}

impl Metrics {
    /// The series of these labels; keep it, looking it up takes a lock.
    pub fn series(&self, labels: &Labels) -> Arc<Series> {
        let known = self.series.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(series) = known.get(labels) {
            return Arc::clone(series);
        }
        drop(known);
        let mut all = self.series.write().unwrap_or_else(PoisonError::into_inner);
        let labels = if all.len() < MAX_SERIES {
            labels.clone()
        } else {
            let other = Id::from("other");
            let (team, endpoint) = (Id::clone(&other), Id::clone(&other));
            Labels { team, endpoint, target: other, ..labels.clone() }
        };
        Arc::clone(all.entry(labels).or_insert_with(|| Arc::new(Series::new())))
    }

    /// A limit refused a call.
    pub fn limited(&self, counted: Counted) {
        self.limited[counted as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Everything, in Prometheus' text format.
    pub fn render(&self, gauges: &Gauges, live: &Live) -> String {
        let mut out = String::with_capacity(16 << 10);
        head(
            &mut out,
            "towpath_gateway_overhead_seconds",
            "histogram",
            "Time a request spent in the gateway itself.",
        );
        self.overhead.write(&mut out, "towpath_gateway_overhead_seconds", "");
        self.render_series(&mut out);
        let counters = [
            (
                "towpath_gateway_refusals_unrecorded_total",
                "Refusals that found no room in the journal.",
                &self.unrecorded_refusals,
            ),
            (
                "towpath_gateway_budget_refusals_total",
                "Calls that a hard budget refused.",
                &self.budget_refusals,
            ),
            (
                "towpath_gateway_usage_shipped_total",
                "Usage records the control plane acknowledged.",
                &self.shipped_records,
            ),
            (
                "towpath_gateway_bodies_lost_total",
                "Requests whose bodies were to be logged and found no room, or were not taken.",
                &self.lost_bodies,
            ),
            (
                "towpath_gateway_spans_exported_total",
                "Spans that the receiver of traces took.",
                &self.exported_spans,
            ),
            (
                "towpath_gateway_spans_lost_total",
                "Spans that found no room, or that the receiver of traces did not take.",
                &self.lost_spans,
            ),
            (
                "towpath_gateway_tables_refused_total",
                "Routing tables and batches that were refused.",
                &self.table_refusals,
            ),
        ];
        for (name, help, counter) in counters {
            head(&mut out, name, "counter", help);
            let _ = writeln!(out, "{name} {}", counter.load(Ordering::Relaxed));
        }
        let name = "towpath_gateway_limit_refusals_total";
        head(&mut out, name, "counter", "Calls that a limit refused, by what it counts.");
        for (counted, counter) in Counted::ALL.into_iter().zip(&self.limited) {
            let (counted, count) = (counted.words(), counter.load(Ordering::Relaxed));
            let _ = writeln!(out, "{name}{{limit=\"{counted}\"}} {count}");
        }
        let gauges = [
            (
                "towpath_gateway_connections",
                "Open connections of callers.",
                self.connections.load(Ordering::Relaxed),
            ),
            ("towpath_gateway_requests_in_flight", "Calls in flight.", gauges.in_flight),
            (
                "towpath_gateway_body_memory_bytes",
                "Memory in use for buffered bodies.",
                gauges.body_memory_bytes,
            ),
            (
                "towpath_gateway_table_revision",
                "Revision of the routing table in force.",
                gauges.table_revision,
            ),
            (
                "towpath_gateway_access_log_lost_lines",
                "Lines of the access log that found no room, since the start.",
                gauges.access_log_lost,
            ),
            ("towpath_gateway_cache_bytes", "Bytes of kept answers.", gauges.cache_bytes),
            ("towpath_gateway_table_keys", "Keys in the routing table.", gauges.table_keys),
            (
                "towpath_gateway_journal_used_bytes",
                "Bytes of the usage journal in use.",
                gauges.journal_used_bytes,
            ),
            (
                "towpath_gateway_journal_max_bytes",
                "Most bytes the usage journal may use.",
                gauges.journal_max_bytes,
            ),
            (
                "towpath_gateway_journal_open_records",
                "Records of requests in flight.",
                gauges.journal_open,
            ),
            (
                "towpath_gateway_journal_unshipped_records",
                "Records that wait to be shipped.",
                gauges.journal_unshipped,
            ),
        ];
        for (name, help, value) in gauges {
            head(&mut out, name, "gauge", help);
            let _ = writeln!(out, "{name} {value}");
        }
        fleet::render(&mut out, live);
        out
    }

    fn render_series(&self, out: &mut String) {
        let all = self.series.read().unwrap_or_else(PoisonError::into_inner);
        let mut rows: Vec<_> = all.iter().map(|(labels, s)| (labels.text(), labels, s)).collect();
        rows.sort_by(|a, b| a.0.cmp(&b.0));
        head(out, "towpath_gateway_requests_total", "counter", "Requests that ended.");
        for (text, _, series) in &rows {
            let count = series.requests.load(Ordering::Relaxed);
            let _ = writeln!(out, "towpath_gateway_requests_total{{{text}}} {count}");
        }
        let name = figure::TOKEN_USAGE;
        head(out, name, "counter", "Tokens used.");
        for (text, _, series) in &rows {
            for (kind, counter) in
                [("input", &series.input_tokens), ("output", &series.output_tokens)]
            {
                let count = counter.load(Ordering::Relaxed);
                if count > 0 {
                    let of = figure::TOKEN_TYPE;
                    let _ = writeln!(out, "{name}{{{text},{of}=\"{kind}\"}} {count}");
                }
            }
        }
        let name = figure::REQUEST_DURATION;
        head(out, name, "histogram", "Time of whole requests.");
        for (text, _, series) in rows.iter().filter(|row| row.1.class == 2) {
            series.duration.write(out, name, text);
        }
        let name = figure::TIME_TO_FIRST_TOKEN;
        head(out, name, "histogram", "Time until a stream's first event.");
        for (text, _, series) in rows.iter().filter(|row| row.1.class == 2) {
            series.first_token.write(out, name, text);
        }
    }
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

impl Labels {
    fn text(&self) -> String {
        let status = match self.class {
            0 => "none".to_owned(),
            class => format!("{class}xx"),
        };
        format!(
            "team=\"{}\",endpoint=\"{}\",target=\"{}\",{}=\"{}\",status=\"{status}\"",
            escaped(&self.team),
            escaped(&self.endpoint),
            escaped(&self.target),
            figure::OPERATION,
            operation_name(self.operation),
        )
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests;
