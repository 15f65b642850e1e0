//! Copies of calls for a candidate: sent in the background once the stable target answers, compared with what the
//! caller got, and thrown away.
//!
//! Nothing here is waited for by a call. A copy has no record, no budget and no part in the candidate's health; it
//! counts as one of its calls in flight, so that it is scaled as if they were real.

mod compare;
mod send;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use tokio::sync::oneshot;
use tokio::task::spawn_local;
use towpath_policy::drawn;
use towpath_wire::routing::{Operation, Priority};
use towpath_wire::signals::ShadowSignal;

use crate::account::Account;
use crate::evidence::Durations;
use crate::live::ReadyTarget;
use crate::relay::{Job, salt};
use crate::shared::Shared;

use compare::{Of, compare};
use send::{Copied, Failed};

/// Copies of a gateway that are under way at a time: a few for each core, whatever the candidates do.
const MAX_IN_FLIGHT: u32 = 64;
/// And of one candidate, so that one that hangs leaves room for others.
const MAX_AT_TARGET: u32 = 16;
/// Largest request that is copied.
const MAX_REQUEST: usize = 1 << 20;
/// Largest answer that is compared; of longer ones no more is kept.
const MAX_ANSWER: usize = 256 << 10;
/// Bytes of all requests and answers that are kept for copies.
const MAX_BYTES: usize = 48 << 20;
/// Places that are remembered of one candidate.
const MAX_PATHS: usize = 16;

/// All copies of the process that are under way.
#[derive(Debug, Default)]
pub struct Shadows {
    in_flight: AtomicU32,
    bytes: AtomicUsize,
}

/// What copies met at one candidate, since it is known.
#[derive(Debug, Default)]
pub struct Tally {
    in_flight: AtomicU32,
    calls: AtomicU64,
    failed: AtomicU64,
    compared: AtomicU64,
    different: AtomicU64,
    skipped: AtomicU64,
    took: Durations,
    paths: Mutex<BTreeMap<String, u64>>,
}

