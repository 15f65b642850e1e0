//! Last step, `account`: one record per request. Its slot opens before dispatch and closes before the
//! last byte leaves; whatever drops the account without closing it is the caller's going away.

mod refusals;
mod traced;

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderMap;
use towpath_journal::{BeginError, Outcome, Progress, RecordHead, Slot, TargetPart};
use towpath_policy::{Endpoint, Id, OnGpu, Usage as Priced, cost, gpu_cost};
use towpath_wire::routing::{DataClass, Price};
use towpath_wire::usage::{Cache, CountedBy, Ended, USAGE_VERSION, UsageRecord};

pub use refusals::Refusals;

use crate::admit::queue::Permit;
use crate::admit::{Needs, Reservation, Used};
use crate::cache::Place;
use crate::clock;
use crate::errors::{Code, Refusal};
use crate::exchange::Exchange;
use crate::live::ReadyTarget;
use crate::metrics::Sample;
use crate::relay::Early;
use crate::shared::SeriesKey;

/// Code of records whose caller left before anything else was known.
const CLIENT_GONE: &str = "client_gone";

/// The books of one request. Boxed: they pass through every step, and a step must not copy them.
pub type Account = Box<Books>;

/// What an [`Account`] holds.
pub struct Books {
    pub exchange: Exchange,
    pub progress: Progress,
    /// Whether a kept answer served it, and where its answer will be kept.
    pub cache: Cache,
    pub place: Option<Place>,
    /// Level and reason, of a tiered endpoint.
    pub decision: Option<String>,
    /// What the strongest level of a tiered endpoint costs.
    pub strongest: Option<Arc<Price>>,
    /// What answers used that were thrown away.
    thrown: Thrown,
    endpoint: Option<Arc<Endpoint>>,
    target: Option<Arc<ReadyTarget>>,
    price: Option<Arc<Price>>,
    /// On the GPUs of the target that is asked now, and what those before cost.
    gpu: Option<OnGpu>,
    gpu_nano: Option<u64>,
    slot: Option<Slot>,
    reservation: Option<Reservation>,
    /// Room at a target that takes so many calls at a time.
    pub permit: Option<Permit>,
    /// A head that may go out before there is an answer.
    pub early: Option<Rc<Early>>,
    /// Time spent waiting for the caller or an upstream.
    waited: Duration,
    first_event: Option<Duration>,
    ended: bool,
}

impl Books {
    pub fn open_for(exchange: Exchange) -> Account {
        Box::new(Self {
            exchange,
            progress: Progress::default(),
            cache: Cache::None,
            place: None,
            decision: None,
            strongest: None,
            thrown: Thrown::default(),
            endpoint: None,
            target: None,
            price: None,
            gpu: None,
            gpu_nano: None,
            slot: None,
            reservation: None,
            permit: None,
            early: None,
            waited: Duration::ZERO,
            first_event: None,
            ended: false,
        })
    }

    /// The request is admitted to an endpoint.
    pub fn admitted(&mut self, endpoint: &Arc<Endpoint>, reservation: Reservation) {
        self.endpoint = Some(Arc::clone(endpoint));
        self.reservation = Some(reservation);
    }

    /// Say in the answer's head where the caller's limits stand.
    pub fn show_limits(&self, headers: &mut HeaderMap) {
        if let Some(held) = self.reservation.as_ref().and_then(|reserved| reserved.held.as_ref()) {
            held.show(&self.exchange, headers);
        }
    }

    /// Note time that was not ours.
    pub fn waited_since(&mut self, start: Instant) {
        self.waited += start.elapsed();
    }

    /// Time that was not ours so far.
    pub fn waited(&self) -> Duration {
        self.waited
    }

    /// Put right what an abandoned wait left out.
    pub fn waited_in_all(&mut self, waited: Duration) {
        self.waited = waited;
    }

    /// Name of the target that was asked last.
    pub fn asked(&self) -> Option<&str> {
        self.target.as_ref().map(|ready| ready.target.spec.name.as_str())
    }

    /// Microseconds the gateway itself has taken so far.
    pub fn overhead_us(&self) -> u64 {
        clock::us(self.exchange.started.elapsed().saturating_sub(self.waited))
    }

