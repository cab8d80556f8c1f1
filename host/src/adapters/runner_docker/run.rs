//! One run from its request to what it left: images, folder, groups, containers, logs, collect, and nothing left.
//!
//! The order at the end matters: the container is gone before anything is read from its output, so that nobody writes
//! there any more; the output is read before its place is unmounted.

use super::Shared;
use super::end::to_the_end;
use super::engine::{status, trouble};
use super::folder::{Folder, Owner};
use super::group::Group;
use super::image::{self, Image};
use super::load;
use super::log::Logs;
use super::named;
use super::outcome::{Came, ended, no_program, not_started, used};
use super::request::{Around, Podman, places as places_for, request};
use super::taken::Taken;
use crate::workspace::outputs::{self, NotTaken};
use bollard::errors::Error;
use bollard::query_parameters::{AttachContainerOptionsBuilder, CreateContainerOptionsBuilder};
use gradus_core::domain::report::LimitKind;
use gradus_core::domain::run::{ImageRef, Place};
use gradus_core::ports::chain;
use gradus_core::ports::runner::{
    Ended, Output, Program, Ran, RanBeside, RefusalCode, Run, RunImage, RunnerError, Used,
};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

/// One of a run's programs, and what is its own.
pub(super) struct Part<'r> {
    pub(super) program: &'r Program,
    /// The name of its container and of its group.
    pub(super) name: String,
    pub(super) image: Image,
    pub(super) group: Arc<Group>,
    /// What its group may use.
    pub(super) memory: u64,
    /// Whether it is the first one, which has the output place.
    pub(super) first: bool,
}

/// A part that goes.
pub(super) struct Going<'p> {
    pub(super) part: &'p Part<'p>,
    pub(super) logs: Logs,
}

pub(super) fn nothing(ended: Ended, image: Option<String>) -> Ran {
    let (stdout, stderr) = (Vec::new(), Vec::new());
    Ran { ended, used: Used::default(), image, stdout, stderr, output: Output::NotTaken, beside: None }
}

/// Nothing was run, as the program beside could not be.
fn nothing_beside(ended: Ended, image: Option<String>) -> Ran {
    let (stdout, stderr) = (Vec::new(), Vec::new());
    let beside = RanBeside { ended, used: Used::default(), image, stdout, stderr };
    Ran { beside: Some(Box::new(beside)), ..nothing(Ended::Stopped, None) }
}

/// Carries `run` out. What is left when this fails, [`Shared::clear`] removes.
pub(super) async fn carry_out(
    shared: &Arc<Shared>,
    run: &Run,
    taken: &Taken,
    gone: &AtomicBool,
) -> Result<Ran, RunnerError> {
    check(run)?;
    let stopped = || run.stop.load(SeqCst) || gone.load(SeqCst);
    if stopped() {
        return Ok(nothing(Ended::Stopped, None));
    }
    let image = match image_of(shared, run, &run.program, gone).await? {
        Ok(image) => image,
        Err(ended) => return Ok(nothing(ended, None)),
    };
    let other = match &run.beside {
        None => None,
        Some(beside) => match image_of(shared, run, &beside.program, gone).await? {
            Ok(image) => Some(image),
            Err(Ended::Stopped) => return Ok(nothing(Ended::Stopped, None)),
            Err(ended) => return Ok(nothing_beside(ended, None)),
        },
    };
    let (folder, first, second) = prepare(shared, run, taken.user, image, other).await?;
    if let Err(refused) = create(shared, run, taken, &folder, &first).await? {
        return Ok(nothing(refused, first.image.id));
    }
    if let Some(second) = &second
        && let Err(refused) = create(shared, run, taken, &folder, second).await?
    {
        return Ok(nothing_beside(refused, second.image.id.clone()));
    }
    if stopped() {
        return Ok(nothing(Ended::Stopped, first.image.id));
    }
    // The first one finds the other there.
    let beside = match &second {
        None => None,
        Some(part) => match begin(shared, run, part).await? {
            Ok(going) => Some(going),
            Err(refused) => return Ok(nothing_beside(refused, part.image.id.clone())),
        },
    };
    let going = match begin(shared, run, &first).await? {
        Ok(going) => going,
        Err(refused) => return Ok(nothing(refused, first.image.id)),
    };
    let (came, other) = to_the_end(shared, run, gone, &folder, going, beside).await?;
    if let Some(refused) = no_program(first.program, &came) {
        return Ok(nothing(refused, first.image.id));
    }
    let used = used(&first.group, &came, &run.limits);
    let beside = second.zip(other).map(|(part, came)| ran_beside(run, part, came));
    // From here on nobody writes to the output.
    shared.remove_containers(run.id, beside.is_some()).await?;
    let filled = folder.used().map_err(trouble("the output place could not be looked at"))?;
    let ended = ended(&run.limits, &came, &used, filled);
    let output = match ended {
        Ended::Exited { .. } | Ended::Signal { .. } => collect(shared, run, folder).await?,
        Ended::Limit { .. } | Ended::Refused { .. } | Ended::Stopped => Output::NotTaken,
    };
    let (stdout, stderr) = came.logs;
    Ok(Ran { ended, used, image: first.image.id, stdout, stderr, output, beside: beside.map(Box::new) })
}

