//! `lineman agent diagnose`: the ladder of evidence, climbed now and read out, step by step and hop by hop.

use std::fmt::Write as _;
use std::net::IpAddr;

use ::agent::home::HomeError;
use ::agent::ladder::{Server, climb, climb_without_server};
use ::agent::report::{Climb, Family, Held, Hop, Plan, Rung, Step, Transport, Why};
use clap::Args;
use exports::{Column, Table, Value};
use jiff::tz::TimeZone;
use lineman::domain::verdict::{Verdict, on_the_spot};
use lineman::reports::outages;
use lineman::store::verdicts::Given;
use schedules::Millis;

use crate::data::Context;
use crate::failure::Failure;
use crate::output::Output;
use crate::words;

/// How long one answer may be waited for.
const TIMEOUTS: (Millis, Millis) = (Millis(50), Millis::from_secs(10));
/// How wide the names of steps and hops' addresses are.
const NAME: usize = 16;
const ADDRESS: usize = 15;

/// What is asked beside what the server has set for this device.
#[derive(Args)]
pub struct DiagnoseOptions {
    /// An address that is always there, to tell whether the way out works; may be given several times
    #[arg(long = "anchor", value_name = "ADDRESS")]
    anchors: Vec<IpAddr>,
    /// A resolver to compare the configured ones with
    #[arg(long, value_name = "ADDRESS")]
    resolver: Option<IpAddr>,
    /// A name that resolves whatever happens to the server's
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// A page with a known body, over plain http://: a captive portal changes it
    #[arg(long, value_name = "URL")]
    page: Option<String>,
    /// What that page's body holds
    #[arg(long, value_name = "TEXT", requires = "page")]
    page_body: Option<String>,
    /// The longest wait for one answer: 50ms to 10s
    #[arg(long, value_name = "SPAN", value_parser = timeout)]
    timeout: Option<Millis>,
}

fn timeout(text: &str) -> Result<Millis, String> {
    let span: Millis = text.parse().map_err(|e| format!("{e}"))?;
    let (least, most) = TIMEOUTS;
    if (least..=most).contains(&span) { Ok(span) } else { Err(format!("from {least} to {most}")) }
}

impl DiagnoseOptions {
    /// Climbs, and prints what was found; fails where a step does not hold.
    pub fn run(self, context: &Context) -> Result<Output, Failure> {
        let (joined, plan) = match ::agent::home::ladder(&context.data) {
            // Whoever names the server needs nothing of what is damaged.
            Err(HomeError::Damaged { .. }) if context.server.is_some() => (None, None),
            found => found?.unzip(),
        };
        let server = match &context.server {
            Some(url) => Some(named(url, joined)?),
            None => joined,
        };
        let plan = self.plan(plan.unwrap_or_default());
        let climb = ::agent::alone(async {
            match &server {
                Some(server) => climb(&plan, server, Why::Asked).await,
                None => climb_without_server(&plan, Why::Asked).await,
            }
        });
        let climb = climb.map_err(|e| Failure::failed(format!("start to look: {e}")))?;
        let at = context.clock.now();
        let verdict = on_the_spot(&climb, at, TimeZone::system());
        let said = told(&climb, server.as_ref(), verdict.as_ref());
        let failure = verdict.as_ref().map(|_| Failure::failed(summary(&climb)));
        let verdict = verdict.map(|verdict| Given { at, verdict, is_final: true });
        Ok(Output::Answer(record(&climb, verdict.as_ref())?, said, failure))
    }

    /// What the server has set, and over it what was asked for.
    fn plan(self, mut plan: Plan) -> Plan {
        if !self.anchors.is_empty() {
            plan.anchors = self.anchors;
        }
        if let Some(page) = self.page {
            plan.page = page;
            plan.page_body = self.page_body.unwrap_or_default();
        }
        plan.resolver = self.resolver.or(plan.resolver);
        plan.name = self.name.unwrap_or(plan.name);
        plan.timeout = self.timeout.unwrap_or(plan.timeout);
        plan
    }
}

/// The server of a URL; its key is known where it is the one that was joined.
fn named(url: &str, joined: Option<Server>) -> Result<Server, Failure> {
    let server = Server::at(url.trim_end_matches('/'), None)
        .map_err(|e| Failure::usage(format!("--server: {e}")).hint("write it as https://HOST:PORT"))?;
    let same = joined.filter(|joined| (&joined.host, joined.port) == (&server.host, server.port));
    Ok(Server { pin: same.and_then(|joined| joined.pin), ..server })
}

