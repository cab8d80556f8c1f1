//! The binary itself, where no server is needed: what it prints, where, and its exit codes.

use std::io::Read as _;
use std::process::{Command, Output, Stdio};

fn gradus(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gradus"));
    command.args(words).stdin(Stdio::null()).env_remove("GRADUS_SERVER").env_remove("GRADUS_TOKEN");
    command.output().expect("the binary can be started")
}

#[test]
fn help_and_version_go_to_standard_output_without_colours() {
    for words in [["--help"], ["--version"], ["help"]] {
        let ran = gradus(&words);
        assert_eq!(ran.status.code(), Some(0), "{words:?}");
        assert!(ran.stderr.is_empty() && !ran.stdout.is_empty(), "{words:?}");
        assert!(!ran.stdout.contains(&0x1b), "{words:?}: no colours in a pipe");
    }
}

#[test]
fn wrong_use_is_a_2_with_words_on_standard_error() {
    for words in [&[] as &[&str], &["sumbit"], &["serve", "--listen", "nowhere"], &["score"]] {
        let ran = gradus(words);
        assert_eq!(ran.status.code(), Some(2), "{words:?}");
        assert!(ran.stdout.is_empty() && !ran.stderr.is_empty(), "{words:?}");
    }
}

#[test]
fn no_server_is_a_1_that_says_what_to_do() {
    let ran = gradus(&["status", "01K00000000000000000000000", "--server", "http://127.0.0.1:9"]);
    assert_eq!(ran.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&ran.stderr).contains("gradus serve"), "{ran:?}");
}

#[test]
fn a_reader_who_leaves_is_no_error() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gradus"));
    command.args(["completions", "bash"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary can be started");
    drop(child.stdout.take());
    let mut words = String::new();
    let mut errors = child.stderr.take().expect("its errors are piped");
    errors.read_to_string(&mut words).expect("its errors are text");
    assert!(child.wait().expect("it ends").success());
    assert_eq!(words, "");
}
