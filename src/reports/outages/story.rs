//! The story of an outage, for a person: the sentence, then the timeline with the ladder rung by rung, the evidence, what
//! was not measured, and who acts.

use agent::report::{Climb, Gap, Held, Rung, Step, Why};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use schedules::Time;

use crate::domain::dossier::{Dossier, Kept, Progress, summed};
use crate::domain::outage::Source;
use crate::domain::verdict::{Code, Contact, Picture, Who, clock_with_zone, hops, long_span, text_to_send};
use crate::store::outages::Outage;
use crate::store::verdicts::Given;

/// The most climbs that are told one by one.
const MAX_CLIMBS: usize = 30;

/// All that is told of one outage.
#[derive(Debug)]
pub struct Story<'a> {
    /// The outage.
    pub outage: &'a Outage,
    /// What was recorded of it.
    pub dossier: &'a Dossier,
    /// The verdict that counts.
    pub given: Option<&'a Given>,
    /// How many there were.
    pub verdicts: usize,
    /// Whom to call.
    pub contact: &'a Contact,
    /// What people should know about the site.
    pub note: &'a str,
}

impl Story<'_> {
    /// The text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = self.head();
        text.push_str("\nTIMELINE\n");
        let mut lines = self.lines();
        lines.sort_by_key(|line| (line.at, line.place));
        for line in lines {
            text.push_str(&format!("{}  {}\n", time(line.at, &self.dossier.zone), line.what));
            line.more.iter().for_each(|more| text.push_str(&format!("            {more}\n")));
        }
        if let Some(given) = self.given {
            list(
                &mut text,
                "EVIDENCE",
                given.verdict.evidence.iter().map(|one| {
                    let at = one.at.map_or(String::new(), |at| format!("{}  ", time(at, &self.dossier.zone)));
                    format!("{at}{}", one.what)
                }),
            );
            list(
                &mut text,
                "NOT MEASURED",
                given.verdict.not_measured.iter().map(|missing| {
                    if missing.why.is_empty() {
                        missing.rung.clone()
                    } else {
                        format!("{}: {}", missing.rung, missing.why)
                    }
                }),
            );
            text.push_str(&format!("\nWHO ACTS\n{}\n", self.acts(given)));
            if given.verdict.who == Who::Provider {
                text.push_str("\nTEXT TO SEND\n");
                text.push_str(&text_to_send(self.dossier, &given.verdict, self.contact));
            }
        }
        text
    }

    fn head(&self) -> String {
        let (outage, dossier) = (self.outage, self.dossier);
        let sentence = match self.given {
            Some(given) => given.verdict.sentence.clone(),
            None => "Nobody has judged this outage.".to_owned(),
        };
        let site = dossier.site.as_ref().map_or(String::new(), |site| format!(" at {site}"));
        let ticket = outage.ticket.map_or(String::new(), |ticket| format!(", ticket {ticket}"));
        let ended = match outage.ended_at {
            Some(at) => format!(
                "to {}, {}",
                clock_with_zone(at, &dossier.zone),
                long_span(at.since(outage.started_at))
            ),
            None => "and lasts".to_owned(),
        };
        let told_by = match outage.source {
            Source::Seen => "",
            Source::Agent => ", told by its agent",
        };
        let mut text = format!(
            "{sentence}\n\nOutage {} of {}{site}{ticket}{told_by}\nfrom {} {ended}\n",
            outage.id,
            outage.device.1,
            clock_with_zone(outage.started_at, &dossier.zone)
        );
        if let Some(given) = self.given {
            let verdict = &given.verdict;
            let more = match (verdict.likeliest, verdict.also) {
                (Some(likeliest), _) => format!(", the likeliest is {likeliest}"),
                (None, Some(also)) => format!(", and beside it {also}"),
                (None, None) => String::new(),
            };
            let state = if given.is_final { "final" } else { "more may come" };
            let before =
                if self.verdicts > 1 { format!("; {} before it", self.verdicts - 1) } else { String::new() };
            text.push_str(&format!(
                "Verdict: {}{more} ({} % sure, {state}, {}{before})\n",
                verdict.code,
                verdict.confidence,
                clock_with_zone(given.at, &dossier.zone)
            ));
        }
        text
    }

    fn acts(&self, given: &Given) -> String {
        let who = given.verdict.who;
        let site = self.dossier.site.as_deref().unwrap_or("the site");
        let note = if self.note.is_empty() { String::new() } else { format!(" ({})", self.note) };
        match who {
            Who::Provider if self.contact.is_empty() => {
                format!(
                    "the provider of {site}; say who that is: lineman site edit {site} --provider NAME --circuit NUMBER"
                )
            }
            Who::Provider => {
                let part = |name: &str, text: &str| {
                    if text.is_empty() { String::new() } else { format!(", {name}{text}") }
                };
                format!(
                    "the provider: {}{}{}{}",
                    if self.contact.provider.is_empty() {
                        "no name is known"
                    } else {
                        &self.contact.provider
                    },
                    part("circuit ", &self.contact.circuit),
                    part("", &self.contact.phone),
                    part("", &self.contact.mail)
                )
            }
            Who::Us => "us".to_owned(),
            Who::Nobody => "nobody".to_owned(),
            Who::Wait if given.verdict.code == Code::Unknown => {
                "nobody knows who; look at what was not measured".to_owned()
            }
            Who::Wait => "wait for what the device tells".to_owned(),
            Who::Office => "the office: is a bill unpaid?".to_owned(),
            Who::Site | Who::Dhcp | Who::Resolver | Who::Configuration => format!("{who}: {site}{note}"),
        }
    }

    fn lines(&self) -> Vec<Line> {
        let dossier = self.dossier;
        let mut lines = vec![Line::new(
            self.outage.started_at,
            1,
            match self.outage.reason.as_str() {
                "" => "the outage begins".to_owned(),
                why => format!("the outage begins: {why}"),
            },
        )];
        if let Some(at) = self.outage.ended_at {
            lines.push(Line::new(at, 8, "the outage ends"));
        }
        self.before(&mut lines);
        climbs(dossier, &mut lines);
        dossier.gaps.iter().for_each(|kept| gap(&kept.it, &dossier.zone, &mut lines));
        if let Some(told) = &dossier.told {
            let tries = if told.tries == 1 { "1 try".to_owned() } else { format!("{} tries", told.tries) };
            lines.push(Line::new(told.began_at, 2, format!("its agent is cut off: {}", told.reason)));
            for first in &told.firsts {
                lines.push(Line::new(
                    first.at,
                    6,
                    format!("first success of {} {}", first.rung, first.target).trim_end().to_owned(),
                ));
            }
            if let Some(at) = told.ended_at {
                let boots = if told.boots > 0 {
                    format!(", booted {} times meanwhile", told.boots)
                } else {
                    String::new()
                };
                lines.push(Line::new(
                    at,
                    7,
                    format!("its agent reaches the server again, after {tries}{boots}"),
                ));
                if let (Some(before), Some(after)) = (told.address_before, told.address_after) {
                    let same = if before == after {
                        format!("its address is {after}, as before")
                    } else {
                        format!("its address is {after}; it was {before}")
                    };
                    lines.push(Line::new(at, 9, same));
                }
            }
        }
        if dossier.progress == Progress::Coming && !dossier.is_empty() {
            lines.push(Line::new(dossier.now, 99, "its agent still delivers what it recorded"));
        }
        lines
    }

    /// The last good check-in, and the frozen minutes summed up.
    fn before(&self, lines: &mut Vec<Line>) {
        let moments = self.dossier.minutes();
        let last = moments.last().or(self.dossier.last.as_ref());
        if let Some(at) = last.and_then(|last| last.checked_in_at) {
            lines.push(Line::new(at, 0, "the last check-in that was answered"));
        }
        let (Some(first), Some(last)) = (moments.first(), moments.last()) else { return };
        let sum = summed(moments);
        let loss = if sum.measured == 0 {
            "loss not measured".to_owned()
        } else {
            format!("{}.{} % lost to the gateway", sum.loss_permille / 10, sum.loss_permille % 10)
        };
        let rtt = sum.rtt_us.map_or(String::new(), |us| format!(", {}.{} ms", us / 1_000, us % 1_000 / 100));
        let what = format!(
            "the frozen minutes to {}: {} lines, {loss}{rtt}, {} errors, the link at most {} % full",
            time(last.at, &self.dossier.zone),
            sum.lines,
            sum.errors,
            sum.most_used / 10
        );
        lines.push(Line::new(first.at, 0, what));
    }
}

