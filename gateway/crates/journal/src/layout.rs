//! Where each byte of a segment lies, and how a slot is read back: pure functions over bytes.
//!
//! ```text
//! segment: one header page, then slots of one size (`stride`), each a multiple of 512 bytes
//! slot:    fixed fields | head (written before the slot opens) | target (replaced whole) | error code
//! ```
//!
//! The fields that change while a slot is open are aligned words, each stored at once. `STATE` is stored
//! last, so that whoever finds a slot after a crash finds what its state promises. Checksums are seeded
//! with the segment's random salt and the slot's place: neither content that a caller chose nor what a
//! slot held before can pass for a record.

use std::ops::Range;

use towpath_wire::usage::{Ended, USAGE_VERSION, UsageRecord};

use crate::codec;

/// Version of the segment's format. Magic and version stay where they are in every version.
pub const VERSION: u32 = 2;
pub(crate) const MAGIC: [u8; 8] = *b"TOWPATHJ";
/// A disk's sector: what a slot's size is counted in, and what power loss does not tear.
pub(crate) const UNIT: usize = 512;
/// One page, so that slots never share a page with the header.
pub(crate) const HEADER_BYTES: usize = 4096;
/// Sizes of slots. A record with everything in it but labels fits the smallest; eight labels of the
/// longest kind the gateway takes fit the third.
pub(crate) const STRIDES: [usize; 4] = [2 * UNIT, 4 * UNIT, 8 * UNIT, 16 * UNIT];
/// Most bytes a record may take.
pub const MAX_RECORD_BYTES: usize = STRIDES[STRIDES.len() - 1];

const GATEWAY_ID: usize = 38;
/// Longest gateway id a header holds; ours have 29 characters.
pub(crate) const MAX_GATEWAY_ID: usize = 128;
const HEADER_CRC: usize = 252;
/// The one mutable field of the header: the segment's stride, 0 until it gets its first slot.
pub(crate) const STRIDE_WORD: usize = 256;

pub(crate) mod slot {
    //! Offsets within a slot.
    pub(crate) const STATE: usize = 0;
    pub(crate) const HEAD_LEN: usize = 4;
    pub(crate) const HEAD_CRC: usize = 8;
    pub(crate) const TARGET_LEN: usize = 12;
    pub(crate) const TARGET_CRC: usize = 16;
    pub(crate) const BODY_CRC: usize = 20;
    pub(crate) const SEQUENCE_CRC: usize = 24;
    pub(crate) const ATTEMPTS: usize = 28;
    pub(crate) const SEQUENCE: usize = 32;
    pub(crate) const STATUS: usize = 40;
    pub(crate) const FLAGS: usize = 44;
    pub(crate) const NUMBERS: usize = 48;
    pub(crate) const INPUT: usize = NUMBERS;
    pub(crate) const OUTPUT: usize = NUMBERS + 8;
    pub(crate) const CACHED: usize = NUMBERS + 16;
    pub(crate) const REASONING: usize = NUMBERS + 24;
    pub(crate) const COST: usize = NUMBERS + 32;
    pub(crate) const FIRST_BYTE: usize = NUMBERS + 40;
    pub(crate) const QUEUE: usize = NUMBERS + 48;
    pub(crate) const COLD_START: usize = NUMBERS + 56;
    pub(crate) const LATENCY: usize = NUMBERS + 64;
    pub(crate) const OVERHEAD: usize = NUMBERS + 72;
    pub(crate) const COUNT: usize = NUMBERS + 80;
    pub(crate) const CACHE_WRITE: usize = NUMBERS + 88;
    pub(crate) const AUDIO_INPUT: usize = NUMBERS + 96;
    pub(crate) const AUDIO_OUTPUT: usize = NUMBERS + 104;
    pub(crate) const GPU: usize = NUMBERS + 112;
    /// Signed, so that it is written in zigzag.
    pub(crate) const SAVED: usize = NUMBERS + 120;
    /// Where the head begins.
    pub(crate) const FIXED: usize = NUMBERS + 128;
    /// Bytes at the slot's end that hold the error code.
    pub(crate) const ERROR_CODE: usize = 64;
    /// Bytes kept free for the target, which is not known when the slot opens: names of up to 63
    /// characters, a digest and two ids.
    pub(crate) const TARGET_MIN: usize = 416;

    pub(crate) const FREE: u32 = 0;
    pub(crate) const OPEN: u32 = 0x4f50_454e;
    pub(crate) const CLOSED: u32 = 0x434c_4f53;
    /// What stands in a number that is not known.
    pub(crate) const ABSENT: u64 = u64::MAX;
    pub(crate) const ABSENT_STATUS: u32 = u32::MAX;
}

