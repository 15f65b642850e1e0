//! Which target answers: by weight first, then down the fallback chain, each at most once.

use std::sync::Arc;

use towpath_wire::routing::{DataClass, Operation};

use crate::{Endpoint, Share, Target};

/// Pick an index by weight. `random` is uniform over all of `u64`; `None` when all weights are 0.
pub fn choose(weights: impl Iterator<Item = u32> + Clone, random: u64) -> Option<usize> {
    let total: u64 = weights.clone().map(u64::from).sum();
    // Multiply-shift instead of a remainder: no division, and no bias worth the name.
    let mut point = u64::try_from((u128::from(random) * u128::from(total)) >> 64).ok()?;
    for (index, weight) in weights.enumerate() {
        let weight = u64::from(weight);
        if point < weight {
            return Some(index);
        }
        point -= weight;
    }
    None
}

/// The targets of one call that are left to try.
#[derive(Clone, Debug)]
pub struct Candidates<'e> {
    endpoint: &'e Endpoint,
    operation: Operation,
    data_class: DataClass,
    version: Option<u32>,
    /// Bit per index of `targets`, then of `fallback`; the table allows at most 64 in all.
    tried: u64,
}

impl<'e> Candidates<'e> {
    /// All targets of `endpoint` that answer `operation` and may receive data of `data_class`.
    pub fn new(endpoint: &'e Endpoint, operation: Operation, data_class: DataClass) -> Self {
        Self { endpoint, operation, data_class, version: None, tried: 0 }
    }

    /// Only targets that serve this version of a registry model.
    #[must_use]
    pub fn of_version(mut self, version: Option<u32>) -> Self {
        self.version = version;
        self
    }

    /// Take the next target to try, skipping those with nothing that listens.
    pub fn next(&mut self, random: u64) -> Option<&'e Arc<Target>> {
        let weights =
            self.endpoint.targets.iter().enumerate().map(|(index, share): (_, &Share)| {
                if self.usable(index, &share.target) { share.weight } else { 0 }
            });
        if let Some(index) = choose(weights, random) {
            self.tried |= 1 << index;
            return Some(&self.endpoint.targets[index].target);
        }
        for (index, target) in self.endpoint.fallback.iter().enumerate() {
            let index = self.endpoint.targets.len() + index;
            if self.usable(index, target) {
                self.tried |= 1 << index;
                return Some(target);
            }
        }
        None
    }

    fn usable(&self, index: usize, target: &Target) -> bool {
        self.tried & (1 << index) == 0
            && !target.spec.replicas.is_empty()
            && target.spec.max_data_class >= self.data_class
            && target.spec.operations.contains(&self.operation)
            && self.version.is_none_or(|version| {
                target.spec.model.as_ref().is_some_and(|model| model.version == version)
            })
    }
}

#[cfg(test)]
mod tests;
