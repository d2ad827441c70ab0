//! What one look at the evidence finds.

use std::net::IpAddr;

use schedules::{Millis, Time};

use super::{Code, Evidence, Who};
use crate::domain::dossier::Dossier;

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
