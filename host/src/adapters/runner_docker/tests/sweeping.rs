//! What a crash of the host leaves, and what the probe says of this machine.

use super::super::folder::Owner;
use super::super::{DockerRunner, Settings};
use super::support::Real;
use gradus_core::ports::runner::{Level, Run, Runner as _, Swept};
use gradus_core::testing::memory_blobs::MemoryBlobs;
use gradus_core::testing::runner_contract::{Bench as _, Deed, id, run};
use std::path::PathBuf;
use std::sync::Arc;

#[test]
fn what_a_crash_left_is_swept_whatever_it_was() {
    let Some(real) = Real::with(|settings| settings.output_in_memory = gradus_core::domain::units::Bytes(1 << 19))
    else {
        return;
    };
    let shared = Arc::clone(&real.runner.shared);
    let sweep = || real.wait(real.runner.sweep(Vec::new())).unwrap();
    // All of it, with a mounted file and a program that goes on; only a folder; only a group.
    let left = [id(), id(), id()];
    real.leave(left[0]);
    let asked = run(&real, Deed::Exit(0));
    shared.folders.create(&Run { id: left[1], ..asked.clone() }, Owner::default(), &[], 4 << 20).unwrap();
    shared.groups.create(&shared.name(left[2]), 1 << 26).unwrap();
    assert_eq!(sweep(), Swept { containers: 1, rest: 2 });
    real.nothing_is_left();
    assert_eq!(sweep(), Swept::default());
}

#[test]
fn a_host_that_ends_at_any_moment_leaves_nothing_that_is_not_swept() {
    let Some(real) = Real::new() else { return };
    let shared = &real.runner.shared;
    let script = "echo x > /out/x; sleep 0.2";
    for moment in [1, 5, 10, 20, 40, 60, 90, 120, 160, 200, 250, 300, 350, 400] {
        // A runtime that is shut down drops all that it was about, as a crash does.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let mut asked = run(&real, Deed::Exit(0));
        asked.program.command = Some(["sh", "-c", script].map(ToOwned::to_owned).into());
        let (settings, blobs) = (shared.settings.clone(), Arc::new(MemoryBlobs::default()));
        runtime.block_on(async {
            let runner = DockerRunner::open(settings, blobs).await.unwrap();
            let _ = tokio::time::timeout(std::time::Duration::from_millis(moment), runner.run(asked)).await;
        });
        runtime.shutdown_timeout(std::time::Duration::from_secs(5));
        real.wait(real.runner.sweep(Vec::new())).unwrap();
    }
    // What the engine was asked for meanwhile may come after a sweep, as it may after a restart: never a program, as
    // nobody starts it.
    std::thread::sleep(std::time::Duration::from_millis(1_000));
    real.no_process_is_left();
    real.wait(real.runner.sweep(Vec::new())).unwrap();
    real.nothing_is_left();
}

#[test]
fn runs_under_way_and_those_of_others_are_left_alone() {
    let (Some(real), Some(other)) = (Real::new(), Real::new()) else { return };
    let theirs = id();
    other.leave(theirs);
    let mut asked = run(&real, Deed::Sleep);
    asked.limits.wall = gradus_core::domain::units::Millis(2_000);
    let (ran, swept) = real.runtime.block_on(async {
        let sweep = async {
            tokio::time::sleep(std::time::Duration::from_millis(1_000)).await;
            real.runner.sweep(Vec::new()).await
        };
        tokio::join!(real.runner.run(asked), sweep)
    });
    assert_eq!(super::support::limit(&ran.unwrap()).0, gradus_core::domain::report::LimitKind::Wall);
    assert_eq!(swept.unwrap(), Swept::default());
    assert_eq!(other.wait(other.runner.sweep(vec![theirs])).unwrap(), Swept::default());
    assert_eq!(other.wait(other.runner.sweep(Vec::new())).unwrap().containers, 1);
}

#[test]
fn the_id_of_the_data_folder_stays() {
    let Some(real) = Real::new() else { return };
    let settings = real.runner.shared.settings.clone();
    let again = real.runtime.block_on(DockerRunner::open(settings, Arc::new(MemoryBlobs::default()))).unwrap();
    assert_eq!(again.shared.folders.owner, real.runner.shared.folders.owner);
}

#[test]
fn an_engine_that_is_not_there_is_an_error_of_ours() {
    let Some(real) = Real::new() else { return };
    let runs = real.runner.shared.settings.runs.clone();
    let settings = Settings::new(PathBuf::from("/no/such/engine.sock"), runs);
    let failed = real.runtime.block_on(DockerRunner::open(settings, Arc::new(MemoryBlobs::default())));
    assert!(failed.err().unwrap().to_string().contains("is not there; start the engine"));
}

#[test]
fn the_probe_tries_what_counts() {
    let Some(real) = Real::new() else { return };
    let image = real.image.clone();
    let Some(trying) = Real::with(|settings| settings.probe_image = Some(image)) else { return };
    let findings = trying.wait(trying.runner.probe()).unwrap();
    let bad: Vec<_> = findings.iter().filter(|finding| finding.level == Level::Fail).collect();
    assert!(bad.is_empty(), "{bad:?}");
    for check in
        ["seccomp", "filter", "no-new-privileges", "capabilities", "namespaces", "memory-limit", "cgroup-limits"]
    {
        assert!(findings.iter().any(|finding| finding.check == check && finding.level == Level::Ok), "{findings:?}");
    }
    let findings = real.wait(real.runner.probe()).unwrap();
    assert!(findings.iter().any(|finding| finding.check == "tried" && finding.level == Level::Warn));
}
