//! One HTTP request over a connection that stands: its status, where it is sent elsewhere, and the beginning of its body.

use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONNECTION, HOST, LOCATION, USER_AGENT};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

/// Who asks.
const AGENT: &str = concat!("lineman/", env!("CARGO_PKG_VERSION"));
/// How much of a body is read.
const MAX_BODY: usize = 256 * 1024;
/// The longest head of an answer.
const MAX_HEAD: usize = 64 * 1024;

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Where it says that the answer is.
    pub(super) elsewhere: Option<String>,
    pub(super) body: Vec<u8>,
}

/// Asks for `path` of `host`; all of it within `timeout`.
///
/// # Errors
/// Why no whole answer came, in words.
pub(super) async fn get<S>(stream: S, host: &str, path: &str, timeout: Duration) -> Result<Answer, String>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let asked = tokio::time::timeout(timeout, ask(stream, host, path)).await;
    asked.unwrap_or_else(|_| Err("connected, and no answer".to_owned()))
}

async fn ask<S>(stream: S, host: &str, path: &str) -> Result<Answer, String>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let broken = |e: hyper::Error| {
        if e.is_parse() {
            "what answers does not speak HTTP".to_owned()
        } else {
            format!("connected, and then {e}")
        }
    };
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        .handshake::<_, Empty<Bytes>>(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    let request = Request::builder()
        .method(Method::GET)
        .uri(path)
        .header(HOST, host)
        .header(USER_AGENT, AGENT)
        .header(ACCEPT, "*/*")
        .header(CONNECTION, "close")
        .body(Empty::new())
        .map_err(|e| format!("make a request: {e}"))?;
    let exchange = async {
        let answer = sender.send_request(request).await.map_err(broken)?;
        let status = answer.status().as_u16();
        let elsewhere = answer.headers().get(LOCATION);
        let elsewhere =
            elsewhere.map(|to| String::from_utf8_lossy(to.as_bytes()).chars().take(200).collect());
        let mut body = answer.into_body();
        let mut read = Vec::new();
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { break };
            if let Some(part) = frame.data_ref() {
                read.extend_from_slice(&part[..part.len().min(MAX_BODY - read.len())]);
            }
            if read.len() >= MAX_BODY {
                break;
            }
        }
        Ok(Answer { status, elsewhere, body: read })
    };
    let mut connection = std::pin::pin!(connection);
    let mut exchange = std::pin::pin!(exchange);
    let mut stands = true;
    loop {
        tokio::select! {
            answer = &mut exchange => return answer,
            _ = &mut connection, if stands => stands = false,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn answered(with: &'static [u8]) -> Result<Answer, String> {
        let (near, mut far) = tokio::io::duplex(1024 * 1024);
        tokio::spawn(async move {
            let mut buffer = [0; 4096];
            let _ = far.read(&mut buffer).await;
            let _ = far.write_all(with).await;
        });
        get(near, "page.example", "/", Duration::from_secs(20)).await
    }

    #[tokio::test]
    async fn what_comes_back_is_told_and_no_redirect_is_followed() {
        let answer = answered(
            b"HTTP/1.1 302 Found\r\nlocation: http://portal.example/\r\ncontent-length: 2\r\n\r\nhi",
        );
        let wanted =
            Answer { status: 302, elsewhere: Some("http://portal.example/".into()), body: b"hi".to_vec() };
        assert_eq!(answer.await, Ok(wanted));
        assert_eq!(answered(b"220 mail ready\r\n").await.unwrap_err(), "what answers does not speak HTTP");
    }

    #[tokio::test]
    async fn a_body_without_an_end_is_read_to_its_limit() {
        let (near, mut far) = tokio::io::duplex(64 * 1024);
        let flood = async {
            // An answer before the question is none.
            assert!(far.read(&mut [0; 4096]).await.unwrap() > 0);
            far.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            while far.write_all(&[b'x'; 8192]).await.is_ok() {}
        };
        let (answer, ()) = tokio::join!(get(near, "page.example", "/", Duration::from_secs(20)), flood);
        assert_eq!(answer.unwrap().body.len(), MAX_BODY);
    }
}
