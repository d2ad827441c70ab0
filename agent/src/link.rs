//! How an agent calls its server: one trait with two ways, HTTP here, and a call within one process in the server.

pub(crate) mod tls;

use std::future::Future;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use schedules::Millis;
use serde::Serialize;
use serde::de::DeserializeOwned;
use ureq::http::{Response, StatusCode, Uri, header};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{Connector, TcpConnector};
use ureq::{Agent, Body};

use crate::ladder;
use crate::report::{CheckIn, Climb, GZIP_OVER, Join, Joined, MAX_BODY, Plan, Refusal, Reply, Why};

/// The largest answer that is read, in bytes, after it is unpacked.
const MAX_ANSWER: u64 = 16 * 1024 * 1024;
/// The longest time a server may ask an agent to stay away.
const MAX_RETRY_AFTER: Millis = Millis::from_secs(3600);
/// How long to stay away where a busy server does not say.
const DEFAULT_RETRY_AFTER: Millis = Millis::from_secs(10);
/// The longest error text that is kept, in bytes.
const MAX_ERROR: usize = 500;

/// A way to the server.
pub trait Link: Send + Sync + 'static {
    /// Makes one check-in.
    fn check_in(&self, call: CheckIn) -> impl Future<Output = Result<Reply, LinkError>> + Send;

    /// This machine's address is another one: connections from the old one are given up.
    fn renew(&self) {}

    /// Where the way leads. None: the server is in this process, so there is no way on which evidence could be had, and
    /// nothing around it is recorded or asked unless a check says so.
    fn leads_to(&self) -> Option<ladder::Server> {
        None
    }

    /// Climbs the ladder of evidence towards `server`. `hops`: those beyond the gateway on a good day.
    fn climb(
        &self,
        plan: Plan,
        server: ladder::Server,
        hops: Vec<IpAddr>,
        why: Why,
    ) -> impl Future<Output = Climb> + Send {
        async move { ladder::climb_knowing(&plan, &server, &hops, why).await }
    }
}

/// Why a call brought no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// 401: the server does not know the secret.
    #[error("{0}")]
    Unauthorized(String),
    /// 409 or 410: the server has forgotten the device, or the join token was used.
    #[error("{0}")]
    Gone(String),
    /// 400: the server cannot take what was sent.
    #[error("{error}")]
    Bad {
        /// The record that is wrong, where one is.
        seq: Option<u64>,
        /// What is wrong.
        error: String,
    },
    /// 429 or 503: not now.
    #[error("{error}")]
    Busy {
        /// How long to stay away, at most an hour.
        retry_after: Millis,
        /// Why.
        error: String,
    },
    /// No answer, or one that cannot be used.
    #[error("{0}")]
    Failed(String),
}

/// A server's URL that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// It is no URL.
    #[error("'{0}' is not a server's URL: write it as https://HOST or https://HOST:PORT")]
    Bad(String),
    /// It would send the secret in the clear.
    #[error(
        "'{0}' would send the secret unencrypted: use https:// (plain http:// is for this machine alone)"
    )]
    Plain(String),
}

/// The way over the network: HTTP/1.1 with TLS, one connection kept alive. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Http {
    agent: Arc<Mutex<Agent>>,
    server: Arc<str>,
    authorization: Arc<str>,
    pin: Option<[u8; 32]>,
}

impl Http {
    /// A way to the server at `url`, with the bearer secret, and the SHA-256 of the server's key where it is known.
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// Where the URL is none, or is plain `http://` to another machine.
    pub fn new(url: &str, secret: &str, pin: Option<[u8; 32]>) -> Result<Http, UrlError> {
        let server = server_url(url)?;
        let agent = Arc::new(Mutex::new(connections(pin)));
        Ok(Http { agent, server: server.into(), authorization: format!("Bearer {secret}").into(), pin })
    }

    /// The server's URL, without a slash at its end.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Shows a join token. Blocks.
    ///
    /// # Errors
    /// What the server answers, or that it does not.
    pub fn join(&self, ask: &Join) -> Result<Joined, LinkError> {
        self.post("/api/agent/join", ask)
    }