fn record(climb: &Climb, verdict: Option<&Given>) -> Result<Table, Failure> {
    let json = |e: serde_json::Error| Failure::failed(format!("write JSON: {e}"));
    let columns = vec![
        Column::text("why", "WHY"),
        Column::int("took", "TOOK"),
        Column::list("rungs", "RUNGS"),
        Column::object("verdict", "VERDICT"),
    ];
    let mut table = Table::new("climbs", columns);
    let rungs = serde_json::to_value(&climb.rungs).map_err(json)?;
    let why = serde_json::to_value(climb.why).map_err(json)?;
    table.push(vec![
        Value::Json(why),
        Value::Int(climb.took.0),
        Value::Json(rungs),
        verdict.map_or(Value::Null, outages::verdict),
    ]);
    Ok(table)
}

/// All of it, for a person.
fn told(climb: &Climb, server: Option<&Server>, verdict: Option<&Verdict>) -> String {
    let whither = match server {
        Some(server) => format!("the way to {}, port {}", server.host, server.port),
        None => "the way out (no server is joined: see --server)".to_owned(),
    };
    let mut text = format!("{whither}; it took {} to look\n\n", words::span(climb.took.0));
    for rung in &climb.rungs {
        let mark = match rung.outcome {
            Held::Ok => "ok",
            Held::Fail => "FAIL",
            Held::NotMeasured => "-",
        };
        let line = format!("{mark:<5} {:<NAME$} {}", name(&rung.step), sentence(rung));
        text.push_str(line.trim_end());
        text.push('\n');
        if let Step::Route { hops, .. } = &rung.step {
            for hop in hops {
                text.push_str(&hop_line(hop));
            }
        }
    }
    text.push('\n');
    match verdict {
        Some(verdict) => text.push_str(&judgement(verdict)),
        None => {
            let _ = writeln!(text, "{}", summary(climb));
        }
    }
    let lines: Vec<_> = words::lines(&text).collect();
    lines.join("\n") + "\n"
}

/// A step as the field calls it.
fn name(step: &Step) -> &'static str {
    match step {
        Step::Link { .. } => "link",
        Step::Address { family: Family::Ipv4, .. } => "IPv4 address",
        Step::Address { family: Family::Ipv6, .. } => "IPv6 address",
        Step::Neighbour { gateway: IpAddr::V4(_), .. } => "gateway's ARP",
        Step::Neighbour { gateway: IpAddr::V6(_), .. } => "gateway's ND",
        Step::Gateway { .. } => "gateway",
        Step::Anchor { given: true, .. } => "anchor",
        Step::Anchor { given: false, .. } => "next hop",
        Step::Resolver { configured: true, .. } => "resolver",
        Step::Resolver { configured: false, .. } => "other resolver",
        Step::Page { .. } => "known page",
        Step::ServerName { .. } => "server's name",
        Step::ServerConnect { .. } => "server's port",
        Step::ServerTls { .. } => "server's TLS",
        Step::ServerAnswer { .. } => "server's answer",
        Step::Route { .. } => "route",
        Step::PacketSize { .. } => "packet size",
    }
}

/// What a rung found: what of, how long it took, what is wrong.
fn sentence(rung: &Rung) -> String {
    let mut parts = vec![subject(&rung.step)];
    if rung.outcome == Held::Ok {
        parts.push(rung.rtt_us.map_or(String::new(), milliseconds));
    }
    let is_partly_lost = rung.loss_permille.filter(|loss| (1..1000).contains(loss));
    parts.push(
        is_partly_lost.map_or(String::new(), |loss| format!("{} of 100 packets lost", loss.div_ceil(10))),
    );
    parts.retain(|part| !part.is_empty());
    let subject = parts.join(", ");
    let said = match rung.outcome {
        Held::NotMeasured => format!("not measured: {}", rung.reason),
        Held::Ok | Held::Fail => rung.reason.clone(),
    };
    match (subject.is_empty(), said.is_empty()) {
        (true, _) => said,
        (false, true) => subject,
        (false, false) => format!("{subject}: {said}"),
    }
}

