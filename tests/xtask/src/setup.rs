//! What the chores need and a fresh machine may lack.

use super::{Failure, cargo, run};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

fn answers(program: &str, words: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// The target that scorers are built for.
pub fn wasm_target() -> Result<(), Failure> {
    const TARGET: &str = "wasm32-wasip2";
    let listed = Command::new("rustup").args(["target", "list", "--installed"]).output();
    let Ok(listed) = listed else {
        // Without rustup there may still be a target, as distributions package it; the build says so if not.
        eprintln!("xtask: no rustup here; if the build misses the target {TARGET}, install it as your Rust came");
        return Ok(());
    };
    if String::from_utf8_lossy(&listed.stdout).lines().any(|line| line == TARGET) {
        return Ok(());
    }
    run(Command::new("rustup").args(["target", "add", TARGET]))
        .map_err(|why| format!("the Rust target {TARGET} is missing, and cannot be added: {why}"))
}

/// What tests use of the system. strace shows that no answer precedes its fdatasync; busybox is all that there is in the
/// image that containers are tested with, docker-registry is where
/// some images of these come from, and runsc is gVisor, which some run under. Tests that miss one say so when they skip.
pub fn programs() {
    program("strace", "-V", "strace", "the durability test skips");
    program("busybox", "--help", "busybox-static", "the tests of containers skip");
    program("docker-registry", "--version", "docker-registry", "the test of images from a registry skips");
    program("runsc", "--version", "runsc", "the test of programs under gVisor skips");
    program("podman", "--version", "podman", "the test of programs by Podman skips");
    // Its init.
    program("catatonit", "--version", "catatonit", "the test of programs by Podman skips");
    kept_users();
}

/// What a machine of the tests' own is made of.
pub fn machine() {
    program("debootstrap", "--version", "debootstrap", "the machine cannot be made");
    program("linux.uml", "--version", "user-mode-linux", "the machine cannot be started");
}

/// Users that an engine of a test's own may map those of containers to.
fn kept_users() {
    for path in ["/etc/subuid", "/etc/subgid"] {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        if text.lines().any(|line| line.starts_with("daemon:")) {
            continue;
        }
        let line = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        let added = std::fs::File::options().append(true).open(path);
        let added = added.and_then(|mut file| writeln!(file, "{line}daemon:1000000:65536"));
        if added.is_err() {
            eprintln!("xtask: {path} keeps no users for `daemon`: the test of mapped users skips");
        }
    }
}

/// The image of the example with programs, where there is an engine to have it; what is missing is said, and shown without.
pub fn python_image(root: &Path) {
    if !is_root() || !answers("docker", &["version"]) {
        eprintln!("xtask: no container engine that root may use here: programs in containers are not shown");
        return;
    }
    program("debootstrap", "--version", "debootstrap", "the image with Python cannot be made");
    if !answers("docker", &["image", "inspect", "gradus-example-python:1"]) {
        eprintln!("xtask: the image with Python is made from Debian's packages, which takes minutes");
    }
    let mut build = Command::new("bash");
    if let Err(why) = run(build.arg(root.join("tests/images/python.sh")).stdout(Stdio::null()).stderr(Stdio::null())) {
        eprintln!("xtask: the image with Python was not made, and what needs it is not shown: {why}");
    }
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout.starts_with(b"0\n"))
}

fn program(name: &str, question: &str, package: &str, without: &str) {
    if answers(name, &[question]) {
        return;
    }
    if is_root() && answers("apt-get", &["--version"]) {
        let mut update = Command::new("apt-get");
        let mut install = Command::new("apt-get");
        let installed = run(update.args(["update", "-qq"])).and_then(|()| {
            run(install.args(["install", "-y", "-qq", package]).env("DEBIAN_FRONTEND", "noninteractive"))
        });
        if let Err(why) = installed {
            eprintln!("xtask: {name} is not there, and cannot be installed: {why}");
        }
    } else {
        eprintln!("xtask: {name} is not there: {without}; install {package} to run that too");
    }
}

/// Licences, sources and bans, which need no network. Whether they were checked: a machine may have no cargo-deny, and no
/// network to get it from.
pub fn deny() -> Result<bool, Failure> {
    if !answers("cargo", &["deny", "--version"]) {
        return Ok(false);
    }
    let config = ["deny", "--config", ".cargo/deny.toml", "check", "bans", "licenses", "sources"];
    run(&mut cargo(&config)).map(|()| true)
}
