//! An answer's body under its time limits.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;

use crate::address::Address;
use crate::clock::Clock;
use crate::connection::Connection;
use crate::errors::{Phase, UpstreamError};
use crate::multiplexed::Place;
use crate::pool::Pool;

/// How long and how much is read after an answer that is complete for us, to keep its connection: the
/// end of a chunked body is five bytes, and usually there already.
const DRAIN_FOR: Duration = Duration::from_secs(1);
const DRAIN_BYTES: usize = 16 * 1024;

/// An answer's body. Dropping it before its end closes the connection, which cancels the upstream.
#[derive(Debug)]
pub struct Body {
    incoming: Incoming,
    /// Gone once the body has ended: back in the pool, or closed.
    connection: Option<Held>,
    trailers: Option<HeaderMap>,
    clock: Clock,
    pool: Pool,
    address: Address,
    received_bytes: u64,
}

/// What the body comes on.
#[derive(Debug)]
pub(crate) enum Held {
    /// A connection of its own.
    Alone(Box<Connection>),
    /// A place on one that others share, given back when dropped.
    Shared { _place: Place },
}

impl Body {
    pub(crate) fn new(
        incoming: Incoming,
        connection: Held,
        clock: Clock,
        pool: Pool,
        address: Address,
    ) -> Self {
        let connection = Some(connection);
        let trailers = None;
        let received_bytes = 0;
        let mut body =
            Self { incoming, connection, trailers, clock, pool, address, received_bytes };
        body.recycle_if_ended(&mut Context::from_waker(std::task::Waker::noop()));
        body
    }

    /// The next chunk; `None` at the clean end.
    pub async fn chunk(&mut self) -> Option<Result<Bytes, UpstreamError>> {
        std::future::poll_fn(|cx| self.poll_chunk(cx)).await
    }

    /// Poll for the next chunk.
    pub fn poll_chunk(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, UpstreamError>>> {
        let Some(connection) = &mut self.connection else { return Poll::Ready(None) };
        let mut frame = Pin::new(&mut self.incoming).poll_frame(cx);
        if frame.is_pending()
            && let Held::Alone(connection) = connection
        {
            connection.drive(cx);
            frame = Pin::new(&mut self.incoming).poll_frame(cx);
        }
        match frame {
            Poll::Ready(Some(Ok(frame))) => {
                let data = match frame.into_data() {
                    Ok(data) => data,
                    Err(trailers) => {
                        // The end follows.
                        self.trailers = trailers.into_trailers().ok();
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                };
                self.received_bytes += data.len() as u64;
                if self.clock.now_in() == Phase::Silence {
                    self.clock.enter(Phase::Silence);
                }
                self.recycle_if_ended(cx);
                Poll::Ready(Some(Ok(data)))
            }
            Poll::Ready(Some(Err(error))) => {
                self.connection = None;
                Poll::Ready(Some(Err(self.failure(error))))
            }
            Poll::Ready(None) => {
                self.recycle(cx);
                Poll::Ready(None)
            }
            Poll::Pending => match self.clock.poll(cx) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(timeout) => {
                    self.connection = None;
                    Poll::Ready(Some(Err(timeout)))
                }
            },
        }
    }

    /// What came after the end, if anything did.
    pub fn trailers(&self) -> Option<&HeaderMap> {
        self.trailers.as_ref()
    }

    /// On a stream ([`crate::Expect::Events`]): the first data event has come; from now on silence counts.
    pub fn first_event_seen(&mut self) {
        if self.clock.now_in() == Phase::FirstByte {
            self.clock.enter(Phase::Silence);
        }
    }

    /// All of it.
    ///
    /// # Errors
    /// It is larger than `limit_bytes`, or ends early.
    pub async fn collect(mut self, limit_bytes: usize) -> Result<Bytes, UpstreamError> {
        let Some(first) = self.chunk().await.transpose()? else { return Ok(Bytes::new()) };
        let hint = self.incoming.size_hint().exact().unwrap_or(0);
        if first.len() as u64 + hint > limit_bytes as u64 {
            return Err(UpstreamError::TooLarge { limit_bytes });
        }
        let Some(second) = self.chunk().await.transpose()? else { return Ok(first) };
        // The hint is within the limit, which fits a usize.
        let rest = usize::try_from(hint).unwrap_or(0).max(second.len());
        let mut all = BytesMut::with_capacity(first.len() + rest);
        all.extend_from_slice(&first);
        let mut next = Some(second);
        while let Some(chunk) = next {
            if all.len() + chunk.len() > limit_bytes {
                return Err(UpstreamError::TooLarge { limit_bytes });
            }
            all.extend_from_slice(&chunk);
            next = self.chunk().await.transpose()?;
        }
        Ok(all.freeze())
    }

    /// The answer is complete for us: read the little that may be left, so that the connection is kept.
    pub async fn drain(mut self) {
        let rest = async {
            let mut read = 0;
            while let Some(Ok(chunk)) = self.chunk().await {
                read += chunk.len();
                if read > DRAIN_BYTES {
                    break;
                }
            }
        };
        // What is still not at its end by then is closed with the body.
        let _ = tokio::time::timeout(DRAIN_FOR, rest).await;
    }

    fn recycle_if_ended(&mut self, cx: &mut Context<'_>) {
        if self.incoming.is_end_stream() {
            self.recycle(cx);
        }
    }

    fn recycle(&mut self, cx: &mut Context<'_>) {
        if let Some(Held::Alone(mut connection)) = self.connection.take()
            && connection.ready(cx)
        {
            self.pool.keep(&self.address, connection);
        }
    }

    fn failure(&self, error: hyper::Error) -> UpstreamError {
        if error.is_parse() {
            UpstreamError::Protocol(error)
        } else {
            UpstreamError::Cut { received_bytes: self.received_bytes.max(1) }
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = UpstreamError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        self.poll_chunk(cx).map(|chunk| chunk.map(|c| c.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.connection.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
