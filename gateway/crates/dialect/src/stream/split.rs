//! Where server-sent events and their lines end. Lines end in LF or CRLF; a lone CR, which the standard
//! allows too, is sent by no server of this kind and counts as part of its line.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};

use crate::errors::UpstreamFault;
use crate::stream::MAX_EVENT_BYTES;

/// End of the event that starts at `from`: just past its blank line. `None`: it has not all come yet.
pub fn event_end(bytes: &[u8], from: usize) -> Option<usize> {
    // An event may have no lines at all.
    match bytes.get(from..)? {
        [b'\n', ..] => return Some(from + 1),
        [b'\r', b'\n', ..] => return Some(from + 2),
        _ => {}
    }
    blank_line(bytes, from)
}

/// Past the first blank line that follows a line end at `from` or later.
pub(super) fn blank_line(bytes: &[u8], from: usize) -> Option<usize> {
    memchr::memchr_iter(b'\n', bytes.get(from..)?).find_map(|n| {
        let next = from + n + 1;
        match bytes.get(next..)? {
            [b'\n', ..] => Some(next + 1),
            [b'\r', b'\n', ..] => Some(next + 2),
            _ => None,
        }
    })
}

/// One line of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// After `data:` and one space; `offset` is where it starts in the event.
    Data { text: &'a [u8], offset: usize },
    /// `event:`, `id:`, `retry:`, a comment, or what a reader must ignore.
    Other,
}

/// The lines of one event.
pub fn lines(event: &[u8]) -> impl Iterator<Item = Line<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = event.get(at..).filter(|r| !r.is_empty())?;
        let length = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let line = rest.get(..length)?;
        let start = at;
        at += length + 1;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let Some(text) = line.strip_prefix(b"data:") else { return Some(Line::Other) };
        Some(match text.strip_prefix(b" ") {
            Some(text) => Line::Data { text, offset: start + 6 },
            None => Line::Data { text, offset: start + 5 },
        })
    })
}

/// The text of an event's `data` lines; `None` for comments and blank lines.
pub(crate) fn data(event: &[u8]) -> Option<Cow<'_, [u8]>> {
    let mut data = lines(event).filter_map(|line| match line {
        Line::Data { text, .. } => Some(text),
        Line::Other => None,
    });
    let first = data.next()?;
    let Some(second) = data.next() else { return Some(Cow::Borrowed(first)) };
    // Several data lines are one text with line feeds between.
    let mut joined = first.to_vec();
    for line in std::iter::once(second).chain(data) {
        joined.push(b'\n');
        joined.extend_from_slice(line);
    }
    Some(Cow::Owned(joined))
}

/// Puts whole events together from chunks that end anywhere.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    /// The start of an event whose end has not come.
    pending: BytesMut,
}

impl Frames {
    /// What can be gone through now: the chunk itself where nothing was pending. `None`: no event is whole.
    pub(crate) fn take(&mut self, chunk: Bytes) -> Option<Bytes> {
        if self.pending.is_empty() {
            return Some(chunk);
        }
        // The end of an event is at most two bytes and a line feed long.
        let from = self.pending.len().saturating_sub(2);
        self.pending.extend_from_slice(&chunk);
        blank_line(&self.pending, from)?;
        Some(self.pending.split().freeze())
    }

    /// Keep what is left behind the last whole event.
    pub(crate) fn keep(&mut self, rest: &[u8]) {
        self.pending.extend_from_slice(rest);
    }

    /// An event that is longer than any.
    pub(crate) fn overflow(&self) -> Option<UpstreamFault> {
        (self.pending.len() > MAX_EVENT_BYTES).then(|| {
            let message = "the model's server sent an event without end";
            UpstreamFault::nonsense(message, self.pending.get(..256).unwrap_or_default())
        })
    }

    /// A last event without the blank line after it.
    pub(crate) fn last(&mut self) -> Option<Bytes> {
        if self.pending.is_empty() {
            return None;
        }
        self.pending.extend_from_slice(b"\n\n");
        Some(self.pending.split().freeze())
    }
}
