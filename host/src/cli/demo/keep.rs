//! How long `gradus demo --keep` stays: until a signal, or Enter at its terminal.

use rustix::process::getpgrp;
use rustix::termios::tcgetpgrp;
use std::io::{self, IsTerminal as _};
use std::sync::mpsc::{Receiver, Sender};
use std::thread;

/// Waits until `told` hears of a signal or, by way of `tell`, of a line on standard input.
pub fn wait(tell: Sender<()>, told: &Receiver<()>) {
    let read = move || {
        // A closed input is nobody's wish: what runs without a terminal stays until it is told.
        if io::stdin().read_line(&mut String::new()).is_ok_and(|count| count > 0) {
            // Nobody listens any more: then it has been told.
            let _ = tell.send(());
        }
    };
    if may_read() {
        // It is left where it is when a signal comes first: it ends with the program.
        thread::spawn(read);
    }
    // The server beside us holds a sender as long as it runs.
    let _ = told.recv();
}

/// A job in the background that reads from its terminal is stopped by it.
fn may_read() -> bool {
    !io::stdin().is_terminal() || tcgetpgrp(io::stdin()).is_ok_and(|front| front == getpgrp())
}
