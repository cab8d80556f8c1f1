//! How the programs of a run end: by themselves, or by us, with the engine's help or without it.

use super::Shared;
use super::engine::trouble;
use super::folder::Folder;
use super::outcome::Came;
use super::run::{Going, Part};
use super::watch::{Verdict, Watch, watch};
use bollard::errors::Error;
use bollard::query_parameters::{KillContainerOptionsBuilder, WaitContainerOptions};
use futures_util::StreamExt as _;
use gradus_core::ports::runner::{Run, RunnerError};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long the engine has to end a container before we do.
const KILL: Duration = Duration::from_millis(700);
/// How long it has to notice that one ended.
const NOTICE: Duration = Duration::from_secs(30);

/// When the program beside fails, the first one has so long to end by itself: it may just be over.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Between two looks at the CPU time of the program beside.
const PERIOD: Duration = Duration::from_millis(50);

/// How a container ended: why we ended it, its exit code, and after how long.
type End = (Option<Verdict>, i64, Duration);

/// Waits for the end of the first program, its own or ours, and ends the one beside it.
pub(super) async fn to_the_end(
    shared: &Arc<Shared>,
    run: &Run,
    gone: &AtomicBool,
    folder: &Folder,
    first: Going<'_>,
    beside: Option<Going<'_>>,
) -> Result<(Came, Option<Came>), RunnerError> {
    let since = Instant::now();
    let Part { name, group, .. } = first.part;
    let mut exit = Box::pin(exit(shared, name));
    let watch = watch(Watch { run, gone, folder, group, since, reserve: shared.settings.reserve.0 });
    let other: Mutex<Option<End>> = Mutex::default();
    let failed = async {
        if let Some(beside) = &beside {
            let end = end_beside(shared, run, beside.part, since).await?;
            *other.lock().unwrap_or_else(PoisonError::into_inner) = Some(end);
            if end.0.is_some() || end.1 != 0 {
                tokio::time::sleep(LAST_WORDS).await;
                return Ok(());
            }
        }
        std::future::pending::<Result<(), RunnerError>>().await
    };
    let (verdict, code, wall) = tokio::select! {
        code = &mut exit => (None, code?, since.elapsed()),
        verdict = watch => {
            let wall = since.elapsed();
            let code = end(shared, name, &mut exit).await?;
            (Some(verdict?), code, wall)
        }
        failed = failed => {
            let wall = since.elapsed();
            let code = end(shared, name, &mut exit).await?;
            failed?;
            (Some(Verdict::Beside), code, wall)
        }
    };
    let came = Came { verdict, code, wall, logs: first.logs.finish().await };
    let Some(Going { part, logs }) = beside else { return Ok((came, None)) };
    let ended = *other.lock().unwrap_or_else(PoisonError::into_inner);
    let (verdict, code, wall) = match ended {
        Some(end) => end,
        None => {
            let mut exit = Box::pin(self::exit(shared, &part.name));
            (Some(Verdict::Beside), end(shared, &part.name, &mut exit).await?, since.elapsed())
        }
    };
    Ok((came, Some(Came { verdict, code, wall, logs: logs.finish().await })))
}

/// Waits for the end of the program beside, its own or at its limit of CPU time. The kernel holds the others.
async fn end_beside(shared: &Arc<Shared>, run: &Run, part: &Part<'_>, since: Instant) -> Result<End, RunnerError> {
    let mut exit = Box::pin(exit(shared, &part.name));
    let used_up = async {
        loop {
            let cpu = part.group.cpu_micros().map_err(trouble("the run's CPU time could not be read"))?;
            if cpu / 1_000 >= run.limits.cpu.0 {
                return Ok::<_, RunnerError>(());
            }
            tokio::time::sleep(PERIOD).await;
        }
    };
    tokio::select! {
        code = &mut exit => Ok((None, code?, since.elapsed())),
        used_up = used_up => {
            let wall = since.elapsed();
            let code = end(shared, &part.name, &mut exit).await?;
            used_up?;
            Ok((Some(Verdict::Cpu), code, wall))
        }
    }
}

/// The exit code, once there is one.
async fn exit(shared: &Shared, name: &str) -> Result<i64, RunnerError> {
    let docker = &shared.engine.docker;
    for _ in 0..1_000 {
        match docker.wait_container(name, None::<WaitContainerOptions>).next().await {
            Some(Ok(answer)) => return Ok(answer.status_code),
            Some(Err(Error::DockerContainerWaitError { code, .. })) => return Ok(code),
            // A long wait that was cut short: the container itself says how it is. An engine that is gone says nothing that
            // can be relied on when it is back: it ends what it finds.
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
    name: &str,
    exit: &mut (impl Future<Output = Result<i64, RunnerError>> + Unpin),
) -> Result<i64, RunnerError> {
    let kill = async {
        let options = KillContainerOptionsBuilder::default().signal("SIGKILL").build();
        // It may have ended by itself meanwhile.
        let _ = shared.engine.docker.kill_container(name, Some(options)).await;
        std::future::pending::<()>().await;
    };
    // Once the exit is known, nothing else is waited for: the engine may be slow to say that it killed.
    tokio::select! {
        code = &mut *exit => return code,
        () = kill => {}
        () = tokio::time::sleep(KILL) => {}
    }
    let (here, group) = (Arc::clone(shared), name.to_owned());
    let killed = tokio::task::spawn_blocking(move || here.groups.kill(&group)).await;
    killed.map_err(trouble("ending the run failed"))?.map_err(trouble("the run's processes could not be ended"))?;
    match tokio::time::timeout(NOTICE, exit).await {
        Ok(code) => code,
        Err(late) => Err(trouble("the engine does not notice that the container ended")(late)),
    }
}
