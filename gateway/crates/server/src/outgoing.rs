//! Bodies of answers: whole, or a stream that is pulled chunk by chunk and cancelled by dropping it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::Stream;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use crate::admit::Lease;
use crate::bodies::Tap;

/// The answer ends here without its end: the connection is closed so that the caller sees a cut.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the answer was cut")]
pub struct Cut;

type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, Cut>>>>;
type Frames = Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, Cut>>>>;

/// An answer's body.
pub struct Outgoing {
    content: Content,
    /// Memory the content is accounted to until it has left.
    _lease: Option<Lease>,
    /// Copies what leaves, where bodies are logged.
    tap: Option<Box<Tap>>,
}

enum Content {
    Whole(Option<Bytes>),
    /// Bytes, and what is said after them.
    Trailed(Option<Bytes>, Option<HeaderMap>),
    Stream(Chunks),
    /// The same with what is said after it.
    Frames(Frames),
}

impl Outgoing {
    pub fn whole(bytes: Bytes) -> Self {
        Self { content: Content::Whole(Some(bytes)), _lease: None, tap: None }
    }

    pub fn leased(bytes: Bytes, lease: Lease) -> Self {
        Self { content: Content::Whole(Some(bytes)), _lease: Some(lease), tap: None }
    }

    /// Bytes and then trailers, over HTTP/2.
    pub fn trailed(bytes: Bytes, lease: Option<Lease>, trailers: HeaderMap) -> Self {
        Self { content: Content::Trailed(Some(bytes), Some(trailers)), _lease: lease, tap: None }
    }

    pub fn stream(chunks: impl Stream<Item = Result<Bytes, Cut>> + 'static) -> Self {
        Self { content: Content::Stream(Box::pin(chunks)), _lease: None, tap: None }
    }

    pub fn frames(frames: impl Stream<Item = Result<Frame<Bytes>, Cut>> + 'static) -> Self {
        Self { content: Content::Frames(Box::pin(frames)), _lease: None, tap: None }
    }

    /// The same body, copied as it leaves.
    pub fn tapped(self, tap: Tap) -> Self {
        Self { tap: Some(Box::new(tap)), ..self }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let frame = match &mut self.content {
            Content::Whole(bytes) => bytes.take().map(|bytes| Ok(Frame::data(bytes))),
            Content::Trailed(bytes, trailers) => {
                let data = bytes.take().filter(|bytes| !bytes.is_empty()).map(Frame::data);
                data.or_else(|| trailers.take().map(Frame::trailers)).map(Ok)
            }
            Content::Stream(chunks) => {
                ready!(chunks.as_mut().poll_next(context)).map(|chunk| chunk.map(Frame::data))
            }
            Content::Frames(frames) => ready!(frames.as_mut().poll_next(context)),
        };
        let data = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref());
        if let (Some(tap), Some(bytes)) = (&mut self.tap, data) {
            tap.piece(bytes);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Whole(bytes) => bytes.as_ref().is_none_or(Bytes::is_empty),
            Content::Trailed(bytes, trailers) => bytes.is_none() && trailers.is_none(),
            Content::Stream(_) | Content::Frames(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            // The trailers come on top: no length is announced.
            Content::Trailed(..) | Content::Stream(_) | Content::Frames(_) => SizeHint::default(),
        }
    }
}