fn ran_beside(run: &Run, part: Part<'_>, came: Came) -> RanBeside {
    let used = used(&part.group, &came, &run.limits);
    let ended = match no_program(part.program, &came) {
        Some(refused) => refused,
        None => ended(&run.limits, &came, &used, (0, 0)),
    };
    let (stdout, stderr) = came.logs;
    RanBeside { ended, used, image: part.image.id, stdout, stderr }
}

/// The image of a program, loaded if it came with the run; or why there is no run.
async fn image_of(
    shared: &Arc<Shared>,
    run: &Run,
    program: &Program,
    gone: &AtomicBool,
) -> Result<Result<Image, Ended>, RunnerError> {
    let loaded = match &program.image {
        RunImage::Known(image) => return known(shared, run, image, program, gone).await,
        RunImage::Saved(saved) => load::load(shared, run, saved, gone).await?,
        RunImage::Named(image) => tokio::select! {
            named = named::named(shared, run, image) => Some(named?),
            () = load::stopped(run, gone) => None,
        },
    };
    let loaded = match loaded {
        Some(Ok(loaded)) => loaded,
        Some(Err(refused)) => return Ok(Err(refused)),
        None => return Ok(Err(Ended::Stopped)),
    };
    let looked = image::look(shared, &loaded.image, None, program.command.is_some()).await?;
    Ok(looked.map(|image| Image { id: Some(loaded.digest), ..image }))
}

/// An image that the engine has, or can fetch while somebody waits.
async fn known(
    shared: &Arc<Shared>,
    run: &Run,
    image: &ImageRef,
    program: &Program,
    gone: &AtomicBool,
) -> Result<Result<Image, Ended>, RunnerError> {
    tokio::select! {
        looked = image::look(shared, image, run.challenge.as_ref(), program.command.is_some()) => looked,
        () = load::stopped(run, gone) => Ok(Err(Ended::Stopped)),
    }
}

/// What a caller of ours must not ask for.
fn check(run: &Run) -> Result<(), RunnerError> {
    let wrong = |what: String| Err(RunnerError { what, source: None });
    let shared = run.beside.as_ref().map(|beside| &beside.shared.at);
    let first: Vec<_> = places(&run.program).chain([&run.output]).chain(shared).collect();
    let beside: Vec<_> = run.beside.iter().flat_map(|beside| places(&beside.program)).chain(shared).collect();
    for places in [first, beside] {
        for (at, place) in places.iter().enumerate() {
            if let Some(other) = places[..at].iter().find(|other| other.meets(place)) {
                return wrong(format!("{place} and {other} are places in each other"));
            }
        }
    }
    let all = || [&run.program].into_iter().chain(run.beside.as_ref().map(|beside| &beside.program));
    let bad = |name: &str| name.is_empty() || name.contains(['=', '\0']);
    let mut variables = all().flat_map(|program| &program.environment);
    if let Some((name, _)) = variables.find(|(name, value)| bad(name) || value.contains('\0')) {
        return wrong(format!("`{name}` is no variable"));
    }
    // They would have one name.
    if all().filter(|program| !matches!(program.image, RunImage::Known(_))).count() > 1 {
        return wrong("one image comes with a run at most".to_owned());
    }
    Ok(())
}