impl Tally {
    pub fn signal(&self) -> ShadowSignal {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ShadowSignal {
            calls: count(&self.calls),
            failed: count(&self.failed),
            compared: count(&self.compared),
            different: count(&self.different),
            skipped: count(&self.skipped),
            took: self.took.counted(),
            paths: self.paths.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    fn compared(&self, paths: Vec<String>) {
        self.compared.fetch_add(1, Ordering::Relaxed);
        if paths.is_empty() {
            return;
        }
        self.different.fetch_add(1, Ordering::Relaxed);
        let mut known = self.paths.lock().unwrap_or_else(PoisonError::into_inner);
        for path in paths {
            if known.len() < MAX_PATHS || known.contains_key(&path) {
                *known.entry(path).or_default() += 1;
            }
        }
    }
}

/// Room for one copy, given back when dropped.
struct Seat {
    shared: Arc<Shared>,
    candidate: Arc<ReadyTarget>,
    bytes: usize,
}

impl Seat {
    fn take(shared: &Arc<Shared>, candidate: &Arc<ReadyTarget>, bytes: usize) -> Option<Self> {
        let bytes = bytes + 2 * MAX_ANSWER;
        let (all, tally) = (&shared.shadows, candidate.state.shadow());
        let seat = Self { shared: Arc::clone(shared), candidate: Arc::clone(candidate), bytes };
        let in_flight = all.in_flight.fetch_add(1, Ordering::Relaxed);
        let at_target = tally.in_flight.fetch_add(1, Ordering::Relaxed);
        let kept = all.bytes.fetch_add(bytes, Ordering::Relaxed);
        let room = in_flight < MAX_IN_FLIGHT
            && at_target < MAX_AT_TARGET
            && kept.saturating_add(bytes) <= MAX_BYTES;
        // What was taken in vain is given back by the drop.
        room.then_some(seat)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.shared.shadows.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.shared.shadows.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        self.candidate.state.shadow().in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A copy that is about to be made.
pub struct Shadow {
    copied: Copied,
    of: Of,
    seat: Seat,
}

/// A copy of a call that this target answers, where the call is one of those that are copied and there is room.
pub fn copy(account: &Account, job: &Job, ready: &ReadyTarget) -> Option<Box<Shadow>> {
    let share = ready.target.spec.candidate.as_ref()?;
    if share.shadow_percent == 0 {
        return None;
    }
    let exchange = &account.exchange;
    let candidate = exchange.live.target(&share.target)?;
    let spec = &candidate.target.spec;
    let worker = &exchange.worker;
    let wanted = exchange.priority != Priority::Batch
        && exchange.message_id.is_none()
        && exchange.operation != Operation::CountTokens
        && spec.max_data_class >= exchange.data_class
        && candidate.target.answers(exchange.operation)
        && drawn(share.shadow_percent, None, &candidate.target.id, worker.random());
    if !wanted {
        return None;
    }
    let bytes = job.asked.bytes();
    let fits = bytes <= MAX_REQUEST && job.is_whole();
    let seat = fits.then(|| Seat::take(&worker.shared, candidate, bytes)).flatten();
    let Some(seat) = seat else {
        candidate.state.shadow().skipped.fetch_add(1, Ordering::Relaxed);
        return None;
    };
    let of =
        Of { operation: exchange.operation, dialect: exchange.dialect, stream: exchange.stream };
    let copied = Copied {
        worker: Rc::clone(worker),
        ready: Arc::clone(candidate),
        endpoint: Arc::clone(&job.endpoint),
        asked: job.asked.clone(),
        salt: salt(account, candidate),
        id: exchange.id.clone(),
        stamp: exchange.stamp(),
        dialect: exchange.dialect,
    };
    Some(Box::new(Shadow { copied, of, seat }))
}

impl Shadow {
    /// Make the copy, and hold its answer against this one.
    pub fn beside(self: Box<Self>, answer: Bytes) {
        let (said, rest) = oneshot::channel();
        // The other end is held by the task.
        let _ = said.send(answer);
        spawn_local(self.run(rest));
    }

    async fn run(self: Box<Self>, ours: oneshot::Receiver<Bytes>) {
        let Self { copied, of, seat } = *self;
        let tally = seat.candidate.state.shadow();
        let Some(sent) = copied.send().await else {
            tally.skipped.fetch_add(1, Ordering::Relaxed);
            return;
        };
        tally.calls.fetch_add(1, Ordering::Relaxed);
        match sent {
            Ok(answer) => {
                tally.took.count(answer.took_us);
                let Some(theirs) = answer.body else { return };
                // Ours may still be on its way; one that breaks off is dropped.
                let Ok(ours) = ours.await else { return };
                if ours.len() <= MAX_ANSWER
                    && let Some(paths) = compare(of, &ours, &theirs)
                {
                    tally.compared(paths);
                }
            }
            Err(failed) => {
                tally.failed.fetch_add(1, Ordering::Relaxed);
                // The caller got an answer: a status of another class is a difference.
                if failed == Failed::Refused {
                    tally.compared(vec!["$.status".to_owned()]);
                }
            }
        }
    }
}

/// A copy of a stream, and what the caller has got of it.
pub struct Beside {
    waiting: Option<(Box<Shadow>, oneshot::Receiver<Bytes>)>,
    said: oneshot::Sender<Bytes>,
    bytes: BytesMut,
}

impl Beside {
    pub fn new(shadow: Box<Shadow>) -> Box<Self> {
        let (said, rest) = oneshot::channel();
        Box::new(Self { waiting: Some((shadow, rest)), said, bytes: BytesMut::new() })
    }

    /// What came first has left: the copy may be made.
    pub fn begin(&mut self) {
        if let Some((shadow, rest)) = self.waiting.take() {
            spawn_local(shadow.run(rest));
        }
    }

    /// A piece leaves.
    pub fn add(&mut self, piece: &[u8]) {
        keep(&mut self.bytes, piece);
    }

    /// The stream is whole.
    pub fn ended(mut self) {
        self.begin();
        // Nobody may be waiting: the copy failed.
        let _ = self.said.send(self.bytes.freeze());
    }
}

/// Keep a piece of an answer, as far as it is compared; one byte beyond that says that there was more.
fn keep(kept: &mut BytesMut, piece: &[u8]) {
    let room = (MAX_ANSWER + 1).saturating_sub(kept.len());
    kept.extend_from_slice(piece.get(..room).unwrap_or(piece));
}
