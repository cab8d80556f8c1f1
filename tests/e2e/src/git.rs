//! Git: repositories made with the real program, and a server that gives them over HTTP by git's own `http-backend`.

use super::lab::Lab;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

/// Runs git in `folder`, with none of anybody's settings.
///
/// # Panics
/// It fails.
pub fn git(folder: &Path, words: &[&str]) -> String {
    let output = command(folder).args(words).output().expect("git is there");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {words:?}: {told}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn command(folder: &Path) -> Command {
    let mut git = Command::new("git");
    git.current_dir(folder).env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    let of = [("AUTHOR", "anna"), ("COMMITTER", "anna")];
    for (who, name) in of {
        git.env(format!("GIT_{who}_NAME"), name).env(format!("GIT_{who}_EMAIL"), "anna@example.org");
    }
    git.env("GIT_CONFIG_NOSYSTEM", "1").env("HOME", folder).env("GIT_TERMINAL_PROMPT", "0");
    git
}

/// Repositories below a folder, and a work tree for each.
pub struct Repos {
    home: TempDir,
}

impl Default for Repos {
    fn default() -> Self {
        Self { home: tempfile::tempdir().expect("there is room for a folder") }
    }
}

impl Repos {
    /// Where bare repositories are.
    pub fn root(&self) -> PathBuf {
        self.home.path().join("bare")
    }

    /// A new one at `path`, with a work tree that pushes there.
    ///
    /// # Panics
    /// It cannot be made.
    pub fn make(&self, path: &str) -> Repo {
        let (bare, work) = (self.root().join(path), self.home.path().join("work").join(path));
        for folder in [&bare, &work] {
            std::fs::create_dir_all(folder).expect("there is room");
        }
        git(&bare, &["init", "--quiet", "--bare", "--initial-branch=main"]);
        git(&work, &["init", "--quiet", "--initial-branch=main"]);
        git(&work, &["remote", "add", "origin", bare.to_str().expect("UTF-8")]);
        Repo { bare, work }
    }
}

/// A repository.
pub struct Repo {
    /// The one that is pushed to.
    pub bare: PathBuf,
    /// The one that is worked in.
    pub work: PathBuf,
}

/// A tag that was pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// Its name.
    pub tag: String,
    /// What it is.
    pub object: String,
    /// The commit that this is.
    pub commit: String,
}

impl Repo {
    /// Writes a file to the work tree.
    ///
    /// # Panics
    /// It cannot be written.
    pub fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let path = self.work.join(path);
        std::fs::create_dir_all(path.parent().expect("it has a folder")).expect("there is room");
        std::fs::write(path, bytes).expect("there is room");
    }

    /// Runs git in the work tree.
    pub fn git(&self, words: &[&str]) -> String {
        git(&self.work, words)
    }

    /// Commits all, tags that, and pushes the tag; annotated if so.
    pub fn push(&self, tag: &str, annotated: bool) -> Pushed {
        self.git(&["add", "--all", "--force"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", tag]);
        self.push_head(tag, annotated)
    }

    /// Tags what is there, and pushes the tag.
    pub fn push_head(&self, tag: &str, annotated: bool) -> Pushed {
        if annotated {
            self.git(&["tag", "--force", "--annotate", "--message", "a submission", tag]);
        } else {
            self.git(&["tag", "--force", tag]);
        }
        self.git(&["push", "--quiet", "--force", "origin", &format!("refs/tags/{tag}")]);
        let object = self.git(&["rev-parse", tag]);
        let commit = self.git(&["rev-parse", &format!("{tag}^{{commit}}")]);
        Pushed { tag: tag.to_owned(), object, commit }
    }
}

/// What a server does before it answers.
#[derive(Debug, Default)]
pub struct Mood {
    /// It answers 503.
    pub down: AtomicBool,
    /// It takes so many milliseconds.
    pub slow: AtomicUsize,
    /// It refuses whoever comes.
    pub revoked: AtomicBool,
    /// Requests for repositories so far.
    pub asked: AtomicUsize,
    /// What is done with statuses of commits.
    pub lab: Lab,
}

/// Gives the repositories below a folder over HTTP, to who knows the token.
pub struct GitServer {
    /// `http://127.0.0.1:port`
    pub base: String,
    /// How it is.
    pub mood: Arc<Mood>,
    basic: String,
}

impl GitServer {
    /// Of `root`, for `user` and `token`.
    ///
    /// # Panics
    /// There is no port.
    pub fn start(root: &Path, user: &str, token: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a port");
        let base = format!("http://{}", listener.local_addr().expect("it has an address"));
        let mood = Arc::<Mood>::default();
        let basic = BASE64.encode(format!("{user}:{token}"));
        let expected = format!("Basic {basic}");
        let (root, shared) = (root.to_owned(), Arc::clone(&mood));
        // It ends with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (root, mood, expected) = (root.clone(), Arc::clone(&shared), expected.clone());
                thread::spawn(move || {
                    // A client that goes away is no failure of the test's.
                    drop(answer(stream, &root, &mood, &expected));
                });
            }
        });
        Self { base, mood, basic }
    }

    /// What it is asked with, in Base64.
    pub fn basic(&self) -> &str {
        &self.basic
    }
}

