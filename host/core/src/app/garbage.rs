//! Blobs that nothing refers to: what was kept for a row that was then not written, since the host died, or the row was
//! refused. They are found twice, hours apart, before they go: whoever kept one in between, or needs hours from the blob to
//! its row, keeps it. No clock is asked.

use super::{App, Refusal};
use crate::domain::challenge::Version;
use crate::domain::digest::Digest;
use crate::domain::id::ChallengeId;
use crate::domain::report::Report;
use crate::domain::submission::Body;
use crate::ports::blobs::Stamp;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// Submissions that are read at once.
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

impl App {
    /// The blobs that nothing refers to now. Reads all rows: for a thread of its own, and not often.
    ///
    /// # Errors
    /// Rows or lists cannot be read: then nothing is known to be garbage.
    pub fn garbage(&self) -> Result<Garbage, Refusal> {
        let needed = self.needed()?;
        let mut found = BTreeMap::new();
        for first in 0..=u8::MAX {
            for digest in self.blobs.list(first)?.into_iter().filter(|digest| !needed.contains(digest)) {
                if let Some(stamp) = self.blobs.stamp(digest)? {
                    found.insert(digest, stamp);
                }
            }
        }
        Ok(Garbage(found))
    }

    /// Removes what nothing refers to now and nothing referred to when `before` was found, unless it was kept again since.
    /// How many.
    ///
    /// # Errors
    /// As [`garbage`](Self::garbage); the disk's.
    pub fn collect(&self, before: &Garbage) -> Result<u64, Refusal> {
        if before.0.is_empty() {
            return Ok(0);
        }
        let needed = self.needed()?;
        let mut removed = 0;
        for (digest, stamp) in before.0.iter().filter(|(digest, _)| !needed.contains(digest)) {
            removed += u64::from(self.blobs.remove(*digest, *stamp)?);
        }
        Ok(removed)
    }

    /// All that a row refers to.
    fn needed(&self) -> Result<HashSet<Digest>, Refusal> {
        let mut needed = HashSet::new();
        // Those that are not live yet, too: a challenge is there once a version of it is.
        let operations = self.store.running_operations()?;
        let mut challenges: BTreeSet<ChallengeId> = operations.into_iter().map(|one| one.challenge).collect();
        challenges.extend(self.all_challenges()?.into_iter().map(|row| row.id));
        for id in &challenges {
            let mut number = 1;
            while let Some(Version { files, scorers, .. }) = self.store.version(id, number)? {
                self.files_of(&files, &mut needed)?;
                needed.extend(scorers.values().map(|scorer| scorer.component));
                number += 1;
            }
            let mut before = None;
            loop {
                let page = self.store.submissions(id, None, before, PAGE)?;
                let Some(last) = page.last() else { break };
                before = Some(last.submission.id);
                for tracked in &page {
                    self.files_of(&tracked.submission.files, &mut needed)?;
                    if tracked.job.run.is_some() || tracked.job.state.is_terminal() {
                        self.results_of(tracked.submission.id, &mut needed)?;
                    }
                }
            }
        }
        Ok(needed)
    }

    fn results_of(&self, id: crate::domain::id::SubmissionId, needed: &mut HashSet<Digest>) -> Result<(), Refusal> {
        needed.extend(self.store.log(id)?.as_ref().and_then(blob));
        if let Some(output) = self.store.run_output(id)? {
            needed.extend([output.stdout, output.stderr, output.ingestion].into_iter().flatten());
            if let Some(predictions) = &output.predictions {
                self.files_of(predictions, needed)?;
            }
        }
        if let Some(body) = self.store.report(id)? {
            needed.extend(blob(&body));
            let report: Report = serde_json::from_slice(&self.body(&body)?)
                .map_err(|error| Refusal::Stored { what: "a report", source: error.into() })?;
            needed.extend(report.attachments.iter().map(|attachment| attachment.digest));
        }
        Ok(())
    }

    /// A list of files, and all that holds them.
    fn files_of(&self, body: &Body, needed: &mut HashSet<Digest>) -> Result<(), Refusal> {
        needed.extend(blob(body));
        let kept = self.kept(body)?;
        needed.extend(kept.placed().map(|(_, holder, _)| holder));
        needed.extend(&kept.packs);
        Ok(())
    }
}

fn blob(body: &Body) -> Option<Digest> {
    match body {
        Body::Inline(_) => None,
        Body::Blob(digest) => Some(*digest),
    }
}
