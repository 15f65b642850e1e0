//! The journal: what its users call, and what all its parts share.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use towpath_wire::usage::UsageRecord;

use crate::allocate::Allocator;
use crate::error::{BeginError, OpenError};
use crate::layout::{self, Found, Header, MAX_RECORD_BYTES};
use crate::record::{Outcome, RecordHead, TargetPart};
use crate::segment::{Place, Segment};
use crate::shipping::{Closed, Queue};
use crate::slot::{self, Slot};
use crate::state::{BLOCK, Numbers, StateFile};
use crate::sync::{Durable, Signal, Worker};
use crate::{recovery, sync};

/// Where the journal lies and how large it may become.
#[derive(Clone, Debug)]
pub struct Config {
    pub dir: PathBuf,
    /// Most bytes of all segments together.
    pub max_bytes: u64,
    /// Bytes of one segment: the step in which the journal grows, kept in memory while in use.
    pub segment_bytes: u64,
    /// Longest time between two syncs to disk; 0: a record is on disk before [`Durable`] says so.
    pub sync_ms: u64,
}

impl Config {
    /// A journal in `dir` with the defaults: 512 MiB in segments of 4 MiB, synced every 50 ms.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), max_bytes: 512 << 20, segment_bytes: 4 << 20, sync_ms: 50 }
    }
}

/// How the journal is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Why no record can be begun now; `None`: one can.
    pub unready: Option<BeginError>,
    /// Bytes of slots in use.
    pub used_bytes: u64,
    /// Bytes of segments on disk.
    pub allocated_bytes: u64,
    pub max_bytes: u64,
    /// Records begun and not closed.
    pub open: u64,
    /// Records closed and not acknowledged.
    pub unshipped: u64,
    /// Sequence of the last record closed.
    pub last_sequence: u64,
    pub acknowledged: u64,
    pub recovered: Recovered,
}

/// What the start found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Records found open and closed as `gateway_lost`.
    pub lost: u64,
    /// Records found closed and not acknowledged.
    pub closed: u64,
    /// Slots found torn, as power loss leaves them; their content is gone.
    pub torn: u64,
    /// Segments found unreadable as a whole and set aside as `*.damaged`.
    pub damaged_segments: u64,
}

/// The durable usage journal. Clones are handles to the same one; the last dropped syncs it.
#[derive(Clone, Debug)]
pub struct Journal {
    inner: Arc<Inner>,
    _worker: Arc<Worker>,
}

/// What slots, callers and the sync thread share. Locks are taken in the order of the fields.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) config: Config,
    gateway_id: String,
    /// Records handed out for shipping and not acknowledged yet; one shipper at a time.
    staged: Mutex<VecDeque<Closed>>,
    pub(crate) closing: Mutex<Closing>,
    pub(crate) state: Mutex<StateFile>,
    pub(crate) allocator: Mutex<Growth>,
    pub(crate) signal: Signal,
    /// Held during a sync, so that none reports what another is still writing.
    pub(crate) syncing: Mutex<()>,
    pub(crate) waiters: Mutex<BTreeMap<u64, Waker>>,
    pub(crate) open: AtomicU64,
    unshipped: AtomicU64,
    pub(crate) synced: AtomicU64,
    /// A sync failed: the disk cannot be trusted until a restart.
    pub(crate) failed: AtomicBool,
    pub(crate) failure: Mutex<String>,
    recovered: Recovered,
    _lock: FolderLock,
}

/// Held for as long as the journal is in use.
#[derive(Debug)]
pub(crate) struct FolderLock(pub(crate) File);

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Closing would do, but for a process that was just forked and has the file open until its `exec`.
        let _ = self.0.unlock();
    }
}

/// Where sequences come from.
#[derive(Debug)]
pub(crate) struct Closing {
    next: u64,
    reserved: u64,
    queue: Queue,
}

/// The segments, and whether there can be more.
#[derive(Debug)]
pub(crate) struct Growth {
    pub(crate) slots: Allocator,
    next_number: u64,
    /// Why the last attempt to make a segment failed.
    pub(crate) blocked: Option<String>,
}

