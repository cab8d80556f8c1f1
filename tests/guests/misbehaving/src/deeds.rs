//! The deeds, by name. What a deed finds out goes into the message of a case.

use gradus_sdk::{Audience, Case, Data, Failure, Feedback, Problem, Report};
use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

static ZERO: AtomicU64 = AtomicU64::new(0);

/// Computes for ever.
pub(crate) fn endless() -> u64 {
    let mut n = 0u64;
    while ZERO.load(Ordering::Relaxed) == 0 {
        n = n.wrapping_add(1);
    }
    n
}

/// Uses the engine's stack only.
fn deep(n: u64) -> u64 {
    if n == 0 { 1 } else { deep(n - 1).rotate_left(3) ^ ZERO.load(Ordering::Relaxed) }
}

/// Uses the guest's own stack, which lies in its memory.
#[allow(unconditional_recursion, reason = "that is the deed")]
fn wide(n: u64) -> u64 {
    let room = black_box([n; 512]);
    wide(n + 1) + room[(n % 512) as usize]
}

fn found(what: impl ToString) -> Report {
    Report::new().score("value", 1.0).case(Case::new("found").message(what.to_string()))
}

pub(crate) fn run(deed: &str, n: u64, data: &Data, feedback: &mut Feedback) -> Result<Report, Failure> {
    let size = n as usize;
    Ok(match deed {
        "nothing" => Report::new().score("value", 0.5),
        "loop" => found(endless()),
        "compute" => {
            let sum = (0..n).fold(ZERO.load(Ordering::Relaxed), |sum, k| sum.rotate_left(5) ^ k.wrapping_mul(sum | 1));
            found(sum)
        }
        "memory" => {
            let mut all = Vec::new();
            loop {
                all.push(black_box(vec![1u8; 1 << 20]));
            }
        }
        "deep" => found(deep(u64::MAX)),
        "wide" => found(wide(1)),
        "panic" => panic!("this is the panic's text"),
        "exit" => std::process::exit(n as i32),
        "nan" => Report::new().score("value", f64::NAN),
        "infinite-case" => Report::new().score("value", 1.0).case(Case::new("c7").score("value", f64::INFINITY)),
        "cases" => (0..n).fold(Report::new().score("value", 1.0), |report, k| report.case(Case::new(k.to_string()))),
        "message" => found("x".repeat(size)),
        "log" => {
            println!("the first line");
            (0..n).for_each(|k| println!("line {k}"));
            eprintln!("the last line");
            Report::new().score("value", 1.0)
        }
        "attach" => {
            let first = feedback.attach(Audience::Organizer, "a.bin", "application/octet-stream", &vec![7; size]);
            let bad = feedback.attach(Audience::Organizer, "../a.bin", "text/plain", b"x");
            found(format!("{first:?} {}", bad.is_err()))
        }
        "notes" => {
            (0..n).for_each(|k| feedback.note(Audience::Participant, format!("note {k}")));
            Report::new().score("value", 1.0)
        }
        "progress" => {
            (0..n).for_each(|k| feedback.progress(k, n));
            Report::new().score("value", 1.0)
        }
        "sleep" => {
            let before = Instant::now();
            (0..n).for_each(|_| std::thread::sleep(Duration::from_secs(3600)));
            found(before.elapsed().as_secs())
        }
        "senses" => senses(),
        "denied" => denied(),
        "read" => read(data),
        "tell" => tell(&text_of(data), feedback),
        "tell-fault" => {
            let hidden = text_of(data);
            tell(&hidden, feedback);
            return Err(Failure::challenge(hidden));
        }
        "tell-panic" => panic!("{}", text_of(data)),
        "problems" => return Err(problems(n)),
        "challenge" => return Err(Failure::challenge("the reference has no rows")),
        #[cfg(target_family = "wasm")]
        "handles" => {
            let held: Vec<_> =
                (0..n).map(|_| gradus_sdk::guest::bindings::gradus::scoring::data::predictions()).collect();
            found(held.len())
        }
        other => return Err(Failure::challenge(format!("`{other}` is no deed"))),
    })
}

