//! Plain transcripts: read for what they used, passed on as they are.

use crate::answer::{self, Usage};
use crate::errors::UpstreamFault;
use crate::json::{Cursor, Kind, Syntax};
use crate::transcription::Format;
use crate::typed::{Counts, Grammar};

/// What a transcript used, and the bytes of its text.
///
/// # Errors
/// HTML, broken JSON, or an error object in a 200.
pub(crate) fn metered(body: &[u8], format: Format) -> Result<(Option<Usage>, u64), UpstreamFault> {
    match format {
        Format::Text => text(body),
        Format::Json => json(body),
    }
}

fn text(body: &[u8]) -> Result<(Option<Usage>, u64), UpstreamFault> {
    if std::str::from_utf8(body).is_err() {
        let message = "the model's server sent text that is not UTF-8";
        return Err(UpstreamFault::nonsense(message, body));
    }
    let start = body.trim_ascii_start();
    let page = start.get(..5).is_some_and(|start| {
        start.eq_ignore_ascii_case(b"<html") || start.eq_ignore_ascii_case(b"<!doc")
    });
    if page {
        let message = "the model's server sent a web page instead of an answer";
        return Err(UpstreamFault::nonsense(message, body));
    }
    if start.starts_with(b"{") && is_error(start) {
        return Err(UpstreamFault::from_event(body));
    }
    // Some servers answer in JSON whatever was asked for; then it says what it used.
    let usage = start.starts_with(b"{").then(|| json(start).ok()).flatten();
    Ok(usage.unwrap_or((None, body.len() as u64)))
}

/// An object with an `error` and nothing said.
fn is_error(body: &[u8]) -> bool {
    let mut found = Found::default();
    found.walk(&mut Cursor::new(body)).is_ok() && found.error
}

fn json(body: &[u8]) -> Result<(Option<Usage>, u64), UpstreamFault> {
    answer::check_json(body)?;
    let mut found = Found::default();
    let broken = || UpstreamFault::nonsense("the model's server sent broken JSON", body);
    found.walk(&mut Cursor::new(body)).map_err(|_| broken())?;
    if found.error {
        return Err(UpstreamFault::from_event(body));
    }
    let Some(text) = found.text else {
        let message = "the model's server sent no answer of this kind";
        return Err(UpstreamFault::nonsense(message, body));
    };
    Ok((found.usage(), text))
}

#[derive(Default)]
struct Found {
    text: Option<u64>,
    error: bool,
    counts: Counts,
    /// Of vLLM's own shape, as chats have it.
    chat: Option<Usage>,
}

impl Found {
    fn walk(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Syntax> {
        cursor.space();
        if cursor.kind()? != Kind::Object {
            cursor.skip()?;
            return cursor.end();
        }
        cursor.enter();
        let mut first = true;
        while let Some(key) = cursor.key(&mut first)? {
            let kind = cursor.kind()?;
            match (key.raw(cursor.bytes()), kind) {
                (b"text", Kind::String) => {
                    let mut bytes = 0;
                    cursor.skip_counting(&mut bytes)?;
                    self.text = Some(bytes);
                }
                (b"usage", Kind::Object) => {
                    let start = cursor.position();
                    self.counts = Counts::read(cursor)?;
                    self.chat = answer::usage(&mut Cursor::at(cursor.bytes(), start))?;
                }
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

    fn usage(&self) -> Option<Usage> {
        let typed = self.counts.usage(Grammar::Transcripts);
        // A length of sound is no count of tokens.
        typed.or(self.chat.filter(|usage| *usage != Usage::default()))
    }
}
