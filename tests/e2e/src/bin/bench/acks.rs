//! Submissions that are acknowledged, and durable then: how many in a second, beside a PostgreSQL that is told to keep the same
//! rows and bytes, one transaction for each; and how soon a score is visible while many hand in.

use super::Plan;
use super::conn::Conn;
use super::data;
use super::figures::{Times, heading, line};
use super::line::until_scored;
use gradus_e2e::{Api, Server, unpaced};
use serde_json::Value;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const ROWS: usize = 1000;
const CLIENTS: usize = 16;
const PATH: &str = "/api/v1/challenges/bench/phases/dev/submissions?filename=p.csv";

/// Measures and prints.
pub fn run(plan: &Plan) {
    heading(&format!("{CLIENTS} clients hand in, {ROWS} rows each: acknowledged and durable"));
    let time = Duration::from_secs(if plan.quick { 3 } else { 15 });
    let ours = {
        let server = served();
        let operator = server.operator();
        let pause = |state: &str| {
            let body = format!(r#"{{"state":"{state}"}}"#);
            let kind = [("content-type", "application/json")];
            let told = operator.send("PUT", "/api/v1/challenges/bench/queue", &kind, body.as_bytes());
            assert_eq!(told.expect("the server answers").status, 200);
        };
        let clients: Vec<_> = (0..CLIENTS).map(|number| server.participant(&format!("client-{number}"))).collect();
        // Once more by itself: what scoring takes of the processors is not the door's.
        pause("paused");
        let alone = rate(&clients, time);
        line("of files that wait for their scores", format!("{alone:.0} a second"));
        pause("open");
        let last = rate(&clients, time);
        line("while others are scored", format!("{last:.0} a second"));
        alone
    };
    match Postgres::start() {
        Ok(postgres) => {
            let theirs = postgres.rate(time);
            line("PostgreSQL, synchronous_commit = on, same rows", format!("{theirs:.0} a second"));
            line("  of its rate, Gradus has", format!("{:.2}", ours / theirs.max(1e-9)));
        }
        Err(why) => line("PostgreSQL", format!("not measured: {why}")),
    }
    under_load(plan);
}

fn served() -> Server {
    let server = Server::start_with(unpaced(""));
    let home = tempfile::tempdir().expect("there is room for a folder");
    data::write(home.path(), ROWS);
    server.publish(home.path());
    server
}

/// How many are acknowledged in a second.
fn rate(clients: &[Api], time: Duration) -> f64 {
    let body = data::predictions(ROWS, 7).into_bytes();
    let began = Instant::now();
    let counts: Vec<usize> = std::thread::scope(|scope| {
        let threads: Vec<_> = clients
            .iter()
            .map(|api| {
                let request = Conn::request(api, "POST", PATH, &body);
                scope.spawn(move || {
                    let mut conn = Conn::open(api);
                    let mut count = 0;
                    while began.elapsed() < time {
                        let (status, answer) = conn.ask(&request);
                        match status {
                            202 => count += 1,
                            // As many wait as may.
                            429 => return count,
                            _ => panic!("{status}: {}", String::from_utf8_lossy(answer)),
                        }
                    }
                    count
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no client panics")).collect()
    });
    counts.iter().sum::<usize>() as f64 / began.elapsed().as_secs_f64()
}

/// From the first byte of a file to its score, while 300 are handed in each second.
fn under_load(plan: &Plan) {
    const EACH_SECOND: usize = 300;
    /// Enough that nobody still waits when the next is due, as long as none takes longer than the aim.
    const SENDERS: usize = 96;
    let seconds = if plan.quick { 6 } else { 60 };
    heading(&format!(
        "{EACH_SECOND} submissions a second for {seconds} s, {ROWS} rows each: until the score is visible"
    ));
    let server = served();
    let clients: Vec<_> = (0..SENDERS).map(|number| server.participant(&format!("client-{number}"))).collect();
    let body = data::predictions(ROWS, 7).into_bytes();
    let every = Duration::from_secs_f64(SENDERS as f64 / EACH_SECOND as f64);
    let began = Instant::now();
    let end = began + Duration::from_secs(seconds);
    let (mut times, late) = std::thread::scope(|scope| {
        let threads: Vec<_> = clients
            .iter()
            .enumerate()
            .map(|(number, api)| {
                let request = Conn::request(api, "POST", PATH, &body);
                scope.spawn(move || {
                    let (mut conn, mut times, mut late) = (Conn::open(api), Vec::new(), 0);
                    let mut due = began + every.mul_f64(number as f64 / SENDERS as f64);
                    while due < end {
                        std::thread::sleep(due.saturating_duration_since(Instant::now()));
                        // Measured from when it should have been sent: a client that was held up waited as well.
                        let (status, answer) = conn.ask(&request);
                        assert_eq!(status, 202, "{}", String::from_utf8_lossy(answer));
                        let id = serde_json::from_slice::<Value>(answer).expect("JSON")["id"].clone();
                        let id = id.as_str().expect("an id").to_owned();
                        scored(&mut conn, api, &id);
                        times.push(due.elapsed());
                        late += usize::from(due + every < Instant::now());
                        due += every;
                    }
                    (times, late)
                })
            })
            .collect();
        let all = threads.into_iter().map(|thread| thread.join().expect("no client panics"));
        all.fold((Vec::new(), 0), |(mut times, late), (more, later)| {
            times.extend(more);
            (times, late + later)
        })
    });
    let count = times.len();
    times.sort();
    Times::new(times).print("from when it was to be sent");
    line(
        "  handed in",
        format!("{:.0} a second, {late} of {count} after the next was due", count as f64 / seconds as f64),
    );
    until_scored(&clients[0], &{
        let answer = clients[0].submit("bench", "dev", "p.csv", &body);
        answer.json()["id"].as_str().expect("an id").to_owned()
    });
}

/// Listens to its events until it is scored.
fn scored(conn: &mut Conn, api: &Api, id: &str) {
    let request = Conn::request(api, "GET", &format!("/api/v1/submissions/{id}/events"), b"");
    let told = String::from_utf8_lossy(conn.listen(&request));
    assert!(told.contains(r#""state":"scored""#), "{told}");
}

/// A PostgreSQL of its own, on a socket in its folder.
struct Postgres {
    home: TempDir,
    bin: PathBuf,
    user: Option<String>,
}

impl Postgres {
    fn start() -> Result<Self, String> {
        let versions = std::fs::read_dir("/usr/lib/postgresql").map_err(|_| "it is not installed".to_owned())?;
        let mut found: Vec<_> = versions.flatten().map(|version| version.path().join("bin")).collect();
        found.sort();
        let bin = found.pop().ok_or("it is not installed")?;
        let home = tempfile::tempdir().map_err(|error| error.to_string())?;
        // It does not run as root.
        let root = Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout.starts_with(b"0\n"));
        let user = root.then(|| "postgres".to_owned());
        if let Some(user) = &user {
            let given = Command::new("chown").arg(user).arg(home.path()).status();
            if !given.is_ok_and(|status| status.success()) {
                return Err("there is no user `postgres`".to_owned());
            }
        }
        let postgres = Self { home, bin, user };
        postgres.tool("initdb", &["-D", &postgres.data(), "-A", "trust", "-U", "postgres", "-E", "UTF8"])?;
        let options = format!("-c listen_addresses= -c unix_socket_directories={}", postgres.home.path().display());
        postgres.tool("pg_ctl", &["-D", &postgres.data(), "-w", "-l", &postgres.at("log"), "-o", &options, "start"])?;
        Ok(postgres)
    }

    fn at(&self, name: &str) -> String {
        self.home.path().join(name).display().to_string()
    }

    fn data(&self) -> String {
        self.at("data")
    }

    fn tool(&self, name: &str, words: &[&str]) -> Result<String, String> {
        let program = self.bin.join(name);
        let mut command = match &self.user {
            None => Command::new(&program),
            Some(user) => {
                let mut command = Command::new("runuser");
                command.args(["-u", user, "--"]).arg(&program);
                command
            }
        };
        // Its server must not keep our pipes open.
        let log = self.home.path().join("tool.log");
        let out = std::fs::File::create(&log).map_err(|error| error.to_string())?;
        let both = out.try_clone().map_err(|error| error.to_string())?;
        let ran = command.args(words).current_dir("/").stdin(Stdio::null()).stdout(out).stderr(both).status();
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        if ran.is_ok_and(|status| status.success()) { Ok(said) } else { Err(format!("{name} failed: {said}")) }
    }

    /// The rows of a submission, with the bytes of its file, one transaction for each.
    fn rate(&self, time: Duration) -> f64 {
        let at = self.home.path();
        let tables = "create table submission (id bigint primary key, challenge text, phase text, entrant text, at timestamptz, \
                      files text, body bytea);\n\
                      alter table submission alter body set storage external;\n\
                      create index on submission (challenge, id); create index on submission (challenge, entrant, id);\n\
                      create table job (id bigint primary key, state text, generation int);\n\
                      create table event (submission bigint, seq int, at timestamptz, kind text, primary key (submission, seq));\n\
                      create table ledger (challenge text, phase text, entrant text, total int, open int, \
                      primary key (challenge, phase, entrant));\n";
        let body = data::predictions(ROWS, 7);
        let hex = body.bytes().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        let script = format!(
            "\\set who random(1, {CLIENTS})\n\
             \\set id random(1, 9000000000000000000)\n\
             begin;\n\
             insert into ledger values ('bench', 'dev', 'client-' || :who, 1, 1) on conflict (challenge, phase, entrant) \
             do update set total = ledger.total + 1, open = ledger.open + 1;\n\
             insert into submission values (:id, 'bench', 'dev', 'client-' || :who, now(), 'p.csv', '\\x{hex}');\n\
             insert into job values (:id, 'queued', 1);\n\
             insert into event values (:id, 1, now(), 'queued');\n\
             commit;\n"
        );
        write(&at.join("tables.sql"), tables);
        write(&at.join("script.sql"), &script);
        let socket = at.display().to_string();
        let here = ["-h", &*socket, "-U", "postgres"];
        let tables = self.at("tables.sql");
        let psql = [&here[..], &["-d", "postgres", "-q", "-f", &tables]].concat();
        self.tool("psql", &psql).expect("it takes its tables");
        let seconds = time.as_secs().to_string();
        let clients = CLIENTS.to_string();
        let script = self.at("script.sql");
        let words = [&here[..], &["-n", "-c", &clients, "-j", "2", "-T", &seconds, "-f", &script, "postgres"]].concat();
        let said = self.tool("pgbench", &words).expect("it runs");
        let rate = said.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
        rate.unwrap_or_else(|| panic!("{said}"))
    }
}

fn write(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, text).expect("there is room");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).expect("it is ours");
}

impl Drop for Postgres {
    fn drop(&mut self) {
        drop(self.tool("pg_ctl", &["-D", &self.data(), "-m", "immediate", "-w", "stop"]));
    }
}
