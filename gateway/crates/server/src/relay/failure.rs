//! What a failed attempt means: to the caller, to the record, and for what is tried next.

use http::HeaderMap;
use towpath_dialect::{Answer, FaultCode, UpstreamFault};
use towpath_upstream::{Phase, Reply, UpstreamError};
use towpath_wire::usage::Ended;

use crate::clock;
use crate::errors::{Code, Refusal};
use crate::evidence::Met;
use crate::fleet::Blame;
use crate::intake::AnswerError;
use crate::relay::Job;

/// Most of an error answer that is read: its message stands at the start.
const ERROR_BODY: usize = 64 << 10;
/// None of ours is above what client libraries honour.
const MOST_RETRY_AFTER_S: u32 = 120;
/// How long a server that limits its callers is left alone when it does not say how long.
const REST_MS: i64 = 1_000;
/// And at most, whatever it says: a slip of its clock must not take it out for a day.
const MOST_REST_MS: i64 = 3_600_000;

/// What may still help after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Another replica of the same target, or another target: this replica was not reached.
    Unreached,
    /// The same: this replica answered badly.
    Replica,
    /// Another target; the replicas of this one would say the same.
    Target,
    /// A target with a longer context.
    Longer,
    /// Nothing would: the request itself is at fault, or time is up.
    Stop,
}

/// Why a call has no answer.
#[derive(Clone, Debug)]
pub struct Failure {
    pub refusal: Refusal,
    pub ended: Ended,
    pub next: Next,
    /// What it says about the replica that was asked.
    pub blame: Blame,
    /// And about its target.
    pub met: Met,
}

impl Failure {
    /// The request itself is refused before it is sent.
    pub fn refused(refusal: Refusal) -> Self {
        Self::silent(refusal, Ended::Refused, Next::Stop)
    }

    /// It says nothing about whom was asked.
    fn silent(refusal: Refusal, ended: Ended, next: Next) -> Self {
        Self { refusal, ended, next, blame: Blame::None, met: Met::Nothing }
    }

    /// One target cannot be asked this; another one may.
    pub fn unfit(refusal: Refusal) -> Self {
        Self { next: Next::Target, ..Self::refused(refusal) }
    }

    /// The journal took no record.
    pub fn unrecorded(refusal: Refusal) -> Self {
        Self::refused(refusal)
    }

    /// A target was waited for in vain: it was not awake, or had no room, in time.
    pub fn waited(refusal: Refusal) -> Self {
        Self::silent(refusal, Ended::Timeout, Next::Target)
    }

    /// The input is longer than a target's context.
    pub fn too_long(refusal: Refusal) -> Self {
        Self { next: Next::Longer, ..Self::refused(refusal) }
    }

    pub fn out_of_time(limit_ms: u32) -> Self {
        let detail = format!("The call took longer than {limit_ms} ms in all.");
        let refusal = Refusal::new(Code::UpstreamTimeout, detail);
        Self::silent(refusal, Ended::Timeout, Next::Stop)
    }

    /// One attempt took all the time that one attempt has.
    pub fn slow_attempt(limit_ms: u32) -> Self {
        let detail = format!("The model did not answer within {limit_ms} ms.");
        Self {
            refusal: Refusal::new(Code::UpstreamTimeout, detail),
            ended: Ended::Timeout,
            next: Next::Replica,
            blame: Blame::Replica(format!("no answer within {limit_ms} ms")),
            met: Met::Failed,
        }
    }

