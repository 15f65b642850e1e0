//! HTTP/1.1 or HTTP/2: a connection says by its first bytes which one it speaks.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::time::timeout;

/// What every HTTP/2 connection begins with. No request of HTTP/1.1 begins with its first three letters.
const PREFACE: [u8; 24] = *b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    Http1,
    Http2,
}

/// A stream whose first bytes were looked at, and come again.
pub struct Rewound<S> {
    stream: S,
    seen: [u8; PREFACE.len()],
    /// Bytes seen, and how many of them have come again.
    length: usize,
    given: usize,
}

/// Wait for the first bytes and tell by them.
///
/// # Errors
/// The connection broke, ended without a byte, or said nothing for too long.
pub async fn detect<S: AsyncRead + Unpin>(
    stream: S,
    patience: Duration,
) -> io::Result<(Version, Rewound<S>)> {
    let mut found = Rewound { stream, seen: [0; PREFACE.len()], length: 0, given: 0 };
    let version = timeout(patience, found.look()).await??;
    Ok((version, found))
}

impl<S: AsyncRead + Unpin> Rewound<S> {
    async fn look(&mut self) -> io::Result<Version> {
        while self.length < PREFACE.len() {
            let room = self.seen.get_mut(self.length..).unwrap_or_default();
            let came = self.stream.read(room).await?;
            if came == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.length += came;
            if self.seen.get(..self.length) != PREFACE.get(..self.length) {
                return Ok(Version::Http1);
            }
        }
        Ok(Version::Http2)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Rewound<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.given == self.length {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        let end = self.length.min(self.given + buffer.remaining());
        buffer.put_slice(self.seen.get(self.given..end).unwrap_or_default());
        self.given = end;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Rewound<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests;
