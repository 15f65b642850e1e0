//! Limits of keys, projects, teams and endpoints: taken before a call is made, settled when it ends.
//!
//! A key without any costs a few comparisons: nothing is allocated and nothing locked.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use http::HeaderMap;
use towpath_dialect::BytesPerToken;
use towpath_policy::{Ask, Endpoint, Id, Learned, LimitRule, Moment, Parties, take_all};
use towpath_wire::routing::Operation;

use crate::admit::shown;
use crate::errors::Refusal;
use crate::exchange::Exchange;
use crate::live::Live;
use crate::shared::Shared;

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
    /// Most tokens of each answer, where the caller says so.
    pub max_output_tokens: Option<u64>,
    /// Answers that are asked for.
    pub choices: u32,
}

/// What a call used.
#[derive(Clone, Copy, Debug, Default)]
pub struct Used {
    pub input_tokens: Option<u64>,
    pub output_tokens: Option<u64>,
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
    pub used: Used,
}

impl Held {
    /// Say in the answer's head where the limits stand.
    pub fn show(&self, exchange: &Exchange, headers: &mut HeaderMap) {
        let (now, gateways) = (self.shared.admission.now(), self.ask.gateways);
        shown::standing(exchange.dialect, self.limits.iter(), now, gateways, headers);
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
    let rules = exchange.live.table.rules(parties);
    let limits = rules.flat_map(|rules| &rules.limits);
    if limits.clone().next().is_none() {
        return Ok(None);
    }
    let shared = &exchange.worker.shared;
    let admission = &shared.admission;
    let (input, output) = estimate(exchange, &admission.learned, &key.id, endpoint, needs);
    let ask = Ask {
        now: admission.now(),
        tokens: input.saturating_add(output),
        gateways: admission.gateways(),
    };
    if let Err((rule, full)) = take_all(limits.clone(), &ask) {
        shared.metrics.limited(full.counted);
        let mut refusal = shown::limited(rule, &full, &ask, exchange);
        let headers = refusal.headers();
        shown::refused(exchange.dialect, limits, (rule, full.counted), &ask, headers);
        return Err(refusal);
    }
    Ok(Some(Box::new(Held {
        shared: Arc::clone(shared),
        key: Id::clone(&key.id),
        endpoint: Id::clone(&endpoint.id),
        limits: limits.cloned().collect(),
        ask,
        used: Used::default(),
    })))
}

/// Input and output tokens that the call probably uses.
fn estimate(
    exchange: &Exchange,
    learned: &Learned,
    key: &str,
    endpoint: &Endpoint,
    needs: &Needs,
) -> (u64, u64) {
    let input = input_tokens(&exchange.live, endpoint, needs.input_bytes);
    if !generates(exchange.operation) {
        return (input, 0);
    }
    let most = needs.max_output_tokens.map(|most| most.saturating_mul(needs.choices.max(1).into()));
    let output = learned.estimate(key, endpoint.id.as_ref());
    (input, most.map_or(output, |most| output.min(most)))
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
    let targets = endpoint.targets.iter().map(|share| &share.target).chain(&endpoint.fallback);
    let ready = targets.filter_map(|target| live.target(&target.id));
    let most = ready.map(|ready| ready.bytes_per_token.estimate(bytes)).max();
    most.unwrap_or_else(|| BytesPerToken::default().estimate(bytes))
}
