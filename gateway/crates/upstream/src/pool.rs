//! Keep-alive connections by address.
use crate::address::Address;
use crate::body::Body;
use crate::errors::UpstreamError;
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;
use towpath_wire::routing::Timeouts;

/// Which certificate authorities are trusted.
#[derive(Clone, Debug, Default)]
pub enum Roots {
    #[default]
    Native,
    File(PathBuf),
}

#[derive(Clone, Debug)]
pub struct Settings {
    pub idle: Duration,
    pub max_idle_per_address: usize,
    pub roots: Roots,
}

#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("roots")]
    Roots(String),
}

/// One worker's connections. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Pool {}

/// A request's body.
pub enum Payload {
    Whole(Bytes),
    /// Relayed as it comes; never sent twice.
    Streamed(
        Pin<
            Box<
                dyn http_body::Body<Data = Bytes, Error = Box<dyn std::error::Error + Send + Sync>>,
            >,
        >,
    ),
}

/// One request.
pub struct Call<'a> {
    pub method: Method,
    /// Appended to the address's prefix: `/chat/completions`, `/v2/models/m/infer`; may have a query.
    pub path: &'a str,
    /// Without `host`, `content-length`, `connection`, `accept-encoding`: those are ours.
    pub headers: HeaderMap,
    pub body: Payload,
    /// A stream of events: the first-byte limit runs until `Body::first_event_seen`.
    pub stream: bool,
    pub timeouts: Timeouts,
}

/// An answer whose head has come.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Body,
}

impl Pool {
    pub fn new(settings: Settings) -> Result<Self, SettingsError> {
        let _ = settings;
        todo!()
    }
    /// Send one request. Dropping the future cancels it.
    pub async fn send(&self, address: &Address, call: Call<'_>) -> Result<Reply, UpstreamError> {
        let _ = (address, call);
        todo!()
    }
    /// Close what has been idle too long; call it about once a second.
    pub fn sweep(&self) {
        todo!()
    }
}
