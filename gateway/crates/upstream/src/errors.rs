//! What can go wrong on the way to an upstream and back.

use std::fmt;
use std::io;
use std::net::IpAddr;

use crate::egress::Denied;

/// A phase of a call with a limit of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Connect,
    FirstByte,
    Silence,
    Total,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "connecting",
            Self::FirstByte => "waiting for the answer to begin",
            Self::Silence => "waiting for the answer to go on",
            Self::Total => "waiting for the whole answer",
        })
    }
}

/// Why there is no answer, or no more of it. These texts are for the log: sources may name hosts.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    #[error("no connection")]
    Connect(#[source] io::Error),
    /// The address is one that no URL may lead to.
    #[error("not connected{}, which is {why}", at(*.ip))]
    Denied { ip: Option<IpAddr>, why: Denied },
    #[error("no TLS session")]
    Tls(#[source] io::Error),
    #[error("timed out after {limit_ms} ms {phase}")]
    Timeout { phase: Phase, limit_ms: u32 },
    /// The connection ended before the answer did; with 0 bytes, before any of it came.
    #[error("connection ended after {received_bytes} bytes of an answer")]
    Cut { received_bytes: u64 },
    /// What came is not HTTP, or its head is larger than 64 KiB.
    #[error("answer is not proper HTTP")]
    Protocol(#[source] hyper::Error),
    #[error("answered with the redirect {status}, which is not followed")]
    Redirect { status: u16 },
    #[error("answer is larger than {limit_bytes} bytes")]
    TooLarge { limit_bytes: usize },
    /// The request's own body broke off: the caller's fault, not the upstream's.
    #[error("the body to send broke off")]
    Payload(#[source] hyper::Error),
    #[error("`{0}` is no path")]
    Path(String),
}

fn at(ip: Option<IpAddr>) -> String {
    ip.map_or_else(|| " to its address".to_owned(), |ip| format!(" to {ip}"))
}

impl UpstreamError {
    /// Stable code for the caller.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Connect(_) | Self::Tls(_) => "upstream_unavailable",
            Self::Denied { .. } => "egress_denied",
            Self::Timeout { phase: Phase::Connect, .. } => "upstream_unavailable",
            Self::Timeout { .. } => "upstream_timeout",
            Self::Cut { received_bytes: 1.. } => "upstream_cut",
            Self::Cut { .. }
            | Self::Protocol(_)
            | Self::Redirect { .. }
            | Self::TooLarge { .. }
            | Self::Path(_) => "upstream_error",
            Self::Payload(_) => "client_gone",
        }
    }

    /// Another target may do better, as long as nothing went out to the caller.
    pub fn retryable(&self) -> bool {
        !matches!(
            self,
            Self::Payload(_) | Self::Path(_) | Self::Timeout { phase: Phase::Total, .. }
        )
    }
}
