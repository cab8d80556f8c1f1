//! The one thread that writes. It takes what waits, commits each change as a transaction of its own, makes all of them
//! durable at once and only then answers.
//!
//! After a failed write it takes nothing more: what is on the disk is known again only after the next opening.

use super::draft::Draft;
use super::durable::{Durable, Failure};
use super::tables::Trees;
use gradus_core::ports::store::{Result, StoreError};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// Changes that are made durable at once, at most.
const BATCH: usize = 64;
/// So often others are let go first before a batch is closed.
const GATHER: usize = 3;
/// Changes that wait; who comes after them waits to wait.
const QUEUE: usize = 256;

/// How the writer fares.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Changes that were written.
    pub commits: u64,
    /// Times that changes were made durable.
    pub batches: u64,
    /// Changes in the last batch.
    pub last_batch: usize,
    /// Changes that wait now.
    pub queued: usize,
}

#[derive(Default)]
struct Counters {
    commits: AtomicU64,
    batches: AtomicU64,
    last_batch: AtomicUsize,
    queued: AtomicUsize,
    /// A write failed: nothing more is taken.
    failed: AtomicBool,
}

/// The way to the thread.
pub struct Writer {
    queue: Option<SyncSender<Box<dyn Queued>>>,
    counters: Arc<Counters>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread.
    pub fn start(trees: Trees, durable: Box<dyn Durable>) -> io::Result<Self> {
        let (queue, queued) = sync_channel(QUEUE);
        let counters = Arc::new(Counters::default());
        let state = Thread { trees, durable, counters: Arc::clone(&counters) };
        let thread = std::thread::Builder::new().name("store".into()).spawn(move || state.run(&queued))?;
        Ok(Self { queue: Some(queue), counters, thread: Some(thread) })
    }

    /// Makes a change and waits until it is durable. A change that fails by itself changes nothing.
    pub fn write<T, F>(&self, change: F) -> Result<T>
    where
        F: FnOnce(&mut Draft<'_>) -> Result<T> + Send + 'static,
        T: Send + 'static,
    {
        let queue = self.queue.as_ref().ok_or(StoreError::Closed)?;
        let (to, answer) = sync_channel(1);
        self.counters.queued.fetch_add(1, Relaxed);
        let waiting = Waiting { change: Some(change), outcome: Err(StoreError::Closed), to };
        if queue.send(Box::new(waiting)).is_err() {
            self.counters.queued.fetch_sub(1, Relaxed);
            return Err(StoreError::Closed);
        }
        // The thread is gone only if sled panicked on it.
        answer.recv().unwrap_or(Err(StoreError::Closed))
    }

    /// Whether changes are still taken.
    pub fn is_open(&self) -> bool {
        !self.counters.failed.load(Relaxed) && self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// How it fares.
    pub fn stats(&self) -> Stats {
        let Counters { commits, batches, last_batch, queued, failed: _ } = &*self.counters;
        Stats {
            commits: commits.load(Relaxed),
            batches: batches.load(Relaxed),
            last_batch: last_batch.load(Relaxed),
            queued: queued.load(Relaxed),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // Its panic was printed where it happened; those who waited were told.
            let _ = thread.join();
        }
    }
}

/// A change that waits, whatever its answer.
trait Queued: Send {
    /// Commits it. Whether there was anything to write.
    fn run(&mut self, trees: &Trees) -> std::result::Result<bool, Failure>;
    /// Answers; with `failed`, that it may not be durable.
    fn answer(self: Box<Self>, failed: Option<&Failure>);
}

struct Waiting<F, T> {
    change: Option<F>,
    outcome: Result<T>,
    to: SyncSender<Result<T>>,
}

impl<F, T> Queued for Waiting<F, T>
where
    F: FnOnce(&mut Draft<'_>) -> Result<T> + Send,
    T: Send,
{
    fn run(&mut self, trees: &Trees) -> std::result::Result<bool, Failure> {
        let Some(change) = self.change.take() else { return Ok(false) };
        let mut draft = Draft::new(trees);
        self.outcome = change(&mut draft);
        if self.outcome.is_ok() { draft.commit().map_err(Failure::Commit) } else { Ok(false) }
    }

    fn answer(self: Box<Self>, failed: Option<&Failure>) {
        let ran = self.change.is_none();
        let answer = match (self.outcome, failed) {
            // What was not tried is answered as closed.
            (Ok(_), Some(failed)) if ran => Err(StoreError::Write(failed.clone().into_source())),
            (outcome, _) => outcome,
        };
        // Who does not wait any more is not told.
        let _ = self.to.send(answer);
    }
}

struct Thread {
    trees: Trees,
    durable: Box<dyn Durable>,
    counters: Arc<Counters>,
}

impl Thread {
    fn run(mut self, queue: &Receiver<Box<dyn Queued>>) {
        let mut open = true;
        while let Ok(first) = queue.recv() {
            let mut batch = vec![first];
            // Those who are just about to come share its sync: who has a processor to themselves waits for nobody.
            for _ in 0..GATHER {
                std::thread::yield_now();
                batch.extend(queue.try_iter().take(BATCH - batch.len()));
            }
            self.counters.queued.fetch_sub(batch.len(), Relaxed);
            let failed = if open { self.write(&mut batch).err() } else { None };
            if failed.is_some() {
                open = false;
                self.counters.failed.store(true, Relaxed);
            }
            batch.into_iter().for_each(|queued| queued.answer(failed.as_ref()));
        }
        if open {
            // Nothing is left to answer; what was answered is durable already, and this leaves less to recover.
            let _ = self.durable.sync();
        }
    }

    /// Commits the changes of `batch` one by one and makes them durable.
    fn write(&mut self, batch: &mut [Box<dyn Queued>]) -> std::result::Result<(), Failure> {
        let mut written = 0;
        for queued in batch.iter_mut() {
            written += u64::from(queued.run(&self.trees)?);
        }
        // What only read saw durable rows, or rows of this batch, which is answered as a whole.
        if written > 0 {
            self.durable.sync()?;
            self.counters.commits.fetch_add(written, Relaxed);
            self.counters.batches.fetch_add(1, Relaxed);
            self.counters.last_batch.store(batch.len(), Relaxed);
        }
        Ok(())
    }
}
