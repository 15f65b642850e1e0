//! Which limits and budgets apply to a call: found by its parts, without looking at any other's.

use std::sync::Arc;

use towpath_wire::routing::Subject;

use crate::{BudgetRule, Id, LimitRule, SharedMap as Map};

/// What applies to one subject.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    pub limits: Vec<LimitRule>,
    pub budgets: Vec<BudgetRule>,
}

/// The parts of a call that rules may be about.
#[derive(Clone, Copy, Debug)]
pub struct Parties<'p> {
    pub key: &'p str,
    pub project: &'p str,
    pub team: Option<&'p str>,
    pub endpoint: &'p str,
}

const PARTS: usize = 4;
/// The pairs of parts, the first before the second.
const PAIRS: [(usize, usize); 6] = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)];

/// All rules by subject. A shape of subject that nobody uses costs a call one comparison.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    single: [Map<Id, Arc<Rules>>; PARTS],
    pairs: [Map<Id, Map<Id, Arc<Rules>>>; PAIRS.len()],
}

impl Index {
    /// Change what applies to a subject; what is empty afterwards is forgotten.
    pub(super) fn change(&mut self, subject: &Subject, change: impl FnOnce(&mut Rules)) {
        let parts = [&subject.key, &subject.project, &subject.team, &subject.endpoint];
        let mut given =
            (0..PARTS).filter_map(|part| Some((part, Id::from(parts[part].as_deref()?))));
        let Some((first, id)) = given.next() else { return };
        let Some((second, other)) = given.next() else {
            return replace(&mut self.single[first], id, change);
        };
        let Some(pair) = PAIRS.iter().position(|pair| *pair == (first, second)) else { return };
        let mut inner = self.pairs[pair].get(&id).cloned().unwrap_or_else(Map::default);
        replace(&mut inner, other, change);
        if inner.is_empty() {
            self.pairs[pair].remove_mut(&id);
        } else {
            self.pairs[pair].insert_mut(id, inner);
        }
    }

    /// What applies to a call: one entry per subject that has anything.
    pub(super) fn of<'i>(
        &'i self,
        parties: Parties<'i>,
    ) -> impl Iterator<Item = &'i Rules> + Clone + 'i {
        let parts =
            [Some(parties.key), Some(parties.project), parties.team, Some(parties.endpoint)];
        let single = self.single.iter().zip(parts).filter_map(|(rules, id)| {
            if rules.is_empty() {
                return None;
            }
            rules.get(id?)
        });
        let pairs = self.pairs.iter().zip(PAIRS).filter_map(move |(rules, (first, second))| {
            if rules.is_empty() {
                return None;
            }
            rules.get(parts[first]?)?.get(parts[second]?)
        });
        single.chain(pairs).map(Arc::as_ref)
    }
}

fn replace(map: &mut Map<Id, Arc<Rules>>, id: Id, change: impl FnOnce(&mut Rules)) {
    let mut rules = map.get(&id).map(|rules| Rules::clone(rules)).unwrap_or_default();
    change(&mut rules);
    if rules.limits.is_empty() && rules.budgets.is_empty() {
        map.remove_mut(&id);
    } else {
        map.insert_mut(id, Arc::new(rules));
    }
}

#[cfg(test)]
mod tests;
