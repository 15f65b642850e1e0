//! Answers kept for exactly equal requests of one project to one endpoint: opt-in, bounded, and in the
//! form in which they came, a stream as a stream.
//!
//! Equal is what is the same JSON, whatever the order of its fields and its white space. No default is
//! invented: a request that spells one out is another request. Only `stream: false` is the same as none.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use quick_cache::Weighter;
use quick_cache::sync::Cache as Store;
use ring::digest::{Context, SHA256};
use serde_json::Value;
use towpath_dialect::Request;
use towpath_policy::{Endpoint, Id, Target};
use towpath_wire::routing::ModelRef;

use crate::exchange::Exchange;
use crate::live::{Live, ReadyTarget};

/// Largest answer that is kept: a long generation has some ten KB, and one answer must not push out many.
const MAX_ENTRY: usize = 1 << 20;
/// What an entry takes beyond its bytes.
const ENTRY_OVERHEAD: u64 = 256;
/// Evaluations measure the model, so nothing that was kept may answer them.
const EVALUATION: &str = "x-towpath-evaluation";
const EVALUATION_LABEL: &str = "evaluation";
/// Headers that change what a model answers.
const MEANT: [&str; 2] = ["anthropic-version", "anthropic-beta"];

type Key = [u8; 32];

/// All that is kept, of the whole process.
pub struct Cache {
    /// Absent: no memory was given to it.
    store: Option<Store<Key, Arc<Kept>, Weight>>,
}

/// An answer, and what it came from.
#[derive(Debug)]
pub struct Kept {
    pub body: Bytes,
    pub stream: bool,
    pub target: Id,
    upstream_model: String,
    model: Option<ModelRef>,
    until: Instant,
}

#[derive(Clone)]
struct Weight;

impl Weighter<Key, Arc<Kept>> for Weight {
    fn weight(&self, _key: &Key, kept: &Arc<Kept>) -> u64 {
        kept.body.len() as u64 + ENTRY_OVERHEAD
    }
}

/// Where the answer of one call is looked for, and will be kept.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    key: Key,
    ttl: Duration,
    stream: bool,
}

impl Cache {
    /// With room for so many bytes; 0 keeps nothing.
    pub fn new(max_bytes: u64) -> Self {
        let answers = usize::try_from(max_bytes / 4_096).unwrap_or(usize::MAX).max(16);
        let store = (max_bytes > 0).then(|| Store::with_weighter(answers, max_bytes, Weight));
        Self { store }
    }

    /// Where the answer of a call belongs, if its endpoint keeps answers and nothing asks for a fresh one.
    pub fn place(
        &self,
        endpoint: &Endpoint,
        exchange: &Exchange,
        headers: &HeaderMap,
        request: &Request,
    ) -> Option<Place> {
        let policy = endpoint.spec.cache.filter(|_| self.store.is_some())?;
        if fresh(headers) || exchange.labels.iter().any(|(name, _)| name == EVALUATION_LABEL) {
            return None;
        }
        let project = &exchange.key.as_ref()?.project;
        let dialect = serde_json::to_string(&(exchange.dialect, exchange.operation)).ok()?;
        let mut hash = Context::new(&SHA256);
        let mut part = |bytes: &[u8]| {
            hash.update(&(bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        part(project.as_bytes());
        part(endpoint.id.as_bytes());
        part(dialect.as_bytes());
        for name in MEANT {
            part(headers.get(name).map_or(&[], HeaderValue::as_bytes));
        }
        part(canonical(request.body())?.as_bytes());
        let mut key = [0; 32];
        key.copy_from_slice(hash.finish().as_ref());
        let ttl = Duration::from_millis(policy.ttl_ms);
        Some(Place { key, ttl, stream: request.stream() })
    }

    /// The answer that is kept there, as long as what gave it would still be asked.
    pub fn find(
        &self,
        place: &Place,
        live: &Live,
        endpoint: &Endpoint,
        exchange: &Exchange,
    ) -> Option<(Arc<Kept>, Arc<ReadyTarget>)> {
        let kept = self.store.as_ref()?.get(&place.key)?;
        if kept.until <= Instant::now() || kept.stream != place.stream {
            return None;
        }
        let shares = endpoint.targets.iter().map(|share| &share.target);
        let mut targets = shares.chain(&endpoint.fallback);
        let target = targets.find(|target| target.id == kept.target)?;
        let same = target.spec.upstream_model == kept.upstream_model
            && target.spec.model == kept.model
            && target.spec.max_data_class >= exchange.data_class;
        // A blocked target is not there.
        let ready = live.target(&target.id).filter(|_| same)?;
        Some((kept, Arc::clone(ready)))
    }

    /// Keep a whole answer.
    pub fn keep(&self, place: &Place, target: &Target, body: Bytes) {
        let Some(store) = self.store.as_ref().filter(|_| fits(body.len())) else { return };
        let kept = Kept {
            // A copy of its own: the bytes may be a part of a much larger buffer.
            body: Bytes::copy_from_slice(&body),
            stream: place.stream,
            target: Id::clone(&target.id),
            upstream_model: target.spec.upstream_model.clone(),
            model: target.spec.model.clone(),
            until: Instant::now() + place.ttl,
        };
        store.insert(place.key, Arc::new(kept));
    }

    /// Bytes in use.
    pub fn used(&self) -> u64 {
        self.store.as_ref().map_or(0, Store::weight)
    }
}

/// Whether an answer of this size may be kept.
pub fn fits(bytes: usize) -> bool {
    bytes <= MAX_ENTRY
}

fn fresh(headers: &HeaderMap) -> bool {
    let directives = headers.get_all(header::CACHE_CONTROL).iter();
    let mut directives = directives.filter_map(|value| value.to_str().ok());
    headers.contains_key(EVALUATION)
        || directives.any(|value| {
            let mut all = value.split(',').map(str::trim);
            all.any(|one| {
                one.eq_ignore_ascii_case("no-store") || one.eq_ignore_ascii_case("no-cache")
            })
        })
}

/// The body with its fields in order and without white space.
fn canonical(body: &[u8]) -> Option<String> {
    let mut value: Value = serde_json::from_slice(body).ok()?;
    if let Some(fields) = value.as_object_mut()
        && fields.get("stream") == Some(&Value::Bool(false))
    {
        fields.remove("stream");
    }
    value.sort_all_objects();
    serde_json::to_string(&value).ok()
}

#[cfg(test)]
mod tests;
