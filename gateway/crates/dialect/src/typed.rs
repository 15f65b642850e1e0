//! Streams of typed events, Anthropic's messages, OpenAI's responses and transcripts: followed event by event, passed on
//! untouched.
//!
//! The last event is held back until it is known that the stream is whole, so that a caller never takes a
//! torn answer for a complete one, and what stands before real content until that comes, so that an
//! upstream that fails early can still be replaced.

mod whole;

use bytes::{Bytes, BytesMut};
use serde::Deserialize;

use crate::answer::{Usage, count, details};
use crate::errors::UpstreamFault;
use crate::json::{Cursor, Kind, Syntax, Text};
use crate::recovery::Said;
use crate::stream::{End, Fed, Frames, Out, data, event_end};

pub(crate) use whole::metered;

/// Whose events they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grammar {
    Messages,
    Responses,
    Transcripts,
}

/// Counts as these dialects write them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub input: Option<u64>,
    pub output: Option<u64>,
    /// Anthropic's: beside `input`, not among it.
    pub cache_read: Option<u64>,
    pub cache_write: Option<u64>,
    /// OpenAI's: among `input`.
    pub cached: Option<u64>,
    pub thought: Option<u64>,
    /// The part of `input` that is sound.
    pub audio: Option<u64>,
}

impl Counts {
    /// Read a `usage` object here; whatever is none says nothing.
    pub(crate) fn read(cursor: &mut Cursor<'_>) -> Result<Self, Syntax> {
        let mut counts = Self::default();
        if cursor.kind()? != Kind::Object {
            cursor.skip()?;
            return Ok(counts);
        }
        cursor.enter();
        let mut first = true;
        while let Some(key) = cursor.key(&mut first)? {
            match key.raw(cursor.bytes()) {
                b"input_tokens" => counts.input = count(cursor)?,
                b"output_tokens" => counts.output = count(cursor)?,
                b"cache_read_input_tokens" => counts.cache_read = count(cursor)?,
                b"cache_creation_input_tokens" => counts.cache_write = count(cursor)?,
                b"input_tokens_details" => details(
                    cursor,
                    [
                        (b"cached_tokens", &mut counts.cached),
                        (b"cache_write_tokens", &mut counts.cache_write),
                    ],
                )?,
                // Transcripts write it so.
                b"input_token_details" => {
                    details(cursor, [(b"audio_tokens", &mut counts.audio)])?;
                }
                b"output_tokens_details" => {
                    let mut reasoning = None;
                    details(
                        cursor,
                        [
                            (b"thinking_tokens", &mut counts.thought),
                            (b"reasoning_tokens", &mut reasoning),
                        ],
                    )?;
                    counts.thought = counts.thought.or(reasoning);
                }
                _ => {
                    cursor.skip()?;
                }
            }
        }
        Ok(counts)
    }

    /// What was said later counts, where it was said.
    pub(crate) fn then(self, later: Self) -> Self {
        Self {
            input: later.input.or(self.input),
            output: later.output.or(self.output),
            cache_read: later.cache_read.or(self.cache_read),
            cache_write: later.cache_write.or(self.cache_write),
            cached: later.cached.or(self.cached),
            thought: later.thought.or(self.thought),
            audio: later.audio.or(self.audio),
        }
    }

    /// `None` when nothing was counted.
    pub(crate) fn usage(self, grammar: Grammar) -> Option<Usage> {
        if self == Self::default() {
            return None;
        }
        let (input, cached) = match grammar {
            Grammar::Responses | Grammar::Transcripts => (self.input, self.cached),
            Grammar::Messages => {
                let beside =
                    self.cache_read.unwrap_or(0).saturating_add(self.cache_write.unwrap_or(0));
                (self.input.map(|input| input.saturating_add(beside)), self.cache_read)
            }
        };
        Some(Usage {
            input_tokens: input,
            output_tokens: self.output,
            cached_input_tokens: cached,
            cache_write_tokens: self.cache_write,
            reasoning_tokens: self.thought,
            audio_input_tokens: self.audio,
            ..Usage::default()
        })
    }
}

/// What one event is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Before real content.
    Preamble,
    Content,
    Other,
    Last,
    Failed,
}

#[derive(Default)]
struct Event {
    kind: Option<Text>,
    counts: Counts,
    text: Option<Text>,
    stopped: bool,
    error: bool,
}

