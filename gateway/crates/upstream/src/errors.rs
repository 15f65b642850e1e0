//! What can go wrong on the way to an upstream and back.

/// A phase with a time limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Connect,
    FirstByte,
    Silence,
    Total,
}

/// Why there is no answer, or no more of it. No text in it may reach callers: it may name hosts.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    #[error("no connection")]
    Connect(#[source] std::io::Error),
    #[error("no TLS session")]
    Tls(#[source] std::io::Error),
    #[error("timeout")]
    Timeout { phase: Phase, limit_ms: u32 },
    /// The connection ended before the answer did.
    #[error("cut")]
    Cut { received_bytes: u64 },
    #[error("not HTTP")]
    Protocol(#[source] hyper::Error),
    #[error("redirect {status}")]
    Redirect { status: u16 },
    #[error("larger than {limit_bytes} bytes")]
    TooLarge { limit_bytes: usize },
}
