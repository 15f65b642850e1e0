use proptest::prelude::*;

use super::{Learned, UNKNOWN};

#[test]
fn what_was_never_seen_is_estimated_as_a_long_answer() {
    assert_eq!(Learned::default().estimate("key_1", "end_1"), UNKNOWN);
}

#[test]
fn a_new_key_is_estimated_as_others_on_its_endpoint() {
    let learned = Learned::default();
    learned.observe("key_1", "end_1", 100);

    assert_eq!(learned.estimate("key_2", "end_1"), 125);
    assert_eq!(learned.estimate("key_1", "end_2"), UNKNOWN);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Nearly all calls stay below the estimate, and it is not far above what they use.
    #[test]
    fn the_estimate_is_a_high_percentile(seed in any::<u64>(), most in 50_u64..5_000) {
        let learned = Learned::default();
        let mut state = seed | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % most + 1
        };
        for _ in 0..400 {
            learned.observe("key_1", "end_1", next());
        }
        let mut below = 0;
        for _ in 0..400 {
            let value = next();
            below += u32::from(value <= learned.estimate("key_1", "end_1"));
            learned.observe("key_1", "end_1", value);
        }

        prop_assert!(below >= 340, "{below} of 400 were below");
        prop_assert!(learned.estimate("key_1", "end_1") <= most * 2);
    }

    /// Answers that become ten times as long are followed within a few calls.
    #[test]
    fn a_jump_is_followed(before in 10_u64..500) {
        let learned = Learned::default();
        for _ in 0..100 {
            learned.observe("key_1", "end_1", before);
        }
        for _ in 0..30 {
            learned.observe("key_1", "end_1", before * 10);
        }

        prop_assert!(learned.estimate("key_1", "end_1") >= before * 10);
    }
}
