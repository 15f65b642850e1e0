//! Time on GPUs, split among the calls that share them: exact, whatever the order of their ends.
//!
//! A clock that advances by `dt / n` while n calls are in flight. What it advanced between a call's
//! begin and end is that call's share; all shares together are the time in which the GPUs were busy.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Parts of a microsecond the clock counts in: fine enough that a thousand calls at once lose nothing
/// worth a nano-unit.
const PARTS: u128 = 1 << 20;

/// The clock of one target.
#[derive(Debug, Default)]
pub struct GpuClock {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    calls: u128,
    at: Duration,
    advanced: u128,
}

impl State {
    fn advance(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.at).as_micros();
        // With nobody on the GPUs the clock stands still.
        self.advanced += (passed * PARTS).checked_div(self.calls).unwrap_or(0);
        self.at = self.at.max(now);
    }
}

/// A call that is on the GPUs; dropping it without [`Self::end`] takes it off, and its share is nobody's.
#[derive(Debug)]
pub struct OnGpu {
    clock: Arc<GpuClock>,
    from: u128,
    ended: bool,
}

impl GpuClock {
    /// A call begins; `now` is the time since an origin that never changes.
    pub fn begin(self: &Arc<Self>, now: Duration) -> OnGpu {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.advance(now);
        state.calls += 1;
        OnGpu { clock: Arc::clone(self), from: state.advanced, ended: false }
    }

    fn leave(&self, now: Option<Duration>) -> u128 {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = now.unwrap_or(state.at);
        state.advance(now);
        state.calls = state.calls.saturating_sub(1);
        state.advanced
    }
}

impl OnGpu {
    /// The call is over; returns its share in microseconds of one GPU, of so many that the target has.
    pub fn end(mut self, now: Duration, gpus: u32) -> u64 {
        self.ended = true;
        let share = self.clock.leave(Some(now)).saturating_sub(self.from);
        let microseconds = (share * u128::from(gpus) + PARTS / 2) / PARTS;
        u64::try_from(microseconds).unwrap_or(u64::MAX)
    }
}

impl Drop for OnGpu {
    fn drop(&mut self) {
        if !self.ended {
            self.clock.leave(None);
        }
    }
}

#[cfg(test)]
mod tests;
