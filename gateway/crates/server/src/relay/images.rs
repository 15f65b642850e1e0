//! Images that a request names by URL, for servers that the organisation runs.
//!
//! Such a server would fetch them itself, from inside the network, and whoever may call it could look around
//! there. So they are fetched here, by the rules for all that leaves, and go along in the request. Vendors
//! get URLs as they are: what they fetch is theirs.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Uri, header};
use towpath_dialect::{Inline, Remote, Request, RequestCode, RequestError};
use towpath_upstream::{Address, Call, Expect, Payload, UpstreamError};
use towpath_wire::routing::{TargetKind, Timeouts};

use crate::account::Account;
use crate::admit::Lease;
use crate::clock;
use crate::config::Limits;
use crate::errors::Refusal;
use crate::intake::{self, AnswerError};
use crate::live::ReadyTarget;
use crate::relay::{Asked, Failure, Job, remaining};

/// What vendors take, too: 5 to 20 MB.
const MAX_IMAGE_BYTES: u64 = 10 << 20;
const MAX_ALL_BYTES: u64 = 20 << 20;
/// For all images of a request: a caller waits for the answer meanwhile.
const ALL_MS: u32 = 15_000;
/// What models are trained to look at; a page that says why there is no image is none of these.
const TYPES: [&str; 4] = ["image/png", "image/jpeg", "image/webp", "image/gif"];
const ACCEPT: &str = "image/png, image/jpeg, image/webp, image/gif";

/// The request with the images in it.
pub struct Inlined {
    pub asked: Asked,
    /// Memory of it.
    _lease: Lease,
}

/// The images that must be fetched before a target may be asked.
///
/// # Errors
/// The target takes no images, or nothing can be fetched from a URL.
pub fn remote(job: &Job, ready: &ReadyTarget) -> Result<Vec<Remote>, RequestError> {
    let spec = &ready.target.spec;
    let Asked::Model(request) = &job.asked else { return Ok(Vec::new()) };
    if spec.kind == TargetKind::Provider {
        return Ok(Vec::new());
    }
    let remote = request.remote()?;
    let blind = !spec.modalities.is_empty() && !spec.modalities.iter().any(|one| one == "image");
    match remote.first().filter(|_| blind) {
        None => Ok(remote),
        Some(first) => {
            let name = &job.endpoint.spec.name;
            Err(RequestError {
                code: RequestCode::UnsupportedField,
                message: format!("`{name}` takes no images, and `{}` is one", first.path),
                param: Some(first.path.clone()),
                fix: Some("Remove the image, or use a model that takes images.".to_owned()),
            })
        }
    }
}

/// The request with these images in it; fetched once for all attempts of a call.
///
/// # Errors
/// One of them cannot be had.
pub async fn inline<'j>(
    account: &mut Account,
    job: &'j Job,
    remote: Vec<Remote>,
) -> Result<&'j Asked, Failure> {
    if let Some(inlined) = job.inlined.get() {
        return Ok(&inlined.asked);
    }
    let Asked::Model(request) = &job.asked else { return Ok(&job.asked) };
    let start = Instant::now();
    let inlined = all(account, job, request, remote).await;
    account.waited_since(start);
    let inlined = inlined?;
    Ok(&job.inlined.get_or_init(|| inlined).asked)
}

