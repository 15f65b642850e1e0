//! HTTP/2 to upstreams: connections that carry many calls at once.
//!
//! Unlike those of HTTP/1.1 such a connection belongs to no call, so it has a task of its own on the
//! worker's thread. Dropping a call resets its stream alone.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::error::Error as _;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper::rt::Executor;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Mutex;
use tokio::task::spawn_local;
use tokio::time::Instant;

use crate::address::{Address, Reach};
use crate::clock::Clock;
use crate::connection::{Protocol, Wire};
use crate::errors::{Phase, UpstreamError};
use crate::pool::{Payload, Settings};

/// Calls on one connection before another is opened: what servers allow by default. Where one allows fewer,
/// calls wait for their turn.
const MAX_CALLS: usize = 100;
/// Connections to one address; with more calls than they carry, calls share them all the same.
const MAX_CONNECTIONS: usize = 8;
/// What may come of one answer, and of all answers of a connection, before it is read.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;
/// Largest head of an answer.
const MAX_HEAD_BYTES: u32 = 64 * 1024;
/// How soon a silent server is asked whether it is there, and how long it may think.
const PING_AFTER: Duration = Duration::from_secs(10);
const PING_FOR: Duration = Duration::from_secs(10);
/// How often a call is sent anew that the server says it has not begun.
const RESENT: usize = 2;

/// One worker's connections, by pool.
#[derive(Default)]
pub(crate) struct Links(RefCell<HashMap<Arc<str>, Group>>);

/// Connections to one address.
#[derive(Default)]
struct Group {
    links: Vec<Rc<Link>>,
    /// Held while one is opened, so that calls that come meanwhile share it.
    opening: Rc<Mutex<()>>,
}

/// One connection.
struct Link {
    sender: SendRequest<Payload>,
    ends: Option<(SocketAddr, SocketAddr)>,
    calls: Cell<usize>,
    /// Since when it has none.
    since: Cell<Instant>,
}

/// A call's place on a connection.
#[derive(Debug)]
pub(crate) struct Place(Rc<Link>);

/// Runs connections on the worker's thread.
#[derive(Clone, Copy, Debug)]
struct Here;

impl<F: Future<Output = ()> + 'static> Executor<F> for Here {
    fn execute(&self, future: F) {
        spawn_local(future);
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("calls", &self.calls).finish_non_exhaustive()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.calls.set(self.0.calls.get() - 1);
        self.0.since.set(Instant::now());
    }
}

impl Links {
    /// Send one request and wait for the answer's head. What the server says it has not begun is sent
    /// again, on another connection.
    pub(crate) async fn exchange(
        &self,
        address: &Address,
        settings: &Settings,
        mut request: Request<Payload>,
        clock: &mut Clock,
    ) -> Result<(Response<Incoming>, Place), UpstreamError> {
        let mut left = RESENT;
        loop {
            let place = match self.free(address, settings) {
                Some(place) => place,
                None => self.opened(address, settings, clock).await?,
            };
            clock.enter(Phase::FirstByte);
            let copy = crate::pool::copy(&request);
            let mut sender = place.0.sender.clone();
            let sent = sender.try_send_request(request);
            let answer = clock.limit_to(async { Ok(sent.await) }).await?;
            let mut failed = match answer {
                Ok(answer) => return Ok((answer, place)),
                Err(failed) => failed,
            };
            let unsent = failed.take_message();
            let error = failed.into_error();
            let again = match unsent {
                Some(unsent) => Some(unsent),
                None if untouched(&error) => copy,
                None => None,
            };
            self.forget(address, &place);
            match again {
                Some(again) if left > 0 => request = again,
                _ => return Err(failure(error)),
            }
            left -= 1;
            clock.enter(Phase::Connect);
        }
    }

    /// Close what has no calls for too long or was closed by the other side.
    pub(crate) fn sweep(&self, idle: Duration) {
        self.0.borrow_mut().retain(|_, group| {
            group.links.retain(|link| {
                let idles = link.calls.get() == 0 && link.since.get().elapsed() >= idle;
                !idles && !link.sender.is_closed()
            });
            !group.links.is_empty() || Rc::strong_count(&group.opening) > 1
        });
    }

