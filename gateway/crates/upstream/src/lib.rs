//! Connections to upstreams: pools, timeouts, cancellation; one set per worker thread.
//!
//! No connection of HTTP/1.1 has a task of its own. Whoever waits for an answer drives the connection it comes on, so
//! an exchange costs no switch between tasks, and dropping the future or the body closes the connection,
//! which is how an upstream learns that nobody listens any more. Nothing here is `Send`.
//! Those of HTTP/2 carry many calls and have a task each, on the worker's own thread.

mod address;
mod body;
mod clock;
mod connection;
mod egress;
mod errors;
mod multiplexed;
mod pool;
mod tls;

pub use address::{Address, AddressError, path_segment};
pub use body::Body;
pub use egress::{Denied, Egress, Own, Resolve, Resolving, System};
pub use errors::{Phase, UpstreamError};
pub use pool::{Call, Expect, Payload, Pool, Reply, Settings};
pub use tls::{Roots, Tls, TlsError};
