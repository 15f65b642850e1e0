//! The parts of a record as bytes. Absent fields take no bytes; unknown tags are refused, because a
//! format that has them carries a higher version.

use towpath_wire::routing::Operation;
use towpath_wire::usage::{Cache, CallerDialect, CountedBy, Ended, MAX_LABELS, UsageRecord};

use crate::codes::{Coded, code_of, optional};
use crate::layout::{slot, u32_at, u64_at};
use crate::record::{RecordHead, TargetPart};

/// Time and the four small fields that every head begins with.
const HEAD_FIXED: usize = 12;
/// Data class, kind and version that every target begins with.
const TARGET_FIXED: usize = 8;
/// Tag and length before each text.
const TEXT_FIXED: usize = 3;

const LABEL: u8 = 0x20;

fn head_texts<'a>(head: &RecordHead<'a>) -> [(u8, Option<&'a str>); 10] {
    [
        (1, Some(head.id)),
        (2, head.client_request_id),
        (3, head.trace_id),
        (4, head.team),
        (5, head.project),
        (6, head.application),
        (7, head.key_id),
        (8, head.user),
        (9, head.endpoint),
        (10, head.endpoint_id),
    ]
}

fn target_texts<'a>(target: &TargetPart<'a>) -> [(u8, Option<&'a str>); 9] {
    [
        (1, target.target),
        (2, target.provider),
        (3, target.model),
        (4, target.model_digest),
        (5, target.replica),
        (6, target.region),
        (7, target.currency),
        (8, target.price_id),
        // Last, since it is what may be cut.
        (9, target.decision),
    ]
}

/// Bytes that [`write_head`] needs.
pub(crate) fn head_len(head: &RecordHead<'_>) -> usize {
    let texts = head_texts(head).iter().filter_map(|(_, text)| *text).map(text_len).sum::<usize>();
    let labels = head
        .labels
        .iter()
        .take(MAX_LABELS)
        .map(|(name, value)| TEXT_FIXED + 2 + name.len() + value.len());
    HEAD_FIXED + texts + labels.sum::<usize>()
}

fn text_len(text: &str) -> usize {
    TEXT_FIXED + text.len()
}

/// Write the head into `out`, which has the length [`head_len`] said.
pub(crate) fn write_head(head: &RecordHead<'_>, out: &mut [u8]) {
    out[..8].copy_from_slice(&head.time_ms.to_le_bytes());
    out[8] = code_of(head.environment);
    out[9] = head.operation.code();
    out[10] = head.dialect.code();
    out[11] = u8::from(head.stream);
    let mut writer = Writer { out, at: HEAD_FIXED };
    for (tag, text) in head_texts(head) {
        if let Some(text) = text {
            writer.text(tag, text);
        }
    }
    for (name, value) in head.labels.iter().take(MAX_LABELS) {
        writer.label(name, value);
    }
}

/// Write the target into `out` and return its length. Texts that find no room are cut.
pub(crate) fn write_target(target: &TargetPart<'_>, out: &mut [u8]) -> usize {
    out[0] = code_of(target.target_kind);
    out[1] = code_of(target.data_class);
    out[2] = u8::from(target.model_version.is_some());
    out[3] = 0;
    out[4..8].copy_from_slice(&target.model_version.unwrap_or(0).to_le_bytes());
    let mut writer = Writer { out, at: TARGET_FIXED };
    for (tag, text) in target_texts(target) {
        if let Some(text) = text {
            let room = writer.out.len() - writer.at;
            if room > TEXT_FIXED {
                writer.text(tag, cut(text, room - TEXT_FIXED));
            }
        }
    }
    writer.at
}

/// The beginning of `text` that fits `room` bytes.
pub(crate) fn cut(text: &str, room: usize) -> &str {
    &text[..text.floor_char_boundary(room)]
}

struct Writer<'a> {
    out: &'a mut [u8],
    at: usize,
}

impl Writer<'_> {
    fn text(&mut self, tag: u8, text: &str) {
        self.put(&[tag]);
        self.put(&(text.len() as u16).to_le_bytes());
        self.put(text.as_bytes());
    }

    fn label(&mut self, name: &str, value: &str) {
        self.put(&[LABEL]);
        self.put(&(name.len() as u16).to_le_bytes());
        self.put(&(value.len() as u16).to_le_bytes());
        self.put(name.as_bytes());
        self.put(value.as_bytes());
    }

    fn put(&mut self, bytes: &[u8]) {
        self.out[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }

    fn len(&mut self) -> Option<usize> {
        self.take(2).map(|two| usize::from(u16::from_le_bytes([two[0], two[1]])))
    }

    fn text(&mut self, len: usize) -> Option<String> {
        std::str::from_utf8(self.take(len)?).ok().map(str::to_owned)
    }

    /// The next tag; `None` at the end.
    fn tag(&mut self) -> Option<u8> {
        self.take(1).map(|tag| tag[0])
    }
}

/// Read a head into a record that has nothing else yet.
pub(crate) fn read_head(bytes: &[u8]) -> Option<UsageRecord> {
    let mut reader = Reader { rest: bytes };
    let fixed = reader.take(HEAD_FIXED)?;
    let mut record = blank();
    record.time_ms = u64_at(fixed, 0).cast_signed();
    record.environment = optional(fixed[8])?;
    record.operation = Operation::from_code(fixed[9])?;
    record.dialect = CallerDialect::from_code(fixed[10])?;
    record.stream = fixed[11] == 1;
    while let Some(tag) = reader.tag() {
        let len = reader.len()?;
        if tag == LABEL {
            let value_len = reader.len()?;
            let name = reader.text(len)?;
            record.labels.insert(name, reader.text(value_len)?);
            continue;
        }
        let text = reader.text(len)?;
        match tag {
            1 => record.id = text,
            2 => record.client_request_id = Some(text),
            3 => record.trace_id = Some(text),
            4 => record.team = Some(text),
            5 => record.project = Some(text),
            6 => record.application = Some(text),
            7 => record.key_id = Some(text),
            8 => record.user = Some(text),
            9 => record.endpoint = Some(text),
            10 => record.endpoint_id = Some(text),
            _ => return None,
        }
    }
    (record.labels.len() <= MAX_LABELS).then_some(record)
}

