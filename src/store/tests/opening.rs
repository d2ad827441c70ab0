//! Opening: what is made, and what is refused without being touched.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use super::*;
use crate::store::{Constraint, OpenError};

fn refused(path: &Path, migrations: &[Migration]) -> OpenError {
    let before = fs::read(path).ok();
    let error = Store::open_with(path, Clock::system(), Mode::Create, migrations).unwrap_err();
    assert_eq!(fs::read(path).ok(), before, "a file that is refused is left as it was");
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    assert!(!error.hint().is_empty());
    error
}

#[test]
fn what_is_made_is_for_its_user_alone() {
    let home = Home::new();
    let path = home.folder.path().join("new/folder/lineman.db");
    let store = Store::open(&path, Clock::system(), Mode::Create).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(&path.with_file_name("lineman.db-wal")), 0o600);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    drop(store);
    let header = fs::read(&path).unwrap();
    assert_eq!(&header[68..72], b"lnmn");
}

#[test]
fn a_missing_database_is_made_only_where_that_is_asked_for() {
    let home = Home::new();
    let error = Store::open(&home.path(), Clock::system(), Mode::Existing).unwrap_err();
    assert_eq!(error, OpenError::Missing { path: home.path() });
    assert!(!home.path().exists());
    add(&home.open(), "kept").unwrap();
    let again = Store::open_with(&home.path(), Clock::system(), Mode::Existing, NOTES).unwrap();
    assert_eq!(texts(&again), ["kept"]);
}

#[test]
fn a_database_of_a_newer_lineman_is_refused() {
    let home = Home::new();
    drop(home.open());
    assert_eq!(refused(&home.path(), &[]), OpenError::Newer { path: home.path(), found: 1, known: 0 });
    let left: Vec<_> = fs::read_dir(home.folder.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "nothing is left beside it: {left:?}");
}

#[test]
fn the_log_of_a_newer_lineman_that_was_killed_stays_as_it_is() {
    let home = Home::new();
    let store = home.open();
    add(&store, "in the log").unwrap();
    let copy = home.folder.path().join("copy.db");
    let beside = |path: &Path| path.with_extension("db-wal");
    fs::copy(home.path(), &copy).unwrap();
    fs::copy(beside(&home.path()), beside(&copy)).unwrap();
    let log = fs::read(beside(&copy)).unwrap();
    assert!(matches!(refused(&copy, &[]), OpenError::Newer { .. }));
    assert_eq!(fs::read(beside(&copy)).unwrap(), log);
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let home = Home::new();
    for bytes in [b"SQLite".to_vec(), b"dear diary, ".repeat(1000)] {
        fs::write(home.path(), bytes).unwrap();
        assert_eq!(refused(&home.path(), NOTES), OpenError::NotOurs { path: home.path() });
    }
    let folder = home.folder.path();
    let error = Store::open(folder, Clock::system(), Mode::Create).unwrap_err();
    assert_eq!(error, OpenError::NotOurs { path: folder.to_owned() });
}

#[test]
fn the_database_of_another_program_is_refused() {
    let home = Home::new();
    let other = rusqlite::Connection::open(home.path()).unwrap();
    other.execute_batch("CREATE TABLE bookmarks (url TEXT)").unwrap();
    drop(other);
    assert_eq!(refused(&home.path(), NOTES), OpenError::NotOurs { path: home.path() });
}

#[test]
fn a_damaged_database_is_refused() {
    let home = Home::new();
    let store = home.open();
    for number in 0..200 {
        add(&store, &format!("{number} {}", "x".repeat(200))).unwrap();
    }
    drop(store);
    let whole = fs::read(home.path()).unwrap();

    fs::write(home.path(), &whole[..whole.len() / 2]).unwrap();
    assert!(matches!(refused(&home.path(), NOTES), OpenError::Corrupt { .. }), "cut off");

    for page in [1, 3, 5] {
        let mut damaged = whole.clone();
        damaged[page * 4096..page * 4096 + 512].fill(0xa5);
        fs::write(home.path(), &damaged).unwrap();
        let error = refused(&home.path(), NOTES);
        assert!(matches!(error, OpenError::Corrupt { .. }), "page {page}: {error}");
    }

    let mut damaged = whole.clone();
    damaged[100..600].fill(0xa5);
    fs::write(home.path(), &damaged).unwrap();
    assert!(matches!(refused(&home.path(), NOTES), OpenError::Corrupt { .. }), "the schema");

    fs::write(home.path(), &whole).unwrap();
    assert_eq!(count(&home.open()), 200);
}

/// Runs `f` in a thread that has no rights of its own over files, also where the tests run as root.
fn without_rights<T: Send>(f: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            #[expect(unsafe_code, reason = "no safe wrapper is among our libraries")]
            // SAFETY: it changes nothing but this thread's own rights.
            unsafe {
                if libc::geteuid() == 0 {
                    libc::setfsuid(65_534);
                }
            }
            f()
        });
        thread.join().unwrap()
    })
}

