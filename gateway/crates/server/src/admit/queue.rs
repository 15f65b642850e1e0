//! Waiting for room at a target that takes so many calls at a time.
//!
//! Who goes first is the policy's (`towpath_policy::FairQueue`); here are the waits themselves. A target
//! without `max_concurrency` costs one comparison, one with room a short lock.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use towpath_policy::{Asker, Entered, FairQueue, Id};

use crate::account::Account;
use crate::clock;
use crate::errors::{Code, Refusal};
use crate::live::{EndpointState, Live, ReadyTarget};
use crate::relay::{Failure, Job, foreseen};

/// Longest `Retry-After` that client libraries honour.
const MOST_RETRY_AFTER_MS: u64 = 120_000;

/// What a waiting call is told.
#[derive(Debug)]
enum Told {
    Turn(Permit),
    /// Its place went to somebody whose team has fewer, or to a more urgent call of its own team.
    Displaced,
}

/// Calls at one target and calls that wait for it. One per process, shared by its workers.
#[derive(Debug, Default)]
pub struct Room {
    queue: Mutex<FairQueue<oneshot::Sender<Told>>>,
}

/// Room for one call at a target; given back when dropped.
#[derive(Debug)]
pub struct Permit {
    room: Arc<Room>,
}

impl Room {
    fn lock(&self) -> MutexGuard<'_, FairQueue<oneshot::Sender<Told>>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls that wait.
    pub fn queued(&self) -> u32 {
        self.lock().queued()
    }

    /// Change something, and let those go whose turn it is now.
    fn change<R>(
        self: &Arc<Self>,
        change: impl FnOnce(&mut FairQueue<oneshot::Sender<Told>>) -> R,
    ) -> R {
        let mut queue = self.lock();
        let result = change(&mut queue);
        let turns: Vec<_> = std::iter::from_fn(|| queue.turn()).collect();
        drop(queue);
        for turn in turns {
            // Who has left meanwhile gives it back by not taking it.
            let _ = turn.send(Told::Turn(self.permit()));
        }
        result
    }

    fn permit(self: &Arc<Self>) -> Permit {
        Permit { room: Arc::clone(self) }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.room.change(FairQueue::release);
    }
}

/// A place among those who wait; left when dropped.
struct Place {
    room: Arc<Room>,
    ticket: u64,
    endpoint: Option<Arc<EndpointState>>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.room.lock().leave(self.ticket);
        if let Some(endpoint) = &self.endpoint {
            endpoint.left_queue();
        }
    }
}

/// Calls that this gateway may have at a target: its part of what the replicas take; `None`: any number.
fn capacity(ready: &ReadyTarget, gateways: u32) -> Option<u32> {
    let each = ready.target.spec.max_concurrency?;
    let now_ms = clock::steady_ms();
    let available = ready.replicas.iter().filter(|replica| replica.state.available(now_ms)).count();
    // Where none is as it should be all are asked the same.
    let replicas = if available == 0 { ready.replicas.len() } else { available };
    let all = each.saturating_mul(u32::try_from(replicas).unwrap_or(u32::MAX));
    Some((all / gateways.max(1)).max(1))
}

/// A new table: replicas that came or bounds that were raised let those go who wait.
pub fn refit(live: &Live, gateways: u32) {
    for ready in live.targets() {
        let capacity = capacity(ready, gateways).unwrap_or(u32::MAX);
        ready.state.room.change(|queue| queue.resize(capacity));
    }
}

