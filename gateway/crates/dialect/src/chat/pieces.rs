//! Streams of a chat, to and from pieces.

use serde::{Deserialize, Serialize};

use super::answer::Reported;
use crate::answer::Usage;
use crate::chat::{reason, stop};
use crate::errors::UpstreamFault;
use crate::middle::{Piece, Stamp, Stop};
use crate::stream::Head;

/// Reads the chunks of an upstream that speaks this dialect.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    named: bool,
    /// The upstream's number of the call whose arguments are coming.
    call: Option<u64>,
    calls: u64,
    stopped: bool,
    done: bool,
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Option<Reported>,
    #[serde(default)]
    error: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    object: Option<String>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    delta: Delta,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Default, Deserialize)]
struct Delta {
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    refusal: Option<String>,
    #[serde(default)]
    reasoning_content: Option<String>,
    #[serde(default)]
    reasoning: Option<String>,
    #[serde(default)]
    tool_calls: Option<Vec<CallDelta>>,
}

#[derive(Deserialize)]
struct CallDelta {
    /// Gemini leaves it out: each of its calls comes whole.
    #[serde(default)]
    index: Option<u64>,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    function: Option<FunctionDelta>,
}

#[derive(Deserialize)]
struct FunctionDelta {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    arguments: Option<String>,
}

impl Reader {
    /// Take in one event's data.
    ///
    /// # Errors
    /// It is no chunk, or an error.
    pub(crate) fn event(&mut self, data: &[u8], out: &mut Vec<Piece>) -> Result<(), UpstreamFault> {
        if data.trim_ascii() == b"[DONE]" {
            self.done = true;
            return Ok(());
        }
        let broken = |_| UpstreamFault::nonsense("the model's server sent a broken event", data);
        let chunk: Chunk = serde_json::from_slice(data).map_err(broken)?;
        if chunk.error.is_some() || chunk.object.as_deref() == Some("error") {
            return Err(UpstreamFault::from_event(data));
        }
        if let Some(usage) = chunk.usage {
            self.usage = Some(usage.usage());
        }
        let Some(choice) = chunk.choices.into_iter().next() else { return Ok(()) };
        if !self.named {
            self.named = true;
            out.push(Piece::Model(chunk.model.unwrap_or_default()));
        }
        let Delta { content, refusal, reasoning_content, reasoning, tool_calls } = choice.delta;
        let full = |text: Option<String>| text.filter(|text| !text.is_empty());
        out.extend(full(reasoning_content.or(reasoning)).map(Piece::Thought));
        out.extend(full(content).map(Piece::Text));
        out.extend(full(refusal).map(Piece::Refusal));
        for call in tool_calls.unwrap_or_default() {
            self.call(call, data, out)?;
        }
        if let Some(said) = choice.finish_reason.filter(|_| !self.stopped) {
            self.stopped = true;
            let stop = match stop(&said) {
                Stop::End if self.calls > 0 => Stop::Calls,
                stop => stop,
            };
            out.push(Piece::Stop(stop));
        }
        Ok(())
    }

    fn call(
        &mut self,
        delta: CallDelta,
        data: &[u8],
        out: &mut Vec<Piece>,
    ) -> Result<(), UpstreamFault> {
        let CallDelta { index, id, function } = delta;
        let (name, arguments) = match function {
            Some(FunctionDelta { name, arguments }) => (name, arguments),
            None => (None, None),
        };
        let new = match index {
            Some(index) => self.call.is_none_or(|last| index > last),
            None => true,
        };
        if new {
            let wrong = || {
                let message = "the model's server began a call of a tool without its name";
                UpstreamFault::nonsense(message, data)
            };
            let name = name.filter(|name| !name.is_empty()).ok_or_else(wrong)?;
            let id = id.filter(|id| !id.is_empty());
            let id = id.unwrap_or_else(|| format!("call_{}", self.calls));
            self.call = Some(index.unwrap_or(self.calls));
            self.calls += 1;
            out.push(Piece::Call { id, name });
        } else if index != self.call {
            let message = "the model's server mixed the arguments of several calls";
            return Err(UpstreamFault::nonsense(message, data));
        }
        let arguments = arguments.filter(|text| !text.is_empty());
        out.extend(arguments.map(Piece::Arguments));
        Ok(())
    }

    pub(crate) fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// The answer has its ending; more than usage will not come.
    pub(crate) fn whole(&self) -> bool {
        self.stopped
    }

    /// The upstream said that nothing more comes.
    pub(crate) fn done(&self) -> bool {
        self.done
    }
}

