use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use towpath_wire::routing::{Limit, Rate, Subject};

use super::{Ask, Counted, LimitRule, Moment, take_all};
use crate::Id;

fn rule(limit: Limit) -> LimitRule {
    let subject = Subject { key: Some("key_1".to_owned()), ..Subject::default() };
    LimitRule::new(Id::from("lim_1"), Arc::new(Limit { subject, ..limit }))
}

fn per_second(limit: u64, burst: Option<u64>) -> LimitRule {
    rule(Limit { requests_per_second: Some(Rate { limit, burst }), ..Limit::default() })
}

fn tokens(limit: u64, burst: Option<u64>) -> LimitRule {
    rule(Limit { tokens_per_minute: Some(Rate { limit, burst }), ..Limit::default() })
}

fn at(nanos: u64) -> Moment {
    Moment::after(Duration::from_nanos(nanos))
}

fn ask(now: Moment) -> Ask {
    Ask { now, tokens: 0, gateways: 1 }
}

/// In every window that begins and ends with an admission: at most `burst + rate · t`.
fn holds(admitted: &[u64], rate_per_second: f64, burst: u64) -> Result<(), TestCaseError> {
    for (first, start) in admitted.iter().enumerate() {
        for (last, end) in admitted.iter().enumerate().skip(first) {
            #[expect(clippy::cast_precision_loss, reason = "small numbers")]
            let allowed = burst as f64 + rate_per_second * (end - start) as f64 / 1e9;
            let count = last - first + 1;
            prop_assert!(count as f64 <= allowed + 1e-6, "{count} in {} ns", end - start);
        }
    }
    Ok(())
}

/// Whether the formula leaves room for one more at `now`, after these.
#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn has_room(admitted: &[u64], now: u64, rate_per_second: f64, burst: u64, slack: f64) -> bool {
    admitted.iter().enumerate().all(|(index, start)| {
        let count = (admitted.len() - index + 1) as f64;
        count + slack <= burst as f64 + rate_per_second * (now - start) as f64 / 1e9
    })
}

proptest! {
    /// Never more than the formula, and never refused when the formula allows it.
    #[test]
    fn a_rate_is_its_formula_both_ways(
        limit in 1_u64..2_000,
        burst in proptest::option::of(1_u64..40),
        minute in any::<bool>(),
        pauses in prop::collection::vec(prop_oneof![0_u64..1_000, 0_u64..20_000_000, 0_u64..3_000_000_000], 1..120),
    ) {
        let rate = Rate { limit, burst };
        let rule = if minute {
            rule(Limit { requests_per_minute: Some(rate), ..Limit::default() })
        } else {
            rule(Limit { requests_per_second: Some(rate), ..Limit::default() })
        };
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let rate = limit as f64 / if minute { 60.0 } else { 1.0 };
        let burst = burst.unwrap_or(if minute { limit / 12 } else { limit / 10 }).max(1);
        let mut admitted = Vec::new();
        let mut now = 0;
        for pause in pauses {
            now += pause;
            match rule.take(&ask(at(now))) {
                Ok(()) => admitted.push(now),
                Err(full) => {
                    // The slack is the rounding of one unit's ticks.
                    prop_assert!(!has_room(&admitted, now, rate, burst, 1e-5), "refused at {now}");
                    // And when the wait it names is over, it passes.
                    now += u64::try_from(full.wait.unwrap().as_nanos()).unwrap();
                    prop_assert!(rule.take(&ask(at(now))).is_ok());
                    admitted.push(now);
                }
            }
        }
        holds(&admitted, rate, burst)?;
    }

    /// Several gateways that each keep to their part keep to the limit together.
    #[test]
    fn gateways_together_keep_one_limit(
        limit in 1_u64..500, burst in 8_u64..40, gateways in 1_u32..8,
        pauses in prop::collection::vec((0_u64..30_000_000, 0_usize..8), 1..200),
    ) {
        let rules: Vec<_> = (0..gateways).map(|_| per_second(limit, Some(burst))).collect();
        let mut admitted = Vec::new();
        let mut now = 0;
        for (pause, at_gateway) in pauses {
            now += pause;
            let ask = Ask { now: at(now), tokens: 0, gateways };
            if rules[at_gateway % rules.len()].take(&ask).is_ok() {
                admitted.push(now);
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        holds(&admitted, limit as f64, burst)?;
    }

    /// What is reserved and given back leaves no trace; what was used beyond the estimate is owed.
    #[test]
    fn tokens_are_settled_to_what_was_used(estimate in 1_u64..1_000, used in 0_u64..5_000) {
        let settled = tokens(60_000, Some(1_000));
        let plain = tokens(60_000, Some(1_000));
        let reserve = Ask { now: at(0), tokens: estimate, gateways: 1 };
        settled.take(&reserve).unwrap();
        settled.settle(&reserve, used, at(0));
        plain.take(&Ask { now: at(0), tokens: used, gateways: 1 }).unwrap();

        let standing = |rule: &LimitRule| rule.standing(Counted::TokensPerMinute, at(0), 1);
        prop_assert_eq!(standing(&settled), standing(&plain));
    }

    /// The rate's other units: a changed rate keeps what was used.
    #[test]
    fn a_changed_rate_keeps_what_was_used(
        before in 1_u64..1_000, after in 1_u64..1_000, used in 1_u64..50,
    ) {
        let former = per_second(before, Some(50));
        for _ in 0..used.min(50) {
            former.take(&ask(at(0))).unwrap();
        }
        let limit = Limit { requests_per_second: Some(Rate { limit: after, burst: Some(50) }), ..Limit::clone(&former.limit) };
        let next = former.changed(Arc::new(limit));
        next.take_over(&former.limit, at(0));
        let mut passed = 0;
        while next.take(&ask(at(0))).is_ok() {
            passed += 1;
        }

        prop_assert_eq!(passed, 50 - used);
    }
}

/// Threads that hammer one limit get what the formula gives, and not one more.
#[test]
fn many_threads_share_one_limit_exactly() {
    let rule = per_second(1_000, Some(25));
    let clock = AtomicU64::new(0);
    let admitted = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..4_000 {
                    let now = clock.fetch_add(20_000, Ordering::SeqCst);
                    if rule.take(&ask(at(now))).is_ok() {
                        admitted.lock().unwrap().push(now);
                    }
                }
            });
        }
    });
    let mut admitted = admitted.into_inner().unwrap();
    admitted.sort_unstable();

    // 32,000 tries of 20 µs: 0.64 s.
    holds(&admitted, 1_000.0, 25).unwrap();
    let all = 25 + 640;
    assert!((all - 30..=all).contains(&admitted.len()), "{}", admitted.len());
}

