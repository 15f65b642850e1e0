//! Which target answers: by weight, load or caller first, then down the fallback chain, each at most once.
//!
//! Who is ejected is passed over as long as anybody else is left. When nobody is, and nobody was tried
//! yet, an ejected target gets the call all the same: a call that probably fails is better than one that
//! surely does (what Envoy calls the panic threshold, here at nothing left).

use std::sync::Arc;

use towpath_wire::routing::{DataClass, Operation};

use crate::balance::{Load, drawn, pick, rendezvous};
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

/// How a target stands, seen from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It has a replica that takes calls. Weight is the endpoint's affair and ignored here.
    Ready(Load),
    /// Replicas listen, and all of them are ejected.
    Ejected,
    /// Nothing listens, and a signal changes that.
    Asleep,
    /// Nothing listens.
    Down,
}

/// What is to be done with a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course {
    Call,
    /// Wake it and wait, then call it.
    Wake,
    /// Call it though it is ejected: nobody else is left.
    CallEjected,
}

/// One step of a call.
#[derive(Clone, Copy, Debug)]
pub struct Chosen<'e> {
    pub target: &'e Arc<Target>,
    pub course: Course,
    /// The target that weight or stickiness would have chosen, were it awake: it is to be woken for the next
    /// call.
    pub missed: Option<&'e Arc<Target>>,
}

/// The targets of one call that are left to try.
#[derive(Clone, Debug)]
pub struct Candidates<'e> {
    endpoint: &'e Endpoint,
    operation: Operation,
    data_class: DataClass,
    version: Option<u32>,
    /// Only targets with a known context above this.
    longer_than: Option<u32>,
    sticky: Option<u64>,
    /// Places of targets in the order in which they are asked, before any weight is looked at.
    order: Vec<usize>,
    /// Bit per index of `targets`, then of `fallback`; the table allows at most 64 in all.
    tried: u64,
}

impl<'e> Candidates<'e> {
    /// All targets of `endpoint` that answer `operation` and may receive data of `data_class`.
    pub fn new(endpoint: &'e Endpoint, operation: Operation, data_class: DataClass) -> Self {
        Self {
            endpoint,
            operation,
            data_class,
            version: None,
            longer_than: None,
            sticky: None,
            order: Vec::new(),
            tried: 0,
        }
    }

    /// Only targets that serve this version of a registry model.
    #[must_use]
    pub fn of_version(mut self, version: Option<u32>) -> Self {
        self.version = version;
        self
    }

    /// Choose among weighted targets by this key instead of by chance.
    #[must_use]
    pub fn sticky(mut self, key: Option<u64>) -> Self {
        self.sticky = key;
        self
    }

    /// Ask the targets at these places first, one after the other.
    pub fn in_order(&mut self, places: &[usize]) {
        self.order = places.to_vec();
    }

    /// From now on only targets with a context that is known to be longer than this.
    pub fn longer_than(&mut self, tokens: u32) {
        self.longer_than = Some(self.longer_than.map_or(tokens, |known| known.max(tokens)));
    }

