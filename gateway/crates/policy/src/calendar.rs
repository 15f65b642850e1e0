//! Days, weeks and months in UTC, out of milliseconds since the epoch.

use std::fmt::Write as _;

use towpath_wire::routing::Period;

const DAY_MS: i64 = 86_400_000;

/// When the period that holds a time began.
pub fn period_start(period: Period, time_ms: i64) -> i64 {
    let day = time_ms.div_euclid(DAY_MS);
    let first = match period {
        Period::Day => day,
        // The epoch was a Thursday: three days after a Monday.
        Period::Week => day - (day + 3).rem_euclid(7),
        Period::Month => {
            let (year, month, _) = civil(day);
            day_of(year, month, 1)
        }
    };
    first.saturating_mul(DAY_MS)
}

/// When the period after the one that holds a time begins.
pub fn period_end(period: Period, time_ms: i64) -> i64 {
    let start = period_start(period, time_ms);
    match period {
        Period::Day => start + DAY_MS,
        Period::Week => start + 7 * DAY_MS,
        Period::Month => {
            let (year, month, _) = civil(start.div_euclid(DAY_MS));
            let (year, month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
            day_of(year, month, 1).saturating_mul(DAY_MS)
        }
    }
}

/// A time as RFC 3339 has it, in whole seconds, rounded up: `2026-12-01T00:00:00Z`.
pub fn rfc3339(time_ms: i64) -> String {
    let seconds = time_ms.div_euclid(1_000) + i64::from(time_ms.rem_euclid(1_000) > 0);
    let (year, month, day) = civil(seconds.div_euclid(86_400));
    let second = seconds.rem_euclid(86_400);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    let mut text = String::with_capacity(20);
    let _ = write!(text, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z");
    text
}

/// Year, month and day of a day since the epoch (H. Hinnant, "chrono-compatible low-level date
/// algorithms": years begin in March, so that the leap day comes last).
fn civil(day: i64) -> (i64, i64, i64) {
    let shifted = day + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// The day since the epoch of a date; the inverse of [`civil`].
fn day_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let shifted_month = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * shifted_month + 2) / 5 + day - 1;
    let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
    era * 146_097 + of_era - 719_468
}

#[cfg(test)]
mod tests;
