//! Durations as they are counted: by buckets, 16 in each power of two of microseconds.
//!
//! A bucket is at most a sixteenth of its durations wide, so a percentile read from counts is within some 6 %.
//! The control plane has the same two functions; `contracts/durations.json` holds both to the same values.

/// Buckets in one power of two, as a power of two.
const FINE: u32 = 4;

/// All buckets that there are.
pub const BUCKETS: usize = 976;

/// The bucket of a duration.
pub const fn bucket(us: u64) -> u32 {
    if us < 1 << FINE {
        #[expect(clippy::cast_possible_truncation, reason = "below 16")]
        return us as u32;
    }
    let shift = us.ilog2() - FINE;
    #[expect(clippy::cast_possible_truncation, reason = "its upper bits, below 32")]
    let upper = (us >> shift) as u32;
    (shift << FINE) + upper
}

/// The longest duration of a bucket, in microseconds.
pub const fn upper_us(bucket: u32) -> u64 {
    let shift = (bucket >> FINE).saturating_sub(1);
    if shift > 59 {
        return u64::MAX;
    }
    let upper = (bucket - (shift << FINE)) as u128;
    #[expect(clippy::cast_possible_truncation, reason = "at most the largest of 64 bits")]
    return (((upper + 1) << shift) - 1) as u64;
}

#[cfg(test)]
mod tests;
