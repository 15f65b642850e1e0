//! The gateway's side of the link to the control plane, on a thread of its own so that no request ever
//! waits for it: fetches the table, ships usage, sends signals.

mod budgets;
mod leftovers;
mod ship;
mod store;
mod table;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use towpath_upstream::{Address, Call, Expect, Payload, Pool};
use towpath_wire::routing::Timeouts;

use crate::clock;
use crate::config::Secret;
use crate::role::{Ending, ending};
use crate::shared::Shared;

pub use budgets::Budgets;
pub use store::{Store, StoreError};
pub use table::{Position, rebuild, restore, revoke_here};

/// Largest answer of the control plane: a snapshot with 100,000 keys has some 40 MB.
const MAX_REPLY: usize = 512 << 20;
/// First and longest pause after a failed call. Short: the control plane restarts within a second, and
/// records and tables wait for it.
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_MOST: Duration = Duration::from_secs(2);

/// One end of the link.
#[derive(Clone)]
pub struct Link {
    pool: Pool,
    address: Address,
    authorization: HeaderValue,
    shared: Arc<Shared>,
}

/// Why a call to the control plane gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    #[error("the link credential cannot stand in a header")]
    Credential,
    #[error("the control plane cannot be reached: {0}")]
    Unreachable(String),
    #[error("the control plane answered {0}")]
    Status(u16),
    #[error("the control plane's answer cannot be read: {0}")]
    Malformed(String),
}

impl Link {
    /// # Errors
    /// The credential holds characters that a header cannot carry.
    pub fn new(
        shared: &Arc<Shared>,
        pool: Pool,
        address: Address,
        credential: &Secret,
    ) -> Result<Self, LinkError> {
        let text = format!("Bearer {}", credential.reveal());
        let mut authorization = HeaderValue::try_from(text).map_err(|_| LinkError::Credential)?;
        authorization.set_sensitive(true);
        Ok(Self { pool, address, authorization, shared: Arc::clone(shared) })
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        wait: Duration,
    ) -> Result<Option<T>, LinkError> {
        let body = serde_json::to_vec(body).map_err(|e| LinkError::Malformed(e.to_string()))?;
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::AUTHORIZATION, self.authorization.clone());
        let wait_ms = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX);
        let call = Call {
            method: Method::POST,
            path,
            headers,
            body: Payload::Whole(Bytes::from(body)),
            expect: Expect::Answer,
            timeouts: Timeouts {
                connect_ms: 2_000,
                first_byte_ms: wait_ms.saturating_add(10_000),
                silence_ms: 10_000,
                total_ms: wait_ms.saturating_add(120_000),
                attempt_ms: 0,
            },
        };
        let unreachable =
            |error: towpath_upstream::UpstreamError| LinkError::Unreachable(error.to_string());
        let reply = self.pool.send(&self.address, call).await.map_err(unreachable)?;
        match reply.status.as_u16() {
            204 => {
                self.shared.contact.made(clock::now_ms());
                reply.body.drain().await;
                Ok(None)
            }
            200 => {
                let bytes = reply.body.collect(MAX_REPLY).await.map_err(unreachable)?;
                self.shared.contact.made(clock::now_ms());
                let read = serde_json::from_slice(&bytes);
                read.map(Some).map_err(|error| LinkError::Malformed(error.to_string()))
            }
            status => Err(LinkError::Status(status)),
        }
    }
}

/// Pauses that double, up to a bound.
struct Backoff(Duration);

impl Backoff {
    fn new() -> Self {
        Self(RETRY_FIRST)
    }

    fn reset(&mut self) {
        self.0 = RETRY_FIRST;
    }

    async fn pause(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(RETRY_MOST);
    }
}

/// Keep the link going until the signal to stop.
pub async fn run(
    shared: &Shared,
    link: &Link,
    store: Store,
    position: Position,
    mut stop: watch::Receiver<Ending>,
) {
    let polling = table::poll(shared, link, store, position);
    let shipping = ship::usage(shared, link);
    let signalling = ship::signals(shared, link);
    let waking = ship::wakes(shared, link);
    let logging = ship::bodies(shared, link);
    let adopting = leftovers::ship(shared, link);
    tokio::select! {
        () = polling => {}
        () = shipping => {}
        () = signalling => {}
        () = waking => {}
        () = logging => {}
        () = adopting => {}
        () = ending(&mut stop, Ending::Stop) => {}
    }
}

/// Ship what is left after the last request, as long as the control plane takes it.
pub async fn finish(shared: &Shared, link: &Link) {
    ship::rest(shared, link).await;
}
