//! Notifications: what follows from the event log for each entry, and what is told of it.
//!
//! Reading the log only notes what is to be looked at, and when. What is told is decided when that comes, on how things
//! are then: `domain/notify/told.rs`.

use schedules::Time;

use super::{AT_ONCE, Worked};
use crate::app::App;
use crate::domain::ids::{EntryId, TicketId};
use crate::domain::notify::News;
use crate::domain::notify::group::{Known, Timing};
use crate::domain::notify::rule::{self, BLIND, Directly, OUTBOX, Rule, Stir};
use crate::domain::notify::told::{
    Acknowledged, Facts, Fits, Noted, OnDuty, Paused, Say, Seen, Standing, Wish, decide, look_again,
};
use crate::domain::setting::Settings;
use crate::server::notify::compose::{self, Item};
use crate::store::filter::{Page, Selection};
use crate::store::notify::entries::{self, Destination, Entry};
use crate::store::notify::looks::{self, Look, Stirred, Wide};
use crate::store::{Result, Tx, WriteTx, events, tickets};

/// How many events that stir nothing may lie behind the place in the log before it is moved on.
const LAG: i64 = 1_000;
/// The most that is looked at for one entry at a time.
const LOOKS: u32 = 2_000;

/// Reads on in the event log; when all of it is read, tells what is due: so that what happened together is told together.
///
/// # Errors
/// The database's.
pub async fn step(app: &App) -> Result<Worked> {
    match read(app).await? {
        Worked::Yes => Ok(Worked::Yes),
        Worked::No(..) => tell(app).await,
    }
}

async fn read(app: &App) -> Result<Worked> {
    const WHY: &str = "something happens";
    let (place, newest, more) = app.store.read(|tx| {
        let (place, newest) = (looks::read_up_to(tx)?, events::newest(tx)?);
        let more = match place {
            Some(place) if place < newest => !looks::stirred(tx, place, 1)?.is_empty(),
            Some(_) | None => false,
        };
        Ok::<_, crate::store::Error>((place, newest, more))
    })?;
    match place {
        Some(place) if !more && newest.0 - place.0 < LAG => return Ok(Worked::No(None, WHY)),
        Some(_) if more => {}
        Some(_) | None => {
            app.store.submit(move |tx| looks::set_read_up_to(tx, newest)).await?;
            return Ok(Worked::No(None, WHY));
        }
    }
    let settings = app.known().settings.clone();
    app.store.submit(move |tx| read_on(tx, &settings)).await?;
    Ok(Worked::Yes)
}

fn read_on(tx: &WriteTx, settings: &Settings) -> Result<()> {
    let Some(place) = looks::read_up_to(tx)? else { return Ok(()) };
    let newest = events::newest(tx)?;
    let some = looks::stirred(tx, place, AT_ONCE)?;
    let full = some.len() >= usize::try_from(AT_ONCE).unwrap_or(usize::MAX);
    let end = some.last().filter(|_| full).map_or(newest, |last| last.id);
    let reader = Reader {
        tx,
        entries: entries::list(tx, &Selection::all(), &Page::default())?,
        timing: Timing {
            wait: settings.span("notify.group_wait"),
            interval: settings.span("notify.group_interval"),
        },
    };
    for event in &some {
        reader.follow(event)?;
    }
    looks::set_read_up_to(tx, end)
}

/// Notes what follows from events.
struct Reader<'t> {
    tx: &'t WriteTx<'t>,
    entries: Vec<Entry>,
    timing: Timing,
}