/// Writes chunks for a caller that speaks this dialect.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    id: String,
    created: i64,
    wants_usage: bool,
    model: String,
    opened: bool,
    /// Calls so far; the last one's arguments are coming.
    calls: u32,
    stop: Option<Stop>,
}

#[derive(Serialize)]
struct Written<'a> {
    id: &'a str,
    object: &'static str,
    created: i64,
    model: &'a str,
    choices: &'a [WrittenChoice<'a>],
    /// Null in all chunks but the last, for who asked; absent for the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Option<Reported>>,
}

#[derive(Serialize)]
struct WrittenChoice<'a> {
    index: u32,
    delta: WrittenDelta<'a>,
    logprobs: (),
    finish_reason: Option<&'static str>,
}

#[derive(Default, Serialize)]
struct WrittenDelta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_calls: Option<[WrittenCall<'a>; 1]>,
}

#[derive(Serialize)]
struct WrittenCall<'a> {
    index: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<&'static str>,
    function: WrittenFunction<'a>,
}

#[derive(Serialize)]
struct WrittenFunction<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    arguments: &'a str,
}

impl Writer {
    pub(crate) fn new(stamp: Stamp, wants_usage: bool) -> Self {
        Self {
            id: stamp.id("chatcmpl"),
            created: stamp.created_s,
            wants_usage,
            model: String::new(),
            opened: false,
            calls: 0,
            stop: None,
        }
    }

    /// Go on with an answer whose first chunks have left as an upstream wrote them.
    pub(crate) fn going_on(head: Head, wants_usage: bool) -> Self {
        let Head { id, created, model } = head;
        Self { id, created, wants_usage, model, opened: true, calls: 0, stop: None }
    }

    pub(crate) fn write(&mut self, piece: Piece, out: &mut Vec<u8>) {
        let delta = match &piece {
            Piece::Model(model) => {
                self.model.clone_from(model);
                return;
            }
            // No place for them in this dialect; thought is shown as far as it can be read.
            Piece::Signature(_) | Piece::Hidden(_) => return,
            Piece::Stop(stop) => {
                self.stop = Some(stop.clone());
                return;
            }
            Piece::Text(text) => WrittenDelta { content: Some(text), ..WrittenDelta::default() },
            Piece::Refusal(text) => WrittenDelta { refusal: Some(text), ..WrittenDelta::default() },
            Piece::Thought(text) => {
                WrittenDelta { reasoning_content: Some(text), ..WrittenDelta::default() }
            }
            Piece::Call { id, name } => {
                self.calls += 1;
                let function = WrittenFunction { name: Some(name), arguments: "" };
                let call = WrittenCall {
                    index: self.calls - 1,
                    id: Some(id),
                    r#type: Some("function"),
                    function,
                };
                WrittenDelta { tool_calls: Some([call]), ..WrittenDelta::default() }
            }
            Piece::Arguments(text) => {
                let function = WrittenFunction { name: None, arguments: text };
                let index = self.calls.saturating_sub(1);
                let call = WrittenCall { index, id: None, r#type: None, function };
                WrittenDelta { tool_calls: Some([call]), ..WrittenDelta::default() }
            }
        };
        self.open(out);
        self.chunk(delta, None, out);
    }

    pub(crate) fn finish(&mut self, usage: Option<Usage>, out: &mut Vec<u8>) {
        self.open(out);
        let stop = self.stop.take().unwrap_or_default();
        self.chunk(WrittenDelta::default(), Some(reason(&stop)), out);
        if self.wants_usage
            && let Some(usage) = usage
        {
            self.event(&[], Some(Reported::of(usage)), out);
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }

    fn open(&mut self, out: &mut Vec<u8>) {
        if !self.opened {
            self.opened = true;
            let role = Some("assistant");
            self.chunk(
                WrittenDelta { role, content: Some(""), ..WrittenDelta::default() },
                None,
                out,
            );
        }
    }

    fn chunk(
        &self,
        delta: WrittenDelta<'_>,
        finish_reason: Option<&'static str>,
        out: &mut Vec<u8>,
    ) {
        self.event(&[WrittenChoice { index: 0, delta, logprobs: (), finish_reason }], None, out);
    }

    fn event(&self, choices: &[WrittenChoice<'_>], usage: Option<Reported>, out: &mut Vec<u8>) {
        let written = Written {
            id: &self.id,
            object: "chat.completion.chunk",
            created: self.created,
            model: &self.model,
            choices,
            usage: self.wants_usage.then_some(usage),
        };
        out.extend_from_slice(b"data: ");
        // Writing into memory cannot fail.
        let _ = serde_json::to_writer(&mut *out, &written);
        out.extend_from_slice(b"\n\n");
    }
}
