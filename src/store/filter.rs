//! What of a list is asked for: a query that was checked against the list's keys, as SQL, and which page of it.

use jiff::tz::TimeZone;
use schedules::{Millis, Time};

use crate::domain::query::{BadQuery, Query, Term, nearest};
use crate::domain::when;
use crate::store::Arg;

/// A condition in SQL, with its arguments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    sql: String,
    args: Vec<Value>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    Int(i64),
    Text(String),
}

/// How much of a list, and in which order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// At most so many.
    pub limit: Option<u32>,
    /// Without so many at its beginning.
    pub skip: u32,
    /// The key of the column by which they are ordered; absent: as the list is wont to be.
    pub sort: Option<Sort>,
}

/// By what a list is ordered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sort {
    /// The expression, from a list's columns.
    sql: &'static str,
    /// The largest first.
    falling: bool,
}

/// One key that a query for some list may ask for, and where that stands.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// The key.
    pub key: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// The expression in SQL; for [`Kind::Exists`] a query that lacks its `= value)`.
    sql: &'static str,
    /// What is offered to whoever types a value.
    pub(super) offers: Offers,
}

/// Which values are offered to whoever types one.
#[derive(Clone, Copy, Debug)]
pub(super) enum Offers {
    /// What follows from the kind.
    OfKind,
    /// These words.
    Words(&'static [&'static str]),
    /// What a query finds, as its column `v`.
    Found(&'static str),
}

/// What a key takes.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Text, compared without regard to case; `*` at the end stands for anything.
    Text,
    /// One of these words.
    Words(&'static [&'static str]),
    /// A moment.
    Time,
    /// A whole number.
    Number,
    /// Yes or no.
    Flag,
    /// Text of which the thing may have several.
    Exists,
    /// The name of another thing, found first, so that an index of its number leads to those that are asked for.
    Named,
}

impl Column {
    /// A column of text.
    #[must_use]
    pub const fn text(key: &'static str, sql: &'static str) -> Column {
        Column { key, kind: Kind::Text, sql, offers: Offers::OfKind }
    }

    /// A column of words.
    #[must_use]
    pub const fn words(key: &'static str, sql: &'static str, words: &'static [&'static str]) -> Column {
        Column { key, kind: Kind::Words(words), sql, offers: Offers::OfKind }
    }

    /// A column of moments.
    #[must_use]
    pub const fn time(key: &'static str, sql: &'static str) -> Column {
        Column { key, kind: Kind::Time, sql, offers: Offers::OfKind }
    }

    /// A column of whole numbers.
    #[must_use]
    pub const fn number(key: &'static str, sql: &'static str) -> Column {
        Column { key, kind: Kind::Number, sql, offers: Offers::OfKind }
    }

    /// A condition that holds or not.
    #[must_use]
    pub const fn flag(key: &'static str, sql: &'static str) -> Column {
        Column { key, kind: Kind::Flag, sql, offers: Offers::OfKind }
    }

    /// Text of which the thing may have several: a query that ends with the expression that is compared.
    #[must_use]
    pub const fn exists(key: &'static str, sql: &'static str) -> Column {
        Column { key, kind: Kind::Exists, sql, offers: Offers::OfKind }
    }

    /// Whether a list can be ordered by it: a thing has one of it at most.
    #[must_use]
    pub const fn orders(&self) -> bool {
        !matches!(self.kind, Kind::Exists | Kind::Named)
    }

    /// The name of another thing: an expression and a query of its numbers that ends with the name that is compared.
    #[must_use]
    pub const fn named(key: &'static str, sql: &'static str) -> Column {
        Column { key, kind: Kind::Named, sql, offers: Offers::OfKind }
    }
}

impl Column {
    /// With the values that are offered: what a query finds, as its column `v`. It must be quick in a large database.
    #[must_use]
    pub const fn offering(self, query: &'static str) -> Column {
        Column { offers: Offers::Found(query), ..self }
    }

    /// The words it takes, or knows.
    #[must_use]
    pub const fn knows(&self) -> Option<&'static [&'static str]> {
        match (self.offers, self.kind) {
            (Offers::Words(words), _) | (_, Kind::Words(words)) => Some(words),
            _ => None,
        }
    }

    /// With words that are offered.
    #[must_use]
    pub const fn known(self, words: &'static [&'static str]) -> Column {
        Column { offers: Offers::Words(words), ..self }
    }
}

