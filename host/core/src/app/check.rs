//! The format check: the organizer's `validate` on files that are not kept yet.

use super::folder::{File, Folder};
use super::grade::{Grader, cut};
use super::{App, Refusal};
use crate::domain::challenge::Version;
use crate::domain::digest::Digest;
use crate::domain::id::TaskId;
use crate::domain::kept::Kept;
use crate::domain::manifest::Located;
use crate::domain::report::LimitKind;
use crate::domain::submission::MAX_INLINE;
use crate::domain::tree::{TreeFile, TreePath};
use crate::ports::blobs::{BlobError, Part, PendingBlob, ReadAt, read_all};
use crate::ports::scorer::Ended;
use crate::ports::store::Small;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Files that go in with their row, at most: more are one blob.
const MAX_SMALL: usize = 64;

/// Files on their way in: they can be read now and kept later. Dropped, they are gone.
pub struct Pending {
    folder: Folder,
    own: Vec<Arc<Box<dyn PendingBlob>>>,
    packs: Vec<Arc<Box<dyn PendingBlob>>>,
    /// The files that lie in a pack: which, and from where on.
    places: BTreeMap<TreePath, (u32, u64)>,
}

impl Pending {
    /// Takes the files over.
    ///
    /// # Errors
    /// A path that is there twice.
    pub fn new(parts: Vec<Part>) -> Result<Self, TreePath> {
        let (mut own, mut files) = (Vec::new(), Vec::with_capacity(parts.len()));
        let (mut packs, mut places) = (Vec::<Arc<Box<dyn PendingBlob>>>::new(), BTreeMap::new());
        for part in parts {
            match part {
                Part::Own(path, blob) => {
                    let about = TreeFile { path, len: blob.len(), digest: blob.digest() };
                    let blob = Arc::new(blob);
                    files.push(File { about, bytes: Arc::clone(&blob) as Arc<dyn ReadAt> });
                    own.push(blob);
                }
                Part::Inside(about, slice) => {
                    let known = packs.iter().position(|pack| Arc::ptr_eq(pack, &slice.whole));
                    let pack = known.unwrap_or_else(|| {
                        packs.push(Arc::clone(&slice.whole));
                        packs.len() - 1
                    });
                    places.insert(about.path.clone(), (u32::try_from(pack).unwrap_or(u32::MAX), slice.at));
                    files.push(File { about, bytes: Arc::new(slice) });
                }
            }
        }
        Ok(Self { folder: Folder::new(files)?, own, packs, places })
    }

    /// The files, to be read.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Keeps all of them: few bytes in few files to go in with the row that names them, more as blobs, durable when this
    /// returns.
    pub(super) fn keep_with_row(self, app: &App) -> Result<(Kept, Vec<Small>), Refusal> {
        let files = self.folder.files();
        if files.len() > MAX_SMALL || files.iter().map(|file| file.about.len).sum::<u64>() > MAX_INLINE as u64 {
            return Ok((self.keep(app)?, Vec::new()));
        }
        let small = |file: &File| {
            let digest = file.about.digest;
            let bytes = read_all(&*file.bytes).map_err(|source| BlobError::Read { digest, source })?;
            if Digest::of(&bytes) == digest { Ok(Small { digest, bytes }) } else { Err(changed(digest)) }
        };
        let small = files.iter().map(small).collect::<Result<_, Refusal>>()?;
        Ok((Kept::apart(self.folder.tree().clone()), small))
    }

    /// Keeps all of them. They are durable when this returns.
    pub(super) fn keep(self, app: &App) -> Result<Kept, Refusal> {
        let Self { folder, own, packs, places } = self;
        let mut kept = Kept::apart(folder.tree().clone());
        drop(folder);
        for blob in own {
            app.keep_shared(blob)?;
        }
        kept.packs = packs.into_iter().map(|pack| app.keep_shared(pack)).collect::<Result<_, _>>()?;
        if !kept.packs.is_empty() {
            kept.places = kept.files.files().iter().map(|file| places.get(&file.path).copied()).collect();
        }
        Ok(kept)
    }
}

impl App {
    /// Keeps a blob that a scorer may have read.
    fn keep_shared(&self, blob: Arc<Box<dyn PendingBlob>>) -> Result<Digest, Refusal> {
        match Arc::try_unwrap(blob) {
            Ok(blob) => Ok(blob.keep()?),
            // Whoever still reads it keeps the file open; the bytes go in as a copy.
            Err(shared) => self.copy(shared.digest(), &*shared),
        }
    }

    /// Keeps a copy of what `source` holds, which has to have that digest still.
    fn copy(&self, digest: Digest, source: &dyn ReadAt) -> Result<Digest, Refusal> {
        let mut blob = self.blobs.create()?;
        let mut buffer = vec![0; 64 << 10];
        let mut at = 0;
        loop {
            let count = source.read_at(at, &mut buffer).map_err(|source| BlobError::Read { digest, source })?;
            if count == 0 {
                break;
            }
            blob.write_all(&buffer[..count]).map_err(BlobError::Write)?;
            at += count as u64;
        }
        if blob.keep()? == digest { Ok(digest) } else { Err(changed(digest)) }
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
            // Wall time says as much of the machine as of the scorer.
            Ended::Limit { limit: LimitKind::Wall, .. } => Err(Refusal::CheckSlow),
            Ended::Limit { limit, used, allowed } => {
                Err(Refusal::CheckFailed(format!("it reached its limit of {limit:?}: {used} of {allowed}")))
            }
            Ended::Stopped => Err(Refusal::CheckFailed("it was stopped".to_owned())),
        }
    }
}

/// What is read is not what was taken in.
fn changed(digest: Digest) -> Refusal {
    let source = std::io::ErrorKind::InvalidData.into();
    BlobError::Read { digest, source }.into()
}

/// Shows located problems one to a line.
pub fn lines(problems: &[Located]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}
