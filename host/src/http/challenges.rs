//! Challenges: list, read, publish; their files, quotas and leaderboards.

use super::auth::Bearer;
use super::described::{Bytes, ReadRefusals, UploadRefusals};
use super::dto::{
    BoardInfo, ChallengeInfo, ChallengeItem, ColumnInfo, EntryInfo, FileInfo, List, MetricInfo, OperationInfo,
    PhaseInfo, PhaseQuota, QuotaInfo,
};
use super::extract::{Path, Query};
use super::problem::Problem;
use super::state::{Api, blocking};
use super::upload;
use crate::workspace::unpack;
use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use gradus_core::app::Refusal;
use gradus_core::app::access::Seen;
use gradus_core::app::check::Pending;
use gradus_core::app::read::{Page, Place, ShownColumn};
use gradus_core::domain::challenge::{PhaseState, Repeats, Visibility};
use gradus_core::domain::id::{ChallengeId, LeaderboardId, OperationId};
use gradus_core::domain::metric::Direction;
use gradus_core::domain::operation::{Operation, OperationState};
use gradus_core::domain::token::Role;
use gradus_core::domain::tree::TreeFile;
use gradus_core::ports::blobs::ReadAt;
use serde::Deserialize;
use std::fmt::Write as _;
use std::sync::Arc;

/// Items of a page, at most; and how many there are unless asked otherwise.
pub(super) const MOST: usize = 500;
const USUAL: usize = 100;
/// Rows of a leaderboard as CSV, at most.
const MOST_CSV: usize = 100_000;

/// Which page of a list.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct PageQuery {
    /// Items, 1 to 500; 100 unless said.
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// `csv` for comma-separated values; leaderboards only.
    format: Option<String>,
}

impl PageQuery {
    /// # Errors
    /// Out of range.
    pub(super) fn limit(&self) -> Result<usize, Problem> {
        match self.limit {
            None => Ok(USUAL),
            Some(limit) if (1..=MOST).contains(&limit) => Ok(limit),
            Some(_) => Err(Problem::bad_request(format!("`limit` is 1 to {MOST}"))),
        }
    }

    /// # Errors
    /// It is no cursor of ours.
    pub(super) fn cursor<T: std::str::FromStr>(&self) -> Result<Option<T>, Problem> {
        let wrong = |_| Problem::bad_request("`cursor` is not one that this list gave");
        self.cursor.as_deref().map(|text| text.parse().map_err(wrong)).transpose()
    }
}

/// An id from a path: what is no id names nothing.
pub(super) fn id<T: std::str::FromStr>(text: &str, what: &'static str) -> Result<T, Problem> {
    text.parse().map_err(|_| Refusal::Unknown(what).into())
}

pub(super) fn word(state: PhaseState) -> &'static str {
    match state {
        PhaseState::Upcoming => "upcoming",
        PhaseState::Open => "open",
        PhaseState::Closed => "closed",
    }
}

fn visibility(visibility: Visibility) -> String {
    match visibility {
        Visibility::Public => "public",
        Visibility::Listed => "listed",
        Visibility::Private => "private",
    }
    .to_owned()
}

fn direction(direction: Direction) -> String {
    match direction {
        Direction::Higher => "higher",
        Direction::Lower => "lower",
    }
    .to_owned()
}

pub(super) fn file_info(file: &TreeFile) -> FileInfo {
    FileInfo { path: file.path.to_string(), len: file.len, digest: file.digest.to_string() }
}

/// The challenges that the bearer may see in a list.
#[utoipa::path(get, path = "/api/v1/challenges",
    tag = "challenges", operation_id = "list_challenges", params(PageQuery),
    responses((status = 200, body = List<ChallengeItem>), ReadRefusals), security((), ("token" = [])))]
pub async fn list(
    State(api): State<Api>,
    bearer: Option<Bearer>,
    Query(page): Query<PageQuery>,
) -> Result<Json<List<ChallengeItem>>, Problem> {
    let (limit, mut after) = (page.limit()?, page.cursor::<ChallengeId>()?);
    blocking(move || {
        let token = bearer.map(|bearer| bearer.0);
        let now = api.app.clock.now();
        let (mut items, mut more) = (Vec::new(), true);
        while more && items.len() < limit {
            let rows = api.app.store.challenges(after.as_ref(), limit).map_err(Refusal::from)?;
            more = rows.len() == limit;
            for row in rows {
                after = Some(row.id.clone());
                let Ok(seen) = api.app.see(token.as_ref(), &row.id) else { continue };
                let challenge = &seen.version.challenge;
                // `listed` is for those who know the name: those whose token has it do, and of private ones nobody else.
                let named = token.as_ref().is_some_and(|token| token.challenges.contains(&row.id));
                if challenge.visibility != Visibility::Public && !seen.organizer && !named {
                    continue;
                }
                items.push(ChallengeItem {
                    id: row.id.to_string(),
                    title: challenge.title.clone(),
                    summary: challenge.summary.clone(),
                    visibility: visibility(challenge.visibility),
                    open_phase: challenge.open_phase(now).map(|phase| phase.id.to_string()),
                    version: seen.version.version,
                });
                if items.len() == limit {
                    break;
                }
            }
        }
        let next_cursor = after.filter(|_| items.len() == limit).map(|id| id.to_string());
        Ok(Json(List { items, next_cursor }))
    })
    .await
}

