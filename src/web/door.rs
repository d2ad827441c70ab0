//! The door: who asks, whether that is allowed, and what every answer says to browsers.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::LazyLock;

use axum::body::{Body, HttpBody as _};
use axum::extract::RawPathParams;
use axum::extract::rejection::RawPathParamsRejection;
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, COOKIE, ETAG, HOST, IF_NONE_MATCH, ORIGIN, USER_AGENT,
    WWW_AUTHENTICATE,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use axum::response::Response;
use serde_json::json;
use tokio::sync::Semaphore;

use crate::domain::event::Kind;
use crate::domain::user::{Act, Right, Subject, User};
use crate::secret;
use crate::store::events::Actor;
use crate::store::{sessions, users};
use crate::web::answer::{Answer, Trouble};
use crate::web::asked::{Asked, Who};
use crate::web::body::{Peer, Senders, read_body};
use crate::web::routes::{Need, Route};
use crate::web::{Web, layout};

/// The largest body.
const MAX_BODY: usize = 1024 * 1024;
/// The most fields of a form, or of a query.
const MAX_FIELDS: usize = 1_000;
/// How many requests are worked on at once; more wait.
static PLACES: Semaphore = Semaphore::const_new(48);
/// How many may wait: those beyond are told to come later.
static WAITING: Semaphore = Semaphore::const_new(1_000);
/// How many may be sending a body, which may be slow: so many at once, and from one address.
static SENDING: Senders = Senders::new(1_000, 100);
/// A cookie of ours. With `__Host-` a browser takes it by TLS alone, and sends it to this host alone.
#[derive(Clone, Copy)]
pub struct Cookie {
    plain: &'static str,
    tls: &'static str,
    seconds: u32,
}

/// The one of a session.
pub const SESSION: Cookie = Cookie { plain: "lineman", tls: "__Host-lineman", seconds: 14 * 86_400 };
/// The one of a browser in which somebody signed in before.
pub const KNOWN: Cookie =
    Cookie { plain: "lineman-known", tls: "__Host-lineman-known", seconds: 366 * 86_400 };
/// The one in which a browser remembers that single keys are off.
const KEYS: Cookie = Cookie { plain: "lineman-keys", tls: "__Host-lineman-keys", seconds: 366 * 86_400 };
/// The field of a form that proves that our page sent it.
const FORM: &str = "_form";

/// What every answer tells browsers: nothing from elsewhere, no scripts but our own, in nobody's frame.
const HEADERS: &[(&str, &str)] = &[
    (
        "content-security-policy",
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; \
         base-uri 'none'; frame-ancestors 'none'",
    ),
    ("referrer-policy", "same-origin"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
];

/// The words of a path, where they are text.
pub type Words = Result<RawPathParams, RawPathParamsRejection>;

/// A request comes: its words are read, whoever asks is found, and, where it may, its handler answers.
pub async fn open(web: Web, route: Route, words: Words, request: Request<Body>) -> Response {
    let words = words
        .map_err(|wrong| format!("the path: {wrong}"))
        .map(|words| words.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect());
    open_at(web, route, words, request).await
}

/// The same, where the words of the path are known.
pub async fn open_at(
    web: Web,
    route: Route,
    words: Result<Vec<(String, String)>, String>,
    request: Request<Body>,
) -> Response {
    let busy =
        || finished(&web, Answer::of("text/plain", "too busy").status(StatusCode::SERVICE_UNAVAILABLE));
    let peer = peer(&request);
    // What has no body is not waited for.
    let sending = if request.body().is_end_stream() { None } else { Some(SENDING.one(peer)) };
    if matches!(sending, Some(None)) {
        return busy();
    }
    let is_api = route.path.starts_with("/api/");
    let read = match words {
        Ok(words) => read(web.clone(), words, peer.0, request).await,
        Err(wrong) => Err((StatusCode::BAD_REQUEST, wrong)),
    };
    drop(sending);
    let asked = match read {
        Ok(asked) => asked,
        Err((status, why)) => {
            let answer = if is_api {
                problem(status, &why)
            } else {
                Answer::of("text/plain; charset=utf-8", why).status(status)
            };
            return finished(&web, answer);
        }
    };
    let Ok(waiting) = WAITING.try_acquire() else { return busy() };
    let place = PLACES.acquire().await;
    drop(waiting);
    let done = tokio::task::spawn_blocking(move || {
        let mut asked = asked;
        let answer = enter(&mut asked, &route);
        answer.unwrap_or_else(|trouble| refusal(&asked, &trouble, is_api))
    });
    let answer = done.await.unwrap_or_else(|error| {
        tracing::error!(%error, path = route.path, "a page failed");
        Answer::of("text/plain", "it failed").status(StatusCode::INTERNAL_SERVER_ERROR)
    });
    drop(place);
    finished(&web, answer)
}

/// Somebody asks in a way that the path does not take. Which ones it takes, the router says in `Allow`.
pub async fn no_such_way(web: Web, request: Request<Body>) -> Response {
    let why = format!("{} does not take {}", request.uri().path(), request.method());
    let answer = if request.uri().path().starts_with("/api/") {
        problem(StatusCode::METHOD_NOT_ALLOWED, &why)
    } else {
        Answer::of("text/plain; charset=utf-8", why).status(StatusCode::METHOD_NOT_ALLOWED)
    };
    finished(&web, answer)
}

/// With what every answer says.
fn finished(web: &Web, answer: Answer) -> Response {
    let mut response = answer.into_response();
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.entry(HeaderName::from_static(name)).or_insert(HeaderValue::from_static(value));
    }
    if web.is_encrypted {
        let year = HeaderValue::from_static("max-age=31536000");
        headers.insert(HeaderName::from_static("strict-transport-security"), year);
    }
    response
}

