//! The last table on disk: a snapshot, the batches after it, and the revocations, so that the gateway
//! starts and serves when control plane and database are both gone.
//!
//! `snapshot.json` is replaced as a whole; `batches.jsonl` and `revocations.jsonl` grow by lines. A torn
//! last line is ignored: what it held is fetched again.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use towpath_wire::routing::{Batch, Revocation, Snapshot};

/// Batches beyond so many bytes are folded into a fresh snapshot, which is asked for: replaying more
/// would make a start slow.
const MAX_BATCHES: u64 = 64 << 20;

/// What cannot be done with the folder.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} `{}`: {source}", path.display())]
pub struct StoreError {
    action: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// The folder of the table.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    batches: Option<File>,
    batch_bytes: u64,
    /// Another gateway writes the table, so that what is on disk is not what this one has.
    behind: bool,
}

/// What was found on disk.
#[derive(Debug, Default)]
pub struct Stored {
    pub snapshot: Option<Snapshot>,
    /// The program that wrote it was another version, and may have left out what this one understands.
    pub other_version: bool,
    pub batches: Vec<Batch>,
    pub revocations: Vec<Revocation>,
    pub revocations_to: u64,
}

#[derive(Serialize, Deserialize)]
struct SnapshotFile {
    gateway_version: String,
    snapshot: Snapshot,
}

#[derive(Serialize, Deserialize)]
struct Revoked {
    to: u64,
    revocations: Vec<Revocation>,
}