/// A challenge: phases, metrics, public files.
#[utoipa::path(get, path = "/api/v1/challenges/{challenge}",
    tag = "challenges", operation_id = "show_challenge", params(("challenge" = String, Path)),
    responses((status = 200, body = ChallengeInfo), ReadRefusals), security((), ("token" = [])))]
pub async fn show(
    State(api): State<Api>,
    bearer: Option<Bearer>,
    Path(challenge): Path<String>,
) -> Result<Json<ChallengeInfo>, Problem> {
    let challenge: ChallengeId = id(&challenge, "challenge")?;
    blocking(move || {
        let seen = api.app.see(bearer.map(|bearer| bearer.0).as_ref(), &challenge)?;
        let files = api.app.files(&seen)?.iter().map(file_info).collect();
        Ok(Json(info(&seen, files, api.app.clock.now())))
    })
    .await
}

fn info(seen: &Seen, files: Vec<FileInfo>, now: jiff::Timestamp) -> ChallengeInfo {
    let version = &seen.version;
    let challenge = &version.challenge;
    let hidden = |metric: &str| {
        let columns = || challenge.leaderboards.iter().flat_map(|board| &board.columns);
        !seen.organizer && columns().any(|column| column.metric == metric && column.hidden)
    };
    let phases = challenge.phases.iter().map(|phase| {
        let metrics = version.scorers.get(&phase.task).map(|scorer| scorer.description.metrics.as_slice());
        let metrics = metrics.unwrap_or_default().iter().filter(|metric| !hidden(&metric.name));
        let metrics = metrics.map(|metric| MetricInfo {
            name: metric.name.clone(),
            title: metric.title.clone(),
            direction: direction(metric.direction),
            unit: metric.unit.clone(),
            precision: metric.precision,
        });
        let task = challenge.task(&phase.task);
        PhaseInfo {
            id: phase.id.to_string(),
            title: phase.title.clone(),
            state: word(phase.state(now)).to_owned(),
            starts: phase.starts,
            ends: phase.ends,
            task: phase.task.to_string(),
            accepts: task.map_or_else(Vec::new, |task| task.accepts.iter().map(|lane| lane.word().into()).collect()),
            run: task.and_then(|task| task.run.as_ref()).map(|run| (&run.limits).into()),
            metrics: metrics.collect(),
            concurrent: phase.concurrent,
            max_queued: phase.max_queued,
            repeats: match phase.repeats {
                Repeats::Grade => "grade".to_owned(),
                Repeats::Link => "link".to_owned(),
            },
        }
    });
    ChallengeInfo {
        id: challenge.id.to_string(),
        title: challenge.title.clone(),
        summary: challenge.summary.clone(),
        licence: challenge.licence.clone(),
        visibility: visibility(challenge.visibility),
        version: version.version,
        published_at: version.published_at,
        phases: phases.collect(),
        leaderboards: challenge.leaderboards.iter().map(|board| board.id.to_string()).collect(),
        files,
    }
}

/// Publishes a challenge folder (zip, tar, tar.gz or tar.zst) as its next version. Its solutions are run behind the answer.
#[utoipa::path(put, path = "/api/v1/challenges/{challenge}",
    tag = "challenges", operation_id = "publish_challenge", params(("challenge" = String, Path)),
    request_body(content((Bytes = "application/octet-stream"))),
    responses((status = 202, body = OperationInfo), UploadRefusals),
    security(("token" = [])))]
pub async fn publish(
    State(api): State<Api>,
    Bearer(token): Bearer,
    Path(challenge): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let challenge: ChallengeId = challenge.parse().map_err(|error| Problem::bad_request(format!("{error}")))?;
    if token.role == Role::Participant {
        return Err(Refusal::Forbidden("publishing needs an organizer's token").into());
    }
    let (shared, bearer, name) = (Arc::clone(&api), token.clone(), challenge.clone());
    // Before a gigabyte is taken in.
    blocking(move || Ok(shared.app.may_publish(&bearer, &name).map(drop)?)).await?;
    let (archive, place) = upload::archive(&api, &token, request).await?;
    let shared = Arc::clone(&api);
    let look_over = move || {
        // With the work, and not with the request: whoever sent it may go away.
        let _place = place;
        let archive = archive.whole(&shared.intake)?;
        let unpacked = unpack("challenge", archive, &shared.intake, &shared.limits.challenge_archive)?;
        let files = Pending::new(unpacked).map_err(|path| Problem::bad_request(format!("`{path}` is there twice")))?;
        let operation = shared.app.publish(&token, &challenge, files)?;
        shared.workers.enqueue(operation.clone());
        Ok(operation)
    };
    let operation = api.publishing.have_done(look_over).await?;
    let location = format!("/api/v1/operations/{}", operation.id);
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, location)], Json(operation_info(&operation))).into_response())
}

