//! The table in force with all that requests need made ready beforehand: addresses, paths, headers.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use towpath_dialect::{BytesPerToken, Quirks};
use towpath_policy::{GpuClock, Id, IdMap, IpNet, RetryBudget, Table, Target, replica_tag};
use towpath_upstream::{Address, Tls, path_segment};
use towpath_wire::routing::{Credential, Dialect, Retries, TargetKind};

use crate::clock;
use crate::evidence::Part;
use crate::fleet::{ReplicaState, TargetState};
use crate::secrets::Secrets;

/// One table, ready to serve.
#[derive(Default)]
pub struct Live {
    pub table: Table,
    targets: IdMap<Arc<ReadyTarget>>,
    endpoints: IdMap<Arc<ReadyEndpoint>>,
    /// What keeps targets from being used, for the log and `/readyz`.
    pub problems: Vec<String>,
}

/// A target with its connections' details.
#[derive(Debug)]
pub struct ReadyTarget {
    pub target: Arc<Target>,
    pub replicas: Vec<ReadyReplica>,
    /// Replicas of former tables that may still have calls.
    pub leaving: Vec<Leaving>,
    /// `POST` path of a V2 inference.
    pub infer_path: String,
    /// What callers are told of it.
    pub shown: Vec<(HeaderName, HeaderValue)>,
    pub bytes_per_token: Arc<BytesPerToken>,
    pub gpu_clock: Arc<GpuClock>,
    pub quirks: Quirks,
    pub state: Arc<TargetState>,
    pub part: Part,
    credentials: Vec<Arc<Credential>>,
}

/// A replica that gets no new calls: whoever ends it wants to know when its last one is over.
#[derive(Clone, Debug)]
pub struct Leaving {
    pub id: Id,
    pub state: Arc<ReplicaState>,
    since: Instant,
}

/// How long a call that was routed by a former table may take to begin.
const LEAVES_WITHIN: Duration = Duration::from_secs(10);

impl Leaving {
    /// Those of the former table, and what this one has not any more.
    fn of(former: &ReadyTarget, now: &[ReadyReplica]) -> Vec<Self> {
        let gone = former.replicas.iter().map(|replica| Self {
            id: Id::clone(&replica.id),
            state: Arc::clone(&replica.state),
            since: Instant::now(),
        });
        let stays = |one: &Self| now.iter().any(|replica| Arc::ptr_eq(&replica.state, &one.state));
        let over = |one: &Self| one.state.in_flight() == 0 && one.since.elapsed() > LEAVES_WITHIN;
        let known = former.leaving.iter().filter(|&one| !over(one)).cloned();
        known.chain(gone).filter(|one| !stays(one)).collect()
    }
}

/// One listening server.
#[derive(Debug)]
pub struct ReadyReplica {
    pub id: Id,
    pub address: Address,
    /// Content type and credential.
    pub headers: HeaderMap,
    /// As prefix affinity knows it.
    pub tag: u64,
    /// Where its probe is asked, if it is probed.
    pub probe: Option<Address>,
    pub state: Arc<ReplicaState>,
}

/// An endpoint's name as a header, and its load.
#[derive(Debug)]
pub struct ReadyEndpoint {
    pub name: HeaderValue,
    pub state: Arc<EndpointState>,
}

/// Load of one endpoint; survives changes of the table.
#[derive(Debug, Default)]
pub struct EndpointState {
    pub in_flight: AtomicU32,
    /// Calls that wait for a model to be woken.
    pub waiting: AtomicU32,
    /// Calls that wait for room at one of its targets.
    queued: AtomicU32,
    ended: AtomicU64,
    latency_us: AtomicU64,
    retries: Mutex<Option<RetryBudget>>,
    /// Further attempts that were made at a target that had failed the call before.
    pub retried: AtomicU64,
    /// Further attempts that there was no budget for.
    pub not_retried: AtomicU64,
}

impl EndpointState {
    /// A call is made for the first time: it earns its share of a retry.
    pub fn call(&self, rules: Retries) {
        self.budget(rules, |budget, now_ms| budget.call(rules, now_ms));
    }

    /// Whether a call may be made again at a target that failed it.
    pub fn retry(&self, rules: Retries) -> bool {
        let may = self.budget(rules, |budget, now_ms| budget.retry(rules, now_ms));
        let count = if may { &self.retried } else { &self.not_retried };
        count.fetch_add(1, Ordering::Relaxed);
        may
    }

    fn budget<T>(&self, rules: Retries, with: impl FnOnce(&mut RetryBudget, i64) -> T) -> T {
        let now_ms = clock::steady_ms();
        let mut budget = self.retries.lock().unwrap_or_else(PoisonError::into_inner);
        with(budget.get_or_insert_with(|| RetryBudget::new(rules, now_ms)), now_ms)
    }

