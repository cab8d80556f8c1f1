//! The architecture's invariants, kept by looking at the code.

use gradus_e2e::root;
use std::collections::BTreeSet;
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

/// The packages that a manifest's code uses, in whatever way they are written.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let manifest: toml::Table = toml::from_str(manifest).expect("a manifest is TOML");
    let targets = manifest.get("target").and_then(toml::Value::as_table).into_iter().flat_map(toml::Table::values);
    let places = targets.filter_map(toml::Value::as_table).chain([&manifest]);
    let kinds = places.flat_map(|place| ["dependencies", "build-dependencies"].map(|kind| place.get(kind)));
    let all = kinds.flatten().filter_map(toml::Value::as_table).flatten();
    // What is renamed is known by what it is.
    all.map(|(name, about)| about.get("package").and_then(toml::Value::as_str).unwrap_or(name).to_owned()).collect()
}

#[test]
fn dependencies_are_found_however_they_are_written() {
    let manifest = "[dependencies]\na.workspace = true\nb = \"1\"\nc = { version = \"1\" }\nd = { package = \"e\" }\n\
        [dependencies.f]\nversion = \"1\"\n[target.'cfg(unix)'.dependencies]\ng = \"1\"\n\
        [dev-dependencies]\nh = \"1\"\n";
    assert_eq!(dependencies(manifest).into_iter().collect::<String>(), "abcefg");
}

/// The paths that the `use` declarations of `code` name, groups taken apart.
fn uses(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("use ") {
        // `reuse ` is another word.
        if !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            let declared = code[at + 4..].split(';').next().unwrap_or_default();
            let tree: String = declared.chars().filter(|c| !c.is_whitespace()).collect();
            take_apart("", &tree, &mut found);
        }
    }
    found
}

fn take_apart(above: &str, tree: &str, found: &mut Vec<String>) {
    let Some((head, rest)) = tree.split_once('{') else { return found.push(format!("{above}{tree}")) };
    let (mut depth, mut begun) = (0usize, 0);
    let inner = rest.strip_suffix('}').unwrap_or(rest);
    for (at, c) in inner.char_indices().chain([(inner.len(), ',')]) {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                let part = &inner[begun..at];
                begun = (at + 1).min(inner.len());
                if !part.is_empty() {
                    take_apart(&format!("{above}{head}"), part, found);
                }
            }
            _ => {}
        }
    }
}

#[test]
fn groups_of_imports_are_taken_apart() {
    let code = "pub use crate::{a, b::{self, c as d},\n  e::*};\nfn reuse () {}\nuse x::y;";
    assert_eq!(uses(code), ["crate::a", "crate::b::self", "crate::b::casd", "crate::e::*", "x::y"]);
}

fn offenders(folder: &str, word: &str, allowed: &[&str]) -> Vec<String> {
    let names = |text: &str| {
        let names = [format!("{word}::"), format!("use {word};")];
        let code = code(text);
        if uses(&code).iter().any(|path| path == word || path.starts_with(&names[0])) {
            return true;
        }
        names.iter().any(|usage| {
            code.match_indices(usage.as_str()).any(|(at, _)| {
                // `my_sled::` is another word.
                !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':')
            })
        })
    };
    let found = files(folder, &[".rs"]).into_iter().filter(|(_, text)| names(text)).map(|(path, _)| path);
    found.filter(|path| !allowed.iter().any(|place| path.starts_with(place))).collect()
}

#[test]
fn each_engine_is_named_in_its_adapter_only() {
    assert_eq!(offenders("host", "sled", &["host/src/adapters/store_sled"]), [""; 0]);
    assert_eq!(offenders("host", "wasmtime", &["host/src/adapters/scorer_wasm"]), [""; 0]);
    assert_eq!(offenders("host", "wasmtime_wasi", &["host/src/adapters/scorer_wasm"]), [""; 0]);
    assert_eq!(offenders("host", "bollard", &["host/src/adapters/runner_docker"]), [""; 0]);
    assert_eq!(offenders("host", "gix", &["host/src/adapters/forge_git"]), [""; 0]);
}

#[test]
fn the_core_is_pure() {
    let manifest = std::fs::read_to_string(root().join("host/core/Cargo.toml")).expect("the core has a manifest");
    let uses = dependencies(&manifest);
    assert!(uses.contains("serde"), "{uses:?}");
    for forbidden in ["tokio", "wasmtime", "sled", "axum", "getrandom", "rand", "cap-std", "ureq", "tracing"] {
        assert!(!uses.contains(forbidden), "{forbidden}");
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
            let code = code(&text);
            let below = format!("{forbidden}::");
            let imports = || uses(&code).iter().any(|path| path == forbidden || path.starts_with(&below));
            if path.starts_with(place) && !path.contains("tests") && (code.contains(forbidden) || imports()) {
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
        "host/src/sink.rs",
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
