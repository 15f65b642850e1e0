//! Streams of messages, to and from pieces.

use serde::{Deserialize, Serialize};

use crate::answer::Usage;
use crate::errors::UpstreamFault;
use crate::messages::answer::Reported;
use crate::messages::write::SCHEMA_TOOL;
use crate::messages::{reason, stop};
use crate::middle::{Piece, Stamp, Stop};
use crate::typed::{Counts, Grammar, TextBlock};

/// Reads the events of an upstream that speaks this dialect.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    /// A JSON schema was asked for by a tool, whose input is the answer's text.
    by_tool: bool,
    /// The input of that tool is coming.
    in_schema: bool,
    stopped: bool,
    done: bool,
    counts: Counts,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Event {
    MessageStart {
        message: Start,
    },
    ContentBlockStart {
        content_block: Block,
    },
    ContentBlockDelta {
        delta: Delta,
    },
    ContentBlockStop {},
    MessageDelta {
        delta: Ending,
        #[serde(default)]
        usage: Option<Reported>,
    },
    MessageStop {},
    Error {},
    /// `ping`, and what came after this was written.
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Start {
    #[serde(default)]
    model: String,
    #[serde(default)]
    usage: Option<Reported>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block {
    Text {
        #[serde(default)]
        text: String,
    },
    Thinking {
        #[serde(default)]
        thinking: String,
    },
    RedactedThinking {
        data: String,
    },
    ToolUse {
        id: String,
        name: String,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
#[serde(tag = "type")]
enum Delta {
    #[serde(rename = "text_delta")]
    Text { text: String },
    #[serde(rename = "thinking_delta")]
    Thinking { thinking: String },
    #[serde(rename = "signature_delta")]
    Signature { signature: String },
    #[serde(rename = "input_json_delta")]
    InputJson { partial_json: String },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Ending {
    #[serde(default)]
    stop_reason: Option<String>,
    #[serde(default)]
    stop_sequence: Option<String>,
}

impl Reader {
    pub(crate) fn new(by_tool: bool) -> Self {
        Self { by_tool, ..Self::default() }
    }

    /// Take in one event's data.
    ///
    /// # Errors
    /// It is no event, or an error.
    pub(crate) fn event(&mut self, data: &[u8], out: &mut Vec<Piece>) -> Result<(), UpstreamFault> {
        let broken = |_| UpstreamFault::nonsense("the model's server sent a broken event", data);
        let event = serde_json::from_slice(data).map_err(broken)?;
        let full =
            |text: String, piece: fn(String) -> Piece| (!text.is_empty()).then(|| piece(text));
        match event {
            Event::MessageStart { message } => {
                // What is said here of the output is a beginning, not a count.
                let counts = message.usage.unwrap_or_default().counts();
                self.counts = Counts { output: None, ..counts };
                out.push(Piece::Model(message.model));
            }
            Event::ContentBlockStart { content_block } => match content_block {
                Block::Text { text } => out.extend(full(text, Piece::Text)),
                Block::Thinking { thinking } => out.extend(full(thinking, Piece::Thought)),
                Block::RedactedThinking { data } => out.push(Piece::Hidden(data)),
                Block::ToolUse { name, .. } if self.by_tool && name == SCHEMA_TOOL => {
                    self.in_schema = true;
                }
                Block::ToolUse { id, name } => out.push(Piece::Call { id, name }),
                Block::Other => {}
            },
            Event::ContentBlockDelta { delta } => match delta {
                Delta::Text { text } => out.extend(full(text, Piece::Text)),
                Delta::Thinking { thinking } => out.extend(full(thinking, Piece::Thought)),
                Delta::Signature { signature } => out.extend(full(signature, Piece::Signature)),
                Delta::InputJson { partial_json } if self.in_schema => {
                    out.extend(full(partial_json, Piece::Text));
                }
                Delta::InputJson { partial_json } => {
                    out.extend(full(partial_json, Piece::Arguments));
                }
                Delta::Other => {}
            },
            Event::MessageDelta { delta, usage } => {
                self.counts = self.counts.then(usage.unwrap_or_default().counts());
                if let Some(said) = delta.stop_reason.filter(|_| !self.stopped) {
                    self.stopped = true;
                    let stop = match stop(&said, delta.stop_sequence) {
                        Stop::Calls if self.in_schema => Stop::End,
                        stop => stop,
                    };
                    out.push(Piece::Stop(stop));
                }
            }
            Event::MessageStop {} => self.done = true,
            Event::Error {} => return Err(UpstreamFault::from_typed(data)),
            Event::ContentBlockStop {} | Event::Other => {}
        }
        Ok(())
    }

    pub(crate) fn usage(&self) -> Option<Usage> {
        self.counts.usage(Grammar::Messages)
    }

    pub(crate) fn whole(&self) -> bool {
        self.stopped
    }

    pub(crate) fn done(&self) -> bool {
        self.done
    }
}

/// Writes events for a caller that speaks this dialect.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    stamp: Stamp,
    model: String,
    opened: bool,
    block: Option<Open>,
    /// Number of the next block.
    next: u32,
    refused: bool,
    stop: Option<Stop>,
}

/// The block that is being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    Text,
    Thinking,
    Call,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Written<'a> {
    MessageStart { message: WrittenStart<'a> },
    ContentBlockStart { index: u32, content_block: WrittenBlock<'a> },
    ContentBlockDelta { index: u32, delta: WrittenDelta<'a> },
    ContentBlockStop { index: u32 },
    MessageDelta { delta: WrittenEnding<'a>, usage: Reported },
    MessageStop,
}

#[derive(Serialize)]
struct WrittenStart<'a> {
    id: String,
    r#type: &'static str,
    role: &'static str,
    model: &'a str,
    content: [(); 0],
    stop_reason: (),
    stop_sequence: (),
    usage: Reported,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum WrittenBlock<'a> {
    Text { text: &'a str },
    Thinking { thinking: &'a str, signature: &'a str },
    RedactedThinking { data: &'a str },
    ToolUse { id: &'a str, name: &'a str, input: Empty },
}

#[derive(Serialize)]
struct Empty {}

#[derive(Serialize)]
#[serde(tag = "type")]
enum WrittenDelta<'a> {
    #[serde(rename = "text_delta")]
    Text { text: &'a str },
    #[serde(rename = "thinking_delta")]
    Thinking { thinking: &'a str },
    #[serde(rename = "signature_delta")]
    Signature { signature: &'a str },
    #[serde(rename = "input_json_delta")]
    InputJson { partial_json: &'a str },
}

#[derive(Serialize)]
struct WrittenEnding<'a> {
    stop_reason: &'static str,
    stop_sequence: Option<&'a str>,
}

impl Writer {
    pub(crate) fn new(stamp: Stamp) -> Self {
        let model = String::new();
        Self { stamp, model, opened: false, block: None, next: 0, refused: false, stop: None }
    }

    /// Go on with an answer whose first events have left as an upstream wrote them.
    pub(crate) fn going_on(last: TextBlock) -> Self {
        let block = last.open.then_some(Open::Text);
        let next = if last.open { last.index } else { last.index + 1 };
        Self { opened: true, block, next, ..Self::new(Stamp::default()) }
    }

    pub(crate) fn write(&mut self, piece: Piece, out: &mut Vec<u8>) {
        match &piece {
            Piece::Model(model) => self.model.clone_from(model),
            Piece::Stop(stop) => self.stop = Some(stop.clone()),
            Piece::Text(text) | Piece::Refusal(text) => {
                self.refused |= matches!(piece, Piece::Refusal(_));
                self.enter(Open::Text, WrittenBlock::Text { text: "" }, out);
                self.delta(WrittenDelta::Text { text }, out);
            }
            Piece::Thought(thinking) => {
                let block = WrittenBlock::Thinking { thinking: "", signature: "" };
                self.enter(Open::Thinking, block, out);
                self.delta(WrittenDelta::Thinking { thinking }, out);
            }
            Piece::Signature(signature) => {
                let block = WrittenBlock::Thinking { thinking: "", signature: "" };
                self.enter(Open::Thinking, block, out);
                self.delta(WrittenDelta::Signature { signature }, out);
                self.leave(out);
            }
            Piece::Hidden(data) => {
                self.leave(out);
                self.enter(Open::Thinking, WrittenBlock::RedactedThinking { data }, out);
                self.leave(out);
            }
            Piece::Call { id, name } => {
                self.leave(out);
                self.enter(Open::Call, WrittenBlock::ToolUse { id, name, input: Empty {} }, out);
            }
            Piece::Arguments(partial_json) => {
                self.delta(WrittenDelta::InputJson { partial_json }, out);
            }
        }
    }

    pub(crate) fn finish(&mut self, usage: Option<Usage>, out: &mut Vec<u8>) {
        self.open(out);
        self.leave(out);
        let stop = self.stop.take().unwrap_or_default();
        let stop = if self.refused { Stop::Refused } else { stop };
        let stop_sequence = match &stop {
            Stop::Sequence(sequence) => Some(sequence.as_str()),
            _ => None,
        };
        let delta = WrittenEnding { stop_reason: reason(&stop), stop_sequence };
        let usage = usage.map_or_else(Reported::none_yet, Reported::of);
        event("message_delta", &Written::MessageDelta { delta, usage }, out);
        event("message_stop", &Written::MessageStop, out);
    }

    fn open(&mut self, out: &mut Vec<u8>) {
        if self.opened {
            return;
        }
        self.opened = true;
        let message = WrittenStart {
            id: self.stamp.id("msg"),
            r#type: "message",
            role: "assistant",
            model: &self.model,
            content: [],
            stop_reason: (),
            stop_sequence: (),
            // Other dialects report usage at the end; `message_delta` has it.
            usage: Reported::none_yet(),
        };
        event("message_start", &Written::MessageStart { message }, out);
    }

    /// Be in a block of this kind.
    fn enter(&mut self, kind: Open, block: WrittenBlock<'_>, out: &mut Vec<u8>) {
        if self.block == Some(kind) {
            return;
        }
        self.open(out);
        self.leave(out);
        self.block = Some(kind);
        let start = Written::ContentBlockStart { index: self.next, content_block: block };
        event("content_block_start", &start, out);
    }

    fn delta(&self, delta: WrittenDelta<'_>, out: &mut Vec<u8>) {
        event("content_block_delta", &Written::ContentBlockDelta { index: self.next, delta }, out);
    }

    fn leave(&mut self, out: &mut Vec<u8>) {
        if self.block.take().is_some() {
            event("content_block_stop", &Written::ContentBlockStop { index: self.next }, out);
            self.next += 1;
        }
    }
}

fn event(name: &str, written: &Written<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    // Writing into memory cannot fail.
    let _ = serde_json::to_writer(&mut *out, written);
    out.extend_from_slice(b"\n\n");
}
