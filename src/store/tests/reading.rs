//! Reading: answers that agree, values of the right type, and notice of what others commit.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier;

use schedules::Millis;

use super::*;
use crate::store::{Constraint, FromColumn, ToArg};

#[test]
fn a_reader_sees_one_state_while_the_writer_commits() {
    let home = Home::new();
    let store = home.open();
    add(&store, "before").unwrap();
    store
        .read(|tx| {
            let ask = || tx.one::<i64>("SELECT count(*) FROM note", args![], |row| row.get(0));
            assert_eq!(ask()?, 1);
            add(&store, "meanwhile")?;
            assert_eq!(ask()?, 1);
            Ok::<(), Error>(())
        })
        .unwrap();
    assert_eq!(count(&store), 2);
}

#[test]
fn more_readers_than_connections_wait_for_their_turn() {
    let home = Home::new();
    let store = home.open();
    let all_at_once = Barrier::new(4);
    std::thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| {
                store.read(|_| {
                    all_at_once.wait();
                    Ok::<(), Error>(())
                })
            });
        }
    });
    assert_eq!(count(&store), 0);
}

#[test]
fn a_reader_that_fails_or_panics_gives_its_connection_back() {
    let home = Home::new();
    let store = home.open();
    for _ in 0..10 {
        let panics = || store.read(|_| -> Result<()> { panic!("tripped over a cable") });
        assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
        assert_eq!(store.read(|_| Err::<(), Error>(Error::Closed)), Err(Error::Closed));
    }
    add(&store, "seen").unwrap();
    assert_eq!(count(&store), 1);
}

#[test]
fn who_only_reads_cannot_write() {
    let home = Home::new();
    let store = home.open();
    let wrote = store.read(|tx| {
        tx.one::<i64>("INSERT INTO note (text) VALUES ('sly') RETURNING id", args![], |row| row.get(0))
    });
    assert!(matches!(wrote, Err(Error::ReadOnly { .. })), "{wrote:?}");
    assert_eq!(count(&store), 0);
}

#[test]
fn every_commit_changes_the_version_whoever_made_it() {
    let home = Home::new();
    let (own, other) = (home.open(), home.open());
    let start = own.version();
    assert_eq!(own.version(), start);
    count(&own);
    assert_eq!(own.version(), start);
    add(&own, "own").unwrap();
    let after_own = own.version();
    assert_ne!(after_own, start);
    add(&other, "another's").unwrap();
    let after_other = own.version();
    assert_ne!(after_other, after_own);
    let refused = other.write(|_| Err::<(), Error>(Error::Closed));
    assert_eq!(refused, Err(Error::Closed));
    assert_eq!(own.version(), after_other);
}

