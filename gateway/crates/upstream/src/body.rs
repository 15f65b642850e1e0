//! An answer's body under its timeouts.
use crate::errors::UpstreamError;
use bytes::Bytes;

/// An answer's body. Dropping it before its end closes the connection, which cancels the upstream.
#[derive(Debug)]
pub struct Body {}

impl Body {
    /// The next chunk; `None` at the clean end.
    pub async fn chunk(&mut self) -> Option<Result<Bytes, UpstreamError>> {
        todo!()
    }
    /// On a stream (`Call::stream`): the first data event has come; from now on silence counts.
    pub fn first_event_seen(&mut self) {
        todo!()
    }
    /// All of it, at most `limit_bytes`.
    pub async fn collect(self, limit_bytes: usize) -> Result<Bytes, UpstreamError> {
        let _ = limit_bytes;
        todo!()
    }
    /// The answer is complete for us: read the little that may be left so that the connection is kept.
    pub async fn drain(self) {
        todo!()
    }
}
