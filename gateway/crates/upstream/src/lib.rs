//! Connections to upstreams: pools, timeouts, cancellation; one set per worker thread.
