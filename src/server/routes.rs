//! Every route that agents and plain check-ins call, on one page.

use std::net::IpAddr;
use std::sync::Arc;

use agent::report::{CheckIn, Join, Joined, MAX_BODY, Refusal, Reply};
use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::extract::{Path, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use schedules::{Millis, Time};
use serde::Serialize;
use serde_json::json;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::app::App;
use crate::secret;
use crate::server::ingest::{self, Credential, Refused};
use crate::server::ping::{self, Signal};
use crate::server::returning::Returning;
use crate::server::tick::Pulse;
use crate::store::agents::NoEntry;
use crate::store::events::Actor;
use crate::store::{self, agents, devices};
use crate::web::body::{Peer, read_body};

/// A loop that has not gone round for this long is stuck.
const STUCK_AFTER: Millis = Millis::from_secs(30);

/// What the handlers share.
#[derive(Clone)]
pub struct Shared {
    /// The store, the clock, the settings.
    pub app: App,
    /// How the one loop is.
    pub pulse: Arc<Pulse>,
    /// Which agents have a backlog.
    pub returning: Arc<Returning>,
}

/// All routes.
pub fn routes(shared: Shared) -> Router {
    Router::new()
        .route("/api/agent/join", post(join))
        .route("/api/agent/check-in", post(check_in))
        .route("/ping/{key}", any(ping_plain))
        .route("/ping/{key}/{signal}", any(ping_signal))
        .route("/healthz", get(health))
        .with_state(shared)
}

/// An answer that says what is wrong.
pub struct Failed(StatusCode, Refusal);

impl Failed {
    fn new(status: StatusCode, error: impl Into<String>) -> Failed {
        Failed(status, Refusal { error: error.into(), seq: None })
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let mut response = json_response(self.0, &self.1);
        if self.0 == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
        }
        response
    }
}

impl From<store::Error> for Failed {
    fn from(error: store::Error) -> Failed {
        tracing::error!(%error, "a call failed");
        Failed::new(StatusCode::SERVICE_UNAVAILABLE, "the database did not take it; try again")
    }
}

fn json_response(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => (status, [(CONTENT_TYPE, "application/json")], bytes).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// How many kilobytes of bodies are taken from whoever calls, before it is known who does.
const STRANGERS: usize = 64 * 1024;
/// The largest body that is: an ordinary check-in has a few kilobytes.
const SMALL: usize = 256 * 1024;
static ROOM: Semaphore = Semaphore::const_new(STRANGERS);

/// Room for a body, until this goes out of sight.
struct Room {
    _permit: SemaphorePermit<'static>,
}

impl Room {
    /// Room for this request's body, where it is small and there is some.
    fn of(request: &Request<Body>) -> Option<Room> {
        let length = request.body().size_hint().exact().and_then(|bytes| usize::try_from(bytes).ok());
        Room::so_large(length.filter(|bytes| *bytes <= SMALL)?)
    }

    /// The same for a plain call, which may say how much it has only as it says it.
    fn for_a_ping(request: &Request<Body>) -> Option<Room> {
        let most = request.body().size_hint().upper().unwrap_or(1024 * 1024);
        Room::so_large(usize::try_from(most).unwrap_or(usize::MAX).min(1024 * 1024))
    }

    fn so_large(bytes: usize) -> Option<Room> {
        let kilobytes = u32::try_from(bytes / 1024 + 1).ok()?;
        ROOM.try_acquire_many(kilobytes).ok().map(|permit| Room { _permit: permit })
    }
}

fn full() -> Failed {
    Failed::new(StatusCode::SERVICE_UNAVAILABLE, "too much is being said at once; try again")
}

async fn check_in(State(shared): State<Shared>, request: Request<Body>) -> Result<Response, Failed> {
    let Some(secret) = bearer(request.headers()) else {
        return Err(Failed::new(StatusCode::UNAUTHORIZED, "no secret: send 'Authorization: Bearer …'"));
    };
    let hash = secret::hash(secret);
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0);
    let Some(room) = Room::of(&request) else { return large_check_in(shared, request, hash).await };
    let bytes = read_body(request, MAX_BODY).await.map_err(|e| Failed::new(e.status(), e.to_string()))?;
    drop(room);
    taken(shared, &bytes, hash, peer).await
}

/// A check-in with much to tell: who calls is looked up before it is heard out, since anybody may call.
async fn large_check_in(shared: Shared, request: Request<Body>, hash: [u8; 32]) -> Result<Response, Failed> {
    let store = shared.app.store.clone();
    let known = tokio::task::spawn_blocking(move || store.read(|tx| agents::is_known(tx, &hash))).await;
    let known = known.map_err(|_| Failed::new(StatusCode::SERVICE_UNAVAILABLE, "it failed; try again"))??;
    if !known {
        return Err(nobody());
    }
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0);
    let bytes = read_body(request, MAX_BODY).await.map_err(|e| Failed::new(e.status(), e.to_string()))?;
    taken(shared, &bytes, hash, peer).await
}

fn nobody() -> Failed {
    Failed::new(
        StatusCode::UNAUTHORIZED,
        "no device has this secret: it was removed, or another agent joined in its place; join again",
    )
}

