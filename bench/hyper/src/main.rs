//! A proxy on hyper with the least that a gateway does: it looks the key up, reads `model` and `stream`, puts
//! the upstream's key in, passes the answer on as it comes, and writes a line per request. It has no limits,
//! no budgets, no meter and no journal: what ours takes beyond this is what those cost.
//!
//! usage: hyper-proxy PORT UPSTREAM_PORT LOG

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Either, Empty, Full};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, HOST, HeaderValue};
use hyper::http::uri::{Authority, Scheme};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde::Deserialize;
use tokio::net::TcpListener;

const KEYS: u32 = 1_000;
const TEAMS: u32 = 50;

type Answer = Response<Either<Incoming, Empty<Bytes>>>;

struct Proxy {
    keys: HashMap<Vec<u8>, u32>,
    client: Client<HttpConnector, Full<Bytes>>,
    upstream: Authority,
    log: RefCell<BufWriter<File>>,
}

/// What is read of a question; the rest stays bytes.
#[derive(Deserialize)]
struct Question<'a> {
    #[serde(borrow)]
    model: Cow<'a, str>,
    #[serde(default)]
    stream: bool,
}

impl Proxy {
    async fn serve(&self, request: Request<Incoming>) -> Result<Answer, hyper::Error> {
        let began = Instant::now();
        let (mut head, body) = request.into_parts();
        let key = head.headers.get(AUTHORIZATION);
        let Some(team) = key.and_then(|key| self.keys.get(key.as_bytes())) else {
            return Ok(refused(StatusCode::UNAUTHORIZED));
        };
        let body = body.collect().await?.to_bytes();
        let Ok(question) = serde_json::from_slice::<Question>(&body) else {
            return Ok(refused(StatusCode::BAD_REQUEST));
        };
        let mut parts = std::mem::take(&mut head.uri).into_parts();
        parts.scheme = Some(Scheme::HTTP);
        parts.authority = Some(self.upstream.clone());
        let Ok(uri) = Uri::from_parts(parts) else { return Ok(refused(StatusCode::BAD_REQUEST)) };
        head.uri = uri;
        head.headers.remove(HOST);
        let own = HeaderValue::from_static("Bearer sk-upstream-0000");
        head.headers.insert(AUTHORIZATION, own);
        let sent = Request::from_parts(head, Full::new(Bytes::clone(&body)));
        let Ok(answer) = self.client.request(sent).await else {
            return Ok(refused(StatusCode::BAD_GATEWAY));
        };
        // A full disk is no reason to refuse a call.
        let _ = writeln!(
            self.log.borrow_mut(),
            r#"{{"team":{team},"model":"{}","stream":{},"status":{},"us":{}}}"#,
            question.model,
            question.stream,
            answer.status().as_u16(),
            began.elapsed().as_micros(),
        );
        Ok(answer.map(Either::Left))
    }
}

fn refused(status: StatusCode) -> Answer {
    let mut answer = Response::new(Either::Right(Empty::new()));
    *answer.status_mut() = status;
    answer
}

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, listen())
}

async fn listen() -> Result<(), Box<dyn Error>> {
    let given: Vec<String> = std::env::args().collect();
    let [_, port, upstream, log] = given.as_slice() else {
        return Err("usage: hyper-proxy PORT UPSTREAM_PORT LOG".into());
    };
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client = Client::builder(TokioExecutor::new())
        .pool_idle_timeout(Duration::from_mins(10))
        .build(connector);
    let key = |number: u32| format!("Bearer sk-test-{number:04}").into_bytes();
    let proxy = Rc::new(Proxy {
        keys: (0..KEYS).map(|number| (key(number), number % TEAMS)).collect(),
        client,
        upstream: format!("127.0.0.1:{upstream}").parse()?,
        log: RefCell::new(BufWriter::with_capacity(1 << 16, File::create(log)?)),
    });
    let listener = TcpListener::bind(("127.0.0.1", port.parse()?)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let proxy = Rc::clone(&proxy);
        tokio::task::spawn_local(async move {
            let service = service_fn(|request| proxy.serve(request));
            let connection = hyper::server::conn::http1::Builder::new();
            // A caller that goes away is no fault of the proxy's.
            let _ = connection.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}
