//! Submissions: hand in, check, read, cancel; reports, logs and artifacts as the reader may see them.

use super::auth::Bearer;
use super::challenges::{PageQuery, download, file_info, id};
use super::described::{Bytes, ChangeRefusals, ReadRefusals, ReportInfo, SubmissionForm, UploadRefusals};
use super::dto::{AboutInfo, CheckInfo, FileInfo, List, RunInfo, SubmissionInfo};
use super::extract::{Path, Query};
use super::problem::Problem;
use super::state::{Api, blocking};
use super::upload::{self, Arrived, Place, RawQuery};
use crate::workspace::{Refused, unpack};
use axum::Json;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use gradus_core::app::check::Pending;
use gradus_core::app::launch::is_image;
use gradus_core::app::read::ReadReport;
use gradus_core::app::submit::{Door, LookedOver, Offer, Submitted};
use gradus_core::app::{App, Refusal};
use gradus_core::domain::id::{ChallengeId, PhaseId, SubmissionId};
use gradus_core::domain::report::Outcome;
use gradus_core::domain::run_record::Stream;
use gradus_core::domain::submission::{About, Lane, Upload};
use gradus_core::domain::token::Token;
use gradus_core::ports::store::Tracked;
use std::sync::Arc;

/// A submission, for the wire.
pub(super) fn info(app: &App, tracked: &Tracked) -> SubmissionInfo {
    let Tracked { submission, job, refunded } = tracked;
    let About { description, method_name, method_description, project_url, publication_url } = submission.about.clone();
    let over = job.state.is_terminal();
    let reported = matches!(
        job.outcome,
        Some(
            Outcome::Scored
                | Outcome::InvalidSubmission
                | Outcome::InvalidChallenge
                | Outcome::ScorerFailed
                | Outcome::Limit { .. }
        )
    );
    // A run that failed left nothing to report on.
    let reported = reported && job.run.as_ref().is_none_or(|run| run.failed.is_none());
    SubmissionInfo {
        id: submission.id.to_string(),
        challenge: submission.challenge.to_string(),
        version: submission.version,
        phase: submission.phase.to_string(),
        entrant: submission.entrant.to_string(),
        submitted_at: submission.submitted_at,
        lane: submission.lane.word().to_owned(),
        state: job.state.word().to_owned(),
        reason: app.waits_in_vain(tracked).or_else(|| job.reason.clone()),
        place: None,
        repeated: false,
        outcome: job.outcome.as_ref().map(|outcome| outcome.word().to_owned()),
        fault: job.fault,
        charged: over.then_some(!refunded),
        file: FileInfo {
            path: submission.upload.name.clone(),
            len: submission.upload.len,
            digest: submission.upload.digest.to_string(),
        },
        about: AboutInfo { description, method_name, method_description, project_url, publication_url },
        pushed: submission.pushed.as_deref().cloned().map(Into::into),
        run: job.run.as_deref().map(RunInfo::from),
        report: reported.then(|| format!("/api/v1/submissions/{}/report", submission.id)),
    }
}

/// The same, with its place.
fn placed(app: &App, tracked: &Tracked) -> SubmissionInfo {
    SubmissionInfo { place: app.place(tracked).map(Into::into), ..info(app, tracked) }
}

/// What came in at the door of a phase, to be dealt with by a thread that may block.
struct AtTheDoor {
    token: Token,
    challenge: ChallengeId,
    phase: PhaseId,
    key: Option<String>,
    arrived: Arrived,
    at: jiff::Timestamp,
}

impl AtTheDoor {
    /// What holds now that all of it is here, and its files.
    fn open(self, api: &Api) -> Result<(Door, Token, Offer, Place), Problem> {
        let Self { token, challenge, phase, key, arrived, at } = self;
        let door = api.app.door(&token, &challenge, &phase, key.as_deref(), at)?;
        let (files, upload, about, place) = files(api, &door, arrived)?;
        Ok((door, token, Offer { upload, files, about, key, arrived: at }, place))
    }
}

