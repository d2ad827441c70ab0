//! One climb of the ladder of evidence: which step towards the server holds, and which does not.

use std::net::{IpAddr, SocketAddr};

use schedules::{Millis, Time};
use serde::{Deserialize, Serialize};

/// One climb. Its record is dated when the climb began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Climb {
    /// `began_at` of the [`AgentOutage`](super::AgentOutage) it belongs to; absent: nothing was wrong, or nobody knew yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outage: Option<Time>,
    /// Why it was climbed.
    pub why: Why,
    /// How long all of it took.
    pub took: Millis,
    /// What each rung found, in the order in which they were tried.
    pub rungs: Vec<Rung>,
}

/// Why the ladder was climbed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// A check-in failed.
    Failure,
    /// The agent is cut off, and looks again.
    Again,
    /// The server answers again.
    Recovery,
    /// All is well: what the line is like on a good day, to compare with.
    Baseline,
    /// A person asked for it.
    Asked,
}

/// What one rung found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rung {
    /// Which step, and what is known of it.
    #[serde(flatten)]
    pub step: Step,
    /// How it ended.
    pub outcome: Held,
    /// Why it failed, or why it was not measured; empty where it held.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// When it ended, from the beginning of the climb.
    #[serde(default)]
    pub after: Millis,
    /// The answer's time in microseconds, where one came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rtt_us: Option<u32>,
    /// Packets lost, in thousandths, where several were sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_permille: Option<u32>,
}

/// How a rung ended. What was not measured did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Held {
    /// It holds.
    Ok,
    /// It does not.
    Fail,
    /// Nobody knows: it was not configured, or could not be tried.
    NotMeasured,
}

/// A step towards the server, cheapest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "rung", rename_all = "kebab-case")]
pub enum Step {
    /// The interface on the way out has a carrier.
    Link {
        /// Its name; empty where there is none.
        interface: String,
        /// Its speed in Mbit/s.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        speed_mbit: Option<u32>,
    },
    /// It has an address of this family that reaches beyond the link.
    Address {
        /// The interface.
        interface: String,
        /// Which family.
        family: Family,
        /// Its addresses with prefix length.
        #[serde(default)]
        addresses: Vec<String>,
    },
    /// The gateway's hardware address is known (ARP or neighbour discovery).
    Neighbour {
        /// The gateway.
        gateway: IpAddr,
        /// Its hardware address; empty where nobody answers.
        #[serde(default)]
        mac: String,
        /// The kernel's word for the entry: `reachable`, `stale`, `failed`, ….
        #[serde(default)]
        state: String,
    },
    /// The gateway answers pings.
    Gateway {
        /// The gateway.
        gateway: IpAddr,
    },
    /// An anchor is reached by its literal address; a refused connection counts as reached.
    Anchor {
        /// The anchor.
        address: IpAddr,
        /// Whether it was given, or is the next hop beyond the gateway.
        given: bool,
    },
    /// A resolver answers a question.
    Resolver {
        /// The resolver.
        resolver: IpAddr,
        /// Whether this machine is configured to ask it; else it is the other one, to compare with.
        configured: bool,
        /// Over which transport.
        transport: Transport,
        /// The name that was asked for.
        name: String,
        /// Whether that is the server's own name.
        ours: bool,
        /// The answer's code, `NOERROR`, `NXDOMAIN`, `SERVFAIL`, …; absent where none came.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rcode: Option<String>,
        /// The addresses in it.
        #[serde(default)]
        addresses: Vec<IpAddr>,
    },
    /// A page with a known body comes back unchanged.
    Page {
        /// Its URL.
        url: String,
        /// The status it came with.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
        /// Whether one came that is not the known one: somebody in between answers.
        #[serde(default)]
        changed: bool,
    },
    /// The server's name resolves (as this machine resolves names); for a literal address it is not measured.
    ServerName {
        /// The name.
        host: String,
        /// Its addresses.
        #[serde(default)]
        addresses: Vec<IpAddr>,
    },
    /// The server's port accepts a connection.
    ServerConnect {
        /// Where.
        address: SocketAddr,
        /// Whether somebody refused it: then the host itself was reached.
        #[serde(default)]
        refused: bool,
    },
    /// The server proves who it is.
    ServerTls {
        /// What is wrong, where something is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<TlsError>,
        /// By how much the device's clock lies outside of the certificate's validity; negative: before it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        clock_off: Option<Millis>,
    },
    /// The server answers a request.
    ServerAnswer {
        /// The status it answered with.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
    },
    /// The way there, hop by hop.
    Route {
        /// Where to.
        target: IpAddr,
        /// Whether that is the server, else an anchor.
        server: bool,
        /// With which packets.
        transport: Transport,
        /// The hops, the first one first. Silent ones at the end are left out.
        hops: Vec<Hop>,
    },
    /// The largest packet that passes unfragmented.
    PacketSize {
        /// Where to.
        target: IpAddr,
        /// The largest IP packet that came through, in bytes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        largest: Option<u32>,
        /// What the interface would let through.
        mtu: u32,
        /// Whether somebody on the way said that a packet was too large, as it ought to.
        #[serde(default)]
        told: bool,
    },
}