#[test]
fn arguments_are_taken_by_their_number() {
    let home = Home::new();
    let store = home.open();
    let asked: (i64, String, i64) = store
        .read(|tx| {
            tx.one("SELECT $2, $3, $2 + $1", args![1_i64, 20_u32, "three"], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
        })
        .unwrap();
    assert_eq!(asked, (20, "three".to_owned(), 21));
    for (sql, args) in [
        ("SELECT $1", args![]),
        ("SELECT $1", args![1_i64, 2_i64]),
        ("SELECT $1, $3", args![1_i64, 2_i64]),
        ("SELECT $0", args![1_i64]),
        ("SELECT :name", args![1_i64]),
        ("SELEC 1", args![]),
    ] {
        let asked = store.read(|tx| tx.one(sql, args, |_| Ok(())));
        assert!(matches!(&asked, Err(Error::Sqlite { sql: told, .. }) if told == sql), "{sql}: {asked:?}");
    }
}

/// What `value` is when it has been in the database.
fn back<T: ToArg + FromColumn>(value: &T) -> T {
    let home = Home::new();
    home.open().read(|tx| tx.one("SELECT $1", args![value], |row| row.get(0))).unwrap()
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Light {
    Green,
    Red,
}

impl Light {
    fn as_str(self) -> &'static str {
        match self {
            Light::Green => "green",
            Light::Red => "red",
        }
    }
}

impl std::str::FromStr for Light {
    type Err = String;
    fn from_str(text: &str) -> Result<Light, String> {
        [Light::Green, Light::Red]
            .into_iter()
            .find(|l| l.as_str() == text)
            .ok_or_else(|| format!("'{text}' is no light"))
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct LampId(i64);

crate::text_column!(Light);
crate::id_column!(LampId);

#[test]
fn values_come_back_as_they_went_in() {
    assert_eq!(back(&i64::MIN), i64::MIN);
    assert_eq!(back(&u32::MAX), u32::MAX);
    assert_eq!(back(&65_535_u16), 65_535);
    assert_eq!(back(&-7_i32), -7);
    assert_eq!(back(&7_u64), 7);
    assert_eq!(back(&u64::MAX), i64::MAX as u64);
    assert!(back(&true) && !back(&false));
    assert_eq!(back(&"grüße \0 \u{1f4e1}".to_owned()), "grüße \0 \u{1f4e1}");
    assert_eq!(back(&vec![0_u8, 255]), [0, 255]);
    assert_eq!(back(&Vec::<u8>::new()), Vec::<u8>::new());
    assert_eq!(back(&Time(1)), Time(1));
    assert_eq!(back(&Millis(-1)), Millis(-1));
    assert_eq!(back(&None::<String>), None);
    assert_eq!(back(&Some(Light::Red)), Some(Light::Red));
    assert_eq!(back(&Light::Green), Light::Green);
    assert_eq!(back(&LampId(3)), LampId(3));
}

#[test]
fn a_value_that_does_not_fit_is_told_with_its_place() {
    fn told<T: FromColumn + std::fmt::Debug>(sql: &str) -> String {
        let home = Home::new();
        let error = home.open().read(|tx| tx.one(sql, args![], |row| row.get::<T>(0))).unwrap_err();
        assert!(matches!(&error, Error::Value { sql: at, column: 0, .. } if at == sql), "{error:?}");
        error.to_string()
    }
    assert_eq!(
        told::<u16>("SELECT 65536"),
        "column 0 of `SELECT 65536`: the number 65536 stands where a number of the type u16 should"
    );
    assert_eq!(
        told::<u32>("SELECT -1"),
        "column 0 of `SELECT -1`: the number -1 stands where a number of the type u32 should"
    );
    assert_eq!(told::<bool>("SELECT 2"), "column 0 of `SELECT 2`: the number 2 stands where 0 or 1 should");
    assert_eq!(told::<i64>("SELECT NULL"), "column 0 of `SELECT NULL`: nothing stands where a number should");
    assert_eq!(
        told::<Time>("SELECT 'now'"),
        "column 0 of `SELECT 'now'`: the text 'now' stands where a number should"
    );
    assert_eq!(
        told::<String>("SELECT x'00'"),
        "column 0 of `SELECT x'00'`: 1 bytes stands where text should"
    );
    assert_eq!(told::<Light>("SELECT 'blue'"), "column 0 of `SELECT 'blue'`: 'blue' is no light");
    assert!(told::<i64>("SELECT 0.5").contains("fraction"));
    assert!(told::<String>("SELECT CAST(x'ff' AS TEXT)").contains("UTF-8"));
    let home = Home::new();
    let beyond = home.open().read(|tx| tx.one("SELECT 1", args![], |row| row.get::<i64>(1)));
    assert!(matches!(beyond, Err(Error::Value { column: 1, .. })), "{beyond:?}");
}

#[test]
fn a_broken_rule_is_told_with_its_columns() {
    let home = Home::new();
    let store = home.open();
    add(&store, "taken").unwrap();
    for (sql, what, columns) in [
        ("INSERT INTO note (text) VALUES ('taken')", Constraint::Unique, "note.text"),
        ("INSERT INTO note (id, text) VALUES (1, 'x')", Constraint::Unique, "note.id"),
        ("INSERT INTO note (text) VALUES ('')", Constraint::Check, "text <> ''"),
        ("INSERT INTO note (text) VALUES (NULL)", Constraint::NotNull, "note.text"),
        ("INSERT INTO note (text, answers) VALUES ('x', 99)", Constraint::ForeignKey, ""),
        ("INSERT INTO note (text, size) VALUES ('x', 'big')", Constraint::Type, "note.size"),
    ] {
        let error = store.write(move |tx| tx.run(sql, args![])).unwrap_err();
        assert_eq!(error, Error::Constraint { what, columns: columns.to_owned() }, "{sql}");
        assert_eq!(error.is_unique(), what == Constraint::Unique);
    }
}

#[test]
fn no_row_is_an_error_only_where_one_must_be_there() {
    let home = Home::new();
    let store = home.open();
    let sql = "SELECT id FROM note WHERE text = $1";
    store
        .read(|tx| {
            assert_eq!(tx.maybe::<i64>(sql, args!["none"], |row| row.get(0))?, None);
            assert!(matches!(tx.one::<i64>(sql, args!["none"], |row| row.get(0)), Err(Error::NotFound(_))));
            Ok::<(), Error>(())
        })
        .unwrap();
}

#[test]
fn rows_can_be_handed_on_one_by_one_until_somebody_has_enough() {
    let home = Home::new();
    let store = home.open();
    for number in 0..10 {
        add(&store, &number.to_string()).unwrap();
    }
    let mut seen = Vec::new();
    let stopped = store.read(|tx| {
        tx.each("SELECT text FROM note ORDER BY id", args![], |row| {
            seen.push(row.get::<String>(0)?);
            if seen.len() == 3 { Err(Error::Closed) } else { Ok(()) }
        })
    });
    assert_eq!((stopped, seen.len()), (Err(Error::Closed), 3));
    let dynamic: Vec<Arg<'_>> = seen.iter().map(ToArg::to_arg).collect();
    let found = store.read(|tx| {
        tx.all::<i64>("SELECT id FROM note WHERE text IN ($1, $2, $3)", &dynamic, |row| row.get(0))
    });
    assert_eq!(found, Ok(vec![1, 2, 3]));
}
