//! The agents that play: real ones, each with a spool of its own, calling the server over HTTP. What they say of their
//! machine is what the device they play would say; nobody around this machine is asked anything.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ::agent::Status;
use ::agent::ladder;
use ::agent::link::{Http, Link, LinkError};
use ::agent::probe::Prober;
use ::agent::report::{
    AgentOutage, Boot, CheckIn, Climb, Family, Gap, Held, Interface, Join, Moment, Plan, Reply, Rung, Step,
    What, Why,
};
use ::agent::run;
use ::agent::spool::{Identity, Spool};
use schedules::{Clock, Millis, Time};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use super::cast::{self, DEVICES, Device, Tokens};
use crate::failure::Failure;

/// How long a call takes that gets no answer.
const NO_ANSWER: Duration = Duration::from_millis(500);
/// How long before its agent a machine was booted.
const BOOT_TAKES: Millis = Millis::from_secs(2);
/// The interface of every device that plays.
const INTERFACE: &str = "eth0";

/// All agents that play.
pub struct Agents {
    folder: PathBuf,
    clock: Clock,
    prober: Prober,
    all: BTreeMap<&'static str, Agent>,
}

/// One of them.
struct Agent {
    part: Arc<Part>,
    /// None: its machine has no power.
    running: Option<Running>,
}

struct Running {
    task: JoinHandle<Result<(), run::Error>>,
    /// The agent stops once nobody can tell it to any more.
    _stop: watch::Sender<bool>,
    wake: Arc<Notify>,
}

/// What the device is like that an agent plays.
struct Part {
    device: &'static Device,
    now: Mutex<Now>,
}

#[derive(Clone, Copy)]
struct Now {
    address: Ipv4Addr,
    /// Whether its way to the server is gone.
    is_cut: bool,
    /// How often it was booted.
    boots: u32,
    /// When it last lost its power.
    dark_since: Option<Time>,
}

impl Agents {
    /// Lets each join the server at `url`, and starts it. `folder`: where their spools are.
    pub async fn start(folder: PathBuf, clock: Clock, url: &str, tokens: Tokens) -> Result<Agents, Failure> {
        let mut agents = Agents { folder, clock, prober: Prober::new(), all: BTreeMap::new() };
        for device in DEVICES.iter().filter(|device| device.has_agent) {
            let Some(token) = tokens.get(device.name) else { continue };
            let now = Now { address: device.address, is_cut: false, boots: 0, dark_since: None };
            let part = Arc::new(Part { device, now: Mutex::new(now) });
            let (path, url, secret) = (agents.spool(device.name), url.to_owned(), token.secret.clone());
            let ask = Join {
                token: secret,
                host_name: device.name.to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                interfaces: vec![interface(device.address)],
            };
            let joined = tokio::task::spawn_blocking(move || join(&path, &url, &ask)).await;
            joined.map_err(|e| Failure::failed(format!("join as {}: {e}", device.name)))??;
            agents.all.insert(device.name, Agent { part, running: None });
            agents.switch_on(&[device])?;
        }
        Ok(agents)
    }

    fn spool(&self, device: &str) -> PathBuf {
        self.folder.join(device).join("agent.db")
    }

