//! One request from the outside: its id, its clock, and what its headers say about it.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderValue, Response};
use towpath_dialect::Stamp;
use towpath_policy::{Id, Key};
use towpath_wire::routing::{BodyLogMode, DataClass, Operation, Priority};
use towpath_wire::usage::{CallerDialect, MAX_LABELS};

use crate::errors::{Code, Refusal, Shape};
use crate::live::Live;
use crate::outgoing::Outgoing;
use crate::shared::Worker;
use crate::telemetry::Trace;
use crate::{clock, grpc, ids};

/// Longest name and value of a label, and longest foreign request id that is kept.
const LABEL_NAME: usize = 64;
const LABEL_VALUE: usize = 128;
const FOREIGN_ID: usize = 128;
/// Longest declared difficulty: a word.
const DIFFICULTY: usize = 32;

/// Who asks for what, as far as it is known.
pub struct Exchange {
    pub worker: Rc<Worker>,
    pub live: Arc<Live>,
    pub peer: IpAddr,
    pub id: String,
    pub started: Instant,
    pub time_ms: i64,
    pub operation: Operation,
    pub dialect: CallerDialect,
    pub client_request_id: Option<String>,
    pub trace: Trace,
    pub key: Option<Arc<Key>>,
    pub team: Option<Id>,
    pub labels: Vec<(String, String)>,
    pub data_class: DataClass,
    /// How hard the caller says its question is, for the rules of tiered endpoints.
    pub difficulty: Option<String>,
    /// How it stands where calls wait for a target.
    pub priority: Priority,
    /// Name the caller asked for.
    pub endpoint: Option<String>,
    pub stream: bool,
    /// Where the call is one message of a stream: the id that the caller gave it, maybe an empty one.
    pub message_id: Option<String>,
    /// How long the caller waits for the whole call, where it says so.
    pub patience: Option<Duration>,
    pub user: Option<String>,
    /// Headers of the caller that upstreams of its own dialect must see.
    pub forwarded: HeaderMap,
}

impl Exchange {
    pub fn begin(
        worker: &Rc<Worker>,
        operation: Operation,
        headers: &HeaderMap,
        peer: IpAddr,
    ) -> Self {
        let time_ms = clock::now_ms();
        let foreign = headers.get("x-request-id").and_then(|id| id.to_str().ok());
        Self {
            worker: Rc::clone(worker),
            live: worker.shared.live.load_full(),
            peer,
            id: ids::new("req", time_ms, worker.random_wide()),
            started: Instant::now(),
            time_ms,
            operation,
            dialect: match operation {
                Operation::Predict => CallerDialect::Predict,
                _ => CallerDialect::Openai,
            },
            client_request_id: foreign.map(|id| id.chars().take(FOREIGN_ID).collect()),
            trace: Trace::of(operation, headers, worker),
            key: None,
            team: None,
            labels: Vec::new(),
            data_class: DataClass::Public,
            difficulty: None,
            priority: Priority::default(),
            endpoint: None,
            stream: false,
            message_id: None,
            patience: None,
            user: None,
            forwarded: HeaderMap::new(),
        }
    }

    /// Shape of errors on this route.
    pub fn shape(&self) -> Shape {
        match self.dialect {
            CallerDialect::Predict => Shape::Problem,
            CallerDialect::KserveV2 => Shape::KserveV2,
            CallerDialect::KserveGrpc => Shape::KserveGrpc,
            CallerDialect::Anthropic => Shape::Anthropic,
            _ => Shape::OpenAi,
        }
    }

    /// Keep what tells Anthropic's servers how to read the body: without it tools break.
    pub fn keep_for_anthropic(&mut self, headers: &HeaderMap) {
        for name in ["anthropic-version", "anthropic-beta"] {
            for value in headers.get_all(name) {
                self.forwarded.append(name, value.clone());
            }
        }
    }

    /// Ids and time of what is written anew for this request.
    pub fn stamp(&self) -> Stamp {
        let id = self.id.split_once('_').map_or(self.id.as_str(), |(_, id)| id);
        Stamp { id: id.to_owned(), created_s: self.time_ms / 1_000 }
    }

