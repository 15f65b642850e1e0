use proptest::prelude::*;
use towpath_wire::routing::Period;

use super::{civil, day_of, period_end, period_start, rfc3339};

const PERIODS: [Period; 3] = [Period::Day, Period::Week, Period::Month];
/// 2026-11-27T18:30:12.345Z, a Friday.
const FRIDAY: i64 = 1_795_804_212_345;

#[test]
fn periods_begin_at_midnight_on_monday_and_on_the_first() {
    let starts = PERIODS.map(|period| rfc3339(period_start(period, FRIDAY)));

    assert_eq!(starts, ["2026-11-27T00:00:00Z", "2026-11-23T00:00:00Z", "2026-11-01T00:00:00Z"]);
}

#[test]
fn periods_end_where_the_next_begins() {
    let ends = PERIODS.map(|period| rfc3339(period_end(period, FRIDAY)));

    assert_eq!(ends, ["2026-11-28T00:00:00Z", "2026-11-30T00:00:00Z", "2026-12-01T00:00:00Z"]);
    let december = period_end(Period::Month, FRIDAY);
    assert_eq!(rfc3339(period_end(Period::Month, december)), "2027-01-01T00:00:00Z");
    // A leap year's February.
    assert_eq!(rfc3339(period_end(Period::Month, 1_834_000_000_000)), "2028-03-01T00:00:00Z");
}

#[test]
fn a_time_within_a_second_is_rounded_up() {
    assert_eq!(rfc3339(FRIDAY), "2026-11-27T18:30:13Z");
}

proptest! {
    #[test]
    fn every_day_has_one_date(day in -100_000_i64..200_000) {
        let (year, month, date) = civil(day);
        let (next_year, next_month, next_date) = civil(day + 1);

        prop_assert_eq!(day_of(year, month, date), day);
        prop_assert!((next_year, next_month, next_date) > (year, month, date));
    }

    #[test]
    fn every_time_is_in_its_period(time in -1_000_000_000_000_i64..9_000_000_000_000) {
        for period in PERIODS {
            let (start, end) = (period_start(period, time), period_end(period, time));

            prop_assert!(start <= time && time < end);
            prop_assert_eq!(period_start(period, end), end);
            prop_assert_eq!(period_start(period, end - 1), start);
        }
    }
}
