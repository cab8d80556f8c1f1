//! Tokens, backups, and what the server says of itself.

use super::{Client, ClientError, target};
use crate::http::dto::{MadeToken, NewToken, ReadyInfo, TokenInfo, VersionInfo};
use std::io::Write;
use ureq::http::Method;

impl Client {
    /// Who the bearer is.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn me(&self) -> Result<TokenInfo, ClientError> {
        self.json(&target::api(&["me"]))
    }

    /// All tokens, without their secrets.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn tokens(&self, most: usize) -> Result<Vec<TokenInfo>, ClientError> {
        self.list(&target::api(&["tokens"]), most)
    }

    /// Makes a token. Its text is in the answer and nowhere else.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn make_token(&self, token: &NewToken) -> Result<MadeToken, ClientError> {
        self.post(&target::api(&["tokens"]), token)
    }

    /// Revokes a token: it is refused from now on.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn revoke_token(&self, id: &str) -> Result<(), ClientError> {
        self.send(self.request(Method::DELETE, &target::api(&["tokens", id])), ()).map(drop)
    }

    /// A backup of the whole server, copied to `out`; its length.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn backup(&self, out: &mut dyn Write) -> Result<u64, ClientError> {
        self.download(&target::api(&["backup"]), out)
    }

    /// The version of the server.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn version(&self) -> Result<VersionInfo, ClientError> {
        self.json("/version")
    }

    /// Whether the server is ready. One that is not says why, too.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn ready(&self) -> Result<ReadyInfo, ClientError> {
        let request = self.request(Method::GET, "/readyz");
        let request = request.body(()).map_err(|error| self.failed(error.into()))?;
        let response = self.agent.run(request).map_err(|error| self.failed(error))?;
        self.read(response)
    }
}
