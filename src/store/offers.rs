//! What is offered to whoever types a value of a query: the words of its key, or what the database has.

use crate::store::filter::{Column, Kind, Offers, pattern};
use crate::store::{Result, Tx, args};

/// The names of devices and of sites, for the keys that name one.
pub const DEVICES: &str = "SELECT name AS v FROM device";
/// See above.
pub const SITES: &str = "SELECT name AS v FROM site";
/// The tags of devices.
pub const TAGS: &str = "SELECT tag AS v FROM device_tag";

/// At most `most` values of a key that hold a text; those that begin with it come first.
///
/// # Errors
/// The database's.
pub fn values(tx: &Tx, column: &Column, text: &str, most: usize) -> Result<Vec<String>> {
    let words: &[&str] = match (column.offers, column.kind) {
        (Offers::Found(query), _) => return found(tx, query, text, most),
        (Offers::Words(words), _) | (Offers::OfKind, Kind::Words(words)) => words,
        (Offers::OfKind, Kind::Flag) => &["yes", "no"],
        (Offers::OfKind, Kind::Time) => &["<1h", "<1d", "<7d", ">1d", ">7d", "none"],
        (Offers::OfKind, Kind::Text | Kind::Number | Kind::Exists | Kind::Named) => &[],
    };
    let text = text.to_lowercase();
    let lower = |word: &&&str| word.to_lowercase();
    let mut all: Vec<&&str> = words.iter().filter(|word| lower(word).contains(&text)).collect();
    all.sort_by_key(|word| !lower(word).starts_with(&text));
    Ok(all.into_iter().take(most).map(|word| (*word).to_owned()).collect())
}

fn found(tx: &Tx, query: &str, text: &str, most: usize) -> Result<Vec<String>> {
    let (begins, holds) = (format!("{}%", pattern(text)), format!("%{}%", pattern(text)));
    tx.all(
        &format!(
            "SELECT d.v FROM (SELECT DISTINCT o.v FROM ({query}) o WHERE lower(o.v) LIKE $1 ESCAPE '!' AND o.v <> '') d
             ORDER BY CASE WHEN lower(d.v) LIKE $2 ESCAPE '!' THEN 0 ELSE 1 END, d.v LIMIT {most}"
        ),
        args![holds, begins],
        |row| row.get(0),
    )
}
