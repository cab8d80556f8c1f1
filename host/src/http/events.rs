//! Events of a submission as they come (SSE), and again from any point of the log (`Last-Event-ID`).
//!
//! The log is the authority; a signal only says that it has grown.

use super::auth::Bearer;
use super::challenges::id;
use super::counted::One;
use super::described::FollowRefusals;
use super::extract::{Path, Query};
use super::problem::Problem;
use super::state::{Api, blocking};
use crate::live::Live;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event as Sent, KeepAlive, Sse};
use futures_util::Stream;
use gradus_core::app::Refusal;
use gradus_core::domain::event::{Event, EventKind};
use gradus_core::domain::id::{EntrantId, SubmissionId};
use gradus_core::domain::job::State as JobState;
use gradus_core::domain::printed::Printed;
use gradus_core::domain::run_record::Stream as Output;
use serde::Deserialize;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::time::{Instant, timeout_at};

/// Streams that one person or team has open, at most.
pub const OF_ONE: usize = 200;
/// The same of all.
pub const OF_ALL: usize = 5_000;
/// Events read at once.
const PAGE: usize = 100;
/// Between two lines that keep the connection open.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// What a program prints is looked at this often,
const PRINTED: Duration = Duration::from_millis(250);
/// and passed on in pieces of about so many bytes.
const PIECE: usize = 64 << 10;
/// A place in the queue is looked at this often at most.
const PLACE: Duration = Duration::from_secs(1);
/// Progress is passed on this often at most.
const PROGRESS: Duration = Duration::from_millis(200);

/// Where to begin.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct EventsQuery {
    /// Only events after that `seq`; the header `Last-Event-ID` says the same.
    after: Option<u64>,
}

/// The events of a submission, from the first, and then as they come; it ends with the submission. Each has its `seq` as
/// its id, but for places in the queue, progress and what a program prints while it runs, which are not logged.
#[utoipa::path(get, path = "/api/v1/submissions/{submission}/events",
    tag = "submissions", operation_id = "follow_events",
    params(("submission" = String, Path), EventsQuery, ("Last-Event-ID" = Option<u64>, Header)),
    responses((status = 200, body = String, content_type = "text/event-stream"), FollowRefusals),
    security(("token" = [])))]
