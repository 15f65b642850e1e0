//! From a request and a script to the bytes and pauses of one answer.

use std::time::Duration;

use serde_json::{Value, json};

use crate::anthropic;
use crate::http::{self, Framing, LAST_CHUNK};
use crate::openai::{self, Ask, Operation};
use crate::script::{Fault, Script};

/// One thing to do for an answer.
#[derive(Debug, PartialEq)]
pub(crate) enum Step {
    Status(u16),
    Write(Vec<u8>),
    /// Output tokens that the writes so far have carried.
    Produced(u64),
    Delay(Duration),
    Gate(String),
    /// Until the client goes away.
    Hold,
    /// Again and again until the client goes away.
    Endless(Vec<u8>),
    /// Close, though the answer is not whole.
    Cut,
    Reset,
    /// The answer is whole and its connection is closed.
    HangUp,
}

/// An answer in the making.
#[derive(Debug)]
struct Plan<'a> {
    script: &'a Script,
    /// Of Anthropic's dialect.
    messages: bool,
    steps: Vec<Step>,
}

/// A plain body and what its head needs to say.
pub(crate) struct Plain {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) body: Vec<u8>,
    /// Output tokens in it.
    pub(crate) tokens: u64,
    /// Length of the JSON that the body begins with, where tensors follow it.
    pub(crate) json_size: Option<usize>,
}

impl Plain {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self {
            status,
            content_type: "application/json",
            body: body.to_string().into_bytes(),
            tokens: 0,
            json_size: None,
        }
    }
}

/// The steps of an answer that is, but for the script, this plain body.
pub(crate) fn plain(script: &Script, answer: Plain) -> Vec<Step> {
    whole(script, false, answer)
}

/// The steps of the plain answer to a call of a model.
pub(crate) fn answer(script: &Script, ask: &Ask) -> Vec<Step> {
    let messages = ask.operation == Operation::Messages;
    whole(script, messages, ask.plain(script))
}

fn whole(script: &Script, messages: bool, answer: Plain) -> Vec<Step> {
    let mut plan = Plan { script, messages, steps: Vec::new() };
    plan.point("headers");
    if !plan.spoilt_head() {
        plan.whole(answer);
    }
    plan.steps
}

/// The steps of an answer that is, but for the script, this stream.
pub(crate) fn stream(script: &Script, ask: &Ask) -> Vec<Step> {
    let messages = ask.operation == Operation::Messages;
    let mut plan = Plan { script, messages, steps: Vec::new() };
    plan.point("headers");
    if script.fault == Some(Fault::NotAStream) {
        plan.whole(ask.plain(&Script { fault: None, ..script.clone() }));
    } else if !plan.spoilt_head() {
        plan.events(ask);
    }
    plan.steps
}

