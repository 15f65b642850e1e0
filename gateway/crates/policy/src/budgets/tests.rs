use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;
use towpath_wire::budget::BudgetState;
use towpath_wire::routing::{Budget, BudgetMode, Period, Subject};

use super::{BudgetRule, Claim};
use crate::{Id, period_start};

/// 2026-11-27T18:30:12Z.
const NOW: i64 = 1_795_804_212_000;
const DAY: i64 = 86_400_000;

fn budget(tokens: u64, mode: BudgetMode) -> BudgetRule {
    let budget = Budget {
        subject: Subject { team: Some("team_1".to_owned()), ..Subject::default() },
        label: "team care".to_owned(),
        tokens: Some(tokens),
        cost_nano: None,
        period: Period::Day,
        mode,
        warn_percent: 80,
    };
    BudgetRule::new(Id::from("bud_1"), Arc::new(budget))
}

fn claim(estimate: u64, bound: u64) -> Claim {
    Claim { time_ms: NOW, estimate, bound, least: estimate }
}

fn state(used: u64, as_of: u64) -> BudgetState {
    BudgetState {
        budget: "bud_1".to_owned(),
        period_start_ms: period_start(Period::Day, NOW),
        used,
        as_of: BTreeMap::from([("gw_1".to_owned(), as_of)]),
    }
}

proptest! {
    /// Whatever calls use within their bounds, in whatever order they come and go: never over.
    #[test]
    fn a_hard_budget_is_never_over(
        amount in 1_u64..20_000,
        calls in prop::collection::vec((1_u64..2_000, 1_u64..4_000, 0_u64..=100, 0_usize..6), 1..80),
    ) {
        let rule = budget(amount, BudgetMode::Hard);
        let mut open = Vec::new();
        let mut used = 0;
        let mut sequence = 0;
        for (estimate, more, share, end) in calls {
            if let Ok(grant) = rule.reserve(&claim(estimate, estimate + more), 1) {
                open.push((grant, grant.bound * share / 100));
            }
            if end < open.len() {
                let (grant, spent) = open.swap_remove(end);
                sequence += 1;
                used += spent;
                rule.settle(&grant, sequence, spent);
            }
            prop_assert_eq!(rule.standing(NOW).used, used);
        }
        for (grant, _) in open {
            // The worst: all that are left use all they may.
            used += grant.bound;
        }
        prop_assert!(used <= amount, "{used} of {amount}");
    }

    /// A call that certainly fits beside everything in flight is never refused.
    #[test]
    fn a_call_that_fits_is_never_refused(
        amount in 1_000_u64..20_000, bounds in prop::collection::vec(1_u64..400, 0..20),
    ) {
        let rule = budget(amount, BudgetMode::Hard);
        let mut held = 0;
        for bound in bounds {
            let fits = held + bound <= amount;
            let granted = rule.reserve(&claim(bound, bound), 1);
            prop_assert_eq!(granted.is_ok(), fits);
            held += granted.map_or(0, |grant| grant.bound);
        }
    }

    /// What is used is what the ledger has plus the later records, in whatever order both are heard of.
    #[test]
    fn nothing_counts_twice_or_not_at_all(
        amounts in prop::collection::vec(1_u64..100, 1..40),
        heard in prop::collection::vec((0_usize..40, 0_usize..40), 0..20),
    ) {
        let rule = budget(u64::MAX, BudgetMode::Hard);
        let total: u64 = amounts.iter().sum();
        let mut words = heard.into_iter();
        for (index, amount) in amounts.iter().enumerate() {
            let grant = rule.reserve(&claim(*amount, 200), 1).unwrap();
            // A record may be shipped and acknowledged before its call has settled.
            if let Some((through, _)) = words.next() {
                let through = through.min(index + 1);
                rule.learn(&state(amounts[..through].iter().sum(), through as u64), "gw_1");
            }
            rule.settle(&grant, index as u64 + 1, *amount);
            rule.recover(NOW, index as u64 + 1, *amount);
        }
        let standing = rule.standing(NOW);

        prop_assert_eq!(standing.used, total);
        prop_assert_eq!(standing.reserved, 0);
    }
}

