//! Plain answers: read whole, metered, booked, passed on.

use std::time::Instant;

use bytes::Bytes;
use http::{HeaderValue, Response};
use towpath_dialect::kserve::{Body, only_answer};
use towpath_dialect::{
    Answered, FaultCode, Request, Served, Stamp, UpstreamFault, Usage, embeddings, predict,
};
use towpath_upstream::Reply;
use towpath_wire::routing::Operation;
use towpath_wire::usage::{CallerDialect, CountedBy, Ended};

use crate::account::Account;
use crate::admit::Lease;
use crate::errors::Refusal;
use crate::intake;
use crate::live::ReadyTarget;
use crate::outgoing::Outgoing;
use crate::relay::encode::{Encoded, Kind};
use crate::relay::failure::Failure;
use crate::relay::{Asked, Job, head, inference};
use crate::{grpc, kserve, names};

/// Says that a count is an estimate of the gateway's.
const COUNTED_BY: &str = "x-towpath-counted-by";

const JSON: &str = "application/json";
/// Of JSON that tensors follow.
const BINARY: &str = "application/octet-stream";

/// A whole answer, in the caller's dialect.
pub struct Plain {
    answer: Translated,
    lease: Lease,
}

/// An answer as its caller gets it.
pub struct Translated {
    pub body: Bytes,
    content_type: &'static str,
    /// Length of the JSON that the body begins with, where tensors follow it.
    pub json_size: Option<usize>,
    usage: Option<Usage>,
    /// Bytes of generated text, where the upstream reports no usage.
    content_bytes: u64,
}

/// Whom an answer is for.
pub struct Recipient<'a> {
    pub dialect: CallerDialect,
    /// Of the request.
    pub id: &'a str,
    pub stamp: &'a dyn Fn() -> Stamp,
    /// The name that was called.
    pub endpoint: &'a str,
}

impl Plain {
    pub fn body(&self) -> &Bytes {
        &self.answer.body
    }

    /// The body, unless tensors follow its JSON.
    pub fn json(&self) -> Option<Bytes> {
        self.answer.json_size.is_none().then(|| self.answer.body.clone())
    }
}

/// Read a reply with a success status.
///
/// # Errors
/// It is cut, too slow, or not an answer.
pub async fn read(
    account: &mut Account,
    job: &Job,
    ready: &ReadyTarget,
    encoded: &Encoded<'_>,
    reply: Reply,
) -> Result<Plain, Failure> {
    let shared = &account.exchange.worker.shared;
    let start = Instant::now();
    let json_size = reply.headers.get(kserve::JSON_SIZE);
    let json_size = json_size.and_then(|size| size.to_str().ok()?.parse().ok());
    let mut body = reply.body;
    let read = intake::answer(&mut body, &shared.limits, &shared.memory).await;
    account.waited_since(start);
    let (bytes, lease) = read.map_err(Failure::answer)?;
    if encoded.grpc {
        let outcome = body.trailers().and_then(grpc::outcome);
        outcome.unwrap_or_else(|| Err(inference::without_status())).map_err(Failure::fault)?;
    }
    let exchange = &account.exchange;
    let to = Recipient {
        dialect: exchange.dialect,
        id: &exchange.id,
        stamp: &|| exchange.stamp(),
        endpoint: &job.endpoint.spec.name,
    };
    let came = Body { bytes, json_size };
    let answer = translated(&to, &job.asked, ready, encoded, came);
    let mut answer = answer.map_err(Failure::fault)?;
    if let (Kind::Inference, Some(_)) = (&encoded.kind, &exchange.message_id) {
        answer.body = only_answer(&answer.body).map_err(Failure::fault)?;
    }
    Ok(Plain { answer, lease })
}

/// Bring an answer into the caller's dialect.
///
/// # Errors
/// It is none, or cannot be said in that dialect.
pub fn translated(
    to: &Recipient<'_>,
    asked: &Asked,
    ready: &ReadyTarget,
    encoded: &Encoded<'_>,
    came: Body,
) -> Result<Translated, UpstreamFault> {
    let (batch, signature) = match &encoded.kind {
        Kind::V2 { batch, signature } => (*batch, *signature),
        Kind::Model(reply) => {
            let answered = reply.answer(came.bytes, to.stamp)?;
            let Answered { body, content_type, usage, content_bytes } = answered;
            return Ok(Translated { body, content_type, json_size: None, usage, content_bytes });
        }
        Kind::Inference => {
            let Asked::V2 { inference, .. } = asked else { return Err(mismatched()) };
            let answered =
                inference::answer(inference, to.dialect, ready.target.spec.dialect, came);
            let (Body { bytes: body, json_size }, usage) = answered?;
            let content_type = if json_size.is_some() { BINARY } else { JSON };
            let usage = Some(usage);
            return Ok(Translated { body, content_type, json_size, usage, content_bytes: 0 });
        }
    };
    let answer = match encoded.grpc {
        true => inference::as_json(&came.bytes)?,
        false => came.bytes,
    };
    let translated = match asked {
        Asked::Model(Request::OpenAi(request)) => {
            embeddings::from_v2(&answer, request, batch, signature)
        }
        Asked::Predict { .. } => {
            let model = ready.target.spec.model.as_ref();
            let served = Served {
                name: model.map_or(to.endpoint, |model| &model.name),
                version: model.map(|model| model.version),
                digest: model.map(|model| model.digest.as_str()),
                request_id: to.id,
            };
            predict::from_v2(&answer, batch, signature, &served)
        }
        Asked::Model(_) | Asked::V2 { .. } => return Err(mismatched()),
    };
    let translated = translated?;
    let usage = Some(translated.usage);
    let body = translated.body;
    Ok(Translated { body, content_type: JSON, json_size: None, usage, content_bytes: 0 })
}

