//! What the workspace accepts and refuses. Archives that no tool writes are made here byte by byte.

mod hostile;
mod local;
mod outputs;
mod rules;
mod support;
mod tars;
mod zips;