    /// Makes one check-in. Blocks.
    fn call(&self, call: &CheckIn) -> Result<Reply, LinkError> {
        self.post("/api/agent/check-in", call)
    }

    fn post<Answer: DeserializeOwned>(&self, path: &str, ask: &impl Serialize) -> Result<Answer, LinkError> {
        let failed =
            |e: &dyn std::fmt::Display| LinkError::Failed(cut(&format!("call {}: {e}", self.server)));
        let body = serde_json::to_vec(ask).map_err(|e| failed(&e))?;
        if body.len() > MAX_BODY {
            return Err(failed(&format_args!("the report is {} bytes, over the limit", body.len())));
        }
        let agent = self.agent.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut request = agent
            .post(format!("{}{path}", self.server))
            .header(header::AUTHORIZATION, &*self.authorization)
            .header(header::CONTENT_TYPE, "application/json");
        let sent = if body.len() > GZIP_OVER {
            request = request.header(header::CONTENT_ENCODING, "gzip");
            request.send(&gzip(&body).map_err(|e| failed(&e))?[..])
        } else {
            request.send(&body[..])
        };
        let mut response = sent.map_err(|e| failed(&plain(&e)))?;
        if response.status() == StatusCode::OK {
            let text = read(&mut response).map_err(|e| failed(&e))?;
            return serde_json::from_slice(&text)
                .map_err(|e| failed(&format_args!("the answer is not a lineman server's: {e}")));
        }
        Err(self.refusal(response))
    }

    /// What an answer that is not 200 means.
    fn refusal(&self, mut response: Response<Body>) -> LinkError {
        let status = response.status();
        let retry_after = retry_after(&response);
        let told = read(&mut response).ok().and_then(|text| serde_json::from_slice::<Refusal>(&text).ok());
        let seq = told.as_ref().and_then(|told| told.seq);
        let error = match told {
            Some(told) => cut(&told.error),
            None => format!("{} answers {status}", self.server),
        };
        match status.as_u16() {
            401 => LinkError::Unauthorized(error),
            409 | 410 => LinkError::Gone(error),
            400 => LinkError::Bad { seq, error },
            429 | 503 => LinkError::Busy { retry_after, error },
            300..400 => {
                LinkError::Failed(format!("{} answers {status}: redirects are not followed", self.server))
            }
            _ => LinkError::Failed(error),
        }
    }
}

/// Connections to a server whose key has this SHA-256, where that is given; none is open yet.
#[must_use]
pub fn connections(pin: Option<[u8; 32]>) -> Agent {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .user_agent(concat!("lineman/", env!("CARGO_PKG_VERSION")))
        .timeout_connect(Some(Duration::from_secs(10)))
        .timeout_global(Some(Duration::from_secs(30)))
        .input_buffer_size(16 * 1024)
        .output_buffer_size(16 * 1024)
        .max_idle_connections(1)
        .max_idle_connections_per_host(1)
        .max_idle_age(Duration::from_secs(90))
        .build();
    let connector = ().chain(TcpConnector::default()).chain(tls::PinnedConnector::new(pin));
    Agent::with_parts(config, connector, DefaultResolver::default())
}

impl Link for Http {
    async fn check_in(&self, call: CheckIn) -> Result<Reply, LinkError> {
        let http = self.clone();
        match tokio::task::spawn_blocking(move || http.call(&call)).await {
            Ok(answer) => answer,
            Err(e) => Err(LinkError::Failed(format!("the call was broken off: {e}"))),
        }
    }

    fn renew(&self) {
        *self.agent.lock().unwrap_or_else(PoisonError::into_inner) = connections(self.pin);
    }

    fn leads_to(&self) -> Option<ladder::Server> {
        let (host, port) = host_and_port(&self.server)?;
        let tls = self.server.starts_with("https:");
        Some(ladder::Server { host, port, tls, pin: self.pin, address: None })
    }
}

