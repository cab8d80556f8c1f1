//! What a run costs beside the same container driven by bare calls, and how fast outputs are taken. Prints; asserts
//! nothing, as others may use the machine.

use super::support::{DONE, Real, mib};
use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{RemoveContainerOptionsBuilder, WaitContainerOptions};
use futures_util::StreamExt as _;
use gradus_core::ports::runner::{Output, Runner as _};
use gradus_core::testing::runner_contract::{Bench as _, Deed, run};
use std::time::{Duration, Instant};

/// Create, start, wait, remove.
async fn bare(real: &Real) -> Duration {
    let docker = &real.runner.shared.engine.docker;
    let since = Instant::now();
    let host = HostConfig { network_mode: Some("none".to_owned()), init: Some(true), ..HostConfig::default() };
    let asked = ContainerCreateBody {
        image: Some(real.image.to_string()),
        entrypoint: Some(["sh", "-c", "exit 0"].map(ToOwned::to_owned).into()),
        host_config: Some(host),
        ..ContainerCreateBody::default()
    };
    let id = docker.create_container(None, asked).await.unwrap().id;
    docker.start_container(&id, None).await.unwrap();
    docker.wait_container(&id, None::<WaitContainerOptions>).next().await.unwrap().unwrap();
    let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
    docker.remove_container(&id, Some(options)).await.unwrap();
    since.elapsed()
}

fn told(name: &str, times: &mut [Duration]) -> Duration {
    times.sort();
    let median = times[times.len() / 2];
    eprintln!("{name}: median {median:?}, fastest {:?}, slowest {:?}", times[0], times[times.len() - 1]);
    median
}

#[test]
#[ignore = "measures: run it alone"]
fn a_run_beside_bare_calls() {
    let Some(real) = Real::new() else { return };
    let (mut bares, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..21 {
        bares.push(real.runtime.block_on(bare(&real)));
        let since = Instant::now();
        let ran = real.wait(real.runner.run(run(&real, Deed::Exit(0)))).unwrap();
        ours.push(since.elapsed());
        assert_eq!(ran.ended, DONE);
    }
    let (bare, ours) = (told("bare calls", &mut bares), told("a run", &mut ours));
    eprintln!("overhead: {:?}, a ratio of {:.2}", ours.saturating_sub(bare), ours.as_secs_f64() / bare.as_secs_f64());
}

/// The most memory that this process had, in KiB.
fn most_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
#[ignore = "measures: run it alone"]
fn outputs_of_many_files_and_of_one_big_one() {
    let blobs = |data: &std::path::Path| -> std::sync::Arc<dyn gradus_core::ports::blobs::Blobs> {
        std::sync::Arc::new(crate::adapters::blobs_fs::FsBlobs::open(&data.join("blobs")).unwrap())
    };
    let Some(real) = Real::made(|_| {}, blobs) else { return };
    for (script, what) in [
        ("exit 0", "nothing"),
        ("hostile files 10000 /out", "10 000 files"),
        ("head -c 1000000000 /dev/zero | tr '\\0' x > /out/big", "1 GB in a file"),
    ] {
        let (since, before) = (Instant::now(), most_memory());
        let ran = real.sh(script, |run| {
            run.limits.files = 10_000;
            run.limits.output = mib(if what.contains("GB") { 1_000 } else { 8 });
            run.limits.memory = mib(128);
        });
        let Output::Parts(parts) = ran.output else { panic!("{:?}", ran.ended) };
        let (all, program, more) = (since.elapsed(), ran.used.wall.0, most_memory() - before);
        eprintln!("{what}: {all:?}, of which the program had {program} ms; {} parts; {more} KiB more", parts.len());
    }
    for memory in [6, 8, 16] {
        let ran = real.sh("exit 0", |run| run.limits.memory = mib(memory));
        eprintln!("with {memory} MiB of memory: {:?}, {:?}", ran.ended, ran.used);
    }
}
