//! Tiered endpoints: which level answers, whether its answer will do, and what that saved.
//!
//! Rules are the policy's (`towpath_policy::Tiers`); here are the facts they look at, and the look at an
//! answer that decides whether the next level is asked.

use std::sync::Arc;

use serde_json::Value;
use towpath_policy::{Endpoint, Facts, Tiers};
use towpath_wire::routing::{Operation, Price, TierCheck};

use crate::account::Account;
use crate::relay::{Asked, Job};

/// Most bytes of a stream that are held back until its check can decide; longer ones are good enough.
pub const MAX_HELD: usize = 1 << 20;
/// How deep a schema is followed: what is below is taken as it is.
const MAX_SCHEMA_DEPTH: usize = 32;

/// The choice for one call.
pub struct Choice {
    tiers: Arc<Tiers>,
    /// Places of the targets in the order in which they are asked.
    pub order: Vec<usize>,
    /// The request, where a check or a rule looks at it.
    body: Value,
    /// Whether there is text to look at.
    generates: bool,
    /// What the strongest level costs.
    pub strongest: Option<Arc<Price>>,
    /// Level and reason, for people.
    pub said: String,
}

impl Choice {
    /// Decide, if the endpoint is tiered and the call is one to a model.
    pub fn of(account: &Account, job: &Job) -> Option<Self> {
        let tiers = job.endpoint.tiers.as_ref()?;
        let Asked::Model(request) = &job.asked else { return None };
        let exchange = &account.exchange;
        let key = exchange.key.as_ref()?;
        let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
        let cheapest = tiers.levels.first().and_then(|(_, index)| job.endpoint.targets.get(*index));
        let learned = cheapest.and_then(|share| exchange.live.target(&share.target.id));
        let input_tokens = learned.map_or(request.input_bytes() / 4, |ready| {
            ready.bytes_per_token.estimate(request.input_bytes())
        });
        let facts = Facts {
            input_tokens,
            max_tokens: request.max_output_tokens().unwrap_or(0),
            has_tools: body["tools"].as_array().is_some_and(|tools| !tools.is_empty()),
            response_format: format(&body),
            difficulty: exchange.difficulty.as_deref().unwrap_or(""),
            stream: request.stream(),
            labels: &exchange.labels,
            project: &key.project,
            team: exchange.team.as_deref().unwrap_or(""),
            environment: key.environment.as_str(),
            key: &key.id,
        };
        let decision = tiers.decide(&facts);
        let reason = decision.rule.unwrap_or("no rule applied");
        let name = tiers.levels.get(decision.level).map_or("", |(name, _)| name);
        let said = format!("{name}: {reason}");
        let strongest = price_of_strongest(tiers, &job.endpoint, exchange.time_ms);
        Some(Self {
            generates: matches!(exchange.operation, Operation::Chat | Operation::Completions),
            order: tiers.order(decision.level),
            tiers: Arc::clone(tiers),
            body,
            strongest,
            said,
        })
    }

    /// Whether the answer of a target is looked at: there are checks, and a stronger level is asked next.
    pub fn looks(&self, endpoint: &Endpoint, target: &str) -> bool {
        self.generates
            && !self.tiers.checks.is_empty()
            && self.next_above(endpoint, target).is_some()
    }

    /// Name of the level that is asked after this target, if it is a stronger one.
    fn next_above(&self, endpoint: &Endpoint, target: &str) -> Option<&str> {
        let index = endpoint.targets.iter().position(|share| *share.target.id == *target)?;
        let place = self.order.iter().position(|asked| *asked == index)?;
        let next = *self.order.get(place + 1)?;
        let (this, above) = (self.tiers.level_of(index)?, self.tiers.level_of(next)?);
        (above > this)
            .then(|| self.tiers.levels.get(above).map(|(name, _)| name.as_str()))
            .flatten()
    }

    /// Judge an answer; a bad one makes the next level the chosen one.
    pub fn escalates(&mut self, endpoint: &Endpoint, target: &str, given: &Given) -> bool {
        let found = self.tiers.checks.iter().find_map(|check| given.fails(*check, &self.body));
        let (Some(why), Some(next)) = (found, self.next_above(endpoint, target)) else {
            return false;
        };
        let index = endpoint.targets.iter().position(|share| *share.target.id == *target);
        let level = index.and_then(|index| self.tiers.level_of(index));
        let name =
            level.and_then(|level| self.tiers.levels.get(level)).map_or("", |(name, _)| name);
        self.said = format!("{next}: {name} answered {why}");
        true
    }
}

fn price_of_strongest(tiers: &Tiers, endpoint: &Endpoint, time_ms: i64) -> Option<Arc<Price>> {
    let (_, index) = tiers.levels.last()?;
    let (_, price) = endpoint.targets.get(*index)?.target.price_at(time_ms)?;
    Some(Arc::clone(price))
}

fn format(body: &Value) -> &str {
    let format = [&body["response_format"]["type"], &body["text"]["format"]["type"]];
    format.into_iter().find_map(Value::as_str).unwrap_or("text")
}

/// What an answer says, as far as the checks look at it, in whichever dialect.
#[derive(Debug, Default)]
pub struct Given {
    text: String,
    tools: bool,
    refused: bool,
    cut: bool,
    logprobs: Vec<f64>,
}

impl Given {
    /// Of a plain answer.
    pub fn plain(body: &[u8]) -> Self {
        let mut given = Self::default();
        if let Ok(answer) = serde_json::from_slice::<Value>(body) {
            let choice = &answer["choices"][0];
            given.piece(&choice["message"]);
            given.add(&choice["text"]);
            given.choice(choice);
            for block in answer["content"].as_array().into_iter().flatten() {
                given.block(block);
            }
            given.stopped(&answer["stop_reason"]);
            given.response(&answer);
        }
        given
    }

