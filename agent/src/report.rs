//! What an agent and the server say to each other: the wire types, in one place, used by both sides.
//!
//! JSON over HTTP. Times are integer milliseconds since 1970 UTC, spans are milliseconds, addresses are strings.
//! Fields may be added; what is there keeps its meaning. A field that is missing is empty, so that an older agent
//! can speak to a newer server and the other way round.

mod ladder;
mod moment;

use std::net::IpAddr;

use schedules::{Millis, Time};
use serde::{Deserialize, Serialize};

pub use ladder::{Climb, Family, Held, Hop, Plan, Rung, Step, TlsError, Transport, Why};
pub use moment::{First, Gap, Moment};

/// The most records one check-in may carry.
pub const MAX_RECORDS: usize = 500;
/// The largest body of a check-in, in bytes, after it is unpacked.
pub const MAX_BODY: usize = 4 * 1024 * 1024;
/// Bodies larger than this many bytes are sent gzipped.
pub const GZIP_OVER: usize = 1024;

/// `POST /api/agent/join`: a new agent shows its token and says what it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Join {
    /// The secret part of the join token.
    pub token: String,
    /// The machine's host name.
    #[serde(default)]
    pub host_name: String,
    /// The agent's version.
    #[serde(default)]
    pub version: String,
    /// The machine's interfaces.
    #[serde(default)]
    pub interfaces: Vec<Interface>,
}

/// What the server answers a new agent: who it is from now on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Joined {
    /// The device's number.
    pub device: i64,
    /// The device's name.
    pub name: String,
    /// The bearer secret of every check-in. The server keeps only its hash.
    pub secret: String,
}

/// `POST /api/agent/check-in`: one call carries everything.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CheckIn {
    /// Which agent this is, and since when it runs.
    #[serde(default)]
    pub agent: AgentInfo,
    /// The device's clock when it sent this.
    pub sent_at: Time,
    /// The device's time since boot when it sent this.
    #[serde(default)]
    pub sent_mono: Millis,
    /// Identity of the agent's database: a random id made with it. Sequence numbers belong to it.
    pub log: String,
    /// The newest status and the newest result of each check that are neither acknowledged nor in `records`: what
    /// the server must know at once, however long the backlog.
    #[serde(default)]
    pub current: Vec<Record>,
    /// The backlog: at most [`MAX_RECORDS`], strictly in order of `seq`.
    #[serde(default)]
    pub records: Vec<Record>,
    /// How many more records wait after these.
    #[serde(default)]
    pub waiting: u64,
    /// The etag of the configuration the agent runs, if it has one.
    #[serde(default)]
    pub config: Option<String>,
}

/// Which agent sends: its version, and the boot and start it runs in.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AgentInfo {
    /// The agent's version.
    #[serde(default)]
    pub version: String,
    /// The kernel's boot id.
    #[serde(default)]
    pub boot_id: String,
    /// When the machine was booted, by the device's clock.
    #[serde(default)]
    pub booted_at: Time,
    /// When the agent was started, by the device's clock.
    #[serde(default)]
    pub started_at: Time,
}

/// One line of an agent's log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Rises by one per record of one log, from 1.
    pub seq: u64,
    /// The device's clock when this happened.
    pub at: Time,
    /// The device's time since boot when this happened.
    #[serde(default)]
    pub mono: Millis,
    /// The boot in which this happened, where it is not the boot of the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<String>,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
}

/// What a record tells. On the wire the field `kind` names the case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum What {
    /// What the device is like now.
    Status(Status),
    /// A check's result.
    Result(CheckResult),
    /// A link, an address, a route or a resolver changed.
    Change(Change),
    /// One climb of the ladder of evidence.
    Ladder(Climb),
    /// The agent's record has a gap: power, a boot, sleep, or the agent itself.
    Gap(Gap),
    /// The agent was cut off, or is connected again.
    Outage(AgentOutage),
    /// The agent was started.
    Boot(Boot),
    /// Records were thrown away because the backlog was full.
    Dropped(Dropped),
}