pub async fn events(
    State(api): State<Api>,
    Bearer(token): Bearer,
    Path(submission): Path<String>,
    Query(query): Query<EventsQuery>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Sent, Infallible>>>, Problem> {
    let id: SubmissionId = id(&submission, "submission")?;
    let last = headers.get("last-event-id").map(|value| value.to_str().ok().and_then(|text| text.parse().ok()));
    let last = match last {
        Some(None) => return Err(Problem::bad_request("Last-Event-ID is the `seq` of an event")),
        Some(Some(seq)) => Some(seq),
        None => query.after,
    };
    // Before the first read, so that nothing falls between the read and the wait.
    let live = api.hub.listen();
    let shared = Arc::clone(&api);
    let whose = token.subject.clone();
    let follows = move || {
        let seen = shared.app.see_submission(&token, id)?;
        Ok((shared.app.may_follow(&seen), seen.tracked.job.state == JobState::Queued))
    };
    let (follows, queued) = blocking(follows).await?;
    let log = follows.then(Log::default);
    let open = api.streams.one(&whose).map_err(|(mine, all)| {
        let detail = format!("{mine} streams of events of yours, {all} in all, are open; close one");
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-streams", detail).after(5)
    })?;
    let after = last.unwrap_or(0);
    let waits = Waits { queued, moved: true, looked: None, told: None, why: None, untold: VecDeque::new() };
    let ready = VecDeque::new();
    let reader = Reader { api, id, live, after, ready, over: false, quiet: None, waits, log, _open: open };
    let stream =
        futures_util::stream::unfold(reader, |mut reader| async { reader.next().await.map(|sent| (Ok(sent), reader)) });
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

struct Reader {
    api: Api,
    id: SubmissionId,
    live: Receiver<Live>,
    after: u64,
    ready: VecDeque<Event>,
    /// The submission has ended: what is ready is all.
    over: bool,
    /// When progress was last passed on.
    quiet: Option<Instant>,
    /// Where it stands in the queue.
    waits: Waits,
    /// What its program prints, for those who may see it.
    log: Option<Log>,
    _open: One<EntrantId>,
}

/// What was told of a place in the queue.
struct Waits {
    /// It waits, by its log.
    queued: bool,
    /// Something happened since it was looked at.
    moved: bool,
    looked: Option<Instant>,
    /// How many were ahead, and whether it was known when it starts.
    told: Option<(u64, bool)>,
    /// Why it waits, if that is more than that others are before it.
    why: Option<String>,
    /// What was found and is to be told.
    untold: VecDeque<EventKind>,
}

impl Waits {
    /// When to look again.
    fn due(&self) -> Option<Instant> {
        (self.queued && self.moved).then(|| self.looked.map_or_else(Instant::now, |looked| looked + PLACE))
    }
}

/// How far a program's output was passed on.
#[derive(Default)]
struct Log {
    printed: Option<Arc<Printed>>,
    stdout: u64,
    stderr: u64,
}

impl Log {
    /// The next piece, if there is one.
    fn piece(&mut self, api: &Api, id: SubmissionId) -> Option<EventKind> {
        // Kept once it is there: what came last is passed on after the run is over.
        let running = api.app.follow_run(id);
        let more = running.is_some();
        if let Some(running) = running {
            // Another attempt begins anew.
            if self.printed.as_ref().is_some_and(|known| !Arc::ptr_eq(known, &running)) {
                (self.stdout, self.stderr) = (0, 0);
            }
            self.printed = Some(running);
        }
        let printed = self.printed.as_ref()?;
        for (stream, at) in [(Output::Stdout, &mut self.stdout), (Output::Stderr, &mut self.stderr)] {
            let (mut bytes, mut to) = printed.piece(stream, *at, PIECE);
            // A character that came in half waits for its other half, as long as it may still come.
            if let Err(error) = std::str::from_utf8(&bytes)
                && error.error_len().is_none()
                && (more || error.valid_up_to() > 0)
            {
                to -= (bytes.len() - error.valid_up_to()) as u64;
                bytes.truncate(error.valid_up_to());
            }
            if to > *at {
                *at = to;
                let text = String::from_utf8_lossy(&bytes).into_owned();
                return Some(EventKind::Log { stream: stream.word().to_owned(), to, text });
            }
        }
        None
    }
}

impl Reader {
    async fn next(&mut self) -> Option<Sent> {
        loop {
            if let Some(piece) = self.log.as_mut().and_then(|log| log.piece(&self.api, self.id)) {
                return Some(unlogged(&piece));
            }
            if let Some(kind) = self.waits.untold.pop_front() {
                return Some(unlogged(&kind));
            }
            if let Some(event) = self.ready.pop_front() {
                return Some(sent(&event));
            }
            if self.over {
                return None;
            }
            self.read().await?;
            // An end with nothing more to tell is the end of the stream, too.
            if self.over || !self.ready.is_empty() {
                continue;
            }
            if let Some(progress) = self.wait().await? {
                return Some(progress);
            }
        }
    }

    /// Reads what the log has more. `None`: it cannot be read, and the client comes again.
    async fn read(&mut self) -> Option<()> {
        let (api, id, after) = (Arc::clone(&self.api), self.id, self.after);
        let read = blocking(move || {
            let ended = api.app.store.submission(id).map_err(Refusal::from)?;
            let events = api.app.store.events(id, after, PAGE).map_err(Refusal::from)?;
            Ok((ended.is_none_or(|tracked| tracked.job.state.is_terminal()), events))
        });
        // The state was read first: if it is an end, all events are there.
        let (ended, events) = read.await.ok()?;
        self.after = events.last().map_or(self.after, |event| event.seq);
        self.over = ended && events.len() < PAGE;
        for event in &events {
            if let EventKind::State { state, .. } = &event.kind {
                self.waits.queued = *state == JobState::Queued;
                self.waits.moved = true;
            }
        }
        self.ready.extend(events);
        Some(())
    }

    /// Why it waits, and where it stands, if that is something else than was told.
    async fn look(&mut self) -> Option<()> {
        (self.waits.moved, self.waits.looked) = (false, Some(Instant::now()));
        let (api, id) = (Arc::clone(&self.api), self.id);
        let read = blocking(move || {
            let tracked = api.app.store.submission(id).map_err(Refusal::from)?;
            Ok(tracked.map(|tracked| (api.app.waits_in_vain(&tracked), api.app.place(&tracked))))
        });
        let (why, place) = read.await.ok()??;
        if why != self.waits.why {
            self.waits.why.clone_from(&why);
            self.waits.untold.push_back(EventKind::State { state: JobState::Queued, reason: why });
        }
        let place = place?;
        let now = (place.ahead, place.starts_in.is_some());
        let before = self.waits.told.replace(now);
        self.waits.untold.extend((before != Some(now)).then_some(EventKind::Place(place)));
        Some(())
    }

    /// Waits until the log may have grown. Progress is passed on right away.
    async fn wait(&mut self) -> Option<Option<Sent>> {
        let mut printed = Instant::now() + PRINTED;
        loop {
            // What a program prints rings no bell: there may be much of it.
            let look = [self.log.as_ref().map(|_| printed), self.waits.due()].into_iter().flatten().min();
            let heard = match look {
                Some(look) => match timeout_at(look, self.live.recv()).await {
                    Ok(heard) => heard,
                    Err(_) => {
                        if self.waits.due().is_some_and(|due| due <= Instant::now()) {
                            // One that is gone, or cannot be read, has no place.
                            let _ = self.look().await;
                            if let Some(first) = self.waits.untold.pop_front() {
                                return Some(Some(unlogged(&first)));
                            }
                        }
                        if printed <= Instant::now() {
                            printed = Instant::now() + PRINTED;
                            if let Some(piece) = self.log.as_mut().and_then(|log| log.piece(&self.api, self.id)) {
                                return Some(Some(unlogged(&piece)));
                            }
                        }
                        continue;
                    }
                },
                None => self.live.recv().await,
            };
            match heard {
                Ok(Live::Logged(id)) if id == self.id => return Some(None),
                Ok(Live::Progress { id, done, total }) if id == self.id => {
                    if self.quiet.is_none_or(|since| since.elapsed() >= PROGRESS) {
                        self.quiet = Some(Instant::now());
                        return Some(Some(unlogged(&EventKind::Progress { done, total })));
                    }
                }
                // Others come and go, and so it gets on.
                Ok(Live::Logged(_) | Live::Steered) => self.waits.moved = true,
                Ok(Live::Progress { .. }) => {}
                Ok(Live::Stopping) | Err(RecvError::Closed) => return None,
                Err(RecvError::Lagged(_)) => {
                    self.waits.moved = true;
                    return Some(None);
                }
            }
        }
    }
}

fn word(kind: &EventKind) -> &'static str {
    match kind {
        EventKind::State { .. } => "state",
        EventKind::Place(_) => "place",
        EventKind::Progress { .. } => "progress",
        EventKind::Log { .. } => "log",
        EventKind::Report { .. } => "report",
    }
}

fn sent(event: &Event) -> Sent {
    let data = serde_json::to_string(event).unwrap_or_default();
    Sent::default().id(event.seq.to_string()).event(word(&event.kind)).data(data)
}

/// What has no number: nothing is resumed at it.
fn unlogged(kind: &EventKind) -> Sent {
    Sent::default().event(word(kind)).data(serde_json::to_string(kind).unwrap_or_default())
}
