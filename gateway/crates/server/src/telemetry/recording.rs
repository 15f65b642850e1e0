//! The spans of one call, from its beginning to its end. Attempts are written when they end; only what is
//! still open is kept as it is.

use std::sync::Arc;
use std::time::Instant;

use http::HeaderValue;
use towpath_dialect::Told;
use towpath_dialect::protobuf::{
    write_fixed32, write_fixed64, write_message, write_number, write_sized, write_text,
};
use towpath_wire::routing::Operation;

use crate::clock;
use crate::genai::{OWN_PROVIDER, attribute, operation_name};
use crate::live::ReadyTarget;
use crate::telemetry::attributes::{Attributes, write_failure};

/// Field of a scope that holds its spans, and of a span that holds its attributes.
const SPANS: u64 = 2;
const ATTRIBUTES: u64 = 9;

/// Kinds of spans.
const SERVER: u64 = 2;
const CLIENT: u64 = 3;

/// Flags: the trace's own, that it is known where the parent is, and that it is elsewhere.
const SAMPLED: u32 = 1;
const PARENT_KNOWN: u32 = 1 << 8;
const PARENT_REMOTE: u32 = 1 << 9;

/// Spans as they are sent: fields of a scope.
#[derive(Debug)]
pub struct Finished {
    pub bytes: Vec<u8>,
    pub spans: u64,
}

/// How a call ended, for its span.
pub struct Ending<'a> {
    pub name: &'a str,
    pub attributes: Attributes,
    /// The gateway or what is behind it is at fault, and not the caller.
    pub failed: bool,
    /// What the open attempt ended with.
    pub error: Option<&'a str>,
}

/// What is noted of a call while it runs.
#[derive(Debug)]
pub struct Recording {
    trace_id: [u8; 16],
    span_id: u64,
    /// Span of the caller.
    parent: Option<u64>,
    state: Option<HeaderValue>,
    started: Instant,
    started_ns: u64,
    operation: Operation,
    pub max_tokens: Option<u64>,
    /// What the answer says of itself.
    pub told: Told,
    attempt: Option<Attempt>,
    finished: Finished,
}

/// An attempt on its way.
#[derive(Debug)]
struct Attempt {
    span_id: u64,
    number: u32,
    started: Instant,
    target: Arc<ReadyTarget>,
    replica: Box<str>,
    status: Option<u16>,
}

impl Recording {
    /// Begin now.
    pub fn new(
        operation: Operation,
        trace_id: u128,
        span_id: u64,
        parent: Option<u64>,
        state: Option<HeaderValue>,
    ) -> Self {
        Self {
            trace_id: trace_id.to_be_bytes(),
            span_id,
            parent,
            state,
            started: Instant::now(),
            started_ns: clock::now_ns(),
            operation,
            max_tokens: None,
            told: Told::default(),
            attempt: None,
            finished: Finished { bytes: Vec::new(), spans: 0 },
        }
    }

    /// An attempt begins; one that is still open has been given up.
    pub fn attempt(&mut self, span_id: u64, number: u32, target: &Arc<ReadyTarget>, replica: &str) {
        self.attempt_ended(None);
        self.attempt = Some(Attempt {
            span_id,
            number,
            started: Instant::now(),
            target: Arc::clone(target),
            replica: replica.into(),
            status: None,
        });
    }

    /// The head of the attempt's answer has come.
    pub fn answered(&mut self, status: u16) {
        if let Some(attempt) = &mut self.attempt {
            attempt.status = Some(status);
        }
    }

    /// The attempt that is open, if one is, ends.
    pub fn attempt_ended(&mut self, error: Option<&str>) {
        let Some(attempt) = self.attempt.take() else { return };
        let spec = &attempt.target.target.spec;
        let operation = operation_name(self.operation);
        let mut attributes = Attributes::of(ATTRIBUTES);
        attributes.text(attribute::OPERATION, Some(operation));
        attributes.text(attribute::PROVIDER, Some(provider(&attempt.target)));
        attributes.text(attribute::REQUEST_MODEL, Some(&spec.upstream_model));
        attributes.number(attribute::STATUS, attempt.status.map(u64::from));
        attributes.text(attribute::ERROR, error);
        attributes.text("towpath.target", Some(&spec.name));
        attributes.text("towpath.replica", Some(&attempt.replica));
        attributes.number("towpath.attempt", Some(attempt.number.into()));
        let start = self.at(attempt.started);
        let span = Span {
            id: attempt.span_id,
            parent: Some(self.span_id),
            flags: SAMPLED | PARENT_KNOWN,
            kind: CLIENT,
            name: &format!("{operation} {}", spec.upstream_model),
            start,
            end: self.at(Instant::now()),
            attributes: &attributes,
            failed: error.is_some(),
        };
        write(&mut self.finished, &self.trace_id, self.state.as_ref(), &span);
    }

    /// The call ends, and with it the attempt that is open.
    pub fn end(mut self, ending: &Ending<'_>) -> Finished {
        self.attempt_ended(ending.error);
        let remote = self.parent.map_or(0, |_| PARENT_KNOWN | PARENT_REMOTE);
        let span = Span {
            id: self.span_id,
            parent: self.parent,
            flags: SAMPLED | remote,
            kind: SERVER,
            name: ending.name,
            start: self.started_ns,
            end: self.at(Instant::now()),
            attributes: &ending.attributes,
            failed: ending.failed,
        };
        write(&mut self.finished, &self.trace_id, self.state.as_ref(), &span);
        self.finished
    }

    /// Attributes of the call's span.
    pub fn attributes() -> Attributes {
        Attributes::of(ATTRIBUTES)
    }

    /// Nanoseconds since the epoch, by the clock that the call began with.
    fn at(&self, moment: Instant) -> u64 {
        let since = moment.saturating_duration_since(self.started).as_nanos();
        self.started_ns.saturating_add(u64::try_from(since).unwrap_or(u64::MAX))
    }
}

/// Who serves a target's model.
pub fn provider(target: &ReadyTarget) -> &str {
    target.target.spec.provider.as_deref().unwrap_or(OWN_PROVIDER)
}

struct Span<'a> {
    id: u64,
    parent: Option<u64>,
    flags: u32,
    kind: u64,
    name: &'a str,
    start: u64,
    end: u64,
    attributes: &'a Attributes,
    failed: bool,
}

fn write(to: &mut Finished, trace_id: &[u8; 16], state: Option<&HeaderValue>, span: &Span<'_>) {
    write_message(SPANS, &mut to.bytes, |out| {
        write_sized(1, trace_id, out);
        write_sized(2, &span.id.to_be_bytes(), out);
        write_text(3, state.and_then(|state| state.to_str().ok()).unwrap_or_default(), out);
        if let Some(parent) = span.parent {
            write_sized(4, &parent.to_be_bytes(), out);
        }
        write_text(5, span.name, out);
        write_number(6, span.kind, out);
        write_fixed64(7, span.start, out);
        write_fixed64(8, span.end, out);
        out.extend_from_slice(span.attributes.as_bytes());
        if span.failed {
            write_failure(out);
        }
        write_fixed32(16, span.flags, out);
    });
    to.spans += 1;
}
