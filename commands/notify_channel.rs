//! The ways to tell people, as they are written on the command line. No secret is an argument, since arguments can be
//! seen by everybody on the machine: it comes from a file, from standard input, or from an environment variable.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use lineman::domain::notify::channel::{
    self, Channel, Command, Email, Hook, Matrix, Ntfy, PagerDuty, Secret, Security, Telegram, Url, Webhook,
};

use crate::failure::Failure;

/// The longest file that is read, in bytes.
const MAX_FILE: u64 = 128 * 1024;

/// By which way somebody is told
#[derive(Subcommand)]
pub enum ChannelOptions {
    /// A mail, through an SMTP server
    #[command(
        after_help = "Example:\n  lineman notify add office email --to noc@example.org --from lineman@example.org \\\n      --host mail.example.org --user lineman --password-file /root/mail-password"
    )]
    Email(EmailOptions),
    /// An HTTP POST with JSON, signed, or with a body of your own
    #[command(
        after_help = "Example:\n  lineman notify add bus webhook --url https://bus.example.org/alarms --secret-env BUS_SECRET\n  lineman notify add bus webhook --url https://bus.example.org/alarms --template-file body.json\n\nThe body is {key, incident, news, title, text, priority, at, ticket, device, site, events}.\nIdempotency-Key is the same for each try of one delivery. With a secret there are\n  X-Lineman-Signature: sha256=HMAC-SHA256(body)\n  X-Lineman-Timestamp: seconds since 1970\n  X-Lineman-Timed-Signature: sha256=HMAC-SHA256(timestamp + '.' + body)\nA template is Jinja: {\"text\": {{ title|tojson }}, \"urgent\": {{ (priority == 'P1')|tojson }}}"
    )]
    Webhook(WebhookOptions),
    /// A topic of an ntfy server, for telephones
    #[command(
        after_help = "Example:\n  lineman notify add phone ntfy --topic noc-7f3a9c\n  lineman notify add phone ntfy --topic noc --server-url https://ntfy.example.org --token-env NTFY"
    )]
    Ntfy(NtfyOptions),
    /// A channel in Slack, by an incoming webhook
    #[command(after_help = "Example:\n  lineman notify add chat slack --url-file /root/slack-url")]
    Slack(HookOptions),
    /// A channel in Discord, by a webhook
    #[command(after_help = "Example:\n  lineman notify add chat discord --url-file /root/discord-url")]
    Discord(HookOptions),
    /// A channel in Microsoft Teams, by a webhook of Workflows
    #[command(after_help = "Example:\n  lineman notify add chat teams --url-file /root/teams-url")]
    Teams(HookOptions),
    /// A chat in Telegram, by a bot
    #[command(
        after_help = "Example:\n  lineman notify add chat telegram --chat -1001234567890 --token-file /root/bot-token"
    )]
    Telegram(TelegramOptions),
    /// A service in PagerDuty, by its Events API v2
    #[command(
        name = "pagerduty",
        after_help = "Example:\n  lineman notify add oncall pagerduty --key-file /root/pagerduty-key\n  lineman notify add oncall pagerduty --key-env PAGERDUTY_KEY --server-url https://events.eu.pagerduty.com"
    )]
    PagerDuty(PagerDutyOptions),
    /// A room in Matrix
    #[command(
        after_help = "Example:\n  lineman notify add chat matrix --server-url https://matrix.example.org --room '!abc:example.org' \\\n      --token-file /root/matrix-token"
    )]
    Matrix(MatrixOptions),
    /// A program on this machine, which gets the message as JSON
    #[command(
        after_help = "Example:\n  lineman notify add sms command /usr/local/bin/send-sms +4312345\n  lineman notify add any command /usr/bin/apprise -- -c /etc/apprise.yml\n\nIt is started without a shell, with LINEMAN_KEY, LINEMAN_NEWS, LINEMAN_TITLE and LINEMAN_PRIORITY. Exit code 0: it is\ndelivered; any other: it is tried again. After 30 s it is killed, with all that it started."
    )]
    Command(CommandOptions),
}

