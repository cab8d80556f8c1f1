//! `gradus score`: scores a file on this computer, with the same report as a server's, byte for byte.

use super::progress::Progress;
use super::report::Report;
use super::{Context, Done, Json, local, usage};
use crate::workspace::{self, limits::ArchiveLimits};
use anyhow::Context as _;
use clap::Args;
use gradus_core::app::check::Pending;
use gradus_core::app::folder::Folder;
use gradus_core::app::grade::Grader;
use gradus_core::app::launch::{Launched, is_program, lane};
use gradus_core::app::publish::Inspected;
use gradus_core::domain::report::Outcome;
use gradus_core::domain::run_record::RunRecord;
use gradus_core::domain::submission::Lane;
use gradus_core::domain::units::Bytes;
use gradus_core::ports::scorer::Listener;
use serde_json::json;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Score predictions on this computer, without a server.
///
/// Prints the report, byte for byte the one that a server stores for the same files; on a terminal a short table. The
/// format check that a server makes first is not made on its own: the scorer finds the same problems. A program, where the
/// task takes some, is run first, if there is a container engine here.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  gradus score my-challenge predictions.csv
  gradus score my-challenge predictions.zip --task main --json > report.json

Exit codes: 0 scored, 1 not scored, 2 wrong use.")]
pub struct Score {
    /// Folder of the challenge, with its reference data.
    dir: PathBuf,
    /// The predictions or the program: a file, an archive, or a folder.
    file: PathBuf,
    /// The task [default: the only one].
    #[arg(long)]
    task: Option<String>,
    #[command(flatten)]
    json: Json,
}

impl Score {
    pub(super) fn run(self, context: &mut Context) -> anyhow::Result<Done> {
        if !self.file.exists() {
            return Err(usage(format!("there is no file {}", self.file.display())));
        }
        // Archives are taken apart as a server does it; what that needs is gone afterwards.
        let room = tempfile::tempdir().context("could not make a temporary folder")?;
        let handed_in = handed_in(context, &self.file, room.path())?;
        let local = local::load(context, &self.dir, is_program(&handed_in))?;
        let inspected = match local::look(context, &local)? {
            Ok(inspected) => inspected,
            Err(problems) => {
                super::challenge::refuse(&context.out, &self.dir, &problems, self.json)?;
                return Ok(Done::Failed);
            }
        };
        let grader = self.grader(&inspected)?;
        let scored = match lane(&grader.task, &handed_in) {
            Ok(lane @ (Lane::Code | Lane::Git | Lane::Image)) => {
                match self.ran(context, &local, &inspected, grader, (lane, &handed_in))? {
                    Some(left) => left,
                    None => return Ok(Done::Failed),
                }
            }
            Ok(Lane::Results) => (handed_in, None),
            Err(problems) => {
                if self.json.json {
                    let error = "this is neither a program nor predictions that the task takes";
                    context.out.json(&json!({ "error": error, "problems": problems }))?;
                } else {
                    super::report::print_problems(&context.out, &problems)?;
                }
                return Ok(Done::Failed);
            }
        };
        let mut heard = Heard(Progress::steps(&context.out, "scoring"));
        let graded = match &scored {
            (left, Some(record)) => grader.grade_run(&*local.scorer, left, record, &local.stop, &mut heard)?,
            (predictions, None) => grader.grade(&*local.scorer, predictions, &local.stop, &mut heard)?,
        };
        drop(heard);
        let graded = graded.context("it was stopped")?;
        let bytes = graded.report.to_bytes();
        if self.json.json || !context.out.shown {
            context.out.bytes(&bytes)?;
        } else {
            let places = grader.description.metrics.iter().map(|metric| (metric.name.clone(), metric.precision));
            Report::read(&bytes)?.print(&context.out, &places.collect())?;
        }
        let scored = graded.report.outcome == Outcome::Scored;
        if !scored && !graded.log.is_empty() {
            context.out.note("the scorer's output:")?;
            context.out.note(super::output::clean_lines(String::from_utf8_lossy(&graded.log).trim_end()))?;
        }
        Ok(Done::well(scored))
    }

    /// Runs a program to what it leaves. `None`: it failed, and that was told.
    fn ran(
        &self,
        context: &Context,
        local: &local::Local,
        inspected: &Inspected,
        grader: &Grader,
        program: (Lane, &Folder),
    ) -> anyhow::Result<Option<(Folder, Option<RunRecord>)>> {
        let containers =
            local.containers.as_ref().map_err(|why| anyhow::anyhow!("no program can be run here: {why}"))?;
        let launcher = inspected.launchers.get(&grader.task.id).context("the task takes no programs")?;
        let launcher =
            launcher.as_ref().map_err(|why| anyhow::anyhow!("no program of this task can be run here: {why}"))?;
        context.out.note("running the program")?;
        let launched =
            launcher.launch(&*containers.runner, local::run_id(), program, &launcher.printed(), &local.stop)?;
        let Launched { record, left, stdout, stderr, ingestion, began: _ } = launched.context("it was stopped")?;
        for (what, log) in [
            ("the program's output:", &stdout),
            ("the program's error output:", &stderr),
            ("the ingestion program's output:", &ingestion),
        ] {
            if !log.is_empty() {
                context.out.note(what)?;
                context.out.note(super::output::clean_lines(String::from_utf8_lossy(log).trim_end()))?;
            }
        }
        match &record.failed {
            Some(failed) if self.json.json => {
                let outcome = failed.outcome.word();
                context.out.json(&json!({ "outcome": outcome, "error": failed.text, "problems": [] }))?;
            }
            Some(failed) => context.out.line(super::output::clean(&failed.text))?,
            None => {}
        }
        // The files stay open until they are read.
        Ok(left.map(|left| (left.folder().clone(), Some(record))))
    }

    fn grader<'a>(&self, inspected: &'a Inspected) -> anyhow::Result<&'a Grader> {
        let known = || inspected.graders.keys().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let mut all = inspected.graders.iter();
        let found = match &self.task {
            Some(task) => all.find(|(id, _)| id.as_str() == task),
            None if inspected.graders.len() == 1 => all.next(),
            None => return Err(usage(format!("the challenge has several tasks; name one with `--task`: {}", known()))),
        };
        found.map(|(_, grader)| grader).ok_or_else(|| usage(format!("there is no such task; there are: {}", known())))
    }
}

struct Heard(Progress);

impl Listener for Heard {
    fn progress(&mut self, done: u64, total: u64) {
        self.0.set(done, total);
    }
}

/// The files of a submission, as a server takes them out of what it is sent.
fn handed_in(context: &Context, path: &Path, room: &Path) -> anyhow::Result<Folder> {
    // A server may be told to take more, and takes more of an image.
    let submission = ArchiveLimits::submission();
    let limits = ArchiveLimits { bytes: Bytes(2 << 30), file: Bytes(2 << 30), links: true, ..submission };
    if path.is_dir() {
        return local::digested(workspace::folder(&local::open(path)?, &limits)?);
    }
    let failed = || format!("could not read {}", path.display());
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| usage(format!("the name of {} is not text", path.display())))?;
    let blobs = context.host.blobs(room)?;
    let mut upload = blobs.create()?;
    let mut file = std::fs::File::open(path).with_context(failed)?;
    std::io::copy(&mut file, &mut upload).with_context(failed)?;
    upload.flush()?;
    let files = Pending::new(workspace::unpack(name, upload, &*blobs, &limits)?);
    let files = files.map_err(|twice| usage(format!("`{twice}` is there twice in {}", path.display())))?;
    Ok(files.folder().clone())
}