impl Selection {
    /// Everything.
    #[must_use]
    pub fn all() -> Selection {
        Selection::default()
    }

    /// What a query asks for of a list with these keys, and these texts to look into. Times in it are on the clocks
    /// of `zone`.
    ///
    /// # Errors
    /// It is no query, or asks for what the list does not have.
    pub fn parse(
        query: &str,
        columns: &[Column],
        texts: &[&str],
        now: Time,
        zone: &TimeZone,
    ) -> Result<Selection, BadQuery> {
        let query: Query = query.parse()?;
        let mut building = Building { selection: Selection::default(), now, zone };
        for term in &query.terms {
            let condition = match &term.key {
                None => building.any_text(term, texts),
                Some(key) => building.keyed(term, find(key, columns)?)?,
            };
            let sql = &mut building.selection.sql;
            if !sql.is_empty() {
                sql.push_str(" AND ");
            }
            // What is not known is not the same as what was asked for, so "not" includes it.
            let not = if term.negated { "NOT coalesce" } else { "" };
            let end = if term.negated { ", 1 = 0)" } else { ")" };
            sql.push_str(&format!("{not}({condition}{end}"));
        }
        Ok(building.selection)
    }

    /// The condition.
    #[must_use]
    pub fn sql(&self) -> &str {
        if self.sql.is_empty() { "1 = 1" } else { &self.sql }
    }

    /// Its arguments.
    #[must_use]
    pub fn args(&self) -> Vec<Arg<'_>> {
        let arg = |value| match value {
            &Value::Int(number) => Arg::Int(number),
            Value::Text(text) => Arg::Text(text),
        };
        self.args.iter().map(arg).collect()
    }
}

impl Page {
    /// The first `limit` by `sort`: a key, with `-` in front for the largest first.
    ///
    /// # Errors
    /// The list has no such key to be ordered by.
    pub fn new(
        (limit, skip): (Option<u32>, u32),
        sort: Option<&str>,
        columns: &[Column],
    ) -> Result<Page, BadQuery> {
        let Some(sort) = sort else { return Ok(Page { limit, skip, sort: None }) };
        let (key, falling) = sort.strip_prefix('-').map_or((sort, false), |key| (key, true));
        let column = find(key, columns)?;
        if !column.orders() {
            let why = "a thing may have several of them: it cannot be ordered by that".to_owned();
            return Err(BadQuery::BadValue { key: "sort".to_owned(), value: key.to_owned(), why });
        }
        Ok(Page { limit, skip, sort: Some(Sort { sql: column.sql, falling }) })
    }

    /// The end of the statement: order and limit. `usual`: the order where none is asked for.
    #[must_use]
    pub fn sql(&self, usual: &str) -> String {
        let mut sql = match &self.sort {
            Some(sort) => {
                format!("ORDER BY {}{}, {usual}", sort.sql, if sort.falling { " DESC" } else { "" })
            }
            None => format!("ORDER BY {usual}"),
        };
        if let Some(limit) = self.limit {
            sql.push_str(&format!(" LIMIT {limit}"));
        } else if self.skip > 0 {
            sql.push_str(" LIMIT -1");
        }
        if self.skip > 0 {
            sql.push_str(&format!(" OFFSET {}", self.skip));
        }
        sql
    }
}

fn find<'c>(key: &str, columns: &'c [Column]) -> Result<&'c Column, BadQuery> {
    let known = || columns.iter().map(|column| column.key).collect::<Vec<_>>();
    columns.iter().find(|column| column.key == key).ok_or_else(|| BadQuery::UnknownKey {
        asked: key.chars().take(60).collect::<String>().escape_debug().to_string(),
        near: nearest(key, &known()),
        known: known(),
    })
}

/// A selection that grows term by term.
struct Building<'z> {
    selection: Selection,
    now: Time,
    zone: &'z TimeZone,
}

