//! Where server-sent events and their lines end. Lines end in LF or CRLF; a lone CR, which the standard
//! allows too, is sent by no server of this kind and counts as part of its line.

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
