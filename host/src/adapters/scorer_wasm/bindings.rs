//! The host's side of `wit/scoring.wit`, generated. Nothing is written by hand here.
#![allow(missing_docs, reason = "generated from wit/scoring.wit, where each item is described")]
#![allow(clippy::all, clippy::allow_attributes_without_reason, reason = "generated")]

wasmtime::component::bindgen!({
    path: "../wit",
    world: "gradus:scoring/scorer",
    imports: { default: trappable },
    exports: { default: async },
    with: { "gradus:scoring/data.file": super::data::OpenFile },
});
