//! What goes into a statement and what comes out of a row: plain values, and the types made of them.

use schedules::{Millis, Time};

/// A value as the database keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arg<'a> {
    /// Nothing.
    Null,
    /// A whole number.
    Int(i64),
    /// Text.
    Text(&'a str),
    /// Bytes.
    Blob(&'a [u8]),
}

impl Arg<'_> {
    fn kind(self) -> String {
        match self {
            Arg::Null => "nothing".to_owned(),
            Arg::Int(number) => format!("the number {number}"),
            Arg::Text(text) => format!("the text '{}'", text.chars().take(40).collect::<String>()),
            Arg::Blob(bytes) => format!("{} bytes", bytes.len()),
        }
    }
}

/// Why a value of the database is none of the wanted type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Misfit(pub String);

impl Misfit {
    /// `found` stands where `wanted` should.
    #[must_use]
    pub fn new(wanted: &str, found: Arg<'_>) -> Misfit {
        Misfit(format!("{} stands where {wanted} should", found.kind()))
    }
}

/// What can be given to a statement.
pub trait ToArg {
    /// The value as the database keeps it.
    fn to_arg(&self) -> Arg<'_>;
}

/// What a column can be read as.
pub trait FromColumn: Sized {
    /// Reads it.
    ///
    /// # Errors
    /// The value is none of this type.
    fn from_column(value: Arg<'_>) -> Result<Self, Misfit>;
}

/// The arguments of a statement, in the order of `$1`, `$2` and so on.
#[macro_export]
macro_rules! args {
    ($($value:expr),* $(,)?) => {
        &[$($crate::store::ToArg::to_arg(&$value)),*] as &[$crate::store::Arg<'_>]
    };
}

/// Lets types that have `as_str()` and `FromStr` stand in the database as text.
#[macro_export]
macro_rules! text_column {
    ($($name:ty),+ $(,)?) => {$(
        impl $crate::store::ToArg for $name {
            fn to_arg(&self) -> $crate::store::Arg<'_> {
                $crate::store::Arg::Text(self.as_str())
            }
        }

        impl $crate::store::FromColumn for $name {
            fn from_column(value: $crate::store::Arg<'_>) -> Result<Self, $crate::store::Misfit> {
                match value {
                    $crate::store::Arg::Text(text) => {
                        text.parse().map_err(|e| $crate::store::Misfit(format!("{e}")))
                    }
                    other => Err($crate::store::Misfit::new(stringify!($name), other)),
                }
            }
        }
    )+};
}

/// Lets types around one `i64` stand in the database as a number.
#[macro_export]
macro_rules! id_column {
    ($($name:ty),+ $(,)?) => {$(
        impl $crate::store::ToArg for $name {
            fn to_arg(&self) -> $crate::store::Arg<'_> {
                $crate::store::Arg::Int(self.0)
            }
        }

        impl $crate::store::FromColumn for $name {
            fn from_column(value: $crate::store::Arg<'_>) -> Result<Self, $crate::store::Misfit> {
                <i64 as $crate::store::FromColumn>::from_column(value).map(Self)
            }
        }
    )+};
}

id_column!(Time, Millis);

impl<T: ToArg + ?Sized> ToArg for &T {
    fn to_arg(&self) -> Arg<'_> {
        (**self).to_arg()
    }
}

impl<T: ToArg> ToArg for Option<T> {
    fn to_arg(&self) -> Arg<'_> {
        self.as_ref().map_or(Arg::Null, ToArg::to_arg)
    }
}

impl<T: FromColumn> FromColumn for Option<T> {
    fn from_column(value: Arg<'_>) -> Result<Self, Misfit> {
        match value {
            Arg::Null => Ok(None),
            Arg::Int(_) | Arg::Text(_) | Arg::Blob(_) => T::from_column(value).map(Some),
        }
    }
}

impl ToArg for Arg<'_> {
    fn to_arg(&self) -> Arg<'_> {
        *self
    }
}

impl ToArg for i64 {
    fn to_arg(&self) -> Arg<'_> {
        Arg::Int(*self)
    }
}

impl FromColumn for i64 {
    fn from_column(value: Arg<'_>) -> Result<i64, Misfit> {
        match value {
            Arg::Int(number) => Ok(number),
            other => Err(Misfit::new("a number", other)),
        }
    }
}

macro_rules! smaller_number {
    ($($name:ty),+) => {$(
        impl ToArg for $name {
            fn to_arg(&self) -> Arg<'_> {
                Arg::Int(i64::from(*self))
            }
        }

        impl FromColumn for $name {
            fn from_column(value: Arg<'_>) -> Result<$name, Misfit> {
                match value {
                    Arg::Int(number) => <$name>::try_from(number)
                        .map_err(|_| Misfit::new(concat!("a number of the type ", stringify!($name)), value)),
                    other => Err(Misfit::new("a number", other)),
                }
            }
        }
    )+};
}

smaller_number!(u16, i32, u32);

impl ToArg for u64 {
    /// A number beyond what the database can hold is kept as the largest it can.
    fn to_arg(&self) -> Arg<'_> {
        Arg::Int(i64::try_from(*self).unwrap_or(i64::MAX))
    }
}

impl FromColumn for u64 {
    fn from_column(value: Arg<'_>) -> Result<u64, Misfit> {
        i64::from_column(value)?.try_into().map_err(|_| Misfit::new("a number from 0", value))
    }
}

impl ToArg for bool {
    fn to_arg(&self) -> Arg<'_> {
        Arg::Int(i64::from(*self))
    }
}

impl FromColumn for bool {
    fn from_column(value: Arg<'_>) -> Result<bool, Misfit> {
        match value {
            Arg::Int(0) => Ok(false),
            Arg::Int(1) => Ok(true),
            other => Err(Misfit::new("0 or 1", other)),
        }
    }
}

impl ToArg for str {
    fn to_arg(&self) -> Arg<'_> {
        Arg::Text(self)
    }
}

impl ToArg for String {
    fn to_arg(&self) -> Arg<'_> {
        Arg::Text(self)
    }
}

impl FromColumn for String {
    fn from_column(value: Arg<'_>) -> Result<String, Misfit> {
        match value {
            Arg::Text(text) => Ok(text.to_owned()),
            other => Err(Misfit::new("text", other)),
        }
    }
}

impl ToArg for [u8] {
    fn to_arg(&self) -> Arg<'_> {
        Arg::Blob(self)
    }
}

impl<const N: usize> ToArg for [u8; N] {
    fn to_arg(&self) -> Arg<'_> {
        Arg::Blob(self)
    }
}

impl ToArg for Vec<u8> {
    fn to_arg(&self) -> Arg<'_> {
        Arg::Blob(self)
    }
}

impl FromColumn for Vec<u8> {
    fn from_column(value: Arg<'_>) -> Result<Vec<u8>, Misfit> {
        match value {
            Arg::Blob(bytes) => Ok(bytes.to_owned()),
            other => Err(Misfit::new("bytes", other)),
        }
    }
}
