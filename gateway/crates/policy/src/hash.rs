//! Keys exist here only as the SHA-256 of what the caller presented.

use std::fmt::{self, Write as _};

use ring::digest::{SHA256, digest};

/// SHA-256 of a key. Neither it nor the key is ever printed in full.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyHash([u8; 32]);

/// Text that is not a SHA-256 in lower-case hex.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a SHA-256 of 64 lower-case hex digits")]
pub struct MalformedHash;

impl KeyHash {
    /// Hash a key as a caller presented it.
    pub fn of(presented: &[u8]) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest(&SHA256, presented).as_ref());
        Self(bytes)
    }

    /// The form in which hashes travel.
    pub fn to_hex(self) -> String {
        self.0.iter().fold(String::with_capacity(64), |mut text, byte| {
            // Writing to a string does not fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// Read the form in which hashes travel.
    ///
    /// # Errors
    /// The text is anything but 64 lower-case hex digits.
    pub fn from_hex(text: &str) -> Result<Self, MalformedHash> {
        let text = text.as_bytes();
        if text.len() != 64 {
            return Err(MalformedHash);
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.as_chunks::<2>().0) {
            *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Ok(Self(bytes))
    }
}

fn nibble(digit: u8) -> Result<u8, MalformedHash> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        _ => Err(MalformedHash),
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "KeyHash({:02x}{:02x}…)", self.0[0], self.0[1])
    }
}
