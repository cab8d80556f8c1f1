//! Build chores, as `cargo xtask <chore>`. Each does its own set-up, and says what is missing when it cannot.
//!
//! Has no dependencies, so that the first word of a fresh clone's user is answered in a second.

mod bench;
mod setup;

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

const HELP: &str = "\
Usage: cargo xtask <chore>

  demo [--keep]   build Gradus and show the main job: a server on a fresh store grades a real example
  test            build everything and run every test
  ci              what a change must pass: format, lints, documentation, licences, every test
  torture [N]     kill the server while all hand in, break its disk, use it for long, kill the host and the container
                  engine in the middle of runs, and run all hostile programs under each engine; N times each
                  [default: 50]: nothing is lost
  machine [hostile]
                  run what runs programs on a Debian of its own, in user mode: cgroup v2, with systemd and Docker as they
                  come, and with Docker without root; hours, as that is slow, or half an hour of hostile programs alone
  bench           measure: a release build, figures and ratios, nothing asserted
";

/// Why a chore ended early: a line for the user.
type Failure = String;

fn main() -> ExitCode {
    let mut words = env::args().skip(1);
    let chore = words.next().unwrap_or_default();
    let rest: Vec<String> = words.collect();
    let done = match chore.as_str() {
        "demo" => demo(&rest),
        "test" => test(),
        "ci" => ci(),
        "torture" => torture(&rest),
        "machine" => machine(&rest),
        "bench" => bench::run(&rest),
        "" | "help" | "-h" | "--help" => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        other => {
            eprint!("xtask: there is no chore `{other}`\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("xtask: {why}");
            ExitCode::FAILURE
        }
    }
}

/// The root of the workspace.
fn root() -> PathBuf {
    // xtask lives two folders below it.
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

/// The cargo that runs this.
fn cargo(words: &[&str]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(words).current_dir(root());
    // What cargo told this program of its own package would have build scripts that look at it run anew, each time that
    // somebody builds by hand in between.
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&*name);
        }
    }
    command
}

/// Runs `command` to its end, with its words on the terminal.
fn run(command: &mut Command) -> Result<(), Failure> {
    eprintln!("xtask: {}", shown(command));
    let status = command.status().map_err(|error| format!("{} cannot be started: {error}", shown(command)))?;
    if status.success() { Ok(()) } else { Err(format!("{} failed ({status})", shown(command))) }
}

fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

fn demo(words: &[String]) -> Result<(), Failure> {
    setup::wasm_target()?;
    setup::python_image(&root());
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    run(cargo(&["run", "--package", "gradus", "--", "demo"]).args(words))
}

fn test() -> Result<(), Failure> {
    setup::wasm_target()?;
    setup::programs();
    setup::python_image(&root());
    run(&mut cargo(&["test", "--workspace"]))?;
    for scorer in own_scorers()? {
        let manifest = scorer.join("Cargo.toml");
        // What is to be copied brings no lock file: whoever copies it makes one.
        let locked = if scorer == template() { None } else { Some("--locked") };
        for words in [&["test"][..], &["check", "--lib", "--target", "wasm32-wasip2"]] {
            let mut command = cargo(words);
            command.args(locked).arg("--manifest-path").arg(&manifest);
            run(command.env("CARGO_TARGET_DIR", target().join("examples")))?;
        }
    }
    Ok(())
}

/// The tests that do a few rounds each time, with many.
fn torture(words: &[String]) -> Result<(), Failure> {
    let rounds = match words {
        [] => 50,
        [rounds] => rounds.parse::<u64>().map_err(|_| format!("torture: `{rounds}` is no number of rounds"))?,
        [_, more @ ..] => {
            return Err(format!("torture: `{}` is too much; it takes a number of rounds", more.join(" ")));
        }
    };
    setup::wasm_target()?;
    setup::programs();
    let tests = ["--test", "fire", "--test", "faults", "--test", "soak", "--test", "killed", "--test", "hostile"];
    let words = [&["test", "--package", "gradus-e2e"][..], &tests, &["--", "--nocapture"]].concat();
    run(cargo(&words).env("GRADUS_ROUNDS", rounds.to_string()))
}