    /// A call begins to wait for room at one of its targets.
    pub fn joined_queue(&self) {
        self.queued.fetch_add(1, Ordering::Relaxed);
    }

    /// A call does not wait for room any longer.
    pub fn left_queue(&self) {
        self.queued.fetch_sub(1, Ordering::Relaxed);
    }

    /// Calls that wait for room at one of its targets.
    pub fn queued(&self) -> u32 {
        self.queued.load(Ordering::Relaxed)
    }

    pub fn ended(&self, took: Duration) {
        self.ended.fetch_add(1, Ordering::Relaxed);
        self.latency_us.fetch_add(clock::us(took), Ordering::Relaxed);
    }

    /// Calls that ended since the last time this was asked, and the sum of their latencies.
    pub fn take(&self) -> (u64, u64) {
        (self.ended.swap(0, Ordering::Relaxed), self.latency_us.swap(0, Ordering::Relaxed))
    }
}

impl Live {
    /// Make a table ready, keeping what is learned and prepared for targets that did not change.
    pub fn new(table: Table, former: &Self, secrets: &Secrets) -> Self {
        let same_routes = Arc::ptr_eq(table.routes(), former.table.routes());
        if same_routes && Arc::ptr_eq(table.blocked(), former.table.blocked()) {
            let (targets, endpoints) = (former.targets.clone(), former.endpoints.clone());
            return Self { table, targets, endpoints, problems: former.problems.clone() };
        }
        let mut problems = Vec::new();
        let mut targets = IdMap::default();
        // What is blocked is not there: whatever chooses among targets passes it over.
        let open = |target: &&Arc<Target>| table.blocked().target(&target.spec).is_none();
        let candidates: HashSet<&Id> = table
            .routes()
            .targets()
            .filter_map(|target| Some(&target.candidate.as_ref()?.id))
            .collect();
        for target in table.routes().targets().filter(open) {
            let part = match &target.candidate {
                Some(_) => Part::Stable,
                None if candidates.contains(&target.id) => Part::Candidate,
                None => Part::None,
            };
            // The one that was its candidate: its replicas may be this one's now, or may still have calls.
            let known = former.targets.get(&target.id);
            let beside = known.and_then(|known| known.target.candidate.as_ref());
            let beside = beside.and_then(|candidate| former.targets.get(&candidate.id));
            let credentials = credentials(&table, target);
            let ready = known
                .filter(|former| {
                    Arc::ptr_eq(&former.target, target)
                        && former.credentials.len() == credentials.len()
                        && former
                            .credentials
                            .iter()
                            .zip(&credentials)
                            .all(|(a, b)| Arc::ptr_eq(a, b))
                })
                .filter(|former| former.replicas.len() == target.spec.replicas.len())
                .filter(|former| former.part == part)
                .cloned()
                .unwrap_or_else(|| {
                    let former =
                        Former { same: known.map(Arc::as_ref), candidate: beside.map(Arc::as_ref) };
                    let made = ReadyTarget::new(&table, target, credentials, former, secrets);
                    problems.extend(made.1);
                    let mut ready = ReadyTarget { part, ..made.0 };
                    if let Some(gone) = beside.filter(|it| !candidates.contains(&it.target.id)) {
                        ready.leaving.extend(Leaving::of(gone, &ready.replicas));
                    }
                    Arc::new(ready)
                });
            targets.insert(Arc::clone(&target.id), ready);
        }
        let endpoints = table.routes().endpoints().iter().filter_map(|endpoint| {
            let name = HeaderValue::from_str(&endpoint.spec.name).ok()?;
            let state = former.endpoints.get(&endpoint.id).map(|former| Arc::clone(&former.state));
            let ready = ReadyEndpoint { name, state: state.unwrap_or_default() };
            Some((Arc::clone(&endpoint.id), Arc::new(ready)))
        });
        let endpoints = endpoints.collect();
        Self { table, targets, endpoints, problems }
    }

    /// Networks that upstreams given by URL may be in, whatever else forbids it.
    pub fn egress_allow(&self) -> Vec<IpNet> {
        let listed = self.table.platform().into_iter().flat_map(|it| &it.egress_allow);
        listed.filter_map(|network| towpath_policy::network(network)).collect()
    }

    pub fn target(&self, id: &str) -> Option<&Arc<ReadyTarget>> {
        self.targets.get(id)
    }

    pub fn endpoint(&self, id: &str) -> Option<&Arc<ReadyEndpoint>> {
        self.endpoints.get(id)
    }

    pub fn targets(&self) -> impl Iterator<Item = &Arc<ReadyTarget>> {
        self.targets.values()
    }

    pub fn endpoints(&self) -> impl Iterator<Item = (&Id, &Arc<ReadyEndpoint>)> {
        self.endpoints.iter()
    }
}

