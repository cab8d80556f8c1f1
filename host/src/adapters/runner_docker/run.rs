//! One run from its request to its end: folder, group, container, logs, wait, collect, and nothing left.
//!
//! The order at the end matters: the container is gone before anything is read from its output, so that nobody writes
//! there any more; the output is read before its place is unmounted.

use super::Shared;
use super::engine::{status, trouble};
use super::folder::Folder;
use super::group::Group;
use super::image::{self, Image};
use super::load;
use super::log::Logs;
use super::outcome::{Came, ended, no_program, not_started, used};
use super::request::{Around, request};
use super::watch::{Watch, watch};
use crate::workspace::outputs::{self, NotTaken};
use bollard::errors::Error;
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptionsBuilder, KillContainerOptionsBuilder, WaitContainerOptions,
};
use futures_util::StreamExt as _;
use gradus_core::domain::report::LimitKind;
use gradus_core::ports::runner::{Ended, Output, Ran, Run, RunImage, RunnerError, Used};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// How long the engine has to end a container before we do.
const KILL: Duration = Duration::from_millis(700);
/// How long it has to notice that one ended.
const NOTICE: Duration = Duration::from_secs(30);

/// Carries `run` out. What is left when this fails, [`Shared::clear`] removes.
pub(super) async fn carry_out(
    shared: &Arc<Shared>,
    run: &Run,
    user: u32,
    gone: &AtomicBool,
) -> Result<Ran, RunnerError> {
    check(run)?;
    let nothing = |ended, image| Ran {
        ended,
        used: Used::default(),
        image,
        stdout: Vec::new(),
        stderr: Vec::new(),
        output: Output::NotTaken,
    };
    let stopped = || run.stop.load(SeqCst) || gone.load(SeqCst);
    if stopped() {
        return Ok(nothing(Ended::Stopped, None));
    }
    let image = match &run.image {
        RunImage::Known(image) => image.clone(),
        RunImage::Saved(saved) => match load::load(shared, run, saved, gone).await? {
            Some(Ok(image)) => image,
            Some(Err(refused)) => return Ok(nothing(refused, None)),
            None => return Ok(nothing(Ended::Stopped, None)),
        },
    };
    let image = match image::look(&shared.engine, &image, run.command.is_some()).await? {
        Err(refused) => return Ok(nothing(refused, None)),
        Ok(image) => image,
    };
    let (folder, group) = prepare(shared, run, user).await?;
    let group = Arc::new(group);
    if let Err(refused) = create(shared, run, user, &folder, &image).await? {
        return Ok(nothing(refused, image.id));
    }
    if stopped() {
        return Ok(nothing(Ended::Stopped, image.id));
    }
    let came = match start(shared, run, gone, &folder, &group).await? {
        Err(refused) => return Ok(nothing(refused, image.id)),
        Ok(came) => came,
    };
    let used = used(&group, &came);
    // From here on nobody writes to the output.
    shared.remove_container(run.id).await?;
    let filled = folder.used().map_err(trouble("the output place could not be looked at"))?;
    let ended = ended(run, &folder, &came, &used, filled);
    let output = match ended {
        Ended::Exited { .. } | Ended::Signal { .. } => collect(shared, run, folder).await?,
        Ended::Limit { .. } | Ended::Refused { .. } | Ended::Stopped => Output::NotTaken,
    };
    let (stdout, stderr) = came.logs;
    Ok(Ran { ended, used, image: image.id, stdout, stderr, output })
}

/// What a caller of ours must not ask for.
fn check(run: &Run) -> Result<(), RunnerError> {
    let wrong = |what: String| Err(RunnerError { what, source: None });
    let mut places: Vec<_> = run.inputs.iter().map(|input| &input.at).collect();
    places.push(&run.output);
    places.extend(run.scratch.iter().map(|scratch| &scratch.at));
    for (at, place) in places.iter().enumerate() {
        if let Some(other) = places[..at].iter().find(|other| other.meets(place)) {
            return wrong(format!("{place} and {other} are places in each other"));
        }
    }
    let bad = |name: &str| name.is_empty() || name.contains(['=', '\0']);
    match run.environment.iter().find(|(name, value)| bad(name) || value.contains('\0')) {
        Some((name, _)) => wrong(format!("`{name}` is no variable")),
        None => Ok(()),
    }
}

/// Inputs, output place and group, on a thread that may block.
pub(super) async fn prepare(shared: &Arc<Shared>, run: &Run, user: u32) -> Result<(Folder, Group), RunnerError> {
    let (here, run) = (Arc::clone(shared), run.clone());
    let work = move || {
        let most = here.settings.output_in_memory.0;
        let inputs: u64 = run.inputs.iter().flat_map(|input| &input.files).map(|file| file.bytes.len()).sum();
        let free = here.folders.free().map_err(trouble("the disk could not be looked at"))?;
        if free < inputs.saturating_add(here.settings.reserve.0) {
            let what = "the disk is nearly full: there is no room for what the run reads".to_owned();
            return Err(RunnerError { what, source: None });
        }
        let folder = here.folders.create(run.id, &run.inputs, &run.limits, user, most);
        let folder = folder.map_err(trouble("the folder of the run could not be made"))?;
        let group = here.groups.create(&here.name(run.id), run.limits.memory.0 + folder.in_memory);
        Ok((folder, group.map_err(trouble("the control group of the run could not be made"))?))
    };
    tokio::task::spawn_blocking(work).await.map_err(trouble("preparing the run failed"))?
}

