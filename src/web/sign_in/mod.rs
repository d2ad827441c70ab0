//! Signing in and out.

mod hashing;
mod tries;
pub mod you;

pub use hashing::Hashing;

use maud::{Markup, html};

use crate::domain::user::{PASSWORD, User, check_password};
use crate::secret;
use crate::store::events::Actor;
use crate::store::users::Account;
use crate::store::{sessions, users};
use crate::web::answer::{Answer, Trouble};
use crate::web::asked::{Asked, Who};
use crate::web::{door, layout, status};
use tries::Try;

/// What is said to everybody who is not let in, whatever the reason.
const NO: &str = "the name, the password or the code is wrong";

/// The page to sign in.
///
/// # Errors
/// None.
pub fn form(asked: &Asked) -> Result<Answer, Trouble> {
    let to = inside(asked.asks("to"));
    if let Who::Person(..) = asked.who {
        return Ok(Answer::see(to));
    }
    let nobody = asked.web.app.store.read(users::count)? == 0;
    let body = html! {
        (sign_in_form(to, "", None, nobody))
        @if status::is_on(asked) { p { a href="/status" { "How things are, for everybody" } } }
    };
    Ok(Answer::html(layout::bare(asked, "Sign in", &body)))
}

fn sign_in_form(to: &str, name: &str, wrong: Option<&str>, nobody: bool) -> Markup {
    html! {
        h1 { "Sign in" }
        @if nobody {
            p { "There is no user yet. Make one on the machine where lineman runs, and open the link it prints:" }
            pre { code { "lineman user add NAME --role admin" } }
        }
        @if let Some(wrong) = wrong {
            p.wrong #wrong role="alert" { (layout::sentence(wrong)) }
        }
        form method="post" action="/sign-in" {
            input type="hidden" name="to" value=(to);
            label for="name" { "Name" }
            input #name name="name" autocomplete="username" required maxlength="64" value=(name)
                aria-describedby=[wrong.map(|_| "wrong")] autofocus;
            label for="password" { "Password" }
            input #password name="password" type="password" autocomplete="current-password" required maxlength="200";
            label for="code" { "Code " small { "if you use a second factor" } }
            input #code name="code" inputmode="numeric" autocomplete="one-time-code" maxlength="20";
            button.main { "Sign in" }
        }
        p.quiet { "A lost password: an administrator makes a new link with " code { "lineman user link NAME" } "." }
    }
}

/// A path of our own: nobody is sent elsewhere.
fn inside(to: Option<&str>) -> &str {
    // Browsers read a backslash as a slash, and leave out tabs.
    let is_plain = |to: &str| to.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    to.filter(|to| to.starts_with('/') && !to.starts_with("//") && is_plain(to)).unwrap_or("/")
}

/// Lets somebody in, or does not.
///
/// # Errors
/// Too many tries, or the database's.
pub fn enter(asked: &Asked) -> Result<Answer, Trouble> {
    let field =
        |name: &str| asked.form.iter().find(|(key, _)| key == name).map_or("", |(_, text)| text.as_str());
    let (name, password, code) = (field("name").trim(), field("password"), field("code").trim());
    let to = inside(Some(field("to")));
    let found = asked.web.app.store.read(|tx| users::find(tx, name))?;
    let one = Try::begin(asked, name, found.as_ref())?;
    let known = found.as_ref().map(|account| account.user.name.clone());
    let account = found.filter(|account| account.user.disabled_at.is_none());
    let is_right = one.is_password(password, account.as_ref())?;
    let let_in = match account.filter(|_| is_right) {
        Some(account) if second_factor(asked, &account, code)? => Some(account.user),
        _ => None,
    };
    let Some(user) = let_in else {
        one.failed(known)?;
        let page = sign_in_form(to, name, Some(NO), false);
        let page = Answer::html(layout::bare(asked, "Sign in", &page));
        return Ok(page.status(http::StatusCode::UNAUTHORIZED));
    };
    one.succeeded()?;
    begin(asked, &user, to)
}

/// Whether the second factor is right, where one is asked for. It is good once.
fn second_factor(asked: &Asked, account: &Account, code: &str) -> Result<bool, Trouble> {
    let Some((secret, last)) = &account.factor else { return Ok(true) };
    let user = account.user.clone();
    let store = &asked.web.app.store;
    if let Some(step) = secret::factor_step(secret, code, asked.web.app.clock.now(), *last) {
        return Ok(store.write(move |tx| users::use_step(tx, &user, step))?);
    }
    let hash = secret::hash(&code.to_lowercase());
    Ok(store.write(move |tx| users::use_recovery(tx, &user, &hash))?)
}

