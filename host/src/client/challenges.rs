//! Challenges, handing in, boards.

use super::upload::Progress;
use super::{ASK_FIRST, Client, ClientError, CopyError, Upload, copy, target};
use crate::http::dto::{
    AboutInfo, BoardInfo, ChallengeInfo, ChallengeItem, CheckInfo, OperationInfo, QuotaInfo, SubmissionInfo,
};
use serde::de::DeserializeOwned;
use std::io::Write;
use std::num::NonZeroUsize;
use std::thread::sleep;
use std::time::Duration;
use ureq::SendBody;
use ureq::http::{Method, header};

/// Rows of a leaderboard that a server gives at once, at most.
const PAGE: usize = 500;
/// A text about a submission, at most; bytes. The server takes no longer one.
const MAX_TEXT: usize = 10_000;
/// A request's path and query, at most; bytes. Longer ones are no address for HTTP libraries, ours and others'.
const MAX_TARGET: usize = 60_000;
/// How often a request that broke is sent again.
const AGAIN: u32 = 5;
/// The wait before the first of these; doubled each time.
const PAUSE: Duration = Duration::from_millis(500);

/// Names one submission before it has an id, so that sending it again hands nothing in twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key(pub String);

impl Client {
    /// The challenges that the bearer may see, `most` at most.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn challenges(&self, most: usize) -> Result<Vec<ChallengeItem>, ClientError> {
        self.list(&target::api(&["challenges"]), most)
    }

    /// One challenge.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn challenge(&self, id: &str) -> Result<ChallengeInfo, ClientError> {
        self.json(&target::api(&["challenges", id]))
    }

    /// A public file of a challenge, copied to `out`; its length.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn challenge_file(&self, id: &str, path: &str, out: &mut dyn Write) -> Result<u64, ClientError> {
        self.download(&target::below(&target::api(&["challenges", id, "files"]), path), out)
    }

    pub(super) fn download(&self, target: &str, out: &mut dyn Write) -> Result<u64, ClientError> {
        copy(self.get(target)?, out).map_err(|error| match error {
            CopyError::Read(source) => self.failed(source.into()),
            CopyError::Write(source) => ClientError::Local { what: "write the file".into(), source },
        })
    }

    /// How the bearer's quotas stand.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn quota(&self, challenge: &str) -> Result<QuotaInfo, ClientError> {
        self.json(&target::api(&["challenges", challenge, "quota"]))
    }

    /// The format check alone: stores and charges nothing.
    ///
    /// # Errors
    /// [`ClientError`]; problems are a refusal.
    pub fn check(
        &self,
        challenge: &str,
        phase: &str,
        file: &Upload,
        progress: Progress,
    ) -> Result<CheckInfo, ClientError> {
        let target = target::api(&["challenges", challenge, "phases", phase, "check"]);
        self.upload(Method::POST, &target::query(&target, &[("filename", Some(&file.name))]), file, None, progress)
    }

    /// Hands in. When the connection breaks, it is tried again under the same key.
    ///
    /// # Errors
    /// [`ClientError`]; problems and a used-up quota are refusals.
    pub fn submit(
        &self,
        challenge: &str,
        phase: &str,
        file: &Upload,
        about: &AboutInfo,
        key: &Key,
        progress: Progress,
    ) -> Result<SubmissionInfo, ClientError> {
        let target = target::api(&["challenges", challenge, "phases", phase, "submissions"]);
        let fields = [
            ("filename", Some(file.name.as_str())),
            ("description", about.description.as_deref()),
            ("method_name", about.method_name.as_deref()),
            ("method_description", about.method_description.as_deref()),
            ("project_url", about.project_url.as_deref()),
            ("publication_url", about.publication_url.as_deref()),
        ];
        for (field, text) in fields {
            let len = text.map_or(0, str::len);
            if len > MAX_TEXT {
                let what = format!("`{field}` is {len} bytes long; a server takes {MAX_TEXT} at most");
                return Err(ClientError::TooLong { what });
            }
        }
        let target = target::query(&target, &fields);
        if target.len() > MAX_TARGET {
            let what = "the texts about the submission are too long together; shorten them, or send a form to the API";
            return Err(ClientError::TooLong { what: what.to_owned() });
        }
        let mut pause = PAUSE;
        let mut broke = false;
        for _ in 0..AGAIN {
            match self.upload(Method::POST, &target, file, Some(key), progress) {
                // Once it broke, a server that is gone may be one that starts again.
                Err(error) if error.is_lost() || broke && matches!(error, ClientError::NoServer { .. }) => {
                    broke = true;
                    sleep(pause);
                    pause *= 2;
                }
                done => return done,
            }
        }
        self.upload(Method::POST, &target, file, Some(key), progress)
    }

    /// Publishes the archive of a challenge's folder. The answer is an operation, which goes on behind it.
    ///
    /// # Errors
    /// [`ClientError`]; problems of the folder are a refusal.
    pub fn publish(&self, id: &str, archive: &Upload, progress: Progress) -> Result<OperationInfo, ClientError> {
        self.upload(Method::PUT, &target::api(&["challenges", id]), archive, None, progress)
    }

    /// How an operation stands.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn operation(&self, id: &str) -> Result<OperationInfo, ClientError> {
        self.json(&target::api(&["operations", id]))
    }

    /// The first `most` rows of a leaderboard, with the cursor behind them if there are more.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn leaderboard(&self, challenge: &str, board: &str, most: NonZeroUsize) -> Result<BoardInfo, ClientError> {
        let target = target::api(&["challenges", challenge, "leaderboards", board]);
        // No row more than is wanted is asked for, so that each page's cursor is right behind what is kept of it.
        let page = |left: usize, cursor: Option<&str>| -> Result<BoardInfo, ClientError> {
            let limit = left.min(PAGE).to_string();
            self.json(&target::query(&target, &[("limit", Some(&limit)), ("cursor", cursor)]))
        };
        let mut all = page(most.get(), None)?;
        while let Some(cursor) = all.next_cursor.clone().filter(|_| all.items.len() < most.get()) {
            let BoardInfo { items, next_cursor, .. } = page(most.get() - all.items.len(), Some(&cursor))?;
            // A server that does not get on is not asked for ever.
            all.next_cursor = next_cursor.filter(|next| *next != cursor && !items.is_empty());
            all.items.extend(items);
        }
        Ok(all)
    }

    /// A leaderboard as CSV.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn leaderboard_csv(&self, challenge: &str, board: &str) -> Result<Vec<u8>, ClientError> {
        let target = target::api(&["challenges", challenge, "leaderboards", board]);
        self.raw(&target::query(&target, &[("format", Some("csv"))]))
    }

    fn upload<T: DeserializeOwned>(
        &self,
        method: Method,
        target: &str,
        file: &Upload,
        key: Option<&Key>,
        progress: Progress,
    ) -> Result<T, ClientError> {
        let mut body = file.open(progress)?;
        let mut request = self
            .request(method, target)
            .header(header::CONTENT_TYPE, "application/octet-stream")
            .header(header::CONTENT_LENGTH, body.len);
        if body.len > ASK_FIRST {
            request = request.header(header::EXPECT, "100-continue");
        }
        if let Some(Key(key)) = key {
            request = request.header("Idempotency-Key", key);
        }
        let response = self.send(request, SendBody::from_reader(&mut body))?;
        self.read(response)
    }
}
