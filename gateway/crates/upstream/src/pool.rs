//! Keep-alive connections by address, and the exchange of a request for an answer.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::future::Future as _;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderName};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Instant;
use towpath_wire::routing::Timeouts;

use crate::address::{Address, Reach};
use crate::body::{Body, Held};
use crate::clock::Clock;
use crate::connection::Connection;
use crate::egress::Egress;
use crate::errors::{Phase, UpstreamError};
use crate::multiplexed::Links;
use crate::tls::Tls;

/// Headers that belong to one connection and never travel on.
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// How long a connection of HTTP/2 is kept without a call: such servers say when they go away.
const SHARED_IDLE: Duration = Duration::from_secs(300);

type Broken = Box<dyn std::error::Error + Send + Sync>;

/// How a pool keeps connections.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long an unused connection is kept. Below the idle limit of the usual servers (5 s for uvicorn
    /// and Node, 60 s and more for others), or the race with their closing is run often.
    pub idle: Duration,
    /// Most unused connections to one address.
    pub max_idle_per_address: usize,
    pub tls: Tls,
    /// For addresses that are [`Address::checked`].
    pub egress: Egress,
}

/// One worker's connections. Cheap to clone.
#[derive(Clone)]
pub struct Pool(Rc<Inner>);

struct Inner {
    settings: Settings,
    idle: RefCell<HashMap<Arc<str>, Vec<Idle>>>,
    links: Links,
}

struct Idle {
    connection: Box<Connection>,
    since: Instant,
}

/// A request's body.
pub enum Payload {
    Whole(Bytes),
    /// One after the other, so that a large one need not be copied to be joined to others.
    Pieces(VecDeque<Bytes>),
    /// Relayed as it comes; cannot be sent twice.
    Streamed(Pin<Box<dyn http_body::Body<Data = Bytes, Error = Broken>>>),
}

/// What kind of answer is awaited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// A whole answer: its head ends the first-byte limit. Redirects are errors.
    Answer,
    /// A stream of events: the first-byte limit runs until [`Body::first_event_seen`]. Redirects are errors.
    Events,
    /// Whatever comes, redirects included: for relaying.
    Anything,
}

/// One request.
pub struct Call<'a> {
    pub method: Method,
    /// Appended to the address's prefix: `/chat/completions`, `/v2/models/m/infer`; may have a query.
    pub path: &'a str,
    /// `host`, `content-length` and what belongs to a connection are set here; `accept-encoding` is
    /// `identity` where it is absent.
    pub headers: HeaderMap,
    pub body: Payload,
    pub expect: Expect,
    pub timeouts: Timeouts,
}

/// An answer whose head has come, without the headers that belong to the connection.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Body,
}

impl Pool {
    pub fn new(settings: Settings) -> Self {
        Self(Rc::new(Inner { settings, idle: RefCell::default(), links: Links::default() }))
    }

    /// Send one request. Dropping the future cancels it.
    ///
    /// A kept connection that turns out to be closed before anything came back is replaced once, if the
    /// body can be sent again.
    ///
    /// # Errors
    /// Connecting failed, a limit passed, or the answer's head is none.
    pub async fn send(&self, address: &Address, call: Call<'_>) -> Result<Reply, UpstreamError> {
        let mut clock = Clock::start(call.timeouts);
        let expect = call.expect;
        let mut request = request(address, call)?;
        if let Some(mut kept) = self.take(address) {
            let copy = copy(&request);
            clock.enter(Phase::FirstByte);
            match exchange(&mut kept, request, &mut clock).await {
                Ok(answer) => {
                    return self.reply(address, Held::Alone(kept), answer, clock, expect);
                }
                Err(Failed { unsent, stale: true, error }) => {
                    request = unsent.or(copy).ok_or(error)?;
                }
                Err(Failed { error, .. }) => return Err(error),
            }
            clock.enter(Phase::Connect);
        }
        let opening = Connection::open(address, &self.0.settings);
        let mut connection = Box::new(clock.limit_to(opening).await?);
        clock.enter(Phase::FirstByte);
        match exchange(&mut connection, request, &mut clock).await {
            Ok(answer) => self.reply(address, Held::Alone(connection), answer, clock, expect),
            Err(failed) => Err(failed.error),
        }
    }

