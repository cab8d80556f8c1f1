//! One warm run of a scorer, in this process, beside what a run would cost as a process or as a container of its own.

use super::Plan;
use super::data;
use super::figures::{Times, heading, line, ms, ratio};
use gradus::adapters::scorer_wasm::{Compiler, EngineConfig, WasmScorer};
use gradus::wiring::STOCK;
use gradus_core::app::folder::{File, Folder};
use gradus_core::app::grade::Grader;
use gradus_core::app::publish::{Programs, inspect};
use gradus_core::domain::digest::Digest;
use gradus_core::domain::tree::TreeFile;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

/// Measures and prints.
pub fn run(plan: &Plan) {
    heading("one warm run: stock scorer `classification`, four metrics, no disk");
    let config = EngineConfig { cache: None, compiler: Compiler::InProcess, slots: 2 };
    let scorer = WasmScorer::new(config).expect("the engine starts");
    let mut smallest = None;
    for rows in [10, 1000] {
        let challenge = folder(data::files(rows).into_iter());
        let inspected =
            inspect(&challenge, &scorer, STOCK, Programs::Try(Err("nothing is run"))).expect("the engine runs");
        let inspected = inspected.unwrap_or_else(|problems| panic!("{problems:?}"));
        let grader = inspected.graders.into_values().next().expect("it has a task");
        let predictions = folder([("p.csv", data::predictions(rows, 1))].into_iter());
        line(&format!("{rows} rows, fuel"), fuel(&grader, &scorer, &predictions));
        let times = Times::of(plan.rounds(2000), |_| {
            fuel(&grader, &scorer, &predictions);
        });
        times.print(&format!("{rows} rows"));
        let times_to_check = Times::of(plan.rounds(2000), |_| {
            grader.validate(&scorer, &predictions).expect("the engine runs");
        });
        times_to_check.print(&format!("{rows} rows, format check only"));
        smallest.get_or_insert(times);
    }
    let Some(run) = smallest.map(|times| times.median()) else { return };

    heading("beside it, in the same run");
    let process = Times::of(plan.rounds(500), |_| {
        Command::new("/bin/true").status().expect("/bin/true is there");
    });
    process.print("start a native process (/bin/true)");
    line("  that is so many warm runs on 10 rows", ratio(process.median(), run));
    match Image::make() {
        Ok(image) => {
            let container = Times::of(plan.rounds(50), |_| {
                image.run();
            });
            container.print("start a container (docker run --network none)");
            line("  that is so many warm runs on 10 rows", ratio(container.median(), run));
        }
        Err(why) => line("start a container", format!("not measured: {why}")),
    }
    line("(one warm run on 10 rows, median)", ms(run));
}

/// Grades once; the fuel that it took.
fn fuel(grader: &Grader, scorer: &WasmScorer, predictions: &Folder) -> u64 {
    let graded = grader.grade(scorer, predictions, &Arc::default(), &mut ()).expect("the engine runs");
    let report = graded.expect("nobody stops it").report;
    assert_eq!(report.outcome.word(), "scored", "{report:?}");
    report.cost.fuel
}

fn folder(files: impl Iterator<Item = (&'static str, String)>) -> Folder {
    let file = |(path, text): (&str, String)| {
        let bytes = text.into_bytes();
        let path = path.parse().expect("a path of our own");
        let about = TreeFile { path, len: bytes.len() as u64, digest: Digest::of(&bytes) };
        File { about, bytes: Arc::new(bytes) }
    };
    Folder::new(files.map(file).collect()).expect("paths of our own")
}

/// An image with one static program in it; it goes when this goes.
struct Image(String);

impl Image {
    fn make() -> Result<Self, String> {
        if !quiet(Command::new("docker").arg("version")).is_ok_and(|answers| answers) {
            return Err("no Docker answers here".to_owned());
        }
        let program = busybox().ok_or("it needs a static program: install busybox-static")?;
        let home = tempfile::tempdir().map_err(|error| error.to_string())?;
        std::fs::copy(&program, home.path().join("true")).map_err(|error| error.to_string())?;
        let mut pack = Command::new("tar");
        pack.arg("-C").arg(home.path()).args(["-c", "true"]).stdout(Stdio::piped());
        let mut packing = pack.spawn().map_err(|error| format!("tar: {error}"))?;
        let packed = packing.stdout.take().ok_or("tar has no output")?;
        let name = format!("gradus-bench:{}", std::process::id());
        let mut import = Command::new("docker");
        import.args(["import", "-", &name]).stdin(packed).stdout(Stdio::null()).stderr(Stdio::null());
        let imported = import.status().map_err(|error| format!("docker: {error}"))?;
        packing.wait().map_err(|error| format!("tar: {error}"))?;
        if !imported.success() {
            return Err("docker import failed".to_owned());
        }
        let image = Self(name);
        if image.run() { Ok(image) } else { Err(format!("{} does not run in an empty image", program.display())) }
    }

    fn run(&self) -> bool {
        let words = ["run", "--rm", "--network", "none", &self.0, "/true"];
        quiet(Command::new("docker").args(words)).is_ok_and(|ended_well| ended_well)
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        if !quiet(Command::new("docker").args(["rmi", &self.0])).is_ok_and(|gone| gone) {
            eprintln!("bench: the image {} could not be removed; `docker rmi {}`", self.0, self.0);
        }
    }
}

fn quiet(command: &mut Command) -> std::io::Result<bool> {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    Ok(status.success())
}

/// Called as `true`, busybox does what its name says.
fn busybox() -> Option<PathBuf> {
    let places = ["/bin/busybox", "/usr/bin/busybox"];
    places.iter().map(Path::new).find(|place| place.is_file()).map(Path::to_owned)
}
