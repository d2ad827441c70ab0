//! The rules between the rooms: what Cargo itself does not refuse.

use std::fs;
use std::path::{Path, PathBuf};

/// A rule: in these files, but for those, none of these words may stand in code.
struct Rule {
    within: &'static [&'static str],
    except: &'static [&'static str],
    words: &'static [&'static str],
    because: &'static str,
}

const RULES: &[Rule] = &[
    Rule {
        within: &["src/domain"],
        except: &[],
        words: &[
            "async ", ".await", "rusqlite", "SELECT ", "INSERT ", "Clock", "fastrand", "std::fs", "tokio",
        ],
        because: "the domain is pure: no async, no SQL, no clock, no randomness, no files",
    },
    Rule {
        within: &["src/domain"],
        except: &[],
        words: &["agent::run", "agent::link", "agent::spool", "agent::probe", "agent::facts", "agent::state"],
        because: "from the agent the domain knows the plain data of agent::report alone",
    },
    Rule {
        within: &["src", "commands", "agent/src"],
        except: &["src/store", "agent/src/spool", "src/server/jobs.rs"],
        words: &["SELECT ", "INSERT INTO", "UPDATE ", "DELETE FROM", "CREATE TABLE"],
        because: "SQL stands in the store alone (and in the agent's own spool)",
    },
    Rule {
        within: &["src"],
        except: &["src/store/engine.rs", "src/store/tx.rs", "src/store/value.rs", "src/store/tests"],
        words: &["rusqlite"],
        because: "the engine is named in engine.rs and tx.rs alone",
    },
    Rule {
        within: &["src", "agent/src", "schedules/src", "exports/src"],
        except: &["src/store/tests", "agent/src/spool/tests.rs"],
        words: &["println!", "eprintln!", "print!(", "process::exit"],
        because: "printing and exit are the work of commands",
    },
    Rule {
        within: &["src/store", "src/reports", "src/domain"],
        except: &[],
        words: &["crate::server", "crate::web", "crate::app"],
        because: "arrows run one way: server → app → reports → store → domain",
    },
    Rule {
        within: &["src/web"],
        except: &["src/web/metrics/tests.rs"],
        words: &["crate::server"],
        because: "arrows run one way: server → web; only a test may look at both",
    },
    Rule {
        within: &["src", "commands", "agent/src", "schedules/src", "exports/src"],
        except: &["src/web"],
        words: &["maud", "html!", "PreEscaped"],
        because: "HTML stands in the web alone",
    },
    Rule {
        within: &["src/domain"],
        except: &[],
        words: &["crate::store", "crate::reports"],
        because: "the domain knows nobody above it",
    },
];

#[test]
fn no_room_reaches_into_another() {
    let mut broken = Vec::new();
    for rule in RULES {
        for room in rule.except {
            assert!(Path::new(room).exists(), "{room}: it is excepted, and is not there");
        }
        for file in rule.within.iter().flat_map(|room| files(Path::new(room))) {
            if rule.except.iter().any(|room| file.starts_with(room)) {
                continue;
            }
            let text = fs::read_to_string(&file).unwrap();
            for (number, line) in text.lines().enumerate() {
                let code = line.split("//").next().unwrap_or_default();
                if let Some(word) = rule.words.iter().find(|word| stands_in(code, word)) {
                    broken.push(format!("{}:{}: '{word}': {}", file.display(), number + 1, rule.because));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn no_file_is_too_long_and_each_says_what_it_is() {
    let mut broken = Vec::new();
    for room in ["src", "commands", "agent", "schedules", "exports", "tests", "benches"] {
        for file in files(Path::new(room)) {
            let text = fs::read_to_string(&file).unwrap();
            if !text.starts_with("//!") {
                broken.push(format!("{}: it does not say what it is (//!)", file.display()));
            }
            let lines = text.lines().count();
            if lines > 600 {
                broken.push(format!("{}: {lines} lines, 600 are the most", file.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// Whether a word stands in a line as a word of its own.
fn stands_in(line: &str, word: &str) -> bool {
    let inner = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back().is_some_and(inner) && word.starts_with(inner);
        let after = line[at + word.len()..].chars().next().is_some_and(inner) && word.ends_with(inner);
        !before && !after
    })
}

/// All files of code in a room, which has some: a room that is no more is a rule that holds nothing.
pub fn files(room: &Path) -> Vec<PathBuf> {
    let all = below(room);
    assert!(!all.is_empty(), "{}: no code is there", room.display());
    all
}

fn below(room: &Path) -> Vec<PathBuf> {
    if room.is_file() {
        return vec![room.to_owned()];
    }
    let mut all = Vec::new();
    for entry in fs::read_dir(room).unwrap_or_else(|e| panic!("{}: {e}", room.display())) {
        let path = entry.expect("a file of the room").path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target" && name != "snapshots") {
            all.extend(below(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            all.push(path);
        }
    }
    all
}

#[test]
fn a_rule_that_is_broken_is_seen() {
    for (line, word, stands) in [
        ("use crate::server::http;", "crate::server", true),
        ("use crate::servers::http;", "crate::server", false),
        ("    html! { p { \"x\" } }", "html!", true),
        ("let asynchronous = 1;", "async ", false),
        ("tx.run(\"SELECT 1\")", "SELECT ", true),
    ] {
        assert_eq!(stands_in(line, word), stands, "{line}");
    }
}
