//! What the upstream was asked and what it did, for tests to ask back.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use tokio::sync::watch;

/// Requests remembered; the oldest are forgotten. A load test counts by [`Counts`].
const REMEMBERED: usize = 10_000;
/// Bytes of a body remembered.
const BODY_REMEMBERED: usize = 256 << 10;

/// One request and what became of it.
#[derive(Clone, Debug, Serialize)]
pub struct Seen {
    /// From 1, in order of arrival.
    pub number: u64,
    /// From 1; equal numbers shared a connection.
    pub connection: u64,
    /// The `x-request-id` it came with.
    pub id: Option<String>,
    pub method: String,
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body's beginning, as text.
    pub body: String,
    pub model: Option<String>,
    /// Words of the prompt: what a correct answer reports as prompt tokens.
    pub input_tokens: u64,
    /// Output tokens that were written.
    pub output_tokens: u64,
    /// Status that was written.
    pub status: Option<u16>,
    /// Gate at which the answer waits now.
    pub waiting_at: Option<String>,
    pub ended: Ended,
}

/// How an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    Running,
    /// All of it was written, errors included.
    Whole,
    /// As scripted, before its end.
    Cut,
    /// The client closed first.
    ClientGone,
}

/// Totals since the start, forgotten requests included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub connections: u64,
    pub requests: u64,
    pub whole: u64,
    pub cut: u64,
    pub client_gone: u64,
    pub input_tokens: u64,
    pub output_tokens: u64,
}

impl Counts {
    /// Requests whose answer is over.
    #[must_use]
    pub fn ended(&self) -> u64 {
        self.whole + self.cut + self.client_gone
    }
}

#[derive(Debug, Default)]
struct Content {
    seen: VecDeque<Seen>,
    counts: Counts,
    released: BTreeSet<String>,
}

impl Content {
    /// A request, unless it was forgotten.
    fn find(&mut self, number: u64) -> Option<&mut Seen> {
        let index = self.seen.binary_search_by_key(&number, |seen| seen.number).ok()?;
        self.seen.get_mut(index)
    }
}

#[derive(Debug)]
pub(crate) struct Log {
    content: Mutex<Content>,
    changed: watch::Sender<()>,
}

impl Log {
    pub(crate) fn new() -> Self {
        Self { content: Mutex::default(), changed: watch::Sender::new(()) }
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Content) -> T) -> T {
        let result = change(&mut self.content());
        self.changed.send_replace(());
        result
    }

    pub(crate) fn connected(&self) -> u64 {
        self.change(|content| {
            content.counts.connections += 1;
            content.counts.connections
        })
    }

    /// Remember a request and number it.
    pub(crate) fn add(&self, mut seen: Seen) -> u64 {
        let cut = seen.body.floor_char_boundary(BODY_REMEMBERED);
        seen.body.truncate(cut);
        self.change(|content| {
            content.counts.requests += 1;
            content.counts.input_tokens += seen.input_tokens;
            seen.number = content.counts.requests;
            if content.seen.len() == REMEMBERED {
                content.seen.pop_front();
            }
            content.seen.push_back(seen);
            content.counts.requests
        })
    }

    pub(crate) fn update(&self, number: u64, update: impl FnOnce(&mut Seen)) {
        self.change(|content| content.find(number).map(update));
    }

    pub(crate) fn produced(&self, number: u64, tokens: u64) {
        self.change(|content| {
            content.counts.output_tokens += tokens;
            if let Some(seen) = content.find(number) {
                seen.output_tokens += tokens;
            }
        });
    }

    pub(crate) fn end(&self, number: u64, ended: Ended) {
        self.change(|content| {
            match ended {
                Ended::Running => {}
                Ended::Whole => content.counts.whole += 1,
                Ended::Cut => content.counts.cut += 1,
                Ended::ClientGone => content.counts.client_gone += 1,
            }
            if let Some(seen) = content.find(number) {
                seen.ended = ended;
                seen.waiting_at = None;
            }
        });
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.content().seen.iter().cloned().collect()
    }

    pub(crate) fn counts(&self) -> Counts {
        self.content().counts
    }

    /// Forget the requests that are over, and return them.
    pub(crate) fn forget(&self) -> Vec<Seen> {
        self.change(|content| {
            let all = std::mem::take(&mut content.seen);
            let (running, over): (Vec<_>, Vec<_>) =
                all.into_iter().partition(|seen| seen.ended == Ended::Running);
            content.seen = running.into();
            over
        })
    }

    pub(crate) fn release(&self, gate: &str) {
        self.change(|content| content.released.insert(gate.to_owned()));
    }

    pub(crate) async fn released(&self, gate: &str) {
        self.until(|content| content.released.contains(gate)).await;
    }

    pub(crate) async fn wait(&self, condition: impl Fn(&[Seen], &Counts) -> bool) {
        self.until(|content| condition(content.seen.make_contiguous(), &content.counts)).await;
    }

    async fn until(&self, condition: impl Fn(&mut Content) -> bool) {
        let mut changes = self.changed.subscribe();
        while !condition(&mut self.content()) {
            // The sender lives as long as `self`.
            if changes.changed().await.is_err() {
                return;
            }
        }
    }
}
