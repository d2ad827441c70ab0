//! One HTTP call: what is asked, what the answer means, and when to try again. No redirect is followed: what is asked
//! carries secrets, and they are for the one who was named. When its time is up the connection is dropped, which a
//! blocking client could not do while the other end drips.

use std::pin::pin;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use schedules::{Millis, Time};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout_at};

use super::{Again, Limits, MAX_AFTER, Trouble, chain, dial, text};

/// The most that is read of an answer, in bytes.
const MAX_ANSWER: usize = 64 * 1024;
/// The longest head of an answer, in bytes.
const MAX_HEAD: usize = 64 * 1024;
/// The most that is sent, in bytes.
const MAX_BODY: usize = 1024 * 1024;
/// The most of an answer that is quoted, in bytes.
const MAX_QUOTE: usize = 300;

/// What is asked.
#[derive(Debug)]
pub struct Call {
    pub method: Method,
    pub url: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    /// The certificates that are trusted instead of the system's, in PEM.
    pub ca: Option<String>,
}

impl Call {
    /// A POST of JSON.
    pub fn post(url: impl Into<String>, body: &Value) -> Call {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Call { method: Method::POST, url: url.into(), headers, body: body.to_string().into_bytes(), ca: None }
    }

    /// The same, with one header more; a value that is secret is marked so.
    pub fn with(mut self, name: HeaderName, value: &str) -> Result<Call, Trouble> {
        let mut value = HeaderValue::from_str(value)
            .map_err(|_| Trouble::never(format!("the header {name} cannot be written")))?;
        value.set_sensitive(true);
        self.headers.insert(name, value);
        Ok(self)
    }
}

/// What came back.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

/// Makes the call: what was said to it where it was taken.
pub async fn make(call: Result<Call, Trouble>, limits: Limits, now: Time) -> Result<String, Trouble> {
    let call = call?;
    let uri: Uri = call.url.parse().map_err(|_| Trouble::never("the URL cannot be called"))?;
    let host = uri.host().unwrap_or_default().to_owned();
    let until = Instant::now() + limits.whole;
    let answer = match timeout_at(until, ask(call, &uri, limits, until)).await {
        Ok(answer) => answer?,
        Err(_) => {
            let secs = limits.whole.as_secs_f32();
            return Err(Trouble::later(format!("{host} did not answer within {secs} s")));
        }
    };
    judge(&host, &answer, now)
}

async fn ask(call: Call, uri: &Uri, limits: Limits, until: Instant) -> Result<Answer, Trouble> {
    if call.body.len() > MAX_BODY {
        return Err(Trouble::never(format!(
            "the message is {} bytes, {MAX_BODY} are the most",
            call.body.len()
        )));
    }
    let host = uri.host().unwrap_or_default();
    let encrypted = uri.scheme_str() == Some("https");
    let port = uri.port_u16().unwrap_or(if encrypted { 443 } else { 80 });
    let request = request(call.method, uri, call.headers, call.body)?;
    let stream = dial::tcp(host, port, limits.connect).await?;
    if encrypted {
        let stream = dial::tls(stream, host, call.ca.as_deref()).await?;
        exchange(stream, host, request, until).await
    } else {
        exchange(stream, host, request, until).await
    }
}

fn request(
    method: Method,
    uri: &Uri,
    headers: HeaderMap,
    body: Vec<u8>,
) -> Result<Request<Full<Bytes>>, Trouble> {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let place = uri.authority().map_or("", |authority| authority.as_str()).rsplit('@').next();
    let mut request = Request::builder().method(method).uri(path);
    if let Some(all) = request.headers_mut() {
        all.extend(headers);
    }
    request
        .header(header::HOST, place.unwrap_or_default())
        .header(header::USER_AGENT, concat!("lineman/", env!("CARGO_PKG_VERSION")))
        .header(header::CONNECTION, "close")
        .body(Full::new(Bytes::from(body)))
        .map_err(|e| Trouble::never("the request cannot be made").said(e))
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    host: &str,
    request: Request<Full<Bytes>>,
    until: Instant,
) -> Result<Answer, Trouble> {
    let broken =
        |error: hyper::Error| Trouble::later(format!("{host} gave no whole answer")).said(chain(&error));
    let mut builder = http1::Builder::new();
    let made = builder.max_buf_size(MAX_HEAD).handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = made.map_err(broken)?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(broken)?;
        let (head, body) = response.into_parts();
        Ok(Answer { status: head.status, headers: head.headers, body: read(body, until).await })
    };
    let mut answer = pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        // It has ended; what came before that is still to be read.
        _ = connection => answer.await,
    }
}

/// The beginning of an answer. The status came before it and decides, so it does not matter where this ends.
async fn read(mut body: Incoming, until: Instant) -> Vec<u8> {
    // So much earlier than all of it must end, that the answer is not lost for it.
    let until = until - (until.saturating_duration_since(Instant::now()) / 4);
    let mut start = Vec::new();
    while start.len() < MAX_ANSWER {
        let Ok(Some(Ok(frame))) = timeout_at(until, body.frame()).await else { break };
        if let Ok(more) = frame.into_data() {
            let room = MAX_ANSWER - start.len();
            start.extend_from_slice(&more[..more.len().min(room)]);
        }
    }
    start
}

