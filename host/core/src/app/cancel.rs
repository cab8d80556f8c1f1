//! Calling a submission off.

use super::change::Yield;
use super::{App, Refusal};
use crate::domain::audit::{Act, Deed};
use crate::domain::id::SubmissionId;
use crate::domain::job::{IllegalTransition, Job, JobEvent, State};
use crate::domain::token::Token;

impl App {
    /// Calls `id` off. While it waits that costs nothing; once it is worked on, it counts.
    ///
    /// # Errors
    /// Not the bearer's; ended already.
    pub fn cancel(&self, token: &Token, id: SubmissionId) -> Result<Job, Refusal> {
        let seen = self.see_submission(token, id)?;
        let submission = &seen.tracked.submission;
        let seat = (submission.challenge.clone(), submission.phase.clone(), submission.entrant.clone());
        // Before that there is nothing, and later all of it is kept.
        let runs = seen.tracked.job.state == State::Running;
        let mut printed = if runs { self.printed_until_now(id)? } else { Yield::default() };
        if submission.entrant != token.subject {
            let act = Act::Cancelled { challenge: seat.0.clone(), submission: id, entrant: seat.2.clone() };
            printed.deed = Some(Deed::new(token, self.clock.now(), act, None));
        }
        match self.change(id, &JobEvent::Cancelled, Some(&printed))? {
            Some(job) => {
                self.queue().remove(id, &seat);
                // It may have held the line for want of room.
                self.signals.queued();
                Ok(job)
            }
            None => {
                let state = self.store.submission(id)?.map_or(seen.tracked.job.state, |tracked| tracked.job.state);
                Err(IllegalTransition::FromHere(state).into())
            }
        }
    }
}
