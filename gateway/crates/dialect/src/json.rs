//! A cursor over JSON bytes: checks every byte it passes and builds nothing.
//!
//! The readers of this crate walk the few members they care about and let [`Cursor::skip`] pass over
//! the rest, so a body costs one pass and no allocation per value. The text must be UTF-8 already where
//! that matters; a cursor does not look.

use std::ops::Range;

/// Deepest nesting that is followed. The engines and JSON libraries behind us stop at 128 or earlier;
/// it is also the number of bits in the mask that stands in for a stack.
pub(crate) const MAX_DEPTH: u32 = 128;

/// Where and why the text stops being JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Syntax {
    pub at: usize,
    pub what: &'static str,
}

/// A string's content between its quotes, still escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Text {
    pub start: usize,
    pub end: usize,
    pub escaped: bool,
}

impl Text {
    pub(crate) fn raw<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// The string it stands for; `None` if it is not UTF-8 or holds a lone surrogate.
    pub(crate) fn decode(&self, bytes: &[u8]) -> Option<String> {
        if self.escaped {
            serde_json::from_slice(bytes.get(self.start - 1..self.end + 1)?).ok()
        } else {
            std::str::from_utf8(self.raw(bytes)).ok().map(str::to_owned)
        }
    }

    /// Whether it stands for `name`, which needs no escaping itself.
    pub(crate) fn is(&self, bytes: &[u8], name: &str) -> bool {
        if self.escaped {
            self.decode(bytes).as_deref() == Some(name)
        } else {
            self.raw(bytes) == name.as_bytes()
        }
    }
}

/// Kinds of values, by their first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Object,
    Array,
    String,
    Number,
    Bool,
    Null,
}

impl Kind {
    pub(crate) fn of(first: Option<u8>) -> Option<Self> {
        Some(match first? {
            b'{' => Self::Object,
            b'[' => Self::Array,
            b'"' => Self::String,
            b'-' | b'0'..=b'9' => Self::Number,
            b't' | b'f' => Self::Bool,
            b'n' => Self::Null,
            _ => return None,
        })
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Object => "an object",
            Self::Array => "an array",
            Self::String => "a string",
            Self::Number => "a number",
            Self::Bool => "true or false",
            Self::Null => "null",
        }
    }
}

