//! The operator's configuration: a file and the environment, parsed once at the start and passed down. Nobody else reads
//! the environment. Unknown keys are refused.

use crate::disk::free_space;
use crate::http::connections;
use crate::http::pace::Pace;
use crate::http::state::DoorLimits;
use crate::workspace::limits::ArchiveLimits;
use anyhow::{Context as _, bail};
use gradus_core::domain::id::ChallengeId;
use gradus_core::domain::manifest::nearest;
use gradus_core::domain::queue::Room;
use gradus_core::domain::run::ImageName;
use gradus_core::domain::units::{Bytes, MilliCpus, Millis};
use serde::Deserialize;
use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// Where the server listens unless told otherwise: this machine alone.
pub const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8400);
/// The data folder unless told otherwise.
pub const DATA: &str = "gradus-data";

/// All of it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the server is and keeps its data.
    pub server: Server,
    /// What runs at once.
    pub workers: Workers,
    /// What is taken in.
    pub limits: Limits,
    /// What participants' programs run in.
    pub runner: Runner,
    /// Where web hooks may be.
    pub hooks: Hooks,
    /// What is logged.
    pub log: Log,
}

/// Where the server is and keeps its data.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// Address and port.
    pub listen: Option<SocketAddr>,
    /// Address and port for `/metrics` without a token; none unless set.
    pub metrics_listen: Option<SocketAddr>,
    /// The data folder.
    pub data: Option<PathBuf>,
    /// Where people reach this server, such as `https://gradus.example.org`: what forges are told leads there.
    pub url: Option<String>,
    /// Proxies that say in `X-Forwarded-For` whom they ask for.
    pub trusted_proxies: Vec<IpAddr>,
}

/// Where web hooks may be.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Hooks {
    /// At addresses of this machine and of the networks around it too, and without TLS. Organizers name the addresses.
    pub private: bool,
}

/// What runs at once.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Workers {
    /// Submissions graded at once; as many as there are processors unless set.
    pub graders: Option<usize>,
    /// Format checks at once.
    pub checks: usize,
}

impl Default for Workers {
    fn default() -> Self {
        Self { graders: None, checks: 4 }
    }
}

/// What is taken in.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// A submission's body.
    pub submission: Bytes,
    /// A submission's files, unpacked.
    pub submission_unpacked: Bytes,
    /// Files of a submission.
    pub submission_files: usize,
    /// An image that is handed in: its body, and its layers, unpacked.
    pub image: Bytes,
    /// A challenge's body.
    pub challenge: Bytes,
    /// A body may pause for so long.
    pub body_idle: Millis,
    /// A body may take so long in all.
    pub body_total: Millis,
    /// Free disk space below which nothing is taken in.
    pub free_disk: Bytes,
    /// Requests of one token in a second, and ten times as many at once; 0 for as many as they like.
    pub requests: u32,
    /// Those of one address, with or without a token.
    pub requests_of_address: u32,
    /// Connections at once.
    pub connections: usize,
    /// Those of one address.
    pub connections_of_address: usize,
    /// The head of a request may take so long, and a connection may be idle for so long.
    pub head: Millis,
}

impl Default for Limits {
    fn default() -> Self {
        let archive = ArchiveLimits::submission();
        Self {
            submission: Bytes(128 << 20),
            submission_unpacked: archive.bytes,
            submission_files: archive.entries,
            image: Bytes(2 << 30),
            challenge: Bytes(1 << 30),
            body_idle: Millis(20_000),
            body_total: Millis(3_600_000),
            free_disk: Bytes(256 << 20),
            requests: 100,
            requests_of_address: 1_000,
            connections: 4_096,
            connections_of_address: 1_024,
            head: Millis(20_000),
        }
    }
}