fn places(program: &Program) -> impl Iterator<Item = &Place> {
    program.inputs.iter().map(|input| &input.at).chain(program.scratch.iter().map(|scratch| &scratch.at))
}

/// Inputs, places and groups, on a thread that may block.
pub(super) async fn prepare<'r>(
    shared: &Arc<Shared>,
    run: &'r Run,
    user: u32,
    image: Image,
    other: Option<Image>,
) -> Result<(Folder, Part<'r>, Option<Part<'r>>), RunnerError> {
    let (here, own) = (Arc::clone(shared), run.clone());
    let work = move || {
        let run = own;
        let most = here.settings.output_in_memory.0;
        let programs = [&run.program].into_iter().chain(run.beside.as_ref().map(|beside| &beside.program));
        let files = programs.flat_map(|program| &program.inputs).flat_map(|input| &input.files);
        let inputs: u64 = files.map(|file| file.bytes.len()).sum();
        let free = here.folders.free().map_err(trouble("the disk could not be looked at"))?;
        if free < inputs.saturating_add(here.settings.reserve.0) {
            let what = "the disk is nearly full: there is no room for what the run reads".to_owned();
            return Err(RunnerError { what, source: None });
        }
        let Owner { user: to, group } = here.engine.zero;
        let owner = Owner { user: to.saturating_add(user), group: group.saturating_add(user) };
        let programs = [&run.program].into_iter().chain(run.beside.as_ref().map(|beside| &beside.program));
        let scratch: Vec<_> = programs.filter(|_| here.engine.podman).flat_map(places_for).collect();
        let folder = here.folders.create(&run, owner, &scratch, most);
        let folder = folder.map_err(trouble("the folder of the run could not be made"))?;
        let group = |name: &str, memory: u64| {
            here.groups.create(name, memory).map_err(trouble("the control group of the run could not be made"))
        };
        let first = group(&here.name(run.id), run.limits.memory.0 + folder.in_memory)?;
        let second = match &run.beside {
            Some(_) => Some(group(&here.name_beside(run.id), run.limits.memory.0 + folder.shared_memory)?),
            None => None,
        };
        Ok((folder, first, second))
    };
    let prepared = tokio::task::spawn_blocking(work).await.map_err(trouble("preparing the run failed"))?;
    let (folder, first, second) = prepared?;
    let part = |program, name, image, group, more, first| {
        let memory = run.limits.memory.0 + more;
        Part { program, name, image, group: Arc::new(group), memory, first }
    };
    let second = run.beside.as_ref().zip(other).zip(second).map(|((beside, image), group)| {
        part(&beside.program, shared.name_beside(run.id), image, group, folder.shared_memory, false)
    });
    let first = part(&run.program, shared.name(run.id), image, first, folder.in_memory, true);
    Ok((folder, first, second))
}

