//! `lineman serve`: the server, in the foreground until it is asked to stop.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::agent::facts::Facts;
use clap::Args;
use lineman::app::App;
use lineman::domain::dns::Zone;
use lineman::domain::user::Role;
use lineman::server::tls::Files;
use lineman::server::{self, Options};
use lineman::store::events::Actor;
use lineman::store::{Mode, devices, users};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::data::Context;
use crate::demo;
use crate::failure::{Code, Failure};
use crate::output::{Output, put};
use crate::user;
use crate::verbs::Commands;

/// Watch: take reports in, make the checks, open the tickets, until stopped
///
/// On an address that is not loopback it speaks TLS, with a certificate that it makes itself unless one is given.
/// Nothing on the network is touched that nobody named.
#[derive(Args)]
#[command(
    after_help = "Example:\n  lineman serve\n  lineman serve --listen 0.0.0.0:8443\n  lineman serve --demo\n  lineman serve --unit > /etc/systemd/system/lineman.service"
)]
pub struct ServeOptions {
    /// Where to listen
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// A proxy before it does TLS, and tells in X-Forwarded-For who calls
    #[arg(long, conflicts_with_all = ["tls_cert", "tls_key"])]
    behind_proxy: bool,
    /// A certificate chain of yours, PEM, the server's own first
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Its private key, PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Answer DNS there, over UDP and TCP, for the zone of devices' names; may be given several times
    #[arg(long, value_name = "ADDR:PORT", requires = "zone")]
    dns: Vec<SocketAddr>,
    /// The zone of devices' names
    #[arg(long, value_name = "NAME", requires = "dns")]
    zone: Option<Zone>,
    /// Play a story with a made-up provider on loopback, in a temporary folder: to see what lineman does
    #[arg(long, conflicts_with_all = ["behind_proxy", "tls_cert", "tls_key", "dns", "zone", "unit"])]
    pub demo: bool,
    /// Print a systemd unit that runs this, and do nothing else
    #[arg(long)]
    unit: bool,
}

impl ServeOptions {
    /// Does it.
    pub fn run(self, context: &Context) -> Result<Output, Failure> {
        if self.demo {
            return demo::run(context, self.listen);
        }
        if self.unit {
            let binary = std::env::current_exe();
            let binary = binary.map_err(|e| Failure::failed(format!("find this program: {e}")))?;
            return Ok(Output::Text(unit(&binary, &context.data, &self.flags())));
        }
        let app = context.app(Mode::Create)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(std::thread::available_parallelism().map_or(2, usize::from).clamp(1, 8))
            .thread_stack_size(1024 * 1024)
            .enable_all()
            .build()
            .map_err(|e| Failure::failed(format!("start the server: {e}")))?;
        let options = Options {
            listen: self.listen,
            behind_proxy: self.behind_proxy,
            tls: self.tls_cert.zip(self.tls_key).map(|(certificate, key)| Files { certificate, key }),
            dns: self.zone.map(|zone| server::dns::Options { listen: self.dns, zone }),
            data: context.data.clone(),
        };
        runtime.block_on(async {
            let heard = |kind| signal(kind).map_err(|e| Failure::failed(format!("listen for signals: {e}")));
            let (mut terminate, mut interrupt) =
                (heard(SignalKind::terminate())?, heard(SignalKind::interrupt())?);
            let only = app.store.read(devices::count)? == 0;
            let verbs = Arc::new(Commands::new(app.clone()));
            let server = server::bind(app.clone(), &options, verbs).await?;
            let (stop, stopped) = watch::channel(false);
            tokio::spawn(async move {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                stop.send_replace(true);
            });
            let mut said = format!("listening on {}\n", server.url());
            for at in server.dns().map_err(|e| Failure::failed(format!("{e:#}")))? {
                said.push_str(&format!("answering DNS on {at}\n"));
            }
            said.push_str(&page(&app)?);
            match put(&format!("{said}{}", welcome(context, only))) {
                // That nobody reads it is no reason to stop.
                Err(failure) if failure.code == Code::NobodyReads => {}
                other => other?,
            }
            server.run(stopped).await?;
            Ok(Output::Nothing)
        })
    }

