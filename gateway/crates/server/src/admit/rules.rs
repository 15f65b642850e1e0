//! Limits and budgets of keys, projects, teams and endpoints: taken before a call is made, settled when it
//! ends.
//!
//! A key without any costs a few comparisons: nothing is allocated and nothing locked.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use http::HeaderMap;
use towpath_dialect::{BytesPerToken, Request};
use towpath_policy::{
    Ask, BudgetRule, Claim, Dearest, Endpoint, Grant, Id, Learned, LimitRule, Moment, Parties,
    take_all,
};
use towpath_wire::routing::Operation;

use crate::admit::shown;
use crate::errors::Refusal;
use crate::exchange::Exchange;
use crate::live::Live;
use crate::shared::Shared;

/// The longest answer of a call that neither its caller nor its model bounds, under a hard budget.
const UNKNOWN_BOUND: u64 = 4_096;
/// What a chat's template adds to its text at most.
const TEMPLATE_TOKENS: u64 = 64;
/// Of sound, heard and written down: what compressed speech usually needs for a token, and what no codec in
/// use needs less than (Opus at its lowest has 75 bytes for the tenth of a second that a token hears).
const SOUND_BYTES_PER_TOKEN: u64 = 1_600;
const LEAST_SOUND_BYTES_PER_TOKEN: u64 = 64;

/// What admission knows beyond the table.
#[derive(Debug)]
pub struct Admission {
    origin: Instant,
    gateways: AtomicU32,
    learned: Learned,
}

impl Default for Admission {
    fn default() -> Self {
        Self { origin: Instant::now(), gateways: AtomicU32::new(1), learned: Learned::default() }
    }
}

impl Admission {
    /// Now, on the clock of the rates.
    pub fn now(&self) -> Moment {
        Moment::after(self.origin.elapsed())
    }

    /// How many gateways share every limit, this one included.
    pub fn gateways(&self) -> u32 {
        self.gateways.load(Ordering::Relaxed)
    }

    /// Tokens that an answer of this kind probably stays below; nothing is learned of nobody.
    pub fn answer(&self, key: Option<&str>, endpoint: &str, operation: Operation) -> u64 {
        if generates(operation) { self.learned.estimate(key.unwrap_or(""), endpoint) } else { 0 }
    }

    /// The control plane says how many gateways are connected; 0: it does not say.
    pub fn share_with(&self, gateways: u32) {
        if gateways > 0 {
            self.gateways.store(gateways, Ordering::Relaxed);
        }
    }
}

/// What a request will use, as far as it can be known before it is made.
#[derive(Clone, Copy, Debug, Default)]
pub struct Needs {
    /// Bytes of text that the model will read.
    pub input_bytes: u64,
    /// Bytes of sound that it will hear.
    pub sound_bytes: u64,
    /// Most tokens of each answer, where the caller says so.
    pub max_output_tokens: Option<u64>,
    /// Answers that are asked for.
    pub choices: u32,
}

impl Needs {
    pub fn of(request: &Request) -> Self {
        Self {
            input_bytes: request.input_bytes(),
            sound_bytes: request.sound_bytes(),
            max_output_tokens: request.max_output_tokens(),
            choices: request.choices(),
        }
    }
}

/// What a call used.
#[derive(Clone, Copy, Debug, Default)]
pub struct Used {
    pub input_tokens: Option<u64>,
    pub output_tokens: Option<u64>,
    pub cost_nano: Option<u64>,
    /// Of the call's record; 0: it has none.
    pub sequence: u64,
    /// It ended by itself, so that its size says something about the next one's.
    pub complete: bool,
}

/// What a call in flight holds of its limits; settled when dropped.
pub struct Held {
    shared: Arc<Shared>,
    key: Id,
    endpoint: Id,
    limits: Vec<LimitRule>,
    ask: Ask,
    budgets: Vec<(BudgetRule, Grant)>,
    /// What was reserved later, for rests of an answer that broke off.
    later: Vec<(BudgetRule, Grant)>,
    /// Most tokens of each answer that the budgets leave room for, where that is less than the call
    /// asked for.
    pub most_output_tokens: Option<u64>,
    pub used: Used,
}

