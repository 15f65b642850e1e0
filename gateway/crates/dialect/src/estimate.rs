//! How many tokens an input has, where the upstream does not say: learned bytes per token.

/// One target's ratio; shared between threads.
#[derive(Debug, Default)]
pub struct BytesPerToken {}

impl BytesPerToken {
    /// Learn from a call whose input tokens the upstream reported.
    pub fn observe(&self, bytes: u64, tokens: u64) {
        let _ = (bytes, tokens);
        todo!()
    }
    /// Tokens of an input of so many bytes, rounded up.
    pub fn estimate(&self, bytes: u64) -> u64 {
        let _ = bytes;
        todo!()
    }
}