/// A registry of images.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registry {
    /// Its name, with its port if it has one: as images are named.
    pub host: String,
    /// Who the server is there; nobody unless set.
    pub username: Option<String>,
    /// A file with the password.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// What the names begin with, after the registry's, of images that participants may name: `teams/`. None unless set.
    #[serde(default)]
    pub participants: Vec<String>,
    /// The challenges that it is for; all unless set.
    #[serde(default)]
    pub challenges: Vec<ChallengeId>,
}

/// A GPU: its id, or `{ id = "0", memory = "24GiB" }`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "the id of a GPU, or { id = \"0\", memory = \"24GiB\" }")]
pub enum Gpu {
    /// Its id at the engine's driver.
    Id(String),
    /// And what it has.
    With {
        /// Its id.
        id: String,
        /// Its memory.
        memory: Bytes,
    },
}

/// What participants' programs run in.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Runner {
    /// `auto`: the engine at its usual socket; `off`; or the path of its socket. One that does not answer yet is waited
    /// for.
    pub engine: Engine,
    /// Programs that run at once; as many as there are processors unless set.
    pub runs: Option<usize>,
    /// CPUs for all runs together; those of the machine unless set.
    pub cpus: Option<usize>,
    /// Memory for all runs together; three quarters of the machine's unless set.
    pub memory: Option<Bytes>,
    /// GPUs for runs, by their ids at the engine's driver; those of the machine unless set.
    pub gpus: Option<Vec<Gpu>>,
    /// Runtimes of the engine's that tasks may name.
    pub runtimes: Vec<String>,
    /// Networks of the engine's that tasks may name. What runs there reaches whatever the network reaches.
    pub networks: Vec<String>,
    /// Registries that images of tasks are fetched from; none unless named.
    pub registries: Vec<Registry>,
    /// Disk for the outputs of all runs together, of those that do not lie in memory; half of what is free at the start
    /// unless set.
    pub disk: Option<Bytes>,
    /// The image of tasks that name none.
    pub image: Option<ImageName>,
    /// An image with `sh`, `cat`, `ls` and `tail`, to try at the start what a run really gets.
    pub probe_image: Option<ImageName>,
    /// Runs programs although a check of the engine fails.
    pub allow_failed_checks: bool,
}

/// Which container engine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub enum Engine {
    /// The one at the usual socket, if it answers.
    #[default]
    Auto,
    /// None.
    Off,
    /// The one at this socket.
    Socket(PathBuf),
}

impl From<String> for Engine {
    fn from(text: String) -> Self {
        match text.as_str() {
            "auto" => Self::Auto,
            "off" => Self::Off,
            path => Self::Socket(path.strip_prefix("unix://").unwrap_or(path).into()),
        }
    }
}

