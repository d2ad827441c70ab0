//! The page of whoever is signed in: password, second factor, sessions.

use maud::{Markup, html};

use crate::domain::ids::SessionId;
use crate::secret;
use crate::store::{sessions, users};
use crate::web::answer::{Answer, Trouble};
use crate::web::asked::{Asked, Who};
use crate::web::sign_in::tries::Try;
use crate::web::{door, layout};

/// The page.
///
/// # Errors
/// The database's.
pub fn show(asked: &Asked) -> Result<Answer, Trouble> {
    if let Who::Program(_) = asked.who {
        return Err(Trouble::NotAllowed("this page is for who signs in, not for a token".to_owned()));
    }
    page(asked, None, None)
}

fn page(asked: &Asked, wrong: Option<&str>, new: Option<&Markup>) -> Result<Answer, Trouble> {
    let user = asked.user()?;
    let (account, all) = asked.web.app.store.read(|tx| -> crate::store::Result<_> {
        Ok((users::of(tx, user.id)?, sessions::list(tx, user.id)?))
    })?;
    let own = match &asked.who {
        Who::Person(_, session) => Some(session.id),
        Who::Nobody | Who::Program(_) => None,
    };
    let now = asked.web.app.clock.now();
    let body = html! {
        h1 { (user.name) }
        p { "Role: " strong { (user.role) } }
        @if let Some(wrong) = wrong { p.wrong #wrong role="alert" { (layout::sentence(wrong)) } }
        @if let Some(new) = new { (new) }
        section aria-labelledby="h-password" {
            h2 #h-password { "Password" }
            form method="post" action="/you/password" {
                (layout::form_token(asked))
                label for="old" { "Password now" }
                input #old name="old" type="password" autocomplete="current-password" required maxlength="200";
                label for="password" { "New password" }
                input #password name="password" type="password" autocomplete="new-password" required minlength="12" maxlength="200";
                label for="again" { "Once more" }
                input #again name="again" type="password" autocomplete="new-password" required maxlength="200";
                button { "Change the password" }
            }
        }
        section aria-labelledby="h-factor" {
            h2 #h-factor { "Second factor" }
            @if account.factor.is_some() {
                p { "It is on: signing in asks for a code." }
                form method="post" action="/you/factor" {
                    (layout::form_token(asked))
                    label for="off" { "Password, to turn it off" }
                    input #off name="old" type="password" autocomplete="current-password" required maxlength="200";
                    button name="turn" value="off" { "Turn it off" }
                }
            } @else {
                p { "It is off. With it, signing in asks for a code of your phone as well (TOTP)." }
                form method="post" action="/you/factor" {
                    (layout::form_token(asked))
                    button name="turn" value="begin" { "Turn it on" }
                }
            }
        }
        (keyboard(asked))
        section aria-labelledby="h-sessions" {
            h2 #h-sessions { "Sessions" }
            div.scroll tabindex="0" role="region" aria-labelledby="h-sessions" {
            table.list {
                thead { tr { th scope="col" { "Began" } th scope="col" { "Used" } th scope="col" { "From" } th scope="col" { "Browser" } th scope="col" { "" } } }
                tbody {
                    @for session in &all {
                        tr {
                            td data-label="Began" { (layout::time(session.began_at, now)) }
                            td data-label="Used" { (layout::time(session.seen_at, now)) }
                            td data-label="From" { (session.address) }
                            td data-label="Browser" { (session.browser) }
                            td {
                                @if Some(session.id) == own { "this one" } @else {
                                    form method="post" action={"/you/sessions/" (session.id) "/end"} {
                                        (layout::form_token(asked))
                                        button { "End it" }
                                    }
                                }
                            }
                        }
                    }
                }
            }
            }
        }
    };
    let answer = Answer::html(layout::page(asked, "You", &body));
    Ok(if wrong.is_some() { answer.status(http::StatusCode::UNPROCESSABLE_ENTITY) } else { answer })
}

/// Single keys, and how to be without them: who speaks to the machine, or holds it badly, is in their way.
fn keyboard(asked: &Asked) -> Markup {
    let on = door::has_keys(asked);
    html! {
        section aria-labelledby="h-keys-of-you" {
            h2 #h-keys-of-you { "Keyboard shortcuts" }
            @if on {
                p { "Single keys move the focus, wherever no text is typed; " kbd { "?" } " shows them. In this browser they are on." }
            } @else {
                p { "In this browser they are off." }
            }
            form method="post" action="/you/keys" {
                (layout::form_token(asked))
                button name="turn" value=(if on { "off" } else { "on" }) { @if on { "Turn shortcuts off" } @else { "Turn shortcuts on" } }
            }
        }
    }
}

/// Single keys, on or off in this browser.
///
/// # Errors
/// None.
pub fn keys(asked: &Asked) -> Result<Answer, Trouble> {
    let cookie = door::set_keys(&asked.web, asked.said("turn") == Some("on"));
    Ok(Answer::see("/you").cookie(cookie))
}

/// Whether the form says the user's password. Whoever guesses here waits as at the door.
fn knows_password(asked: &Asked) -> Result<bool, Trouble> {
    let user = asked.user()?;
    let account = asked.web.app.store.read(|tx| users::of(tx, user.id))?;
    let one = Try::begin(asked, &user.name, Some(&account))?;
    let is_right = one.is_password(asked.said("old").unwrap_or_default(), Some(&account))?;
    if is_right {
        one.succeeded()?
    } else {
        one.failed(Some(user.name.clone()))?
    }
    Ok(is_right)
}

/// Another password. All other sessions end.
///
/// # Errors
/// The database's.
pub fn password(asked: &Asked) -> Result<Answer, Trouble> {
    let user = asked.user()?.clone();
    if !knows_password(asked)? {
        return page(asked, Some("the password now is another one"), None);
    }
    let hash = match super::new_password(asked, &user) {
        Ok(hash) => hash,
        Err(Trouble::Bad(wrong)) => return page(asked, Some(&wrong), None),
        Err(other) => return Err(other),
    };
    let (keep, by) = (door::cookie_hash(asked), asked.actor()?);
    asked.web.app.store.write(move |tx| users::set_password(tx, &user, &hash, keep.as_ref(), &by))?;
    Ok(Answer::see("/you"))
}

/// The second factor is turned on, in two steps, or off.
///
/// # Errors
/// The database's.
pub fn factor(asked: &Asked) -> Result<Answer, Trouble> {
    let (user, by) = (asked.user()?.clone(), asked.actor()?);
    let store = &asked.web.app.store;
    match asked.said("turn") {
        Some("off") => {
            if !knows_password(asked)? {
                return page(asked, Some("the password is another one"), None);
            }
            store.write(move |tx| users::set_factor(tx, &user, None, &[], &by))?;
            Ok(Answer::see("/you"))
        }
        Some("on") => {
            let secret =
                asked.said("secret").and_then(from_hex).ok_or_else(|| Trouble::Bad("begin anew".into()))?;
            if store.read(|tx| users::of(tx, user.id))?.factor.is_some() {
                return page(asked, Some("the second factor is on: turn it off first"), None);
            }
            // Whoever finds a browser open must not lock its user out.
            if !knows_password(asked)? {
                return page(asked, Some("the password is another one"), Some(&offered(asked, &secret)));
            }
            let now = asked.web.app.clock.now();
            let Some(step) = secret::factor_step(&secret, asked.said("code").unwrap_or_default(), now, 0)
            else {
                return page(asked, Some("that is not the code of now"), Some(&offered(asked, &secret)));
            };
            let codes = secret::recovery_codes().map_err(|e| Trouble::Failed(e.to_string()))?;
            let hashes: Vec<_> = codes.iter().map(|code| secret::hash(code)).collect();
            store.write(move |tx| users::set_factor(tx, &user, Some((&secret, step)), &hashes, &by))?;
            page(asked, None, Some(&recovery(&codes)))
        }
        _ => {
            let secret = secret::new_factor().map_err(|e| Trouble::Failed(e.to_string()))?;
            page(asked, None, Some(&offered(asked, &secret)))
        }
    }
}

/// A secret is offered: it counts once a code of it was said.
fn offered(asked: &Asked, secret: &[u8]) -> Markup {
    let text = secret::factor_text(secret);
    let name = asked.who.user().map(|user| user.name.clone()).unwrap_or_default();
    let label: String = form_urlencoded::byte_serialize(name.as_bytes()).collect();
    let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let parts: Vec<String> =
        text.as_bytes().chunks(4).map(|part| String::from_utf8_lossy(part).into_owned()).collect();
    html! {
        section.box aria-labelledby="h-offered" {
            h2 #h-offered { "Turn the second factor on" }
            p { "Type this into the app on your phone, or " a href={"otpauth://totp/lineman:" (label) "?secret=" (text) "&issuer=lineman"} { "open it there" } ":" }
            p { code { (parts.join(" ")) } }
            form method="post" action="/you/factor" {
                (layout::form_token(asked))
                input type="hidden" name="secret" value=(hex);
                label for="code" { "The code it shows" }
                input #code name="code" inputmode="numeric" autocomplete="one-time-code" required maxlength="10";
                label for="on" { "Your password" }
                input #on name="old" type="password" autocomplete="current-password" required maxlength="200";
                button.main name="turn" value="on" { "Turn it on" }
            }
        }
    }
}

fn recovery(codes: &[String]) -> Markup {
    html! {
        section.box aria-labelledby="h-recovery" {
            h2 #h-recovery { "Recovery codes" }
            p { "The second factor is on. Keep these: each lets you in once without your phone. They are not shown again." }
            ul.codes { @for code in codes { li { code { (code) } } } }
        }
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if text.len() != 40 || !text.is_ascii() {
        return None;
    }
    (0..20).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()).collect()
}

/// Ends another session.
///
/// # Errors
/// There is none of that number, or the database's.
pub fn end_session(asked: &Asked) -> Result<Answer, Trouble> {
    let number = asked.word("session").parse();
    let id = SessionId(number.map_err(|_| Trouble::NotFound("there is no such session".to_owned()))?);
    let (user, by) = (asked.user()?.clone(), asked.actor()?);
    asked.web.app.store.write(move |tx| sessions::end(tx, &user, id, &by))?;
    Ok(Answer::see("/you"))
}
