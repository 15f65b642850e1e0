//! How many tokens an input has, where the upstream does not say: learned bytes per token.

use std::sync::atomic::{AtomicU64, Ordering};

/// Before anything is learned: English in the tokenizers of today.
pub const DEFAULT_BYTES_PER_TOKEN: f64 = 4.0;

/// Share of a new observation in the average: the last twenty calls or so decide.
const SHARE: f64 = 0.1;

/// No tokenizer packs more than this into a token on the average; what is beyond is a mistake (pictures
/// counted as text, a cache that reports nothing).
const PLAUSIBLE: std::ops::RangeInclusive<f64> = 0.25..=32.0;

/// One target's ratio. Threads share it without locks: an observation that is lost costs nothing.
#[derive(Debug)]
pub struct BytesPerToken(AtomicU64);

impl Default for BytesPerToken {
    fn default() -> Self {
        Self(AtomicU64::new(DEFAULT_BYTES_PER_TOKEN.to_bits()))
    }
}

impl BytesPerToken {
    /// Learn from a call whose input tokens the upstream reported.
    pub fn observe(&self, bytes: u64, tokens: u64) {
        // Short inputs are mostly template.
        if bytes < 32 || tokens == 0 {
            return;
        }
        #[expect(clippy::cast_precision_loss, reason = "a ratio of sizes far below 2^53")]
        let seen = bytes as f64 / tokens as f64;
        if PLAUSIBLE.contains(&seen) {
            let ratio = self.ratio();
            self.0.store((ratio + (seen - ratio) * SHARE).to_bits(), Ordering::Relaxed);
        }
    }

    /// Tokens of so many bytes, rounded up.
    pub fn estimate(&self, bytes: u64) -> u64 {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an estimate, positive and far below 2^53"
        )]
        let tokens = (bytes as f64 / self.ratio()).ceil() as u64;
        tokens
    }

    /// As [`Self::estimate`], and never more than the usual ratio gives: what is learned from short words
    /// must not be held against a text of long ones.
    pub fn estimate_at_least(&self, bytes: u64) -> u64 {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an estimate, positive and far below 2^53"
        )]
        let tokens = (bytes as f64 / self.ratio().max(DEFAULT_BYTES_PER_TOKEN)) as u64;
        tokens
    }

    fn ratio(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests;
