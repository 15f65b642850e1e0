//! A stream that is translated: whole events of the target's dialect are read into pieces, which are
//! written in the caller's. Nothing is written before real content, and the ending only when the stream is
//! known to be whole.

use bytes::Bytes;

use crate::answer::Usage;
use crate::errors::{ErrorBody, UpstreamFault};
use crate::middle::Piece;
use crate::recovery::Said;
use crate::stream::{End, Fed, Frames, data, event_end};
use crate::{chat, messages, responses};

/// The target's side.
#[derive(Debug)]
pub(crate) enum Source {
    Chat(chat::Reader),
    Messages(messages::Reader),
}

impl Source {
    fn event(&mut self, data: &[u8], out: &mut Vec<Piece>) -> Result<(), UpstreamFault> {
        match self {
            Self::Chat(reader) => reader.event(data, out),
            Self::Messages(reader) => reader.event(data, out),
        }
    }

    fn usage(&self) -> Option<Usage> {
        match self {
            Self::Chat(reader) => reader.usage(),
            Self::Messages(reader) => reader.usage(),
        }
    }

    fn whole(&self) -> bool {
        match self {
            Self::Chat(reader) => reader.whole(),
            Self::Messages(reader) => reader.whole(),
        }
    }

    fn done(&self) -> bool {
        match self {
            Self::Chat(reader) => reader.done(),
            Self::Messages(reader) => reader.done(),
        }
    }
}

/// The caller's side.
#[derive(Clone, Debug)]
pub(crate) enum Sink {
    Chat(chat::Writer),
    Messages(messages::Writer),
    Responses(Box<responses::Writer>),
}

impl Sink {
    fn write(&mut self, piece: Piece, out: &mut Vec<u8>) {
        match self {
            Self::Chat(writer) => writer.write(piece, out),
            Self::Messages(writer) => writer.write(piece, out),
            Self::Responses(writer) => writer.write(piece, out),
        }
    }

    fn finish(&mut self, usage: Option<Usage>, out: &mut Vec<u8>) {
        match self {
            Self::Chat(writer) => writer.finish(usage, out),
            Self::Messages(writer) => writer.finish(usage, out),
            Self::Responses(writer) => writer.finish(usage, out),
        }
    }
}

impl Rest {
    /// A piece as it goes with the part before; `None`: that has it already.
    fn fit(&mut self, piece: Piece) -> Option<Piece> {
        match piece {
            Piece::Model(_) => None,
            Piece::Text(text) => {
                let owed = std::mem::take(&mut self.owed);
                let both = text.chars().zip(owed.chars()).take_while(|(a, b)| a == b);
                let again: usize = both.map(|(same, _)| same.len_utf8()).sum();
                if again == text.len() {
                    self.owed = owed.get(again..).unwrap_or_default().to_owned();
                    return None;
                }
                text.get(again..).map(|rest| Piece::Text(rest.to_owned()))
            }
            piece => Some(piece),
        }
    }
}

/// Follows one stream from one dialect into another.
#[derive(Debug)]
pub(crate) struct Translation {
    source: Source,
    sink: Sink,
    frames: Frames,
    pieces: Vec<Piece>,
    started: bool,
    failed: bool,
    content_events: u64,
    keep_text: bool,
    said: Said,
    /// It goes on with an answer that another target began.
    rest: Option<Rest>,
}

/// What is known of the part that came before.
#[derive(Debug)]
struct Rest {
    /// White space that has left already, and that the model may write again.
    owed: String,
    used: Usage,
}

impl Translation {
    pub(crate) fn new(source: Source, sink: Sink, keep_text: bool) -> Self {
        Self {
            source,
            sink,
            frames: Frames::default(),
            pieces: Vec::new(),
            started: false,
            failed: false,
            content_events: 0,
            keep_text,
            said: Said::default(),
            rest: None,
        }
    }

    /// Go on where an answer broke off: its caller's side, what it said and what it used.
    pub(crate) fn going_on(source: Source, sink: Sink, said: Said, used: Usage) -> Self {
        let owed = said.white_end().to_owned();
        Self { said, rest: Some(Rest { owed, used }), ..Self::new(source, sink, true) }
    }

    /// The caller's side as it stands.
    pub(crate) fn sink(&self) -> &Sink {
        &self.sink
    }

    pub(crate) fn started(&self) -> bool {
        self.started
    }

    pub(crate) fn usage(&self) -> Option<Usage> {
        self.source.usage()
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

    pub(crate) fn feed(&mut self, chunk: Bytes) -> Fed {
        if self.failed || self.source.done() {
            return Fed { out: Bytes::new(), fault: None, done: self.source.done() };
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
        let mut out = Vec::new();
        let done = self.source.done();
        let last = if end == End::Clean && !done { self.frames.last() } else { None };
        if let Some(last) = last {
            let fed = self.follow(&last);
            if let Some(fault) = fed.fault {
                return Err(fault);
            }
            out.extend_from_slice(&fed.out);
        }
        self.failed = true;
        if self.source.whole() && (end == End::Clean || self.source.done()) {
            let own = self.source.usage();
            let before = self.rest.as_ref().map(|rest| rest.used);
            let all = own.map(|own| before.map_or(own, |before| before.and(own)));
            self.sink.finish(all, &mut out);
            return Ok(out.into());
        }
        Err(UpstreamFault::cut(match end {
            End::Cut => "the model's server broke off in the middle of the answer",
            End::Clean if !self.started => "the model's server ended without an answer",
            End::Clean => "the model's server ended before the answer was finished",
        }))
    }

    /// The last bytes of a stream that cannot go on.
    pub(crate) fn fail(&mut self, error: &ErrorBody<'_>) -> Bytes {
        match &mut self.sink {
            Sink::Chat(_) => error.sse_event(),
            Sink::Messages(_) => error.anthropic_event(),
            Sink::Responses(writer) => writer.fail(error),
        }
    }

    fn follow(&mut self, work: &Bytes) -> Fed {
        let mut out = Vec::new();
        let (mut at, mut fault) = (0, None);
        while let Some(end) = event_end(work, at) {
            if let Err(found) = self.event(work.get(at..end).unwrap_or_default(), &mut out) {
                self.failed = true;
                fault = Some(found);
                break;
            }
            at = end;
            if self.source.done() {
                break;
            }
        }
        if fault.is_none() && !self.source.done() && at < work.len() {
            self.frames.keep(work.get(at..).unwrap_or_default());
            fault = self.frames.overflow();
            self.failed |= fault.is_some();
        }
        Fed { out: out.into(), fault, done: self.source.done() }
    }

    fn event(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), UpstreamFault> {
        let Some(text) = data(bytes) else { return Ok(()) };
        let mut pieces = std::mem::take(&mut self.pieces);
        let read = self.source.event(&text, &mut pieces);
        let mut content = false;
        for piece in pieces.drain(..) {
            content |= !matches!(piece, Piece::Model(_) | Piece::Stop(_) | Piece::Signature(_));
            self.started |= content || matches!(piece, Piece::Stop(_));
            let piece = match &mut self.rest {
                Some(rest) => rest.fit(piece),
                None => Some(piece),
            };
            let Some(piece) = piece else { continue };
            if self.keep_text {
                match &piece {
                    Piece::Text(text) => self.said.push(text),
                    Piece::Stop(_) => self.said.note_end(),
                    Piece::Model(_) => {}
                    _ => self.said.note_other(),
                }
            }
            self.sink.write(piece, out);
        }
        self.pieces = pieces;
        self.content_events += u64::from(content);
        read
    }
}