/// Every credential a target uses, in a fixed order.
fn credentials(table: &Table, target: &Target) -> Vec<Arc<Credential>> {
    let own = target.spec.credential.iter();
    let ids = own.chain(target.spec.replicas.iter().filter_map(|r| r.credential.as_ref()));
    ids.filter_map(|id| table.credential(id).cloned()).collect()
}

/// What a target was in the former table.
#[derive(Clone, Copy)]
struct Former<'f> {
    same: Option<&'f ReadyTarget>,
    candidate: Option<&'f ReadyTarget>,
}

impl ReadyTarget {
    /// Nothing listens, and a signal changes that.
    pub fn asleep(&self) -> bool {
        self.target.spec.cold_start.is_some() && self.target.spec.replicas.is_empty()
    }

    fn new(
        table: &Table,
        target: &Arc<Target>,
        credentials: Vec<Arc<Credential>>,
        Former { same: former, candidate }: Former<'_>,
        secrets: &Secrets,
    ) -> (Self, Vec<String>) {
        let spec = &target.spec;
        let unix_prefix = match spec.dialect {
            Dialect::Openai => "/v1",
            Dialect::Anthropic | Dialect::KserveV2 | Dialect::KserveGrpc => "",
        };
        let mut problems = Vec::new();
        let authorities = spec.ca_pem.as_deref().map(Tls::from_pem).transpose();
        let authorities = authorities.unwrap_or_else(|error| {
            problems.push(format!("target `{}`: {error}", spec.name));
            None
        });
        let trusted = spec.ca_pem.is_none() || authorities.is_some();
        let mut replicas = Vec::with_capacity(spec.replicas.len());
        // Without the authorities that alone may vouch for it, nothing is sent.
        for replica in spec.replicas.iter().filter(|_| trusted) {
            let name = &spec.name;
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            let id = replica.credential.as_ref().or(spec.credential.as_ref());
            let sealed = id.and_then(|id| Some((id, table.credential(id)?)));
            match sealed.map(|(id, credential)| secrets.open(id, credential)) {
                None => {}
                Some(Ok((name, value))) => {
                    headers.insert(name, value);
                }
                Some(Err(error)) => {
                    problems.push(format!("the credential of target `{name}` {error}"));
                    continue;
                }
            }
            for (name, value) in &spec.headers {
                match (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
                    (Ok(name), Ok(value)) => {
                        headers.entry(name).or_insert(value);
                    }
                    _ => problems.push(format!("target `{}`: `{name}` is no header", spec.name)),
                }
            }
            match Address::parse(&replica.address, unix_prefix) {
                Ok(mut address) => {
                    if spec.kind != TargetKind::Deployment {
                        address = address.checked();
                    }
                    if let Some(authorities) = &authorities {
                        address = address.trusting(authorities);
                    }
                    let id = Id::from(replica.id.as_str());
                    let same =
                        |former: &&ReadyReplica| former.id == id && former.address == address;
                    let mut before = former.into_iter().chain(candidate);
                    let state = before.find_map(|known| known.replicas.iter().find(same));
                    let state = state.map(|former| Arc::clone(&former.state)).unwrap_or_default();
                    let probe = spec.probe.as_ref().map(|_| address.root());
                    if probe.is_none() {
                        state.unprobed();
                    }
                    let tag = replica_tag(&id);
                    replicas.push(ReadyReplica { id, address, headers, tag, probe, state });
                }
                Err(error) => problems.push(format!("target `{name}`: {error}")),
            }
        }
        let infer_path = format!("/v2/models/{}/infer", path_segment(&spec.upstream_model));
        let target = Arc::clone(target);
        let shown = shown(&target);
        let bytes_per_token = former.map(|former| Arc::clone(&former.bytes_per_token));
        let made = Self {
            target: Arc::clone(&target),
            leaving: former.map(|former| Leaving::of(former, &replicas)).unwrap_or_default(),
            replicas,
            infer_path,
            shown,
            bytes_per_token: bytes_per_token.unwrap_or_default(),
            gpu_clock: former.map(|former| Arc::clone(&former.gpu_clock)).unwrap_or_default(),
            quirks: Quirks::of(&target.spec.quirks),
            state: former.map(|former| Arc::clone(&former.state)).unwrap_or_default(),
            part: Part::None,
            credentials,
        };
        (made, problems)
    }
}

/// What answered, as far as every caller may know it.
fn shown(target: &Target) -> Vec<(HeaderName, HeaderValue)> {
    let mut shown = Vec::new();
    let mut show = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            shown.push((HeaderName::from_static(name), value));
        }
    };
    show("x-towpath-target", &target.spec.name);
    if let Some(model) = &target.spec.model {
        show("x-towpath-model", &model.name);
        show("x-towpath-model-version", &model.version.to_string());
        show("x-towpath-model-digest", &model.digest);
    }
    shown
}
