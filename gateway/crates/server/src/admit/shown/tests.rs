use std::time::Duration;

use super::{grouped, money, span};

#[test]
fn durations_are_written_as_client_libraries_read_them() {
    let shown: Vec<_> = [0, 12, 999, 1_000, 6_400, 59_001, 360_000, 3_600_000, 3_661_500]
        .map(Duration::from_millis)
        .map(span)
        .into();

    let expected = ["0ms", "12ms", "999ms", "1s", "6.4s", "59.001s", "6m0s", "1h0m0s", "1h1m1.5s"];
    assert_eq!(shown, expected);
    assert_eq!(span(Duration::from_micros(1)), "1ms");
}

#[test]
fn thousands_stand_apart() {
    assert_eq!(
        [7, 999, 1_000, 60_000, 1_234_567].map(grouped),
        ["7", "999", "1,000", "60,000", "1,234,567"]
    );
}

#[test]
fn money_is_written_to_the_hundredth_or_as_small_as_it_is() {
    let shown = [25_000_000_000, 1_234_567_800_000_000, 20_000, 0].map(|nano| money(nano, "EUR"));

    assert_eq!(shown, ["25.00 EUR", "1,234,567.80 EUR", "0.00002 EUR", "0.00 EUR"]);
}
