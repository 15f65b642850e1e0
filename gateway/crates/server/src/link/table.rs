//! Fetching the table: long polls, refusals, and the order in which parts of a reply take effect.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use towpath_policy::{Refused, Table};
use towpath_wire::link::{Refusal, RoutingPoll, RoutingReply};
use towpath_wire::routing::Revocation;

use crate::admit::queue;
use crate::link::store::{Store, StoreError, Stored};
use crate::link::{Backoff, Link};
use crate::live::Live;
use crate::log::{self, Level};
use crate::role::Role;
use crate::secrets::Secrets;
use crate::shared::Shared;

/// Longest time the control plane holds a poll back: below the idle limits of what may stand between.
const WAIT: Duration = Duration::from_secs(25);

/// Take the table from disk, as far as it can be read and applied; returns how many revocations are in
/// force and whether a fresh snapshot is wanted.
///
/// # Errors
/// The folder cannot be read.
pub fn restore(store: &mut Store, secrets: &Secrets) -> Result<(Live, Position), StoreError> {
    let stored = store.load()?;
    let position = Position {
        revocations: stored.revocations_to,
        budgets: 0,
        wants_snapshot: stored.other_version,
    };
    let (table, whole) = rebuild(&stored);
    if let Err(refused) = whole {
        log::event(Level::Warning, "table.restored_in_part", &[("cause", &refused)]);
    }
    Ok((Live::new(table, &Live::default(), secrets), position))
}

/// How far the control plane's word has been taken in.
#[derive(Clone, Copy, Debug, Default)]
pub struct Position {
    pub revocations: u64,
    /// Of budgets; after a start all are asked for.
    pub budgets: u64,
    pub wants_snapshot: bool,
}

/// The table that what is on disk adds up to, as far as it can be applied.
pub fn rebuild(stored: &Stored) -> (Table, Result<(), Refused>) {
    let (mut table, _) = Table::default().revoke(&stored.revocations);
    let Some(snapshot) = &stored.snapshot else { return (table, Ok(())) };
    table = match table.apply_snapshot(snapshot) {
        Ok(table) => table,
        Err(refused) => return (table, Err(refused)),
    };
    for batch in stored.batches.iter().filter(|batch| batch.to > snapshot.revision) {
        table = match table.apply(batch) {
            Ok(table) => table,
            Err(refused) => return (table, Err(refused)),
        };
    }
    // Keys that the snapshot named anew are revoked by their ids, too.
    (table.revoke(&stored.revocations).0, Ok(()))
}

/// Ask for what is new, for ever.
pub async fn poll(shared: &Shared, link: &Link, mut store: Store, mut position: Position) {
    let mut backoff = Backoff::new();
    let mut reachable = true;
    let mut role = shared.role.subscribe();
    loop {
        let serves = *role.borrow_and_update() == Role::Serving;
        if !serves {
            store.leave();
        }
        let after = if position.wants_snapshot || serves && store.wants_snapshot() {
            0
        } else {
            shared.live.load().table.revision()
        };
        let refused = shared.table_refusal.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let poll = RoutingPoll {
            gateway_id: shared.gateway_id.clone(),
            gateway_version: env!("CARGO_PKG_VERSION").to_owned(),
            after,
            budgets_after: position.budgets,
            revocations_after: position.revocations,
            refused: refused.clone(),
            wait_ms: u32::try_from(WAIT.as_millis()).unwrap_or(u32::MAX),
        };
        let polled = tokio::select! {
            polled = link.post::<RoutingReply>("/link/v1/routing", &poll, WAIT) => polled,
            // Who begins to accept writes the table, and asks for all of it at once.
            Ok(()) = role.changed() => continue,
        };
        match polled {
            Ok(Some(reply)) => {
                if !std::mem::replace(&mut reachable, true) {
                    log::event(Level::Info, "control.reached", &[]);
                }
                let (budgets, budgets_to) = (reply.budgets.clone(), reply.budgets_to);
                take(shared, &mut store, &mut position, reply);
                // After the table, which may have brought the budgets.
                shared.budgets.hear(&shared.live.load().table, &budgets, serves);
                position.budgets = budgets_to;
                let refusal =
                    shared.table_refusal.lock().unwrap_or_else(PoisonError::into_inner).clone();
                // A table that is refused again and again must not make a loop without pauses.
                if refusal.is_some() && refusal == refused {
                    backoff.pause().await;
                } else {
                    backoff.reset();
                }
            }
            Ok(None) => backoff.pause().await,
            Err(error) => {
                if std::mem::replace(&mut reachable, false) {
                    log::event(Level::Warning, "control.lost", &[("cause", &error)]);
                }
                backoff.pause().await;
            }
        }
    }
}

