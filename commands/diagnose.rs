//! `lineman agent diagnose`: where the fault is, seen from here and now, also without any server.

use std::net::IpAddr;
use std::path::Path;

use ::agent::home::SPOOL_FILE;
use ::agent::ladder::{self, Server};
use ::agent::report::{Climb, Held, Hop, Plan, Rung, Step, Why};
use ::agent::spool::Glance;
use clap::Args;
use schedules::Millis;

use crate::data::Context;
use crate::failure::Failure;
use crate::output::Output;

/// What to ask beyond this machine's own network.
#[derive(Args)]
pub struct DiagnoseOptions {
    /// The server: https://HOST:PORT [default: the one this agent has joined, where it has]
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// An address to reach, by ping or connection; may be given several times
    #[arg(long, value_name = "ADDRESS")]
    anchor: Vec<IpAddr>,
    /// Another resolver, to compare the configured ones with
    #[arg(long, value_name = "ADDRESS")]
    resolver: Option<IpAddr>,
    /// An http:// page with a known body
    #[arg(long, value_name = "URL")]
    page: Option<String>,
    /// A text that this page's body holds
    #[arg(long, value_name = "TEXT", requires = "page")]
    page_body: Option<String>,
    /// A name of somebody else's that resolvers are asked for
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The longest wait for one answer
    #[arg(long, value_name = "SPAN", default_value = "1s", value_parser = span)]
    timeout: Millis,
}

fn span(text: &str) -> Result<Millis, String> {
    let span: Millis = text.parse().map_err(|_| "not a span: write 500ms or 2s".to_owned())?;
    let (least, most) = (Millis(50), Millis::from_secs(30));
    if span < least || span > most { Err(format!("must be from {least} to {most}")) } else { Ok(span) }
}

impl DiagnoseOptions {
    /// Does it.
    pub fn run(self, context: &Context) -> Result<Output, Failure> {
        let server = match &self.server {
            Some(url) => Some(server_at(url)?),
            None => joined(&context.data),
        };
        let plan = Plan {
            anchors: self.anchor,
            page: self.page.unwrap_or_default(),
            page_body: self.page_body.unwrap_or_default(),
            resolver: self.resolver,
            name: self.name.unwrap_or_default(),
            timeout: self.timeout,
            ..Plan::default()
        };
        let runtime = ::agent::runtime().map_err(|e| Failure::failed(format!("climb the ladder: {e}")))?;
        let climb = runtime.block_on(async {
            match &server {
                Some(server) => ladder::climb(&plan, server, Why::Asked).await,
                None => ladder::climb_without_server(&plan, Why::Asked).await,
            }
        });
        let failed = climb.rungs.iter().filter(|rung| rung.outcome == Held::Fail).count();
        let failure = (failed > 0).then(|| {
            let what = if failed == 1 {
                "1 rung does not hold".to_owned()
            } else {
                format!("{failed} rungs do not hold")
            };
            Failure::failed(what)
        });
        let json = serde_json::to_value(&climb).map_err(|e| Failure::failed(format!("write JSON: {e}")))?;
        Ok(Output::Document { people: text(&climb), json, failure })
    }
}

/// The server at a URL.
fn server_at(url: &str) -> Result<Server, Failure> {
    let bad = || Failure::usage(format!("'{url}' is not a server's URL: write it as https://HOST:PORT"));
    let uri: http::Uri = url.parse().map_err(|_| bad())?;
    let (tls, usual) = match uri.scheme_str() {
        Some("https") => (true, 443),
        Some("http") => (false, 80),
        _ => return Err(bad()),
    };
    let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(bad)?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    Ok(Server { host, port: uri.port_u16().unwrap_or(usual), tls, pin: None, address: None })
}

/// The server that the agent of this folder has joined, where it has.
fn joined(folder: &Path) -> Option<Server> {
    let identity = Glance::at(&folder.join(SPOOL_FILE)).ok()?.identity?;
    let server = server_at(&identity.server).ok()?;
    Some(Server { pin: identity.pin, ..server })
}

/// The climb as a person reads it.
fn text(climb: &Climb) -> String {
    let mut text = String::new();
    for rung in &climb.rungs {
        let mark = match rung.outcome {
            Held::Ok => "ok  ",
            Held::Fail => "FAIL",
            Held::NotMeasured => "-   ",
        };
        text.push_str(&format!("{mark}  {}", what(&rung.step)));
        if let Some(rtt) = rung.rtt_us {
            text.push_str(&format!("  {}", time(rtt)));
        }
        if let Some(loss) = rung.loss_permille.filter(|loss| *loss > 0) {
            text.push_str(&format!("  {} % lost", f64::from(loss) / 10.0));
        }
        if !rung.reason.is_empty() {
            text.push_str(&format!("  ({})", rung.reason));
        }
        text.push('\n');
        text.push_str(&hops(rung));
    }
    text.push_str(&format!("climbed in {}\n", climb.took));
    text
}

fn hops(rung: &Rung) -> String {
    let Step::Route { hops, .. } = &rung.step else { return String::new() };
    hops.iter().map(|hop| format!("        {}\n", line(hop))).collect()
}

fn line(hop: &Hop) -> String {
    let who = hop.address.map_or("*".to_owned(), |address| address.to_string());
    let rtt = hop.rtt_us.map_or(String::new(), |rtt| format!("  {}", time(rtt)));
    let said = if hop.said.is_empty() { String::new() } else { format!("  ({})", hop.said) };
    format!("{:>2}  {who}{rtt}{said}", hop.ttl)
}

fn time(us: u32) -> String {
    format!("{:.1} ms", f64::from(us) / 1_000.0)
}

fn what(step: &Step) -> String {
    match step {
        Step::Link { interface, speed_mbit } => match speed_mbit {
            Some(speed) => format!("link {interface}, {speed} Mbit/s"),
            None => format!("link {interface}"),
        },
        Step::Address { family, addresses, .. } => {
            format!("address {} {}", word(family), addresses.join(" "))
        }
        Step::Neighbour { gateway, mac, .. } => format!("gateway {gateway} has the hardware address {mac}"),
        Step::Gateway { gateway } => format!("gateway {gateway} answers pings"),
        Step::Anchor { address, given: true } => format!("anchor {address}"),
        Step::Anchor { address, given: false } => format!("hop {address} beyond the gateway"),
        Step::Resolver { resolver, transport, name, rcode, .. } => {
            let code = rcode.as_deref().unwrap_or("no answer");
            format!("resolver {resolver} for {name} over {}: {code}", word(transport))
        }
        Step::Page { url, .. } => format!("page {url}"),
        Step::ServerName { host, .. } => format!("server's name {host}"),
        Step::ServerConnect { address, .. } => format!("server {address} takes connections"),
        Step::ServerTls { .. } => "server proves who it is".to_owned(),
        Step::ServerAnswer { status } => match status {
            Some(status) => format!("server answers ({status})"),
            None => "server answers".to_owned(),
        },
        Step::Route { target, transport, .. } => format!("route to {target} by {}", word(transport)),
        Step::PacketSize { target, largest, mtu, .. } => match largest {
            Some(largest) => format!("packets of {largest} bytes reach {target} (the link takes {mtu})"),
            None => format!("large packets to {target}"),
        },
    }
}

/// The word on the wire of a family or a transport.
fn word(value: &impl serde::Serialize) -> String {
    let text = serde_json::to_value(value).ok().and_then(|value| value.as_str().map(ToOwned::to_owned));
    text.unwrap_or_default()
}