    /// The call is one message of a stream: its caller's own id for it is what foreign ids are elsewhere.
    pub fn is_message(&mut self, id: String) {
        self.stream = true;
        if !id.is_empty() {
            self.client_request_id = Some(id.chars().take(FOREIGN_ID).collect());
        }
        self.message_id = Some(id);
    }

    /// A refusal as the caller gets it.
    pub fn respond(&self, refusal: &Refusal) -> Response<Outgoing> {
        match &self.message_id {
            Some(id) => Response::new(Outgoing::whole(grpc::told(refusal, id, &self.id))),
            None => refusal.respond(self.shape(), &self.id),
        }
    }

    /// Whether the caller's project wants nothing in its records but what money needs.
    pub fn is_quiet(&self) -> bool {
        let project = self.key.as_ref().and_then(|key| self.live.table.project(&key.project));
        project.is_some_and(|project| project.body_log.mode == BodyLogMode::None)
    }

    /// How long the call may still take, of so long in all or of what its caller waits.
    pub fn left(&self, total_ms: u32) -> Duration {
        let total = Duration::from_millis(total_ms.into());
        let total = self.patience.map_or(total, |patience| patience.min(total));
        total.saturating_sub(self.started.elapsed())
    }

    /// Read labels, data class, difficulty and priority. The key is known: its priority may be lowered.
    ///
    /// # Errors
    /// One of the headers is malformed.
    pub fn read_context(&mut self, headers: &HeaderMap) -> Result<(), Refusal> {
        if let Some(value) = headers.get("x-towpath-data-class") {
            self.data_class = match value.as_bytes() {
                b"public" => DataClass::Public,
                b"internal" => DataClass::Internal,
                b"confidential" => DataClass::Confidential,
                b"restricted" => DataClass::Restricted,
                _ => {
                    return Err(Refusal::new(
                        Code::InvalidHeader,
                        "`x-towpath-data-class` is not `public`, `internal`, `confidential` or `restricted`.",
                    ));
                }
            };
        }
        if let Some(value) = headers.get("x-towpath-difficulty") {
            let text = value.to_str().ok().filter(|text| text.len() <= DIFFICULTY);
            let text = text.ok_or_else(|| {
                let most =
                    format!("`x-towpath-difficulty` is not {DIFFICULTY} characters or fewer.");
                Refusal::new(Code::InvalidHeader, most)
            })?;
            self.difficulty = Some(text.to_owned());
        }
        self.priority = self.key.as_ref().and_then(|key| key.priority).unwrap_or_default();
        if let Some(value) = headers.get("x-towpath-priority") {
            let asked = match value.as_bytes() {
                b"interactive" => Priority::Interactive,
                b"default" => Priority::Default,
                b"batch" => Priority::Batch,
                _ => {
                    return Err(Refusal::new(
                        Code::InvalidHeader,
                        "`x-towpath-priority` is not `interactive`, `default` or `batch`.",
                    ));
                }
            };
            self.priority = self.priority.min(asked);
        }
        if let Some(value) = headers.get("x-towpath-labels") {
            self.labels = labels(value).map_err(|what| {
                Refusal::new(Code::InvalidHeader, format!("`x-towpath-labels` {what}."))
                    .fix("Send at most 8 labels in the form `name=value,name=value`.")
            })?;
        }
        Ok(())
    }
}

fn labels(value: &HeaderValue) -> Result<Vec<(String, String)>, String> {
    let text = value.to_str().map_err(|_| "has characters that are not ASCII".to_owned())?;
    let mut labels: Vec<(String, String)> = Vec::new();
    for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let Some((name, value)) = pair.split_once('=') else {
            return Err(format!("has the part `{pair}` without a `=`"));
        };
        let (name, value) = (name.trim(), value.trim());
        if name.is_empty() || name.len() > LABEL_NAME {
            return Err(format!("has a name that is not 1 to {LABEL_NAME} characters"));
        }
        if value.len() > LABEL_VALUE {
            return Err(format!("has a value of more than {LABEL_VALUE} characters"));
        }
        if labels.iter().any(|(known, _)| known == name) {
            return Err(format!("has `{name}` twice"));
        }
        if labels.len() == MAX_LABELS {
            return Err(format!("has more than {MAX_LABELS} labels"));
        }
        labels.push((name.to_owned(), value.to_owned()));
    }
    Ok(labels)
}

#[cfg(test)]
mod tests;