pub(super) async fn create(
    shared: &Shared,
    run: &Run,
    user: u32,
    folder: &Folder,
    image: &Image,
) -> Result<Result<(), Ended>, RunnerError> {
    let name = shared.name(run.id);
    let inputs: Vec<_> = (0..run.inputs.len()).map(|number| folder.input(number)).collect();
    let inputs: Vec<&Path> = inputs.iter().map(AsRef::as_ref).collect();
    let id = run.id.to_string();
    let asked = request(
        run,
        &Around {
            labels: [(super::OWNER, &shared.folders.owner), (super::RUN, &id)],
            group: &name,
            memory: run.limits.memory.0 + folder.in_memory,
            uid: user,
            inputs: &inputs,
            out: &folder.out(),
            image: &image.name,
            image_environment: &image.environment,
        },
    );
    let options = CreateContainerOptionsBuilder::default().name(&name).build();
    match shared.engine.docker.create_container(Some(options), asked).await {
        Ok(_) => Ok(Ok(())),
        Err(error) if status(&error) == Some(404) => Ok(Err(image::missing(&image.name))),
        Err(error) => not_started(error).map(Err),
    }
}

/// Starts the container and waits for its end, its own or ours.
async fn start(
    shared: &Arc<Shared>,
    run: &Run,
    gone: &AtomicBool,
    folder: &Folder,
    group: &Arc<Group>,
) -> Result<Result<Came, Ended>, RunnerError> {
    let name = shared.name(run.id);
    let docker = &shared.engine.docker;
    let options = AttachContainerOptionsBuilder::default().stream(true).stdout(true).stderr(true).build();
    let attached = docker.attach_container(&name, Some(options)).await;
    let logs = Logs::read(
        attached.map_err(trouble("the engine did not give the container's streams"))?,
        Arc::clone(&run.printed),
    );
    if let Err(error) = docker.start_container(&name, None).await {
        if group.oom_kills() > 0 {
            // Before it began: the engine's words for that differ.
            let allowed = run.limits.memory.0;
            return Ok(Err(Ended::Limit { limit: LimitKind::Memory, used: allowed, allowed }));
        }
        return not_started(error).map(Err);
    }
    let since = Instant::now();
    let mut exit = Box::pin(exit(shared, &name));
    let watch = watch(Watch { run, gone, folder, group, since, reserve: shared.settings.reserve.0 });
    let (verdict, code) = tokio::select! {
        code = &mut exit => (None, code?),
        verdict = watch => {
            let wall = since.elapsed();
            let code = end(shared, run, &name, &mut exit).await?;
            (Some((verdict?, wall)), code)
        }
    };
    let wall = verdict.as_ref().map_or_else(|| since.elapsed(), |(_, wall)| *wall);
    let logs = logs.finish().await;
    let came = Came { verdict: verdict.map(|(verdict, _)| verdict), code, wall, logs };
    Ok(match no_program(run, &came) {
        Some(refused) => Err(refused),
        None => Ok(came),
    })
}

/// The exit code, once there is one.
async fn exit(shared: &Shared, name: &str) -> Result<i64, RunnerError> {
    let docker = &shared.engine.docker;
    for _ in 0..1_000 {
        match docker.wait_container(name, None::<WaitContainerOptions>).next().await {
            Some(Ok(answer)) => return Ok(answer.status_code),
            Some(Err(Error::DockerContainerWaitError { code, .. })) => return Ok(code),
            // A long wait that was cut short, or an engine that restarted: the container itself says how it is.
            Some(Err(_)) | None => {
                let state = docker.inspect_container(name, None).await;
                let state = state.map_err(trouble("the engine lost the container"))?.state.unwrap_or_default();
                if state.running == Some(false) {
                    return Ok(state.exit_code.unwrap_or_default());
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    Err(RunnerError { what: "the engine does not say when the container ends".to_owned(), source: None })
}

/// Ends all of the container, by the engine or without it.
async fn end(
    shared: &Arc<Shared>,
    run: &Run,
    name: &str,
    exit: &mut (impl Future<Output = Result<i64, RunnerError>> + Unpin),
) -> Result<i64, RunnerError> {
    let kill = async {
        let options = KillContainerOptionsBuilder::default().signal("SIGKILL").build();
        // It may have ended by itself meanwhile.
        let _ = shared.engine.docker.kill_container(name, Some(options)).await;
    };
    let by_engine = async { tokio::join!(kill, &mut *exit).1 };
    if let Ok(code) = tokio::time::timeout(KILL, by_engine).await {
        return code;
    }
    let (here, id) = (Arc::clone(shared), run.id);
    let killed = tokio::task::spawn_blocking(move || here.groups.kill(&here.name(id))).await;
    killed.map_err(trouble("ending the run failed"))?.map_err(trouble("the run's processes could not be ended"))?;
    match tokio::time::timeout(NOTICE, exit).await {
        Ok(code) => code,
        Err(late) => Err(trouble("the engine does not notice that the container ended")(late)),
    }
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
