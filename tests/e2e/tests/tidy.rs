//! The architecture's invariants, kept by looking at the code.

use gradus_e2e::root;
use std::path::{Path, PathBuf};

/// All files below `folder` with one of the `endings`, as paths from the root.
fn files(folder: &str, endings: &[&str]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("the folder is there").flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if path.is_dir() && name != "target" && name != ".git" {
                folders.push(path);
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                let text = std::fs::read_to_string(&path).expect("our files are UTF-8");
                let short = path.strip_prefix(root()).map(Path::to_path_buf).unwrap_or(path);
                found.push((short.to_string_lossy().into_owned(), text));
            }
        }
    }
    found.sort();
    found
}

/// Code without comments: what it names, it uses.
fn code(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

fn offenders(folder: &str, word: &str, allowed: &[&str]) -> Vec<String> {
    let uses = |text: &str| {
        let uses = [format!("{word}::"), format!("use {word};")];
        let code = code(text);
        uses.iter().any(|usage| {
            code.match_indices(usage.as_str()).any(|(at, _)| {
                // `my_sled::` is another word.
                !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':')
            })
        })
    };
    let found = files(folder, &[".rs"]).into_iter().filter(|(_, text)| uses(text)).map(|(path, _)| path);
    found.filter(|path| !allowed.iter().any(|place| path.starts_with(place))).collect()
}

#[test]
fn each_engine_is_named_in_its_adapter_only() {
    assert_eq!(offenders("host", "sled", &["host/src/adapters/store_sled"]), [""; 0]);
    assert_eq!(offenders("host", "wasmtime", &["host/src/adapters/scorer_wasm"]), [""; 0]);
    assert_eq!(offenders("host", "wasmtime_wasi", &["host/src/adapters/scorer_wasm"]), [""; 0]);
    assert_eq!(offenders("host", "bollard", &["host/src/adapters/runner_docker"]), [""; 0]);
    assert_eq!(offenders("host", "gix", &["host/src/adapters/forge_"]), [""; 0]);
}

#[test]
fn the_core_is_pure() {
    let manifest = std::fs::read_to_string(root().join("host/core/Cargo.toml")).expect("the core has a manifest");
    for forbidden in ["tokio", "wasmtime", "sled", "axum", "getrandom", "rand", "cap-std", "ureq", "tracing"] {
        assert!(!manifest.lines().any(|line| line.starts_with(&format!("{forbidden}."))), "{forbidden}");
    }
    for (path, text) in files("host/core/src", &[".rs"]) {
        let code = code(&text);
        for forbidden in
            ["Timestamp::now", "SystemTime", "Instant::now", "std::fs", "std::env", "std::net", "std::process"]
        {
            assert!(!code.contains(forbidden), "{path} uses {forbidden}");
        }
    }
}

#[test]
fn arrows_point_inwards() {
    let free = [
        ("host/core/src/domain", "crate::ports"),
        ("host/core/src/domain", "crate::app"),
        ("host/core/src/ports", "crate::app"),
        ("host/src/adapters", "crate::http"),
        ("host/src/adapters", "crate::worker"),
        ("host/src/adapters", "crate::cli"),
        ("host/src/adapters", "crate::config"),
        ("host/src/adapters", "gradus_core::app"),
        ("host/src/client", "gradus_core::app"),
        ("host/src/http", "crate::adapters"),
        ("host/src/worker", "crate::adapters"),
        ("host/src/serve", "crate::adapters"),
        ("host/src/cli", "crate::adapters"),
        ("sdk/src", "gradus_core"),
    ];
    let mut wrong = Vec::new();
    for (place, forbidden) in free {
        let folder = place.rsplit_once('/').map_or(place, |(folder, _)| folder);
        for (path, text) in files(folder, &[".rs"]) {
            if path.starts_with(place) && !path.contains("tests") && code(&text).contains(forbidden) {
                wrong.push(format!("{path} points at {forbidden}"));
            }
        }
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn tokio_stays_where_the_outside_is() {
    let places = [
        "host/src/http",
        "host/src/serve.rs",
        "host/src/live.rs",
        "host/src/wiring.rs",
        "host/src/main.rs",
        "host/src/cli",
        "host/src/adapters/runner_docker",
        "host/src/adapters/scorer_wasm",
    ];
    assert_eq!(offenders("host", "tokio", &places), [""; 0]);
}

#[test]
fn only_the_configuration_reads_the_environment() {
    // Variables are read at the edge; `args`, `current_exe` and temporary folders are no settings.
    // The command line's own variables are clap's, in the one place where each option is declared.
    let reads = |text: &str| ["env::var(", "env::var_os(", "env::vars"].iter().any(|call| code(text).contains(call));
    let allowed = [
        "host/src/config.rs",
        "host/src/cli/environment.rs",
        "host/src/adapters/runner_docker/tests",
        "host/src/adapters/scorer_wasm/tests.rs",
    ];
    let found = files("host/src", &[".rs"]).into_iter().filter(|(_, text)| reads(text)).map(|(path, _)| path);
    let found: Vec<_> = found.filter(|path| !allowed.iter().any(|place| path.starts_with(place))).collect();
    assert_eq!(found, [""; 0]);
}

#[test]
fn every_module_says_what_it_is_for_and_stays_short() {
    for folder in ["host", "sdk", "scorers", "tests", "examples"] {
        for (path, text) in files(folder, &[".rs"]) {
            assert!(text.starts_with("//!") || path.ends_with("build.rs"), "{path} has no `//!`");
            assert!(text.lines().count() <= 600, "{path} is longer than 600 lines");
            assert!(!path.ends_with("mod.rs"), "{path}: use `foo.rs` beside `foo/`");
        }
    }
}

#[test]
fn unsafe_is_in_one_place_with_its_reason() {
    let mut places = Vec::new();
    for (path, text) in files("host", &[".rs"]) {
        let code = code(&text);
        if code.contains("unsafe {") || code.contains("unsafe fn") {
            assert!(text.contains("// SAFETY:"), "{path}");
            places.push(path);
        }
    }
    assert!(places.len() <= 1, "{places:?}");
}

#[test]
fn nothing_is_added_at_the_top() {
    let known = [
        "Cargo.toml",
        "Cargo.lock",
        "LICENSE",
        "README.md",
        "host",
        "scorers",
        "wit",
        "sdk",
        "examples",
        "tests",
        "target",
    ];
    let extra: Vec<PathBuf> = std::fs::read_dir(root())
        .expect("the root is there")
        .flatten()
        .map(|entry| PathBuf::from(entry.file_name()))
        .filter(|name| !name.to_string_lossy().starts_with('.') && !known.iter().any(|known| name == Path::new(known)))
        .collect();
    assert!(extra.is_empty(), "{extra:?}");
}
