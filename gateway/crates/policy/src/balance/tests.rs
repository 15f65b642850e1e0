use proptest::prelude::*;
use towpath_wire::routing::Spread;

use super::{Load, PeakEwma, drawn, pick, rendezvous, sticky_key};

fn load(weight: u32, in_flight: u32, latency_us: u64) -> Load {
    Load { weight, in_flight, latency_us }
}

/// Chance, evenly spread.
fn chances(count: u64) -> impl Iterator<Item = u64> {
    (0..count).map(move |step| step * (u64::MAX / count))
}

#[test]
fn the_least_busy_for_its_weight_is_chosen() {
    let options = [load(1, 2, 0), load(4, 4, 0), load(0, 0, 0)];

    assert_eq!(pick(Spread::LeastOutstanding, options.into_iter(), 9), Some(1));
}

#[test]
fn equals_share_by_chance() {
    let options = [load(1, 3, 0); 4];
    let mut hits = [0_u32; 4];
    for random in chances(8_000) {
        hits[pick(Spread::LeastOutstanding, options.into_iter(), random).unwrap()] += 1;
    }

    assert!(hits.iter().all(|hit| (1_800..2_200).contains(hit)), "{hits:?}");
}

#[test]
fn a_slow_option_gets_what_is_left_of_two_choices() {
    let options = [load(1, 0, 1_000), load(1, 0, 50_000)];
    let slow = chances(10_000)
        .filter(|random| pick(Spread::PeakEwma, options.into_iter(), *random) == Some(1))
        .count();

    // It is taken only where both choices fell on it.
    assert!((2_300..2_700).contains(&slow), "{slow}");
}

#[test]
fn an_option_that_nothing_is_known_of_gets_one_call_and_no_flood() {
    let new = [load(1, 1, 0), load(1, 40, 50_000)];
    let flooded = chances(1_000)
        .filter(|random| pick(Spread::PeakEwma, new.into_iter(), *random) == Some(0))
        .count();

    assert!(flooded < 300, "{flooded}: only where both choices fell on it");
}

#[test]
fn a_peak_rises_at_once_and_is_forgotten() {
    let mut latency = PeakEwma::default();
    latency.observe(0, 1_000);
    latency.observe(10, 90_000);
    assert_eq!(latency.us(10), 90_000);
    latency.observe(1_010, 1_000);

    assert!((80_000..90_000).contains(&latency.us(1_010)), "{}", latency.us(1_010));
    assert!(latency.us(60_000) < 1_000, "{}", latency.us(60_000));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Keys are shared out as the weights say.
    #[test]
    fn sticky_shares_follow_weights(a in 1..50_u32, b in 1..50_u32, seed: u64) {
        const KEYS: u32 = 4_000;
        let hits = (0..KEYS).filter(|key| {
            let key = sticky_key(&seed.to_string(), &key.to_string());
            rendezvous(key, [("dep_a", a), ("dep_b", b)].into_iter()) == Some(0)
        });
        let share = f64::from(a) / f64::from(a + b);
        let expected = share * f64::from(KEYS);
        // Six deviations.
        let slack = 6.0 * (f64::from(KEYS) * share * (1.0 - share)).sqrt() + 1.0;

        prop_assert!((f64::from(u32::try_from(hits.count()).unwrap()) - expected).abs() <= slack);
    }

    /// Weight that moves from `a` to `b` moves keys from `a` to `b` and no others.
    #[test]
    fn moving_a_share_moves_only_that_part(seed: u64, weights in prop::array::uniform3(1..100_u32), moved in 1..100_u32) {
        let [a, b, c] = weights;
        let moved = moved.min(a);
        let before = [("a", a), ("b", b), ("c", c)];
        let after = [("a", a - moved), ("b", b + moved), ("c", c)];
        for key in 0..500_u64 {
            let key = key ^ seed;
            let (from, to) = (rendezvous(key, before.into_iter()), rendezvous(key, after.into_iter()));
            prop_assert!(from == to || (from, to) == (Some(0), Some(1))
                || (from, to) == (Some(0), Some(2)) || (from, to) == (Some(2), Some(1)), "{from:?} to {to:?}");
        }
        // With two options there is nowhere else to go.
        for key in 0..500_u64 {
            let key = key ^ seed;
            let from = rendezvous(key, before[..2].iter().copied());
            let to = rendezvous(key, after[..2].iter().copied());
            prop_assert!(from == to || (from, to) == (Some(0), Some(1)));
        }
    }

    /// What is chosen is an option, however it is chosen, and something is whenever there is an option.
    #[test]
    fn only_options_are_chosen(
        loads in prop::collection::vec((0..3_u32, 0..9_u32, 0..9_u64), 0..8),
        random: u64,
    ) {
        let options: Vec<Load> = loads.into_iter().map(|(w, f, l)| load(w, f, l)).collect();
        for spread in [Spread::Weighted, Spread::LeastOutstanding, Spread::PeakEwma, Spread::Prefix] {
            match pick(spread, options.iter().copied(), random) {
                Some(index) => prop_assert!(options[index].weight > 0),
                None => prop_assert!(options.iter().all(|option| option.weight == 0)),
            }
        }
    }
}

proptest! {
    /// A subject that is in at a percentage is in at every higher one.
    #[test]
    fn who_is_in_stays_in_when_the_share_grows(
        subject in any::<u64>(), chance in any::<[u64; 2]>(), percent in 0_u32..100, more in 1_u32..=100,
    ) {
        let larger = (percent + more).min(100);
        let before = drawn(percent, Some(subject), "dep.2", chance[0]);

        prop_assert_eq!(before, drawn(percent, Some(subject), "dep.2", chance[1]));
        prop_assert!(!before || drawn(larger, Some(subject), "dep.2", chance[1]));
        prop_assert!(drawn(100, Some(subject), "dep.2", chance[0]) && drawn(100, None, "dep.2", chance[0]));
        prop_assert!(!drawn(0, Some(subject), "dep.2", chance[0]) && !drawn(0, None, "dep.2", chance[0]));
    }

    /// Over many calls and over many subjects, a candidate gets its share.
    #[test]
    fn a_candidate_gets_its_share(seed in any::<u64>(), percent in 0_u32..=100) {
        let calls = chances(10_000).filter(|random| drawn(percent, None, "dep.2", *random)).count();
        let keys = (0..10_000).map(|n| sticky_key("end", &format!("{seed}-{n}")));
        let subjects = keys.filter(|key| drawn(percent, Some(*key), "dep.2", 0)).count();

        for part in [calls, subjects] {
            // Five standard deviations of ten thousand draws.
            prop_assert!(part.abs_diff(percent as usize * 100) <= 250, "{part} at {percent} %");
        }
    }
}
