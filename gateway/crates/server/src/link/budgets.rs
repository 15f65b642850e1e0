//! What the control plane's ledger says of budgets, kept in the gateway's folder: together with the records
//! that the journal still holds it is all that was used, whatever dies.
//!
//! `budgets.jsonl` grows by a line per answer and is written anew at every start and when it has grown large.
//! A torn last line is ignored: the records it would have spoken for are still in the journal.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use towpath_journal::Journal;
use towpath_policy::{BudgetRule, Parties, Table};
use towpath_wire::budget::BudgetState;
use towpath_wire::usage::UsageRecord;

use crate::log::{self, Level};

/// Size from which the file is written anew.
const MAX_BYTES: u64 = 8 << 20;

/// The states last heard, one per budget, in memory and on disk.
#[derive(Debug)]
pub struct Budgets {
    gateway_id: String,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    file: Option<File>,
    bytes: u64,
    known: BTreeMap<String, BudgetState>,
}

impl Budgets {
    /// Read what is known from the folder.
    ///
    /// # Errors
    /// The file is there but cannot be read.
    pub fn open(path: PathBuf, gateway_id: &str) -> io::Result<Self> {
        let mut known = BTreeMap::new();
        match File::open(&path) {
            Ok(file) => {
                for line in BufReader::new(file).lines() {
                    let Ok(states) = serde_json::from_str::<Vec<BudgetState>>(&line?) else {
                        break;
                    };
                    for state in states {
                        keep(&mut known, state, gateway_id);
                    }
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        // Written anew at the first word from the control plane.
        let inner = Inner { path, file: None, bytes: u64::MAX, known };
        Ok(Self { gateway_id: gateway_id.to_owned(), inner: Mutex::new(inner) })
    }

    /// Bring a table's ledgers to where they stood: the control plane's word, and the journal's records
    /// after it. For the start, before anything is served or shipped.
    pub fn restore(&self, table: &Table, journal: &Journal) {
        if table.budgets().next().is_none() {
            return;
        }
        self.teach(table.budgets());
        journal.unacknowledged(|record| {
            let (Some(key), Some(project), Some(endpoint)) =
                (&record.key_id, &record.project, &record.endpoint_id)
            else {
                return;
            };
            let team = record.team.as_deref();
            let parties = Parties { key, project, team, endpoint };
            for rule in table.rules(parties).flat_map(|rules| &rules.budgets) {
                rule.recover(record.time_ms, record.sequence, amount(rule, record));
            }
        });
    }

    /// Tell the ledgers of budgets what the control plane last said of them.
    pub fn teach<'t>(&self, rules: impl Iterator<Item = &'t BudgetRule>) {
        let inner = self.lock();
        for rule in rules {
            if let Some(state) = inner.known.get(&*rule.id) {
                rule.learn(state, &self.gateway_id);
            }
        }
    }

    /// Take in what the control plane says: onto the disk first, then into the ledgers.
    ///
    /// # Arguments
    /// `kept`: the file is this gateway's to write.
    pub fn hear(&self, table: &Table, states: &[BudgetState], kept: bool) {
        if states.is_empty() {
            return;
        }
        let mut inner = self.lock();
        for state in states {
            keep(&mut inner.known, state.clone(), &self.gateway_id);
        }
        if kept && let Err(error) = inner.write(states) {
            // Heard again from the control plane; until then the records count as not shipped.
            log::event(Level::Error, "budgets.not_stored", &[("cause", &error)]);
        }
        for state in states {
            if let Some(rule) = table.budget(&state.budget) {
                rule.learn(state, &self.gateway_id);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn write(&mut self, states: &[BudgetState]) -> io::Result<()> {
        if self.bytes > MAX_BYTES {
            let all: Vec<_> = self.known.values().collect();
            let line = line(&all)?;
            self.file = Some(write_whole(&self.path, &line)?);
            self.bytes = line.len() as u64;
            return Ok(());
        }
        let line = line(&states)?;
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                let mut options = OpenOptions::new();
                options.create(true).append(true).mode(0o600);
                none.insert(options.open(&self.path)?)
            }
        };
        file.write_all(&line)?;
        file.sync_data()?;
        self.bytes += line.len() as u64;
        Ok(())
    }
}

/// Keep the later of two states of one budget: of a later period, or as of a later record.
fn keep(known: &mut BTreeMap<String, BudgetState>, state: BudgetState, gateway_id: &str) {
    let rank = |state: &BudgetState| {
        (state.period_start_ms, state.as_of.get(gateway_id).copied().unwrap_or(0), state.used)
    };
    if known.get(&state.budget).is_none_or(|former| rank(former) <= rank(&state)) {
        known.insert(state.budget.clone(), state);
    }
}

/// What a record adds to a budget.
fn amount(rule: &BudgetRule, record: &UsageRecord) -> u64 {
    if rule.is_money() {
        return record.cost_nano.unwrap_or(0);
    }
    record.input_tokens.unwrap_or(0).saturating_add(record.output_tokens.unwrap_or(0))
}

fn line(states: &impl serde::Serialize) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(states)?;
    line.push(b'\n');
    Ok(line)
}

/// Write beside, sync, rename; returns the file, to go on with.
fn write_whole(path: &Path, content: &[u8]) -> io::Result<File> {
    let beside = path.with_extension("new");
    let mut file =
        OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&beside)?;
    file.write_all(content)?;
    file.sync_data()?;
    fs::rename(&beside, path)?;
    Ok(file)
}
