//! What tests of participants' programs need: an engine with an image, and a look at what is left of runs.

use super::gradus::root;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// One at a time: two servers on one machine would give runs of theirs the same users.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A container engine.
#[derive(Debug, Clone, Default)]
pub struct Engine {
    /// Its socket; the machine's own unless named.
    socket: Option<PathBuf>,
}

impl Engine {
    /// The one at `socket`.
    pub fn at(socket: &Path) -> Self {
        Self { socket: Some(socket.to_owned()) }
    }

    fn host(&self) -> Option<String> {
        self.socket.as_ref().map(|socket| format!("unix://{}", socket.display()))
    }

    fn docker(&self, words: &[&str]) -> Result<String, String> {
        let mut command = Command::new("docker");
        command.args(words).envs(self.host().map(|host| ("DOCKER_HOST", host)));
        let output = command.output().map_err(|error| format!("docker: {error}"))?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Whether it answers.
    pub fn answers(&self) -> bool {
        self.docker(&["version"]).is_ok()
    }

    /// The id of an image with busybox in it, and with `more` instructions.
    ///
    /// # Errors
    /// What is not here, for who skips the test.
    pub fn image(&self, more: &str) -> Result<String, String> {
        let root_user = Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout.starts_with(b"0\n"));
        if !root_user {
            return Err("programs are run by root only".to_owned());
        }
        let mut build = Command::new("bash");
        build.arg(root().join("tests/images/build.sh")).arg(more).envs(self.host().map(|host| ("DOCKER_HOST", host)));
        let built = build.output().map_err(|error| format!("bash: {error}"))?;
        if !built.status.success() {
            return Err(format!("the test image: {}", String::from_utf8_lossy(&built.stderr)));
        }
        Ok(String::from_utf8_lossy(&built.stdout).trim().to_owned())
    }

    /// Builds the image of a folder with a `Dockerfile`.
    ///
    /// # Panics
    /// It cannot be built.
    pub fn build(&self, name: &str, folder: &Path) {
        self.docker(&["build", "--quiet", "--tag", name, &folder.to_string_lossy()]).expect("it can be built");
    }

    /// Removes an image, whatever it is for.
    ///
    /// # Panics
    /// It cannot be removed.
    pub fn forget(&self, image: &str) {
        self.docker(&["rmi", "--force", image]).expect("the image is there");
    }

    /// Gives an image another name.
    ///
    /// # Panics
    /// It is not there.
    pub fn tag(&self, image: &str, name: &str) {
        self.docker(&["tag", image, name]).expect("the image is there");
    }

    /// Writes an image to a file, as participants do.
    ///
    /// # Panics
    /// It cannot be written.
    pub fn save(&self, image: &str, to: &Path) {
        self.docker(&["save", "--output", &to.to_string_lossy(), image]).expect("the image is there");
    }

    /// Pushes an image to a registry under `name`, as who has the password; what is needed for that lies in `home`. Its
    /// digest there.
    ///
    /// # Panics
    /// It cannot be pushed.
    pub fn push(&self, image: &str, name: &str, (user, password): (&str, &str), home: &Path) -> String {
        let config = home.join("docker").display().to_string();
        let host = name.split('/').next().expect("it begins with one");
        self.docker(&["--config", &config, "login", "--username", user, "--password", password, host])
            .expect("it is ours");
        self.docker(&["tag", image, name]).expect("the image is there");
        let said = self.docker(&["--config", &config, "push", name]).expect("the registry takes it");
        let digest = said.split("digest: ").nth(1).and_then(|rest| rest.split(' ').next());
        digest.expect("the engine tells it").to_owned()
    }

    /// Fetches an image by its digest, as who pushed it before from `home`.
    ///
    /// # Panics
    /// It is not there.
    pub fn pull(&self, name: &str, home: &Path) {
        let config = home.join("docker").display().to_string();
        self.docker(&["--config", &config, "pull", name]).expect("the registry has it");
    }

    /// Images that came from a registry, by whatever name.
    ///
    /// # Panics
    /// The engine does not say.
    pub fn of_registry(&self, host: &str) -> Vec<String> {
        let all = self.docker(&["images", "--digests", "--format", "{{.Repository}} {{.Digest}}"]);
        let all = all.expect("the engine answers");
        all.lines().filter(|line| line.starts_with(host)).map(ToOwned::to_owned).collect()
    }

    /// Removes all images of a registry.
    ///
    /// # Panics
    /// The engine does not say.
    pub fn forget_all(&self, host: &str) {
        let all = self.docker(&["images", "--all", "--no-trunc", "--format", "{{.ID}} {{.Repository}}"]);
        let all = all.expect("the engine answers");
        let here = all.lines().filter_map(|line| line.split_once(' ')).filter(|(_, name)| name.starts_with(host));
        for (id, _) in here {
            drop(self.docker(&["rmi", "--force", id]));
        }
    }

    /// Has the images in a file.
    ///
    /// # Panics
    /// It cannot be read.
    pub fn load(&self, from: &Path) {
        self.docker(&["load", "--input", &from.to_string_lossy()]).expect("it is an image");
    }

    /// All names of images.
    ///
    /// # Panics
    /// The engine does not say.
    pub fn names(&self) -> Vec<String> {
        let all = self.docker(&["images", "--format", "{{.Repository}}:{{.Tag}}"]).expect("the engine answers");
        all.lines().map(ToOwned::to_owned).collect()
    }

    /// Images that came with runs of the server on `data`, once what is removed has had its time to go.
    pub fn images(&self, data: &Path) -> Vec<String> {
        let prefix = format!("gradus-{}:", owner(data));
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            let mut names = self.names();
            names.retain(|name| name.starts_with(&prefix));
            if names.is_empty() || Instant::now() > end {
                return names;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Containers of runs of the server on `data`, whatever their state.
    ///
    /// # Panics
    /// The engine does not say.
    pub fn containers(&self, data: &Path) -> usize {
        let filter = format!("label=gradus.owner={}", owner(data));
        self.docker(&["ps", "-a", "-q", "--filter", &filter]).expect("the engine answers").lines().count()
    }

    /// Waits for what is removed after a result was told, then looks for traces of runs of the server on `data`.
    ///
    /// # Panics
    /// Something is left.
    pub fn assert_nothing_is_left(&self, data: &Path, what: &str) {
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
            left.extend((self.containers(data) > 0).then(|| "a container".to_owned()));
            left
        };
        // What an engine was asked for by a host that died, it may do after the first sweep; the second comes after 10 s.
        let end = Instant::now() + Duration::from_secs(15);
        loop {
            let left = left();
            if left.is_empty() {
                return;
            }
            assert!(Instant::now() < end, "{what}: {left:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Takes down what a killed process left mounted below `folder`, so that it can be removed.
pub fn unmount_all(folder: &Path) {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let below = mounts.lines().filter_map(|line| line.split(' ').nth(1)).filter(|at| Path::new(at).starts_with(folder));
    // The later ones lie on the earlier ones.
    for at in below.collect::<Vec<_>>().into_iter().rev() {
        drop(Command::new("umount").args(["--lazy", at]).status());
    }
}

/// The id that all of a data folder's runs carry.
fn owner(data: &Path) -> String {
    std::fs::read_to_string(data.join("runs/owner")).expect("a server that runs programs has a mark").trim().to_owned()
}
