//! Attributes of spans and resources, written as the protocol has them.

use towpath_dialect::protobuf::{write_message, write_number, write_text, write_varint};

/// Longest text of an attribute; names of ours are shorter.
const MAX_TEXT: usize = 256;

/// Attributes as fields of this number of the message around them. What is absent is left out.
#[derive(Debug)]
pub struct Attributes {
    number: u64,
    bytes: Vec<u8>,
}

impl Attributes {
    pub fn of(number: u64) -> Self {
        Self { number, bytes: Vec::with_capacity(1 << 10) }
    }

    pub fn text(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.add(name, |any| write_string(cut(value), any));
        }
    }

    pub fn texts(&mut self, name: &str, values: &[String]) {
        if values.is_empty() {
            return;
        }
        self.add(name, |any| {
            write_message(5, any, |array| {
                for value in values {
                    write_message(1, array, |any| write_string(cut(value), any));
                }
            });
        });
    }

    /// A word that serde has for a value.
    pub fn word(&mut self, name: &str, value: Option<impl serde::Serialize>) {
        let word = value.and_then(|value| serde_json::to_value(value).ok());
        self.text(name, word.as_ref().and_then(serde_json::Value::as_str));
    }

    pub fn number(&mut self, name: &str, value: Option<u64>) {
        if let Some(value) = value {
            // Zero is said, too: what is not known is not here.
            self.add(name, |any| {
                write_varint(3 << 3, any);
                write_varint(value, any);
            });
        }
    }

    pub fn flag(&mut self, name: &str, value: bool) {
        self.add(name, |any| {
            write_varint(2 << 3, any);
            write_varint(value.into(), any);
        });
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn add(&mut self, name: &str, value: impl FnOnce(&mut Vec<u8>)) {
        write_message(self.number, &mut self.bytes, |pair| {
            write_text(1, name, pair);
            write_message(2, pair, value);
        });
    }
}

/// A text as a value, even an empty one.
fn write_string(text: &str, any: &mut Vec<u8>) {
    write_message(1, any, |out| out.extend_from_slice(text.as_bytes()));
}

fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MAX_TEXT)).unwrap_or_default()
}

/// A span's status, if it failed.
pub(super) fn write_failure(out: &mut Vec<u8>) {
    write_message(15, out, |status| write_number(3, 2, status));
}
