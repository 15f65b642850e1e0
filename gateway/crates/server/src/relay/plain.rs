//! Plain answers: read whole, metered, booked, passed on.

use std::time::Instant;

use bytes::Bytes;
use http::{HeaderValue, Response};
use towpath_dialect::kserve::{Body, only_answer};
use towpath_dialect::{Answered, Request, Served, Usage, embeddings, predict};
use towpath_upstream::Reply;
use towpath_wire::routing::Operation;
use towpath_wire::usage::{CallerDialect, CountedBy, Ended};

use crate::account::Account;
use crate::admit::Lease;
use crate::errors::{Code, Refusal};
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
    body: Bytes,
    content_type: &'static str,
    /// Length of the JSON that the body begins with, where tensors follow it.
    json_size: Option<usize>,
    lease: Lease,
    usage: Option<Usage>,
    /// Bytes of generated text, where the upstream reports no usage.
    content_bytes: u64,
}

impl Plain {
    pub fn body(&self) -> &Bytes {
        &self.body
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
    let (mut answer, lease) = read.map_err(Failure::answer)?;
    if encoded.grpc {
        let outcome = body.trailers().and_then(grpc::outcome);
        outcome.unwrap_or_else(|| Err(inference::without_status())).map_err(Failure::fault)?;
        if let Kind::V2 { .. } = encoded.kind {
            answer = inference::as_json(&answer).map_err(Failure::fault)?;
        }
    }
    let (batch, signature) = match &encoded.kind {
        Kind::V2 { batch, signature } => (*batch, *signature),
        Kind::Model(reply) => {
            let stamp = || account.exchange.stamp();
            let answered = reply.answer(answer, stamp).map_err(Failure::fault)?;
            let Answered { body, content_type, usage, content_bytes } = answered;
            let json_size = None;
            return Ok(Plain { body, content_type, json_size, lease, usage, content_bytes });
        }
        Kind::Inference => {
            let Asked::V2 { inference, .. } = &job.asked else { return Err(mismatched()) };
            let came = Body { bytes: answer, json_size };
            let (caller, target) = (account.exchange.dialect, ready.target.spec.dialect);
            let (body, usage) =
                inference::answer(inference, caller, target, came).map_err(Failure::fault)?;
            let (Body { bytes: mut body, json_size }, usage) = (body, Some(usage));
            if account.exchange.message_id.is_some() {
                body = only_answer(&body).map_err(Failure::fault)?;
            }
            let content_type = if json_size.is_some() { BINARY } else { JSON };
            return Ok(Plain { body, content_type, json_size, lease, usage, content_bytes: 0 });
        }
    };
    let translated = match &job.asked {
        Asked::Model(Request::OpenAi(request)) => {
            embeddings::from_v2(&answer, request, batch, signature)
        }
        Asked::Predict { .. } => {
            let spec = &ready.target.spec;
            let model = spec.model.as_ref();
            let served = Served {
                name: model.map_or(&job.endpoint.spec.name, |model| &model.name),
                version: model.map(|model| model.version),
                digest: model.map(|model| model.digest.as_str()),
                request_id: &account.exchange.id,
            };
            predict::from_v2(&answer, batch, signature, &served)
        }
        Asked::Model(_) | Asked::V2 { .. } => return Err(mismatched()),
    };
    let translated = translated.map_err(Failure::fault)?;
    let usage = Some(translated.usage);
    let body = translated.body;
    Ok(Plain { body, content_type: JSON, json_size: None, lease, usage, content_bytes: 0 })
}

fn mismatched() -> Failure {
    let detail = "The answer is of another kind than the call.";
    Failure::refused(Refusal::new(Code::InternalError, detail))
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
        account.exchange.trace.answers(&plain.body);
    }
    if let Some(place) = &account.place {
        let cache = &account.exchange.worker.shared.cache;
        cache.keep(place, &ready.target, plain.body.clone());
    }
    let (kind, body) = match account.exchange.dialect {
        CallerDialect::KserveGrpc if account.exchange.message_id.is_some() => {
            (grpc::CONTENT_TYPE, Outgoing::leased(plain.body, plain.lease))
        }
        CallerDialect::KserveGrpc => (grpc::CONTENT_TYPE, grpc::body(plain.body, plain.lease)),
        _ => (plain.content_type, Outgoing::leased(plain.body, plain.lease)),
    };
    let mut response = head(&account, job, ready, kind, body);
    if let Some(size) = plain.json_size {
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
    let reported = plain.usage.unwrap_or_default();
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
    let output = || Some(learned.estimate(plain.content_bytes));
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
