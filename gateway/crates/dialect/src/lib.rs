//! What clients and upstreams speak: read, translate, follow streams, count; no I/O and no vendor names.
