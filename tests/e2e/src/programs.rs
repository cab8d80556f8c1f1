//! What tests of participants' programs need: an image, and a look at what is left of runs.

use super::gradus::root;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One at a time: two servers on one machine would give runs of theirs the same users.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The id of an image with busybox in it.
///
/// # Errors
/// What is not here, for who skips the test.
pub fn image() -> Result<String, String> {
    let root_user = Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout.starts_with(b"0\n"));
    if !root_user {
        return Err("programs are run by root only".to_owned());
    }
    let built = Command::new("bash").arg(root().join("tests/images/build.sh")).output();
    let built = built.map_err(|error| format!("bash: {error}"))?;
    if !built.status.success() {
        return Err(format!("the test image: {}", String::from_utf8_lossy(&built.stderr)));
    }
    Ok(String::from_utf8_lossy(&built.stdout).trim().to_owned())
}

/// The id that all of a data folder's runs carry.
fn owner(data: &Path) -> String {
    std::fs::read_to_string(data.join("runs/owner")).expect("a server that runs programs has a mark").trim().to_owned()
}

/// Containers of runs of the server on `data`, whatever their state.
pub fn containers(data: &Path) -> usize {
    let filter = format!("label=gradus.owner={}", owner(data));
    let listed = Command::new("docker").args(["ps", "-a", "-q", "--filter", &filter]).output();
    let listed = listed.expect("the engine's command line is there");
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    String::from_utf8_lossy(&listed.stdout).lines().count()
}

/// Waits for what is removed after a result was told, then looks for traces of runs of the server on `data`.
///
/// # Panics
/// Something is left.
pub fn assert_nothing_is_left(data: &Path, what: &str) {
    let owner = owner(data);
    let left = || {
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let mut left: Vec<String> =
            mounts.lines().filter(|line| line.contains(&*data.to_string_lossy())).map(ToOwned::to_owned).collect();
        let groups = Command::new("find").args(["/sys/fs/cgroup", "-name", &format!("*{owner}*")]).output();
        let groups = groups.expect("find is there").stdout;
        left.extend(String::from_utf8_lossy(&groups).lines().map(ToOwned::to_owned));
        let folders = std::fs::read_dir(data.join("runs")).into_iter().flatten().flatten();
        left.extend(folders.filter(|entry| entry.path().is_dir()).map(|entry| entry.path().display().to_string()));
        left.extend((containers(data) > 0).then(|| "a container".to_owned()));
        left
    };
    let end = std::time::Instant::now() + std::time::Duration::from_secs(5);
    loop {
        let left = left();
        if left.is_empty() {
            return;
        }
        assert!(std::time::Instant::now() < end, "{what}: {left:?}");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}
