//! Scenes: what one connection's other end does, line by line.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use towpath_upstream::{Address, Call, Egress, Expect, Payload, Pool, Roots, Settings, Tls};
use towpath_wire::routing::Timeouts;

/// Limits that no test is meant to reach.
pub const PATIENT: Timeouts = Timeouts {
    connect_ms: 20_000,
    first_byte_ms: 20_000,
    silence_ms: 20_000,
    total_ms: 20_000,
    attempt_ms: 0,
};

/// A limit that is reached on purpose.
pub const SHORT_MS: u32 = 40;

pub fn settings() -> Settings {
    // The system's certificates are many; they are read once for all tests.
    static TLS: OnceLock<Tls> = OnceLock::new();
    let tls = TLS.get_or_init(|| Tls::load(&Roots::Native).unwrap()).clone();
    let egress = Egress::default();
    Settings { idle: Duration::from_secs(20), max_idle_per_address: 4, tls, egress }
}

pub fn pool() -> Pool {
    Pool::new(settings())
}

pub fn address(text: &str) -> Address {
    Address::parse(text, "").unwrap()
}

pub fn get(path: &str) -> Call<'_> {
    Call {
        method: Method::GET,
        path,
        headers: HeaderMap::new(),
        body: Payload::Whole(Bytes::new()),
        expect: Expect::Answer,
        timeouts: PATIENT,
    }
}

pub fn post<'a>(path: &'a str, body: &'static str) -> Call<'a> {
    let body = Payload::Whole(Bytes::from_static(body.as_bytes()));
    Call { method: Method::POST, body, ..get(path) }
}

/// A listener that plays a scene for each connection.
pub struct Stage {
    pub address: Address,
    accepted: Arc<AtomicUsize>,
}

impl Stage {
    /// `scene` gets the connection's number, from 0.
    pub async fn open<F, R>(scene: F) -> Self
    where
        F: Fn(usize, TcpStream) -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = address(&format!("http://{}", listener.local_addr().unwrap()));
        let accepted = Arc::new(AtomicUsize::new(0));
        let count = accepted.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(scene(count.fetch_add(1, Ordering::SeqCst), stream));
            }
        });
        Self { address, accepted }
    }

    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

/// Read one request's head and body; empty if the connection ends instead.
pub async fn request(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&read).to_string();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|l| {
                let (name, value) = l.split_once(": ")?;
                name.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>().ok())?
            });
            let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
            if body.len() >= length.unwrap_or(0) && (!chunked || body.ends_with("0\r\n\r\n")) {
                return text;
            }
        }
        if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
            return String::new();
        }
    }
}

pub async fn say(stream: &mut TcpStream, text: &str) {
    // The other end may be gone, which is then what the test is about.
    let _ = stream.write_all(text.as_bytes()).await;
}

pub async fn gone(stream: &mut TcpStream) {
    let mut rest = [0; 1024];
    while let Ok(1..) = stream.read(&mut rest).await {}
}

pub const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
