//! An HTTP request: its status, its body's keyword, its redirects, and the certificate it comes with.

use std::error::Error;
use std::io;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Instant;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONNECTION, HOST, LOCATION, USER_AGENT};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

use super::resolve::Resolver;
use super::status::StatusSet;
use super::target::Place;
use super::tls::{self, Tls};
use super::{Failed, Limit, Measured, tcp};
use crate::report::Outcome;

/// How much of a body is searched for the keyword.
const MAX_BODY: usize = 1 << 20;
/// The longest head of an answer.
const MAX_HEAD: usize = 64 << 10;
/// Who asks.
const AGENT: &str = concat!("lineman/", env!("CARGO_PKG_VERSION"));

/// What one run asks for, checked before.
pub(super) struct Ask<'a> {
    pub(super) url: &'a str,
    pub(super) status: &'a str,
    pub(super) keyword: &'a str,
    pub(super) redirects: u32,
    pub(super) insecure: bool,
}

/// Asks, and follows where the answers lead, all within the limit.
pub(super) async fn run(resolver: &Resolver, tls: &Tls, ask: &Ask<'_>, limit: Limit) -> Measured {
    let step = AtomicU8::new(Step::Connect as u8);
    let run = Run { resolver, tls, ask, limit, step: &step };
    let ended = tokio::time::timeout_at(limit.deadline, run.follow()).await;
    let ended = ended.unwrap_or_else(|_| {
        Err(Failed::fail(format!(
            "GET {}: timed out after {} while {}",
            ask.url,
            limit.timeout,
            Step::words(&step)
        )))
    });
    ended.unwrap_or_else(Measured::from)
}

/// What a run is waiting for, for the message if it never comes.
#[derive(Clone, Copy)]
enum Step {
    Connect,
    Handshake,
    Head,
    Body,
}

impl Step {
    fn words(step: &AtomicU8) -> &'static str {
        let at = step.load(Ordering::Relaxed);
        let is = |step: Step| at == step as u8;
        if is(Step::Connect) {
            "connecting"
        } else if is(Step::Handshake) {
            "TLS was negotiated"
        } else if is(Step::Head) {
            "waiting for the answer"
        } else {
            "reading the body"
        }
    }
}

struct Run<'a> {
    resolver: &'a Resolver,
    tls: &'a Tls,
    ask: &'a Ask<'a>,
    limit: Limit,
    step: &'a AtomicU8,
}

