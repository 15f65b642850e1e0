//! Replicas and targets as calls meet them: load, health, who waits. One state per process, shared by its
//! workers; it survives changes of the table for what did not change.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use towpath_policy::{Change, Health, HealthRules, Id, Load, PeakEwma, Prefixes};
use towpath_wire::signals::{Breaker, ReplicaSignal};

use crate::admit::queue::Room;
use crate::clock;
use crate::evidence::{Evidence, Met, Part};
use crate::live::{ReadyReplica, ReadyTarget};
use crate::log::{self, Level};
use crate::relay::Failure;
use crate::shadow::Tally;
use crate::shared::Shared;

/// One replica's load and health.
#[derive(Debug, Default)]
pub struct ReplicaState {
    in_flight: AtomicU32,
    /// [`Health::free_from_ms`], to be read without the lock.
    free_from_ms: AtomicI64,
    /// Had a call since somebody last asked.
    touched: AtomicBool,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    health: Health,
    latency: PeakEwma,
    ejections: u64,
}

/// What one target's callers share.
#[derive(Debug, Default)]
pub struct TargetState {
    /// Calls that wait for it to be woken.
    pub waiting: AtomicU32,
    /// When a call last would have gone to it, had it been awake.
    wanted_at_ms: AtomicI64,
    prefixes: Mutex<Prefixes>,
    /// For targets that take so many calls at a time.
    pub room: Arc<Room>,
    /// Calls its replicas got, and for how long they had those that ended.
    calls: AtomicU64,
    busy_us: AtomicU64,
    /// Estimated tokens of the calls in flight.
    tokens: AtomicU64,
    pub evidence: Evidence,
    /// Of copies, at a candidate that got any.
    shadow: OnceLock<Box<Tally>>,
}

/// What one target has had to do since it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    pub calls: u64,
    pub busy_ms: u64,
    pub tokens: u64,
}

/// How long one call that would have gone to a sleeping target keeps asking for it: two signals.
const WANTED_MS: i64 = 2_500;

impl TargetState {
    /// A call would have gone to it, had it been awake. Whether that was unknown.
    pub fn want(&self) -> bool {
        let now_ms = clock::steady_ms();
        now_ms - self.wanted_at_ms.swap(now_ms, Ordering::Relaxed) > WANTED_MS
    }

    /// Somebody waits for it to be woken, or would use it.
    pub fn wanted(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
            || clock::steady_ms() - self.wanted_at_ms.load(Ordering::Relaxed) <= WANTED_MS
    }

    pub fn work(&self) -> Work {
        Work {
            calls: self.calls.load(Ordering::Relaxed),
            busy_ms: self.busy_us.load(Ordering::Relaxed) / 1_000,
            tokens: self.tokens.load(Ordering::Relaxed),
        }
    }

    /// A call that was not sent: the target's model or runtime would not take it.
    pub fn unfit(&self, part: Part) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.evidence.count(part, Met::Refused, 0);
    }

    /// What copies meet here.
    pub fn shadow(&self) -> &Tally {
        self.shadow.get_or_init(Box::default)
    }

    /// The same where there were any.
    pub fn shadowed(&self) -> Option<&Tally> {
        self.shadow.get().map(AsRef::as_ref)
    }

    pub fn prefixes(&self) -> MutexGuard<'_, Prefixes> {
        self.prefixes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What went wrong at a replica, as far as its health is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The replica did its part: the request itself, the caller or this gateway is at fault.
    None,
    /// The replica's failure.
    Replica(String),
    /// It asks for no more calls for so long.
    Rest { ms: i64, error: String },
    /// Not to be counted, and to be seen all the same: a model it does not know.
    Note(String),
}

impl ReplicaState {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it may have a call now.
    pub fn available(&self, now_ms: i64) -> bool {
        self.free_from_ms.load(Ordering::Relaxed) <= now_ms
    }

    /// Calls it has now.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// It has one more call, until the place is dropped.
    pub fn occupied(&self) -> Place<'_> {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.touched.store(true, Ordering::Relaxed);
        Place(self)
    }

    /// How busy it is. The latency is looked up only where it decides.
    pub fn load(&self, with_latency: bool) -> Load {
        let latency_us = if with_latency { self.lock().latency.us(clock::steady_ms()) } else { 0 };
        Load { weight: 1, in_flight: self.in_flight(), latency_us }
    }

    pub fn breaker(&self) -> Breaker {
        self.lock().health.breaker(clock::steady_ms())
    }

    /// Times it was ejected.
    pub fn ejections(&self) -> u64 {
        self.lock().ejections
    }

    /// Nobody probes it any more.
    pub fn unprobed(&self) {
        self.change(|inner, _| {
            inner.health.unprobed();
            None
        });
    }

    /// Take in the outcome of a probe.
    pub fn probed(&self, target: &str, replica: &str, answer: Result<(), &str>) {
        let random = fastrand::u64(..);
        let change = self.change(|inner, now_ms| {
            inner.health.probed(now_ms, answer, random, &HealthRules::default())
        });
        tell(target, replica, change, answer.err().unwrap_or_default());
    }

    /// What there is to say of it, if it had calls since the last time or is not as it should be.
    pub fn signal(&self) -> Option<ReplicaSignal> {
        let now_ms = clock::steady_ms();
        let in_flight = self.in_flight();
        let touched = self.touched.swap(in_flight > 0, Ordering::Relaxed);
        let inner = self.lock();
        let breaker = inner.health.breaker(now_ms);
        let sick = breaker != Breaker::Closed || inner.health.failures() > 0;
        let ejected_until_ms = inner.health.ejected_until_ms(now_ms);
        if !touched && !sick && in_flight == 0 && ejected_until_ms.is_none() {
            return None;
        }
        let us = inner.latency.us(now_ms);
        #[expect(clippy::cast_precision_loss, reason = "a latency to be looked at")]
        let latency_ms = (us > 0).then_some(us as f64 / 1_000.0);
        let last_error = inner.health.last_error();
        Some(ReplicaSignal {
            breaker,
            in_flight,
            latency_ms,
            failures: inner.health.failures(),
            last_error: last_error.map(|(error, _)| error.to_owned()),
            last_error_at_ms: last_error.map(|(_, at)| at),
            ejected_until_ms,
        })
    }

    fn change(&self, change: impl FnOnce(&mut Inner, i64) -> Option<Change>) -> Option<Change> {
        let now_ms = clock::steady_ms();
        let mut inner = self.lock();
        let change = change(&mut inner, now_ms);
        if matches!(change, Some(Change::Ejected { .. })) {
            inner.ejections += 1;
        }
        self.free_from_ms.store(inner.health.free_from_ms(), Ordering::Relaxed);
        change
    }
}

