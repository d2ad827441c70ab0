//! Forms: what a verb takes, as a person fills it in. They are made of the verbs' own descriptions, so each verb has one.

mod edit;

use exports::{Table, Value};
use maud::{Markup, html};

use crate::web::answer::{Answer, Trouble};
use crate::web::asked::Asked;
use crate::web::lists::{plain, title};
use crate::web::nouns::{self, Noun};
use crate::web::verbs::{Call, Param, ParamKind, Refused, Shape, Verb, Why};
use crate::web::{layout, lists};
use edit::Filled;

/// The most names that a box offers.
const OFFERED: usize = 500;

/// The verb of a form, its noun, and the thing it is about, if it is about one.
struct Form<'a> {
    noun: &'static Noun,
    verb: &'a Verb,
    about: Option<String>,
}

impl Form<'_> {
    /// Whether it changes what a thing is.
    fn is_edit(&self) -> bool {
        self.about.is_some() && self.verb.verb == "edit"
    }
}

/// The form to make a new thing: of a noun that has several kinds, first the choice.
///
/// # Errors
/// There is none, or whoever asks may not.
pub fn new(asked: &Asked) -> Result<Answer, Trouble> {
    let noun = nouns::named(asked.word("noun")).ok_or_else(no_form)?;
    let add = noun.add;
    let begins = |verb: &&Verb| {
        !add.is_empty()
            && verb.noun == noun.noun
            && (verb.verb == add || verb.verb.starts_with(&format!("{add} ")))
    };
    let kinds: Vec<&Verb> = asked.web.verbs.all().iter().filter(begins).collect();
    let wanted = asked.asks("kind").map_or_else(|| add.to_owned(), |kind| format!("{add} {kind}"));
    if let Some(verb) = kinds.iter().find(|verb| verb.verb == wanted) {
        let filled = asked.query.iter().cloned().collect();
        return shown(asked, &Form { noun, verb, about: None }, &filled, &Filled::new(), None);
    }
    if kinds.is_empty() || asked.asks("kind").is_some() {
        return Err(no_form());
    }
    let body = html! {
        h1 { "Add: of which kind?" }
        ul.tiles {
            @for verb in kinds {
                @let kind = verb.verb.trim_start_matches(add).trim();
                li.tile { a href={"/new/" (noun.noun) "?kind=" (nouns::encoded(kind))} { strong { (title(kind)) } } p.quiet { (verb.about) } }
            }
        }
    };
    Ok(Answer::html(layout::page(asked, "Add", &body)))
}

fn no_form() -> Trouble {
    Trouble::NotFound("there is no such form".to_owned())
}

/// Makes a new thing.
///
/// # Errors
/// As [`new`].
pub fn make(asked: &Asked) -> Result<Answer, Trouble> {
    let noun = nouns::named(asked.word("noun")).ok_or_else(no_form)?;
    let add = if noun.add.is_empty() { "add" } else { noun.add };
    let wanted = asked.asks("kind").map_or_else(|| add.to_owned(), |kind| format!("{add} {kind}"));
    let verb = find(asked, noun, &wanted)?;
    done(asked, &Form { noun, verb, about: None })
}

fn find<'a>(asked: &'a Asked, noun: &Noun, verb: &str) -> Result<&'a Verb, Trouble> {
    asked.web.verbs.all().iter().find(|one| one.noun == noun.noun && one.verb == verb).ok_or_else(no_form)
}

fn of<'a>(asked: &'a Asked) -> Result<Form<'a>, Trouble> {
    let noun = nouns::of_path(asked).ok_or_else(no_form)?;
    let verb = find(asked, noun, asked.word("verb"))?;
    Ok(Form { noun, verb, about: Some(asked.word("key").to_owned()) })
}

/// The form of a verb about one thing.
///
/// # Errors
/// There is none, or whoever asks may not.
pub fn show(asked: &Asked) -> Result<Answer, Trouble> {
    let form = of(asked)?;
    let now = as_it_is(asked, &form)?;
    shown(asked, &form, &now, &now, None)
}

/// Does a verb with one thing.
///
/// # Errors
/// There is none, whoever asks may not, or it failed inside.
pub fn act(asked: &Asked) -> Result<Answer, Trouble> {
    done(asked, &of(asked)?)
}

/// What a thing is now, where the form is to change it.
fn as_it_is(asked: &Asked, form: &Form<'_>) -> Result<Filled, Trouble> {
    let Some(about) = form.about.as_ref().filter(|_| form.is_edit()) else { return Ok(Filled::new()) };
    let user = asked.user()?.clone();
    let table = asked.web.verbs.run(asked.web.verbs.about(user, form.noun.noun, "show", about))?.table;
    Ok(edit::as_it_is(form.verb, &table))
}

