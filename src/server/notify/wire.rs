//! The connection to a mail server: encrypted before anything is said that matters, and read only so far.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use lettre::transport::smtp::client::AsyncTokioStream;
use lettre::transport::smtp::extension::ClientId;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

use super::{Again, Trouble};

/// The most that a mail server may say in one connection, in bytes: lettre would read a line without an end for ever,
/// and reads a reply anew with each line of it.
const MAX_ANSWERS: usize = 16 * 1024;
/// What stands for the greeting of a server that gave it before the connection was encrypted.
const GREETED: &[u8] = b"220 encrypted\r\n";

/// A connection that says a greeting where there is none any more, and ends where too much comes.
pub struct Wire<S> {
    greeting: &'static [u8],
    stream: S,
    left: usize,
    peer: SocketAddr,
}

impl<S> Wire<S> {
    /// One over which the server still greets.
    pub fn new(stream: S, peer: SocketAddr) -> Wire<S> {
        Wire { greeting: b"", stream, left: MAX_ANSWERS, peer }
    }

    /// One over which it greets no more.
    pub fn greeted(stream: S, peer: SocketAddr) -> Wire<S> {
        Wire { greeting: GREETED, ..Wire::new(stream, peer) }
    }
}

impl<S> fmt::Debug for Wire<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").field("peer", &self.peer).finish_non_exhaustive()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.greeting.is_empty() {
            let count = self.greeting.len().min(buf.remaining());
            buf.put_slice(&self.greeting[..count]);
            self.greeting = &self.greeting[count..];
            return Poll::Ready(Ok(()));
        }
        if self.left == 0 {
            return Poll::Ready(Err(io::Error::other("the mail server says too much")));
        }
        let before = buf.filled().len();
        let done = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.left = self.left.saturating_sub(buf.filled().len() - before);
        done
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> AsyncTokioStream for Wire<S> {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.peer)
    }
}

/// Asks the server to encrypt from now on (RFC 3207). Nothing that came in the clear is read afterwards: bytes behind
/// its consent are somebody else's (as in CVE-2021-38371).
pub async fn start_tls(stream: &mut TcpStream, host: &str, me: &ClientId) -> Result<(), Trouble> {
    ask(stream, host, "").await?;
    let offers = ask(stream, host, &format!("EHLO {me}\r\n")).await?;
    let offered = offers
        .lines()
        .any(|line| line.get(4..).is_some_and(|word| word.trim().eq_ignore_ascii_case("STARTTLS")));
    if !offered {
        return Err(Trouble::later(format!("{host} does not offer to encrypt (STARTTLS)")));
    }
    ask(stream, host, "STARTTLS\r\n").await.map(drop)
}

/// Says something, and reads the one reply to it.
async fn ask(stream: &mut TcpStream, host: &str, line: &str) -> Result<String, Trouble> {
    let broken = |error| Trouble::later(format!("talk to {host}")).said(error);
    stream.write_all(line.as_bytes()).await.map_err(broken)?;
    let mut reply = Vec::new();
    let mut part = [0; 1024];
    let end = loop {
        if let Some(end) = end_of_reply(&reply) {
            break end;
        }
        if reply.len() > MAX_ANSWERS {
            return Err(Trouble::later(format!("{host} says too much")));
        }
        match stream.read(&mut part).await.map_err(broken)? {
            0 => return Err(Trouble::later(format!("{host} ended the connection"))),
            count => reply.extend_from_slice(&part[..count]),
        }
    };
    if end < reply.len() {
        return Err(Trouble::later(format!("{host} says more than it was asked: somebody stands between")));
    }
    let text = String::from_utf8_lossy(&reply).into_owned();
    match reply.first() {
        Some(b'2') => Ok(text),
        Some(b'5') => Err(Trouble::new(Again::Never, format!("{host} refuses")).said(text)),
        _ => Err(Trouble::later(format!("{host} cannot now")).said(text)),
    }
}

/// Where a reply ends: behind the first line that has no `-` behind its number (RFC 5321, 4.2.1).
fn end_of_reply(bytes: &[u8]) -> Option<usize> {
    let mut end = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        end += line.len();
        if line.ends_with(b"\n") && line.get(3) != Some(&b'-') {
            return Some(end);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_ends_with_its_last_line() {
        for (text, end) in [
            ("", None),
            ("220 hello", None),
            ("220 hello\r\n", Some(11)),
            ("250-one\r\n", None),
            ("250-one\r\n250 two\r\n", Some(18)),
            ("250-one\r\n250 two\r\n250 injected\r\n", Some(18)),
            ("\n", Some(1)),
        ] {
            assert_eq!(end_of_reply(text.as_bytes()), end, "{text:?}");
        }
    }
}
