//! The port `Scorer` on wasmtime: an organizer's component, run within limits and with nothing granted.
//!
//! Architecture invariants: one store for each run, and never a second call in it. No wasmtime type leaves this folder.
//! Every limit of a run comes from the domain's `Limits`, but for counts of things that a guest never needs many of.
//! The same component, data and parameters give the same report and the same fuel on any machine: there is no clock, no
//! environment, no thread and no randomness that a guest could tell two runs apart by.

mod admit;
mod bindings;
mod cache;
mod compile;
mod data;
mod engine;
mod feedback;
mod library;
mod limiter;
mod log_sink;
mod outcome;
mod returned;
mod run;
pub mod stock;
mod wasi;

pub use compile::{Compiler, SUBCOMMAND, compile_child};

use gradus_core::domain::digest::Digest;
use gradus_core::domain::limits::Limits;
use gradus_core::domain::metric::Description;
use gradus_core::ports::blobs::read_all;
use gradus_core::ports::scorer::{Ended, Listener, NotAdmitted, Ran, Returned, Run, Scorer, ScorerError};
use library::{Library, NotReady};
use run::{Task, failed};
use std::path::PathBuf;
use std::sync::Arc;

/// How the engine is set up. No result depends on any of it.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Folder for compiled components, closed to all other users; without one they are compiled at each start.
    pub cache: Option<PathBuf>,
    /// Where components are compiled.
    pub compiler: Compiler,
    /// Runs at a time, at most; one more fails as ours and is retried.
    pub slots: usize,
}

/// Runs scorers that are components of `gradus:scoring/scorer`. One for each process.
///
/// Its methods block and must not be called on a thread of an asynchronous runtime.
pub struct WasmScorer {
    library: Library,
}

impl WasmScorer {
    /// Starts the engine.
    ///
    /// # Errors
    /// There is no memory for it, or the cache folder is not safe.
    pub fn new(config: EngineConfig) -> Result<Self, ScorerError> {
        Library::new(config).map(|library| Self { library })
    }

    /// The component of `run`, or how the run ends without it.
    fn scorer<T>(&self, run: &Run) -> Result<Result<bindings::ScorerPre<run::State>, Ran<T>>, ScorerError> {
        let bytes = || {
            let bytes = read_all(&*run.source).map_err(|error| failed("reading the component", error))?;
            if Digest::of(&bytes) == run.component {
                Ok(bytes)
            } else {
                Err(ScorerError { what: "the component's bytes are not those of its digest".into(), source: None })
            }
        };
        match self.library.scorer(run.component, bytes) {
            Ok(scorer) => Ok(Ok(scorer)),
            // It was admitted once, and this version of Gradus takes it no more.
            Err(NotReady::NotAdmitted(error)) => Ok(Err(Ran {
                ended: Ended::Failed(format!("the scorer cannot be used any more: {error}")),
                cost: gradus_core::domain::report::Cost::default(),
                log: Vec::new(),
                notes: Vec::new(),
                attachments: Vec::new(),
            })),
            Err(NotReady::Slow(text)) => Err(ScorerError { what: text, source: None }),
            Err(NotReady::Platform(error)) => Err(error),
        }
    }
}

impl Scorer for WasmScorer {
    fn engine(&self) -> String {
        engine::SEMANTICS.to_owned()
    }

    fn admit(
        &self,
        component: &[u8],
        params: &str,
        limits: &Limits,
    ) -> Result<Result<Description, NotAdmitted>, ScorerError> {
        if let Err(error) = admit::screen(component) {
            return Ok(Err(error));
        }
        let digest = Digest::of(component);
        let scorer = match self.library.scorer(digest, || Ok(component.to_vec())) {
            Ok(scorer) => scorer,
            Err(NotReady::NotAdmitted(error)) => return Ok(Err(error)),
            Err(NotReady::Slow(text)) => return Ok(Err(NotAdmitted::Component(text))),
            Err(NotReady::Platform(error)) => return Err(error),
        };
        if let Err(error) = admit::memory(scorer.instance_pre().component(), limits) {
            return Ok(Err(error));
        }
        let limits = limits.to_describe();
        let task = Task {
            input: data::Input { trees: Default::default(), params: params.to_owned() },
            seed: digest,
            limits: &limits,
            stop: Arc::default(),
        };
        let ran = run::run(&scorer, task, &mut (), async |scorer, store| {
            let said = scorer.call_describe(store).await?;
            Ok(said.map_or_else(Ended::InvalidChallenge, |said| Ended::Value(returned::description(said))))
        })?;
        Ok(admit::described(ran))
    }

    fn validate(&self, run: &Run) -> Result<Ran<()>, ScorerError> {
        let scorer = match self.scorer(run)? {
            Ok(scorer) => scorer,
            Err(ran) => return Ok(ran),
        };
        run::run(&scorer, Task::of(run, false), &mut (), async |scorer, store| {
            let said = scorer.call_validate(store).await?;
            Ok(said.map_or_else(returned::failure, Ended::Value))
        })
    }

    fn score(&self, run: &Run, listener: &mut dyn Listener) -> Result<Ran<Returned>, ScorerError> {
        let scorer = match self.scorer(run)? {
            Ok(scorer) => scorer,
            Err(ran) => return Ok(ran),
        };
        run::run(&scorer, Task::of(run, true), listener, async |scorer, store| {
            let said = scorer.call_score(store).await?;
            Ok(said.map_or_else(returned::failure, |report| returned::report(report, &run.limits)))
        })
    }
}

#[cfg(test)]
mod tests;
