//! Streams of `/v1/chat/completions` and `/v1/completions`: followed event by event, passed on untouched.
//!
//! A stream is whole when every choice has finished and HTTP ended cleanly. `[DONE]` is held back until
//! that is known, so that a caller never takes a torn answer for a complete one.

mod event;
mod split;

use bytes::{Bytes, BytesMut};
use serde::Deserialize;

use crate::answer::Usage;
use crate::errors::UpstreamFault;
use crate::recovery::Said;
use event::{Event, Taken};

pub use split::{Line, event_end, lines};

pub(crate) use split::{Frames, data};

/// Largest event that is put together from several chunks. Events are tokens and tool arguments; the
/// largest seen carry base64 sound of some 100 KB.
pub const MAX_EVENT_BYTES: usize = 1 << 20;

const DONE: &[u8] = b"data: [DONE]\n\n";

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
    /// Keep what the first choice says, for whoever may have to go on from there.
    pub keep_text: bool,
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
    /// May leave to the caller now: whole events only; the chunk itself where nothing had to change. As
    /// long as [`StreamMeter::started`] is false it holds comments and openings alone, which may be dropped.
    pub out: Bytes,
    /// The stream is over with this error: an error event, or a status if [`StreamMeter::started`] is
    /// still false.
    pub fault: Option<UpstreamFault>,
    /// `[DONE]` has come and is held back: call `finish(End::Clean)` now, then drain the upstream's body.
    pub done: bool,
}

/// Follows one stream.
#[derive(Debug)]
pub struct StreamMeter {
    rules: StreamRules,
    frames: Frames,
    started: bool,
    done: bool,
    failed: bool,
    choices: Choices,
    usage: Option<Usage>,
    content_events: u64,
    said: Said,
    /// What the first chunk calls the answer; only where the text is kept.
    head: Option<Head>,
}

/// What all chunks of one answer are called by.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Head {
    pub id: String,
    pub created: i64,
    pub model: String,
}

impl StreamMeter {
    pub fn new(rules: StreamRules) -> Self {
        Self {
            rules,
            frames: Frames::default(),
            started: false,
            done: false,
            failed: false,
            choices: Choices::default(),
            usage: None,
            content_events: 0,
            said: Said::default(),
            head: None,
        }
    }

    /// An event that says something has come: the status may go out; the first-byte timeout is over. Whose
    /// turn it is alone says nothing: a server that falls silent after it has not begun to answer.
    pub fn started(&self) -> bool {
        self.started
    }

    /// What the upstream has reported so far.
    pub fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// Events with content so far, by choice: about one token each.
    pub fn content_events(&self) -> u64 {
        self.content_events
    }

    /// What the first choice has said so far; empty unless [`StreamRules::keep_text`].
    pub fn text(&self) -> &str {
        self.said.text()
    }

    pub(crate) fn said(&self) -> &Said {
        &self.said
    }

    /// Forget what came after so many bytes of text: it has not left.
    pub(crate) fn unsay(&mut self, bytes: usize) {
        self.said.truncate(bytes);
    }

    /// What its chunks are called by, and whether the caller wants usage.
    pub(crate) fn head(&self) -> (Head, bool) {
        (self.head.clone().unwrap_or_default(), self.rules.usage == UsageChunk::Pass)
    }

    /// Follow one more chunk of the upstream's body.
    pub fn feed(&mut self, chunk: Bytes) -> Fed {
        if self.done || self.failed {
            return Fed { out: Bytes::new(), fault: None, done: self.done };
        }
        match self.frames.take(chunk) {
            Some(work) => self.follow(&work),
            None => self.wait(),
        }
    }

    /// The last bytes for the caller, if the stream is whole: what was still held back and `[DONE]`.
    ///
    /// # Errors
    /// The stream ended early.
    pub fn finish(&mut self, end: End) -> Result<Bytes, UpstreamFault> {
        if self.failed {
            return Err(UpstreamFault::cut("the answer was given up after an error"));
        }
        let mut out = BytesMut::new();
        let last = if end == End::Clean { self.frames.last() } else { None };
        if let Some(last) = last {
            let fed = self.follow(&last);
            if let Some(fault) = fed.fault {
                return Err(fault);
            }
            out.extend_from_slice(&fed.out);
        }
        let finished = self.choices.all_finished();
        let whole = finished && (self.done || self.choices.seen >= self.rules.choices);
        if whole && (self.done || end == End::Clean) {
            out.extend_from_slice(DONE);
            return Ok(out.freeze());
        }
        self.failed = true;
        Err(UpstreamFault::cut(match end {
            End::Cut => "the model's server broke off in the middle of the answer",
            End::Clean if self.choices.seen == 0 => "the model's server ended without an answer",
            End::Clean => "the model's server ended before the answer was finished",
        }))
    }

