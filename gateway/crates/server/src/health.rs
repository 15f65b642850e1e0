//! `/healthz`, `/readyz`, `/metrics`: what the process says of itself. Readiness tells the truth, with
//! reasons.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

use crate::authorise::class_name;
use crate::clock;
use crate::metrics::Gauges;
use crate::outgoing::Outgoing;
use crate::shared::Shared;

/// One thing that keeps the gateway from being ready, or from being whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    pub code: &'static str,
    pub message: String,
}

/// The process runs.
pub fn alive() -> Response<Outgoing> {
    json_response(StatusCode::OK, &json!({"status": "ok"}))
}

/// The process can do its work, or why not.
pub fn ready(shared: &Shared) -> Response<Outgoing> {
    let reasons = reasons(shared);
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({
        "ready": reasons.is_empty(),
        "reasons": shown(&reasons),
        "warnings": shown(&warnings(shared)),
        "revision": shared.live.load().table.revision(),
    });
    let mut response = json_response(status, &body);
    if status != StatusCode::OK {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// Figures for Prometheus.
pub fn metrics(shared: &Shared) -> Response<Outgoing> {
    let journal = shared.journal.status();
    let live = shared.live.load();
    let text = shared.metrics.render(
        &Gauges {
            in_flight: shared.calls.in_flight() as u64,
            body_memory_bytes: shared.memory.used() as u64,
            table_revision: live.table.revision(),
            table_keys: live.table.key_count() as u64,
            access_log_lost: shared.access.lost(),
            cache_bytes: shared.cache.used(),
            journal_used_bytes: journal.used_bytes,
            journal_max_bytes: journal.max_bytes,
            journal_open: journal.open,
            journal_unshipped: journal.unshipped,
        },
        &live,
    );
    let mut response = Response::new(Outgoing::whole(Bytes::from(text)));
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// Whether the gateway can do its work.
pub fn is_ready(shared: &Shared) -> bool {
    reasons(shared).is_empty()
}

/// Everything that keeps the gateway from being ready.
pub fn reasons(shared: &Shared) -> Vec<Reason> {
    let mut reasons = Vec::new();
    if shared.draining.load(Ordering::Relaxed) {
        let message = "The gateway is stopping.".to_owned();
        reasons.push(Reason { code: "draining", message });
    }
    let live = shared.live.load();
    if live.table.revision() == 0 {
        let message = "No routing table has arrived from the control plane yet.".to_owned();
        reasons.push(Reason { code: "no_table", message });
    }
    if let Some(error) = shared.journal.status().unready {
        reasons.push(Reason { code: error.code(), message: error.to_string() });
    }
    for id in live.table.platform().iter().flat_map(|platform| &platform.ready_when) {
        let endpoint = live.table.routes().endpoint(id);
        let mut targets = endpoint.iter().flat_map(|endpoint| {
            endpoint.targets.iter().map(|share| &share.target).chain(&endpoint.fallback)
        });
        let listens = targets
            .any(|target| live.target(&target.id).is_some_and(|ready| !ready.replicas.is_empty()));
        if !listens {
            let name = endpoint.map_or(id.as_str(), |endpoint| endpoint.spec.name.as_str());
            let message = format!("The model of `{name}` is still loading.");
            reasons.push(Reason { code: "model_loading", message });
        }
    }
    reasons
}

/// What is wrong without keeping calls from being served.
fn warnings(shared: &Shared) -> Vec<Reason> {
    let refusal = shared.table_refusal.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let refused = refusal.map(|refusal| Reason {
        code: "table_refused",
        message: format!(
            "Revision {} was refused, the one before is in force: {}",
            refusal.revision, refusal.reason
        ),
    });
    let live = shared.live.load();
    let problems = live
        .problems
        .iter()
        .map(|problem| Reason { code: "target_unusable", message: problem.clone() });
    let rules = live.table.platform().map(|platform| &platform.max_table_age_ms);
    let stale = rules.into_iter().flatten().filter_map(|(class, _)| {
        let refusal = shared.contact.serves(*class, rules?, clock::now_ms()).err()?;
        let message =
            format!("Calls with {} data are refused: {}", class_name(*class), refusal.detail);
        Some(Reason { code: "table_stale", message })
    });
    refused.into_iter().chain(problems).chain(stale).collect()
}

fn shown(reasons: &[Reason]) -> Value {
    let one = |reason: &Reason| json!({"code": reason.code, "message": reason.message});
    reasons.iter().map(one).collect()
}

fn json_response(status: StatusCode, body: &Value) -> Response<Outgoing> {
    let mut response = Response::new(Outgoing::whole(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