/// A lock's content, whether or not a thread panicked while it held it: all updates are single steps.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Growth {
    /// The number of the next segment to be made.
    pub(crate) fn take_number(&mut self) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        number
    }

    /// Keep a new segment as the spare, or remember why there is none. Returns one that came too late.
    pub(crate) fn take_in(&mut self, created: io::Result<Segment>) -> Option<Arc<Segment>> {
        match created {
            Ok(segment) => {
                self.blocked = None;
                self.slots.set_spare(Arc::new(segment))
            }
            Err(error) => {
                self.blocked = Some(error.to_string());
                None
            }
        }
    }
}

impl Journal {
    /// Open the journal of the gateway `gateway_id`, making it where there is none. Records that were
    /// open when its last user died are closed as `gateway_lost`.
    ///
    /// A disk too full for the first segment is no error: the journal is then not ready, and retries.
    ///
    /// # Errors
    /// A setting is out of range, the folder is another gateway's, in use, of a newer format, or cannot
    /// be read and written.
    pub fn open(config: Config, gateway_id: &str) -> Result<Self, OpenError> {
        let inner = Arc::new(recovery::open(config, gateway_id)?);
        let worker = sync::start(&inner).map_err(|source| OpenError::Io {
            action: "start the sync thread of",
            path: inner.config.dir.clone(),
            source,
        })?;
        Ok(Self { inner, _worker: Arc::new(worker) })
    }

    /// Begin a record, before its request is dispatched.
    ///
    /// # Errors
    /// There is no place for it, or it is too large.
    pub fn begin(&self, head: &RecordHead<'_>) -> Result<Slot, BeginError> {
        let bytes = slot::bytes_needed(head);
        let Some(group) = Allocator::group_for(bytes) else {
            return Err(BeginError::TooLarge { bytes, max: MAX_RECORD_BYTES });
        };
        let mut place = self.inner.acquire(group)?;
        slot::write_head(&mut place, head);
        self.inner.open.fetch_add(1, Ordering::Relaxed);
        Ok(Slot::new(Arc::clone(&self.inner), place))
    }

    /// Write a record that is complete already: refusals. Schema, gateway and sequence are set here.
    ///
    /// # Errors
    /// As [`Journal::begin`].
    pub fn append(&self, record: &UsageRecord) -> Result<u64, BeginError> {
        let labels: Vec<(&str, &str)> =
            record.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let mut slot = self.begin(&RecordHead::of(record, &labels))?;
        slot.target(&TargetPart::of(record));
        Ok(slot.close(&Outcome::of(record)))
    }

    /// Wait until the record is as durable as the configuration promises: with `sync_ms` 0 on disk,
    /// otherwise at once.
    #[must_use]
    pub fn durable(&self, sequence: u64) -> Durable {
        Durable::new(Arc::clone(&self.inner), sequence)
    }

    /// The oldest unacknowledged records in rising sequence, at most `max`: those that are on disk, so
    /// that no power loss can change what was shipped. Without an acknowledgement they come again.
    #[must_use]
    pub fn next_batch(&self, max: usize) -> Vec<UsageRecord> {
        let inner = &self.inner;
        let mut staged = lock(&inner.staged);
        let through = inner.shippable();
        if staged.len() < max {
            let mut closing = lock(&inner.closing);
            while staged.len() < max
                && let Some(closed) = closing.queue.pop(through)
            {
                staged.push_back(closed);
            }
        }
        let read =
            |closed: &Closed| match layout::read(closed.place.bytes(), closed.place.seed(), 0) {
                Found::Closed(record) => {
                    Some(UsageRecord { gateway_id: inner.gateway_id.clone(), ..*record })
                }
                _ => None,
            };
        staged.iter().take(max).filter_map(read).collect()
    }

    /// Look at every record that is closed and not acknowledged, in rising sequence, those of calls that a
    /// crash cut off included. For the start, before anything is shipped: closing waits meanwhile.
    pub fn unacknowledged(&self, mut look: impl FnMut(&UsageRecord)) {
        let inner = &self.inner;
        let staged = lock(&inner.staged);
        let closing = lock(&inner.closing);
        for closed in staged.iter().chain(closing.queue.iter()) {
            if let Found::Closed(record) =
                layout::read(closed.place.bytes(), closed.place.seed(), 0)
            {
                look(&record);
            }
        }
    }

