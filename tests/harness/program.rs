//! Whoever calls a server over HTTP: a program with its token, a person with its cookie, or a stranger.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;
use ureq::http::{HeaderMap, Method, Request};

use super::{Process, World};

/// The header of a form.
pub const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
/// A password that is one.
pub const PASSWORD: &str = "correct horse battery";

/// Who calls.
pub struct Program {
    pub url: String,
    pub token: Option<String>,
    agent: ureq::Agent,
}

/// What was answered.
pub struct Told {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
    pub text: String,
}

impl Told {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The cookie that a browser would keep.
    pub fn cookie(&self) -> String {
        self.header("set-cookie").split(';').next().unwrap_or_default().to_owned()
    }
}

impl Program {
    /// A program of a user of that role.
    pub fn with(world: &World, server: &Process<'_>, role: &str) -> Program {
        let name = format!("{role}-program");
        // The server itself makes the first user, who is the administrator.
        if role != "admin" {
            world.ok(&["user", "add", role, "--role", role]);
        }
        let said = world.ok(&["token", "add", &name, "--user", role, "--role", role]);
        let token = said.split_whitespace().last().expect("a token").to_owned();
        Program { token: Some(token), ..Program::stranger(server) }
    }

    /// Nobody that is known.
    pub fn stranger(server: &Process<'_>) -> Program {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .max_redirects(0)
            .proxy(None)
            .build()
            .into();
        Program { url: server.url(), token: None, agent }
    }

    /// The same caller over again.
    pub fn twin(&self) -> Program {
        Program { url: self.url.clone(), token: self.token.clone(), agent: self.agent.clone() }
    }

    #[track_caller]
    pub fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Told {
        let method: Method = method.parse().expect("a method");
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body.to_owned()).expect("a request");
        let mut response = self.agent.run(request).unwrap_or_else(|e| panic!("{path}: {e}"));
        // A stream has no end.
        let kind = response.headers().get("content-type").and_then(|kind| kind.to_str().ok());
        let text = match kind {
            Some("text/event-stream") => Vec::new(),
            _ => response.body_mut().read_to_vec().unwrap_or_default(),
        };
        let text = String::from_utf8_lossy(&text).into_owned();
        let body = serde_json::from_str(&text).unwrap_or_default();
        Told { status: response.status().as_u16(), headers: response.headers().clone(), body, text }
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Told {
        self.call("GET", path, &[], "")
    }

    #[track_caller]
    pub fn send(&self, method: &str, path: &str, body: &Value) -> Told {
        self.call(method, path, &[("content-type", "application/json")], &body.to_string())
    }

    /// Sends a form as the person of a cookie, with the word of its forms.
    #[track_caller]
    pub fn post(&self, path: &str, cookie: &str, fields: &[(&str, &str)]) -> Told {
        let word = self.word(cookie);
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("_form", &word).extend_pairs(fields);
        self.call("POST", path, &[FORM, ("cookie", cookie)], &form.finish())
    }

    /// The word that the forms of a session carry.
    #[track_caller]
    pub fn word(&self, cookie: &str) -> String {
        let page = self.call("GET", "/you", &[("cookie", cookie)], "").text;
        between(&page, "name=\"_form\" value=\"", "\"").to_owned()
    }

    /// Signs in with a form.
    #[track_caller]
    pub fn sign_in(&self, name: &str, password: &str) -> Told {
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("name", name)
            .append_pair("password", password)
            .finish();
        self.call("POST", "/sign-in", &[FORM], &form)
    }

    /// Chooses a password behind a link, as the user does that it is for; the cookie that is kept then.
    #[track_caller]
    pub fn choose_password(&self, world: &World, name: &str) -> String {
        let told = self.open_link(world, name);
        assert_eq!(told.status, 303, "{}", told.text);
        told.cookie()
    }

    /// The same; what was answered.
    #[track_caller]
    pub fn open_link(&self, world: &World, name: &str) -> Told {
        let link = link(world, name);
        let form = format!("password={0}&again={0}", PASSWORD.replace(' ', "+"));
        self.call("POST", &link, &[FORM], &form)
    }
}

/// The path of a new link with which a user signs in once.
#[track_caller]
pub fn link(world: &World, name: &str) -> String {
    let said = world.ok(&["user", "link", name]);
    let path =
        said.lines().find_map(|line| line.find("/sign-in/link/").map(|at| line[at..].trim().to_owned()));
    path.expect("a link")
}

/// What stands between two texts; nothing where they are not there.
pub fn between<'t>(text: &'t str, begin: &str, end: &str) -> &'t str {
    text.split(begin).nth(1).and_then(|rest| rest.split(end).next()).unwrap_or_default()
}

/// Sends bytes as they are, and reads until the other end has nothing more to say, or hangs up.
#[track_caller]
pub fn raw(address: &str, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a limit");
    // One that was refused in the middle takes no more.
    drop(stream.write_all(bytes));
    let mut told = Vec::new();
    let mut part = [0; 4_096];
    while let Ok(many @ 1..) = stream.read(&mut part) {
        told.extend_from_slice(&part[..many]);
    }
    String::from_utf8_lossy(&told).into_owned()
}
