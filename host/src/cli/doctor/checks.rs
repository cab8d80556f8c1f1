//! What the doctor looks at. Changes nothing that it does not take back.

use super::super::output::chain;
use super::super::{Context, Remote, local};
use crate::client::ClientError;
use crate::config::{Config, Engine, Runner};
use gradus_core::domain::limits::Limits;
use gradus_core::domain::units::Bytes;
use gradus_core::ports::runner;
use jiff::Timestamp;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// With less than this above what a server needs free it will not take in for long.
const SOME: u64 = 4 << 30;
/// No clock that is right is before this: 2026-01-01.
const BUILT: i64 = 1_767_225_600;

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// As it should be.
    Ok,
    /// Not needed, or not yet bad.
    Warn,
    /// Needed, and not so.
    Fail,
}

impl Level {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// What was found.
#[derive(Debug)]
pub struct Finding {
    pub name: &'static str,
    pub level: Level,
    pub what: String,
}

fn found(name: &'static str, level: Level, what: impl Into<String>) -> Finding {
    Finding { name, level, what: what.into() }
}

/// The folder itself, or the nearest one above that is there.
fn nearest(path: &Path) -> &Path {
    path.ancestors().find(|path| path.exists()).filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Whether the data folder can be written to, or made.
pub fn data(path: &Path) -> Finding {
    let finding = |level, what| found("data", level, what);
    let place = nearest(path);
    let write = || -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(place)?;
        file.write_all(b"gradus")?;
        file.as_file().sync_data()
    };
    let shown = path.display();
    match (write(), path.exists()) {
        (Err(error), _) => {
            let what =
                format!("cannot write to {}: {error}; give the user that runs Gradus the right to", place.display());
            finding(Level::Fail, what)
        }
        (Ok(()), false) => finding(Level::Ok, format!("{shown} is not there yet; `gradus serve` can make it")),
        (Ok(()), true) => match path.metadata() {
            Ok(about) if about.mode() & 0o007 != 0 => {
                let what = format!(
                    "{shown} can be written, and others on this computer can look into it; run `chmod 700` on it"
                );
                finding(Level::Warn, what)
            }
            Ok(_) => finding(Level::Ok, format!("{shown} can be written")),
            Err(error) => finding(Level::Fail, format!("cannot look at {shown}: {error}")),
        },
    }
}

/// Whether the server's configuration reads; what it says.
pub fn config(path: &Path, findings: &mut Vec<Finding>) -> Option<Config> {
    let (finding, config) = match Config::load(Some(path)) {
        Ok(config) => (found("config", Level::Ok, format!("{} reads", path.display())), Some(config)),
        Err(error) => (found("config", Level::Fail, chain(error.as_ref())), None),
    };
    findings.push(finding);
    config
}

/// Whether there is room on its disk; below `least` a server takes nothing in.
pub fn space(path: &Path, least: Bytes) -> Finding {
    match rustix::fs::statvfs(nearest(path)) {
        Ok(disk) => {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            let shown = Bytes(free >> 20 << 20);
            if free < least.0 {
                found("disk", Level::Fail, format!("{shown} free; make room: below {least} nothing is taken in"))
            } else if free < least.0.saturating_add(SOME) {
                found("disk", Level::Warn, format!("{shown} free; make room soon"))
            } else {
                found("disk", Level::Ok, format!("{shown} free"))
            }
        }
        Err(error) => {
            found("disk", Level::Fail, format!("cannot tell how much room there is: {}", io::Error::from(error)))
        }
    }
}

/// Whether nobody else can write where compiled scorers are kept.
pub fn cache(path: Option<&Path>) -> Finding {
    let Some(path) = path else {
        return found(
            "cache",
            Level::Warn,
            "neither XDG_CACHE_HOME nor HOME is set: scorers are compiled at each start",
        );
    };
    let shown = path.display();
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            found("cache", Level::Ok, format!("{shown} will be made"))
        }
        Err(error) => found("cache", Level::Fail, format!("cannot look at {shown}: {error}")),
        Ok(about) if !about.is_dir() => found("cache", Level::Fail, format!("{shown} is no folder; remove it")),
        Ok(about) if about.uid() != rustix::process::geteuid().as_raw() => {
            found("cache", Level::Fail, format!("{shown} belongs to another user; remove it"))
        }
        Ok(about) if about.mode() & 0o077 != 0 => {
            found("cache", Level::Fail, format!("{shown} is open to others; run `chmod 700` on it"))
        }
        Ok(_) => found("cache", Level::Ok, format!("{shown} is ours alone")),
    }
}

/// Whether the engine compiles and runs a stock scorer.
pub fn engine(context: &Context) -> Finding {
    let began = Instant::now();
    let run = || -> anyhow::Result<String> {
        let scorer = local::engine(context)?;
        let (name, bytes) = context.host.stock().first().ok_or_else(|| anyhow::anyhow!("there is no stock scorer"))?;
        let description = scorer.admit(bytes, "{}", &Limits::default())??;
        let took = began.elapsed().as_millis();
        Ok(format!(
            "{} runs {name} {} ({took} ms, {} metrics)",
            scorer.engine(),
            description.version,
            description.metrics.len()
        ))
    };
    match run() {
        Ok(what) => found("engine", Level::Ok, what),
        Err(error) => found("engine", Level::Fail, chain(error.as_ref())),
    }
}