fn peer(request: &Request<Body>) -> Peer {
    request.extensions().get::<Peer>().copied().unwrap_or(Peer(IpAddr::V4(Ipv4Addr::LOCALHOST)))
}

async fn read(
    web: Web,
    words: Vec<(String, String)>,
    peer: IpAddr,
    request: Request<Body>,
) -> Result<Asked, (StatusCode, String)> {
    let (method, headers) = (request.method().clone(), request.headers().clone());
    let path = request.uri().path().to_owned();
    let query = fields(request.uri().query().unwrap_or_default().as_bytes())
        .map_err(|e| (StatusCode::BAD_REQUEST, format!("the query: {e}")))?;
    let body = read_body(request, MAX_BODY).await.map_err(|e| (e.status(), e.to_string()))?;
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_form =
        kind.split(';').next().is_some_and(|kind| kind.trim() == "application/x-www-form-urlencoded");
    let (form, body) = if is_form {
        (fields(&body).map_err(|e| (StatusCode::BAD_REQUEST, format!("the form: {e}")))?, Vec::new())
    } else {
        (Vec::new(), body)
    };
    Ok(Asked { web, method, path, words, query, form, body, headers, peer, who: Who::Nobody })
}

/// The fields of a form or a query, in their order.
fn fields(text: &[u8]) -> Result<Vec<(String, String)>, String> {
    let all: Vec<(String, String)> = form_urlencoded::parse(text)
        .map(|(key, value)| (key.into_owned(), value.into_owned()))
        .take(MAX_FIELDS + 1)
        .collect();
    if all.len() > MAX_FIELDS { Err(format!("it has more than {MAX_FIELDS} fields")) } else { Ok(all) }
}

