//! OpenAI's chat completions as one side of a translation. Where both sides speak it, `request`, `answer`
//! and `stream` pass the bytes instead.

mod answer;
mod pieces;
mod read;
mod write;

pub(crate) use answer::{read as read_answer, write as write_answer};
pub(crate) use pieces::{Reader, Writer};
pub(crate) use read::conversation;
pub(crate) use write::write;

use crate::middle::Stop;

/// `finish_reason` of an ending.
fn reason(stop: &Stop) -> &'static str {
    match stop {
        Stop::End | Stop::Sequence(_) => "stop",
        Stop::Length => "length",
        Stop::Calls => "tool_calls",
        Stop::Refused => "content_filter",
    }
}

/// What a `finish_reason` says.
fn stop(reason: &str) -> Stop {
    match reason {
        "length" => Stop::Length,
        "tool_calls" | "function_call" => Stop::Calls,
        "content_filter" => Stop::Refused,
        _ => Stop::End,
    }
}
