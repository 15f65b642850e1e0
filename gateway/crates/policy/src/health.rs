//! Whether a replica gets calls: a breaker per replica, fed by what calls and probes meet.
//!
//! Closed: it gets calls. Open: it gets none until its ejection is over, which takes longer each time.
//! Half open: it has one call, whose outcome decides. Nothing here knows of other replicas; that a call
//! may go to an ejected one when there is no other is the choice's rule (`choose`).

use towpath_wire::signals::Breaker;

/// When a replica is ejected, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct HealthRules {
    /// Failures in a row.
    pub failures: u32,
    /// Or this share of failures, in percent, of at least so many calls of the last `window_ms`.
    pub window_percent: u32,
    pub window_calls: u32,
    pub window_ms: i64,
    /// Failed probes in a row.
    pub probe_failures: u32,
    /// First ejection; each further one is twice as long, up to `most_ms`.
    pub first_ms: i64,
    pub most_ms: i64,
    /// After so long without an ejection the next one is a first one again.
    pub forget_ms: i64,
}

impl Default for HealthRules {
    /// Five in a row and half of a window are what Envoy has. Five seconds: a model server that was
    /// restarted is back or is not. Five minutes: somebody repairs it by hand, and a call every five minutes
    /// that falls back costs nothing.
    fn default() -> Self {
        Self {
            failures: 5,
            window_percent: 50,
            window_calls: 20,
            window_ms: 10_000,
            probe_failures: 3,
            first_ms: 5_000,
            most_ms: 300_000,
            forget_ms: 600_000,
        }
    }
}

/// Longest text of an error that is kept.
const ERROR: usize = 200;

/// Health of one replica. Times are milliseconds since the epoch, of a clock that never goes back.
#[derive(Clone, Debug, Default)]
pub struct Health {
    state: State,
    failures: u32,
    probe_failures: u32,
    window: Window,
    ejections: u32,
    restored_at_ms: i64,
    /// The replica itself asked to be left alone until then.
    rests_until_ms: i64,
    last_error: Option<(String, i64)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Closed,
    Open {
        until_ms: i64,
        by: Witness,
    },
    HalfOpen,
}

/// Who found a replica sick, and so may find it well again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Witness {
    Calls,
    Probes,
}

/// Whether a replica may have the next call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Available,
    /// The next call is the one that decides.
    OnTrial,
    /// Not before then; `i64::MAX` where something else must happen first.
    Out {
        until_ms: i64,
    },
}

/// What an outcome changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Ejected { until_ms: i64 },
    Restored,
}

/// Calls and failures of the half window before and of this one.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    from_ms: i64,
    now: (u32, u32),
    before: (u32, u32),
}

impl Window {
    fn add(&mut self, now_ms: i64, failed: bool, rules: &HealthRules) {
        let half = (rules.window_ms / 2).max(1);
        let age = now_ms.saturating_sub(self.from_ms);
        if !(0..half).contains(&age) {
            self.before = if (half..2 * half).contains(&age) { self.now } else { (0, 0) };
            self.now = (0, 0);
            self.from_ms = now_ms;
        }
        self.now.0 = self.now.0.saturating_add(1);
        self.now.1 = self.now.1.saturating_add(u32::from(failed));
    }

    fn is_bad(&self, rules: &HealthRules) -> bool {
        let calls = u64::from(self.now.0) + u64::from(self.before.0);
        let failures = u64::from(self.now.1) + u64::from(self.before.1);
        calls >= u64::from(rules.window_calls)
            && failures * 100 >= calls * u64::from(rules.window_percent)
    }
}

impl Health {
    pub fn standing(&self, now_ms: i64) -> Standing {
        match self.state {
            State::HalfOpen => Standing::Out { until_ms: i64::MAX },
            State::Open { by: Witness::Probes, .. } => Standing::Out { until_ms: i64::MAX },
            State::Open { until_ms, .. } if now_ms < until_ms => Standing::Out { until_ms },
            State::Open { .. } => Standing::OnTrial,
            State::Closed if now_ms < self.rests_until_ms => {
                Standing::Out { until_ms: self.rests_until_ms }
            }
            State::Closed => Standing::Available,
        }
    }

    /// A time from which it may have calls without asking again: 0 as a rule, `i64::MAX` for "ask".
    pub fn free_from_ms(&self) -> i64 {
        match self.state {
            State::Closed => self.rests_until_ms,
            State::Open { until_ms, by: Witness::Calls } => until_ms,
            State::Open { .. } | State::HalfOpen => i64::MAX,
        }
    }

    /// A call goes to it. Whether it is a trial, to be said when it ends.
    pub fn begin(&mut self, now_ms: i64) -> bool {
        if self.standing(now_ms) == Standing::OnTrial {
            self.state = State::HalfOpen;
        }
        self.state != State::Closed
    }

