//! Settings: read once, at start, from the command line, the environment and `towpath.toml`; all
//! mistakes are reported together. The only place that looks at the environment.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::secrets::MIN_SECRET;

mod otlp;
mod texts;

pub use otlp::{Otlp, OtlpProtocol};
pub use texts::{ClientAuth, TextSetting, Texts, TlsFiles, list};

/// Everything that was wrong, one line each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct ConfigError(pub Vec<String>);

/// A value that must not be shown.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Secret(…)")
    }
}

/// Where calls come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    Address(SocketAddr),
    /// A listening socket that the parent process handed on.
    Inherited(i32),
}

/// Where a listener without TLS may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// On this machine alone: keys and prompts must not cross a network in the clear.
    Loopback,
    /// Anywhere, because somebody said so.
    Anywhere,
}

impl Reach {
    /// Whether a listener without TLS may be at this address.
    pub fn allows(self, address: &SocketAddr) -> bool {
        self == Self::Anywhere || address.ip().is_loopback()
    }
}

/// What one gateway process is told.
#[derive(Clone, Debug)]
pub struct Config {
    pub data: PathBuf,
    pub listen: Listen,
    /// Address of the control plane's link; absent: serve from the table on disk and ship nothing.
    pub control: Option<String>,
    /// A snapshot to serve instead of the table in the data folder.
    pub table: Option<PathBuf>,
    /// Address of the control plane's API, which the front door relays.
    pub api: Option<String>,
    pub secret_key: Secret,
    pub link_credential: Option<Secret>,
    /// Absent: the listener speaks plain HTTP.
    pub tls: Option<TlsFiles>,
    pub reach: Reach,
    /// A pipe whose end lets a gateway accept that starts beside another.
    pub standby: Option<i32>,
    /// Where to tell the parent process what happens.
    pub announce: Option<i32>,
    /// Absent: no spans are recorded.
    pub otlp: Option<Otlp>,
    pub texts: Texts,
    pub limits: Limits,
}

/// One setting, for the reference page.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct Setting {
    pub name: &'static str,
    pub description: &'static str,
    pub default: u64,
    pub minimum: u64,
    pub maximum: u64,
}

