//! Answers that need no model: those that the cache keeps.

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use towpath_wire::usage::{Cache, Ended};

use crate::account::Account;
use crate::errors::Refusal;
use crate::names;
use crate::outgoing::Outgoing;
use crate::relay::{Job, head};

/// A call after the cache was asked.
pub enum Looked {
    Found(Response<Outgoing>),
    NotFound(Account),
    /// It cannot be recorded, so it is not answered.
    Refused(Account, Refusal),
}

/// Serve a call from the cache, if its answer is kept. Limits have counted it as any other.
pub async fn look(mut account: Account, job: &Job) -> Looked {
    let Some(place) = account.place else { return Looked::NotFound(account) };
    let exchange = &account.exchange;
    let cache = &exchange.worker.shared.cache;
    let Some((kept, ready)) = cache.find(&place, &exchange.live, &job.endpoint, exchange) else {
        account.cache = Cache::Miss;
        return Looked::NotFound(account);
    };
    account.cache = Cache::Hit;
    if let Err(refusal) = account.served_from_cache(&ready) {
        return Looked::Refused(account, refusal);
    }
    account.first_byte();
    let kind = if kept.stream { "text/event-stream; charset=utf-8" } else { "application/json" };
    match kept.stream {
        true => account.exchange.trace.streams(&kept.body),
        false => account.exchange.trace.answers(&kept.body),
    }
    let body = Outgoing::whole(Bytes::clone(&kept.body));
    let mut response = head(&account, job, &ready, kind, body);
    let headers = response.headers_mut();
    headers.insert(names::COST_NANO, HeaderValue::from(0));
    if kept.stream {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    }
    let sequence = account.close(Ended::Complete, Some(200), None);
    account.durable(sequence).await;
    Looked::Found(response)
}
