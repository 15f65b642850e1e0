//! The distributed trace that a call is part of: the caller's, or a new one.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue};
use towpath_dialect::Told;
use towpath_wire::routing::Operation;

use crate::ids;
use crate::live::ReadyTarget;
use crate::shared::Worker;
use crate::telemetry::Sampled;
use crate::telemetry::recording::Recording;

/// Longest `tracestate` that is passed on: what the W3C asks for.
const TRACESTATE: usize = 512;

/// A trace, and the spans of one call in it where they are recorded.
#[derive(Debug)]
pub struct Trace {
    pub id: String,
    /// For upstreams: the same trace, a span of ours.
    pub parent: HeaderValue,
    pub state: Option<HeaderValue>,
    flags: [u8; 2],
    recording: Option<Box<Recording>>,
}

/// A W3C `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Parent<'a> {
    trace: &'a str,
    span: &'a str,
    flags: [u8; 2],
}

impl Trace {
    /// Continue the caller's trace, or start one.
    pub fn of(operation: Operation, headers: &HeaderMap, worker: &Worker) -> Self {
        let span = worker.random() | 1;
        let given = headers.get("traceparent").and_then(|parent| parent.to_str().ok());
        let given = given.and_then(Parent::parse);
        let telemetry = &worker.shared.telemetry;
        let state = headers.get("tracestate").filter(|state| state.len() <= TRACESTATE);
        let state = state.filter(|_| given.is_some()).cloned();
        let number = match given {
            Some(parent) => u128::from_str_radix(parent.trace, 16).unwrap_or(1),
            None => worker.random_wide() | 1,
        };
        let recorded = telemetry.records(given.map(|parent| parent.sampled()), number);
        let flags = match given {
            Some(parent) => parent.flags,
            // Not sampled: nothing of ours records it, and upstreams decide for themselves.
            None => [b'0', if recorded { b'1' } else { b'0' }],
        };
        let recording = recorded.then(|| {
            let parent = given.and_then(|given| u64::from_str_radix(given.span, 16).ok());
            Box::new(Recording::new(operation, number, span, parent, state.clone()))
        });
        let id = given.map_or_else(|| ids::hex(number, 32), |given| given.trace.to_owned());
        let parent = header(&id, span, flags);
        Self { id, parent, state, flags, recording }
    }

    /// The most tokens that the caller asks for.
    pub fn asks_at_most(&mut self, tokens: Option<u64>) {
        if let Some(recording) = &mut self.recording {
            recording.max_tokens = tokens;
        }
    }

    /// An attempt begins: what it asks is told this span.
    pub fn attempt(&mut self, span: u64, number: u32, target: &Arc<ReadyTarget>, replica: &str) {
        if let Some(recording) = &mut self.recording {
            let span = span | 1;
            recording.attempt(span, number, target, replica);
            self.parent = header(&self.id, span, self.flags);
        }
    }

    /// The head of the attempt's answer has come.
    pub fn answered(&mut self, status: u16) {
        if let Some(recording) = &mut self.recording {
            recording.answered(status);
        }
    }

    /// The attempt is over, well or with an error.
    pub fn attempt_ended(&mut self, error: Option<&str>) {
        if let Some(recording) = &mut self.recording {
            recording.attempt_ended(error);
        }
    }

    /// A piece of a stream, of whole events, leaves.
    pub fn streams(&mut self, piece: &[u8]) {
        if let Some(recording) = &mut self.recording {
            recording.told.events(piece);
        }
    }

    /// A whole answer leaves.
    pub fn answers(&mut self, body: &[u8]) {
        if let Some(recording) = &mut self.recording {
            recording.told = Told::answer(body);
        }
    }

    /// Take what was recorded.
    pub fn take(&mut self) -> Option<Box<Recording>> {
        self.recording.take()
    }
}

fn header(id: &str, span: u64, flags: [u8; 2]) -> HeaderValue {
    let span = ids::hex(span.into(), 16);
    let text = ["00", id, &span, std::str::from_utf8(&flags).unwrap_or("00")].join("-");
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}

impl<'a> Parent<'a> {
    /// Read a W3C `traceparent`.
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split('-');
        let (version, trace, span, flags) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let hex = |part: &str, length: usize| {
            part.len() == length && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        };
        let valid =
            hex(version, 2) && version != "ff" && hex(trace, 32) && hex(span, 16) && hex(flags, 2);
        let zero = |part: &str| part.bytes().all(|b| b == b'0');
        let flags = flags.as_bytes().try_into().ok()?;
        (valid && !zero(trace) && !zero(span)).then_some(Self { trace, span, flags })
    }

    fn sampled(self) -> Sampled {
        let [_, low] = self.flags;
        let odd = char::from(low).to_digit(16).is_some_and(|low| low & 1 == 1);
        if odd { Sampled::Yes } else { Sampled::No }
    }
}

#[cfg(test)]
mod tests;
