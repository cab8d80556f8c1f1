//! Whether a component can be a scorer. Its author reads what is said here: what is wrong, and what to do.
//!
//! Looks at the component only; what it says of itself is found out by running `describe`.

use super::bindings::ScorerPre;
use super::engine::{MEMORIES, TABLE_ELEMENTS, TABLES};
use super::outcome::cut;
use super::run::State;
use gradus_core::domain::limits::{Limits, MAX_COMPONENT};
use gradus_core::domain::metric::Description;
use gradus_core::domain::report::LimitKind;
use gradus_core::domain::units::Bytes;
use gradus_core::ports::scorer::{Ended, NotAdmitted, Ran};
use wasmtime::Engine;
use wasmtime::component::{Component, Linker};

/// The target that scorers are built for.
const BUILD: &str = "build it with `cargo build --target wasm32-wasip2` (or the like for your language)";
/// Interfaces of `gradus:scoring`.
const SCORING: [&str; 3] = ["types", "data", "feedback"];
/// Packages of WASI 0.2 that are linked, and grant nothing.
const WASI: [&str; 6] = ["io", "cli", "clocks", "filesystem", "random", "sockets"];

fn no<T>(text: impl Into<String>) -> Result<T, NotAdmitted> {
    Err(NotAdmitted::Component(text.into()))
}

/// What can be said from the bytes alone, before anything looks into them.
pub(super) fn screen(bytes: &[u8]) -> Result<(), NotAdmitted> {
    if bytes.len() as u64 > MAX_COMPONENT.0 {
        return no(format!(
            "the component has {}, and may have {MAX_COMPONENT}; strip its debug information, or leave parts out",
            Bytes(bytes.len() as u64)
        ));
    }
    if Engine::detect_precompiled(bytes).is_some() {
        return no(
            "this is precompiled code, which is never taken; hand in the WebAssembly component that it was made from",
        );
    }
    match bytes {
        [0, b'a', b's', b'm', 0x0d, 0, 1, 0, ..] => Ok(()),
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => {
            no(format!("this is a core WebAssembly module, and a scorer is a component; {BUILD}"))
        }
        [0, b'a', b's', b'm', ..] => {
            no(format!("this WebAssembly is of a version that Gradus does not know; {BUILD} and current tools"))
        }
        text if text.trim_ascii_start().starts_with(b"(") => {
            no("this is WebAssembly text; hand in the binary component (`wasm-tools parse` makes one)")
        }
        _ => no(format!("this is no WebAssembly component; {BUILD}")),
    }
}

/// Whether all that it imports is what a scorer may have.
pub(super) fn imports(engine: &Engine, component: &Component) -> Result<(), NotAdmitted> {
    let ty = component.component_type();
    for (name, _) in ty.imports(engine) {
        import(name)?;
    }
    Ok(())
}

fn import(name: &str) -> Result<(), NotAdmitted> {
    let (path, version) = name.split_once('@').unwrap_or((name, ""));
    let (package, interface) = path.split_once('/').unwrap_or((path, ""));
    if package == "gradus:scoring" {
        return if !version.starts_with("0.1.") {
            no(format!(
                "the component imports `{name}`, and this Gradus has `gradus:scoring` 0.1; build it with an SDK of \
                that version"
            ))
        } else if !SCORING.contains(&interface) {
            no(format!(
                "the component imports `{name}`, which is no interface of `gradus:scoring` 0.1: those are types, \
                data and feedback"
            ))
        } else {
            Ok(())
        };
    }
    match package.strip_prefix("wasi:") {
        Some("http") => no(format!(
            "the component imports `{name}`: a scorer has no network; put what it would fetch into the reference \
            data, and build it without `wasi:http`"
        )),
        Some(known) if WASI.contains(&known) && version.starts_with("0.2.") => Ok(()),
        Some(known) if WASI.contains(&known) => no(format!(
            "the component imports `{name}`, and this Gradus has WASI 0.2; build it for that: with Rust, `--target \
            wasm32-wasip2`"
        )),
        _ => no(format!(
            "the component imports `{name}`, which a scorer is not given; it may import gradus:scoring and, of \
            WASI 0.2, \
             io, cli, clocks, filesystem, random and sockets (linked, and denied)"
        )),
    }
}

/// Whether it has no more memories and tables than a run may have.
pub(super) fn counts(component: &Component) -> Result<(), NotAdmitted> {
    let Some(needs) = component.resources_required() else {
        return no("the component imports core modules; hand in one that is whole");
    };
    for (has, most, what) in [(needs.num_memories, MEMORIES, "memories"), (needs.num_tables, TABLES, "tables")] {
        if has as usize > most {
            return no(format!(
                "the component has {has} {what}, and may have {most}; link its modules into fewer, or leave parts out"
            ));
        }
    }
    let elements = needs.max_initial_table_size.unwrap_or(0);
    if elements > TABLE_ELEMENTS as u64 {
        return no(format!(
            "the component starts with a table of {elements} elements, and may have {TABLE_ELEMENTS} in all; leave \
            parts out"
        ));
    }
    Ok(())
}

