use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::GpuClock;

fn at(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn a_call_alone_has_all_gpus_to_itself() {
    let clock = Arc::new(GpuClock::default());
    let call = clock.begin(at(5));

    assert_eq!(call.end(at(15), 2), 20_000);
}

#[test]
fn calls_in_flight_together_share_evenly() {
    let clock = Arc::new(GpuClock::default());
    let long = clock.begin(at(0));
    let short = clock.begin(at(10));

    assert_eq!(short.end(at(20), 1), 5_000);
    assert_eq!(long.end(at(30), 1), 10_000 + 5_000 + 10_000);
}

#[test]
fn a_call_that_is_forgotten_holds_no_share_for_ever() {
    let clock = Arc::new(GpuClock::default());
    drop(clock.begin(at(0)));
    let call = clock.begin(at(10));

    assert_eq!(call.end(at(20), 1), 10_000);
}

proptest! {
    /// Whatever the order, the shares of all calls are the time in which any was in flight.
    #[test]
    fn shares_sum_up_to_the_busy_time(spans in prop::collection::vec((0..1_000_u64, 1..1_000_u64), 1..40)) {
        let clock = Arc::new(GpuClock::default());
        let mut edges: Vec<(u64, bool, usize)> = spans
            .iter()
            .enumerate()
            .flat_map(|(call, (from, length))| [(*from, true, call), (from + length, false, call)])
            .collect();
        edges.sort_unstable();
        let mut running = std::collections::BTreeMap::new();
        let (mut shares, mut busy_us, mut since) = (0_u64, 0_u64, 0_u64);
        for (ms, begins, call) in edges {
            if !running.is_empty() {
                busy_us += (ms - since) * 1_000;
            }
            since = ms;
            if begins {
                running.insert(call, clock.begin(at(ms)));
            } else if let Some(held) = running.remove(&call) {
                shares += held.end(at(ms), 1);
            }
        }

        // Half a microsecond of rounding for each call.
        prop_assert!(shares.abs_diff(busy_us) <= spans.len() as u64);
    }
}
