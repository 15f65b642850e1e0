//! What one of two gateways on one listening socket is to the other while the platform is upgraded, and how
//! they tell the process that started them.
//!
//! Both have the socket. The one that comes is ready before the one that goes stops accepting, and accepts
//! only after it has; what connects in between waits in the kernel's queue. Which of them may write the
//! files that they share follows from it: one at a time.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;

use crate::log::{self, Level};
use crate::shared::Shared;
use crate::{clock, health};

/// What a gateway does at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It is ready or becomes so, and another one accepts.
    Standby,
    /// It accepts.
    Serving,
    /// Another one accepts; what it has, it answers.
    Leaving,
}

/// How a gateway ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Not,
    /// Another one has taken over: every connection may take its time.
    HandOver,
    /// The platform stops: within `drain_ms`.
    Stop,
}

/// Wait until the process is ending in this way, or in a stricter one.
pub async fn ending(stop: &mut watch::Receiver<Ending>, least: Ending) {
    let comes = stop.wait_for(|ending| match least {
        Ending::Not => true,
        Ending::HandOver => *ending != Ending::Not,
        Ending::Stop => *ending == Ending::Stop,
    });
    if comes.await.is_err() {
        // Whoever could end it has ended itself, and with it the process.
        std::future::pending::<()>().await;
    }
}

/// Where the process that started this one reads what happens: one JSON object a line.
#[derive(Clone, Debug, Default)]
pub struct Announcer(Option<Arc<Mutex<File>>>);

impl Announcer {
    /// # Errors
    /// The descriptor is none.
    pub fn open(descriptor: Option<i32>) -> io::Result<Self> {
        let Some(descriptor) = descriptor else { return Ok(Self(None)) };
        let file = OpenOptions::new().write(true).open(inherited(descriptor))?;
        Ok(Self(Some(Arc::new(Mutex::new(file)))))
    }

    /// Say what happened; nobody has to be left who reads it.
    pub fn say(&self, event: &str) {
        if let Some(file) = &self.0 {
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = file.write_all(format!("{}\n", json!({"event": event})).as_bytes());
        }
    }
}

fn inherited(descriptor: i32) -> String {
    format!("/dev/fd/{descriptor}")
}

/// How often a gateway that stands by looks whether it is ready.
const LOOK: Duration = Duration::from_millis(20);

/// Become ready, say so, and accept once the other end of the pipe is closed: by a parent that wants it, or
/// with a parent that died, since somebody must accept then.
///
/// # Errors
/// The descriptor is no pipe.
pub async fn stand_by(shared: &Shared, descriptor: i32, linked: bool) -> io::Result<()> {
    let mut gate = File::open(inherited(descriptor))?;
    let since = clock::now_ms();
    while !is_ready(shared, linked.then_some(since)) {
        tokio::time::sleep(LOOK).await;
    }
    // From here on a start anew after a crash is this one's.
    if let Err(error) = shared.place.make_current() {
        log::event(Level::Error, "slot.not_noted", &[("cause", &error)]);
    }
    shared.announcer.say("ready");
    let opened = tokio::task::spawn_blocking(move || gate.read(&mut [0]));
    let _ = opened.await;
    shared.role.send_replace(Role::Serving);
    log::event(Level::Info, "gateway.serving", &[("gateway_id", &shared.gateway_id)]);
    Ok(())
}

/// Whether it could do what the other one does. Models that load keep neither of them.
fn is_ready(shared: &Shared, heard_since: Option<i64>) -> bool {
    let mut reasons = health::reasons(shared).into_iter();
    reasons.all(|reason| reason.code == "model_loading")
        && heard_since.is_none_or(|since| shared.contact.heard_since(since))
}