macro_rules! limits {
    ($($(#[doc = $doc:literal])+ $name:ident = $default:expr, $minimum:expr => $maximum:expr;)+) => {
        /// Bounds and periods, each with its default.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Limits {
            $($(#[doc = $doc])+ pub $name: u64,)+
        }

        impl Default for Limits {
            fn default() -> Self {
                Self { $($name: $default,)+ }
            }
        }

        impl Limits {
            /// Every setting of `[gateway]` in `towpath.toml`, and `TOWPATH_GATEWAY_<NAME>`.
            pub const SETTINGS: &[Setting] = &[$(Setting {
                name: stringify!($name),
                description: concat!($($doc,)+).trim_ascii_start(),
                default: $default,
                minimum: $minimum,
                maximum: $maximum,
            },)+];

            fn set(&mut self, name: &str, value: u64) {
                match name {
                    $(stringify!($name) => self.$name = value,)+
                    _ => {}
                }
            }
        }
    };
}

const MIB: u64 = 1 << 20;

limits! {
    /// Worker threads, each with its own connections; 0 is one per processor core.
    workers = 0, 0 => 256;
    /// Most connections of callers at a time; further ones wait in the kernel's queue.
    max_connections = 8_192, 1 => 1_000_000;
    /// Most calls to models at a time; further ones get 503.
    max_in_flight = 8_192, 1 => 1_000_000;
    /// Largest request body; larger ones get 413.
    body_max_bytes = 32 * MIB, 1_024 => 1_024 * MIB;
    /// Memory for all buffered bodies together; beyond it reading waits.
    body_memory_bytes = 512 * MIB, MIB => 1_024 * 1_024 * MIB;
    /// How long reading waits for body memory before the caller gets 503.
    body_wait_ms = 10_000, 1 => 600_000;
    /// Longest pause while a body arrives.
    body_idle_ms = 10_000, 10 => 600_000;
    /// Longest time for a whole body.
    body_timeout_ms = 120_000, 10 => 3_600_000;
    /// Longest time for a request's head, and the longest a connection stays open between requests.
    header_timeout_ms = 60_000, 10 => 600_000;
    /// How long a caller may take nothing of an answer before the connection is given up.
    write_timeout_ms = 60_000, 10 => 3_600_000;
    /// Largest head of a request.
    header_max_bytes = 32 * 1_024, 4_096 => MIB;
    /// Most header fields of a request.
    header_max_count = 80, 16 => 1_000;
    /// Largest plain answer of an upstream.
    answer_max_bytes = 32 * MIB, 1_024 => 1_024 * MIB;
    /// Most bytes that are logged of one body, where a project logs bodies.
    body_log_max_bytes = 256 * 1_024, 1_024 => MIB;
    /// Memory for all logged bodies until they are shipped; what finds no room is not logged.
    body_log_memory_bytes = 32 * MIB, 1_024 => 1_024 * 1_024 * MIB;
    /// Most bytes of the usage journal; when it is full, calls get 503.
    journal_max_bytes = 512 * MIB, MIB => 1_024 * 1_024 * MIB;
    /// Size of one journal segment.
    journal_segment_bytes = 4 * MIB, 64 * 1_024 => 1_024 * MIB;
    /// At most this much of the journal is lost with the machine's power; 0 syncs before the last byte.
    journal_sync_ms = 50, 0 => 60_000;
    /// Shortest pause between two shipments of usage records.
    ship_interval_ms = 100, 1 => 60_000;
    /// Idle connections kept to each upstream address, per worker.
    upstream_max_idle = 256, 0 => 65_536;
    /// How long an idle connection to an upstream is kept; below the 5 s after which many servers close.
    upstream_idle_ms = 4_000, 1 => 3_600_000;
    /// Memory for kept answers, of endpoints that keep them; 0 keeps none.
    cache_max_bytes = 64 * MIB, 0 => 1_024 * 1_024 * MIB;
    /// Size at which the access log's file is put aside; the one before that is gone.
    access_log_max_bytes = 64 * MIB, 4_096 => 1_024 * 1_024 * MIB;
    /// Longest time that spans wait for others to be sent with.
    otlp_interval_ms = 1_000, 1 => 600_000;
    /// Longest time for the receiver of spans to take a message.
    otlp_timeout_ms = 10_000, 10 => 600_000;
    /// Memory for spans until they are sent; what finds no room is lost.
    otlp_memory_bytes = 8 * MIB, 4_096 => 1_024 * MIB;
    /// Longest time for a TLS handshake.
    tls_handshake_ms = 10_000, 10 => 600_000;
    /// How long calls in flight may go on after the signal to stop.
    drain_ms = 30_000, 0 => 3_600_000;
}

/// The usage text.
pub const USAGE: &str = "\
towpath-gateway: the data plane of Towpath

usage: towpath-gateway --data DIR (--listen HOST:PORT | --listen-fd N) [--control ADDRESS | --table FILE] [--api ADDRESS]
                       [--config FILE] [--workers N] [--tls-cert FILE --tls-key FILE] [--insecure]
                       [--announce-fd N] [--standby-fd N]
       towpath-gateway validate      read tables as JSON lines, say of each whether it would be taken
       towpath-gateway revoke --data DIR KEY|KEY_ID|-
                                     stop a key at this gateway while the control plane is away
       towpath-gateway errors        list the error codes as JSON
       towpath-gateway settings      list the settings as JSON
       towpath-gateway formats       say as JSON which formats it reads and writes
       towpath-gateway --version

  --data DIR         the gateway's own folder: its id, the last table, the usage journal
  --control ADDRESS  the control plane's link, `unix:/path` or a URL; without it the table on disk is served
  --table FILE       a snapshot of the routing table to serve; nothing is shipped
  --api ADDRESS      the control plane's API, relayed under /api/ and for the portal
  --config FILE      a towpath.toml; its section [gateway] is read
  --workers N        worker threads; goes before the setting of that name
  --tls-cert FILE    certificate chain (PEM); goes before `tls_cert_file`, as --tls-key before `tls_key_file`
  --tls-key FILE     its private key (PEM)
  --announce-fd N    a pipe where the parent process is told what happens: one JSON object a line
  --standby-fd N     start beside the gateway that accepts; accept when the other end of this pipe is closed
  --insecure         listen without TLS on an address that is not loopback: keys cross the network in the clear

environment: TOWPATH_SECRET_KEY (required), TOWPATH_LINK_CREDENTIAL (with --control), TOWPATH_GATEWAY_<SETTING>
";

/// Read arguments, environment and file into one configuration.
///
/// # Errors
/// All mistakes of all three, together.
pub fn load(
    arguments: &[String],
    environment: &BTreeMap<String, String>,
) -> Result<Config, ConfigError> {
    let mut problems = Vec::new();
    let (flags, valued): (Vec<_>, Vec<_>) =
        arguments.iter().cloned().partition(|argument| argument == "--insecure");
    let reach = if flags.is_empty() { Reach::Loopback } else { Reach::Anywhere };
    let options = options(&valued, &mut problems);
    let option = |name: &str| options.get(name).map(String::as_str);
    let listen = match (option("--listen"), option("--listen-fd")) {
        (Some(address), None) => match address.parse() {
            Ok(address) => Some(Listen::Address(address)),
            Err(_) => {
                problems
                    .push(format!("--listen: `{address}` is not HOST:PORT with a numeric host"));
                None
            }
        },
        (None, Some(fd)) => match fd.parse() {
            Ok(fd) if fd > 2 => Some(Listen::Inherited(fd)),
            _ => {
                problems.push(format!("--listen-fd: `{fd}` is not a file descriptor above 2"));
                None
            }
        },
        _ => {
            problems.push("exactly one of --listen and --listen-fd is needed".to_owned());
            None
        }
    };
    let mut descriptor = |name: &str| {
        let given = option(name)?;
        let found = given.parse().ok().filter(|fd| *fd > 2);
        if found.is_none() {
            problems.push(format!("{name}: `{given}` is not a file descriptor above 2"));
        }
        found
    };
    let (standby, announce) = (descriptor("--standby-fd"), descriptor("--announce-fd"));
    if option("--data").is_none() {
        problems.push("--data is needed: the gateway's own folder".to_owned());
    }
    let mut secret = |name: &str, needed: bool| match environment.get(name) {
        Some(value) if value.len() >= MIN_SECRET => Some(Secret::new(value.as_str())),
        Some(_) => {
            problems.push(format!("{name} is shorter than {MIN_SECRET} characters"));
            None
        }
        None if needed => {
            problems.push(format!("{name} is not set; it needs at least {MIN_SECRET} characters"));
            None
        }
        None => None,
    };
    let secret_key = secret("TOWPATH_SECRET_KEY", true);
    let link_credential = secret("TOWPATH_LINK_CREDENTIAL", option("--control").is_some());
    let mut limits = Limits::default();
    let mut texts = Texts::default();
    if let Some(path) = option("--config") {
        from_file(Path::new(path), &mut limits, &mut texts, &mut problems);
    }
    from_environment(environment, &mut limits, &mut texts, &mut problems);
    for (name, setting) in [("--tls-cert", "tls_cert_file"), ("--tls-key", "tls_key_file")] {
        if let Some(value) = option(name) {
            texts.set(setting, value.to_owned());
        }
    }
    let tls = texts::tls(&texts, &mut problems);
    let otlp = otlp::otlp(&texts, &mut problems);
    if let Some(Listen::Address(address)) = &listen
        && tls.is_none()
        && !reach.allows(address)
    {
        problems.push(format!("--listen: {}", in_the_clear(address)));
    }
    if let Some(workers) = option("--workers") {
        set(&mut limits, "workers", workers.parse().ok(), "--workers", &mut problems);
    }
    if option("--control").is_some() && option("--table").is_some() {
        problems.push("--control and --table are two sources of one table; name one".to_owned());
    }
    if limits.journal_segment_bytes > limits.journal_max_bytes {
        problems.push("journal_segment_bytes is larger than journal_max_bytes".to_owned());
    }
    if limits.body_max_bytes > limits.body_memory_bytes {
        problems.push("body_max_bytes is larger than body_memory_bytes".to_owned());
    }
    match (listen, secret_key, problems.is_empty()) {
        (Some(listen), Some(secret_key), true) => Ok(Config {
            data: PathBuf::from(option("--data").unwrap_or_default()),
            listen,
            control: option("--control").map(str::to_owned),
            table: option("--table").map(PathBuf::from),
            api: option("--api").map(str::to_owned),
            secret_key,
            link_credential,
            tls,
            reach,
            standby,
            announce,
            otlp,
            texts,
            limits,
        }),
        _ => Err(ConfigError(problems)),
    }
}

/// Why a listener without TLS is not opened.
pub fn in_the_clear(address: &SocketAddr) -> String {
    format!(
        "`{address}` is not loopback, and without TLS keys would cross the network in the clear; \
         give --tls-cert and --tls-key, or --insecure behind a proxy that speaks TLS"
    )
}

fn options(arguments: &[String], problems: &mut Vec<String>) -> BTreeMap<String, String> {
    const KNOWN: [&str; 12] = [
        "--data",
        "--listen",
        "--listen-fd",
        "--control",
        "--table",
        "--api",
        "--config",
        "--workers",
        "--tls-cert",
        "--tls-key",
        "--standby-fd",
        "--announce-fd",
    ];
    let mut options = BTreeMap::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let (name, inline) = match argument.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (argument.as_str(), None),
        };
        if !KNOWN.contains(&name) {
            let near = towpath_policy::closest(name, KNOWN);
            let hint = near.map_or(String::new(), |near| format!("; did you mean `{near}`"));
            problems.push(format!("`{name}` is not an option{hint}"));
            continue;
        }
        match inline.or_else(|| rest.next().cloned()) {
            Some(value) if options.contains_key(name) => {
                problems.push(format!("{name} is given twice, the second time as `{value}`"));
            }
            Some(value) => {
                options.insert(name.to_owned(), value);
            }
            None => problems.push(format!("{name} needs a value")),
        }
    }
    options
}

fn from_file(path: &Path, limits: &mut Limits, texts: &mut Texts, problems: &mut Vec<String>) {
    let shown = path.display();
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => return problems.push(format!("cannot read `{shown}`: {error}")),
    };
    let file: toml::Table = match text.parse() {
        Ok(file) => file,
        Err(error) => return problems.push(format!("`{shown}` is not TOML: {error}")),
    };
    let section = match file.get("gateway") {
        Some(toml::Value::Table(section)) => section,
        Some(_) => return problems.push(format!("`{shown}`: `gateway` is not a section")),
        None => return,
    };
    for (name, value) in section {
        if is_text(name) {
            match value.as_str() {
                Some(text) => texts.set(name, text.to_owned()),
                None => problems.push(format!("`{shown}`: gateway.{name} is not a text")),
            }
            continue;
        }
        let number = value.as_integer().and_then(|value| u64::try_from(value).ok());
        set(limits, name, number, &format!("`{shown}`: gateway.{name}"), problems);
    }
}

