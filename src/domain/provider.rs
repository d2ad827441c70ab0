//! Who brings a site its line, and how to reach them.

use crate::domain::verdict::Contact;

/// The longest part of a contact, in bytes.
pub const MAX_PART: usize = 200;

/// A part of a contact that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadContact {
    /// It is too long, or not one printable line.
    #[error("the {0} must be one printable line of at most {MAX_PART} bytes")]
    Text(&'static str),
    /// It is no mail address.
    #[error("'{0}' is no mail address: write it as noc@provider.example")]
    Mail(String),
}

/// What is to change of a contact; what is `None` stays, and an empty text takes it away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// The provider.
    pub provider: Option<String>,
    /// The circuit, as the provider calls it.
    pub circuit: Option<String>,
    /// Its telephone number.
    pub phone: Option<String>,
    /// Its mail address.
    pub mail: Option<String>,
}

impl Change {
    /// Whether anything is to change.
    #[must_use]
    pub fn says_something(&self) -> bool {
        *self != Change::default()
    }

    /// What it makes of a contact.
    ///
    /// # Errors
    /// A part is too long, or no mail address.
    pub fn of(&self, known: &Contact) -> Result<Contact, BadContact> {
        let part = |name, new: &Option<String>, known: &str| match new {
            Some(text) => text_part(name, text),
            None => Ok(known.to_owned()),
        };
        let mail = part("provider's mail address", &self.mail, &known.mail)?;
        let is_mail = |mail: &str| {
            let parts = mail.split_once('@');
            parts.is_some_and(|(name, host)| !name.is_empty() && !host.is_empty() && !host.contains('@'))
                && !mail.contains(char::is_whitespace)
        };
        if !mail.is_empty() && !is_mail(&mail) {
            return Err(BadContact::Mail(mail.escape_debug().to_string()));
        }
        Ok(Contact {
            provider: part("provider", &self.provider, &known.provider)?,
            circuit: part("circuit", &self.circuit, &known.circuit)?,
            phone: part("provider's telephone number", &self.phone, &known.phone)?,
            mail,
        })
    }
}

fn text_part(name: &'static str, text: &str) -> Result<String, BadContact> {
    let text = text.trim();
    if text.len() > MAX_PART || text.chars().any(char::is_control) {
        return Err(BadContact::Text(name));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_stays_and_an_empty_text_takes_it_away() {
        let known = Contact { provider: "ACME".into(), circuit: "C-1".into(), ..Contact::default() };
        let change = Change {
            circuit: Some(String::new()),
            mail: Some(" noc@acme.example ".into()),
            ..Change::default()
        };
        let wanted =
            Contact { provider: "ACME".into(), mail: "noc@acme.example".into(), ..Contact::default() };
        assert_eq!(change.of(&known), Ok(wanted));
        assert!(change.says_something() && !Change::default().says_something());
    }

    #[test]
    fn a_part_that_is_none_is_refused_by_its_name() {
        let mail =
            |text: &str| Change { mail: Some(text.into()), ..Change::default() }.of(&Contact::default());
        for text in ["noc", "@acme.example", "noc@", "a@b@c", "noc @acme.example"] {
            assert!(matches!(mail(text), Err(BadContact::Mail(_))), "{text}");
        }
        let phone = Change { phone: Some("1\n2".into()), ..Change::default() };
        assert!(phone.of(&Contact::default()).is_err_and(|e| e.to_string().contains("telephone")));
        let long = Change { provider: Some("x".repeat(MAX_PART + 1)), ..Change::default() };
        assert!(long.of(&Contact::default()).is_err());
    }
}
