//! What a run came to: how its programs ended becomes the submission's outcome, and whose doing it is.

use super::check::Pending;
use super::launch::{LaunchError, Launched, Launcher};
use crate::domain::report::{Fault, LimitKind, Outcome};
use crate::domain::run_record::{IngestionRecord, RunFailure, RunRecord};
use crate::ports::blobs::Part;
use crate::ports::runner::{Ended, Output, Ran, RanBeside, RefusalCode, RunnerError, Used};

/// How a program ended, in numbers.
type Numbers = (Option<u8>, Option<u8>);

impl Launcher {
    /// What `ran` means. `own`: the image is the participant's. `None`: it was stopped.
    pub(super) fn launched(&self, ran: Ran, own: bool) -> Result<Option<Launched>, LaunchError> {
        match ran.beside {
            Some(beside) => self.of_two(Ran { beside: None, ..ran }, *beside, own),
            None if self.run.apart.is_some() => self.of_ingestion(ran),
            None => self.of_one(ran, own),
        }
    }

    /// One program, in one container.
    fn of_one(&self, ran: Ran, own: bool) -> Result<Option<Launched>, LaunchError> {
        let Ran { ended, used, image, stdout, stderr, output, beside: _ } = ran;
        let mut record = self.record(used, image);
        let began = !matches!(ended, Ended::Refused { .. });
        let mut left = None;
        record.failed = match ended {
            Ended::Stopped => return Ok(None),
            Ended::Exited { code: 0 } => {
                record.exit_code = Some(0);
                took(output, &mut left)?
            }
            ended @ (Ended::Exited { .. } | Ended::Signal { .. } | Ended::Limit { .. } | Ended::Refused { .. }) => {
                (record.exit_code, record.signal) = numbers(&ended);
                Some(failure(ended, "the program", own)?)
            }
        };
        Ok(Some(Launched { record, left, stdout, stderr, ingestion: Vec::new(), began }))
    }

    /// The ingestion program beside the participant's: it decides when the run is over, and what is scored.
    fn of_two(&self, ran: Ran, beside: RanBeside, own: bool) -> Result<Option<Launched>, LaunchError> {
        let Ran { ended, used, image, stdout: ingestion, stderr: more, output, beside: _ } = ran;
        let mut record = self.record(beside.used, beside.image);
        (record.exit_code, record.signal) = numbers(&beside.ended);
        let (exit_code, signal) = numbers(&ended);
        let Used { cpu, peak_memory, .. } = used;
        record.ingestion = Some(Box::new(IngestionRecord { exit_code, signal, cpu, peak_memory, image }));
        let began = !matches!(ended, Ended::Refused { .. }) && !matches!(beside.ended, Ended::Refused { .. });
        let mut left = None;
        let failed = match (ended, beside.ended) {
            // Whatever became of the other: the environment is content.
            (Ended::Exited { code: 0 }, _) => took(output, &mut left)?,
            (Ended::Stopped, Ended::Stopped) => return Ok(None),
            // It is over for that reason; or the other one failed for want of it.
            (_, its @ (Ended::Signal { .. } | Ended::Limit { .. } | Ended::Refused { .. })) => {
                Some(failure(its, "your program", own)?)
            }
            (_, its @ Ended::Exited { code: 1.. }) => Some(failure(its, "your program", own)?),
            (Ended::Stopped, Ended::Exited { .. }) => return Ok(None),
            (refused @ Ended::Refused { .. }, _) => Some(of_the_challenge(refused)?),
            // Time says as much of the one as of the other.
            (ended @ Ended::Limit { limit: LimitKind::Wall, .. }, _) => Some(failure(ended, "the run", own)?),
            // Nothing was wrong with the other one: what it said may be why, and still that is no reason to fail.
            (ended, _) => {
                let failed = failure(ended, "the task's ingestion program, beside which yours ran,", own)?;
                Some(RunFailure { fault: Fault::Challenge, ..failed })
            }
        };
        record.failed = failed;
        let ingestion = [ingestion, more].concat();
        Ok(Some(Launched { record, left, stdout: beside.stdout, stderr: beside.stderr, ingestion, began }))
    }

    /// The ingestion program alone: the other one was not begun.
    fn of_ingestion(&self, ran: Ran) -> Result<Option<Launched>, LaunchError> {
        let Ran { ended, used, image, stdout, stderr, .. } = ran;
        if ended == Ended::Stopped {
            return Ok(None);
        }
        let began = !matches!(ended, Ended::Refused { .. });
        let mut record = self.record(Used::default(), None);
        let (exit_code, signal) = numbers(&ended);
        let Used { cpu, peak_memory, .. } = used;
        record.ingestion = Some(Box::new(IngestionRecord { exit_code, signal, cpu, peak_memory, image }));
        record.failed = Some(of_the_challenge(ended)?);
        let ingestion = [stdout, stderr].concat();
        Ok(Some(Launched { record, left: None, stdout: Vec::new(), stderr: Vec::new(), ingestion, began }))
    }

    fn record(&self, used: Used, image: Option<String>) -> RunRecord {
        let Used { wall, cpu, peak_memory, peak_pids, oom_kills } = used;
        RunRecord {
            failed: None,
            exit_code: None,
            signal: None,
            wall,
            cpu,
            peak_memory,
            peak_pids,
            oom_kills,
            image: image.or_else(|| self.image.as_ref().map(ToString::to_string)),
            limits: self.run.limits,
            runtime: self.run.runtime.clone(),
            network: self.run.network.clone(),
            ingestion: None,
        }
    }
}