/// Put a reply into force: revocations first and always, then the table, whole or not at all.
fn take(shared: &Shared, store: &mut Store, position: &mut Position, reply: RoutingReply) {
    shared.admission.share_with(reply.gateways);
    let former = shared.live.load_full();
    let mut table = former.table.clone().at(shared.admission.now());
    if !reply.revocations.is_empty() {
        let (next, malformed) = table.revoke(&reply.revocations);
        table = next;
        for revocation in malformed {
            let fields: [(&str, &dyn std::fmt::Display); 1] = [("key_id", &revocation.key_id)];
            log::event(Level::Error, "revocation.malformed", &fields);
        }
        if let Err(error) = store.revoke(&reply.revocations, reply.revocations_to) {
            log::event(Level::Error, "table.not_stored", &[("cause", &error)]);
        }
        install(shared, table.clone());
    }
    position.revocations = position.revocations.max(reply.revocations_to);
    let (next, revision) = match (&reply.snapshot, &reply.batch) {
        (Some(snapshot), _) => (table.apply_snapshot(snapshot), snapshot.revision),
        (None, Some(batch)) => (table.apply(batch), batch.to),
        (None, None) => return,
    };
    let next = match next {
        Ok(next) => next,
        Err(refused) => return refuse(shared, revision, refused),
    };
    let stored = match (&reply.snapshot, &reply.batch) {
        (Some(snapshot), _) if serves(shared) => store.replace(snapshot),
        (Some(_), _) => Ok(()),
        (None, Some(batch)) => store.append(batch),
        (None, None) => Ok(()),
    };
    if let Err(error) = stored {
        // In force all the same: a full disk must not keep a rule from being obeyed.
        log::event(Level::Error, "table.not_stored", &[("cause", &error)]);
    }
    position.wants_snapshot &= reply.snapshot.is_none();
    *shared.table_refusal.lock().unwrap_or_else(PoisonError::into_inner) = None;
    match (&reply.snapshot, &reply.batch) {
        (Some(_), _) => shared.budgets.teach(next.budgets()),
        (None, Some(batch)) => {
            let named = batch.upserts.iter().filter(|entity| entity.kind == "budget");
            shared.budgets.teach(named.filter_map(|entity| next.budget(&entity.id)));
        }
        (None, None) => {}
    }
    install(shared, next);
    log::event(
        Level::Info,
        "table.applied",
        &[("revision", &revision), ("keys", &shared.live.load().table.key_count())],
    );
}

/// Whether the table on disk is this gateway's to write.
fn serves(shared: &Shared) -> bool {
    *shared.role.borrow() == Role::Serving
}

/// Put revocations of this gateway's own into force.
pub fn revoke_here(shared: &Shared, revocations: &[Revocation]) {
    if revocations.is_empty() {
        return;
    }
    let (table, malformed) = shared.live.load().table.revoke(revocations);
    install(shared, table);
    let count = revocations.len() - malformed.len();
    log::event(Level::Warning, "keys.revoked_here", &[("count", &count)]);
}

fn install(shared: &Shared, table: Table) {
    let former = shared.live.load_full();
    let live = Live::new(table, &former, &shared.secrets);
    for problem in live.problems.iter().filter(|problem| !former.problems.contains(problem)) {
        log::event(Level::Error, "target.unusable", &[("cause", problem)]);
    }
    shared.egress.allow(&live.egress_allow());
    shared.live.store(Arc::new(live));
    queue::refit(&shared.live.load(), shared.admission.gateways());
    shared.table_changed.send_modify(|count| *count = count.wrapping_add(1));
}

fn refuse(shared: &Shared, revision: u64, refused: Refused) {
    shared.metrics.table_refusals.fetch_add(1, Ordering::Relaxed);
    let refusal = Refusal { revision, reason: refused.reason };
    let mut last = shared.table_refusal.lock().unwrap_or_else(PoisonError::into_inner);
    if last.as_ref() != Some(&refusal) {
        log::event(
            Level::Error,
            "table.refused",
            &[("revision", &refusal.revision), ("cause", &refusal.reason)],
        );
    }
    *last = Some(refusal);
}
