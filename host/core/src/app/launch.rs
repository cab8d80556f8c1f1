//! One run of a participant's program to what it left. The same function runs on the server and in `challenge check`, so
//! that they cannot differ.
//!
//! What is put into a container is named here and nowhere else: the program, the task's input data and its ingestion
//! program. Reference data never are.

use super::check::Pending;
use super::folder::Folder;
use super::{App, Refusal, saved_image};
use crate::domain::challenge::{Task, TaskRun, Version};
use crate::domain::id::{ChallengeId, RunId, TaskId};
use crate::domain::printed::Printed;
use crate::domain::program::{
    self, IMAGE_INPUT, IMAGE_OUTPUT, INGESTED, INPUT, OUTPUT, PROGRAM, SCRATCH, SHARED, Starts, When,
};
use crate::domain::queue::Room;
use crate::domain::report::{Problem, Problems};
use crate::domain::run::{BadPlace, ImageName, ImageRef, Place};
use crate::domain::run_record::RunRecord;
use crate::domain::submission::Lane;
use crate::domain::units::Bytes;
use crate::ports::blobs::read_all;
use crate::ports::runner::{Beside, Input, Program, Run, RunFile, RunImage, Runner, RunnerError, Scratch, Work};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// Bytes of scratch for each file or folder in it: as a small file system would have it.
const BYTES_PER_FILE: u64 = 16 << 10;

/// Whether there is room is looked at this often.
const LOOK: Duration = Duration::from_millis(50);

/// What runs participants' programs.
#[derive(Clone)]
pub struct Containers {
    /// What carries runs out.
    pub runner: Arc<dyn Runner>,
    /// The image of tasks that name none.
    pub image: Option<ImageName>,
    /// What all runs together may use.
    pub room: Room,
    /// What tasks and participants may ask for.
    pub allows: Allows,
}

/// What the operator allows beyond what every run gets.
#[derive(Debug, Clone, Default)]
pub struct Allows {
    /// Runtimes of the engine's that tasks may name.
    pub runtimes: Vec<String>,
    /// Networks of the engine's that tasks may name.
    pub networks: Vec<String>,
    /// The memory of each GPU, as far as it is known.
    pub gpus: Vec<Bytes>,
}

impl Allows {
    /// The key of `run` that asks for what is not allowed, and in words what is.
    pub fn refusal(&self, run: &TaskRun) -> Option<(&'static str, String)> {
        let enough = self.gpus.iter().filter(|memory| **memory >= run.gpu_memory).count();
        if enough < run.gpus as usize {
            let (asked, memory) = (run.gpus, run.gpu_memory);
            let message = format!(
                "asks for {asked} GPUs with {memory} each; {enough} here have that, as far as the operator's configuration says"
            );
            return Some(("runner.gpu_memory", message));
        }
        let asked = [
            ("runner.runtime", "runtime", &run.runtime, &self.runtimes),
            ("runner.network", "network", &run.network, &self.networks),
        ];
        asked.into_iter().find_map(|(key, what, asked, allowed)| {
            let asked = asked.as_ref().filter(|asked| !allowed.contains(asked))?;
            let known = if allowed.is_empty() { "none".to_owned() } else { allowed.join(", ") };
            let message = format!(
                "`{asked}` is no {what} that tasks may name here; these are: {known}. The operator allows others with \
                 `{what}s` of [runner]"
            );
            Some((key, message))
        })
    }
}

/// All that running needs of a task.
#[derive(Clone)]
pub struct Launcher {
    /// The challenge.
    pub challenge: ChallengeId,
    /// The image of programs that come without one, if there may be such.
    pub image: Option<ImageRef>,
    /// What programs read.
    pub input: Folder,
    /// The organizer's program that calls them, if there is one.
    pub ingestion: Option<Folder>,
    /// The image of that, if it runs apart.
    pub ingestion_image: Option<ImageRef>,
    /// Limits.
    pub run: TaskRun,
}

/// Where the programs of a run print to.
#[derive(Clone)]
pub struct Prints {
    /// The participant's, or the one that calls it.
    pub program: Arc<Printed>,
    /// An ingestion program that runs apart.
    pub ingestion: Arc<Printed>,
}

