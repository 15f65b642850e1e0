//! Correct answers of an OpenAI-compatible server, with counts that can be foretold.
//!
//! A prompt has as many tokens as it has words, an answer as many as it has words; each word of a
//! streamed answer is one event. A request that ends in an answer which broke off gets the rest of it: the
//! words that it lacks.

use serde_json::{Map, Value, json};

use crate::anthropic;
use crate::media;
use crate::plan::Plain;
use crate::script::{Script, UsageReport};

/// Tokens of an answer when neither script nor request says how many.
const TOKENS: u32 = 8;
/// Size of an embedding when the request names none.
const DIMENSIONS: u64 = 8;
/// A fixed time, so that answers can be compared whole.
const CREATED: u64 = 1_790_000_000;

/// What the request asks for, as far as answers depend on it.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) operation: Operation,
    pub(crate) model: String,
    pub(crate) stream: bool,
    pub(crate) input_tokens: u64,
    /// Words of the answer that the request ends in, if it does.
    begun: u32,
    include_usage: bool,
    choices: u64,
    max_tokens: Option<u32>,
    inputs: Vec<Value>,
    dimensions: u64,
    base64: bool,
    /// The request as it came; of a form its fields.
    pub(crate) body: Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Chat,
    Completions,
    Embeddings,
    /// Anthropic's messages.
    Messages,
    Rerank,
    Transcriptions,
}

impl Operation {
    pub(crate) fn of_path(path: &str) -> Option<Self> {
        Some(match path.strip_prefix("/v1")? {
            "/chat/completions" => Self::Chat,
            "/completions" => Self::Completions,
            "/embeddings" => Self::Embeddings,
            "/messages" => Self::Messages,
            "/rerank" => Self::Rerank,
            "/audio/transcriptions" => Self::Transcriptions,
            _ => return None,
        })
    }
}

impl Ask {
    pub(crate) fn read(operation: Operation, body: &Value) -> Self {
        let number = |name: &str| body[name].as_u64();
        let max_tokens = number("max_completion_tokens").or(number("max_tokens"));
        let inputs = match &body["input"] {
            Value::Array(items) if items.iter().all(|item| !item.is_number()) => items.clone(),
            input => vec![input.clone()],
        };
        Self {
            operation,
            model: body["model"].as_str().unwrap_or_default().to_owned(),
            stream: body["stream"] == true
                && !matches!(operation, Operation::Embeddings | Operation::Rerank),
            input_tokens: prompt_tokens(operation, body),
            begun: begun(body),
            include_usage: body["stream_options"]["include_usage"] == true,
            choices: number("n").unwrap_or(1).clamp(1, 16),
            max_tokens: max_tokens.and_then(|tokens| u32::try_from(tokens).ok()),
            inputs,
            dimensions: number("dimensions").unwrap_or(DIMENSIONS).clamp(1, 4096),
            base64: body["encoding_format"] == "base64",
            body: body.clone(),
        }
    }

    /// The words of the answer, and why it ends there.
    pub(crate) fn words(&self, script: &Script) -> (Vec<String>, &'static str) {
        let mut words: Vec<String> = match (&script.text, script.tokens) {
            (Some(text), _) => text.split_inclusive(' ').map(str::to_owned).collect(),
            (None, Some(tokens)) => foretold(self.begun, tokens),
            (None, None) => {
                let left = TOKENS.saturating_sub(self.begun);
                foretold(self.begun, self.max_tokens.unwrap_or(left).min(left))
            }
        };
        let most = self.max_tokens.map_or(usize::MAX, |most| most as usize);
        let reason = if words.len() >= most { "length" } else { "stop" };
        words.truncate(most);
        (words, reason)
    }

    fn usage(&self, script: &Script, words: usize) -> Value {
        let output = words as u64 * self.choices;
        let mut usage = json!({
            "prompt_tokens": self.input_tokens,
            "completion_tokens": output,
            "total_tokens": self.input_tokens + output,
        });
        if let Some(cached) = script.cached_tokens {
            usage["prompt_tokens_details"] = json!({"cached_tokens": cached});
        }
        if let Some(reasoning) = script.reasoning_tokens {
            usage["completion_tokens_details"] = json!({"reasoning_tokens": reasoning});
        }
        usage
    }

