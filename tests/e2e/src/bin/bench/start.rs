//! How big the program is, how soon it is ready, and what it holds while nothing happens.

use super::Plan;
use super::data;
use super::figures::{Times, heading, line};
use super::line::{hand_in, until_scored};
use gradus_e2e::{Server, gradus, unpaced};
use std::fs;
use std::time::Instant;

/// Measures and prints.
pub fn run(plan: &Plan) {
    heading("program");
    let size = fs::metadata(gradus()).expect("it was just built").len();
    line("size of the binary", mib(size));
    let rounds = plan.rounds(10).max(3);
    let fresh = (0..rounds).map(|_| {
        let began = Instant::now();
        let server = Server::start_with(unpaced(""));
        let took = began.elapsed();
        drop(server);
        took
    });
    Times::new(fresh.collect()).print("spawn until ready, fresh folder");

    let mut server = Server::start_with(unpaced(""));
    line("memory when ready (VmRSS)", memory(&server));
    let home = tempfile::tempdir().expect("there is room for a folder");
    data::write(home.path(), 1000);
    server.publish(home.path());
    let anna = server.participant("anna");
    for seed in 0..10 {
        until_scored(&anna, &hand_in(&anna, data::predictions(1000, seed).as_bytes()));
    }
    line("memory after a publication and 10 submissions", memory(&server));
    for seed in 10..plan.rounds(1000) as u64 {
        hand_in(&anna, data::predictions(1000, seed).as_bytes());
    }
    let last = hand_in(&anna, data::predictions(1000, u64::from(u32::MAX)).as_bytes());
    until_scored(&anna, &last);
    line("memory after as many as the line's rounds", memory(&server));
    let filled = (0..rounds).map(|_| {
        server.stop();
        let began = Instant::now();
        server.again();
        began.elapsed()
    });
    Times::new(filled.collect()).print("spawn until ready, that folder");
}

/// What a server holds, in words.
pub fn memory(server: &Server) -> String {
    mib(resident(server))
}

/// What a server holds; bytes.
pub fn resident(server: &Server) -> u64 {
    server.status("VmRSS") << 10
}

/// Bytes, in words.
pub fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