    /// Connections now.
    pub(crate) fn count(&self) -> usize {
        self.0.borrow().values().map(|group| group.links.len()).sum()
    }

    /// The connection with the fewest calls, unless another should be opened.
    fn free(&self, address: &Address, settings: &Settings) -> Option<Place> {
        let mut groups = self.0.borrow_mut();
        let links = &mut groups.get_mut(address.pool())?.links;
        links.retain(|link| !link.sender.is_closed() && allowed(address, settings, link.ends));
        let least = links.iter().min_by_key(|link| link.calls.get())?;
        if least.calls.get() >= MAX_CALLS && links.len() < MAX_CONNECTIONS {
            return None;
        }
        least.calls.set(least.calls.get() + 1);
        Some(Place(Rc::clone(least)))
    }

    /// A place on a connection that is being opened, by this call or another.
    async fn opened(
        &self,
        address: &Address,
        settings: &Settings,
        clock: &mut Clock,
    ) -> Result<Place, UpstreamError> {
        let opening = {
            let mut groups = self.0.borrow_mut();
            Rc::clone(&groups.entry(address.pool().clone()).or_default().opening)
        };
        let _turn = clock.limit_to(async { Ok(opening.lock().await) }).await?;
        match self.free(address, settings) {
            Some(place) => Ok(place),
            None => self.open(address, settings, clock).await,
        }
    }

    async fn open(
        &self,
        address: &Address,
        settings: &Settings,
        clock: &mut Clock,
    ) -> Result<Place, UpstreamError> {
        let opening = async {
            let (wire, ends) = Wire::open(address, settings, Protocol::Http2).await?;
            let made = http2::Builder::new(Here)
                .timer(TokioTimer::new())
                .initial_stream_window_size(STREAM_WINDOW)
                .initial_connection_window_size(CONNECTION_WINDOW)
                .max_header_list_size(MAX_HEAD_BYTES)
                .keep_alive_interval(PING_AFTER)
                .keep_alive_timeout(PING_FOR)
                .handshake(TokioIo::new(wire))
                .await
                .map_err(UpstreamError::Protocol)?;
            Ok((made, ends))
        };
        let ((sender, connection), ends) = clock.limit_to(opening).await?;
        spawn_local(async move {
            // Whoever waits for an answer on it learns how it ended.
            let _ = connection.await;
        });
        let since = Cell::new(Instant::now());
        let link = Rc::new(Link { sender, ends, calls: Cell::new(1), since });
        let mut groups = self.0.borrow_mut();
        groups.entry(address.pool().clone()).or_default().links.push(Rc::clone(&link));
        Ok(Place(link))
    }

    /// Use a connection for nothing new; calls on it may still end well.
    fn forget(&self, address: &Address, place: &Place) {
        if let Some(group) = self.0.borrow_mut().get_mut(address.pool()) {
            group.links.retain(|link| !Rc::ptr_eq(link, &place.0));
        }
    }
}

fn allowed(address: &Address, settings: &Settings, ends: Option<(SocketAddr, SocketAddr)>) -> bool {
    match (address.reach(), ends) {
        (Reach::Own, _) => true,
        (Reach::Checked, Some((local, peer))) => settings.egress.judge(local, peer).is_ok(),
        (Reach::Checked, None) => false,
    }
}

/// Whether the server says that it has not begun the call: it refused the stream, or goes away and its last
/// stream is an earlier one.
fn untouched(error: &hyper::Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<h2::Error>());
    cause.is_some_and(|cause| {
        let refused = cause.is_reset() && cause.reason() == Some(h2::Reason::REFUSED_STREAM);
        cause.is_remote() && (refused || cause.is_go_away())
    })
}

fn failure(error: hyper::Error) -> UpstreamError {
    if error.is_user() || error.is_body_write_aborted() {
        return UpstreamError::Payload(error);
    }
    let cause = error.source().and_then(|cause| cause.downcast_ref::<h2::Error>());
    // A server that speaks something else breaks the protocol before anything else.
    if cause.is_some_and(|cause| cause.is_library() && !cause.is_io()) {
        return UpstreamError::Protocol(error);
    }
    UpstreamError::Cut { received_bytes: 0 }
}
