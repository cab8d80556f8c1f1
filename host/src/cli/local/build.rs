//! Builds a scorer's crate with the cargo of this computer. The server never builds: it is sent the bytes.
//!
//! A published version names its scorer by digest, so the same source, lock file and toolchain make the same bytes on
//! any computer: paths are mapped away, as the build script of the host does it, and no flags of the user's get through.

use anyhow::{Context as _, bail};
use serde::Deserialize;
use std::fs::Permissions;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const TARGET: &str = "wasm32-wasip2";

/// One line of what cargo says, as far as we read it.
#[derive(Deserialize)]
struct Message {
    reason: String,
    manifest_path: Option<PathBuf>,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

/// The component that the crate in `folder` makes. Compiler messages go to standard error.
pub fn component(folder: &Path) -> anyhow::Result<Vec<u8>> {
    let folder = folder.canonicalize().with_context(|| format!("could not open {}", folder.display()))?;
    let manifest = folder.join("Cargo.toml");
    let sysroot = run(Command::new("rustc").args(["--print", "sysroot"]).current_dir(&folder), "rustc")?;
    if !Path::new(sysroot.trim()).join("lib/rustlib").join(TARGET).is_dir() {
        bail!("the scorer's crate needs a target that is not installed; run `rustup target add {TARGET}`");
    }
    let target = folder.join("target");
    let mut cargo = Command::new("cargo");
    cargo
        .args(["build", "--release", "--quiet", "--target", TARGET, "--message-format=json-render-diagnostics"])
        .arg("--manifest-path")
        .arg(&manifest)
        .arg("--target-dir")
        .arg(&target)
        .current_dir(&folder)
        .stderr(Stdio::inherit());
    // Profiles and wrappers of the user's would make other bytes. Flags of theirs are not asked for where these are set.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let wrapper = text.ends_with("RUSTC_WRAPPER") || text.ends_with("RUSTC_WORKSPACE_WRAPPER");
        if text.starts_with("CARGO_PROFILE_") || wrapper || text == "RUSTFLAGS" {
            cargo.env_remove(&name);
        }
    }
    let home = cargo_home()?;
    cargo
        .env("CARGO_ENCODED_RUSTFLAGS", flags(&folder, Path::new(sysroot.trim()), &home, &target)?)
        .env("RUSTC_WRAPPER", wrapper(&target)?)
        .env("GRADUS_FETCHED", home);
    if folder.join("Cargo.lock").is_file() {
        cargo.arg("--locked");
    }
    let said = run(&mut cargo, "cargo").with_context(|| format!("the crate {} was not built", folder.display()))?;
    let messages = said.lines().filter_map(|line| serde_json::from_str::<Message>(line).ok());
    let ours = messages.filter(|message| {
        message.reason == "compiler-artifact" && message.manifest_path.as_deref() == Some(manifest.as_path())
    });
    let mut components: Vec<PathBuf> = ours
        .flat_map(|message| message.filenames)
        .filter(|file| file.extension().is_some_and(|extension| extension == "wasm"))
        .collect();
    components.dedup();
    match components.as_slice() {
        [one] => std::fs::read(one).with_context(|| format!("could not read {}", one.display())),
        [] => bail!("{} makes no component; add `crate-type = [\"cdylib\"]` to its [lib]", manifest.display()),
        _ => bail!("{} makes {} components; a scorer is one", manifest.display(), components.len()),
    }
}

/// Flags that map every path of this computer away: of the last that fits, as rustc has it, so the innermost come last.
fn flags(folder: &Path, sysroot: &Path, home: &Path, target: &Path) -> anyhow::Result<String> {
    let mut maps = vec![(home.to_owned(), "/cargo".to_owned()), (sysroot.to_owned(), "/rust".to_owned())];
    for (name, path) in local(folder)? {
        maps.push((path, format!("/{name}")));
    }
    maps.push((folder.to_owned(), "/scorer".to_owned()));
    maps.push((target.to_owned(), "/target".to_owned()));
    let flag = |(from, to): &(PathBuf, String)| format!("--remap-path-prefix={}={to}", from.display());
    Ok(maps.iter().map(flag).collect::<Vec<_>>().join("\u{1f}"))
}

