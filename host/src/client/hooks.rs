//! Web hooks out.

use super::{Client, ClientError, target};
use crate::http::dto::{HookInfo, LetterInfo, MadeHook, NewHook};
use ureq::http::Method;

impl Client {
    /// The web hooks of a challenge.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn hooks(&self, challenge: &str) -> Result<Vec<HookInfo>, ClientError> {
        self.list(&target::api(&["challenges", challenge, "hooks"]), usize::MAX)
    }

    /// Makes one.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn make_hook(&self, challenge: &str, new: &NewHook) -> Result<MadeHook, ClientError> {
        self.post(&target::api(&["challenges", challenge, "hooks"]), new)
    }

    /// Removes one.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn remove_hook(&self, challenge: &str, hook: &str) -> Result<(), ClientError> {
        let target = target::api(&["challenges", challenge, "hooks", hook]);
        self.send(self.request(Method::DELETE, &target), ()).map(drop)
    }

    /// Sends one a letter that says nothing.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn try_hook(&self, challenge: &str, hook: &str) -> Result<LetterInfo, ClientError> {
        self.send_document(Method::POST, &target::api(&["challenges", challenge, "hooks", hook, "test"]), &())
    }
}