impl Store {
    /// Open the folder, making it where it is missing.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let folder = folder.into();
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        made.map_err(|source| failed("make", &folder, source))?;
        Ok(Self { folder, batches: None, batch_bytes: 0, behind: false })
    }

    /// Read everything that is there and readable.
    ///
    /// # Errors
    /// A file is there but cannot be read.
    pub fn load(&mut self) -> Result<Stored, StoreError> {
        let mut stored = Stored::default();
        let path = self.path(SNAPSHOT);
        if let Some(text) = read(&path)?
            && let Ok(file) = serde_json::from_str::<SnapshotFile>(&text)
        {
            stored.other_version = file.gateway_version != VERSION;
            stored.snapshot = Some(file.snapshot);
        }
        if stored.snapshot.is_some() {
            stored.batches = lines(&self.path(BATCHES))?;
        }
        for line in lines::<Revoked>(&self.path(REVOCATIONS))? {
            stored.revocations.extend(line.revocations);
            stored.revocations_to = stored.revocations_to.max(line.to);
        }
        stored.revocations.extend(Self::revoked_here(&self.path(REVOKED_HERE), &mut 0)?);
        self.batch_bytes = fs::metadata(self.path(BATCHES)).map_or(0, |file| file.len());
        Ok(stored)
    }

    /// Put a new snapshot in the place of the former one and its batches.
    ///
    /// # Errors
    /// It cannot be written; the former one is still there.
    pub fn replace(&mut self, snapshot: &Snapshot) -> Result<(), StoreError> {
        let path = self.path(SNAPSHOT);
        let file = SnapshotFile { gateway_version: VERSION.to_owned(), snapshot: snapshot.clone() };
        let text = serde_json::to_vec(&file).map_err(io::Error::from);
        let text = text.map_err(|source| failed("write", &path, source))?;
        // Batches of the former snapshot never fit the new one, so their order of going is free.
        self.batches = None;
        write_whole(&path, &text)?;
        write_whole(&self.path(BATCHES), b"")?;
        self.batch_bytes = 0;
        self.behind = false;
        Ok(())
    }

    /// Add a batch that was applied.
    ///
    /// # Errors
    /// It cannot be written; the table on disk stays at the revision before.
    pub fn append(&mut self, batch: &Batch) -> Result<(), StoreError> {
        if self.behind {
            return Ok(());
        }
        let path = self.path(BATCHES);
        let line = line(batch).map_err(|source| failed("write", &path, source))?;
        let file = match &mut self.batches {
            Some(file) => file,
            none => none.insert(appending(&path).map_err(|e| failed("open", &path, e))?),
        };
        file.write_all(&line).map_err(|source| failed("write", &path, source))?;
        self.batch_bytes += line.len() as u64;
        Ok(())
    }

    /// Keep revocations; on disk for good when this returns.
    ///
    /// # Errors
    /// They cannot be written. They are in force all the same, until the process ends.
    pub fn revoke(&mut self, revocations: &[Revocation], to: u64) -> Result<(), StoreError> {
        let path = self.path(REVOCATIONS);
        let write = || {
            let mut file = appending(&path)?;
            file.write_all(&line(&Revoked { to, revocations: revocations.to_vec() })?)?;
            file.sync_data()
        };
        write().map_err(|source| failed("write", &path, source))
    }

    /// Keep a revocation of this gateway's own; on disk for good when this returns.
    ///
    /// # Errors
    /// It cannot be written, and is not in force.
    pub fn revoke_here(&self, revocation: &Revocation) -> Result<(), StoreError> {
        let path = self.path(REVOKED_HERE);
        let write = || {
            let mut file = appending(&path)?;
            // On a line of its own, whatever a torn one before it held.
            file.write_all(&[b"\n", &*line(revocation)?].concat())?;
            file.sync_data()
        };
        write().map_err(|source| failed("write", &path, source))
    }

    /// Revocations of this gateway's own that came since it was last asked; all of them at first.
    ///
    /// # Errors
    /// The file is there but cannot be read.
    pub fn revoked_here(path: &Path, seen: &mut u64) -> Result<Vec<Revocation>, StoreError> {
        let length = fs::metadata(path).map_or(0, |file| file.len());
        if length == *seen {
            return Ok(Vec::new());
        }
        *seen = length;
        let text = read(path)?.unwrap_or_default();
        // A torn line is skipped: the command that wrote it has not said that it is done.
        Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }

    /// Where revocations of this gateway's own are.
    pub fn revoked_here_path(&self) -> PathBuf {
        self.path(REVOKED_HERE)
    }

    /// Leave the table to another gateway; revocations are kept all the same. What this one has goes to
    /// disk with the next snapshot.
    pub fn leave(&mut self) {
        self.behind = true;
        self.batches = None;
    }

    /// Whether a snapshot is better than further batches: they have grown too long, or do not fit what is
    /// on disk.
    pub fn wants_snapshot(&self) -> bool {
        self.behind || self.batch_bytes > MAX_BATCHES
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

const SNAPSHOT: &str = "snapshot.json";
const BATCHES: &str = "batches.jsonl";
const REVOCATIONS: &str = "revocations.jsonl";
const REVOKED_HERE: &str = "revoked-here.jsonl";
const VERSION: &str = env!("CARGO_PKG_VERSION");

fn failed(action: &'static str, path: &Path, source: io::Error) -> StoreError {
    StoreError { action, path: path.to_owned(), source }
}

fn read(path: &Path) -> Result<Option<String>, StoreError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", path, error)),
    }
}

/// The lines of a file up to the first that is not whole.
fn lines<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Vec<T>, StoreError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed("read", path, error)),
    };
    let mut read = Vec::new();
    for line in BufReader::new(file).lines() {
        let line = line.map_err(|source| failed("read", path, source))?;
        match serde_json::from_str(&line) {
            Ok(value) => read.push(value),
            Err(_) => break,
        }
    }
    Ok(read)
}

/// A line of its own, whatever stands before it: a torn line must not swallow the next.
fn line(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    Ok(line)
}

fn appending(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

/// Write beside, sync, rename: either the former or the new file is there, never half of one.
fn write_whole(path: &Path, content: &[u8]) -> Result<(), StoreError> {
    let beside = path.with_extension("new");
    let write = || {
        let mut file =
            OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&beside)?;
        file.write_all(content)?;
        file.sync_data()?;
        fs::rename(&beside, path)
    };
    write().map_err(|source| failed("write", path, source))
}
