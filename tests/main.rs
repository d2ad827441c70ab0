//! One test binary over the real program: its rules, its words, and real processes where processes matter.

mod durability;
mod harness;
mod house;
mod main_job;
