//! What callers are told of limits: headers on every answer, and refusals that say what, when there is
//! room again, and whom to ask. Each dialect's client libraries read headers of their own.

use std::fmt::Write as _;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use towpath_policy::{
    Ask, BudgetRule, Counted, Exhausted, Full, LimitRule, Moment, Standing, rfc3339,
};
use towpath_wire::routing::Period;
use towpath_wire::usage::CallerDialect;

use crate::errors::{Code, Refusal};
use crate::exchange::Exchange;
use crate::{clock, names};

/// Client libraries honour no longer wait, and give up instead.
pub const MOST_RETRY_AFTER_S: u64 = 120;

/// When to come back for what calls in flight hold: most of them end within seconds.
const HELD_RETRY_AFTER_S: u32 = 2;

const REQUESTS: [Counted; 2] = [Counted::RequestsPerSecond, Counted::RequestsPerMinute];
const TOKENS: [Counted; 1] = [Counted::TokensPerMinute];

/// Names of one family of headers.
struct Names {
    limit: HeaderName,
    remaining: HeaderName,
    reset: HeaderName,
}

impl Names {
    const fn of(limit: &'static str, remaining: &'static str, reset: &'static str) -> Self {
        Self {
            limit: HeaderName::from_static(limit),
            remaining: HeaderName::from_static(remaining),
            reset: HeaderName::from_static(reset),
        }
    }
}

/// The families for requests and tokens of OpenAI's clients, and of Anthropic's.
const OPENAI: [Names; 2] = [
    Names::of(
        "x-ratelimit-limit-requests",
        "x-ratelimit-remaining-requests",
        "x-ratelimit-reset-requests",
    ),
    Names::of(
        "x-ratelimit-limit-tokens",
        "x-ratelimit-remaining-tokens",
        "x-ratelimit-reset-tokens",
    ),
];
const ANTHROPIC: [Names; 2] = [
    Names::of(
        "anthropic-ratelimit-requests-limit",
        "anthropic-ratelimit-requests-remaining",
        "anthropic-ratelimit-requests-reset",
    ),
    Names::of(
        "anthropic-ratelimit-tokens-limit",
        "anthropic-ratelimit-tokens-remaining",
        "anthropic-ratelimit-tokens-reset",
    ),
];

/// Put where the strictest limits stand into an answer's head.
pub fn standing<'r>(
    dialect: CallerDialect,
    limits: impl Iterator<Item = &'r LimitRule> + Clone,
    now: Moment,
    gateways: u32,
    headers: &mut HeaderMap,
) {
    let found = [
        strictest(limits.clone(), &REQUESTS, now, gateways),
        strictest(limits, &TOKENS, now, gateways),
    ];
    families(dialect, found.map(|found| found.map(|f| f.2)), headers);
    // Of the two, the one that has less left of it.
    let strictest = found.into_iter().flatten().min_by(|a, b| scarcer(&a.2, &b.2));
    if let Some(name) = strictest.and_then(|(rule, counted, _)| limit_name(rule, counted)) {
        headers.insert(names::LIMIT, name);
    }
}

/// The headers of a refusal: where the limits stand, and which one refused.
pub fn refused<'r>(
    dialect: CallerDialect,
    limits: impl Iterator<Item = &'r LimitRule> + Clone,
    (rule, counted): (&LimitRule, Counted),
    ask: &Ask,
    headers: &mut HeaderMap,
) {
    let of = |counted: &[Counted]| strictest(limits.clone(), counted, ask.now, ask.gateways);
    let mut found = [of(&REQUESTS), of(&TOKENS)].map(|found| found.map(|f| f.2));
    // The limit that refused is the one to report, also where another has less left.
    let own = rule.standing(counted, ask.now, ask.gateways);
    if let Some(mut own) = own {
        if counted == Counted::TokensPerMinute && own.remaining < ask.tokens {
            own.remaining = 0;
        }
        found[usize::from(counted == Counted::TokensPerMinute)] = Some(own);
    }
    families(dialect, found, headers);
    if let Some(name) = limit_name(rule, counted) {
        headers.insert(names::LIMIT, name);
    }
}