fn answer(stream: TcpStream, root: &Path, mood: &Mood, expected: &str) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut out = stream;
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let header = |name: &str| headers.get(name).map_or("", String::as_str);
    if header("expect") == "100-continue" {
        out.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let body = body(&mut reader, header("content-length"), header("transfer-encoding"))?;
    if target.starts_with("/api/") {
        let token = expected_token(expected);
        let (code, more, body) = match () {
            () if mood.down.load(Ordering::Relaxed) => (503, "", String::new()),
            () if header("authorization") != format!("Bearer {token}") => (401, "", String::new()),
            () => mood.lab.answer(&method, &target, &body),
        };
        let head = format!("HTTP/1.1 {code} Said\r\n{more}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
        return out.write_all(format!("{head}{body}").as_bytes());
    }
    mood.asked.fetch_add(1, Ordering::Relaxed);
    thread::sleep(Duration::from_millis(mood.slow.load(Ordering::Relaxed) as u64));
    let refused = match () {
        () if mood.down.load(Ordering::Relaxed) => Some("503 Service Unavailable"),
        () if mood.revoked.load(Ordering::Relaxed) || header("authorization") != expected => Some("401 Unauthorized"),
        () => None,
    };
    if let Some(refused) = refused {
        let ask = "WWW-Authenticate: Basic realm=\"git\"\r\n";
        return out.write_all(
            format!("HTTP/1.1 {refused}\r\n{ask}Content-Length: 0\r\nConnection: close\r\n\r\n").as_bytes(),
        );
    }
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let mut backend = command(root)
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", &method)
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("GIT_PROTOCOL", header("git-protocol"))
        .env("REMOTE_USER", "somebody")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut input = backend.stdin.take().expect("it was asked for");
    let feeder = thread::spawn(move || drop(input.write_all(&body)));
    let mut output = BufReader::new(backend.stdout.take().expect("it was asked for"));
    let (mut status, mut head) = ("200 OK".to_owned(), String::new());
    loop {
        let mut line = String::new();
        output.read_line(&mut line)?;
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        match line.strip_prefix("Status: ") {
            Some(said) => said.clone_into(&mut status),
            None => head.push_str(&format!("{line}\r\n")),
        }
    }
    out.write_all(format!("HTTP/1.1 {status}\r\n{head}Connection: close\r\n\r\n").as_bytes())?;
    std::io::copy(&mut output, &mut out)?;
    drop(feeder.join());
    backend.wait()?;
    Ok(())
}

/// The token of what is expected.
fn expected_token(expected: &str) -> String {
    let bytes = BASE64.decode(expected.trim_start_matches("Basic ")).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    text.split_once(':').map_or_else(String::new, |(_, token)| token.to_owned())
}

fn body(reader: &mut BufReader<TcpStream>, len: &str, encoding: &str) -> std::io::Result<Vec<u8>> {
    let mut body = Vec::new();
    if encoding != "chunked" {
        reader.take(len.parse().unwrap_or(0)).read_to_end(&mut body)?;
        return Ok(body);
    }
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let len = u64::from_str_radix(line.trim(), 16).unwrap_or(0);
        reader.by_ref().take(len).read_to_end(&mut body)?;
        reader.read_line(&mut line)?;
        if len == 0 {
            return Ok(body);
        }
    }
}
