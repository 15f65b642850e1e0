//! A caller that sees everything: status, headers, body in chunks, and how it ended.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// The body ended as HTTP wants it to.
    pub whole: bool,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn id(&self) -> &str {
        self.header("x-request-id")
    }

    /// `error.code`, wherever the dialect has it.
    pub fn code(&self) -> String {
        let body = self.json();
        let code = body["error"]["code"].as_str().or(body["code"].as_str());
        code.unwrap_or_else(|| panic!("no code: {body}")).to_owned()
    }

    pub fn message(&self) -> String {
        let body = self.json();
        let message = body["error"]["message"].as_str().or(body["detail"].as_str());
        message.unwrap_or_else(|| panic!("no message: {body}")).to_owned()
    }
}

/// An answer whose head has come.
pub struct Head {
    pub status: StatusCode,
    pub headers: HeaderMap,
    body: Incoming,
}

impl Head {
    pub async fn chunk(&mut self) -> Option<Bytes> {
        self.body.frame().await?.ok()?.into_data().ok()
    }

    pub async fn rest(mut self) -> Answer {
        let mut body = Vec::new();
        let mut whole = true;
        while let Some(frame) = self.body.frame().await {
            match frame {
                Ok(frame) => body.extend_from_slice(&frame.into_data().unwrap_or_default()),
                Err(_) => {
                    whole = false;
                    break;
                }
            }
        }
        Answer { status: self.status, headers: self.headers, body: body.into(), whole }
    }
}

/// Send one request on a connection of its own; the connection ends when the head is dropped.
pub async fn send(
    address: SocketAddr,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Head {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut request = Request::builder().method(method).uri(path).header("host", "towpath");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(body.into())).unwrap();
    let response = sender.send_request(request).await.unwrap();
    let (parts, body) = response.into_parts();
    Head { status: parts.status, headers: parts.headers, body }
}