fn families(dialect: CallerDialect, found: [Option<Standing>; 2], headers: &mut HeaderMap) {
    // Whether resets are points in time, and not spans.
    let (names, points) = match dialect {
        CallerDialect::Openai | CallerDialect::Responses => (OPENAI, false),
        CallerDialect::Anthropic => (ANTHROPIC, true),
        CallerDialect::Predict | CallerDialect::KserveV2 | CallerDialect::KserveGrpc => return,
    };
    for (names, standing) in names.into_iter().zip(found) {
        let Some(standing) = standing else { continue };
        headers.insert(names.limit, HeaderValue::from(standing.limit));
        headers.insert(names.remaining, HeaderValue::from(standing.remaining));
        let reset = if points {
            let after = i64::try_from(clock::ms(standing.reset)).unwrap_or(i64::MAX);
            rfc3339(clock::now_ms().saturating_add(after))
        } else {
            span(standing.reset)
        };
        if let Ok(reset) = HeaderValue::try_from(reset) {
            headers.insert(names.reset, reset);
        }
    }
}

/// The rate of these kinds that has the smallest part of it left.
fn strictest<'r>(
    limits: impl Iterator<Item = &'r LimitRule>,
    counted: &[Counted],
    now: Moment,
    gateways: u32,
) -> Option<(&'r LimitRule, Counted, Standing)> {
    let all = limits.flat_map(|rule| {
        counted.iter().filter_map(move |counted| {
            Some((rule, *counted, rule.standing(*counted, now, gateways)?))
        })
    });
    all.min_by(|a, b| scarcer(&a.2, &b.2))
}

fn scarcer(a: &Standing, b: &Standing) -> std::cmp::Ordering {
    a.remaining.cmp(&b.remaining).then(b.reset.cmp(&a.reset))
}

fn limit_name(rule: &LimitRule, counted: Counted) -> Option<HeaderValue> {
    HeaderValue::try_from(format!("{} {}", rule.limit.label, counted.words())).ok()
}

/// The refusal of a call by a limit.
pub fn limited(rule: &LimitRule, full: &Full, ask: &Ask, exchange: &Exchange) -> Refusal {
    let label = &rule.limit.label;
    let words = full.counted.words();
    let size = |counted| rule.standing(counted, ask.now, 1).map_or(0, |standing| standing.limit);
    if full.too_large {
        let detail = format!(
            "The call needs about {} tokens, and {label} has {} tokens per minute, so that it never passes",
            grouped(ask.tokens),
            grouped(size(full.counted)),
        );
        return Refusal::new(Code::LargerThanLimit, detail).never_retry();
    }
    let (detail, wait) = match full.counted {
        Counted::Concurrency => {
            let most = rule.most_in_flight(ask.gateways).unwrap_or(0);
            let calls = if most == 1 { "call" } else { "calls" };
            let detail = format!(
                "{label} has {most} {calls} in flight, which is its limit; there is room again when one of them ends"
            );
            (detail, Duration::from_secs(1))
        }
        counted => {
            let wait = full.wait.unwrap_or(Duration::from_secs(1));
            let detail = format!(
                "{label} used its {} {words}; there is room again in {}",
                grouped(size(counted)),
                span(wait),
            );
            (detail, wait)
        }
    };
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    let seconds = seconds.clamp(1, MOST_RETRY_AFTER_S);
    let mut refusal = Refusal::new(Code::RateLimitExceeded, detail).fix(whom_to_ask(exchange));
    refusal.retry_after_s = u32::try_from(seconds).ok();
    refusal
}