    /// About to be sent to this replica of a target: the slot is opened first.
    ///
    /// # Errors
    /// The journal takes no record, so nothing may be sent.
    pub fn dispatch(&mut self, target: &Arc<ReadyTarget>, replica: &str) -> Result<(), Refusal> {
        if self.slot.is_none() {
            self.slot = Some(self.open()?);
        }
        self.progress.attempts += 1;
        self.leave_gpu();
        let gpus = target.target.spec.gpus.is_some();
        self.gpu = gpus.then(|| target.gpu_clock.begin(clock::since_start()));
        let price = target.target.price_at(self.exchange.time_ms);
        self.price = price.map(|(_, price)| Arc::clone(price));
        self.target = Some(Arc::clone(target));
        let span = self.exchange.worker.random();
        self.exchange.trace.attempt(span, self.progress.attempts, target, replica);
        if let Some(slot) = &mut self.slot {
            slot.target(&TargetPart {
                replica: Some(replica),
                currency: self.price.as_ref().map(|price| price.currency.as_str()),
                price_id: price.map(|(id, _)| &**id),
                decision: self.decision.as_deref(),
                ..target_part(target, self.exchange.data_class)
            });
            slot.progress(&self.progress);
        }
        Ok(())
    }

    /// About to be answered with what this target answered before: nothing is used, and it costs nothing.
    ///
    /// # Errors
    /// The journal takes no record, so nothing may be answered.
    pub fn served_from_cache(&mut self, target: &Arc<ReadyTarget>) -> Result<(), Refusal> {
        let mut slot = self.open()?;
        let price = target.target.price_at(self.exchange.time_ms);
        self.progress.cost_nano = Some(0);
        slot.target(&TargetPart {
            currency: price.map(|(_, price)| price.currency.as_str()),
            ..target_part(target, self.exchange.data_class)
        });
        slot.progress(&self.progress);
        self.target = Some(Arc::clone(target));
        self.slot = Some(slot);
        Ok(())
    }

    fn open(&self) -> Result<Slot, Refusal> {
        let exchange = &self.exchange;
        let key = exchange.key.as_ref();
        let labels: Vec<_> =
            exchange.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let head = RecordHead {
            id: &exchange.id,
            time_ms: exchange.time_ms,
            client_request_id: exchange.client_request_id.as_deref(),
            trace_id: Some(&exchange.trace.id),
            team: exchange.team.as_deref(),
            project: key.map(|key| &*key.project),
            application: key.and_then(|key| key.application.as_deref()),
            key_id: key.map(|key| &*key.id),
            user: exchange.user.as_deref(),
            labels: &labels,
            environment: key.map(|key| key.environment),
            operation: exchange.operation,
            dialect: exchange.dialect,
            stream: exchange.stream,
            endpoint: exchange.endpoint.as_deref(),
            endpoint_id: self.endpoint.as_ref().map(|endpoint| &*endpoint.id),
        };
        exchange.worker.shared.journal.begin(&head).map_err(|error| journal_refusal(&error))
    }

    /// The first byte of the answer is about to leave.
    pub fn first_byte(&mut self) {
        let elapsed = self.exchange.started.elapsed();
        self.first_event = Some(elapsed);
        self.progress.first_byte_ms = Some(clock::ms(elapsed));
    }

    /// An answer was not good enough and is thrown away; what it used stays in the books.
    pub fn throw_away(&mut self, usage: &towpath_dialect::Usage, counted_by: CountedBy) {
        self.count(usage, counted_by);
        self.leave_gpu();
        self.exchange.trace.attempt_ended(None);
        self.thrown = Thrown { progress: self.progress };
        self.gpu_nano = None;
    }

    /// Reserve what the rest of an answer that broke off may use beyond what is reserved; the most tokens of
    /// it that a budget leaves room for, where that is less than it asks for.
    ///
    /// # Errors
    /// A budget has no room.
    pub fn hold_more(
        &mut self,
        endpoint: &Endpoint,
        rest: &towpath_dialect::Request,
    ) -> Result<Option<u64>, Refusal> {
        match self.reservation.as_mut().and_then(|reserved| reserved.held.as_mut()) {
            Some(held) => held.more(&self.exchange, endpoint, &Needs::of(rest)),
            None => Ok(None),
        }
    }

