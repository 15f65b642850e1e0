//! One connection: opened, driven by whoever uses it, closed when dropped.

use std::cell::Cell;
use std::future::Future as _;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::address::Place;
use crate::errors::UpstreamError;
use crate::pool::Payload;
use crate::tls::Tls;

/// Largest head of an answer, and hyper's read buffer with it. Servers send a few KB; cookies and
/// tracing of proxies in between may add tens.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// Most headers of an answer.
const MAX_HEADERS: usize = 128;

/// A connection that speaks HTTP/1.1.
pub(crate) struct Connection {
    pub sender: SendRequest<Payload>,
    driver: http1::Connection<TokioIo<Wire>, Payload>,
    ended: bool,
    received: Rc<Cell<u64>>,
    /// Whether it has served a request before.
    pub reused: bool,
}

impl Connection {
    pub(crate) async fn open(place: &Place, tls: &Tls) -> Result<Self, UpstreamError> {
        let stream = match place {
            Place::Unix(path) => {
                Stream::Unix(UnixStream::connect(path).await.map_err(UpstreamError::Connect)?)
            }
            Place::Tcp { host, port } => Stream::Tcp(dial(host, *port).await?),
            Place::Tls { host, port } => {
                let name = ServerName::try_from(host.clone())
                    .map_err(|error| UpstreamError::Tls(io::Error::other(error)))?;
                let tcp = dial(host, *port).await?;
                let session =
                    tls.connector().connect(name, tcp).await.map_err(UpstreamError::Tls)?;
                Stream::Tls(Box::new(session))
            }
        };
        let received = Rc::new(Cell::new(0));
        let wire = Wire { stream, received: received.clone() };
        let (sender, driver) = http1::Builder::new()
            .max_buf_size(MAX_HEAD_BYTES)
            .max_headers(MAX_HEADERS)
            .handshake(TokioIo::new(wire))
            .await
            .map_err(UpstreamError::Protocol)?;
        Ok(Self { sender, driver, ended: false, received, reused: false })
    }

    /// Read and write what can be; afterwards the answer or its body may have more.
    pub(crate) fn drive(&mut self, cx: &mut Context<'_>) {
        if !self.ended {
            self.ended = Pin::new(&mut self.driver).poll(cx).is_ready();
        }
    }

    /// Bytes that have come on it in its life.
    pub(crate) fn received(&self) -> u64 {
        self.received.get()
    }

    /// Whether it can take a request now.
    pub(crate) fn ready(&mut self, cx: &mut Context<'_>) -> bool {
        self.drive(cx);
        !self.ended && self.sender.is_ready()
    }

    /// The same while nobody waits for it.
    pub(crate) fn ready_now(&mut self) -> bool {
        self.ready(&mut Context::from_waker(Waker::noop()))
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("ended", &self.ended).finish_non_exhaustive()
    }
}

/// Connect to the first of the host's addresses that takes the connection.
async fn dial(host: &str, port: u16) -> Result<TcpStream, UpstreamError> {
    let stream = match host.parse::<IpAddr>() {
        Ok(ip) => TcpStream::connect((ip, port)).await,
        Err(_) => TcpStream::connect((host, port)).await,
    }
    .map_err(UpstreamError::Connect)?;
    // Requests are written whole; waiting for more would only delay them.
    stream.set_nodelay(true).map_err(UpstreamError::Connect)?;
    Ok(stream)
}

/// A stream that counts what comes.
struct Wire {
    stream: Stream,
    received: Rc<Cell<u64>>,
}

enum Stream {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Unix(UnixStream),
}

macro_rules! each {
    ($stream:expr, $inner:ident => $call:expr) => {
        match $stream {
            Stream::Tcp($inner) => $call,
            Stream::Tls($inner) => $call,
            Stream::Unix($inner) => $call,
        }
    };
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = each!(&mut self.stream, s => Pin::new(s).poll_read(cx, buffer));
        let came = (buffer.filled().len() - before) as u64;
        self.received.set(self.received.get() + came);
        polled
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        each!(&mut self.stream, s => Pin::new(s).poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(&mut self.stream, s => Pin::new(s).poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        each!(&self.stream, s => s.is_write_vectored())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(&mut self.stream, s => Pin::new(s).poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(&mut self.stream, s => Pin::new(s).poll_shutdown(cx))
    }
}
