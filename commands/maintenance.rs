//! `lineman maintenance`: when something is worked on, so that nobody is alarmed.

use clap::{ArgGroup, Args, Subcommand};
use jiff::tz::TimeZone;
use lineman::domain::maintenance::{Ends, Minute, Recurring};
use lineman::domain::{name, when};
use lineman::reports;
use lineman::store::maintenance::{self, New, Subject, When, Window};
use lineman::store::{Tx, devices, sites};
use schedules::{CronLine, Millis, Time};

use crate::data::Context;
use crate::failure::{Code, Failure};
use crate::list::Wanted;
use crate::output::Output;
use crate::site::zone;

/// When something is worked on: it is watched, and nobody is alarmed
#[derive(Subcommand)]
pub enum MaintenanceVerb {
    /// Add a window: once, or again and again
    #[command(
        after_help = "Example:\n  lineman maintenance add gateway --for 2h --note 'new power supply'\n  lineman maintenance add north --from '2026-12-01 22:00' --until '2026-12-02 04:00'\n  lineman maintenance add --tag backup --on mon,thu --at 02:00 --to 04:00 --tz Europe/Berlin\n  lineman maintenance add nas --cron '0 3 1 * *' --for 90m"
    )]
    Add(Box<AddOptions>),
    /// List windows
    #[command(
        after_help = "Example:\n  lineman maintenance list active:yes\n  lineman maintenance list 'state:active,planned' --sort next"
    )]
    List(Wanted),
    /// Show a window, with its next occurrences and those that were
    #[command(after_help = "Example:\n  lineman maintenance show 3")]
    Show(Number),
    /// End the occurrence that is under way; one that recurs comes again
    #[command(after_help = "Example:\n  lineman maintenance end 3")]
    End(Number),
    /// Let the occurrence that is under way last longer
    #[command(after_help = "Example:\n  lineman maintenance extend 3 --until +1h")]
    Extend {
        /// Its number
        number: String,
        /// Until when
        #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
        until: String,
    },
    /// Remove a window; what was stays as history
    #[command(after_help = "Example:\n  lineman maintenance remove 3 --yes")]
    Remove(Number),
}

/// Which window.
#[derive(Args)]
pub struct Number {
    /// Its number
    number: String,
}

/// A window that is to be.
#[derive(Args)]
#[command(group(ArgGroup::new("covers").required(true).args(["name", "device", "site", "tag"])))]
#[command(group(ArgGroup::new("often").args(["on", "daily", "monthly", "cron"])))]
pub struct AddOptions {
    /// The device, or the site, that is worked on
    #[arg(value_name = "DEVICE|SITE")]
    name: Option<String>,
    /// The device, where a site has the same name
    #[arg(long, value_name = "DEVICE")]
    device: Option<String>,
    /// The site, where a device has the same name
    #[arg(long, value_name = "SITE")]
    site: Option<String>,
    /// All devices with this tag
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
    /// From when [default: now]
    #[arg(
        long,
        value_name = "TIME",
        allow_hyphen_values = true,
        conflicts_with = "often",
        help_heading = "Once"
    )]
    from: Option<String>,
    /// Until when
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, conflicts_with_all = ["often", "span"], help_heading = "Once")]
    until: Option<String>,
    /// On these days of the week: mon,thu
    #[arg(long, value_name = "DAYS", requires = "at", help_heading = "Again and again")]
    on: Option<String>,
    /// Every day
    #[arg(long, requires = "at", help_heading = "Again and again")]
    daily: bool,
    /// On these days of the month: 1,15, or last
    #[arg(long, value_name = "DAYS", requires = "at", help_heading = "Again and again")]
    monthly: Option<String>,
    /// Whenever this line says: minute, hour, day, month, weekday
    #[arg(long, value_name = "LINE", conflicts_with_all = ["at", "to"], help_heading = "Again and again")]
    cron: Option<String>,
    /// At this time of day
    #[arg(long, value_name = "HH:MM", requires = "often", help_heading = "Again and again")]
    at: Option<Minute>,
    /// To this time of day: as the clocks show it, also in the nights in which they are changed
    #[arg(
        long,
        value_name = "HH:MM",
        requires = "at",
        conflicts_with = "span",
        help_heading = "Again and again"
    )]
    to: Option<Minute>,
    /// For so long
    #[arg(long = "for", id = "span", value_name = "SPAN", help_heading = "How long")]
    span: Option<Millis>,
    /// The time zone of its times [default: the site's, else this machine's]
    #[arg(long, value_name = "ZONE", value_parser = zone)]
    tz: Option<String>,
    /// What people should know about it
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    note: String,
}

