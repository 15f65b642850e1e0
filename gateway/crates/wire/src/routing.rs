//! The routing table: what the control plane tells the gateway, as entities by kind and id.
//!
//! A table arrives as one [`Snapshot`] and then as ordered [`Batch`]es. Each entity travels as an
//! envelope whose `value` is read by kind, so that one key's change costs that key's bytes and a
//! gateway can see, field by field, what it does not understand.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use crate::Environment;

mod admission;
mod serving;

pub use admission::{Budget, BudgetMode, Limit, Period, Priority, Rate, Subject};
pub use serving::{
    Balance, CachePolicy, Candidate, ColdStart, Fallback, Probe, Queue, Retries, Spread, Sticky,
    StreamRecovery, Tier, TierCheck, TierLevel, TierRule,
};

/// Version of the table's format. A gateway refuses any other.
pub const TABLE_VERSION: u32 = 1;

/// Departures from a dialect that a target may list; `dialect/src/quirks.rs` says what each does.
pub const QUIRKS: [&str; 14] = [
    "max_completion_tokens",
    "max_tokens",
    "drop_stream_options",
    "drop_bookkeeping",
    "system_as_developer",
    "developer_as_system",
    "random_seed",
    "tool_choice_any",
    "cache_salt",
    "count_tokens",
    "responses",
    "json_schema_by_tool",
    "continue_final_message",
    "assistant_prefill",
];

/// One entity on the wire.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Envelope {
    pub kind: String,
    pub id: String,
    /// The entity itself; its shape is the one named by `kind` (see `Value`).
    #[schemars(with = "serde_json::Value")]
    pub value: Box<RawValue>,
}

/// Name of an entity that is gone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct EntityRef {
    pub kind: String,
    pub id: String,
}

/// The whole table at one revision.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Snapshot {
    pub version: u32,
    pub revision: u64,
    /// Fields (`kind.field`) and kinds (`kind`) that a gateway may ignore when it does not know them.
    /// Whatever is unknown and not listed here makes the gateway refuse the document.
    #[serde(default)]
    pub advisory: Vec<String>,
    pub entities: Vec<Envelope>,
}

/// The changes that lead from one revision to a later one.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Batch {
    pub version: u32,
    pub from: u64,
    pub to: u64,
    #[serde(default)]
    pub advisory: Vec<String>,
    #[serde(default)]
    pub upserts: Vec<Envelope>,
    #[serde(default)]
    pub deletes: Vec<EntityRef>,
}

/// A key that must stop working at once, whatever becomes of the table it travels with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Revocation {
    pub key_id: String,
    /// SHA-256 of the key, in hex.
    pub hash: String,
}

/// An entity's content, by kind.
#[expect(clippy::large_enum_variant, reason = "read one at a time, and never kept in this form")]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", content = "value", rename_all = "snake_case")]
pub enum Value {
    Team(Team),
    Project(Project),
    Key(Key),
    Endpoint(Endpoint),
    Target(Target),
    Price(Price),
    Credential(Credential),
    Limit(Limit),
    Budget(Budget),
    Block(Block),
    Platform(Platform),
}

/// Owner of projects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Team {
    pub name: String,
    /// Its share where teams wait for the same target, relative to other teams'.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub weight: u32,
}

fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_one(weight: &u32) -> bool {
    *weight == 1
}

/// A team's project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Project {
    pub name: String,
    /// Id of the team.
    pub team: String,
    #[serde(default, skip_serializing_if = "BodyLog::is_default")]
    pub body_log: BodyLog,
}

/// What is kept of a project's requests beyond what money needs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BodyLog {
    #[serde(default)]
    pub mode: BodyLogMode,
    /// What is taken out of bodies before they leave the gateway, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redact: Vec<Redaction>,
}

impl BodyLog {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// How much of a request is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BodyLogMode {
    /// The usage record without `user`, `labels` and the caller's own request id.
    None,
    /// The whole usage record.
    #[default]
    Metadata,
    /// That, and the bodies of request and answer.
    Full,
}

/// Text that is replaced by `[redacted:<name>]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Redaction {
    pub name: String,
    /// A regular expression without look-around and back-references, matched in linear time.
    pub pattern: String,
}

/// What a caller may do with a key beyond calling models.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    Invoke,
    Read,
    Deploy,
}

/// Kinds of calls, as keys may be restricted to and records report them.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    Chat,
    Completions,
    Embeddings,
    Predict,
    Models,
    Rerank,
    Transcriptions,
    CountTokens,
}

