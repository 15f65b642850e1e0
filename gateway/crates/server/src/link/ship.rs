//! Usage records and signals, on their way up.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use towpath_journal::Journal;
use towpath_wire::link::{BodyBatch, MAX_USAGE_BATCH, UsageAck, UsageBatch};
use towpath_wire::signals::{
    BudgetSignal, EndpointSignal, LimitSignal, ReplicaSignal, Signals, TargetSignal,
};

use crate::bodies::{Redactors, Shipment};
use crate::clock;
use crate::evidence::Part;
use crate::link::{Backoff, Link, LinkError};
use crate::log::{self, Level};
use crate::role::Role;
use crate::shadow::Tally;
use crate::shared::Shared;

/// Time the control plane has to store one batch: on a busy disk, a thousand rows take a second or two.
const STORE_WAIT: Duration = Duration::from_secs(20);
/// Time for what is left when the gateway stops; what is not shipped then waits on disk.
const REST_WAIT: Duration = Duration::from_secs(3);
const SIGNAL_EVERY: Duration = Duration::from_secs(1);

/// Ship closed records as they come, in batches.
pub async fn usage(shared: &Shared, link: &Link) {
    let mut tick = tokio::time::interval(Duration::from_millis(shared.limits.ship_interval_ms));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut backoff = Backoff::new();
    let mut failing = false;
    loop {
        tick.tick().await;
        loop {
            match batch(shared, link, &shared.gateway_id, &shared.journal).await {
                Ok(shipped) => {
                    backoff.reset();
                    failing = false;
                    if shipped < MAX_USAGE_BATCH {
                        break;
                    }
                }
                Err(error) => {
                    if !failing {
                        log::event(Level::Warning, "usage.not_shipped", &[("cause", &error)]);
                    }
                    failing = true;
                    backoff.pause().await;
                }
            }
        }
    }
}

/// Ship everything there is, until it is gone or the time is.
pub async fn rest(shared: &Shared, link: &Link) {
    let all = async {
        let own = || batch(shared, link, &shared.gateway_id, &shared.journal);
        while own().await.is_ok_and(|shipped| shipped > 0) {}
        let mut redactors = Redactors::default();
        while let Some(shipment) = shared.bodies.take(&mut redactors) {
            if body_batch(shared, link, &shipment).await.is_err() {
                break;
            }
        }
    };
    // What is left is shipped by the next start.
    let _ = tokio::time::timeout(REST_WAIT, all).await;
}

/// Ship one batch of a journal; returns how many records it had.
pub async fn batch(
    shared: &Shared,
    link: &Link,
    gateway_id: &str,
    journal: &Journal,
) -> Result<usize, LinkError> {
    if journal.shippable() <= journal.status().acknowledged {
        return Ok(0);
    }
    let records = journal.next_batch(MAX_USAGE_BATCH);
    let (Some(first), Some(last)) = (records.first(), records.last()) else { return Ok(0) };
    let (first, last, count) = (first.sequence, last.sequence, records.len());
    let batch = UsageBatch { gateway_id: gateway_id.to_owned(), records };
    let ack: Option<UsageAck> = link.post("/link/v1/usage", &batch, STORE_WAIT).await?;
    let ack = ack.ok_or(LinkError::Status(204))?;
    if !(first..=last).contains(&ack.acknowledged) {
        let message = format!("{} is acknowledged, {first} to {last} were sent", ack.acknowledged);
        return Err(LinkError::Malformed(message));
    }
    // Before the journal forgets the records that these states speak for.
    let keeps = *shared.role.borrow() == Role::Serving;
    shared.budgets.hear(&shared.live.load().table, &ack.budgets, keeps);
    journal.acknowledge(ack.acknowledged);
    shared.metrics.shipped_records.fetch_add(count as u64, Ordering::Relaxed);
    Ok(count)
}

/// Ship logged bodies as they come. They wait in memory while the control plane is away; a message that it
/// does not take is given up, so that it does not keep others from being taken.
pub async fn bodies(shared: &Shared, link: &Link) {
    let mut redactors = Redactors::default();
    let mut backoff = Backoff::new();
    loop {
        let Some(shipment) = shared.bodies.take(&mut redactors) else {
            shared.bodies.arrived().await;
            continue;
        };
        if shipment.lost > 0 {
            log::event(Level::Warning, "bodies.lost", &[("requests", &shipment.lost)]);
        }
        loop {
            match body_batch(shared, link, &shipment).await {
                Ok(()) => {
                    backoff.reset();
                    break;
                }
                Err(LinkError::Status(status)) if (400..500).contains(&status) => {
                    log::event(Level::Error, "bodies.refused", &[("status", &status)]);
                    shipment.give_up(&shared.metrics);
                    break;
                }
                Err(_) => backoff.pause().await,
            }
        }
    }
}

async fn body_batch(
    shared: &Shared,
    link: &Link,
    shipment: &Shipment<'_>,
) -> Result<(), LinkError> {
    let batch = BodyBatch {
        gateway_id: shared.gateway_id.clone(),
        lost: shipment.lost,
        bodies: shipment.bodies.clone(),
    };
    link.post::<serde_json::Value>("/link/v1/bodies", &batch, STORE_WAIT).await.map(|_| ())
}

