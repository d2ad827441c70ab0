//! One test binary over the real program: its rules, its words, and real processes where processes matter.

mod api;
mod bad_input;
mod checks;
mod contract;
mod demo;
mod dns;
mod doors;
mod durability;
mod elsewhere;
mod harness;
mod history;
mod hostile;
mod house;
mod ladder;
mod lists;
mod main_job;
mod maintenance;
mod notify;
mod notify_channels;
mod outages;
mod serve;
mod slow;
mod stored;
mod tickets;
mod upgrade;
mod web;
