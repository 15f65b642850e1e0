//! What a failed attempt means: to the caller, to the record, and for what is tried next.

use towpath_dialect::{Answer, FaultCode, UpstreamFault};
use towpath_upstream::{Phase, Reply, UpstreamError};
use towpath_wire::usage::Ended;

use crate::errors::{Code, Refusal};
use crate::intake::AnswerError;
use crate::relay::Job;

/// Most of an error answer that is read: its message stands at the start.
const ERROR_BODY: usize = 64 << 10;

/// What may still help after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Another replica of the same target: this one was not reached.
    Replica,
    Target,
    /// Nothing would: the request itself is at fault, or time is up.
    Stop,
}

/// Why a call has no answer.
#[derive(Clone, Debug)]
pub struct Failure {
    pub refusal: Refusal,
    pub ended: Ended,
    pub next: Next,
}

impl Failure {
    /// The request itself is refused before it is sent.
    pub fn refused(refusal: Refusal) -> Self {
        Self { refusal, ended: Ended::Refused, next: Next::Stop }
    }

    /// The journal took no record.
    pub fn unrecorded(refusal: Refusal) -> Self {
        Self::refused(refusal)
    }

    pub fn out_of_time(limit_ms: u32) -> Self {
        let detail = format!("The call took longer than {limit_ms} ms in all.");
        let refusal = Refusal::new(Code::UpstreamTimeout, detail);
        Self { refusal, ended: Ended::Timeout, next: Next::Stop }
    }

    /// There is no proper answer.
    pub fn upstream(error: &UpstreamError) -> Self {
        let (refusal, ended, next) = match error {
            UpstreamError::Connect(_) | UpstreamError::Tls(_) => (
                Refusal::new(Code::UpstreamUnavailable, "The model's server cannot be reached."),
                Ended::Error,
                Next::Replica,
            ),
            UpstreamError::Denied { .. } => (
                Refusal::new(
                    Code::EgressDenied,
                    "The model's server has an address that the platform does not connect to.",
                ),
                Ended::Error,
                Next::Replica,
            ),
            UpstreamError::Timeout { phase, limit_ms } => timeout(*phase, *limit_ms),
            UpstreamError::Cut { .. } => (
                Refusal::new(
                    Code::Fault(FaultCode::UpstreamError),
                    "The model's server closed the connection before it had answered.",
                ),
                Ended::UpstreamCut,
                Next::Target,
            ),
            UpstreamError::Payload(_) | UpstreamError::Path(_) => (
                Refusal::new(Code::InternalError, "The call could not be sent."),
                Ended::Error,
                Next::Stop,
            ),
            UpstreamError::Protocol(_) | UpstreamError::Redirect { .. } => (
                Refusal::new(
                    Code::Fault(FaultCode::UpstreamError),
                    "The model's server did not answer as such a server does.",
                ),
                Ended::Error,
                Next::Target,
            ),
            UpstreamError::TooLarge { limit_bytes } => (
                Refusal::new(
                    Code::Fault(FaultCode::UpstreamError),
                    format!("The model's answer is larger than {limit_bytes} bytes."),
                ),
                Ended::Error,
                Next::Stop,
            ),
        };
        Self { refusal: refusal.log(causes(error)), ended, next }
    }

    /// The upstream answered with something that is not an answer.
    pub fn fault(fault: UpstreamFault) -> Self {
        let next = if fault.retryable { Next::Target } else { Next::Stop };
        let ended = match fault.code {
            FaultCode::UpstreamCut => Ended::UpstreamCut,
            _ => Ended::Error,
        };
        Self { refusal: fault.into(), ended, next }
    }

    pub fn answer(error: AnswerError) -> Self {
        match error {
            AnswerError::Upstream(error) => Self::upstream(&error),
            AnswerError::NoMemory(refusal) => {
                Self { refusal, ended: Ended::Error, next: Next::Stop }
            }
        }
    }
}

fn timeout(phase: Phase, limit_ms: u32) -> (Refusal, Ended, Next) {
    let (detail, next) = match phase {
        Phase::Connect => {
            let detail = "The model's server cannot be reached.";
            let refusal = Refusal::new(Code::UpstreamUnavailable, detail);
            return (refusal, Ended::Error, Next::Replica);
        }
        Phase::FirstByte => {
            (format!("The model did not begin to answer within {limit_ms} ms."), Next::Target)
        }
        Phase::Silence => {
            (format!("The model fell silent for more than {limit_ms} ms."), Next::Target)
        }
        Phase::Total => (format!("The call took longer than {limit_ms} ms in all."), Next::Stop),
    };
    (Refusal::new(Code::UpstreamTimeout, detail), Ended::Timeout, next)
}

/// An error and what caused it, for the log.
fn causes(error: &UpstreamError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// An answer with an error status.
pub async fn of_status(reply: Reply) -> Failure {
    let status = reply.status.as_u16();
    let retry_after = reply.headers.get(http::header::RETRY_AFTER);
    let retry_after = retry_after.and_then(|value| value.to_str().ok()?.parse::<u32>().ok());
    let body = reply.body.collect(ERROR_BODY).await.unwrap_or_default();
    let mut failure = Failure::fault(UpstreamFault::from_status(status, &body));
    if matches!(failure.refusal.status, 429 | 503) {
        // None of ours is above what client libraries honour.
        failure.refusal.retry_after_s = Some(retry_after.unwrap_or(1).min(120));
    }
    failure
}

/// A success that is not the stream that was asked for: an error in a 200, a web page, a plain answer.
pub async fn not_a_stream(reply: Reply) -> Failure {
    let body = match reply.body.collect(ERROR_BODY).await {
        Ok(body) => body,
        Err(error) => return Failure::upstream(&error),
    };
    match Answer::read(&body) {
        Err(fault) => Failure::fault(fault),
        Ok(_) => Failure {
            refusal: Refusal::new(
                Code::Fault(FaultCode::UpstreamError),
                "The model's server sent a plain answer where a stream was asked for.",
            ),
            ended: Ended::Error,
            next: Next::Target,
        },
    }
}

/// No target has anything that listens.
pub fn unavailable(job: &Job) -> Failure {
    let name = &job.endpoint.spec.name;
    Failure {
        refusal: Refusal::new(
            Code::UpstreamUnavailable,
            format!("No server of `{name}` is ready."),
        ),
        ended: Ended::Error,
        next: Next::Stop,
    }
}