fn operation_info(operation: &Operation) -> OperationInfo {
    let (state, problems) = match &operation.state {
        // Until the boards are filled too: who waits for the end then finds them so.
        OperationState::Running | OperationState::Live => ("running", Vec::new()),
        OperationState::Done => ("done", Vec::new()),
        OperationState::Failed { problems } => ("failed", problems.clone()),
    };
    OperationInfo {
        id: operation.id.to_string(),
        challenge: operation.challenge.to_string(),
        version: operation.version,
        state: state.to_owned(),
        problems,
    }
}

/// How a publication stands.
#[utoipa::path(get, path = "/api/v1/operations/{operation}",
    tag = "challenges", operation_id = "show_operation", params(("operation" = String, Path)),
    responses((status = 200, body = OperationInfo), ReadRefusals), security(("token" = [])))]
pub async fn operation(
    State(api): State<Api>,
    Bearer(token): Bearer,
    Path(operation): Path<String>,
) -> Result<Json<OperationInfo>, Problem> {
    let operation: OperationId = id(&operation, "operation")?;
    blocking(move || {
        let unknown = || Refusal::Unknown("operation");
        let found = api.app.store.operation(operation).map_err(Refusal::from)?.ok_or_else(unknown)?;
        let owner = api.app.store.challenge(&found.challenge).map_err(Refusal::from)?.map(|row| row.owner);
        // Before its first version is live a challenge has no owner but the one who is publishing it. The problems say
        // what solutions score, so a participant's token does not do, whosever it is.
        let theirs = token.organizes(&found.challenge, Some(owner.as_ref().unwrap_or(&found.by)));
        if theirs { Ok(Json(operation_info(&found))) } else { Err(unknown().into()) }
    })
    .await
}

/// A public file of a challenge, as a download.
#[utoipa::path(get, path = "/api/v1/challenges/{challenge}/files/{*path}",
    tag = "challenges", operation_id = "download_file",
    params(("challenge" = String, Path), ("path" = String, Path)),
    responses((status = 200, body = Bytes, content_type = "application/octet-stream"), ReadRefusals),
    security((), ("token" = [])))]
pub async fn file(
    State(api): State<Api>,
    bearer: Option<Bearer>,
    Path((challenge, path)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let challenge: ChallengeId = id(&challenge, "challenge")?;
    let file = blocking(move || {
        let seen = api.app.see(bearer.map(|bearer| bearer.0).as_ref(), &challenge)?;
        Ok(api.app.file(&seen, &path)?)
    })
    .await?;
    Ok(download(file.about.path.file_name(), file.bytes))
}

/// Bytes that somebody else made: to be saved, and never to be shown or run by a browser.
pub(super) fn download(name: &str, bytes: Arc<dyn ReadAt>) -> Response {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
    let name: String = name.chars().take(100).map(plain).collect();
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox; default-src 'none'")),
        (
            header::CONTENT_DISPOSITION,
            HeaderValue::from_str(&format!("attachment; filename=\"{name}\""))
                .unwrap_or_else(|_| HeaderValue::from_static("attachment")),
        ),
        (header::CONTENT_LENGTH, bytes.len().into()),
    ];
    (headers, Body::from_stream(chunks(bytes))).into_response()
}

/// The bytes, chunk by chunk, each read by a thread that may block.
fn chunks(bytes: Arc<dyn ReadAt>) -> impl futures_util::Stream<Item = std::io::Result<bytes::Bytes>> + Send {
    futures_util::stream::try_unfold(0u64, move |at| {
        let bytes = Arc::clone(&bytes);
        async move {
            if at >= bytes.len() {
                return Ok(None);
            }
            let read = tokio::task::spawn_blocking(move || {
                let mut buffer = vec![0; 64 << 10];
                let count = bytes.read_at(at, &mut buffer)?;
                buffer.truncate(count);
                Ok::<_, std::io::Error>(buffer)
            });
            let buffer = read.await.map_err(std::io::Error::other)??;
            if buffer.is_empty() {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            let next = at + buffer.len() as u64;
            Ok(Some((bytes::Bytes::from(buffer), next)))
        }
    })
}

/// What the bearer has left, for each phase and rule.
#[utoipa::path(get, path = "/api/v1/challenges/{challenge}/quota",
    tag = "challenges", operation_id = "show_quota", params(("challenge" = String, Path)),
    responses((status = 200, body = QuotaInfo), ReadRefusals), security(("token" = [])))]