/// What a segment's header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) number: u64,
    pub(crate) salt: u32,
    pub(crate) gateway_id: String,
    /// Size of its slots; `None` while it has none.
    pub(crate) stride: Option<usize>,
}

/// Why bytes are no segment of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HeaderError {
    /// Nothing was ever written: made shortly before a power loss.
    Blank,
    /// Of a format that this program does not write: newer, or older than it reads.
    Other(u32),
    Damaged,
}

impl Header {
    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut page = [0; HEADER_BYTES];
        page[..8].copy_from_slice(&MAGIC);
        page[8..12].copy_from_slice(&VERSION.to_le_bytes());
        page[16..24].copy_from_slice(&self.number.to_le_bytes());
        page[32..36].copy_from_slice(&self.salt.to_le_bytes());
        let id = &self.gateway_id.as_bytes()[..self.gateway_id.len().min(MAX_GATEWAY_ID)];
        page[36] = id.len() as u8;
        page[GATEWAY_ID..GATEWAY_ID + id.len()].copy_from_slice(id);
        let crc = crc32fast::hash(&page[..HEADER_CRC]);
        page[HEADER_CRC..HEADER_CRC + 4].copy_from_slice(&crc.to_le_bytes());
        page[STRIDE_WORD..STRIDE_WORD + 4].copy_from_slice(&stride_word(self.stride).to_le_bytes());
        page
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        let Some(page) = bytes.get(..HEADER_BYTES) else { return Err(HeaderError::Damaged) };
        if page.iter().all(|byte| *byte == 0) {
            return Err(HeaderError::Blank);
        }
        if page[..8] != MAGIC {
            return Err(HeaderError::Damaged);
        }
        let version = u32_at(page, 8);
        if version != VERSION && version != 0 {
            return Err(HeaderError::Other(version));
        }
        let id = GATEWAY_ID..GATEWAY_ID + usize::from(page[36]).min(MAX_GATEWAY_ID);
        let gateway_id = std::str::from_utf8(&page[id]).map_err(|_| HeaderError::Damaged)?;
        if version == 0 || u32_at(page, HEADER_CRC) != crc32fast::hash(&page[..HEADER_CRC]) {
            return Err(HeaderError::Damaged);
        }
        let stride = match u32_at(page, STRIDE_WORD) {
            0 => None,
            word => Some(
                STRIDES
                    .into_iter()
                    .find(|stride| stride_word(Some(*stride)) == word)
                    .ok_or(HeaderError::Damaged)?,
            ),
        };
        Ok(Self {
            number: u64_at(page, 16),
            salt: u32_at(page, 32),
            gateway_id: gateway_id.to_owned(),
            stride,
        })
    }
}

/// The stride beside its complement: a word that is not one of these was damaged.
pub(crate) fn stride_word(stride: Option<usize>) -> u32 {
    stride.map_or(0, |stride| stride as u32 | (!(stride as u32) << 16))
}

/// Offsets of a segment's slots.
pub(crate) fn slots(bytes: usize, stride: usize) -> impl Iterator<Item = usize> {
    let count = bytes.saturating_sub(HEADER_BYTES) / stride;
    (0..count).map(move |index| HEADER_BYTES + index * stride)
}

/// Start of a slot's checksums, different for every slot of every segment.
pub(crate) fn seed(salt: u32, offset: usize) -> u32 {
    salt ^ offset as u32
}

/// What was found in a slot.
#[derive(Debug)]
pub(crate) enum Found {
    Free,
    /// Begun and not closed; the record says what was known, `ended` that the gateway was lost.
    Open(Box<UsageRecord>, Target),
    Closed(Box<UsageRecord>),
    /// Closed and, by its sequence, acknowledged: its place is free.
    Acknowledged,
    /// Neither: torn by a power loss, or garbage.
    Torn,
}

/// Whether an open slot's target can be relied upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Sound,
    Torn,
}

/// Where the head ends and the target begins: aligned, so that a target never shares a word with it.
pub(crate) fn target_at(head_len: usize) -> usize {
    (slot::FIXED + head_len).next_multiple_of(8)
}

/// Read one slot. `bytes` is the slot, whole; the record has no gateway id yet.
pub(crate) fn read(bytes: &[u8], seed: u32, acknowledged: u64) -> Found {
    let closed = match u32_at(bytes, slot::STATE) {
        slot::FREE => return Found::Free,
        slot::OPEN => false,
        slot::CLOSED => true,
        _ => return Found::Torn,
    };
    let sequence = u64_at(bytes, slot::SEQUENCE);
    if closed {
        if u32_at(bytes, slot::SEQUENCE_CRC) != sequence_crc(bytes, seed, sequence) {
            return Found::Torn;
        }
        if sequence <= acknowledged {
            return Found::Acknowledged;
        }
    }
    match read_record(bytes, seed, closed) {
        None => Found::Torn,
        Some((mut record, _)) if closed => {
            record.sequence = sequence;
            Found::Closed(record)
        }
        Some((record, target)) => Found::Open(record, target),
    }
}