/// An API key or a service account's token, by its hash alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Key {
    /// SHA-256 of the whole key, in lower-case hex.
    pub hash: String,
    /// Id of the project.
    pub project: String,
    pub environment: Environment,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<String>,
    pub scopes: Vec<Scope>,
    /// Names of the only endpoints it may call; absent: all that its project may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<Vec<String>>,
    /// The only operations it may use; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operations: Option<Vec<Operation>>,
    /// The only networks (CIDR) it may be used from; absent: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sources: Option<Vec<String>>,
    /// Most sensitive data it may send; absent: as far as the target allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_data_class: Option<DataClass>,
    /// Milliseconds since the epoch; absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at_ms: Option<i64>,
    /// How its calls stand in queues; a request may lower it, never raise it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// Id of the key whose calls these are. That key's rights, limits, budgets and records hold as if
    /// it had called; of its restrictions only `sources` does not, since the platform calls for it.
    /// Such a key is short-lived, has no scopes of its own, and is of the same project and environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acts_as: Option<String>,
}

/// Sensitivity of data, from harmless to most restricted.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum DataClass {
    #[default]
    Public,
    Internal,
    Confidential,
    Restricted,
}

/// Who sees an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Visibility {
    Project,
    Team,
    Organization,
}

/// One more team or project that may call an endpoint, by id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Allow {
    Team(String),
    Project(String),
}

/// The name that callers use, in one environment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Endpoint {
    pub name: String,
    pub environment: Environment,
    /// Id of the owning project; absent for one of the platform's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    pub visibility: Visibility,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<Allow>,
    /// Environments whose keys may call it. Always contains its own.
    pub callers: Vec<Environment>,
    pub targets: Vec<Weighted>,
    /// To try in this order when none of `targets` answers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fallback: Vec<Fallback>,
    #[serde(default)]
    pub timeouts: Timeouts,
    #[serde(default)]
    pub balance: Balance,
    #[serde(default)]
    pub retries: Retries,
    #[serde(default)]
    pub stream_recovery: StreamRecovery,
    /// Absent: nothing is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<CachePolicy>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<Tier>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at_ms: Option<i64>,
}

/// A target's share of an endpoint's traffic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Weighted {
    /// Id of the target.
    pub target: String,
    /// Relative share; 0 takes no traffic.
    pub weight: u32,
}

/// How long each phase of a call may take, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Timeouts {
    /// Until the connection stands.
    pub connect_ms: u32,
    /// Until the answer's first byte; on a stream, until the first data event.
    pub first_byte_ms: u32,
    /// Between two chunks of an answer.
    pub silence_ms: u32,
    /// For the whole call, all its attempts.
    pub total_ms: u32,
    /// For one attempt, until its answer may leave: the whole of a plain answer, the first event of a
    /// stream. 0: only the other limits hold.
    pub attempt_ms: u32,
}

impl Default for Timeouts {
    /// Connect: a healthy server on a network of ours answers in milliseconds. First byte: a prompt of
    /// 100,000 tokens may take minutes to prefill. Total: the default of the OpenAI clients.
    fn default() -> Self {
        Self {
            connect_ms: 2_000,
            first_byte_ms: 300_000,
            silence_ms: 60_000,
            total_ms: 600_000,
            attempt_ms: 0,
        }
    }
}

/// What stands behind an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TargetKind {
    /// Model servers that the platform runs.
    Deployment,
    /// An inference server the organisation runs itself, adopted by URL.
    Static,
    /// A model behind a vendor's API.
    Provider,
}

/// Wire protocol of an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    Openai,
    Anthropic,
    KserveV2,
    KserveGrpc,
}

