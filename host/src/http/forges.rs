//! Hooks of forges, and the operator's view of them.

use super::auth::{Bearer, operator};
use super::challenges::{PageQuery, id};
use super::described::{HearRefusals, ReadRefusals, SourceRefusals};
use super::dto::{
    ForgeUserInfo, LinkInfo, List, MadeSource, NewSourceInfo, PushInfo, SourceInfo, StandingInfo, forge_kind,
};
use super::extract::{Path, Query, Sent};
use super::problem::Problem;
use super::state::{Api, blocking};
use super::upload::too_slow;
use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use gradus_core::app::forges::NewSource;
use gradus_core::domain::forge::{Access, Delivery, Source, Told};
use gradus_core::domain::hook::Secret;
use gradus_core::domain::id::{PushId, SourceId};
use std::num::NonZeroU32;
use std::sync::Arc;

/// Bytes of a hook, at most: some list each file that each commit changed.
const MAX_HOOK: usize = 5 << 20;

/// A forge tells what was pushed. It is kept when this is answered; what is no push of a tag is answered, and not kept.
#[utoipa::path(post, path = "/hooks/{source}", tag = "forges", operation_id = "hear_hook",
    params(("source" = String, Path)), request_body(content = serde_json::Value, content_type = "application/json"),
    responses((status = 202), HearRefusals))]
pub async fn hear(State(api): State<Api>, Path(source): Path<String>, request: Request) -> Result<StatusCode, Problem> {
    let source: SourceId = id(&source, "forge")?;
    let now = api.app.clock.now();
    let (headers, body) = proved(&api, &source, request).await?;
    blocking(move || {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let outcome = |outcome: &'static str| {
            metrics::counter!("gradus_forge_hooks_total", "source" => source.to_string(), "outcome" => outcome)
                .increment(1);
        };
        let told = api.app.hear(&source, Delivery { header: &header, body: &body }, now);
        let told = told.inspect_err(|refusal| {
            outcome("refused");
            tracing::warn!(%source, error = %refusal, "a hook was refused");
        })?;
        // All of a hook are of one project.
        let tags = told.iter().filter(|told| matches!(told, Told::Tag(_))).count();
        let project = told.iter().find_map(|told| match told {
            Told::Tag(tag) => Some(&tag.project),
            Told::Gone { .. } | Told::Project(_) => None,
        });
        if let (Some(project), Some(tags)) = (project, u32::try_from(tags).ok().and_then(NonZeroU32::new)) {
            api.pace.project(&source, &project.id, tags).inspect_err(|_| {
                outcome("too-fast");
                tracing::warn!(%source, project = project.path, %tags, "too many tags of a project: they are not kept");
            })?;
        }
        let (all, new) = (told.len(), api.app.receive(&source, told, now)?);
        outcome(if new > 0 {
            "new"
        } else if all > 0 {
            "known"
        } else {
            "ignored"
        });
        Ok(StatusCode::ACCEPTED)
    })
    .await
}

/// A hook's head and body, if its head says that it can be proved.
async fn proved(api: &Api, source: &SourceId, request: Request) -> Result<(Arc<HeaderMap>, Bytes), Problem> {
    let (head, body) = request.into_parts();
    let headers = Arc::new(head.headers);
    // Before the body is read: who does not even say that they can prove it need not send it.
    let (app, of, known) = (Arc::clone(&api.app), source.clone(), Arc::clone(&headers));
    blocking(move || {
        let header = |name: &str| known.get(name).and_then(|value| value.to_str().ok());
        Ok(app.may_tell(&of, &header)?)
    })
    .await?;
    let body = tokio::time::timeout(api.limits.idle, axum::body::to_bytes(body, MAX_HOOK)).await;
    let body = body.map_err(|_| too_slow("the hook came too slowly"))?;
    let body = body.map_err(|_| {
        let detail = format!("a hook has {MAX_HOOK} bytes at most, all of which have to arrive");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail)
    })?;
    Ok((headers, body))
}