/// The record of a slot, and whether its target was sound. `None`: not consistent.
fn read_record(bytes: &[u8], seed: u32, closed: bool) -> Option<(Box<UsageRecord>, Target)> {
    let head = head_range(bytes)?;
    if u32_at(bytes, slot::HEAD_CRC) != crc(seed, &bytes[head.clone()]) {
        return None;
    }
    let mut record = Box::new(codec::read_head(&bytes[head])?);
    let mut target = Target::Sound;
    match target_range(bytes) {
        Some(range) if u32_at(bytes, slot::TARGET_CRC) == crc(seed, &bytes[range.clone()]) => {
            codec::read_target(&bytes[range], &mut record)?;
        }
        _ if closed => return None,
        _ => target = Target::Torn,
    }
    let flags = u32_at(bytes, slot::FLAGS).to_le_bytes();
    codec::read_progress(bytes, flags, &mut record)?;
    if closed {
        if u32_at(bytes, slot::BODY_CRC) != body_crc(bytes, seed) {
            return None;
        }
        codec::read_outcome(bytes, flags, &mut record)?;
    } else {
        record.ended = Ended::GatewayLost;
    }
    record.schema = USAGE_VERSION;
    Some((record, target))
}

fn head_range(bytes: &[u8]) -> Option<Range<usize>> {
    let len = u32_at(bytes, slot::HEAD_LEN) as usize;
    let room = bytes.len() - slot::FIXED - slot::ERROR_CODE;
    (len <= room).then(|| slot::FIXED..slot::FIXED + len)
}

pub(crate) fn target_range(bytes: &[u8]) -> Option<Range<usize>> {
    let start = target_at(u32_at(bytes, slot::HEAD_LEN) as usize);
    let len = u32_at(bytes, slot::TARGET_LEN) as usize;
    let end = start.checked_add(len)?;
    (end <= bytes.len() - slot::ERROR_CODE).then_some(start..end)
}

pub(crate) fn crc(seed: u32, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(seed);
    hasher.update(bytes);
    hasher.finalize()
}

/// Checksum of all that closing fixes, but for the sequence.
pub(crate) fn body_crc(bytes: &[u8], seed: u32) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(seed);
    hasher.update(&bytes[slot::HEAD_LEN..slot::BODY_CRC]);
    hasher.update(&bytes[slot::ATTEMPTS..slot::ATTEMPTS + 4]);
    hasher.update(&bytes[slot::STATUS..slot::FIXED]);
    hasher.update(&bytes[bytes.len() - slot::ERROR_CODE..]);
    hasher.finalize()
}

/// Checksum of the sequence, apart from the body's because it is computed while others wait.
pub(crate) fn sequence_crc(bytes: &[u8], seed: u32, sequence: u64) -> u32 {
    let mut both = [0; 12];
    both[..8].copy_from_slice(&sequence.to_le_bytes());
    both[8..].copy_from_slice(&bytes[slot::BODY_CRC..slot::BODY_CRC + 4]);
    crc(seed, &both)
}

/// A little-endian word; zero where `bytes` is too short.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |word| u32::from_le_bytes(*word))
}

/// A little-endian double word; zero where `bytes` is too short.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |word| u64::from_le_bytes(*word))
}

/// What a segment's bytes hold.
#[derive(Debug, Default, PartialEq)]
pub struct Scan {
    /// Closed records and open ones, the latter as they would be closed at a start.
    pub records: Vec<UsageRecord>,
    /// Slots that were neither free nor consistent.
    pub torn: u64,
}

/// Read a segment's bytes without a journal: for tools and for tests with foreign bytes.
///
/// # Errors
/// The bytes are no segment, or one of a newer format.
pub fn scan(bytes: &[u8]) -> Result<Scan, String> {
    let header = Header::decode(bytes).map_err(|error| match error {
        HeaderError::Blank => "the segment was never written to".to_owned(),
        HeaderError::Other(version) => format!("segment format {version} is not {VERSION}"),
        HeaderError::Damaged => "not a segment of a usage journal".to_owned(),
    })?;
    let mut scan = Scan::default();
    let Some(stride) = header.stride else { return Ok(scan) };
    for offset in slots(bytes.len(), stride) {
        match read(&bytes[offset..offset + stride], seed(header.salt, offset), 0) {
            Found::Free | Found::Acknowledged => {}
            Found::Torn => scan.torn += 1,
            Found::Open(record, _) | Found::Closed(record) => {
                scan.records.push(UsageRecord { gateway_id: header.gateway_id.clone(), ..*record });
            }
        }
    }
    Ok(scan)
}
