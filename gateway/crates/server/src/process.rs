//! One gateway process from start to drain.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, watch};
use tokio::task::LocalSet;
use towpath_journal::OpenError;
use towpath_policy::Table;
use towpath_upstream::{Address, Egress, Own, Pool, Roots, Settings, Tls};
use towpath_wire::routing::{Snapshot, TABLE_VERSION};
use towpath_wire::usage::USAGE_VERSION;

use crate::access::AccessLog;
use crate::account::Refusals;
use crate::admit::{Admission, BodyMemory, Calls};
use crate::bodies::Bodies;
use crate::cache::Cache;
use crate::config::{self, Config};
use crate::contact::Contact;
use crate::link::{self, Link, LinkError, Position, Store, StoreError};
use crate::live::Live;
use crate::log::{self, Level, Throttle};
use crate::metrics::Metrics;
use crate::place::Place;
use crate::role::{self, Announcer, Ending, Role};
use crate::secrets::Secrets;
use crate::shadow::Shadows;
use crate::shared::Shared;
use crate::telemetry::{Exporter, Telemetry};
use crate::tls::{Door, TlsError};
use crate::{clock, listener, prober};

/// Why a gateway does not start, or stops by itself.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot use the data folder `{}`: {source}", path.display())]
    Data { path: PathBuf, source: io::Error },
    #[error("cannot listen on {listen}: {source}")]
    Listen { listen: String, source: io::Error },
    #[error("{0}")]
    Journal(#[source] OpenError),
    #[error("{0}")]
    Store(#[source] StoreError),
    #[error("{0}")]
    Link(#[source] LinkError),
    #[error("{option}: {message}")]
    Address { option: &'static str, message: String },
    #[error("cannot use the table `{}`: {reason}", path.display())]
    Table { path: PathBuf, reason: String },
    #[error("the listener's address {}", config::in_the_clear(.0))]
    InTheClear(SocketAddr),
    #[error("cannot write the access log: {source}")]
    AccessLog { source: io::Error },
    #[error("cannot speak TLS: {0}")]
    Tls(#[source] TlsError),
    #[error("cannot read the certificate authorities: {0}")]
    Roots(String),
    #[error("TOWPATH_SECRET_KEY cannot be used")]
    Secret,
    #[error("cannot run: {0}")]
    Runtime(#[source] io::Error),
}

impl StartError {
    /// Whether starting again cannot help: somebody must change something first.
    pub fn lasts(&self) -> bool {
        match self {
            Self::Link(_)
            | Self::Address { .. }
            | Self::Table { .. }
            | Self::Roots(_)
            | Self::InTheClear(_)
            | Self::Tls(_)
            | Self::Secret => true,
            Self::Data { source, .. } => source.kind() != io::ErrorKind::StorageFull,
            Self::Journal(error) => matches!(
                error,
                OpenError::Setting { .. } | OpenError::Other { .. } | OpenError::Foreign { .. }
            ),
            Self::AccessLog { .. } | Self::Listen { .. } | Self::Store(_) | Self::Runtime(_) => {
                false
            }
        }
    }

    /// What to do about it.
    pub fn fix(&self) -> &'static str {
        match self {
            Self::Data { .. } | Self::Store(_) => {
                "Make the folder writable for this user, or name another with --data."
            }
            Self::Listen { .. } => {
                "Stop what listens there, or name another address with --listen."
            }
            Self::Journal(_) => {
                "See the message; the journal holds records that are not yet shipped."
            }
            Self::Link(_) | Self::Secret => {
                "Set TOWPATH_SECRET_KEY and TOWPATH_LINK_CREDENTIAL to what the control plane has."
            }
            Self::Address { .. } => "Use `unix:/path` or a URL.",
            Self::Table { .. } => {
                "Correct the file; `towpath-gateway validate` judges its entities."
            }
            Self::Roots(_) => "Check `upstream_ca_file`: it must be a file of PEM certificates.",
            Self::AccessLog { .. } => {
                "Make the file that `access_log` names writable for this user, or name another."
            }
            Self::InTheClear(_) => {
                "Give `--tls-cert` and `--tls-key`, or `--insecure` behind a proxy that speaks TLS."
            }
            Self::Tls(_) => {
                "Check `tls_cert_file` and `tls_key_file`: PEM, and made for each other."
            }
            Self::Runtime(_) => "Check the limits of this user (`ulimit -a`).",
        }
    }
}

/// The version of this program and of what it exchanges with others, for whoever replaces it.
pub fn formats() -> serde_json::Value {
    serde_json::json!({
        "version": env!("CARGO_PKG_VERSION"),
        "table": TABLE_VERSION,
        "journal": towpath_journal::FORMAT,
        "records": USAGE_VERSION,
    })
}

/// Serve until SIGTERM or SIGINT, then drain; until SIGUSR1, then answer what is there while another gateway
/// accepts.
///
/// # Errors
/// Something that is needed cannot be had; nothing is served then.
pub fn run(config: &Config) -> Result<(), StartError> {
    let (shared, store, position) = prepare(config)?;
    let socket = listener::open(&config.listen)
        .map_err(|source| StartError::Listen { listen: format!("{:?}", config.listen), source })?;
    let tls = tls(config)?;
    let otlp = config.otlp.as_ref().map(|otlp| {
        let address = address("otlp_endpoint", &otlp.endpoint)?;
        Ok(Exporter::new(otlp, &address, &shared))
    });
    let exporter = otlp.transpose()?;
    let control = config.control.as_deref().map(|text| address("--control", text)).transpose()?;
    let address = socket.local_addr().ok();
    if let Some(address) = address.filter(|it| config.tls.is_none() && !config.reach.allows(it)) {
        return Err(StartError::InTheClear(address));
    }
    shared.egress.own(&own(config, &socket));
    let (stop, stopped) = watch::channel(Ending::Not);
    let shown = socket.local_addr().map_or_else(|_| "?".to_owned(), |address| address.to_string());
    let threads = threads(&shared, socket, &stopped, &tls)?;
    log::event(
        Level::Info,
        "gateway.started",
        &[
            ("address", &shown),
            ("gateway_id", &shared.gateway_id),
            ("workers", &listener::worker_count(&shared.limits)),
            ("revision", &shared.live.load().table.revision()),
        ],
    );
    if config.standby.is_none() {
        shared.announcer.say("ready");
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(StartError::Runtime)?;
    let local = LocalSet::new();
    let (probing, exporting) = (tls.clone(), tls.clone());
    let served = local.block_on(&runtime, async {
        let link = match (control, &config.link_credential) {
            (Some(address), Some(credential)) => {
                let link = Link::new(&shared, pool(&shared, tls), address, credential);
                Some(link.map_err(StartError::Link)?)
            }
            _ => None,
        };
        let exporting = exporter.map(|exporter| {
            let pool = pool(&shared, exporting);
            tokio::task::spawn_local(exporter.run(Arc::clone(&shared), pool))
        });
        let probing = pool(&shared, probing);
        let served =
            serve(&shared, link, (store, position), probing, stop, threads, config.standby).await;
        if let Some(exporting) = exporting {
            shared.telemetry.close();
            let _ = tokio::time::timeout(LAST_SPANS, exporting).await;
            shared.telemetry.tell_all(&shared.metrics);
        }
        served
    });
    served?;
    log::event(Level::Info, "gateway.stopped", &[]);
    Ok(())
}

/// How long the end of the process waits for the last spans to be taken.
const LAST_SPANS: Duration = Duration::from_secs(2);

type Thread = thread::JoinHandle<io::Result<()>>;

/// The threads that serve callers.
struct Threads {
    accept: Thread,
    workers: Vec<Thread>,
}

/// Start the workers, and the thread that hands them connections.
fn threads(
    shared: &Arc<Shared>,
    socket: TcpListener,
    stopped: &watch::Receiver<Ending>,
    tls: &Tls,
) -> Result<Threads, StartError> {
    let mut workers = Vec::new();
    let mut seats = Vec::new();
    for index in 0..listener::worker_count(&shared.limits) {
        let (seat, desk) = listener::seat();
        seats.push(seat);
        let (shared, stopped, tls) = (Arc::clone(shared), stopped.clone(), tls.clone());
        let work = move || {
            let pool = {
                let shared = Arc::clone(&shared);
                move || pool(&shared, tls)
            };
            listener::work(shared, desk, stopped, pool)
        };
        let spawned = thread::Builder::new().name(format!("worker-{index}")).spawn(work);
        workers.push(spawned.map_err(StartError::Runtime)?);
    }
    let (shared, stopped) = (Arc::clone(shared), stopped.clone());
    let accept = move || listener::accept(&shared, socket, &seats, stopped);
    let spawned = thread::Builder::new().name("accept".to_owned()).spawn(accept);
    Ok(Threads { accept: spawned.map_err(StartError::Runtime)?, workers })
}

async fn serve(
    shared: &Arc<Shared>,
    link: Option<Link>,
    (store, position): (Store, Position),
    probing: Pool,
    stop: watch::Sender<Ending>,
    threads: Threads,
    standby: Option<i32>,
) -> Result<(), StartError> {
    let mut signals = Signals::new().map_err(StartError::Runtime)?;
    let stopped = stop.subscribe();
    let mut hangup = signal(SignalKind::hangup()).map_err(StartError::Runtime)?;
    let reloading = async {
        while hangup.recv().await.is_some() {
            if let Some(door) = &shared.door {
                door.reload();
            }
        }
    };
    let revoked_here = store.revoked_here_path();
    let linked = async {
        match &link {
            Some(link) => link::run(shared, link, store, position, stopped).await,
            None => std::future::pending().await,
        }
    };
    let standing_by = async {
        if let Some(descriptor) = standby {
            // It is the supervisor's own descriptor: without it, this gateway never accepts, and is ended.
            if let Err(error) = role::stand_by(shared, descriptor, link.is_some()).await {
                log::event(Level::Error, "standby.failed", &[("cause", &error)]);
            }
        }
        std::future::pending::<()>().await;
    };
    let beside = async {
        tokio::select! {
            () = linked => {}
            () = housekeeping(shared) => {}
            () = prober::run(shared, probing) => {}
            () = reloading => {}
            () = revocations(shared, revoked_here) => {}
            () = standing_by => {}
        }
    };
    tokio::pin!(beside);
    let mut how = tokio::select! {
        how = signals.ending() => how,
        () = &mut beside => Ending::Stop,
    };
    log::event(Level::Info, "gateway.draining", &[("in_flight", &shared.calls.in_flight())]);
    // What is asked on connections from before is served as ever while another one takes over: it is ready.
    if how == Ending::HandOver {
        shared.role.send_replace(Role::Leaving);
    }
    shared.draining.store(how == Ending::Stop, Ordering::Relaxed);
    let _ = stop.send(how);
    let joining = join(shared, threads);
    tokio::pin!(joining);
    // While calls go on after another gateway has taken over, records are shipped and keys revoked as ever.
    while how == Ending::HandOver {
        tokio::select! {
            () = &mut joining => break,
            () = &mut beside => how = Ending::Stop,
            next = signals.ending() => how = next,
        }
        let _ = stop.send(how);
    }
    if how == Ending::Stop {
        shared.draining.store(true, Ordering::Relaxed);
        joining.await;
    }
    shared.refusals.flush(&shared.journal, &shared.metrics, i64::MAX);
    if *shared.role.borrow() == Role::Serving {
        shared.contact.close();
    }
    shared.access.close();
    // Only what is on disk is shipped.
    if let Err(error) = shared.journal.flush() {
        log::event(Level::Error, "journal.not_synced", &[("cause", &error)]);
    }
    if let Some(link) = &link {
        link::finish(shared, link).await;
    }
    Ok(())
}

/// Wait until every thread has ended; say when nothing is accepted any more.
async fn join(shared: &Shared, threads: Threads) {
    let ended = |thread: Thread| match thread.join() {
        Ok(Ok(())) => {}
        Ok(Err(error)) => log::event(Level::Error, "worker.failed", &[("cause", &error)]),
        Err(_) => log::event(Level::Error, "worker.failed", &[("cause", &"it panicked")]),
    };
    let Threads { accept, workers } = threads;
    let _ = tokio::task::spawn_blocking(move || ended(accept)).await;
    shared.announcer.say("leaving");
    let _ = tokio::task::spawn_blocking(move || workers.into_iter().for_each(ended)).await;
}

/// What ends the process from outside.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hand_over: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hand_over: signal(SignalKind::user_defined1())?,
        })
    }

    /// Wait for the next of them.
    async fn ending(&mut self) -> Ending {
        tokio::select! {
            _ = self.terminate.recv() => Ending::Stop,
            _ = self.interrupt.recv() => Ending::Stop,
            _ = self.hand_over.recv() => Ending::HandOver,
        }
    }
}

/// What is due every second, whoever calls.
async fn housekeeping(shared: &Shared) {
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    loop {
        tick.tick().await;
        shared.refusals.flush(&shared.journal, &shared.metrics, clock::now_ms());
        if let Some(door) = &shared.door {
            door.refresh();
        }
        shared.telemetry.tell(&shared.metrics);
        let serves = *shared.role.borrow() == Role::Serving;
        if serves && let Err(error) = shared.contact.keep() {
            log::event(Level::Error, "table.not_stored", &[("cause", &error)]);
        }
    }
}

/// How often the folder is asked for revocations: they hold within a second of the command's end.
const LOOK_FOR_REVOCATIONS: Duration = Duration::from_millis(250);

/// Take revocations of this gateway's own as they are written.
async fn revocations(shared: &Shared, path: PathBuf) {
    let mut tick = tokio::time::interval(LOOK_FOR_REVOCATIONS);
    let mut seen = 0;
    loop {
        tick.tick().await;
        match Store::revoked_here(&path, &mut seen) {
            Ok(revocations) => link::revoke_here(shared, &revocations),
            Err(error) => log::event(Level::Error, "keys.not_revoked", &[("cause", &error)]),
        }
    }
}

fn prepare(config: &Config) -> Result<(Arc<Shared>, Store, Position), StartError> {
    let secrets = Secrets::new(config.secret_key.reveal()).ok_or(StartError::Secret)?;
    let in_data = |source| StartError::Data { path: config.data.clone(), source };
    let limits = config.limits.clone();
    let mut place = Place::at(&config.data, &limits).map_err(in_data)?;
    let journal = place.open(config.standby.is_some()).map_err(StartError::Journal)?;
    let gateway_id = place.gateway_id();
    let recovered = journal.status().recovered;
    if recovered.lost > 0 {
        log::event(Level::Warning, "journal.recovered", &[("gateway_lost", &recovered.lost)]);
    }
    let mut store = Store::open(config.data.join("table")).map_err(StartError::Store)?;
    let (live, position) = match &config.table {
        Some(path) => (given(path, &secrets)?, Position::default()),
        None => link::restore(&mut store, &secrets).map_err(StartError::Store)?,
    };
    let access = config.texts.access_log.as_deref();
    let access = AccessLog::open(access, limits.access_log_max_bytes);
    let handshake = Duration::from_millis(limits.tls_handshake_ms);
    let door = config.tls.clone().map(|files| Door::open(files, handshake)).transpose();
    let budgets = config.data.join("budgets.jsonl");
    let budgets = link::Budgets::open(budgets, &gateway_id).map_err(in_data)?;
    budgets.restore(&live.table, &journal);
    let api = config.api.as_deref().map(|text| address("--api", text)).transpose()?;
    let egress = Egress::default();
    egress.allow(&live.egress_allow());
    let shared = Shared {
        gateway_id,
        place,
        role: watch::Sender::new(match config.standby {
            Some(_) => Role::Standby,
            None => Role::Serving,
        }),
        announcer: Announcer::open(config.announce).map_err(StartError::Runtime)?,
        live: ArcSwap::from_pointee(live),
        egress,
        table_changed: watch::Sender::new(0),
        wake: Notify::new(),
        door: door.map_err(StartError::Tls)?,
        journal,
        refusals: Refusals::default(),
        calls: Arc::new(Calls::new(limits.max_in_flight)),
        admission: Admission::default(),
        budgets,
        memory: Arc::new(BodyMemory::new(limits.body_memory_bytes)),
        bodies: Bodies::default(),
        metrics: Metrics::default(),
        secrets,
        api,
        draining: AtomicBool::new(false),
        table_refusal: Mutex::default(),
        throttle: Throttle::default(),
        telemetry: Telemetry::new(config.otlp.as_ref(), limits.otlp_memory_bytes),
        access: access.map_err(|source| StartError::AccessLog { source })?,
        cache: Cache::new(limits.cache_max_bytes),
        shadows: Shadows::default(),
        contact: match config.table {
            Some(_) => Contact::default(),
            None => Contact::of(&config.data.join("table")),
        },
        limits,
    };
    Ok((Arc::new(shared), store, position))
}

/// A table that was written by hand or by a tool.
fn given(path: &Path, secrets: &Secrets) -> Result<Live, StartError> {
    let refused = |reason: String| StartError::Table { path: path.to_owned(), reason };
    let text = fs::read(path).map_err(|error| refused(error.to_string()))?;
    let snapshot: Snapshot =
        serde_json::from_slice(&text).map_err(|error| refused(error.to_string()))?;
    let table =
        Table::default().apply_snapshot(&snapshot).map_err(|error| refused(error.reason))?;
    Ok(Live::new(table, &Live::default(), secrets))
}

/// Where the platform itself listens, as far as this gateway knows: no URL may lead there.
fn own(config: &Config, socket: &TcpListener) -> Vec<Own> {
    let here = socket.local_addr().ok().map(Own::Here);
    let parts = [&config.control, &config.api].into_iter().flatten();
    let there = parts.filter_map(|text| {
        let (host, port) = Address::parse(text, "").ok()?.host_and_port()?;
        Some(Own::There { host, port })
    });
    here.into_iter().chain(there).collect()
}

fn address(option: &'static str, text: &str) -> Result<Address, StartError> {
    Address::parse(text, "")
        .map_err(|error| StartError::Address { option, message: error.to_string() })
}

fn tls(config: &Config) -> Result<Tls, StartError> {
    let roots = config.texts.upstream_ca_file.as_ref();
    let roots = roots.map_or(Roots::Native, |path| Roots::File(path.into()));
    Tls::load(&roots).map_err(|error| StartError::Roots(error.to_string()))
}

fn pool(shared: &Shared, tls: Tls) -> Pool {
    let limits = &shared.limits;
    Pool::new(Settings {
        idle: Duration::from_millis(limits.upstream_idle_ms),
        max_idle_per_address: usize::try_from(limits.upstream_max_idle).unwrap_or(usize::MAX),
        tls,
        egress: shared.egress.clone(),
    })
}
