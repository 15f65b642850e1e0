//! What an exchange costs above its socket: `cargo run --profile ci -p towpath-upstream --example cost`.
//!
//! The other end is a thread that answers fixed bytes. Beside the pool: the same bytes written and read
//! on a bare socket, and hyper's connection in a task of its own, as its ready-made client has it.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use towpath_upstream::{Address, Call, Egress, Expect, Payload, Pool, Roots, Settings, Tls};
use towpath_wire::routing::Timeouts;

/// The fastest of many short rounds counts: what disturbs a measurement only ever makes it slower.
const ROUNDS: u32 = 100;
const EXCHANGES: u32 = 200;

const BODY: &[u8] = &[b'x'; 256];
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 16\r\n\r\n0123456789abcdef";

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn serve() -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(stream));
        }
    });
    Ok(address)
}

/// Answer each request; it ends with the body, which alone ends in an `x`.
fn answer(mut stream: std::net::TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = [0; 4096];
    let mut got = 0;
    loop {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        got += buffer.iter().take(read).filter(|&&b| b == b'x').count();
        if got >= BODY.len() {
            got = 0;
            stream.write_all(ANSWER)?;
        }
    }
}

async fn measure(name: &str, mut exchange: impl AsyncFnMut() -> Outcome) -> Outcome {
    let mut best = Duration::MAX;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..EXCHANGES {
            exchange().await?;
        }
        best = best.min(start.elapsed());
    }
    let us = best.as_secs_f64() * 1e6 / f64::from(EXCHANGES);
    writeln!(std::io::stdout(), "{name:<36} {us:>8.2} us")?;
    Ok(())
}

async fn bare(address: SocketAddr) -> Outcome {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let head = format!("POST / HTTP/1.1\r\nhost: {address}\r\ncontent-length: 256\r\n\r\n");
    let request = [head.as_bytes(), BODY].concat();
    let mut buffer = [0; ANSWER.len()];
    measure("bare socket", async || {
        stream.write_all(&request).await?;
        stream.read_exact(&mut buffer).await?;
        Ok(())
    })
    .await
}

async fn pooled(address: SocketAddr) -> Outcome {
    let tls = Tls::load(&Roots::Native)?;
    let idle = Duration::from_secs(10);
    let pool =
        Pool::new(Settings { idle, max_idle_per_address: 8, tls, egress: Egress::default() });
    let address = Address::parse(&format!("http://{address}"), "")?;
    measure("pool", async || {
        let call = Call {
            method: Method::POST,
            path: "/",
            headers: HeaderMap::new(),
            body: Payload::Whole(Bytes::from_static(BODY)),
            expect: Expect::Answer,
            timeouts: Timeouts::default(),
        };
        pool.send(&address, call).await?.body.collect(1024).await?;
        Ok(())
    })
    .await
}

async fn task(address: SocketAddr) -> Outcome {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    measure("hyper, connection in its own task", async || {
        sender.ready().await?;
        let mut request = Request::new(Full::new(Bytes::from_static(BODY)));
        *request.method_mut() = Method::POST;
        request.headers_mut().insert("host", address.to_string().parse()?);
        sender.send_request(request).await?.into_body().collect().await?;
        Ok(())
    })
    .await?;
    driver.abort();
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome {
    let address = serve()?;
    bare(address).await?;
    pooled(address).await?;
    task(address).await
}