    /// Takes the power away from some devices: their agents end in the middle of whatever they do.
    pub async fn switch_off(&mut self, devices: &[&'static Device]) {
        for device in devices {
            let Some(agent) = self.all.get_mut(device.name) else { continue };
            if let Some(running) = agent.running.take() {
                let now = self.clock.now();
                agent.part.change(|part| part.dark_since = Some(now));
                running.task.abort();
                // Its end is that it was broken off.
                drop(running.task.await);
            }
        }
    }

    /// Boots some devices.
    pub fn switch_on(&mut self, devices: &[&'static Device]) -> Result<(), Failure> {
        for device in devices {
            let path = self.spool(device.name);
            let Some(agent) = self.all.get_mut(device.name).filter(|agent| agent.running.is_none()) else {
                continue;
            };
            agent.part.change(|now| now.boots += 1);
            agent.running = Some(boot(&agent.part, &path, &self.clock, &self.prober)?);
        }
        Ok(())
    }

    /// Cuts some devices off from the server, though they run on.
    pub fn cut(&self, devices: &[&'static Device]) {
        self.wire(devices, true);
    }

    /// Connects them again.
    pub fn mend(&self, devices: &[&'static Device]) {
        self.wire(devices, false);
    }

    fn wire(&self, devices: &[&'static Device], is_cut: bool) {
        for device in devices {
            if let Some(agent) = self.all.get(device.name) {
                agent.part.change(|now| now.is_cut = is_cut);
            }
        }
    }

    /// Gives a device another address; its agent tells so at once.
    pub fn set_address(&self, device: &str, address: Ipv4Addr) {
        let Some(agent) = self.all.get(device) else { return };
        agent.part.change(|now| now.address = address);
        if let Some(running) = &agent.running {
            running.wake.notify_one();
        }
    }

    /// Ends all.
    pub async fn close(&mut self) {
        self.switch_off(&DEVICES.iter().collect::<Vec<_>>()).await;
    }
}

/// Shows the token, and keeps the identity that is given for it.
fn join(path: &Path, url: &str, ask: &Join) -> Result<(), Failure> {
    let failed = |what: &str, e: &dyn std::fmt::Display| Failure::failed(format!("{what}: {e}"));
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)
            .map_err(|e| failed(&format!("make the folder {}", folder.display()), &e))?;
    }
    let http = Http::new(url, "", None).map_err(|e| failed("join", &e))?;
    let joined = http.join(ask).map_err(|e| failed("join", &e))?;
    let identity = Identity {
        server: http.server().to_owned(),
        device: joined.device,
        name: joined.name,
        secret: joined.secret,
        pin: None,
    };
    let mut spool = Spool::open(path).map_err(|e| failed("join", &e))?;
    spool.set_identity(&identity).map_err(|e| failed("join", &e))
}

/// Starts the agent of a device from its spool.
fn boot(part: &Arc<Part>, path: &Path, clock: &Clock, prober: &Prober) -> Result<Running, Failure> {
    let name = part.device.name;
    let failed = |e: &dyn std::fmt::Display| Failure::failed(format!("start the agent of {name}: {e}"));
    let spool = Spool::open(path).map_err(|e| failed(&e))?;
    let identity = spool.identity().ok_or_else(|| failed(&"it has not joined"))?;
    let http = Http::new(&identity.server, &identity.secret, identity.pin).map_err(|e| failed(&e))?;
    let (stop, stopped) = watch::channel(false);
    let wake = Arc::new(Notify::new());
    let options = run::Options {
        clock: clock.clone(),
        spool,
        link: Played { http, part: Arc::clone(part) },
        prober: prober.clone(),
        stop: stopped,
        wake: Arc::clone(&wake),
        server: None,
        name: name.to_owned(),
        told: watch::Sender::new(Status::default()),
    };
    Ok(Running { task: tokio::spawn(run(options)), _stop: stop, wake })
}

/// The way to the server of an agent that plays.
struct Played {
    http: Http,
    part: Arc<Part>,
}

impl Link for Played {
    async fn check_in(&self, mut call: CheckIn) -> Result<Reply, LinkError> {
        if self.part.now().is_cut {
            tokio::time::sleep(NO_ANSWER).await;
            return Err(LinkError::Failed(format!("call {}: timed out", self.http.server())));
        }
        self.part.dress(&mut call);
        self.http.check_in(call).await
    }

    fn renew(&self) {
        self.http.renew();
    }

    fn leads_to(&self) -> Option<ladder::Server> {
        self.http.leads_to()
    }

    async fn climb(&self, _: Plan, server: ladder::Server, _: Vec<IpAddr>, why: Why) -> Climb {
        let server = server.host.parse().ok().map(|ip: IpAddr| SocketAddr::new(ip, server.port));
        self.part.climb(server, why)
    }
}

impl Part {
    fn now(&self) -> Now {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, f: impl FnOnce(&mut Now)) {
        f(&mut self.now.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn boot_id(&self, boots: u32) -> String {
        format!("{}-{boots}", self.device.name)
    }

    /// Makes a report of this machine one of the device that is played.
    fn dress(&self, call: &mut CheckIn) {
        let now = self.now();
        call.agent.boot_id = self.boot_id(now.boots);
        call.agent.booted_at = call.agent.started_at - BOOT_TAKES;
        let booted_at = call.agent.booted_at;
        for record in call.records.iter_mut().chain(&mut call.current) {
            record.boot = None;
            match &mut record.what {
                What::Status(status) => {
                    self.device.name.clone_into(&mut status.host_name);
                    status.address = Some(now.address.into());
                    status.interfaces = vec![interface(now.address)];
                    status.gateways = cast::gateway(self.device).into_iter().collect();
                    (status.resolvers, status.disks) = (Vec::new(), Vec::new());
                }
                What::Gap(gap) => boots_anew(gap, now),
                What::Boot(Boot { boot_id, booted_at: at, .. }) => {
                    (*boot_id, *at) = (self.boot_id(now.boots), booted_at);
                }
                What::Outage(outage) => here(outage, now),
                What::Change(_) | What::Result(_) | What::Ladder(_) | What::Dropped(_) => {}
            }
        }
    }

    /// What the ladder of evidence finds: all holds, or the gateway is silent and nothing beyond it is reached.
    fn climb(&self, server: Option<SocketAddr>, why: Why) -> Climb {
        let now = self.now();
        let interface = INTERFACE.to_owned();
        let held = |step| rung(step, Held::Ok, "");
        let beyond =
            |step| if now.is_cut { rung(step, Held::Fail, "timed out") } else { rung(step, Held::Ok, "") };
        let mut rungs = vec![
            held(Step::Link { interface: interface.clone(), speed_mbit: Some(1_000) }),
            held(Step::Address { interface, family: Family::Ipv4, addresses: vec![prefixed(now.address)] }),
        ];
        if let Some(gateway) = cast::gateway(self.device) {
            let (mac, state) = if now.is_cut {
                (String::new(), "failed".to_owned())
            } else {
                ("02:00:00:00:00:01".to_owned(), "reachable".to_owned())
            };
            rungs.push(beyond(Step::Neighbour { gateway, mac, state }));
            rungs.push(beyond(Step::Gateway { gateway }));
        }
        if let Some(address) = server {
            rungs.push(beyond(Step::ServerConnect { address, refused: false }));
        }
        Climb { outage: None, why, took: Millis(40), rungs }
    }
}

fn rung(step: Step, outcome: Held, reason: &str) -> Rung {
    let rtt_us = (outcome == Held::Ok).then_some(400);
    Rung { step, outcome, reason: reason.to_owned(), after: Millis(10), rtt_us, loss_permille: None }
}

/// An end that was not in order is that of the machine: this one was not booted, but the one that is played was.
fn boots_anew(gap: &mut Gap, now: Now) {
    if gap.restarted && !gap.clean && !gap.booted {
        (gap.booted, gap.boots, gap.booted_at) = (true, 1, Some(gap.to - BOOT_TAKES));
        // Lines that were not on the disk yet are lost; a story knows better.
        gap.from = now.dark_since.or(gap.from);
    }
    gap.last.iter_mut().for_each(|line| plain(line, now));
}

fn here(outage: &mut AgentOutage, now: Now) {
    outage.before.iter_mut().for_each(|line| plain(line, now));
    let address = Some(IpAddr::from(now.address));
    outage.address_before = outage.address_before.and(address);
    outage.address_after = outage.address_after.and(address);
}

/// A line of the flight record without what it says of this machine's own network.
fn plain(line: &mut Moment, now: Now) {
    *line = Moment {
        at: line.at,
        mono: line.mono,
        awake: line.awake,
        interface: INTERFACE.to_owned(),
        carrier: Some(true),
        addresses: vec![prefixed(now.address)],
        checked_in_at: line.checked_in_at,
        ..Moment::default()
    };
}

fn prefixed(address: Ipv4Addr) -> String {
    format!("{address}/24")
}

fn interface(address: Ipv4Addr) -> Interface {
    let [_, _, net, host] = address.octets();
    Interface {
        name: INTERFACE.to_owned(),
        mac: format!("02:00:00:00:{net:02x}:{host:02x}"),
        up: true,
        addresses: vec![prefixed(address)],
        ..Interface::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part() -> Part {
        let device = cast::find("van-7").unwrap();
        let now = Now { address: device.address, is_cut: false, boots: 2, dark_since: Some(Time(9_000)) };
        Part { device, now: Mutex::new(now) }
    }

    #[test]
    fn an_agent_says_what_the_device_is_like_that_it_plays() {
        let part = part();
        let status = ::agent::report::Status { host_name: "laptop".into(), ..Default::default() };
        let gap = Gap {
            from: Some(Time(1)),
            to: Time(40_000),
            booted: false,
            boots: 0,
            booted_at: None,
            restarted: true,
            clean: false,
            suspended: Millis::ZERO,
            last: Some(Moment { gateway: Some([192, 0, 2, 1].into()), ..Moment::default() }),
        };
        let record = |seq, what| ::agent::report::Record {
            seq,
            at: Time(seq.cast_signed()),
            mono: Millis(1),
            boot: None,
            what,
        };
        let records = vec![record(1, What::Status(status)), record(2, What::Gap(gap))];
        let mut call = CheckIn { records, ..CheckIn::default() };
        part.dress(&mut call);
        assert_eq!(call.agent.boot_id, "van-7-2");
        let What::Status(status) = &call.records[0].what else { panic!("{call:?}") };
        assert_eq!((status.host_name.as_str(), status.address), ("van-7", Some([127, 77, 3, 70].into())));
        let What::Gap(gap) = &call.records[1].what else { panic!("{call:?}") };
        assert!(gap.booted && gap.booted_at == Some(Time(38_000)), "the power was gone: {gap:?}");
        assert_eq!(
            gap.last.as_ref().and_then(|line| line.gateway),
            None,
            "nothing of this machine's network"
        );
    }

    #[test]
    fn who_is_cut_off_finds_the_gateway_silent() {
        let part = part();
        let failed = |part: &Part| -> Vec<&'static str> {
            let climb = part.climb("127.0.0.1:8080".parse().ok(), Why::Failure);
            let fell = climb.rungs.iter().filter(|rung| rung.outcome == Held::Fail);
            fell.map(|rung| rung.step.word()).collect()
        };
        assert!(failed(&part).is_empty());
        part.change(|now| now.is_cut = true);
        assert_eq!(failed(&part), ["neighbour", "gateway", "server-connect"]);
    }
}
