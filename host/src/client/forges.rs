//! Forges that tell of tags.

use super::{Client, ClientError, target};
use crate::http::dto::{ForgeUserInfo, LinkInfo, List, MadeSource, NewSourceInfo, PushInfo, SourceInfo, StandingInfo};
use ureq::Body;
use ureq::http::{Method, Response, header};

impl Client {
    /// The forges of a server.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn sources(&self) -> Result<Vec<SourceInfo>, ClientError> {
        self.list(&target::api(&["sources"]), usize::MAX)
    }

    /// Makes one.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn make_source(&self, new: &NewSourceInfo) -> Result<MadeSource, ClientError> {
        self.post(&target::api(&["sources"]), new)
    }

    /// Removes one.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn remove_source(&self, source: &str) -> Result<(), ClientError> {
        self.send(self.request(Method::DELETE, &target::api(&["sources", source])), ()).map(drop)
    }

    /// What one told, newest first; at most `limit`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn pushes(&self, source: &str, limit: usize) -> Result<Vec<PushInfo>, ClientError> {
        self.list(&target::api(&["sources", source, "pushes"]), limit)
    }

    /// Who of one is known here.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn forge_users(&self, source: &str) -> Result<Vec<ForgeUserInfo>, ClientError> {
        self.list(&target::api(&["sources", source, "users"]), usize::MAX)
    }

    /// Makes somebody of one an entrant.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn link_user(&self, source: &str, user: &str, entrant: &str) -> Result<ForgeUserInfo, ClientError> {
        let entrant = LinkInfo { entrant: entrant.to_owned() };
        self.put(&target::api(&["sources", source, "users", user]), &entrant)
    }

    /// Sends a hook of a forge's, as the forge would.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn tell(&self, source: &str, headers: &[(&str, String)], body: &str) -> Result<(), ClientError> {
        self.send_hook(&target::path("/hooks", &[source]), headers, body).map(drop)
    }

    /// How the tags of such a hook stand.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn standings(
        &self,
        source: &str,
        headers: &[(&str, String)],
        body: &str,
    ) -> Result<Vec<StandingInfo>, ClientError> {
        let answer = self.send_hook(&target::path("/hooks", &[source, "standings"]), headers, body)?;
        Ok(self.read::<List<StandingInfo>>(answer)?.items)
    }

    fn send_hook(&self, target: &str, headers: &[(&str, String)], body: &str) -> Result<Response<Body>, ClientError> {
        let request = self.request(Method::POST, target);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, value));
        self.send(request.header(header::CONTENT_TYPE, "application/json"), body)
    }
}