    /// Send one request over HTTP/2, on a connection that others share. Runs within a `LocalSet`.
    ///
    /// What the server says it has not begun, by `GOAWAY` or `REFUSED_STREAM`, is sent again on another
    /// connection, if the body can be.
    ///
    /// # Errors
    /// Connecting failed, a limit passed, or there is no answer.
    pub async fn send_multiplexed(
        &self,
        address: &Address,
        call: Call<'_>,
    ) -> Result<Reply, UpstreamError> {
        let mut clock = Clock::start(call.timeouts);
        let expect = call.expect;
        let request = multiplexed(address, call)?;
        let exchanged =
            self.0.links.exchange(address, &self.0.settings, request, &mut clock).await?;
        let (answer, place) = exchanged;
        self.reply(address, Held::Shared { _place: place }, answer, clock, expect)
    }

    fn reply(
        &self,
        address: &Address,
        connection: Held,
        answer: Response<Incoming>,
        mut clock: Clock,
        expect: Expect,
    ) -> Result<Reply, UpstreamError> {
        let (mut head, incoming) = answer.into_parts();
        if expect != Expect::Anything && head.status.is_redirection() {
            return Err(UpstreamError::Redirect { status: head.status.as_u16() });
        }
        if expect != Expect::Events {
            clock.enter(Phase::Silence);
        }
        strip(&mut head.headers);
        let body = Body::new(incoming, connection, clock, self.clone(), address.clone());
        Ok(Reply { status: head.status, headers: head.headers, body })
    }

    /// Close what has been unused too long or was closed by the other side. Call it about once a second.
    pub fn sweep(&self) {
        let limit = self.0.settings.idle;
        self.0.links.sweep(limit.max(SHARED_IDLE));
        self.0.idle.borrow_mut().retain(|_, kept| {
            kept.retain_mut(|k| k.since.elapsed() < limit && k.connection.ready_now());
            !kept.is_empty()
        });
    }

    /// Connections of HTTP/2 now.
    pub fn shared_connections(&self) -> usize {
        self.0.links.count()
    }

    /// Unused connections now.
    pub fn idle_connections(&self) -> usize {
        self.0.idle.borrow().values().map(Vec::len).sum()
    }

    pub(crate) fn keep(&self, address: &Address, mut connection: Box<Connection>) {
        connection.reused = true;
        let mut idle = self.0.idle.borrow_mut();
        let kept = match idle.get_mut(address.pool()) {
            Some(kept) => kept,
            None => idle.entry(address.pool().clone()).or_default(),
        };
        if kept.len() < self.0.settings.max_idle_per_address {
            kept.push(Idle { connection, since: Instant::now() });
        }
    }

    /// The rules may have changed since the connection was opened.
    fn allows(&self, address: &Address, kept: &Connection) -> bool {
        match (address.reach(), kept.ends) {
            (Reach::Own, _) => true,
            (Reach::Checked, Some((local, peer))) => {
                self.0.settings.egress.judge(local, peer).is_ok()
            }
            (Reach::Checked, None) => false,
        }
    }

    /// The connection used last that still stands.
    fn take(&self, address: &Address) -> Option<Box<Connection>> {
        let mut idle = self.0.idle.borrow_mut();
        let kept = idle.get_mut(address.pool())?;
        while let Some(mut last) = kept.pop() {
            if last.since.elapsed() >= self.0.settings.idle {
                // All below it are older.
                kept.clear();
                return None;
            }
            if self.allows(address, &last.connection) && last.connection.ready_now() {
                return Some(last.connection);
            }
        }
        None
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("settings", &self.0.settings).finish_non_exhaustive()
    }
}

/// A request that got no answer.
struct Failed {
    error: UpstreamError,
    /// The request itself, if none of it was sent.
    unsent: Option<Request<Payload>>,
    /// It failed as a connection does that the other side had closed before.
    stale: bool,
}