/// What a step is about.
fn subject(step: &Step) -> String {
    let list = |all: &[IpAddr]| all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let known = |address: &IpAddr| if address.is_unspecified() { String::new() } else { address.to_string() };
    match step {
        Step::Link { interface, speed_mbit } => match speed_mbit {
            Some(speed) => format!("{interface}, {speed} Mbit/s"),
            None => interface.clone(),
        },
        Step::Address { interface, addresses, .. } if addresses.is_empty() => interface.clone(),
        Step::Address { interface, addresses, .. } => format!("{interface}, {}", addresses.join(", ")),
        Step::Neighbour { gateway, mac, state } => {
            let state = if state.is_empty() { String::new() } else { format!(" ({state})") };
            match mac.as_str() {
                "" => format!("{}{state}", known(gateway)),
                mac => format!("{gateway} is {mac}{state}"),
            }
        }
        Step::Gateway { gateway } => known(gateway),
        Step::Anchor { address, .. } => known(address),
        Step::Resolver { resolver, transport, name, rcode, addresses, .. } => {
            let mut text = known(resolver);
            if !name.is_empty() {
                let name = if name == "." { "the root" } else { name.as_str() };
                let _ = write!(text, ", {name} over {}", word(*transport));
            }
            if let Some(rcode) = rcode {
                let _ = write!(text, ", {rcode}");
            }
            if !addresses.is_empty() {
                let _ = write!(text, " {}", list(addresses));
            }
            text
        }
        Step::Page { url, status, .. } => match status {
            Some(status) => format!("{url}, {status}"),
            None => url.clone(),
        },
        Step::ServerName { host, addresses } if addresses.is_empty() => host.clone(),
        Step::ServerName { host, addresses } => format!("{host} is {}", list(addresses)),
        Step::ServerConnect { address, .. } => address.to_string(),
        Step::ServerTls { clock_off: Some(off), .. } => {
            let side = if off.0 < 0 { "before its time" } else { "after its time" };
            format!("this machine's clock is {} {side}", words::span(off.0.saturating_abs()))
        }
        Step::ServerTls { clock_off: None, .. } => String::new(),
        Step::ServerAnswer { status } => status.map_or(String::new(), |status| format!("status {status}")),
        Step::Route { target, server, transport, .. } => {
            let whose = if *server { "the server" } else { "an anchor" };
            match known(target) {
                target if target.is_empty() => String::new(),
                target => format!("to {whose}, {target}, by {}", word(*transport)),
            }
        }
        Step::PacketSize { target, largest, mtu, told } => match largest {
            Some(largest) if largest < mtu && *told => {
                format!(
                    "up to {largest} bytes to {target}, and the way says so (the interface's {mtu} do not pass)"
                )
            }
            Some(largest) => format!("up to {largest} bytes to {target}"),
            None => known(target),
        },
    }
}

fn word(transport: Transport) -> &'static str {
    match transport {
        Transport::Icmp => "ICMP",
        Transport::Tcp => "TCP",
        Transport::Udp => "UDP",
    }
}

fn hop_line(hop: &Hop) -> String {
    let Some(address) = hop.address else { return format!("{:>9}  *\n", hop.ttl) };
    let mut line = format!("{:>9}  {:<ADDRESS$}", hop.ttl, address.to_string());
    if let Some(rtt) = hop.rtt_us {
        let _ = write!(line, "  {}", milliseconds(rtt));
    }
    if hop.answered < hop.sent && !hop.last {
        let _ = write!(line, "  {} of {} answered", hop.answered, hop.sent);
    }
    if !hop.said.is_empty() {
        let _ = write!(line, "  {}", hop.said);
    }
    line.trim_end().to_owned() + "\n"
}

fn milliseconds(us: u32) -> String {
    format!("{}.{:02} ms", us / 1000, us % 1000 / 10)
}

/// What it comes to.
fn summary(climb: &Climb) -> String {
    let count = |held: Held| climb.rungs.iter().filter(|rung| rung.outcome == held).count();
    let (good, bad, unknown) = (count(Held::Ok), count(Held::Fail), count(Held::NotMeasured));
    let measured = if bad == 0 {
        format!("all {good} steps that were measured hold")
    } else {
        let mut names: Vec<&str> = Vec::new();
        for rung in climb.rungs.iter().filter(|rung| rung.outcome == Held::Fail) {
            if !names.contains(&name(&rung.step)) {
                names.push(name(&rung.step));
            }
        }
        format!("{bad} of {} steps do not hold: {}", good + bad, names.join(", "))
    };
    match unknown {
        0 => measured,
        1 => format!("{measured}; 1 was not measured"),
        _ => format!("{measured}; {unknown} were not measured"),
    }
}

/// Where the fault is, why, and who acts.
fn judgement(verdict: &Verdict) -> String {
    let code = match verdict.likeliest {
        Some(likeliest) => format!("{}, perhaps {likeliest}", verdict.code),
        None => verdict.code.to_string(),
    };
    let mut text =
        format!("{}\n{code}, {} % sure; who acts: {}\n", verdict.sentence, verdict.confidence, verdict.who);
    for evidence in &verdict.evidence {
        let _ = writeln!(text, "  - {}", evidence.what);
    }
    text
}
