//! Connections: taken, encrypted where they must be, served, and at the end let finish.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::http::header::HOST;
use axum::http::{Request, StatusCode, Version};
use axum::response::IntoResponse;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tower_service::Service;

use crate::server::patience::{HEAD, IDLE, Patient, Turns};
use crate::web::body::Peer;

/// The most connections at a time; more wait in the system's queue.
const MOST_CONNECTIONS: usize = 20_000;
/// With fewer an administrator is told: a site of some size has as many agents.
const FEW_CONNECTIONS: usize = 2_000;
/// Files that stay free for all but connections: the database, probes, deliveries.
const OTHER_FILES: u64 = 400;
/// The most bytes of a head; what is longer is refused (431).
const HEAD_BYTES: usize = 64 * 1024;
/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long requests that are under way may take once the server stops.
const LAST_REQUESTS: Duration = Duration::from_secs(5);

/// How connections are served.
#[derive(Clone)]
pub struct Serving {
    /// What answers.
    pub router: Router,
    /// The encryption, where connections are encrypted.
    pub tls: Option<TlsAcceptor>,
    /// Whether a proxy stands before the server, whose `X-Forwarded-For` is believed.
    pub behind_proxy: bool,
}

/// Serves connections until `stop` turns true; then takes no more, and lets the requests that are under way finish.
pub async fn serve(listener: TcpListener, serving: Serving, mut stop: watch::Receiver<bool>) {
    let places = Places::new(most_connections(), serving.behind_proxy);
    let graceful = GracefulShutdown::new();
    loop {
        let Ok(free) = Arc::clone(&places.free).acquire_owned().await else { break };
        let taken = tokio::select! {
            taken = listener.accept() => taken,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        match taken {
            Ok((stream, peer)) => {
                let Some(place) = places.of(peer.ip(), free) else {
                    tracing::debug!(%peer, "this address has all connections that one may have");
                    continue;
                };
                let serving = serving.clone();
                let watcher = graceful.watcher();
                tokio::spawn(async move {
                    connection(stream, peer, serving, watcher).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    if tokio::time::timeout(LAST_REQUESTS, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests did not finish in time");
    }
}

/// As many connections as files may be open: of the soft limit, which many systems set low, the hard one is made.
fn most_connections() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_ok();
    let files = if raised { maximum } else { current };
    let most = files.map_or(MOST_CONNECTIONS, |files| {
        usize::try_from(files.saturating_sub(OTHER_FILES)).unwrap_or(MOST_CONNECTIONS)
    });
    if most < FEW_CONNECTIONS {
        tracing::warn!(most, "few connections at a time: allow this process more open files");
    }
    most.clamp(64, MOST_CONNECTIONS)
}

/// The places of connections. Behind no proxy one address, or one network of IPv6, has half of them at most.
struct Places {
    free: Arc<Semaphore>,
    of_one: usize,
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// A place, until this goes out of sight.
struct Place {
    _free: OwnedSemaphorePermit,
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
    network: IpAddr,
}

impl Places {
    fn new(most: usize, behind_proxy: bool) -> Places {
        let of_one = if behind_proxy { most } else { most / 2 };
        Places { free: Arc::new(Semaphore::new(most)), of_one, taken: Arc::default() }
    }

    fn of(&self, peer: IpAddr, free: OwnedSemaphorePermit) -> Option<Place> {
        let network = Peer(peer).network();
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(network).or_default();
        if *count >= self.of_one {
            return None;
        }
        *count += 1;
        Some(Place { _free: free, taken: Arc::clone(&self.taken), network })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.network);
            }
        }
    }
}

type Watcher = hyper_util::server::graceful::Watcher;

async fn connection(stream: TcpStream, peer: SocketAddr, serving: Serving, watcher: Watcher) {
    drop(stream.set_nodelay(true));
    match serving.tls.clone() {
        None => requests(stream, peer, serving, watcher).await,
        Some(tls) => match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
            Ok(Ok(stream)) => requests(stream, peer, serving, watcher).await,
            Ok(Err(error)) => tracing::debug!(%peer, %error, "no TLS handshake"),
            Err(_) => tracing::debug!(%peer, "the TLS handshake took too long"),
        },
    }
}

async fn requests<S>(stream: S, peer: SocketAddr, serving: Serving, watcher: Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Serving { router, behind_proxy, .. } = serving;
    let turns = Turns::default();
    let stream = Patient::new(stream, turns.clone());
    let service = service_fn(move |mut request: Request<Incoming>| {
        let turn = turns.begin();
        let from = if behind_proxy { forwarded_for(&request) } else { None };
        request.extensions_mut().insert(Peer(from.unwrap_or(peer.ip())));
        let answer = has_its_host(&request).then(|| router.clone().call(request));
        async move {
            let answer = match answer {
                Some(answer) => answer.await,
                None => Ok((StatusCode::BAD_REQUEST, "a request names its host once").into_response()),
            };
            drop(turn);
            answer
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // `Patient` tells the two apart.
        .header_read_timeout(IDLE + HEAD)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%peer, %error, "a connection ended badly");
    }
}

/// Whether a request names its host, and once (RFC 9112, section 3.2): what stands before the server must not read another one.
fn has_its_host(request: &Request<Incoming>) -> bool {
    match request.headers().get_all(HOST).iter().count() {
        0 => request.version() < Version::HTTP_11,
        count => count == 1,
    }
}

/// The last address in `X-Forwarded-For`: the one that the proxy itself saw.
fn forwarded_for(request: &Request<Incoming>) -> Option<IpAddr> {
    let value = request.headers().get_all("x-forwarded-for").iter().next_back()?;
    value.to_str().ok()?.rsplit(',').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::routing::{get, post};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::time::{Instant, sleep};

    use super::*;
    use crate::server::patience::TAKEN;
    use crate::web::body::read_body;

    /// The other end of a connection that is served.
    fn connected() -> (DuplexStream, tokio::task::JoinHandle<()>) {
        let read = |request: Request<Body>| async {
            read_body(request, 1_000_000).await.map(|_| "read").map_err(|e| (e.status(), e.to_string()))
        };
        let router = Router::new()
            .route("/", get(|| async { "well" }))
            .route("/large", get(|| async { "x".repeat(1_000_000) }))
            .route("/body", post(read));
        let (near, far) = duplex(4_096);
        let serving = Serving { router, tls: None, behind_proxy: false };
        let peer = SocketAddr::from(([127, 0, 0, 1], 9));
        let graceful = GracefulShutdown::new();
        let served = async move {
            requests(far, peer, serving, graceful.watcher()).await;
            drop(graceful);
        };
        (near, tokio::spawn(served))
    }

    async fn asks(stream: &mut DuplexStream) -> String {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut told = vec![0; 4_096];
        let many = stream.read(&mut told).await.unwrap();
        String::from_utf8_lossy(&told[..many]).into_owned()
    }

    /// How long a connection lasts.
    async fn lasts(served: tokio::task::JoinHandle<()>) -> Duration {
        let began = Instant::now();
        served.await.unwrap();
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_says_nothing_or_says_it_byte_by_byte_is_dropped_soon() {
        let (silent, served) = connected();
        assert_eq!(lasts(served).await.as_secs(), HEAD.as_secs());
        drop(silent);
        let (mut slow, served) = connected();
        let dripping = tokio::spawn(async move {
            for byte in b"GET / HTTP/1.1\r\nX: ".iter().chain([b'a'; 10_000].iter()) {
                if slow.write_all(&[*byte]).await.is_err() {
                    break;
                }
                sleep(Duration::from_millis(900)).await;
            }
        });
        assert_eq!(lasts(served).await.as_secs(), HEAD.as_secs());
        dripping.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_comes_again_may_be_idle_for_longer_but_not_slow() {
        let (mut agent, served) = connected();
        for _ in 0..5 {
            assert!(asks(&mut agent).await.ends_with("well"));
            sleep(IDLE - Duration::from_secs(1)).await;
        }
        agent.write_all(b"GET / HT").await.unwrap();
        assert_eq!(lasts(served).await.as_secs(), HEAD.as_secs(), "a second head takes no longer");
        let (mut agent, served) = connected();
        assert!(asks(&mut agent).await.ends_with("well"));
        assert_eq!(lasts(served).await.as_secs(), IDLE.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_ends_and_an_answer_that_nobody_takes_end_the_connection() {
        let (mut endless, served) = connected();
        endless
            .write_all(b"POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
            .await
            .unwrap();
        let (mut read, mut write) = tokio::io::split(endless);
        let dripping = tokio::spawn(async move {
            while write.write_all(b"1\r\nx\r\n").await.is_ok() {
                sleep(Duration::from_secs(2)).await;
            }
        });
        let mut told = String::new();
        read.read_to_string(&mut told).await.unwrap();
        assert!(told.starts_with("HTTP/1.1 408"), "{told}");
        assert!(lasts(served).await < HEAD);
        dripping.await.unwrap();
        let (mut deaf, served) = connected();
        deaf.write_all(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        assert_eq!(lasts(served).await.as_secs(), TAKEN.as_secs());
    }

    #[test]
    fn one_address_has_half_of_the_places() {
        let places = Places::new(4, false);
        let take = |peer: &str| {
            let free = Arc::clone(&places.free).try_acquire_owned().unwrap();
            places.of(peer.parse().unwrap(), free)
        };
        let one = [take("2001:db8::1"), take("2001:db8::2")];
        assert!(one.iter().all(Option::is_some));
        assert!(take("2001:db8::3").is_none(), "the same household");
        let other = [take("192.0.2.1"), take("192.0.2.2")];
        assert!(other.iter().all(Option::is_some));
        drop((one, other));
        assert!(take("2001:db8::3").is_some() && places.taken.lock().unwrap().is_empty());
    }
}
