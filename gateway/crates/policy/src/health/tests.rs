use proptest::prelude::*;
use towpath_wire::signals::Breaker;

use super::{Change, Health, HealthRules, Standing};

const RULES: HealthRules = HealthRules {
    failures: 5,
    window_percent: 50,
    window_calls: 20,
    window_ms: 10_000,
    probe_failures: 3,
    first_ms: 5_000,
    most_ms: 300_000,
    forget_ms: 600_000,
};

fn fail(health: &mut Health, now: i64) -> Option<Change> {
    let trial = health.begin(now);
    health.failed(now, trial, "upstream_timeout", 0, &RULES)
}

fn succeed(health: &mut Health, now: i64) -> Option<Change> {
    let trial = health.begin(now);
    health.succeeded(now, trial, &RULES)
}

fn ejected() -> Health {
    let mut health = Health::default();
    for now in 0..5 {
        fail(&mut health, now);
    }
    health
}

#[test]
fn five_failures_in_a_row_eject_and_four_do_not() {
    let mut health = Health::default();
    for now in 0..4 {
        assert_eq!(fail(&mut health, now), None);
    }
    assert_eq!(health.standing(4), Standing::Available);
    assert_eq!(fail(&mut health, 4), Some(Change::Ejected { until_ms: 5_004 }));

    assert_eq!(health.standing(5), Standing::Out { until_ms: 5_004 });
    assert_eq!((health.breaker(5), health.ejected_until_ms(5)), (Breaker::Open, Some(5_004)));
    assert_eq!(health.last_error(), Some(("upstream_timeout", 4)));
}

#[test]
fn half_of_twenty_calls_in_a_window_eject() {
    let mut health = Health::default();
    for now in 0..9 {
        assert_eq!(succeed(&mut health, now), None);
        assert_eq!(fail(&mut health, now), None);
    }
    succeed(&mut health, 9);

    assert!(matches!(fail(&mut health, 9), Some(Change::Ejected { .. })));
}

#[test]
fn failures_that_are_long_ago_do_not_count() {
    let mut health = Health::default();
    for now in 0..9 {
        succeed(&mut health, now);
        fail(&mut health, now);
    }
    succeed(&mut health, 20_000);

    assert_eq!(fail(&mut health, 20_001), None);
}

#[test]
fn after_the_ejection_one_call_decides() {
    let mut health = ejected();
    assert_eq!(health.standing(5_004), Standing::OnTrial);
    assert!(health.begin(5_004));
    assert!(matches!(health.standing(5_005), Standing::Out { .. }), "there is one already");
    assert_eq!(health.breaker(5_005), Breaker::HalfOpen);

    let mut failing = health.clone();
    assert_eq!(
        failing.failed(6_000, true, "again", 0, &RULES),
        Some(Change::Ejected { until_ms: 16_000 }),
        "twice as long"
    );
    assert_eq!(health.succeeded(6_000, true, &RULES), Some(Change::Restored));
    assert_eq!(health.standing(6_000), Standing::Available);
}

#[test]
fn a_trial_whose_caller_left_is_tried_again() {
    let mut health = ejected();
    let trial = health.begin(5_004);
    health.abandoned(5_010, trial);

    assert_eq!(health.standing(5_010), Standing::OnTrial);
}

#[test]
fn a_call_from_before_the_ejection_does_not_end_it() {
    let mut health = Health::default();
    let early = health.begin(0);
    for now in 0..5 {
        fail(&mut health, now);
    }

    assert_eq!(health.succeeded(10, early, &RULES), None);
    assert!(matches!(health.standing(10), Standing::Out { .. }));
}

#[test]
fn a_call_that_went_there_for_want_of_others_restores() {
    let mut health = ejected();
    let forced = health.begin(10);

    assert_eq!(health.succeeded(20, forced, &RULES), Some(Change::Restored));
}

#[test]
fn who_asks_for_rest_gets_it_and_is_not_sick() {
    let mut health = Health::default();
    let trial = health.begin(0);
    health.rest(0, 7_000, trial, "429");

    assert_eq!(health.standing(6_999), Standing::Out { until_ms: 7_000 });
    assert_eq!((health.breaker(1), health.failures()), (Breaker::Closed, 0));
    assert_eq!(health.standing(7_000), Standing::Available);
}

#[test]
fn three_failed_probes_eject_and_one_good_one_restores() {
    let mut health = Health::default();
    assert_eq!(health.probed(0, Err("refused"), 0, &RULES), None);
    assert_eq!(health.probed(1, Err("refused"), 0, &RULES), None);
    assert!(matches!(health.probed(2, Err("refused"), 0, &RULES), Some(Change::Ejected { .. })));
    assert!(
        matches!(health.standing(i64::MAX - 1), Standing::Out { .. }),
        "a call does not try it"
    );

    assert_eq!(health.probed(9, Ok(()), 0, &RULES), Some(Change::Restored));
    assert_eq!(health.standing(9), Standing::Available);
}

#[test]
fn a_good_probe_does_not_restore_whom_calls_ejected() {
    let mut health = ejected();

    assert_eq!(health.probed(100, Ok(()), 0, &RULES), None);
    assert!(matches!(health.standing(100), Standing::Out { .. }));
}

#[test]
fn a_long_time_without_trouble_makes_the_next_ejection_a_first_one() {
    let mut health = ejected();
    succeed(&mut health, 6_000);
    let now = 6_000 + RULES.forget_ms + 1;
    for _ in 0..4 {
        fail(&mut health, now);
    }

    assert_eq!(fail(&mut health, now), Some(Change::Ejected { until_ms: now + RULES.first_ms }));
}

proptest! {
    /// Whatever happens, a replica is out for a bounded time and then has a call to prove itself, and there
    /// is at most one such call at a time.
    #[test]
    fn no_ejection_is_for_ever(steps in prop::collection::vec((0..4_u8, 0..20_000_i64, any::<u64>()), 1..200)) {
        let mut health = Health::default();
        let mut now = 0;
        let mut trials = 0_u32;
        for (step, pause, random) in steps {
            now += pause;
            let standing = health.standing(now);
            if let Standing::Out { until_ms } = standing {
                prop_assert!(until_ms == i64::MAX || until_ms <= now + RULES.most_ms * 6 / 5 + 1);
                if until_ms == i64::MAX {
                    prop_assert_eq!(trials, 1);
                }
                if trials == 0 {
                    continue;
                }
            }
            if trials == 0 {
                let on_trial = standing == Standing::OnTrial;
                let trial = health.begin(now);
                prop_assert_eq!(trial, on_trial);
                trials = u32::from(trial);
            }
            let trial = trials == 1;
            match step {
                0 => { health.succeeded(now, trial, &RULES); }
                1 | 2 => { health.failed(now, trial, "x", random, &RULES); }
                _ => health.abandoned(now, trial),
            }
            trials = 0;
        }
    }

    /// Ejections grow and never pass their bound and its fifth.
    #[test]
    fn ejections_grow_up_to_a_bound(random: u64, count in 1..30_usize) {
        let mut health = ejected();
        let mut last = 0;
        for _ in 0..count {
            let now = health.ejected_until_ms(0).unwrap();
            let trial = health.begin(now);
            let Some(Change::Ejected { until_ms }) = health.failed(now, trial, "x", random, &RULES) else {
                return Err(TestCaseError::fail("the trial failed and nothing happened"));
            };
            let length = until_ms - now;
            prop_assert!(length >= last.min(RULES.most_ms) && length <= RULES.most_ms * 6 / 5);
            last = length;
        }
    }
}
