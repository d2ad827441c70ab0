//! Users, and who may do what.

use schedules::Time;

use crate::domain::ids::UserId;
use crate::domain::named;

named! {
    /// What a user is here for.
    pub enum Role {
        /// Sees everything but secrets, and changes nothing.
        Viewer = "viewer",
        /// Keeps the network: devices, checks, tickets, maintenance.
        Operator = "operator",
        /// Keeps the office: customers, money, stock.
        Billing = "billing",
        /// May do everything, also who may do what.
        Admin = "admin",
    }
}

named! {
    /// What kind of doing it is.
    pub enum Act {
        /// Nothing changes by it.
        See = "see",
        /// Something changes.
        Change = "change",
    }
}

named! {
    /// What is seen or changed.
    pub enum Subject {
        /// Sites, devices, checks, outages, maintenance, names in DNS, reports.
        Network = "network",
        /// Tickets.
        Tickets = "tickets",
        /// Customers, money, stock.
        Office = "office",
        /// Who is told of what, and what was sent.
        Notify = "notify",
        /// Settings.
        Settings = "settings",
        /// What happened, and who did it.
        Log = "log",
        /// Users, their roles, their sessions and tokens.
        Users = "users",
        /// The user's own password, sessions and tokens.
        Own = "own",
    }
}

/// What is needed for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Right {
    /// What kind of doing it is.
    pub act: Act,
    /// With what.
    pub subject: Subject,
}

impl Right {
    /// To see something.
    #[must_use]
    pub const fn see(subject: Subject) -> Right {
        Right { act: Act::See, subject }
    }

    /// To change something.
    #[must_use]
    pub const fn change(subject: Subject) -> Right {
        Right { act: Act::Change, subject }
    }
}

/// Who asks for something over the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The user.
    pub id: UserId,
    /// The name it signs in with, and with which the log names it.
    pub name: String,
    /// What it is here for.
    pub role: Role,
    /// What a token narrows that to.
    pub no_more_than: Option<Role>,
    /// Since when it may do nothing any more.
    pub disabled_at: Option<Time>,
}

/// Whether a user may do something. The one place where this is decided.
#[must_use]
pub fn may(user: &User, right: Right) -> bool {
    user.disabled_at.is_none()
        && allows(user.role, right)
        && user.no_more_than.is_none_or(|most| allows(most, right))
}

fn allows(role: Role, Right { act, subject }: Right) -> bool {
    match (role, act, subject) {
        (Role::Admin, ..) | (_, _, Subject::Own) => true,
        (_, _, Subject::Users) => false,
        (_, Act::See, Subject::Network | Subject::Tickets | Subject::Log) => true,
        (Role::Viewer | Role::Operator, Act::See, Subject::Notify | Subject::Settings) => true,
        (Role::Viewer | Role::Billing, Act::See, Subject::Office) => true,
        (Role::Operator, Act::Change, Subject::Network | Subject::Tickets) => true,
        (Role::Billing, Act::Change, Subject::Office | Subject::Tickets) => true,
        (Role::Operator, _, Subject::Office) => act == Act::See,
        (Role::Billing, _, Subject::Notify | Subject::Settings | Subject::Network | Subject::Log) => false,
        (Role::Operator, Act::Change, Subject::Notify | Subject::Settings | Subject::Log) => false,
        (Role::Viewer, Act::Change, _) => false,
    }
}

/// The shortest and the longest password, in characters.
pub const PASSWORD: std::ops::RangeInclusive<usize> = 12..=200;

/// Whether a password is one: long enough, and not the user's name over and over.
///
/// # Errors
/// What is wrong with it.
pub fn check_password(name: &str, password: &str) -> Result<(), String> {
    let length = password.chars().count();
    if !PASSWORD.contains(&length) {
        return Err(format!(
            "a password has from {} to {} characters, this one has {length}",
            PASSWORD.start(),
            PASSWORD.end()
        ));
    }
    let different: std::collections::BTreeSet<char> = password.chars().collect();
    if different.len() < 5 {
        return Err("a password has at least five different characters".to_owned());
    }
    if password.to_lowercase().replace(&name.to_lowercase(), "").chars().count() < 6 {
        return Err("a password is more than the user's name".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(role: Role) -> User {
        User { id: UserId(1), name: "ana".into(), role, no_more_than: None, disabled_at: None }
    }

    #[test]
    fn each_role_may_do_what_it_is_here_for_and_no_more() {
        use Subject::{Log, Network, Notify, Office, Own, Settings, Tickets, Users};
        for (role, sees, changes) in [
            (Role::Viewer, vec![Network, Tickets, Office, Notify, Settings, Log, Own], vec![Own]),
            (
                Role::Operator,
                vec![Network, Tickets, Office, Notify, Settings, Log, Own],
                vec![Network, Tickets, Own],
            ),
            (Role::Billing, vec![Network, Tickets, Office, Log, Own], vec![Tickets, Office, Own]),
            (Role::Admin, Subject::ALL.to_vec(), Subject::ALL.to_vec()),
        ] {
            for &subject in Subject::ALL {
                let user = user(role);
                assert_eq!(may(&user, Right::see(subject)), sees.contains(&subject), "{role} sees {subject}");
                assert_eq!(
                    may(&user, Right::change(subject)),
                    changes.contains(&subject),
                    "{role} changes {subject}"
                );
            }
        }
        assert!(!may(&user(Role::Viewer), Right::see(Users)));
    }

    #[test]
    fn who_is_disabled_may_nothing_and_a_token_only_narrows() {
        let admin = user(Role::Admin);
        let gone = User { disabled_at: Some(Time(1)), ..admin.clone() };
        let narrow = User { no_more_than: Some(Role::Viewer), ..admin.clone() };
        let wide = User { role: Role::Viewer, no_more_than: Some(Role::Admin), ..admin };
        let change = Right::change(Subject::Network);
        assert!(!may(&gone, Right::see(Subject::Network)) && !may(&gone, Right::change(Subject::Own)));
        assert!(may(&narrow, Right::see(Subject::Network)) && !may(&narrow, change) && !may(&wide, change));
    }

    #[test]
    fn a_password_is_long_and_varied() {
        for (password, good) in [
            ("correct horse battery", true),
            ("short", false),
            ("aaaaaaaaaaaaaaaaaaaa", false),
            ("anaanaanaanaana1!x", false),
            (&"x1y2z".repeat(41), false),
            ("zwölf Zeichen!", true),
        ] {
            assert_eq!(check_password("ana", password).is_ok(), good, "{password}");
        }
    }
}
