//! What organizers do to queues and quotas while a challenge runs, and the log of it; the operator's view of all queues.

use super::auth::{Bearer, operator};
use super::challenges::{PageQuery, id};
use super::described::{ChangeRefusals, ReadRefusals};
use super::dto::{DeedInfo, GrantInfo, List, NewGrant, NewQueueState, QueueInfo};
use super::extract::{Path, Query, Sent};
use super::problem::Problem;
use super::state::{Api, blocking};
use axum::Json;
use axum::extract::State;
use gradus_core::app::App;
use gradus_core::app::steer::MAX_EXTRA;
use gradus_core::domain::challenge::{Hold, HoldKind};
use gradus_core::domain::id::{ChallengeId, EntrantId, PhaseId};
use gradus_core::domain::queue::Load;
use gradus_core::domain::token::Token;
use std::sync::Arc;

/// A reason, at most; characters.
const MAX_WHY: usize = 1_000;

fn info(challenge: &ChallengeId, load: &Load, hold: Option<Hold>) -> QueueInfo {
    let open = QueueInfo::open(challenge.to_string(), load);
    match hold {
        None => open,
        Some(Hold { kind, since, why }) => QueueInfo { state: kind.word().to_owned(), since: Some(since), why, ..open },
    }
}

/// How the queues stand: of each challenge of which something waits, runs, or is held.
#[utoipa::path(get, path = "/api/v1/queue", tag = "queue", operation_id = "list_queues",
    responses((status = 200, body = List<QueueInfo>), ReadRefusals), security(("token" = [])))]
pub async fn list(State(api): State<Api>, Bearer(token): Bearer) -> Result<Json<List<QueueInfo>>, Problem> {
    operator(&token)?;
    blocking(move || {
        let queues = api.app.queues()?.into_iter();
        let items = queues.map(|(challenge, (hold, load))| info(&challenge, &load, hold)).collect();
        Ok(Json(List { items, next_cursor: None }))
    })
    .await
}

/// How the queue of a challenge stands, for its organizers.
#[utoipa::path(get, path = "/api/v1/challenges/{challenge}/queue",
    tag = "queue", operation_id = "show_queue", params(("challenge" = String, Path)),
    responses((status = 200, body = QueueInfo), ReadRefusals), security(("token" = [])))]
pub async fn show(
    State(api): State<Api>,
    Bearer(token): Bearer,
    Path(challenge): Path<String>,
) -> Result<Json<QueueInfo>, Problem> {
    let challenge: ChallengeId = id(&challenge, "challenge")?;
    blocking(move || {
        let hold = api.app.queue_of(&token, &challenge)?;
        Ok(Json(info(&challenge, &hold.1, hold.0)))
    })
    .await
}

/// Pauses the queue of a challenge, lets it run empty, or opens it again. What runs is not touched.
#[utoipa::path(put, path = "/api/v1/challenges/{challenge}/queue",
    tag = "queue", operation_id = "set_queue", params(("challenge" = String, Path)), request_body = NewQueueState,
    responses((status = 200, body = QueueInfo), ChangeRefusals), security(("token" = [])))]
pub async fn set(
    State(api): State<Api>,
    Bearer(token): Bearer,
    Path(challenge): Path<String>,
    body: Result<Sent<NewQueueState>, Problem>,
) -> Result<Json<QueueInfo>, Problem> {
    let challenge = organized(&api, &token, &challenge).await?;
    let Sent(new) = body?;
    let kind = match new.state.as_str() {
        "open" => None,
        "paused" => Some(HoldKind::Paused),
        "draining" => Some(HoldKind::Draining),
        _ => return Err(Problem::bad_request("`state` is open, paused or draining")),
    };
    let why = new.why.map(reason).transpose()?;
    blocking(move || {
        api.app.hold(&token, &challenge, kind, why)?;
        tracing::info!(by = %token.id, %challenge, state = new.state, "a queue was steered");
        let (hold, load) = api.app.queue_of(&token, &challenge)?;
        Ok(Json(info(&challenge, &load, hold)))
    })
    .await
}