impl Building<'_> {
    fn arg(&mut self, value: Value) -> String {
        self.selection.args.push(value);
        format!("${}", self.selection.args.len())
    }

    fn any_text(&mut self, term: &Term, texts: &[&str]) -> String {
        let wanted: Vec<String> = term.values.iter().map(|value| format!("%{}%", pattern(value))).collect();
        let mut any = Vec::new();
        for value in wanted {
            let arg = self.arg(Value::Text(value));
            any.extend(texts.iter().map(|text| format!("lower({text}) LIKE {arg} ESCAPE '!'")));
        }
        any.join(" OR ")
    }

    fn keyed(&mut self, term: &Term, column: &Column) -> Result<String, BadQuery> {
        let mut any = Vec::new();
        for value in &term.values {
            any.push(self.one(column, value)?);
        }
        Ok(any.join(" OR "))
    }

    fn one(&mut self, column: &Column, value: &str) -> Result<String, BadQuery> {
        let sql = column.sql;
        let bad =
            |why: String| BadQuery::BadValue { key: column.key.to_owned(), value: value.to_owned(), why };
        match column.kind {
            Kind::Text => Ok(self.text(sql, value)),
            Kind::Exists => {
                let inner = self.text("", value);
                // `… AND t.tag` and the comparison, so that the comparison's left side is the query's last word.
                let (query, last) = sql.rsplit_once(' ').unwrap_or(("", sql));
                Ok(format!("EXISTS ({query} lower({last}){})", inner.trim_start_matches("lower()")))
            }
            Kind::Named => {
                let inner = self.text("", value);
                let (query, last) = sql.rsplit_once(' ').unwrap_or(("", sql));
                Ok(format!("{query} lower({last}){})", inner.trim_start_matches("lower()")))
            }
            Kind::Words(words) => {
                let known = words.iter().find(|word| word.eq_ignore_ascii_case(value));
                let word = known.ok_or_else(|| bad(format!("there are {}", words.join(", "))))?;
                Ok(format!("{sql} = {}", self.arg(Value::Text((*word).to_owned()))))
            }
            Kind::Flag => match value {
                "yes" | "true" | "1" => Ok(format!("({sql})")),
                "no" | "false" | "0" => Ok(format!("NOT ({sql})")),
                _ => Err(bad("write yes or no".to_owned())),
            },
            Kind::Number => {
                let (compare, number) = compared(value);
                let number: i64 = number.parse().map_err(|_| bad("write a number, <5, or >5".to_owned()))?;
                Ok(format!("{sql} {compare} {}", self.arg(Value::Int(number))))
            }
            Kind::Time => self.time(sql, value).map_err(bad),
        }
    }

    /// Equal without regard to case; with a `*` at its end, what begins so.
    fn text(&mut self, sql: &str, value: &str) -> String {
        if let Some(start) = value.strip_suffix('*') {
            let arg = self.arg(Value::Text(format!("{}%", pattern(start))));
            return format!("lower({sql}) LIKE {arg} ESCAPE '!'");
        }
        let arg = self.arg(Value::Text(value.to_lowercase()));
        format!("lower({sql}) = {arg}")
    }

    /// `<7d`: less than that long ago; `>7d`: longer ago; `>2026-11-22`: after that day; `A..B`: from A to B, a day whole;
    /// `none`.
    fn time(&mut self, sql: &str, value: &str) -> Result<String, String> {
        if value == "none" {
            return Ok(format!("{sql} IS NULL"));
        }
        let at = |text: &str| when::time(text, self.now, self.zone).map_err(|e| e.to_string());
        if let Some((from, to)) = value.split_once("..") {
            let (from, to) = (at(from)?, when::day_end(to, self.zone).map_or_else(|| at(to), Ok)?);
            let (from, to) = (self.arg(Value::Int(from.0)), self.arg(Value::Int(to.0)));
            return Ok(format!("({sql} >= {from} AND {sql} < {to})"));
        }
        let (compare, rest) = compared(value);
        if let (true, Ok(ago)) = (compare != "=", rest.parse::<Millis>()) {
            let compare = if compare.starts_with('<') { ">" } else { "<" };
            let moment = self.now - ago;
            return Ok(format!("{sql} {compare} {}", self.arg(Value::Int(moment.0))));
        }
        let moment = at(rest)?;
        let day_end = when::day_end(rest, self.zone);
        let (compare, moment) = match (compare, day_end) {
            ("=", end) => {
                let end = end.unwrap_or(moment + Millis::from_secs(60));
                let (from, to) = (self.arg(Value::Int(moment.0)), self.arg(Value::Int(end.0)));
                return Ok(format!("({sql} >= {from} AND {sql} < {to})"));
            }
            ("<=", Some(end)) => ("<", end),
            (">", Some(end)) => (">=", end),
            (compare, _) => (compare, moment),
        };
        Ok(format!("{sql} {compare} {}", self.arg(Value::Int(moment.0))))
    }
}