impl Reader<'_> {
    fn follow(&self, event: &Stirred) -> Result<()> {
        let tx = self.tx;
        match (rule::stir(&event.kind), event.ticket) {
            (Some(Stir::Ticket), Some(ticket)) => self.ticket(event, ticket, false),
            (Some(Stir::Noted(_)), Some(ticket)) => self.ticket(event, ticket, true),
            (Some(Stir::Merged), Some(ticket)) => {
                self.ticket(event, ticket, false)?;
                match event.body["into"].as_i64() {
                    Some(into) => self.moved(event, ticket, TicketId(into)),
                    None => Ok(()),
                }
            }
            (Some(Stir::Device(_)), _) => {
                let Some(device) = event.device else { return Ok(()) };
                match tickets::unfinished_of(tx, device)? {
                    Some(ticket) => self.ticket(event, ticket.id, true),
                    None => Ok(()),
                }
            }
            (Some(Stir::Blind), _) => {
                let title = "lineman is blind: it is cut off itself, and nothing is known of the network";
                let reason = event.body["reason"].as_str().unwrap_or_default().to_owned();
                let wide = Wide { title: title.to_owned(), reason, since: event.at, until: None };
                looks::set_wide(tx, BLIND, Standing::Broken, &wide)?;
                self.wide(event, BLIND, None)
            }
            (Some(Stir::Sighted), _) => {
                let was = looks::wide(tx, BLIND)?;
                let since = was.map_or(event.at, |wide| wide.since);
                let title = "lineman can see again".to_owned();
                let wide = Wide { title, reason: String::new(), since, until: Some(event.at) };
                looks::set_wide(tx, BLIND, Standing::Over, &wide)?;
                self.wide(event, BLIND, None)
            }
            (Some(Stir::GaveUp), _) => self.gave_up(event),
            (Some(Stir::Ticket | Stir::Noted(_) | Stir::Merged), None) | (None, _) => Ok(()),
        }
    }

    /// News of a ticket: each entry looks at it, and whoever was told of it.
    fn ticket(&self, event: &Stirred, ticket: TicketId, noted: bool) -> Result<()> {
        if self.entries.is_empty() || !looks::is_outage(self.tx, ticket)? {
            return Ok(());
        }
        let incident = rule::ticket_incident(ticket.0);
        let told = looks::told_of(self.tx, &incident)?;
        for entry in &self.entries {
            let knows = told.contains(&entry.id) || members(entry).iter().any(|member| told.contains(member));
            if knows || entry.rule.told == Directly::Yes {
                let known = if knows { Known::Told } else { Known::New };
                let look_at = self.timing.due(known, event.at, entry.told_at);
                self.stir(entry.id, event, (&incident, Some(ticket)), look_at, (noted, false))?;
            }
        }
        Ok(())
    }

    /// Whoever was told of a ticket hears of the one it went into.
    fn moved(&self, event: &Stirred, from: TicketId, into: TicketId) -> Result<()> {
        let incident = rule::ticket_incident(into.0);
        let told = looks::told_of(self.tx, &rule::ticket_incident(from.0))?;
        for entry in self.entries.iter().filter(|entry| told.contains(&entry.id)) {
            let look_at = self.timing.due(Known::Told, event.at, entry.told_at);
            self.stir(entry.id, event, (&incident, Some(into)), look_at, (false, true))?;
        }
        Ok(())
    }

    /// News that concern the whole server: whoever has no rule hears of them, and whoever was told; not `but`. Where
    /// everybody has a rule, all hear of them.
    fn wide(&self, event: &Stirred, incident: &str, but: Option<EntryId>) -> Result<()> {
        let told = looks::told_of(self.tx, incident)?;
        let others: Vec<&Entry> = self.entries.iter().filter(|entry| Some(entry.id) != but).collect();
        let direct = |entry: &&&Entry| entry.rule.told == Directly::Yes;
        let without_rule = |entry: &&&Entry| entry.rule.when.is_empty();
        let all = !others.iter().filter(direct).any(|entry| without_rule(&entry));
        for entry in others {
            let knows = told.contains(&entry.id) || members(entry).iter().any(|member| told.contains(member));
            if knows || (direct(&&entry) && (all || without_rule(&&entry))) {
                let known = if knows { Known::Told } else { Known::New };
                let look_at = self.timing.due(known, event.at, entry.told_at);
                let owed = entry.rule.told == Directly::Yes;
                self.stir(entry.id, event, (incident, None), look_at, (false, owed))?;
            }
        }
        Ok(())
    }

    /// A delivery was given up: that is told through another entry. What was given up of that is not told again, so that
    /// it comes to an end.
    fn gave_up(&self, event: &Stirred) -> Result<()> {
        let text = |key: &str| event.body[key].as_str().unwrap_or_default();
        if text("incident").starts_with(OUTBOX) {
            return Ok(());
        }
        let what = match event.body["dropped"].as_i64() {
            Some(count) => format!("{count} messages to '{}' were dropped", text("entry")),
            None => format!("'{}' could not be told: {}", text("entry"), text("title")),
        };
        let incident = format!("{OUTBOX}{}", event.id);
        let wide = Wide { title: what, reason: text("why").to_owned(), since: event.at, until: None };
        looks::set_wide(self.tx, &incident, Standing::Note, &wide)?;
        self.wide(event, &incident, event.body["entry_id"].as_i64().map(EntryId))
    }

    fn stir(
        &self,
        entry: EntryId,
        event: &Stirred,
        (incident, ticket): (&str, Option<TicketId>),
        look_at: Time,
        (noted, owed): (bool, bool),
    ) -> Result<()> {
        looks::stir(self.tx, entry, &looks::News { incident, ticket, look_at, noted, owed, event: event.id })
    }
}

fn members(entry: &Entry) -> &[EntryId] {
    match &entry.destination {
        Destination::Channel(_) => &[],
        Destination::Rota(rota) => &rota.members,
    }
}

/// Looks at what is due, and writes what is to be told into the outbox.
async fn tell(app: &App) -> Result<Worked> {
    let now = app.clock.now();
    let next = app.store.read(looks::next)?;
    if next.is_none_or(|at| at > now) {
        return Ok(Worked::No(next, "somebody is to be told"));
    }
    let settings = app.known().settings.clone();
    app.store
        .submit(move |tx| {
            for id in looks::due(tx)? {
                look(tx, &settings, &entries::of(tx, id)?)?;
            }
            Ok(())
        })
        .await?;
    Ok(Worked::Yes)
}