/// The challenge, if the bearer organizes it: looked at before what they want of it.
pub(super) async fn organized(api: &Api, token: &Token, challenge: &str) -> Result<ChallengeId, Problem> {
    let challenge: ChallengeId = id(challenge, "challenge")?;
    let (shared, token, asked) = (Arc::clone(api), token.clone(), challenge.clone());
    blocking(move || Ok(shared.app.organized(&token, &asked).map(drop)?)).await?;
    Ok(challenge)
}

fn reason(why: String) -> Result<String, Problem> {
    let why = why.trim().to_owned();
    if why.is_empty() || why.chars().count() > MAX_WHY || why.chars().any(char::is_control) {
        return Err(Problem::bad_request(format!("`why` is one line of 1 to {MAX_WHY} characters")));
    }
    Ok(why)
}

/// Lets an entrant hand in more often than the rules of a phase allow.
#[utoipa::path(post, path = "/api/v1/challenges/{challenge}/quota",
    tag = "queue", operation_id = "grant_quota", params(("challenge" = String, Path)), request_body = NewGrant,
    responses((status = 200, body = GrantInfo), ChangeRefusals), security(("token" = [])))]
pub async fn grant(
    State(api): State<Api>,
    Bearer(token): Bearer,
    Path(challenge): Path<String>,
    body: Result<Sent<NewGrant>, Problem>,
) -> Result<Json<GrantInfo>, Problem> {
    let challenge = organized(&api, &token, &challenge).await?;
    let Sent(NewGrant { phase, entrant, extra, why }) = body?;
    let wrong = |error: gradus_core::domain::id::BadSlug| Problem::bad_request(error.to_string());
    let (phase, entrant): (PhaseId, EntrantId) = (phase.parse().map_err(wrong)?, entrant.parse().map_err(wrong)?);
    if !(1..=MAX_EXTRA).contains(&extra) {
        return Err(Problem::bad_request(format!("`extra` is 1 to {MAX_EXTRA}")));
    }
    let why = reason(why)?;
    blocking(move || {
        let ledger = api.app.grant_more(&token, &challenge, &phase, &entrant, extra, why)?;
        tracing::info!(by = %token.id, %challenge, %phase, %entrant, extra, "submissions were granted");
        Ok(Json(GrantInfo { phase: phase.to_string(), entrant: entrant.to_string(), extra: ledger.extra }))
    })
    .await
}

/// What was done on this server with rights that others do not have, newest first.
#[utoipa::path(get, path = "/api/v1/audit", tag = "queue", operation_id = "list_audit", params(PageQuery),
    responses((status = 200, body = List<DeedInfo>), ReadRefusals), security(("token" = [])))]
pub async fn audit(
    State(api): State<Api>,
    Bearer(token): Bearer,
    Query(page): Query<PageQuery>,
) -> Result<Json<List<DeedInfo>>, Problem> {
    operator(&token)?;
    let (limit, before) = (page.limit()?, page.cursor::<u64>()?);
    blocking(move || Ok(Json(deeds(&api.app, &token, None, before, limit)?))).await
}

/// What was done to a challenge with rights that others do not have, newest first, for its organizers.
#[utoipa::path(get, path = "/api/v1/challenges/{challenge}/audit", tag = "queue", operation_id = "list_challenge_audit",
    params(("challenge" = String, Path), PageQuery),
    responses((status = 200, body = List<DeedInfo>), ReadRefusals), security(("token" = [])))]
pub async fn challenge_audit(
    State(api): State<Api>,
    Bearer(token): Bearer,
    Path(challenge): Path<String>,
    Query(page): Query<PageQuery>,
) -> Result<Json<List<DeedInfo>>, Problem> {
    let challenge: ChallengeId = id(&challenge, "challenge")?;
    let (limit, before) = (page.limit()?, page.cursor::<u64>()?);
    blocking(move || Ok(Json(deeds(&api.app, &token, Some(&challenge), before, limit)?))).await
}

fn deeds(
    app: &App,
    token: &Token,
    challenge: Option<&ChallengeId>,
    before: Option<u64>,
    limit: usize,
) -> Result<List<DeedInfo>, Problem> {
    let mut found = app.audit(token, challenge, before, limit + 1)?;
    let more = found.len() > limit;
    found.truncate(limit);
    let next_cursor = found.last().filter(|_| more).map(|line| line.seq.to_string());
    Ok(List { items: found.iter().map(Into::into).collect(), next_cursor })
}
