//! gRPC, as far as `inference.GRPCInferenceService` needs it: which call a path means, and how answers and
//! refusals are written.
//!
//! A call is a `POST` of one message over HTTP/2 and passes the pipeline like any other. Credentials,
//! labels and ids are headers, which gRPC calls metadata; how it ended stands in the trailers. Of a stream
//! (`messages`) each message is such a call.

pub mod messages;

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, header};
use towpath_dialect::kserve::{
    Frame, Inference, Named, StreamError, model_metadata, server_metadata, yes_or_no,
};
use towpath_dialect::{RequestCode, UpstreamFault};

use crate::admit::Lease;
use crate::errors::{Code, Refusal};
use crate::health;
use crate::kserve::{Described, EXTENSIONS, SERVER, Wants};
use crate::outgoing::Outgoing;
use crate::shared::Shared;

const SERVICE: &str = "/inference.GRPCInferenceService/";
/// Path of `ModelStreamInfer`.
pub const STREAM_PATH: &str = "/inference.GRPCInferenceService/ModelStreamInfer";
/// Path of `ModelInfer`.
pub const INFER_PATH: &str = "/inference.GRPCInferenceService/ModelInfer";
pub const CONTENT_TYPE: &str = "application/grpc";
const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
/// When, if at all, gRPC's own retries may try again.
const PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");
/// Our code, beside the status that several of them share.
const CODE: HeaderName = HeaderName::from_static("x-towpath-code");
/// Longest message in a trailer: clients bound their headers to 8 KiB.
const MESSAGE_BYTES: usize = 2_048;

/// A call of the service that names a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    Ready,
    Metadata,
    Infer,
    /// Any number of inferences, each with any number of answers.
    Stream,
}

impl Call {
    /// What a path means, if it is one of the service's.
    pub fn of(path: &str) -> Option<Self> {
        match path.strip_prefix(SERVICE)? {
            "ModelReady" => Some(Self::Ready),
            "ModelMetadata" => Some(Self::Metadata),
            "ModelInfer" => Some(Self::Infer),
            "ModelStreamInfer" => Some(Self::Stream),
            _ => None,
        }
    }
}

/// Whether a request is gRPC, by its content type.
pub fn is(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(CONTENT_TYPE.as_bytes()))
}

/// Answer what anybody may ask; `None` for every other path.
pub fn open(shared: &Shared, path: &str) -> Option<Response<Outgoing>> {
    let message = match path.strip_prefix(SERVICE)? {
        "ServerLive" => yes_or_no(true),
        "ServerReady" => yes_or_no(health::is_ready(shared)),
        "ServerMetadata" => server_metadata(SERVER, env!("CARGO_PKG_VERSION"), &EXTENSIONS),
        _ => return None,
    };
    Some(answer(message))
}

/// A framed message as a whole answer.
pub fn answer(message: Bytes) -> Response<Outgoing> {
    let mut response = Response::new(Outgoing::trailed(message, None, ok()));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    response
}

/// A framed message as a body, its memory given back when it has left.
pub fn body(message: Bytes, lease: Lease) -> Outgoing {
    Outgoing::trailed(message, Some(lease), ok())
}

fn ok() -> HeaderMap {
    HeaderMap::from_iter([(STATUS, HeaderValue::from_static("0"))])
}

/// What the service says of a model.
pub fn described(call: Call, found: &Described) -> Bytes {
    match call {
        Call::Ready => yes_or_no(found.ready),
        Call::Metadata | Call::Infer | Call::Stream => {
            let signature = found.signature();
            let inputs = signature.map_or(&[][..], |signature| &signature.inputs);
            let outputs = signature.map_or(&[][..], |signature| &signature.outputs);
            model_metadata(&found.endpoint.spec.name, &found.versions, inputs, outputs)
        }
    }
}

/// The model that a call names, and the message.
///
/// # Errors
/// The body is not one whole message, or names no model.
pub fn message(body: &Bytes) -> Result<(Named, Bytes), Refusal> {
    match Frame::read(body) {
        Frame::Message(message) => Ok((Named::read(&message)?, message)),
        Frame::Compressed => {
            Err(Refusal::new(Code::UnsupportedEncoding, "The message is compressed."))
        }
        Frame::Wrong => Err(Refusal::new(
            Code::Request(RequestCode::InvalidField),
            "The body is not one whole message.",
        )),
    }
}

/// Read the message of `ModelInfer`.
///
/// # Errors
/// It is no inference.
pub fn inference(message: Bytes) -> Result<Inference, Refusal> {
    Ok(Inference::from_grpc(message)?)
}

