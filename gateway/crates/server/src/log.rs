//! The log: one JSON line per event on standard error. Events are `noun.verb_past`; keys, bodies and
//! secrets never get here.

use std::io::Write;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use serde_json::{Map, Value};

use crate::clock;

/// Write one event.
pub fn event(level: Level, name: &str, fields: &[(&str, &dyn std::fmt::Display)]) {
    let mut line = Map::new();
    line.insert("time_ms".into(), clock::now_ms().into());
    line.insert("level".into(), level.as_str().into());
    line.insert("event".into(), name.into());
    for (key, value) in fields {
        let text: String = value.to_string().chars().take(MAX_FIELD).collect();
        line.insert((*key).to_owned(), text.into());
    }
    let mut text = Value::Object(line).to_string();
    text.push('\n');
    // Nobody is left to tell when standard error is gone.
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// Longest value of a field: enough for an upstream's message, too little for a body.
const MAX_FIELD: usize = 500;

#[derive(Clone, Copy, Debug)]
pub enum Level {
    Info,
    Warning,
    Error,
}

impl Level {
    fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// Lets a few events a second through, so that a sick upstream cannot fill the disk with its sickness.
#[derive(Debug, Default)]
pub struct Throttle {
    second: AtomicI64,
    seen: AtomicU64,
}

/// Enough to see what happens, and a bounded megabyte a minute.
const EVENTS_PER_SECOND: u64 = 20;

impl Throttle {
    /// Whether an event of this moment is still within the rate.
    pub fn lets_through(&self, now_ms: i64) -> bool {
        let second = now_ms / 1_000;
        if self.second.swap(second, Ordering::Relaxed) != second {
            self.seen.store(0, Ordering::Relaxed);
        }
        self.seen.fetch_add(1, Ordering::Relaxed) < EVENTS_PER_SECOND
    }
}
