//! Plain (not streamed) answers of OpenAI-style upstreams: read for their usage, passed on as they are.

use crate::errors::UpstreamFault;
use crate::json::{self, Cursor, Kind, Syntax};

/// Tokens as the upstream reports them. What it does not report is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// All input tokens; those of the cache and of sound are among them.
    pub input_tokens: Option<u64>,
    /// All output tokens; those of thought and of sound are among them.
    pub output_tokens: Option<u64>,
    pub cached_input_tokens: Option<u64>,
    /// Put into the upstream's cache by this request.
    pub cache_write_tokens: Option<u64>,
    pub reasoning_tokens: Option<u64>,
    pub audio_input_tokens: Option<u64>,
    pub audio_output_tokens: Option<u64>,
}

impl Usage {
    /// Both together; what only one of them reports is what that one says.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let sum = |one: Option<u64>, other: Option<u64>| match (one, other) {
            (Some(one), Some(other)) => Some(one.saturating_add(other)),
            (one, other) => one.or(other),
        };
        Self {
            input_tokens: sum(self.input_tokens, other.input_tokens),
            output_tokens: sum(self.output_tokens, other.output_tokens),
            cached_input_tokens: sum(self.cached_input_tokens, other.cached_input_tokens),
            cache_write_tokens: sum(self.cache_write_tokens, other.cache_write_tokens),
            reasoning_tokens: sum(self.reasoning_tokens, other.reasoning_tokens),
            audio_input_tokens: sum(self.audio_input_tokens, other.audio_input_tokens),
            audio_output_tokens: sum(self.audio_output_tokens, other.audio_output_tokens),
        }
    }
}

/// What the gateway needs to know of an answer that passes on untouched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    pub usage: Option<Usage>,
    /// Bytes of generated text, to estimate output tokens where no usage is reported.
    pub content_bytes: u64,
}

impl Answer {
    /// Read an answer with a success status.
    ///
    /// # Errors
    /// HTML, text, broken JSON, or an error object in a 200.
    pub fn read(body: &[u8]) -> Result<Self, UpstreamFault> {
        check_json(body)?;
        let mut answer = Self::default();
        let seen = answer
            .walk(&mut Cursor::new(body))
            .map_err(|_| UpstreamFault::nonsense("the model's server sent broken JSON", body))?;
        match seen {
            Seen::Result => Ok(answer),
            Seen::Error => Err(UpstreamFault::from_event(body)),
            Seen::Neither => {
                Err(UpstreamFault::nonsense("the model's server sent no answer of this kind", body))
            }
        }
    }

    fn walk(&mut self, cursor: &mut Cursor<'_>) -> Result<Seen, Syntax> {
        cursor.space();
        if cursor.kind()? != Kind::Object {
            return Ok(Seen::Neither);
        }
        cursor.enter();
        let (mut first, mut seen) = (true, Seen::Neither);
        while let Some(key) = cursor.key(&mut first)? {
            let kind = cursor.kind()?;
            match key.raw(cursor.bytes()) {
                b"usage" => self.usage = usage(cursor)?.or(self.usage),
                b"error" if kind != Kind::Null => {
                    seen = Seen::Error;
                    cursor.skip()?;
                }
                b"choices" if kind == Kind::Array => {
                    seen = seen.or_result();
                    self.choices(cursor)?;
                }
                b"data" if kind == Kind::Array => {
                    seen = seen.or_result();
                    cursor.skip()?;
                }
                b"object" if kind == Kind::String => {
                    if cursor.string()?.raw(cursor.bytes()) == b"error" {
                        seen = Seen::Error;
                    }
                }
                _ => {
                    cursor.skip()?;
                }
            }
        }
        cursor.end()?;
        Ok(seen)
    }