fn mismatched() -> UpstreamFault {
    UpstreamFault {
        status: 502,
        code: FaultCode::UpstreamError,
        message: "the answer is of another kind than the call".to_owned(),
        param: None,
        retryable: false,
        log: String::new(),
    }
}

/// Book the answer and hand it to the caller.
pub async fn respond(
    mut account: Account,
    job: &Job,
    ready: &ReadyTarget,
    plain: Plain,
) -> Response<Outgoing> {
    account.first_byte();
    let (usage, counted_by) = metered(job, ready, &plain);
    account.count(&usage, counted_by);
    if let Asked::Model(_) = &job.asked {
        account.exchange.trace.answers(&plain.answer.body);
    }
    if let Some(place) = &account.place {
        let cache = &account.exchange.worker.shared.cache;
        cache.keep(place, &ready.target, plain.answer.body.clone());
    }
    let Plain { answer, lease } = plain;
    let (kind, body) = match account.exchange.dialect {
        CallerDialect::KserveGrpc if account.exchange.message_id.is_some() => {
            (grpc::CONTENT_TYPE, Outgoing::leased(answer.body, lease))
        }
        CallerDialect::KserveGrpc => (grpc::CONTENT_TYPE, grpc::body(answer.body, lease)),
        _ => (answer.content_type, Outgoing::leased(answer.body, lease)),
    };
    let mut response = head(&account, job, ready, kind, body);
    if let Some(size) = answer.json_size {
        response.headers_mut().insert(kserve::JSON_SIZE, HeaderValue::from(size));
    }
    if let Some(cost) = account.progress.cost_nano {
        response.headers_mut().insert(names::COST_NANO, HeaderValue::from(cost));
    }
    let sequence = account.close(Ended::Complete, Some(200), None);
    account.durable(sequence).await;
    response
}

/// Answer a count of tokens by what was learned of the target, since it cannot count; the answer says so.
///
/// # Errors
/// The journal takes no record.
pub fn estimated(
    account: &mut Account,
    job: &Job,
    ready: &ReadyTarget,
    request: &Request,
) -> Result<Response<Outgoing>, Refusal> {
    let tokens = ready.bytes_per_token.estimate(request.input_bytes());
    account.answered()?;
    let body = Outgoing::whole(Bytes::from(format!("{{\"input_tokens\":{tokens}}}")));
    let mut response = head(account, job, ready, JSON, body);
    response.headers_mut().insert(COUNTED_BY, HeaderValue::from_static("gateway"));
    Ok(response)
}

/// What the upstream reports, completed by our own counts where it reports nothing.
pub fn metered(job: &Job, ready: &ReadyTarget, plain: &Plain) -> (Usage, CountedBy) {
    let reported = plain.answer.usage.unwrap_or_default();
    let any = reported.input_tokens.is_some() || reported.output_tokens.is_some();
    let Asked::Model(request) = &job.asked else {
        let counted_by = if any { CountedBy::Upstream } else { CountedBy::None };
        return (reported, counted_by);
    };
    let learned = &ready.bytes_per_token;
    if let Some(tokens) = reported.input_tokens {
        learned.observe(request.input_bytes(), tokens);
    }
    if any {
        return (reported, CountedBy::Upstream);
    }
    let input = || Some(learned.estimate(request.input_bytes()));
    let output = || Some(learned.estimate(plain.answer.content_bytes));
    let (input_tokens, output_tokens) = match request.operation() {
        // Counting uses no tokens.
        Operation::CountTokens => return (Usage::default(), CountedBy::None),
        Operation::Embeddings | Operation::Rerank => (input(), None),
        // The bytes of a sound say nothing of its tokens.
        Operation::Transcriptions => (None, output()),
        _ => (input(), output()),
    };
    (Usage { input_tokens, output_tokens, ..Usage::default() }, CountedBy::Gateway)
}