/// What the device is like: its network, and its load.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// The host name.
    pub host_name: String,
    /// Name and version of the operating system.
    pub os: String,
    /// Version of the kernel.
    pub kernel: String,
    /// The address the device uses on its route to the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// All interfaces but loopback.
    pub interfaces: Vec<Interface>,
    /// Default gateways, IPv4 first.
    pub gateways: Vec<IpAddr>,
    /// Configured resolvers, in their order.
    pub resolvers: Vec<IpAddr>,
    /// Time since boot.
    pub uptime_ms: Millis,
    /// Processor time in use over the last interval, in thousandths of all cores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_permille: Option<u32>,
    /// Load average of one minute, in hundredths.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_centi: Option<u32>,
    /// Memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Usage>,
    /// Disks, one for each mounted file system on a device.
    pub disks: Vec<Disk>,
}

impl Status {
    /// Whether one of the interfaces has that address.
    #[must_use]
    pub fn has(&self, wanted: IpAddr) -> bool {
        let of = |text: &String| text.split('/').next().and_then(|text| text.parse::<IpAddr>().ok());
        self.interfaces.iter().flat_map(|interface| &interface.addresses).any(|text| of(text) == Some(wanted))
    }
}

/// One network interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Interface {
    /// Its name, as the system calls it.
    pub name: String,
    /// Its hardware address, `aa:bb:cc:dd:ee:ff`; empty where it has none.
    pub mac: String,
    /// Whether it is up with a carrier.
    pub up: bool,
    /// Its addresses with prefix length, `192.0.2.7/24`.
    pub addresses: Vec<String>,
    /// Bytes received since boot.
    pub rx_bytes: u64,
    /// Bytes sent since boot.
    pub tx_bytes: u64,
    /// Receive and transmit errors since boot.
    pub errors: u64,
    /// Packets dropped since boot, both ways.
    pub drops: u64,
}

/// How much of something is used, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// All there is.
    pub total: u64,
    /// What is in use.
    pub used: u64,
}

/// One mounted file system.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// Where it is mounted.
    pub mount: String,
    /// How full it is.
    #[serde(flatten)]
    pub usage: Usage,
}

/// What one run of a check found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckResult {
    /// The check's number, as the configuration named it.
    pub check: i64,
    /// How it ended.
    pub outcome: Outcome,
    /// How many results in a row were alike, this one among them, as the agent that runs the check counts (`ok` and
    /// `warn` are alike). 0: the agent does not count, the server does.
    #[serde(default)]
    pub in_a_row: u32,
    /// When the first of those was (the device's clock); absent: this one is the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// Round trip or answer time in microseconds: the average of one run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rtt_us: Option<u32>,
    /// Packets lost, in thousandths of those sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_permille: Option<u32>,
    /// One sentence for a person: what was measured or what failed. At most 500 bytes.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// How one run of a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// All is well.
    Ok,
    /// It answers, but something is over its limit.
    Warn,
    /// It failed.
    Fail,
    /// It could not be measured: that says nothing about the device.
    Unknown,
}

/// Something of the network changed at the device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// `link`, `address`, `gateway`, `resolver`, `host-name` or `clock`.
    pub subject: String,
    /// Which one: an interface's name, say.
    #[serde(default)]
    pub name: String,
    /// What it was; empty where there was nothing.
    #[serde(default)]
    pub from: String,
    /// What it is; empty where there is nothing.
    #[serde(default)]
    pub to: String,
}

/// The agent's own view of having been cut off from the server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AgentOutage {
    /// When the first try failed, by the device's clock.
    pub began_at: Time,
    /// When a try succeeded again; absent while it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Time>,
    /// How many tries failed.
    pub tries: u32,
    /// What the first failed try said.
    #[serde(default)]
    pub reason: String,
    /// The frozen minutes before it, the oldest first: sent once, with its end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<Moment>,
    /// The address on the way to the server before it and after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address_before: Option<IpAddr>,
    /// See above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address_after: Option<IpAddr>,
    /// In which order the steps held again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub firsts: Vec<First>,
    /// How often the machine was booted meanwhile.
    #[serde(default)]
    pub boots: u32,
}

