//! What the store promises, each as a small story.

mod history;
mod log;
mod offers;
mod opening;
mod reading;
mod writing;

use std::path::PathBuf;

use schedules::{Clock, Time};
use tempfile::TempDir;

use super::migrate::Migration;
use super::{Arg, Error, Mode, Result, Store, args};

/// One table, for the stories.
const NOTES: &[Migration] = &[Migration {
    name: "0001_note",
    sql: "CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE CHECK (text <> ''), size INTEGER,
          answers INTEGER REFERENCES note (id)) STRICT;",
}];

struct Home {
    folder: TempDir,
}

impl Home {
    fn new() -> Home {
        Home { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("lineman.db")
    }

    fn open(&self) -> Store {
        Store::open_with(&self.path(), Clock::manual(Time(1_000)), Mode::Create, NOTES).unwrap()
    }
}

fn add(store: &Store, text: &str) -> Result<i64> {
    let text = text.to_owned();
    store.write(move |tx| tx.id("INSERT INTO note (text) VALUES ($1) RETURNING id", args![text]))
}

fn count(store: &Store) -> i64 {
    store.read(|tx| tx.one("SELECT count(*) FROM note", args![], |row| row.get(0))).unwrap()
}

fn texts(store: &Store) -> Vec<String> {
    store.read(|tx| tx.all("SELECT text FROM note ORDER BY text", args![], |row| row.get(0))).unwrap()
}
