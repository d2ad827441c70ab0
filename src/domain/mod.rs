//! Types and rules, pure: no async, no SQL, no clock, no randomness. Time comes in as an argument.

pub mod availability;
pub mod blind;
pub mod check;
pub mod check_in;
pub mod device;
pub mod dns;
pub mod dossier;
pub mod event;
pub mod flapping;
pub mod history;
pub mod ids;
pub mod judgement;
pub mod maintenance;
pub mod name;
pub mod notify;
pub mod outage;
pub mod packed;
pub mod provider;
pub mod query;
pub mod schedule;
pub mod service;

pub mod rollup;
pub mod setting;
pub mod ticket;
pub mod user;
pub mod verdict;
pub mod wall;
pub mod when;

/// An enum whose cases have one name each: in the database, in JSON, on the command line.
macro_rules! named {
    ($(#[$doc:meta])* $vis:vis enum $name:ident { $($(#[$case_doc:meta])* $case:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $vis enum $name { $($(#[$case_doc])* $case),+ }

        impl $name {
            /// All cases, in their order.
            pub const ALL: &'static [$name] = &[$($name::$case),+];
            /// The names of all cases, in their order.
            pub const NAMES: &'static [&'static str] = &[$($text),+];

            /// The name, as it stands in the database, in JSON and on the command line.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $($name::$case => $text),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::domain::UnknownName;
            fn from_str(text: &str) -> Result<$name, $crate::domain::UnknownName> {
                match text {
                    $($text => Ok($name::$case),)+
                    _ => Err($crate::domain::UnknownName { text: text.to_owned(), known: $name::NAMES }),
                }
            }
        }
    };
}
pub(crate) use named;

/// A word that is none of those there are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is none of: {}", known.join(", "))]
pub struct UnknownName {
    /// What was written.
    pub text: String,
    /// What there is.
    pub known: &'static [&'static str],
}
