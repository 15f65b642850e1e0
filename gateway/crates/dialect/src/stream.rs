//! Streams of `/v1/chat/completions` and `/v1/completions`.
use crate::answer::Usage;
use crate::errors::UpstreamFault;
use bytes::Bytes;

/// What becomes of usage on a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsageChunk {
    /// The caller asked for it.
    Pass,
    /// Only the gateway asked: read and taken out.
    Strip,
}

/// How a stream is to be followed.
#[derive(Clone, Copy, Debug)]
pub struct StreamRules {
    pub usage: UsageChunk,
    /// Choices the caller asked for.
    pub choices: u32,
}

/// How the upstream's HTTP body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Clean,
    Cut,
}

/// What one chunk became.
#[derive(Clone, Debug)]
pub struct Fed {
    /// May leave to the caller now: whole events only; the chunk itself where nothing had to change.
    pub out: Bytes,
    /// The stream is over with this error (as an error event, or as a status if `started` is still false).
    pub fault: Option<UpstreamFault>,
    /// `[DONE]` has come (it is held back): call `finish(End::Clean)` now, then drain the upstream's body.
    pub done: bool,
}

/// Follows one stream.
#[derive(Debug)]
pub struct StreamMeter {}

impl StreamMeter {
    pub fn new(rules: StreamRules) -> Self {
        let _ = rules;
        todo!()
    }
    pub fn feed(&mut self, chunk: Bytes) -> Fed {
        let _ = chunk;
        todo!()
    }
    /// The last bytes for the caller (`[DONE]`), if the stream is whole.
    pub fn finish(&mut self, end: End) -> Result<Bytes, UpstreamFault> {
        let _ = end;
        todo!()
    }
    /// A proper data event has come: the status may go out; the first-byte timeout is over.
    pub fn started(&self) -> bool {
        todo!()
    }
    pub fn usage(&self) -> Option<Usage> {
        todo!()
    }
    /// Events with content so far: about one token each.
    pub fn content_events(&self) -> u64 {
        todo!()
    }
}