    /// A call was answered.
    pub fn succeeded(&mut self, now_ms: i64, trial: bool, rules: &HealthRules) -> Option<Change> {
        self.window.add(now_ms, false, rules);
        self.failures = 0;
        if trial && self.state != State::Closed {
            return self.restore(now_ms);
        }
        None
    }

    /// A call failed in a way that is the replica's fault. `random` spreads the ends of ejections.
    pub fn failed(
        &mut self,
        now_ms: i64,
        trial: bool,
        error: &str,
        random: u64,
        rules: &HealthRules,
    ) -> Option<Change> {
        self.window.add(now_ms, true, rules);
        self.failures = self.failures.saturating_add(1);
        self.note(now_ms, error);
        match self.state {
            State::Closed if self.failures >= rules.failures || self.window.is_bad(rules) => {
                Some(self.eject(now_ms, Witness::Calls, random, rules))
            }
            State::HalfOpen if trial => Some(self.eject(now_ms, Witness::Calls, random, rules)),
            _ => None,
        }
    }

    /// A call ended without saying anything about the replica.
    pub fn abandoned(&mut self, now_ms: i64, trial: bool) {
        if trial && self.state == State::HalfOpen {
            self.state = State::Open { until_ms: now_ms, by: Witness::Calls };
        }
    }

    /// It asked for no more calls until then.
    pub fn rest(&mut self, now_ms: i64, until_ms: i64, trial: bool, error: &str) {
        self.abandoned(now_ms, trial);
        self.note(now_ms, error);
        self.rests_until_ms = self.rests_until_ms.max(until_ms);
        if let State::Open { until_ms: open, .. } = &mut self.state {
            *open = (*open).max(until_ms);
        }
    }

    /// Keep what went wrong, where it is nobody's failure to count.
    pub fn note(&mut self, now_ms: i64, error: &str) {
        let error: String = error.chars().take(ERROR).collect();
        self.last_error = Some((error, now_ms));
    }

    /// A probe was answered, or not. Who was ejected by calls is not restored by probes: a server may be
    /// well enough to say so and yet fail every call.
    pub fn probed(
        &mut self,
        now_ms: i64,
        answer: Result<(), &str>,
        random: u64,
        rules: &HealthRules,
    ) -> Option<Change> {
        match answer {
            Ok(()) => {
                self.probe_failures = 0;
                match self.state {
                    State::Open { by: Witness::Probes, .. } => self.restore(now_ms),
                    _ => None,
                }
            }
            Err(error) => {
                self.probe_failures = self.probe_failures.saturating_add(1);
                self.note(now_ms, error);
                match self.state {
                    State::Closed if self.probe_failures >= rules.probe_failures => {
                        Some(self.eject(now_ms, Witness::Probes, random, rules))
                    }
                    _ => None,
                }
            }
        }
    }

    /// Nobody probes it any more: a call may find it well again.
    pub fn unprobed(&mut self) {
        self.probe_failures = 0;
        if let State::Open { by, .. } = &mut self.state {
            *by = Witness::Calls;
        }
    }

    pub fn breaker(&self, now_ms: i64) -> Breaker {
        match self.state {
            State::Closed => Breaker::Closed,
            State::Open { until_ms, by: Witness::Calls } if now_ms >= until_ms => Breaker::HalfOpen,
            State::Open { .. } => Breaker::Open,
            State::HalfOpen => Breaker::HalfOpen,
        }
    }

    /// Failures in a row.
    pub fn failures(&self) -> u32 {
        self.failures.max(self.probe_failures)
    }

    /// What went wrong last, and when.
    pub fn last_error(&self) -> Option<(&str, i64)> {
        self.last_error.as_ref().map(|(error, at)| (error.as_str(), *at))
    }

    /// Until when it gets no calls; absent: it gets them, or that is not known beforehand.
    pub fn ejected_until_ms(&self, now_ms: i64) -> Option<i64> {
        match self.standing(now_ms) {
            Standing::Out { until_ms } if until_ms < i64::MAX => Some(until_ms),
            _ => None,
        }
    }

    fn eject(&mut self, now_ms: i64, by: Witness, random: u64, rules: &HealthRules) -> Change {
        if self.state == State::Closed && now_ms - self.restored_at_ms > rules.forget_ms {
            self.ejections = 0;
        }
        let doubled = rules.first_ms.saturating_mul(1_i64 << self.ejections.min(20));
        let length = doubled.min(rules.most_ms);
        // A fifth by chance: replicas that fell together do not come back together.
        let spread = (i128::from(random) * i128::from(length / 5)) >> 64;
        let until_ms = now_ms + length + i64::try_from(spread).unwrap_or(0);
        self.ejections = self.ejections.saturating_add(1);
        self.state = State::Open { until_ms, by };
        Change::Ejected { until_ms }
    }

    fn restore(&mut self, now_ms: i64) -> Option<Change> {
        self.state = State::Closed;
        self.failures = 0;
        self.window = Window::default();
        self.restored_at_ms = now_ms;
        Some(Change::Restored)
    }
}

#[cfg(test)]
mod tests;
