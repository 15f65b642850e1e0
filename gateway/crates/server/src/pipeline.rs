//! The path of a call: authenticate → authorise → admit → route → relay → account, each step a module
//! of that name.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, header};
use hyper::body::Incoming;
use towpath_dialect::kserve::message_id;
use towpath_dialect::{
    MessagesRequest, OpenAiRequest, Request as ModelRequest, RerankRequest, ResponsesRequest,
    TranscriptionRequest,
};
use towpath_policy::{Call, Endpoint};
use towpath_wire::routing::Operation;
use towpath_wire::usage::{CallerDialect, Ended};

use crate::account::{Account, Books};
use crate::admit::{self, Lease};
use crate::authenticate::authenticate;
use crate::authorise::authorise;
use crate::errors::{Code, Refusal};
use crate::exchange::Exchange;
use crate::grpc::messages::Message;
use crate::kserve::{self, Described, Wants};
use crate::outgoing::Outgoing;
use crate::relay::{self, Answers, Asked, Failure, Job, Looked};
use crate::shared::Worker;
use crate::{bodies, grpc, intake, models, names};

/// Longest name of a model that is kept in records; endpoint names have at most 63.
const NAME: usize = 128;
/// Longest `user` that is made a pseudonym.
const USER: usize = 1_024;

/// What a path under `/v1/` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asks {
    /// A body of the OpenAI dialect.
    OpenAi(Operation),
    /// Anthropic's messages, or a count of their tokens.
    Messages(Operation),
    /// OpenAI's responses.
    Responses,
    /// How well documents answer a query.
    Rerank,
    /// A form with a file of sound.
    Transcription,
    Predict {
        name: String,
        version: Option<u32>,
    },
    Models,
    Model(String),
    /// A model by the KServe protocol.
    Kserve(kserve::Asked),
    /// A model by the KServe protocol over gRPC; the message names it.
    Grpc(grpc::Call),
}

impl Asks {
    /// What a path asks for, if it is one of ours.
    pub fn of(path: &str) -> Option<Self> {
        Some(match path {
            "/v1/chat/completions" => Self::OpenAi(Operation::Chat),
            "/v1/completions" => Self::OpenAi(Operation::Completions),
            "/v1/embeddings" => Self::OpenAi(Operation::Embeddings),
            "/v1/messages" => Self::Messages(Operation::Chat),
            "/v1/messages/count_tokens" => Self::Messages(Operation::CountTokens),
            "/v1/responses" => Self::Responses,
            "/v1/rerank" => Self::Rerank,
            "/v1/audio/transcriptions" => Self::Transcription,
            "/v1/models" => Self::Models,
            _ if path.starts_with("/inference.") => Self::Grpc(grpc::Call::of(path)?),
            _ if path.starts_with("/v2/") => Self::Kserve(kserve::Asked::of(path)?),
            _ => {
                let mut parts = path.strip_prefix("/v1/models/")?.split('/');
                let name = parts.next().filter(|name| !name.is_empty())?.to_owned();
                match (parts.next(), parts.next(), parts.next(), parts.next()) {
                    (None, ..) => Self::Model(name),
                    (Some("predict"), None, ..) => Self::Predict { name, version: None },
                    (Some("versions"), Some(version), Some("predict"), None) => {
                        Self::Predict { name, version: Some(version.parse().ok()?) }
                    }
                    _ => return None,
                }
            }
        })
    }

    fn operation(&self) -> Operation {
        match self {
            Self::OpenAi(operation) | Self::Messages(operation) => *operation,
            Self::Responses => Operation::Chat,
            Self::Rerank => Operation::Rerank,
            Self::Transcription => Operation::Transcriptions,
            Self::Predict { .. } => Operation::Predict,
            Self::Models | Self::Model(_) => Operation::Models,
            Self::Kserve(asked) => asked.wants.operation(),
            Self::Grpc(call) => Wants::from(*call).operation(),
        }
    }