/// Have room at the target, waiting for it if need be; whether that took a wait.
///
/// The account holds it until the call is over or goes elsewhere.
///
/// # Errors
/// No place to wait was left, or there was no room in time.
pub async fn enter(
    account: &mut Account,
    job: &Job,
    ready: &Arc<ReadyTarget>,
) -> Result<bool, Failure> {
    let room = &ready.state.room;
    if account.permit.as_ref().is_some_and(|permit| Arc::ptr_eq(&permit.room, room)) {
        return Ok(false);
    }
    account.permit = None;
    let gateways = account.exchange.worker.shared.admission.gateways();
    let Some(capacity) = capacity(ready, gateways) else { return Ok(false) };
    if foreseen(job, ready).is_some() {
        // It is refused before it is sent, and does not wait to be told so.
        return Ok(false);
    }
    let free = room.change(|queue| {
        queue.resize(capacity);
        queue.take()
    });
    if free {
        account.permit = Some(room.permit());
        return Ok(false);
    }
    // Boxed: it is rare, and its size would be every call's.
    Box::pin(wait(account, job, ready, gateways)).await.map(|()| true)
}

async fn wait(
    account: &mut Account,
    job: &Job,
    ready: &Arc<ReadyTarget>,
    gateways: u32,
) -> Result<(), Failure> {
    let (exchange, room) = (&account.exchange, &ready.state.room);
    let rules = ready.target.spec.queue;
    let team = exchange.team.clone().unwrap_or_else(|| Id::from(""));
    let weight = exchange.live.table.team(&team).map_or(1, |team| team.weight);
    let asker = Asker { team: &team, weight, priority: exchange.priority };
    let most = rules.max_queued.div_ceil(gateways.max(1));
    let (tell, told) = oneshot::channel();
    let entered = room.change(|queue| queue.enter(asker, most, clock::steady_ms(), tell));
    let ticket = match entered {
        Entered::Now => {
            account.permit = Some(room.permit());
            return Ok(());
        }
        Entered::Waits { ticket, displaced } => {
            if let Some(displaced) = displaced {
                // Who has left meanwhile need not know.
                let _ = displaced.send(Told::Displaced);
            }
            ticket
        }
        Entered::Refused => return Err(full(ready)),
    };
    let endpoint = exchange.live.endpoint(&job.endpoint.id).map(|ready| Arc::clone(&ready.state));
    if let Some(endpoint) = &endpoint {
        endpoint.joined_queue();
    }
    let place = Place { room: Arc::clone(room), ticket, endpoint };
    let start = Instant::now();
    let left = exchange.left(job.endpoint.spec.timeouts.total_ms);
    let patience = Duration::from_millis(rules.max_wait_ms.into()).min(left);
    let told = tokio::time::timeout(patience, told).await;
    drop(place);
    account.waited_since(start);
    let waited_ms = clock::ms(start.elapsed());
    let before_ms = account.progress.queue_ms.unwrap_or(0);
    account.progress.queue_ms = Some(before_ms.saturating_add(waited_ms));
    match told {
        Ok(Ok(Told::Turn(permit))) => {
            account.permit = Some(permit);
            // Replicas may have come and gone meanwhile.
            account.exchange.live = account.exchange.worker.shared.live.load_full();
            Ok(())
        }
        Ok(Ok(Told::Displaced)) => Err(full(ready)),
        Ok(Err(_)) | Err(_) => {
            let name = &ready.target.spec.name;
            let detail = format!("`{name}` had no room for the call within {waited_ms} ms.");
            let mut refusal = Refusal::new(Code::QueueTimeout, detail);
            refusal.retry_after_s = Some(retry_after_s(waited_ms));
            Err(Failure::waited(refusal))
        }
    }
}

/// The team has its part of the places.
fn full(ready: &ReadyTarget) -> Failure {
    let (queued, wait_ms) = {
        let queue = ready.state.room.lock();
        (queue.queued(), queue.wait_ms(clock::steady_ms()))
    };
    let detail = format!(
        "`{}` is busy, and your team has its part of the {queued} calls that may wait for it.",
        ready.target.spec.name
    );
    let mut refusal = Refusal::new(Code::QueueFull, detail);
    refusal.retry_after_s = Some(retry_after_s(wait_ms));
    Failure::unfit(refusal)
}

/// When to come back: after about as long as others wait now.
fn retry_after_s(wait_ms: u64) -> u32 {
    let seconds = wait_ms.clamp(1, MOST_RETRY_AFTER_MS).div_ceil(1_000);
    u32::try_from(seconds).unwrap_or(1)
}
