//! DNS: lineman answers for its own zone, and keeps devices' names at a real name server up to date.

mod client;
pub mod sync;
mod update;
pub mod zone;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::app::App;
use crate::domain::dns::Zone;
use crate::store::dns;
use zone::{Records, Way};

/// The largest packet that is read; a question is far smaller.
const MAX_PACKET: usize = 4096;
/// How many bytes of questions may wait while the processor is busy elsewhere, if the machine grants as much.
const UDP_BUFFER: usize = 4 * 1024 * 1024;
/// The most connections at a time, how many of them one address may have, and the most questions on one.
const MAX_CONNECTIONS: usize = 256;
const MAX_OF_ONE: usize = 16;
const MAX_QUESTIONS: usize = 1_000;
/// How long a connection may be idle, or take to send a question or to take an answer.
const IDLE: Duration = Duration::from_secs(10);
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
    sockets: Vec<(UdpSocket, TcpListener)>,
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
        let udp = UdpSocket::bind(tcp.local_addr().with_context(failed)?).await.with_context(failed)?;
        // Where the machine grants less, less is what there is.
        drop(socket2::SockRef::from(&udp).set_recv_buffer_size(UDP_BUFFER));
        sockets.push((udp, tcp));
    }
    let cursor = app.store.read(dns::newest_event)?;
    let own =
        sockets.iter().filter_map(|(udp, _)| udp.local_addr().ok()).map(|at| at.ip()).collect::<Vec<_>>();
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
    let ttl = app.store.read(crate::store::settings::load)?.span("dns.ttl");
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
        self.sockets.iter().map(|(udp, _)| udp.local_addr()).collect()
    }

    /// Answers until `stop` turns true.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let Server { app, zone, own, sockets, records, mut cursor } = self;
        let mut serving = JoinSet::new();
        for (udp, tcp) in sockets {
            serving.spawn(answer_packets(udp, records.subscribe()));
            serving.spawn(accept(tcp, records.subscribe()));
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
    let (newest, touched) = app.store.read(|tx| dns::events_since(tx, cursor))?;
    if !touched {
        return Ok((newest, None));
    }
    Ok((newest, Some(load(app, zone, own).await?)))
}

async fn answer_packets(socket: UdpSocket, records: watch::Receiver<Arc<Records>>) {
    let mut packet = [0; MAX_PACKET];
    loop {
        let (len, from) = match socket.recv_from(&mut packet).await {
            Ok(heard) => heard,
            Err(error) => {
                // What an earlier answer ran into is told here as well; there is nothing to be done about it.
                tracing::debug!(%error, "DNS over UDP");
                tokio::time::sleep(AFTER_ERROR).await;
                continue;
            }
        };
        let told = records.borrow().answer(&packet[..len], Way::Udp);
        if let Some(told) = told
            && let Err(error) = socket.send_to(&told, from).await
        {
            tracing::debug!(%error, %from, "a DNS answer cannot be sent");
        }
    }
}

async fn accept(listener: TcpListener, records: watch::Receiver<Arc<Records>>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut talking: JoinSet<IpAddr> = JoinSet::new();
    let mut of_one: HashMap<IpAddr, usize> = HashMap::new();
    loop {
        while let Some(ended) = talking.try_join_next() {
            match ended {
                Ok(from) => left(&mut of_one, from),
                Err(error) => tracing::error!(%error, "DNS over TCP broke off"),
            }
        }
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((connection, from)) => {
                let from = from.ip();
                let count = of_one.entry(from).or_default();
                // Who has so many already is sent away: the others' places are not his.
                if *count >= MAX_OF_ONE {
                    continue;
                }
                *count += 1;
                let records = records.clone();
                talking.spawn(async move {
                    drop(talk(connection, &records).await);
                    drop(place);
                    from
                });
            }
            Err(error) => {
                tracing::debug!(%error, "DNS over TCP");
                tokio::time::sleep(AFTER_ERROR).await;
            }
        }
    }
}

fn left(of_one: &mut HashMap<IpAddr, usize>, from: IpAddr) {
    if let Some(count) = of_one.get_mut(&from) {
        *count -= 1;
        if *count == 0 {
            of_one.remove(&from);
        }
    }
}

/// Answers the questions of one connection, one after the other.
async fn talk(mut connection: TcpStream, records: &watch::Receiver<Arc<Records>>) -> std::io::Result<()> {
    let mut packet = vec![0; MAX_PACKET];
    for _ in 0..MAX_QUESTIONS {
        let len = usize::from(tokio::time::timeout(IDLE, connection.read_u16()).await??);
        let Some(room) = packet.get_mut(..len) else { return Ok(()) };
        tokio::time::timeout(IDLE, connection.read_exact(room)).await??;
        let told = records.borrow().answer(room, Way::Tcp);
        let Some(told) = told else { return Ok(()) };
        let mut framed = u16::try_from(told.len()).unwrap_or(u16::MAX).to_be_bytes().to_vec();
        framed.extend_from_slice(&told);
        tokio::time::timeout(IDLE, connection.write_all(&framed)).await??;
    }
    Ok(())
}