    fn method(&self) -> Method {
        match self {
            Self::OpenAi(_)
            | Self::Messages(_)
            | Self::Responses
            | Self::Rerank
            | Self::Transcription
            | Self::Predict { .. } => Method::POST,
            Self::Models | Self::Model(_) => Method::GET,
            Self::Kserve(asked) => asked.method(),
            Self::Grpc(_) => Method::POST,
        }
    }

    /// The dialect, where the operation does not say it.
    fn dialect(&self) -> Option<CallerDialect> {
        match self {
            Self::Kserve(_) => Some(CallerDialect::KserveV2),
            Self::Grpc(_) => Some(CallerDialect::KserveGrpc),
            Self::Messages(_) => Some(CallerDialect::Anthropic),
            Self::Responses => Some(CallerDialect::Responses),
            _ => None,
        }
    }
}

/// Serve one call.
pub async fn serve(
    worker: &Rc<Worker>,
    asks: Asks,
    request: Request<Incoming>,
    peer: IpAddr,
) -> Response<Outgoing> {
    let (parts, body) = request.into_parts();
    let mut exchange = Exchange::begin(worker, asks.operation(), &parts.headers, peer);
    exchange.dialect = asks.dialect().unwrap_or(exchange.dialect);
    let mut account = Books::open_for(exchange);
    if let Err(refusal) = enter(&mut account.exchange, &asks, &parts) {
        intake::discard(body);
        return refused(account, &refusal);
    }
    if asks == Asks::Grpc(grpc::Call::Stream) {
        let response = grpc::messages::answer(&account.exchange, parts, body, peer);
        account.withdraw();
        return response;
    }
    match asks {
        Asks::Models => listed(account, body, None),
        Asks::Model(name) => listed(account, body, Some(&name)),
        Asks::Grpc(call) if call != grpc::Call::Infer => {
            grpc_described(account, &parts.headers, body, call).await
        }
        Asks::Kserve(asked) if asked.wants != Wants::Infer => described(account, body, &asked),
        Asks::OpenAi(_)
        | Asks::Messages(_)
        | Asks::Responses
        | Asks::Rerank
        | Asks::Transcription
        | Asks::Predict { .. }
        | Asks::Kserve(_)
        | Asks::Grpc(_) => called(account, asks, &parts, body).await,
    }
}

/// Serve one message of a stream that was let in: a call of its own, of the head that the stream began
/// with. The answer's body is the caller's next messages.
pub async fn message(
    worker: &Rc<Worker>,
    parts: &Parts,
    peer: IpAddr,
    came: Message,
) -> Response<Outgoing> {
    let asks = Asks::Grpc(grpc::Call::Stream);
    let mut exchange = Exchange::begin(worker, asks.operation(), &parts.headers, peer);
    exchange.dialect = CallerDialect::KserveGrpc;
    exchange.id = came.id.unwrap_or(exchange.id);
    let named = came.content.as_ref().map(|(body, _)| message_id(body));
    exchange.is_message(named.unwrap_or_default());
    let mut account = Books::open_for(exchange);
    let entered = enter(&mut account.exchange, &asks, parts);
    account.exchange.patience = came.patience;
    match entered.and(came.content) {
        Ok((body, lease)) => taken(account, asks, &parts.headers, body, lease).await,
        Err(refusal) => refused(account, &refusal),
    }
}

/// What can be decided before the body is read.
fn enter(exchange: &mut Exchange, asks: &Asks, parts: &Parts) -> Result<(), Refusal> {
    authenticate(exchange, &parts.headers)?;
    if parts.method != asks.method() {
        let detail = format!("This path takes `{}`, not `{}`.", asks.method(), parts.method);
        return Err(
            Refusal::new(Code::MethodNotAllowed, detail).fix(format!("Use `{}`.", asks.method()))
        );
    }
    if matches!(asks, Asks::Grpc(_)) {
        exchange.patience = grpc::timeout(&parts.headers)?;
    }
    exchange.read_context(&parts.headers)?;
    if exchange.is_quiet() {
        exchange.labels.clear();
        exchange.client_request_id = None;
    }
    Ok(())
}

