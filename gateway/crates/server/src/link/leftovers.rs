//! Records that another gateway of this folder left when it died: shipped by the one that accepts.

use std::collections::BTreeSet;
use std::time::Duration;

use towpath_journal::Journal;

use crate::link::{Backoff, Link, ship};
use crate::log::{self, Level};
use crate::role::Role;
use crate::shared::Shared;

/// How often the other slots are looked at.
const EVERY: Duration = Duration::from_secs(1);

/// Ship what is found in slots that nobody has any more.
pub async fn ship(shared: &Shared, link: &Link) {
    let mut role = shared.role.subscribe();
    let mut empty = BTreeSet::new();
    loop {
        if role.wait_for(|role| *role == Role::Serving).await.is_err() {
            return;
        }
        for slot in shared.place.others().filter(|slot| !empty.contains(slot)).collect::<Vec<_>>() {
            match shared.place.leftovers(slot) {
                Ok(None) => {}
                Ok(Some((id, journal))) => {
                    take(shared, link, &id, &journal).await;
                    empty.insert(slot);
                }
                Err(error) => {
                    log::event(Level::Error, "leftovers.not_read", &[("cause", &error)]);
                    empty.insert(slot);
                }
            }
        }
        // One that is empty has no gateway; the next to start beside this one makes it the one that leaves.
        tokio::time::sleep(EVERY).await;
    }
}

async fn take(shared: &Shared, link: &Link, id: &str, journal: &Journal) {
    let recovered = journal.status().recovered;
    if recovered.closed + recovered.lost > 0 {
        let (closed, lost) = (recovered.closed, recovered.lost);
        let fields: [(&str, &dyn std::fmt::Display); 3] =
            [("gateway_id", &id), ("closed", &closed), ("gateway_lost", &lost)];
        log::event(Level::Warning, "leftovers.found", &fields);
    }
    let mut backoff = Backoff::new();
    while journal.status().unshipped > 0 {
        // Only what is on disk is shipped.
        let _ = journal.flush();
        if ship::batch(shared, link, id, journal).await.is_err() {
            backoff.pause().await;
        }
    }
}
