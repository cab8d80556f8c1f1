//! Queues, exceptions from quotas, and the log of what was done.

use super::{Client, ClientError, target};
use crate::http::dto::{DeedInfo, GrantInfo, NewGrant, NewQueueState, QueueInfo};
use ureq::http::Method;

impl Client {
    /// How all queues stand.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn queues(&self) -> Result<Vec<QueueInfo>, ClientError> {
        self.list(&target::api(&["queue"]), usize::MAX)
    }

    /// How the queue of a challenge stands.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn queue(&self, challenge: &str) -> Result<QueueInfo, ClientError> {
        self.json(&target::api(&["challenges", challenge, "queue"]))
    }

    /// Pauses the queue of a challenge, lets it run empty, or opens it again.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn set_queue(&self, challenge: &str, new: &NewQueueState) -> Result<QueueInfo, ClientError> {
        self.send_document(Method::PUT, &target::api(&["challenges", challenge, "queue"]), new)
    }

    /// Lets an entrant hand in more often than the rules allow.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn grant(&self, challenge: &str, new: &NewGrant) -> Result<GrantInfo, ClientError> {
        self.post(&target::api(&["challenges", challenge, "quota"]), new)
    }

    /// What was done with rights that others do not have, newest first: to a challenge, or on the whole server.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn audit(&self, challenge: Option<&str>, most: usize) -> Result<Vec<DeedInfo>, ClientError> {
        let target = match challenge {
            Some(challenge) => target::api(&["challenges", challenge, "audit"]),
            None => target::api(&["audit"]),
        };
        self.list(&target, most)
    }
}