async fn called(
    mut account: Account,
    asks: Asks,
    parts: &Parts,
    body: Incoming,
) -> Response<Outgoing> {
    let start = Instant::now();
    let shared = Arc::clone(&account.exchange.worker.shared);
    let read = intake::read(&parts.headers, body, &shared.limits, &shared.memory).await;
    account.waited_since(start);
    let (body, lease) = match read {
        Ok(read) => read,
        Err(refusal) => return refused(account, &refusal),
    };
    taken(account, asks, &parts.headers, body, lease).await
}

/// The same once the body is there.
async fn taken(
    account: Account,
    asks: Asks,
    headers: &HeaderMap,
    body: Bytes,
    lease: Lease,
) -> Response<Outgoing> {
    let tap = bodies::tap(&account.exchange, headers, &body);
    let response = answered(account, asks, headers, body, lease).await;
    match tap {
        Some(tap) => tap.answer(response),
        None => response,
    }
}

async fn answered(
    mut account: Account,
    asks: Asks,
    headers: &HeaderMap,
    body: Bytes,
    lease: Lease,
) -> Response<Outgoing> {
    let job = match prepare(&mut account, asks, headers, body, lease) {
        Ok(job) => job,
        Err(refusal) => return refused(account, &refusal),
    };
    let account = match relay::look(account, &job).await {
        Looked::Found(response) => return response,
        Looked::Refused(account, refusal) => return refused(account, &refusal),
        Looked::NotFound(account) => account,
    };
    let answered = if may_wait(&account, &job) {
        relay::answer(account, job).await
    } else {
        relay::relay(account, &job).await
    };
    match answered {
        Ok(response) => response,
        Err((account, failure)) => failed(account, &failure),
    }
}

/// A stream of events, one of whose targets is asleep: its head may have to go out before its answer.
fn may_wait(account: &Account, job: &Job) -> bool {
    let targets = job.endpoint.targets.iter().map(|share| &share.target);
    let mut all = targets.chain(&job.endpoint.fallback);
    account.exchange.stream
        && account.exchange.message_id.is_none()
        && all.any(|target| {
            account.exchange.live.target(&target.id).is_some_and(|ready| ready.asleep())
        })
}

