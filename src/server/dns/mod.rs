//! DNS: lineman answers for its own zone, and keeps devices' names at a real name server up to date.

mod client;
pub mod sync;
mod tcp;
mod udp;
mod update;
pub mod zone;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::app::App;
use crate::domain::dns::Zone;
use crate::store::{Error, Tx, dns};
use zone::Records;

/// The largest packet that is read; a question is far smaller.
const MAX_PACKET: usize = 4096;
/// How often it is looked whether the zone changed.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long to wait after an error of the machine's.
const AFTER_ERROR: Duration = Duration::from_millis(100);

/// Where lineman answers, and for which zone.
#[derive(Clone, Debug)]
pub struct Options {
    /// UDP and TCP, each.
    pub listen: Vec<SocketAddr>,
    /// The zone.
    pub zone: Zone,
}

/// A name server that has its sockets.
pub struct Server {
    app: App,
    zone: Zone,
    /// Where it listens, without ports.
    own: Vec<IpAddr>,
    sockets: Vec<(udp::Socket, TcpListener)>,
    records: watch::Sender<Arc<Records>>,
    cursor: i64,
}

/// Takes the sockets, and reads the zone.
///
/// # Errors
/// An address cannot be had, or the database's.
pub async fn bind(app: App, options: &Options) -> Result<Server> {
    let mut sockets = Vec::new();
    for at in &options.listen {
        let failed = || format!("answer DNS on {at}");
        let tcp = TcpListener::bind(at).await.with_context(failed)?;
        let udp = udp::Socket::bind(tcp.local_addr().with_context(failed)?).with_context(failed)?;
        sockets.push((udp, tcp));
    }
    let cursor = reading(&app, dns::newest_event).await?;
    let own = sockets.iter().filter_map(|(udp, _)| udp.address().ok()).map(|at| at.ip()).collect::<Vec<_>>();
    let records = load(&app, &options.zone, &own).await?;
    Ok(Server {
        app,
        zone: options.zone.clone(),
        own,
        sockets,
        records: watch::Sender::new(Arc::new(records)),
        cursor,
    })
}

/// Reads the zone; its serial rises where it is another one than before.
async fn load(app: &App, zone: &Zone, own: &[IpAddr]) -> Result<Records> {
    let ttl = reading(app, crate::store::settings::load).await?.span("dns.ttl");
    let ttl = u32::try_from(ttl.0 / 1_000).unwrap_or(60);
    let wanted = zone.clone();
    let (serial, hosts) = app.store.submit(move |tx| dns::zone(tx, &wanted, ttl)).await?;
    // With many devices this takes a while; questions are answered meanwhile.
    let (zone, own) = (zone.clone(), own.to_owned());
    let made = tokio::task::spawn_blocking(move || Records::new(&zone, serial, ttl, hosts));
    let records = made.await.context("make the zone")?.map_err(anyhow::Error::msg)?;
    Ok(records.with_server(&own))
}

impl Server {
    /// Where it answers.
    ///
    /// # Errors
    /// The machine's.
    pub fn addresses(&self) -> std::io::Result<Vec<SocketAddr>> {
        self.sockets.iter().map(|(udp, _)| udp.address()).collect()
    }

    /// Answers until `stop` turns true.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let Server { app, zone, own, sockets, records, mut cursor } = self;
        let mut serving = JoinSet::new();
        for (udp, tcp) in sockets {
            serving.spawn(udp::serve(udp, records.subscribe()));
            serving.spawn(tcp::serve(tcp, records.subscribe()));
        }
        while !*stop.borrow() {
            match follow(&app, &zone, &own, cursor).await {
                Ok((at, Some(fresh))) => {
                    records.send_replace(Arc::new(fresh));
                    cursor = at;
                }
                Ok((at, None)) => cursor = at,
                Err(error) => {
                    tracing::error!(%error, "the zone cannot be read; the last one is answered from")
                }
            }
            app.clock.idle("dns", app.clock.now());
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                _ = stop.changed() => {}
            }
        }
        serving.shutdown().await;
    }
}

/// Reads the zone anew where something happened since `cursor` that may have changed it.
async fn follow(app: &App, zone: &Zone, own: &[IpAddr], cursor: i64) -> Result<(i64, Option<Records>)> {
    let (newest, touched) = reading(app, move |tx| dns::events_since(tx, cursor)).await?;
    if !touched {
        return Ok((newest, None));
    }
    Ok((newest, Some(load(app, zone, own).await?)))
}

/// Asks the store where that keeps nobody waiting: a database that is busy holds none of the runtime's threads.
async fn reading<T, E>(app: &App, f: impl FnOnce(&Tx) -> Result<T, E> + Send + 'static) -> Result<T, E>
where
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    let app = app.clone();
    match tokio::task::spawn_blocking(move || app.store.read(f)).await {
        Ok(read) => read,
        Err(ended) if ended.is_panic() => std::panic::resume_unwind(ended.into_panic()),
        // The runtime ends, and the store with it.
        Err(_) => Err(Error::Closed.into()),
    }
}

#[cfg(test)]
mod tests;
