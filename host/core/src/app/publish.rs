//! Publishing: a quick look at the folder at once, its solutions afterwards; the version goes live when they hold.

use super::check::Pending;
use super::folder::Folder;
use super::grade::Grader;
use super::launch::{Containers, Launcher, ingestion_command, too_big, wait};
use super::solutions::{Bench, TrialError, unknown_splits};
use super::{App, Refusal, Stock};
use crate::domain::audit::{Act, Deed};
use crate::domain::board::{BoardKey, board_key, placements};
use crate::domain::challenge::{Challenge, Column, Expected, ScorerSource, Task, TaskScorer, Version};
use crate::domain::digest::Digest;
use crate::domain::id::{ChallengeId, EntrantId, OperationId, RunId, TaskId};
use crate::domain::limits::MAX_COMPONENT;
use crate::domain::manifest::{self, FILE, Located, MAX_LEN, Manifest, nearest};
use crate::domain::metric::Description;
use crate::domain::operation::{Operation, OperationState};
use crate::domain::program::When;
use crate::domain::report::{Problem, Report};
use crate::domain::run::ImageRef;
use crate::domain::submission::Lane;
use crate::domain::token::Token;
use crate::ports::blobs::{ReadAt, read_all};
use crate::ports::runner::{BadImage, RefusalCode, RunnerError};
use crate::ports::scorer::{NotAdmitted, Scorer, ScorerError};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What a server says of programs that it cannot run, before the reason.
pub const NONE_RUN: &str = "none can be run here";