/// A place in JSON text.
#[derive(Clone, Debug)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// A cursor on the value at `at` of the same text.
    pub(crate) fn at(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    pub(crate) fn position(&self) -> usize {
        self.at
    }

    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    pub(crate) fn slice(&self, range: Range<usize>) -> &'a [u8] {
        self.bytes.get(range).unwrap_or_default()
    }

    #[inline]
    pub(crate) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Kind of the value here.
    pub(crate) fn kind(&self) -> Result<Kind, Syntax> {
        Kind::of(self.peek()).ok_or_else(|| self.wrong("expected a value"))
    }

    pub(crate) fn wrong(&self, what: &'static str) -> Syntax {
        if self.at >= self.bytes.len() {
            Syntax { at: self.bytes.len(), what: "ends in the middle" }
        } else {
            Syntax { at: self.at, what }
        }
    }

    #[inline]
    pub(crate) fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    /// Pass the end of the text, where nothing but space may follow.
    pub(crate) fn end(&mut self) -> Result<(), Syntax> {
        self.space();
        if self.at == self.bytes.len() {
            Ok(())
        } else {
            Err(self.wrong("more text after the value"))
        }
    }

    /// Enter the object or array here.
    pub(crate) fn enter(&mut self) {
        self.at += 1;
        self.space();
    }

    /// Move to the next member's value and return its key; `None` after the last, past the brace.
    #[inline]
    pub(crate) fn key(&mut self, first: &mut bool) -> Result<Option<Text>, Syntax> {
        self.space();
        match self.peek() {
            Some(b'}') => {
                self.at += 1;
                return Ok(None);
            }
            Some(b',') if !*first => {
                self.at += 1;
                self.space();
            }
            Some(_) if *first => {}
            _ => return Err(self.wrong("expected `,` or `}`")),
        }
        *first = false;
        self.member().map(Some)
    }

    #[inline]
    fn member(&mut self) -> Result<Text, Syntax> {
        if self.peek() != Some(b'"') {
            return Err(self.wrong("expected a name in double quotes"));
        }
        let key = self.string()?;
        self.space();
        if self.peek() != Some(b':') {
            return Err(self.wrong("expected `:`"));
        }
        self.at += 1;
        self.space();
        Ok(key)
    }

    /// Move to the next element; false after the last, past the bracket.
    #[inline]
    pub(crate) fn element(&mut self, first: &mut bool) -> Result<bool, Syntax> {
        self.space();
        match self.peek() {
            Some(b']') => {
                self.at += 1;
                return Ok(false);
            }
            Some(b',') if !*first => {
                self.at += 1;
                self.space();
            }
            Some(_) if *first => {}
            _ => return Err(self.wrong("expected `,` or `]`")),
        }
        *first = false;
        Ok(true)
    }

    /// Pass the string here.
    #[inline]
    pub(crate) fn string(&mut self) -> Result<Text, Syntax> {
        let start = self.at + 1;
        let mut escaped = false;
        self.at = start;
        loop {
            self.at += plain(self.bytes.get(self.at..).unwrap_or_default());
            match self.peek() {
                Some(b'"') => {
                    let end = self.at;
                    self.at += 1;
                    return Ok(Text { start, end, escaped });
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(_) => return Err(self.wrong("a control character in a string")),
                None => return Err(Syntax { at: start - 1, what: "a string that is not closed" }),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Syntax> {
        let hex = |digits: &[u8]| digits.iter().all(u8::is_ascii_hexdigit);
        match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') if self.bytes.get(self.at + 2..self.at + 6).is_some_and(hex) => self.at += 6,
            _ => return Err(self.wrong("an escape that JSON does not have")),
        }
        Ok(())
    }

    /// Pass the number here.
    pub(crate) fn number(&mut self) -> Result<Range<usize>, Syntax> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            _ => return Err(self.wrong("expected a digit")),
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.some_digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.some_digits()?;
        }
        Ok(start..self.at)
    }

    fn digits(&mut self) {
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
    }

    fn some_digits(&mut self) -> Result<(), Syntax> {
        let from = self.at;
        self.digits();
        if self.at == from { Err(self.wrong("expected a digit")) } else { Ok(()) }
    }

    fn literal(&mut self, word: &'static [u8]) -> Result<(), Syntax> {
        if self.slice(self.at..self.at + word.len()) == word {
            self.at += word.len();
            Ok(())
        } else {
            Err(self.wrong("expected a value"))
        }
    }

    /// Pass `true` or `false`.
    pub(crate) fn boolean(&mut self) -> Result<bool, Syntax> {
        if self.peek() == Some(b't') {
            self.literal(b"true").map(|()| true)
        } else {
            self.literal(b"false").map(|()| false)
        }
    }

    /// Pass any value.
    #[inline]
    pub(crate) fn skip(&mut self) -> Result<Range<usize>, Syntax> {
        self.pass(&mut |_, _| {})
    }

    /// Pass any value and count the bytes of text in it: strings that are not keys nor `data:` URLs,
    /// which are pictures and sounds.
    pub(crate) fn skip_counting(&mut self, text: &mut u64) -> Result<Range<usize>, Syntax> {
        self.pass(&mut |bytes, string| {
            let raw = string.raw(bytes);
            if !raw.starts_with(b"data:") {
                *text += raw.len() as u64;
            }
        })
    }

    /// Pass a scalar; false: there is an object or array here instead.
    #[inline]
    fn scalar(&mut self, seen: &mut impl FnMut(&[u8], Text)) -> Result<bool, Syntax> {
        match self.peek() {
            Some(b'"') => {
                let string = self.string()?;
                seen(self.bytes, string);
            }
            Some(b'{' | b'[') => return Ok(false),
            Some(b't') => self.literal(b"true")?,
            Some(b'f') => self.literal(b"false")?,
            Some(b'n') => self.literal(b"null")?,
            Some(b'-' | b'0'..=b'9') => {
                self.number()?;
            }
            _ => return Err(self.wrong("expected a value")),
        }
        Ok(true)
    }

    fn pass(&mut self, seen: &mut impl FnMut(&[u8], Text)) -> Result<Range<usize>, Syntax> {
        let start = self.at;
        if self.scalar(seen)? {
            return Ok(start..self.at);
        }
        // One bit per open level, the innermost lowest: 1 is an object.
        let mut levels: u128 = 0;
        let mut depth = 0;
        // Whether the next thing is a level's first child.
        let mut first = false;
        loop {
            if !first {
                // At an opening bracket or brace.
                if depth == MAX_DEPTH {
                    return Err(self.wrong("nested deeper than 128 levels"));
                }
                levels = levels << 1 | u128::from(self.peek() == Some(b'{'));
                depth += 1;
                self.at += 1;
                first = true;
            }
            loop {
                let more = if levels & 1 == 1 {
                    self.key(&mut first)?.is_some()
                } else {
                    self.element(&mut first)?
                };
                if !more {
                    levels >>= 1;
                    depth -= 1;
                    first = false;
                    if depth == 0 {
                        return Ok(start..self.at);
                    }
                } else if !self.scalar(seen)? {
                    break;
                }
            }
        }
    }
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Length of the start of `bytes` that holds no quote, backslash or control character.
#[inline]
fn plain(bytes: &[u8]) -> usize {
    let mut at = 0;
    for word in bytes.chunks_exact(8).take(8) {
        let marks = marks(word);
        if marks != 0 {
            return at + (marks.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    // A long text: blocks that the compiler turns into vector instructions.
    for block in bytes.get(at..).unwrap_or_default().chunks_exact(64) {
        let special = block
            .iter()
            .fold(0_u8, |any, &b| any | u8::from((b < 0x20) | (b == b'"') | (b == b'\\')));
        if special != 0 {
            break;
        }
        at += 64;
    }
    let rest = bytes.get(at..).unwrap_or_default();
    for word in rest.chunks_exact(8) {
        let marks = marks(word);
        if marks != 0 {
            return at + (marks.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    let tail = bytes.get(at..).unwrap_or_default();
    at + tail.iter().position(|&b| b < 0x20 || b == b'"' || b == b'\\').unwrap_or(tail.len())
}

/// The high bit of each special byte of eight; exact up to the lowest one.
#[inline]
fn marks(word: &[u8]) -> u64 {
    let word = <[u8; 8]>::try_from(word).map_or(0, u64::from_le_bytes);
    let equals = |byte: u8| {
        let x = word ^ (ONES * u64::from(byte));
        x.wrapping_sub(ONES) & !x
    };
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    (control | equals(b'"') | equals(b'\\')) & HIGHS
}

/// Line and column, both from 1, the column in characters.
pub(crate) fn place(bytes: &[u8], at: usize) -> (usize, usize) {
    let before = bytes.get(..at).unwrap_or(bytes);
    let line_start = memchr::memrchr(b'\n', before).map_or(0, |n| n + 1);
    let line = memchr::memchr_iter(b'\n', before).count() + 1;
    let column =
        String::from_utf8_lossy(before.get(line_start..).unwrap_or_default()).chars().count() + 1;
    (line, column)
}

/// Append a string as JSON.
pub(crate) fn write_string(out: &mut Vec<u8>, text: &str) {
    if plain(text.as_bytes()) == text.len() {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        // Writing a string into memory cannot fail.
        let _ = serde_json::to_writer(out, text);
    }
}

/// A whole number without sign, fraction or exponent.
pub(crate) fn whole(raw: &[u8]) -> Option<u64> {
    std::str::from_utf8(raw).ok()?.parse().ok()
}

#[cfg(test)]
mod tests;