async fn take_in(
    api: &Api,
    token: Token,
    challenge: &str,
    phase: &str,
    query: RawQuery,
    key: Option<String>,
    request: Request,
) -> Result<AtTheDoor, Problem> {
    let challenge: ChallengeId = id(challenge, "challenge")?;
    let phase: PhaseId = id(phase, "phase")?;
    let (shared, asked) = (Arc::clone(api), (token.clone(), challenge.clone(), phase.clone(), key.clone()));
    let door = move || {
        let (token, challenge, phase, key) = asked;
        Ok(shared.app.door(&token, &challenge, &phase, key.as_deref(), shared.app.clock.now())?)
    };
    // Who may hand in an image may send more.
    let cap = if takes_images(&blocking(door).await?) { api.limits.image } else { api.limits.submission };
    let arrived = upload::submission(api, &token, request, query, cap).await?;
    // The submission's time: its last byte is here.
    let at = api.app.clock.now();
    Ok(AtTheDoor { token, challenge, phase, key, arrived, at })
}

fn takes_images(door: &Door) -> bool {
    let task = door.version.challenge.task(&door.phase.task);
    task.is_some_and(|task| task.accepts.contains(&Lane::Image))
}

/// The files of what arrived: one, or those of an archive.
fn files(api: &Api, door: &Door, arrived: Arrived) -> Result<(Pending, Upload, About, Place), Problem> {
    let Arrived { name, body, about, place } = arrived;
    let blob = body.whole(&api.intake)?;
    let upload = Upload { name, len: blob.len(), digest: blob.digest() };
    let limits = if takes_images(door) { &api.limits.image_archive } else { &api.limits.submission_archive };
    let unpacked = unpack(&upload.name, blob, &api.intake, limits)?;
    let files = Pending::new(unpacked).map_err(|path| Problem::bad_request(format!("`{path}` is there twice")))?;
    if !is_image(files.folder()) {
        // It was let in as if it were one.
        let (body, most) = (api.limits.submission, api.limits.submission_archive.bytes);
        if upload.len > body.0 {
            return Err(upload::too_large(body));
        }
        if files.folder().files().iter().map(|file| file.about.len).sum::<u64>() > most.0 {
            return Err(Refused::TooBig { most }.into());
        }
    }
    Ok((files, upload, about, place))
}

/// Hands in. The format check, quota and limits come first; a 202 means that it is kept and will be graded.
#[utoipa::path(post, path = "/api/v1/challenges/{challenge}/phases/{phase}/submissions", tag = "submissions",
    params(("challenge" = String, Path), ("phase" = String, Path), RawQuery,
        ("Idempotency-Key" = Option<String>, Header, description = "The same key and content give the same submission")),
    request_body(content((Bytes = "application/octet-stream"), (SubmissionForm = "multipart/form-data"))),
    responses((status = 202, body = SubmissionInfo), UploadRefusals),
    security(("token" = [])))]
pub async fn submit(
    State(api): State<Api>,
    Bearer(token): Bearer,
    Path((challenge, phase)): Path<(String, String)>,
    Query(query): Query<RawQuery>,
    request: Request,
) -> Result<Response, Problem> {
    let key = idempotency_key(&request)?;
    let arrived = take_in(&api, token, &challenge, &phase, query, key, request).await?;
    let shared = Arc::clone(&api);
    let look_over = move || {
        let (door, token, offer, place) = arrived.open(&shared)?;
        let looked = shared.app.look_over((&token).into(), &door, offer)?;
        Ok((looked, door, token, place))
    };
    let (looked, door, token, place) = api.door.have_done(look_over).await?;
    // Not at the desk: what waits for the disk is in nobody's way, and many wait for one sync.
    let (submitted, info) = blocking(move || {
        let submitted = match looked {
            LookedOver::Before(before) => before,
            LookedOver::Good(good) => api.app.take_in((&token).into(), &door, *good)?,
        };
        drop(place);
        let found = api.app.store.submission(submitted.id).map_err(Refusal::from)?;
        let info = placed(&api.app, &found.ok_or(Refusal::Unknown("submission"))?);
        Ok((submitted, info))
    })
    .await?;
    let Submitted { id, before, same } = submitted;
    let headers = [(header::LOCATION, format!("/api/v1/submissions/{id}"))];
    let info = SubmissionInfo { repeated: same, ..info };
    let mut response = (StatusCode::ACCEPTED, headers, Json(info)).into_response();
    if before {
        response.headers_mut().insert("idempotency-replayed", header::HeaderValue::from_static("true"));
    }
    Ok(response)
}

