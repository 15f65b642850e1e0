//! First step, `authenticate`: from headers to a key. A sick platform is 503, never 401.

use std::sync::Arc;

use http::{HeaderMap, header};
use towpath_policy::{Id, Unauthenticated};

use crate::authorise::blocked;
use crate::errors::{Code, Refusal};
use crate::exchange::Exchange;

/// Find the caller's key and note it, and its team, on the exchange.
///
/// # Errors
/// There is no key, or none that may be used now and from there.
pub fn authenticate(exchange: &mut Exchange, headers: &HeaderMap) -> Result<(), Refusal> {
    let live = Arc::clone(&exchange.live);
    if live.table.revision() == 0 {
        return Err(Refusal::new(Code::NotReady, "No routing table has arrived yet."));
    }
    let Some(presented) = presented(headers) else {
        return Err(Refusal::new(Code::MissingApiKey, "The request carries no API key."));
    };
    let source = Some(exchange.peer);
    let found = towpath_policy::authenticate(&live.table, presented, exchange.time_ms, source);
    let mut note = |key: &Arc<towpath_policy::Key>| {
        exchange.team = live.table.project(&key.project).map(|p| Id::from(p.team.as_str()));
        exchange.key = Some(Arc::clone(key));
    };
    match found {
        Ok(key) => {
            note(key);
            match live.table.blocked().key(&key.id) {
                None => Ok(()),
                Some(met) => Err(blocked("The API key", met.reason)),
            }
        }
        Err(Unauthenticated::Unknown) => {
            Err(Refusal::new(Code::InvalidApiKey, "The API key is not known here."))
        }
        Err(Unauthenticated::Revoked(key)) => {
            key.iter().for_each(note);
            Err(Refusal::new(Code::KeyRevoked, "The API key was revoked."))
        }
        Err(Unauthenticated::Expired(key)) => {
            note(&key);
            Err(Refusal::new(Code::KeyExpired, "The API key has expired."))
        }
        Err(Unauthenticated::SourceNotAllowed(key)) => {
            note(&key);
            let detail = format!("The API key may not be used from {}.", exchange.peer);
            Err(Refusal::new(Code::PermissionDenied, detail)
                .fix("Call from one of the networks the key is bound to, or widen its `sources`."))
        }
    }
}

/// What the caller presented: `Authorization: Bearer` or `x-api-key`.
fn presented(headers: &HeaderMap) -> Option<&[u8]> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| {
        let (scheme, rest) = value.as_bytes().split_at_checked(7)?;
        scheme.eq_ignore_ascii_case(b"bearer ").then_some(rest.trim_ascii())
    });
    let key =
        bearer.or_else(|| headers.get("x-api-key").map(|value| value.as_bytes().trim_ascii()));
    key.filter(|key| !key.is_empty())
}