fn enter(asked: &mut Asked, route: &Route) -> Result<Answer, Trouble> {
    asked.who = who(asked)?;
    let changes = asked.method != Method::GET && asked.method != Method::HEAD;
    if changes {
        is_ours(asked)?;
    }
    match route.need {
        Need::Nothing => {}
        Need::OfItsVerb => {
            asked.user()?;
        }
        Need::Of(right) => {
            let user = asked.user()?;
            // What lets a person in is changed by that person alone.
            if let (Who::Program(_), true) = (&asked.who, right == Right::change(Subject::Own)) {
                refused(asked, user, "change how its owner signs in");
                return Err(Trouble::NotAllowed(
                    "a token does not change how its owner signs in: that is done at the page".to_owned(),
                ));
            }
            if !asked.who.may(right) {
                let act = if right.act == Act::See { "see" } else { "change" };
                refused(asked, user, &format!("{act} {}", right.subject));
                return Err(Trouble::NotAllowed(format!(
                    "as {} you may not {act} {}: ask an administrator",
                    user.role, right.subject
                )));
            }
        }
    }
    let answer = (route.handler)(asked);
    // The right of a verb is asked where that is run; the API has told of it itself.
    if let (Err(trouble), Some(user)) = (&answer, asked.who.user())
        && trouble.status() == StatusCode::FORBIDDEN
    {
        refused(asked, user, "call a verb");
    }
    answer
}

/// Somebody was refused what it may not do: that is written down.
pub fn refused(asked: &Asked, user: &User, what: &str) {
    let body = json!({"user": user.name, "what": what, "path": asked.path, "address": asked.peer});
    let by = Actor::Person(user.name.clone());
    let told = asked.web.app.store.write(move |tx| users::told(tx, &by, Kind::RightRefused, &body));
    if let Err(error) = told {
        tracing::error!(%error, "a refusal could not be written down");
    }
}

/// Who asks: a program by its token, a person by its cookie.
fn who(asked: &Asked) -> Result<Who, Trouble> {
    let store = &asked.web.app.store;
    if let Some(token) = bearer(&asked.headers) {
        let hash = secret::hash(token);
        let Some((id, user, seldom)) = store.read(|tx| sessions::by_token(tx, &hash))? else {
            return Err(Trouble::SignIn);
        };
        if seldom {
            store.write(move |tx| sessions::token_seen(tx, id))?;
        }
        return Ok(Who::Program(user));
    }
    let Some(cookie) = SESSION.of(&asked.web, &asked.headers) else { return Ok(Who::Nobody) };
    let hash = secret::hash(&cookie);
    let Some((session, account)) = store.read(|tx| sessions::by_cookie(tx, &hash))? else {
        return Ok(Who::Nobody);
    };
    if sessions::is_seen_long_ago(&session, asked.web.app.clock.now()) {
        let id = session.id;
        store.write(move |tx| sessions::seen(tx, id))?;
    }
    Ok(Who::Person(account.user, session))
}

/// The token that a program shows.
#[must_use]
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

impl Cookie {
    fn name(self, web: &Web) -> &'static str {
        if web.is_encrypted { self.tls } else { self.plain }
    }

    /// What the browser has in it.
    #[must_use]
    pub fn of(self, web: &Web, headers: &HeaderMap) -> Option<String> {
        let name = self.name(web);
        let all = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let pairs = all.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.filter(|(key, _)| *key == name).map(|(_, value)| value.to_owned()).next()
    }

    /// The header that puts it into the browser, or takes it away where there is no secret.
    #[must_use]
    pub fn set(self, web: &Web, secret: Option<&str>) -> String {
        let secure = if web.is_encrypted { "; Secure" } else { "" };
        let (value, age) = secret.map_or(("", 0), |secret| (secret, self.seconds));
        format!("{}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={age}{secure}", self.name(web))
    }
}

/// Whether single keys lead through the page, in this browser: they do where nobody turned them off.
#[must_use]
pub fn has_keys(asked: &Asked) -> bool {
    KEYS.of(&asked.web, &asked.headers).as_deref() != Some("off")
}

/// The cookie that remembers that single keys are off; it goes when they are on.
#[must_use]
pub fn set_keys(web: &Web, on: bool) -> String {
    KEYS.set(web, (!on).then_some("off"))
}

/// The hash of the session's cookie.
#[must_use]
pub fn cookie_hash(asked: &Asked) -> Option<[u8; 32]> {
    SESSION.of(&asked.web, &asked.headers).map(|text| secret::hash(&text))
}