async fn all(
    account: &Account,
    job: &Job,
    request: &Request,
    remote: Vec<Remote>,
) -> Result<Inlined, Failure> {
    let start = Instant::now();
    let mut content = Vec::with_capacity(remote.len());
    let mut leases = Vec::with_capacity(remote.len());
    let mut left_bytes = MAX_ALL_BYTES;
    for remote in remote {
        let timeouts = &job.endpoint.spec.timeouts;
        let left = remaining(account, timeouts).map_or(0, |left| left.total_ms);
        let spent = u32::try_from(clock::ms(start.elapsed())).unwrap_or(u32::MAX);
        let left_ms = left.min(ALL_MS.saturating_sub(spent));
        let fetched = if left_ms == 0 {
            Err(wrong(&remote, "did not come in time"))
        } else {
            fetch(account, &remote, left_bytes.min(MAX_IMAGE_BYTES), left_ms).await
        };
        let (inline, lease) = fetched.map_err(Failure::refused)?;
        left_bytes = left_bytes.saturating_sub(inline.bytes.len() as u64);
        content.push((remote, inline));
        leases.push(lease);
    }
    let shared = &account.exchange.worker.shared;
    let request = request.with_inline(&content);
    let request = request.map_err(|error| Failure::refused(error.into()))?;
    let mut lease = shared.memory.lease();
    let wait = Duration::from_millis(shared.limits.body_wait_ms);
    lease.grow_to(request.body().len(), wait).await.map_err(Failure::refused)?;
    Ok(Inlined { asked: Asked::Model(request), _lease: lease })
}

async fn fetch(
    account: &Account,
    remote: &Remote,
    most_bytes: u64,
    left_ms: u32,
) -> Result<(Inline, Lease), Refusal> {
    let worker = &account.exchange.worker;
    let (address, path) = place(&remote.url).ok_or_else(|| wrong(remote, "is no web address"))?;
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, HeaderValue::from_static(ACCEPT));
    headers.insert(header::USER_AGENT, HeaderValue::from_static("towpath-gateway"));
    let call = Call {
        method: Method::GET,
        path: &path,
        headers,
        body: Payload::Whole(Bytes::new()),
        expect: Expect::Answer,
        timeouts: Timeouts {
            connect_ms: 2_000,
            first_byte_ms: left_ms,
            silence_ms: 5_000,
            total_ms: left_ms,
            attempt_ms: 0,
        },
    };
    let reply = worker.pool.send(&address, call).await;
    let mut reply = reply.map_err(|error| unfetched(remote, &error))?;
    if reply.status.as_u16() != 200 {
        let status = reply.status.as_u16();
        return Err(wrong(remote, &format!("cannot be fetched: its server answers {status}")));
    }
    let kind = reply.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
    let Some(media_type) = TYPES.into_iter().find(|one| one.eq_ignore_ascii_case(kind)) else {
        return Err(wrong(remote, &format!("is no image of a type that is taken ({ACCEPT})")));
    };
    let limits = Limits { answer_max_bytes: most_bytes, ..worker.shared.limits.clone() };
    match intake::answer(&mut reply.body, &limits, &worker.shared.memory).await {
        Ok((bytes, lease)) => Ok((Inline { media_type, bytes }, lease)),
        Err(AnswerError::Upstream(error)) => Err(unfetched(remote, &error)),
        Err(AnswerError::NoMemory(refusal)) => Err(refusal),
    }
}

/// Server and path of a URL; the rules for all that leaves hold for the server.
fn place(url: &str) -> Option<(Address, String)> {
    let uri: Uri = url.parse().ok()?;
    let origin = format!("{}://{}", uri.scheme_str()?, uri.authority()?);
    let address = Address::parse(&origin, "").ok()?.checked();
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    Some((address, path.to_owned()))
}

fn unfetched(remote: &Remote, error: &UpstreamError) -> Refusal {
    match error {
        UpstreamError::Denied { .. } => {
            wrong(remote, "leads to an address that the platform does not connect to")
        }
        UpstreamError::Redirect { .. } => {
            wrong(remote, "leads to a redirect, and none is followed")
        }
        UpstreamError::TooLarge { limit_bytes } => {
            wrong(remote, &format!("is larger than {limit_bytes} bytes"))
        }
        UpstreamError::Timeout { .. } => wrong(remote, "did not come in time"),
        _ => wrong(remote, "cannot be fetched"),
    }
}

/// The refusal of an image; where its server is inside is nobody's to learn.
fn wrong(remote: &Remote, what: &str) -> Refusal {
    Refusal::from(RequestError {
        code: RequestCode::InvalidField,
        message: format!("the image at `{}` {what}", remote.path),
        param: Some(remote.path.clone()),
        fix: Some("Send the image itself, as `data:<type>;base64,…`.".to_owned()),
    })
}
