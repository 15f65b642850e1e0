//! Fourth step, `route`: which target, and which of its replicas, is tried next.

use std::sync::Arc;

use towpath_policy::{Candidates, Endpoint};

use crate::exchange::Exchange;
use crate::live::{Live, ReadyReplica, ReadyTarget};

/// Replicas of one target that are tried when connections fail: enough to get past a server that just
/// died, few enough that a dead target leaves time for the fallback chain.
const MAX_REPLICAS_TRIED: usize = 3;

/// The targets of one call, in the order in which they are tried.
pub struct Route<'r> {
    live: &'r Live,
    candidates: Candidates<'r>,
}

impl<'r> Route<'r> {
    /// All that may answer this exchange; `version` restricts to one version of a registry model.
    pub fn new(
        live: &'r Live,
        endpoint: &'r Endpoint,
        exchange: &Exchange,
        version: Option<u32>,
    ) -> Self {
        let candidates = Candidates::new(endpoint, exchange.operation, exchange.data_class);
        Self { live, candidates: candidates.of_version(version) }
    }

    /// The next target with something that listens.
    pub fn next(&mut self, random: u64) -> Option<&'r Arc<ReadyTarget>> {
        // The same chance may serve for each try: what was tried is out of the draw.
        loop {
            let target = self.candidates.next(random)?;
            let ready = self.live.target(&target.id);
            if let Some(ready) = ready.filter(|ready| !ready.replicas.is_empty()) {
                return Some(ready);
            }
        }
    }
}

/// Replicas of a target in the order in which they are tried: a random one first.
pub fn replicas(ready: &ReadyTarget, random: u64) -> impl Iterator<Item = &ReadyReplica> {
    let count = ready.replicas.len();
    let start = usize::try_from(random % (count.max(1) as u64)).unwrap_or(0);
    ready.replicas.iter().cycle().skip(start).take(count.min(MAX_REPLICAS_TRIED))
}
