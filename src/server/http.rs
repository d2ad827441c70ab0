//! Connections: taken, encrypted where they must be, served, and at the end let finish.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tower_service::Service;

use crate::web::body::Peer;

/// The most connections at a time; more wait in the system's queue.
const MOST_CONNECTIONS: usize = 20_000;
/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a connection may be idle, or take to send a request's head.
const HEAD: Duration = Duration::from_secs(150);
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
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let graceful = GracefulShutdown::new();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { break };
        let taken = tokio::select! {
            taken = listener.accept() => taken,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        match taken {
            Ok((stream, peer)) => {
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
    let service = service_fn(move |mut request: Request<Incoming>| {
        let from = if behind_proxy { forwarded_for(&request) } else { None };
        request.extensions_mut().insert(Peer(from.unwrap_or(peer.ip())));
        router.clone().call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%peer, %error, "a connection ended badly");
    }
}

/// The last address in `X-Forwarded-For`: the one that the proxy itself saw.
fn forwarded_for(request: &Request<Incoming>) -> Option<IpAddr> {
    let value = request.headers().get_all("x-forwarded-for").iter().next_back()?;
    value.to_str().ok()?.rsplit(',').next()?.trim().parse().ok()
}