pub async fn quota(
    State(api): State<Api>,
    Bearer(token): Bearer,
    Path(challenge): Path<String>,
) -> Result<Json<QuotaInfo>, Problem> {
    let challenge: ChallengeId = id(&challenge, "challenge")?;
    blocking(move || {
        let seen = api.app.see(Some(&token), &challenge)?;
        let standings = api.app.standings(&seen, &token)?.into_iter();
        let phases = standings.map(|(phase, ledger, rules)| PhaseQuota {
            phase,
            open: ledger.open,
            extra: ledger.extra,
            rules: rules.iter().map(Into::into).collect(),
        });
        Ok(Json(QuotaInfo { phases: phases.collect() }))
    })
    .await
}

/// A leaderboard, best first; `format=csv` for comma-separated values of all rows from the cursor on.
#[utoipa::path(get, path = "/api/v1/challenges/{challenge}/leaderboards/{board}",
    tag = "challenges", operation_id = "show_leaderboard",
    params(("challenge" = String, Path), ("board" = String, Path), PageQuery),
    responses((status = 200, content((BoardInfo = "application/json"), (String = "text/csv"))), ReadRefusals),
    security((), ("token" = [])))]
pub async fn leaderboard(
    State(api): State<Api>,
    bearer: Option<Bearer>,
    Path((challenge, board)): Path<(String, String)>,
    Query(page): Query<PageQuery>,
) -> Result<Response, Problem> {
    let (challenge, board): (ChallengeId, LeaderboardId) = (id(&challenge, "challenge")?, id(&board, "leaderboard")?);
    let csv = match page.format.as_deref() {
        None | Some("json") => false,
        Some("csv") => true,
        Some(_) => return Err(Problem::bad_request("`format` is `json` or `csv`")),
    };
    let limit = page.limit()?;
    let after = page.cursor.as_deref().map(place).transpose()?;
    let limit = if csv { MOST_CSV } else { limit };
    let token = bearer.map(|bearer| bearer.0);
    let shown = blocking(move || {
        let seen = api.app.see(token.as_ref(), &challenge)?;
        Ok(api.app.leaderboard(&seen, token.as_ref(), &board, after.as_ref(), limit)?)
    })
    .await?;
    if csv {
        let kind = [(header::CONTENT_TYPE, "text/csv; charset=utf-8")];
        return Ok((kind, to_csv(&shown)).into_response());
    }
    let columns = shown.columns.iter().map(|column| ColumnInfo {
        metric: column.metric.clone(),
        split: column.split.clone(),
        title: column.title.clone(),
        direction: direction(column.direction),
        unit: column.unit.clone(),
        precision: column.precision,
    });
    let items = shown.entries.iter().map(|entry| EntryInfo {
        rank: entry.rank,
        entrant: entry.entrant.to_string(),
        submission: entry.submission.map(|id| id.to_string()),
        submitted_at: entry.submitted_at,
        values: entry.values.clone(),
    });
    let next_cursor = shown.next.as_ref().map(|Place { rank, entrant, mark }| format!("{rank}.{entrant}.{mark}"));
    Ok(Json(BoardInfo { columns: columns.collect(), items: items.collect(), next_cursor }).into_response())
}

/// A board's cursor: the place to go on after.
fn place(cursor: &str) -> Result<Place, Problem> {
    let parse = || {
        let (rank, rest) = cursor.split_once('.')?;
        let (entrant, mark) = rest.rsplit_once('.')?;
        Some(Place { rank: rank.parse().ok()?, entrant: entrant.parse().ok()?, mark: mark.to_owned() })
    };
    parse().ok_or_else(|| Problem::bad_request("`cursor` is not one that this list gave"))
}

/// Names of metrics and entrants are slugs, and splits are quoted: no cell can be a formula.
fn to_csv(page: &Page) -> String {
    let name = |column: &ShownColumn| match &column.split {
        Some(split) => format!("{}@{}", column.metric, split.replace(['"', '\n', '\r'], "_")),
        None => column.metric.clone(),
    };
    let mut text = String::from("rank,entrant,submitted_at");
    for column in &page.columns {
        let _ = write!(text, ",\"{}\"", name(column));
    }
    text.push_str("\r\n");
    for entry in &page.entries {
        let _ = write!(text, "{},{},{}", entry.rank, entry.entrant, entry.submitted_at);
        for value in &entry.values {
            text.push(',');
            if let Some(value) = value {
                let _ = write!(text, "{value}");
            }
        }
        text.push_str("\r\n");
    }
    text
}
