//! The long-running process: it takes reports in, runs the duties that are due, and an agent of its own.

pub mod config;
pub mod contact;
pub mod dns;
mod dossier;
pub mod http;
pub mod ingest;
pub mod jobs;
pub mod judge;
mod late;
pub mod local;
pub mod notify;
pub mod patience;
pub mod ping;
pub mod returning;
pub mod routes;
pub mod service;
pub mod sight;
pub mod start;
pub mod steps;
pub mod tick;
pub mod tickets;
pub mod tls;

use std::fs::{File, OpenOptions, TryLockError};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use agent::probe::Prober;
use agent::spool::Spool;
use anyhow::{Context, Result, bail};
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio_rustls::TlsAcceptor;

use crate::app::App;
use crate::domain::ids::DeviceId;
use crate::store::settings;
use crate::web::verbs::Verbs;
use crate::web::{self, Web};
use http::Serving;
use local::Local;
use routes::Shared;
use tick::Pulse;

/// How the server is to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Whether a proxy stands before it that encrypts, and whose `X-Forwarded-For` is believed.
    pub behind_proxy: bool,
    /// A key and certificate of the operator's; absent: its own, where connections must be encrypted.
    pub tls: Option<tls::Files>,
    /// Where it answers DNS, and for which zone; absent: it does not.
    pub dns: Option<dns::Options>,
    /// The folder of its data.
    pub data: PathBuf,
}

/// A server that listens, and is ready to run.
pub struct Server {
    app: App,
    listener: TcpListener,
    serving: Serving,
    web: Web,
    pulse: Arc<Pulse>,
    device: DeviceId,
    dns: Option<dns::Server>,
    data: PathBuf,
    url: String,
    /// Held as long as the server is: nobody else serves from this folder.
    lock: File,
}

/// Listens, and makes what the first run needs. Connections are encrypted on every address that is not loopback,
/// unless a proxy does it. `verbs`: what the page and the API can ask and change.
///
/// # Errors
/// The address cannot be had, the key is wrong, or the database's.
pub async fn bind(app: App, options: &Options, verbs: Arc<dyn Verbs>) -> Result<Server> {
    if options.behind_proxy && options.tls.is_some() {
        bail!("behind a proxy the proxy encrypts: give either --behind-proxy or a certificate");
    }
    let lock = lock(&options.data)?;
    let encrypted = options.tls.is_some() || !(options.behind_proxy || options.listen.ip().is_loopback());
    let files = match &options.tls {
        Some(given) => given.clone(),
        None => tls::make_own(&options.data)?,
    };
    let tls = if encrypted { Some(TlsAcceptor::from(tls::config(&files)?)) } else { None };
    let hash = tls::key_hash(&files)?;
    let listener =
        TcpListener::bind(options.listen).await.with_context(|| format!("listen on {}", options.listen))?;
    let at = listener.local_addr().with_context(|| format!("listen on {}", options.listen))?;
    let url = format!("{}://{at}", if encrypted { "https" } else { "http" });
    let shown = url.clone();
    app.store.submit(move |tx| settings::set_server(tx, &hash, &shown)).await?;
    let device = start::start(&app).await?;
    let dns = match &options.dns {
        Some(wanted) => Some(dns::bind(app.clone(), wanted).await?),
        None => None,
    };
    let pulse = Arc::new(Pulse::default());
    let web = Web::new(app.clone(), verbs, encrypted || options.behind_proxy);
    let router = routes::routes(Shared { app: app.clone(), pulse: pulse.clone(), returning: Arc::default() })
        .merge(web::routes::router(web.clone()));
    let serving = Serving { router, tls, behind_proxy: options.behind_proxy };
    Ok(Server { app, listener, serving, web, pulse, device, dns, data: options.data.clone(), url, lock })
}

/// Makes sure that nobody else serves from this folder.
fn lock(data: &Path) -> Result<File> {
    let path = data.join("serve.lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = file.with_context(|| format!("open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => bail!("another lineman serves from {} already", data.display()),
        Err(TryLockError::Error(e)) => Err(e).with_context(|| format!("lock {}", path.display())),
    }
}

impl Server {
    /// Where it is to be found.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where it answers DNS.
    ///
    /// # Errors
    /// The machine's.
    pub fn dns(&self) -> Result<Vec<SocketAddr>> {
        Ok(self.dns.as_ref().map(dns::Server::addresses).transpose()?.unwrap_or_default())
    }

    /// The device that is this machine.
    #[must_use]
    pub fn this_machine(&self) -> DeviceId {
        self.device
    }

    /// Runs until `stop` turns true: then takes nothing more, finishes what is under way, and commits it.
    ///
    /// # Errors
    /// A part that must not end did, or the last commit failed.
    pub async fn run(self, stop: watch::Receiver<bool>) -> Result<()> {
        let Server { app, listener, serving, web, pulse, device, dns, data, url, lock } = self;
        tracing::info!(%url, data = %data.display(), "serving");
        let wake = Arc::new(Notify::new());
        let agent = agent::run::run(agent::run::Options {
            clock: app.clock.clone(),
            spool: Spool::open(&data.join("this-machine.db"))?,
            link: Local { app: app.clone(), device },
            prober: Prober::new(),
            stop: stop.clone(),
            wake: wake.clone(),
            server: None,
            name: "this-machine".to_owned(),
            told: watch::Sender::new(agent::Status::default()),
        });
        let agent = tokio::spawn(agent);
        let jobs = tokio::spawn(jobs::run(app.clone(), stop.clone()));
        let outbox = tokio::spawn(notify::outbox::run(app.clone(), notify::outbox::Real, stop.clone()));
        let names = tokio::spawn(dns::sync::run(app.clone(), stop.clone()));
        let zone = dns.map(|dns| tokio::spawn(dns.run(stop.clone())));
        let tick = tokio::spawn(tick::run(app.clone(), pulse, wake, stop.clone()));
        let mut over = stop.clone();
        tokio::spawn(async move {
            drop(over.wait_for(|stop| *stop).await);
            web.streams.close();
        });
        http::serve(listener, serving, stop).await;
        agent.await.context("the agent inside the server")?.context("the agent inside the server")?;
        tick.await.context("the server's loop")?;
        outbox.await.context("the outbox")?.context("the outbox")?;
        jobs.await.context("the scheduled jobs")?.context("the scheduled jobs")?;
        names.await.context("the names in DNS")?.context("the names in DNS")?;
        if let Some(zone) = zone {
            zone.await.context("the name server")?;
        }
        start::stopped(&app).await?;
        tokio::task::spawn_blocking(move || app.store.close()).await.context("close the database")?;
        drop(lock);
        tracing::info!("stopped");
        Ok(())
    }
}

#[cfg(test)]
mod tests;