/// Coding agents ask for far more than they use: a budget with nothing spent is not filled by them.
#[test]
fn bounds_that_are_far_too_high_do_not_fill_a_budget() {
    let rule = budget(1_000_000, BudgetMode::Hard);
    let grants: Vec<_> = (0..40).map(|_| rule.reserve(&claim(4_000, 128_000), 1)).collect();

    assert!(grants.iter().all(Result::is_ok));
    assert_eq!(grants[0].unwrap().bound, 62_500);
    assert!(grants[39].unwrap().bound >= 8_000);
}

/// Threads that exhaust a budget together use it up to the last token, and not one more.
#[test]
fn concurrent_exhaustion_is_never_over() {
    let rule = budget(100_000, BudgetMode::Hard);
    let (used, sequence) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (rule, used, sequence) = (rule.clone(), &used, &sequence);
            scope.spawn(move || {
                for call in 0..2_000_u64 {
                    let Ok(grant) = rule.reserve(&claim(20, 90), 1) else { continue };
                    let spent = (call * 7 + thread) % (grant.bound + 1);
                    used.fetch_add(spent, Ordering::SeqCst);
                    let sequence = sequence.fetch_add(1, Ordering::SeqCst) + 1;
                    rule.settle(&grant, sequence, spent);
                }
            });
        }
    });
    let used = used.into_inner();

    assert!(used <= 100_000, "{used}");
    assert!(used > 99_900, "{used}: it was not used up");
    assert_eq!(rule.standing(NOW).used, used);
}

#[test]
fn near_the_end_a_call_is_refused_and_told_whether_others_hold_what_is_left() {
    let rule = budget(1_000, BudgetMode::Hard);
    let first = rule.reserve(&claim(100, 900), 1).unwrap();
    let second = rule.reserve(&claim(100, 900), 1).unwrap();
    rule.reserve(&claim(400, 400), 1).unwrap();
    let held = rule.reserve(&claim(300, 300), 1).unwrap_err();
    rule.settle(&first, 1, first.bound);
    rule.settle(&second, 2, second.bound);
    let spent = rule.reserve(&claim(700, 700), 1).unwrap_err();

    assert_eq!((first.bound, second.bound), (200, 200));
    assert!(held.held);
    assert!(!spent.held);
    assert_eq!(spent.until_ms, period_start(Period::Day, NOW) + DAY);
}

#[test]
fn a_new_period_begins_with_nothing_used_and_the_former_one_is_settled_to() {
    let rule = budget(1_000, BudgetMode::Hard);
    let late = rule.reserve(&claim(900, 900), 1).unwrap();
    let tomorrow = Claim { time_ms: NOW + DAY, ..claim(250, 250) };
    let next = rule.reserve(&tomorrow, 1).unwrap();
    rule.settle(&late, 1, 900);
    rule.settle(&next, 2, 200);

    assert_eq!(rule.standing(NOW + DAY).used, 200);
    assert_eq!(rule.standing(NOW).used, 900);
}

#[test]
fn a_soft_budget_refuses_nothing_and_warns_from_its_share() {
    let rule = budget(1_000, BudgetMode::Soft);
    let before = rule.warning(NOW);
    let grant = rule.reserve(&claim(2_000, 2_000), 1).unwrap();
    rule.settle(&grant, 1, 850);

    assert_eq!((before, rule.warning(NOW)), (None, Some(85)));
}

#[test]
fn gateways_share_what_is_left() {
    let rule = budget(1_000, BudgetMode::Hard);
    rule.learn(&state(200, 1), "gw_1");
    let fits = rule.reserve(&claim(400, 400), 2);
    let over = rule.reserve(&claim(1, 1), 2);

    assert_eq!((fits.is_ok(), over.is_ok()), (true, false));
}