pub(super) async fn create(
    shared: &Shared,
    run: &Run,
    taken: &Taken,
    folder: &Folder,
    part: &Part<'_>,
) -> Result<Result<(), Ended>, RunnerError> {
    // The first one's inputs come first.
    let from = if part.first { 0 } else { run.program.inputs.len() };
    let inputs: Vec<_> = (from..from + part.program.inputs.len()).map(|number| folder.input(number)).collect();
    let inputs: Vec<&Path> = inputs.iter().map(AsRef::as_ref).collect();
    let (out, common) = (folder.out(), folder.shared());
    let output = part.first.then_some((&run.output, &*out));
    let both = run.beside.as_ref().map(|beside| (&beside.shared.at, &*common));
    let writable: Vec<_> = output.into_iter().chain(both).collect();
    let common = run.beside.as_ref().map_or(0, |beside| beside.shared.bytes.0);
    let id = run.id.to_string();
    let own = places_for(part.program).len();
    let before = if part.first { 0 } else { places_for(&run.program).len() };
    let scratch: Vec<_> = (before..before + own).map(|number| folder.scratch(number)).collect();
    let seccomp = shared.folders.seccomp();
    let podman = Podman { seccomp: &seccomp, places: &scratch };
    let asked = request(
        part.program,
        &run.limits,
        &Around {
            labels: [(super::OWNER, &shared.folders.owner), (super::RUN, &id)],
            group: &shared.groups.parent(&part.name),
            memory: part.memory,
            uid: taken.user,
            gpus: if part.first == run.beside.is_none() { &taken.gpus } else { &[] },
            runtime: run.runtime.as_deref(),
            network: run.network.as_deref(),
            cpus: taken.cpuset(part.first).as_deref(),
            inputs: &inputs,
            writable: &writable,
            biggest: common.max(if part.first { run.limits.output.0 } else { 0 }),
            image: &part.image.name,
            image_environment: &part.image.environment,
            image_labels: &part.image.labels,
            podman: shared.engine.podman.then_some(podman),
        },
    );
    let options = CreateContainerOptionsBuilder::default().name(&part.name).build();
    match shared.engine.docker.create_container(Some(options), asked).await {
        Ok(_) if matches!(part.program.image, RunImage::Named(_)) => Ok(named::is_plain(shared, &part.name).await),
        Ok(_) => Ok(Ok(())),
        Err(error) if status(&error) == Some(404) => Ok(Err(image::missing(&part.image.name))),
        Err(error) => part.not_started(error).map(Err),
    }
}

impl Part<'_> {
    /// What the engine's refusal means. Of an image that came with its run, anything in it may be why.
    fn not_started(&self, error: Error) -> Result<Ended, RunnerError> {
        let answered = status(&error).is_some();
        match (not_started(error), &self.program.image) {
            (Err(error), RunImage::Saved(_) | RunImage::Named(_)) if answered => {
                tracing::info!(container = self.name, error = %chain(&error), "an image that was handed in does not start");
                Ok(image::refused(RefusalCode::NotStarted, "the container engine did not start the image"))
            }
            (ended, _) => ended,
        }
    }
}

/// Starts a container.
async fn begin<'p>(
    shared: &Arc<Shared>,
    run: &Run,
    part: &'p Part<'p>,
) -> Result<Result<Going<'p>, Ended>, RunnerError> {
    let docker = &shared.engine.docker;
    let options = AttachContainerOptionsBuilder::default().stream(true).stdout(true).stderr(true).build();
    let attached = docker.attach_container(&part.name, Some(options)).await;
    let attached = match attached {
        // Podman makes the container only now.
        Err(error) if shared.engine.podman => return part.not_started(error).map(Err),
        attached => attached.map_err(trouble("the engine did not give the container's streams"))?,
    };
    let logs = Logs::read(attached, Arc::clone(&part.program.printed));
    let started = docker.start_container(&part.name, None).await;
    if shared.engine.podman {
        let (here, name) = (Arc::clone(shared), part.name.clone());
        let moved = tokio::task::spawn_blocking(move || here.groups.move_conmon(&name)).await;
        moved.map_err(trouble("starting the run failed"))?;
    }
    if let Err(error) = started {
        if part.group.oom_kills() > 0 {
            // Before it began: the engine's words for that differ.
            let allowed = run.limits.memory.0;
            return Ok(Err(Ended::Limit { limit: LimitKind::Memory, used: allowed, allowed }));
        }
        return part.not_started(error).map(Err);
    }
    Ok(Ok(Going { part, logs }))
}

/// The output, on a thread that may block.
async fn collect(shared: &Arc<Shared>, run: &Run, folder: Folder) -> Result<Output, RunnerError> {
    let (blobs, limits) = (Arc::clone(&shared.blobs), run.limits);
    let work = move || {
        let dir = folder.open_out().map_err(NotTaken::Read)?;
        outputs::collect(&dir, limits.output, limits.files, &*blobs)
    };
    match tokio::task::spawn_blocking(work).await.map_err(trouble("collecting the output failed"))? {
        Ok(parts) => Ok(Output::Parts(parts)),
        Err(NotTaken::Bad(bad)) => Ok(Output::Bad(bad)),
        Err(error @ (NotTaken::Read(_) | NotTaken::Keep(_) | NotTaken::Changed)) => {
            Err(trouble("the output could not be kept")(error))
        }
    }
}
