//! A change of a job's state, and all that is stored with it: report, bodies, boards, quota, events, letters. And who waits, in
//! the picture of the queue.

use super::submit::waiting;
use super::{App, Refusal};
use crate::domain::audit::Deed;
use crate::domain::board::{Placement, placements};
use crate::domain::event::EventKind;
use crate::domain::id::SubmissionId;
use crate::domain::job::{Effect, IllegalTransition, Job, JobEvent, State, step};
use crate::domain::quota::Settlement;
use crate::domain::report::Report;
use crate::domain::run_record::RunOutput;
use crate::domain::submission::{Body, MAX_INLINE, Submission};
use crate::ports::scorer::Attached;
use crate::ports::store::{Advance, Advanced, LedgerKey, Settle, Small, Tracked};
use std::sync::atomic::Ordering;

/// How often a decision is made anew when somebody else was faster.
const TRIES: usize = 16;

/// What ends a job or a stage of it, beside its state.
#[derive(Default)]
pub(super) struct Yield {
    pub(super) report: Option<Report>,
    pub(super) log: Vec<u8>,
    pub(super) attachments: Vec<Attached>,
    pub(super) run: Option<(RunOutput, Vec<Small>)>,
    pub(super) deed: Option<Deed>,
}

/// The same, ready for the row.
#[derive(Clone, Default)]
struct Bodies {
    report: Option<Body>,
    log: Option<Body>,
    small: Vec<Small>,
}

impl App {
    /// Applies `event` and stores all that follows from it. `None`: the event does not apply any more.
    pub(super) fn change(
        &self,
        id: SubmissionId,
        event: &JobEvent,
        ended: Option<&Yield>,
    ) -> Result<Option<Job>, Refusal> {
        let none = Yield::default();
        let ended = ended.unwrap_or(&none);
        let mut bodies = None;
        for _ in 0..TRIES {
            let Some(tracked) = self.store.submission(id)? else { return Ok(None) };
            let now = self.clock.now();
            let (job, effects) = match step(&tracked.job, event, now) {
                Ok(stepped) => stepped,
                Err(IllegalTransition::FromHere(_) | IllegalTransition::StaleEpoch | IllegalTransition::Early) => {
                    return Ok(None);
                }
            };
            let over = job.state.is_terminal();
            if over && bodies.is_none() {
                bodies = Some(self.keep_yield(ended)?);
            }
            let Bodies { report, log, mut small } =
                if over { bodies.clone().unwrap_or_default() } else { Bodies::default() };
            // Once its program has ended, all of it is there.
            let late = *event == JobEvent::Cancelled && tracked.job.state != State::Running;
            let run = ended.run.clone().filter(|_| !late).map(|(output, with_row)| {
                small.extend(with_row);
                output
            });
            let (placements, live) = self.rank(&tracked, ended, &effects)?;
            let ends = over && !tracked.job.state.is_terminal();
            let (letters, unwritten) = if ends {
                self.letters_of(&tracked.submission, &job, ended.report.as_ref(), now)?
            } else {
                (Vec::new(), 0)
            };
            let told: Vec<_> = letters.iter().map(|letter| letter.hook).collect();
            let advance = Advance {
                id,
                seen: tracked.job.generation,
                events: events(&tracked.job, &job, ended.report.as_ref().filter(|_| over)),
                job: job.clone(),
                at: now,
                letters,
                settle: settle(&tracked, &effects),
                report,
                log,
                run,
                small,
                placements,
                live,
                deed: ended.deed.clone(),
                owed: tracked.submission.pushed.as_ref().map(|pushed| pushed.push),
            };
            let changing = self.first_pages.change(&advance.placements);
            let advanced = self.store.advance(advance)?;
            drop(changing);
            match advanced {
                Advanced::Stored { events, .. } => {
                    self.signals.logged(&events);
                    self.follow(id, &effects);
                    self.written(&told, unwritten);
                    if let Some(pushed) = &tracked.submission.pushed {
                        self.owes(pushed.push, &pushed.source);
                    }
                    if !told.is_empty() {
                        self.signals.posted();
                    }
                    return Ok(Some(job));
                }
                Advanced::Conflict => {}
            }
        }
        Err(Refusal::Contended)
    }