    /// The target that was asked is left: what its GPUs did for this call is booked and priced.
    fn leave_gpu(&mut self) {
        let (Some(gpu), Some(target)) = (self.gpu.take(), &self.target) else { return };
        let used = gpu.end(clock::since_start(), target.target.spec.gpus.unwrap_or(0));
        self.progress.gpu_us = sum(self.progress.gpu_us, Some(used));
        let nano = self.price.as_ref().and_then(|price| gpu_cost(price, used));
        self.gpu_nano = sum(self.gpu_nano, nano);
        self.progress.cost_nano = sum(self.progress.cost_nano, nano);
    }

    /// Replace the counters, in the slot too, and price them.
    pub fn count(&mut self, usage: &towpath_dialect::Usage, counted_by: CountedBy) {
        let thrown = &self.thrown.progress;
        let progress = &mut self.progress;
        progress.input_tokens = sum(thrown.input_tokens, usage.input_tokens);
        progress.output_tokens = sum(thrown.output_tokens, usage.output_tokens);
        progress.cached_input_tokens = sum(thrown.cached_input_tokens, usage.cached_input_tokens);
        progress.cache_write_tokens = sum(thrown.cache_write_tokens, usage.cache_write_tokens);
        progress.reasoning_tokens = sum(thrown.reasoning_tokens, usage.reasoning_tokens);
        progress.audio_input_tokens = sum(thrown.audio_input_tokens, usage.audio_input_tokens);
        progress.audio_output_tokens = sum(thrown.audio_output_tokens, usage.audio_output_tokens);
        progress.counted_by = counted_by;
        let priced = Priced {
            input: usage.input_tokens,
            output: usage.output_tokens,
            cached_input: usage.cached_input_tokens,
            cache_write: usage.cache_write_tokens,
            audio_input: usage.audio_input_tokens,
            reasoning: usage.reasoning_tokens,
            audio_output: usage.audio_output_tokens,
        };
        let this = self.price.as_ref().and_then(|price| cost(price, &priced));
        progress.cost_nano = sum(sum(thrown.cost_nano, this), self.gpu_nano);
        let strongest = self.strongest.as_ref().and_then(|price| cost(price, &priced));
        progress.saved_nano = strongest.zip(progress.cost_nano).and_then(|(strongest, paid)| {
            i64::try_from(strongest).ok()?.checked_sub(i64::try_from(paid).ok()?)
        });
        if let Some(slot) = &mut self.slot {
            slot.progress(progress);
        }
    }

    /// Close the record; returns its sequence, for [`Self::durable`].
    pub fn close(&mut self, ended: Ended, status: Option<u16>, code: Option<&'static str>) -> u64 {
        self.ended = true;
        self.leave_gpu();
        let latency = self.exchange.started.elapsed();
        let overhead_us = self.overhead_us();
        let outcome = Outcome {
            status,
            cache: self.cache,
            latency_ms: Some(clock::ms(latency)),
            overhead_us: Some(overhead_us),
            error_code: code,
            ..Outcome::new(ended, self.progress)
        };
        let sequence = self.slot.take().map_or(0, |slot| slot.close(&outcome));
        self.measure(status, latency, overhead_us);
        self.tell(ended, status, code, latency);
        self.trace(ended, status, code);
        self.permit = None;
        if let Some(reservation) = self.reservation.take() {
            reservation.settle(Used {
                input_tokens: self.progress.input_tokens,
                output_tokens: self.progress.output_tokens,
                cost_nano: self.progress.cost_nano,
                sequence,
                complete: ended == Ended::Complete,
            });
        }
        sequence
    }

    /// Wait until the record is as safe as the settings ask for.
    pub async fn durable(&self, sequence: u64) {
        if sequence > 0 {
            // A failure makes the journal unready; the answer was earned all the same.
            let _ = self.exchange.worker.shared.journal.durable(sequence).await;
        }
    }

