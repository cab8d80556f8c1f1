//! How far long work is, on standard error: a bar on a terminal, otherwise a line now and then.

use super::Output;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::{Duration, Instant};

/// Between two lines where nobody watches.
const PAUSE: Duration = Duration::from_secs(5);

/// How far something is.
pub struct Progress {
    what: String,
    bar: Option<ProgressBar>,
    out: Output,
    told: Instant,
}

impl Progress {
    /// Bytes that are sent.
    pub fn bytes(out: &Output, what: &str) -> Self {
        Self::new(out, what, "{msg} {wide_bar} {bytes}/{total_bytes}")
    }

    /// Steps that are done.
    pub fn steps(out: &Output, what: &str) -> Self {
        Self::new(out, what, "{msg} {wide_bar} {pos}/{len}")
    }

    fn new(out: &Output, what: &str, template: &str) -> Self {
        let bar = out.watched.then(|| {
            let style = ProgressStyle::with_template(template).expect("the template is written here");
            let target = ProgressDrawTarget::stderr_with_hz(10);
            ProgressBar::with_draw_target(Some(0), target).with_style(style).with_message(what.to_owned())
        });
        Self { what: what.to_owned(), bar, out: out.clone(), told: Instant::now() }
    }

    /// It is at `done` of `total`.
    pub fn set(&mut self, done: u64, total: u64) {
        if let Some(bar) = &self.bar {
            bar.set_length(total);
            bar.set_position(done);
        } else if self.told.elapsed() >= PAUSE {
            self.told = Instant::now();
            // That nobody reads it must not stop the work.
            drop(self.out.note(format!("{}: {done} of {total}", self.what)));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
