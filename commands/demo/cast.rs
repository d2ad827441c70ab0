//! Who plays: a small provider with four sites and 25 devices. All of it is made up, and all of it is on loopback.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use ::agent::JoinToken;
use ::agent::report::Probe;
use jiff::tz::TimeZone;
use lineman::domain::check::Kind;
use lineman::domain::device::Importance::{self, Critical, High, Low, Normal};
use lineman::domain::maintenance::{Ends, Recurring};
use lineman::domain::provider;
use lineman::server::config::ADDRESS;
use lineman::store::events::Actor;
use lineman::store::maintenance::{self, Subject, When};
use lineman::store::{WriteTx, agents, checks, devices, settings, sites};
use schedules::Millis;

use crate::failure::Failure;

/// Everything in seconds, so that a story of minutes shows what else takes hours.
const SETTINGS: &[(&str, &str)] = &[
    ("agent.cut_off_after", "2"),
    ("agent.retry_max", "3s"),
    ("check.every", "3s"),
    ("check.retry", "1s"),
    ("check.timeout", "1s"),
    ("check_in.every", "3s"),
    ("check_in.grace", "1s"),
    ("flap.quiet", "30s"),
    ("flap.window", "2m"),
    ("ladder.again", "5s,10s"),
    ("ladder.baseline", "10m"),
    ("recorder.every", "3s"),
    ("ticket.group_wait", "3s"),
    ("ticket.settle", "20s"),
];

/// A place, and who brings it its line.
pub struct Site {
    name: &'static str,
    zone: &'static str,
    note: &'static str,
    provider: &'static str,
    circuit: &'static str,
    phone: &'static str,
    mail: &'static str,
}

/// The places.
pub const SITES: &[Site] = &[
    Site {
        name: "exchange",
        zone: "Europe/London",
        note: "the old telephone exchange; key at the bakery",
        provider: "Northway Fibre",
        circuit: "NF-20417",
        phone: "+44 1632 960117",
        mail: "noc@northway.example",
    },
    Site {
        name: "mill-lane",
        zone: "Europe/London",
        note: "shop and flats, Mill Lane 4",
        provider: "Pennine Wireless",
        circuit: "PW-118",
        phone: "+44 1632 960204",
        mail: "faults@pennine.example",
    },
    Site {
        name: "harbour",
        zone: "Europe/Lisbon",
        note: "the harbour master lets you in from 7:00",
        provider: "Cabo Atlantico",
        circuit: "CA-7730-B",
        phone: "+351 21 555 0142",
        mail: "suporte@cabo.example",
    },
    Site {
        name: "summit",
        zone: "Europe/Vienna",
        note: "cable car, then 20 minutes on foot",
        provider: "Bergnetz",
        circuit: "BN-0042",
        phone: "+43 512 5550 17",
        mail: "stoerung@bergnetz.example",
    },
];

/// A thing on the network.
pub struct Device {
    /// Its name.
    pub name: &'static str,
    /// Its site.
    pub site: &'static str,
    /// Where it is.
    pub address: Ipv4Addr,
    /// Where it is at other times, if it moves.
    pub elsewhere: Option<Ipv4Addr>,
    /// What it hangs on.
    pub parent: Option<&'static str>,
    /// What answers there.
    pub service: Service,
    /// Whether an agent of ours runs on it.
    pub has_agent: bool,
    importance: Importance,
    tags: &'static [&'static str],
}

/// What answers at a device's port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// It takes connections.
    Plain,
    /// It answers HTTP requests.
    Web,
}

const fn device(
    name: &'static str,
    site: &'static str,
    (net, host): (u8, u8),
    parent: &'static str,
    importance: Importance,
    tags: &'static [&'static str],
) -> Device {
    Device {
        name,
        site,
        address: Ipv4Addr::new(127, 77, net, host),
        elsewhere: None,
        parent: if parent.is_empty() { None } else { Some(parent) },
        service: Service::Plain,
        has_agent: false,
        importance,
        tags,
    }
}

impl Device {
    const fn web(self) -> Device {
        Device { service: Service::Web, ..self }
    }

    const fn with_agent(self) -> Device {
        Device { has_agent: true, ..self }
    }

    const fn or_at(self, net: u8, host: u8) -> Device {
        Device { elsewhere: Some(Ipv4Addr::new(127, 77, net, host)), ..self }
    }
}

