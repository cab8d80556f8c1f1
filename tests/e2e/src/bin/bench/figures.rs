//! Times, and how they are printed. The best and the median say what the program does; the tail says what the machine
//! did besides.

use std::fs;
use std::time::{Duration, Instant};

/// Times of many rounds of the same.
pub struct Times(Vec<Duration>);

impl Times {
    /// Of `rounds` calls of `round`, after a few to warm up.
    pub fn of(rounds: usize, mut round: impl FnMut(usize)) -> Self {
        (0..rounds.min(5)).for_each(&mut round);
        let time = |number| {
            let began = Instant::now();
            round(number);
            began.elapsed()
        };
        Self::new((0..rounds).map(time).collect())
    }

    /// As they were taken.
    pub fn new(mut times: Vec<Duration>) -> Self {
        times.sort();
        Self(times)
    }

    /// The time that `permille` of all stay within.
    pub fn within(&self, permille: usize) -> Duration {
        let last = self.0.len().saturating_sub(1);
        self.0.get((self.0.len() * permille / 1000).min(last)).copied().unwrap_or_default()
    }

    /// The middle one.
    pub fn median(&self) -> Duration {
        self.within(500)
    }

    /// A line of them.
    pub fn print(&self, what: &str) {
        let (best, median, p90, p99, most) =
            (self.within(0), self.median(), self.within(900), self.within(990), self.within(1000));
        println!(
            "  {what:<44} median {}  best {}  p90 {}  p99 {}  max {}  ({} rounds)",
            ms(median),
            ms(best),
            ms(p90),
            ms(p99),
            ms(most),
            self.0.len()
        );
    }
}

/// Milliseconds, with three figures or so.
pub fn ms(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1e3;
    match ms {
        ms if ms < 1.0 => format!("{ms:.4} ms"),
        ms if ms < 100.0 => format!("{ms:.2} ms"),
        ms => format!("{ms:.0} ms"),
    }
}

/// How often `small` goes into `large`.
pub fn ratio(large: Duration, small: Duration) -> String {
    format!("{:.1}", large.as_secs_f64() / small.as_secs_f64().max(1e-9))
}

/// The heading of a part.
pub fn heading(text: &str) {
    println!("\n{text}");
}

/// A line with one figure.
pub fn line(what: &str, figure: impl std::fmt::Display) {
    println!("  {what:<44} {figure}");
}

/// What it runs on, and what else runs there.
pub fn machine() {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split_whitespace().next().unwrap_or("?").to_owned();
    let about = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = about.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown");
    println!("{cores} processors, {}, load {load} at the start", model.trim_start_matches([' ', '\t', ':']));
}