/// What is logged.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// `json` for one object a line; readable text unless set.
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug` or `trace`, or a filter such as `gradus=debug`.
    pub level: Option<String>,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One object a line.
    Json,
}

/// Where the certificates are that are trusted, if the environment says so: what asks others by itself has to know.
pub fn certificates() -> Vec<(&'static str, OsString)> {
    ["SSL_CERT_FILE", "SSL_CERT_DIR"].into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))).collect()
}

impl Config {
    /// Reads the file, then what the environment says of the log: `GRADUS_LOG`. Where the server is, the command line
    /// knows, which reads its own variables.
    ///
    /// # Errors
    /// The file cannot be read, or something in it is wrong: with its line.
    pub fn load(file: Option<&Path>) -> anyhow::Result<Self> {
        let mut config = match file {
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("the configuration file {} cannot be read", path.display()))?;
                Self::parse(&text, &path.display().to_string())?
            }
            None => Self::default(),
        };
        if let Some(level) = std::env::var("GRADUS_LOG").ok().filter(|level| !level.is_empty()) {
            config.log.level = Some(level);
        }
        Ok(config)
    }

    fn parse(text: &str, name: &str) -> anyhow::Result<Self> {
        let config: Self = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(0, |span| text[..span.start].matches('\n').count() + 1);
            let quoted: Vec<&str> = error.message().split('`').skip(1).step_by(2).collect();
            let hint = match quoted.split_first() {
                Some((unknown, known)) if error.message().starts_with("unknown field") => {
                    let near = nearest(unknown, known.iter().copied());
                    near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"))
                }
                _ => String::new(),
            };
            anyhow::anyhow!("{name}:{line}: {}{hint}", error.message())
        })?;
        if config.workers.graders == Some(0) || config.workers.checks == 0 {
            bail!("{name}: workers: `graders` and `checks` are at least 1");
        }
        if config.runner.runs == Some(0) || config.runner.cpus == Some(0) || config.runner.memory == Some(Bytes(0)) {
            bail!("{name}: runner: `runs`, `cpus` and `memory` are more than 0");
        }
        for Registry { host, username, password_file, participants, challenges: _ } in &config.runner.registries {
            if host.is_empty() || host.contains(['/', '@', ' ']) {
                bail!(
                    "{name}: runner.registries: `{host}` is no registry; write its name, such as \"images.example.org\""
                );
            }
            if username.is_some() != password_file.is_some() {
                bail!("{name}: runner.registries: `{host}` needs both `username` and `password_file`, or none of them");
            }
            if let Some(prefix) = participants.iter().find(|prefix| prefix.len() < 2 || !prefix.ends_with('/')) {
                bail!(
                    "{name}: runner.registries: `{prefix}` in `participants` is no folder; write one, such as \"teams/\""
                );
            }
        }
        let shared =
            |network: &&String| matches!(network.as_str(), "host" | "none" | "default") || network.contains(':');
        if let Some(network) = config.runner.networks.iter().find(shared) {
            bail!("{name}: runner: `{network}` in `networks` is no network of its own; make one, and write its name");
        }
        if let Engine::Socket(path) = &config.runner.engine
            && !path.is_absolute()
        {
            bail!("{name}: runner: `engine` is \"auto\", \"off\" or the absolute path of a socket");
        }
        let plain = |url: &String| {
            let scheme = url.starts_with("https://") || url.starts_with("http://");
            scheme && url.len() <= 200 && url.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if let Some(url) = config.server.url.as_ref().filter(|url| !plain(url)) {
            bail!("{name}: server: `{url}` in `url` is no address; write https://host, at most 200 bytes");
        }
        if config.limits.body_idle.0 == 0 || config.limits.submission.0 == 0 || config.limits.challenge.0 == 0 {
            bail!("{name}: limits: sizes and times are more than 0");
        }
        Ok(config)
    }

    /// The data folder and the address: as told, or as configured, or as usual.
    pub fn place(&self, data: Option<PathBuf>, listen: Option<SocketAddr>) -> (PathBuf, SocketAddr) {
        let data = data.or_else(|| self.server.data.clone()).unwrap_or_else(|| DATA.into());
        (data, listen.or(self.server.listen).unwrap_or(LISTEN))
    }

    /// Where people reach this server, without a slash at the end.
    pub fn address(&self) -> Option<String> {
        self.server.url.as_ref().map(|url| url.trim_end_matches('/').to_owned())
    }

    /// Submissions graded at once.
    pub fn graders(&self) -> usize {
        self.workers.graders.unwrap_or_else(|| std::thread::available_parallelism().map_or(2, usize::from))
    }

    /// Programs that run at once.
    pub fn runs(&self) -> usize {
        self.runner.runs.unwrap_or_else(|| std::thread::available_parallelism().map_or(2, usize::from))
    }

    /// What all runs together may use, with the data folder at `data`.
    pub fn room(&self, data: &Path) -> Room {
        // More CPUs than there are, the engine gives no run; more memory, nobody can.
        let cpus = std::thread::available_parallelism().map_or(2, usize::from);
        let cpus = MilliCpus(self.runner.cpus.unwrap_or(cpus).min(cpus) as u64 * 1000);
        let half = || Bytes(free_space(data).map_or(0, |free| free.saturating_sub(self.limits.free_disk.0) / 2));
        let info = rustix::system::sysinfo();
        let machine = info.totalram.saturating_mul(u64::from(info.mem_unit));
        let memory = self.runner.memory.unwrap_or(Bytes(machine / 4 * 3)).min(Bytes(machine));
        // How many GPUs there are, the engine tells.
        Room { cpus, memory, gpus: 0, disk: self.runner.disk.unwrap_or_else(half) }
    }

    fn trusted(&self) -> Vec<IpAddr> {
        self.server.trusted_proxies.iter().map(IpAddr::to_canonical).collect()
    }

    /// How often all may ask.
    pub fn pace(&self) -> Pace {
        Pace::new(self.limits.requests, self.limits.requests_of_address, self.trusted())
    }

    /// How many may be connected.
    pub fn connections(&self) -> connections::Limits {
        let Limits { connections, connections_of_address, head, .. } = self.limits;
        connections::Limits {
            all: connections,
            of_address: connections_of_address,
            head: head.duration(),
            trusted: self.trusted(),
        }
    }

    /// The limits of the door.
    pub fn door(&self) -> DoorLimits {
        let limits = &self.limits;
        DoorLimits {
            submission: limits.submission,
            image: limits.image,
            challenge: limits.challenge,
            idle: limits.body_idle.duration(),
            total: limits.body_total.duration(),
            submission_archive: ArchiveLimits {
                bytes: limits.submission_unpacked,
                file: limits.submission_unpacked,
                entries: limits.submission_files,
                ..ArchiveLimits::submission()
            },
            image_archive: ArchiveLimits {
                bytes: limits.image,
                file: limits.image,
                entries: limits.submission_files,
                links: true,
                ..ArchiveLimits::challenge()
            },
            challenge_archive: ArchiveLimits::challenge(),
            free: limits.free_disk,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_read_and_mistakes_are_told_with_their_line() {
        let good = "[server]\nlisten = \"0.0.0.0:80\"\n[limits]\nsubmission = \"1MiB\"\nbody_idle = \"5s\"\n";
        let config = Config::parse(good, "g.toml").unwrap();
        assert_eq!((config.limits.submission, config.limits.body_idle), (Bytes(1 << 20), Millis(5_000)));
        let gpus = "[runner]\ngpus = [\"0\", { id = \"1\", memory = \"24GiB\" }]\n";
        let gpus = Config::parse(gpus, "g.toml").unwrap().runner.gpus.unwrap();
        assert_eq!(gpus, [Gpu::Id("0".to_owned()), Gpu::With { id: "1".to_owned(), memory: Bytes(24 << 30) }]);
        for (text, expected) in [
            (
                "[server]\nlistn = \"x\"\n",
                "g.toml:2: unknown field `listn`, expected one of `listen`, `metrics_listen`, `data`, `url`, `trusted_proxies`; did you mean `listen`?",
            ),
            (
                "[runner]\nengine = \"podman\"\n",
                "g.toml: runner: `engine` is \"auto\", \"off\" or the absolute path of a socket",
            ),
            (
                "[[runner.registries]]\nhost = \"https://x\"\n",
                "g.toml: runner.registries: `https://x` is no registry; write its name, such as \"images.example.org\"",
            ),
            (
                "[[runner.registries]]\nhost = \"x.org\"\nusername = \"me\"\n",
                "g.toml: runner.registries: `x.org` needs both `username` and `password_file`, or none of them",
            ),
            (
                "[runner]\nnetworks = [\"host\"]\n",
                "g.toml: runner: `host` in `networks` is no network of its own; make one, and write its name",
            ),
            ("[workers]\ngraders = 0\n", "g.toml: workers: `graders` and `checks` are at least 1"),
        ] {
            assert_eq!(Config::parse(text, "g.toml").unwrap_err().to_string(), expected);
        }
    }
}
