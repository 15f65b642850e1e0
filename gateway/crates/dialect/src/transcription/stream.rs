//! Streams of transcripts, in either of the two shapes that servers have: OpenAI's typed events, or chunks
//! with choices as chats have them (vLLM). The first event tells which.

use bytes::{Bytes, BytesMut};

use crate::answer::Usage;
use crate::errors::UpstreamFault;
use crate::json::{Cursor, Kind, Syntax};
use crate::stream::{
    End, Fed, MAX_EVENT_BYTES, StreamMeter, StreamRules, UsageChunk, data, event_end,
};
use crate::typed::{Grammar, TypedMeter};

/// Follows one stream.
#[derive(Debug)]
pub(crate) struct TranscriptMeter {
    keep_text: bool,
    shape: Shape,
}

#[derive(Debug)]
enum Shape {
    /// What has come so far says nothing yet.
    Unknown(BytesMut),
    Typed(TypedMeter),
    Chunks(StreamMeter),
}

impl TranscriptMeter {
    pub(crate) fn new(keep_text: bool) -> Self {
        Self { keep_text, shape: Shape::Unknown(BytesMut::new()) }
    }

    pub(crate) fn feed(&mut self, chunk: Bytes) -> Fed {
        match &mut self.shape {
            Shape::Typed(meter) => meter.feed(chunk),
            Shape::Chunks(meter) => meter.feed(chunk),
            Shape::Unknown(held) => {
                held.extend_from_slice(&chunk);
                let known = has_choices(held);
                if known.is_none() && held.len() <= MAX_EVENT_BYTES {
                    return Fed { out: Bytes::new(), fault: None, done: false };
                }
                let held = std::mem::take(held).freeze();
                self.settle(known == Some(true));
                self.feed(held)
            }
        }
    }

    fn settle(&mut self, chunks: bool) {
        let keep_text = self.keep_text;
        self.shape = if chunks {
            let rules = StreamRules { usage: UsageChunk::Pass, choices: 1, keep_text };
            Shape::Chunks(StreamMeter::new(rules))
        } else {
            Shape::Typed(TypedMeter::new(Grammar::Transcripts, keep_text))
        };
    }

    pub(crate) fn finish(&mut self, end: End) -> Result<Bytes, UpstreamFault> {
        if let Shape::Unknown(held) = &mut self.shape {
            let held = std::mem::take(held).freeze();
            self.settle(false);
            let fed = self.feed(held);
            if let Some(fault) = fed.fault {
                return Err(fault);
            }
        }
        match &mut self.shape {
            Shape::Typed(meter) => meter.finish(end),
            Shape::Chunks(meter) => meter.finish(end),
            Shape::Unknown(_) => Ok(Bytes::new()),
        }
    }

    pub(crate) fn started(&self) -> bool {
        match &self.shape {
            Shape::Typed(meter) => meter.started(),
            Shape::Chunks(meter) => meter.started(),
            Shape::Unknown(_) => false,
        }
    }

    pub(crate) fn usage(&self) -> Option<Usage> {
        match &self.shape {
            Shape::Typed(meter) => meter.usage(),
            Shape::Chunks(meter) => meter.usage(),
            Shape::Unknown(_) => None,
        }
    }

    pub(crate) fn content_events(&self) -> u64 {
        match &self.shape {
            Shape::Typed(meter) => meter.content_events(),
            Shape::Chunks(meter) => meter.content_events(),
            Shape::Unknown(_) => 0,
        }
    }

    pub(crate) fn text(&self) -> &str {
        match &self.shape {
            Shape::Typed(meter) => meter.text(),
            Shape::Chunks(meter) => meter.text(),
            Shape::Unknown(_) => "",
        }
    }
}

/// Whether the first event with data has `choices`; `None`: there is none yet.
fn has_choices(bytes: &[u8]) -> Option<bool> {
    let mut at = 0;
    while let Some(end) = event_end(bytes, at) {
        if let Some(text) = data(bytes.get(at..end).unwrap_or_default()) {
            return Some(names_choices(&text).unwrap_or(false));
        }
        at = end;
    }
    None
}

fn names_choices(text: &[u8]) -> Result<bool, Syntax> {
    let mut cursor = Cursor::new(text);
    cursor.space();
    if cursor.kind()? != Kind::Object {
        return Ok(false);
    }
    cursor.enter();
    let mut first = true;
    while let Some(key) = cursor.key(&mut first)? {
        if key.raw(text) == b"choices" {
            return Ok(true);
        }
        cursor.skip()?;
    }
    Ok(false)
}