/// Whether the memory that it starts with is within the limit.
pub(super) fn memory(component: &Component, limits: &Limits) -> Result<(), NotAdmitted> {
    let needs = component.resources_required().and_then(|needs| needs.max_initial_memory_size);
    // The largest one, in pages. The sum is counted when it runs.
    let least = Bytes(needs.unwrap_or(0).saturating_mul(64 << 10));
    if least > limits.memory {
        return no(format!(
            "the component starts with {least} of memory, and the task's limit is {}; raise `limits.memory` of the \
            task",
            limits.memory
        ));
    }
    Ok(())
}

/// Links it, which shows whether imports and exports are of the right types.
pub(super) fn link(
    engine: &Engine,
    linker: &Linker<State>,
    component: &Component,
) -> Result<ScorerPre<State>, NotAdmitted> {
    let exports: Vec<String> = component.component_type().exports(engine).map(|(name, _)| name.to_owned()).collect();
    let missing = ["describe", "validate", "score"].into_iter().find(|name| !exports.iter().any(|has| has == name));
    if let Some(missing) = missing {
        return no(if exports.iter().any(|name| name.starts_with("wasi:cli/run@")) {
            "the component is a command (`wasi:cli/run`); a scorer exports `describe`, `validate` and `score` of \
             `gradus:scoring`: make it a library with the SDK's `export!`"
                .to_owned()
        } else {
            format!(
                "the component does not export `{missing}`; a scorer exports `describe`, `validate` and `score`, \
                as the SDK's `export!` does"
            )
        });
    }
    let linked = linker.instantiate_pre(component).and_then(ScorerPre::new);
    linked
        .map_err(|error| NotAdmitted::Component(format!("the component does not fit `gradus:scoring` 0.1: {error:#}")))
}

/// What `describe` came to.
pub(super) fn described(ran: Ran<Description>) -> Result<Description, NotAdmitted> {
    let log = String::from_utf8_lossy(&ran.log);
    let log = if log.trim().is_empty() { String::new() } else { format!("\nIts log:\n{}", cut(log.trim().to_owned())) };
    match ran.ended {
        Ended::Value(description) => match description.check() {
            Ok(()) => Ok(description),
            Err(error) => no(error.to_string()),
        },
        Ended::InvalidChallenge(text) => {
            Err(NotAdmitted::Params(format!("the scorer does not take these parameters: {}", cut(text))))
        }
        Ended::Limit { limit: LimitKind::Handles, used, allowed } => no(format!(
            "the component has or makes more core instances, table elements or handles than a run may have ({used}; \
            {allowed} at most); link its modules into fewer, or leave parts out"
        )),
        Ended::Limit { limit, used, allowed } => no(format!(
            "`describe` reached a limit ({limit:?}: {used} of {allowed}); it may read the parameters and should do \
            little else"
        )),
        Ended::Failed(text) => no(format!("`describe` did not return: {text}{log}")),
        Ended::InvalidSubmission(_) | Ended::Stopped => no("`describe` did not return a description"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_component_are_told_apart() {
        for (bytes, says) in [
            (&b"\0asm\x01\0\0\0"[..], "wasm32-wasip2"),
            (b" (component)", "WebAssembly text"),
            (b"\0asm\x0d\0\x02\0", "a version"),
            (b"PK\x03\x04", "no WebAssembly component"),
            (b"", "no WebAssembly component"),
            (&vec![0; (32 << 20) + 1], "32 MiB"),
        ] {
            let text = screen(bytes).unwrap_err().to_string();
            assert!(text.contains(says), "{text}");
        }
        assert_eq!(screen(b"\0asm\x0d\0\x01\0"), Ok(()));
    }

    #[test]
    fn imports_are_taken_by_name() {
        for name in
            ["gradus:scoring/data@0.1.0", "gradus:scoring/types@0.1.9", "wasi:sockets/tcp@0.2.6", "wasi:io/poll@0.2.0"]
        {
            assert_eq!(import(name), Ok(()));
        }
        for (name, says) in [
            ("gradus:scoring/data@0.2.0", "an SDK of that version"),
            ("gradus:scoring/disk@0.1.0", "types, data and feedback"),
            ("wasi:http/outgoing-handler@0.2.0", "no network"),
            ("wasi:cli/environment@0.3.0", "wasm32-wasip2"),
            ("wasi:nn/graph@0.2.0", "is not given"),
            ("env", "`env`"),
        ] {
            let text = import(name).unwrap_err().to_string();
            assert!(text.contains(says), "{text}");
        }
    }
}
