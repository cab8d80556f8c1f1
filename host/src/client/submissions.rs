//! What became of a submission.

use super::{Client, ClientError, Events, target};
use crate::http::dto::SubmissionInfo;
use std::io::Write;

impl Client {
    /// One submission.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn submission(&self, id: &str) -> Result<SubmissionInfo, ClientError> {
        self.json(&target::api(&["submissions", id]))
    }

    /// The submissions to a challenge that the bearer may see, newest first, `most` at most.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn submissions(&self, challenge: &str, most: usize) -> Result<Vec<SubmissionInfo>, ClientError> {
        self.list(&target::api(&["challenges", challenge, "submissions"]), most)
    }

    /// Calls a submission off.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn cancel(&self, id: &str) -> Result<SubmissionInfo, ClientError> {
        self.post(&target::api(&["submissions", id, "cancel"]), &serde_json::Value::Null)
    }

    /// What happens to a submission, from its first event to its last, over broken connections.
    pub fn events(&self, id: &str) -> Events<'_> {
        Events::new(self, id)
    }

    /// The report, byte for byte as the server gives it to the bearer.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn report(&self, id: &str) -> Result<Vec<u8>, ClientError> {
        self.raw(&target::api(&["submissions", id, "report"]))
    }

    /// A log, such as `scorer`, copied to `out`; its length.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn log(&self, id: &str, stream: &str, out: &mut dyn Write) -> Result<u64, ClientError> {
        self.download(&target::api(&["submissions", id, "logs", stream]), out)
    }

    /// An attachment, copied to `out`; its length.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn artifact(&self, id: &str, name: &str, out: &mut dyn Write) -> Result<u64, ClientError> {
        self.download(&target::api(&["submissions", id, "artifacts", name]), out)
    }
}