/// Say every second how busy the endpoints are. A lost signal is not repeated.
pub async fn signals(shared: &Shared, link: &Link) {
    let mut tick = tokio::time::interval(SIGNAL_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        signal(shared, link).await;
    }
}

/// Say it at once when somebody begins to wait for a model that is asleep, or a candidate keeps failing. Apart
/// from the others, so that one that hangs does not hold it up.
pub async fn wakes(shared: &Shared, link: &Link) {
    loop {
        shared.wake.notified().await;
        signal(shared, link).await;
    }
}

async fn signal(shared: &Shared, link: &Link) {
    let signals = Signals {
        gateway_id: shared.gateway_id.clone(),
        time_ms: clock::now_ms(),
        endpoints: endpoints(shared),
        targets: targets(shared),
        limits: limits(shared),
        budgets: budgets(shared),
    };
    // Losing one costs time, never truth.
    let _ = link.post::<serde_json::Value>("/link/v1/signals", &signals, SIGNAL_EVERY).await;
}

/// Targets that had calls since the last signal, are waited for, are not as they should be, or have a part in a
/// rollout.
fn targets(shared: &Shared) -> BTreeMap<String, TargetSignal> {
    let live = shared.live.load();
    let telling = live.targets().filter_map(|ready| {
        let mut replicas: BTreeMap<String, ReplicaSignal> = ready
            .replicas
            .iter()
            .filter_map(|replica| Some((replica.id.to_string(), replica.state.signal()?)))
            .collect();
        let in_flight = replicas.values().map(|replica| replica.in_flight).sum();
        let leaving = ready.leaving.iter().filter(|one| one.state.in_flight() > 0);
        replicas.extend(leaving.filter_map(|one| Some((one.id.to_string(), one.state.signal()?))));
        let waiting_for_wake = ready.asleep() && ready.state.wanted();
        let queued = ready.state.room.queued();
        let apart = ready.part == Part::None;
        if apart && replicas.is_empty() && !waiting_for_wake && queued == 0 {
            return None;
        }
        let (work, evidence) = (ready.state.work(), &ready.state.evidence);
        let signal = TargetSignal {
            calls: work.calls,
            busy_ms: work.busy_ms,
            tokens: work.tokens,
            in_flight,
            queued: queued.saturating_add(ready.state.waiting.load(Ordering::Relaxed)),
            replicas,
            waiting_for_wake,
            failed: evidence.failed(),
            refused: evidence.refused(),
            took: evidence.took(),
            shadow: ready.state.shadowed().map(Tally::signal),
        };
        Some((ready.target.id.to_string(), signal))
    });
    telling.collect()
}

fn endpoints(shared: &Shared) -> BTreeMap<String, EndpointSignal> {
    let live = shared.live.load();
    let busy = live.endpoints().filter_map(|(id, ready)| {
        let in_flight = ready.state.in_flight.load(Ordering::Relaxed);
        let (ended, latency_us) = ready.state.take();
        let waiting = ready.state.waiting.load(Ordering::Relaxed);
        // A sleeping target of it may be wanted though nobody waits: another one answers meanwhile.
        let wanted = live.table.routes().endpoint(id).is_some_and(|endpoint| {
            let mut targets = endpoint.targets.iter();
            targets.any(|share| {
                let ready = live.target(&share.target.id);
                ready.is_some_and(|ready| ready.asleep() && ready.state.wanted())
            })
        });
        let waiting_for_wake = waiting > 0 || wanted;
        let queued = waiting.saturating_add(ready.state.queued());
        if in_flight == 0 && ended == 0 && !waiting_for_wake {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "a mean for autoscaling, not for books")]
        let latency_ms = (ended > 0).then(|| latency_us as f64 / ended as f64 / 1_000.0);
        let signal = EndpointSignal { in_flight, queued, ended, latency_ms, waiting_for_wake };
        Some((id.to_string(), signal))
    });
    busy.collect()
}

/// Where the limits stand that were used since the last signal.
fn limits(shared: &Shared) -> BTreeMap<String, LimitSignal> {
    let (now, gateways) = (shared.admission.now(), shared.admission.gateways());
    let live = shared.live.load();
    let used = live.table.limits().filter_map(|rule| {
        let taken = rule.taken(now, gateways)?;
        let signal = LimitSignal {
            in_flight: taken.in_flight,
            requests_left: taken.requests_left,
            tokens_left: taken.tokens_left,
            refused: taken.refused,
        };
        Some((rule.id.to_string(), signal))
    });
    used.collect()
}

/// Where the budgets stand that were used since the last signal.
fn budgets(shared: &Shared) -> BTreeMap<String, BudgetSignal> {
    let now_ms = clock::now_ms();
    let live = shared.live.load();
    let used = live.table.budgets().filter_map(|rule| {
        let standing = rule.taken(now_ms)?;
        let signal = BudgetSignal {
            reserved: standing.reserved,
            unshipped: standing.unshipped,
            refused: standing.refused,
        };
        Some((rule.id.to_string(), signal))
    });
    used.collect()
}
