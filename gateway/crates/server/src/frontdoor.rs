//! The front door for everything that is not a call to a model: relays the control plane's public
//! paths, and nothing else. Whatever is not on the list does not exist.

use std::net::IpAddr;
use std::rc::Rc;

use futures_util::stream::unfold;
use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, Request, Response, Uri};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use towpath_upstream::{Body, Call, Expect, Payload, UpstreamError};
use towpath_wire::routing::Timeouts;

use crate::errors::{Code, Refusal, Shape};
use crate::outgoing::{Cut, Outgoing};
use crate::shared::Worker;
use crate::{clock, ids, intake};

/// Large uploads and downloads may take an hour as long as they move; a plain call answers within a
/// minute, which is longer than any of the control plane's own waits.
const TIMEOUTS: Timeouts = Timeouts {
    connect_ms: 2_000,
    first_byte_ms: 3_600_000,
    silence_ms: 60_000,
    total_ms: 3_600_000,
    attempt_ms: 0,
};

/// Between two connections only; never passed on.
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];
/// What callers may not claim about themselves.
const FORWARDING: [HeaderName; 6] = [
    header::FORWARDED,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("x-request-id"),
];

/// Whether a path is the control plane's to answer.
pub fn relays(path: &str) -> bool {
    let public = path == "/"
        || path == "/.well-known/towpath"
        || ["/api/", "/assets/", "/portal/"].iter().any(|prefix| path.starts_with(prefix))
        || path == "/portal"
        || shape(path) == Shape::OpenAi;
    public && !climbs(path)
}

/// In which shape a relayed path's callers read errors: those of files and batches are OpenAI clients.
fn shape(path: &str) -> Shape {
    let inside = |noun: &str| path.strip_prefix(noun).is_some_and(|rest| rest.starts_with('/'));
    let openai = ["/v1/files", "/v1/batches"].iter().any(|noun| path == *noun || inside(noun));
    if openai { Shape::OpenAi } else { Shape::Problem }
}

/// Whether a path has parts that a lenient server might read as another path.
fn climbs(path: &str) -> bool {
    let plain = path.to_ascii_lowercase().replace("%2e", ".");
    plain.contains("//")
        || plain.contains('\\')
        || plain.contains("%2f")
        || plain.contains("%5c")
        || plain.contains("%00")
        || plain.split('/').any(|part| part == "." || part == "..")
}

/// Relay one request, bodies streaming both ways.
pub async fn relay(
    worker: &Rc<Worker>,
    request: Request<Incoming>,
    peer: IpAddr,
) -> Response<Outgoing> {
    let id = ids::new("req", clock::now_ms(), worker.random_wide());
    let shape = shape(request.uri().path());
    let Some(address) = worker.shared.api.clone() else {
        intake::discard(request.into_body());
        return unavailable().respond(shape, &id);
    };
    let (parts, body) = request.into_parts();
    let scheme = if worker.shared.door.is_some() { "https" } else { "http" };
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let call = Call {
        method: parts.method,
        path,
        headers: forwarded(whole(&parts.uri, parts.headers), peer, &id, scheme),
        body: Payload::Streamed(Box::pin(body.map_err(Into::into))),
        expect: Expect::Anything,
        timeouts: TIMEOUTS,
    };
    match worker.pool.send(&address, call).await {
        Ok(reply) => {
            let stream = unfold(Some(reply.body), step);
            let mut response = Response::new(Outgoing::stream(stream));
            *response.status_mut() = reply.status;
            *response.headers_mut() = reply.headers;
            strip(response.headers_mut(), &HOP_BY_HOP);
            if let Ok(id) = HeaderValue::from_str(&id) {
                response.headers_mut().entry("x-request-id").or_insert(id);
            }
            response
        }
        Err(UpstreamError::Timeout { .. }) => {
            Refusal::new(Code::UpstreamTimeout, "The control plane did not answer in time.")
                .respond(shape, &id)
        }
        Err(_) => unavailable().respond(shape, &id),
    }
}

fn unavailable() -> Refusal {
    Refusal::new(Code::ControlUnavailable, "The control plane cannot be reached just now.")
}

async fn step(body: Option<Body>) -> Option<(Result<bytes::Bytes, Cut>, Option<Body>)> {
    let mut body = body?;
    match body.chunk().await? {
        Ok(chunk) => Some((Ok(chunk), Some(body))),
        Err(_) => Some((Err(Cut), None)),
    }
}

/// The headers of an HTTP/2 request as HTTP/1.1 has them: the host among them, and one line of cookies.
fn whole(uri: &Uri, mut headers: HeaderMap) -> HeaderMap {
    let authority = uri.authority().and_then(|host| HeaderValue::from_str(host.as_str()).ok());
    if let Some(host) = authority.filter(|_| !headers.contains_key(header::HOST)) {
        headers.insert(header::HOST, host);
    }
    let cookies: Vec<&[u8]> =
        headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if cookies.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&cookies.join(&b"; "[..]))
    {
        headers.insert(header::COOKIE, joined);
    }
    headers
}

fn forwarded(mut headers: HeaderMap, peer: IpAddr, id: &str, scheme: &'static str) -> HeaderMap {
    // Headers that `Connection` names are for this connection alone, too.
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    strip(&mut headers, &named);
    strip(&mut headers, &HOP_BY_HOP);
    strip(&mut headers, &FORWARDING);
    let host = headers.remove(header::HOST);
    headers.remove(header::CONTENT_LENGTH);
    if let Some(host) = host {
        headers.insert("x-forwarded-host", host);
    }
    headers.insert("x-forwarded-proto", HeaderValue::from_static(scheme));
    for (name, value) in
        [("x-forwarded-for", peer.to_canonical().to_string()), ("x-request-id", id.to_owned())]
    {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
    headers
}

fn strip(headers: &mut HeaderMap, names: &[HeaderName]) {
    for name in names {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests;
