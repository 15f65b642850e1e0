//! Who goes first where a target is full: a bounded waiting room, shared fairly.
//!
//! Teams share the turns by their weight, whatever each of them asks for (start-time fair queueing, one
//! call being one unit of work). Within a team its priorities share the team's turns 8 : 4 : 1 in the same
//! manner, so that batch work is slow beside chats and still moves. Within one priority of one team the
//! first to come is the first to go.
//!
//! The room has places for so many. When it is full, the team with the most waiting calls for its weight
//! gives up one: its newest of its lowest priority. So nobody is refused for what another team does.

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};

use towpath_wire::routing::Priority;

use crate::Id;

/// Virtual time that one call of weight 1 takes.
const UNIT: u128 = 1 << 32;
/// Weights of batch, default and interactive calls within a team.
const PRIORITIES: [u32; 3] = [1, 4, 8];

/// Who asks for room.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    pub team: &'a Id,
    /// The team's share beside other teams'.
    pub weight: u32,
    pub priority: Priority,
}

/// What became of a call that came.
#[derive(Debug, PartialEq, Eq)]
pub enum Entered<T> {
    /// There was room: it goes.
    Now,
    /// It has a place in the room; for it, another one may have lost its own.
    Waits { ticket: u64, displaced: Option<T> },
    /// No place is left for this team.
    Refused,
}

/// Calls at one target and calls that wait for it.
#[derive(Debug)]
pub struct FairQueue<T> {
    capacity: u32,
    in_use: u32,
    queued: u32,
    tickets: u64,
    /// Virtual start of the call that went last.
    now: u128,
    /// Those who wait, and those who had more than their share of late.
    teams: BTreeMap<Id, Line<T>>,
}

/// The calls of one team.
#[derive(Debug)]
struct Line<T> {
    weight: u32,
    queued: u32,
    tags: Tags,
    /// Virtual time among its priorities.
    now: u128,
    classes: [Class<T>; 3],
}

/// The calls of one team and priority, in the order in which they came.
#[derive(Debug)]
struct Class<T> {
    tags: Tags,
    calls: VecDeque<Waiting<T>>,
}

#[derive(Debug)]
struct Waiting<T> {
    ticket: u64,
    since_ms: i64,
    call: T,
}

/// Virtual times of one party: when its next call starts, and when its last one ends.
#[derive(Clone, Copy, Debug, Default)]
struct Tags {
    start: u128,
    finish: u128,
}

impl Tags {
    /// It begins to wait: nothing is owed to it for the time when it did not.
    fn join(&mut self, now: u128) {
        self.start = self.finish.max(now);
    }

    /// One of its calls goes; returns the virtual time of that.
    fn go(&mut self, weight: u32) -> u128 {
        let now = self.start;
        self.finish = now + UNIT / u128::from(weight.max(1));
        self.start = self.finish;
        now
    }
}

impl<T> Default for FairQueue<T> {
    fn default() -> Self {
        let teams = BTreeMap::new();
        Self { capacity: 0, in_use: 0, queued: 0, tickets: 0, now: 0, teams }
    }
}

impl<T> FairQueue<T> {
    /// Calls that wait.
    pub fn queued(&self) -> u32 {
        self.queued
    }

    /// Calls that hold room.
    pub fn in_use(&self) -> u32 {
        self.in_use
    }

    /// How long the one that waits longest has waited: what a newcomer may expect.
    pub fn wait_ms(&self, now_ms: i64) -> u64 {
        let classes = self.teams.values().flat_map(|line| &line.classes);
        let oldest = classes.filter_map(|class| class.calls.front()).map(|first| first.since_ms);
        oldest.min().map_or(0, |since| u64::try_from(now_ms - since).unwrap_or(0))
    }

    /// So many calls have room from now on; those beyond it stay until they end.
    pub fn resize(&mut self, capacity: u32) {
        self.capacity = capacity;
    }

    /// Take room that nobody waits for.
    pub fn take(&mut self) -> bool {
        let free = self.in_use < self.capacity && self.queued == 0;
        self.in_use += u32::from(free);
        free
    }

    /// A call comes; at most `most` wait.
    pub fn enter(&mut self, asker: Asker<'_>, most: u32, now_ms: i64, call: T) -> Entered<T> {
        if self.take() {
            return Entered::Now;
        }
        let mut displaced = None;
        if self.queued >= most {
            displaced = self.displace(asker);
            if displaced.is_none() {
                return Entered::Refused;
            }
        }
        self.tickets += 1;
        let (now, ticket) = (self.now, self.tickets);
        let line = self.teams.entry(Id::clone(asker.team)).or_insert_with(Line::new);
        line.weight = asker.weight.max(1);
        if line.queued == 0 {
            line.tags.join(now);
        }
        line.join(asker.priority, Waiting { ticket, since_ms: now_ms, call });
        self.queued += 1;
        Entered::Waits { ticket, displaced }
    }