    /// A plain answer.
    pub(crate) fn plain(&self, script: &Script) -> Plain {
        let (body, tokens) = match self.operation {
            Operation::Embeddings => (self.embeddings(script), 0),
            Operation::Messages => anthropic::answer(self, script),
            Operation::Rerank => (media::ranking(self, script), 0),
            Operation::Transcriptions => return media::transcript(self, script),
            Operation::Chat | Operation::Completions => self.answer(script),
        };
        Plain { tokens, ..Plain::json(200, &body) }
    }

    /// A plain answer of a model that writes text, and the output tokens in it.
    fn answer(&self, script: &Script) -> (Value, u64) {
        let (words, reason) = self.words(script);
        let text = words.concat();
        let choice = |index| match self.operation {
            Operation::Completions => json!({
                "index": index, "text": text, "logprobs": null, "finish_reason": reason,
            }),
            _ => json!({
                "index": index,
                "message": {"role": "assistant", "content": text},
                "logprobs": null,
                "finish_reason": reason,
            }),
        };
        let mut body = self.envelope(match self.operation {
            Operation::Completions => "text_completion",
            _ => "chat.completion",
        });
        body.insert("choices".to_owned(), (0..self.choices).map(choice).collect());
        if script.usage != UsageReport::Missing {
            body.insert("usage".to_owned(), self.usage(script, words.len()));
        }
        (Value::Object(body), words.len() as u64 * self.choices)
    }

    fn envelope(&self, object: &str) -> Map<String, Value> {
        let id =
            if self.operation == Operation::Completions { "cmpl-fake" } else { "chatcmpl-fake" };
        let mut envelope = Map::new();
        envelope.insert("id".to_owned(), json!(id));
        envelope.insert("object".to_owned(), json!(object));
        envelope.insert("created".to_owned(), json!(CREATED));
        envelope.insert("model".to_owned(), json!(self.model));
        envelope
    }

    fn embeddings(&self, script: &Script) -> Value {
        let data: Vec<Value> = self
            .inputs
            .iter()
            .enumerate()
            .map(|(index, input)| {
                let vector = vector(&input.to_string(), self.dimensions);
                let embedding = if self.base64 {
                    let bytes: Vec<u8> = vector.iter().flat_map(|f| f.to_le_bytes()).collect();
                    json!(base64(&bytes))
                } else {
                    json!(vector)
                };
                json!({"object": "embedding", "index": index, "embedding": embedding})
            })
            .collect();
        let mut body = json!({"object": "list", "data": data, "model": self.model});
        if script.usage != UsageReport::Missing {
            let tokens = self.input_tokens;
            body["usage"] = json!({"prompt_tokens": tokens, "total_tokens": tokens});
        }
        body
    }

    /// What ends a stream.
    pub(crate) fn last(&self, script: &Script) -> String {
        match self.operation {
            Operation::Messages => anthropic::last().to_string(),
            Operation::Transcriptions => media::last(self, script).to_string(),
            _ => "[DONE]".to_owned(),
        }
    }

    /// A streamed answer, event by event.
    pub(crate) fn events(&self, script: &Script) -> Events {
        match self.operation {
            Operation::Messages => return anthropic::events(self, script),
            Operation::Transcriptions => return media::events(self, script),
            _ => {}
        }
        let (words, reason) = self.words(script);
        let usage = self.usage(script, words.len());
        let asked = self.include_usage && script.usage == UsageReport::Correct;
        let event = |choices: Value, usage: Option<&Value>| {
            let mut body = self.envelope(match self.operation {
                Operation::Completions => "text_completion",
                _ => "chat.completion.chunk",
            });
            body.insert("choices".to_owned(), choices);
            if asked || usage.is_some() {
                body.insert("usage".to_owned(), usage.cloned().unwrap_or(Value::Null));
            }
            Value::Object(body)
        };
        let all = |one: &dyn Fn(u64) -> Value| (0..self.choices).map(one).collect::<Vec<_>>();
        let chat = self.operation == Operation::Chat;
        let opening = if chat {
            all(&|index| {
                event(
                    json!([delta(index, json!({"role": "assistant", "content": ""}), None)]),
                    None,
                )
            })
        } else {
            Vec::new()
        };
        let content = |word: &String| {
            all(&|index| {
                let choice = if chat {
                    delta(index, json!({"content": word}), None)
                } else {
                    text(index, word, None)
                };
                event(json!([choice]), None)
            })
        };
        let unasked = (script.usage == UsageReport::Unasked).then_some(&usage);
        let closing = all(&|index| {
            let choice = if chat {
                delta(index, json!({}), Some(reason))
            } else {
                text(index, "", Some(reason))
            };
            event(json!([choice]), unasked.filter(|_| index + 1 == self.choices))
        });
        Events {
            opening,
            tokens: words.iter().map(content).collect(),
            closing,
            usage: asked.then(|| event(json!([]), Some(&usage))),
        }
    }
}

