//! What a site or a device may be called.

/// The longest name, in characters.
pub const MAX_CHARS: usize = 64;

/// Why a name is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// Nothing is left of it.
    #[error("a name must not be empty")]
    Empty,
    /// It is longer than [`MAX_CHARS`].
    #[error("the name '{0}…' is longer than {MAX_CHARS} characters")]
    TooLong(String),
    /// It looks like an id.
    #[error("'{0}' is a number: ids are numbers, so a name needs a letter")]
    Number(String),
    /// It holds a character that names must not have.
    #[error("the name '{name}' has {what}: names are letters, digits, spaces and - _ . / + @ # ( )")]
    Character {
        /// The name, with what cannot be shown escaped.
        name: String,
        /// The character, or what kind of character it is.
        what: String,
    },
}

/// The name as it is kept: trimmed, and checked. A name has 1 to [`MAX_CHARS`] characters, no control characters, no
/// quotes, commas or colons (the query language needs them), does not start with `-`, and is no number (ids are).
///
/// # Errors
/// What is wrong with it, in a sentence for whoever wrote it.
pub fn check(text: &str) -> Result<&str, BadName> {
    let name = text.trim();
    if name.is_empty() {
        return Err(BadName::Empty);
    }
    if name.chars().count() > MAX_CHARS {
        return Err(BadName::TooLong(name.chars().take(20).collect::<String>().escape_debug().to_string()));
    }
    if name.chars().all(|c| c.is_ascii_digit()) {
        return Err(BadName::Number(name.to_owned()));
    }
    let shown = || name.escape_debug().to_string();
    if name.starts_with('-') {
        return Err(BadName::Character { name: shown(), what: "a leading '-'".into() });
    }
    for c in name.chars() {
        if !(c.is_alphanumeric() || " -_./+@#()".contains(c)) {
            return Err(BadName::Character { name: shown(), what: format!("'{}'", c.escape_debug()) });
        }
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_people_use_are_names() {
        for name in ["gateway", "core-1.north", "Hauptstraße 5", "this-machine", "r2/eth0", "テレビ"] {
            assert_eq!(check(name).unwrap(), name);
        }
        assert_eq!(check("  padded ").unwrap(), "padded");
    }

    #[test]
    fn what_would_confuse_a_query_an_id_or_a_terminal_is_refused() {
        for name in ["", "   ", "17", "a,b", "a:b", "\"x\"", "a\nb", "\u{1b}[31mred", "-rf", &"x".repeat(65)]
        {
            assert!(check(name).is_err(), "{name:?}");
        }
    }
}