/// A start of the agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boot {
    /// The kernel's boot id.
    pub boot_id: String,
    /// When the machine was booted, by the device's clock.
    pub booted_at: Time,
    /// Whether the agent was stopped in order before this start; absent on its very first start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clean: Option<bool>,
}

/// Records that were thrown away because the backlog was full.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// How many.
    pub count: u64,
    /// The device's clock at the oldest of them.
    pub first_at: Time,
    /// The device's clock at the newest of them.
    pub last_at: Time,
}

/// What the server answers a check-in.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// The highest `seq` of the log that is durable: committed and synced. The agent may forget records up to it.
    pub acked: u64,
    /// The server's clock.
    pub server_time: Time,
    /// The agent's configuration, where its etag differs from the one the agent named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Config>,
    /// When to call again, in milliseconds; 0: at the agent's own cadence.
    #[serde(default)]
    pub next_in_ms: Millis,
}

/// What an agent is to do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// Identity of this configuration.
    pub etag: String,
    /// How often to check in.
    pub check_in_every: Millis,
    /// After how many failed tries in a row the agent calls itself cut off.
    pub cut_off_after: u32,
    /// The longest wait between two tries while the server does not answer.
    pub retry_max: Millis,
    /// How long records that are not acknowledged are kept.
    pub keep_for: Millis,
    /// How many bytes of records are kept at most.
    pub keep_bytes: u64,
    /// What the ladder of evidence asks.
    #[serde(default)]
    pub ladder: Plan,
    /// How often the flight recorder writes a line; zero: as often as check-ins are.
    #[serde(default)]
    pub record_every: Millis,
    /// The checks to run.
    #[serde(default)]
    pub tasks: Vec<Task>,
}

/// One check that the agent is to run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// The check's number.
    pub check: i64,
    /// What to do.
    pub probe: Probe,
    /// When: a span (`30s`), or a cron line with an optional time zone (`0 7 * * 1-5 Europe/Berlin`).
    pub cadence: String,
    /// After a failure, try again after this long; once `attempts` failed in a row, the wait doubles each time, up to
    /// the cadence. (A task that is new in a configuration runs at once.)
    pub retry: Millis,
    /// How many failures in a row make the check failed hard.
    pub attempts: u32,
    /// The longest wait for an answer.
    pub timeout: Millis,
    /// Somebody wants a result now: where this differs from the configuration before, the check runs at once.
    #[serde(default)]
    pub nudge: u64,
}

/// One probe, with all it needs to know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Probe {
    /// ICMP echo.
    Icmp {
        /// Address or name.
        target: String,
        /// How many packets, 1 to 20.
        packets: u32,
        /// Loss of more than this, in thousandths, is `warn`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        warn_loss_permille: Option<u32>,
        /// A round trip of more than this is `warn`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        warn_rtt: Option<Millis>,
    },
    /// A TCP connection.
    Tcp {
        /// Address or name.
        target: String,
        /// Port.
        port: u16,
    },
    /// An HTTP request.
    Http {
        /// `http://` or `https://`.
        url: String,
        /// The statuses that are good, `200-299,401`; empty: 200 to 399.
        #[serde(default)]
        status: String,
        /// A text that the body must hold; empty: any body.
        #[serde(default)]
        keyword: String,
        /// How many redirects are followed; beyond it the check fails.
        #[serde(default)]
        redirects: u32,
        /// The certificate is verified, unless this says not to.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        insecure: bool,
    },
}

/// What every error answer of the server carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// One sentence: what is wrong, and what to do.
    pub error: String,
    /// The record that is wrong, where one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
}
