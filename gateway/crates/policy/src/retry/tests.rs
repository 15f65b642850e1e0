use proptest::prelude::*;
use towpath_wire::routing::Retries;

use super::RetryBudget;

fn rules(budget_percent: u32, min_per_second: u32) -> Retries {
    Retries { attempts: 4, budget_percent, min_per_second }
}

#[test]
fn a_quiet_endpoint_can_retry() {
    let mut budget = RetryBudget::new(rules(20, 10), 0);

    assert!((0..100).all(|_| budget.retry(rules(20, 10), 0)));
    assert!(!budget.retry(rules(20, 10), 0));
    assert!(budget.retry(rules(20, 10), 100), "ten a second");
}

#[test]
fn calls_earn_retries_in_proportion() {
    let mut budget = RetryBudget::new(rules(20, 0), 0);
    while budget.retry(rules(20, 0), 0) {}
    for _ in 0..25 {
        budget.call(rules(20, 0), 0);
    }

    assert_eq!((0..100).filter(|_| budget.retry(rules(20, 0), 0)).count(), 5);
}

proptest! {
    /// Retries never exceed what is saved, plus the rate, plus the share of the calls.
    #[test]
    fn a_storm_is_bounded(
        percent in 0..100_u32, rate in 0..20_u32,
        steps in prop::collection::vec((0..500_i64, 0..50_u64, 0..200_u64), 1..60),
    ) {
        let rules = rules(percent, rate);
        let mut budget = RetryBudget::new(rules, 0);
        let (mut now, mut calls, mut retries) = (0, 0, 0);
        for (pause, made, wanted) in steps {
            now += pause;
            for _ in 0..made {
                budget.call(rules, now);
            }
            calls += made;
            retries += (0..wanted).filter(|_| budget.retry(rules, now)).count() as u64;
            let held = (u64::from(rate) * 10).max(10) * 1_000;
            let most = held + u64::from(rate) * u64::try_from(now).unwrap() + u64::from(percent) * 10 * calls;
            prop_assert!(retries * 1_000 <= most, "{retries} of {most} thousandths");
        }
    }
}
