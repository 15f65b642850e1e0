//! What a request cost: integers only, computed once, when its record closes.

use towpath_wire::routing::Price;

/// Tokens one request used. Absent is "not known", never zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// All input tokens, those read from a cache included.
    pub input: Option<u64>,
    pub output: Option<u64>,
    /// The part of `input` that came from the upstream's cache.
    pub cached_input: Option<u64>,
}

/// Price a request in nano-units, rounded half up once over the whole sum.
///
/// `None` when nothing was counted: an unknown amount must not look like a free one.
pub fn cost(price: &Price, usage: &Usage) -> Option<u64> {
    if usage.input.is_none() && usage.output.is_none() {
        return None;
    }
    let input = usage.input.unwrap_or(0);
    let cached = usage.cached_input.unwrap_or(0).min(input);
    let cached_price = price.cached_input_nano_per_million.unwrap_or(price.input_nano_per_million);
    let product = |tokens: u64, price: u64| u128::from(tokens) * u128::from(price);
    let sum = product(input - cached, price.input_nano_per_million)
        .saturating_add(product(cached, cached_price))
        .saturating_add(product(usage.output.unwrap_or(0), price.output_nano_per_million));
    Some(u64::try_from(sum.saturating_add(500_000) / 1_000_000).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
