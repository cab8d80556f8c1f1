//! The engine against real components: `tests/guests/misbehaving`, which does as its parameters say, and stock scorers.

mod admission;
mod determinism;
mod golden;
mod outcomes;

use super::*;
use gradus_core::domain::report::Audience;
use gradus_core::domain::units::{Bytes, Fuel, Millis};
use gradus_core::ports::scorer::InputFile;
use std::path::Path;
use std::process::Command;
use std::sync::{LazyLock, OnceLock};

/// The misbehaving guest, built once for each run of the tests.
fn guest() -> &'static [u8] {
    static GUEST: OnceLock<Vec<u8>> = OnceLock::new();
    GUEST.get_or_init(|| {
        let target = Path::new(env!("OUT_DIR")).join("test-guests");
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
        let status = Command::new(cargo)
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .args(["build", "--quiet", "--locked", "--lib", "--profile", "guest", "--target", "wasm32-wasip2"])
            .args(["--package", "gradus-guest-misbehaving", "--target-dir"])
            .arg(&target)
            .status();
        assert!(status.unwrap().success(), "the guest does not build");
        std::fs::read(target.join("wasm32-wasip2/guest/gradus_guest_misbehaving.wasm")).unwrap()
    })
}

fn config() -> EngineConfig {
    EngineConfig { cache: None, compiler: Compiler::InProcess, slots: 16 }
}

/// One engine for all tests: a second one is as much as a second host.
fn engine() -> &'static WasmScorer {
    static ENGINE: LazyLock<WasmScorer> = LazyLock::new(|| WasmScorer::new(config()).unwrap());
    &ENGINE
}

fn file(path: &str, bytes: impl Into<Vec<u8>>) -> InputFile {
    InputFile { path: path.into(), bytes: Arc::new(bytes.into()) }
}

fn limits() -> Limits {
    Limits { fuel: Fuel(2_000_000_000), memory: Bytes(64 << 20), wall: Millis(60_000), ..Limits::default() }
}

/// A run of `component`.
fn run_of(component: &'static [u8], params: &str) -> Run {
    Run {
        component: Digest::of(component),
        source: Arc::new(component.to_vec()),
        predictions: vec![file("p.csv", "id,label\n1,a\n2,b\n")],
        template: vec![],
        reference: vec![file("r.csv", "id,label\n1,a\n2,c\n")],
        params: params.into(),
        seed: Digest::of(b"predictions"),
        limits: limits(),
        stop: Arc::default(),
    }
}

/// A run of the misbehaving guest.
fn told(deed: &str, n: u64) -> Run {
    run_of(guest(), &format!(r#"{{"do": "{deed}", "n": {n}}}"#))
}

fn score(run: &Run) -> Ran<Returned> {
    engine().score(run, &mut ()).unwrap()
}

/// What a deed found out.
fn found(run: &Run) -> String {
    let ran = score(run);
    let Ended::Value(returned) = &ran.ended else {
        panic!("{:?}\n{}", ran.ended, String::from_utf8_lossy(&ran.log));
    };
    returned.cases[0].message.clone().unwrap()
}

fn classification(rows: u32) -> Run {
    let params = r#"{"id": "id", "target": "label", "prediction": "label", "metrics": ["accuracy"]}"#;
    let mut run = run_of(stock::bytes("classification").unwrap(), params);
    let row = |n: u32| format!("{n},{}\n", if n.is_multiple_of(3) { "a" } else { "b" });
    let table: String = std::iter::once("id,label\n".to_owned()).chain((0..rows).map(row)).collect();
    run.reference = vec![file("reference.csv", table.clone())];
    run.predictions = vec![file("predictions.csv", table)];
    run
}

/// How long a warm run takes: `cargo test -p gradus scorer_wasm::tests::warm -- --ignored --nocapture`.
#[test]
#[ignore = "measures, and cannot fail"]
fn warm() {
    for (what, run) in
        [("nothing", told("nothing", 1)), ("10 rows", classification(10)), ("1000 rows", classification(1000))]
    {
        let mut times = Vec::new();
        let mut cost = None;
        for _ in 0..500 {
            let start = std::time::Instant::now();
            let ran = score(&run);
            times.push(start.elapsed());
            assert!(matches!(ran.ended, Ended::Value(_)), "{:?}", ran.ended);
            cost = Some(ran.cost);
        }
        times.sort();
        println!("{what}: best {:?}, median {:?}, 99 % {:?}, {cost:?}", times[0], times[250], times[495]);
    }
}
