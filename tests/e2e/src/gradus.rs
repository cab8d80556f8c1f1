//! The binary, as a person would run it.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("tests/e2e is two folders below the root")
        .to_owned()
}

/// A bundled example.
pub fn example(name: &str) -> PathBuf {
    root().join("examples").join(name)
}

/// The binary of this tree, built once if it is not up to date, so that no test runs against an old one.
pub fn gradus() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let here = env::current_exe().expect("a test knows where it is");
        // target/<profile>/deps/<test>, or target/<profile>/<program>
        let profile = here.ancestors().find(|folder| folder.ends_with("debug") || folder.ends_with("release"));
        let profile = profile.expect("tests lie below target/debug or target/release");
        let mut build = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        if profile.ends_with("release") {
            // To be measured: as it is for users.
            build.args(["build", "--quiet", "--release", "--package", "gradus", "--target-dir"]);
        } else {
            // As a part of the whole workspace's tests, so that nothing is built twice under other features.
            build.args(["test", "--quiet", "--workspace", "--no-run", "--test", "binary", "--target-dir"]);
        }
        build.arg(profile.parent().expect("a profile's folder lies in target")).current_dir(root());
        // What cargo told this test of its own package would have build scripts that look at it run anew, each time.
        for (name, _) in env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
                build.env_remove(&*name);
            }
        }
        let built = build.status().expect("cargo can be started");
        assert!(built.success(), "the binary could not be built");
        profile.join("gradus")
    })
}

/// Says that a test does not run here, and why. Where `CI` is `true` nothing may be missing: there it fails.
///
/// # Panics
/// In CI.
pub fn skip(why: &str) {
    assert!(env::var_os("CI").is_none_or(|ci| ci != "true"), "a test would be skipped: {why}");
    eprintln!("skipped: {why}");
}

/// What a command left.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code; -1 if a signal ended it.
    pub code: i32,
    /// What it printed.
    pub out: String,
    /// What it printed besides.
    pub err: String,
}

/// Runs the binary with `words`, with none of this process's own settings for it.
pub fn run<S: AsRef<OsStr>>(words: &[S], environment: &[(&str, &str)]) -> Ran {
    let mut command = Command::new(gradus());
    command.args(words).stdin(Stdio::null());
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("GRADUS_") {
            command.env_remove(name);
        }
    }
    command.envs(environment.iter().copied());
    let output = command.output().expect("the binary can be started");
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Waits until something holds.
///
/// # Panics
/// It does not hold after half a minute.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
