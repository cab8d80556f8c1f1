//! A server of its own for each test, in a folder of its own, which goes with it.

use super::gradus::{example, gradus, run};
use super::http::Api;
use super::programs::unmount_all;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How to start it.
#[derive(Debug, Default, Clone)]
pub struct Options {
    /// The configuration's text.
    pub config: String,
    /// Put before the binary: `strace -f …`.
    pub under: Vec<String>,
}

/// With `config`, and no limit on how often anybody asks: what is measured is not how long they are told to wait.
pub fn unpaced(config: &str) -> Options {
    let config = format!("{config}[limits]\nrequests = 0\nrequests_of_address = 0\n");
    Options { config, under: Vec::new() }
}

/// A running server.
pub struct Server {
    child: Child,
    /// `http://127.0.0.1:port`
    pub base: String,
    data: PathBuf,
    options: Options,
    // Last: the folder goes when the server has.
    _home: Option<TempDir>,
}

impl Server {
    /// A server on a fresh folder.
    pub fn start() -> Self {
        Self::start_with(Options::default())
    }

    /// A server on a fresh folder.
    pub fn start_with(options: Options) -> Self {
        let home = tempfile::tempdir().expect("there is room for a folder");
        let mut server = Self::start_in(&home.path().join("data"), options);
        server._home = Some(home);
        server
    }

    /// A server on `data`, which stays.
    pub fn start_in(data: &Path, options: Options) -> Self {
        let (child, base) = launch(data, &options);
        Self { child, base, data: data.to_owned(), options, _home: None }
    }

    /// The data folder.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// A number of what the kernel tells of its process, such as `Threads`; kibibytes where it is a size, such as `VmRSS`.
    ///
    /// # Panics
    /// The server has ended, or there is no such number.
    pub fn status(&self, name: &str) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("the server runs");
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let number = line.and_then(|line| line.split_whitespace().next()).and_then(|number| number.parse().ok());
        number.unwrap_or_else(|| panic!("there is no {name}"))
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The API for nobody in particular.
    pub fn api(&self) -> Api {
        Api::new(&self.base, None)
    }

    /// The API for the operator.
    pub fn operator(&self) -> Api {
        let token = std::fs::read_to_string(self.data.join("operator.token")).expect("the first start writes a token");
        Api::new(&self.base, Some(token.trim()))
    }

    /// The API for a participant of that name.
    pub fn participant(&self, name: &str) -> Api {
        let token = self.operator().grant("participant", name, &[]);
        Api::new(&self.base, Some(&token))
    }

    /// Publishes a folder with the command line, as an organizer would.
    pub fn publish(&self, folder: &Path) {
        let token = self.data.join("operator.token");
        let environment =
            [("GRADUS_SERVER", self.base.as_str()), ("GRADUS_TOKEN_FILE", token.to_str().expect("UTF-8"))];
        let ran = run(&["challenge", "publish", "--no-check", folder.to_str().expect("UTF-8")], &environment);
        assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    }

    /// Publishes a bundled example.
    pub fn publish_example(&self, name: &str) {
        self.publish(&example(name));
    }

    /// SIGKILL, as a power cut would.
    pub fn kill(&mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
    }

    /// SIGTERM; returns its exit code.
    pub fn stop(&mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().expect("kill is there");
        assert!(sent.success());
        self.wait()
    }

    /// Waits until it has ended by itself; returns its exit code.
    pub fn wait(&mut self) -> Option<i32> {
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(status) = self.child.try_wait().expect("it can be waited for") {
                return status.code();
            }
            assert!(Instant::now() < until, "it does not stop");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Whether it has ended, and with which exit code.
    ///
    /// # Panics
    /// The system does not say.
    pub fn ended(&mut self) -> Option<Option<i32>> {
        self.child.try_wait().expect("it can be waited for").map(|status| status.code())
    }

    /// All that it has logged.
    ///
    /// # Panics
    /// It has no log.
    pub fn log(&self) -> String {
        let parent = self.data.parent().expect("a data folder lies in a folder");
        std::fs::read_to_string(parent.join("server.log")).expect("it logs")
    }

    /// What [`Server::again`] starts with.
    pub fn configure(&mut self, config: &str) {
        config.clone_into(&mut self.options.config);
    }

    /// Starts again on the same folder, after [`Server::kill`] or [`Server::stop`].
    pub fn again(&mut self) {
        (self.child, self.base) = launch(&self.data, &self.options);
    }
}

fn launch(data: &Path, options: &Options) -> (Child, String) {
    let parent = data.parent().expect("a data folder lies in a folder");
    let config = parent.join("gradus.toml");
    std::fs::write(&config, &options.config).expect("there is room for a file");
    let mut words = options.under.clone();
    words.push(gradus().to_str().expect("UTF-8").to_owned());
    let mut command = Command::new(&words[0]);
    command
        .args(&words[1..])
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(data)
        .arg("--config")
        .arg(&config);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("GRADUS_") {
            command.env_remove(name);
        }
    }
    let log = std::fs::OpenOptions::new().create(true).append(true).open(parent.join("server.log"));
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log.expect("there is room for a log"))
        .spawn()
        .expect("the binary can be started");
    let mut ready = String::new();
    let mut lines = BufReader::new(child.stdout.take().expect("its output is piped"));
    let read = lines.read_line(&mut ready);
    let base = ready.split_whitespace().find(|word| word.starts_with("http://")).map(ToOwned::to_owned);
    let Some(base) = base.filter(|_| read.is_ok()) else {
        let log = std::fs::read_to_string(parent.join("server.log")).unwrap_or_default();
        panic!("the server did not say where it is: {ready:?}\n{log}");
    };
    // Whatever else it prints is read away, so that a full pipe never holds it up.
    std::thread::spawn(move || drop(lines.read_to_end(&mut Vec::new())));
    (child, base.trim_end_matches(['.', '/', ',']).to_owned())
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already ended is fine. One that runs programs first has to put them away.
        if self.data.join("runs/owner").exists() && self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
            let end = Instant::now() + Duration::from_secs(10);
            while self.child.try_wait().is_ok_and(|ended| ended.is_none()) && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        unmount_all(&self.data);
    }
}

/// Bytes of the files below a folder.
pub fn size_of(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => size_of(&entry.path()),
        Ok(meta) => meta.len(),
        Err(_) => 0,
    };
    entries.map(size).sum()
}