/// The two options that say where a secret is.
macro_rules! secret {
    ($(#[$doc:meta])* $type:ident, $name:literal, $what:literal) => {
        $(#[$doc])*
        #[derive(Args)]
        pub struct $type {
            #[arg(id = concat!($name, "-file"), long = concat!($name, "-file"), value_name = "PATH|-")]
            #[arg(help = concat!("A file with ", $what, ", or - for standard input"))]
            file: Option<PathBuf>,
            #[arg(id = concat!($name, "-env"), long = concat!($name, "-env"), value_name = "NAME")]
            #[arg(conflicts_with = concat!($name, "-file"))]
            #[arg(help = concat!("The environment variable with ", $what))]
            env: Option<String>,
        }

        impl $type {
            fn read(self) -> Result<Option<String>, Failure> {
                secret($name, self.file.as_deref(), self.env.as_deref())
            }
        }
    };
}

secret!(/// Where a password is.
    PasswordArgs, "password", "the password");
secret!(/// Where the key of a signature is.
    SecretArgs, "secret", "the secret that the body is signed with");
secret!(/// Where more headers are.
    HeaderArgs, "headers", "more headers, one a line, as 'Name: value'");
secret!(/// Where a URL is that nobody else may know.
    UrlArgs, "url", "the URL, which is a secret");
secret!(/// Where a token is.
    TokenArgs, "token", "the access token");
secret!(/// Where an integration key is.
    KeyArgs, "key", "the integration key");

/// The certificates that are trusted.
#[derive(Args)]
pub struct CaArgs {
    /// A file with the certificates that are trusted instead of the system's, PEM
    #[arg(long, value_name = "PATH")]
    ca_file: Option<PathBuf>,
}

impl CaArgs {
    fn read(self) -> Result<Option<String>, Failure> {
        self.ca_file.map(|path| text_of("ca-file", &path)).transpose()
    }
}

/// A mail.
#[derive(Args)]
pub struct EmailOptions {
    /// Who gets it; several with commas, or the option again
    #[arg(long, required = true, value_name = "ADDRESS", value_delimiter = ',')]
    to: Vec<String>,
    /// Who it is from
    #[arg(long, value_name = "ADDRESS")]
    from: String,
    /// The SMTP server
    #[arg(long, value_name = "HOST")]
    host: String,
    /// Its port [default: 587 with starttls, 465 with tls, 25 with none]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// How the connection is encrypted: after a start in the clear, from its first byte, or not at all
    #[arg(long, default_value = "starttls", value_parser = securities())]
    security: Security,
    /// Who logs in there
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    #[command(flatten)]
    password: PasswordArgs,
    #[command(flatten)]
    ca: CaArgs,
}

fn securities() -> impl TypedValueParser<Value = Security> {
    PossibleValuesParser::new(Security::NAMES).try_map(|name| name.parse::<Security>())
}

/// A webhook.
#[derive(Args)]
pub struct WebhookOptions {
    /// Where it goes; one that holds a secret comes from --url-file or --url-env
    #[arg(long, value_name = "URL", conflicts_with_all = ["url-file", "url-env"])]
    url: Option<String>,
    #[command(flatten)]
    secret_url: UrlArgs,
    #[command(flatten)]
    secret: SecretArgs,
    #[command(flatten)]
    headers: HeaderArgs,
    /// A file with a template of the body, in the language of Jinja [default: the message as JSON]
    #[arg(long, value_name = "PATH")]
    template_file: Option<PathBuf>,
    #[command(flatten)]
    ca: CaArgs,
}

/// A topic of an ntfy server.
#[derive(Args)]
pub struct NtfyOptions {
    /// The topic
    #[arg(long)]
    topic: String,
    /// The server
    #[arg(long, value_name = "URL", default_value = "https://ntfy.sh")]
    server_url: String,
    #[command(flatten)]
    token: TokenArgs,
    /// A tag that each message gets; again for more
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    #[command(flatten)]
    ca: CaArgs,
}

/// A webhook of a chat.
#[derive(Args)]
pub struct HookOptions {
    #[command(flatten)]
    url: UrlArgs,
}

/// A chat in Telegram.
#[derive(Args)]
pub struct TelegramOptions {
    /// The chat: its number, or @ and its name
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    chat: String,
    /// The topic of a forum
    #[arg(long, value_name = "N")]
    thread: Option<i64>,
    #[command(flatten)]
    token: TokenArgs,
    /// The server of the Bot API
    #[arg(long, value_name = "URL", default_value = "https://api.telegram.org")]
    server_url: String,
}

/// A service in PagerDuty.
#[derive(Args)]
pub struct PagerDutyOptions {
    #[command(flatten)]
    key: KeyArgs,
    /// The server of the Events API; Europe has https://events.eu.pagerduty.com
    #[arg(long, value_name = "URL", default_value = "https://events.pagerduty.com")]
    server_url: String,
}

/// A room in Matrix.
#[derive(Args)]
pub struct MatrixOptions {
    /// The home server
    #[arg(long, value_name = "URL")]
    server_url: String,
    /// The room's id, which begins with !
    #[arg(long, value_name = "ID")]
    room: String,
    #[command(flatten)]
    token: TokenArgs,
    #[command(flatten)]
    ca: CaArgs,
}

/// A program.
#[derive(Args)]
pub struct CommandOptions {
    /// The program's whole path
    program: String,
    /// What it is called with
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENT")]
    args: Vec<String>,
}

impl ChannelOptions {
    /// The channel, checked.
    pub fn channel(self) -> Result<Channel, Failure> {
        let channel = match self {
            ChannelOptions::Email(options) => options.channel()?,
            ChannelOptions::Webhook(options) => options.channel()?,
            ChannelOptions::Ntfy(NtfyOptions { topic, server_url, token, tags, ca }) => Channel::Ntfy(Ntfy {
                server: Url::new(server_url),
                topic,
                token: token.read()?.map(Secret::new),
                tags,
                ca: ca.read()?,
            }),
            ChannelOptions::Slack(options) => Channel::Slack(options.hook()?),
            ChannelOptions::Discord(options) => Channel::Discord(options.hook()?),
            ChannelOptions::Teams(options) => Channel::Teams(options.hook()?),
            ChannelOptions::Telegram(TelegramOptions { chat, thread, token, server_url }) => {
                let token = needed("token", token.read()?)?;
                Channel::Telegram(Telegram { server: Url::new(server_url), token, chat, thread })
            }
            ChannelOptions::PagerDuty(PagerDutyOptions { key, server_url }) => {
                let key = needed("key", key.read()?)?;
                Channel::PagerDuty(PagerDuty { server: Url::new(server_url), key })
            }
            ChannelOptions::Matrix(MatrixOptions { server_url, room, token, ca }) => {
                let token = needed("token", token.read()?)?;
                Channel::Matrix(Matrix { server: Url::new(server_url), token, room, ca: ca.read()? })
            }
            ChannelOptions::Command(CommandOptions { program, args }) => {
                Channel::Command(Command { program, args })
            }
        };
        channel.check().map_err(|bad| Failure::usage(bad.to_string()))?;
        Ok(channel)
    }
}

impl EmailOptions {
    fn channel(self) -> Result<Channel, Failure> {
        let EmailOptions { to, from, host, port, security, user, password, ca } = self;
        let usual = match security {
            Security::Starttls => 587,
            Security::Tls => 465,
            Security::None => 25,
        };
        Ok(Channel::Email(Email {
            to,
            from,
            host,
            port: port.unwrap_or(usual),
            security,
            user,
            password: password.read()?.map(Secret::new),
            ca: ca.read()?,
        }))
    }
}

impl WebhookOptions {
    fn channel(self) -> Result<Channel, Failure> {
        let WebhookOptions { url, secret_url, secret, headers, template_file, ca } = self;
        if let Some(url) = &url
            && !Url::new(url.clone()).secrets().is_empty()
        {
            return Err(Failure::usage("url: it holds a user, or something behind '?', that may be secret")
                .hint("write it into a file and give --url-file, or into a variable and give --url-env"));
        }
        let url = match url {
            Some(url) => url,
            None => secret_url.read()?.ok_or_else(|| {
                Failure::usage("url: it is missing").hint("give --url, --url-file or --url-env")
            })?,
        };
        let headers = headers.read()?.map(|text| header_lines(&text)).transpose()?.unwrap_or_default();
        Ok(Channel::Webhook(Webhook {
            url: Url::new(url),
            secret: secret.read()?.map(Secret::new),
            headers,
            template: template_file.map(|path| text_of("template-file", &path)).transpose()?,
            ca: ca.read()?,
        }))
    }
}

impl HookOptions {
    fn hook(self) -> Result<Hook, Failure> {
        Ok(Hook { url: needed("url", self.url.read()?)? })
    }
}

fn needed(name: &str, secret: Option<String>) -> Result<Secret, Failure> {
    secret.map(Secret::new).ok_or_else(|| {
        Failure::usage(format!("{name}: it is missing")).hint(format!("give --{name}-file or --{name}-env"))
    })
}

/// The headers of a file: `Name: value` lines; empty ones are left out.
fn header_lines(text: &str) -> Result<BTreeMap<String, Secret>, Failure> {
    let mut headers = BTreeMap::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let Some((name, value)) = line.split_once(':') else {
            return Err(Failure::usage(format!("headers: line {} has no colon", at + 1))
                .hint("write each header as 'Name: value'"));
        };
        if headers.len() == channel::check::MAX_HEADERS {
            return Err(Failure::usage(format!("headers: {} are the most", channel::check::MAX_HEADERS)));
        }
        let name = name.trim().to_ascii_lowercase();
        if headers.insert(name, Secret::new(value.trim())).is_some() {
            return Err(Failure::usage(format!("headers: line {} is there twice", at + 1)));
        }
    }
    Ok(headers)
}

/// A secret from where it is said to be, without the line break at its end.
fn secret(name: &str, file: Option<&Path>, env: Option<&str>) -> Result<Option<String>, Failure> {
    let text = match (file, env) {
        (Some(path), _) => text_of(&format!("{name}-file"), path)?,
        (None, Some(variable)) => std::env::var(variable).map_err(|error| match error {
            std::env::VarError::NotPresent => {
                Failure::usage(format!("{name}-env: there is no environment variable {variable}"))
            }
            std::env::VarError::NotUnicode(_) => {
                Failure::usage(format!("{name}-env: the environment variable {variable} is no text"))
            }
        })?,
        (None, None) => return Ok(None),
    };
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(Failure::usage(format!("{name}: it is empty")));
    }
    Ok(Some(text.to_owned()))
}