/// Warn of soft budgets that are nearly or wholly used.
pub fn warnings<'r>(
    budgets: impl Iterator<Item = &'r BudgetRule>,
    now_ms: i64,
    headers: &mut HeaderMap,
) {
    for rule in budgets {
        let Some(share) = rule.warning(now_ms) else { continue };
        let reset = rfc3339(rule.standing(now_ms).resets_at_ms);
        let text = format!("{}; used={share}%; reset={reset}", budget_name(rule));
        if let Ok(text) = HeaderValue::try_from(text) {
            headers.append(names::BUDGET_WARNING, text);
        }
    }
}

/// The refusal of a call by a hard budget.
pub fn exhausted(rule: &BudgetRule, exhausted: &Exhausted, exchange: &Exchange) -> Refusal {
    let label = &rule.budget.label;
    let amount = if rule.is_money() {
        let platform = exchange.live.table.platform();
        money(rule.amount(), platform.map_or("", |platform| &platform.currency))
    } else {
        format!("{} tokens", grouped(rule.amount()))
    };
    let per = per(rule.budget.period);
    let until = rfc3339(exhausted.until_ms);
    let mut refusal = if exhausted.held {
        let detail = format!(
            "Calls in flight may use what is left of the {amount} per {per} that {label} has; there is room again when they end"
        );
        let mut refusal = Refusal::new(Code::BudgetReserved, detail);
        refusal.retry_after_s = Some(HELD_RETRY_AFTER_S);
        refusal
    } else {
        let detail = format!(
            "{label} used the {amount} it has per {per}, or has too little left for this call; the next {per} begins at {until}"
        );
        let mut refusal = Refusal::new(Code::InsufficientQuota, detail).never_retry();
        if let Ok(until) = HeaderValue::try_from(until) {
            refusal.headers().insert(names::RETRY_AT, until);
        }
        refusal
    };
    if let Ok(name) = HeaderValue::try_from(budget_name(rule)) {
        refusal.headers().insert(names::LIMIT, name);
    }
    refusal.fix(whom_to_ask(exchange))
}

fn budget_name(rule: &BudgetRule) -> String {
    let what = if rule.is_money() { "money" } else { "tokens" };
    format!("{} {what} per {}", rule.budget.label, per(rule.budget.period))
}

fn per(period: Period) -> &'static str {
    match period {
        Period::Day => "day",
        Period::Week => "week",
        Period::Month => "month",
    }
}

/// An amount of nano-units, to the hundredth: `25.00 EUR`; small ones to the last digit that counts.
fn money(nano: u64, currency: &str) -> String {
    let part = format!("{:09}", nano % 1_000_000_000);
    let digits = part.trim_end_matches('0').len().max(2);
    format!("{}.{} {currency}", grouped(nano / 1_000_000_000), &part[..digits])
}

/// Who uses it up, and who can give more.
pub fn whom_to_ask(exchange: &Exchange) -> String {
    let project = exchange.key.as_ref().map_or("", |key| &key.project);
    format!(
        "See who uses them: GET /api/v1/usage?project={project}; more of it: a team admin, GET /api/v1/members?role=admin."
    )
}

/// A number with its thousands apart: `60,000`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A duration as OpenAI's headers have it: `12ms`, `6.4s`, `6m0s`; rounded up to milliseconds.
pub fn span(duration: Duration) -> String {
    let ms = clock::ms(duration) + u64::from(!duration.subsec_nanos().is_multiple_of(1_000_000));
    if ms < 1_000 {
        return format!("{ms}ms");
    }
    let (hours, minutes, ms) = (ms / 3_600_000, ms / 60_000 % 60, ms % 60_000);
    let mut text = String::new();
    if hours > 0 {
        let _ = write!(text, "{hours}h");
    }
    if hours > 0 || minutes > 0 {
        let _ = write!(text, "{minutes}m");
    }
    let _ = write!(text, "{}", ms / 1_000);
    if !ms.is_multiple_of(1_000) {
        let part = format!(".{:03}", ms % 1_000);
        text.push_str(part.trim_end_matches('0'));
    }
    text.push('s');
    text
}

#[cfg(test)]
mod tests;
