//! The data of a server that six agents have joined: made once, and copied for each case.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use crate::Res;
use crate::net::{self, Running, SITES, v4, v6};
use crate::world::{PAGE_BODY, PAGE_NAME, PORT, SERVER_NAME, Trust, tell, wait};

/// Where what all templates share is.
static SHARED: OnceLock<PathBuf> = OnceLock::new();

/// What is set, so that a minute is enough for everything.
const SETTINGS: &[(&str, &str)] = &[
    ("agent.cut_off_after", "2"),
    ("agent.retry_max", "2s"),
    ("blind.share", "80"),
    ("check.every", "2s"),
    ("check.good_results", "1"),
    ("check.retry", "1s"),
    ("check.soft_failures", "2"),
    ("check.timeout", "1s"),
    ("check_in.every", "2s"),
    ("check_in.grace", "1s"),
    ("contact.backoff", "2s"),
    ("flap.changes", "100"),
    ("ladder.again", "3s,5s,10s"),
    ("ladder.baseline", "6s"),
    ("ladder.page_body", PAGE_BODY),
    ("recorder.every", "2s"),
    ("ticket.group_wait", "1s"),
];

/// The data folders of a server and its agents.
pub struct Template {
    /// Where they are.
    pub dir: PathBuf,
    /// How the agents know the server.
    pub trust: Trust,
}

impl Template {
    /// Makes what all templates share: the clock that can be set, and an authority with the server's certificate.
    pub fn prepare(dir: &Path) -> Res<()> {
        fs::create_dir_all(dir)?;
        let program = Path::new(env!("CARGO_BIN_EXE_lineman"));
        fs::hard_link(program, dir.join("lineman"))
            .or_else(|_| fs::copy(program, dir.join("lineman")).map(drop))?;
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/clock.c");
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(dir.join("clock.so"))
            .arg(source)
            .stdin(Stdio::null())
            .status()?;
        if !built.success() {
            return Err("cc cannot build clock.c".into());
        }
        let mut authority = CertificateParams::new(Vec::new())?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate()?;
        let own = authority.self_signed(&key)?;
        fs::write(dir.join("authority.pem"), own.pem())?;
        let issuer = Issuer::new(authority, key);
        let mut server = CertificateParams::new(vec![SERVER_NAME.to_owned()])?;
        // From yesterday for two months, as such certificates are.
        let now = this_month()?;
        server.not_before = rcgen::date_time_ymd(now.0, now.1, 1);
        server.not_after = rcgen::date_time_ymd(now.0 + (i32::from(now.1) + 2) / 13, (now.1 + 1) % 12 + 1, 1);
        let key = KeyPair::generate()?;
        fs::write(dir.join("server.pem"), server.signed_by(&key, &issuer)?.pem())?;
        fs::write(dir.join("server.key"), key.serialize_pem())?;
        SHARED.set(dir.to_owned()).map_err(|_| "prepared twice".into())
    }

    fn shared(file: &str) -> PathBuf {
        SHARED.get().expect("prepared first").join(file)
    }

    /// The program, as it was when the lab began: somebody may build another meanwhile.
    pub fn lineman() -> PathBuf {
        Template::shared("lineman")
    }

    /// The library that sets a process's clock.
    pub fn shim() -> PathBuf {
        Template::shared("clock.so")
    }

    /// The certificates that vouched agents trust.
    pub fn authority() -> PathBuf {
        Template::shared("authority.pem")
    }

    /// What `serve` is told besides.
    pub fn serve_with(&self) -> Vec<String> {
        match self.trust {
            Trust::Pinned => Vec::new(),
            Trust::Vouched => ["--tls-cert", "server.pem", "--tls-key", "server.key"]
                .chunks(2)
                .flat_map(|pair| [pair[0].to_owned(), Template::shared(pair[1]).display().to_string()])
                .collect(),
        }
    }

    /// Makes one in `dir`; all of it happens in a namespace whose name begins with `tag`.
    pub fn make(tag: &str, dir: &Path, trust: Trust) -> Res<Template> {
        let template = Template { dir: dir.to_owned(), trust };
        let (ns, data) = (format!("{tag}-join"), dir.join("server"));
        fs::create_dir_all(&data)?;
        let etc = Path::new("/etc/netns").join(&ns);
        fs::create_dir_all(&etc)?;
        fs::write(etc.join("hosts"), format!("127.0.0.1 localhost {SERVER_NAME}\n"))?;
        for args in [vec!["netns", "add", &ns], vec!["-n", &ns, "link", "set", "lo", "up"]] {
            Command::new("ip").args(args).status()?;
        }
        let within = |args: &[&str]| {
            let mut command = Command::new("ip");
            command.args(["netns", "exec", &ns]).arg(Template::lineman()).arg("--data").args(args);
            command.env("SSL_CERT_FILE", Template::authority()).stdin(Stdio::null());
            command
        };
        let (folder, listen) = (data.display().to_string(), format!("[::]:{PORT}"));
        let mut serve = within(&[&folder, "serve", "--listen", &listen]);
        serve.args(template.serve_with());
        let log = fs::File::create(dir.join("serve.log"))?;
        let mut server = Running(serve.stdout(log.try_clone()?).stderr(log).spawn()?);
        wait("the first server", || Ok(fs::read_to_string(dir.join("serve.log"))?.contains("listening on")))?;
        template.fill(&data)?;
        for device in net::devices() {
            let (site, _) = device.split_once('-').expect("site-number");
            let said = tell(&data, &["device", "add", &device, "--site", site, "--join"])?;
            let token = said.split_whitespace().last().ok_or("no token")?;
            let token = match trust {
                Trust::Pinned => token,
                Trust::Vouched => token.split('.').next().unwrap_or_default(),
            };
            let home = dir.join(&device).display().to_string();
            let joined = within(&[&home, "agent", "join", &format!("https://{SERVER_NAME}:{PORT}"), token])
                .output()?;
            if !joined.status.success() {
                return Err(format!("join {device}: {}", String::from_utf8_lossy(&joined.stderr)).into());
            }
            tell(&data, &["check", "add", &device, "icmp"])?;
        }
        Command::new("kill").args(["-TERM", &server.0.id().to_string()]).status()?;
        wait("the first server to stop", || Ok(server.0.try_wait()?.is_some()))?;
        net::sweep(&|name| name == ns);
        Ok(template)
    }

    fn fill(&self, data: &Path) -> Res<()> {
        for (key, value) in SETTINGS {
            tell(data, &["setting", "set", key, value])?;
        }
        let anchors = [v4("anchor-a"), v4("anchor-b"), v6("anchor-a"), v6("anchor-b")].join(",");
        tell(data, &["setting", "set", "ladder.anchors", &anchors])?;
        tell(data, &["setting", "set", "ladder.resolver", &v4("far")])?;
        tell(data, &["setting", "set", "ladder.page", &format!("http://{PAGE_NAME}/known.txt")])?;
        for (site, _) in SITES {
            tell(data, &["site", "add", site])?;
        }
        Ok(())
    }
}

/// This year and month, of the machine's own clock.
fn this_month() -> Res<(i32, u8)> {
    let said = Command::new("date").args(["-u", "+%Y %m"]).output()?;
    let text = String::from_utf8(said.stdout)?;
    let (year, month) = text.trim().split_once(' ').ok_or("no date")?;
    Ok((year.parse()?, month.parse()?))
}