fn numbers(ended: &Ended) -> Numbers {
    match ended {
        Ended::Exited { code } => (Some(*code), None),
        Ended::Signal { signal } => (None, Some(*signal)),
        Ended::Limit { .. } | Ended::Refused { .. } | Ended::Stopped => (None, None),
    }
}

fn fails(code: &str, text: String) -> RunFailure {
    RunFailure { outcome: Outcome::RunFailed { code: code.to_owned() }, fault: Fault::Participant, text }
}

/// What the end of `whose` program means, other than a good one. `own`: the image is the participant's.
fn failure(ended: Ended, whose: &str, own: bool) -> Result<RunFailure, LaunchError> {
    let ours = |what: String| LaunchError::Runner(RunnerError { what, source: None });
    Ok(match ended {
        Ended::Exited { code } => fails("exit", format!("{whose} ended with exit code {code}")),
        Ended::Signal { signal } => fails("signal", format!("{whose} was ended by signal {signal}")),
        Ended::Limit { limit, used, allowed } => RunFailure {
            outcome: Outcome::Limit { limit, used, allowed },
            fault: Fault::Participant,
            text: format!("the run reached its limit of {}", limit.shown(allowed)),
        },
        // Tried again from time to time, and holds nobody up.
        Ended::Refused { code: RefusalCode::RegistryAway | RefusalCode::Busy, text } => {
            return Err(LaunchError::Busy(text));
        }
        Ended::Refused { code: code @ RefusalCode::ImageMissing, text } if own => fails(code.word(), text),
        // The task's image was there when the challenge was published: what became of it is not the participant's.
        Ended::Refused { code: RefusalCode::ImageMissing, text } => {
            let what = "programs of this task run in it, and its operator has to load that very image again. Once the \
                        organizers have published the challenge with another one, cancel this and hand it in again";
            return Err(LaunchError::Missing(format!("{text}: {what}")));
        }
        // Tried again a few times: that tells a trouble that passes from an image that is why.
        Ended::Refused { code: RefusalCode::NotStarted, text } => return Err(LaunchError::NotStarted(text)),
        Ended::Refused { code: code @ RefusalCode::NoEntryPoint, text } => fails(code.word(), text),
        Ended::Refused {
            code:
                code @ (RefusalCode::ImageRefused
                | RefusalCode::WrongArchitecture
                | RefusalCode::ImageNotAllowed
                | RefusalCode::ImageTooBig),
            text,
        } => {
            let fault = if own { Fault::Participant } else { Fault::Challenge };
            RunFailure { fault, ..fails(code.word(), text) }
        }
        Ended::Stopped => return Err(ours("a run that was stopped has no failure".to_owned())),
    })
}

/// The same, of an ingestion program that was not even begun, or was alone.
fn of_the_challenge(ended: Ended) -> Result<RunFailure, LaunchError> {
    let failed = failure(ended, "the task's ingestion program", false)?;
    let text = format!("the task's ingestion program could not be run: {}", failed.text);
    Ok(RunFailure { fault: Fault::Challenge, text, ..failed })
}

/// Takes what a run left that ended well; or why it is not taken.
fn took(output: Output, left: &mut Option<Pending>) -> Result<Option<RunFailure>, RunnerError> {
    match output {
        Output::Parts(parts) => match taken(parts)? {
            Ok(pending) => {
                *left = Some(pending);
                Ok(None)
            }
            Err(text) => Ok(Some(fails("bad-output", text))),
        },
        Output::Bad(bad) => Ok(Some(fails("bad-output", bad.to_string()))),
        Output::NotTaken => Err(RunnerError { what: "the output was not taken".to_owned(), source: None }),
    }
}

/// The files that a run left, or why they are not taken.
fn taken(parts: Vec<Part>) -> Result<Result<Pending, String>, RunnerError> {
    let ours = |part: &&Part| part.path().as_str() == RunRecord::METADATA;
    if parts.iter().any(|part| ours(&part)) {
        let text = "the program wrote `metadata` into its output, a name that is the runner's; use another";
        return Ok(Err(text.to_owned()));
    }
    let twice = |path| RunnerError { what: format!("`{path}` came out twice"), source: None };
    Pending::new(parts).map(Ok).map_err(twice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::folder::Folder;
    use crate::domain::challenge::{Apart, TaskRun};
    use crate::domain::units::Bytes;

    #[test]
    fn what_became_of_an_agent_is_told_though_its_environment_is_content() {
        let launcher = Launcher {
            challenge: "c".parse().unwrap(),
            image: None,
            input: Folder::default(),
            ingestion: None,
            ingestion_image: None,
            run: TaskRun { apart: Some(Apart { image: None, shared: Bytes(1) }), ..TaskRun::default() },
        };
        let (used, image) = (Used::default(), None);
        let (stdout, stderr) = (Vec::new(), Vec::new());
        for (ended, expected) in [
            (Ended::Exited { code: 7 }, (Some(7), None)),
            (Ended::Signal { signal: 9 }, (None, Some(9))),
            (Ended::Stopped, (None, None)),
        ] {
            let (out, err, of) = (stdout.clone(), stderr.clone(), image.clone());
            let beside = RanBeside { ended, used, image: of, stdout: out, stderr: err };
            let ran = Ran {
                ended: Ended::Exited { code: 0 },
                used,
                image: image.clone(),
                stdout: stdout.clone(),
                stderr: stderr.clone(),
                output: Output::Parts(Vec::new()),
                beside: Some(Box::new(beside)),
            };
            let Launched { record, left, .. } = launcher.launched(ran, false).unwrap().unwrap();
            assert!(record.failed.is_none() && left.is_some());
            assert_eq!((record.exit_code, record.signal), expected);
            assert_eq!(record.ingestion.unwrap().exit_code, Some(0));
        }
    }
}