/// Stands between cargo and rustc. Cargo makes the names of symbols, and with them the order of functions, depend on the
/// place of a crate that lies on this computer; its name and version tell it apart just as well.
const WRAPPER: &str = r#"#!/bin/sh
case $CARGO_MANIFEST_DIR in "$GRADUS_FETCHED"/*) exec "$@" ;; esac
for word do
    shift
    case $word in metadata=*) word="metadata=$CARGO_PKG_NAME-$CARGO_PKG_VERSION" ;; esac
    set -- "$@" "$word"
done
exec "$@"
"#;

/// Writes [`WRAPPER`] to where cargo can run it.
fn wrapper(target: &Path) -> anyhow::Result<PathBuf> {
    let path = target.join("gradus-rustc.sh");
    let failed = || format!("could not write {}", path.display());
    std::fs::create_dir_all(target).with_context(failed)?;
    // Whole or not at all: another build of the same crate may be running it.
    let mut file = tempfile::Builder::new().permissions(Permissions::from_mode(0o755)).tempfile_in(target)?;
    file.write_all(WRAPPER.as_bytes()).with_context(failed)?;
    file.persist(&path).with_context(failed)?;
    Ok(path)
}

/// Where cargo keeps the source of what it fetched.
fn cargo_home() -> anyhow::Result<PathBuf> {
    let set = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let usual = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo"));
    let home = set.or_else(usual).context("neither CARGO_HOME nor HOME is set")?;
    Ok(home.canonicalize().unwrap_or(home))
}

/// One package of those that the crate is made of.
#[derive(Deserialize)]
struct Package {
    name: String,
    source: Option<String>,
    manifest_path: PathBuf,
}

/// The packages that lie on this computer, such as the SDK: their names and folders, by name.
fn local(folder: &Path) -> anyhow::Result<Vec<(String, PathBuf)>> {
    #[derive(Deserialize)]
    struct Metadata {
        packages: Vec<Package>,
    }
    let mut cargo = Command::new("cargo");
    cargo.args(["metadata", "--format-version=1", "--filter-platform", TARGET, "--manifest-path"]);
    cargo.arg(folder.join("Cargo.toml")).current_dir(folder);
    if folder.join("Cargo.lock").is_file() {
        cargo.arg("--locked");
    }
    let failed = || format!("what the crate {} is made of was not found out", folder.display());
    let said = run(&mut cargo, "cargo").with_context(failed)?;
    let metadata: Metadata = serde_json::from_str(&said).with_context(failed)?;
    let local = metadata.packages.into_iter().filter(|package| package.source.is_none());
    let folder_of = |package: Package| Some((package.name, package.manifest_path.parent()?.to_owned()));
    let mut local: Vec<_> = local.filter_map(folder_of).collect();
    local.sort();
    Ok(local)
}

fn run(command: &mut Command, name: &str) -> anyhow::Result<String> {
    let output = match command.stdin(Stdio::null()).output() {
        Ok(output) => output,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            bail!(
                "`{name}` was not found, and a scorer that is a crate has to be built; install Rust from https://rustup.rs"
            )
        }
        Err(error) => return Err(error).with_context(|| format!("could not start {name}")),
    };
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.trim();
        bail!("{name} ended with {}{}{said}", output.status, if said.is_empty() { "; see above" } else { ": " });
    }
    String::from_utf8(output.stdout).with_context(|| format!("{name} said what is not text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A crate that a panic's message, a symbol's name and a dependency beside it tie to where it lies.
    fn copy(room: &Path) -> PathBuf {
        let files = [
            ("beside/Cargo.toml", "[package]\nname = \"beside\"\nversion = \"1.0.0\"\nedition = \"2024\"\n"),
            ("beside/src/lib.rs", "pub fn at(of: &[u8], n: usize) -> u8 { of[n] }\n"),
            (
                "scorer/Cargo.toml",
                "[package]\nname = \"mine\"\nversion = \"1.0.0\"\nedition = \"2024\"\n[lib]\ncrate-type = [\"cdylib\"]\n\
                 [dependencies]\nbeside = { path = \"../beside\" }\n[workspace]\n",
            ),
            (
                "scorer/src/lib.rs",
                "#[unsafe(no_mangle)]\npub extern \"C\" fn pick(n: usize) -> u8 {\n    \
                 assert!(n != 7, \"not {}\", file!());\n    beside::at(&[1, 2, 3], n) + beside::at(&[4, 5], n / 2)\n}\n",
            ),
        ];
        for (path, text) in files {
            let path = room.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        room.join("scorer")
    }

    #[test]
    fn the_bytes_do_not_say_where_they_were_made() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let here = component(&copy(one.path())).unwrap();
        let there = component(&copy(&other.path().join("deeper and with spaces"))).unwrap();
        assert!(here == there, "{} and {} bytes", here.len(), there.len());
        let text = String::from_utf8_lossy(&here);
        assert!(text.contains("/beside/src/lib.rs") && text.contains("pick"));
        assert!(!text.contains(one.path().to_str().unwrap()));
    }

    #[test]
    fn a_lock_file_is_kept_to() {
        let room = tempfile::tempdir().unwrap();
        let folder = copy(room.path());
        std::fs::write(folder.join("Cargo.lock"), "version = 4\n").unwrap();
        let error = format!("{:#}", component(&folder).unwrap_err());
        assert!(error.contains("--locked"), "{error}");
    }
}
