//! Prefix affinity: requests that begin alike go where that beginning lies in an engine's cache.
//!
//! A prompt is known by the hashes of its beginnings, at lengths that grow by a quarter, so that a prompt
//! of any size has few of them. Which replicas have a beginning is what was sent there; nobody is asked.
//! Memory is bounded: two generations of marks, the older of which is forgotten as a whole.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::balance::{Load, pick};
use crate::mix::hash;
use towpath_wire::routing::Spread;

/// Shortest beginning that counts: below it there is nothing worth finding again.
const FIRST_BYTES: usize = 512;
/// Each length is so much longer than the one before, in percent.
const GROWTH_PERCENT: usize = 25;
/// Most marks of one prompt: enough for 1.5 MB.
const MAX_MARKS: usize = 37;
/// Replicas remembered for one beginning: one that is asked for a lot is on several.
const HOLDERS: usize = 4;
/// Marks in one generation; both together take some 4 MB, and only at targets with several replicas.
const GENERATION: usize = 1 << 16;

/// The hashes of a prompt's beginnings, from short to long.
#[derive(Clone, Copy, Debug)]
pub struct Marks {
    marks: [u64; MAX_MARKS],
    count: usize,
}

impl Marks {
    /// Marks of a prompt. `seed` parts those who may not share a cache.
    pub fn of(prompt: &[u8], seed: u64) -> Self {
        let mut found = Self { marks: [0; MAX_MARKS], count: 0 };
        let (mut from, mut to, mut state) = (0, FIRST_BYTES, seed);
        while let Some(part) = prompt.get(from..to) {
            let Some(mark) = found.marks.get_mut(found.count) else { break };
            state = hash(state, part);
            *mark = state;
            found.count += 1;
            (from, to) = (to, to + to * GROWTH_PERCENT / 100);
        }
        found
    }

    fn as_slice(&self) -> &[u64] {
        self.marks.get(..self.count).unwrap_or_default()
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

/// Replicas, by the hashes of their ids, that have a beginning; 0 is none.
type Holders = [u64; HOLDERS];

/// Marks are hashes already.
#[derive(Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = hash(self.0, bytes);
    }

    fn write_u64(&mut self, mark: u64) {
        self.0 = mark;
    }
}

type Map = HashMap<u64, Holders, BuildHasherDefault<AsIs>>;

/// Where which beginnings are, for one target.
#[derive(Default)]
pub struct Prefixes {
    now: Map,
    before: Map,
}

/// One replica to choose from.
#[derive(Clone, Copy, Debug)]
pub struct Seat {
    /// Hash of its id, see [`replica_tag`].
    pub tag: u64,
    /// Weight 0: not available.
    pub load: Load,
}

/// A replica as [`Prefixes`] knows it.
pub fn replica_tag(id: &str) -> u64 {
    hash(1, id.as_bytes()).max(1)
}

/// Whether one more call leaves a replica within a quarter above the mean, rounded up (consistent hashing
/// with bounded loads). `all` is the load of all `count` that are available.
pub fn within_bound(in_flight: u32, all: u64, count: u64) -> bool {
    let most = ((all + 1) * 5).div_ceil(count.max(1) * 4);
    u64::from(in_flight) < most
}

impl Prefixes {
    /// Choose the replica that has the longest beginning of the prompt and is not overloaded, else the least
    /// busy, and remember that it will have it.
    pub fn pick(
        &mut self,
        marks: &Marks,
        seats: impl Iterator<Item = Seat> + Clone,
        random: u64,
    ) -> Option<usize> {
        let loads = seats.clone().map(|seat| seat.load);
        let chosen = self
            .find(marks, seats.clone())
            .or_else(|| pick(Spread::LeastOutstanding, loads, random))?;
        if let Some(seat) = seats.clone().nth(chosen) {
            self.remember(marks, seat.tag);
        }
        Some(chosen)
    }

    fn find(&self, marks: &Marks, seats: impl Iterator<Item = Seat> + Clone) -> Option<usize> {
        let available = || seats.clone().filter(|seat| seat.load.weight > 0);
        let all: u64 = available().map(|seat| u64::from(seat.load.in_flight)).sum();
        let count = available().count() as u64;
        marks.as_slice().iter().rev().find_map(|mark| {
            let holders = self.now.get(mark).or_else(|| self.before.get(mark))?;
            let holding = seats.clone().enumerate().filter(|(_, seat)| {
                seat.load.weight > 0
                    && holders.contains(&seat.tag)
                    && within_bound(seat.load.in_flight, all, count)
            });
            holding.min_by_key(|(_, seat)| seat.load.in_flight).map(|(index, _)| index)
        })
    }

    fn remember(&mut self, marks: &Marks, tag: u64) {
        for mark in marks.as_slice() {
            let mut holders = match self.now.get(mark) {
                Some(holders) if holders.contains(&tag) => continue,
                Some(holders) => *holders,
                None => self.before.get(mark).copied().unwrap_or_default(),
            };
            if !holders.contains(&tag) {
                // The one that was added first leaves.
                holders.rotate_right(1);
                if let Some(first) = holders.first_mut() {
                    *first = tag;
                }
            }
            if self.now.len() >= GENERATION {
                self.before = std::mem::take(&mut self.now);
            }
            self.now.insert(*mark, holders);
        }
    }

    /// Marks that are remembered.
    pub fn len(&self) -> usize {
        self.now.len() + self.before.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl std::fmt::Debug for Prefixes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prefixes").field("marks", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