/// Understand the body, authorise the call and admit it.
fn prepare(
    account: &mut Account,
    asks: Asks,
    headers: &HeaderMap,
    body: Bytes,
    lease: Lease,
) -> Result<Job, Refusal> {
    let live = Arc::clone(&account.exchange.live);
    let (name, asked) = match asks {
        Asks::OpenAi(operation) => {
            let request = ModelRequest::OpenAi(OpenAiRequest::read(operation, body)?);
            understood(&mut account.exchange, request)
        }
        Asks::Messages(operation) => {
            let request = ModelRequest::Messages(MessagesRequest::read(operation, body)?);
            account.exchange.keep_for_anthropic(headers);
            understood(&mut account.exchange, request)
        }
        Asks::Responses => {
            let request = ModelRequest::Responses(ResponsesRequest::read(body)?);
            understood(&mut account.exchange, request)
        }
        Asks::Rerank => {
            let request = ModelRequest::Rerank(RerankRequest::read(body)?);
            understood(&mut account.exchange, request)
        }
        Asks::Transcription => {
            let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
            let request = ModelRequest::Transcription(TranscriptionRequest::read(kind, body)?);
            understood(&mut account.exchange, request)
        }
        Asks::Predict { name, version } => (name, Asked::Predict { body, version }),
        Asks::Kserve(asked) => {
            let version =
                asked.version.as_deref().map(|version| kserve::number(&asked.name, version));
            let inference = kserve::inference(headers, body)?;
            let answers = Answers::One;
            (asked.name, Asked::V2 { inference, version: version.transpose()?, answers })
        }
        Asks::Grpc(call) => {
            let (named, message) = grpc::message(&body)?;
            let version = kserve::given(&named.name, &named.version)?;
            let inference = grpc::inference(message)?;
            let answers = if call == grpc::Call::Stream { Answers::Any } else { Answers::One };
            (named.name, Asked::V2 { inference, version, answers })
        }
        Asks::Models | Asks::Model(_) => {
            return Err(Refusal::new(Code::InternalError, "A list of models is not called."));
        }
    };
    let exchange = &mut account.exchange;
    exchange.endpoint = Some(name.chars().take(NAME).collect());
    let Some(key) = exchange.key.clone() else {
        return Err(Refusal::new(Code::MissingApiKey, "The request carries no API key."));
    };
    if let Some(platform) = live.table.platform() {
        let rules = &platform.max_table_age_ms;
        exchange.worker.shared.contact.serves(exchange.data_class, rules, exchange.time_ms)?;
    }
    let call = Call { name: &name, operation: exchange.operation, data_class: exchange.data_class };
    let endpoint = authorise(&live.table, &key, call)?;
    if let Some(version) = asked.version() {
        serves_version(endpoint, version)?;
    }
    let Some(ready) = live.endpoint(&endpoint.id) else {
        return Err(Refusal::new(Code::NotReady, "The endpoint is being prepared."));
    };
    let mut reservation = admit::reserve(&exchange.worker.shared.calls, &ready.state)?;
    reservation.held = admit::hold(exchange, endpoint, &asked.needs())?;
    let most = reservation.held.as_ref().and_then(|held| held.most_output_tokens);
    let asked = match most {
        // An answer that a budget may cut short is not what the same request is to get later.
        Some(most) => asked.with_max_output_tokens(most)?,
        None => {
            if let Asked::Model(request) = &asked {
                let cache = &exchange.worker.shared.cache;
                account.place = cache.place(endpoint, exchange, headers, request);
            }
            asked
        }
    };
    account.admitted(endpoint, reservation);
    Ok(Job::new(Arc::clone(endpoint), asked, lease))
}

/// Note on the exchange what a request to a model says of itself.
fn understood(exchange: &mut Exchange, request: ModelRequest) -> (String, Asked) {
    exchange.stream = request.stream();
    exchange.trace.asks_at_most(request.max_output_tokens());
    let quiet = exchange.is_quiet();
    let user = request.user().filter(|user| user.len() <= USER && !quiet);
    exchange.user = user.map(|user| exchange.worker.shared.secrets.pseudonym(user));
    (request.model().to_owned(), Asked::Model(request))
}

/// A version can be named only where all targets share one registry model, and serve that version or have a
/// candidate that does.
pub fn serves_version(endpoint: &Endpoint, version: u32) -> Result<(), Refusal> {
    let name = &endpoint.spec.name;
    let mut models = endpoint.targets.iter().map(|share| share.target.spec.model.as_ref());
    let shared = models.next().flatten().map(|model| model.name.as_str());
    let one = shared
        .is_some_and(|shared| models.all(|model| model.is_some_and(|model| model.name == shared)));
    if !one {
        return Err(Refusal::new(
            Code::ModelNotFound,
            format!(
                "The targets of `{name}` do not share one registry model, so it has no versions."
            ),
        )
        .fix("Call it without a version."));
    }
    let loaded = loaded_versions(endpoint);
    if !loaded.contains(&version) {
        let loaded: Vec<_> = loaded.iter().map(u32::to_string).collect();
        return Err(Refusal::new(
            Code::ModelNotFound,
            format!("Version {version} of `{name}` is not loaded."),
        )
        .fix(format!("Call a loaded version ({}), or deploy this one.", loaded.join(", "))));
    }
    Ok(())
}

/// Versions of registry models that an endpoint's targets and their candidates serve.
pub fn loaded_versions(endpoint: &Endpoint) -> BTreeSet<u32> {
    let sides = endpoint.targets.iter().flat_map(|share| share.target.sides());
    sides.filter_map(|side| Some(side.spec.model.as_ref()?.version)).collect()
}

