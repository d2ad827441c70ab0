//! The text that is sent to whoever is to act: enough for somebody who has never heard of us.

use super::picture::{Picture, Way};
use super::sentence::{clock_with_zone, long_span};
use super::{Verdict, Who};
use crate::domain::dossier::Dossier;

/// The most hops of a route that are told.
const MAX_HOPS: usize = 40;

/// To whom it is written, as far as that is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contact {
    /// The provider.
    pub provider: String,
    /// The circuit, as the provider calls it.
    pub circuit: String,
    /// Its telephone number.
    pub phone: String,
    /// Its mail address.
    pub mail: String,
}

impl Contact {
    /// Whether nothing of it is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        [&self.provider, &self.circuit, &self.phone, &self.mail].iter().all(|part| part.is_empty())
    }
}

/// The text: circuit, times with their zone, what was measured, the route as evidence.
#[must_use]
pub fn text_to_send(dossier: &Dossier, verdict: &Verdict, contact: &Contact) -> String {
    let mut text = String::new();
    let here = dossier.site.as_deref().unwrap_or(&dossier.device);
    let circuit = match contact.circuit.as_str() {
        "" => String::new(),
        circuit => format!(", circuit {circuit}"),
    };
    let began = clock_with_zone(dossier.from, &dossier.zone);
    let mut line = |said: String| {
        text.push_str(&said);
        text.push('\n');
    };
    line(format!("Subject: fault at {here}{circuit}, {began}"));
    line(String::new());
    line(format!("Site:   {here}{circuit}"));
    line(format!("Began:  {began}"));
    match dossier.until {
        Some(until) => {
            let lasted = long_span(until.since(dossier.from));
            line(format!("Ended:  {} (it lasted {lasted})", clock_with_zone(until, &dossier.zone)));
        }
        None => line(format!("Ended:  not yet, at {}", clock_with_zone(dossier.now, &dossier.zone))),
    }
    line(String::new());
    line(format!("What we found: {}", verdict.sentence));
    line(String::new());
    line("What was measured at the site:".to_owned());
    for one in &verdict.evidence {
        let at = one.at.map_or(String::new(), |at| format!("{}  ", clock_with_zone(at, &dossier.zone)));
        line(format!("- {at}{}", one.what));
    }
    let failed = dossier.failures().map(Picture::of).find(|picture| picture.ways().next().is_some());
    let good_day = dossier.good_day.as_ref().map(Picture::of);
    for (picture, when) in [(failed, "while it was broken"), (good_day, "on a good day, to compare with")] {
        let Some(picture) = picture else { continue };
        for way in picture.ways().take(2) {
            line(String::new());
            line(format!("Route to {} {when}, {}:", way.target, clock_with_zone(picture.at, &dossier.zone)));
            hops(&way).into_iter().for_each(&mut line);
        }
    }
    line(String::new());
    line(match verdict.who {
        Who::Provider => "Please tell us what you find, and when it is mended.".to_owned(),
        Who::Site
        | Who::Dhcp
        | Who::Resolver
        | Who::Us
        | Who::Configuration
        | Who::Office
        | Who::Nobody
        | Who::Wait => "Please look, and tell us what you find.".to_owned(),
    });
    text
}

/// A route, a line a hop.
#[must_use]
pub fn hops(way: &Way<'_>) -> Vec<String> {
    let one = |hop: &agent::report::Hop| {
        let who = hop.address.map_or("*".to_owned(), |address| address.to_string());
        let rtt = hop.rtt_us.map_or(String::new(), |us| format!("  {}.{} ms", us / 1_000, us % 1_000 / 100));
        let lost = if hop.answered < hop.sent {
            format!("  {} of {} answered", hop.answered, hop.sent)
        } else {
            String::new()
        };
        let said = if hop.said.is_empty() { String::new() } else { format!("  {}", hop.said) };
        let last = if hop.last { "  (there)" } else { "" };
        format!("{:>4}  {who}{rtt}{lost}{said}{last}", hop.ttl)
    };
    way.hops.iter().take(MAX_HOPS).map(one).collect()
}
