//! Streams of the Responses API, written from pieces.

use bytes::Bytes;
use serde::Serialize;

use crate::answer::Usage;
use crate::errors::ErrorBody;
use crate::middle::{Piece, Stamp, Stop};
use crate::responses::object::{Echo, Item, Part, Response, State};

/// Writes events for a caller that speaks this dialect.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    stamp: Stamp,
    echo: Echo,
    model: String,
    sequence: u64,
    opened: bool,
    /// Items so far; the last one may still be growing.
    items: Vec<Grown>,
    growing: bool,
    stop: Option<Stop>,
}

/// An item and what it holds by now.
#[derive(Clone, Debug)]
struct Grown {
    kind: Kind,
    id: String,
    text: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Refusal,
    Thought,
    Call { call_id: String, name: String },
}

impl Grown {
    fn item(&self, status: &'static str) -> Item<'_> {
        let id = self.id.clone();
        match &self.kind {
            Kind::Text | Kind::Refusal => {
                Item::Message { id, status, role: "assistant", content: vec![self.part()] }
            }
            Kind::Thought => {
                Item::Reasoning { id, status, summary: [], content: vec![self.part()] }
            }
            Kind::Call { call_id, name } => {
                Item::FunctionCall { id, status, call_id, name, arguments: &self.text }
            }
        }
    }

    /// As it is announced: without content.
    fn empty(&self) -> Item<'_> {
        let (id, status) = (self.id.clone(), "in_progress");
        match &self.kind {
            Kind::Text | Kind::Refusal => {
                Item::Message { id, status, role: "assistant", content: Vec::new() }
            }
            Kind::Thought => Item::Reasoning { id, status, summary: [], content: Vec::new() },
            Kind::Call { call_id, name } => {
                Item::FunctionCall { id, status, call_id, name, arguments: "" }
            }
        }
    }

    fn part(&self) -> Part<'_> {
        self.kind.part(&self.text)
    }
}

impl Kind {
    fn part<'a>(&self, text: &'a str) -> Part<'a> {
        match self {
            Self::Refusal => Part::Refusal { refusal: text },
            Self::Thought => Part::ReasoningText { text },
            Self::Text | Self::Call { .. } => Part::text(text),
        }
    }

    /// Names of the events of a part of its content.
    fn events(&self) -> (&'static str, &'static str) {
        match self {
            Self::Text => ("response.output_text.delta", "response.output_text.done"),
            Self::Refusal => ("response.refusal.delta", "response.refusal.done"),
            Self::Thought => ("response.reasoning_text.delta", "response.reasoning_text.done"),
            Self::Call { .. } => {
                ("response.function_call_arguments.delta", "response.function_call_arguments.done")
            }
        }
    }
}

/// Any event: each kind has some of these members.
#[derive(Serialize)]
struct Event<'a> {
    r#type: &'static str,
    sequence_number: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<Response<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    item_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    item: Option<Item<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    part: Option<Part<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delta: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arguments: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<[(); 0]>,
}

impl Event<'_> {
    fn new(r#type: &'static str) -> Self {
        Self {
            r#type,
            sequence_number: 0,
            response: None,
            item_id: None,
            output_index: None,
            content_index: None,
            item: None,
            part: None,
            delta: None,
            text: None,
            refusal: None,
            name: None,
            arguments: None,
            logprobs: None,
        }
    }
}

/// An error as its own event: flat as the reference has it, and nested as the servers send it and as
/// clients look for it.
#[derive(Serialize)]
struct Failed<'a> {
    r#type: &'static str,
    sequence_number: u64,
    code: &'a str,
    message: &'a str,
    param: Option<&'a str>,
    error: Nested<'a>,
}

#[derive(Serialize)]
struct Nested<'a> {
    code: &'a str,
    message: &'a str,
    param: Option<&'a str>,
    r#type: &'a str,
    request_id: Option<&'a str>,
}

impl Writer {
    pub(crate) fn new(stamp: Stamp, echo: Echo) -> Self {
        Self {
            stamp,
            echo,
            model: String::new(),
            sequence: 0,
            opened: false,
            items: Vec::new(),
            growing: false,
            stop: None,
        }
    }

    pub(crate) fn write(&mut self, piece: Piece, out: &mut Vec<u8>) {
        match piece {
            Piece::Model(model) => self.model = model,
            Piece::Stop(stop) => self.stop = Some(stop),
            // Only their maker can read them.
            Piece::Signature(_) | Piece::Hidden(_) => {}
            Piece::Text(text) => self.grow(&Kind::Text, &text, out),
            Piece::Refusal(text) => self.grow(&Kind::Refusal, &text, out),
            Piece::Thought(text) => self.grow(&Kind::Thought, &text, out),
            Piece::Call { id, name } => self.enter(Kind::Call { call_id: id, name }, out),
            Piece::Arguments(text) => {
                if let Some(Grown { kind: kind @ Kind::Call { .. }, .. }) = self.items.last() {
                    let kind = kind.clone();
                    self.grow(&kind, &text, out);
                }
            }
        }
    }

    pub(crate) fn finish(&mut self, usage: Option<Usage>, out: &mut Vec<u8>) {
        self.open(out);
        let stop = self.stop.take().unwrap_or_default();
        self.leave(&stop, out);
        let kind = match stop {
            Stop::Length | Stop::Refused => "response.incomplete",
            _ => "response.completed",
        };
        self.response(kind, &State::Ended(&stop), usage, out);
    }

