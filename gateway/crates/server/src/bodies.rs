//! Bodies of requests and answers of projects that log them: copied as they pass, within bounds, and
//! shipped by the link's thread. Nothing here waits; what finds no room is lost, counted and said.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, Response, header};
use tokio::sync::Notify;
use towpath_dialect::TranscriptionRequest;
use towpath_policy::{Id, Redactor};
use towpath_wire::link::{LoggedBodies, LoggedBody, MAX_BODY_BATCH};
use towpath_wire::routing::{BodyLogMode, Project};

use crate::exchange::Exchange;
use crate::metrics::Metrics;
use crate::outgoing::Outgoing;
use crate::shared::Shared;

/// Projects whose rules are kept compiled; beyond it, they are compiled afresh.
const MAX_REDACTORS: usize = 1_000;
/// Bytes of one message, unless a single request has more: as JSON it may grow sixfold, and the control
/// plane takes 16 MiB.
const SHIPMENT: usize = 2 << 20;
/// Longest content type that is kept.
const CONTENT_TYPE: usize = 128;

/// What waits to be shipped.
#[derive(Debug, Default)]
pub struct Bodies {
    waiting: Mutex<VecDeque<Kept>>,
    /// Bytes of all bodies that are being copied, wait or are being shipped.
    held: AtomicUsize,
    /// Requests since the last shipment whose bodies were not kept.
    lost: AtomicU64,
    arrived: Notify,
}

#[derive(Debug)]
struct Copied {
    content_type: Option<String>,
    bytes: Vec<u8>,
    size: u64,
}

/// Bodies of one request, as they were; they are redacted before they leave.
#[derive(Debug)]
struct Kept {
    request_id: String,
    time_ms: i64,
    project_id: Id,
    project: Arc<Project>,
    status: u16,
    request: Copied,
    answer: Copied,
}

impl Kept {
    fn held(&self) -> usize {
        self.request.bytes.len() + self.answer.bytes.len()
    }
}

/// Copies the bodies of one request; dropping it ends the copy.
pub struct Tap {
    shared: Arc<Shared>,
    kept: Option<Kept>,
    /// There was no room for all of it.
    lost: bool,
}

/// Begin to copy, where the caller's project logs bodies.
pub fn tap(exchange: &Exchange, headers: &HeaderMap, body: &Bytes) -> Option<Tap> {
    let key = exchange.key.as_ref()?;
    let project = exchange.live.table.shared_project(&key.project)?;
    if project.body_log.mode != BodyLogMode::Full {
        return None;
    }
    let kept = Kept {
        request_id: exchange.id.clone(),
        time_ms: exchange.time_ms,
        project_id: Arc::clone(&key.project),
        project: Arc::clone(project),
        status: 0,
        request: Copied { content_type: content_type(headers), bytes: Vec::new(), size: 0 },
        answer: Copied { content_type: None, bytes: Vec::new(), size: 0 },
    };
    let shared = Arc::clone(&exchange.worker.shared);
    let mut tap = Tap { shared, kept: Some(kept), lost: false };
    let text = text(headers, body);
    tap.copy(&text, |kept| &mut kept.request);
    if let Some(kept) = &mut tap.kept {
        kept.request.size = body.len() as u64;
    }
    Some(tap)
}

/// What is kept of a body: all of it, but of a form the fields alone. A sound is no text, and no rule could
/// take names out of it.
fn text(headers: &HeaderMap, body: &Bytes) -> Bytes {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let multipart = |kind: &&str| kind.trim_start().to_ascii_lowercase().starts_with("multipart/");
    match kind.filter(multipart) {
        None => body.clone(),
        Some(kind) => TranscriptionRequest::read(Some(kind), body.clone())
            .map(|form| form.without_files())
            .unwrap_or_else(|_| format!("[{} bytes]", body.len()).into()),
    }
}

impl Tap {
    /// Copy the answer as it leaves.
    pub fn answer(mut self, response: Response<Outgoing>) -> Response<Outgoing> {
        if let Some(kept) = &mut self.kept {
            kept.status = response.status().as_u16();
            kept.answer.content_type = content_type(response.headers());
        }
        response.map(|body| body.tapped(self))
    }

    /// A piece of the answer leaves.
    pub fn piece(&mut self, bytes: &Bytes) {
        self.copy(bytes, |kept| &mut kept.answer);
    }

