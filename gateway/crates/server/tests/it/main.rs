#![allow(unused)]
//! The gateway as a whole: a real process between a scripted upstream and a control plane that speaks
//! the link.

mod calls;
mod support;