impl Held {
    /// Hold what the rest of the answer may use, beside what its beginning has; the most output tokens that
    /// the budgets leave room for, where that is less than it asks for. Rates are settled at the end: a call
    /// that was let through is not stopped by them.
    ///
    /// # Errors
    /// A budget has no room; nothing more is held than before.
    pub fn more(
        &mut self,
        exchange: &Exchange,
        endpoint: &Endpoint,
        needs: &Needs,
    ) -> Result<Option<u64>, Refusal> {
        let size = Size::of(exchange, &self.shared.admission.learned, &self.key, endpoint, needs);
        let held = self.later.len();
        let mut most = None;
        for (rule, _) in &self.budgets {
            let claim = size.claim(rule, exchange.time_ms);
            match rule.reserve(&claim, self.ask.gateways) {
                Ok(grant) => {
                    let lower = size.most_output(rule, &claim, &grant);
                    most = lower.map(|lower| most.unwrap_or(u64::MAX).min(lower).max(1)).or(most);
                    self.later.push((rule.clone(), grant));
                }
                Err(exhausted) => {
                    for (rule, grant) in self.later.drain(held..) {
                        rule.settle(&grant, 0, 0);
                    }
                    return Err(shown::exhausted(rule, &exhausted, exchange));
                }
            }
        }
        Ok(most)
    }

    /// Say in the answer's head where the limits stand.
    pub fn show(&self, exchange: &Exchange, headers: &mut HeaderMap) {
        let (now, gateways) = (self.shared.admission.now(), self.ask.gateways);
        shown::standing(exchange.dialect, self.limits.iter(), now, gateways, headers);
        shown::warnings(self.budgets.iter().map(|(rule, _)| rule), exchange.time_ms, headers);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let used = &self.used;
        let tokens = used.input_tokens.unwrap_or(0).saturating_add(used.output_tokens.unwrap_or(0));
        let now = self.shared.admission.now();
        for rule in &self.limits {
            rule.settle(&self.ask, tokens, now);
        }
        for (rule, grant) in &self.budgets {
            let amount = if rule.is_money() { used.cost_nano.unwrap_or(0) } else { tokens };
            rule.settle(grant, used.sequence, amount);
        }
        for (rule, grant) in &self.later {
            // The first grants have all that was used.
            rule.settle(grant, 0, 0);
        }
        if let Some(tokens) = used.output_tokens.filter(|_| used.complete) {
            self.shared.admission.learned.observe(&self.key, &self.endpoint, tokens);
        }
    }
}

/// Take what a call needs of everything that limits it; `None`: nothing does.
///
/// # Errors
/// One of them has no room; nothing was taken.
pub fn hold(
    exchange: &Exchange,
    endpoint: &Endpoint,
    needs: &Needs,
) -> Result<Option<Box<Held>>, Refusal> {
    let Some(key) = &exchange.key else { return Ok(None) };
    let parties = Parties {
        key: &key.id,
        project: &key.project,
        team: exchange.team.as_deref(),
        endpoint: &endpoint.id,
    };
    // Looked up once: what follows passes over them several times.
    let rules: Vec<_> = exchange.live.table.rules(parties).collect();
    if rules.is_empty() {
        return Ok(None);
    }
    let limits = rules.iter().flat_map(|rules| &rules.limits);
    let budgets = rules.iter().flat_map(|rules| &rules.budgets);
    let shared = &exchange.worker.shared;
    let admission = &shared.admission;
    let size = Size::of(exchange, &admission.learned, &key.id, endpoint, needs);
    let ask = Ask {
        now: admission.now(),
        tokens: size.input.saturating_add(size.output),
        gateways: admission.gateways(),
    };
    if let Err((rule, full)) = take_all(limits.clone(), &ask) {
        shared.metrics.limited(full.counted);
        let mut refusal = shown::limited(rule, &full, &ask, exchange);
        let headers = refusal.headers();
        shown::refused(exchange.dialect, limits, (rule, full.counted), &ask, headers);
        return Err(refusal);
    }
    // From here on dropping it gives everything back.
    let mut held = Box::new(Held {
        shared: Arc::clone(shared),
        key: Id::clone(&key.id),
        endpoint: Id::clone(&endpoint.id),
        limits: limits.cloned().collect(),
        ask,
        budgets: Vec::new(),
        later: Vec::new(),
        most_output_tokens: None,
        used: Used::default(),
    });
    for rule in budgets {
        let claim = size.claim(rule, exchange.time_ms);
        let grant = rule.reserve(&claim, ask.gateways).map_err(|exhausted| {
            shared.metrics.budget_refusals.fetch_add(1, Ordering::Relaxed);
            shown::exhausted(rule, &exhausted, exchange)
        })?;
        held.budgets.push((rule.clone(), grant));
        if let Some(most) = size.most_output(rule, &claim, &grant) {
            let known = held.most_output_tokens.unwrap_or(u64::MAX);
            held.most_output_tokens =
                Some(known.min(most / u64::from(needs.choices.max(1))).max(1));
        }
    }
    Ok(Some(held))
}

