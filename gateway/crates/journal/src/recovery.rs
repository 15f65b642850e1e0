//! What happens at a start: find the segments, free what was acknowledged, close what was left open.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::hash::{BuildHasher, RandomState};
use std::io::{
    self,
    ErrorKind::{QuotaExceeded, StorageFull},
};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use towpath_wire::usage::{Ended, UsageRecord};

use crate::allocate::Allocator;
use crate::error::OpenError;
use crate::journal::{Config, FolderLock, Inner, Recovered, Start, lock};
use crate::layout::{
    self, Found, HEADER_BYTES, Header, HeaderError, MAX_GATEWAY_ID, STRIDES, Target,
};
use crate::record::{Outcome, Progress};
use crate::segment::{self, Place, Segment};
use crate::shipping::Closed;
use crate::slot;
use crate::state::{BLOCK, StateFile};

/// Smallest segment: the header and a few slots of the largest size.
const MIN_SEGMENT_BYTES: u64 = 64 << 10;
/// Largest segment: offsets of slots are kept in 32 bits.
const MAX_SEGMENT_BYTES: u64 = 1 << 30;

pub(crate) fn open(config: Config, gateway_id: &str) -> Result<Inner, OpenError> {
    check(&config, gateway_id)?;
    let dir = config.dir.clone();
    let io = |action| {
        let path = dir.clone();
        move |source| OpenError::Io { action, path, source }
    };
    DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(io("create"))?;
    let lock_file = take_lock(&dir)?;
    let (state, numbers) = StateFile::open(&dir).map_err(io("open the state of"))?;
    let acknowledged = numbers.unwrap_or_default().acknowledged;

    let mut found = Finds::default();
    let paths = segment::list(&dir).map_err(io("read"))?;
    for path in &paths {
        found.add(path, gateway_id, acknowledged)?;
    }
    let highest = found.closed.iter().map(|closed| closed.sequence).max().unwrap_or(0);
    // Without its state, what was given out before is only known from what is still here.
    let reserved =
        numbers.map_or(if paths.is_empty() { 0 } else { highest + BLOCK }, |n| n.reserved);
    let next = reserved.max(highest).max(acknowledged) + 1;
    found.closed.sort_by_key(|closed| closed.sequence);
    found.recovered.closed = found.closed.len() as u64;
    found.recovered.lost = found.open.len() as u64;

    let inner = Inner::new(Start {
        config,
        gateway_id: gateway_id.to_owned(),
        lock: lock_file,
        state,
        slots: found.slots,
        next_number: found.last_number + 1,
        next,
        closed: found.closed,
        recovered: found.recovered,
    });
    inner.reserve_ahead();
    close_lost(&inner, found.open);
    first_segment(&inner)?;
    Ok(inner)
}

fn check(config: &Config, gateway_id: &str) -> Result<(), OpenError> {
    let setting = |setting, message| Err(OpenError::Setting { setting, message });
    if !(MIN_SEGMENT_BYTES..=MAX_SEGMENT_BYTES).contains(&config.segment_bytes) {
        let message = format!("must be from {MIN_SEGMENT_BYTES} to {MAX_SEGMENT_BYTES}");
        return setting("journal_segment_bytes", message);
    }
    if config.max_bytes < config.segment_bytes {
        let message = format!("must be at least one segment, {} bytes", config.segment_bytes);
        return setting("journal_max_bytes", message);
    }
    if gateway_id.is_empty() || gateway_id.len() > MAX_GATEWAY_ID {
        return setting("gateway_id", format!("must have 1 to {MAX_GATEWAY_ID} bytes"));
    }
    Ok(())
}

/// Make sure that no other process uses the folder, for as long as the file is open.
fn take_lock(dir: &Path) -> Result<FolderLock, OpenError> {
    let path = dir.join("lock");
    let failed = |source| OpenError::Io { action: "lock", path: path.clone(), source };
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(FolderLock(file)),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(dir.to_owned())),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

