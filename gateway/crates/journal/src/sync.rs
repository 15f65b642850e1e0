//! The thread that does what may block: syncing to disk, making segments ahead of need, removing
//! segments that nothing is in.

use std::fs::{self, File};
use std::io;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::error::BeginError;
use crate::journal::{Inner, lock};
use crate::segment::Segment;

/// How often a failed attempt to grow is repeated and an empty segment removed.
const UPKEEP: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
struct Asked {
    stop: bool,
    spare: bool,
    sync: bool,
}

/// How others wake the thread.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    asked: Mutex<Asked>,
    changed: Condvar,
}

impl Signal {
    pub(crate) fn ask_for_spare(&self) {
        self.ask(|asked| !std::mem::replace(&mut asked.spare, true));
    }

    pub(crate) fn ask_for_sync(&self) {
        self.ask(|asked| !std::mem::replace(&mut asked.sync, true));
    }

    fn ask(&self, change: impl FnOnce(&mut Asked) -> bool) {
        if change(&mut lock(&self.asked)) {
            self.changed.notify_one();
        }
    }

    /// Wait until somebody asks or the time is over; `true` to stop.
    fn wait(&self, longest: Duration) -> bool {
        let idle = |asked: &mut Asked| !(asked.stop || asked.spare || asked.sync);
        let waited = self.changed.wait_timeout_while(lock(&self.asked), longest, idle);
        let (mut asked, _) = waited.unwrap_or_else(std::sync::PoisonError::into_inner);
        (asked.spare, asked.sync) = (false, false);
        asked.stop
    }
}

/// The running thread; dropping it stops it and syncs a last time.
#[derive(Debug)]
pub(crate) struct Worker {
    inner: Arc<Inner>,
    thread: Option<JoinHandle<()>>,
}

pub(crate) fn start(inner: &Arc<Inner>) -> io::Result<Worker> {
    pass(inner);
    let shared = Arc::clone(inner);
    let thread = thread::Builder::new().name("journal".to_owned()).spawn(move || run(&shared))?;
    Ok(Worker { inner: Arc::clone(inner), thread: Some(thread) })
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.inner.signal.ask(|asked| !std::mem::replace(&mut asked.stop, true));
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported by its own hook.
            let _ = thread.join();
        }
        pass(&self.inner);
        self.inner.release_reserved();
        pass(&self.inner);
    }
}

fn run(inner: &Inner) {
    let interval = match inner.config.sync_ms {
        0 => UPKEEP,
        interval => Duration::from_millis(interval).min(UPKEEP),
    };
    let mut upkeep = Instant::now();
    while !inner.signal.wait(interval) {
        if lock(&inner.allocator).blocked.is_none() {
            make_spare(inner);
        }
        inner.reserve_ahead();
        pass(inner);
        if upkeep.elapsed() >= UPKEEP {
            upkeep = Instant::now();
            keep_up(inner);
        }
    }
}

/// What need not be done at once: try again after a full disk, give back a segment that is empty.
pub(crate) fn keep_up(inner: &Inner) {
    make_spare(inner);
    let empty = lock(&inner.allocator).slots.shrink();
    remove(empty);
}

/// Make a segment ahead of need, outside of the lock that requests need.
fn make_spare(inner: &Inner) {
    let number = {
        let mut growth = lock(&inner.allocator);
        if !inner.wants_spare(&growth) {
            return;
        }
        growth.take_number()
    };
    let created = inner.create(number);
    let late = lock(&inner.allocator).take_in(created);
    remove(late);
}

fn remove(segment: Option<Arc<Segment>>) {
    if let Some(segment) = segment {
        // It holds nothing; one that stays is found empty at the next start.
        let _ = fs::remove_file(&segment.path);
    }
}

/// Write to disk what was written until now, and tell those who wait for it.
pub(crate) fn pass(inner: &Inner) {
    let syncing = lock(&inner.syncing);
    let through = inner.last_sequence();
    match sync_all(inner) {
        Ok(()) => inner.synced.store(through, Ordering::Release),
        Err(error) => inner.fail(&error),
    }
    drop(syncing);
    let done = {
        let mut waiters = lock(&inner.waiters);
        // After a failure nobody's wait can end well.
        let through = if inner.sound().is_ok() { through } else { u64::MAX - 1 };
        let later = waiters.split_off(&(through + 1));
        std::mem::replace(&mut *waiters, later)
    };
    done.into_values().for_each(Waker::wake);
}

fn sync_all(inner: &Inner) -> io::Result<()> {
    let state = lock(&inner.state).take_dirty();
    if let Some(file) = state {
        file.sync_data()?;
    }
    let segments = lock(&inner.allocator).slots.segments();
    let mut fresh = false;
    for segment in segments {
        fresh |= segment.sync()?;
    }
    if fresh {
        File::open(&inner.config.dir)?.sync_all()?;
    }
    Ok(())
}

/// Waits until a record is as durable as the configuration promises.
#[derive(Debug)]
pub struct Durable {
    inner: Arc<Inner>,
    sequence: u64,
}

impl Durable {
    pub(crate) fn new(inner: Arc<Inner>, sequence: u64) -> Self {
        Self { inner, sequence }
    }

    fn ready(&self) -> Option<Result<(), BeginError>> {
        let inner = &self.inner;
        if inner.config.sync_ms > 0 || inner.synced.load(Ordering::Acquire) >= self.sequence {
            return Some(Ok(()));
        }
        inner.sound().err().map(Err)
    }
}

impl Future for Durable {
    type Output = Result<(), BeginError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(ready) = self.ready() {
            return Poll::Ready(ready);
        }
        let mut waiters = lock(&self.inner.waiters);
        // The sync may have ended just before the lock was ours, and would not wake us again.
        if let Some(ready) = self.ready() {
            return Poll::Ready(ready);
        }
        waiters.insert(self.sequence, context.waker().clone());
        Poll::Pending
    }
}
