//! Closed records on their way to the control plane, in the order they were closed.

use std::collections::VecDeque;

use crate::segment::Place;

/// Entries per part of the queue: it grows and shrinks by such parts and never moves what it holds.
const PART: usize = 1024;

/// A closed slot.
#[derive(Debug)]
pub(crate) struct Closed {
    pub(crate) sequence: u64,
    pub(crate) place: Place,
}

/// Closed slots in rising sequence. Its bound is the number of slots.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    parts: VecDeque<VecDeque<Closed>>,
}

impl Queue {
    pub(crate) fn push(&mut self, closed: Closed) {
        match self.parts.back_mut() {
            Some(part) if part.len() < PART => part.push_back(closed),
            _ => {
                let mut part = VecDeque::with_capacity(PART);
                part.push_back(closed);
                self.parts.push_back(part);
            }
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Closed> {
        self.parts.iter().flatten()
    }

    /// Take the first entry if its sequence is at most `through`.
    pub(crate) fn pop(&mut self, through: u64) -> Option<Closed> {
        let part = self.parts.front_mut()?;
        if part.front()?.sequence > through {
            return None;
        }
        let closed = part.pop_front();
        // The last part stays: a quiet gateway would make and drop one per record.
        if part.is_empty() && self.parts.len() > 1 {
            self.parts.pop_front();
        }
        closed
    }
}
