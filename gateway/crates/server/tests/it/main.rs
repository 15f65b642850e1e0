//! The gateway as a whole: a real process between a scripted upstream and a control plane that speaks
//! the link.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "all of it is tests, helpers included"
)]

mod access;
mod bad_input;
mod bodies;
mod bounds;
mod budgets;
mod cache;
mod calls;
mod dialects;
mod egress;
mod fault_table;
mod faults;
mod frontdoor;
mod grpc;
mod handover;
mod images;
mod inferences;
mod kserve;
mod life;
mod limits;
mod link;
mod media;
mod private_ca;
mod queue;
mod recovery;
mod rollout;
mod routing;
mod shadow;
mod streams;
mod support;
mod telemetry;
mod tier;
mod tls;
mod trust;
mod wake;
