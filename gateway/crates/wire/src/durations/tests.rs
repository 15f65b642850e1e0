use proptest::prelude::*;

use super::{BUCKETS, bucket, upper_us};

proptest! {
    /// A duration is in the bucket that ends with it or after it, and the bucket before ends before it.
    #[test]
    fn a_bucket_holds_its_durations(us in any::<u64>(), shift in 0_u32..64) {
        let us = us >> shift;
        let found = bucket(us);

        prop_assert!(us <= upper_us(found));
        prop_assert!(found == 0 || upper_us(found - 1) < us);
        prop_assert!((found as usize) < BUCKETS);
    }

    /// No bucket is wider than a sixteenth of what it holds.
    #[test]
    fn a_bucket_is_narrow(us in 16_u64..u64::MAX) {
        let lower = upper_us(bucket(us) - 1);

        prop_assert!(upper_us(bucket(us)) - lower <= us / 16);
    }
}

#[test]
fn the_last_bucket_ends_with_the_longest_duration() {
    assert_eq!((bucket(u64::MAX), upper_us(975)), (975, u64::MAX));
}
