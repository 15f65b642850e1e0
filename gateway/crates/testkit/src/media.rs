//! Correct rankings and transcripts, with counts that can be foretold.
//!
//! A ranking's score is the share of the query's words that a document has. Sound has one token for each
//! hundred bytes and one second for each thousand, begun ones counted whole.

use serde_json::{Value, json};

use crate::openai::{Ask, Events, words_in};
use crate::plan::Plain;
use crate::script::{Script, UsageReport};

/// The fields of a form as an object: files by their size, `stream` as what it means; `None`: it is none.
pub(crate) fn form(content_type: Option<&str>, body: &[u8]) -> Option<Value> {
    let boundary = content_type?.strip_prefix("multipart/form-data; boundary=")?;
    let body: String = body.iter().map(|byte| char::from(*byte)).collect();
    let delimiter = format!("--{boundary}");
    let mut fields = json!({});
    for part in body.split(delimiter.as_str()).skip(1) {
        let Some((head, content)) = part.split_once("\r\n\r\n") else { continue };
        let content = content.strip_suffix("\r\n").unwrap_or(content);
        let name = head.split_once("name=\"").and_then(|(_, rest)| rest.split_once('"'));
        let Some((name, _)) = name else { continue };
        fields[name] = match name {
            // A character stands for a byte here.
            "file" => content.chars().count().into(),
            "stream" => (content == "true").into(),
            _ => content.into(),
        };
    }
    Some(fields)
}

/// Words that a reranker reads: the query once with each document.
pub(crate) fn read_tokens(body: &Value) -> u64 {
    let documents = body["documents"].as_array().map_or(0, Vec::len) as u64;
    words_in(&body["query"]) * documents + words_in(&body["documents"])
}

pub(crate) fn heard_tokens(body: &Value) -> u64 {
    body["file"].as_u64().unwrap_or(0).div_ceil(100)
}

fn seconds(body: &Value) -> u64 {
    body["file"].as_u64().unwrap_or(0).div_ceil(1_000)
}

/// The documents, the best first.
pub(crate) fn ranking(ask: &Ask, script: &Script) -> Value {
    let query: Vec<&str> =
        ask.body["query"].as_str().unwrap_or_default().split_whitespace().collect();
    let score = |document: &Value| {
        let text = document.as_str().or(document["text"].as_str()).unwrap_or_default();
        let has = |word: &&&str| text.split_whitespace().any(|other| other == **word);
        query.iter().filter(has).count() as f64 / query.len().max(1) as f64
    };
    let documents = ask.body["documents"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut results: Vec<(usize, f64)> =
        documents.iter().enumerate().map(|(index, document)| (index, score(document))).collect();
    results.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let most = ask.body["top_n"].as_u64().and_then(|most| usize::try_from(most).ok());
    results.truncate(most.unwrap_or(usize::MAX));
    let result = |(index, score): &(usize, f64)| json!({"index": index, "relevance_score": score});
    let results: Vec<Value> = results.iter().map(result).collect();
    let mut body = json!({"model": ask.model, "object": "list", "results": results});
    if script.usage != UsageReport::Missing {
        body["usage"] =
            json!({"prompt_tokens": ask.input_tokens, "total_tokens": ask.input_tokens});
    }
    body
}

fn usage(ask: &Ask, script: &Script, words: usize) -> Option<Value> {
    match script.usage {
        UsageReport::Missing => None,
        UsageReport::Seconds => Some(json!({"type": "duration", "seconds": seconds(&ask.body)})),
        UsageReport::Correct | UsageReport::Unasked => {
            let (heard, said) = (ask.input_tokens, words as u64);
            Some(json!({
                "type": "tokens", "total_tokens": heard + said, "output_tokens": said,
                "input_tokens": heard, "input_token_details": {"text_tokens": 0, "audio_tokens": heard},
            }))
        }
    }
}

/// A plain answer, in the format that was asked for.
pub(crate) fn transcript(ask: &Ask, script: &Script) -> Plain {
    let (words, _) = ask.words(script);
    let (text, tokens) = (words.concat(), words.len() as u64);
    let mut body = match ask.body["response_format"].as_str() {
        Some("text") => {
            let body = text.into_bytes();
            return Plain {
                content_type: "text/plain",
                body,
                tokens,
                ..Plain::json(200, &Value::Null)
            };
        }
        Some("verbose_json") => json!({
            "task": "transcribe", "language": "english", "text": text, "segments": [],
            "duration": seconds(&ask.body),
        }),
        _ => json!({"text": text}),
    };
    if let Some(usage) = usage(ask, script, words.len()) {
        body["usage"] = usage;
    }
    Plain { tokens, ..Plain::json(200, &body) }
}

/// A streamed answer, event by event.
pub(crate) fn events(ask: &Ask, script: &Script) -> Events {
    let (words, _) = ask.words(script);
    let token = |word: &String| vec![json!({"type": "transcript.text.delta", "delta": word})];
    Events {
        opening: Vec::new(),
        tokens: words.iter().map(token).collect(),
        closing: Vec::new(),
        usage: None,
    }
}

/// What ends a stream.
pub(crate) fn last(ask: &Ask, script: &Script) -> Value {
    let (words, _) = ask.words(script);
    let mut event = json!({"type": "transcript.text.done", "text": words.concat()});
    if let Some(usage) = usage(ask, script, words.len()) {
        event["usage"] = usage;
    }
    event
}
