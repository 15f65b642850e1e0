//! Listeners and the request pipeline: the only crate that knows all others.
//!
//! A call passes `authenticate`, `authorise`, `admit`, `route`, `relay` and `account`, in this order; each
//! is a module. Everything else here is what they stand on: settings, the listening socket, the link to
//! the control plane, the front door, readiness and figures.

pub mod config;
pub mod errors;
pub mod process;
pub mod revoke;
pub mod validate;

mod access;
mod account;
mod admit;
mod authenticate;
mod authorise;
mod bodies;
mod cache;
mod clock;
mod contact;
mod evidence;
mod exchange;
mod fleet;
mod frontdoor;
mod genai;
mod grpc;
mod health;
mod ids;
mod intake;
mod kserve;
mod link;
mod listener;
mod live;
mod log;
mod metrics;
mod models;
mod names;
mod outgoing;
mod pipeline;
mod place;
mod prober;
mod relay;
mod role;
mod route;
mod secrets;
mod shadow;
mod shared;
mod telemetry;
mod tier;
mod tls;
