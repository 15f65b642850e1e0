use proptest::prelude::*;
use towpath_wire::routing::Price;

use super::{Dearest, Usage, cost, gpu_cost};

fn price(input: u64, output: u64, cached: Option<u64>) -> Price {
    Price {
        currency: "EUR".into(),
        input_nano_per_million: input,
        output_nano_per_million: output,
        cached_input_nano_per_million: cached,
        ..Price::default()
    }
}

fn used(input: u64, output: u64) -> Usage {
    Usage { input: Some(input), output: Some(output), ..Usage::default() }
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
    let usage =
        Usage { input: Some(100), output: Some(0), cached_input: Some(40), ..Usage::default() };

    assert_eq!(cost(&price(1_000_000, 0, Some(500_000)), &usage), Some(80));
}

#[test]
fn every_kind_of_token_has_its_own_price_and_the_rest_the_plain_one() {
    let price = Price {
        cached_input_nano_per_million: Some(1_000_000),
        cache_write_nano_per_million: Some(20_000_000),
        audio_input_nano_per_million: Some(50_000_000),
        reasoning_nano_per_million: Some(60_000_000),
        audio_output_nano_per_million: Some(70_000_000),
        ..price(10_000_000, 40_000_000, None)
    };
    let usage = Usage {
        cached_input: Some(1),
        cache_write: Some(2),
        audio_input: Some(3),
        reasoning: Some(4),
        audio_output: Some(5),
        ..used(10, 20)
    };

    let input = 1 + 2 * 20 + 3 * 50 + 4 * 10;
    let output = 4 * 60 + 5 * 70 + 11 * 40;
    assert_eq!(cost(&price, &usage), Some(input + output));
}

#[test]
fn parts_that_exceed_their_whole_cost_no_more_than_the_whole_allows() {
    let price =
        Price { cache_write_nano_per_million: Some(20_000_000), ..price(0, 0, Some(10_000_000)) };
    let usage = Usage { cached_input: Some(7), cache_write: Some(7), ..used(10, 0) };

    assert_eq!(cost(&price, &usage), Some(7 * 10 + 3 * 20));
}

#[test]
fn a_request_pays_for_being_made_and_for_its_time_on_the_gpu() {
    let price = Price { request_nano: Some(5), gpu_second_nano: Some(1_000), ..price(0, 0, None) };

    assert_eq!(cost(&price, &used(1, 1)), Some(5));
    assert_eq!(gpu_cost(&price, 1_500_500), Some(1_501));
    assert_eq!(gpu_cost(&Price::default(), 1_500_500), None);
}

#[test]
fn cached_tokens_without_a_price_of_their_own_cost_as_input() {
    let usage =
        Usage { input: Some(100), output: Some(0), cached_input: Some(40), ..Usage::default() };

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

#[test]
fn the_dearest_price_bounds_the_cost_on_every_target() {
    let cheap = Price { input_nano_per_million: 9, output_nano_per_million: 5, ..Price::default() };
    let dear = Price {
        input_nano_per_million: 2_000_000,
        output_nano_per_million: 3_000_000,
        reasoning_nano_per_million: Some(7_000_000),
        request_nano: Some(11),
        ..Price::default()
    };
    let dearest = Dearest::of([&cheap, &dear].into_iter());
    let used = Usage { input: Some(10), output: Some(20), reasoning: Some(20), ..Usage::default() };

    assert_eq!(dearest.cost(10, 20), cost(&dear, &used).unwrap());
    assert_eq!(dearest.output_for(dearest.cost(10, 20), 10), 20);
    assert_eq!(Dearest::default().output_for(0, 10), u64::MAX);
}
