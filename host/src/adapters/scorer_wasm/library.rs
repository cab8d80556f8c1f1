//! Components, ready to run: found in memory, on disk, or compiled.
//!
//! Knows nothing of runs. At most one component is compiled at a time, so a crowd that asks for the same one waits for
//! one compilation; what was compiled before waits for none.

use super::bindings::ScorerPre;
use super::cache::{self, Cache};
use super::compile::{CompileError, Compiler, compile};
use super::engine::{self, Allocation};
use super::outcome::cut;
use super::run::{State, failed};
use super::{EngineConfig, admit, bindings, wasi};
use gradus_core::domain::digest::Digest;
use gradus_core::ports::scorer::{NotAdmitted, ScorerError};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use wasmtime::Engine;
use wasmtime::component::{Component, HasSelf, Linker};

/// Components that stay in memory.
const KEPT: usize = 64;

/// Why a component is not at hand.
pub(super) enum NotReady {
    /// It is no scorer.
    NotAdmitted(NotAdmitted),
    /// It took too long to compile, which may be its fault or ours.
    Slow(String),
    /// We could not do our part.
    Platform(ScorerError),
}

impl From<NotAdmitted> for NotReady {
    fn from(error: NotAdmitted) -> Self {
        Self::NotAdmitted(error)
    }
}

#[derive(Default)]
struct Shelf {
    ready: HashMap<Digest, (ScorerPre<State>, u64)>,
    uses: u64,
}

impl Shelf {
    fn get(&mut self, digest: Digest) -> Option<ScorerPre<State>> {
        self.uses += 1;
        let (scorer, used) = self.ready.get_mut(&digest)?;
        *used = self.uses;
        Some(scorer.clone())
    }

    fn put(&mut self, digest: Digest, scorer: ScorerPre<State>) {
        self.uses += 1;
        self.ready.insert(digest, (scorer, self.uses));
        if self.ready.len() > KEPT {
            let oldest = self.ready.iter().min_by_key(|(_, (_, used))| *used).map(|(digest, _)| *digest);
            oldest.map(|digest| self.ready.remove(&digest));
        }
    }
}

/// All components that are ready to run, and what makes them so.
pub(super) struct Library {
    engine: Engine,
    allocation: Allocation,
    compiler: Compiler,
    linker: Linker<State>,
    cache: Option<Cache>,
    shelf: Mutex<Shelf>,
    compiling: Mutex<()>,
}

impl Library {
    pub(super) fn new(config: EngineConfig) -> Result<Self, ScorerError> {
        let (engine, allocation) = engine::start(config.slots).map_err(|error| failed("starting the engine", error))?;
        Self::with(config, allocation, engine)
    }

    /// On an engine that runs.
    pub(super) fn with(config: EngineConfig, allocation: Allocation, engine: Engine) -> Result<Self, ScorerError> {
        let mut linker = Linker::new(&engine);
        wasi::add_to_linker(&mut linker)
            .and_then(|()| bindings::Scorer::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state))
            .map_err(|error| failed("linking the host's functions", error))?;
        let open = |path: std::path::PathBuf| Cache::open(&path, engine::build(&engine));
        let cache = config.cache.map(open).transpose().map_err(|error| failed("opening the cache", error))?;
        if allocation == Allocation::Frugal {
            tracing::warn!("little address space: scorers run slower; is there a `ulimit -v`?");
        }
        let (shelf, compiling) = (Mutex::default(), Mutex::default());
        Ok(Self { engine, allocation, compiler: config.compiler, linker, cache, shelf, compiling })
    }

    /// The component with that digest, ready to run. `bytes` gives it when it has to be compiled.
    pub(super) fn scorer(
        &self,
        digest: Digest,
        bytes: impl FnOnce() -> Result<Vec<u8>, ScorerError>,
    ) -> Result<ScorerPre<State>, NotReady> {
        if let Some(scorer) = self.shelf().get(digest) {
            return Ok(scorer);
        }
        if let Some(component) = self.cached(digest) {
            return self.shelve(digest, &component);
        }
        let _one_at_a_time = self.compiling.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(scorer) = self.shelf().get(digest) {
            return Ok(scorer);
        }
        let component = self.compiled(digest, &bytes().map_err(NotReady::Platform)?)?;
        self.shelve(digest, &component)
    }

    fn shelve(&self, digest: Digest, component: &Component) -> Result<ScorerPre<State>, NotReady> {
        admit::imports(&self.engine, component)?;
        admit::counts(component)?;
        let scorer = admit::link(&self.engine, &self.linker, component)?;
        self.shelf().put(digest, scorer.clone());
        Ok(scorer)
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cached(&self, digest: Digest) -> Option<Component> {
        let code = self.cache.as_ref()?.get(digest)?;
        // Code of another version or configuration: it is made anew.
        cache::load(&self.engine, &code).ok()
    }

    fn compiled(&self, digest: Digest, bytes: &[u8]) -> Result<Component, NotReady> {
        admit::screen(bytes)?;
        let code = compile(&self.engine, self.allocation, &self.compiler, bytes).map_err(|error| match error {
            CompileError::Component(text) => NotReady::NotAdmitted(NotAdmitted::Component(text)),
            slow @ CompileError::Slow(_) => NotReady::Slow(slow.to_string()),
            error @ (CompileError::Child(_) | CompileError::Ended(..)) => {
                NotReady::Platform(failed("compiling it", error))
            }
        })?;
        let component = cache::load(&self.engine, &code).map_err(|error| match too_much(&error) {
            Some(text) => NotReady::NotAdmitted(NotAdmitted::Component(text)),
            None => NotReady::Platform(failed("loading its code", error)),
        })?;
        if let Some(Err(error)) = self.cache.as_ref().map(|cache| cache.put(digest, &code)) {
            // It works without: only the next start compiles again.
            tracing::warn!(%error, "could not keep a compiled scorer");
        }
        Ok(component)
    }
}

/// What the pool says of a component that needs more than a slot holds. It has no type of its own to tell it by; a test
/// holds on to the words.
fn too_much(error: &wasmtime::Error) -> Option<String> {
    let text = format!("{error:#}");
    let what = "the component is more than a run may be; make it smaller, or leave parts out";
    text.contains(" exceeds the ").then(|| cut(format!("{what}: {text}")))
}