/// The devices, each after what it hangs on.
pub const DEVICES: &[Device] = &[
    device("core-1", "exchange", (1, 1), "", Critical, &["core", "router"]),
    device("switch-exchange", "exchange", (1, 2), "core-1", High, &["core", "switch"]),
    device("billing-1", "exchange", (1, 10), "switch-exchange", High, &["server"]).with_agent(),
    device("mail-1", "exchange", (1, 11), "switch-exchange", High, &["server"]),
    device("portal-1", "exchange", (1, 12), "switch-exchange", High, &["server"]).web(),
    device("radius-1", "exchange", (1, 13), "switch-exchange", Critical, &["server"]),
    device("backup-1", "exchange", (1, 14), "switch-exchange", Low, &["server"]),
    device("router-mill-lane", "mill-lane", (2, 1), "core-1", High, &["router"]).with_agent(),
    device("switch-mill-lane", "mill-lane", (2, 2), "router-mill-lane", Normal, &["switch"]),
    device("ap-mill-lane-1", "mill-lane", (2, 21), "switch-mill-lane", Normal, &["radio"]),
    device("ap-mill-lane-2", "mill-lane", (2, 22), "switch-mill-lane", Normal, &["radio"]),
    device("camera-mill-lane", "mill-lane", (2, 31), "switch-mill-lane", Low, &["camera"]),
    device("phone-mill-lane", "mill-lane", (2, 32), "switch-mill-lane", Normal, &["phone"]),
    device("till-mill-lane", "mill-lane", (2, 40), "switch-mill-lane", High, &["shop"]).with_agent(),
    device("router-harbour", "harbour", (3, 1), "core-1", High, &["router"]),
    device("switch-harbour", "harbour", (3, 2), "router-harbour", Normal, &["switch"]),
    device("ap-harbour", "harbour", (3, 21), "switch-harbour", Normal, &["radio"]),
    device("camera-harbour", "harbour", (3, 31), "switch-harbour", Low, &["camera"]),
    device("weather-harbour", "harbour", (3, 50), "switch-harbour", Normal, &["weather"]).web(),
    device("van-7", "harbour", (3, 70), "router-harbour", Low, &["vehicle"]).with_agent().or_at(3, 171),
    device("router-summit", "summit", (4, 1), "core-1", High, &["router"]).with_agent(),
    device("ap-summit-north", "summit", (4, 21), "router-summit", High, &["radio"]),
    device("ap-summit-south", "summit", (4, 22), "router-summit", High, &["radio"]),
    device("mast-summit", "summit", (4, 40), "router-summit", Normal, &["mast"]),
    device("hut-summit", "summit", (4, 41), "router-summit", Normal, &["hut"]).with_agent(),
];

/// The device of that name.
pub fn find(name: &str) -> Option<&'static Device> {
    DEVICES.iter().find(|device| device.name == name)
}

/// A device, and all that hangs on it.
pub fn with_all_behind(root: &str) -> Vec<&'static Device> {
    DEVICES.iter().filter(|device| way(device).any(|above| above.name == root)).collect()
}

/// All devices of a site.
pub fn at_site(site: &str) -> Vec<&'static Device> {
    DEVICES.iter().filter(|device| device.site == site).collect()
}

/// A device's gateway: the next router on its way.
pub fn gateway(device: &'static Device) -> Option<IpAddr> {
    way(device).skip(1).find(|above| above.tags.contains(&"router")).map(|router| router.address.into())
}

