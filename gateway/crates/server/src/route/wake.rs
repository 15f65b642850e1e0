//! Waking what sleeps: a signal at once, and a bounded wait until the table brings replicas.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use towpath_wire::routing::ColdStart;

use crate::account::Account;
use crate::clock;
use crate::errors::{Code, Refusal};
use crate::fleet::TargetState;
use crate::live::{EndpointState, Live, ReadyTarget};
use crate::relay::{Failure, Job};
use crate::shared::Shared;

/// Longest `Retry-After` that client libraries honour.
const MOST_RETRY_AFTER_S: u32 = 120;

/// A call would have gone to this target, were it awake; another one has it.
pub fn want(shared: &Shared, ready: &ReadyTarget) {
    if ready.state.want() {
        shared.wake.notify_one();
    }
}

/// One call that waits, counted until it is dropped.
struct Waiting {
    target: Arc<TargetState>,
    endpoint: Option<Arc<EndpointState>>,
    /// Nobody waited before.
    first: bool,
}

impl Waiting {
    /// Join those who wait, if there is room.
    fn begin(
        ready: &ReadyTarget,
        endpoint: Option<Arc<EndpointState>>,
        most: u32,
    ) -> Result<Self, u32> {
        let before = ready.state.waiting.fetch_add(1, Ordering::Relaxed);
        if let Some(endpoint) = &endpoint {
            endpoint.waiting.fetch_add(1, Ordering::Relaxed);
        }
        let target = Arc::clone(&ready.state);
        let waiting = Self { target, endpoint, first: before == 0 };
        if before < most { Ok(waiting) } else { Err(before) }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.target.waiting.fetch_sub(1, Ordering::Relaxed);
        if let Some(endpoint) = &self.endpoint {
            endpoint.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Wait until a table brings the target a replica; the exchange goes on with that table.
///
/// # Errors
/// Too many wait already, or the wait is over, or the target is gone.
pub async fn wait(
    account: &mut Account,
    job: &Job,
    ready: &Arc<ReadyTarget>,
) -> Result<(), Failure> {
    let rules = ready.target.spec.cold_start.unwrap_or_default();
    let shared = Arc::clone(&account.exchange.worker.shared);
    // Enrolled before the first look, so that no table between the two is missed.
    let mut changed = shared.table_changed.subscribe();
    let load = account.exchange.live.endpoint(&job.endpoint.id);
    let load = load.map(|endpoint| Arc::clone(&endpoint.state));
    let waiting = match Waiting::begin(ready, load, rules.max_queued) {
        Ok(waiting) => waiting,
        Err(others) => {
            let how = format!("is being woken, and {others} calls wait for it already");
            return Err(Failure::waited(over(ready, &rules, &how)));
        }
    };
    // Those who join are told of by the signals of every second.
    if waiting.first {
        shared.wake.notify_one();
    }
    let start = Instant::now();
    let left = account.exchange.left(job.endpoint.spec.timeouts.total_ms);
    let patience = Duration::from_millis(rules.max_wait_ms.into()).min(left);
    let woken = tokio::time::timeout(patience, async {
        loop {
            let live = shared.live.load_full();
            match live.target(&ready.target.id) {
                Some(now) if !now.replicas.is_empty() => return Some(live),
                Some(now) if now.asleep() => {}
                Some(_) | None => return None,
            }
            if changed.changed().await.is_err() {
                return None;
            }
        }
    });
    let woken: Result<Option<Arc<Live>>, _> = job.early.during(woken, &rules).await;
    drop(waiting);
    account.waited_since(start);
    let waited_ms = clock::ms(start.elapsed());
    let before_ms = account.progress.cold_start_ms.unwrap_or(0);
    account.progress.cold_start_ms = Some(before_ms.saturating_add(waited_ms));
    let how = match woken {
        Ok(Some(live)) => {
            account.exchange.live = live;
            return Ok(());
        }
        Ok(None) => "was taken away while it was woken".to_owned(),
        Err(_) => format!("was not awake after {waited_ms} ms"),
    };
    Err(Failure::waited(over(ready, &rules, &how)))
}

/// The wait is over: when to come back.
fn over(ready: &ReadyTarget, rules: &ColdStart, how: &str) -> Refusal {
    let estimate_ms = rules.estimate_ms.unwrap_or(rules.max_wait_ms);
    let seconds = estimate_ms.div_ceil(1_000).clamp(1, MOST_RETRY_AFTER_S);
    let detail = format!("`{}` {how}.", ready.target.spec.name);
    let mut refusal = Refusal::new(Code::ModelWaking, detail);
    refusal.retry_after_s = Some(seconds);
    refusal
}