impl Step {
    /// The word for it on the wire and in lists.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Step::Link { .. } => "link",
            Step::Address { .. } => "address",
            Step::Neighbour { .. } => "neighbour",
            Step::Gateway { .. } => "gateway",
            Step::Anchor { .. } => "anchor",
            Step::Resolver { .. } => "resolver",
            Step::Page { .. } => "page",
            Step::ServerName { .. } => "server-name",
            Step::ServerConnect { .. } => "server-connect",
            Step::ServerTls { .. } => "server-tls",
            Step::ServerAnswer { .. } => "server-answer",
            Step::Route { .. } => "route",
            Step::PacketSize { .. } => "packet-size",
        }
    }
}

/// A family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

/// What carried a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// ICMP echo.
    Icmp,
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// Why TLS failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TlsError {
    /// The certificate is not valid any more.
    Expired,
    /// The certificate is not valid yet.
    NotYetValid,
    /// Its key is not the one that was promised, and nobody trusted vouches for it.
    Untrusted,
    /// It is for another name.
    OtherName,
    /// What answers does not speak TLS.
    NotTls,
    /// Anything else.
    Other,
}

/// One hop of a route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hop {
    /// How far away, from 1.
    pub ttl: u8,
    /// Who answered; absent: nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// The fastest answer, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rtt_us: Option<u32>,
    /// How many packets were sent.
    pub sent: u8,
    /// How many were answered.
    pub answered: u8,
    /// Whether this is the target itself.
    #[serde(default)]
    pub last: bool,
    /// Where the answer was not `time exceeded` or that of the target: `host unreachable`, `prohibited`, ….
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub said: String,
}

/// What the ladder may ask beyond the device's own network: all of it was given by a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Plan {
    /// Literal addresses to reach; none: the next hops beyond the gateway on the way to the server are asked.
    pub anchors: Vec<IpAddr>,
    /// The URL of a page with a known body; empty: none.
    pub page: String,
    /// What its body holds.
    pub page_body: String,
    /// A resolver to compare the configured ones with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolver: Option<IpAddr>,
    /// A name that resolves where the server's does not; empty: the host of `page`, else the root's name servers.
    pub name: String,
    /// The most hops of a route.
    pub hops: u8,
    /// The longest wait for one answer.
    pub timeout: Millis,
    /// How soon the ladder is climbed again after each climb while the agent is cut off; the last one repeats.
    pub again: Vec<Millis>,
    /// How often the line of a good day is measured, to compare with; zero: never.
    pub baseline: Millis,
}

impl Default for Plan {
    fn default() -> Plan {
        Plan {
            anchors: Vec::new(),
            page: String::new(),
            page_body: String::new(),
            resolver: None,
            name: String::new(),
            hops: 20,
            timeout: Millis::from_secs(1),
            again: [10, 30, 120, 600].map(Millis::from_secs).to_vec(),
            baseline: Millis::from_secs(6 * 3_600),
        }
    }
}
