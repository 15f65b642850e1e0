//! What an answer says of itself, for traces: read from bytes that are passed on as they are, after the fact
//! and only where somebody wants to know. Nothing here can fail a call: what is not understood is absent.

use std::borrow::Cow;

use memchr::memmem;
use serde::Deserialize;

use crate::stream::{Line, event_end, lines};

/// Longest id and name that are kept.
const NAME: usize = 128;
/// Longest reason for an end, and most of them: one for each of a call's choices.
const REASON: usize = 32;
const MAX_REASONS: usize = 16;

/// What an answer in one of the callers' dialects says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    pub id: Option<String>,
    pub model: Option<String>,
    /// Why each choice ended.
    pub finish_reasons: Vec<String>,
}

/// The members of an answer, or of an event of a stream, that tell something, in any of the dialects.
#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Said<'a> {
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    model: Option<Cow<'a, str>>,
    choices: Option<Vec<Choice<'a>>>,
    stop_reason: Option<Cow<'a, str>>,
    /// Of an event of messages.
    delta: Option<Delta<'a>>,
    message: Option<Inner<'a>>,
    /// Of responses, whole or in an event.
    object: Option<Cow<'a, str>>,
    status: Option<Cow<'a, str>>,
    response: Option<Inner<'a>>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow, default)]
    finish_reason: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow, default)]
    stop_reason: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Inner<'a> {
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    model: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    status: Option<Cow<'a, str>>,
}

impl Told {
    /// Read a whole answer.
    pub fn answer(body: &[u8]) -> Self {
        let mut told = Self::default();
        told.read(body);
        told
    }

    /// Read a piece of a stream that holds whole events.
    pub fn events(&mut self, piece: &[u8]) {
        let mut rest = piece;
        while let Some(end) = event_end(rest, 0) {
            let (event, after) = rest.split_at(end);
            for line in lines(event) {
                if let Line::Data { text: data, .. } = line
                    && self.may_tell(data)
                {
                    self.read(data);
                }
            }
            rest = after;
        }
    }

    /// Whether it is worth reading: the first event, and those that speak of an end.
    fn may_tell(&self, data: &[u8]) -> bool {
        let speaks = |words: &[u8]| memmem::find(data, words).is_some();
        self.id.is_none()
            || speaks(b"_reason\"")
            || speaks(b"\"response.completed\"")
            || speaks(b"\"response.incomplete\"")
    }

    fn read(&mut self, json: &[u8]) {
        let Ok(said) = serde_json::from_slice::<Said<'_>>(json) else { return };
        let inner = said.message.or(said.response);
        let (id, model, status) = match inner {
            Some(inner) => (inner.id, inner.model, inner.status),
            None => (said.id, said.model, said.status.filter(|_| is_response(&said.object))),
        };
        self.id = self.id.take().or_else(|| short(id, NAME));
        self.model = self.model.take().or_else(|| short(model, NAME));
        let choices = said.choices.into_iter().flatten().map(|choice| choice.finish_reason);
        let stopped = said.delta.and_then(|delta| delta.stop_reason).or(said.stop_reason);
        let ended = status.filter(|status| status != "in_progress" && status != "queued");
        for reason in choices.chain([stopped, ended]).filter_map(|reason| short(reason, REASON)) {
            if self.finish_reasons.len() < MAX_REASONS {
                self.finish_reasons.push(reason);
            }
        }
    }
}

fn is_response(object: &Option<Cow<'_, str>>) -> bool {
    object.as_deref() == Some("response")
}

/// A text that is no longer than such texts are.
fn short(text: Option<Cow<'_, str>>, most: usize) -> Option<String> {
    text.filter(|text| !text.is_empty() && text.len() <= most).map(Cow::into_owned)
}

#[cfg(test)]
mod tests;