async fn taken(
    shared: Shared,
    bytes: &[u8],
    hash: [u8; 32],
    peer: Option<IpAddr>,
) -> Result<Response, Failed> {
    let who = Credential::Secret(hash);
    let mut call: CheckIn = serde_json::from_slice(bytes)
        .map_err(|e| Failed::new(StatusCode::BAD_REQUEST, format!("the body is no check-in: {e}")))?;
    let known = shared.app.known();
    let turn = shared.returning.turn(&mut call, known.every);
    let waiting = call.waiting;
    let taken = shared.app.store.submit(move |tx| ingest::check_in(tx, &known, who, &call, peer)).await?;
    drop(turn);
    match taken {
        Ok(reply) => {
            let next_in_ms = match waiting {
                0 => shared.returning.done(&hash),
                _ => shared.returning.pace(&hash, shared.app.clock.mono(), shared.app.store.lag().into()),
            };
            Ok(json_response(StatusCode::OK, &Reply { next_in_ms, ..reply }))
        }
        Err(Refused::Unknown) => Err(nobody()),
        Err(Refused::Bad(error, seq)) => Err(Failed(StatusCode::BAD_REQUEST, Refusal { error, seq })),
    }
}

async fn join(State(shared): State<Shared>, request: Request<Body>) -> Result<Response, Failed> {
    let _room = Room::of(&request).ok_or_else(full)?;
    let bytes = read_body(request, 256 * 1024).await.map_err(|e| Failed::new(e.status(), e.to_string()))?;
    let call: Join = serde_json::from_slice(&bytes)
        .map_err(|e| Failed::new(StatusCode::BAD_REQUEST, format!("the body is no call to join: {e}")))?;
    let hash = secret::hash(&call.token);
    let secret = secret::new().map_err(|error| {
        tracing::error!(%error, "no randomness");
        Failed::new(StatusCode::SERVICE_UNAVAILABLE, "the server has no randomness for a secret; try again")
    })?;
    let secret_hash = secret::hash(&secret);
    let text = |s: &str| s.chars().filter(|c| !c.is_control()).take(100).collect::<String>();
    let body = json!({"host_name": text(&call.host_name), "version": text(&call.version)});
    let joined = shared
        .app
        .store
        .submit(move |tx| -> store::Result<_> {
            let device = match agents::use_token(tx, &hash)? {
                Ok(device) => device,
                Err(no) => return Ok(Err(no)),
            };
            let device = devices::of(tx, device)?;
            agents::join(tx, device.id, Some(&secret_hash), &body, &Actor::Agent(device.name.clone()))?;
            Ok(Ok(device))
        })
        .await?;
    match joined {
        Ok(device) => {
            tracing::info!(device.id = device.id.0, device.name = %device.name, "agent joined");
            Ok(json_response(StatusCode::OK, &Joined { device: device.id.0, name: device.name, secret }))
        }
        Err(NoEntry::Unknown) => Err(Failed::new(
            StatusCode::UNAUTHORIZED,
            "this token opens nothing: it is mistyped, or a newer one was made for the device",
        )),
        Err(NoEntry::Used) => Err(Failed::new(
            StatusCode::CONFLICT,
            "this token was used already: it is good for one join; make another with 'lineman device edit NAME --join'",
        )),
        Err(NoEntry::Expired) => Err(Failed::new(
            StatusCode::GONE,
            "this token is too old; make another with 'lineman device edit NAME --join'",
        )),
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, secret) = value.split_once(' ')?;
    let secret = secret.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !secret.is_empty() && secret.len() <= 256).then_some(secret)
}

async fn ping_plain(
    shared: State<Shared>,
    Path(key): Path<String>,
    request: Request<Body>,
) -> Result<Response, Failed> {
    take_ping(shared, &key, "", request).await
}

async fn ping_signal(
    shared: State<Shared>,
    Path((key, signal)): Path<(String, String)>,
    request: Request<Body>,
) -> Result<Response, Failed> {
    take_ping(shared, &key, &signal, request).await
}

async fn take_ping(
    State(shared): State<Shared>,
    key: &str,
    signal: &str,
    request: Request<Body>,
) -> Result<Response, Failed> {
    if !["GET", "POST", "HEAD"].contains(&request.method().as_str()) {
        return Err(Failed::new(StatusCode::METHOD_NOT_ALLOWED, "ping with GET, POST or HEAD"));
    }
    let Some(signal) = Signal::named(signal) else {
        return Err(Failed::new(
            StatusCode::BAD_REQUEST,
            "a ping's address ends with its key, /start, /fail, /log, or an exit code from 0 to 255",
        ));
    };
    let _room = Room::for_a_ping(&request).ok_or_else(full)?;
    let body = read_body(request, 1024 * 1024).await.map_err(|e| Failed::new(e.status(), e.to_string()))?;
    let body = String::from_utf8_lossy(&body[..body.len().min(ping::MAX_BODY)]).into_owned();
    let known = shared.app.known();
    let key = key.to_owned();
    if shared.app.store.submit(move |tx| ping::ping(tx, &known, &key, signal, &body)).await? {
        Ok((StatusCode::OK, "OK").into_response())
    } else {
        Err(Failed::new(StatusCode::NOT_FOUND, "no check has this ping key"))
    }
}

#[derive(Serialize)]
struct Health {
    status: &'static str,
    now: Time,
    earliest_deadline: Option<Time>,
    looked_at: Option<Time>,
    writer_lag_ms: u64,
}

async fn health(State(shared): State<Shared>) -> Response {
    let now = shared.app.clock.now();
    let looked_at = shared.pulse.looked_at();
    let lag = shared.app.store.lag();
    let asleep = looked_at.is_some_and(|at| now.since(at) > STUCK_AFTER);
    let stuck = (!shared.app.clock.is_turned() && asleep)
        || lag.as_millis() > u128::from(STUCK_AFTER.0.unsigned_abs());
    let health = Health {
        status: if stuck { "stuck" } else { "ok" },
        now,
        earliest_deadline: shared.pulse.deadline(),
        looked_at,
        writer_lag_ms: u64::try_from(lag.as_millis()).unwrap_or(u64::MAX),
    };
    json_response(if stuck { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }, &health)
}