/// Whether programs can be run: what the container engine gives. Needed only where tasks take code, unless the
/// configuration names an engine.
pub fn containers(context: &Context, config: &Runner) -> Vec<Finding> {
    const NAME: &str = "runner";
    if config.engine == Engine::Off {
        return vec![found(NAME, Level::Ok, "the configuration wants no programs run")];
    }
    let probed = tempfile::tempdir()
        .map_err(|error| format!("no temporary folder can be made: {error}"))
        .and_then(|room| context.host.probe(config, room.path()));
    let needed = matches!(config.engine, Engine::Socket(_));
    let findings = match probed {
        Ok(findings) => findings,
        Err(why) => {
            let level = if needed { Level::Fail } else { Level::Warn };
            return vec![found(
                NAME,
                level,
                format!("no programs can be run, which only tasks that take code need: {why}"),
            )];
        }
    };
    let one = |finding: &runner::Finding| {
        let level = match finding.level {
            runner::Level::Ok => Level::Ok,
            runner::Level::Fail if needed && !config.allow_failed_checks => Level::Fail,
            runner::Level::Warn | runner::Level::Fail => Level::Warn,
        };
        let refused = if finding.level == runner::Level::Fail && !config.allow_failed_checks {
            "; until then no code is taken"
        } else {
            ""
        };
        found(NAME, level, format!("{}: {}{refused}", finding.check, finding.text))
    };
    findings.iter().map(one).collect()
}

/// Whether scorers that are crates can be built. Only organizers with such a scorer need it.
pub fn builds() -> Finding {
    let rustc =
        |arguments: &[&str]| Command::new("rustc").args(arguments).stdin(Stdio::null()).stderr(Stdio::null()).output();
    let sysroot = match rustc(&["--print", "sysroot"]) {
        Ok(said) if said.status.success() => String::from_utf8_lossy(&said.stdout).trim().to_owned(),
        Ok(_) | Err(_) => {
            let what = "no Rust compiler: needed only to build scorers of one's own; https://rustup.rs has it";
            return found("rust", Level::Warn, what);
        }
    };
    if Path::new(&sysroot).join("lib/rustlib/wasm32-wasip2").is_dir() {
        found("rust", Level::Ok, "scorers of one's own can be built for wasm32-wasip2")
    } else {
        let what =
            "no target wasm32-wasip2: needed only to build scorers of one's own; run `rustup target add wasm32-wasip2`";
        found("rust", Level::Warn, what)
    }
}

/// Whether the clock can be right.
pub fn clock() -> Finding {
    let now = Timestamp::now();
    if now.as_second() < BUILT {
        found("clock", Level::Fail, format!("it says {now}, which is over: phases would not open; set the clock"))
    } else {
        found("clock", Level::Ok, now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
    }
}

/// Whether a server answers, and is ready.
pub fn server(context: &Context, remote: &Remote) -> Finding {
    let finding = |level, what: String| found("server", level, what);
    let client = match context.client(remote) {
        Ok(client) => client,
        Err(error) => return finding(Level::Warn, chain(error.as_ref())),
    };
    let ask = || -> Result<_, ClientError> { Ok((client.version()?, client.ready()?)) };
    match ask() {
        Ok((about, ready)) if ready.ready => {
            let other =
                if about.version == env!("CARGO_PKG_VERSION") { "" } else { ", another version than this program" };
            let level = if other.is_empty() { Level::Ok } else { Level::Warn };
            finding(level, format!("{} is ready: Gradus {}{other}", client.server(), about.version))
        }
        Ok((_, ready)) => {
            let bad = ready.checks.iter().filter(|(_, state)| *state != "ok");
            let bad: Vec<_> = bad.map(|(name, state)| format!("{name}: {state}")).collect();
            finding(Level::Warn, format!("{} is not ready: {}", client.server(), bad.join("; ")))
        }
        Err(error) => finding(Level::Warn, chain(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn there_is_room_as_long_as_the_server_says_so() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("g.toml");
        let mut findings = Vec::new();
        let mut level = |text: &str| {
            fs::write(&path, text).unwrap();
            config(&path, &mut findings).map(|config| space(room.path(), config.limits.free_disk).level)
        };
        // No disk is so large, and none so full that tests can be built on it.
        assert_eq!(level("[limits]\nfree_disk = \"1000000000GiB\"\n"), Some(Level::Fail));
        assert_ne!(level("[limits]\nfree_disk = \"1B\"\n"), Some(Level::Fail));
        assert_eq!(level("[limits]\nfree_dsk = \"1B\"\n"), None);
        assert_eq!(findings.last().map(|found| (found.name, found.level)), Some(("config", Level::Fail)));
    }

    #[test]
    fn folders_are_looked_at_and_left_as_they_are() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("a/b");
        assert_eq!(data(&path).level, Level::Ok);
        assert_eq!(cache(Some(&path)).level, Level::Ok);
        assert!(!path.exists() && fs::read_dir(room.path()).unwrap().next().is_none());
        fs::create_dir_all(&path).unwrap();
        for (mode, expected) in [(0o700, [Level::Ok, Level::Ok]), (0o755, [Level::Warn, Level::Fail])] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!([data(&path).level, cache(Some(&path)).level], expected, "{mode:o}");
        }
        let file = room.path().join("file");
        fs::write(&file, "x").unwrap();
        assert_eq!([data(&file).level, cache(Some(&file)).level], [Level::Fail, Level::Fail]);
    }
}
