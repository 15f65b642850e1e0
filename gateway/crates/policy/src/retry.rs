//! How many retries an endpoint may add to its calls, so that a sick upstream does not get a storm.
//!
//! A bucket of tokens: each call puts in a share of one, each second some more, each retry takes one out.

use towpath_wire::routing::Retries;

/// Seconds' worth of `min_per_second` that may be saved up, and the least that a bucket holds: a burst of
/// callers that meet one dead replica together is rescued whole.
const SAVED_SECONDS: u64 = 10;
const LEAST_HELD: u64 = 10;

/// In thousandths of a retry.
const ONE: u64 = 1_000;

/// One endpoint's bucket. In any time of t seconds with c calls it lets through at most
/// `held + min_per_second · t + budget_percent / 100 · c` retries, `held` being
/// `max(10 · min_per_second, 10)`.
#[derive(Clone, Copy, Debug)]
pub struct RetryBudget {
    left: u64,
    at_ms: i64,
}

impl RetryBudget {
    /// A full bucket.
    pub fn new(rules: Retries, now_ms: i64) -> Self {
        Self { left: most(rules), at_ms: now_ms }
    }

    /// A call is made for the first time.
    pub fn call(&mut self, rules: Retries, now_ms: i64) {
        self.refill(rules, now_ms);
        self.add(rules, u64::from(rules.budget_percent) * ONE / 100);
    }

    /// Whether one may be made again.
    pub fn retry(&mut self, rules: Retries, now_ms: i64) -> bool {
        self.refill(rules, now_ms);
        let enough = self.left >= ONE;
        if enough {
            self.left -= ONE;
        }
        enough
    }

    fn refill(&mut self, rules: Retries, now_ms: i64) {
        let elapsed = u64::try_from(now_ms.saturating_sub(self.at_ms)).unwrap_or(0);
        self.at_ms = self.at_ms.max(now_ms);
        // Thousandths per millisecond are units per second.
        self.add(rules, elapsed.saturating_mul(rules.min_per_second.into()));
    }

    fn add(&mut self, rules: Retries, more: u64) {
        self.left = self.left.saturating_add(more).min(most(rules));
    }
}

fn most(rules: Retries) -> u64 {
    (u64::from(rules.min_per_second) * SAVED_SECONDS).max(LEAST_HELD) * ONE
}

#[cfg(test)]
mod tests;
