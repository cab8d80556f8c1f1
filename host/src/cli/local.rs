//! A challenge on this computer: its folder, the crates in it that have to be built, and the engine that runs it.

mod build;

use super::{Context, usage};
use crate::workspace::{self, limits::ArchiveLimits};
use anyhow::Context as _;
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use gradus_core::app::folder::{File, Folder, digest_of};
use gradus_core::app::launch::Containers;
use gradus_core::app::publish::{Inspected, Programs, built, inspect};
use gradus_core::domain::challenge::ScorerSource;
use gradus_core::domain::digest::Digest;
use gradus_core::domain::id::RunId;
use gradus_core::domain::manifest::{self, FILE, Located};
use gradus_core::domain::tree::{TreeFile, TreePath};
use gradus_core::ports::blobs::{ReadAt, read_all};
use gradus_core::ports::scorer::Scorer;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tempfile::TempDir;
use ulid::Ulid;

/// A folder with what was built in it.
pub struct Local {
    /// The files, with built scorers.
    pub folder: Folder,
    /// What runs them.
    pub scorer: Arc<dyn Scorer>,
    /// What runs programs, or why nothing does.
    pub containers: Result<Containers, String>,
    /// Set when the user wants it to end.
    pub stop: Arc<AtomicBool>,
    /// What programs leave, until this is over.
    _room: Option<TempDir>,
}

/// Writes `folder`, which was looked over, into an archive at `path`: what is sent is what was looked at.
pub fn pack(folder: &Folder, path: &Path) -> anyhow::Result<()> {
    let files = folder.files().iter().map(|file| (&file.about.path, &*file.bytes));
    let packed = std::fs::File::create(path).and_then(|out| workspace::pack(files, std::io::BufWriter::new(out)));
    packed.with_context(|| format!("could not pack the folder into {}", path.display()))
}

/// Files with their digests.
pub fn digested(files: Vec<(TreePath, u64, Arc<dyn ReadAt>)>) -> anyhow::Result<Folder> {
    let file = |(path, len, bytes): (TreePath, u64, Arc<dyn ReadAt>)| {
        let digest = digest_of(&*bytes).with_context(|| format!("could not read {path}"))?;
        Ok(File { about: TreeFile { path, len, digest }, bytes })
    };
    let files = files.into_iter().map(file).collect::<anyhow::Result<Vec<_>>>()?;
    Folder::new(files).map_err(|twice| anyhow::anyhow!("`{twice}` is there twice"))
}

/// A handle on a folder.
pub fn open(path: &Path) -> anyhow::Result<Dir> {
    Dir::open_ambient_dir(path, ambient_authority()).with_context(|| format!("could not open {}", path.display()))
}

/// The files of a challenge's folder, as they are.
pub fn read(path: &Path) -> anyhow::Result<Folder> {
    if !path.join(FILE).is_file() {
        let what = "there is no challenge.toml in it; name the folder of a challenge, or start one with";
        return Err(usage(format!("{}: {what} `gradus challenge new`", path.display())));
    }
    digested(workspace::folder(&open(path)?, &ArchiveLimits::challenge())?)
}

/// Reads the folder of a challenge, builds the scorers in it that are crates, and starts the engine; the one for containers,
/// too, if a task takes programs and they are to be `tried` here.
pub fn load(context: &Context, path: &Path, tried: bool) -> anyhow::Result<Local> {
    let (folder, programs) = with_built(context, path, read(path)?)?;
    let stop = Arc::default();
    let mut room = None;
    let mut containers = Err("nobody asked for them".to_owned());
    if programs && tried {
        let made = tempfile::tempdir().context("could not make a temporary folder")?;
        containers = context.host.containers(made.path(), Arc::clone(&stop));
        room = Some(made);
    }
    Ok(Local { folder, scorer: engine(context)?, containers, stop, _room: room })
}

/// A name for a run that no other has.
pub fn run_id() -> RunId {
    let mut bytes = [0; 16];
    // Without randomness the engine refuses a name that it has.
    let _ = getrandom::fill(&mut bytes);
    RunId(Ulid(u128::from_ne_bytes(bytes)))
}

/// The engine, with compiled scorers kept where this user's caches are.
pub fn engine(context: &Context) -> anyhow::Result<Arc<dyn Scorer>> {
    context.host.scorer(context.environment.compiled().as_deref()).context("the engine for scorers did not start")
}

/// Looks the folder over.
pub fn look(context: &Context, local: &Local) -> anyhow::Result<Result<Inspected, Vec<Located>>> {
    // Without an engine here, a server may have one.
    let programs = Programs::Try(local.containers.as_ref().map_err(String::as_str));
    Ok(inspect(&local.folder, &*local.scorer, context.host.stock(), programs)?)
}

/// `folder` and the components of its crates; and whether a task takes programs. What is wrong with challenge.toml is left
/// to those who look it over.
fn with_built(context: &Context, path: &Path, folder: Folder) -> anyhow::Result<(Folder, bool)> {
    let text =
        folder.get(FILE).and_then(|file| read_all(&*file.bytes).ok()).and_then(|text| String::from_utf8(text).ok());
    let Some(Ok(manifest)) = text.map(|text| manifest::parse(&text)) else { return Ok((folder, false)) };
    let programs = manifest.challenge.tasks.iter().any(|task| task.run.is_some());
    let mut files = folder.files().to_vec();
    for task in &manifest.challenge.tasks {
        let ScorerSource::Crate(name) = &task.scorer else { continue };
        let place: TreePath =
            built(name).parse().map_err(|_| anyhow::anyhow!("`{name}` is too long a name for a crate"))?;
        if folder.at(&format!("{name}/Cargo.toml")).files().is_empty() {
            let key = format!("tasks.{}.scorer", task.id);
            let problem = manifest.problem(&key, format!("there is no crate `{name}`: {name}/Cargo.toml is missing"));
            anyhow::bail!("{problem}");
        }
        context.out.note(format!("building {}", path.join(name).display()))?;
        let bytes = build::component(&path.join(name))?;
        let about = TreeFile { path: place.clone(), len: bytes.len() as u64, digest: Digest::of(&bytes) };
        // One that lies in the folder may be an old one.
        files.retain(|file| file.about.path != place);
        files.push(File { about, bytes: Arc::new(bytes) });
    }
    let folder = Folder::new(files).map_err(|twice| anyhow::anyhow!("`{twice}` is there twice"))?;
    Ok((folder, programs))
}
