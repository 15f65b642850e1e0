//! Who calls: from what was presented to a key of the table, without waiting for anything.

use std::net::IpAddr;
use std::sync::Arc;

use crate::{Key, KeyHash, Table};

/// Why a caller is not let in. The key is named where there is one, so that its owner sees the refusal.
#[derive(Clone, Debug)]
pub enum Unauthenticated {
    /// No such key, or one that was deleted.
    Unknown,
    Revoked(Option<Arc<Key>>),
    Expired(Arc<Key>),
    /// The key is good, but not from this address.
    SourceNotAllowed(Arc<Key>),
}

/// Find the key that was presented, if it may be used now and from there.
///
/// A key that acts as another stands for that one: what is returned, and named in a refusal, is the
/// key whose calls these are.
///
/// `source` is absent when the caller's address cannot be known; a key bound to networks is then
/// refused.
///
/// # Errors
/// The key is unknown, revoked, expired, or used from a network it is not bound to.
pub fn authenticate<'t>(
    table: &'t Table,
    presented: &[u8],
    now_ms: i64,
    source: Option<IpAddr>,
) -> Result<&'t Arc<Key>, Unauthenticated> {
    let hash = KeyHash::of(presented);
    let key = table.key(&hash);
    if table.is_revoked(&hash) {
        return Err(Unauthenticated::Revoked(key.cloned()));
    }
    let key = key.ok_or(Unauthenticated::Unknown)?;
    if key.expires_at_ms.is_some_and(|at| at <= now_ms) {
        return Err(Unauthenticated::Expired(Arc::clone(key)));
    }
    if let Some(networks) = &key.sources {
        let source = source.map(|address| address.to_canonical());
        if !source.is_some_and(|address| networks.iter().any(|net| net.contains(&address))) {
            return Err(Unauthenticated::SourceNotAllowed(Arc::clone(key)));
        }
    }
    match &key.acts_as {
        Some(id) => acted_as(table, key, id, now_ms),
        None => Ok(key),
    }
}

/// The key that another one acts as, if it may be used now. It is of the same project and environment
/// and acts as none itself, so that a wrong entry of the table can give nobody another's rights.
fn acted_as<'t>(
    table: &'t Table,
    acting: &Key,
    id: &str,
    now_ms: i64,
) -> Result<&'t Arc<Key>, Unauthenticated> {
    let fits = |key: &&Arc<Key>| {
        key.project == acting.project
            && key.environment == acting.environment
            && key.acts_as.is_none()
    };
    let key = table.key_of(id).filter(fits).ok_or(Unauthenticated::Unknown)?;
    if table.is_revoked(&key.hash) {
        return Err(Unauthenticated::Revoked(Some(Arc::clone(key))));
    }
    if key.expires_at_ms.is_some_and(|at| at <= now_ms) {
        return Err(Unauthenticated::Expired(Arc::clone(key)));
    }
    Ok(key)
}

#[cfg(test)]
mod tests;