    /// Note that every record up to `sequence` is stored by the control plane; their slots are free.
    pub fn acknowledge(&self, sequence: u64) {
        let inner = &self.inner;
        let mut staged = lock(&inner.staged);
        let through = sequence.min(inner.last_sequence());
        let mut done = Vec::new();
        while staged.front().is_some_and(|closed| closed.sequence <= through) {
            done.extend(staged.pop_front());
        }
        if staged.is_empty() {
            let mut closing = lock(&inner.closing);
            while let Some(closed) = closing.queue.pop(through) {
                done.push(closed);
            }
        }
        inner.note_acknowledged(through);
        inner.unshipped.fetch_sub(done.len() as u64, Ordering::Relaxed);
        let mut growth = lock(&inner.allocator);
        for closed in done {
            growth.slots.release(closed.place);
        }
    }

    /// Highest sequence that [`Journal::next_batch`] may return now.
    #[must_use]
    pub fn shippable(&self) -> u64 {
        self.inner.shippable()
    }

    /// Write everything to disk now. Blocks.
    ///
    /// # Errors
    /// The disk does not take it.
    pub fn flush(&self) -> Result<(), BeginError> {
        sync::pass(&self.inner);
        self.inner.sound()
    }

    /// How it is doing; cheap enough for every readiness probe.
    #[must_use]
    pub fn status(&self) -> Status {
        let inner = &self.inner;
        let (last_sequence, acknowledged) =
            (inner.last_sequence(), lock(&inner.state).numbers().acknowledged);
        let growth = lock(&inner.allocator);
        let allocated_bytes = growth.slots.bytes();
        let room = growth.slots.has_free(0) || inner.can_grow(&growth);
        Status {
            unready: inner.sound().err().or_else(|| (!room).then(|| inner.no_room(&growth))),
            used_bytes: growth.slots.used_bytes,
            allocated_bytes,
            max_bytes: inner.config.max_bytes,
            open: inner.open.load(Ordering::Relaxed),
            unshipped: inner.unshipped.load(Ordering::Relaxed),
            last_sequence,
            acknowledged,
            recovered: inner.recovered,
        }
    }
}

impl Inner {
    /// A free slot of this group; the journal grows by a segment if it must.
    fn acquire(&self, group: usize) -> Result<Place, BeginError> {
        self.sound()?;
        let mut growth = lock(&self.allocator);
        let mut place = growth.slots.take(group);
        if place.is_none() && self.can_grow(&growth) {
            // The spare was not ready in time: a burst of thousands of requests, or a slow disk.
            let created = self.create(growth.take_number());
            growth.take_in(created);
            place = growth.slots.take(group);
        }
        let place = place.or_else(|| growth.slots.take_any(group));
        if growth.blocked.is_none() && self.wants_spare(&growth) {
            self.signal.ask_for_spare();
        }
        place.ok_or_else(|| self.no_room(&growth))
    }

    /// Whether another segment should be made ahead of need.
    pub(crate) fn wants_spare(&self, growth: &Growth) -> bool {
        growth.slots.wants_spare(self.config.segment_bytes) && self.is_below_max(growth)
    }

    /// Whether another segment is allowed, and the last attempt to make one did not fail.
    pub(crate) fn can_grow(&self, growth: &Growth) -> bool {
        growth.blocked.is_none() && self.is_below_max(growth)
    }

    fn is_below_max(&self, growth: &Growth) -> bool {
        growth.slots.bytes() + self.config.segment_bytes <= self.config.max_bytes
    }

    /// Make a segment's file.
    pub(crate) fn create(&self, number: u64) -> io::Result<Segment> {
        let header = Header {
            number,
            salt: recovery::random(),
            gateway_id: self.gateway_id.clone(),
            stride: None,
        };
        Segment::create(&self.config.dir, self.config.segment_bytes, &header)
    }

    /// Give a slot whose outcome is written its sequence, and queue it.
    pub(crate) fn publish(&self, place: Place) -> u64 {
        let mut closing = lock(&self.closing);
        let sequence = closing.next;
        if sequence > closing.reserved {
            self.reserve(&mut closing);
        }
        closing.next += 1;
        slot::seal(&place, sequence);
        closing.queue.push(Closed { sequence, place });
        self.unshipped.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_sub(1, Ordering::Relaxed);
        drop(closing);
        if self.config.sync_ms == 0 {
            self.signal.ask_for_sync();
        }
        sequence
    }

