//! A receiver of spans that keeps what it gets, and takes it or not as it is told. The messages are those of
//! `opentelemetry/proto/trace/v1/trace.proto`, as far as the gateway writes them.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::watch;

#[derive(Clone, PartialEq, Message)]
struct Export {
    #[prost(message, repeated, tag = "1")]
    resource_spans: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scope_spans: Vec<ScopeSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct Resource {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct ScopeSpans {
    #[prost(message, optional, tag = "1")]
    scope: Option<Scope>,
    #[prost(message, repeated, tag = "2")]
    spans: Vec<Span>,
}

#[derive(Clone, PartialEq, Message)]
struct Scope {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    version: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct Span {
    #[prost(bytes = "vec", tag = "1")]
    pub trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub span_id: Vec<u8>,
    #[prost(string, tag = "3")]
    pub trace_state: String,
    #[prost(bytes = "vec", tag = "4")]
    pub parent_span_id: Vec<u8>,
    #[prost(string, tag = "5")]
    pub name: String,
    #[prost(int32, tag = "6")]
    pub kind: i32,
    #[prost(fixed64, tag = "7")]
    pub start: u64,
    #[prost(fixed64, tag = "8")]
    pub end: u64,
    #[prost(message, repeated, tag = "9")]
    attributes: Vec<KeyValue>,
    #[prost(message, optional, tag = "15")]
    status: Option<Status>,
    #[prost(fixed32, tag = "16")]
    pub flags: u32,
}

#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int32, tag = "3")]
    code: i32,
}

#[derive(Clone, PartialEq, Message)]
struct KeyValue {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct AnyValue {
    #[prost(oneof = "Value", tags = "1, 2, 3, 5")]
    value: Option<Value>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Value {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(bool, tag = "2")]
    Flag(bool),
    #[prost(int64, tag = "3")]
    Number(i64),
    #[prost(message, tag = "5")]
    Array(Array),
}

#[derive(Clone, PartialEq, Message)]
struct Array {
    #[prost(message, repeated, tag = "1")]
    values: Vec<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct Answer {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<Partial>,
}

#[derive(Clone, PartialEq, Message)]
struct Partial {
    #[prost(int64, tag = "1")]
    rejected_spans: i64,
    #[prost(string, tag = "2")]
    error_message: String,
}

/// Attributes as texts, to compare them with.
fn texts(attributes: &[KeyValue]) -> BTreeMap<&str, String> {
    let text = |value: &AnyValue| shown(value.value.as_ref().unwrap());
    let pair = |pair: &KeyValue| text(pair.value.as_ref().unwrap());
    attributes.iter().map(|it| (it.key.as_str(), pair(it))).collect()
}

fn shown(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        Value::Flag(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Array(array) => {
            let all = array.values.iter().map(|value| shown(value.value.as_ref().unwrap()));
            all.collect::<Vec<_>>().join(" ")
        }
    }
}

impl Span {
    pub fn attributes(&self) -> BTreeMap<&str, String> {
        texts(&self.attributes)
    }

    /// An attribute, empty where it is absent.
    pub fn says(&self, name: &str) -> String {
        self.attributes().remove(name).unwrap_or_default()
    }

    pub fn failed(&self) -> bool {
        self.status.as_ref().is_some_and(|status| status.code == 2)
    }

    pub fn id(&self) -> String {
        hex(&self.span_id)
    }

    pub fn parent(&self) -> String {
        hex(&self.parent_span_id)
    }

    pub fn trace(&self) -> String {
        hex(&self.trace_id)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What the receiver does with a message.
#[derive(Clone, Copy, Debug, Default)]
pub enum Mood {
    #[default]
    Take,
    /// Answer with this status of HTTP.
    Status(u16),
    /// Take it but for so many spans.
    Reject(i64),
    /// Never answer.
    Silent,
}

/// One message.
#[derive(Clone, Debug)]
pub struct Received {
    pub path: String,
    pub headers: HeaderMap,
    pub resource: BTreeMap<String, String>,
    pub spans: Vec<Span>,
    taken: bool,
}

#[derive(Default)]
struct State {
    mood: Mood,
    received: Vec<Received>,
}

#[derive(Clone)]
pub struct Receiver {
    pub address: String,
    state: Arc<Mutex<State>>,
    changed: Arc<watch::Sender<u64>>,
}

impl Receiver {
    /// Over HTTP/1.1.
    pub async fn start() -> Self {
        Self::listen(false).await
    }

    /// Over gRPC.
    pub async fn start_grpc() -> Self {
        Self::listen(true).await
    }

    async fn listen(grpc: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let receiver =
            Self { address, state: Arc::default(), changed: Arc::new(watch::channel(0).0) };
        let serving = receiver.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let receiver = serving.clone();
                let service = service_fn(move |request| {
                    let receiver = receiver.clone();
                    async move { Ok::<_, Infallible>(receiver.answer(request, grpc).await) }
                });
                let stream = TokioIo::new(stream);
                if grpc {
                    let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                    tokio::spawn(server.serve_connection(stream, service));
                } else {
                    let server = hyper::server::conn::http1::Builder::new();
                    tokio::spawn(server.serve_connection(stream, service));
                }
            }
        });
        receiver
    }

    pub fn mood(&self, mood: Mood) {
        self.state.lock().unwrap().mood = mood;
    }

    pub fn received(&self) -> Vec<Received> {
        self.state.lock().unwrap().received.clone()
    }

    /// All spans of the messages that were taken.
    pub fn spans(&self) -> Vec<Span> {
        let taken = self.received().into_iter().filter(|message| message.taken);
        taken.flat_map(|message| message.spans).collect()
    }

    /// Wait for the spans of a call, its own first, its attempts in their order.
    pub async fn call(&self, request_id: &str) -> Vec<Span> {
        let of = |spans: Vec<Span>| {
            let call = spans.iter().find(|span| span.says("towpath.request_id") == request_id)?;
            let attempts = spans.iter().filter(|span| span.parent() == call.id());
            let mut found: Vec<_> = std::iter::once(call).chain(attempts).cloned().collect();
            found.sort_by_key(|span| span.says("towpath.attempt"));
            Some(found)
        };
        self.wait_until(|receiver| of(receiver.spans()).is_some()).await;
        of(self.spans()).unwrap()
    }

    pub async fn wait_until(&self, condition: impl Fn(&Self) -> bool) {
        let mut changed = self.changed.subscribe();
        let holds = async {
            while !condition(self) {
                changed.changed().await.unwrap();
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(20), holds).await.expect("never so");
    }

    async fn answer(&self, request: Request<Incoming>, grpc: bool) -> Response<Reply> {
        let (parts, body) = request.into_parts();
        let mut body = body.collect().await.unwrap().to_bytes();
        if grpc {
            assert_eq!(body[0], 0, "it is not compressed");
            assert_eq!(body.len() - 5, u32::from_be_bytes(body[1..5].try_into().unwrap()) as usize);
            body = body.slice(5..);
        }
        let export = Export::decode(body).unwrap();
        let [of_resource] = export.resource_spans.try_into().unwrap();
        let [of_scope] = of_resource.scope_spans.try_into().unwrap();
        assert_eq!(of_scope.scope.unwrap().name, "towpath-gateway");
        let resource = of_resource.resource.unwrap();
        let resource = texts(&resource.attributes);
        let mood = self.state.lock().unwrap().mood;
        let received = Received {
            path: parts.uri.path().to_owned(),
            headers: parts.headers,
            resource: resource.into_iter().map(|(name, text)| (name.to_owned(), text)).collect(),
            spans: of_scope.spans,
            taken: matches!(mood, Mood::Take | Mood::Reject(_)),
        };
        self.state.lock().unwrap().received.push(received);
        self.changed.send_modify(|count| *count += 1);
        match mood {
            Mood::Take => reply(200, grpc, Answer::default()),
            Mood::Status(status) => reply(status, grpc, Answer::default()),
            Mood::Reject(rejected_spans) => {
                let error_message = "too old".to_owned();
                let partial_success = Some(Partial { rejected_spans, error_message });
                reply(200, grpc, Answer { partial_success })
            }
            Mood::Silent => std::future::pending().await,
        }
    }
}

type Frames = futures_util::stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, Infallible>>>;
type Reply = StreamBody<Frames>;

fn reply(status: u16, grpc: bool, answer: Answer) -> Response<Reply> {
    let message = answer.encode_to_vec();
    let mut body = BytesMut::new();
    let mut trailers = HeaderMap::new();
    let kind = if grpc { "application/grpc" } else { "application/x-protobuf" };
    if grpc {
        body.put_u8(0);
        body.put_u32(message.len().try_into().unwrap());
        trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
    }
    body.put_slice(&message);
    let mut frames = vec![Ok(Frame::data(body.freeze()))];
    if grpc {
        frames.push(Ok(Frame::trailers(trailers)));
    }
    let body = StreamBody::new(futures_util::stream::iter(frames));
    Response::builder().status(status).header("content-type", kind).body(body).unwrap()
}
