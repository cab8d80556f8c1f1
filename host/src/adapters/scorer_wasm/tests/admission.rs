//! What is taken as a scorer, and what its author reads when it is not.

use super::*;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

fn refused(component: &[u8], params: &str) -> String {
    match engine().admit(component, params, &limits()).unwrap() {
        Err(error) => error.to_string(),
        Ok(description) => panic!("{description:?}"),
    }
}

fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

#[test]
fn a_scorer_describes_itself() {
    let description = engine().admit(guest(), "{}", &limits()).unwrap().unwrap();
    assert_eq!((description.name.as_str(), description.metrics.len()), ("misbehaving", 1));
    assert_eq!(description.metrics[0].precision, 3);
    for name in stock::names() {
        let params = r#"{"id": "id", "target": "label", "prediction": "label", "metrics": ["accuracy"]}"#;
        let description = engine().admit(stock::bytes(name).unwrap(), params, &limits()).unwrap();
        assert_eq!(description.unwrap().name, name);
    }
}

#[test]
fn what_describe_says_is_checked() {
    assert!(refused(guest(), r#"{"do": "refuse"}"#).contains("does not take these parameters: `do` must not be"));
    assert!(refused(guest(), r#"{"do": "bad-name"}"#).contains("the metric name `Bad Name`"));
    let text = refused(guest(), r#"{"do": "describe-loop"}"#);
    assert!(text.contains("reached a limit") && text.contains("1000000000"), "{text}");
}

#[test]
fn components_that_do_not_fit_are_refused_with_a_reason() {
    for (text, says) in [
        ("(component)", "does not export `describe`"),
        (r#"(component (import "wasi:http/types@0.2.0" (instance)))"#, "no network"),
        (r#"(component (import "wasi:cli/stdin@0.3.0" (instance)))"#, "WASI 0.2"),
        (r#"(component (import "mine" (func)))"#, "`mine`, which a scorer is not given"),
        (r#"(component (core module (memory i64 1)))"#, "cannot be compiled"),
        (r#"(component (core module (memory 1) (memory 1)))"#, "cannot be compiled"),
        (
            r#"(component (core module $m (func (export "f"))) (core instance $i (instantiate $m))
                (func $f (canon lift (core func $i "f")))
                (export "describe" (func $f)) (export "validate" (func $f)) (export "score" (func $f)))"#,
            "does not fit `gradus:scoring` 0.1",
        ),
    ] {
        let refused = refused(&wat(text), "{}");
        assert!(refused.contains(says), "{text}: {refused}");
    }
    let modules = |inside: &str, times: usize| {
        let instances = "(core instance (instantiate $m))".repeat(times);
        wat(&format!("(component (core module $m {inside}) {instances})"))
    };
    for (component, says) in [
        (modules("(memory 1)", 5), "has 5 memories, and may have 4"),
        (modules("(table 1 funcref) (table 1 funcref)", 9), "has 18 tables, and may have 16"),
        (modules(&"(table 1 funcref)".repeat(17), 1), "more than a run may be"),
        (modules("(table 100001 funcref)", 1), "more than a run may be"),
        (modules(&"(global i64 (i64.const 1))".repeat(300_000), 1), "more than a run may be"),
    ] {
        let refused = refused(&component, "{}");
        assert!(refused.contains(says), "{refused}");
    }
    assert!(refused(&wat("(module)"), "{}").contains("core WebAssembly module"));
    assert!(refused(b"(component)", "{}").contains("WebAssembly text"));
    let code = wasmtime::Engine::default().precompile_component(guest()).unwrap();
    assert!(refused(&code, "{}").contains("never taken"));
    let mut torn = guest().to_vec();
    torn.truncate(5000);
    assert!(refused(&torn, "{}").contains("cannot be compiled"));
}

#[test]
fn memory_at_the_start_is_held_against_the_limit() {
    let limits = Limits { memory: Bytes(1 << 16), ..limits() };
    let text = engine().admit(guest(), "{}", &limits).unwrap().unwrap_err().to_string();
    assert!(text.contains("starts with") && text.contains("limits.memory"), "{text}");
}

/// Not a test: what the child process of the next one runs.
#[test]
#[ignore = "runs only as a child process"]
fn compiles_as_a_child() {
    let output = fs::OpenOptions::new().write(true).open("/proc/self/fd/3").unwrap();
    std::process::exit(super::super::compile::child_between(std::io::stdin().lock(), output));
}

/// A program that does what the command line does for the hidden subcommand.
fn compiler(folder: &Path, line: &str) -> Compiler {
    let program = folder.join("compiler");
    fs::write(&program, format!("#!/bin/sh\n{line}\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
    Compiler::Child(program)
}

#[test]
fn a_child_compiles_once_and_the_cache_remembers() {
    let folder = tempfile::tempdir().unwrap();
    let test = std::env::current_exe().unwrap();
    let name = "adapters::scorer_wasm::tests::admission::compiles_as_a_child";
    let count = folder.path().join("count");
    let line = format!(
        "echo x >> {}\nexec {} --ignored --exact --nocapture {name} 3>&1 >/dev/null",
        count.display(),
        test.display()
    );
    let config =
        EngineConfig { cache: Some(folder.path().join("cache")), compiler: compiler(folder.path(), &line), slots: 1 };
    let times = || fs::read_to_string(&count).map_or(0, |text| text.lines().count());
    let run = told("nothing", 1);
    let expected = score(&run);
    let start = |config: &EngineConfig| WasmScorer::new(config.clone()).unwrap();

    let first = start(&config);
    assert!(first.admit(guest(), "{}", &limits()).unwrap().is_ok());
    assert_eq!(first.score(&run, &mut ()).unwrap(), expected, "the same as compiled in this process");
    assert_eq!(times(), 1);
    let text = first.admit(&guest()[..5000], "{}", &limits()).unwrap().unwrap_err().to_string();
    assert!(text.contains("cannot be compiled"), "the child says why: {text}");
    assert_eq!(times(), 2);

    assert_eq!(start(&config).score(&run, &mut ()).unwrap(), expected);
    assert_eq!(times(), 2, "the next start finds it");

    for entry in fs::read_dir(folder.path().join("cache")).unwrap() {
        fs::write(entry.unwrap().path(), "torn").unwrap();
    }
    assert_eq!(start(&config).score(&run, &mut ()).unwrap(), expected);
    assert_eq!(times(), 3, "what is torn is made anew");
}

#[test]
fn a_child_that_goes_wrong_is_ours() {
    let folder = tempfile::tempdir().unwrap();
    for line in ["exit 1", "kill -9 $$", "echo garbage"] {
        let config = EngineConfig { cache: None, compiler: compiler(folder.path(), line), slots: 1 };
        let error = WasmScorer::new(config).unwrap().admit(guest(), "{}", &limits()).unwrap_err();
        assert!(error.source.is_some(), "{line}: {error}");
    }
    let none = Compiler::Child(folder.path().join("none"));
    let engine = WasmScorer::new(EngineConfig { cache: None, compiler: none, slots: 1 }).unwrap();
    assert!(engine.admit(guest(), "{}", &limits()).is_err());
}
