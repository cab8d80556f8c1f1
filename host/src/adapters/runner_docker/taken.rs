//! What a run under way has to itself: a user, GPUs, CPUs. All of it is leased here, by name, so that two runs never share one.

use super::Shared;
use gradus_core::domain::id::RunId;
use gradus_core::domain::units::Bytes;
use gradus_core::ports::runner::{Run, RunnerError};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

/// What one run has.
#[derive(Debug, Clone, Default)]
pub(super) struct Taken {
    /// User and group.
    pub(super) user: u32,
    /// GPUs.
    pub(super) gpus: Vec<String>,
    /// CPUs: those of its first container, and of the one beside.
    pub(super) cpus: [Vec<usize>; 2],
    /// The run is over, and could not be removed: a sweep does that, and gives back what it has.
    pub(super) left: bool,
}

/// Bigger GPUs that a run was put off for: smaller runs keep off them until then.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    memory: Bytes,
    until: Instant,
}

/// How long they are kept for it. It asks again sooner.
const KEPT: Duration = Duration::from_secs(30);

impl Taken {
    /// The CPUs of one of its containers as the kernel lists them; `None`: any.
    pub(super) fn cpuset(&self, first: bool) -> Option<String> {
        let cpus = &self.cpus[usize::from(!first)];
        let numbers: Vec<_> = cpus.iter().map(ToString::to_string).collect();
        (!numbers.is_empty()).then(|| numbers.join(","))
    }
}

/// The CPUs that this process may use, by their numbers.
pub(super) fn cpus() -> Vec<usize> {
    let all = rustix::thread::sched_getaffinity(None)
        .map(|set| (0..rustix::thread::CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect());
    // A machine with more than a set holds.
    all.unwrap_or_else(|_| (0..available_parallelism().map_or(1, usize::from)).collect())
}

impl Shared {
    /// Gives the run what it is to have alone; it gives it back by leaving those under way. With a user of its own, what the
    /// kernel counts by user no other run uses up. Or why it waits: others have the GPUs or CPUs that it needs, or nobody.
    pub(super) fn begin(&self, run: &Run) -> Result<Result<Taken, &'static str>, RunnerError> {
        let wrong = |what: String| RunnerError { what, source: None };
        let mut active = self.active();
        if active.contains_key(&run.id) {
            return Err(wrong(format!("the run {} is under way already", run.id)));
        }
        let gpus = match self.lease_gpus(run, &active) {
            Ok(gpus) => gpus,
            Err(why) => return Ok(Err(why)),
        };
        let busy: BTreeSet<usize> = active.values().flat_map(|taken| taken.cpus.iter().flatten().copied()).collect();
        // The last ones first: what else goes on tends to be on the first.
        let mut free = self.cpus.iter().rev().copied().filter(|cpu| !busy.contains(cpu));
        let each = if run.pinned { usize::try_from(run.limits.cpus.0.div_ceil(1000)).unwrap_or(usize::MAX) } else { 0 };
        let first: Vec<usize> = free.by_ref().take(each).collect();
        let beside: Vec<usize> = free.take(if run.beside.is_some() { each } else { 0 }).collect();
        if first.len() < each || (run.beside.is_some() && beside.len() < each) {
            let all = each.saturating_mul(if run.beside.is_some() { 2 } else { 1 });
            return Ok(Err(if self.cpus.len() < all {
                "the task wants more CPUs to itself than the server has now"
            } else {
                "it waits for CPUs of its own, which others have now"
            }));
        }
        let taken: BTreeSet<u32> = active.values().map(|taken| taken.user).collect();
        let user = self.users().find(|user| !taken.contains(user));
        let user = user.ok_or_else(|| wrong("more runs are under way than there are users for".to_owned()))?;
        let taken = Taken { user, gpus, cpus: [first, beside], left: false };
        active.insert(run.id, taken.clone());
        Ok(Ok(taken))
    }

    /// The GPUs of a run, the least that are enough: others may need more. Or why it has none.
    fn lease_gpus(&self, run: &Run, active: &BTreeMap<RunId, Taken>) -> Result<Vec<String>, &'static str> {
        let count = run.gpus as usize;
        if count == 0 {
            return Ok(Vec::new());
        }
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = wanted.filter(|wanted| wanted.memory > run.gpu_memory && wanted.until > Instant::now());
        let busy: BTreeSet<&String> = active.values().flat_map(|taken| &taken.gpus).collect();
        let enough = || self.gpus.iter().filter(|gpu| gpu.memory >= run.gpu_memory);
        let free = enough().filter(|gpu| !busy.contains(&gpu.id));
        let free = free.filter(|gpu| kept.is_none_or(|kept| gpu.memory < kept.memory));
        let gpus: Vec<String> = free.take(count).map(|gpu| gpu.id.clone()).collect();
        if enough().count() < count {
            return Err("the task asks for GPUs with more memory than the server has now");
        }
        if gpus.len() < count {
            if kept.is_none() {
                *wanted = Some(Wanted { memory: run.gpu_memory, until: Instant::now() + KEPT });
            }
            return Err("it waits for GPUs with enough memory, which others have now");
        }
        // It has what it wanted, or something bigger than that.
        if wanted.is_some_and(|wanted| wanted.memory <= run.gpu_memory) {
            *wanted = None;
        }
        Ok(gpus)
    }

    /// All users for runs. Another server on this machine begins elsewhere, by its owner.
    fn users(&self) -> impl Iterator<Item = u32> {
        let users = self.settings.users.clone();
        let count = users.clone().count().max(1);
        let first =
            self.folders.owner.bytes().fold(0, |sum: usize, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        users.clone().cycle().skip(first % count).take(users.count())
    }

    /// Takes back what the run had.
    pub(super) fn end(&self, id: RunId) {
        self.active().remove(&id);
    }

    /// The run is over and could not be removed: until it is, nobody else gets what it had.
    pub(super) fn leave(&self, id: RunId) {
        if let Some(taken) = self.active().get_mut(&id) {
            taken.left = true;
        }
    }
}
