//! What all workers of the process share, and what each worker has to itself.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use tokio::sync::{Notify, watch};
use towpath_journal::Journal;
use towpath_policy::{FastHash, Id, Routes};
use towpath_upstream::{Address, Egress, Pool};
use towpath_wire::link::Refusal as TableRefusal;
use towpath_wire::routing::Operation;

use crate::access::AccessLog;
use crate::account::Refusals;
use crate::admit::{Admission, BodyMemory, Calls};
use crate::bodies::Bodies;
use crate::cache::Cache;
use crate::config::Limits;
use crate::contact::Contact;
use crate::link::Budgets;
use crate::live::Live;
use crate::log::Throttle;
use crate::metrics::{Labels, Metrics, Series};
use crate::place::Place;
use crate::role::{Announcer, Ending, Role};
use crate::secrets::Secrets;
use crate::shadow::Shadows;
use crate::telemetry::Telemetry;
use crate::tls::Door;

/// One per process.
pub struct Shared {
    pub gateway_id: String,
    pub place: Place,
    pub role: watch::Sender<Role>,
    pub announcer: Announcer,
    pub limits: Limits,
    pub live: ArcSwap<Live>,
    pub egress: Egress,
    /// Counts the tables that were put into `live`, for those who wait for one.
    pub table_changed: watch::Sender<u64>,
    /// Somebody waits for a model to be woken, or a candidate keeps failing: a signal is due now.
    pub wake: Notify,
    /// Absent: callers speak plain HTTP.
    pub door: Option<Door>,
    pub journal: Journal,
    pub refusals: Refusals,
    pub calls: Arc<Calls>,
    pub admission: Admission,
    pub budgets: Budgets,
    pub memory: Arc<BodyMemory>,
    pub bodies: Bodies,
    pub metrics: Metrics,
    pub secrets: Secrets,
    pub api: Option<Address>,
    /// Set when the platform stops; readiness says so.
    pub draining: AtomicBool,
    /// The last table that was refused.
    pub table_refusal: Mutex<Option<TableRefusal>>,
    pub throttle: Throttle,
    pub contact: Contact,
    pub access: AccessLog,
    pub telemetry: Telemetry,
    pub cache: Cache,
    pub shadows: Shadows,
}

/// One per worker thread.
pub struct Worker {
    pub shared: Arc<Shared>,
    pub pool: Pool,
    /// Whether and how the process ends.
    pub stop: watch::Receiver<Ending>,
    random: RefCell<fastrand::Rng>,
    /// With the routes that the names in it are from.
    series: RefCell<(Arc<Routes>, KnownSeries)>,
}

type KnownSeries = HashMap<SeriesKey, Arc<Series>, FastHash>;

/// A series by ids, so that names are looked up only for its first request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SeriesKey {
    pub team: Option<Id>,
    pub endpoint: Option<Id>,
    pub target: Option<Id>,
    pub operation: Operation,
    pub class: u8,
}

/// Most series a worker remembers; beyond it, it starts afresh at the price of one lock each.
const MAX_REMEMBERED: usize = 10_000;

impl Worker {
    pub fn new(shared: Arc<Shared>, pool: Pool, stop: watch::Receiver<Ending>) -> Self {
        Self {
            shared,
            pool,
            stop,
            random: RefCell::new(fastrand::Rng::new()),
            series: RefCell::default(),
        }
    }

    /// Chance for ids and target choice; nothing secret is made of it.
    pub fn random(&self) -> u64 {
        self.random.borrow_mut().u64(..)
    }

    pub fn random_wide(&self) -> u128 {
        self.random.borrow_mut().u128(..)
    }

    /// The series of these ids, without a lock after the first time.
    pub fn series(&self, live: &Live, key: SeriesKey) -> Arc<Series> {
        let (routes, known) = &mut *self.series.borrow_mut();
        if !Arc::ptr_eq(routes, live.table.routes()) || known.len() >= MAX_REMEMBERED {
            *routes = Arc::clone(live.table.routes());
            known.clear();
        }
        if let Some(series) = known.get(&key) {
            return Arc::clone(series);
        }
        let team = key.team.as_deref().and_then(|id| live.table.team(id));
        let endpoint = key.endpoint.as_deref().and_then(|id| live.table.routes().endpoint(id));
        let target = key.target.as_deref().and_then(|id| live.target(id));
        let series = self.shared.metrics.series(&Labels {
            team: Id::from(team.map_or("", |team| team.name.as_str())),
            endpoint: Id::from(endpoint.map_or("", |endpoint| endpoint.spec.name.as_str())),
            target: Id::from(target.map_or("", |ready| ready.target.spec.name.as_str())),
            operation: key.operation,
            class: key.class,
        });
        known.insert(key, Arc::clone(&series));
        series
    }
}