/// How long the caller will wait, from `grpc-timeout`.
///
/// # Errors
/// The header is malformed.
pub fn timeout(headers: &HeaderMap) -> Result<Option<Duration>, Refusal> {
    let Some(value) = headers.get("grpc-timeout") else { return Ok(None) };
    let parsed = value.to_str().ok().and_then(|text| {
        let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
        let number = Some(digits).filter(|digits| digits.len() <= 8)?.parse().ok()?;
        Some(match unit {
            "H" => Duration::from_secs(number * 3_600),
            "M" => Duration::from_secs(number * 60),
            "S" => Duration::from_secs(number),
            "m" => Duration::from_millis(number),
            "u" => Duration::from_micros(number),
            "n" => Duration::from_nanos(number),
            _ => return None,
        })
    });
    match parsed {
        Some(limit) => Ok(Some(limit)),
        None => Err(Refusal::new(Code::InvalidHeader, "`grpc-timeout` is no time limit.")),
    }
}

/// Make the headers of a call to a model's server those of a gRPC call that may take so long.
pub fn dress(headers: &mut HeaderMap, total_ms: u32) {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    headers.remove(header::ACCEPT);
    // At most eight digits, as the protocol says.
    if let Ok(limit) = HeaderValue::try_from(format!("{}m", total_ms.min(99_999_999))) {
        headers.insert("grpc-timeout", limit);
    }
}

/// A server's status, from its headers or trailers.
pub fn status_of(headers: &HeaderMap) -> Option<u16> {
    headers.get(STATUS)?.to_str().ok()?.parse().ok()
}

/// The same of a stream.
pub fn dress_stream(headers: &mut HeaderMap, total_ms: u32) {
    dress(headers, total_ms);
    // Triton then ends a stream that fails with a status: words alone do not tell whose fault it was.
    headers.insert("triton_grpc_error", HeaderValue::from_static("true"));
}

/// What a server's status says, from its headers or trailers; `None` where they have none.
pub fn outcome(headers: &HeaderMap) -> Option<Result<(), UpstreamFault>> {
    let status = status_of(headers)?;
    if status == 0 {
        return Some(Ok(()));
    }
    let message = headers.get(MESSAGE).map_or(&b""[..], |message| message.as_bytes());
    Some(Err(UpstreamFault::from_grpc(status, &plain(message))))
}

/// A message as its header escaped it.
fn plain(escaped: &[u8]) -> String {
    let mut out = Vec::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some((&byte, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let code = hex.filter(|_| byte == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok());
        out.push(code.unwrap_or(byte));
        rest = if code.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// What a path or a message asks of a model.
impl From<Call> for Wants {
    fn from(call: Call) -> Self {
        match call {
            Call::Ready => Self::Ready,
            Call::Metadata => Self::Metadata,
            Call::Infer | Call::Stream => Self::Infer,
        }
    }
}

/// A refusal as gRPC has it: no message, all of it in the one block of headers.
pub fn refused(refusal: &Refusal, text: &str) -> Response<Outgoing> {
    let mut response = Response::new(Outgoing::whole(Bytes::new()));
    *response.headers_mut() = ending(refusal, text);
    let kind = HeaderValue::from_static(CONTENT_TYPE);
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// A refusal as it stands in headers, or in trailers where answers went before it.
fn ending(refusal: &Refusal, text: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(STATUS, HeaderValue::from(status(refusal)));
    if let Ok(message) = HeaderValue::from_str(&escaped(text)) {
        headers.insert(MESSAGE, message);
    }
    headers.insert(CODE, HeaderValue::from_static(refusal.code.code()));
    if let Some(seconds) = refusal.retry_after_s {
        headers.insert(PUSHBACK, HeaderValue::from(u64::from(seconds) * 1_000));
    }
    if refusal.code == Code::UnsupportedEncoding {
        headers.insert("grpc-accept-encoding", HeaderValue::from_static("identity"));
    }
    headers
}

/// A refusal of one message of a stream, which goes on.
pub fn told(refusal: &Refusal, message_id: &str, request_id: &str) -> Bytes {
    let body = refusal.body(request_id);
    let error = StreamError {
        text: &body.text(),
        message_id,
        code: body.code,
        request_id,
        retry_after_s: refusal.retry_after_s,
    };
    error.framed()
}

/// The status of gRPC that says what the HTTP status says.
fn status(refusal: &Refusal) -> u16 {
    match refusal.code {
        // A method, an encoding that is not there.
        Code::RouteNotFound | Code::MethodNotAllowed | Code::UnsupportedEncoding => 12,
        _ => match refusal.status {
            400 | 422 => 3,
            401 => 16,
            403 => 7,
            404 => 5,
            408 | 504 => 4,
            413 | 429 | 431 => 8,
            502 | 503 => 14,
            _ => 13,
        },
    }
}

/// A message as the header may hold it.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes().take(MESSAGE_BYTES) {
        match byte {
            b' '..=b'~' if byte != b'%' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests;
