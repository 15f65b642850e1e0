//! Which slots are free. Slots come in four sizes, each segment has slots of one size, and a slot is
//! free again as soon as its record was acknowledged: a stream that stays open for an hour holds its
//! own slot and nothing else.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::layout::{self, STRIDES};
use crate::segment::{Place, Segment};

/// The free slots of one segment.
#[derive(Debug)]
struct Slots {
    segment: Arc<Segment>,
    group: usize,
    /// One bit per slot, set: free.
    bits: Vec<u64>,
    free: u32,
    total: u32,
    /// Word where the last slot was found: neighbours share pages, and pages are what is written out.
    cursor: usize,
}

/// The segments whose slots have one size.
#[derive(Debug, Default)]
struct Group {
    /// Those with a free slot. The lowest is used first, so that the others empty and can go.
    available: BTreeSet<u32>,
    free: u64,
    total: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Allocator {
    slots: Vec<Option<Slots>>,
    groups: [Group; STRIDES.len()],
    /// A segment made ahead of need, its slot size not chosen yet.
    spare: Option<Arc<Segment>>,
    pub(crate) used_bytes: u64,
}

impl Allocator {
    /// The group with the smallest slots that take `bytes`.
    pub(crate) fn group_for(bytes: usize) -> Option<usize> {
        STRIDES.iter().position(|stride| bytes <= *stride)
    }

    /// A free slot of this group, if a segment of it has one or the spare can become one.
    pub(crate) fn take(&mut self, group: usize) -> Option<Place> {
        if self.groups[group].available.is_empty() {
            let spare = self.spare.take()?;
            spare.set_stride(STRIDES[group]);
            self.insert(spare, group);
        }
        self.take_existing(group)
    }

    /// A free slot of this group or, failing that, of one with larger slots.
    pub(crate) fn take_any(&mut self, group: usize) -> Option<Place> {
        (group..STRIDES.len()).find_map(|group| self.take_existing(group))
    }

    fn take_existing(&mut self, group: usize) -> Option<Place> {
        let index = *self.groups[group].available.first()?;
        let slots = self.slots[index as usize].as_mut()?;
        let number = slots.next()?;
        let place = slots.claim(index, number)?;
        let none_left = slots.free == 0;
        self.account_taken(group, index, none_left);
        Some(place)
    }

    /// Take a slot back. Its bytes stay as they are until it is used again.
    pub(crate) fn release(&mut self, place: Place) {
        let index = place.index;
        let Some(slots) = self.slots.get_mut(index as usize).and_then(Option::as_mut) else {
            return;
        };
        let number = (place.offset as usize - layout::HEADER_BYTES) / place.stride as usize;
        drop(place);
        slots.bits[number / 64] |= 1 << (number % 64);
        slots.free += 1;
        let group = &mut self.groups[slots.group];
        group.free += 1;
        group.available.insert(index);
        self.used_bytes -= STRIDES[slots.group] as u64;
    }

    /// Add a segment to a group, all of it free, and return where it is kept.
    pub(crate) fn insert(&mut self, segment: Arc<Segment>, group: usize) -> u32 {
        let total = layout::slots(segment.bytes(), STRIDES[group]).count() as u32;
        let mut bits = vec![u64::MAX; total.div_ceil(64) as usize];
        if let Some(last) = bits.last_mut()
            && !total.is_multiple_of(64)
        {
            *last = (1 << (total % 64)) - 1;
        }
        let index = self.slots.iter().position(Option::is_none).unwrap_or(self.slots.len());
        if index == self.slots.len() {
            self.slots.push(None);
        }
        self.slots[index] = Some(Slots { segment, group, bits, free: total, total, cursor: 0 });
        let group = &mut self.groups[group];
        group.free += u64::from(total);
        group.total += u64::from(total);
        if total > 0 {
            group.available.insert(index as u32);
        }
        index as u32
    }