fn is_text(name: &str) -> bool {
    Texts::SETTINGS.iter().any(|setting| setting.name == name)
}

fn from_environment(
    environment: &BTreeMap<String, String>,
    limits: &mut Limits,
    texts: &mut Texts,
    problems: &mut Vec<String>,
) {
    const PREFIX: &str = "TOWPATH_GATEWAY_";
    for (variable, value) in environment {
        let Some(name) = variable.strip_prefix(PREFIX) else { continue };
        match name {
            // The supervisor's: which program to start.
            "BIN" => {}
            _ if is_text(&name.to_ascii_lowercase()) => {
                texts.set(&name.to_ascii_lowercase(), value.clone());
            }
            _ => set(limits, &name.to_ascii_lowercase(), value.parse().ok(), variable, problems),
        }
    }
}

fn set(
    limits: &mut Limits,
    name: &str,
    value: Option<u64>,
    shown: &str,
    problems: &mut Vec<String>,
) {
    let Some(setting) = Limits::SETTINGS.iter().find(|setting| setting.name == name) else {
        let names = Limits::SETTINGS.iter().map(|setting| setting.name);
        let near = towpath_policy::closest(
            name,
            names.chain(Texts::SETTINGS.iter().map(|setting| setting.name)),
        );
        let hint = near.map_or(String::new(), |near| format!("; did you mean `{near}`"));
        return problems.push(format!("{shown} is not a setting{hint}"));
    };
    match value.filter(|value| (setting.minimum..=setting.maximum).contains(value)) {
        Some(value) => limits.set(name, value),
        None => problems.push(format!(
            "{shown} is not a whole number from {} to {}",
            setting.minimum, setting.maximum
        )),
    }
}

#[cfg(test)]
mod tests;