/// How the tags stand that a git server without a forge told of: it sends the same hook here, with a proof of now.
#[utoipa::path(post, path = "/hooks/{source}/standings", tag = "forges", operation_id = "show_standings",
    params(("source" = String, Path)), request_body(content = serde_json::Value, content_type = "application/json"),
    responses((status = 200, body = List<StandingInfo>), HearRefusals))]
pub async fn standings(
    State(api): State<Api>,
    Path(source): Path<String>,
    request: Request,
) -> Result<Json<List<StandingInfo>>, Problem> {
    let source: SourceId = id(&source, "forge")?;
    let now = api.app.clock.now();
    let (headers, body) = proved(&api, &source, request).await?;
    blocking(move || {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let delivery = Delivery { header: &header, body: &body };
        api.app.hear(&source, delivery, now)?;
        // It costs more than a hook, and is asked again and again: by who may, as is known now.
        api.pace.project(&source, "", NonZeroU32::MIN)?;
        let all = api.app.tags_stand(&source, delivery, now)?;
        Ok(Json(List { items: all.into_iter().map(Into::into).collect(), next_cursor: None }))
    })
    .await
}

/// The forges that may tell of tags.
#[utoipa::path(get, path = "/api/v1/sources", tag = "forges", operation_id = "list_sources",
    responses((status = 200, body = List<SourceInfo>), ReadRefusals), security(("token" = [])))]
pub async fn list(State(api): State<Api>, Bearer(token): Bearer) -> Result<Json<List<SourceInfo>>, Problem> {
    operator(&token)?;
    blocking(move || {
        let told = |source: Source| {
            let trouble = api.app.trouble_with(&source.id);
            SourceInfo { trouble, ..source.into() }
        };
        let items = api.app.sources(&token)?.into_iter().map(told).collect();
        Ok(Json(List { items, next_cursor: None }))
    })
    .await
}

/// Lets a forge tell of tags from now on. The answer has the secret that it proves its hooks with, if it was made here.
#[utoipa::path(post, path = "/api/v1/sources", tag = "forges", operation_id = "make_source", request_body = NewSourceInfo,
    responses((status = 201, body = MadeSource), SourceRefusals), security(("token" = [])))]
pub async fn make(
    State(api): State<Api>,
    Bearer(token): Bearer,
    body: Result<Sent<NewSourceInfo>, Problem>,
) -> Result<(StatusCode, Json<MadeSource>), Problem> {
    operator(&token)?;
    let Sent(NewSourceInfo { name, kind, base, by_token, secret, token: theirs, user, private, register }) = body?;
    if user.is_some() && theirs.is_none() {
        return Err(Problem::bad_request("`user` goes with `token`; give both"));
    }
    let access = theirs.map(|token| Access { user, token: Secret(token) });
    let id = name.parse().map_err(|error: gradus_core::domain::id::BadSlug| Problem::bad_request(error.to_string()))?;
    let kind = forge_kind(&kind);
    let kind = kind.ok_or_else(|| Problem::bad_request("`kind` is gitlab, gitea, github or plain"))?;
    blocking(move || {
        let given = secret.is_some();
        let new = NewSource { id, kind, base, by_token, secret: secret.map(Secret), access, private, register };
        let (source, secret) = api.app.add_source(&token, new)?;
        // Whoever brought it has it.
        let secret = (!given).then_some(secret.0);
        tracing::info!(by = %token.id, source = %source.id, kind = source.kind.word(), "a forge may tell of tags");
        Ok((StatusCode::CREATED, Json(MadeSource { info: source.into(), secret })))
    })
    .await
}

/// A forge may not tell of tags any more. What it told stays.
#[utoipa::path(delete, path = "/api/v1/sources/{source}", tag = "forges", operation_id = "remove_source",
    params(("source" = String, Path)), responses((status = 204), SourceRefusals), security(("token" = [])))]