    fn choices(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Syntax> {
        cursor.enter();
        let mut first_choice = true;
        while cursor.element(&mut first_choice)? {
            if cursor.kind()? != Kind::Object {
                cursor.skip()?;
                continue;
            }
            cursor.enter();
            let mut first = true;
            while let Some(key) = cursor.key(&mut first)? {
                match key.raw(cursor.bytes()) {
                    b"message" if cursor.kind()? == Kind::Object => self.message(cursor)?,
                    b"text" => {
                        cursor.skip_counting(&mut self.content_bytes)?;
                    }
                    _ => {
                        cursor.skip()?;
                    }
                }
            }
        }
        Ok(())
    }

    fn message(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Syntax> {
        cursor.enter();
        let mut first = true;
        while let Some(key) = cursor.key(&mut first)? {
            if key.raw(cursor.bytes()) == b"role" {
                cursor.skip()?;
            } else {
                cursor.skip_counting(&mut self.content_bytes)?;
            }
        }
        Ok(())
    }
}

/// What kind of answer a body is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    Neither,
    Result,
    Error,
}

impl Seen {
    fn or_result(self) -> Self {
        if self == Self::Error { self } else { Self::Result }
    }
}

/// Refuse what is not JSON text at first sight.
pub(crate) fn check_json(body: &[u8]) -> Result<(), UpstreamFault> {
    let start = body.trim_ascii_start();
    let message = match start.first() {
        None => "the model's server sent an empty answer",
        Some(b'<') => "the model's server sent a web page instead of an answer",
        Some(b'{' | b'[') if std::str::from_utf8(body).is_ok() => return Ok(()),
        Some(b'{' | b'[') => "the model's server sent text that is not UTF-8",
        Some(_) => "the model's server sent text instead of JSON",
    };
    Err(UpstreamFault::nonsense(message, body))
}

/// Read a `usage` object; `None` for null and what is not an object.
pub(crate) fn usage(cursor: &mut Cursor<'_>) -> Result<Option<Usage>, Syntax> {
    if cursor.kind()? != Kind::Object {
        cursor.skip()?;
        return Ok(None);
    }
    let mut usage = Usage::default();
    cursor.enter();
    let mut first = true;
    while let Some(key) = cursor.key(&mut first)? {
        match key.raw(cursor.bytes()) {
            b"prompt_tokens" => usage.input_tokens = count(cursor)?,
            b"completion_tokens" => usage.output_tokens = count(cursor)?,
            b"prompt_tokens_details" => details(
                cursor,
                [
                    (b"cached_tokens", &mut usage.cached_input_tokens),
                    (b"cache_write_tokens", &mut usage.cache_write_tokens),
                    (b"audio_tokens", &mut usage.audio_input_tokens),
                ],
            )?,
            b"completion_tokens_details" => details(
                cursor,
                [
                    (b"reasoning_tokens", &mut usage.reasoning_tokens),
                    (b"audio_tokens", &mut usage.audio_output_tokens),
                ],
            )?,
            _ => {
                cursor.skip()?;
            }
        }
    }
    Ok(Some(usage))
}

/// A count; `None` for whatever is not a whole number.
pub(crate) fn count(cursor: &mut Cursor<'_>) -> Result<Option<u64>, Syntax> {
    let value = cursor.skip()?;
    Ok(json::whole(cursor.slice(value)))
}

/// Counts of an object by their names; whatever is no object has none.
pub(crate) fn details<const N: usize>(
    cursor: &mut Cursor<'_>,
    mut counts: [(&[u8], &mut Option<u64>); N],
) -> Result<(), Syntax> {
    if cursor.kind()? != Kind::Object {
        cursor.skip()?;
        return Ok(());
    }
    cursor.enter();
    let mut first = true;
    while let Some(key) = cursor.key(&mut first)? {
        let name = key.raw(cursor.bytes());
        match counts.iter_mut().find(|(known, _)| *known == name) {
            Some((_, found)) => **found = count(cursor)?,
            None => {
                cursor.skip()?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