    fn wait(&mut self) -> Fed {
        let fault = self.frames.overflow();
        self.failed |= fault.is_some();
        Fed { out: Bytes::new(), fault, done: false }
    }

    /// Go through the whole events in `work` and keep what is left.
    fn follow(&mut self, work: &Bytes) -> Fed {
        let mut out = Out::new(work);
        let mut at = 0;
        let mut fault = None;
        while let Some(end) = split::event_end(work, at) {
            match self.event(work.get(at..end).unwrap_or_default()) {
                Ok(Taken::Whole) => out.keep(at..end),
                Ok(Taken::Nothing) => {}
                Ok(Taken::Without(hole)) => {
                    out.keep(at..at + hole.start);
                    out.keep(at + hole.end..end);
                }
                Err(found) => {
                    self.failed = true;
                    fault = Some(found);
                    break;
                }
            }
            at = end;
            if self.done {
                break;
            }
        }
        let out = out.finish();
        if fault.is_none() && !self.done && at < work.len() {
            self.frames.keep(work.get(at..).unwrap_or_default());
            fault = self.wait().fault;
        }
        Fed { out, fault, done: self.done }
    }

    /// Take in one event and say how much of it may pass.
    fn event(&mut self, bytes: &[u8]) -> Result<Taken, UpstreamFault> {
        let said = self.rules.keep_text.then_some(&mut self.said);
        let event = match event::read(bytes, said)? {
            Event::Comment => return Ok(Taken::Whole),
            Event::Done => {
                self.done = true;
                return Ok(Taken::Nothing);
            }
            Event::Chunk(chunk) => chunk,
        };
        for choice in &event.choices {
            self.choices.note(choice.index, choice.finished)?;
            self.content_events += u64::from(choice.content);
        }
        if self.rules.keep_text && self.head.is_none() && !event.empty {
            let head = split::data(bytes).and_then(|text| serde_json::from_slice(&text).ok());
            self.head = Some(head.unwrap_or_default());
        }
        if event.usage.is_some() {
            self.usage = event.usage;
        }
        let says = |choice: &event::Choice| choice.content || choice.finished;
        self.started = self.started || (&event.choices).into_iter().any(says);
        Ok(match (self.rules.usage, event.usage_member) {
            (UsageChunk::Strip, Some(_)) if event.usage.is_some() && event.empty => Taken::Nothing,
            (UsageChunk::Strip, Some(member)) => Taken::Without(member),
            _ => Taken::Whole,
        })
    }
}

/// Collects what may pass; copies only where something is left out.
pub(crate) struct Out<'a> {
    work: &'a Bytes,
    /// Kept so far as one piece.
    piece: std::ops::Range<usize>,
    copied: BytesMut,
}

impl<'a> Out<'a> {
    pub(crate) fn new(work: &'a Bytes) -> Self {
        Self { work, piece: 0..0, copied: BytesMut::new() }
    }

    pub(crate) fn keep(&mut self, range: std::ops::Range<usize>) {
        if range.start == self.piece.end {
            self.piece.end = range.end;
        } else {
            self.flush();
            self.piece = range;
        }
    }

    fn flush(&mut self) {
        self.copied.reserve(self.work.len());
        self.copied.extend_from_slice(self.work.get(self.piece.clone()).unwrap_or_default());
    }

    pub(crate) fn finish(mut self) -> Bytes {
        if self.copied.is_empty() {
            return self.work.slice(self.piece);
        }
        self.flush();
        self.copied.freeze()
    }
}

/// Which choices have been seen and which have finished.
#[derive(Debug, Default)]
struct Choices {
    seen: u32,
    finished: u32,
    /// By index: bit 0 seen, bit 1 finished. Only as long as the highest index.
    states: Vec<u8>,
    /// The first choice, which is usually the only one.
    first: u8,
}

impl Choices {
    fn note(&mut self, index: u32, finished: bool) -> Result<(), UpstreamFault> {
        if index >= crate::request::MAX_CHOICES {
            let message = "the model's server numbered its choices beyond any that were asked for";
            return Err(UpstreamFault::nonsense(message, b""));
        }
        let state = match index.checked_sub(1) {
            None => &mut self.first,
            Some(rest) => {
                let rest = rest as usize;
                if self.states.len() <= rest {
                    self.states.resize(rest + 1, 0);
                }
                let Some(state) = self.states.get_mut(rest) else { return Ok(()) };
                state
            }
        };
        let now = 1 | u8::from(finished) << 1;
        self.seen += u32::from(*state & 1 == 0);
        self.finished += u32::from(finished && *state & 2 == 0);
        *state |= now;
        Ok(())
    }

    fn all_finished(&self) -> bool {
        self.seen > 0 && self.seen == self.finished
    }
}

#[cfg(test)]
mod tests;
