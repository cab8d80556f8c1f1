//! Builds a scorer's crate with the cargo of this computer. The server never builds: it is sent the bytes.

use anyhow::{Context as _, bail};
use serde::Deserialize;
use std::io::ErrorKind;
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
    let mut cargo = Command::new("cargo");
    cargo
        .args(["build", "--release", "--quiet", "--target", TARGET, "--message-format=json-render-diagnostics"])
        .arg("--manifest-path")
        .arg(&manifest)
        .arg("--target-dir")
        .arg(folder.join("target"))
        .current_dir(&folder)
        .stderr(Stdio::inherit());
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
