//! What a request cost: integers only, computed once, when its record closes.

use towpath_wire::routing::Price;

/// What one request used. Absent is "not known", never zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// All input tokens; the parts below are among them.
    pub input: Option<u64>,
    /// All output tokens; the parts below are among them.
    pub output: Option<u64>,
    /// Read from the upstream's cache.
    pub cached_input: Option<u64>,
    /// Written into the upstream's cache.
    pub cache_write: Option<u64>,
    pub audio_input: Option<u64>,
    pub reasoning: Option<u64>,
    pub audio_output: Option<u64>,
}

/// Price a request in nano-units, rounded half up once over the whole sum.
///
/// A part never counts for more than what is left of its whole, so that an upstream that reports
/// nonsense is never paid for more tokens than it says it used.
/// `None` when nothing was counted: an unknown amount must not look like a free one.
pub fn cost(price: &Price, usage: &Usage) -> Option<u64> {
    if usage.input.is_none() && usage.output.is_none() {
        return None;
    }
    let input = [
        (usage.cached_input, price.cached_input_nano_per_million),
        (usage.cache_write, price.cache_write_nano_per_million),
        (usage.audio_input, price.audio_input_nano_per_million),
    ];
    let output = [
        (usage.reasoning, price.reasoning_nano_per_million),
        (usage.audio_output, price.audio_output_nano_per_million),
    ];
    // Millionths of a nano-unit.
    let sum = parts(usage.input, price.input_nano_per_million, &input)
        .saturating_add(parts(usage.output, price.output_nano_per_million, &output))
        .saturating_add(u128::from(price.request_nano.unwrap_or(0)) * 1_000_000);
    Some(rounded(sum))
}

/// Price a request's time on GPUs, in microseconds of one of them; `None` where they have no price.
pub fn gpu_cost(price: &Price, gpu_us: u64) -> Option<u64> {
    // A second holds a million microseconds, so the product is in millionths, too.
    price.gpu_second_nano.map(|nano| rounded(u128::from(gpu_us) * u128::from(nano)))
}

/// Millionths of a nano-unit in whole ones, half up.
fn rounded(millionths: u128) -> u64 {
    u64::try_from(millionths.saturating_add(500_000) / 1_000_000).unwrap_or(u64::MAX)
}

/// The dearest of several prices, part by part: what a call cannot cost more than, before its target is
/// known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dearest {
    input_nano_per_million: u64,
    output_nano_per_million: u64,
    request_nano: u64,
}

impl Dearest {
    /// Tokens of every kind count at the price of the dearest kind. Time on GPUs is not foretold.
    pub fn of<'p>(prices: impl Iterator<Item = &'p Price>) -> Self {
        prices.fold(Self::default(), |most, price| {
            let input = [
                Some(price.input_nano_per_million),
                price.cached_input_nano_per_million,
                price.cache_write_nano_per_million,
                price.audio_input_nano_per_million,
            ];
            let output = [
                Some(price.output_nano_per_million),
                price.reasoning_nano_per_million,
                price.audio_output_nano_per_million,
            ];
            let dearest =
                |parts: &[Option<u64>]| parts.iter().copied().flatten().max().unwrap_or(0);
            Self {
                input_nano_per_million: most.input_nano_per_million.max(dearest(&input)),
                output_nano_per_million: most.output_nano_per_million.max(dearest(&output)),
                request_nano: most.request_nano.max(price.request_nano.unwrap_or(0)),
            }
        })
    }

    /// What so many tokens cost at most, rounded up.
    pub fn cost(&self, input: u64, output: u64) -> u64 {
        let product = |tokens: u64, price: u64| u128::from(tokens) * u128::from(price);
        let sum = product(input, self.input_nano_per_million)
            .saturating_add(product(output, self.output_nano_per_million))
            .div_ceil(1_000_000)
            .saturating_add(u128::from(self.request_nano));
        u64::try_from(sum).unwrap_or(u64::MAX)
    }

    /// How many output tokens an amount pays for, besides this input.
    pub fn output_for(&self, nano: u64, input: u64) -> u64 {
        let left = u128::from(nano.saturating_sub(self.cost(input, 0))) * 1_000_000;
        let tokens = left.checked_div(u128::from(self.output_nano_per_million));
        tokens.map_or(u64::MAX, |tokens| u64::try_from(tokens).unwrap_or(u64::MAX))
    }
}

/// Price a number of tokens of which some parts have prices of their own.
fn parts(whole: Option<u64>, price: u64, parts: &[(Option<u64>, Option<u64>)]) -> u128 {
    let product = |tokens: u64, price: u64| u128::from(tokens) * u128::from(price);
    let mut left = whole.unwrap_or(0);
    let mut sum = 0_u128;
    for (tokens, own) in parts {
        let tokens = tokens.unwrap_or(0).min(left);
        left -= tokens;
        sum = sum.saturating_add(product(tokens, own.unwrap_or(price)));
    }
    sum.saturating_add(product(left, price))
}

#[cfg(test)]
mod tests;