/// One line of the timeline, and what stands under it.
struct Line {
    at: Time,
    /// Which of those of one moment comes first.
    place: u8,
    what: String,
    more: Vec<String>,
}

impl Line {
    fn new(at: Time, place: u8, what: impl Into<String>) -> Line {
        Line { at, place, what: what.into(), more: Vec::new() }
    }
}

fn list(text: &mut String, title: &str, all: impl Iterator<Item = String>) {
    let all: Vec<String> = all.collect();
    if !all.is_empty() {
        text.push_str(&format!("\n{title}\n"));
        all.iter().for_each(|one| text.push_str(&format!("- {one}\n")));
    }
}

/// A moment on the clocks of the site, with the second.
fn time(at: Time, zone: &TimeZone) -> String {
    match Timestamp::from_millisecond(at.0) {
        Ok(stamp) => stamp.to_zoned(zone.clone()).strftime("%d %H:%M:%S").to_string(),
        Err(_) => "at no time".to_owned(),
    }
}

fn climbs(dossier: &Dossier, lines: &mut Vec<Line>) {
    let mut before: Option<&Kept<Climb>> = None;
    let failures = dossier.climbs.iter().filter(|climb| climb.it.why != Why::Baseline);
    for climb in failures.take(MAX_CLIMBS) {
        let why = match climb.it.why {
            Why::Failure => "a check-in failed",
            Why::Again => "still cut off",
            Why::Recovery => "the server answers again",
            Why::Baseline => "a good day",
            Why::Asked => "a person asked",
        };
        let mut line = Line::new(climb.at, 3, String::new());
        match before {
            None => {
                line.what = format!("the ladder is climbed ({why}), in {}", long_span(climb.it.took));
                line.more = climb.it.rungs.iter().map(shown).collect();
                for way in Picture::of(climb).ways() {
                    line.more.push(format!("route to {}:", way.target));
                    line.more.extend(hops(&way));
                }
            }
            Some(before) => {
                line.more = changed(&before.it, &climb.it);
                let same = if line.more.is_empty() { ": as before" } else { ": what changed" };
                line.what = format!("climbed again ({why}){same}");
            }
        }
        lines.push(line);
        before = Some(climb);
    }
    if dossier.climbs.len() > MAX_CLIMBS
        && let Some(last) = before
    {
        let more = dossier.climbs.len() - MAX_CLIMBS;
        lines.push(Line::new(last.at, 4, format!("{more} more climbs follow: see --json dossier")));
    }
}

