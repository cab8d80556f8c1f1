//! The format check: the organizer's `validate` on files that are not kept yet.

use super::folder::{File, Folder};
use super::grade::{Grader, cut};
use super::{App, Refusal};
use crate::domain::challenge::Version;
use crate::domain::digest::Digest;
use crate::domain::id::TaskId;
use crate::domain::manifest::Located;
use crate::domain::tree::{Tree, TreeFile, TreePath};
use crate::ports::blobs::{PendingBlob, ReadAt};
use crate::ports::scorer::Ended;
use std::sync::Arc;

/// Files on their way in: they can be read now and kept later.
pub struct Pending {
    folder: Folder,
    blobs: Vec<Arc<Box<dyn PendingBlob>>>,
}

impl Pending {
    /// Takes the files over.
    ///
    /// # Errors
    /// A path that is there twice.
    pub fn new(files: Vec<(TreePath, Box<dyn PendingBlob>)>) -> Result<Self, TreePath> {
        let mut blobs = Vec::with_capacity(files.len());
        let mut opened = Vec::with_capacity(files.len());
        for (path, blob) in files {
            let about = TreeFile { path, len: blob.len(), digest: blob.digest() };
            let blob = Arc::new(blob);
            opened.push(File { about, bytes: Arc::clone(&blob) as Arc<dyn ReadAt> });
            blobs.push(blob);
        }
        Ok(Self { folder: Folder::new(opened)?, blobs })
    }

    /// The files, to be read.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Keeps all of them. They are durable when this returns.
    pub(super) fn keep(self, app: &App) -> Result<Tree, Refusal> {
        let tree = self.folder.tree().clone();
        drop(self.folder);
        for blob in self.blobs {
            match Arc::try_unwrap(blob) {
                Ok(blob) => drop(blob.keep()?),
                // Whoever still reads it keeps the file open; the bytes go in as a copy.
                Err(shared) => drop(app.copy(&*shared)?),
            }
        }
        Ok(tree)
    }
}

impl App {
    /// Keeps a copy of what `source` holds.
    fn copy(&self, source: &dyn ReadAt) -> Result<Digest, Refusal> {
        let mut blob = self.blobs.create()?;
        let mut buffer = vec![0; 64 << 10];
        let mut at = 0;
        loop {
            let count = source.read_at(at, &mut buffer).map_err(crate::ports::blobs::BlobError::Write)?;
            if count == 0 {
                return Ok(blob.keep()?);
            }
            blob.write_all(&buffer[..count]).map_err(crate::ports::blobs::BlobError::Write)?;
            at += count as u64;
        }
    }

    /// What grades `task` of `version`.
    ///
    /// # Errors
    /// What was stored cannot be read.
    pub fn grader(&self, version: &Version, task: &TaskId) -> Result<Arc<Grader>, Refusal> {
        let key = (version.challenge.id.clone(), version.version, task.clone());
        if let Some(grader) = self.graders().get(&key) {
            return Ok(Arc::clone(grader));
        }
        let (Some(found), Some(scorer)) = (version.challenge.task(task), version.scorers.get(task)) else {
            return Err(Refusal::Unknown("task"));
        };
        let files = self.folder(&version.files)?;
        let grader = Arc::new(Grader {
            task: found.clone(),
            component: scorer.component,
            source: self.blobs.open(scorer.component)?,
            description: scorer.description.clone(),
            reference: files.at(&found.reference),
            template: found.template.as_ref().map_or_else(Folder::default, |path| files.at(path)),
        });
        let mut graders = self.graders();
        // Versions never change, so whatever is here is right; a full shelf is simply cleared.
        if graders.len() >= 64 {
            graders.clear();
        }
        graders.insert(key, Arc::clone(&grader));
        Ok(grader)
    }

    /// Runs the format check.
    ///
    /// # Errors
    /// [`Refusal::Format`] with the problems; [`Refusal::CheckFailed`] when it is the challenge's doing.
    pub fn check(&self, grader: &Grader, predictions: &Folder) -> Result<(), Refusal> {
        match grader.validate(&*self.scorer, predictions)?.ended {
            Ended::Value(()) => Ok(()),
            Ended::InvalidSubmission(problems) => Err(Refusal::Format(cut(problems))),
            Ended::InvalidChallenge(what) | Ended::Failed(what) => Err(Refusal::CheckFailed(what)),
            Ended::Limit { limit, used, allowed } => {
                Err(Refusal::CheckFailed(format!("it reached its limit of {limit:?}: {used} of {allowed}")))
            }
            Ended::Stopped => Err(Refusal::CheckFailed("it was stopped".to_owned())),
        }
    }
}

/// Shows located problems one to a line.
pub fn lines(problems: &[Located]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}
