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

/// Variables of the user's that would bear on the code.
const USERS: [&str; 15] = [
    "RUSTFLAGS",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "CARGO_BUILD_RUSTC_WRAPPER",
    "CARGO_BUILD_RUSTC_WORKSPACE_WRAPPER",
    "CARGO_PROFILE_RELEASE_CODEGEN_UNITS",
    "CARGO_PROFILE_RELEASE_DEBUG",
    "CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS",
    "CARGO_PROFILE_RELEASE_INCREMENTAL",
    "CARGO_PROFILE_RELEASE_LTO",
    "CARGO_PROFILE_RELEASE_OPT_LEVEL",
    "CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS",
    "CARGO_PROFILE_RELEASE_PANIC",
    "CARGO_PROFILE_RELEASE_STRIP",
    "CARGO_INCREMENTAL",
];

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
    for name in USERS {
        cargo.env_remove(name);
    }
    let packages = packages(&folder)?;
    let local: Vec<_> =
        packages.iter().filter(|package| package.source.is_none()).filter_map(Package::folder).collect();
    let local: Vec<_> = local.iter().map(|folder| folder.to_string_lossy()).collect();
    cargo
        .env("CARGO_ENCODED_RUSTFLAGS", flags(&packages, Path::new(sysroot.trim()), &target))
        .env("RUSTC_WRAPPER", wrapper(&target)?)
        .env("GRADUS_LOCAL", format!("\n{}\n", local.join("\n")));
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

/// Flags that map every path of this computer away: rustc takes the last that fits.
fn flags(packages: &[Package], sysroot: &Path, target: &Path) -> String {
    let mut maps = vec![(sysroot, "/rust".to_owned())];
    for package in packages {
        maps.extend(package.folder().map(|folder| (folder, format!("/{}-{}", package.name, package.version))));
    }
    // The innermost last: a crate may lie in another's folder, and what is built does.
    maps.sort_by_key(|(from, _)| from.components().count());
    maps.push((target, "/target".to_owned()));
    let flag = |(from, to): &(&Path, String)| format!("--remap-path-prefix={}={to}", from.display());
    maps.iter().map(flag).collect::<Vec<_>>().join("\u{1f}")
}

/// Stands between cargo and rustc. Cargo makes the names of symbols, and with them the order of functions, depend on the
/// place of a crate that lies on this computer; its name and version tell it apart just as well.
const WRAPPER: &str = r#"#!/bin/sh
case $GRADUS_LOCAL in
*"
$CARGO_MANIFEST_DIR
"*) ;;
*) exec "$@" ;;
esac
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

/// One package of those that the crate is made of.
#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    /// Where it was fetched from; nothing for one that lies on this computer, such as the SDK.
    source: Option<String>,
    manifest_path: PathBuf,
}

impl Package {
    fn folder(&self) -> Option<&Path> {
        self.manifest_path.parent()
    }
}

/// The packages that the crate in `folder` is made of, itself among them.
fn packages(folder: &Path) -> anyhow::Result<Vec<Package>> {
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
    Ok(serde_json::from_str::<Metadata>(&said).with_context(failed)?.packages)
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
        assert!(text.contains("/beside-1.0.0/src/lib.rs") && text.contains("pick"));
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
