//! When the control plane was last heard of, and which data may no longer be served for it.
//!
//! It survives restarts, so that starting anew makes no table young. By the wall clock, because no other
//! one goes on while the process does not.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};

use towpath_wire::routing::DataClass;

use crate::errors::{Code, Refusal};
use crate::log::{self, Level};

/// How often the moment is written down; what a restart may add to the table's age.
const WRITE_EVERY_MS: i64 = 5_000;

/// The last contact.
#[derive(Debug, Default)]
pub struct Contact {
    /// Absent: the table is a file of somebody's own, which has no age.
    path: Option<PathBuf>,
    /// Milliseconds since the epoch; 0: never.
    at_ms: AtomicI64,
    written_ms: AtomicI64,
}

impl Contact {
    /// Of the table in this folder.
    pub fn of(folder: &Path) -> Self {
        let path = folder.join("contact");
        let at_ms = fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok());
        let at_ms = AtomicI64::new(at_ms.unwrap_or(0));
        Self { path: Some(path), at_ms, written_ms: AtomicI64::new(0) }
    }

    /// The control plane has answered.
    pub fn made(&self, now_ms: i64) {
        self.at_ms.store(now_ms, Ordering::Relaxed);
    }

    /// Whether it has answered since then.
    pub fn heard_since(&self, at_ms: i64) -> bool {
        self.at_ms.load(Ordering::Relaxed) >= at_ms
    }

    /// Write the moment down, now and then. Not on the thread of any request.
    ///
    /// # Errors
    /// The folder cannot be written; the age is right until the process ends.
    pub fn keep(&self) -> io::Result<()> {
        let (at, written) =
            (self.at_ms.load(Ordering::Relaxed), self.written_ms.load(Ordering::Relaxed));
        let Some(path) = self.path.as_ref().filter(|_| at - written >= WRITE_EVERY_MS) else {
            return Ok(());
        };
        self.written_ms.store(at, Ordering::Relaxed);
        let beside = path.with_extension("new");
        fs::write(&beside, at.to_string())?;
        fs::rename(beside, path)
    }

    /// Write the moment down for good: the process ends.
    pub fn close(&self) {
        self.written_ms.store(0, Ordering::Relaxed);
        if let Err(error) = self.keep() {
            log::event(Level::Error, "table.not_stored", &[("cause", &error)]);
        }
    }

    /// How old the table is, in milliseconds without contact.
    pub fn age_ms(&self, now_ms: i64) -> Option<u64> {
        self.path.as_ref()?;
        u64::try_from(now_ms.saturating_sub(self.at_ms.load(Ordering::Relaxed))).ok()
    }

    /// Refuse data of a class for which the table is too old. The strictest rule of the classes up to it
    /// holds: what is too old for internal data is too old for restricted data.
    ///
    /// # Errors
    /// It is too old.
    pub fn serves(
        &self,
        class: DataClass,
        rules: &BTreeMap<DataClass, u64>,
        now_ms: i64,
    ) -> Result<(), Refusal> {
        let most = rules.range(..=class).map(|(_, most)| *most).min();
        let age = most.and_then(|_| self.age_ms(now_ms));
        match (most, age) {
            (Some(most), Some(age)) if age > most => {
                let detail = format!(
                    "The control plane was last heard of {} s ago; such data is served for at most {} s.",
                    age / 1_000,
                    most / 1_000
                );
                Err(Refusal::new(Code::TableStale, detail))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
