//! What two answers to the same call have in common: pure, and told by places alone, never by content.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use towpath_wire::routing::Operation;
use towpath_wire::usage::CallerDialect;

use crate::relay::as_json;
use crate::tier::Given;

/// Places that are told of one answer.
const MAX_PATHS: usize = 16;
/// Numbers within this part of the larger one are the same: what other kernels and batches change is far less.
const TOLERANCE: f64 = 1e-3;
/// And within this: next to nothing, a part of it says nothing.
const NOISE: f64 = 1e-6;
/// Longest name in a path; what is longer or has other characters may be content.
const MAX_NAME: usize = 64;

/// What kind of call was answered, and in whose dialect.
#[derive(Clone, Copy, Debug)]
pub struct Of {
    pub operation: Operation,
    pub dialect: CallerDialect,
    pub stream: bool,
}

/// Where two answers differ, as JSON paths; `None`: one of them cannot be read.
pub fn compare(of: Of, ours: &[u8], theirs: &[u8]) -> Option<Vec<String>> {
    let part = match of.operation {
        Operation::Predict => "outputs",
        Operation::Embeddings => "data",
        Operation::Rerank => "results",
        _ => {
            let (ours, theirs) = (text(of, ours), text(of, theirs));
            return Some(if ours == theirs { Vec::new() } else { vec!["$.text".to_owned()] });
        }
    };
    let (ours, theirs) = (read(of, ours)?, read(of, theirs)?);
    let mut found = Vec::new();
    walk(&mut format!("$.{part}"), ours.get(part)?, theirs.get(part)?, &mut found);
    Some(found)
}

/// What was said, and whether tools were called.
fn text(of: Of, answer: &[u8]) -> (String, bool) {
    let given = if of.stream { Given::stream(answer) } else { Given::plain(answer) };
    match of.operation {
        Operation::Transcriptions if !of.stream => {
            let json = serde_json::from_slice::<Value>(answer).ok();
            let text = json.as_ref().and_then(|json| json["text"].as_str());
            let whole = || String::from_utf8_lossy(answer).into_owned();
            (text.map_or_else(whole, str::to_owned), false)
        }
        _ => given.said(),
    }
}

fn read(of: Of, answer: &[u8]) -> Option<Value> {
    if of.dialect == CallerDialect::KserveGrpc {
        let json = as_json(&bytes::Bytes::copy_from_slice(answer)).ok()?;
        return serde_json::from_slice(&json).ok();
    }
    serde_json::from_slice(answer).ok()
}

/// Note where two values differ.
fn walk(path: &mut String, ours: &Value, theirs: &Value, found: &mut Vec<String>) {
    let length = path.len();
    match (ours, theirs) {
        (Value::Array(ours), Value::Array(theirs)) if ours.len() == theirs.len() => {
            if ours.iter().all(Value::is_number) && theirs.iter().all(Value::is_number) {
                // One place, however many numbers it has.
                if !ours.iter().zip(theirs).all(|(a, b)| same(a, b)) {
                    note(path, found);
                }
                return;
            }
            for (index, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
                path.push_str(&format!("[{index}]"));
                walk(path, ours, theirs, found);
                path.truncate(length);
            }
        }
        (Value::Object(ours), Value::Object(theirs)) => {
            let gone = theirs.keys().filter(|name| !ours.contains_key(*name));
            for name in ours.keys().chain(gone) {
                path.push('.');
                path.push_str(shown(name));
                match (ours.get(name), theirs.get(name)) {
                    (Some(ours), Some(theirs)) => walk(path, ours, theirs, found),
                    _ => note(path, found),
                }
                path.truncate(length);
            }
        }
        _ if same(ours, theirs) => {}
        _ => note(path, found),
    }
}

fn note(path: &str, found: &mut Vec<String>) {
    if found.len() < MAX_PATHS && !found.iter().any(|known| known == path) {
        found.push(path.to_owned());
    }
}

/// A name as it may stand in a path.
fn shown(name: &str) -> &str {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    if name.len() <= MAX_NAME && !name.is_empty() && name.bytes().all(plain) { name } else { "*" }
}

fn same(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::Number(a), Value::Number(b)) => match (a.as_f64(), b.as_f64()) {
            (Some(a), Some(b)) => near(a, b),
            _ => a == b,
        },
        // Embeddings come as such where the caller asks for it.
        (Value::String(a), Value::String(b)) => a == b || floats(a, b),
        _ => ours == theirs,
    }
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= (TOLERANCE * a.abs().max(b.abs())).max(NOISE)
}

/// Whether both texts are the same numbers in base64, 32 bits each.
fn floats(a: &str, b: &str) -> bool {
    let (Ok(a), Ok(b)) = (STANDARD.decode(a), STANDARD.decode(b)) else { return false };
    let (a, b) = (a.as_chunks::<4>(), b.as_chunks::<4>());
    // Words that happen to be base64 are not long enough.
    let vectors = a.0.len() >= 16 && a.0.len() == b.0.len() && a.1.is_empty() && b.1.is_empty();
    vectors
        && a.0.iter().zip(b.0).all(|(a, b)| {
            let (a, b) = (f32::from_le_bytes(*a), f32::from_le_bytes(*b));
            near(a.into(), b.into())
        })
}

#[cfg(test)]
mod tests;
