//! Threads for the work at the door: unpacking, looking a folder over, the format check. Scorers run here and in `worker`,
//! never on the HTTP runtime's threads nor on those that it lends to what blocks.
//!
//! Holds no queue limit of its own: who comes to a desk holds a place among the uploads, and those are counted.

use super::problem::Problem;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use tokio::sync::oneshot;

type Work = Box<dyn FnOnce() + Send>;

/// So many threads, and a line before them. They end when it is dropped, each with the work that it is at.
pub struct Desk(Sender<Work>);

impl Desk {
    /// Opens a desk of `threads` threads.
    ///
    /// # Errors
    /// Threads cannot be started.
    pub fn open(name: &str, threads: usize) -> std::io::Result<Self> {
        let (sender, line) = channel();
        let line = Arc::new(Mutex::new(line));
        for number in 0..threads {
            let line = Arc::clone(&line);
            thread::Builder::new().name(format!("{name}-{number}")).spawn(move || serve(&line))?;
        }
        Ok(Self(sender))
    }

    /// Has `work` done, in its turn. Once it is in the line it is done whole, even if nobody waits for it any more.
    ///
    /// # Errors
    /// What `work` says; a panic in it is ours.
    pub async fn have_done<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let (tell, told) = oneshot::channel();
        let work = move || {
            let done = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(panicked(&*panic)));
            // Whoever asked may have gone away.
            drop(tell.send(done));
        };
        if let Err(error) = self.0.send(Box::new(work)) {
            return Err(Problem::internal(&error));
        }
        told.await.unwrap_or_else(|error| Err(Problem::internal(&error)))
    }
}

fn serve(line: &Mutex<Receiver<Work>>) {
    loop {
        // The lock is held while waiting, too: the others wait for it instead of for the line.
        let next = line.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(work) = next else { return };
        work();
    }
}

fn panicked(panic: &(dyn Any + Send)) -> Problem {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Problem::internal(&std::io::Error::other(format!("work at the door panicked: {}", text.unwrap_or("no message"))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    #[tokio::test]
    async fn a_desk_does_so_much_at_once_and_all_of_it() {
        let desk = Arc::new(Desk::open("desk", 2).unwrap());
        let (now, most, done) = <(Arc<AtomicUsize>, Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
        let mut waiting = Vec::new();
        for number in 0..8 {
            let desk = Arc::clone(&desk);
            let (now, most, done) = (Arc::clone(&now), Arc::clone(&most), Arc::clone(&done));
            waiting.push(tokio::spawn(async move {
                desk.have_done(move || {
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    thread::sleep(Duration::from_millis(20));
                    now.fetch_sub(1, Ordering::SeqCst);
                    done.fetch_add(1, Ordering::SeqCst);
                    Ok(number)
                })
                .await
                .unwrap()
            }));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        // Some of those who asked go away: their work is done all the same.
        for gone in waiting.drain(..4) {
            gone.abort();
        }
        for (number, waiting) in (4..).zip(waiting) {
            assert_eq!(waiting.await.unwrap(), number);
        }
        assert_eq!((done.load(Ordering::SeqCst), most.load(Ordering::SeqCst)), (8, 2));
    }

    #[tokio::test]
    async fn a_panic_is_an_answer_and_the_thread_goes_on() {
        let desk = Desk::open("desk", 1).unwrap();
        for _ in 0..2 {
            let told = desk.have_done::<()>(|| panic!("as told")).await;
            assert!(told.is_err());
        }
        assert_eq!(desk.have_done(|| Ok(1)).await.unwrap(), 1);
    }
}