/// A device, what it hangs on, what that hangs on, …
fn way(device: &'static Device) -> impl Iterator<Item = &'static Device> {
    std::iter::successors(Some(device), |device| find(device.parent?))
}

/// What an agent joins with.
pub type Tokens = BTreeMap<&'static str, JoinToken>;

/// Writes all of it into an empty database. `ports`: where each device listens. `pings`: whether this machine may ping.
pub fn write(
    tx: &WriteTx,
    ports: &BTreeMap<&'static str, u16>,
    pings: bool,
    by: &Actor,
) -> Result<Tokens, Failure> {
    for (key, value) in SETTINGS {
        settings::set(tx, key, value, by)?;
    }
    for site in SITES {
        let made = sites::add(tx, site.name, site.zone, site.note, by)?;
        let contact = provider::Change {
            provider: Some(site.provider.to_owned()),
            circuit: Some(site.circuit.to_owned()),
            phone: Some(site.phone.to_owned()),
            mail: Some(site.mail.to_owned()),
        };
        sites::set_contact(tx, &made, &contact, by)?;
    }
    let mut tokens = Tokens::new();
    for device in DEVICES {
        let made = add(tx, device, ports.get(device.name).copied().unwrap_or_default(), by)?;
        if pings && device.tags.contains(&"core") {
            checks::add(tx, &ping(&made), by)?;
        }
        if device.has_agent {
            let token = JoinToken::random(None);
            let token = token.map_err(|e| Failure::failed(format!("make a join token: {e}")))?;
            agents::make_token(tx, made.id, &token.hash(), by)?;
            tokens.insert(device.name, token);
        }
    }
    maintenance::add(tx, &nights()?, by)?;
    Ok(tokens)
}

fn add(tx: &WriteTx, device: &Device, port: u16, by: &Actor) -> Result<devices::Device, Failure> {
    let new = devices::New {
        site: Some(sites::get(tx, device.site)?.id),
        address: Some(device.address.to_string()),
        importance: device.importance,
        tags: device.tags.iter().map(|tag| (*tag).to_owned()).collect(),
        parents: device.parent.into_iter().map(ToOwned::to_owned).collect(),
        note: "part of the demonstration: a listener on this machine".to_owned(),
        ..devices::New::named(device.name)
    };
    let made = devices::add(tx, &new, by)?;
    let tcp = Probe::Tcp { target: String::new(), port };
    checks::add(tx, &checks::New { probe: Some(tcp), ..checks::New::plain(made.id, Kind::Tcp) }, by)?;
    if device.service == Service::Web {
        let http = Probe::Http {
            url: format!("http://{ADDRESS}:{port}/"),
            status: String::new(),
            keyword: device.name.to_owned(),
            redirects: 0,
            insecure: false,
        };
        checks::add(tx, &checks::New { probe: Some(http), ..checks::New::plain(made.id, Kind::Http) }, by)?;
    }
    Ok(made)
}

/// A ping: only of what never goes down, as everything on loopback answers pings.
fn ping(device: &devices::Device) -> checks::New {
    let probe = Probe::Icmp { target: String::new(), packets: 1, warn_loss_permille: None, warn_rtt: None };
    checks::New { probe: Some(probe), ..checks::New::plain(device.id, Kind::Icmp) }
}

/// The planned window: the core is worked on at night.
fn nights() -> Result<maintenance::New, Failure> {
    let zone = "Europe/London";
    let bad = |e: &dyn std::fmt::Display| Failure::failed(format!("plan the maintenance: {e}"));
    let cron = format!("0 2 * * 4 {zone}").parse().map_err(|e: schedules::BadCadence| bad(&e))?;
    let recurring = Recurring {
        cron,
        ends: Ends::After(Millis::from_secs(2 * 3_600)),
        zone: TimeZone::get(zone).map_err(|e| bad(&e))?,
    };
    Ok(maintenance::New {
        subject: Subject::Tag("core".to_owned()),
        when: When::Again(recurring),
        time_zone: zone.to_owned(),
        note: "work on the core, Thursdays at night".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn there_are_four_sites_and_25_devices_all_on_loopback_each_after_what_it_hangs_on() {
        assert_eq!((SITES.len(), DEVICES.len()), (4, 25));
        let mut seen = BTreeSet::new();
        let mut addresses = BTreeSet::new();
        for device in DEVICES {
            assert!(SITES.iter().any(|site| site.name == device.site), "{}", device.name);
            assert!(device.parent.is_none_or(|parent| seen.contains(parent)), "{}", device.name);
            assert!(seen.insert(device.name), "{}", device.name);
            for address in std::iter::once(device.address).chain(device.elsewhere) {
                assert!(address.is_loopback() && addresses.insert(address), "{address}");
            }
        }
    }

    #[test]
    fn six_hang_on_the_router_at_mill_lane() {
        let names: Vec<&str> = with_all_behind("router-mill-lane").iter().map(|device| device.name).collect();
        assert_eq!(names.len(), 7, "{names:?}");
        assert_eq!(at_site("mill-lane").len(), 7);
        let till = find("till-mill-lane").unwrap();
        assert_eq!(gateway(till), Some(IpAddr::from([127, 77, 2, 1])));
    }
}