impl MaintenanceVerb {
    /// Does it.
    pub fn run(self, context: &Context) -> Result<Output, Failure> {
        match self {
            MaintenanceVerb::Add(options) => context.change(move |tx, by| {
                let new = options.read(tx)?;
                Ok(changed(&maintenance::add(tx, &new, by)?))
            }),
            MaintenanceVerb::List(wanted) => context.ask(|tx| {
                let (selection, page) = wanted.read(maintenance::QUERY, maintenance::TEXT, tx.now)?;
                Ok(Output::Table(reports::maintenance::list(tx, &selection, &page)?))
            }),
            MaintenanceVerb::Show(Number { number }) => context.ask(|tx| {
                Ok(Output::Record(reports::maintenance::record(tx, &maintenance::get(tx, &number)?)?))
            }),
            MaintenanceVerb::End(Number { number }) => context.change(move |tx, by| {
                let window = maintenance::get(tx, &number)?;
                Ok(changed(&maintenance::end(tx, window.id, by)?))
            }),
            MaintenanceVerb::Extend { number, until } => context.change(move |tx, by| {
                let window = maintenance::get(tx, &number)?;
                let until = moment(
                    "--until",
                    &until,
                    tx.now,
                    &TimeZone::get(&window.time_zone).unwrap_or(TimeZone::UTC),
                )?;
                Ok(changed(&maintenance::extend(tx, window.id, until, by)?))
            }),
            MaintenanceVerb::Remove(Number { number }) => {
                context.confirm_of(|tx| {
                    let window = maintenance::get(tx, &number)?;
                    Ok(format!("remove maintenance window {} of {}", window.id, window.subject))
                })?;
                context.change(move |tx, by| {
                    let window = maintenance::remove(tx, maintenance::get(tx, &number)?.id, by)?;
                    let said = format!("removed maintenance window {} of {}\n", window.id, window.subject);
                    Ok(Output::Said(reports::maintenance::line(&window), said))
                })
            }
        }
    }
}

fn changed(window: &Window) -> Output {
    Output::Changed(reports::maintenance::line(window), String::new())
}

fn moment(flag: &str, text: &str, now: Time, zone: &TimeZone) -> Result<Time, Failure> {
    when::time(text, now, zone).map_err(|e| Failure::usage(format!("{flag}: {e}")))
}

impl AddOptions {
    fn read(self, tx: &Tx) -> Result<New, Failure> {
        let subject = self.subject(tx)?;
        let time_zone = match &self.tz {
            Some(zone) => zone.clone(),
            None => zone_of(tx, &subject)?,
        };
        let zone = TimeZone::get(&time_zone).map_err(|_| {
            Failure::usage(format!("there is no time zone '{time_zone}'")).hint("say --tz ZONE")
        })?;
        let when = match self.line(&time_zone)? {
            Some(cron) => When::Again(Recurring { cron, ends: self.ends()?, zone }),
            None => self.once(tx.now, &zone)?,
        };
        Ok(New { subject, when, time_zone, note: self.note })
    }

    fn subject(&self, tx: &Tx) -> Result<Subject, Failure> {
        let device = |name: &str| {
            let found = devices::find(tx, name)?;
            Ok::<_, Failure>(found.map(|device| Subject::Device(device.id, device.name)))
        };
        let site = |name: &str| {
            Ok::<_, Failure>(sites::find(tx, name)?.map(|site| Subject::Site(site.id, site.name)))
        };
        let missing = |what: &str, name: &str| {
            Failure::new(Code::NotFound, format!("there is no {what} '{}'", name.escape_debug()))
        };
        if let Some(name) = &self.device {
            return device(name)?.ok_or_else(|| missing("device", name));
        }
        if let Some(name) = &self.site {
            return site(name)?.ok_or_else(|| missing("site", name));
        }
        if let Some(tag) = &self.tag {
            let tag = name::check(tag).map_err(|e| Failure::usage(format!("--tag: {e}")))?;
            return Ok(Subject::Tag(tag.to_owned()));
        }
        let name = self.name.as_deref().unwrap_or_default();
        match (device(name)?, site(name)?) {
            (Some(Subject::Device(..)), Some(_)) => {
                Err(Failure::usage(format!("'{name}' is a device and a site"))
                    .hint(format!("say --device {name} or --site {name}")))
            }
            (Some(one), _) | (None, Some(one)) => Ok(one),
            (None, None) => Err(missing("device or site", name)),
        }
    }

    /// The cron line of a window that comes again and again.
    fn line(&self, zone: &str) -> Result<Option<CronLine>, Failure> {
        if let Some(line) = &self.cron {
            let has_zone =
                line.split_whitespace().last().is_some_and(|word| word.contains('/') && zone_named(word));
            if has_zone {
                return Err(Failure::usage(format!(
                    "--cron '{}': the zone stands apart",
                    line.escape_debug()
                ))
                .hint("say it with --tz ZONE"));
            }
            let line = format!("{line} {zone}");
            return line.parse().map(Some).map_err(|e| Failure::usage(format!("--cron: {e}")));
        }
        let days = match (&self.on, self.daily, &self.monthly) {
            (Some(days), _, _) => format!("* * {}", weekdays(days)?),
            (None, _, Some(days)) => format!("{} * *", month_days(days)?),
            (None, true, None) => "* * *".to_owned(),
            (None, false, None) => return Ok(None),
        };
        let at = self.start()?.number();
        let line = format!("{} {} {days} {zone}", at % 60, at / 60);
        line.parse().map(Some).map_err(|e: schedules::BadCadence| Failure::usage(e.to_string()))
    }