    /// There is no proper answer.
    pub fn upstream(error: &UpstreamError) -> Self {
        let (refusal, ended, next) = match error {
            UpstreamError::Connect(_) => (
                Refusal::new(Code::UpstreamUnavailable, "The model's server cannot be reached."),
                Ended::Error,
                Next::Unreached,
            ),
            UpstreamError::Tls(_) => (
                Refusal::new(
                    Code::UpstreamUnavailable,
                    "There is no trusted connection to the model's server.",
                )
                .fix("Tell the platform team: `towpath endpoints health` says what is wrong with its certificate."),
                Ended::Error,
                Next::Unreached,
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
                Next::Replica,
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
                Next::Replica,
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
        let causes = causes(error);
        let blame = match error {
            UpstreamError::Payload(_) | UpstreamError::Path(_) | UpstreamError::TooLarge { .. } => {
                Blame::None
            }
            _ => Blame::Replica(causes.clone()),
        };
        let met = match error {
            UpstreamError::Payload(_) | UpstreamError::Path(_) => Met::Nothing,
            _ => Met::Failed,
        };
        Self { refusal: refusal.log(causes), ended, next, blame, met }
    }

    /// The upstream answered with something that is not an answer.
    pub fn fault(fault: UpstreamFault) -> Self {
        let ended = match fault.code {
            FaultCode::UpstreamCut => Ended::UpstreamCut,
            _ => Ended::Error,
        };
        let error = fault.message.clone();
        let (next, blame) = match fault.code {
            FaultCode::UpstreamRateLimited => (Next::Replica, Blame::Rest { ms: REST_MS, error }),
            FaultCode::ContextLengthExceeded => (Next::Longer, Blame::None),
            _ if fault.retryable => (Next::Replica, Blame::Replica(error)),
            _ => (Next::Stop, Blame::None),
        };
        let met = match blame {
            Blame::None => Met::Refused,
            _ => Met::Failed,
        };
        Self { refusal: fault.into(), ended, next, blame, met }
    }

    pub fn answer(error: AnswerError) -> Self {
        match error {
            AnswerError::Upstream(error) => Self::upstream(&error),
            AnswerError::NoMemory(refusal) => Self::silent(refusal, Ended::Error, Next::Stop),
        }
    }

    /// How much it tells the caller, beside other failures of the same call.
    fn weight(&self) -> u8 {
        match (self.next, self.refusal.status) {
            // What only this target could not take.
            (Next::Longer, _) | (_, 400..=428) => 0,
            // Others failed otherwise: waiting for the limit alone would not help.
            (_, 429) => 1,
            _ => 2,
        }
    }
}

/// The failures of one call, of which its caller is told one.
#[derive(Debug, Default)]
pub struct Failures {
    told: Option<Failure>,
    pub last: Option<Next>,
}

impl Failures {
    /// Keep the one that tells more; of equals the later, and of several times to come back the first.
    pub fn add(&mut self, mut failure: Failure) {
        self.last = Some(failure.next);
        if let Some(told) = &self.told {
            if failure.weight() < told.weight() {
                return;
            }
            if failure.refusal.status == told.refusal.status {
                let both = [failure.refusal.retry_after_s, told.refusal.retry_after_s];
                failure.refusal.retry_after_s = both.into_iter().flatten().min();
            }
        }
        self.told = Some(failure);
    }

    /// What the caller is told.
    pub fn tell(self, job: &Job) -> Failure {
        self.told.unwrap_or_else(|| unavailable(job))
    }
}

fn timeout(phase: Phase, limit_ms: u32) -> (Refusal, Ended, Next) {
    let (detail, next) = match phase {
        Phase::Connect => {
            let detail = "The model's server cannot be reached.";
            let refusal = Refusal::new(Code::UpstreamUnavailable, detail);
            return (refusal, Ended::Error, Next::Unreached);
        }
        Phase::FirstByte => {
            (format!("The model did not begin to answer within {limit_ms} ms."), Next::Replica)
        }
        Phase::Silence => {
            (format!("The model fell silent for more than {limit_ms} ms."), Next::Replica)
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
    let retry_after_ms = retry_after_ms(&reply.headers);
    let body = reply.body.collect(ERROR_BODY).await.unwrap_or_default();
    let mut failure = Failure::fault(UpstreamFault::from_status(status, &body));
    let error = format!("status {status}");
    (failure.next, failure.blame) = match status {
        // Our credential, or our name for the model: nothing is wrong with the server, and all replicas
        // say the same. It is ejected for the credential, since no call can succeed.
        401 | 403 => {
            let error = format!("status {status}: the credential is refused");
            (Next::Target, Blame::Replica(error))
        }
        404 => (Next::Target, Blame::Note(format!("{error}: the model is unknown there"))),
        429 => {
            let ms = retry_after_ms.unwrap_or(REST_MS);
            (failure.next, Blame::Rest { ms, error })
        }
        503 if let Some(ms) = retry_after_ms => (failure.next, Blame::Rest { ms, error }),
        500.. => (failure.next, Blame::Replica(error)),
        _ => (failure.next, failure.blame),
    };
    failure.met = if status == 429 || status >= 500 { Met::Failed } else { Met::Refused };
    if matches!(failure.refusal.status, 429 | 503) {
        let seconds = retry_after_ms.map(|ms| u32::try_from((ms + 999) / 1_000));
        let seconds = seconds.and_then(Result::ok).unwrap_or(1).clamp(1, MOST_RETRY_AFTER_S);
        failure.refusal.retry_after_s = Some(seconds);
    }
    failure
}

/// When an upstream wants to be asked again: `retry-after-ms`, or `retry-after` in seconds or as a date.
fn retry_after_ms(headers: &HeaderMap) -> Option<i64> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let whole = |text: &str| text.parse::<f64>().ok().filter(|n| n.is_finite() && *n >= 0.0);
    #[expect(clippy::cast_possible_truncation, reason = "saturates, and is bounded below")]
    let ms = match text("retry-after-ms").and_then(whole) {
        Some(ms) => ms.ceil() as i64,
        None => {
            let text = text("retry-after")?;
            match whole(text) {
                Some(seconds) => (seconds * 1_000.0).ceil() as i64,
                None => {
                    let at = httpdate::parse_http_date(text).ok()?;
                    let at = at.duration_since(std::time::UNIX_EPOCH).ok()?;
                    i64::try_from(at.as_millis()).unwrap_or(i64::MAX) - clock::now_ms()
                }
            }
        }
    };
    Some(ms.clamp(0, MOST_REST_MS))
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
            next: Next::Replica,
            blame: Blame::Replica("a plain answer where a stream was asked for".to_owned()),
            met: Met::Failed,
        },
    }
}

/// No target has anything that listens.
fn unavailable(job: &Job) -> Failure {
    let detail = format!("No server of `{}` is ready.", job.endpoint.spec.name);
    let refusal = Refusal::new(Code::UpstreamUnavailable, detail);
    Failure::silent(refusal, Ended::Error, Next::Stop)
}