/// What an answer means.
fn judge(host: &str, answer: &Answer, now: Time) -> Result<String, Trouble> {
    let Answer { status, body, .. } = answer;
    let quote = String::from_utf8_lossy(body);
    let quote = text::one_line(text::cut_bytes(&quote, MAX_QUOTE));
    if status.is_success() {
        return Ok(format!("{status} {quote}"));
    }
    let again = match status.as_u16() {
        408 | 425 | 429 | 300..=399 | 500.. => match wait(answer, now) {
            Some(span) => Again::After(span.clamp(Millis::ZERO, MAX_AFTER)),
            None => Again::Later,
        },
        _ => Again::Never,
    };
    let what = if status.is_redirection() {
        format!("{host} answers {status}: it wants to be called elsewhere, which is not done")
    } else {
        format!("{host} answers {status}")
    };
    Err(Trouble::new(again, what).said(quote))
}

/// How long the other end wants to be left alone: `Retry-After` in seconds or as a date (RFC 9110, 10.2.3), or what
/// Discord, Telegram and Matrix write into their answers.
fn wait(answer: &Answer, now: Time) -> Option<Millis> {
    if answer.status.is_redirection() {
        return None;
    }
    let of = |name: HeaderName| answer.headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    if let Some(text) = of(header::RETRY_AFTER) {
        if let Ok(secs) = text.parse::<u32>() {
            return Some(Millis::from_secs(secs.into()));
        }
        if let Ok(secs) = text.parse::<f64>() {
            return Some(span(secs));
        }
        let at = date(text)?;
        // By the clock of the other end, where it shows it.
        return Some(at.since(of(header::DATE).and_then(date).unwrap_or(now)));
    }
    let told: Value = serde_json::from_slice(&answer.body).ok()?;
    let secs =
        told.get("retry_after").or_else(|| told.pointer("/parameters/retry_after")).and_then(Value::as_f64);
    let ms = told.get("retry_after_ms").and_then(Value::as_i64).map(Millis);
    secs.map(span).or(ms)
}

fn span(secs: f64) -> Millis {
    Millis((secs.clamp(0.0, 86_400.0) * 1000.0).ceil() as i64)
}

fn date(text: &str) -> Option<Time> {
    let at = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(Time(at.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, headers: &[(HeaderName, &str)], body: &str) -> Answer {
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        Answer { status: status.try_into().unwrap(), headers, body: body.into() }
    }

    #[test]
    #[rustfmt::skip]
    fn an_answer_says_whether_and_when_to_try_again() {
        use Again::{After, Later, Never};
        let at = Time(784_111_777_000); // Sun, 06 Nov 1994 08:49:37 GMT
        let late = [(header::RETRY_AFTER, "Sun, 06 Nov 1994 08:50:37 GMT")];
        let dated = [(header::RETRY_AFTER, "Sun, 06 Nov 1994 08:50:37 GMT"), (header::DATE, "Sun, 06 Nov 1994 08:50:30 GMT")];
        let secs = |text| [(header::RETRY_AFTER, text)];
        for (answer, again) in [
            (answer(500, &[], ""), Later),
            (answer(502, &[], "<html>"), Later),
            (answer(503, &secs("7"), ""), After(Millis(7_000))),
            (answer(503, &late, ""), After(Millis(60_000))),
            (answer(503, &dated, ""), After(Millis(7_000))),
            (answer(429, &secs("0"), ""), After(Millis(0))),
            (answer(429, &secs("0.5"), ""), After(Millis(500))),
            (answer(429, &secs("86400"), ""), After(MAX_AFTER)),
            (answer(429, &secs("99999999999999999999"), ""), After(MAX_AFTER)),
            (answer(429, &secs("NaN"), ""), After(Millis(0))),
            (answer(429, &secs("-5"), ""), After(Millis(0))),
            (answer(429, &secs("soon"), ""), Later),
            (answer(429, &[], ""), Later),
            (answer(429, &[], r#"{"retry_after":1.25}"#), After(Millis(1_250))),
            (answer(429, &[], r#"{"ok":false,"parameters":{"retry_after":3}}"#), After(Millis(3_000))),
            (answer(429, &[], r#"{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":2000}"#), After(Millis(2_000))),
            (answer(429, &[], r#"{"retry_after_ms":-9223372036854775808}"#), After(Millis(0))),
            (answer(408, &[], ""), Later),
            (answer(425, &[], ""), Later),
            (answer(302, &[(header::LOCATION, "http://elsewhere.example/")], ""), Later),
            (answer(400, &[], "no"), Never),
            (answer(401, &secs("7"), ""), Never),
            (answer(404, &[], ""), Never),
            (answer(410, &[], ""), Never),
        ] {
            assert_eq!(judge("h", &answer, at).unwrap_err().again, again, "{answer:?}");
        }
        for status in [200, 201, 202, 204] {
            assert!(judge("h", &answer(status, &[], "ok"), at).is_ok(), "{status}");
        }
    }
}
