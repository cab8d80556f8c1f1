//! adapters/scorer_wasm