impl Event {
    fn read(text: &[u8]) -> Result<Self, UpstreamFault> {
        let broken = || UpstreamFault::nonsense("the model's server sent a broken event", text);
        if std::str::from_utf8(text).is_err() {
            return Err(broken());
        }
        let mut event = Self::default();
        event.walk(&mut Cursor::new(text)).map_err(|_| broken())?;
        Ok(event)
    }

    fn walk(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Syntax> {
        cursor.space();
        if cursor.peek() != Some(b'{') {
            return Err(cursor.wrong("expected an object"));
        }
        cursor.enter();
        let mut first = true;
        while let Some(key) = cursor.key(&mut first)? {
            let kind = cursor.kind()?;
            match (key.raw(cursor.bytes()), kind) {
                (b"type", Kind::String) => self.kind = Some(cursor.string()?),
                (b"usage", _) => self.counts = self.counts.then(Counts::read(cursor)?),
                (b"message" | b"response", Kind::Object) => self.inner(cursor)?,
                (b"delta", Kind::String) => self.text = Some(cursor.string()?),
                (b"delta", Kind::Object) => self.delta(cursor)?,
                (b"error", Kind::Object | Kind::String) => {
                    self.error = true;
                    cursor.skip()?;
                }
                _ => {
                    cursor.skip()?;
                }
            }
        }
        cursor.end()
    }

    fn inner(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Syntax> {
        cursor.enter();
        let mut first = true;
        while let Some(key) = cursor.key(&mut first)? {
            if key.raw(cursor.bytes()) == b"usage" {
                self.counts = self.counts.then(Counts::read(cursor)?);
            } else {
                cursor.skip()?;
            }
        }
        Ok(())
    }

    fn delta(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Syntax> {
        cursor.enter();
        let mut first = true;
        while let Some(key) = cursor.key(&mut first)? {
            let kind = cursor.kind()?;
            match (key.raw(cursor.bytes()), kind) {
                (b"text", Kind::String) => self.text = Some(cursor.string()?),
                (b"stop_reason", Kind::String) => {
                    self.stopped = true;
                    cursor.skip()?;
                }
                _ => {
                    cursor.skip()?;
                }
            }
        }
        Ok(())
    }

    fn role(&self, text: &[u8]) -> Role {
        let kind = self.kind.map(|kind| kind.raw(text)).unwrap_or_default();
        match kind {
            b"message_start" | b"ping" => Role::Preamble,
            b"response.created" | b"response.in_progress" | b"response.queued" => Role::Preamble,
            b"content_block_delta" => Role::Content,
            b"message_stop" | b"response.completed" | b"response.incomplete" => Role::Last,
            b"transcript.text.done" => Role::Last,
            b"error" | b"response.failed" => Role::Failed,
            _ if self.error => Role::Failed,
            _ if kind.ends_with(b".delta") => Role::Content,
            _ => Role::Other,
        }
    }
}

/// Follows one stream.
#[derive(Debug)]
pub(crate) struct TypedMeter {
    grammar: Grammar,
    keep_text: bool,
    frames: Frames,
    started: bool,
    /// The answer has its ending, if not the last event.
    stopped: bool,
    /// The last event, held back.
    last: Option<Bytes>,
    failed: bool,
    counts: Counts,
    content_events: u64,
    said: Said,
    block: Option<TextBlock>,
}

/// The last block of text that an answer of the messages dialect has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TextBlock {
    pub index: u32,
    pub open: bool,
}

/// What begins a block.
#[derive(Deserialize)]
struct Beginning {
    index: u32,
    content_block: Begun,
}

#[derive(Deserialize)]
struct Begun {
    r#type: String,
    #[serde(default)]
    text: String,
}

impl TypedMeter {
    pub(crate) fn new(grammar: Grammar, keep_text: bool) -> Self {
        Self {
            grammar,
            keep_text,
            frames: Frames::default(),
            started: false,
            stopped: false,
            last: None,
            failed: false,
            counts: Counts::default(),
            content_events: 0,
            said: Said::default(),
            block: None,
        }
    }

    pub(crate) fn started(&self) -> bool {
        self.started
    }

    pub(crate) fn usage(&self) -> Option<Usage> {
        self.counts.usage(self.grammar)
    }

    pub(crate) fn content_events(&self) -> u64 {
        self.content_events
    }

    pub(crate) fn text(&self) -> &str {
        self.said.text()
    }

    pub(crate) fn said(&self) -> &Said {
        &self.said
    }

    /// Forget what came after so many bytes of text: it has not left.
    pub(crate) fn unsay(&mut self, bytes: usize) {
        self.said.truncate(bytes);
    }

    pub(crate) fn block(&self) -> Option<TextBlock> {
        self.block
    }

    pub(crate) fn grammar(&self) -> Grammar {
        self.grammar
    }

    pub(crate) fn feed(&mut self, chunk: Bytes) -> Fed {
        if self.last.is_some() || self.failed {
            return Fed { out: Bytes::new(), fault: None, done: self.last.is_some() };
        }
        match self.frames.take(chunk) {
            Some(work) => self.follow(&work),
            None => {
                let fault = self.frames.overflow();
                self.failed |= fault.is_some();
                Fed { out: Bytes::new(), fault, done: false }
            }
        }
    }

    pub(crate) fn finish(&mut self, end: End) -> Result<Bytes, UpstreamFault> {
        if self.failed {
            return Err(UpstreamFault::cut("the answer was given up after an error"));
        }
        let mut out = BytesMut::new();
        let last = if end == End::Clean && self.last.is_none() { self.frames.last() } else { None };
        if let Some(last) = last {
            let fed = self.follow(&last);
            if let Some(fault) = fed.fault {
                return Err(fault);
            }
            out.extend_from_slice(&fed.out);
        }
        if let Some(last) = self.last.take() {
            self.failed = true;
            out.extend_from_slice(&last);
            return Ok(out.freeze());
        }
        self.failed = true;
        if self.stopped && end == End::Clean {
            out.extend_from_slice(STOP);
            return Ok(out.freeze());
        }
        Err(UpstreamFault::cut(match end {
            End::Cut => "the model's server broke off in the middle of the answer",
            End::Clean if !self.started => "the model's server ended without an answer",
            End::Clean => "the model's server ended before the answer was finished",
        }))
    }

    fn follow(&mut self, work: &Bytes) -> Fed {
        let mut out = Out::new(work);
        let (mut at, mut fault) = (0, None);
        while let Some(end) = event_end(work, at) {
            match self.event(work.get(at..end).unwrap_or_default()) {
                Ok(true) => {
                    self.last = Some(work.slice(at..end));
                    at = end;
                    break;
                }
                Ok(false) => out.keep(at..end),
                Err(found) => {
                    self.failed = true;
                    fault = Some(found);
                    break;
                }
            }
            at = end;
        }
        let out = out.finish();
        if fault.is_none() && self.last.is_none() && at < work.len() {
            self.frames.keep(work.get(at..).unwrap_or_default());
            fault = self.frames.overflow();
            self.failed |= fault.is_some();
        }
        Fed { out, fault, done: self.last.is_some() }
    }

    /// Take in one event; true: it is the last.
    fn event(&mut self, bytes: &[u8]) -> Result<bool, UpstreamFault> {
        let Some(text) = data(bytes) else { return Ok(false) };
        if text.trim_ascii() == b"[DONE]" {
            // Some servers end every kind of stream with it.
            return Ok(false);
        }
        let event = Event::read(&text)?;
        let mut counts = event.counts;
        if event.role(&text) == Role::Preamble {
            // What `message_start` says of the output is a beginning, not a count.
            counts.output = None;
        }
        self.counts = self.counts.then(counts);
        self.stopped |= event.stopped;
        if self.keep_text && self.grammar == Grammar::Messages {
            self.note(&event, &text);
        }
        match event.role(&text) {
            Role::Failed => return Err(UpstreamFault::from_typed(&text)),
            Role::Preamble => return Ok(false),
            Role::Last => {
                self.started = true;
                return Ok(true);
            }
            Role::Content => {
                self.content_events += 1;
                if self.keep_text {
                    match event.text.and_then(|said| said.decode(&text)) {
                        Some(text) => self.said.push(&text),
                        None => self.said.note_other(),
                    }
                }
            }
            Role::Other => {}
        }
        self.started = true;
        Ok(false)
    }

    /// Remember which block of text is open, and whether there was anything else.
    fn note(&mut self, event: &Event, text: &[u8]) {
        if event.stopped {
            self.said.note_end();
        }
        match event.kind.map(|kind| kind.raw(text)).unwrap_or_default() {
            b"content_block_start" => match serde_json::from_slice::<Beginning>(text) {
                Ok(Beginning { index, content_block }) if content_block.r#type == "text" => {
                    self.said.push(&content_block.text);
                    self.block = Some(TextBlock { index, open: true });
                }
                _ => self.said.note_other(),
            },
            b"content_block_stop" => {
                self.block = self.block.map(|block| TextBlock { open: false, ..block });
            }
            _ => {}
        }
    }
}

const STOP: &[u8] = b"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
