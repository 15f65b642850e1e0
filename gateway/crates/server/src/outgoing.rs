//! Bodies of answers: whole, or a stream that is pulled chunk by chunk and cancelled by dropping it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::Stream;
use http_body::{Body, Frame, SizeHint};

use crate::admit::Lease;

/// The answer ends here without its end: the connection is closed so that the caller sees a cut.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the answer was cut")]
pub struct Cut;

type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, Cut>>>>;

/// An answer's body.
pub struct Outgoing {
    content: Content,
    /// Memory the content is accounted to until it has left.
    _lease: Option<Lease>,
}

enum Content {
    Whole(Option<Bytes>),
    Stream(Chunks),
}

impl Outgoing {
    pub fn whole(bytes: Bytes) -> Self {
        Self { content: Content::Whole(Some(bytes)), _lease: None }
    }

    pub fn leased(bytes: Bytes, lease: Lease) -> Self {
        Self { content: Content::Whole(Some(bytes)), _lease: Some(lease) }
    }

    pub fn stream(chunks: impl Stream<Item = Result<Bytes, Cut>> + 'static) -> Self {
        Self { content: Content::Stream(Box::pin(chunks)), _lease: None }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        match &mut self.content {
            Content::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Content::Stream(chunks) => {
                let chunk = ready!(chunks.as_mut().poll_next(context));
                Poll::Ready(chunk.map(|chunk| chunk.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Whole(bytes) => bytes.as_ref().is_none_or(Bytes::is_empty),
            Content::Stream(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Content::Stream(_) => SizeHint::default(),
        }
    }
}