    fn start(&self) -> Result<Minute, Failure> {
        match self.at {
            Some(at) if at < Minute::MIDNIGHT => Ok(at),
            Some(_) => Err(Failure::usage("--at 24:00: a day begins at 00:00")),
            None => Err(Failure::usage("it needs a time of day").hint("say --at 02:00")),
        }
    }

    fn ends(&self) -> Result<Ends, Failure> {
        match (self.span, self.to) {
            (Some(span), _) => Ok(Ends::After(span)),
            (None, Some(to)) => Ok(Ends::At(self.start()?, to)),
            (None, None) if self.cron.is_some() => {
                Err(Failure::usage("a window needs an end").hint("say --for 2h"))
            }
            (None, None) => Err(Failure::usage("a window needs an end").hint("say --for 2h or --to 04:00")),
        }
    }

    fn once(&self, now: Time, zone: &TimeZone) -> Result<When, Failure> {
        let from = self.from.as_deref().map_or(Ok(now), |text| moment("--from", text, now, zone))?;
        let until = match (&self.until, self.span) {
            (Some(text), _) => moment("--until", text, now, zone)?,
            (None, Some(span)) => from + span,
            (None, None) => {
                return Err(Failure::usage("a window needs an end").hint("say --until TIME or --for 2h"));
            }
        };
        Ok(When::Once(from, until))
    }
}

fn zone_named(word: &str) -> bool {
    TimeZone::get(word).is_ok()
}

/// The zone of whoever is worked on: its site's, else this machine's.
fn zone_of(tx: &Tx, subject: &Subject) -> Result<String, Failure> {
    let site = match subject {
        Subject::Device(id, _) => devices::of(tx, *id)?.site.map(|site| site.0),
        Subject::Site(id, _) => Some(*id),
        Subject::Tag(_) => None,
    };
    if let Some(site) = site {
        return Ok(sites::get(tx, &site.to_string())?.time_zone);
    }
    let here = TimeZone::system();
    here.iana_name().map(str::to_owned).ok_or_else(|| {
        Failure::usage("this machine's time zone has no name").hint("say --tz ZONE, as in --tz Europe/Berlin")
    })
}

/// `mon,thu` as a field of a cron line.
fn weekdays(text: &str) -> Result<String, Failure> {
    const DAYS: [&str; 7] = ["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"];
    let mut days = Vec::new();
    for word in text.split(',') {
        let place = |name: &str| DAYS.iter().position(|day| day.eq_ignore_ascii_case(name.trim()));
        let (first, last) = word.split_once('-').unwrap_or((word, word));
        let (Some(first), Some(last)) = (place(first), place(last)) else {
            return Err(Failure::usage(format!("--on: '{}' is no day of the week", word.escape_debug()))
                .hint("write them as mon,thu or mon-fri"));
        };
        let count = (last + DAYS.len() - first) % DAYS.len();
        days.extend((0..=count).map(|on| (first + on) % DAYS.len()));
    }
    days.sort_unstable();
    days.dedup();
    Ok(days.into_iter().map(|day| DAYS[day]).collect::<Vec<_>>().join(","))
}

/// `1,15` or `last` as a field of a cron line.
fn month_days(text: &str) -> Result<String, Failure> {
    let mut days = Vec::new();
    for word in text.split(',').map(str::trim) {
        match word.parse::<u8>() {
            Ok(day @ 1..=31) => days.push(day.to_string()),
            Ok(_) | Err(_) if word.eq_ignore_ascii_case("last") => days.push("L".to_owned()),
            Ok(_) | Err(_) => {
                return Err(Failure::usage(format!(
                    "--monthly: '{}' is no day of the month",
                    word.escape_debug()
                ))
                .hint("write them as 1,15 or last"));
            }
        }
    }
    Ok(days.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_read_as_people_write_them() {
        for (text, field) in [
            ("mon,thu", "MON,THU"),
            ("Fri-mon", "MON,FRI,SAT,SUN"),
            ("sun,sun", "SUN"),
            ("mon-fri,sat", "MON,TUE,WED,THU,FRI,SAT"),
        ] {
            assert_eq!(weekdays(text).unwrap(), field, "{text}");
        }
        for text in ["", "mo", "mon,", "mon-", "monday", "1"] {
            assert!(weekdays(text).is_err(), "{text}");
        }
        for (text, field) in [("1,15", "1,15"), ("last", "L"), ("1,Last", "1,L"), ("31", "31")] {
            assert_eq!(month_days(text).unwrap(), field, "{text}");
            assert!(format!("0 2 {field} * * Europe/Berlin").parse::<CronLine>().is_ok(), "{field}");
        }
        for text in ["", "0", "32", "1,", "lst", "-1"] {
            assert!(month_days(text).is_err(), "{text}");
        }
    }
}