    /// The call with this ticket does not wait any longer; `None`: it does not wait.
    pub fn leave(&mut self, ticket: u64) -> Option<T> {
        let call = self.teams.values_mut().find_map(|line| line.leave(ticket))?;
        self.queued -= 1;
        Some(call)
    }

    /// A call that had room is over.
    pub fn release(&mut self) {
        self.in_use = self.in_use.saturating_sub(1);
        if self.queued == 0 {
            // There is room for all: what anybody had more than others is forgotten.
            self.teams.clear();
            self.now = 0;
        }
    }

    /// Whose turn it is, if there is room: it has it from now on.
    pub fn turn(&mut self) -> Option<T> {
        if self.in_use >= self.capacity {
            return None;
        }
        let waiting = self.teams.values_mut().filter(|line| line.queued > 0);
        // Of equals who waits longest.
        let line = waiting.min_by_key(|line| (line.tags.start, line.oldest()))?;
        let call = line.take()?;
        self.now = line.tags.go(line.weight);
        self.queued -= 1;
        self.in_use += 1;
        let now = self.now;
        self.teams.retain(|_, line| line.queued > 0 || line.tags.finish > now);
        Some(call)
    }

    /// Make a place for one of this team: the call that lost its own, unless it would be the newcomer.
    fn displace(&mut self, asker: Asker<'_>) -> Option<T> {
        // Calls for their weight, compared without dividing.
        let more = |(calls, weight): (u32, u32), (others, their): (u32, u32)| {
            u64::from(calls) * u64::from(their) > u64::from(others) * u64::from(weight)
        };
        let own = self.teams.get(asker.team).map_or(0, |line| line.queued);
        let mut most = (own + 1, asker.weight.max(1));
        let mut team = asker.team;
        for (id, line) in self.teams.iter().filter(|(id, _)| *id != asker.team) {
            if more((line.queued, line.weight), most) {
                most = (line.queued, line.weight);
                team = id;
            }
        }
        let below = if team == asker.team { asker.priority as usize } else { PRIORITIES.len() };
        let team = Id::clone(team);
        let call = self.teams.get_mut(&team)?.give_up(below)?;
        self.queued -= 1;
        Some(call)
    }
}

impl<T> Line<T> {
    fn new() -> Self {
        let class = || Class { tags: Tags::default(), calls: VecDeque::new() };
        let classes = [class(), class(), class()];
        Self { weight: 1, queued: 0, tags: Tags::default(), now: 0, classes }
    }

    fn join(&mut self, priority: Priority, waiting: Waiting<T>) {
        let class = &mut self.classes[priority as usize];
        if class.calls.is_empty() {
            class.tags.join(self.now);
        }
        class.calls.push_back(waiting);
        self.queued += 1;
    }

    /// Ticket of the call that came first.
    fn oldest(&self) -> Option<u64> {
        let first = self.classes.iter().filter_map(|class| class.calls.front());
        first.map(|first| first.ticket).min()
    }

    /// The call whose turn it is within the team.
    fn take(&mut self) -> Option<T> {
        let waiting = self.classes.iter_mut().enumerate().filter(|(_, c)| !c.calls.is_empty());
        let next = waiting.min_by_key(|(priority, class)| (class.tags.start, Reverse(*priority)));
        let (priority, class) = next?;
        let call = class.calls.pop_front()?.call;
        self.now = class.tags.go(PRIORITIES[priority]);
        self.queued -= 1;
        Some(call)
    }

    fn leave(&mut self, ticket: u64) -> Option<T> {
        for class in &mut self.classes {
            if let Ok(index) = class.calls.binary_search_by_key(&ticket, |call| call.ticket) {
                self.queued -= 1;
                return class.calls.remove(index).map(|waiting| waiting.call);
            }
        }
        None
    }

    /// Its newest call of its lowest priority, if that is below this one.
    fn give_up(&mut self, below: usize) -> Option<T> {
        let lowest = self.classes.iter_mut().take(below).find(|class| !class.calls.is_empty());
        let call = lowest?.calls.pop_back()?.call;
        self.queued -= 1;
        Some(call)
    }
}

#[cfg(test)]
mod tests;
