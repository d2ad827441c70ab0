//! A table in, bytes out.
