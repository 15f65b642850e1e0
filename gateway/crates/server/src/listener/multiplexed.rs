//! HTTP/2: many calls on one connection, which may not be held by taking nothing.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper_util::rt::TokioTimer;
use tokio::task::spawn_local;
use tokio::time::Instant;

use crate::config::Limits;
use crate::listener::HEAD_SLACK;
use crate::outgoing::{Cut, Outgoing};

/// Calls of one connection at a time: more than the usual clients open, few enough that one caller's
/// connection does not fill a worker.
const MAX_STREAMS: u32 = 256;
/// What a caller may send of one body, and of all bodies of a connection, before it is read.
const STREAM_WINDOW: u32 = 256 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;
/// What waits of one answer for a caller to take it.
const SEND_BUFFER: usize = 128 << 10;
/// Largest piece of an answer that is given at once.
const PIECE: usize = 64 << 10;
/// How long a connection is kept that has made calls and makes none: clients keep theirs for minutes and
/// open another without an error when one is closed.
const IDLE: Duration = Duration::from_secs(300);
/// How often a connection is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Runs the calls of a connection on its worker's thread.
#[derive(Clone, Copy, Debug)]
pub struct Here;

impl<F: Future<Output = ()> + 'static> Executor<F> for Here {
    fn execute(&self, future: F) {
        spawn_local(future);
    }
}

/// How connections are served.
pub fn builder(limits: &Limits) -> http2::Builder<Here> {
    let mut builder = http2::Builder::new(Here);
    let head = usize::try_from(limits.header_max_bytes).unwrap_or(usize::MAX);
    let head = u32::try_from(head.saturating_add(HEAD_SLACK)).unwrap_or(u32::MAX);
    let patience = Duration::from_millis(limits.write_timeout_ms);
    builder
        .timer(TokioTimer::new())
        .max_header_list_size(head)
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        // Finds peers that are gone without a word.
        .keep_alive_interval(patience)
        .keep_alive_timeout(patience);
    builder
}

/// What a connection does, to tell when it does nothing.
pub struct Activity {
    calls: Cell<usize>,
    /// Since when there is no call.
    since: Cell<Instant>,
    served: Cell<bool>,
    /// When each answer was last offered to the caller; [`None`] while the answer itself is awaited.
    offered: RefCell<Vec<Weak<Cell<Option<Instant>>>>>,
}

/// A connection's next step, as far as its activity decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Stay,
    /// It is idle: it is told to go.
    Close,
    /// The caller has not taken an answer for too long.
    Cut,
}

impl Activity {
    pub fn new() -> Rc<Self> {
        Rc::new(Self {
            calls: Cell::new(0),
            since: Cell::new(Instant::now()),
            served: Cell::new(false),
            offered: RefCell::default(),
        })
    }

    /// A call begins; it ends when what comes back is dropped.
    pub fn call(self: &Rc<Self>) -> CallMark {
        self.calls.set(self.calls.get() + 1);
        self.served.set(true);
        CallMark(Rc::clone(self))
    }

    /// Look at the connection again after this.
    pub async fn pause(&self) {
        tokio::time::sleep(LOOK).await;
    }

    pub fn judge(&self, limits: &Limits) -> Verdict {
        let now = Instant::now();
        let patience = Duration::from_millis(limits.write_timeout_ms);
        let mut stalled = false;
        self.offered.borrow_mut().retain(|offered| {
            let Some(offered) = offered.upgrade() else { return false };
            stalled |= offered.get().is_some_and(|since| now - since > patience);
            true
        });
        if stalled {
            return Verdict::Cut;
        }
        let idle =
            if self.served.get() { IDLE } else { Duration::from_millis(limits.header_timeout_ms) };
        let idles = self.calls.get() == 0 && now - self.since.get() > idle;
        if idles { Verdict::Close } else { Verdict::Stay }
    }
}

/// One call of a connection.
pub struct CallMark(Rc<Activity>);

impl Drop for CallMark {
    fn drop(&mut self) {
        self.0.calls.set(self.0.calls.get() - 1);
        self.0.since.set(Instant::now());
    }
}

/// An answer's body that notes when it was last taken from.
///
/// Large pieces are cut: the HTTP library holds what it was given whole, whatever the caller takes.
pub struct Taken {
    body: Outgoing,
    rest: Bytes,
    offered: Rc<Cell<Option<Instant>>>,
    _call: CallMark,
}

impl Taken {
    pub fn new(body: Outgoing, call: CallMark) -> Self {
        let offered = Rc::new(Cell::new(None));
        call.0.offered.borrow_mut().push(Rc::downgrade(&offered));
        Self { body, rest: Bytes::new(), offered, _call: call }
    }
}

impl Body for Taken {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        self.offered.set(None);
        let mut frame = None;
        if self.rest.is_empty() {
            frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        }
        self.offered.set(Some(Instant::now()));
        let data = match frame {
            None if self.rest.is_empty() => return Poll::Ready(None),
            None => std::mem::take(&mut self.rest),
            Some(Err(cut)) => return Poll::Ready(Some(Err(cut))),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => data,
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            },
        };
        let mut piece = data;
        if piece.len() > PIECE {
            self.rest = piece.split_off(PIECE);
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.body.size_hint();
        let rest = self.rest.len() as u64;
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + rest);
        }
        hint.set_lower(hint.lower() + rest);
        hint
    }
}
