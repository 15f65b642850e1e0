//! Which of several equals gets the next call.
//!
//! Pure: loads and chance are parameters. Targets of an endpoint and replicas of a target are chosen by
//! the same functions; replicas have equal weights.

use towpath_wire::routing::Spread;

use crate::choose;
use crate::mix::{hash, mix};

/// How busy one option is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// 0 is no option at all.
    pub weight: u32,
    pub in_flight: u32,
    /// Moving peak; 0: nothing is known yet.
    pub latency_us: u64,
}

/// Choose an index. `random` is uniform over all of `u64`; `None` when all weights are 0. Prefixes are
/// looked up elsewhere (`prefix`); without one, the least busy is the best.
pub fn pick(
    spread: Spread,
    options: impl Iterator<Item = Load> + Clone,
    random: u64,
) -> Option<usize> {
    match spread {
        Spread::Weighted => choose::choose(options.map(|load| load.weight), random),
        Spread::LeastOutstanding | Spread::Prefix => least_busy(options, random),
        Spread::PeakEwma => {
            let weights = options.clone().map(|load| load.weight);
            let first = choose::choose(weights.clone(), random)?;
            let second = choose::choose(weights, mix(random, 1))?;
            let cost = |index: usize| options.clone().nth(index).map_or(u128::MAX, peak_cost);
            Some(if cost(second) < cost(first) { second } else { first })
        }
    }
}

/// The option with the fewest calls in flight for its weight, chance deciding between equals.
fn least_busy(options: impl Iterator<Item = Load>, random: u64) -> Option<usize> {
    let mut best: Option<(usize, Load, u64)> = None;
    for (index, load) in options.enumerate().filter(|(_, load)| load.weight > 0) {
        let lot = mix(random, index as u64);
        let better = best.is_none_or(|(_, least, least_lot)| {
            let ours = u64::from(load.in_flight) * u64::from(least.weight);
            let theirs = u64::from(least.in_flight) * u64::from(load.weight);
            (ours, lot) < (theirs, least_lot)
        });
        if better {
            best = Some((index, load, lot));
        }
    }
    best.map(|(index, ..)| index)
}

/// Latency times calls in flight. An option that nothing is known of is tried with one call, not a flood.
fn peak_cost(load: Load) -> u128 {
    match (load.latency_us, load.in_flight) {
        (0, 0) => 0,
        (0, calls) => u128::from(u64::MAX) + u128::from(calls),
        (latency, calls) => u128::from(latency) * (u128::from(calls) + 1),
    }
}

/// Choose an index by a key, so that the same key finds the same option as long as the weights stay, and a
/// weight that is moved from one option to another moves only the keys of that part: the highest of
/// `-w / ln(u)`, `u` being the key's and option's own lot (weighted rendezvous hashing).
pub fn rendezvous<'o>(
    key: u64,
    options: impl Iterator<Item = (&'o str, u32)> + Clone,
) -> Option<usize> {
    let mut best: Option<(usize, f64)> = None;
    for (index, (id, weight)) in options.enumerate().filter(|(_, (_, weight))| *weight > 0) {
        let lot = hash(key, id.as_bytes());
        // 53 bits, as many as fit, and never 0 or 1.
        #[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
        let lot = ((lot >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        let score = -f64::from(weight) / lot.ln();
        if best.is_none_or(|(_, highest)| score > highest) {
            best = Some((index, score));
        }
    }
    best.map(|(index, _)| index)
}

/// Whether a call is one of `percent` in a hundred that go to a candidate: by chance, or always the same for a
/// subject. Who is in at a percentage is in at every higher one; another candidate has other subjects.
pub fn drawn(percent: u32, subject: Option<u64>, candidate: &str, random: u64) -> bool {
    let lot = subject.map_or(random, |subject| hash(subject, candidate.as_bytes()));
    // Multiply-shift, as in `choose`.
    (u128::from(lot) * 100) >> 64 < u128::from(percent)
}

/// What a sticky choice is bound to, as a number: `subject` within `endpoint`, so that the canaries of two
/// endpoints do not meet the same callers.
pub fn sticky_key(endpoint: &str, subject: &str) -> u64 {
    hash(hash(0, endpoint.as_bytes()), subject.as_bytes())
}

/// A latency that rises at once and falls slowly, as Finagle's peak EWMA does.
#[derive(Clone, Copy, Debug, Default)]
pub struct PeakEwma {
    us: f64,
    at_ms: i64,
}

/// After so long an observation has lost two thirds of its weight.
const DECAY_MS: f64 = 10_000.0;

impl PeakEwma {
    pub fn observe(&mut self, now_ms: i64, us: u64) {
        #[expect(clippy::cast_precision_loss, reason = "latencies are far below 2^53")]
        let us = us as f64;
        let left = self.share_left(now_ms);
        self.us = if us >= self.us { us } else { self.us * left + us * (1.0 - left) };
        self.at_ms = now_ms;
    }

    /// Microseconds now; one that is not asked any more is forgotten, so that it is tried again.
    pub fn us(&self, now_ms: i64) -> u64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "positive and far below 2^53"
        )]
        let us = (self.us * self.share_left(now_ms)) as u64;
        us
    }

    fn share_left(&self, now_ms: i64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "an age")]
        let age = now_ms.saturating_sub(self.at_ms).max(0) as f64;
        (-age / DECAY_MS).exp()
    }
}

#[cfg(test)]
mod tests;
