//! One test binary over the real program: its rules, its words, and real processes where processes matter.

mod bad_input;
mod checks;
mod durability;
mod harness;
mod house;
mod lists;
mod main_job;
mod notify;
mod notify_channels;
mod serve;