/// What stands in a file, or in standard input.
fn text_of(name: &str, path: &Path) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        io::stdin().lock().take(MAX_FILE + 1).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes))
    };
    read.map_err(|error| Failure::failed(format!("{name}: read {}: {error}", path.display())))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(Failure::usage(format!("{name}: {} is over {MAX_FILE} bytes", path.display())));
    }
    String::from_utf8(bytes).map_err(|_| Failure::usage(format!("{name}: {} is no text", path.display())))
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(subcommand)]
        kind: ChannelOptions,
    }

    fn channel(args: &[&str]) -> Result<Channel, String> {
        let all = ["add"].iter().chain(args);
        let cli = Cli::try_parse_from(all).map_err(|e| e.to_string())?;
        cli.kind.channel().map_err(|failure| failure.lines())
    }

    #[test]
    fn there_is_a_verb_for_each_kind() {
        Cli::command().debug_assert();
        let names: Vec<String> =
            Cli::command().get_subcommands().map(|one| one.get_name().to_owned()).collect();
        assert_eq!(names, channel::Kind::NAMES);
    }

    #[test]
    #[rustfmt::skip]
    fn a_channel_is_what_is_written_and_its_secrets_come_from_files_and_the_environment() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let secret = file("secret", "geheim-wort\n");
        let url = file("url", "https://hooks.slack.com/services/T0/B0/geheim-wort\n");
        let key = file("key", "0123456789abcdef0123456789abcdef\r\n");
        let bot = file("bot", "123:geheim-wort");
        let headers = file("headers", "Authorization: Bearer geheim-wort\n\nX-Team: noc\n");
        let hidden = "***";
        for (args, shown) in [
            (vec!["email", "--to", "a@example.org,b@example.org", "--from", "l@example.org", "--host", "mx", "--user", "l", "--password-file", &secret],
             json!({"kind": "email", "to": ["a@example.org", "b@example.org"], "from": "l@example.org", "host": "mx", "port": 587, "security": "starttls", "user": "l", "password": hidden})),
            (vec!["email", "--to", "a@example.org", "--from", "l@example.org", "--host", "mx", "--security", "tls"],
             json!({"kind": "email", "to": ["a@example.org"], "from": "l@example.org", "host": "mx", "port": 465, "security": "tls"})),
            (vec!["webhook", "--url", "https://bus.example.org/alarms", "--secret-file", &secret, "--headers-file", &headers],
             json!({"kind": "webhook", "url": "https://bus.example.org/alarms", "secret": hidden, "headers": {"authorization": hidden, "x-team": hidden}})),
            (vec!["ntfy", "--topic", "noc", "--tag", "a", "--tag", "b"],
             json!({"kind": "ntfy", "server": "https://ntfy.sh", "topic": "noc", "tags": ["a", "b"]})),
            (vec!["slack", "--url-file", &url], json!({"kind": "slack", "url": "https://hooks.slack.com/***"})),
            (vec!["discord", "--url-file", &url], json!({"kind": "discord", "url": "https://hooks.slack.com/***"})),
            (vec!["teams", "--url-file", &url], json!({"kind": "teams", "url": "https://hooks.slack.com/***"})),
            (vec!["telegram", "--chat", "-100123", "--token-file", &bot],
             json!({"kind": "telegram", "server": "https://api.telegram.org", "token": hidden, "chat": "-100123"})),
            (vec!["pagerduty", "--key-file", &key], json!({"kind": "pagerduty", "server": "https://events.pagerduty.com", "key": hidden})),
            (vec!["matrix", "--server-url", "https://m.example.org", "--room", "!a:example.org", "--token-file", &secret],
             json!({"kind": "matrix", "server": "https://m.example.org", "token": hidden, "room": "!a:example.org"})),
            (vec!["command", "/bin/true", "-x", "--", "y"], json!({"kind": "command", "program": "/bin/true", "args": ["-x", "--", "y"]})),
            (vec!["command", "/bin/true", "--", "-h", "y"], json!({"kind": "command", "program": "/bin/true", "args": ["-h", "y"]})),
            (vec!["command", "/bin/true"], json!({"kind": "command", "program": "/bin/true"})),
        ] {
            let made = channel(&args).unwrap_or_else(|e| panic!("{args:?}: {e}"));
            assert_eq!(made.shown(), shown, "{args:?}");
            assert!(!format!("{made:?}").contains("geheim"), "{made:?}");
        }
    }

    #[test]
    #[rustfmt::skip]
    fn what_is_missing_or_wrong_is_said_with_what_to_do() {
        for (args, says) in [
            (vec!["slack"], "hint: give --url-file or --url-env"),
            (vec!["telegram", "--chat", "1"], "token: it is missing"),
            (vec!["slack", "--url-env", "LINEMAN_NO_SUCH_VARIABLE"], "no environment variable LINEMAN_NO_SUCH_VARIABLE"),
            (vec!["slack", "--url-file", "/nowhere/at/all"], "url-file: read /nowhere/at/all"),
            (vec!["slack", "--url-file", "/dev/null"], "url: it is empty"),
            (vec!["slack", "--url-file", "/dev/zero"], "is over 131072 bytes"),
            (vec!["webhook"], "hint: give --url, --url-file or --url-env"),
            (vec!["webhook", "--url", "https://ana:pw@example.org/"], "--url-file"),
            (vec!["webhook", "--url", "https://example.org/?token=geheim"], "--url-file"),
            (vec!["webhook", "--url", "ftp://example.org/"], "url: it must begin with https:// or http://"),
            (vec!["command", "true"], "program: 'true' is no whole path"),
            (vec!["ntfy", "--topic", "a b"], "topic: 'a b'"),
        ] {
            let said = channel(&args).unwrap_err();
            assert!(said.contains(says), "{args:?}: {said}");
        }
        assert!(header_lines("no colon").is_err());
        assert!(header_lines("a: 1\nA: 2").is_err());
    }

    proptest! {
        #[test]
        fn no_file_of_headers_makes_it_panic(text in "\\PC{0,200}") {
            drop(header_lines(&text));
        }
    }
}