fn shown(
    asked: &Asked,
    form: &Form<'_>,
    filled: &Filled,
    was: &Filled,
    wrong: Option<&Refused>,
) -> Result<Answer, Trouble> {
    if !asked.who.may(form.verb.right) {
        return Err(Trouble::NotAllowed("you may not do that: ask an administrator".to_owned()));
    }
    let verb = form.verb;
    let heading = match &form.about {
        Some(about) => format!("{} {} {about}", title(&verb.verb.replace('-', " ")), form.noun.one),
        None => format!("{} {}", title(verb.verb.split(' ').next().unwrap_or_default()), form.noun.one),
    };
    let action = match &form.about {
        Some(about) => format!("{}/{}", nouns::link(form.noun.path, about), verb.verb),
        None => match asked.asks("kind") {
            Some(kind) => format!("/new/{}?kind={}", form.noun.noun, nouns::encoded(kind)),
            None => format!("/new/{}", form.noun.noun),
        },
    };
    let first = verb.params.iter().find(|param| param.positional).map(|param| param.name.as_str());
    let dangerous = ["remove", "close", "disable", "revoke"].contains(&verb.verb.as_str());
    let top = wrong.filter(|wrong| {
        wrong.param.as_ref().is_none_or(|name| verb.params.iter().all(|param| param.name != *name))
    });
    let offers = Offers::of(asked, verb);
    let body = html! {
        h1 { (heading) }
        p { (layout::sentence(&verb.about)) }
        @if let Some(wrong) = top { p.wrong role="alert" { (layout::sentence(&told(wrong))) } }
        form method="post" action=(action) {
            (layout::form_token(asked))
            (edit::carried(was))
            @for param in &verb.params {
                @if form.about.is_some() && (Some(param.name.as_str()) == first || edit::is_the_no_of_another(verb, param)) { } @else {
                    (field(param, filled, wrong, &offers))
                }
            }
            div.row {
                @if dangerous { button.danger { (heading) } } @else { button.main { (title(verb.verb.split(' ').next().unwrap_or_default())) } }
                a.button href={"/" (form.noun.path)} { "Back" }
            }
        }
        (offers.lists())
    };
    let answer = Answer::html(layout::page(asked, &heading, &body));
    Ok(if wrong.is_some() { answer.status(http::StatusCode::UNPROCESSABLE_ENTITY) } else { answer })
}

fn told(wrong: &Refused) -> String {
    match &wrong.hint {
        Some(hint) => format!("{}: {hint}", wrong.message),
        None => wrong.message.clone(),
    }
}

