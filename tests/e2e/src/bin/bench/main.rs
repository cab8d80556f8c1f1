//! Figures of a release build, by `cargo xtask bench`: size, start, memory, the way from a file to its score, one run of a
//! scorer beside one process and one container, and a program in a container beside the bare engine.
//!
//! Asserts no time: a noisy machine is no failure. Compare figures of one run with each other, and runs of one machine.
//! Leaves nothing behind: servers, folders and the image are its own and go with it.

mod acks;
mod conn;
mod data;
mod engine;
mod figures;
mod forges;
mod grown;
mod line;
mod runs;
mod start;

use std::env;
use std::process::ExitCode;

const HELP: &str = "\
Usage: cargo xtask bench [--quick] [start|line|engine|runs|acks|forges|grown]...

  --quick   a tenth of the rounds
  start     binary size, time until ready, memory
  line      submit until the score is visible, and many clients at once
  engine    one warm run of a scorer, beside a process and a container
  runs      a program in its container, beside the same container by bare calls of the engine's
  acks      submissions that are acknowledged in a second, beside PostgreSQL; scores while many hand in
  forges    hooks that are answered, and tags that are told of, from the hook to the score
  grown     boards, statuses, quotas, claims, the start and memory, with up to 1 000 000 submissions stored (an hour)
";

/// What to measure, and how often.
struct Plan {
    quick: bool,
    parts: Vec<String>,
}

impl Plan {
    /// `rounds`, or a tenth of them.
    fn rounds(&self, rounds: usize) -> usize {
        if self.quick { rounds.div_ceil(10) } else { rounds }
    }

    fn wants(&self, part: &str) -> bool {
        self.parts.is_empty() || self.parts.iter().any(|wanted| wanted == part)
    }
}

fn main() -> ExitCode {
    let mut plan = Plan { quick: false, parts: Vec::new() };
    for word in env::args().skip(1) {
        match word.as_str() {
            "--quick" => plan.quick = true,
            "start" | "line" | "engine" | "runs" | "acks" | "forges" | "grown" => plan.parts.push(word),
            "-h" | "--help" => {
                print!("{HELP}");
                return ExitCode::SUCCESS;
            }
            other => {
                eprint!("bench: there is no `{other}`\n\n{HELP}");
                return ExitCode::from(2);
            }
        }
    }
    figures::machine();
    if plan.wants("start") {
        start::run(&plan);
    }
    if plan.wants("line") {
        line::run(&plan);
    }
    if plan.wants("engine") {
        engine::run(&plan);
    }
    if plan.wants("runs") {
        runs::run(&plan);
    }
    if plan.wants("acks") {
        acks::run(&plan);
    }
    if plan.wants("forges") {
        forges::run(&plan);
    }
    // It takes long: only when it is asked for.
    if plan.parts.iter().any(|part| part == "grown") {
        grown::run(&plan);
    }
    ExitCode::SUCCESS
}
