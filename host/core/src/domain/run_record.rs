//! What is kept of a run in a container: how it ended, what it used, and where its output and logs are.

use super::digest::Digest;
use super::report::{Fault, Outcome};
use super::run_limits::RunLimits;
use super::submission::Body;
use super::units::{Bytes, Millis};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

/// How a run failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunFailure {
    /// The submission's outcome by it.
    pub outcome: Outcome,
    /// Whose doing that is.
    pub fault: Fault,
    /// In words for the participant.
    pub text: String,
}

/// A run that ended. Goes with its job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// How it failed; `None`: it left what is scored.
    pub failed: Option<RunFailure>,
    /// The program's exit code, if it ended by itself.
    pub exit_code: Option<u8>,
    /// The signal that ended it.
    pub signal: Option<u8>,
    /// From the start of the container to its end.
    pub wall: Millis,
    /// CPU time of all processes.
    pub cpu: Millis,
    /// The most memory at once.
    pub peak_memory: Bytes,
    /// The most processes and threads at once.
    pub peak_pids: u64,
    /// How often the kernel killed one of its processes for want of memory. Above 0 beside an exit code: a child was
    /// killed, and the run went on.
    pub oom_kills: u64,
    /// The image that ran, `sha256:…`.
    pub image: Option<String>,
    /// What it was allowed.
    pub limits: RunLimits,
    /// The engine's runtime that ran it, where the task named one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
    /// The engine's network that it had, where the task named one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// The ingestion program, if it ran apart; then all above is of what was handed in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingestion: Option<Box<IngestionRecord>>,
}

/// An ingestion program that ran in a container of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IngestionRecord {
    /// Its exit code, if it ended by itself.
    pub exit_code: Option<u8>,
    /// The signal that ended it.
    pub signal: Option<u8>,
    /// CPU time of all its processes.
    pub cpu: Millis,
    /// The most memory at once.
    pub peak_memory: Bytes,
    /// Its image, `sha256:…`.
    pub image: Option<String>,
}

/// What a run left behind, in a row of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunOutput {
    /// The files: a JSON [`Kept`](super::kept::Kept). Absent when it failed.
    pub predictions: Option<Body>,
    /// Standard output, if there was any: its digest.
    pub stdout: Option<Digest>,
    /// Standard error, if there was any: its digest.
    pub stderr: Option<Digest>,
    /// What an ingestion program printed that ran apart, if there was any: its digest. For organizers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingestion: Option<Digest>,
}

/// A stream of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Stdout, Self::Stderr];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

impl RunOutput {
    /// Where `stream` is.
    pub fn stream(&self, stream: Stream) -> Option<Digest> {
        match stream {
            Stream::Stdout => self.stdout,
            Stream::Stderr => self.stderr,
        }
    }
}

impl RunRecord {
    /// The file of this name that scorers find beside the predictions.
    pub const METADATA: &'static str = "metadata";

    /// What that file holds: Codabench's keys, as YAML; seconds.
    pub fn metadata(&self) -> Vec<u8> {
        let mut text = String::new();
        // Of two programs, the one with which the run ends.
        let code = self.ingestion.as_ref().map_or(self.exit_code, |ingestion| ingestion.exit_code);
        if let Some(code) = code {
            let _ = writeln!(text, "exitCode: {code}");
        }
        let _ = writeln!(text, "elapsedTime: {}.{:03}", self.wall.0 / 1000, self.wall.0 % 1000);
        text.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scorers_read_what_a_run_took() {
        let record = RunRecord {
            failed: None,
            exit_code: Some(0),
            signal: None,
            wall: Millis(12_034),
            cpu: Millis(1),
            peak_memory: Bytes(1),
            peak_pids: 1,
            oom_kills: 0,
            image: None,
            limits: RunLimits::default(),
            runtime: None,
            network: None,
            ingestion: None,
        };
        assert_eq!(record.metadata(), b"exitCode: 0\nelapsedTime: 12.034\n");
        // Of two programs, it is the ingestion program with which the run ends.
        let (cpu, peak_memory) = (Millis(1), Bytes(1));
        let ingestion = IngestionRecord { exit_code: Some(0), signal: None, cpu, peak_memory, image: None };
        let record = RunRecord { exit_code: Some(7), ingestion: Some(Box::new(ingestion)), ..record };
        assert_eq!(record.metadata(), b"exitCode: 0\nelapsedTime: 12.034\n");
        let json = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<RunRecord>(&json).unwrap(), record);
    }
}