/// What is another way than in the climb before.
fn changed(before: &Climb, now: &Climb) -> Vec<String> {
    let mut all = Vec::new();
    for rung in &now.rungs {
        let name = name(&rung.step);
        match before.rungs.iter().find(|other| self::name(&other.step) == name) {
            Some(other) if other.outcome == rung.outcome => {}
            Some(other) => all.push(format!("{} (was {})", shown(rung), word(other.outcome))),
            None => all.push(format!("{} (new)", shown(rung))),
        }
    }
    all
}

fn word(held: Held) -> &'static str {
    match held {
        Held::Ok => "ok",
        Held::Fail => "failed",
        Held::NotMeasured => "not measured",
    }
}

/// A rung on one line.
fn shown(rung: &Rung) -> String {
    let rtt = rung.rtt_us.map_or(String::new(), |us| format!("  {}.{} ms", us / 1_000, us % 1_000 / 100));
    let loss = match rung.loss_permille {
        Some(lost) if lost > 0 => format!("  {}.{} % lost", lost / 10, lost % 10),
        Some(_) | None => String::new(),
    };
    let why = if rung.reason.is_empty() { String::new() } else { format!("  {}", rung.reason) };
    format!("{:<44} {}{rtt}{loss}{why}", name(&rung.step), word(rung.outcome))
}

