//! What a single entity must be like, whatever else is in the table.

use std::collections::BTreeSet;

use ipnet::IpNet;
use towpath_wire::routing::{
    AuthScheme, Block, Blocked, Budget, Credential, Endpoint, Fallback, Limit, Platform, Price,
    QUIRKS, Rate, Subject, Target, Timeouts,
};

/// Most targets of one endpoint, its fallback chain included: they are tried one after the other.
pub(crate) const MAX_TARGETS: usize = 32;
/// Most replicas of one target; a gateway keeps connections to each.
const MAX_REPLICAS: usize = 256;
/// Longest path of a Unix socket that the kernel takes.
const MAX_SOCKET_PATH: usize = 107;

pub(crate) fn id(id: &str) -> Result<(), String> {
    let visible = id.bytes().all(|b| b.is_ascii_graphic());
    (visible && (1..=128).contains(&id.len()))
        .then_some(())
        .ok_or_else(|| "an id is 1 to 128 visible ASCII characters".to_owned())
}

/// A name as callers write it.
pub(crate) fn name(name: &str) -> Result<(), String> {
    let valid = name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    (valid && (1..=63).contains(&name.len())).then_some(()).ok_or_else(|| {
        format!("name `{}` is not 1 to 63 characters of a-z, 0-9 and -", name.escape_debug())
    })
}

/// A network, or a single address.
pub fn network(text: &str) -> Option<IpNet> {
    text.parse::<IpNet>().or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from)).ok()
}

pub(crate) fn source(text: &str) -> Result<IpNet, String> {
    network(text)
        .ok_or_else(|| format!("source `{}` is not a network in CIDR form", text.escape_debug()))
}

/// Shortest age of a table that may be a rule: below it a healthy control plane's pauses would refuse calls.
const MIN_TABLE_AGE_MS: u64 = 5_000;

pub(crate) fn platform(platform: &Platform) -> Result<(), String> {
    currency(&platform.currency)?;
    if platform.max_table_age_ms.values().any(|age| *age < MIN_TABLE_AGE_MS) {
        return Err(format!("a table may not be too old before {MIN_TABLE_AGE_MS} ms"));
    }
    match platform.egress_allow.iter().find(|text| network(text).is_none()) {
        None => Ok(()),
        Some(text) => Err(format!(
            "`{}` in `egress_allow` is not a network in CIDR form",
            text.escape_debug()
        )),
    }
}

