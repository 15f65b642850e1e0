//! Sends spans to their receiver, one message after the other, over HTTP or gRPC. A message that may be taken
//! later is sent again a few times; then it is given up.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use towpath_dialect::protobuf::{Fields, write_message, write_text};
use towpath_upstream::{Address, Call, Expect, Payload, Pool, Reply};
use towpath_wire::routing::Timeouts;

use crate::config::{Otlp, OtlpProtocol};
use crate::grpc;
use crate::log::{self, Level};
use crate::shared::Shared;
use crate::telemetry::attributes::Attributes;
use crate::telemetry::{Finished, Out};

/// Where the protocol's paths begin, after what the endpoint names.
const HTTP_PATH: &str = "/v1/traces";
const GRPC_PATH: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const PROTOBUF: &str = "application/x-protobuf";
/// Tries for one message.
const MAX_TRIES: u32 = 5;
/// Longest pause between two of them, whatever the receiver says: meanwhile spans wait.
const MAX_PAUSE: Duration = Duration::from_secs(30);
/// Longest answer of a receiver that is read.
const ANSWER: usize = 64 << 10;
/// Longest part of an answer that is logged.
const SAID: usize = 200;

/// Who the spans are sent by, and where to.
pub struct Exporter {
    address: Address,
    protocol: OtlpProtocol,
    headers: HeaderMap,
    timeout_ms: u32,
    interval: Duration,
    /// What stands before and after the spans of every message.
    resource: Vec<u8>,
    scope: Vec<u8>,
}

/// What became of a message.
enum Sent {
    /// All of it was taken but so many spans.
    Taken { rejected: u64 },
    /// It may be taken later.
    Later { cause: String, pause: Option<Duration> },
    /// It never will.
    Never { cause: String },
}

impl Exporter {
    /// `address` is the receiver's; the rules of egress hold for it as for every other that is named by URL.
    pub fn new(otlp: &Otlp, address: &Address, shared: &Shared) -> Self {
        let limits = &shared.limits;
        let mut resource = Attributes::of(1);
        let ours = [
            ("service.name", "towpath-gateway"),
            ("service.version", env!("CARGO_PKG_VERSION")),
            ("service.instance.id", &*shared.gateway_id),
        ];
        let named = |name: &str| otlp.resource.iter().any(|(given, _)| given == name);
        for (name, value) in ours.iter().filter(|(name, _)| !named(name)) {
            resource.text(name, Some(value));
        }
        for (name, value) in &otlp.resource {
            resource.text(name, Some(value));
        }
        let mut scope = Vec::new();
        write_message(1, &mut scope, |scope| {
            write_text(1, "towpath-gateway", scope);
            write_text(2, env!("CARGO_PKG_VERSION"), scope);
        });
        Self {
            address: address.checked(),
            protocol: otlp.protocol,
            headers: otlp.headers.clone(),
            timeout_ms: u32::try_from(limits.otlp_timeout_ms).unwrap_or(u32::MAX),
            interval: Duration::from_millis(limits.otlp_interval_ms),
            resource: resource.as_bytes().to_vec(),
            scope,
        }
    }

    /// Send what calls hand over until telemetry is closed and nothing is left.
    pub async fn run(self, shared: Arc<Shared>, pool: Pool) {
        let Some(out) = &shared.telemetry.out else { return };
        let mut works = true;
        loop {
            self.gather(out).await;
            pool.sweep();
            let spans = out.take();
            if spans.is_empty() {
                if out.closing() {
                    return;
                }
                continue;
            }
            let (count, bytes) = spans.iter().fold((0, 0), |(count, bytes), finished| {
                (count + finished.spans, bytes + finished.bytes.len())
            });
            let cause = match self.deliver(out, &pool, self.message(&spans)).await {
                Ok(rejected) => {
                    let rejected = rejected.min(count);
                    shared.metrics.exported_spans.fetch_add(count - rejected, relaxed());
                    shared.metrics.lost_spans.fetch_add(rejected, relaxed());
                    None
                }
                Err(cause) => {
                    shared.metrics.lost_spans.fetch_add(count, relaxed());
                    Some(cause)
                }
            };
            out.release(bytes);
            match &cause {
                Some(cause) if works => {
                    log::event(Level::Warning, "spans.not_sent", &[("cause", cause)]);
                }
                None if !works => log::event(Level::Info, "spans.sent_again", &[]),
                _ => {}
            }
            works = cause.is_none();
        }
    }

    /// Wait until there is enough for a message, or what there is has waited long enough.
    async fn gather(&self, out: &Out) {
        while !out.closing() && out.is_empty() {
            out.changed.notified().await;
        }
        let enough = async {
            while !out.closing() && !out.is_full() {
                out.changed.notified().await;
            }
        };
        let _ = tokio::time::timeout(self.interval, enough).await;
    }

    fn message(&self, spans: &[Finished]) -> Bytes {
        let mut message = Vec::new();
        write_message(1, &mut message, |of_resource| {
            write_message(1, of_resource, |resource| resource.extend_from_slice(&self.resource));
            write_message(2, of_resource, |scope| {
                scope.extend_from_slice(&self.scope);
                for finished in spans {
                    scope.extend_from_slice(&finished.bytes);
                }
            });
        });
        message.into()
    }

    /// Send a message until it is taken or given up; returns how many spans were rejected of it.
    async fn deliver(&self, out: &Out, pool: &Pool, message: Bytes) -> Result<u64, String> {
        let mut pause = self.interval;
        let mut tries = 1;
        loop {
            let (cause, asked) = match self.send(pool, message.clone()).await {
                Sent::Taken { rejected } => return Ok(rejected),
                Sent::Never { cause } => return Err(cause),
                Sent::Later { cause, pause } => (cause, pause),
            };
            if tries >= MAX_TRIES || out.closing() {
                return Err(cause);
            }
            tries += 1;
            let wait = asked.unwrap_or(pause).min(MAX_PAUSE);
            let _ = tokio::time::timeout(wait, out.closed()).await;
            pause = pause.saturating_mul(2);
        }
    }