/// A call at a replica that says nothing of it.
pub struct Place<'r>(&'r ReplicaState);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

fn tell(target: &str, replica: &str, change: Option<Change>, cause: &str) {
    match change {
        Some(Change::Ejected { until_ms }) => log::event(
            Level::Warning,
            "replica.ejected",
            &[
                ("target", &target),
                ("replica", &replica),
                ("until_ms", &until_ms),
                ("cause", &cause),
            ],
        ),
        Some(Change::Restored) => log::event(
            Level::Info,
            "replica.restored",
            &[("target", &target), ("replica", &replica)],
        ),
        None => {}
    }
}

/// One call at a replica, from its choice to its end. Dropped without a word it says nothing about the
/// replica: the caller went away.
pub struct Visit {
    pub ready: Arc<ReadyTarget>,
    pub replica: Id,
    state: Arc<ReplicaState>,
    started: Instant,
    /// At a candidate: who is told when it keeps failing.
    alarm: Option<Arc<Shared>>,
    /// Its estimated tokens.
    tokens: u64,
    trial: bool,
    over: bool,
}

impl Visit {
    pub fn begin(
        ready: &Arc<ReadyTarget>,
        replica: &ReadyReplica,
        tokens: u64,
        shared: &Arc<Shared>,
    ) -> Self {
        let state = Arc::clone(&replica.state);
        ready.state.calls.fetch_add(1, Ordering::Relaxed);
        ready.state.tokens.fetch_add(tokens, Ordering::Relaxed);
        state.in_flight.fetch_add(1, Ordering::Relaxed);
        state.touched.store(true, Ordering::Relaxed);
        let mut trial = false;
        if state.free_from_ms.load(Ordering::Relaxed) != 0 {
            state.change(|inner, now_ms| {
                trial = inner.health.begin(now_ms);
                None
            });
        }
        Self {
            ready: Arc::clone(ready),
            replica: Id::clone(&replica.id),
            state,
            started: Instant::now(),
            alarm: (ready.part == Part::Candidate).then(|| Arc::clone(shared)),
            tokens,
            trial,
            over: false,
        }
    }

    /// The answer has begun: enough for a replica on trial.
    pub fn answered(&mut self) {
        let trial = self.trial;
        let took = clock::us(self.started.elapsed());
        let change = self.state.change(|inner, now_ms| {
            inner.latency.observe(now_ms, took);
            let rules = HealthRules::default();
            trial.then(|| inner.health.succeeded(now_ms, true, &rules)).flatten()
        });
        tell(&self.ready.target.spec.name, &self.replica, change, "");
    }

    /// The call is over, well or with this failure.
    pub fn settled(self, failure: Option<&Failure>) {
        match failure {
            None => self.ended(&Blame::None, Met::Answered),
            Some(failure) => self.ended(&failure.blame, failure.met),
        }
    }

    /// The same by what it says about the replica and its target.
    fn ended(mut self, blame: &Blame, met: Met) {
        self.over = true;
        let part = self.ready.part;
        // Looked up only where it is counted.
        let took_us = if part == Part::None { 0 } else { clock::us(self.started.elapsed()) };
        let alarm = self.ready.state.evidence.count(part, met, took_us);
        if let Some(shared) = self.alarm.as_ref().filter(|_| alarm) {
            shared.wake.notify_one();
        }
        let trial = self.trial;
        let rules = HealthRules::default();
        let change = self.state.change(|inner, now_ms| {
            let health = &mut inner.health;
            match blame {
                Blame::None => health.succeeded(now_ms, trial, &rules),
                Blame::Replica(error) => {
                    health.failed(now_ms, trial, error, fastrand::u64(..), &rules)
                }
                Blame::Rest { ms, error } => {
                    health.rest(now_ms, now_ms + ms, trial, error);
                    None
                }
                Blame::Note(error) => {
                    health.note(now_ms, error);
                    health.succeeded(now_ms, trial, &rules)
                }
            }
        });
        let cause = match blame {
            Blame::Replica(error) => error,
            Blame::None | Blame::Rest { .. } | Blame::Note(_) => "",
        };
        tell(&self.ready.target.spec.name, &self.replica, change, cause);
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.state.in_flight.fetch_sub(1, Ordering::Relaxed);
        let target = &self.ready.state;
        target.tokens.fetch_sub(self.tokens, Ordering::Relaxed);
        target.busy_us.fetch_add(clock::us(self.started.elapsed()), Ordering::Relaxed);
        if !self.over && self.trial {
            self.state.change(|inner, now_ms| {
                inner.health.abandoned(now_ms, true);
                None
            });
        }
    }
}
