//! Programs of the system's that this adapter needs, such as `mount`: each has a time to end in.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::io::{self, ErrorKind, Read as _};
use std::process::{Child, Command, Stdio};

/// One that has not ended by then hangs; seconds.
const TIME: i64 = 60;
/// What one says of its failure, at most; bytes.
const WORDS: u64 = 4 << 10;

/// Runs one, with nothing of our environment.
pub(super) fn tool(name: &str, with: impl FnOnce(&mut Command) -> &mut Command) -> io::Result<()> {
    let mut command = Command::new(name);
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let said = |error: io::Error| io::Error::new(error.kind(), format!("{name}: {error}"));
    let mut child = with(&mut command).spawn().map_err(said)?;
    if !ends(&child, TIME).map_err(said)? {
        // It is not waited for: what hangs in the kernel does not end for that either.
        child.kill().map_err(said)?;
        return Err(io::Error::new(ErrorKind::TimedOut, format!("{name} did not end within {TIME} s")));
    }
    if child.wait().map_err(said)?.success() {
        return Ok(());
    }
    let mut words = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        stderr.take(WORDS).read_to_end(&mut words).map_err(said)?;
    }
    Err(io::Error::other(format!("{name} failed: {}", String::from_utf8_lossy(&words).trim())))
}

/// Whether it ends within so many seconds.
fn ends(child: &Child, seconds: i64) -> io::Result<bool> {
    // Where the system does not give that, it is waited for as long as it takes.
    let Ok(child) = pidfd_open(Pid::from_child(child), PidfdFlags::empty()) else { return Ok(true) };
    let time = Timespec { tv_sec: seconds, tv_nsec: 0 };
    Ok(retry_on_intr(|| poll(&mut [PollFd::new(&child, PollFlags::IN)], Some(&time)))? > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_says_why() {
        assert!(tool("true", |command| command).is_ok());
        let why = tool("ls", |ls| ls.arg("/there/is/nothing")).unwrap_err().to_string();
        assert!(why.starts_with("ls failed: ") && why.contains("/there/is/nothing"), "{why}");
        let why = tool("there-is-no-such-program", |command| command).unwrap_err();
        assert_eq!(why.kind(), ErrorKind::NotFound);
        assert!(why.to_string().starts_with("there-is-no-such-program: "), "{why}");
    }

    #[test]
    fn what_hangs_is_not_waited_for() {
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        assert!(!ends(&child, 0).unwrap());
        child.kill().unwrap();
        assert!(ends(&child, 60).unwrap());
        child.wait().unwrap();
    }
}