/// Who is told for an entry, and until when that is so.
fn destination(tx: &Tx, entry: &Entry) -> Result<Option<(Entry, Option<Time>)>> {
    match &entry.destination {
        Destination::Channel(_) => Ok(Some((entry.clone(), None))),
        Destination::Rota(rota) => match rota.duty(tx.now, &entry.rule.zone()) {
            Some(duty) => Ok(Some((entries::of(tx, duty.who)?, Some(duty.until)))),
            None => Ok(None),
        },
    }
}

fn look(tx: &WriteTx, settings: &Settings, entry: &Entry) -> Result<()> {
    let wanted = match entries::selection(&entry.rule, tx.now) {
        Ok(wanted) => wanted,
        // A query that an older lineman took: rather too much than nothing.
        Err(error) => {
            tracing::warn!(notify.name = %entry.name, %error, "its rule is not understood: it is told of everything");
            Selection::all()
        }
    };
    let Some((to, handover)) = destination(tx, entry)? else {
        tracing::error!(notify.name = %entry.name, "nobody has duty");
        return looks::due_of(tx, entry.id)?
            .iter()
            .try_for_each(|incident| looks::forget(tx, entry.id, incident));
    };
    let mut items = Vec::new();
    for look in looks::of_entry(tx, entry.id, to.id, &wanted, LOOKS)? {
        let wish = wish(entry, &look, settings, tx.now);
        let seen = seen(&look, to.rule.person.as_deref());
        match decide(look.told.as_ref(), &seen, &wish, tx.now) {
            Say::Tell(news) => {
                note_told(tx, (entry, &to), &look, news, (&seen, &wish, handover))?;
                items.push(Item { news, look });
            }
            Say::Wait(until) => {
                let lasts = wish.fits != Fits::No && seen.facts.acknowledged == Acknowledged::No;
                let handover = handover.filter(|_| lasts);
                match [until, handover].into_iter().flatten().min() {
                    None if wish.paused == Paused::No => looks::forget(tx, entry.id, &look.incident)?,
                    until => looks::wait(tx, entry.id, &look.incident, until)?,
                }
            }
            Say::Nothing => looks::forget(tx, entry.id, &look.incident)?,
        }
    }
    if items.is_empty() {
        return Ok(());
    }
    entries::was_told(tx, entry.id)?;
    compose::enqueue(tx, &to, &items)
}

/// What somebody was told is kept; the look is over, or comes again.
fn note_told(
    tx: &WriteTx,
    (entry, to): (&Entry, &Entry),
    look: &Look,
    news: News,
    (seen, wish, handover): (&Seen, &Wish, Option<Time>),
) -> Result<()> {
    match news {
        News::Broke | News::Changed => {
            let acknowledged = seen.facts.acknowledged != Acknowledged::No;
            looks::tell(tx, to.id, look, &seen.facts, acknowledged)?;
            let again = look_again(&seen.facts, wish, tx.now);
            match again.map(|at| handover.map_or(at, |handover| at.min(handover))) {
                Some(at) => looks::said(tx, entry.id, &look.incident, at),
                None => looks::forget(tx, entry.id, &look.incident),
            }
        }
        News::Mended => {
            looks::settle(tx, to.id, &look.incident)?;
            looks::forget(tx, entry.id, &look.incident)
        }
        News::Note => looks::forget(tx, entry.id, &look.incident),
    }
}

fn seen(look: &Look, person: Option<&str>) -> Seen {
    let himself = |by: &str| person.is_some_and(|person| by.strip_prefix("user:").unwrap_or(by) == person);
    let acknowledged = match &look.acknowledged_by {
        None => Acknowledged::No,
        Some(by) if himself(by) => Acknowledged::ByHimself,
        Some(_) => Acknowledged::ByAnother,
    };
    Seen {
        standing: look.standing,
        facts: Facts { priority: look.priority, acknowledged, recurrences: look.recurrences },
        noted: if look.noted { Noted::Something } else { Noted::Nothing },
    }
}

fn wish(entry: &Entry, look: &Look, settings: &Settings, now: Time) -> Wish {
    let Rule { told, after, .. } = &entry.rule;
    let fits = match told {
        _ if look.owed => Fits::Owed,
        Directly::Yes if look.fits && look.ticket.is_some() => Fits::Yes,
        Directly::Yes | Directly::No => Fits::No,
    };
    let urgency = match look.standing {
        Standing::Broken | Standing::Over => look.priority,
        Standing::Note => Some(crate::domain::ticket::Priority::P5),
    };
    Wish {
        fits,
        paused: if entry.paused_at.is_some() { Paused::Yes } else { Paused::No },
        after: after.map(|after| look.broke_at + after),
        duty: match &entry.destination {
            Destination::Channel(_) => OnDuty::No,
            Destination::Rota(_) => OnDuty::Yes,
        },
        quiet_until: entry.rule.quiet_until(urgency, now),
        repeat: settings.span("notify.repeat"),
    }
}