    /// Take the next target to try. `condition` says how each stands now.
    pub fn next(
        &mut self,
        condition: impl Fn(&Arc<Target>) -> Condition,
        random: u64,
    ) -> Option<Chosen<'e>> {
        let untouched = self.tried == 0;
        if let Some(chosen) = self.leveled(&condition) {
            return Some(chosen);
        }
        self.awake(&condition, random)
            .or_else(|| self.by_weight(Course::Wake, &condition, Condition::Asleep, random))
            .or_else(|| {
                self.in_chain(Course::Call, |c| matches!(c, Condition::Ready(_)), &condition)
            })
            .or_else(|| self.in_chain(Course::Wake, |c| c == Condition::Asleep, &condition))
            .or_else(|| {
                let panic = Course::CallEjected;
                let chosen = self.by_weight(panic, &condition, Condition::Ejected, random);
                chosen
                    .or_else(|| self.in_chain(panic, |c| c == Condition::Ejected, &condition))
                    .filter(|_| untouched)
            })
    }

    /// The next of those that are asked in order; who can neither be called nor woken is passed over.
    fn leveled(&mut self, condition: &impl Fn(&Arc<Target>) -> Condition) -> Option<Chosen<'e>> {
        let endpoint = self.endpoint;
        let next = self.order.iter().find_map(|index| {
            let target = &endpoint.targets.get(*index)?.target;
            if !self.usable(*index, target) {
                return None;
            }
            let side = self.side(target);
            match condition(side) {
                Condition::Ready(_) => Some((*index, side, Course::Call)),
                Condition::Asleep => Some((*index, side, Course::Wake)),
                Condition::Ejected | Condition::Down => None,
            }
        });
        let (index, target, course) = next?;
        self.tried |= 1 << index;
        Some(Chosen { target, course, missed: None })
    }

    /// One of the weighted targets that take calls.
    fn awake(
        &mut self,
        condition: &impl Fn(&Arc<Target>) -> Condition,
        random: u64,
    ) -> Option<Chosen<'e>> {
        let endpoint = self.endpoint;
        let ready = |c| match c {
            Condition::Ready(load) => Some(load),
            Condition::Ejected | Condition::Asleep | Condition::Down => None,
        };
        let ready = self.draw(random, ready, condition)?;
        let target = self.side(&endpoint.targets.get(ready)?.target);
        let missed = self.missed(condition, random);
        self.tried |= 1 << ready;
        Some(Chosen { target, course: Course::Call, missed })
    }

    /// The target that would have been chosen, were all awake, if it is not.
    fn missed(
        &self,
        condition: &impl Fn(&Arc<Target>) -> Condition,
        random: u64,
    ) -> Option<&'e Arc<Target>> {
        let targets = &self.endpoint.targets;
        if targets.iter().all(|share| condition(self.side(&share.target)) != Condition::Asleep) {
            return None;
        }
        let all = |c| match c {
            Condition::Ready(load) => Some(load),
            Condition::Asleep => Some(Load { weight: 1, in_flight: 0, latency_us: 0 }),
            Condition::Ejected | Condition::Down => None,
        };
        let missed = self.side(&targets.get(self.draw(random, all, condition)?)?.target);
        (condition(missed) == Condition::Asleep).then_some(missed)
    }

    fn by_weight(
        &mut self,
        course: Course,
        condition: &impl Fn(&Arc<Target>) -> Condition,
        wanted: Condition,
        random: u64,
    ) -> Option<Chosen<'e>> {
        let equal = Load { weight: 1, in_flight: 0, latency_us: 0 };
        let index = self.draw(random, |c| (c == wanted).then_some(equal), condition)?;
        let target = self.side(&self.endpoint.targets.get(index)?.target);
        self.tried |= 1 << index;
        Some(Chosen { target, course, missed: None })
    }

    /// Choose among the weighted targets that `admit` gives a load.
    fn draw(
        &self,
        random: u64,
        admit: impl Fn(Condition) -> Option<Load> + Clone,
        condition: &impl Fn(&Arc<Target>) -> Condition,
    ) -> Option<usize> {
        let loads = self.endpoint.targets.iter().enumerate().map(|(index, share): (_, &Share)| {
            let usable = share.weight > 0 && self.usable(index, &share.target);
            let load = usable.then(|| admit(condition(self.side(&share.target)))).flatten();
            let none = Load { weight: 0, in_flight: 0, latency_us: 0 };
            load.map_or(none, |load| Load { weight: share.weight, ..load })
        });
        match self.sticky {
            Some(key) => {
                let ids = self.endpoint.targets.iter().map(|share| &*share.target.id);
                rendezvous(key, ids.zip(loads.map(|load| load.weight)))
            }
            None => pick(self.endpoint.spec.balance.targets, loads, random),
        }
    }

    /// The first of the fallback chain that is so.
    fn in_chain(
        &mut self,
        course: Course,
        wanted: impl Fn(Condition) -> bool,
        condition: &impl Fn(&Arc<Target>) -> Condition,
    ) -> Option<Chosen<'e>> {
        let own = self.endpoint.targets.len();
        let (index, target) =
            self.endpoint.fallback.iter().enumerate().find(|(index, target)| {
                self.usable(own + index, target) && wanted(condition(self.side(target)))
            })?;
        self.tried |= 1 << (own + index);
        Some(Chosen { target: self.side(target), course, missed: None })
    }

    /// The candidate of a chosen target, where this call is one of those that go there.
    pub fn split(&self, chosen: &'e Target, random: u64) -> Option<&'e Arc<Target>> {
        let share = chosen.spec.candidate.as_ref()?;
        let candidate = chosen.candidate.as_ref()?;
        let may = self.version.is_none_or(|version| candidate.serves(version));
        (may && self.fits(candidate) && drawn(share.percent, self.sticky, &candidate.id, random))
            .then_some(candidate)
    }

    /// The side of a target that this call is for.
    fn side(&self, target: &'e Arc<Target>) -> &'e Arc<Target> {
        target.side(self.version).unwrap_or(target)
    }

    fn usable(&self, index: usize, target: &Arc<Target>) -> bool {
        self.tried & (1 << index) == 0
            && target.side(self.version).is_some_and(|side| self.fits(side))
    }

    /// Whether a target answers such calls and may have their data.
    fn fits(&self, target: &Target) -> bool {
        target.spec.max_data_class >= self.data_class
            && target.answers(self.operation)
            && self.longer_than.is_none_or(|tokens| {
                target.spec.context_length.is_some_and(|length| length > tokens)
            })
    }
}

#[cfg(test)]
mod tests;