/// Send a request on a connection and wait for the answer's head.
async fn exchange(
    connection: &mut Connection,
    request: Request<Payload>,
    clock: &mut Clock,
) -> Result<Response<Incoming>, Failed> {
    let before = connection.received();
    let mut answer = std::pin::pin!(connection.sender.try_send_request(request));
    let outcome = std::future::poll_fn(|cx| {
        connection.drive(cx);
        if let Poll::Ready(answer) = answer.as_mut().poll(cx) {
            return Poll::Ready(Ok(answer));
        }
        clock.poll(cx).map(Err)
    })
    .await;
    match outcome {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(mut error)) => {
            let unsent = error.take_message();
            let error = error.into_error();
            let came = connection.received() - before;
            let broken = error.is_parse() || error.is_user();
            let stale = connection.reused && came == 0 && !broken;
            Err(Failed { error: head_failure(error, came), unsent, stale })
        }
        Err(error) => Err(Failed { error, unsent: None, stale: false }),
    }
}

fn head_failure(error: hyper::Error, received_bytes: u64) -> UpstreamError {
    if error.is_parse() {
        UpstreamError::Protocol(error)
    } else if error.is_user() || error.is_body_write_aborted() {
        UpstreamError::Payload(error)
    } else {
        UpstreamError::Cut { received_bytes }
    }
}

fn request(address: &Address, call: Call<'_>) -> Result<Request<Payload>, UpstreamError> {
    let path = [address.prefix(), call.path].concat();
    let target = match PathAndQuery::from_maybe_shared(Bytes::from(path)) {
        Ok(target) if call.path.starts_with('/') => target,
        _ => return Err(UpstreamError::Path(call.path.chars().take(200).collect())),
    };
    let mut request = Request::new(call.body);
    *request.method_mut() = call.method;
    *request.uri_mut() = Uri::from(target);
    let headers = request.headers_mut();
    *headers = call.headers;
    strip(headers);
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::HOST, address.host().clone());
    headers.entry(header::ACCEPT_ENCODING).or_insert_with(|| HeaderValue::from_static("identity"));
    Ok(request)
}

/// The same for HTTP/2, whose requests name scheme and host in their target.
fn multiplexed(address: &Address, call: Call<'_>) -> Result<Request<Payload>, UpstreamError> {
    let te = call.headers.get(header::TE).cloned();
    let mut request = request(address, call)?;
    let headers = request.headers_mut();
    let host = headers.remove(header::HOST);
    // The one thing that `te` may say here: gRPC wants its trailers.
    if te.as_ref().is_some_and(|te| te == "trailers") {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    parts.scheme = Some(address.scheme());
    parts.authority = host.and_then(|host| Authority::try_from(host.as_bytes()).ok());
    *request.uri_mut() =
        Uri::from_parts(parts).map_err(|error| UpstreamError::Path(error.to_string()))?;
    *request.version_mut() = Version::HTTP_2;
    Ok(request)
}

/// A copy to send again, of a request whose body is at hand.
pub(crate) fn copy(request: &Request<Payload>) -> Option<Request<Payload>> {
    let body = match request.body() {
        Payload::Whole(body) => Payload::Whole(body.clone()),
        Payload::Pieces(pieces) => Payload::Pieces(pieces.clone()),
        Payload::Streamed(_) => return None,
    };
    let mut copy = Request::new(body);
    copy.method_mut().clone_from(request.method());
    copy.uri_mut().clone_from(request.uri());
    copy.headers_mut().clone_from(request.headers());
    *copy.version_mut() = request.version();
    Some(copy)
}

fn strip(headers: &mut HeaderMap) {
    // `connection` may name more of them.
    if let Some(named) = headers.get(header::CONNECTION).cloned()
        && let Ok(named) = named.to_str()
    {
        for name in named.split(',').map(str::trim) {
            headers.remove(name);
        }
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

impl http_body::Body for Payload {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match &mut *self {
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Pieces(pieces) => {
                let mut rest = std::iter::from_fn(|| pieces.pop_front());
                let next = rest.find(|piece| !piece.is_empty());
                Poll::Ready(next.map(|piece| Ok(Frame::data(piece))))
            }
            Self::Streamed(body) => body.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_empty(),
            Self::Pieces(pieces) => pieces.iter().all(Bytes::is_empty),
            Self::Streamed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Pieces(pieces) => {
                SizeHint::with_exact(pieces.iter().map(|piece| piece.len() as u64).sum())
            }
            Self::Streamed(body) => body.size_hint(),
        }
    }
}
