//! Where in the data folder a gateway keeps what is its own: a journal and an id.
//!
//! ```text
//! id, journal/           the first slot
//! slots/N/journal/       further ones, for a gateway that starts beside another; its id ends in `-N`
//! slot                   the number of the slot that the next start takes
//! table/, budgets.jsonl  shared: written by the gateway that accepts
//! ```
//!
//! The journal's lock says that a slot is in use. What a gateway that died left in its journal is shipped by
//! the one that accepts (`link::leftovers`).

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use towpath_journal::{Journal, OpenError};

use crate::config::Limits;
use crate::{clock, ids};

const FIRST: u32 = 1;
/// Most gateways on one folder: one that accepts, and those that still answer what they had before.
const MOST: u32 = 16;

/// The slots of a data folder.
#[derive(Debug)]
pub struct Place {
    data: PathBuf,
    /// Of the first slot; those of the others begin with it.
    id: String,
    limits: Limits,
    slot: u32,
}

impl Place {
    /// Find the slot that is to be used, making the folder's id at the first start.
    ///
    /// # Errors
    /// The folder cannot be read or written.
    pub fn at(data: &Path, limits: &Limits) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(data)?;
        let id = identity(data)?;
        let noted = read(&data.join(SLOT))?.and_then(|text| text.trim().parse().ok());
        let slot = noted.filter(|slot| (FIRST..=MOST).contains(slot)).unwrap_or(FIRST);
        Ok(Self { data: data.to_owned(), id, limits: limits.clone(), slot })
    }

    /// Open the journal of the slot; of another one that is free, where this gateway starts beside others.
    ///
    /// # Errors
    /// As [`Journal::open`]; all of them are in use.
    pub fn open(&mut self, beside: bool) -> Result<Journal, OpenError> {
        if !beside {
            return self.journal(self.slot);
        }
        let current = self.slot;
        let mut taken = OpenError::InUse(self.folder(current));
        for slot in (FIRST..=MOST).filter(|slot| *slot != current) {
            self.slot = slot;
            match self.journal(slot) {
                Err(error @ OpenError::InUse(_)) => taken = error,
                found => return found,
            }
        }
        Err(taken)
    }

    /// Let the next start take this gateway's slot.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn make_current(&self) -> io::Result<()> {
        write_whole(&self.data.join(SLOT), self.slot.to_string().as_bytes())
    }

    /// The id of the gateway in this slot.
    pub fn gateway_id(&self) -> String {
        self.id_of(self.slot)
    }

    /// Slots beside this gateway's in which one has been.
    pub fn others(&self) -> impl Iterator<Item = u32> {
        (FIRST..=MOST).filter(|slot| *slot != self.slot && self.folder(*slot).is_dir())
    }

    /// Open what a gateway left in a slot; nothing where one is.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn leftovers(&self, slot: u32) -> Result<Option<(String, Journal)>, OpenError> {
        match self.journal(slot) {
            Ok(journal) => Ok(Some((self.id_of(slot), journal))),
            Err(OpenError::InUse(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn journal(&self, slot: u32) -> Result<Journal, OpenError> {
        let config = towpath_journal::Config {
            max_bytes: self.limits.journal_max_bytes,
            segment_bytes: self.limits.journal_segment_bytes,
            sync_ms: self.limits.journal_sync_ms,
            ..towpath_journal::Config::new(self.folder(slot))
        };
        Journal::open(config, &self.id_of(slot))
    }

    fn folder(&self, slot: u32) -> PathBuf {
        match slot {
            FIRST => self.data.join("journal"),
            further => self.data.join("slots").join(further.to_string()).join("journal"),
        }
    }

    fn id_of(&self, slot: u32) -> String {
        if slot == FIRST { self.id.clone() } else { format!("{}-{slot}", self.id) }
    }
}

const SLOT: &str = "slot";

/// The folder's id: made at its first start, and kept with the journals.
fn identity(data: &Path) -> io::Result<String> {
    let path = data.join("id");
    match read(&path)? {
        Some(id) if !id.trim().is_empty() => return Ok(id.trim().to_owned()),
        _ => {}
    }
    let id = ids::new("gw", clock::now_ms(), fastrand::u128(..));
    write_whole(&path, id.as_bytes())?;
    Ok(id)
}

fn read(path: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Write beside, sync, rename: either the former or the new content is there.
fn write_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file =
        OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&beside)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&beside, path)
}