impl Run<'_> {
    async fn follow(&self) -> Result<Measured, Failed> {
        let began = Instant::now();
        let unknown = |text: String| Failed::unknown(format!("GET {}: {text}", self.ask.url));
        let good: StatusSet =
            self.ask.status.parse().map_err(|bad: super::BadStatus| unknown(bad.to_string()))?;
        let mut place = Place::parse(self.ask.url).map_err(|bad| unknown(bad.to_string()))?;
        let mut followed = 0;
        loop {
            let answer = self.get(&place).await?;
            let rtt_us = u32::try_from(began.elapsed().as_micros()).unwrap_or(u32::MAX);
            let status = answer.head.status().as_u16();
            let location = answer.head.headers().get(LOCATION).map(|to| to.as_bytes());
            // Where none are followed, a status that was asked for is good, be it a redirect's.
            let asked_for = self.ask.redirects == 0 && !self.ask.status.trim().is_empty();
            match location {
                Some(to) if matches!(status, 301 | 302 | 303 | 307 | 308) && !asked_for => {
                    let shown = String::from_utf8_lossy(to);
                    if followed == self.ask.redirects {
                        return Err(self.failed(&place, &too_many(status, followed, &shown)));
                    }
                    place = place.join(to).map_err(|bad| {
                        self.failed(&place, &format!("{status} redirects to '{shown}': {bad}"))
                    })?;
                    followed += 1;
                }
                _ => return self.judge(&place, answer, &good, rtt_us).await,
            }
        }
    }

    async fn judge(
        &self,
        place: &Place,
        answer: Answer,
        good: &StatusSet,
        rtt_us: u32,
    ) -> Result<Measured, Failed> {
        let status = answer.head.status();
        let problem = if !good.contains(status.as_u16()) {
            let name = status.canonical_reason().map(|name| format!(" {name}")).unwrap_or_default();
            Some(format!("answered {}{name}, which is not in {good}", status.as_u16()))
        } else if self.ask.keyword.is_empty() {
            None
        } else {
            self.step(Step::Body);
            match search(answer.head.into_body(), self.ask.keyword.as_bytes()).await {
                Found::Yes => None,
                Found::No => Some(format!("the body does not hold '{}'", self.ask.keyword)),
                Found::NotInFirst => {
                    Some(format!("the first MiB of the body does not hold '{}'", self.ask.keyword))
                }
                Found::Broken(why) => Some(format!("the body broke off: {why}")),
            }
        };
        let problem = problem.map(|problem| self.failed(place, &problem));
        Ok(Measured {
            outcome: if problem.is_some() { Outcome::Fail } else { Outcome::Ok },
            rtt_us: Some(rtt_us),
            loss_permille: None,
            message: super::sentence(&problem.map_or_else(
                || format!("GET {}: {} after {} ms", place.uri, status.as_u16(), rtt_us / 1000),
                |failed| failed.message,
            )),
        })
    }

    /// One request, until the head of its answer is there.
    async fn get(&self, place: &Place) -> Result<Answer, Failed> {
        self.step(Step::Connect);
        let addresses = self.resolver.resolve(&place.host, self.limit).await?;
        let stream = tcp::connect(&addresses, place.port, self.limit).await?.stream;
        tcp::drop_at_once(&stream);
        if !place.tls {
            return self.ask(place, stream).await;
        }
        let config = if self.ask.insecure { self.tls.insecure() } else { self.tls.verified().await? };
        let name = ServerName::try_from(place.host.trim_end_matches('.').to_owned())
            .map_err(|_| self.failed(place, "the host's name cannot stand in a certificate"))?;
        self.step(Step::Handshake);
        let secured = TlsConnector::from(config).connect(name, stream).await;
        let stream = secured.map_err(|error| self.failed(place, &tls::why(&error, &place.host)))?;
        self.ask(place, stream).await
    }

    async fn ask<S>(&self, place: &Place, stream: S) -> Result<Answer, Failed>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        self.step(Step::Head);
        let path = place.uri.path_and_query().map_or("/", |path| path.as_str());
        let host = place.uri.authority().map_or(place.host.as_str(), |authority| authority.as_str());
        let request = Request::get(path)
            .header(HOST, host)
            .header(USER_AGENT, AGENT)
            .header(ACCEPT, "*/*")
            .header(CONNECTION, "close")
            .body(Empty::<Bytes>::new())
            .map_err(|error| Failed::unknown(format!("GET {}: {error}", place.uri)))?;
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(MAX_HEAD)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| self.failed(place, &broken(&error)))?;
        let connection = Ends(tokio::spawn(async move { drop(connection.await) }));
        let head = sender.send_request(request).await;
        let head = head.map_err(|error| self.failed(place, &broken(&error)))?;
        Ok(Answer { head, _connection: connection })
    }

    fn step(&self, step: Step) {
        self.step.store(step as u8, Ordering::Relaxed);
    }

    fn failed(&self, place: &Place, why: &str) -> Failed {
        Failed::fail(format!("GET {}: {why}", place.uri))
    }
}

/// An answer's head, and the connection from which its body comes.
struct Answer {
    head: Response<Incoming>,
    _connection: Ends,
}

/// A task that ends with whoever needs it.
struct Ends(tokio::task::JoinHandle<()>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn too_many(status: u16, followed: u32, to: &str) -> String {
    match followed {
        0 => format!("{status} redirects to '{to}', and this check follows none"),
        1 => format!("redirected again after 1 redirect, to '{to}'"),
        _ => format!("redirected again after {followed} redirects, to '{to}' (a loop?)"),
    }
}

enum Found {
    Yes,
    No,
    NotInFirst,
    Broken(String),
}

/// Looks for `keyword` in the body as it comes; no more of it is kept than may hold the beginning of one.
async fn search(mut body: Incoming, keyword: &[u8]) -> Found {
    let mut window: Vec<u8> = Vec::new();
    let mut read = 0;
    while let Some(frame) = body.frame().await {
        let chunk = match frame.map(hyper::body::Frame::into_data) {
            Ok(Ok(chunk)) => chunk,
            Ok(Err(_trailers)) => continue,
            Err(error) => return Found::Broken(broken(&error)),
        };
        let more = &chunk[..chunk.len().min(MAX_BODY - read)];
        window.extend_from_slice(more);
        if window.windows(keyword.len()).any(|part| part == keyword) {
            return Found::Yes;
        }
        read += more.len();
        if read == MAX_BODY {
            return Found::NotInFirst;
        }
        window.drain(..window.len().saturating_sub(keyword.len() - 1));
    }
    Found::No
}

/// What went wrong between two ends that were connected.
fn broken(error: &hyper::Error) -> String {
    if error.is_parse() {
        // hyper tells this kind of error in its words alone.
        let large = error.to_string().contains("too large");
        return if large { "the head of the answer is too large" } else { "the answer is not HTTP" }
            .to_owned();
    }
    if error.is_incomplete_message() {
        return "the other side closed the connection before the answer was whole".to_owned();
    }
    match error.source().and_then(|source| source.downcast_ref::<io::Error>()) {
        Some(source) if source.kind() == io::ErrorKind::UnexpectedEof => {
            "the other side closed the connection before the answer was whole".to_owned()
        }
        Some(source) => super::plain(source),
        None => error.to_string(),
    }
}
