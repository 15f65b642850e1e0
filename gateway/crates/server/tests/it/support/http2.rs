//! A caller that speaks HTTP/2 with prior knowledge, and gRPC on top of it.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::tables::GOOD;

/// One connection for any number of calls.
#[derive(Clone)]
pub struct Connection(SendRequest<Full<Bytes>>);

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
        let stream = TcpStream::connect(address).await.unwrap();
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
        self.0.send_request(request.body(Full::new(body.into())).unwrap()).await.unwrap()
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
}