fn allow(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_read_only_file_or_folder_is_refused() {
    let home = Home::new();
    drop(home.open());
    allow(&home.path(), 0o444);
    allow(home.folder.path(), 0o555);
    let path = home.path();
    let inside = home.folder.path().join("other.db");
    without_rights(|| {
        assert_eq!(refused(&path, NOTES), OpenError::ReadOnly { path: path.clone() }, "file and folder");
        assert_eq!(refused(&inside, NOTES), OpenError::ReadOnly { path: inside.clone() }, "folder");
    });
    allow(&path, 0o666);
    without_rights(|| {
        assert_eq!(refused(&path, NOTES), OpenError::ReadOnly { path: path.clone() }, "no log")
    });
    allow(&path, 0o600);
    if fs::metadata("/proc/self").is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0) {
        without_rights(|| {
            let error = Store::open_with(&path, Clock::system(), Mode::Existing, NOTES).unwrap_err();
            assert_eq!(error, OpenError::ReadOnly { path: path.clone() }, "another user's");
        });
    }
    allow(home.folder.path(), 0o755);
}

/// A disk of that size, unmounted on drop; none where the tests may not mount one.
pub struct SmallDisk(TempDir);

impl SmallDisk {
    pub fn new(size: &str) -> Option<SmallDisk> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "lineman-test"])
            .arg(folder.path())
            .output();
        if mounted.is_ok_and(|done| done.status.success()) {
            return Some(SmallDisk(folder));
        }
        let why_not = "a small disk can be mounted by root alone";
        // Where all is to be held, nothing is left out.
        assert!(std::env::var_os("LINEMAN_ALL").is_none_or(|all| all != "1"), "{why_not}");
        println!("skipped: {why_not}");
        None
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(self.0.path()).output());
    }
}

#[test]
fn a_full_disk_is_named_when_the_database_is_made() {
    for size in ["4k", "8k", "16k", "32k", "40k"] {
        let Some(disk) = SmallDisk::new(size) else { return };
        let path = disk.path().join("lineman.db");
        let error = Store::open(&path, Clock::system(), Mode::Create).unwrap_err();
        assert_eq!(error, OpenError::Full { path }, "{size}");
    }
}

#[test]
fn two_that_open_at_once_make_each_migration_once() {
    const COUNTED: &[Migration] = &[
        Migration { name: "0001", sql: "CREATE TABLE note (text TEXT) STRICT;" },
        Migration { name: "0002", sql: "INSERT INTO note (text) VALUES ('made');" },
    ];
    for _ in 0..10 {
        let home = Home::new();
        let open = || Store::open_with(&home.path(), Clock::system(), Mode::Create, COUNTED).unwrap();
        std::thread::scope(|scope| {
            let all: Vec<_> = (0..4).map(|_| scope.spawn(open)).collect();
            for store in all {
                assert_eq!(texts(&store.join().unwrap()), ["made"]);
            }
        });
    }
}

#[test]
fn a_migration_that_fails_leaves_the_database_as_it_was() {
    let home = Home::new();
    add(&home.open(), "kept").unwrap();
    for (sql, why) in [
        ("DELETE FROM note; CREATE TABLE note (id INTEGER) STRICT;", "already exists"),
        ("INSERT INTO note (text, answers) VALUES ('an answer', 99);", "not there"),
    ] {
        let wrong = [NOTES[0], Migration { name: "0002_wrong", sql }];
        let error = refused(&home.path(), &wrong);
        assert!(error.to_string().contains("0002_wrong") && error.to_string().contains(why), "{error}");
        assert_eq!(texts(&home.open()), ["kept"]);
    }
}

#[test]
fn a_table_that_others_refer_to_can_be_rebuilt() {
    let home = Home::new();
    let store = home.open();
    let first = add(&store, "first").unwrap();
    store
        .write(move |tx| tx.run("INSERT INTO note (text, answers) VALUES ('second', $1)", args![first]))
        .unwrap();
    drop(store);
    let rebuilt = Migration {
        name: "0002_rebuilt",
        sql: "CREATE TABLE new (id INTEGER PRIMARY KEY, text TEXT NOT NULL, size INTEGER, answers INTEGER
              REFERENCES note (id)) STRICT; INSERT INTO new SELECT * FROM note; DROP TABLE note;
              ALTER TABLE new RENAME TO note;",
    };
    let store = Store::open_with(&home.path(), Clock::system(), Mode::Create, &[NOTES[0], rebuilt]).unwrap();
    assert_eq!(texts(&store), ["first", "second"]);
    let error = store.write(move |tx| tx.run("DELETE FROM note WHERE id = $1", args![first])).unwrap_err();
    assert!(matches!(error, Error::Constraint { what: Constraint::ForeignKey, .. }), "{error}");
}