/// A run that ended.
pub struct Launched {
    /// How.
    pub record: RunRecord,
    /// What is to be scored; absent when it failed.
    pub left: Option<Pending>,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
    /// What an ingestion program printed that ran apart: both streams, one after the other.
    pub ingestion: Vec<u8>,
    /// Whether the engine started it.
    pub began: bool,
}

/// Why a run was not carried out: not its program's doing.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// Something of the task's is not there now. In words for participants.
    #[error("{0}")]
    Missing(String),
    /// What it needs, others have now, or somebody who does not answer. In words for participants.
    #[error("{0}")]
    Busy(String),
    /// What was handed in was not started, perhaps by its own doing.
    #[error("{0}")]
    NotStarted(String),
    /// We could not do our part.
    #[error(transparent)]
    Runner(#[from] RunnerError),
}

/// Waits for a runner's work, on a thread that may block.
///
/// # Errors
/// The work's.
pub fn wait<T>(work: Work<'_, T>) -> Result<T, RunnerError> {
    pollster::block_on(work)
}

/// Which way `files` take in `task`: a file that says how to start them makes them a program.
///
/// # Errors
/// What is wrong with them, for the participant.
pub fn lane(task: &Task, files: &Folder) -> Result<Lane, Problems> {
    let takes = |lane| task.accepts.contains(&lane);
    let (code, results, image) = (takes(Lane::Code), takes(Lane::Results), takes(Lane::Image));
    let found = program::file(files.tree());
    if image && named_image(files)?.is_some() {
        return Ok(Lane::Image);
    }
    if !code && files.get(RunRecord::METADATA).is_some() {
        // Scorers trust it: where there was no run, there is none.
        let message = if image {
            "has no `image`, and this task takes no programs: write `image: registry/name@sha256:…`, or hand in the file \
             that `docker save` writes"
        } else {
            "is the name of the file that says how to start a program, and this task takes predictions; leave it out"
        };
        let problem = Problem { file: Some(RunRecord::METADATA.to_owned()), line: None, message: message.to_owned() };
        return Err(problem.into());
    }
    if image && found.is_none_or(|_| !code) && (saved_image::is_one(files) || !(code || results)) {
        if !saved_image::is_one(files) {
            let how = saved_image::how_to_save();
            return Err(Problems::one(format!("this task takes images, and these files are none: {how}")));
        }
        return match saved_image::read(files) {
            Ok(_) => Ok(Lane::Image),
            Err(problem) => Err(problem.into()),
        };
    }
    if !code || (found.is_none() && results) {
        return Ok(Lane::Results);
    }
    let Some(name) = found else {
        let how = program::how_to_start(files.tree());
        return Err(Problems::one(format!("this task takes programs, and these files are none: {how}")));
    };
    let apart = task.run.as_ref().is_some_and(|run| run.apart.is_some());
    if task.ingestion.is_some() && !apart {
        // How it is called is the ingestion program's matter.
        return Ok(Lane::Code);
    }
    let starts = if apart { Starts::SubmissionApart } else { Starts::Submission };
    let started = command(files, name, starts, When::TakenIn);
    Ok(started.map(|_| Lane::Code)?)
}

/// The image that a file at the top names, if one does.
///
/// # Errors
/// What is wrong with the file, for the participant.
pub(super) fn named_image(files: &Folder) -> Result<Option<ImageRef>, Problem> {
    let Some(name) = program::file(files.tree()) else { return Ok(None) };
    program::image(name, &text(files, name)?)
}

/// Whether these files are an image, or mean to be.
pub fn is_image(files: &Folder) -> bool {
    saved_image::is_one(files)
}

/// Whether these files are to be run, if a task takes what they are.
pub fn is_program(files: &Folder) -> bool {
    program::file(files.tree()).is_some() || saved_image::is_one(files)
}

/// The command of an ingestion program, which may run `apart` from what is handed in.
///
/// # Errors
/// What is wrong with it, for the organizer.
pub(super) fn ingestion_command(files: &Folder, apart: bool, when: When) -> Result<Vec<String>, Problem> {
    its_command(files, if apart { Starts::IngestionApart } else { Starts::Ingestion }, when)
}

fn its_command(files: &Folder, starts: Starts, when: When) -> Result<Vec<String>, Problem> {
    let name = program::file(files.tree()).unwrap_or(program::FILE);
    command(files, name, starts, when)
}