fn idempotency_key(request: &Request) -> Result<Option<String>, Problem> {
    let Some(value) = request.headers().get("idempotency-key") else { return Ok(None) };
    let text = value.to_str().ok().filter(|text| (1..=255).contains(&text.len()));
    text.map(|text| Some(text.to_owned()))
        .ok_or_else(|| Problem::bad_request("an Idempotency-Key is 1 to 255 ASCII characters"))
}

/// Only the format check: stores nothing and costs nothing.
#[utoipa::path(post, path = "/api/v1/challenges/{challenge}/phases/{phase}/check",
    tag = "submissions", operation_id = "check_submission",
    params(("challenge" = String, Path), ("phase" = String, Path), RawQuery),
    request_body(content((Bytes = "application/octet-stream"), (SubmissionForm = "multipart/form-data"))),
    responses((status = 200, body = CheckInfo), UploadRefusals), security(("token" = [])))]
pub async fn check(
    State(api): State<Api>,
    Bearer(token): Bearer,
    Path((challenge, phase)): Path<(String, String)>,
    Query(query): Query<RawQuery>,
    request: Request,
) -> Result<Json<CheckInfo>, Problem> {
    let arrived = take_in(&api, token, &challenge, &phase, query, None, request).await?;
    let shared = Arc::clone(&api);
    let look = move || {
        let (door, _, Offer { files, .. }, _place) = arrived.open(&shared)?;
        shared.app.check_only(&door, &files)?;
        Ok(files.folder().tree().files().iter().map(file_info).collect())
    };
    let files = api.door.have_done(look).await?;
    Ok(Json(CheckInfo { check: "valid".to_owned(), files }))
}

/// Submissions to a challenge, newest first: the bearer's own; all of them for its organizers.
#[utoipa::path(get, path = "/api/v1/challenges/{challenge}/submissions",
    tag = "submissions", operation_id = "list_submissions",
    params(("challenge" = String, Path), PageQuery), responses((status = 200, body = List<SubmissionInfo>), ReadRefusals),
    security(("token" = [])))]
pub async fn list(
    State(api): State<Api>,
    Bearer(token): Bearer,
    Path(challenge): Path<String>,
    Query(page): Query<PageQuery>,
) -> Result<Json<List<SubmissionInfo>>, Problem> {
    let challenge: ChallengeId = id(&challenge, "challenge")?;
    let (limit, before) = (page.limit()?, page.cursor::<SubmissionId>()?);
    blocking(move || {
        let seen = api.app.see(Some(&token), &challenge)?;
        if !token.submits(&challenge) {
            return Err(Refusal::Forbidden("this token is for another challenge").into());
        }
        let whose = (!seen.organizer).then_some(&token.subject);
        let mut found = api.app.store.submissions(&challenge, whose, before, limit + 1).map_err(Refusal::from)?;
        let more = found.len() > limit;
        found.truncate(limit);
        let next_cursor = found.last().filter(|_| more).map(|tracked| tracked.submission.id.to_string());
        Ok(Json(List { items: found.iter().map(|tracked| info(&api.app, tracked)).collect(), next_cursor }))
    })
    .await
}

/// How a submission stands.
#[utoipa::path(get, path = "/api/v1/submissions/{submission}",
    tag = "submissions", operation_id = "show_submission", params(("submission" = String, Path)),
    responses((status = 200, body = SubmissionInfo), ReadRefusals), security(("token" = [])))]