/// A session begins.
fn begin(asked: &Asked, user: &User, to: &str) -> Result<Answer, Trouble> {
    let random = || secret::random().map_err(|e| Trouble::Failed(format!("make a session: {e}")));
    let (cookie, form) = (random()?, random()?);
    let (user, hash, address) = (user.clone(), secret::hash(&cookie), asked.peer);
    let browser = door::browser(asked).to_owned();
    let account = asked.web.app.store.write(move |tx| {
        sessions::begin(tx, &user, &sessions::New { hash, form: &form, address, browser: &browser })?;
        users::find(tx, &user.name)
    })?;
    let answer = Answer::see(to).cookie(door::SESSION.set(&asked.web, Some(&cookie)));
    Ok(match tries::known_by(account.and_then(|account| account.password).as_deref()) {
        Some(known) => answer.cookie(door::KNOWN.set(&asked.web, Some(&known))),
        None => answer,
    })
}

/// The page behind a link: to choose a password.
///
/// # Errors
/// The link opens nothing.
pub fn link(asked: &Asked) -> Result<Answer, Trouble> {
    let account = behind(asked)?;
    Ok(Answer::html(layout::bare(asked, "Choose a password", &choose(asked, &account.user.name, None))))
}

fn behind(asked: &Asked) -> Result<Account, Trouble> {
    let hash = secret::hash(asked.word("link"));
    let found = asked.web.app.store.read(|tx| users::by_link(tx, &hash))?;
    found.ok_or_else(|| {
        Trouble::NotFound(
            "this link was used, or is too old: make another one with `lineman user link NAME`".to_owned(),
        )
    })
}

fn choose(asked: &Asked, name: &str, wrong: Option<&str>) -> Markup {
    html! {
        h1 { "Welcome, " (name) }
        p { "Choose a password with at least " (PASSWORD.start()) " characters. This link works once." }
        @if let Some(wrong) = wrong { p.wrong #wrong role="alert" { (layout::sentence(wrong)) } }
        form method="post" {
            // Somebody else may be signed in here.
            (layout::form_token(asked))
            input type="hidden" name="name" autocomplete="username" value=(name);
            label for="password" { "New password" }
            input #password name="password" type="password" autocomplete="new-password" required minlength=(PASSWORD.start())
                maxlength=(PASSWORD.end()) aria-describedby=[wrong.map(|_| "wrong")] autofocus;
            label for="again" { "Once more" }
            input #again name="again" type="password" autocomplete="new-password" required maxlength=(PASSWORD.end());
            button.main { "Sign in" }
        }
    }
}

/// A password is chosen behind a link, and its user is let in.
///
/// # Errors
/// The link opens nothing, or the database's.
pub fn by_link(asked: &Asked) -> Result<Answer, Trouble> {
    let account = behind(asked)?;
    let user = account.user;
    let hash = match new_password(asked, &user) {
        Ok(hash) => hash,
        Err(Trouble::Bad(wrong)) => {
            let page = layout::bare(asked, "Choose a password", &choose(asked, &user.name, Some(&wrong)));
            return Ok(Answer::html(page).status(http::StatusCode::UNPROCESSABLE_ENTITY));
        }
        Err(other) => return Err(other),
    };
    let (who, by) = (user.clone(), Actor::Person(user.name.clone()));
    asked.web.app.store.write(move |tx| users::set_password(tx, &who, &hash, None, &by))?;
    begin(asked, &user, "/")
}

/// The hash of the password that a form says twice.
fn new_password(asked: &Asked, user: &User) -> Result<String, Trouble> {
    let (one, again) = (asked.said("password").unwrap_or_default(), asked.said("again").unwrap_or_default());
    check_password(&user.name, one).map_err(Trouble::Bad)?;
    if one != again {
        return Err(Trouble::Bad("the two passwords are not the same".to_owned()));
    }
    asked.web.hashing.alone(|| secret::hash_password(one))?.map_err(Trouble::Failed)
}

/// Ends the session.
///
/// # Errors
/// The database's.
pub fn leave(asked: &Asked) -> Result<Answer, Trouble> {
    if let Who::Person(user, session) = &asked.who {
        let (user, id, by) = (user.clone(), session.id, asked.actor()?);
        asked.web.app.store.write(move |tx| sessions::end(tx, &user, id, &by))?;
    }
    Ok(Answer::see("/sign-in").cookie(door::SESSION.set(&asked.web, None)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_elsewhere() {
        for (to, wanted) in [
            (Some("/devices?q=a"), "/devices?q=a"),
            (Some("//evil.example"), "/"),
            (Some("https://evil.example"), "/"),
            (Some("/\\evil.example"), "/"),
            (Some("/a\r\nSet-Cookie: x=1"), "/"),
            (Some("/\t/evil.example"), "/"),
            (Some("javascript:alert(1)"), "/"),
            (None, "/"),
        ] {
            assert_eq!(inside(to), wanted, "{to:?}");
        }
    }
}