fn command(files: &Folder, name: &str, starts: Starts, when: When) -> Result<Vec<String>, Problem> {
    program::command(name, &text(files, name)?, starts, when)
}

/// The file that says how to start a program.
fn text(files: &Folder, name: &str) -> Result<Vec<u8>, Problem> {
    let problem = |message: String| Problem { file: Some(name.to_owned()), line: None, message };
    let file = files.get(name).ok_or_else(|| problem("is not there".to_owned()))?;
    if file.about.len > program::MAX_LEN {
        return Err(problem(format!("has {} bytes; {} at most", file.about.len, program::MAX_LEN)));
    }
    read_all(&*file.bytes).map_err(|error| problem(format!("cannot be read: {error}")))
}

impl Launcher {
    /// Where what a run prints is kept.
    pub fn printed(&self) -> Prints {
        let printed = || Arc::new(Printed::new(self.run.limits.log));
        Prints { program: printed(), ingestion: printed() }
    }

    /// Runs what was handed in, which took `lane`, to its end; what it prints goes to `printed` as it comes. `None`: it was
    /// stopped.
    ///
    /// # Errors
    /// We could not do our part.
    pub fn launch(
        &self,
        runner: &dyn Runner,
        id: RunId,
        (lane, files): (Lane, &Folder),
        printed: &Prints,
        stop: &Arc<AtomicBool>,
    ) -> Result<Option<Launched>, LaunchError> {
        let own = lane == Lane::Image;
        let (apart, limits) = (self.run.apart.as_ref(), self.run.limits);
        let handed_in =
            if own { self.its_image(files, &printed.program)? } else { self.in_the_tasks(files, &printed.program)? };
        let (program, beside) = match (apart, &self.ingestion) {
            (Some(apart), Some(ingestion)) => {
                let shared = scratch(SHARED, apart.shared)?;
                (self.beside_it(ingestion, &printed.ingestion)?, Some(Beside { program: handed_in, shared }))
            }
            _ => (handed_in, None),
        };
        let output = place(if own && beside.is_none() { IMAGE_OUTPUT } else { OUTPUT })?;
        let TaskRun { gpus, gpu_memory, pinned, .. } = self.run;
        let (runtime, network) = (self.run.runtime.clone(), self.run.network.clone());
        let (challenge, stop) = (Some(self.challenge.clone()), Arc::clone(stop));
        let run =
            Run { id, challenge, program, beside, output, limits, gpus, gpu_memory, runtime, network, pinned, stop };
        self.launched(wait(runner.run(run))?, own)
    }

    /// An image of the participant's, by its own entry point.
    fn its_image(&self, files: &Folder, printed: &Arc<Printed>) -> Result<Program, RunnerError> {
        // Looked at when it was taken in.
        let image = match named_image(files).map_err(|problem| wrong(problem.message))? {
            Some(named) => RunImage::Named(named),
            None => RunImage::Saved(saved_image::read(files).map_err(|problem| wrong(problem.message))?),
        };
        let inputs = match self.run.apart {
            Some(_) => Vec::new(),
            None => vec![input(IMAGE_INPUT, &self.input)?],
        };
        self.program(image, None, inputs, printed)
    }

    /// A program, in the task's image.
    fn in_the_tasks(&self, files: &Folder, printed: &Arc<Printed>) -> Result<Program, RunnerError> {
        let image = self.image.clone().ok_or_else(|| wrong("the task has no image".to_owned()))?;
        let (command, inputs) = match (&self.run.apart, &self.ingestion) {
            (Some(_), _) => (its_command(files, Starts::SubmissionApart, When::Started), vec![input(PROGRAM, files)?]),
            (None, Some(ingestion)) => (
                ingestion_command(ingestion, false, When::Started),
                vec![input(INPUT, &self.input)?, input(PROGRAM, ingestion)?, input(INGESTED, files)?],
            ),
            (None, None) => (
                its_command(files, Starts::Submission, When::Started),
                vec![input(INPUT, &self.input)?, input(PROGRAM, files)?],
            ),
        };
        // Looked at when it was taken in.
        let command = command.map_err(|problem| wrong(problem.message))?;
        self.program(image.into(), Some(command), inputs, printed)
    }