    /// Book a request that was answered without an upstream.
    pub fn refuse(&mut self, refusal: &Refusal, ended: Ended) {
        let code = refusal.code.code();
        if self.slot.is_some() {
            self.close(ended, Some(refusal.status), Some(code));
        } else {
            self.append(ended, Some(refusal.status), code);
        }
    }

    /// Nothing was asked yet, so there is nothing to book.
    pub fn withdraw(mut self: Box<Self>) {
        self.ended = true;
    }

    /// Book a request that the gateway answered itself.
    ///
    /// # Errors
    /// The journal takes no record, so the answer may not go out.
    pub fn answered(&mut self) -> Result<(), Refusal> {
        if self.slot.is_some() {
            self.close(Ended::Complete, Some(200), None);
            return Ok(());
        }
        let latency = self.exchange.started.elapsed();
        let overhead_us = self.overhead_us();
        let record = self.record(Ended::Complete, Some(200), None, latency, overhead_us);
        let journal = &self.exchange.worker.shared.journal;
        journal.append(&record).map_err(|error| journal_refusal(&error))?;
        self.ended = true;
        self.measure(Some(200), latency, overhead_us);
        self.tell(Ended::Complete, Some(200), None, latency);
        self.trace(Ended::Complete, Some(200), None);
        Ok(())
    }

    fn append(&mut self, ended: Ended, status: Option<u16>, code: &'static str) {
        self.ended = true;
        let latency = self.exchange.started.elapsed();
        let overhead_us = self.overhead_us();
        let record = self.record(ended, status, Some(code), latency, overhead_us);
        let shared = &self.exchange.worker.shared;
        shared.refusals.book(&shared.journal, &shared.metrics, record);
        self.measure(status, latency, overhead_us);
        self.tell(ended, status, Some(code), latency);
        self.trace(ended, status, Some(code));
        self.permit = None;
        self.reservation = None;
    }

    fn record(
        &self,
        ended: Ended,
        status: Option<u16>,
        code: Option<&str>,
        latency: Duration,
        overhead_us: u64,
    ) -> UsageRecord {
        let exchange = &self.exchange;
        let key = exchange.key.as_ref();
        UsageRecord {
            schema: USAGE_VERSION,
            id: exchange.id.clone(),
            gateway_id: exchange.worker.shared.gateway_id.clone(),
            sequence: 0,
            time_ms: exchange.time_ms,
            client_request_id: exchange.client_request_id.clone(),
            trace_id: Some(exchange.trace.id.clone()),
            team: exchange.team.as_deref().map(str::to_owned),
            project: key.map(|key| key.project.to_string()),
            application: key.and_then(|key| key.application.as_deref()).map(str::to_owned),
            key_id: key.map(|key| key.id.to_string()),
            user: exchange.user.clone(),
            labels: exchange.labels.iter().cloned().collect(),
            environment: key.map(|key| key.environment),
            operation: exchange.operation,
            dialect: exchange.dialect,
            stream: exchange.stream,
            endpoint: exchange.endpoint.clone(),
            endpoint_id: self.endpoint.as_ref().map(|endpoint| endpoint.id.to_string()),
            target_kind: None,
            target: None,
            provider: None,
            model: None,
            model_version: None,
            model_digest: None,
            replica: None,
            region: None,
            data_class: Some(exchange.data_class),
            decision: self.decision.clone(),
            status,
            attempts: 0,
            input_tokens: None,
            output_tokens: None,
            cached_input_tokens: None,
            cache_write_tokens: None,
            reasoning_tokens: None,
            audio_input_tokens: None,
            audio_output_tokens: None,
            gpu_us: None,
            counted_by: CountedBy::None,
            cost_nano: None,
            saved_nano: None,
            currency: None,
            price_id: None,
            cache: self.cache,
            latency_ms: Some(clock::ms(latency)),
            first_byte_ms: None,
            queue_ms: self.progress.queue_ms,
            cold_start_ms: None,
            overhead_us: Some(overhead_us),
            ended,
            error_code: code.map(str::to_owned),
            count: 1,
        }
    }

