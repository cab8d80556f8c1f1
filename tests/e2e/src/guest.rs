//! The misbehaving scorer as a component, and challenges whose scorer it is.

use super::gradus::root;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The component of `tests/guests/misbehaving`, built once for each run of a test.
pub fn misbehaving() -> &'static [u8] {
    static GUEST: OnceLock<Vec<u8>> = OnceLock::new();
    GUEST.get_or_init(|| {
        let here = std::env::current_exe().expect("a test knows where it is");
        let profile = here.ancestors().find(|folder| folder.ends_with("debug") || folder.ends_with("release"));
        let target: PathBuf = profile.expect("tests lie below target/debug or target/release").join("e2e-guests");
        let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .current_dir(root())
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .args(["build", "--quiet", "--locked", "--lib", "--profile", "guest", "--target", "wasm32-wasip2"])
            .args(["--package", "gradus-guest-misbehaving", "--target-dir"])
            .arg(&target)
            .status();
        assert!(status.expect("cargo can be started").success(), "the guest does not build");
        let built = target.join("wasm32-wasip2/guest/gradus_guest_misbehaving.wasm");
        std::fs::read(built).expect("what was built is there")
    })
}

/// A public challenge `id` in `folder`, open now, whose scorer does what `params` says with the reference data `hidden`.
pub fn misbehaving_challenge(folder: &Path, id: &str, params: &str, hidden: &str, visibility: &str) {
    let toml = format!(
        r#"id = "{id}"
title = "As told"
visibility = "{visibility}"
[[phases]]
id = "dev"
starts = 2026-01-01T00:00:00Z
tasks = ["main"]
quota = [{{ limit = 100 }}]
[[tasks]]
id = "main"
accepts = ["results"]
reference = "hidden"
scorer = {{ component = "scorer.wasm" }}
params = {params}
limits = {{ fuel = "200G", memory = "64MiB", wall = "60s", report = "1MiB", log = "64KiB" }}
[[leaderboards]]
id = "main"
phases = ["dev"]
rule = "best"
columns = [{{ metric = "value" }}]
"#
    );
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.join(name), bytes).expect("there is room for a file");
    std::fs::create_dir_all(folder.join("hidden")).expect("there is room for a folder");
    write("challenge.toml", toml.as_bytes());
    write("scorer.wasm", misbehaving());
    write("hidden/truth.txt", hidden.as_bytes());
}