    /// The ingestion program, in a container of its own.
    fn beside_it(&self, ingestion: &Folder, printed: &Arc<Printed>) -> Result<Program, RunnerError> {
        let image = self.ingestion_image.clone();
        let image = image.ok_or_else(|| wrong("the ingestion program has no image".to_owned()))?;
        let command = ingestion_command(ingestion, true, When::Started).map_err(|problem| wrong(problem.message))?;
        let inputs = vec![input(INPUT, &self.input)?, input(PROGRAM, ingestion)?];
        self.program(image.into(), Some(command), inputs, printed)
    }

    fn program(
        &self,
        image: RunImage,
        command: Option<Vec<String>>,
        inputs: Vec<Input>,
        printed: &Arc<Printed>,
    ) -> Result<Program, RunnerError> {
        // What is printed is there when a limit ends the program; and its home is where it may write.
        let variables = [("HOME", SCRATCH), ("PYTHONUNBUFFERED", "1"), ("PYTHONDONTWRITEBYTECODE", "1")];
        Ok(Program {
            image,
            workdir: command.is_some().then(|| place(PROGRAM)).transpose()?,
            command,
            environment: variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            inputs,
            scratch: vec![scratch(SCRATCH, self.run.scratch)?],
            printed: Arc::clone(printed),
        })
    }
}

fn wrong(what: String) -> RunnerError {
    RunnerError { what, source: None }
}

fn place(place: &str) -> Result<Place, RunnerError> {
    place.parse().map_err(|error: BadPlace| wrong(error.to_string()))
}

fn scratch(at: &str, bytes: Bytes) -> Result<Scratch, RunnerError> {
    let files = u32::try_from(bytes.0 / BYTES_PER_FILE).unwrap_or(u32::MAX);
    Ok(Scratch { at: place(at)?, bytes, files })
}

fn input(at: &str, folder: &Folder) -> Result<Input, RunnerError> {
    let file = |file: &super::folder::File| RunFile { path: file.about.path.clone(), bytes: Arc::clone(&file.bytes) };
    Ok(Input { at: place(at)?, files: folder.files().iter().map(file).collect() })
}

impl App {
    /// Waits until there is room for a run that is no submission's, or the host stops: then the run is stopped as well.
    pub(super) fn borrow_room(&self, room: Room) -> Lent<'_> {
        loop {
            let lent = self.queue().lend(room);
            if lent {
                return Lent { app: self, room: Some(room) };
            }
            if self.stopping.load(Ordering::Relaxed) {
                self.queue().unwant();
                return Lent { app: self, room: None };
            }
            thread::sleep(LOOK);
        }
    }

    /// What runs programs of a published task.
    ///
    /// # Errors
    /// The task takes none; the disk's.
    pub(super) fn launcher(&self, version: &Version, task: &TaskId) -> Result<Arc<Launcher>, Refusal> {
        let launchers = || self.launchers.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let key = (version.challenge.id.clone(), version.version, task.clone());
        if let Some(launcher) = launchers().get(&key) {
            return Ok(Arc::clone(launcher));
        }
        let found = version.challenge.task(task).and_then(|task| Some((task, task.run.clone()?)));
        let Some((found, run)) = found else { return Err(Refusal::Unknown("task that takes programs")) };
        let files = self.folder(&version.files)?;
        let input = found.input.as_ref().map_or_else(Folder::default, |path| files.at(path));
        let ingestion = found.ingestion.as_ref().map(|path| files.at(path));
        let (image, ingestion_image) = (version.images.get(task).cloned(), version.ingestion_images.get(task).cloned());
        let launcher = Arc::new(Launcher {
            challenge: version.challenge.id.clone(),
            image,
            input,
            ingestion,
            ingestion_image,
            run,
        });
        let mut launchers = launchers();
        // As with graders: whatever is here is right.
        if launchers.len() >= 64 {
            launchers.clear();
        }
        launchers.insert(key, Arc::clone(&launcher));
        Ok(launcher)
    }
}

/// Room for a run that was lent, until this is dropped.
pub struct Lent<'a> {
    app: &'a App,
    room: Option<Room>,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if let Some(room) = self.room {
            self.app.queue().give_back(room);
            self.app.signals.queued();
        }
    }
}

/// In words, if `run` asks for more than there is in `room`.
pub fn too_big(run: &TaskRun, room: Room) -> Option<String> {
    let (asked, most) = room.lacks(run.asks())?;
    Some(format!("asks for {asked}; runs get at most {most} here, by what the machine has and [runner] says"))
}
