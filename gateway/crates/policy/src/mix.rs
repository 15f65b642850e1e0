//! A fast hash that is the same in every process and every version: gateways side by side must agree on it.
//!
//! Not for secrets and not for maps that a foe may fill: who forges collisions gains no more than the
//! wrong replica for their own calls.

/// Odd numbers without pattern: the fractional parts of square roots, as in SHA-512.
const FIRST: u64 = 0xbb67_ae85_84ca_a73b;
const SECOND: u64 = 0x3c6e_f372_fe94_f82b;

/// The halves of a full product, folded: every bit of both factors reaches every bit of the result.
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    #[expect(clippy::cast_possible_truncation, reason = "the halves are wanted")]
    let halves = (product as u64, (product >> 64) as u64);
    halves.0 ^ halves.1
}

/// Mix two numbers into one.
pub(crate) fn mix(a: u64, b: u64) -> u64 {
    fold(fold(a ^ FIRST, b ^ SECOND) ^ SECOND, FIRST)
}

/// Hash bytes that follow what `seed` stands for.
pub(crate) fn hash(seed: u64, bytes: &[u8]) -> u64 {
    let mut state = seed ^ FIRST;
    let mut pairs = bytes.chunks_exact(16);
    for pair in &mut pairs {
        let (a, b) = pair.split_at(8);
        state = fold(word(a) ^ SECOND, word(b) ^ state);
    }
    let rest = pairs.remainder();
    let (a, b) = rest.split_at(rest.len().min(8));
    state = fold(word(a) ^ SECOND, word(b) ^ state);
    mix(state, bytes.len() as u64)
}

/// Up to eight bytes as a number.
fn word(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    for (to, from) in word.iter_mut().zip(bytes) {
        *to = *from;
    }
    u64::from_le_bytes(word)
}