/// All that could differ between two runs.
fn senses() -> Report {
    let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    let hash = RandomState::new().hash_one("x");
    let map: HashMap<u32, u32> = (0..20).map(|n| (n, n)).collect();
    let order: Vec<u32> = map.into_keys().collect();
    let start = Instant::now();
    let mut spins = 0u64;
    while start.elapsed() < Duration::from_nanos(1) && spins < 1000 {
        spins += 1;
    }
    let address = format!("{:p}", &raw const ZERO);
    let nan = (black_box(0.0f64) / black_box(0.0)).to_bits();
    found(format!("{wall} {hash} {order:?} {spins} {address} {nan:x}"))
}

/// All that a scorer has no business with. Each must be an error.
fn denied() -> Report {
    let mut open = Vec::new();
    for path in ["/", ".", "/etc/passwd", "/proc/self/environ", "../x"] {
        if std::fs::metadata(path).is_ok() || std::fs::read(path).is_ok() || std::fs::read_dir(path).is_ok() {
            open.push(path);
        }
    }
    if std::fs::write("/tmp/x", "x").is_ok() || std::fs::write("x", "x").is_ok() {
        open.push("write");
    }
    if std::env::vars().count() > 0 || std::env::args().count() > 0 {
        open.push("environment");
    }
    if std::net::TcpListener::bind("127.0.0.1:0").is_ok() || std::net::TcpStream::connect("127.0.0.1:80").is_ok() {
        open.push("tcp");
    }
    if std::net::UdpSocket::bind("127.0.0.1:0").is_ok() {
        open.push("udp");
    }
    if std::net::ToSocketAddrs::to_socket_addrs("localhost:80").is_ok() {
        open.push("names");
    }
    let mut line = String::new();
    if std::io::stdin().read_line(&mut line).unwrap_or(0) > 0 {
        open.push("stdin");
    }
    found(open.join(" "))
}

/// The first file of the reference data.
fn text_of(data: &Data) -> String {
    let file = data.reference().first().map(|file| file.read_at(0, u32::MAX)).unwrap_or_default();
    String::from_utf8_lossy(&file).into_owned()
}

/// Says what is hidden in every way that organizers read.
fn tell(hidden: &str, feedback: &mut Feedback) -> Report {
    println!("log: {hidden}");
    eprintln!("log: {hidden}");
    feedback.note(Audience::Organizer, hidden);
    feedback.note(Audience::Participant, "a word for all");
    let attached = [
        feedback.attach(Audience::Organizer, "hidden.txt", "text/plain", hidden.as_bytes()),
        feedback.attach(Audience::Participant, "open.txt", "text/plain", b"a file for all"),
    ];
    let case = Case::new("hidden").group(hidden).message(hidden).score("value", 0.25).passed(true);
    let open = Case::new("open").audience(Audience::Participant).message(format!("{attached:?}"));
    Report::new().score("value", 0.123_456_789).case(case).case(open)
}

/// Reads at, over and past the ends.
fn read(data: &Data) -> Report {
    let mut seen = Vec::new();
    for file in data.predictions().iter().chain(data.reference()) {
        let reads = [(0, 4), (file.size() - 2, 100), (file.size(), 1), (u64::MAX, u32::MAX), (0, u32::MAX)];
        let lens: Vec<usize> = reads.iter().map(|(at, len)| file.read_at(*at, *len).len()).collect();
        seen.push(format!("{}={}:{lens:?}", file.path(), file.size()));
    }
    found(seen.join(" "))
}

fn problems(n: u64) -> Failure {
    let mut all = gradus_sdk::Problems::new();
    (0..n).for_each(|k| all.push(Problem::new(format!("problem {k}")).file("p.csv").line(k + 1)));
    all.into()
}