    /// Set more sequences aside, if less than half a block is left.
    pub(crate) fn reserve_ahead(&self) {
        let mut closing = lock(&self.closing);
        if closing.reserved < closing.next + BLOCK / 2 {
            self.reserve(&mut closing);
        }
    }

    fn reserve(&self, closing: &mut Closing) {
        let reserved = closing.next + BLOCK;
        let mut state = lock(&self.state);
        let numbers = Numbers { reserved, ..state.numbers() };
        match state.write(numbers) {
            Ok(()) => closing.reserved = reserved,
            Err(error) => self.fail(&error),
        }
    }

    /// Leave no gap behind: the next start goes on where this one ended.
    pub(crate) fn release_reserved(&self) {
        let mut closing = lock(&self.closing);
        closing.reserved = closing.next - 1;
        let mut state = lock(&self.state);
        let numbers = Numbers { reserved: closing.reserved, ..state.numbers() };
        // A failure leaves the gap, which is allowed.
        let _ = state.write(numbers);
    }

    fn note_acknowledged(&self, through: u64) {
        let mut state = lock(&self.state);
        let numbers = state.numbers();
        if through > numbers.acknowledged
            && let Err(error) = state.write(Numbers { acknowledged: through, ..numbers })
        {
            // Shipped again after a restart, which the control plane takes as the same records.
            self.fail(&error);
        }
    }

    pub(crate) fn last_sequence(&self) -> u64 {
        lock(&self.closing).next - 1
    }

    fn shippable(&self) -> u64 {
        // What cannot be made durable here is better off with the control plane.
        if self.failed.load(Ordering::Relaxed) {
            self.last_sequence()
        } else {
            self.synced.load(Ordering::Acquire)
        }
    }

    pub(crate) fn fail(&self, error: &io::Error) {
        *lock(&self.failure) = error.to_string();
        self.failed.store(true, Ordering::Release);
    }

    pub(crate) fn sound(&self) -> Result<(), BeginError> {
        if self.failed.load(Ordering::Acquire) {
            return Err(BeginError::Failed { reason: lock(&self.failure).clone() });
        }
        Ok(())
    }

    fn no_room(&self, growth: &Growth) -> BeginError {
        match &growth.blocked {
            Some(reason) => BeginError::NoSpace { reason: reason.clone() },
            None => BeginError::Full {
                unshipped: self.unshipped.load(Ordering::Relaxed),
                open: self.open.load(Ordering::Relaxed),
                max_bytes: self.config.max_bytes,
            },
        }
    }
}

/// What recovery found, for [`Inner::new`].
pub(crate) struct Start {
    pub(crate) config: Config,
    pub(crate) gateway_id: String,
    pub(crate) lock: FolderLock,
    pub(crate) state: StateFile,
    pub(crate) slots: Allocator,
    pub(crate) next_number: u64,
    /// First sequence to give out.
    pub(crate) next: u64,
    /// In rising sequence.
    pub(crate) closed: Vec<Closed>,
    pub(crate) recovered: Recovered,
}

impl Inner {
    pub(crate) fn new(start: Start) -> Self {
        let unshipped = start.closed.len() as u64;
        let mut queue = Queue::default();
        for closed in start.closed {
            queue.push(closed);
        }
        Self {
            config: start.config,
            gateway_id: start.gateway_id,
            staged: Mutex::default(),
            closing: Mutex::new(Closing { next: start.next, reserved: 0, queue }),
            state: Mutex::new(start.state),
            allocator: Mutex::new(Growth {
                slots: start.slots,
                next_number: start.next_number,
                blocked: None,
            }),
            signal: Signal::default(),
            syncing: Mutex::default(),
            waiters: Mutex::default(),
            open: AtomicU64::new(0),
            unshipped: AtomicU64::new(unshipped),
            synced: AtomicU64::new(0),
            failed: AtomicBool::new(false),
            failure: Mutex::default(),
            recovered: start.recovered,
            _lock: start.lock,
        }
    }
}

#[cfg(test)]
mod tests;