    /// Copy as much as one body may have and as there is room for.
    fn copy(&mut self, bytes: &Bytes, part: impl Fn(&mut Kept) -> &mut Copied) {
        let Some(kept) = &mut self.kept else { return };
        let copied = part(kept);
        copied.size += bytes.len() as u64;
        let most = usize::try_from(self.shared.limits.body_log_max_bytes).unwrap_or(usize::MAX);
        let wanted = bytes.len().min(most.saturating_sub(copied.bytes.len()));
        if wanted == 0 || self.lost {
            return;
        }
        if self.shared.bodies.reserve(wanted, self.shared.limits.body_log_memory_bytes) {
            copied.bytes.extend_from_slice(bytes.get(..wanted).unwrap_or_default());
        } else {
            self.lost = true;
        }
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        let Some(kept) = self.kept.take() else { return };
        let bodies = &self.shared.bodies;
        if self.lost {
            bodies.release(kept.held());
            bodies.lose(1, &self.shared.metrics);
        } else {
            bodies.waiting.lock().unwrap_or_else(PoisonError::into_inner).push_back(kept);
        }
        bodies.arrived.notify_one();
    }
}

impl Bodies {
    fn reserve(&self, bytes: usize, most: u64) -> bool {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let add = |held: usize| held.checked_add(bytes).filter(|held| *held <= most);
        self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).is_ok()
    }

    fn release(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn lose(&self, count: u64, metrics: &Metrics) {
        self.lost.fetch_add(count, Ordering::Relaxed);
        metrics.lost_bodies.fetch_add(count, Ordering::Relaxed);
    }

    /// Wait until there may be something to ship.
    pub async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// Take what is to be shipped next, and how many requests were lost since the last time; none when
    /// there is nothing to say. The memory is given back by dropping it.
    pub fn take<'b>(&'b self, redactors: &mut Redactors) -> Option<Shipment<'b>> {
        let taken: Vec<Kept> = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            let mut bytes = 0;
            let fits = waiting.iter().take(MAX_BODY_BATCH).take_while(|kept| {
                bytes += kept.held();
                bytes <= SHIPMENT
            });
            let count = fits.count().max(1).min(waiting.len());
            waiting.drain(..count).collect()
        };
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if taken.is_empty() && lost == 0 {
            return None;
        }
        let held = taken.iter().map(Kept::held).sum();
        let bodies = taken.into_iter().map(|kept| redactors.redact(kept)).collect();
        Some(Shipment { of: self, held, lost, bodies })
    }
}

/// One message's content, until it is stored or given up.
pub struct Shipment<'b> {
    of: &'b Bodies,
    held: usize,
    pub lost: u64,
    pub bodies: Vec<LoggedBodies>,
}

impl Shipment<'_> {
    /// The control plane will never take it.
    pub fn give_up(&self, metrics: &Metrics) {
        self.of.lose(self.bodies.len() as u64, metrics);
    }
}

impl Drop for Shipment<'_> {
    fn drop(&mut self) {
        self.of.release(self.held);
    }
}

/// Rules of projects, compiled once per table that changes them.
#[derive(Debug, Default)]
pub struct Redactors(HashMap<Id, (Arc<Project>, Redactor)>);

impl Redactors {
    fn redact(&mut self, kept: Kept) -> LoggedBodies {
        let fresh = self.0.get(&kept.project_id);
        if !fresh.is_some_and(|(project, _)| Arc::ptr_eq(project, &kept.project)) {
            if self.0.len() >= MAX_REDACTORS {
                self.0.clear();
            }
            // The table was refused if a rule could not be used.
            if let Ok(redactor) = Redactor::new(&kept.project.body_log.redact) {
                let entry = (Arc::clone(&kept.project), redactor);
                self.0.insert(Arc::clone(&kept.project_id), entry);
            } else {
                self.0.remove(&kept.project_id);
            }
        }
        let redactor = self.0.get(&kept.project_id).map(|(_, redactor)| redactor);
        LoggedBodies {
            request_id: kept.request_id,
            time_ms: kept.time_ms,
            project: kept.project_id.to_string(),
            request: logged(kept.request, redactor),
            status: kept.status,
            response: logged(kept.answer, redactor),
        }
    }
}

/// What leaves of one body: nothing of it where its project's rules cannot be had.
fn logged(copied: Copied, redactor: Option<&Redactor>) -> LoggedBody {
    let text = redactor.map(|redactor| redactor.apply(&copied.bytes)).unwrap_or_default();
    LoggedBody {
        content_type: copied.content_type,
        text: String::from_utf8_lossy(&text).into_owned(),
        bytes: copied.size,
        truncated: copied.bytes.len() as u64 != copied.size,
    }
}

fn content_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    Some(value.chars().take(CONTENT_TYPE).collect())
}