    /// Write the call's line into the access log, where there is one.
    fn tell(&self, ended: Ended, status: Option<u16>, code: Option<&str>, latency: Duration) {
        let exchange = &self.exchange;
        let log = &exchange.worker.shared.access;
        if !log.wanted() {
            return;
        }
        let key = exchange.key.as_ref();
        let progress = &self.progress;
        log.line(&serde_json::json!({
            "time_ms": exchange.time_ms,
            "request_id": exchange.id,
            "client_request_id": exchange.client_request_id,
            "trace_id": exchange.trace.id,
            "peer": exchange.peer,
            "team": exchange.team.as_deref(),
            "project": key.map(|key| &*key.project),
            "key_id": key.map(|key| &*key.id),
            "operation": exchange.operation,
            "dialect": exchange.dialect,
            "stream": exchange.stream,
            "endpoint": exchange.endpoint,
            "target": self.asked(),
            "decision": self.decision,
            "status": status,
            "ended": ended,
            "error_code": code,
            "attempts": progress.attempts,
            "cache": self.cache,
            "input_tokens": progress.input_tokens,
            "output_tokens": progress.output_tokens,
            "cost_nano": progress.cost_nano,
            "latency_ms": clock::ms(latency),
            "first_byte_ms": progress.first_byte_ms,
            "overhead_us": self.overhead_us(),
        }));
    }

    fn measure(&self, status: Option<u16>, latency: Duration, overhead_us: u64) {
        let exchange = &self.exchange;
        exchange.worker.shared.metrics.overhead.observe_us(overhead_us);
        let key = SeriesKey {
            team: exchange.team.clone(),
            endpoint: self.endpoint.as_ref().map(|endpoint| Id::clone(&endpoint.id)),
            target: self.target.as_ref().map(|ready| Id::clone(&ready.target.id)),
            operation: exchange.operation,
            class: status.and_then(|status| u8::try_from(status / 100).ok()).unwrap_or(0),
        };
        exchange.worker.series(&exchange.live, key).add(&Sample {
            count: 1,
            input_tokens: self.progress.input_tokens,
            output_tokens: self.progress.output_tokens,
            duration: Some(latency),
            first_token: self.first_event.filter(|_| exchange.stream),
        });
    }
}

/// The books as they were when an answer was thrown away.
#[derive(Default)]
struct Thrown {
    progress: Progress,
}

/// Both where both are known, else the one that is.
fn sum(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.saturating_add(other)),
        (one, other) => one.or(other),
    }
}

/// What a record says of a target, whatever is asked of it.
fn target_part(target: &ReadyTarget, data_class: DataClass) -> TargetPart<'_> {
    let spec = &target.target.spec;
    let model = spec.model.as_ref();
    TargetPart {
        target_kind: Some(spec.kind),
        target: Some(&spec.name),
        provider: spec.provider.as_deref(),
        model: Some(model.map_or(spec.upstream_model.as_str(), |model| &model.name)),
        model_version: model.map(|model| model.version),
        model_digest: model.map(|model| model.digest.as_str()),
        replica: None,
        region: spec.region.as_deref(),
        data_class: Some(data_class),
        currency: None,
        price_id: None,
        decision: None,
    }
}

impl Drop for Books {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        // After the head went out its status stands, even though the caller did not stay for the rest.
        let headed = self.early.as_ref().is_some_and(|early| early.sent());
        let status = (headed || self.progress.first_byte_ms.is_some()).then_some(200);
        if self.slot.is_some() {
            self.close(Ended::ClientGone, status, None);
        } else {
            self.append(Ended::ClientGone, status, CLIENT_GONE);
        }
    }
}

fn journal_refusal(error: &BeginError) -> Refusal {
    let code = match error {
        BeginError::Full { .. } => Code::JournalFull,
        BeginError::NoSpace { .. } => Code::JournalNoSpace,
        BeginError::Failed { .. } => Code::JournalFailed,
        BeginError::TooLarge { .. } => {
            return Refusal::new(Code::InvalidHeader, "The labels and ids are too long together.")
                .fix("Send fewer or shorter labels in `x-towpath-labels`.");
        }
    };
    Refusal::new(code, "The request cannot be recorded, so it is not made.").log(error.to_string())
}