/// What becomes of tasks that take programs.
#[derive(Clone, Copy)]
pub enum Programs<'a> {
    /// They run here.
    Run(&'a Containers),
    /// They are refused, for this reason.
    Refuse(&'a str),
    /// They run here if they can be, and are left untried if not: what they need may be on a server.
    Try(Result<&'a Containers, &'a str>),
}

/// A challenge folder that was looked over.
pub struct Inspected {
    /// The challenge.
    pub challenge: Challenge,
    /// What grades each task.
    pub graders: BTreeMap<TaskId, Grader>,
    /// What runs programs of each task that takes some, or why they cannot be tried here.
    pub launchers: BTreeMap<TaskId, Result<Launcher, String>>,
}

/// Where the component of a crate lies in the folder that is sent: the command line builds it and puts it there.
pub fn built(folder: &str) -> String {
    format!("{folder}/scorer.wasm")
}

/// Looks a folder over: the text, the files that it names, the scorers and images, and whether columns and solutions fit
/// them. Runs no solution.
///
/// # Errors
/// The outer one is ours; the inner one is all that is wrong with the folder.
pub fn inspect(
    folder: &Folder,
    scorer: &dyn Scorer,
    stock: Stock,
    programs: Programs<'_>,
) -> Result<Result<Inspected, Vec<Located>>, TrialError> {
    let manifest = match text(folder) {
        Ok(text) => match manifest::parse(&text) {
            Ok(manifest) => manifest,
            Err(problems) => return Ok(Err(problems)),
        },
        Err(message) => {
            return Ok(Err(vec![Located { file: FILE.into(), line: 0, key: String::new(), message }]));
        }
    };
    let mut problems = Vec::new();
    let (mut graders, mut launchers) = (BTreeMap::new(), BTreeMap::new());
    for task in &manifest.challenge.tasks {
        if let Some(launcher) = launcher(&manifest, task, folder, programs, &mut problems)? {
            launchers.insert(task.id.clone(), launcher);
        }
        if let Some(grader) = grader(&manifest, task, folder, scorer, stock, &mut problems)? {
            graders.insert(task.id.clone(), grader);
        }
    }
    fit(&manifest, folder, &graders, &mut problems);
    problems.sort_by_key(|problem| problem.line);
    Ok(if problems.is_empty() {
        Ok(Inspected { challenge: manifest.challenge, graders, launchers })
    } else {
        Err(problems)
    })
}

fn text(folder: &Folder) -> Result<String, String> {
    let file = folder.get(FILE).ok_or_else(|| format!("there is no {FILE} at the top of the folder; add one"))?;
    if file.about.len > MAX_LEN {
        return Err(format!("it has {} bytes; {MAX_LEN} at most", file.about.len));
    }
    let bytes = read_all(&*file.bytes).map_err(|error| format!("could not be read: {error}"))?;
    String::from_utf8(bytes).map_err(|_| "is not UTF-8; save it as UTF-8".to_owned())
}

/// What grades `task`, or more problems.
fn grader(
    manifest: &Manifest,
    task: &Task,
    folder: &Folder,
    scorer: &dyn Scorer,
    stock: Stock,
    problems: &mut Vec<Located>,
) -> Result<Option<Grader>, ScorerError> {
    let key = |part: &str| format!("tasks.{}.{part}", task.id);
    let mut files = |part: &str, path: &str| {
        let found = folder.at(path);
        if found.files().is_empty() {
            problems.push(manifest.problem(&key(part), format!("there is no file or folder `{path}`")));
        }
        found
    };
    let reference = files("reference", &task.reference);
    let template = task.template.as_ref().map_or_else(Folder::default, |path| files("template", path));
    if let Some(path) = &task.public {
        files("public", path);
    }
    let source = match component(task, folder, stock) {
        Ok(source) => source,
        Err(message) => {
            problems.push(manifest.problem(&key("scorer"), message));
            return Ok(None);
        }
    };
    if source.len() > MAX_COMPONENT.0 {
        problems.push(manifest.problem(&key("scorer"), format!("the component is larger than {MAX_COMPONENT}")));
        return Ok(None);
    }
    let bytes = read_all(&*source)
        .map_err(|error| ScorerError { what: "its component cannot be read".to_owned(), source: Some(error.into()) })?;
    let description = match scorer.admit(&bytes, &task.params, &task.limits)? {
        Ok(description) => description,
        Err(refused) => {
            // Without parameters in the text, what is wrong with them is wrong with the choice of the scorer.
            let part = match refused {
                NotAdmitted::Params(_) if task.params != "{}" => "params",
                NotAdmitted::Params(_) | NotAdmitted::Component(_) => "scorer",
            };
            problems.push(manifest.problem(&key(part), refused.to_string()));
            return Ok(None);
        }
    };
    let component = Digest::of(&bytes);
    Ok(Some(Grader { task: task.clone(), component, source, description, reference, template }))
}

/// What runs programs of `task`, if it takes any; or more problems.
fn launcher(
    manifest: &Manifest,
    task: &Task,
    folder: &Folder,
    programs: Programs<'_>,
    problems: &mut Vec<Located>,
) -> Result<Option<Result<Launcher, String>>, RunnerError> {
    let Some(run) = &task.run else { return Ok(None) };
    let key = |part: &str| format!("tasks.{}.{part}", task.id);
    let mut input = Folder::default();
    if let Some(path) = &task.input {
        input = folder.at(path);
        if input.files().is_empty() {
            problems.push(manifest.problem(&key("input"), format!("there is no file or folder `{path}`")));
        }
    }
    let ingestion = task.ingestion.as_ref().map(|path| folder.at(path));
    if let Some(Err(Problem { file, line, message })) =
        ingestion.as_ref().map(|files| ingestion_command(files, run.apart.is_some(), When::TakenIn))
    {
        let (folder, file) = (task.ingestion.as_deref().unwrap_or_default(), file.unwrap_or_default());
        let line = line.map_or_else(String::new, |line| format!(":{line}"));
        problems.push(manifest.problem(&key("ingestion"), format!("{folder}/{file}{line} {message}")));
    }
    // What a server lacks is a problem; what is not here may be there.
    let (containers, strict) = match programs {
        Programs::Run(containers) => (containers, true),
        Programs::Try(Ok(containers)) => (containers, false),
        Programs::Try(Err(why)) => return Ok(Some(Err(why.to_owned()))),
        Programs::Refuse(why) => {
            let message = format!("takes programs, and {NONE_RUN}: {why}");
            problems.push(manifest.problem(&key("accepts"), message));
            return Ok(None);
        }
    };
    let Containers { runner, image, room, allows } = containers;
    let challenge = manifest.challenge.id.clone();
    let mut launcher = Launcher { challenge, image: None, input, ingestion, ingestion_image: None, run: run.clone() };
    let usual = run.image.as_ref().or(image.as_ref());
    let code = task.accepts.contains(&Lane::Code);
    let apart = run.apart.as_ref();
    let needed = [
        code.then_some(("runner.image", usual, &mut launcher.image)),
        apart.map(|apart| ("runner.ingestion_image", apart.image.as_ref().or(usual), &mut launcher.ingestion_image)),
    ];
    let mut lacking = too_big(run, *room)
        .map(|message| ("runner", message, true))
        .or_else(|| allows.refusal(run).map(|(part, message)| (part, message, true)));
    for (part, name, place) in needed.into_iter().flatten() {
        if lacking.is_some() {
            break;
        }
        let Some(name) = name else {
            let message = "names no `image`, and there is no usual one here; add runner = { image = \"name:tag\" }";
            lacking = Some(("runner", message.to_owned(), true));
            break;
        };
        match wait(runner.pin(name, Some(&launcher.challenge)))? {
            Ok(image) => *place = Some(image),
            Err(BadImage { code, text }) => {
                let (part, text) = match &run.image {
                    None if part == "runner.image" => {
                        ("runner", format!("names no `image`, and the usual one here: {text}"))
                    }
                    None | Some(_) => (part, text),
                };
                let lacks = matches!(code, RefusalCode::ImageMissing | RefusalCode::ImageNotAllowed);
                lacking = Some((part, text, lacks));
            }
        }
    }
    let Some((part, message, lacks)) = lacking else { return Ok(Some(Ok(launcher))) };
    if lacks && !strict {
        return Ok(Some(Err(format!("task `{}`: {message}", task.id))));
    }
    problems.push(manifest.problem(&key(part), message));
    Ok(None)
}

/// The images that names stood for when they were looked at.
fn pinned(
    launchers: &BTreeMap<TaskId, Result<Launcher, String>>,
    image: impl Fn(&Launcher) -> Option<ImageRef>,
) -> BTreeMap<TaskId, ImageRef> {
    let found = |(task, launcher): (&TaskId, &Result<Launcher, String>)| {
        Some((task.clone(), launcher.as_ref().ok().and_then(&image)?))
    };
    launchers.iter().filter_map(found).collect()
}

/// The bytes of a task's component.
fn component(task: &Task, folder: &Folder, stock: Stock) -> Result<Arc<dyn ReadAt>, String> {
    let file = |path: &str| folder.get(path).map(|file| Arc::clone(&file.bytes));
    match &task.scorer {
        ScorerSource::Stock(name) => match stock.iter().find(|(known, _)| known == name) {
            Some((_, bytes)) => Ok(Arc::new(bytes.to_vec())),
            None => {
                let known: Vec<_> = stock.iter().map(|(name, _)| *name).collect();
                let near = nearest(name, known.iter().copied()).map(|near| format!(" (did you mean `{near}`?)"));
                let known = known.join(", ");
                Err(format!("there is no stock scorer `{name}`{}; there are: {known}", near.unwrap_or_default()))
            }
        },
        ScorerSource::Component(path) => file(path).ok_or_else(|| format!("there is no file `{path}`")),
        ScorerSource::Crate(path) => file(&built(path)).ok_or_else(|| {
            format!(
                "the crate `{path}` was not built; `gradus challenge check` and `publish` build it and send the bytes"
            )
        }),
    }
}

/// Whether columns and solutions fit what the scorers describe.
fn fit(manifest: &Manifest, folder: &Folder, graders: &BTreeMap<TaskId, Grader>, problems: &mut Vec<Located>) {
    let unknown = |description: &Description, metric: &str| {
        let names: Vec<_> = description.metrics.iter().map(|metric| metric.name.as_str()).collect();
        let near = nearest(metric, names.iter().copied()).map(|near| format!(" (did you mean `{near}`?)"));
        let known = names.join(", ");
        format!("the scorer does not report `{metric}`{}; it reports: {known}", near.unwrap_or_default())
    };
    let challenge = &manifest.challenge;
    for board in &challenge.leaderboards {
        let phase = challenge.phases.iter().find(|phase| board.phases.contains(&phase.id));
        let Some(grader) = phase.and_then(|phase| graders.get(&phase.task)) else { continue };
        let missing = |column: &&Column| grader.description.metric(&column.metric).is_none();
        for column in board.columns.iter().filter(missing) {
            let key = format!("leaderboards.{}.columns", board.id);
            problems.push(manifest.problem(&key, unknown(&grader.description, &column.metric)));
        }
    }
    for solution in &challenge.solutions {
        let key = format!("solutions.{}", solution.path);
        if folder.at(&solution.path).files().is_empty() {
            problems.push(manifest.problem(&key, format!("there is no file or folder `{}`", solution.path)));
        }
        let (Expected::Scores(scores), Some(grader)) = (&solution.expected, graders.get(&solution.task)) else {
            continue;
        };
        for name in scores.keys() {
            let metric = name.split_once('@').map_or(name.as_str(), |(metric, _)| metric);
            if grader.description.metric(metric).is_none() {
                problems.push(manifest.problem(&key, unknown(&grader.description, metric)));
            }
        }
    }
}

impl App {
    /// Whether the bearer may publish `id`: asked before a folder is taken in, and again when it is.
    ///
    /// Returns whose it is, if it is somebody's.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`].
    pub fn may_publish(&self, token: &Token, id: &ChallengeId) -> Result<Option<EntrantId>, Refusal> {
        let owner = self.store.challenge(id)?.map(|row| row.owner);
        if token.organizes(id, owner.as_ref()) {
            return Ok(owner);
        }
        Err(Refusal::Forbidden("this token may not publish this challenge; it needs its organizer's"))
    }

    /// Takes a challenge folder in as the next version of `id`. Its solutions are run by [`App::run_operation`].
    ///
    /// # Errors
    /// [`Refusal::Challenge`] with all that is wrong; [`Refusal::Forbidden`].
    pub fn publish(&self, token: &Token, id: &ChallengeId, files: Pending) -> Result<Operation, Refusal> {
        let owner = self.may_publish(token, id)?;
        let containers = self.containers();
        let programs = containers.as_ref().map_or_else(|why| Programs::Refuse(why), Programs::Run);
        let inspected = inspect(files.folder(), &*self.scorer, self.stock, programs)?;
        let Inspected { challenge, graders, launchers } = inspected.map_err(Refusal::Challenge)?;
        if challenge.id != *id {
            let message = format!("is `{}`, but it is published as `{id}`; make them the same", challenge.id);
            let problem = Located { file: FILE.into(), line: 0, key: "id".into(), message };
            return Err(Refusal::Challenge(vec![problem]));
        }
        let mut scorers = BTreeMap::new();
        for (task, grader) in graders {
            let bytes = read_all(&*grader.source).map_err(crate::ports::blobs::BlobError::Write)?;
            let component = self.keep_bytes(&bytes)?;
            let salt = hex::encode(self.clock.secret());
            scorers.insert(task, TaskScorer { component, description: grader.description, salt });
        }
        let kept = files.keep(self)?;
        let now = self.clock.now();
        let version = Version {
            challenge,
            version: 0,
            files: self.keep_body(kept.to_text())?,
            digest: kept.files.digest(),
            scorers,
            images: pinned(&launchers, |launcher| launcher.image.clone()),
            ingestion_images: pinned(&launchers, |launcher| launcher.ingestion_image.clone()),
            published_at: now,
            by: token.subject.clone(),
        };
        let mut operation = Operation {
            id: OperationId(self.clock.id(now)),
            challenge: id.clone(),
            version: 0,
            by: token.subject.clone(),
            started_at: now,
            state: OperationState::Running,
        };
        let deed = Deed::new(token, now, Act::Published { challenge: id.clone(), version: 0 }, None);
        operation.version = self.store.stage_version(&version, &operation, owner.as_ref(), Some(&deed))?;
        Ok(operation)
    }

    /// Runs the solutions of a staged version, and takes it live if they hold. Doing it again does no harm.
    ///
    /// # Errors
    /// Ours: the operation stays, and is run again at the next start.
    pub fn run_operation(&self, operation: &Operation) -> Result<OperationState, Refusal> {
        let unknown = || Refusal::Unknown("operation");
        let Some(version) = self.version(&operation.challenge, operation.version)? else {
            return Err(Refusal::Unknown("version"));
        };
        // As it is now: a restart may have come in between.
        let mut state = self.store.operation(operation.id)?.ok_or_else(unknown)?.state;
        // What a board has that the live version has as well stays as it is.
        let mut filled = BTreeSet::new();
        if state == OperationState::Running {
            state = self.try_solutions(&version)?;
            if state == OperationState::Running {
                return Ok(state);
            }
            if state == OperationState::Live {
                if let Some(live) = self.store.challenge(&operation.challenge)?
                    && let Some(live) = self.version(&operation.challenge, live.live)?
                {
                    filled = live.challenge.leaderboards.iter().map(|board| board_key(&live, board)).collect();
                }
                // Before it goes live, so that its boards are never seen empty.
                if !self.fill_boards(&version, &filled)? {
                    return Ok(OperationState::Running);
                }
            }
            self.store.settle_operation(operation.id, state)?;
            // Read back: somebody else may have published the same new name meanwhile.
            state = self.store.operation(operation.id)?.ok_or_else(unknown)?.state;
        }
        if state == OperationState::Live {
            // And after: what was scored in between went where the version before it said.
            if !self.fill_boards(&version, &filled)? {
                return Ok(state);
            }
            state = OperationState::Done;
            self.store.settle_operation(operation.id, state.clone())?;
        }
        Ok(state)
    }

    /// Ends a publication that failed on our side again and again. Returns how it stands: one that is live stays so.
    ///
    /// # Errors
    /// The store's.
    pub fn give_up(&self, operation: &Operation) -> Result<OperationState, Refusal> {
        let problem = "something failed on our side, again and again; the operator's log says what; publish it again";
        let state = OperationState::Failed { problems: vec![problem.to_owned()] };
        self.store.settle_operation(operation.id, state)?;
        Ok(self.store.operation(operation.id)?.ok_or(Refusal::Unknown("operation"))?.state)
    }

    /// Whether the solutions of `version` hold: live or failed. Running: the host stops.
    fn try_solutions(&self, version: &Version) -> Result<OperationState, Refusal> {
        let folder = self.folder(&version.files)?;
        let (mut graders, mut launchers) = (BTreeMap::new(), BTreeMap::new());
        for task in &version.challenge.tasks {
            let grader = self.grader(version, &task.id)?;
            graders.insert(task.id.clone(), Grader::clone(&grader));
            if task.run.is_some() {
                launchers.insert(task.id.clone(), Ok(Launcher::clone(&*self.launcher(version, &task.id)?)));
            }
        }
        let mut problems = Vec::new();
        let containers = self.containers();
        let bench = Bench {
            server: true,
            scorer: &*self.scorer,
            containers: containers.as_ref().map_err(String::as_str),
            graders: &graders,
            launchers: &launchers,
            folder: &folder,
            machine: &self.machine,
            ids: &|| RunId(self.clock.id(self.clock.now())),
            room: &|room| Some(self.borrow_room(room)),
            stop: &self.stopping,
        };
        let all = bench.try_all(&version.challenge, |tried| {
            problems.extend(tried.differences.iter().map(|what| format!("{}: {what}", tried.path)));
        })?;
        // A server without its engine: it goes on when there is one.
        if all.iter().any(|tried| tried.untried.is_some()) {
            return Ok(OperationState::Running);
        }
        if self.stopping.load(Ordering::Relaxed) {
            return Ok(OperationState::Running);
        }
        problems.extend(unknown_splits(&version.challenge, &all).iter().map(ToString::to_string));
        Ok(if problems.is_empty() { OperationState::Live } else { OperationState::Failed { problems } })
    }

    /// Puts all scores that there are onto the boards of `version`, but for those that are `filled`. Placing an entry twice
    /// is placing it once. `false`: the host stops.
    fn fill_boards(&self, version: &Version, filled: &BTreeSet<BoardKey>) -> Result<bool, Refusal> {
        let challenge = &version.challenge.id;
        if version.challenge.leaderboards.iter().all(|board| filled.contains(&board_key(version, board))) {
            return Ok(true);
        }
        let mut before = None;
        loop {
            if self.stopping.load(Ordering::Relaxed) {
                return Ok(false);
            }
            // Few at a time: the rows go in as one transaction, and others wait to write.
            let page = self.store.submissions(challenge, None, before, 50)?;
            let Some(last) = page.last() else { return Ok(true) };
            before = Some(last.submission.id);
            let mut all = Vec::new();
            for tracked in &page {
                if tracked.job.state != crate::domain::job::State::Scored {
                    continue;
                }
                let Some(body) = self.store.report(tracked.submission.id)? else { continue };
                let report: Report = serde_json::from_slice(&self.body(&body)?)
                    .map_err(|error| Refusal::Stored { what: "a report", source: error.into() })?;
                let new = placements(version, &tracked.submission, &report).into_iter();
                all.extend(new.filter(|placement| !filled.contains(&placement.board)));
            }
            let _changing = self.first_pages.change(&all);
            self.store.place(all)?;
        }
    }
}