/// Names that boxes offer.
struct Offers(Vec<(&'static str, Vec<String>)>);

impl Offers {
    fn of(asked: &Asked, verb: &Verb) -> Offers {
        let mut all = Vec::new();
        for (holds, path) in [("DEVICE", "devices"), ("SITE", "sites"), ("USER", "users")] {
            let wants = |param: &Param| {
                param.holds == holds || (param.positional && param.name.to_uppercase() == holds)
            };
            if !verb.params.iter().any(wants) {
                continue;
            }
            let Some(noun) = nouns::NOUNS.iter().find(|noun| noun.path == path) else { continue };
            let table =
                lists::rows(asked, noun, &lists::Wanted { page: 1, ..lists::Wanted::default() }, OFFERED);
            all.push((holds, table.map(|table| names(&table)).unwrap_or_default()));
        }
        Offers(all)
    }

    fn id(&self, param: &Param) -> Option<String> {
        let holds = if param.positional { param.name.to_uppercase() } else { param.holds.clone() };
        self.0.iter().find(|(one, _)| *one == holds).map(|(one, _)| format!("offer-{}", one.to_lowercase()))
    }

    fn lists(&self) -> Markup {
        html! {
            @for (holds, names) in &self.0 {
                datalist id={"offer-" (holds.to_lowercase())} { @for name in names { option value=(name) {} } }
            }
        }
    }
}

fn names(table: &Table) -> Vec<String> {
    let at = table.columns.iter().position(|column| column.key == "name").unwrap_or(0);
    table.rows.iter().filter_map(|row| row.get(at)).map(plain).filter(|name| !name.is_empty()).collect()
}

/// What its field is called.
fn label(param: &Param) -> String {
    title(&param.name.replace('_', " "))
}

/// One field, with what it means, and what is wrong with it beside it.
fn field(param: &Param, filled: &Filled, wrong: Option<&Refused>, offers: &Offers) -> Markup {
    let id = format!("f-{}", param.name);
    let text = filled.get(&param.name).map_or("", String::as_str);
    let wrong = wrong.filter(|wrong| wrong.param.as_deref() == Some(param.name.as_str()));
    let described = format!("{id}-about");
    let name = label(param);
    // At the command line it is said again and again.
    let about = param.about.split("; may be given several times").next().unwrap_or_default();
    if param.kind == ParamKind::Switch {
        return html! {
            p { label.inline { input type="checkbox" name=(param.name) value="true" checked[text == "true"]; span { (layout::sentence(&param.about)) } } }
        };
    }
    html! {
        label for=(id) { (name) @if !param.required { " " small { "if wanted" } } }
        @if let Some(wrong) = wrong { p.wrong id={(id) "-wrong"} role="alert" { (layout::sentence(&told(wrong))) } }
        @match &param.kind {
            ParamKind::Choice(words) => {
                select #(id) name=(param.name) required[param.required] aria-describedby=(described) {
                    @if !param.required { option value="" selected[text.is_empty()] { "–" } }
                    @for word in words { option value=(word) selected[word == text || (text.is_empty() && param.default.as_ref() == Some(word) && param.required)] { (word) } }
                }
            }
            ParamKind::Secret => { input #(id) name=(param.name) type="password" autocomplete="off" required[param.required] aria-describedby=(described); }
            ParamKind::Number => { input #(id) name=(param.name) type="number" inputmode="numeric" value=(text) required[param.required] aria-describedby=(described); }
            _ if param.holds == "TEXT" || ["text", "note", "comment"].contains(&param.name.as_str()) => {
                textarea #(id) name=(param.name) required[param.required] aria-describedby=(described) { (text) }
            }
            _ => {
                input #(id) name=(param.name) type="text" value=(text) required[param.required] list=[offers.id(param)] aria-describedby=(described)
                    aria-invalid=[wrong.map(|_| "true")] autocomplete="off";
            }
        }
        p.quiet id=(described) {
            (layout::sentence(about))
            @if param.many { " Several: with commas between them." }
            @if let Some(default) = &param.default { " Where nothing is said: " (default) "." }
        }
    }
}

/// Does it; where that is refused, the form comes back with all that was typed.
fn done(asked: &Asked, form: &Form<'_>) -> Result<Answer, Trouble> {
    let mut call = Call::new(asked.user()?.clone(), form.noun.noun, &form.verb.verb);
    let now = as_it_is(asked, form)?;
    let was = edit::opened(asked, &now);
    let mut typed = Filled::new();
    let first = form.verb.params.iter().find(|param| param.positional).map(|param| param.name.clone());
    for param in &form.verb.params {
        if let (Some(about), true) = (&form.about, first.as_deref() == Some(param.name.as_str())) {
            call = call.with(&param.name, about.clone());
            continue;
        }
        let text = asked.form.iter().find(|(key, _)| *key == param.name).map_or("", |(_, text)| text);
        let text = edit::one_way(text);
        let before = was.get(&param.name).map_or("", String::as_str);
        call = edit::said(call, form.verb, param, before, &text);
        if param.kind != ParamKind::Secret {
            typed.insert(param.name.clone(), text);
        }
    }
    if let Some(overtaken) = edit::overtaken(form.verb, &typed, &was, &now) {
        return shown(asked, form, &typed, &now, Some(&overtaken));
    }
    match asked.web.verbs.run(call) {
        Ok(answer) if !answer.said.trim().is_empty() && answer.shape != Shape::List => {
            Ok(Answer::html(layout::page(asked, "Done", &said(form, &answer.said))))
        }
        Ok(answer) => Ok(Answer::see(&next(asked, form, &answer.table))),
        Err(refused) if refused.why == Why::Failed => Err(refused.into()),
        Err(refused) => {
            let refused = form.verb.in_other_words(refused, |param| format!("“{}”", label(param)));
            shown(asked, form, &typed, &was, Some(&refused))
        }
    }
}

/// What is said once: a token, a link, or that something is gone.
fn said(form: &Form<'_>, text: &str) -> Markup {
    html! {
        h1 { "Done" }
        @for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            @if line.contains("lm") && line.split_whitespace().count() == 1 || line.contains("://") {
                pre { code { (line) } }
            } @else { p { (layout::sentence(line)) } }
        }
        p { a.button href={"/" (form.noun.path)} { "On" } }
    }
}

/// Where to go then: to the thing, or to the list where it is gone.
fn next(asked: &Asked, form: &Form<'_>, table: &Table) -> String {
    let noun = form.noun;
    let gone = ["remove", "revoke"].contains(&form.verb.verb.as_str());
    // What is shown by no verb of its own has all in its list.
    if gone || noun.key.is_empty() || asked.web.verbs.named(noun.noun, "show").is_none() {
        return format!("/{}", noun.path);
    }
    let at = table.columns.iter().position(|column| column.key == noun.key);
    let key = at
        .and_then(|at| table.rows.first()?.get(at))
        .filter(|value| !matches!(value, Value::Null))
        .map(plain);
    match key.or_else(|| form.about.clone()) {
        Some(key) => nouns::link(noun.path, &key),
        None => format!("/{}", noun.path),
    }
}