/// The address of the server behind `url` where the URL itself says it.
#[must_use]
pub fn literal_address(url: &str) -> Option<SocketAddr> {
    let (host, port) = host_and_port(url)?;
    Some((host.parse::<IpAddr>().ok()?, port).into())
}

/// The address of the server behind `url`, for asking the system which route leads to it. Resolves names: blocks.
#[must_use]
pub fn address(url: &str) -> Option<SocketAddr> {
    host_and_port(url)?.to_socket_addrs().ok()?.next()
}

fn host_and_port(url: &str) -> Option<(String, u16)> {
    let uri: Uri = url.parse().ok()?;
    let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("http") { 80 } else { 443 });
    Some((uri.host()?.trim_start_matches('[').trim_end_matches(']').to_owned(), port))
}

fn server_url(url: &str) -> Result<String, UrlError> {
    let bad = || UrlError::Bad(cut(url));
    let text = url.trim().trim_end_matches('/');
    let uri: Uri = text.parse().map_err(|_| bad())?;
    let authority = uri.authority().ok_or_else(bad)?;
    if uri.query().is_some() || authority.as_str().contains('@') || authority.host().is_empty() {
        return Err(bad());
    }
    match uri.scheme_str() {
        Some("https") => Ok(text.to_owned()),
        Some("http") if is_loopback(authority.host()) => Ok(text.to_owned()),
        Some("http") => Err(UrlError::Plain(cut(url))),
        _ => Err(bad()),
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn gzip(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut packed =
        flate2::write::GzEncoder::new(Vec::with_capacity(body.len() / 4), flate2::Compression::fast());
    packed.write_all(body)?;
    packed.finish()
}

fn read(response: &mut Response<Body>) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    response.body_mut().as_reader().take(MAX_ANSWER + 1).read_to_end(&mut text)?;
    if text.len() as u64 > MAX_ANSWER {
        return Err(std::io::Error::other("the answer is over 16 MiB"));
    }
    Ok(text)
}

/// The seconds of `Retry-After`, at most an hour. A date there is not read: the server never sends one.
fn retry_after(response: &Response<Body>) -> Millis {
    let value = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    value
        .and_then(|text| text.trim().parse::<i64>().ok())
        .map_or(DEFAULT_RETRY_AFTER, |secs| Millis::from_secs(secs.max(0)))
        .min(MAX_RETRY_AFTER)
}

/// What went wrong, without the library's own words where a person needs others.
fn plain(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Timeout(_) => "timed out".to_owned(),
        ureq::Error::HostNotFound => "no such host".to_owned(),
        ureq::Error::Io(e) => e.to_string(),
        other => other.to_string(),
    }
}

/// At most [`MAX_ERROR`] bytes of `text`, cut at a character.
pub(crate) fn cut(text: &str) -> String {
    let mut end = text.len().min(MAX_ERROR);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_sent_in_the_clear_to_another_machine() {
        for good in [
            "https://lineman.example",
            "https://192.0.2.1:8443/",
            "http://127.0.0.1:8080",
            "http://[::1]:1",
            "http://localhost",
        ] {
            assert!(server_url(good).is_ok(), "{good}");
        }
        for plain in ["http://192.0.2.1", "http://lineman.example:8080", "http://[2001:db8::1]"] {
            assert!(matches!(server_url(plain), Err(UrlError::Plain(_))), "{plain}");
        }
        for bad in [
            "",
            "lineman",
            "ftp://127.0.0.1",
            "https://",
            "https://a@b",
            "https://h/?x=1",
            "https://ho st",
            "/x",
        ] {
            assert!(matches!(server_url(bad), Err(UrlError::Bad(_))), "{bad}");
        }
    }

    #[test]
    fn a_long_error_is_cut_at_a_character() {
        assert_eq!(cut(&"ä".repeat(400)).len(), 500);
        assert_eq!(cut(&format!("a{}", "ä".repeat(400))).len(), 499);
    }
}
