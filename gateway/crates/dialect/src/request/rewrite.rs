//! The body for one target: the caller's bytes, with the few that must differ replaced.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::value::RawValue;
use towpath_wire::routing::{FieldRule, Operation};

use crate::json::{self, Kind, Text};
use crate::quirks::{Quirk, Quirks};
use crate::request::read::shown;
use crate::request::{Field, OpenAiRequest, RequestCode, RequestError, StreamOptions};

/// What changes on the way to one target.
#[derive(Clone, Copy, Debug)]
pub struct Rewrite<'a> {
    /// What the upstream calls the model.
    pub model: &'a str,
    /// The target's `request_fields`; `None`: everything passes.
    pub request_fields: Option<&'a BTreeMap<String, FieldRule>>,
    pub quirks: Quirks,
    /// Added where the quirks ask for it.
    pub cache_salt: Option<&'a str>,
    /// The last message is an answer that broke off: the server is to go on with it.
    pub goes_on: bool,
}

impl<'a> Rewrite<'a> {
    /// Going on has to be asked for by name.
    fn says_go_on(&self) -> bool {
        self.goes_on && self.quirks.has(Quirk::ContinueFinalMessage)
    }

    /// Another name for the model, and nothing else.
    pub fn to(model: &'a str) -> Self {
        let quirks = Quirks::default();
        Self { model, request_fields: None, quirks, cache_salt: None, goes_on: false }
    }
}

/// Fields that client libraries send for the vendor's own bookkeeping. An engine has no use for them, so
/// where it does not list them they are left out instead of refused.
pub(crate) const BOOKKEEPING: [&str; 6] =
    ["user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key"];

/// Values that mean "as if this field were not there". Client libraries write their defaults out; left
/// out they change nothing, so they are not refused either.
const NEUTRAL: [(&str, &str); 14] = [
    ("n", "1"),
    ("best_of", "1"),
    ("echo", "false"),
    ("logprobs", "false"),
    ("top_logprobs", "0"),
    ("presence_penalty", "0"),
    ("presence_penalty", "0.0"),
    ("frequency_penalty", "0"),
    ("frequency_penalty", "0.0"),
    ("logit_bias", "{}"),
    ("stop", "[]"),
    ("tools", "[]"),
    ("functions", "[]"),
    ("encoding_format", "\"float\""),
];

/// What asks for the rest of the last message, where that needs more than its being an answer.
const GO_ON: [(&str, &str); 2] =
    [("add_generation_prompt", "false"), ("continue_final_message", "true")];

/// What asks for the usage chunk.
const ASK: &[u8] = br#"{"include_usage":true}"#;

/// What becomes of one field.
enum Fate {
    Keep,
    Drop,
    Model,
    StreamOptions,
    /// Named or valued as the server has it.
    Quirk,
}