/// What a rung is about.
fn name(step: &Step) -> String {
    let word = step.word();
    match step {
        Step::Link { interface, speed_mbit } => {
            let speed = speed_mbit.map_or(String::new(), |mbit| format!(" {mbit} Mbit/s"));
            format!("{word} {interface}{speed}")
        }
        Step::Address { interface, family, addresses } => {
            format!("{word} {interface} {} {}", format!("{family:?}").to_lowercase(), addresses.join(" "))
                .trim_end()
                .to_owned()
        }
        Step::Neighbour { gateway, mac, state: _ } => format!("{word} {gateway} {mac}").trim_end().to_owned(),
        Step::Gateway { gateway } => format!("{word} {gateway}"),
        Step::Anchor { address, given: true } => format!("{word} {address}"),
        Step::Anchor { address, given: false } => format!("{word} {address}, the next hop"),
        Step::Resolver { resolver, configured, transport, name, .. } => {
            let other = if *configured { "" } else { ", another one" };
            format!("{word} {resolver}{other}, {name} over {}", format!("{transport:?}").to_lowercase())
        }
        Step::Page { url, status: _, changed: true } => format!("{word} {url}, another one came"),
        Step::Page { url, status: _, changed: false } => format!("{word} {url}"),
        Step::ServerName { host, addresses: _ } => format!("{word} {host}"),
        Step::ServerConnect { address, refused: true } => format!("{word} {address}, refused"),
        Step::ServerConnect { address, refused: false } => format!("{word} {address}"),
        Step::ServerTls { error: Some(error), clock_off: _ } => format!("{word}, {error:?}").to_lowercase(),
        Step::ServerTls { error: None, clock_off: _ } => word.to_owned(),
        Step::ServerAnswer { status: Some(status) } => format!("{word} {status}"),
        Step::ServerAnswer { status: None } => word.to_owned(),
        Step::Route { target, transport, .. } => {
            format!("{word} to {target} over {}", format!("{transport:?}").to_lowercase())
        }
        Step::PacketSize { largest, mtu, .. } => {
            let largest = largest.map_or("unknown".to_owned(), |bytes| bytes.to_string());
            format!("{word} {largest} of {mtu} bytes")
        }
    }
}

fn gap(gap: &Gap, zone: &TimeZone, lines: &mut Vec<Line>) {
    let from = gap.from.unwrap_or(gap.to);
    let how = match (gap.booted, gap.clean, gap.restarted) {
        (true, true, _) => "it was shut down in order, and booted anew",
        (true, false, _) => "it was booted anew, and had not been shut down in order",
        (false, _, _) if gap.suspended.0 > 0 => "it slept",
        (false, true, true) => "its agent was stopped in order, and started anew",
        (false, false, true) => "its agent ended, and was started anew",
        (false, _, false) => "nobody knows why",
    };
    let what =
        format!("the record has a gap to {} ({}): {how}", time(gap.to, zone), long_span(gap.to.since(from)));
    lines.push(Line::new(from, 2, what));
    if let Some(at) = gap.booted_at {
        let times = if gap.boots > 1 { format!(", the last of {} boots", gap.boots) } else { String::new() };
        lines.push(Line::new(at, 5, format!("it was booted{times}")));
    }
}
