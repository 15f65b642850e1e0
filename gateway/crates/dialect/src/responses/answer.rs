//! Whole answers of the Responses API.

use crate::answer::{Usage, check_json};
use crate::errors::UpstreamFault;
use crate::json::{Cursor, Kind, Syntax};
use crate::middle::{Said, Stamp, Stop, Whole};
use crate::responses::object::{Echo, Item, Part, Response, State};
use crate::typed::{Counts, Grammar};

/// Usage of an answer that passes on untouched, and the bytes of text in it.
///
/// # Errors
/// HTML, text, broken JSON, or a response that failed.
pub(crate) fn metered(body: &[u8]) -> Result<(Option<Usage>, u64), UpstreamFault> {
    check_json(body)?;
    let mut found = Found::default();
    found
        .walk(&mut Cursor::new(body))
        .map_err(|_| UpstreamFault::nonsense("the model's server sent broken JSON", body))?;
    if found.error {
        return Err(UpstreamFault::from_typed(body));
    }
    if !found.answer {
        let message = "the model's server sent no answer of this kind";
        return Err(UpstreamFault::nonsense(message, body));
    }
    Ok((found.counts.usage(Grammar::Responses), found.content_bytes))
}

#[derive(Default)]
struct Found {
    answer: bool,
    error: bool,
    counts: Counts,
    content_bytes: u64,
}

impl Found {
    fn walk(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Syntax> {
        cursor.space();
        if cursor.kind()? != Kind::Object {
            cursor.skip()?;
            return Ok(());
        }
        cursor.enter();
        let mut first = true;
        while let Some(key) = cursor.key(&mut first)? {
            let kind = cursor.kind()?;
            match (key.raw(cursor.bytes()), kind) {
                (b"error", Kind::Object | Kind::String) => {
                    self.error = true;
                    cursor.skip()?;
                }
                (b"usage", _) => self.counts = Counts::read(cursor)?,
                (b"output", Kind::Array) => {
                    self.answer = true;
                    cursor.skip_counting(&mut self.content_bytes)?;
                }
                _ => {
                    cursor.skip()?;
                }
            }
        }
        cursor.end()
    }
}

/// Write an answer for a caller that speaks this dialect.
pub(crate) fn write(whole: &Whole, echo: &Echo, stamp: &Stamp) -> Vec<u8> {
    let status = if whole.stop == Stop::Length { "incomplete" } else { "completed" };
    let mut output: Vec<Item<'_>> = Vec::with_capacity(whole.parts.len());
    for (at, said) in whole.parts.iter().enumerate() {
        let id = |prefix: &str| format!("{}_{at}", stamp.id(prefix));
        let part = match said {
            Said::Text(text) => Part::text(text),
            Said::Refusal(refusal) => Part::Refusal { refusal },
            Said::Thought { text, .. } => {
                let content = vec![Part::ReasoningText { text }];
                output.push(Item::Reasoning { id: id("rs"), status, summary: [], content });
                continue;
            }
            Said::Hidden(_) => continue,
            Said::Call(call) => {
                output.push(Item::FunctionCall {
                    id: id("fc"),
                    status,
                    call_id: &call.id,
                    name: &call.name,
                    arguments: &call.arguments,
                });
                continue;
            }
        };
        match output.last_mut() {
            Some(Item::Message { content, .. }) => content.push(part),
            _ => output.push(Item::Message {
                id: id("msg"),
                status,
                role: "assistant",
                content: vec![part],
            }),
        }
    }
    let state = State::Ended(&whole.stop);
    let response = Response::new(stamp, echo, &whole.model, &state, &output, whole.usage);
    serde_json::to_vec(&response).unwrap_or_default()
}
