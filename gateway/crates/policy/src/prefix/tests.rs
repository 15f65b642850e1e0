use proptest::prelude::*;

use super::{GENERATION, Marks, Prefixes, Seat, replica_tag, within_bound};
use crate::balance::Load;

/// Replicas with so many calls in flight each.
fn seats(in_flight: &[u32]) -> Vec<Seat> {
    let seat = |(index, calls): (usize, &u32)| Seat {
        tag: replica_tag(&format!("rep_{index}")),
        load: Load { weight: 1, in_flight: *calls, latency_us: 0 },
    };
    in_flight.iter().enumerate().map(seat).collect()
}

fn text(seed: u64, length: usize) -> Vec<u8> {
    let mut text = seed.to_le_bytes().repeat(length.div_ceil(8));
    text.truncate(length);
    text
}

fn pick(prefixes: &mut Prefixes, prompt: &[u8], in_flight: &[u32], random: u64) -> usize {
    prefixes.pick(&Marks::of(prompt, 0), seats(in_flight).into_iter(), random).unwrap()
}

#[test]
fn a_prompt_that_begins_alike_goes_to_the_same_replica() {
    let mut prefixes = Prefixes::default();
    let mut prompt = text(1, 4_000);
    let first = pick(&mut prefixes, &prompt, &[0, 0, 0, 0], 7);
    prompt.extend(text(2, 900));

    for random in 0..50 {
        assert_eq!(pick(&mut prefixes, &prompt, &[0, 0, 0, 0], random), first);
    }
}

#[test]
fn the_longest_beginning_wins() {
    let mut prefixes = Prefixes::default();
    let short = text(1, 1_000);
    let mut long = short.clone();
    long.extend(text(2, 8_000));
    let mut other = short.clone();
    other.extend(text(3, 8_000));
    // The same short beginning is on both, the long ones on one each.
    assert_eq!(pick(&mut prefixes, &long, &[0, 9], 0), 0);
    assert_eq!(pick(&mut prefixes, &other, &[9, 0], 0), 1);

    long.extend(text(4, 100));
    other.extend(text(5, 100));
    assert_eq!(pick(&mut prefixes, &long, &[1, 1], 0), 0);
    assert_eq!(pick(&mut prefixes, &other, &[1, 1], 0), 1);
}

#[test]
fn an_overloaded_replica_is_relieved_and_its_relief_remembered() {
    let mut prefixes = Prefixes::default();
    let prompt = text(1, 4_000);
    assert_eq!(pick(&mut prefixes, &prompt, &[0, 5, 5], 0), 0);
    let relief = pick(&mut prefixes, &prompt, &[9, 5, 0], 0);
    assert_eq!(relief, 2, "the least busy of the others");

    assert_eq!(pick(&mut prefixes, &prompt, &[9, 5, 1], 0), 2, "it has it now");
    assert_eq!(pick(&mut prefixes, &prompt, &[4, 5, 5], 0), 0, "and so does the first one");
}

#[test]
fn short_prompts_and_other_seeds_have_nothing_in_common() {
    let prompt = text(1, 4_000);

    assert!(Marks::of(&prompt[..500], 0).is_empty());
    let (one, two) = (Marks::of(&prompt, 1), Marks::of(&prompt, 2));
    assert!(one.as_slice().iter().all(|mark| !two.as_slice().contains(mark)));
}

#[test]
fn a_prompt_of_any_size_has_few_marks() {
    assert!(Marks::of(&text(1, 2 << 20), 0).count <= super::MAX_MARKS);
    assert!(Marks::of(&text(1, 400_000), 0).count >= 28);
}

#[test]
fn memory_is_bounded() {
    let mut prefixes = Prefixes::default();
    for seed in 0..40_000 {
        pick(&mut prefixes, &text(seed, 1_500), &[0, 0], seed);
    }

    assert!(prefixes.len() <= 2 * GENERATION, "{}", prefixes.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// No replica gets a call by its prefix that would put it more than a quarter above the mean, rounded
    /// up, and the least busy is always within that bound, so that somebody gets it.
    #[test]
    fn loads_stay_within_the_bound(steps in prop::collection::vec((0..5_u64, any::<u64>(), any::<bool>()), 1..400)) {
        let mut prefixes = Prefixes::default();
        let mut in_flight = [0_u32; 4];
        for (prompt, random, ends) in steps {
            let chosen = pick(&mut prefixes, &text(prompt, 2_000), &in_flight, random);
            let all: u64 = in_flight.iter().map(|calls| u64::from(*calls)).sum();
            prop_assert!(within_bound(in_flight[chosen], all, 4), "{in_flight:?} and {chosen}");
            in_flight[chosen] += 1;
            let at = usize::try_from(random % 4).unwrap();
            if ends && in_flight[at] > 0 {
                in_flight[at] -= 1;
            }
        }
    }
}
