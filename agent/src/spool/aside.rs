//! Damaged databases, set aside beside the one in use to be looked at: the newest two of them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use schedules::Clock;

/// How many are kept. The secret of the agent is in each.
const KEEP: usize = 2;
/// What stands between the name of the database and the time at which it was set aside.
const BROKEN: &str = ".broken-";
const JOURNALS: [&str; 2] = ["-wal", "-shm"];

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// Moves the database at `path` with its journal to a name that is free, and removes those that were set aside long ago.
pub(super) fn set_aside(path: &Path) -> std::io::Result<PathBuf> {
    let newest = times(path).last().map_or(i64::MIN, |newest| newest.saturating_add(1));
    let at = Clock::system().now().0.max(newest);
    let aside = beside(path, &format!("{BROKEN}{at}"));
    std::fs::rename(path, &aside)?;
    for journal in JOURNALS {
        let from = beside(path, journal);
        if from.exists() {
            std::fs::rename(from, beside(&aside, journal))?;
        }
    }
    for old in times(path).iter().rev().skip(KEEP) {
        let old = beside(path, &format!("{BROKEN}{old}"));
        for file in JOURNALS.map(|journal| beside(&old, journal)).into_iter().chain([old]) {
            // It is tried again the next time.
            drop(std::fs::remove_file(file));
        }
    }
    Ok(aside)
}

/// All files that were set aside of the database at `path`.
pub(crate) fn set_aside_at(path: &Path) -> Vec<PathBuf> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Ok(all) = std::fs::read_dir(dir) else { return Vec::new() };
    all.flatten().map(|file| file.path()).filter(|file| time(path, file).is_some()).collect()
}

/// When databases were set aside, the newest last.
fn times(path: &Path) -> Vec<i64> {
    let mut times: Vec<i64> = set_aside_at(path).iter().filter_map(|file| time(path, file)).collect();
    times.sort_unstable();
    times.dedup();
    times
}

/// When a file beside the database at `path` was set aside; none where it was not.
fn time(path: &Path, file: &Path) -> Option<i64> {
    let own = path.file_name().map(OsStr::as_bytes)?;
    let end = file.file_name().map(OsStr::as_bytes)?.strip_prefix(own)?;
    let end = std::str::from_utf8(end).ok()?.strip_prefix(BROKEN)?;
    JOURNALS.into_iter().find_map(|journal| end.strip_suffix(journal)).unwrap_or(end).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_two_are_kept_each_with_its_journal() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.db");
        std::fs::write(dir.path().join("agent.db.broken-by-hand"), "").unwrap();
        let mut all = Vec::new();
        for n in 0..4 {
            std::fs::write(&path, n.to_string()).unwrap();
            std::fs::write(beside(&path, "-wal"), "").unwrap();
            all.push(set_aside(&path).unwrap());
        }
        let mut kept = set_aside_at(&path);
        kept.sort();
        let [.., one, two] = &all[..] else { panic!("{all:?}") };
        assert_eq!(kept, [one.clone(), beside(one, "-wal"), two.clone(), beside(two, "-wal")]);
        assert_eq!(std::fs::read_to_string(two).unwrap(), "3");
        assert!(dir.path().join("agent.db.broken-by-hand").exists(), "what a person named is left alone");
    }
}