pub async fn remove(
    State(api): State<Api>,
    Bearer(token): Bearer,
    Path(source): Path<String>,
) -> Result<StatusCode, Problem> {
    operator(&token)?;
    let source: SourceId = id(&source, "forge")?;
    blocking(move || {
        api.app.remove_source(&token, &source)?;
        tracing::info!(by = %token.id, %source, "a forge may not tell of tags any more");
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// What a forge told, newest first.
#[utoipa::path(get, path = "/api/v1/sources/{source}/pushes", tag = "forges", operation_id = "list_pushes",
    params(("source" = String, Path), PageQuery),
    responses((status = 200, body = List<PushInfo>), ReadRefusals), security(("token" = [])))]
pub async fn pushes(
    State(api): State<Api>,
    Bearer(token): Bearer,
    Path(source): Path<String>,
    Query(page): Query<PageQuery>,
) -> Result<Json<List<PushInfo>>, Problem> {
    operator(&token)?;
    let source: SourceId = id(&source, "forge")?;
    let (limit, before) = (page.limit()?, page.cursor::<PushId>()?);
    blocking(move || {
        let mut found = api.app.pushes(&token, &source, before, limit + 1)?;
        let more = found.len() > limit;
        found.truncate(limit);
        let next_cursor = found.last().filter(|_| more).map(|push| push.id.to_string());
        Ok(Json(List { items: found.into_iter().map(Into::into).collect(), next_cursor }))
    })
    .await
}

/// Who of a forge is known here, by what it knows them by.
#[utoipa::path(get, path = "/api/v1/sources/{source}/users", tag = "forges", operation_id = "list_users",
    params(("source" = String, Path), PageQuery),
    responses((status = 200, body = List<ForgeUserInfo>), ReadRefusals), security(("token" = [])))]
pub async fn users(
    State(api): State<Api>,
    Bearer(token): Bearer,
    Path(source): Path<String>,
    Query(page): Query<PageQuery>,
) -> Result<Json<List<ForgeUserInfo>>, Problem> {
    operator(&token)?;
    let source: SourceId = id(&source, "forge")?;
    let (limit, after) = (page.limit()?, page.cursor::<String>()?);
    blocking(move || {
        let mut found = api.app.forge_users(&token, &source, after.as_deref(), limit + 1)?;
        let more = found.len() > limit;
        found.truncate(limit);
        let next_cursor = found.last().filter(|_| more).map(|user| user.id.clone());
        Ok(Json(List { items: found.into_iter().map(Into::into).collect(), next_cursor }))
    })
    .await
}

/// Makes somebody of a forge an entrant who is here already: what they push from now on is that one's.
#[utoipa::path(put, path = "/api/v1/sources/{source}/users/{user}", tag = "forges", operation_id = "link_user",
    params(("source" = String, Path), ("user" = String, Path, description = "What the forge knows them by.")),
    request_body = LinkInfo, responses((status = 200, body = ForgeUserInfo), SourceRefusals), security(("token" = [])))]
pub async fn link(
    State(api): State<Api>,
    Bearer(token): Bearer,
    Path((source, user)): Path<(String, String)>,
    body: Result<Sent<LinkInfo>, Problem>,
) -> Result<Json<ForgeUserInfo>, Problem> {
    operator(&token)?;
    let source: SourceId = id(&source, "forge")?;
    let Sent(LinkInfo { entrant }) = body?;
    let entrant =
        entrant.parse().map_err(|error: gradus_core::domain::id::BadSlug| Problem::bad_request(error.to_string()))?;
    blocking(move || {
        let user = api.app.link_user(&token, &source, &user, entrant)?;
        tracing::info!(by = %token.id, %source, user = user.id, entrant = %user.entrant, "somebody of a forge is known");
        Ok(Json(user.into()))
    })
    .await
}