fn listed(mut account: Account, body: Incoming, name: Option<&str>) -> Response<Outgoing> {
    intake::discard(body);
    let live = Arc::clone(&account.exchange.live);
    let answer = match account.exchange.key.clone() {
        Some(key) => models::answer(&live.table, &key, name, account.exchange.time_ms),
        None => Err(Refusal::new(Code::MissingApiKey, "The request carries no API key.")),
    };
    match answer.and_then(|body| account.answered().map(|()| body)) {
        Ok(body) => {
            let mut response = Response::new(Outgoing::whole(body));
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            if let Ok(id) = HeaderValue::from_str(&account.exchange.id) {
                headers.insert(names::REQUEST_ID, id);
            }
            response
        }
        Err(refusal) => refused(account, &refusal),
    }
}

/// The same of a model that a message names.
async fn grpc_described(
    mut account: Account,
    headers: &HeaderMap,
    body: Incoming,
    call: grpc::Call,
) -> Response<Outgoing> {
    let shared = Arc::clone(&account.exchange.worker.shared);
    let start = Instant::now();
    let read = intake::read(headers, body, &shared.limits, &shared.memory).await;
    account.waited_since(start);
    let named = read.and_then(|(body, _lease)| Ok(grpc::message(&body)?.0));
    let found = named.and_then(|named| {
        account.exchange.endpoint = Some(named.name.chars().take(NAME).collect());
        let Some(key) = account.exchange.key.clone() else {
            return Err(Refusal::new(Code::MissingApiKey, "The request carries no API key."));
        };
        let version = Some(named.version.as_str()).filter(|version| !version.is_empty());
        Described::find(&account.exchange.live, &key, &named.name, version)
    });
    match found.and_then(|found| account.answered().map(|()| found)) {
        Ok(found) => {
            let mut response = grpc::answer(grpc::described(call, &found));
            account.exchange.shape().identify(response.headers_mut(), &account.exchange.id);
            response
        }
        Err(refusal) => refused(account, &refusal),
    }
}

/// What the protocol's documents say of a model, and whether it is ready.
fn described(mut account: Account, body: Incoming, asked: &kserve::Asked) -> Response<Outgoing> {
    intake::discard(body);
    account.exchange.endpoint = Some(asked.name.chars().take(NAME).collect());
    let live = Arc::clone(&account.exchange.live);
    let found = match account.exchange.key.clone() {
        Some(key) => Described::find(&live, &key, &asked.name, asked.version.as_deref()),
        None => Err(Refusal::new(Code::MissingApiKey, "The request carries no API key.")),
    };
    match found.and_then(|found| account.answered().map(|()| found)) {
        Ok(found) => {
            let (status, body) = found.answer(asked.wants);
            let mut response = kserve::document(status, body);
            account.exchange.shape().identify(response.headers_mut(), &account.exchange.id);
            response
        }
        Err(refusal) => refused(account, &refusal),
    }
}

fn refused(mut account: Account, refusal: &Refusal) -> Response<Outgoing> {
    let shape = account.exchange.shape();
    let refusal = refusal.clone().in_shape(shape);
    account.refuse(&refusal, Ended::Refused);
    account.exchange.respond(&refusal)
}

fn failed(mut account: Account, failure: &Failure) -> Response<Outgoing> {
    let shape = account.exchange.shape();
    let refusal = failure.refusal.clone().in_shape(shape);
    account.refuse(&refusal, failure.ended);
    let mut response = account.exchange.respond(&refusal);
    let headers = response.headers_mut();
    headers.insert(names::ATTEMPTS, HeaderValue::from(account.progress.attempts));
    if let Some(target) = account.asked().and_then(|name| HeaderValue::from_str(name).ok()) {
        headers.insert(names::TARGET, target);
    }
    if let Some(ms) = account.progress.cold_start_ms {
        headers.insert(names::COLD_START_MS, HeaderValue::from(ms));
    }
    response
}

#[cfg(test)]
mod tests;