    /// Take one particular slot, if it is free.
    pub(crate) fn claim(&mut self, index: u32, offset: usize) -> Option<Place> {
        let slots = self.slots.get_mut(index as usize)?.as_mut()?;
        let number = offset.checked_sub(layout::HEADER_BYTES)? / STRIDES[slots.group];
        let place = slots.claim(index, number)?;
        let (group, none_left) = (slots.group, slots.free == 0);
        self.account_taken(group, index, none_left);
        Some(place)
    }

    fn account_taken(&mut self, group: usize, index: u32, none_left: bool) {
        if none_left {
            self.groups[group].available.remove(&index);
        }
        self.groups[group].free -= 1;
        self.used_bytes += STRIDES[group] as u64;
    }

    /// Keep a segment as the spare. Returns it if there is one already.
    pub(crate) fn set_spare(&mut self, segment: Arc<Segment>) -> Option<Arc<Segment>> {
        if self.spare.is_some() {
            return Some(segment);
        }
        self.spare = Some(segment);
        None
    }

    /// Whether a spare should be made: some group in use has less than half a segment's slots left.
    pub(crate) fn wants_spare(&self, segment_bytes: u64) -> bool {
        let low = |(group, stride): (&Group, &usize)| {
            group.total > 0 && group.free < segment_bytes / *stride as u64 / 2
        };
        self.spare.is_none() && (self.nothing_yet() || self.groups.iter().zip(&STRIDES).any(low))
    }

    fn nothing_yet(&self) -> bool {
        self.groups.iter().all(|group| group.total == 0)
    }

    /// Whether some slot of at least this group's size is free.
    pub(crate) fn has_free(&self, group: usize) -> bool {
        self.groups[group..].iter().any(|group| group.free > 0) || self.spare.is_some()
    }

    /// Take one segment out that nothing is in, provided that its group has another one like it.
    pub(crate) fn shrink(&mut self) -> Option<Arc<Segment>> {
        for group in 0..STRIDES.len() {
            let empty = |slots: &Option<Slots>| {
                slots
                    .as_ref()
                    .is_some_and(|slots| slots.group == group && slots.free == slots.total)
            };
            let last = self.slots.iter().rposition(empty);
            if last == self.slots.iter().position(empty) {
                continue;
            }
            let removed = last.and_then(|index| Some((index, self.slots[index].take()?)));
            let Some((index, slots)) = removed else { continue };
            let group = &mut self.groups[group];
            group.available.remove(&(index as u32));
            group.free -= u64::from(slots.total);
            group.total -= u64::from(slots.total);
            return Some(slots.segment);
        }
        None
    }

    /// Bytes of all segments.
    pub(crate) fn bytes(&self) -> u64 {
        let used = self.slots.iter().flatten().map(|slots| &slots.segment);
        used.chain(&self.spare).map(|segment| segment.bytes() as u64).sum()
    }

    pub(crate) fn segments(&self) -> Vec<Arc<Segment>> {
        let used = self.slots.iter().flatten().map(|slots| &slots.segment);
        used.chain(&self.spare).cloned().collect()
    }
}

impl Slots {
    /// A free slot, from where the last one was found on.
    fn next(&mut self) -> Option<usize> {
        let words = self.bits.len();
        let word =
            (0..words).map(|step| (self.cursor + step) % words).find(|at| self.bits[*at] != 0)?;
        self.cursor = word;
        Some(word * 64 + self.bits[word].trailing_zeros() as usize)
    }

    fn claim(&mut self, index: u32, number: usize) -> Option<Place> {
        let (word, bit) = (number / 64, 1 << (number % 64));
        if self.bits.get(word)? & bit == 0 {
            return None;
        }
        self.bits[word] &= !bit;
        self.free -= 1;
        let stride = STRIDES[self.group];
        let offset = layout::HEADER_BYTES + number * stride;
        // SAFETY: the bit was set, so the slot's former `Place` was dropped in `release`, or never made.
        Some(unsafe { Place::new(Arc::clone(&self.segment), offset, stride, index) })
    }
}