    async fn send(&self, pool: &Pool, message: Bytes) -> Sent {
        let ms = self.timeout_ms;
        let timeouts = Timeouts {
            connect_ms: ms,
            first_byte_ms: ms,
            silence_ms: ms,
            total_ms: ms,
            attempt_ms: 0,
        };
        let mut headers = self.headers.clone();
        let agent = concat!("towpath-gateway/", env!("CARGO_PKG_VERSION"));
        headers.insert(header::USER_AGENT, HeaderValue::from_static(agent));
        let (path, body) = match self.protocol {
            OtlpProtocol::Http => {
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROTOBUF));
                (HTTP_PATH, message)
            }
            OtlpProtocol::Grpc => {
                grpc::dress(&mut headers, ms);
                (GRPC_PATH, framed(&message))
            }
        };
        let body = Payload::Whole(body);
        let expect = Expect::Answer;
        let call = Call { method: Method::POST, path, headers, body, expect, timeouts };
        let reply = match self.protocol {
            OtlpProtocol::Http => pool.send(&self.address, call).await,
            OtlpProtocol::Grpc => pool.send_multiplexed(&self.address, call).await,
        };
        match reply {
            Ok(reply) if !reply.status.is_success() => refused(&reply),
            Ok(reply) if self.protocol == OtlpProtocol::Grpc => taken_by_grpc(reply).await,
            Ok(reply) => match reply.body.collect(ANSWER).await {
                Ok(body) => Sent::Taken { rejected: rejected(&body) },
                Err(error) => later(&error),
            },
            Err(error) => later(&error),
        }
    }
}

impl Out {
    fn is_empty(&self) -> bool {
        self.held.load(relaxed()) == 0
    }

    fn is_full(&self) -> bool {
        self.held.load(relaxed()) >= super::BATCH
    }

    /// Wait until it is closed.
    async fn closed(&self) {
        while !self.closing() {
            self.changed.notified().await;
        }
    }
}

fn relaxed() -> std::sync::atomic::Ordering {
    std::sync::atomic::Ordering::Relaxed
}

/// A message as gRPC has it: not compressed, its length before it.
fn framed(message: &Bytes) -> Bytes {
    let mut framed = BytesMut::with_capacity(message.len() + 5);
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    framed.put_slice(message);
    framed.freeze()
}

fn later(error: &(dyn std::error::Error + 'static)) -> Sent {
    let mut cause = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let _ = write!(cause, ": {error}");
        source = error.source();
    }
    Sent::Later { cause, pause: None }
}

/// What a status says that is no success.
fn refused(reply: &Reply) -> Sent {
    let cause = format!("the receiver answered with status {}", reply.status.as_u16());
    let seconds = reply.headers.get(header::RETRY_AFTER);
    let seconds = seconds.and_then(|after| after.to_str().ok()?.parse().ok());
    match reply.status {
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => {
            Sent::Later { cause, pause: seconds.map(Duration::from_secs) }
        }
        _ => Sent::Never { cause },
    }
}

async fn taken_by_grpc(reply: Reply) -> Sent {
    let Reply { headers, mut body, .. } = reply;
    let mut message = BytesMut::new();
    while let Some(chunk) = body.chunk().await {
        match chunk {
            Ok(chunk) if message.len() + chunk.len() <= ANSWER => message.put_slice(&chunk),
            Ok(_) => return Sent::Never { cause: "the receiver's answer is too long".to_owned() },
            Err(error) => return later(&error),
        }
    }
    let status = [Some(&headers), body.trailers()].into_iter().flatten().find_map(grpc::status_of);
    let cause = || match status {
        Some(status) => format!("the receiver answered with gRPC status {status}"),
        None => "the receiver's answer has no gRPC status".to_owned(),
    };
    match status {
        Some(0) => {
            let message = message.freeze();
            let message = message.get(5..).map(|body| message.slice_ref(body));
            Sent::Taken { rejected: rejected(&message.unwrap_or_default()) }
        }
        // Cancelled, too slow, exhausted, aborted, out of range, away, lost: so says OTLP.
        Some(1 | 4 | 8 | 10 | 11 | 14 | 15) => Sent::Later { cause: cause(), pause: None },
        _ => Sent::Never { cause: cause() },
    }
}

/// How many spans a receiver did not want of a message that it took; it is said why.
fn rejected(answer: &Bytes) -> u64 {
    let read = || {
        let mut fields = Fields::of(answer);
        while let Some(member) = fields.next()? {
            if member.number == 1 {
                return partial(member.field.sized()?);
            }
        }
        Ok((0, String::new()))
    };
    let (rejected, said) = read().unwrap_or_default();
    if rejected > 0 {
        let said: String = said.chars().take(SAID).collect();
        let fields: [(&str, &dyn std::fmt::Display); 2] = [("spans", &rejected), ("cause", &said)];
        log::event(Level::Warning, "spans.rejected", &fields);
    }
    rejected
}

fn partial(message: &Bytes) -> Result<(u64, String), towpath_dialect::protobuf::Broken> {
    let (mut rejected, mut said) = (0, String::new());
    let mut fields = Fields::of(message);
    while let Some(member) = fields.next()? {
        match member.number {
            1 => rejected = member.field.varint()?,
            2 => said = member.field.text()?,
            _ => {}
        }
    }
    Ok((rejected, said))
}
