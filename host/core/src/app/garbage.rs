//! Blobs that nothing refers to: what was kept for a row that was then not written, since the host died, or the row was
//! refused. They are found twice, hours apart, before they go: whoever kept one in between, or needs hours from the blob to
//! its row, keeps it. No clock is asked.

use super::{App, Refusal};
use crate::domain::challenge::Version;
use crate::domain::digest::Digest;
use crate::domain::id::{ChallengeId, SubmissionId};
use crate::domain::report::Report;
use crate::domain::submission::Body;
use crate::ports::blobs::Stamp;
use std::collections::{BTreeMap, HashSet};

/// Challenges and submissions that are read at once.
const PAGE: usize = 256;

/// Blobs that nothing referred to, each with what it was like then.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Garbage(BTreeMap<Digest, Stamp>);

impl Garbage {
    /// How many.
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

/// What is told of each blob that a row refers to.
type Needed<'a> = dyn FnMut(Digest) + 'a;

impl App {
    /// The blobs that nothing refers to now; none if the host stops meanwhile. Reads all rows: for a thread of its own, and not
    /// often.
    ///
    /// # Errors
    /// Rows or lists cannot be read: then nothing is known to be garbage.
    pub fn garbage(&self) -> Result<Garbage, Refusal> {
        let mut left = HashSet::new();
        for first in 0..=u8::MAX {
            left.extend(self.blobs.list(first)?);
        }
        // What is kept from here on is not among them.
        if !self.each_needed(&mut |digest| _ = left.remove(&digest))? {
            return Ok(Garbage::default());
        }
        let mut found = BTreeMap::new();
        for digest in left {
            found.extend(self.blobs.stamp(digest)?.map(|stamp| (digest, stamp)));
        }
        Ok(Garbage(found))
    }

    /// Removes what nothing refers to now and nothing referred to when `before` was found, unless it was kept again since.
    /// How many; none if the host stops meanwhile.
    ///
    /// # Errors
    /// As [`garbage`](Self::garbage); the disk's.
    pub fn collect(&self, before: &Garbage) -> Result<u64, Refusal> {
        let mut left = before.0.clone();
        if left.is_empty() || !self.each_needed(&mut |digest| _ = left.remove(&digest))? {
            return Ok(0);
        }
        let mut removed = 0;
        for (digest, stamp) in left {
            removed += u64::from(self.blobs.remove(digest, stamp)?);
        }
        Ok(removed)
    }

    /// Tells all that a row refers to. `false`: the host stops, and not all was told.
    fn each_needed(&self, needed: &mut Needed<'_>) -> Result<bool, Refusal> {
        let mut last: Option<ChallengeId> = None;
        loop {
            // All versions, whatever became of them: their rows stay.
            let challenges = self.store.published(last.as_ref(), PAGE)?;
            let Some(next) = challenges.last() else { return Ok(true) };
            last = Some(next.clone());
            for id in &challenges {
                if !self.each_needed_of(id, needed)? {
                    return Ok(false);
                }
            }
        }
    }

    fn each_needed_of(&self, id: &ChallengeId, needed: &mut Needed<'_>) -> Result<bool, Refusal> {
        let mut number = 1;
        while let Some(Version { files, scorers, .. }) = self.store.version(id, number)? {
            self.files_of(&files, needed)?;
            scorers.values().for_each(|scorer| needed(scorer.component));
            number += 1;
        }
        let mut before = None;
        loop {
            if self.is_stopping() {
                return Ok(false);
            }
            let page = self.store.submissions(id, None, before, PAGE)?;
            let Some(last) = page.last() else { return Ok(true) };
            before = Some(last.submission.id);
            for tracked in &page {
                self.files_of(&tracked.submission.files, needed)?;
                if tracked.job.run.is_some() || tracked.job.state.is_terminal() {
                    self.results_of(tracked.submission.id, needed)?;
                }
            }
        }
    }

    fn results_of(&self, id: SubmissionId, needed: &mut Needed<'_>) -> Result<(), Refusal> {
        self.store.log(id)?.as_ref().and_then(blob).into_iter().for_each(&mut *needed);
        if let Some(output) = self.store.run_output(id)? {
            [output.stdout, output.stderr, output.ingestion].into_iter().flatten().for_each(&mut *needed);
            if let Some(predictions) = &output.predictions {
                self.files_of(predictions, needed)?;
            }
        }
        if let Some(body) = self.store.report(id)? {
            blob(&body).into_iter().for_each(&mut *needed);
            let report: Report = serde_json::from_slice(&self.body(&body)?)
                .map_err(|error| Refusal::Stored { what: "a report", source: error.into() })?;
            report.attachments.iter().for_each(|attachment| needed(attachment.digest));
        }
        Ok(())
    }

    /// A list of files, and all that holds them.
    fn files_of(&self, body: &Body, needed: &mut Needed<'_>) -> Result<(), Refusal> {
        blob(body).into_iter().for_each(&mut *needed);
        let kept = self.kept(body)?;
        kept.placed().for_each(|(_, holder, _)| needed(holder));
        kept.packs.iter().copied().for_each(needed);
        Ok(())
    }
}

fn blob(body: &Body) -> Option<Digest> {
    match body {
        Body::Inline(_) => None,
        Body::Blob(digest) => Some(*digest),
    }
}
