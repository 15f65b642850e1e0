//! Where spans are sent, put together from its settings. Values may be secret, so no message shows one.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::Texts;

/// Traces that are recorded: half of the last half of their id is below a number that is at most this.
const ALL: u64 = 1 << 63;

/// A receiver of spans.
#[derive(Clone, Debug)]
pub struct Otlp {
    pub endpoint: String,
    pub protocol: OtlpProtocol,
    /// Sensitive, so that none is shown.
    pub headers: HeaderMap,
    /// A part of 2^63.
    pub sample_below: u64,
    pub resource: Vec<(String, String)>,
}

/// How a receiver is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtlpProtocol {
    Http,
    Grpc,
}

/// Put the settings together; no endpoint is no receiver.
pub(super) fn otlp(texts: &Texts, problems: &mut Vec<String>) -> Option<Otlp> {
    let protocol = match texts.otlp_protocol.as_deref() {
        None | Some("http/protobuf") => OtlpProtocol::Http,
        Some("grpc") => OtlpProtocol::Grpc,
        Some(other) => {
            problems.push(format!("otlp_protocol: `{other}` is not `http/protobuf` or `grpc`"));
            OtlpProtocol::Http
        }
    };
    let ratio = texts.otlp_sample_ratio.as_deref().unwrap_or("1");
    let sample_below = part(ratio).unwrap_or_else(|| {
        problems.push(format!("otlp_sample_ratio: `{ratio}` is not a number from 0 to 1"));
        ALL
    });
    let mut headers = HeaderMap::new();
    for (name, value) in pairs("otlp_headers", texts.otlp_headers.as_deref(), problems) {
        let name = HeaderName::try_from(name);
        match (name, HeaderValue::try_from(value)) {
            (Ok(name), Ok(mut value)) => {
                value.set_sensitive(true);
                headers.append(name, value);
            }
            _ => problems.push("otlp_headers: one of them is no header".to_owned()),
        }
    }
    let given = texts.otlp_resource_attributes.as_deref();
    let resource = pairs("otlp_resource_attributes", given, problems);
    let endpoint = texts.otlp_endpoint.clone()?;
    Some(Otlp { endpoint, protocol, headers, sample_below, resource })
}

/// So much of [`ALL`].
fn part(ratio: &str) -> Option<u64> {
    let ratio = ratio.parse::<f64>().ok().filter(|ratio| (0.0..=1.0).contains(ratio))?;
    // Whole billionths: finer than anybody asks for, and exact.
    let billionths = format!("{:.0}", ratio * 1e9).parse::<u128>().ok()?;
    u64::try_from(u128::from(ALL) * billionths / 1_000_000_000).ok()
}

/// Names and values as OpenTelemetry writes them in its variables.
fn pairs(setting: &str, text: Option<&str>, problems: &mut Vec<String>) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let parts = text.unwrap_or_default().split(',').map(str::trim);
    for (index, part) in parts.enumerate().filter(|(_, part)| !part.is_empty()) {
        let pair = part.split_once('=').and_then(|(name, value)| {
            let name = Some(name.trim()).filter(|name| !name.is_empty())?;
            Some((name.to_owned(), decoded(value.trim())?))
        });
        match pair {
            Some(pair) => found.push(pair),
            None => problems.push(format!("{setting}: part {} is not `name=value`", index + 1)),
        }
    }
    found
}

/// A percent-encoded value; `None` where a `%` is not followed by two digits, or it is no text.
fn decoded(value: &str) -> Option<String> {
    let mut parts = value.split('%');
    let mut out = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (hex, rest) = part.split_at_checked(2)?;
        out.push(u8::from_str_radix(hex, 16).ok()?);
        out.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(out).ok()
}