pub async fn show(
    State(api): State<Api>,
    Bearer(token): Bearer,
    Path(submission): Path<String>,
) -> Result<Json<SubmissionInfo>, Problem> {
    let submission: SubmissionId = id(&submission, "submission")?;
    blocking(move || Ok(Json(placed(&api.app, &api.app.see_submission(&token, submission)?.tracked)))).await
}

/// Calls a submission off. While it waits that costs nothing; once it is worked on, it counts.
#[utoipa::path(post, path = "/api/v1/submissions/{submission}/cancel",
    tag = "submissions", operation_id = "cancel_submission",
    params(("submission" = String, Path)),
    responses((status = 200, body = SubmissionInfo), ChangeRefusals), security(("token" = [])))]
pub async fn cancel(
    State(api): State<Api>,
    Bearer(token): Bearer,
    Path(submission): Path<String>,
) -> Result<Json<SubmissionInfo>, Problem> {
    let submission: SubmissionId = id(&submission, "submission")?;
    blocking(move || {
        api.app.cancel(&token, submission)?;
        Ok(Json(info(&api.app, &api.app.see_submission(&token, submission)?.tracked)))
    })
    .await
}

/// The report: whole for organizers, cut for participants.
#[utoipa::path(get, path = "/api/v1/submissions/{submission}/report",
    tag = "submissions", operation_id = "show_report",
    params(("submission" = String, Path)),
    responses((status = 200, body = ReportInfo), ReadRefusals),
    security(("token" = [])))]
pub async fn report(
    State(api): State<Api>,
    Bearer(token): Bearer,
    Path(submission): Path<String>,
) -> Result<Response, Problem> {
    let submission: SubmissionId = id(&submission, "submission")?;
    blocking(move || {
        let seen = api.app.see_submission(&token, submission)?;
        Ok(match api.app.report(&seen)? {
            // The stored bytes as they are: what `gradus score` prints is compared with them.
            ReadReport::Whole(bytes) => ([(header::CONTENT_TYPE, "application/json")], bytes).into_response(),
            ReadReport::Cut(report) => Json(*report).into_response(),
        })
    })
    .await
}

/// A log of a submission. `scorer` is what the scorer wrote, and `ingestion` what an ingestion program in a container of its
/// own did, for organizers; `stdout` and `stderr` are what its program
/// printed, as the bytes came but for what its limit cut out of the middle: for organizers, and for its participant if the
/// task says so.
#[utoipa::path(get, path = "/api/v1/submissions/{submission}/logs/{stream}",
    tag = "submissions", operation_id = "show_log",
    params(("submission" = String, Path), ("stream" = String, Path)),
    responses((status = 200, body = String, content_type = "text/plain"), ReadRefusals), security(("token" = [])))]
pub async fn log(
    State(api): State<Api>,
    Bearer(token): Bearer,
    Path((submission, stream)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let submission: SubmissionId = id(&submission, "submission")?;
    blocking(move || {
        let seen = api.app.see_submission(&token, submission)?;
        let bytes = match Stream::ALL.into_iter().find(|known| known.word() == stream) {
            Some(stream) => api.app.printed(&seen, stream)?,
            None if stream == "scorer" => api.app.log(&seen)?,
            None if stream == "ingestion" => api.app.ingestion_log(&seen)?,
            None => return Err(Refusal::Unknown("log").into()),
        };
        let headers =
            [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
        Ok((headers, bytes).into_response())
    })
    .await
}

/// A file that the scorer made, as a download.
#[utoipa::path(get, path = "/api/v1/submissions/{submission}/artifacts/{name}",
    tag = "submissions", operation_id = "download_artifact",
    params(("submission" = String, Path), ("name" = String, Path)),
    responses((status = 200, body = Bytes, content_type = "application/octet-stream"), ReadRefusals),
    security(("token" = [])))]
pub async fn artifact(
    State(api): State<Api>,
    Bearer(token): Bearer,
    Path((submission, name)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let submission: SubmissionId = id(&submission, "submission")?;
    blocking(move || {
        let seen = api.app.see_submission(&token, submission)?;
        let (about, bytes) = api.app.attachment(&seen, &name)?;
        Ok(download(&about.name, bytes))
    })
    .await
}