#[test]
fn calls_in_flight_are_never_more_than_the_limit_and_all_leave() {
    let rule = rule(Limit { concurrency: Some(5), ..Limit::default() });
    let (inside, most) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..2_000 {
                    let ask = ask(at(0));
                    if rule.take(&ask).is_ok() {
                        most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        inside.fetch_sub(1, Ordering::SeqCst);
                        rule.settle(&ask, 0, at(0));
                    }
                }
            });
        }
    });

    assert!(most.into_inner() <= 5);
    assert_eq!(rule.taken(at(0), 1).unwrap().in_flight, 0);
}

#[test]
fn a_call_larger_than_the_burst_passes_when_nothing_is_owed_and_is_paid_off() {
    let rule = tokens(60_000, None);
    let large = |now| Ask { now, tokens: 30_000, gateways: 1 };
    rule.take(&large(at(0))).unwrap();
    let next = rule.take(&Ask { tokens: 1, ..large(at(0)) }).unwrap_err();

    // 30,000 tokens take 30 s; 5 s of them were the burst.
    let wait = next.wait.unwrap();
    assert!((Duration::from_secs(25)..Duration::from_millis(25_002)).contains(&wait), "{wait:?}");
}

#[test]
fn a_call_larger_than_a_whole_minute_never_passes() {
    let full = tokens(60_000, None).take(&Ask { now: at(0), tokens: 60_001, gateways: 1 });

    assert!(full.unwrap_err().too_large);
}

#[test]
fn a_call_that_one_limit_refuses_takes_nothing_from_the_others() {
    let wide = per_second(1_000, Some(10));
    let narrow = rule(Limit { concurrency: Some(1), ..Limit::default() });
    let rules = [&wide, &narrow];
    take_all(rules.into_iter(), &ask(at(0))).unwrap();
    let (refused_by, full) = take_all(rules.into_iter(), &ask(at(0))).unwrap_err();
    let left = wide.standing(Counted::RequestsPerSecond, at(0), 1).unwrap().remaining;

    assert_eq!((&refused_by.limit, full.counted), (&narrow.limit, Counted::Concurrency));
    assert_eq!(left, 9);
}