#[derive(Default)]
struct Finds {
    slots: Allocator,
    last_number: u64,
    closed: Vec<Closed>,
    open: Vec<(Box<UsageRecord>, Target, Place)>,
    recovered: Recovered,
}

impl Finds {
    fn add(&mut self, path: &Path, gateway_id: &str, acknowledged: u64) -> Result<(), OpenError> {
        let failed = |source| OpenError::Io { action: "open", path: path.to_owned(), source };
        let header = match read_header(path).map_err(failed)? {
            Ok(header) => header,
            Err(HeaderError::Other(found)) => {
                let (path, known) = (path.to_owned(), layout::VERSION);
                return Err(OpenError::Other { path, found, known });
            }
            Err(HeaderError::Blank) => return fs::remove_file(path).map_err(failed),
            Err(HeaderError::Damaged) => {
                self.recovered.damaged_segments += 1;
                return fs::rename(path, path.with_extension("damaged")).map_err(failed);
            }
        };
        if header.gateway_id != gateway_id {
            let (found, own) = (header.gateway_id, gateway_id.to_owned());
            return Err(OpenError::Foreign { path: path.to_owned(), found, own });
        }
        self.last_number = self.last_number.max(header.number);
        let Some(group) = STRIDES.iter().position(|stride| Some(*stride) == header.stride) else {
            // Made ahead of need and never used.
            return fs::remove_file(path).map_err(failed);
        };
        let segment = Segment::open(path, header.salt).map_err(failed)?;
        let segment = Arc::new(segment);
        let bytes = segment.bytes();
        let index = self.slots.insert(segment, group);
        for offset in layout::slots(bytes, STRIDES[group]) {
            if let Some(place) = self.slots.claim(index, offset) {
                self.sort_in(place, acknowledged);
            }
        }
        Ok(())
    }

    fn sort_in(&mut self, place: Place, acknowledged: u64) {
        match layout::read(place.bytes(), place.seed(), acknowledged) {
            Found::Open(record, target) => self.open.push((record, target, place)),
            Found::Closed(record) => {
                self.closed.push(Closed { sequence: record.sequence, place });
            }
            found => {
                self.recovered.torn += u64::from(matches!(found, Found::Torn));
                self.slots.release(place);
            }
        }
    }
}

fn read_header(path: &Path) -> io::Result<Result<Header, HeaderError>> {
    let mut page = Vec::with_capacity(HEADER_BYTES);
    io::Read::read_to_end(&mut io::Read::take(File::open(path)?, HEADER_BYTES as u64), &mut page)?;
    Ok(Header::decode(&page))
}

/// Close what was open when the last user of the journal died, oldest first.
fn close_lost(inner: &Inner, mut open: Vec<(Box<UsageRecord>, Target, Place)>) {
    open.sort_by(|(a, ..), (b, ..)| (a.time_ms, &a.id).cmp(&(b.time_ms, &b.id)));
    inner.open.fetch_add(open.len() as u64, Ordering::Relaxed);
    for (record, target, mut place) in open {
        if target == Target::Torn {
            slot::forget_target(&place);
        }
        slot::write_outcome(&mut place, &Outcome::new(Ended::GatewayLost, Progress::of(&record)));
        inner.publish(place);
    }
}

/// See to it that the first record finds a place. A full disk is left to the retries.
fn first_segment(inner: &Inner) -> Result<(), OpenError> {
    let mut growth = lock(&inner.allocator);
    if growth.slots.has_free(0) || !inner.can_grow(&growth) {
        return Ok(());
    }
    let created = inner.create(growth.take_number());
    match created {
        Err(source) if !matches!(source.kind(), StorageFull | QuotaExceeded) => {
            let path = inner.config.dir.clone();
            Err(OpenError::Io { action: "create a segment in", path, source })
        }
        created => {
            growth.take_in(created);
            Ok(())
        }
    }
}

/// A number nobody can foresee, for the salt of checksums.
pub(crate) fn random() -> u32 {
    RandomState::new().hash_one(0) as u32
}