/// Read a target into its record; an empty one says that none was chosen.
pub(crate) fn read_target(bytes: &[u8], record: &mut UsageRecord) -> Option<()> {
    if bytes.is_empty() {
        return Some(());
    }
    let mut reader = Reader { rest: bytes };
    let fixed = reader.take(TARGET_FIXED)?;
    record.target_kind = optional(fixed[0])?;
    record.data_class = optional(fixed[1])?;
    record.model_version = (fixed[2] == 1).then(|| u32_at(fixed, 4));
    while let Some(tag) = reader.tag() {
        let len = reader.len()?;
        let text = Some(reader.text(len)?);
        match tag {
            1 => record.target = text,
            2 => record.provider = text,
            3 => record.model = text,
            4 => record.model_digest = text,
            5 => record.replica = text,
            6 => record.region = text,
            7 => record.currency = text,
            8 => record.price_id = text,
            9 => record.decision = text,
            _ => return None,
        }
    }
    Some(())
}

/// Read a slot's counters into its record.
pub(crate) fn read_progress(bytes: &[u8], flags: [u8; 4], record: &mut UsageRecord) -> Option<()> {
    let number = |at| Some(u64_at(bytes, at)).filter(|value| *value != slot::ABSENT);
    record.attempts = u32_at(bytes, slot::ATTEMPTS);
    record.input_tokens = number(slot::INPUT);
    record.output_tokens = number(slot::OUTPUT);
    record.cached_input_tokens = number(slot::CACHED);
    record.cache_write_tokens = number(slot::CACHE_WRITE);
    record.reasoning_tokens = number(slot::REASONING);
    record.audio_input_tokens = number(slot::AUDIO_INPUT);
    record.audio_output_tokens = number(slot::AUDIO_OUTPUT);
    record.gpu_us = number(slot::GPU);
    record.cost_nano = number(slot::COST);
    record.saved_nano = number(slot::SAVED).map(unzigzag);
    record.first_byte_ms = number(slot::FIRST_BYTE);
    record.queue_ms = number(slot::QUEUE);
    record.cold_start_ms = number(slot::COLD_START);
    record.counted_by = CountedBy::from_code(flags[0])?;
    Some(())
}

/// Read what closing added.
pub(crate) fn read_outcome(bytes: &[u8], flags: [u8; 4], record: &mut UsageRecord) -> Option<()> {
    let number = |at| Some(u64_at(bytes, at)).filter(|value| *value != slot::ABSENT);
    record.latency_ms = number(slot::LATENCY);
    record.overhead_us = number(slot::OVERHEAD);
    record.count = u64_at(bytes, slot::COUNT);
    record.status = match u32_at(bytes, slot::STATUS) {
        slot::ABSENT_STATUS => None,
        status => Some(u16::try_from(status).ok()?),
    };
    record.cache = Cache::from_code(flags[1])?;
    record.ended = Ended::from_code(flags[2])?;
    let code_len = usize::from(flags[3]);
    if code_len > 0 {
        let start = bytes.len() - slot::ERROR_CODE;
        let code = bytes[start..].get(..code_len)?;
        record.error_code = Some(std::str::from_utf8(code).ok()?.to_owned());
    }
    Some(())
}

/// A signed number as one that is small when it is near 0. Only `i64::MIN` becomes [`slot::ABSENT`].
pub(crate) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

/// The small fields of an outcome as one word.
pub(crate) fn flags(counted_by: CountedBy, cache: Cache, ended: Ended, code_len: usize) -> u32 {
    u32::from_le_bytes([counted_by.code(), cache.code(), ended.code(), code_len as u8])
}

fn blank() -> UsageRecord {
    UsageRecord {
        schema: 0,
        id: String::new(),
        gateway_id: String::new(),
        sequence: 0,
        time_ms: 0,
        client_request_id: None,
        trace_id: None,
        team: None,
        project: None,
        application: None,
        key_id: None,
        user: None,
        labels: std::collections::BTreeMap::new(),
        environment: None,
        operation: Operation::Chat,
        dialect: CallerDialect::Openai,
        stream: false,
        endpoint: None,
        endpoint_id: None,
        target_kind: None,
        target: None,
        provider: None,
        model: None,
        model_version: None,
        model_digest: None,
        replica: None,
        region: None,
        data_class: None,
        decision: None,
        status: None,
        attempts: 0,
        input_tokens: None,
        output_tokens: None,
        cached_input_tokens: None,
        cache_write_tokens: None,
        reasoning_tokens: None,
        audio_input_tokens: None,
        audio_output_tokens: None,
        gpu_us: None,
        counted_by: CountedBy::None,
        cost_nano: None,
        saved_nano: None,
        currency: None,
        price_id: None,
        cache: Cache::None,
        latency_ms: None,
        first_byte_ms: None,
        queue_ms: None,
        cold_start_ms: None,
        overhead_us: None,
        ended: Ended::Error,
        error_code: None,
        count: 1,
    }
}
