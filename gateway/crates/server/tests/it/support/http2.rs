//! A caller that speaks HTTP/2 with prior knowledge, and gRPC on top of it.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use futures_util::stream::unfold;
use http::{HeaderMap, Request, StatusCode};
use http_body::Frame;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, mpsc};
use towpath_dialect::kserve::Frame as Message;

use super::tables::GOOD;

/// One connection for any number of calls.
#[derive(Clone)]
pub struct Connection(SendRequest<BoxBody<Bytes, Infallible>>);

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub trailers: HeaderMap,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).or(self.trailers.get(name));
        value.map_or("", |value| value.to_str().unwrap())
    }

    /// Status, code and message of a gRPC refusal.
    pub fn refusal(&self) -> (&str, &str, &str) {
        assert!(self.body.is_empty());
        (self.header("grpc-status"), self.header("x-towpath-code"), self.header("grpc-message"))
    }
}

impl Connection {
    pub async fn open(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap()).await
    }

    /// On a stream that is open.
    pub async fn over(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        let (sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .unwrap();
        tokio::spawn(connection);
        Self(sender)
    }

    pub async fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> http::Response<Incoming> {
        let mut request = Request::builder().method(method).uri(format!("http://towpath{path}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = Full::new(body.into()).boxed();
        self.0.send_request(request.body(body).unwrap()).await.unwrap()
    }

    pub async fn call(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let (parts, body) = self.send(method, path, headers, body).await.into_parts();
        let body = body.collect().await.unwrap();
        let trailers = body.trailers().cloned().unwrap_or_default();
        Answer { status: parts.status, headers: parts.headers, body: body.to_bytes(), trailers }
    }

    /// Call a method of the inference service, with further metadata.
    pub async fn grpc(
        &mut self,
        method: &str,
        metadata: &[(&str, &str)],
        message: impl Into<Bytes>,
    ) -> Answer {
        let mut headers =
            vec![("content-type", "application/grpc"), ("te", "trailers"), ("x-api-key", GOOD)];
        headers.extend_from_slice(metadata);
        let path = format!("/inference.GRPCInferenceService/{method}");
        self.call("POST", &path, &headers, message).await
    }

    /// Begin a stream of messages of the inference service.
    pub async fn talk(&mut self, metadata: &[(&str, &str)]) -> Talk {
        let path = "http://towpath/inference.GRPCInferenceService/ModelStreamInfer";
        let mut request = Request::post(path).header("content-type", "application/grpc");
        for (name, value) in [("te", "trailers"), ("x-api-key", GOOD)].iter().chain(metadata) {
            request = request.header(*name, *value);
        }
        let (ask, asked) = mpsc::channel::<Bytes>(16);
        let frames = unfold(Mutex::new(asked), |asked| async {
            let message = asked.lock().await.recv().await?;
            Some((Ok::<_, Infallible>(Frame::data(message)), asked))
        });
        let body = BoxBody::new(StreamBody::new(Box::pin(frames)));
        let (head, body) =
            self.0.send_request(request.body(body).unwrap()).await.unwrap().into_parts();
        Talk { ask: Some(ask), head: head.headers, body, came: Vec::new(), trailers: None }
    }
}

/// A stream of messages.
pub struct Talk {
    ask: Option<mpsc::Sender<Bytes>>,
    pub head: HeaderMap,
    body: Incoming,
    came: Vec<u8>,
    trailers: Option<HeaderMap>,
}

impl Talk {
    pub async fn ask(&self, message: impl Into<Bytes>) {
        self.ask.as_ref().unwrap().send(message.into()).await.unwrap();
    }

    /// The caller has no more to ask.
    pub fn end(&mut self) {
        self.ask = None;
    }

    /// The next whole message; `None` at the end.
    pub async fn told(&mut self) -> Option<Bytes> {
        loop {
            if let Some(length) = Message::length(&self.came).filter(|l| *l <= self.came.len()) {
                return Some(self.came.drain(..length).collect::<Vec<u8>>().into());
            }
            match self.body.frame().await?.unwrap().into_data() {
                Ok(data) => self.came.extend_from_slice(&data),
                Err(frame) => self.trailers = frame.into_trailers().ok(),
            }
        }
    }

    /// What is said at the end.
    pub async fn ending(&mut self, name: &str) -> String {
        let message = self.told().await;
        assert!(message.is_none(), "a message instead of the end: {message:?}");
        let ends = self.trailers.as_ref().unwrap_or(&self.head);
        ends.get(name).map_or("", |value| value.to_str().unwrap()).to_owned()
    }
}
