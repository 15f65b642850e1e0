//! Two numbers that outlive the segments: what was acknowledged, and which sequences may be in use.
//!
//! They are kept twice, the older copy is the one overwritten, and a checksum tells a torn copy.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use crate::layout::{UNIT, u32_at, u64_at};

const NAME: &str = "state";
const MAGIC: u64 = u64::from_le_bytes(*b"TOWPATHS");
const COPY_BYTES: usize = 36;
/// How many sequences are set aside at a time. A start after a crash skips what was left of them; large
/// enough to be extended once in half a second at 60,000 requests per second.
pub(crate) const BLOCK: u64 = 1 << 16;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Numbers {
    /// Every record up to this sequence is stored by the control plane.
    pub(crate) acknowledged: u64,
    /// No sequence above this one was ever given out.
    pub(crate) reserved: u64,
}

#[derive(Debug)]
pub(crate) struct StateFile {
    file: Arc<File>,
    /// Written since it was last handed out to be synced.
    dirty: bool,
    generation: u64,
    numbers: Numbers,
}

impl StateFile {
    /// Open the file, or make it. `None` in place of the numbers: there were none, or both copies are torn.
    pub(crate) fn open(dir: &Path) -> io::Result<(Self, Option<Numbers>)> {
        let path = dir.join(NAME);
        if !path.try_exists()? {
            let unfinished = dir.join(format!("{NAME}.unfinished"));
            fs::write(&unfinished, [0; 3 * UNIT])?;
            fs::rename(&unfinished, &path)?;
        }
        let file = OpenOptions::new().read(true).write(true).mode(0o600).open(path)?;
        let mut bytes = [0; 3 * UNIT];
        let mut filled = 0;
        while filled < bytes.len() {
            match file.read_at(&mut bytes[filled..], filled as u64)? {
                0 => break,
                read => filled += read,
            }
        }
        let latest = decode(&bytes);
        let (generation, numbers) = latest.unwrap_or_default();
        Ok((
            Self { file: Arc::new(file), dirty: true, generation, numbers },
            latest.map(|(_, numbers)| numbers),
        ))
    }

    pub(crate) fn numbers(&self) -> Numbers {
        self.numbers
    }

    /// Replace the numbers. They survive the process at once and a power loss once the file was synced.
    pub(crate) fn write(&mut self, numbers: Numbers) -> io::Result<()> {
        let generation = self.generation + 1;
        self.file.write_all_at(&encode(generation, numbers), copy_at(generation) as u64)?;
        (self.generation, self.numbers, self.dirty) = (generation, numbers, true);
        Ok(())
    }

    /// The file, if there is something to sync; the caller syncs it without holding up others.
    pub(crate) fn take_dirty(&mut self) -> Option<Arc<File>> {
        std::mem::take(&mut self.dirty).then(|| Arc::clone(&self.file))
    }
}

/// A sector of its own for each copy.
fn copy_at(generation: u64) -> usize {
    UNIT * (1 + (generation % 2) as usize)
}

fn encode(generation: u64, numbers: Numbers) -> [u8; COPY_BYTES] {
    let mut copy = [0; COPY_BYTES];
    copy[..8].copy_from_slice(&MAGIC.to_le_bytes());
    copy[8..16].copy_from_slice(&generation.to_le_bytes());
    copy[16..24].copy_from_slice(&numbers.acknowledged.to_le_bytes());
    copy[24..32].copy_from_slice(&numbers.reserved.to_le_bytes());
    let crc = crc32fast::hash(&copy[..32]);
    copy[32..].copy_from_slice(&crc.to_le_bytes());
    copy
}

fn decode(bytes: &[u8]) -> Option<(u64, Numbers)> {
    (0..2)
        .filter_map(|parity| {
            let copy = bytes.get(copy_at(parity)..)?.get(..COPY_BYTES)?;
            let sound =
                u64_at(copy, 0) == MAGIC && u32_at(copy, 32) == crc32fast::hash(&copy[..32]);
            let numbers = Numbers { acknowledged: u64_at(copy, 16), reserved: u64_at(copy, 24) };
            sound.then(|| (u64_at(copy, 8), numbers))
        })
        .max_by_key(|(generation, _)| *generation)
}

#[cfg(test)]
mod tests;