impl OpenAiRequest {
    /// The body for one target: model renamed, usage asked for on streams; where the target lists its
    /// fields, checked and filtered by that list. Costs one copy, or nothing where nothing changes.
    ///
    /// # Errors
    /// A field that the target does not take, or a value outside its range.
    pub fn for_upstream(&self, rewrite: &Rewrite<'_>) -> Result<Bytes, RequestError> {
        let streams = self.stream && self.operation != Operation::Embeddings;
        let ask = streams && !self.wants_usage() && !rewrite.quirks.has(Quirk::DropStreamOptions);
        let alone = rewrite.request_fields.is_none() && rewrite.quirks.leaves_openai_alone();
        if alone && !ask && !rewrite.says_go_on() && rewrite.model == self.model {
            return Ok(self.body.clone());
        }
        let mut out = Vec::with_capacity(self.body.len() + rewrite.model.len() + 64);
        out.push(b'{');
        let mut asked = false;
        for field in &self.fields {
            let fate = self.fate(field, rewrite, streams)?;
            if matches!(fate, Fate::Drop) {
                continue;
            }
            if out.len() > 1 {
                out.push(b',');
            }
            match fate {
                Fate::Model => {
                    out.extend_from_slice(br#""model":"#);
                    json::write_string(&mut out, rewrite.model);
                }
                Fate::StreamOptions => {
                    asked = true;
                    out.extend_from_slice(br#""stream_options":"#);
                    self.write_stream_options(field, rewrite.request_fields.is_some(), &mut out);
                }
                Fate::Quirk => self.write_quirk(field, rewrite, &mut out),
                Fate::Keep | Fate::Drop => {
                    let whole = field.name.start - 1..field.value.end;
                    out.extend_from_slice(self.body.get(whole).unwrap_or_default());
                }
            }
        }
        if ask && !asked {
            out.extend_from_slice(br#","stream_options":"#);
            out.extend_from_slice(ASK);
        }
        if let Some(salt) = rewrite.cache_salt.filter(|_| rewrite.quirks.has(Quirk::CacheSalt)) {
            out.extend_from_slice(br#","cache_salt":"#);
            json::write_string(&mut out, salt);
        }
        for (name, value) in GO_ON.iter().filter(|_| rewrite.says_go_on()) {
            out.extend_from_slice(format!(",\"{name}\":{value}").as_bytes());
        }
        out.push(b'}');
        Ok(out.into())
    }

    fn fate(
        &self,
        field: &Field,
        rewrite: &Rewrite<'_>,
        streams: bool,
    ) -> Result<Fate, RequestError> {
        let name = Name { bytes: &self.body, text: field.name };
        if name.is("model") {
            return Ok(Fate::Model);
        }
        if name.is("stream_options") {
            return Ok(match (streams, rewrite.request_fields) {
                _ if rewrite.quirks.has(Quirk::DropStreamOptions) => Fate::Drop,
                (true, _) => Fate::StreamOptions,
                (false, Some(_)) => Fate::Drop,
                (false, None) => Fate::Keep,
            });
        }
        if rewrite.says_go_on() && GO_ON.iter().any(|(own, _)| name.is(own)) {
            return Ok(Fate::Drop);
        }
        let keep = self.quirk(&name, rewrite);
        if matches!(keep, Fate::Drop) {
            return Ok(keep);
        }
        let Some(rules) = rewrite.request_fields else { return Ok(keep) };
        let payload = match self.operation {
            Operation::Chat => "messages",
            Operation::Embeddings => "input",
            _ => "prompt",
        };
        if name.is("stream") || name.is(payload) {
            return Ok(keep);
        }
        let value = self.body.get(field.value.clone()).unwrap_or_default();
        if value == b"null" {
            // What clients write for "not set".
            return Ok(Fate::Drop);
        }
        let rule = if field.name.escaped {
            field.name.decode(&self.body).and_then(|n| rules.get(&n))
        } else {
            std::str::from_utf8(field.name.raw(&self.body)).ok().and_then(|n| rules.get(n))
        };
        match rule {
            Some(rule) => {
                check_range(&shown(&self.body, field.name), value, rule)?;
                Ok(keep)
            }
            None if BOOKKEEPING.iter().any(|n| name.is(n)) => Ok(Fate::Drop),
            None if NEUTRAL.iter().any(|(n, v)| value == v.as_bytes() && name.is(n)) => {
                Ok(Fate::Drop)
            }
            None => Err(unsupported(&self.model, &shown(&self.body, field.name), rules)),
        }
    }

    /// What the server's quirks make of a field that it takes.
    fn quirk(&self, name: &Name<'_>, rewrite: &Rewrite<'_>) -> Fate {
        let quirks = rewrite.quirks;
        if quirks.leaves_openai_alone() {
            return Fate::Keep;
        }
        let older = name.is("max_tokens") && self.value_of("max_completion_tokens").is_some();
        let bounds = quirks.has(Quirk::MaxTokens) || quirks.has(Quirk::MaxCompletionTokens);
        let bookkeeping =
            quirks.has(Quirk::DropBookkeeping) && BOOKKEEPING.iter().any(|n| name.is(n));
        let salt = quirks.has(Quirk::CacheSalt) && name.is("cache_salt");
        if older && bounds || bookkeeping || salt { Fate::Drop } else { Fate::Quirk }
    }

    fn write_quirk(&self, field: &Field, rewrite: &Rewrite<'_>, out: &mut Vec<u8>) {
        let name = field.name.decode(&self.body).unwrap_or_default();
        let value = self.body.get(field.value.clone()).unwrap_or_default();
        json::write_string(out, rewrite.quirks.renamed(&name).unwrap_or(&name));
        out.push(b':');
        match rewrite.quirks.value(&name, value) {
            Some(own) => out.extend_from_slice(&own),
            None => out.extend_from_slice(value),
        }
    }

    /// Own runtimes get only what is understood here; providers keep what else the caller said.
    fn write_stream_options(&self, field: &Field, only_usage: bool, out: &mut Vec<u8>) {
        let range = |r: std::ops::Range<usize>| self.body.get(r).unwrap_or_default();
        match &self.stream_options {
            StreamOptions::Given { .. } if only_usage => out.extend_from_slice(ASK),
            StreamOptions::Absent => out.extend_from_slice(ASK),
            StreamOptions::Given { wanted: true, .. } => {
                out.extend_from_slice(range(field.value.clone()));
            }
            StreamOptions::Given { include_usage: Some(value), .. } => {
                out.extend_from_slice(range(field.value.start..value.start));
                out.extend_from_slice(b"true");
                out.extend_from_slice(range(value.end..field.value.end));
            }
            StreamOptions::Given { include_usage: None, empty: true, .. } => {
                out.extend_from_slice(ASK);
            }
            StreamOptions::Given { include_usage: None, .. } => {
                out.extend_from_slice(br#"{"include_usage":true,"#);
                out.extend_from_slice(range(field.value.start + 1..field.value.end));
            }
        }
    }
}

/// The refusal of a field that a target does not list.
pub(crate) fn unsupported(
    model: &str,
    name: &str,
    rules: &BTreeMap<String, FieldRule>,
) -> RequestError {
    let known: Vec<_> = rules.keys().map(|k| format!("`{k}`")).collect();
    RequestError::new(
        RequestCode::UnsupportedField,
        format!("`{model}` does not take the field `{name}`"),
    )
    .about(name)
    .fix(if known.is_empty() {
        format!("Remove `{name}`.")
    } else {
        format!("Remove `{name}`; it takes {}.", known.join(", "))
    })
}

/// A field's name, compared without allocating.
struct Name<'a> {
    bytes: &'a [u8],
    text: Text,
}

impl Name<'_> {
    fn is(&self, name: &str) -> bool {
        self.text.is(self.bytes, name)
    }
}

/// Check one field's value against what the runtime's description allows.
pub(crate) fn check_range(name: &str, value: &[u8], rule: &FieldRule) -> Result<(), RequestError> {
    if let Some(most) = rule.max_bytes.filter(|most| value.len() > *most as usize) {
        return Err(RequestError::invalid(
            name,
            format!("`{name}` is {} bytes long, at most {most} are taken here", value.len()),
        )
        .fix(format!("Make `{name}` shorter.")));
    }
    if let Some(most) = rule.max_items {
        let items = value.first().filter(|b| **b == b'[').map_or(0, |_| items(value));
        if items > most as usize {
            return Err(RequestError::invalid(
                name,
                format!("`{name}` has {items} elements, at most {most} taken here"),
            )
            .fix(format!("Send one request for each element of `{name}`.")));
        }
    }
    if rule.minimum.is_none() && rule.maximum.is_none() {
        return Ok(());
    }
    let Some(number) = std::str::from_utf8(value).ok().and_then(|v| v.parse::<f64>().ok()) else {
        let found = Kind::of(value.first().copied()).unwrap_or(Kind::Null);
        return Err(RequestError::wrong_type(name, "a number", found));
    };
    let low = rule.minimum.is_some_and(|m| number < m);
    let high = rule.maximum.is_some_and(|m| number > m);
    if !low && !high {
        return Ok(());
    }
    let allowed = match (rule.minimum, rule.maximum) {
        (Some(low), Some(high)) if low == high => low.to_string(),
        (Some(low), Some(high)) => format!("from {low} to {high}"),
        (Some(low), None) => format!("at least {low}"),
        (_, high) => format!("at most {}", high.unwrap_or_default()),
    };
    Err(RequestError::invalid(name, format!("`{name}` must be {allowed}"))
        .fix(format!("Set `{name}` {allowed}.")))
}

/// Count the elements of a list that are not numbers.
fn items(list: &[u8]) -> usize {
    let elements: Vec<&RawValue> = serde_json::from_slice(list).unwrap_or_default();
    elements
        .iter()
        .filter(|e| !e.get().starts_with(|c: char| c == '-' || c.is_ascii_digit()))
        .count()
}
