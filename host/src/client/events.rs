//! What happens to a submission, from its first event to its last: resumed where it was when the connection breaks.

use super::sse::{Message, Reader};
use super::{Client, ClientError, target};
use gradus_core::domain::event::EventKind;
use std::io::BufReader;
use std::thread::sleep;
use std::time::Duration;
use ureq::BodyReader;
use ureq::http::{Method, header};

/// Breaks in a row after which it is given up.
const MOST_BREAKS: u32 = 8;
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// An event, as it came and as it is understood.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// As it came.
    pub raw: serde_json::Value,
    /// What it says; none: it is of a kind that a later version brought.
    pub kind: Option<EventKind>,
}

impl Seen {
    /// Whether it is the last state of a submission.
    pub fn is_end(&self) -> bool {
        matches!(&self.kind, Some(EventKind::State { state, .. }) if state.is_terminal())
    }
}

/// The events of a submission, in order.
pub struct Events<'a> {
    client: &'a Client,
    id: String,
    reader: Option<Reader<BufReader<BodyReader<'static>>>>,
    last_id: Option<String>,
    breaks: u32,
    over: bool,
}

impl<'a> Events<'a> {
    pub(super) fn new(client: &'a Client, id: &str) -> Self {
        Self { client, id: id.to_owned(), reader: None, last_id: None, breaks: 0, over: false }
    }

    fn connect(&self) -> Result<Reader<BufReader<BodyReader<'static>>>, ClientError> {
        let target = target::api(&["submissions", &self.id, "events"]);
        let mut request = self.client.request(Method::GET, &target).header(header::ACCEPT, "text/event-stream");
        if let Some(last) = &self.last_id {
            request = request.header("Last-Event-ID", last);
        }
        let body = self.client.send(request, ())?.into_body().into_with_config().limit(u64::MAX).reader();
        Ok(Reader::new(BufReader::new(body), self.last_id.clone()))
    }

    fn read(&mut self) -> Result<Option<Message>, ClientError> {
        let reader = match &mut self.reader {
            Some(reader) => reader,
            None => {
                let reader = self.connect()?;
                self.reader.insert(reader)
            }
        };
        let message = reader.next().map_err(|error| self.client.failed(error.into()))?;
        self.last_id.clone_from(&reader.last_id);
        Ok(message)
    }

    /// After a break: whether to go on. The wait grows with each break in a row.
    fn wait(&mut self, error: ClientError) -> Result<(), ClientError> {
        let resumable = error.is_lost() || self.last_id.is_some() && matches!(error, ClientError::NoServer { .. });
        self.breaks += 1;
        if !resumable || self.breaks > MOST_BREAKS {
            return Err(error);
        }
        self.pause();
        Ok(())
    }

    fn pause(&mut self) {
        let said = self.reader.take().and_then(|reader| reader.retry);
        let grown = FIRST_PAUSE * 2u32.saturating_pow(self.breaks.saturating_sub(1).min(8));
        sleep(said.unwrap_or(grown).clamp(FIRST_PAUSE, LONGEST_PAUSE));
    }

    fn advance(&mut self) -> Result<Option<Seen>, ClientError> {
        loop {
            match self.read() {
                Ok(Some(Message { data, .. })) => {
                    self.breaks = 0;
                    // What is not JSON is no event of ours.
                    let Ok(raw) = serde_json::from_str::<serde_json::Value>(&data) else { continue };
                    let kind = serde_json::from_value(raw.clone()).ok();
                    return Ok(Some(Seen { raw, kind }));
                }
                // A stream that ended in order: the submission did, too, or the server is about to stop.
                Ok(None) => {
                    if self.ended()? {
                        return Ok(None);
                    }
                    self.breaks = (self.breaks + 1).min(MOST_BREAKS);
                    self.pause();
                }
                Err(error) => self.wait(error)?,
            }
        }
    }

    fn ended(&mut self) -> Result<bool, ClientError> {
        loop {
            match self.client.submission(&self.id) {
                Ok(info) => return Ok(matches!(info.state.as_str(), "scored" | "failed" | "cancelled")),
                Err(error) => self.wait(error)?,
            }
        }
    }
}

impl Iterator for Events<'_> {
    type Item = Result<Seen, ClientError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let next = self.advance().transpose();
        // Nothing follows the last state, and a server that keeps the stream open is not waited for.
        self.over = match &next {
            Some(Ok(seen)) => seen.is_end(),
            Some(Err(_)) | None => true,
        };
        next
    }
}
