//! A record that is being written: begun, brought up to date, closed.

use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use towpath_wire::usage::{Cache, CountedBy, Ended};

use crate::codec;
use crate::journal::Inner;
use crate::layout::{self, slot, u32_at};
use crate::record::{Outcome, Progress, RecordHead, TargetPart};
use crate::segment::Place;

/// Error code of a record whose slot was dropped instead of closed.
pub const ABANDONED: &str = "abandoned";

/// An open record. Dropped without [`Slot::close`] it closes as an error, with what was counted so far.
#[derive(Debug)]
pub struct Slot {
    inner: Arc<Inner>,
    /// Gone once closed.
    place: Option<Place>,
    progress: Progress,
}

impl Slot {
    pub(crate) fn new(inner: Arc<Inner>, place: Place) -> Self {
        Self { inner, place: Some(place), progress: Progress::default() }
    }

    /// Say where the request goes; what was said before is forgotten. Texts that do not fit are cut.
    pub fn target(&mut self, target: &TargetPart<'_>) {
        if let Some(place) = &mut self.place {
            write_target(place, target);
        }
    }

    /// Bring the counters up to date: a few stores, nothing else.
    pub fn progress(&mut self, progress: &Progress) {
        self.progress = *progress;
        if let Some(place) = &self.place {
            write_progress(place, progress);
            set(
                place,
                slot::FLAGS,
                codec::flags(progress.counted_by, Cache::None, Ended::Error, 0),
            );
            place.segment.mark();
        }
    }

    /// Close the record and return its sequence. See [`crate::Journal::durable`] for when it is on disk.
    pub fn close(mut self, outcome: &Outcome<'_>) -> u64 {
        self.finish(outcome)
    }

    fn finish(&mut self, outcome: &Outcome<'_>) -> u64 {
        let Some(mut place) = self.place.take() else { return 0 };
        write_outcome(&mut place, outcome);
        self.inner.publish(place)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.place.is_some() {
            let abandoned = Outcome::new(Ended::Error, self.progress);
            self.finish(&Outcome { error_code: Some(ABANDONED), ..abandoned });
        }
    }
}

fn set(place: &Place, at: usize, value: u32) {
    place.word(at).store(value.to_le(), Ordering::Relaxed);
}

fn set_number(place: &Place, at: usize, value: Option<u64>) {
    place.double_word(at).store(value.unwrap_or(slot::ABSENT).to_le(), Ordering::Relaxed);
}

/// Bytes a slot must have for this head.
pub(crate) fn bytes_needed(head: &RecordHead<'_>) -> usize {
    layout::target_at(codec::head_len(head)) + slot::TARGET_MIN + slot::ERROR_CODE
}

/// Fill a free slot and open it. It was checked to be as large as [`bytes_needed`] says.
pub(crate) fn write_head(place: &mut Place, head: &RecordHead<'_>) {
    set(place, slot::STATE, slot::FREE);
    // Nothing below may reach the slot while it still seems to hold its former record.
    fence(Ordering::Release);
    let (seed, len) = (place.seed(), codec::head_len(head));
    let bytes = &mut place.bytes_mut()[slot::FIXED..slot::FIXED + len];
    codec::write_head(head, bytes);
    let crc = layout::crc(seed, bytes);
    set(place, slot::HEAD_LEN, len as u32);
    set(place, slot::HEAD_CRC, crc);
    set(place, slot::TARGET_LEN, 0);
    set(place, slot::TARGET_CRC, layout::crc(seed, &[]));
    write_progress(place, &Progress::default());
    set(place, slot::FLAGS, codec::flags(CountedBy::None, Cache::None, Ended::Error, 0));
    place.word(slot::STATE).store(slot::OPEN.to_le(), Ordering::Release);
    place.segment.mark();
}

/// Replace the target. While that happens the slot has none.
pub(crate) fn write_target(place: &mut Place, target: &TargetPart<'_>) {
    forget_target(place);
    fence(Ordering::Release);
    let seed = place.seed();
    let start = layout::target_at(u32_at(place.bytes(), slot::HEAD_LEN) as usize);
    let end = place.bytes().len() - slot::ERROR_CODE;
    let bytes = &mut place.bytes_mut()[start..end];
    let len = codec::write_target(target, bytes);
    let crc = layout::crc(seed, &bytes[..len]);
    set(place, slot::TARGET_CRC, crc);
    place.word(slot::TARGET_LEN).store((len as u32).to_le(), Ordering::Release);
    place.segment.mark();
}

pub(crate) fn forget_target(place: &Place) {
    set(place, slot::TARGET_LEN, 0);
    set(place, slot::TARGET_CRC, layout::crc(place.seed(), &[]));
}

fn write_progress(place: &Place, progress: &Progress) {
    set(place, slot::ATTEMPTS, progress.attempts);
    set_number(place, slot::INPUT, progress.input_tokens);
    set_number(place, slot::OUTPUT, progress.output_tokens);
    set_number(place, slot::CACHED, progress.cached_input_tokens);
    set_number(place, slot::REASONING, progress.reasoning_tokens);
    set_number(place, slot::CACHE_WRITE, progress.cache_write_tokens);
    set_number(place, slot::AUDIO_INPUT, progress.audio_input_tokens);
    set_number(place, slot::AUDIO_OUTPUT, progress.audio_output_tokens);
    set_number(place, slot::GPU, progress.gpu_us);
    set_number(place, slot::COST, progress.cost_nano);
    set_number(place, slot::SAVED, progress.saved_nano.map(codec::zigzag));
    set_number(place, slot::FIRST_BYTE, progress.first_byte_ms);
    set_number(place, slot::QUEUE, progress.queue_ms);
    set_number(place, slot::COLD_START, progress.cold_start_ms);
}

/// Write all that closing adds but the sequence; the slot stays open.
pub(crate) fn write_outcome(place: &mut Place, outcome: &Outcome<'_>) {
    write_progress(place, &outcome.progress);
    set_number(place, slot::LATENCY, outcome.latency_ms);
    set_number(place, slot::OVERHEAD, outcome.overhead_us);
    set_number(place, slot::COUNT, Some(outcome.count));
    set(place, slot::STATUS, outcome.status.map_or(slot::ABSENT_STATUS, u32::from));
    let code = codec::cut(outcome.error_code.unwrap_or_default(), slot::ERROR_CODE);
    let flags = codec::flags(outcome.progress.counted_by, outcome.cache, outcome.ended, code.len());
    set(place, slot::FLAGS, flags);
    let seed = place.seed();
    let bytes = place.bytes_mut();
    let start = bytes.len() - slot::ERROR_CODE;
    bytes[start..start + code.len()].copy_from_slice(code.as_bytes());
    let crc = layout::body_crc(bytes, seed);
    set(place, slot::BODY_CRC, crc);
}

/// Close a slot whose outcome was written.
pub(crate) fn seal(place: &Place, sequence: u64) {
    place.double_word(slot::SEQUENCE).store(sequence.to_le(), Ordering::Relaxed);
    let crc = layout::sequence_crc(place.bytes(), place.seed(), sequence);
    set(place, slot::SEQUENCE_CRC, crc);
    place.word(slot::STATE).store(slot::CLOSED.to_le(), Ordering::Release);
    place.segment.mark();
}
