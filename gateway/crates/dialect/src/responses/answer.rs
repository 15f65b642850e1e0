//! Whole answers of the Responses API.

use crate::answer::Usage;
use crate::errors::UpstreamFault;
use crate::json::Kind;
use crate::middle::{Said, Stamp, Stop, Whole};
use crate::responses::object::{Echo, Item, Part, Response, State};
use crate::typed::{self, Grammar};

/// Usage of an answer that passes on untouched, and the bytes of text in it.
///
/// # Errors
/// HTML, text, broken JSON, or a response that failed.
pub(crate) fn metered(body: &[u8]) -> Result<(Option<Usage>, u64), UpstreamFault> {
    typed::metered(body, Grammar::Responses, |name, cursor, text| {
        let output = name == b"output" && cursor.kind()? == Kind::Array;
        if output {
            cursor.skip_counting(text)?;
        } else {
            cursor.skip()?;
        }
        Ok(output)
    })
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