/// The tests of the adapter, and all hostile programs, on another machine.
fn machine(words: &[String]) -> Result<(), Failure> {
    let all = match words {
        [] => true,
        [only] if only == "hostile" => false,
        more => return Err(format!("machine: `{}` is nothing that it knows; `hostile` is", more.join(" "))),
    };
    setup::wasm_target()?;
    setup::machine();
    // The binary, as tests have it built themselves where there is a cargo.
    run(&mut cargo(&["test", "--workspace", "--no-run", "--test", "binary"]))?;
    let hostile = tests(&["--package", "gradus-e2e", "--test", "hostile"])?;
    let mut tests = format!("{hostile} hostile_programs_come --nocapture || failed=1");
    if all {
        let adapter = self::tests(&["--package", "gradus", "--lib", "--all-features"])?;
        tests += &format!("\n{adapter} runner_docker --test-threads 1 --nocapture || failed=1");
    }
    // The second engine takes the place of the first.
    let script = format!(
        "export GRADUS_TEST_SLOW=10 CI=true CARGO=/bin/true\n{tests}\nsystemctl stop docker.socket docker\n\
         ln -sf /run/user/1000/docker.sock /run/docker.sock\n{tests}\nexit ${{failed:-0}}"
    );
    run(Command::new("bash").arg(root().join("tests/machine/run.sh")).arg(script))
}

/// Builds tests, and says where their program is.
fn tests(which: &[&str]) -> Result<String, Failure> {
    let mut command = cargo(&[&["test", "--no-run"], which].concat());
    eprintln!("xtask: {}", shown(&command));
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("cargo cannot be started: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let program = said.lines().find_map(|line| line.trim().strip_prefix("Executable ")?.strip_suffix(')'));
    let program = program.and_then(|line| line.rsplit_once('(')).map(|(_, program)| program.to_owned());
    program.filter(|_| output.status.success()).ok_or_else(|| format!("{} failed:\n{said}", shown(&command)))
}

fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The scorer to begin with.
fn template() -> PathBuf {
    root().join("sdk/template")
}

/// The scorers that examples bring along, and the one to begin with: crates of their own, as an organizer's would be.
fn own_scorers() -> Result<Vec<PathBuf>, Failure> {
    let examples = root().join("examples");
    let entries = std::fs::read_dir(&examples).map_err(|error| format!("{}: {error}", examples.display()))?;
    let mut found: Vec<_> = entries.flatten().map(|entry| entry.path().join("scorer")).collect();
    found.push(template());
    found.retain(|scorer| scorer.join("Cargo.toml").is_file());
    found.sort();
    Ok(found)
}

fn ci() -> Result<(), Failure> {
    setup::wasm_target()?;
    run(&mut cargo(&["fmt", "--all", "--check"]))?;
    for scorer in own_scorers()? {
        run(cargo(&["fmt", "--check", "--manifest-path"]).arg(scorer.join("Cargo.toml")))?;
    }
    run(&mut cargo(&["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"]))?;
    // With private items, as they are for those who work here: links between them are fine.
    let mut doc = cargo(&["doc", "--workspace", "--no-deps", "--document-private-items"]);
    run(doc.env("RUSTDOCFLAGS", "-D warnings -A rustdoc::private-intra-doc-links"))?;
    let denied = setup::deny()?;
    test()?;
    if !denied {
        // At the end, where it is read.
        eprintln!(
            "\nxtask: WARNING: licences, sources and bans of dependencies were NOT checked, as cargo-deny is not there.\n\
             xtask: WARNING: all else passed. `cargo install --locked cargo-deny`, and run this again."
        );
    }
    Ok(())
}
