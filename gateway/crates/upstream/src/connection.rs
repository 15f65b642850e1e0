//! One connection: opened, driven by whoever uses it, closed when dropped.

use std::cell::Cell;
use std::future::Future as _;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::address::{Address, Place, Reach};
use crate::egress::{Denied, Egress};
use crate::errors::UpstreamError;
use crate::pool::{Payload, Settings};

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
    /// Its two ends, where both have an address.
    pub ends: Option<(SocketAddr, SocketAddr)>,
}

impl Connection {
    pub(crate) async fn open(
        address: &Address,
        settings: &Settings,
    ) -> Result<Self, UpstreamError> {
        let (wire, ends) = Wire::open(address, settings, Protocol::Http1).await?;
        let received = wire.received.clone();
        let (sender, driver) = http1::Builder::new()
            .max_buf_size(MAX_HEAD_BYTES)
            .max_headers(MAX_HEADERS)
            .handshake(TokioIo::new(wire))
            .await
            .map_err(UpstreamError::Protocol)?;
        Ok(Self { sender, driver, ended: false, received, reused: false, ends })
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

/// Connect to the first of the host's addresses that takes the connection; with both of its ends.
async fn dial(
    host: &str,
    port: u16,
    reach: Reach,
    egress: &Egress,
) -> Result<(TcpStream, (SocketAddr, SocketAddr)), UpstreamError> {
    let stream = match (reach, host.parse::<IpAddr>()) {
        (Reach::Own, Ok(ip)) => TcpStream::connect((ip, port)).await,
        (Reach::Own, Err(_)) => TcpStream::connect((host, port)).await,
        // Addresses, not the name: what was checked is what is connected to.
        (Reach::Checked, _) => TcpStream::connect(&*egress.resolve(host, port).await?).await,
    }
    .map_err(UpstreamError::Connect)?;
    let ends = || Ok((stream.local_addr()?, stream.peer_addr()?));
    let (local, peer) = ends().map_err(UpstreamError::Connect)?;
    if reach == Reach::Checked {
        egress
            .judge(local, peer)
            .map_err(|why| UpstreamError::Denied { ip: Some(peer.ip()), why })?;
    }
    // Requests are written whole; waiting for more would only delay them.
    stream.set_nodelay(true).map_err(UpstreamError::Connect)?;
    Ok((stream, (local, peer)))
}

/// What is spoken on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

/// A stream that counts what comes.
pub(crate) struct Wire {
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

impl Wire {
    /// Connect, and shake hands where the address asks for TLS; with the two ends, where both have an
    /// address.
    pub(crate) async fn open(
        address: &Address,
        settings: &Settings,
        protocol: Protocol,
    ) -> Result<(Self, Option<(SocketAddr, SocketAddr)>), UpstreamError> {
        let tls = address.tls().unwrap_or(&settings.tls);
        let dialled = |host, port| dial(host, port, address.reach(), &settings.egress);
        let mut ends = None;
        let stream = match address.place() {
            Place::Unix(_) if address.reach() == Reach::Checked => {
                return Err(UpstreamError::Denied { ip: None, why: Denied::Socket });
            }
            Place::Unix(path) => {
                Stream::Unix(UnixStream::connect(path).await.map_err(UpstreamError::Connect)?)
            }
            Place::Tcp { host, port } => {
                let (tcp, both) = dialled(host, *port).await?;
                ends = Some(both);
                Stream::Tcp(tcp)
            }
            Place::Tls { host, port } => {
                let name = ServerName::try_from(host.clone())
                    .map_err(|error| UpstreamError::Tls(io::Error::other(error)))?;
                let (tcp, both) = dialled(host, *port).await?;
                ends = Some(both);
                let session =
                    tls.connector(protocol).connect(name, tcp).await.map_err(UpstreamError::Tls)?;
                Stream::Tls(Box::new(session))
            }
        };
        Ok((Self { stream, received: Rc::new(Cell::new(0)) }, ends))
    }
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