/// A stream's events, by what they are for.
pub(crate) struct Events {
    pub(crate) opening: Vec<Value>,
    /// For each output token of the script, one event per choice.
    pub(crate) tokens: Vec<Vec<Value>>,
    pub(crate) closing: Vec<Value>,
    pub(crate) usage: Option<Value>,
}

fn delta(index: u64, delta: Value, reason: Option<&str>) -> Value {
    json!({"index": index, "delta": delta, "logprobs": null, "finish_reason": reason})
}

fn text(index: u64, text: &str, reason: Option<&str>) -> Value {
    json!({"index": index, "text": text, "logprobs": null, "finish_reason": reason})
}

/// Words of the answer at the end of a conversation.
fn begun(body: &Value) -> u32 {
    let last = body["messages"].as_array().and_then(|messages| messages.last());
    let answer = last.filter(|message| message["role"] == "assistant");
    let words = answer.map_or(0, |message| words_in(&message["content"]));
    u32::try_from(words).unwrap_or(u32::MAX)
}

fn foretold(from: u32, tokens: u32) -> Vec<String> {
    (from..from.saturating_add(tokens)).map(|number| format!("t{number} ")).collect()
}

fn prompt_tokens(operation: Operation, body: &Value) -> u64 {
    match operation {
        Operation::Chat => {
            let messages = body["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
            messages.iter().map(|message| words_in(&message["content"])).sum()
        }
        Operation::Completions => words_in(&body["prompt"]),
        Operation::Embeddings => words_in(&body["input"]),
        Operation::Messages => anthropic::prompt_tokens(body),
        Operation::Rerank => media::read_tokens(body),
        Operation::Transcriptions => media::heard_tokens(body),
    }
}

/// Words of a text, of the texts of a list, or of its parts with a `text`; a number is a token by itself.
pub(crate) fn words_in(value: &Value) -> u64 {
    match value {
        Value::String(text) => text.split_whitespace().count() as u64,
        Value::Number(_) => 1,
        Value::Array(items) => items.iter().map(words_in).sum(),
        Value::Object(part) => part.get("text").map_or(0, words_in),
        _ => 0,
    }
}

/// A vector of length 1 that depends on nothing but the text.
fn vector(text: &str, dimensions: u64) -> Vec<f32> {
    let raw: Vec<f32> = (0..dimensions)
        .map(|at| crc32fast::hash(format!("{at} {text}").as_bytes()) as f32 / u32::MAX as f32 - 0.5)
        .collect();
    let length = raw.iter().map(|value| value * value).sum::<f32>().sqrt();
    raw.iter().map(|value| value / length).collect()
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let bits = three.iter().fold(0, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - three.len()));
        for place in 0..4 {
            let six = (bits >> (18 - 6 * place) & 63) as usize;
            out.push(if place <= three.len() { char::from(ALPHABET[six]) } else { '=' });
        }
    }
    out
}

/// An error as such servers word it.
pub(crate) fn error(status: u16) -> Value {
    json!({"error": {
        "message": format!("the upstream was told to fail with {status}"),
        "type": if status < 500 { "invalid_request_error" } else { "server_error" },
        "param": null,
        "code": "scripted",
    }})
}

/// The refusal of an input that is longer than the context, as such servers word it.
pub(crate) fn too_long() -> Value {
    json!({"error": {
        "message": "This model's maximum context length is 8 tokens. However, your messages resulted in 9 tokens.",
        "type": "invalid_request_error",
        "param": "messages",
        "code": "context_length_exceeded",
    }})
}

/// The models a user may name.
pub(crate) fn models() -> Value {
    let names = crate::script::named().into_iter().map(|(name, _)| name);
    let model =
        |id: &str| json!({"id": id, "object": "model", "created": CREATED, "owned_by": "towpath"});
    json!({"object": "list", "data": std::iter::once("fake").chain(names).map(model).collect::<Vec<_>>()})
}