impl Plan<'_> {
    /// Delay and gate of a point, if the script has them.
    fn point(&mut self, point: &str) {
        if let Some(delay) = self.script.delays_ms.get(point) {
            self.steps.push(Step::Delay(Duration::from_millis(*delay)));
        }
        if let Some(gate) = self.script.gates.get(point) {
            self.steps.push(Step::Gate(gate.clone()));
        }
    }

    /// An error in the words of the dialect.
    fn error(&self, status: u16) -> Value {
        if self.messages { anthropic::error(status) } else { openai::error(status) }
    }

    fn write(&mut self, bytes: Vec<u8>) {
        self.steps.push(Step::Write(bytes));
    }

    fn head(&mut self, status: u16, framing: Framing, headers: &[(&str, &str)]) {
        let mut headers = headers.to_vec();
        let own = self.script.headers.iter();
        headers.extend(own.map(|(name, value)| (name.as_str(), value.as_str())));
        self.steps.push(Step::Status(status));
        self.write(http::head(status, framing, &headers));
    }

    /// Do the faults that leave nothing of the answer; `false` if there is none.
    fn spoilt_head(&mut self) -> bool {
        match self.script.fault.clone() {
            Some(Fault::Silence) => self.steps.push(Step::Hold),
            Some(Fault::Close) => self.steps.push(Step::Cut),
            Some(Fault::Reset) => self.steps.push(Step::Reset),
            Some(Fault::ErrorBody) => self.whole(Plain::json(200, &self.error(500))),
            Some(Fault::Html) => self.whole(Plain {
                status: 200,
                content_type: "text/html",
                body: b"<!doctype html><title>Welcome</title><h1>It works</h1>".to_vec(),
                tokens: 0,
                json_size: None,
            }),
            Some(Fault::Status { code, retry_after }) => {
                let body = self.error(code).to_string().into_bytes();
                let mut headers = vec![("content-type", "application/json")];
                headers.extend(retry_after.as_deref().map(|value| ("retry-after", value)));
                self.head(code, Framing::Length(body.len()), &headers);
                self.write(body);
            }
            Some(Fault::TooLong) => self.whole(Plain::json(400, &openai::too_long())),
            Some(Fault::Redirect { location }) => {
                self.head(307, Framing::Length(0), &[("location", &location)]);
            }
            _ => return false,
        }
        true
    }

    /// A plain answer with the faults that apply to it.
    fn whole(&mut self, answer: Plain) {
        let Plain { status, content_type, mut body, tokens, json_size } = answer;
        let mut headers = vec![("content-type", content_type_of(self.script, content_type))];
        let json_size = json_size.map(|size| size.to_string());
        if let Some(size) = &json_size {
            headers.push(("inference-header-content-length", size));
        }
        let mut framing = Framing::Length(body.len());
        let huge;
        match &self.script.fault {
            Some(Fault::Gzip) => {
                body = http::gzip(&body);
                framing = Framing::Length(body.len());
                headers.push(("content-encoding", "gzip"));
            }
            Some(Fault::Http10) => framing = Framing::Closing,
            Some(Fault::BadBody) => body.truncate(body.len() / 2),
            Some(Fault::HugeHeader { bytes }) => {
                huge = "x".repeat(*bytes);
                headers.push(("x-huge", &huge));
            }
            _ => {}
        }
        match self.script.fault {
            Some(Fault::BadBody) => framing = Framing::Length(body.len()),
            // Its length is nobody's guess.
            Some(Fault::Whitespace { .. }) => framing = Framing::Closing,
            _ => {}
        }
        self.head(status, framing, &headers);
        let half = body.len() / 2;
        match &self.script.fault {
            Some(Fault::Stall { .. }) => self.half(&body[..half], Step::Hold),
            Some(Fault::Cut { .. } | Fault::CutInChunk { .. }) => {
                self.half(&body[..half], Step::Cut)
            }
            Some(Fault::ResetAfter { .. }) => self.half(&body[..half], Step::Reset),
            Some(Fault::Whitespace { .. }) => self.steps.push(Step::Endless(b" ".to_vec())),
            fault => {
                let closes = matches!(fault, Some(Fault::Http10)) || self.script.hang_up;
                self.point("end");
                let part = self.script.split_bytes.unwrap_or(body.len()).max(1);
                body.chunks(part).for_each(|part| self.write(part.to_vec()));
                self.steps.push(Step::Produced(tokens));
                if closes {
                    self.steps.push(Step::HangUp);
                }
            }
        }
    }

    fn half(&mut self, body: &[u8], then: Step) {
        self.write(body.to_vec());
        self.steps.push(then);
    }

    fn events(&mut self, ask: &Ask) {
        let fault = self.script.fault.clone();
        let mut headers = vec![
            ("content-type", content_type_of(self.script, "text/event-stream")),
            ("cache-control", "no-store"),
        ];
        let mut framing = Framing::Chunked;
        let huge;
        match &fault {
            Some(Fault::Http10) => framing = Framing::Closing,
            Some(Fault::Gzip) => headers.push(("content-encoding", "gzip")),
            Some(Fault::HugeHeader { bytes }) => {
                huge = "x".repeat(*bytes);
                headers.push(("x-huge", &huge));
            }
            _ => {}
        }
        self.head(200, framing, &headers);
        if fault == Some(Fault::ErrorEvent) {
            self.event(framing, &self.error(500).to_string());
            return self.last_chunk(framing);
        }
        if fault == Some(Fault::BadFirstEvent) {
            self.event(framing, r#"{"choices": [{"index": 0, "delta": {"con"#);
            return self.last_chunk(framing);
        }
        if fault == Some(Fault::Whitespace { after: 0 }) {
            return self.steps.push(Step::Endless(http::chunks(b"\n", None)));
        }
        let events = ask.events(self.script);
        for event in &events.opening {
            self.event(framing, &event.to_string());
        }
        for (number, choices) in events.tokens.iter().enumerate() {
            if self.breaks_off(&fault, number, framing, choices) {
                return;
            }
            self.point(&format!("token:{number}"));
            for event in choices {
                self.event(framing, &event.to_string());
            }
            self.steps.push(Step::Produced(choices.len() as u64));
        }
        if self.breaks_off(&fault, events.tokens.len(), framing, &events.closing) {
            return;
        }
        self.point("end");
        let finishes = fault != Some(Fault::NoFinish);
        for event in events.closing.iter().filter(|_| finishes).chain(&events.usage) {
            self.event(framing, &event.to_string());
        }
        if fault != Some(Fault::NoDone) {
            self.event(framing, &ask.last(self.script));
        }
        self.last_chunk(framing);
        if self.script.hang_up {
            self.steps.push(Step::HangUp);
        }
    }

    /// Break off before output token `number`, if the script says so here.
    fn breaks_off(
        &mut self,
        fault: &Option<Fault>,
        number: usize,
        framing: Framing,
        next: &[Value],
    ) -> bool {
        let here = |after: &u32| *after as usize == number;
        match fault {
            Some(Fault::Stall { after }) if here(after) => self.steps.push(Step::Hold),
            Some(Fault::Cut { after }) if here(after) => self.steps.push(Step::Cut),
            Some(Fault::Whitespace { after }) if here(after) => {
                self.steps.push(Step::Endless(http::chunks(b"\n", None)));
            }
            Some(Fault::ResetAfter { after }) if here(after) => self.steps.push(Step::Reset),
            Some(Fault::CutInChunk { after }) if here(after) => {
                let event = format!("data: {}\n\n", next.first().unwrap_or(&Value::Null));
                let mut bytes = http::chunks(event.as_bytes(), None);
                bytes.truncate(bytes.len() / 2);
                self.half(&bytes, Step::Cut);
            }
            Some(Fault::BadEvent { after }) if here(after) => {
                self.event(framing, r#"{"choices": [{"index": 0, "delta": {"con"#);
                self.last_chunk(framing);
            }
            Some(Fault::ErrorEventAfter { after }) if here(after) => {
                self.event(framing, &self.error(500).to_string());
                self.last_chunk(framing);
            }
            _ => return false,
        }
        true
    }

    fn event(&mut self, framing: Framing, data: &str) {
        let mut event = format!("{}data: {data}\n\n", self.name(data)).into_bytes();
        if self.script.fault == Some(Fault::Gzip) {
            event = http::gzip(&event);
        }
        match framing {
            Framing::Chunked => self.write(http::chunks(&event, self.script.split_bytes)),
            _ => self.write(event),
        }
    }

    /// The line that names an event, in the dialect that has one.
    fn name(&self, data: &str) -> String {
        let value: Value = serde_json::from_str(data).unwrap_or_default();
        match value["type"].as_str() {
            Some(kind) if self.messages => format!("event: {kind}\n"),
            _ => String::new(),
        }
    }

    fn last_chunk(&mut self, framing: Framing) {
        match framing {
            Framing::Chunked => self.write(LAST_CHUNK.to_vec()),
            _ => self.steps.push(Step::HangUp),
        }
    }
}

/// The content type, unless the script has another.
fn content_type_of<'s>(script: &'s Script, right: &'s str) -> &'s str {
    match &script.fault {
        Some(Fault::ContentType { value }) => value,
        _ => right,
    }
}

/// An error in the words of a KServe V2 server.
pub(crate) fn v2_error(status: u16, message: &str) -> Plain {
    Plain::json(status, &json!({"error": message}))
}