    /// A failed response where one was begun, and the error as an event of its own, which is what clients
    /// raise.
    pub(crate) fn fail(&mut self, error: &ErrorBody<'_>) -> Bytes {
        let mut out = Vec::new();
        if self.opened {
            self.response("response.failed", &State::Failed(error), None, &mut out);
        }
        let message = error.message();
        let failed = Failed {
            r#type: "error",
            sequence_number: self.sequence,
            code: error.code,
            message: &message,
            param: error.param,
            error: Nested {
                code: error.code,
                message: &message,
                param: error.param,
                r#type: error.openai_type(),
                request_id: error.request_id,
            },
        };
        frame("error", &failed, &mut out);
        out.into()
    }

    fn open(&mut self, out: &mut Vec<u8>) {
        if !self.opened {
            self.opened = true;
            self.response("response.created", &State::InProgress, None, out);
            self.response("response.in_progress", &State::InProgress, None, out);
        }
    }

    fn response(
        &mut self,
        kind: &'static str,
        state: &State<'_>,
        usage: Option<Usage>,
        out: &mut Vec<u8>,
    ) {
        let status = |last: bool| match state {
            State::Ended(Stop::Length) if last => "incomplete",
            State::InProgress => "in_progress",
            State::Failed(_) if last && self.growing => "incomplete",
            _ => "completed",
        };
        let count = self.items.len();
        let items = self.items.iter().enumerate();
        let items: Vec<_> = items.map(|(at, item)| item.item(status(at + 1 == count))).collect();
        let response = Response::new(&self.stamp, &self.echo, &self.model, state, &items, usage);
        let event =
            Event { response: Some(response), sequence_number: self.sequence, ..Event::new(kind) };
        frame(kind, &event, out);
        self.sequence += 1;
    }

    fn grow(&mut self, kind: &Kind, text: &str, out: &mut Vec<u8>) {
        let same = self.growing && self.items.last().is_some_and(|last| last.kind == *kind);
        if !same {
            self.enter(kind.clone(), out);
        }
        let output_index = self.items.len().saturating_sub(1);
        let Some(item) = self.items.last_mut() else { return };
        item.text.push_str(text);
        let (delta, _) = kind.events();
        let call = matches!(kind, Kind::Call { .. });
        let event = Event {
            sequence_number: self.sequence,
            item_id: Some(&item.id),
            output_index: Some(output_index),
            content_index: (!call).then_some(0),
            delta: Some(text),
            logprobs: (*kind == Kind::Text).then_some([]),
            ..Event::new(delta)
        };
        frame(delta, &event, out);
        self.sequence += 1;
    }

    /// Begin an item.
    fn enter(&mut self, kind: Kind, out: &mut Vec<u8>) {
        self.open(out);
        self.leave(&Stop::End, out);
        let prefix = match kind {
            Kind::Text | Kind::Refusal => "msg",
            Kind::Thought => "rs",
            Kind::Call { .. } => "fc",
        };
        let output_index = self.items.len();
        let id = format!("{}_{output_index}", self.stamp.id(prefix));
        self.items.push(Grown { kind, id, text: String::new() });
        self.growing = true;
        let Some(item) = self.items.last() else { return };
        let added = "response.output_item.added";
        let event = Event {
            sequence_number: self.sequence,
            output_index: Some(output_index),
            item: Some(item.empty()),
            ..Event::new(added)
        };
        frame(added, &event, out);
        self.sequence += 1;
        if !matches!(item.kind, Kind::Call { .. }) {
            let added = "response.content_part.added";
            let event = Event {
                sequence_number: self.sequence,
                item_id: Some(&item.id),
                output_index: Some(output_index),
                content_index: Some(0),
                part: Some(item.part()),
                ..Event::new(added)
            };
            frame(added, &event, out);
            self.sequence += 1;
        }
    }

    /// End the item that is growing, if any.
    fn leave(&mut self, stop: &Stop, out: &mut Vec<u8>) {
        if !std::mem::take(&mut self.growing) {
            return;
        }
        let Some(item) = self.items.last() else { return };
        let output_index = Some(self.items.len() - 1);
        let (_, done) = item.kind.events();
        let whole = Some(item.text.as_str());
        let mut event = Event {
            sequence_number: self.sequence,
            item_id: Some(&item.id),
            output_index,
            ..Event::new(done)
        };
        match &item.kind {
            Kind::Call { name, .. } => {
                event.name = Some(name);
                event.arguments = whole;
            }
            Kind::Refusal => (event.content_index, event.refusal) = (Some(0), whole),
            Kind::Text | Kind::Thought => (event.content_index, event.text) = (Some(0), whole),
        }
        if item.kind == Kind::Text {
            event.logprobs = Some([]);
        }
        frame(done, &event, out);
        self.sequence += 1;
        if !matches!(item.kind, Kind::Call { .. }) {
            let done = "response.content_part.done";
            let event = Event {
                sequence_number: self.sequence,
                item_id: Some(&item.id),
                output_index,
                content_index: Some(0),
                part: Some(item.part()),
                ..Event::new(done)
            };
            frame(done, &event, out);
            self.sequence += 1;
        }
        let status = if *stop == Stop::Length { "incomplete" } else { "completed" };
        let done = "response.output_item.done";
        let event = Event {
            sequence_number: self.sequence,
            output_index,
            item: Some(item.item(status)),
            ..Event::new(done)
        };
        frame(done, &event, out);
        self.sequence += 1;
    }
}

fn frame(name: &str, event: &impl Serialize, out: &mut Vec<u8>) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    // Writing into memory cannot fail.
    let _ = serde_json::to_writer(&mut *out, event);
    out.extend_from_slice(b"\n\n");
}
