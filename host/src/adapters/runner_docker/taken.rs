//! What a run under way has to itself: a user, GPUs, CPUs. All of it is leased here, by name, so that two runs never share one.

use super::Shared;
use gradus_core::domain::id::RunId;
use gradus_core::ports::runner::{Run, RunnerError};
use std::collections::BTreeSet;
use std::thread::available_parallelism;

/// What one run has.
#[derive(Debug, Clone, Default)]
pub(super) struct Taken {
    /// User and group.
    pub(super) user: u32,
    /// GPUs.
    pub(super) gpus: Vec<String>,
    /// CPUs: those of its first container, and of the one beside.
    pub(super) cpus: [Vec<usize>; 2],
}

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
    /// kernel counts by user no other run uses up. `None`: others have the GPUs that it needs.
    pub(super) fn begin(&self, run: &Run) -> Result<Option<Taken>, RunnerError> {
        let wrong = |what: String| RunnerError { what, source: None };
        let mut active = self.active();
        if active.contains_key(&run.id) {
            return Err(wrong(format!("the run {} is under way already", run.id)));
        }
        let busy: BTreeSet<&String> = active.values().flat_map(|taken| &taken.gpus).collect();
        let free = self.gpus.iter().filter(|gpu| gpu.memory >= run.gpu_memory && !busy.contains(&gpu.id));
        // The least that is enough: others may need more.
        let gpus: Vec<String> = free.take(run.gpus as usize).map(|gpu| gpu.id.clone()).collect();
        if gpus.len() < run.gpus as usize {
            return Ok(None);
        }
        let busy: BTreeSet<usize> = active.values().flat_map(|taken| taken.cpus.iter().flatten().copied()).collect();
        // The last ones first: what else goes on tends to be on the first.
        let mut free = self.cpus.iter().rev().copied().filter(|cpu| !busy.contains(cpu));
        let each = if run.pinned { usize::try_from(run.limits.cpus.0.div_ceil(1000)).unwrap_or(usize::MAX) } else { 0 };
        let first: Vec<usize> = free.by_ref().take(each).collect();
        let beside: Vec<usize> = free.take(if run.beside.is_some() { each } else { 0 }).collect();
        if first.len() < each || (run.beside.is_some() && beside.len() < each) {
            return Err(wrong("too few CPUs are free for a run that has its own".to_owned()));
        }
        let taken: BTreeSet<u32> = active.values().map(|taken| taken.user).collect();
        let user = self.users().find(|user| !taken.contains(user));
        let user = user.ok_or_else(|| wrong("more runs are under way than there are users for".to_owned()))?;
        let taken = Taken { user, gpus, cpus: [first, beside] };
        active.insert(run.id, taken.clone());
        Ok(Some(taken))
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
}