/// What the browser says it is.
#[must_use]
pub fn browser(asked: &Asked) -> &str {
    asked.headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Whether our own page, or a program, asks for a change: not somebody else's page in a person's browser.
fn is_ours(asked: &Asked) -> Result<(), Trouble> {
    if let Who::Program(_) = asked.who {
        return Ok(());
    }
    let forged = || {
        Trouble::NotAllowed(
            "this did not come from lineman's own page: open it there, and send it again".into(),
        )
    };
    if asked.header("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none") {
        return Err(forged());
    }
    let host = asked.headers.get(HOST).and_then(|value| value.to_str().ok());
    if let Some(origin) = asked.headers.get(ORIGIN) {
        let origin = origin.to_str().unwrap_or_default();
        if origin.split_once("://").map(|(_, rest)| rest) != host {
            return Err(forged());
        }
    }
    if let Who::Person(_, session) = &asked.who {
        let token = asked.said(FORM).or_else(|| asked.header("x-form")).unwrap_or_default();
        if !secret::same(token, &session.form) {
            return Err(forged());
        }
    }
    Ok(())
}

fn refusal(asked: &Asked, trouble: &Trouble, is_api: bool) -> Answer {
    if let Trouble::Failed(error) = trouble {
        tracing::error!(%error, path = %asked.path, "a request failed");
    }
    let mut answer = if is_api {
        problem(trouble.status(), &trouble.sentence())
    } else if matches!(trouble, Trouble::SignIn) && asked.path == "/metrics" {
        return problem(
            StatusCode::UNAUTHORIZED,
            "send 'Authorization: Bearer' with a token: lineman token add",
        )
        .with(WWW_AUTHENTICATE, "Bearer");
    } else if matches!(trouble, Trouble::SignIn) && asked.method == Method::GET {
        let to: String = form_urlencoded::byte_serialize(asked.whole_path().as_bytes()).collect();
        return Answer::see(&format!("/sign-in?to={to}"));
    } else {
        layout::trouble(asked, trouble)
    };
    answer.headers.extend(trouble.retry_after());
    if is_api && matches!(trouble, Trouble::SignIn) {
        answer = answer.with(WWW_AUTHENTICATE, "Bearer");
    }
    answer
}

/// A problem, as RFC 9457 writes it.
#[must_use]
pub fn problem(status: StatusCode, why: &str) -> Answer {
    let body = json!({
        "type": "about:blank",
        "title": status.canonical_reason().unwrap_or("Error"),
        "status": status.as_u16(),
        "detail": why,
    });
    Answer::of("application/problem+json", body.to_string()).with(CACHE_CONTROL, "no-store").status(status)
}

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str =
    concat!(include_str!("script.js"), include_str!("script_search.js"), include_str!("script_keys.js"));
const ICON: &str = include_str!("icon.svg");

/// What stands behind `?` in links to the style and the script: another one for each version of them.
pub static VERSION: LazyLock<String> = LazyLock::new(|| {
    let hash = secret::hash(&[STYLE, SCRIPT, ICON].concat());
    hash[..6].iter().map(|byte| format!("{byte:02x}")).collect()
});

fn fixed(asked: &Asked, kind: &str, text: &'static str) -> Answer {
    let tag = format!("\"{}\"", *VERSION);
    if asked.headers.get(IF_NONE_MATCH).is_some_and(|value| value.as_bytes() == tag.as_bytes()) {
        return Answer::of(kind, "").status(StatusCode::NOT_MODIFIED).with(ETAG, tag);
    }
    let long = if asked.query.is_empty() { "no-cache" } else { "public, max-age=31536000, immutable" };
    Answer::of(kind, text).with(CACHE_CONTROL, long).with(ETAG, tag)
}

/// The style.
///
/// # Errors
/// None.
pub fn style(asked: &Asked) -> Result<Answer, Trouble> {
    Ok(fixed(asked, "text/css; charset=utf-8", STYLE))
}

/// The script.
///
/// # Errors
/// None.
pub fn script(asked: &Asked) -> Result<Answer, Trouble> {
    Ok(fixed(asked, "text/javascript; charset=utf-8", SCRIPT))
}

/// The icon.
///
/// # Errors
/// None.
pub fn icon(asked: &Asked) -> Result<Answer, Trouble> {
    Ok(fixed(asked, "image/svg+xml", ICON))
}