    /// The bodies that the row will name: durable, or to go in with it.
    fn keep_yield(&self, ended: &Yield) -> Result<Bodies, Refusal> {
        let mut small = Vec::new();
        let total: usize = ended.attachments.iter().map(|attached| attached.bytes.len()).sum();
        for Attached { about, bytes } in &ended.attachments {
            if total <= MAX_INLINE {
                small.push(Small { digest: about.digest, bytes: bytes.clone() });
            } else {
                self.keep_bytes(bytes)?;
            }
        }
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let report = ended.report.as_ref().map(|report| self.keep_body(text(report.to_bytes()))).transpose()?;
        let log = (!ended.log.is_empty()).then(|| self.keep_body(text(ended.log.clone()))).transpose()?;
        Ok(Bodies { report, log, small })
    }

    /// The boards of the live version take the scores, whichever version graded them.
    fn rank(
        &self,
        tracked: &Tracked,
        ended: &Yield,
        effects: &[Effect],
    ) -> Result<(Vec<Placement>, Option<u32>), Refusal> {
        let Some(report) = ended.report.as_ref().filter(|_| effects.contains(&Effect::Rank)) else {
            return Ok((Vec::new(), None));
        };
        let challenge = &tracked.submission.challenge;
        let Some(row) = self.store.challenge(challenge)? else { return Ok((Vec::new(), None)) };
        let Some(version) = self.version(challenge, row.live)? else { return Ok((Vec::new(), None)) };
        Ok((placements(&version, &tracked.submission, report), Some(row.live)))
    }

    fn follow(&self, id: SubmissionId, effects: &[Effect]) {
        if effects.contains(&Effect::StopWork)
            && let Some(held) = self.running().get(&id)
        {
            held.stop.store(true, Ordering::Relaxed);
        }
    }

    /// Puts a waiting submission into the picture of the queue.
    pub(super) fn line_up(&self, tracked: &Tracked) -> Result<(), Refusal> {
        if tracked.job.state != State::Queued {
            return Ok(());
        }
        let Submission { challenge, version, phase, .. } = &tracked.submission;
        let version = self.version(challenge, *version)?;
        let Some(version) = version else { return Ok(()) };
        if let Some(phase) = version.challenge.phase(phase) {
            let new = self.queue().push(waiting(tracked, phase, &version));
            if new {
                self.still_waits(tracked.submission.id)?;
                self.signals.queued();
            }
        }
        Ok(())
    }

    /// Takes what was put into the picture out again if it was called off meanwhile.
    pub(super) fn still_waits(&self, id: SubmissionId) -> Result<(), Refusal> {
        let Some(tracked) = self.store.submission(id)? else { return Ok(()) };
        if tracked.job.state != State::Queued {
            let Submission { challenge, phase, entrant, .. } = tracked.submission;
            self.queue().remove(id, &(challenge, phase, entrant));
        }
        Ok(())
    }
}

/// What is logged of a change.
fn events(before: &Job, after: &Job, report: Option<&Report>) -> Vec<EventKind> {
    let mut events = Vec::new();
    if let Some(report) = report {
        events.push(EventKind::Report { outcome: report.outcome.word().to_owned() });
    }
    if before.state != after.state {
        events.push(EventKind::State { state: after.state, reason: after.reason.clone() });
    }
    events
}

fn settle(tracked: &Tracked, effects: &[Effect]) -> Option<Settle> {
    let settlement: Option<Settlement> = effects.iter().find_map(|effect| match effect {
        Effect::Settle(settlement) => Some(*settlement),
        Effect::Rank | Effect::TellOrganizers | Effect::StopWork | Effect::Enqueue => None,
    });
    let Submission { challenge, phase, entrant, submitted_at, .. } = &tracked.submission;
    let ledger = LedgerKey { challenge: challenge.clone(), phase: phase.clone(), entrant: entrant.clone() };
    settlement.map(|settlement| Settle { ledger, reserved_at: *submitted_at, settlement })
}
