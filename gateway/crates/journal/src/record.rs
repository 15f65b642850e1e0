//! A record in parts: what is known when its slot opens, what becomes known on the way, and how it ended.
//!
//! The parts borrow, so that nothing is allocated for a record until it is shipped. They carry the
//! fields of [`UsageRecord`] under the same names.

use towpath_wire::Environment;
use towpath_wire::routing::{DataClass, Operation, TargetKind};
use towpath_wire::usage::{Cache, CallerDialect, CountedBy, Ended, UsageRecord};

/// What is known before the request is dispatched.
#[derive(Clone, Debug)]
pub struct RecordHead<'a> {
    pub id: &'a str,
    pub time_ms: i64,
    pub client_request_id: Option<&'a str>,
    pub trace_id: Option<&'a str>,
    pub team: Option<&'a str>,
    pub project: Option<&'a str>,
    pub application: Option<&'a str>,
    pub key_id: Option<&'a str>,
    pub user: Option<&'a str>,
    /// Name and value, at most [`towpath_wire::usage::MAX_LABELS`].
    pub labels: &'a [(&'a str, &'a str)],
    pub environment: Option<Environment>,
    pub operation: Operation,
    pub dialect: CallerDialect,
    pub stream: bool,
    pub endpoint: Option<&'a str>,
    pub endpoint_id: Option<&'a str>,
}

/// Where the request was sent; replaced as a whole when it is sent elsewhere.
#[derive(Clone, Debug, Default)]
pub struct TargetPart<'a> {
    pub target_kind: Option<TargetKind>,
    pub target: Option<&'a str>,
    pub provider: Option<&'a str>,
    pub model: Option<&'a str>,
    pub model_version: Option<u32>,
    pub model_digest: Option<&'a str>,
    pub replica: Option<&'a str>,
    pub region: Option<&'a str>,
    pub data_class: Option<DataClass>,
    pub currency: Option<&'a str>,
    pub price_id: Option<&'a str>,
    /// Why it was chosen; kept as far as there is room.
    pub decision: Option<&'a str>,
}

/// What has been counted so far; every call replaces all of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Upstream attempts made.
    pub attempts: u32,
    pub input_tokens: Option<u64>,
    pub output_tokens: Option<u64>,
    pub cached_input_tokens: Option<u64>,
    pub cache_write_tokens: Option<u64>,
    pub reasoning_tokens: Option<u64>,
    pub audio_input_tokens: Option<u64>,
    pub audio_output_tokens: Option<u64>,
    pub gpu_us: Option<u64>,
    pub counted_by: CountedBy,
    /// Cost of what was counted, so that a record closed after a crash has one too.
    pub cost_nano: Option<u64>,
    pub saved_nano: Option<i64>,
    pub first_byte_ms: Option<u64>,
    pub queue_ms: Option<u64>,
    pub cold_start_ms: Option<u64>,
}

/// How the request ended.
#[derive(Clone, Copy, Debug)]
pub struct Outcome<'a> {
    pub progress: Progress,
    pub status: Option<u16>,
    pub cache: Cache,
    pub latency_ms: Option<u64>,
    pub overhead_us: Option<u64>,
    pub ended: Ended,
    pub error_code: Option<&'a str>,
    /// Requests the record stands for; 1 unless refusals were merged.
    pub count: u64,
}

impl<'a> RecordHead<'a> {
    /// The same fields of a whole record, whose labels the caller lends as a slice.
    #[must_use]
    pub fn of(record: &'a UsageRecord, labels: &'a [(&'a str, &'a str)]) -> Self {
        Self {
            id: &record.id,
            time_ms: record.time_ms,
            client_request_id: record.client_request_id.as_deref(),
            trace_id: record.trace_id.as_deref(),
            team: record.team.as_deref(),
            project: record.project.as_deref(),
            application: record.application.as_deref(),
            key_id: record.key_id.as_deref(),
            user: record.user.as_deref(),
            labels,
            environment: record.environment,
            operation: record.operation,
            dialect: record.dialect,
            stream: record.stream,
            endpoint: record.endpoint.as_deref(),
            endpoint_id: record.endpoint_id.as_deref(),
        }
    }
}

impl<'a> Outcome<'a> {
    /// An end of this kind with nothing else known; complete it with struct update syntax.
    #[must_use]
    pub fn new(ended: Ended, progress: Progress) -> Self {
        Self {
            progress,
            status: None,
            cache: Cache::None,
            latency_ms: None,
            overhead_us: None,
            ended,
            error_code: None,
            count: 1,
        }
    }
}

impl<'a> TargetPart<'a> {
    /// The same fields of a whole record.
    #[must_use]
    pub fn of(record: &'a UsageRecord) -> Self {
        Self {
            target_kind: record.target_kind,
            target: record.target.as_deref(),
            provider: record.provider.as_deref(),
            model: record.model.as_deref(),
            model_version: record.model_version,
            model_digest: record.model_digest.as_deref(),
            replica: record.replica.as_deref(),
            region: record.region.as_deref(),
            data_class: record.data_class,
            currency: record.currency.as_deref(),
            price_id: record.price_id.as_deref(),
            decision: record.decision.as_deref(),
        }
    }
}

impl Progress {
    /// The same fields of a whole record.
    #[must_use]
    pub fn of(record: &UsageRecord) -> Self {
        Self {
            attempts: record.attempts,
            input_tokens: record.input_tokens,
            output_tokens: record.output_tokens,
            cached_input_tokens: record.cached_input_tokens,
            cache_write_tokens: record.cache_write_tokens,
            reasoning_tokens: record.reasoning_tokens,
            audio_input_tokens: record.audio_input_tokens,
            audio_output_tokens: record.audio_output_tokens,
            gpu_us: record.gpu_us,
            counted_by: record.counted_by,
            cost_nano: record.cost_nano,
            saved_nano: record.saved_nano,
            first_byte_ms: record.first_byte_ms,
            queue_ms: record.queue_ms,
            cold_start_ms: record.cold_start_ms,
        }
    }
}

impl<'a> Outcome<'a> {
    /// The same fields of a whole record.
    #[must_use]
    pub fn of(record: &'a UsageRecord) -> Self {
        Self {
            progress: Progress::of(record),
            status: record.status,
            cache: record.cache,
            latency_ms: record.latency_ms,
            overhead_us: record.overhead_us,
            ended: record.ended,
            error_code: record.error_code.as_deref(),
            count: record.count,
        }
    }
}
