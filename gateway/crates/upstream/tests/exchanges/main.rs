//! Exchanges with real sockets: against the scripted upstream where it has the fault, else against a
//! scene played by hand.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "the whole crate is a test, its scenes included"
)]

mod egress;
mod faults;
mod headers;
mod limits;
mod reuse;
mod stage;
mod tls;