    /// What stands behind `serve` in a unit.
    fn flags(&self) -> String {
        let mut flags = format!("--listen {}", self.listen);
        if self.behind_proxy {
            flags.push_str(" --behind-proxy");
        }
        if let (Some(certificate), Some(key)) = (&self.tls_cert, &self.tls_key) {
            flags.push_str(&format!(" --tls-cert {} --tls-key {}", certificate.display(), key.display()));
        }
        if let Some(zone) = &self.zone {
            for at in &self.dns {
                flags.push_str(&format!(" --dns {at}"));
            }
            flags.push_str(&format!(" --zone {zone}"));
        }
        flags
    }
}

/// How to sign in at the page: as long as nobody ever did, with a link that opens it once.
pub fn page(app: &App) -> Result<String, Failure> {
    let nobody = |tx: &lineman::store::Tx| -> Result<bool, Failure> {
        Ok(users::list(tx)?.iter().all(|account| account.signed_in_at.is_none()))
    };
    if !app.store.read(nobody)? {
        return Ok(String::new());
    }
    app.store.write(|tx| {
        let by = Actor::System;
        let first = users::list(tx)?.into_iter().find(|account| account.user.role == Role::Admin);
        let admin = match first {
            Some(account) => account,
            None => users::add(tx, ADMIN, Role::Admin, &by)?,
        };
        let link = user::link(tx, &admin.user, &by)?;
        Ok(format!("open the page and sign in, once, as '{}':\n  {link}\n", admin.user.name))
    })
}

/// What the first user is called.
const ADMIN: &str = "admin";

/// What a person is told who starts it: where the data is, and what to do next. On the first run the machine's own
/// gateway and resolvers are offered as devices; nothing is sent to them.
fn welcome(context: &Context, first: bool) -> String {
    let mut text = format!("data in {}\n", context.data.display());
    if !first {
        text.push_str("see `lineman device list`; stop with Ctrl-C\n");
        return text;
    }
    text.push_str("this machine is watched: see `lineman device list`; stop with Ctrl-C\n");
    let status = Facts::new().status(None);
    let mut offers = String::new();
    let numbered =
        |name: &str, at: usize| if at == 0 { name.to_owned() } else { format!("{name}-{}", at + 1) };
    for (at, gateway) in status.gateways.iter().enumerate() {
        offers.push_str(&offer(&numbered("gateway", at), &gateway.to_string()));
    }
    let resolvers = status.resolvers.iter().filter(|a| !a.is_loopback() && !status.gateways.contains(a));
    for (at, resolver) in resolvers.enumerate() {
        offers.push_str(&offer(&numbered("resolver", at), &resolver.to_string()));
    }
    if !offers.is_empty() {
        text.push_str("\nwatch this machine's neighbours too, if they are yours:\n");
        text.push_str(&offers);
    }
    text
}

fn offer(name: &str, address: &str) -> String {
    format!("  lineman device add {name} --address {address} && lineman check add {name} icmp\n")
}

/// A systemd unit for the server.
fn unit(binary: &Path, data: &Path, flags: &str) -> String {
    format!(
        "[Unit]
Description=lineman server
Wants=network-online.target
After=network-online.target

[Service]
ExecStart={binary} --data {data} serve {flags}
Restart=always
RestartSec=2
TimeoutStopSec=30
UMask=0077
AmbientCapabilities=CAP_NET_RAW CAP_NET_BIND_SERVICE
CapabilityBoundingSet=CAP_NET_RAW CAP_NET_BIND_SERVICE
NoNewPrivileges=yes
ProtectSystem=strict
ReadWritePaths={data}
ProtectHome=read-only
PrivateTmp=yes
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native

[Install]
WantedBy=multi-user.target
",
        binary = quoted(binary),
        data = quoted(data),
    )
}

/// A path as systemd reads it: `%` doubled, in quotation marks where it has spaces.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string().replace('%', "%%");
    if text.contains(char::is_whitespace) { format!("\"{text}\"") } else { text }
}