/// One server or group of equal servers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Target {
    /// What callers and records see: a deployment's, provider's or static server's name.
    pub name: String,
    pub kind: TargetKind,
    pub dialect: Dialect,
    /// Where it listens now. Empty: nothing is ready.
    pub replicas: Vec<Replica>,
    /// What the upstream calls the model.
    pub upstream_model: String,
    /// Id of the sealed credential that is sent upstream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Registry model behind it, where it is one of ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelRef>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<Signature>,
    /// Operations it can answer.
    pub operations: Vec<Operation>,
    /// Request fields that may reach the engine, each with its range; absent: all do (providers).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_fields: Option<BTreeMap<String, FieldRule>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    #[serde(default)]
    pub operator: Operator,
    #[serde(default)]
    pub max_data_class: DataClass,
    /// Ids of the prices that applied, apply or will apply, each from its `from_ms` on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prices: Vec<String>,
    /// Largest context, in tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_length: Option<u32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modalities: Vec<String>,
    /// Owner shown in model lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owned_by: Option<String>,
    /// Calls that one replica takes at a time; more wait in the target's queue. Absent: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_concurrency: Option<u32>,
    #[serde(default)]
    pub queue: Queue,
    /// Given: with no replica it is asleep and can be woken by a signal, else it is down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cold_start: Option<ColdStart>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<Probe>,
    /// GPUs of one replica, for prices per GPU-second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpus: Option<u32>,
    /// Departures from its dialect, by name: some of [`QUIRKS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quirks: Vec<String>,
    /// Query of every request, without `?`: `api-version=2026-10-21`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// Headers of every request; none of them is secret.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Certificates (PEM) that alone are trusted for it; absent: the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_pem: Option<String>,
    /// A newer revision of it that gets a part of its calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate: Option<Candidate>,
}

/// One listening server of a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Replica {
    pub id: String,
    /// `http://host:port/prefix`, `https://…`, or `unix:/path`. For the OpenAI dialect the prefix is
    /// the base URL as its clients know it, `/v1` included.
    pub address: String,
    /// Id of the credential that only the gateway and this replica know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}

/// A registry model's version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ModelRef {
    pub name: String,
    pub version: u32,
    /// `sha256:…`
    pub digest: String,
}

/// Who operates a target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Operator {
    #[default]
    Internal,
    External,
}

/// What a runtime accepts in one request field.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FieldRule {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maximum: Option<f64>,
    /// Longest value, in bytes of its JSON: an engine that compiles a schema works on it alone, and so long
    /// for nobody else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u32>,
    /// Most elements of a list. Numbers are not counted: a prompt may be one list of token ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_items: Option<u32>,
}

/// Names, types and shapes of a model's inputs and outputs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Signature {
    pub inputs: Vec<TensorSpec>,
    pub outputs: Vec<TensorSpec>,
}

/// One named tensor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TensorSpec {
    pub name: String,
    /// KServe V2 type: `BYTES`, `FP32`, `INT64`, `BOOL`, …
    pub datatype: String,
    /// -1 is any size; the first dimension is the batch.
    pub shape: Vec<i64>,
}

/// What a target costs from a time on. Amounts are nano-units of `currency`, per million tokens where the
/// name says so.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Price {
    pub currency: String,
    /// Milliseconds since the epoch; absent: always. The latest that has begun applies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_ms: Option<i64>,
    pub input_nano_per_million: u64,
    pub output_nano_per_million: u64,
    /// For tokens read from the upstream's cache; absent: as `input_nano_per_million`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_input_nano_per_million: Option<u64>,
    /// For tokens written into the upstream's cache; absent: as `input_nano_per_million`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_nano_per_million: Option<u64>,
    /// For tokens of thought; absent: as `output_nano_per_million`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_nano_per_million: Option<u64>,
    /// For tokens of sound; absent: as those of text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio_input_nano_per_million: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio_output_nano_per_million: Option<u64>,
    /// For each answered request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_nano: Option<u64>,
    /// For each second of one GPU that the request had to itself; calls in flight together share it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_second_nano: Option<u64>,
}

/// Something that is stopped at once, whatever else the table says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub struct Block {
    pub what: Blocked,
    /// Why, for those who are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What a block names.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Blocked {
    /// Id of an endpoint.
    Endpoint(String),
    /// Id of a key.
    Key(String),
    /// Name of a provider.
    Provider(String),
    /// Name of a registry model, or of a model at its provider.
    Model(String),
}

/// A secret for an upstream, sealed with the organisation's secret key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Credential {
    /// `v1.` and base64url (no padding) of nonce (12 bytes) and AES-256-GCM ciphertext with tag. The additional
    /// data is the credential's id; the key is HKDF-SHA256 of `TOWPATH_SECRET_KEY`, no salt, info `towpath/credential/v1`.
    pub sealed: String,
    /// How it is sent.
    pub scheme: AuthScheme,
}

/// Where an upstream expects its credential.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuthScheme {
    /// `Authorization: Bearer …`
    Bearer,
    /// A header of this name.
    Header(String),
}

