//! What one look at the evidence finds.

use std::net::IpAddr;

use agent::report::Held;
use schedules::{Millis, Time};

use super::picture::Picture;
use super::{Code, Evidence, Who, route};
use crate::domain::dossier::Dossier;

/// What held beside a fault, as far as the climbs that show it measured it: a sentence claims no more than that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beside {
    /// The gateway answered.
    pub gateway: Held,
    /// Something of the provider, or beyond it, was reached.
    pub line: Held,
    /// Every anchor that a person named was reached.
    pub anchors: Held,
    /// Names that are not ours resolved.
    pub names: Held,
}

impl Beside {
    /// Nothing is known of it.
    pub const NOTHING: Beside = Beside {
        gateway: Held::NotMeasured,
        line: Held::NotMeasured,
        anchors: Held::NotMeasured,
        names: Held::NotMeasured,
    };

    /// What one climb found.
    #[must_use]
    pub fn of(now: &Picture<'_>) -> Beside {
        let named = now.anchors().filter(|anchor| anchor.given).map(|anchor| anchor.held);
        let beyond = |at: IpAddr| !now.is_local(at) && !route::is_private(at);
        let line = now.anchors().any(|anchor| anchor.held == Held::Ok)
            || now
                .connects()
                .any(|(at, refused, held)| (held == Held::Ok || refused) && !now.is_local(at.ip()))
            || now.asked().any(|asked| asked.held == Held::Ok && beyond(asked.resolver))
            || now.page() == Held::Ok;
        Beside {
            gateway: now.gateway(),
            line: if line { Held::Ok } else { Held::NotMeasured },
            anchors: all_hold(named),
            names: crate::domain::dossier::any_holds(
                now.asked().filter(|asked| !asked.ours).map(|asked| asked.held),
            ),
        }
    }

    /// What two climbs come to: what one of them found failed did not hold all the time.
    #[must_use]
    pub fn and(self, other: Beside) -> Beside {
        Beside {
            gateway: all_hold([self.gateway, other.gateway]),
            line: all_hold([self.line, other.line]),
            anchors: all_hold([self.anchors, other.anchors]),
            names: all_hold([self.names, other.names]),
        }
    }
}

/// One that fails is enough; what was not measured says nothing.
fn all_hold(all: impl IntoIterator<Item = Held>) -> Held {
    let mut sum = Held::NotMeasured;
    for one in all {
        match one {
            Held::Fail => return Held::Fail,
            Held::Ok => sum = Held::Ok,
            Held::NotMeasured => {}
        }
    }
    sum
}

/// A fault that the evidence speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which one.
    pub code: Code,
    /// How sure it is, in percent.
    pub sure: u8,
    /// Since when.
    pub since: Time,
    /// Until when, where that is known.
    pub until: Option<Time>,
    /// What speaks for it.
    pub evidence: Vec<Evidence>,
    /// What of it is named: an interface, a gateway, a resolver, a hop.
    pub thing: String,
    /// Its address, where it has one.
    pub address: Option<IpAddr>,
    /// How many devices it concerns.
    pub devices: usize,
    /// Another device of the site told it, this one cannot.
    pub is_hearsay: bool,
    /// Who acts, where that is somebody else than usually.
    pub who: Option<Who>,
    /// What held beside it.
    pub beside: Beside,
    /// A second fault that the same look found.
    pub also: Option<Box<Finding>>,
}

impl Finding {
    /// One that is found at `since`.
    #[must_use]
    pub fn new(code: Code, sure: u8, since: Time, evidence: Vec<Evidence>) -> Finding {
        Finding {
            code,
            sure,
            since,
            until: None,
            evidence,
            thing: String::new(),
            address: None,
            devices: 1,
            is_hearsay: false,
            who: None,
            beside: Beside::NOTHING,
            also: None,
        }
    }

    /// The same of a thing.
    #[must_use]
    pub fn of(self, thing: impl ToString) -> Finding {
        Finding { thing: thing.to_string(), ..self }
    }

    /// How much of the outage it lasted.
    #[must_use]
    pub fn covers(&self, dossier: &Dossier) -> Millis {
        let until = self.until.unwrap_or(dossier.end()).min(dossier.end());
        Millis(until.since(self.since.max(dossier.from)).0.max(0))
    }

    /// Whether the other follows from this one, and is no fault of its own: what a site without power shows while it comes
    /// back, and what cannot work behind what is down.
    #[must_use]
    pub fn implies(&self, other: &Finding) -> bool {
        /// How long a site takes to be itself again once it has power.
        const COMES_UP: Millis = Millis::from_secs(240);
        let local = matches!(
            other.code,
            Code::Link
                | Code::NoAddress
                | Code::Gateway
                | Code::LastMile
                | Code::ProviderCore
                | Code::Transit
                | Code::Resolver
                | Code::DnsBlocked
                | Code::LineNoise
                | Code::Path
        );
        if self.code.is_own_power() || self.code == Code::Reboot {
            let comes_up = self.until.unwrap_or(Time::MAX) + COMES_UP;
            return local && other.since >= self.since && other.until.is_none_or(|until| until <= comes_up);
        }
        let noisy = matches!(self.code, Code::LineNoise | Code::Congestion);
        (self.code == Code::Server && other.code == Code::Path)
            || (noisy && (local || other.code == Code::Mtu))
    }
}