fn compared(value: &str) -> (&'static str, &str) {
    for (sign, sql) in [("<=", "<="), (">=", ">="), ("<", "<"), (">", ">")] {
        if let Some(rest) = value.strip_prefix(sign) {
            return (sql, rest);
        }
    }
    ("=", value)
}

/// A text as a pattern of LIKE, in which nothing stands for anything else.
pub(super) fn pattern(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for c in text.to_lowercase().chars() {
        if matches!(c, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(c);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{devices, tickets};

    const NOW: Time = Time(1_795_356_000_000);

    fn devices(query: &str) -> Result<Selection, BadQuery> {
        Selection::parse(query, devices::QUERY, devices::TEXT, NOW, &TimeZone::UTC)
    }

    #[test]
    fn a_query_becomes_a_condition_whose_values_stand_apart() {
        let wanted = devices("state:up,down -site:North tag:lab* paused:no").unwrap();
        assert_eq!(
            wanted.sql(),
            "(d.state = $1 OR d.state = $2) AND NOT coalesce(lower(s.name) = $3, 1 = 0) AND \
             (EXISTS (SELECT 1 FROM device_tag t WHERE t.device_id = d.id AND lower(t.tag) LIKE $4 ESCAPE '!')) AND \
             (NOT (d.paused_at IS NOT NULL))"
        );
        assert_eq!(
            wanted.args(),
            [Arg::Text("up"), Arg::Text("down"), Arg::Text("north"), Arg::Text("lab%")]
        );
        assert_eq!(devices("").unwrap().sql(), "1 = 1");
    }

    #[test]
    fn times_are_asked_for_by_age_or_date() {
        let opened = |query: &str| {
            let wanted = Selection::parse(query, tickets::QUERY, tickets::TEXT, NOW, &TimeZone::UTC).unwrap();
            let args = wanted.args().iter().map(|arg| format!("{arg:?}")).collect::<Vec<_>>().join(" ");
            format!("{} {args}", wanted.sql())
        };
        assert_eq!(opened("opened:<7d"), "(t.opened_at > $1) Int(1794751200000)");
        assert_eq!(opened("opened:>1h"), "(t.opened_at < $1) Int(1795352400000)");
        assert_eq!(
            opened("opened:2026-11-22"),
            "((t.opened_at >= $1 AND t.opened_at < $2)) Int(1795305600000) Int(1795392000000)"
        );
        assert_eq!(opened("opened:<=2026-11-22"), "(t.opened_at < $1) Int(1795392000000)");
        assert_eq!(opened("opened:>2026-11-22"), "(t.opened_at >= $1) Int(1795392000000)");
        assert_eq!(
            opened("opened:2026-11-22..2026-11-22"),
            "((t.opened_at >= $1 AND t.opened_at < $2)) Int(1795305600000) Int(1795392000000)"
        );
        assert_eq!(opened("recovered:none"), "(t.recovered_at IS NULL) ");
    }

    #[test]
    fn what_the_list_does_not_have_is_told_with_what_it_has() {
        for (query, said) in [
            ("sate:up", "'sate' is nothing to ask this list for: there are name, state,"),
            ("sate:up", "did you mean 'state'?"),
            ("state:dwn", "state:dwn: there are unknown, up, degraded, down, unreachable"),
            ("paused:maybe", "write yes or no"),
            ("id:x", "write a number"),
            ("since:soon", "'soon' is no time"),
        ] {
            let error = devices(query).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        assert!(Page::new((None, 0), Some("-since"), devices::QUERY).is_ok());
        assert!(Page::new((None, 0), Some("tag"), devices::QUERY).is_err());
    }
}
