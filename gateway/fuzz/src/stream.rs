//! Server-sent events of an upstream.

use bytes::Bytes;
use towpath_dialect::{End, StreamMeter, StreamRules, UsageChunk};

use crate::is_json;

/// What a caller gets of a stream, and what is counted.
#[derive(Debug)]
struct Followed {
    out: Vec<u8>,
    failed: bool,
    content_events: u64,
    output_tokens: Option<u64>,
}

impl Followed {
    /// All of it but the number of blank lines between events, which say nothing.
    fn said(&self) -> (Vec<&[u8]>, bool, u64, Option<u64>) {
        let lines = self.out.split(|byte| *byte == b'\n');
        let lines = lines.filter(|line| !line.is_empty() && *line != b"\r").collect();
        (lines, self.failed, self.content_events, self.output_tokens)
    }
}

/// A stream in one piece and in small ones: the caller gets the same, and nothing that is not JSON.
pub fn fuzz_stream(data: &[u8]) {
    for usage in [UsageChunk::Pass, UsageChunk::Strip] {
        let rules = StreamRules { usage, choices: 1, keep_text: false };
        let whole = follow(data, data.len().max(1), rules);
        for value in values(&whole.out) {
            assert!(value == b"[DONE]" || is_json(&value), "an event left that is not JSON");
        }
        for size in [1, 7, data.len().div_ceil(2).max(1)] {
            let pieces = follow(data, size, rules);
            assert_eq!(pieces.said(), whole.said(), "chunks of {size} bytes change the stream");
        }
    }
}

/// The values of a stream's events: `data` lines joined until a blank line. A lone CR ends no line here,
/// as in `dialect`: no server of this kind sends one.
fn values(stream: &[u8]) -> Vec<Vec<u8>> {
    let (mut values, mut lines) = (Vec::new(), Vec::new());
    let unified = String::from_utf8_lossy(stream).replace("\r\n", "\n");
    for line in unified.split('\n') {
        if let Some(value) = line.strip_prefix("data:") {
            lines.push(value.strip_prefix(' ').unwrap_or(value).to_owned());
        } else if line.is_empty() && !lines.is_empty() {
            values.push(std::mem::take(&mut lines).join("\n").into_bytes());
        }
    }
    values
}

fn follow(data: &[u8], size: usize, rules: StreamRules) -> Followed {
    let mut meter = StreamMeter::new(rules);
    let mut followed =
        Followed { out: Vec::new(), failed: false, content_events: 0, output_tokens: None };
    for chunk in data.chunks(size) {
        let fed = meter.feed(Bytes::copy_from_slice(chunk));
        followed.out.extend_from_slice(&fed.out);
        if fed.fault.is_some() {
            followed.failed = true;
            break;
        }
        if fed.done {
            break;
        }
    }
    if !followed.failed {
        match meter.finish(End::Clean) {
            Ok(rest) => followed.out.extend_from_slice(&rest),
            Err(_) => followed.failed = true,
        }
    }
    followed.content_events = meter.content_events();
    followed.output_tokens = meter.usage().and_then(|usage| usage.output_tokens);
    followed
}