/// What holds for the whole organisation; there is one, with the id `platform`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Platform {
    pub name: String,
    /// ISO 4217 code in which money is counted.
    pub currency: String,
    /// Ids of endpoints that must each have a ready replica before the gateway calls itself ready. The
    /// control plane fills it at first start, with the demo models, and empties it once they have loaded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ready_when: Vec<String>,
    /// By data class, how old the table may be, in milliseconds without contact to the control plane,
    /// before calls of that class are refused.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub max_table_age_ms: BTreeMap<DataClass, u64>,
    /// Networks (CIDR) inside that upstreams given by URL may be in, though they are loopback, link-local,
    /// or the platform's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub egress_allow: Vec<String>,
}

/// Why a document cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("table version {0} is not {TABLE_VERSION}")]
    Version(u32),
    #[error("{kind} `{id}`: {message}")]
    Malformed { kind: String, id: String, message: String },
    #[error(
        "{kind} `{id}` has the field `{field}`, which this gateway does not know; upgrade the gateway"
    )]
    UnknownField { kind: String, id: String, field: String },
    #[error("`{kind}` is a kind this gateway does not know; upgrade the gateway")]
    UnknownKind { kind: String },
}

impl Envelope {
    /// Put a value into its envelope.
    ///
    /// # Errors
    /// Only if the value cannot be written as JSON.
    pub fn new(id: impl Into<String>, value: &Value) -> Result<Self, serde_json::Error> {
        let (kind, value) = match value {
            Value::Team(v) => ("team", to_raw_value(v)?),
            Value::Project(v) => ("project", to_raw_value(v)?),
            Value::Key(v) => ("key", to_raw_value(v)?),
            Value::Endpoint(v) => ("endpoint", to_raw_value(v)?),
            Value::Target(v) => ("target", to_raw_value(v)?),
            Value::Price(v) => ("price", to_raw_value(v)?),
            Value::Credential(v) => ("credential", to_raw_value(v)?),
            Value::Limit(v) => ("limit", to_raw_value(v)?),
            Value::Budget(v) => ("budget", to_raw_value(v)?),
            Value::Block(v) => ("block", to_raw_value(v)?),
            Value::Platform(v) => ("platform", to_raw_value(v)?),
        };
        Ok(Self { kind: kind.to_owned(), id: id.into(), value })
    }

    /// Read the value, refusing what is unknown unless `advisory` lists it. `None` is an unknown kind
    /// that may be ignored.
    ///
    /// # Errors
    /// The value is not of its kind, or has a part that must be understood and is not.
    pub fn read(&self, advisory: &[String]) -> Result<Option<Value>, ReadError> {
        Ok(Some(match self.kind.as_str() {
            "team" => Value::Team(self.read_as(advisory)?),
            "project" => Value::Project(self.read_as(advisory)?),
            "key" => Value::Key(self.read_as(advisory)?),
            "endpoint" => Value::Endpoint(self.read_as(advisory)?),
            "target" => Value::Target(self.read_as(advisory)?),
            "price" => Value::Price(self.read_as(advisory)?),
            "credential" => Value::Credential(self.read_as(advisory)?),
            "limit" => Value::Limit(self.read_as(advisory)?),
            "budget" => Value::Budget(self.read_as(advisory)?),
            "block" => Value::Block(self.read_as(advisory)?),
            "platform" => Value::Platform(self.read_as(advisory)?),
            kind if advisory.iter().any(|a| a == kind) => return Ok(None),
            kind => return Err(ReadError::UnknownKind { kind: kind.to_owned() }),
        }))
    }

    fn read_as<'de, T: Deserialize<'de>>(&'de self, advisory: &[String]) -> Result<T, ReadError> {
        let mut unknown = None;
        let mut reader = serde_json::Deserializer::from_str(self.value.get());
        let value = serde_ignored::deserialize(&mut reader, |path| {
            let field = path.to_string();
            if !advisory
                .iter()
                .any(|a| a.strip_prefix(self.kind.as_str()) == Some(&format!(".{field}")))
            {
                unknown.get_or_insert(field);
            }
        })
        .map_err(|error| ReadError::Malformed {
            kind: self.kind.clone(),
            id: self.id.clone(),
            message: error.to_string(),
        })?;
        match unknown {
            Some(field) => {
                Err(ReadError::UnknownField { kind: self.kind.clone(), id: self.id.clone(), field })
            }
            None => Ok(value),
        }
    }
}
