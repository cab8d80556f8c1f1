//! The words of Gradus as types, and the rules that hold between them. Pure: no port, no I/O, no clock.

pub mod audit;
pub mod board;
pub mod challenge;
pub mod digest;
pub mod event;
pub mod head_tail;
pub mod id;
pub mod job;
pub mod kept;
pub mod limits;
pub mod manifest;
pub mod metric;
pub mod operation;
pub mod printed;
pub mod program;
pub mod queue;
pub mod quota;
pub mod report;
pub mod run;
pub mod run_limits;
pub mod run_record;
pub mod submission;
pub mod token;
pub mod tree;
pub mod units;
pub mod view;
