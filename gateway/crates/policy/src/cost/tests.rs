use proptest::prelude::*;
use towpath_wire::routing::Price;

use super::{Usage, cost};

fn price(input: u64, output: u64, cached: Option<u64>) -> Price {
    Price {
        currency: "EUR".into(),
        input_nano_per_million: input,
        output_nano_per_million: output,
        cached_input_nano_per_million: cached,
    }
}

fn used(input: u64, output: u64) -> Usage {
    Usage { input: Some(input), output: Some(output), cached_input: None }
}

#[test]
fn ten_tokens_at_two_cents_per_million_do_not_round_to_nothing() {
    assert_eq!(cost(&price(20_000_000, 0, None), &used(10, 0)), Some(200));
}

#[test]
fn the_sum_is_rounded_once_and_half_goes_up() {
    assert_eq!(cost(&price(250_000, 250_000, None), &used(1, 1)), Some(1));
}

#[test]
fn cached_tokens_have_their_own_price() {
    let usage = Usage { input: Some(100), output: Some(0), cached_input: Some(40) };

    assert_eq!(cost(&price(1_000_000, 0, Some(500_000)), &usage), Some(80));
}

#[test]
fn cached_tokens_without_a_price_of_their_own_cost_as_input() {
    let usage = Usage { input: Some(100), output: Some(0), cached_input: Some(40) };

    assert_eq!(cost(&price(1_000_000, 0, None), &usage), Some(100));
}

#[test]
fn nothing_counted_costs_an_unknown_amount() {
    assert_eq!(cost(&price(1, 1, None), &Usage::default()), None);
}

proptest! {
    /// No count and no price, however absurd, overflows or goes down when more was used.
    #[test]
    fn more_tokens_never_cost_less(input: u64, output: u64, more: u64, a: u64, b: u64) {
        let price = price(a, b, None);

        prop_assert!(
            cost(&price, &used(input, output)) <= cost(&price, &used(input.saturating_add(more), output))
        );
    }
}
