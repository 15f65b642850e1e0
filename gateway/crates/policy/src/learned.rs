//! How much the calls of a key to an endpoint really answer: a high percentile, learned as they end.
//!
//! What a call reserves before it is made is an estimate. Its own `max_tokens` is far too high for most,
//! the mean too low for half of them; a high percentile is right for nearly all.

use std::hash::{BuildHasher, Hasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

/// Before anything is learned: a long chat answer.
const UNKNOWN: u64 = 1_024;
/// The percentile that is followed.
const SHARE: f64 = 0.95;
/// Pairs told apart. Two that meet in one place share an estimate, which settling makes good.
const PLACES: usize = 1 << 15;
/// Steps never become smaller: the last fifty calls or so decide.
const LEAST_STEP: f64 = 0.05;

/// Estimates by key and endpoint, and by endpoint for keys that are new. A fixed size, no locks: an
/// observation that is lost between two threads costs nothing.
#[derive(Debug)]
pub struct Learned {
    hasher: RandomState,
    /// The estimate as `f32` above, the number of observations below; 0: none.
    places: Box<[AtomicU64]>,
}

impl Default for Learned {
    fn default() -> Self {
        let places = std::iter::repeat_with(|| AtomicU64::new(0)).take(PLACES).collect();
        Self { hasher: RandomState::new(), places }
    }
}

impl Learned {
    /// Output tokens that a call probably stays below.
    pub fn estimate(&self, key: &str, endpoint: &str) -> u64 {
        let own = self.place(key, endpoint).load(Ordering::Relaxed);
        let any = || self.place("", endpoint).load(Ordering::Relaxed);
        let found = if own == 0 { any() } else { own };
        if found == 0 {
            return UNKNOWN;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "positive and far below 2^53"
        )]
        let tokens = f64::from(unpack(found).0).ceil() as u64;
        tokens.max(1)
    }

    /// Learn from a call that ended by itself.
    pub fn observe(&self, key: &str, endpoint: &str, output_tokens: u64) {
        for place in [self.place(key, endpoint), self.place("", endpoint)] {
            let known = place.load(Ordering::Relaxed);
            place.store(learn(known, output_tokens), Ordering::Relaxed);
        }
    }

    fn place(&self, key: &str, endpoint: &str) -> &AtomicU64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(key.as_bytes());
        hasher.write_u8(0xff);
        hasher.write(endpoint.as_bytes());
        let index = usize::try_from(hasher.finish() % PLACES as u64).unwrap_or(0);
        &self.places[index]
    }
}

/// One step of a multiplicative quantile estimate (Yazidi and Hammer, 2017): up when the value lies
/// above, down when it lies below, in the proportion that balances at the percentile.
fn learn(known: u64, value: u64) -> u64 {
    #[expect(clippy::cast_precision_loss, reason = "token counts are far below 2^53")]
    let value = (value as f64).max(1.0);
    if known == 0 {
        return pack(value * 1.25, 1);
    }
    let (estimate, seen) = unpack(known);
    let step = (1.0 / f64::from(seen + 1)).max(LEAST_STEP);
    let estimate = f64::from(estimate);
    let next = if value > estimate {
        // A jump is followed within a few calls; what is far above moves it further.
        let far = (value / estimate).min(4.0);
        (estimate * (1.0 + step * SHARE * far)).min(value * 1.25)
    } else {
        (estimate * (1.0 - step * (1.0 - SHARE))).max(value)
    };
    pack(next, seen.saturating_add(1))
}

fn pack(estimate: f64, seen: u32) -> u64 {
    #[expect(clippy::cast_possible_truncation, reason = "an estimate needs no more digits")]
    let estimate = estimate as f32;
    u64::from(estimate.to_bits()) << 32 | u64::from(seen)
}

fn unpack(packed: u64) -> (f32, u32) {
    let (estimate, seen) = (packed >> 32, packed & u64::from(u32::MAX));
    #[expect(clippy::cast_possible_truncation, reason = "both are halves")]
    (f32::from_bits(estimate as u32), seen as u32)
}

#[cfg(test)]
mod tests;
