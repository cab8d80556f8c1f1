//! Builds the stock scorers for `wasm32-wasip2` and makes them constants of the host: a plain `cargo build` is enough.
//!
//! Their bytes are what published challenges name by digest, so they must not depend on the machine: paths are mapped
//! away, and of the environment of the outer build nothing that bears on code gets through.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const TARGET: &str = "wasm32-wasip2";
const PREFIX: &str = "gradus-scorer-";

fn main() -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            println!("cargo::error={problem}");
            ExitCode::FAILURE
        }
    }
}

fn variable(name: &str) -> Result<PathBuf, String> {
    env::var_os(name).map(PathBuf::from).ok_or_else(|| format!("{name} is not set: run this through cargo"))
}

fn build() -> Result<(), String> {
    let out = variable("OUT_DIR")?;
    let root = variable("CARGO_MANIFEST_DIR")?.join("..");
    let root = root.canonicalize().map_err(|error| format!("{}: {error}", root.display()))?;
    println!("cargo::rerun-if-changed=build.rs");
    for path in ["wit", "Cargo.toml", "Cargo.lock", "sdk/src", "sdk/Cargo.toml", "scorers"] {
        println!("cargo::rerun-if-changed={}", root.join(path).display());
    }

    let sysroot = output(Command::new(variable("RUSTC")?).args(["--print", "sysroot"]))?;
    let sysroot = Path::new(sysroot.trim());
    if !sysroot.join("lib/rustlib").join(TARGET).is_dir() {
        return Err(format!("the stock scorers need a target that is not installed: run `rustup target add {TARGET}`"));
    }

    let packages = packages(&root.join("scorers"))?;
    let target = out.join("guests");
    compile(&root, sysroot, &target, &packages)?;

    let mut constants =
        String::from("/// Name and component of each stock scorer.\npub const STOCK: &[(&str, &[u8])] = &[\n");
    for package in &packages {
        let file = target.join(TARGET).join("guest").join(format!("{}.wasm", package.replace('-', "_")));
        let name = package.strip_prefix(PREFIX).unwrap_or(package);
        let _ = writeln!(constants, "    ({name:?}, include_bytes!({:?})),", file.display().to_string());
    }
    constants.push_str("];\n");
    fs::write(out.join("stock.rs"), constants).map_err(|error| format!("writing stock.rs: {error}"))
}

/// The packages in `folder`, sorted: `scorers/x` is the package `gradus-scorer-x`.
fn packages(folder: &Path) -> Result<Vec<String>, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut packages = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.path().join("Cargo.toml").is_file() {
            packages.push(format!("{PREFIX}{}", entry.file_name().display()));
        }
    }
    packages.sort();
    Ok(packages)
}

fn compile(root: &Path, sysroot: &Path, target: &Path, packages: &[String]) -> Result<(), String> {
    let cargo_home = variable("CARGO_HOME").or_else(|_| variable("HOME").map(|home| home.join(".cargo")))?;
    let mut command = Command::new(variable("CARGO")?);
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        // `cargo clippy` puts itself in the place of the compiler; flags of the host are not for guests.
        let ours = ["CARGO", "RUSTC", "RUSTFLAGS", "RUSTDOC"].iter().any(|prefix| text.starts_with(prefix));
        let kept = ["CARGO_HOME", "CARGO_NET_OFFLINE", "CARGO_HTTP_PROXY"].contains(&&*text);
        if ours && !kept || text.starts_with("DEP_") {
            command.env_remove(&name);
        }
    }
    let maps = [(root, "/gradus"), (&cargo_home, "/cargo"), (sysroot, "/rust"), (target, "/target")];
    let flags: Vec<String> =
        maps.iter().map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display())).collect();
    command
        .current_dir(root)
        .args(["build", "--locked", "--quiet", "--lib", "--profile", "guest", "--target", TARGET])
        .args(packages.iter().flat_map(|package| ["--package", package]))
        .arg("--target-dir")
        .arg(target)
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
    output(&mut command).map(drop).map_err(|error| format!("building the stock scorers failed: {error}"))
}

fn output(command: &mut Command) -> Result<String, String> {
    let program = command.get_program().display().to_string();
    let done = command.output().map_err(|error| format!("{program}: {error}"))?;
    if done.status.success() {
        return String::from_utf8(done.stdout).map_err(|error| format!("{program}: {error}"));
    }
    let said = String::from_utf8_lossy(&done.stderr);
    // A directive is one line; the rest of the compiler's words are shown as they are.
    eprintln!("{said}");
    let first = said.lines().find(|line| line.starts_with("error")).unwrap_or("see above");
    Err(format!("{program} ended with {}: {first}", done.status))
}