/// `http://host[:port][/prefix]`, `https://…` or `unix:/absolute/path`.
pub(crate) fn address(address: &str) -> Result<(), String> {
    let wrong = |what: &str| Err(format!("address `{}` {what}", address.escape_debug()));
    if let Some(path) = address.strip_prefix("unix:") {
        return match path {
            path if !path.starts_with('/') => wrong("has no absolute path"),
            path if path.len() > MAX_SOCKET_PATH => wrong("is longer than a socket path may be"),
            path if path.contains('\0') => wrong("contains a zero byte"),
            _ => Ok(()),
        };
    }
    let Some(rest) = address.strip_prefix("http://").or_else(|| address.strip_prefix("https://"))
    else {
        return wrong("does not begin with `http://`, `https://` or `unix:`");
    };
    if !rest.bytes().all(|b| b.is_ascii_graphic()) || rest.contains(['?', '#', '\\', '"', '<', '>'])
    {
        return wrong("has characters that an address cannot have");
    }
    let authority = rest.split('/').next().unwrap_or_default();
    if authority.contains('@') {
        return wrong("carries a user name; use a credential");
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(v6) => match v6.split_once(']') {
            Some((host, port)) if host.parse::<std::net::Ipv6Addr>().is_ok() => {
                (host, if port.is_empty() { None } else { port.strip_prefix(':').or(Some("")) })
            }
            _ => return wrong("has a malformed IPv6 host"),
        },
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    if host.is_empty() || host.contains(':') && !authority.starts_with('[') {
        return wrong("has no host");
    }
    if port.is_some_and(|port| !port.parse::<u16>().is_ok_and(|port| port > 0)) {
        return wrong("has a port that is not 1 to 65535");
    }
    Ok(())
}

pub(crate) fn endpoint(endpoint: &Endpoint) -> Result<(), String> {
    name(&endpoint.name)?;
    if !endpoint.callers.contains(&endpoint.environment) {
        return Err(format!(
            "callers lack its own environment `{}`",
            endpoint.environment.as_str()
        ));
    }
    let count = endpoint.targets.len() + endpoint.fallback.len();
    if count > MAX_TARGETS {
        return Err(format!("{count} targets are more than {MAX_TARGETS}"));
    }
    let mut seen = BTreeSet::new();
    if let Some(twice) = endpoint.targets.iter().find(|t| !seen.insert(t.target.as_str())) {
        return Err(format!("target `{}` is listed twice", twice.target));
    }
    let mut seen = BTreeSet::new();
    let named = |fallback: &Fallback| match fallback {
        Fallback::Target(id) | Fallback::Endpoint(id) => id.clone(),
    };
    if let Some(twice) = endpoint.fallback.iter().map(named).find(|id| !seen.insert(id.clone())) {
        return Err(format!("fallback `{twice}` is listed twice"));
    }
    if endpoint.retries.attempts == 0 {
        return Err("0 attempts let no call through".to_owned());
    }
    let Timeouts { connect_ms, first_byte_ms, silence_ms, total_ms, attempt_ms: _ } =
        endpoint.timeouts;
    if [connect_ms, first_byte_ms, silence_ms, total_ms].contains(&0) {
        return Err("a timeout of 0 lets no call through".to_owned());
    }
    Ok(())
}

pub(crate) fn target(target: &Target) -> Result<(), String> {
    if target.name.is_empty() || target.name.len() > 256 {
        return Err("name is not 1 to 256 characters".to_owned());
    }
    if target.replicas.len() > MAX_REPLICAS {
        return Err(format!("{} replicas are more than {MAX_REPLICAS}", target.replicas.len()));
    }
    let mut seen = BTreeSet::new();
    for replica in &target.replicas {
        id(&replica.id).map_err(|e| format!("replica `{}`: {e}", replica.id.escape_debug()))?;
        address(&replica.address).map_err(|e| format!("replica `{}`: {e}", replica.id))?;
        if !seen.insert(replica.id.as_str()) {
            return Err(format!("replica `{}` is listed twice", replica.id));
        }
    }
    if let Some(unknown) = target.quirks.iter().find(|quirk| !QUIRKS.contains(&quirk.as_str())) {
        let known = QUIRKS.join("`, `");
        return Err(format!("quirk `{}` is none of `{known}`", unknown.escape_debug()));
    }
    let candidate = target.candidate.iter();
    if let Some(share) =
        candidate.flat_map(|it| [it.percent, it.shadow_percent]).find(|percent| *percent > 100)
    {
        return Err(format!("its candidate gets {share} of 100 calls"));
    }
    for (field, rule) in target.request_fields.iter().flatten() {
        if let (Some(least), Some(most)) = (rule.minimum, rule.maximum)
            && least > most
        {
            return Err(format!("field `{field}` has a minimum above its maximum"));
        }
    }
    Ok(())
}

/// One or two parts, and of these at least one that calls have before they are made.
fn subject(subject: &Subject) -> Result<(), String> {
    let Subject { key, project, team, endpoint } = subject;
    let given = [key, project, team, endpoint].into_iter().filter(|part| part.is_some()).count();
    (1..=2)
        .contains(&given)
        .then_some(())
        .ok_or_else(|| format!("its subject has {given} parts instead of one or two"))
}

pub(crate) fn limit(limit: &Limit) -> Result<(), String> {
    subject(&limit.subject)?;
    let rates = [limit.requests_per_second, limit.requests_per_minute, limit.tokens_per_minute];
    if rates.iter().all(Option::is_none) && limit.concurrency.is_none() {
        return Err("limits nothing".to_owned());
    }
    let none = |rate: &Rate| rate.limit == 0 || rate.burst == Some(0);
    if rates.iter().flatten().any(none) || limit.concurrency == Some(0) {
        return Err(
            "a limit of 0 lets no call through; block the key or endpoint instead".to_owned()
        );
    }
    Ok(())
}

pub(crate) fn budget(budget: &Budget) -> Result<(), String> {
    subject(&budget.subject)?;
    if budget.tokens.is_some() == budget.cost_nano.is_some() {
        return Err("has not exactly one of `tokens` and `cost_nano`".to_owned());
    }
    if !(1..=100).contains(&budget.warn_percent) {
        return Err("warns at a share that is not 1 to 100 percent".to_owned());
    }
    Ok(())
}

pub(crate) fn block(block: &Block) -> Result<(), String> {
    let (Blocked::Endpoint(what)
    | Blocked::Key(what)
    | Blocked::Provider(what)
    | Blocked::Model(what)) = &block.what;
    (!what.is_empty()).then_some(()).ok_or_else(|| "blocks nothing".to_owned())
}

pub(crate) fn price(price: &Price) -> Result<(), String> {
    currency(&price.currency)
}

pub(crate) fn currency(code: &str) -> Result<(), String> {
    (code.len() == 3 && code.bytes().all(|b| b.is_ascii_uppercase()))
        .then_some(())
        .ok_or_else(|| format!("currency `{}` is not three capital letters", code.escape_debug()))
}

/// Only the shape: opening it needs the organisation's secret, which is the server's.
pub(crate) fn credential(credential: &Credential) -> Result<(), String> {
    let base64 = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let sealed = credential.sealed.strip_prefix("v1.").unwrap_or_default();
    if sealed.len() < 38 || !sealed.bytes().all(base64) {
        return Err("is not sealed in the form `v1.<base64url>`".to_owned());
    }
    if let AuthScheme::Header(name) = &credential.scheme {
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if name.is_empty() || name.len() > 128 || !name.bytes().all(token) {
            return Err(format!("`{}` is not a header's name", name.escape_debug()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
