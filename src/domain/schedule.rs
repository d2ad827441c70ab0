//! What runs by itself at set times, beside the watching: which jobs there are, and which setting says when.

/// A job that runs by a schedule.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// Its name, under which its last run is kept.
    pub name: &'static str,
    /// The setting that says when it runs.
    pub setting: &'static str,
    /// What it does.
    pub about: &'static str,
}

/// The nightly care of the database.
pub const MAINTENANCE: Schedule = Schedule {
    name: "maintenance",
    setting: "maintenance.when",
    about: "forgets what is older than it is kept, and tidies the database",
};

/// All of them.
pub const ALL: &[Schedule] = &[MAINTENANCE];