/// How large a call is, in tokens: what it probably uses, and what it cannot exceed.
struct Size {
    input: u64,
    output: u64,
    input_bound: u64,
    output_bound: u64,
    /// The answer's length can be bounded.
    can_be_cut: bool,
    /// Nobody bounds the answer, so that the gateway has to.
    unbounded: bool,
    prices: Dearest,
}

impl Size {
    fn of(
        exchange: &Exchange,
        learned: &Learned,
        key: &str,
        endpoint: &Endpoint,
        needs: &Needs,
    ) -> Self {
        let targets = || endpoint.reached();
        let heard = needs.sound_bytes.div_ceil(SOUND_BYTES_PER_TOKEN);
        let heard_bound = needs.sound_bytes.div_ceil(LEAST_SOUND_BYTES_PER_TOKEN);
        let input = input_tokens(&exchange.live, endpoint, needs.input_bytes);
        // A token has at least one byte, and no text twice the tokens of what was learned.
        let template = if needs.input_bytes > 0 { TEMPLATE_TOKENS } else { 0 };
        let input_bound = needs.input_bytes.min(input.saturating_mul(2)).saturating_add(template);
        let (input, input_bound) = (input + heard, input_bound.saturating_add(heard_bound));
        let prices = targets().filter_map(|target| target.price_at(exchange.time_ms));
        let prices = Dearest::of(prices.map(|(_, price)| price.as_ref()));
        let generates = generates(exchange.operation);
        let can_be_cut = generates && exchange.operation != Operation::Transcriptions;
        let choices = u64::from(needs.choices.max(1));
        let most = needs.max_output_tokens.map(|most| most.saturating_mul(choices));
        let context = targets().map(|target| target.spec.context_length.map(u64::from));
        let context = context.reduce(|a, b| Some(a?.max(b?))).flatten();
        let room = context.map(|context| context.saturating_mul(choices));
        let output_bound = match (generates, most, room) {
            (false, ..) => 0,
            (true, ..) if needs.sound_bytes > 0 => heard_bound,
            (true, Some(most), Some(room)) => most.min(room),
            (true, Some(most), None) => most,
            (true, None, Some(room)) => room,
            (true, None, None) => UNKNOWN_BOUND.saturating_mul(choices),
        };
        let output = if generates { learned.estimate(key, &endpoint.id) } else { 0 };
        Self {
            input,
            output: output.min(output_bound),
            input_bound,
            output_bound,
            can_be_cut,
            unbounded: can_be_cut && most.is_none() && context.is_none(),
            prices,
        }
    }

    fn claim(&self, rule: &BudgetRule, time_ms: i64) -> Claim {
        let amount = |input: u64, output: u64| {
            if rule.is_money() {
                self.prices.cost(input, output)
            } else {
                input.saturating_add(output)
            }
        };
        let bound = amount(self.input_bound, self.output_bound);
        let least = if self.can_be_cut { amount(self.input_bound, self.output) } else { bound };
        Claim { time_ms, estimate: amount(self.input, self.output), bound, least }
    }

    /// The output tokens that a grant leaves room for, where a bound has to be put on the call.
    fn most_output(&self, rule: &BudgetRule, claim: &Claim, grant: &Grant) -> Option<u64> {
        let lowered = grant.bound < claim.bound || self.unbounded;
        if !lowered || !self.can_be_cut || !rule.is_hard() {
            return None;
        }
        let most = if rule.is_money() {
            self.prices.output_for(grant.bound, self.input_bound)
        } else {
            grant.bound.saturating_sub(self.input_bound)
        };
        Some(most.min(self.output_bound))
    }
}

/// Whether calls of this kind are answered with tokens.
fn generates(operation: Operation) -> bool {
    match operation {
        Operation::Chat | Operation::Completions | Operation::Transcriptions => true,
        Operation::Embeddings
        | Operation::Predict
        | Operation::Models
        | Operation::Rerank
        | Operation::CountTokens => false,
    }
}

/// Tokens of so many bytes, at the target that needs most for them.
fn input_tokens(live: &Live, endpoint: &Endpoint, bytes: u64) -> u64 {
    let ready = endpoint.reached().filter_map(|target| live.target(&target.id));
    let most = ready.map(|ready| ready.bytes_per_token.estimate(bytes)).max();
    most.unwrap_or_else(|| BytesPerToken::default().estimate(bytes))
}
