//! Connections to upstreams: pools, timeouts, cancellation; one set per worker thread.

mod address;
mod body;
mod errors;
mod pool;

pub use address::{Address, AddressError};
pub use body::Body;
pub use errors::{Phase, UpstreamError};
pub use pool::{Call, Payload, Pool, Reply, Roots, Settings, SettingsError};
