//! HTTP/1.1 by hand. A server that keeps to the protocol for its user cannot break it on cue.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Largest request head: what hyper takes by default, generously.
const MAX_HEAD: usize = 1 << 20;
/// Largest request body: twice what the gateway takes.
const MAX_BODY: usize = 64 << 20;
const MAX_HEADERS: usize = 256;

/// A request, whole.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn path(&self) -> &str {
        self.target.split_once('?').map_or(&self.target, |(path, _)| path)
    }

    /// A value of the query. Values are plain words and numbers here; nothing is unescaped.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        let (_, query) = self.target.split_once('?')?;
        query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .find(|(n, _)| *n == name)
            .map(|p| p.1)
    }
}

/// A connection and the bytes read from it that no request has used.
pub(crate) struct Connection<S> {
    stream: S,
    unused: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, unused: Vec::new() }
    }

    pub(crate) fn into_stream(self) -> S {
        self.stream
    }

    /// The next request; `None` when the client closed between two.
    pub(crate) async fn read_request(&mut self) -> io::Result<Option<Request>> {
        let head_len = loop {
            if let Some(end) = self.unused.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            if self.unused.len() > MAX_HEAD {
                return Err(io::Error::other("request head too large"));
            }
            if self.read_more().await? == 0 {
                return if self.unused.is_empty() { Ok(None) } else { Err(cut()) };
            }
        };
        let head: Vec<u8> = self.unused.drain(..head_len).collect();
        let mut request = parse_head(&head)?;
        if request.header("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue"))
        {
            self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        if request.header("transfer-encoding").is_some_and(|value| value.ends_with("chunked")) {
            request.body = self.read_chunks().await?;
        } else if let Some(length) = request.header("content-length") {
            let length = length.parse().map_err(|_| io::Error::other("bad content-length"))?;
            request.body = self.read_exactly(length).await?;
        }
        Ok(Some(request))
    }

    async fn read_more(&mut self) -> io::Result<usize> {
        self.stream.read_buf(&mut self.unused).await
    }

    async fn read_exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        if length > MAX_BODY {
            return Err(io::Error::other("request body too large"));
        }
        while self.unused.len() < length {
            if self.read_more().await? == 0 {
                return Err(cut());
            }
        }
        Ok(self.unused.drain(..length).collect())
    }

    async fn read_line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.unused.windows(2).position(|two| two == b"\r\n") {
                let line: Vec<u8> = self.unused.drain(..end + 2).take(end).collect();
                return String::from_utf8(line).map_err(io::Error::other);
            }
            if self.unused.len() > MAX_HEAD || self.read_more().await? == 0 {
                return Err(cut());
            }
        }
    }

    async fn read_chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.read_line().await?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16).map_err(io::Error::other)?;
            if size == 0 {
                while !self.read_line().await?.is_empty() {}
                return Ok(body);
            }
            if body.len() + size > MAX_BODY {
                return Err(io::Error::other("request body too large"));
            }
            body.extend(self.read_exactly(size).await?);
            self.read_line().await?;
        }
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// Wait until the client has closed; keeps what it sends before that.
    pub(crate) async fn gone(&mut self) {
        while self.unused.len() <= MAX_HEAD {
            if matches!(self.read_more().await, Ok(0) | Err(_)) {
                return;
            }
        }
    }

    pub(crate) async fn close(&mut self) {
        // The peer may be gone already, which is what closing is for.
        let _ = self.stream.shutdown().await;
    }
}

fn cut() -> io::Error {
    io::ErrorKind::UnexpectedEof.into()
}

fn parse_head(head: &[u8]) -> io::Result<Request> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    parsed.parse(head).map_err(io::Error::other)?;
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    Ok(Request {
        method: parsed.method.unwrap_or_default().to_owned(),
        target: parsed.path.unwrap_or_default().to_owned(),
        headers: parsed
            .headers
            .iter()
            .map(|header| (header.name.to_ascii_lowercase(), text(header.value)))
            .collect(),
        body: Vec::new(),
    })
}

/// How the end of a body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Length(usize),
    Chunked,
    /// HTTP/1.0: the body ends with the connection.
    Closing,
}

/// A response's head as bytes.
pub(crate) fn head(status: u16, framing: Framing, headers: &[(&str, &str)]) -> Vec<u8> {
    let version = if framing == Framing::Closing { "1.0" } else { "1.1" };
    let mut head = format!("HTTP/{version} {status} {}\r\n", reason(status));
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    match framing {
        Framing::Length(length) => head.push_str(&format!("content-length: {length}\r\n")),
        Framing::Chunked => head.push_str("transfer-encoding: chunked\r\n"),
        Framing::Closing => head.push_str("connection: close\r\n"),
    }
    head.push_str("\r\n");
    head.into_bytes()
}

/// A chunk of a chunked body; of at most `most` bytes each, if that is given.
pub(crate) fn chunks(body: &[u8], most: Option<usize>) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + 16);
    for part in body.chunks(most.unwrap_or(body.len()).max(1)) {
        out.extend(format!("{:x}\r\n", part.len()).into_bytes());
        out.extend_from_slice(part);
        out.extend_from_slice(b"\r\n");
    }
    out
}

pub(crate) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        307 => "Temporary Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        404 => "Not Found",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Scripted",
    }
}

/// `body` as gzip, in stored blocks: valid for every reader, and no compressor needed.
pub(crate) fn gzip(body: &[u8]) -> Vec<u8> {
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let blocks = body.len().div_ceil(0xffff).max(1);
    for index in 0..blocks {
        let part = &body[index * 0xffff..body.len().min((index + 1) * 0xffff)];
        let length = part.len() as u16;
        out.push(u8::from(index + 1 == blocks));
        out.extend(length.to_le_bytes());
        out.extend((!length).to_le_bytes());
        out.extend_from_slice(part);
    }
    out.extend(crc32fast::hash(body).to_le_bytes());
    out.extend((body.len() as u32).to_le_bytes());
    out
}