    /// Of a stream's events, as the caller would get them.
    pub fn stream(events: &[u8]) -> Self {
        let mut given = Self::default();
        let text = String::from_utf8_lossy(events);
        let data = text.lines().filter_map(|line| line.strip_prefix("data:"));
        for event in data.filter_map(|data| serde_json::from_str::<Value>(data).ok()) {
            let choice = &event["choices"][0];
            given.piece(&choice["delta"]);
            given.add(&choice["text"]);
            given.choice(choice);
            given.block(&event["content_block"]);
            given.add(&event["delta"]["text"]);
            given.stopped(&event["delta"]["stop_reason"]);
            // The last event of this dialect holds the whole answer.
            if matches!(event["type"].as_str(), Some("response.completed" | "response.incomplete"))
            {
                given.response(&event["response"]);
            }
        }
        given
    }

    /// Its text, and whether it calls tools.
    pub fn said(self) -> (String, bool) {
        (self.text, self.tools)
    }

    /// A message or a part of one, of the OpenAI dialect.
    fn piece(&mut self, message: &Value) {
        self.add(&message["content"]);
        self.tools |= message["tool_calls"].as_array().is_some_and(|calls| !calls.is_empty());
        self.tools |= message["function_call"].is_object();
        self.refused |= message["refusal"].as_str().is_some_and(|refusal| !refusal.is_empty());
    }

    fn choice(&mut self, choice: &Value) {
        self.stopped(&choice["finish_reason"]);
        let tokens = choice["logprobs"]["content"].as_array();
        let values = tokens.into_iter().flatten().filter_map(|token| token["logprob"].as_f64());
        self.logprobs.extend(values);
    }

    /// A content block of the Anthropic dialect.
    fn block(&mut self, block: &Value) {
        self.add(&block["text"]);
        self.tools |= block["type"] == "tool_use";
    }

    /// An answer of the Responses dialect.
    fn response(&mut self, response: &Value) {
        for item in response["output"].as_array().into_iter().flatten() {
            self.tools |= item["type"].as_str().is_some_and(|kind| kind.ends_with("_call"));
            for part in item["content"].as_array().into_iter().flatten() {
                self.add(&part["text"]);
                self.refused |= part["type"] == "refusal";
            }
        }
        self.cut |= response["incomplete_details"]["reason"] == "max_output_tokens";
    }

    fn stopped(&mut self, reason: &Value) {
        match reason.as_str() {
            Some("content_filter" | "refusal") => self.refused = true,
            Some("length" | "max_tokens") => self.cut = true,
            _ => {}
        }
    }

    fn add(&mut self, text: &Value) {
        self.text.push_str(text.as_str().unwrap_or_default());
    }

    /// Why a check fails, if it does. What it cannot see passes.
    fn fails(&self, check: TierCheck, request: &Value) -> Option<&'static str> {
        match check {
            TierCheck::Empty => {
                (self.text.trim().is_empty() && !self.tools && !self.refused).then_some("nothing")
            }
            TierCheck::Refusal => self.refused.then_some("with a refusal"),
            TierCheck::Length => self.cut.then_some("too long for its limit"),
            TierCheck::Schema => (!self.tools && !meets(&self.text, request))
                .then_some("with other JSON than was asked for"),
            TierCheck::MeanLogprob(least) => {
                #[expect(clippy::cast_precision_loss, reason = "a mean of some thousand values")]
                let count = self.logprobs.len() as f64;
                let mean = self.logprobs.iter().sum::<f64>() / count;
                (!self.logprobs.is_empty() && mean < least).then_some("without confidence")
            }
        }
    }
}

/// Whether a text is the JSON that the request asked for; where it asked for none, every text is.
fn meets(text: &str, request: &Value) -> bool {
    let format = match &request["response_format"] {
        Value::Null => &request["text"]["format"],
        format => format,
    };
    let schema = match format["type"].as_str() {
        Some("json_object") => None,
        Some("json_schema") => {
            let named = &format["json_schema"]["schema"];
            Some(if named.is_null() { &format["schema"] } else { named })
        }
        _ => return true,
    };
    match (serde_json::from_str::<Value>(text), schema) {
        (Ok(value), Some(schema)) => fits(&value, schema, 0),
        (Ok(value), None) => value.is_object(),
        (Err(_), _) => false,
    }
}

/// Whether a value meets the plain part of a JSON schema: types, enumerations, required and further
/// properties, items. What else a schema says is not looked at.
fn fits(value: &Value, schema: &Value, depth: usize) -> bool {
    if depth > MAX_SCHEMA_DEPTH {
        return true;
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if !types.is_empty() && !types.iter().any(|name| is(value, name)) {
        return false;
    }
    if schema["enum"].as_array().is_some_and(|allowed| !allowed.contains(value))
        || schema.get("const").is_some_and(|only| only != value)
    {
        return false;
    }
    if let Some(object) = value.as_object() {
        let required = schema["required"].as_array().into_iter().flatten();
        let mut required = required.filter_map(Value::as_str);
        let known = schema["properties"].as_object();
        let closed = schema["additionalProperties"] == Value::Bool(false);
        return required.all(|name| object.contains_key(name))
            && object.iter().all(|(name, field)| match known.and_then(|known| known.get(name)) {
                Some(schema) => fits(field, schema, depth + 1),
                None => !closed,
            });
    }
    let items = value.as_array().into_iter().flatten();
    items.into_iter().all(|item| fits(item, &schema["items"], depth + 1))
}

fn is(value: &Value, name: &str) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        _ => true,
    }
}

#[cfg(test)]
mod tests;
