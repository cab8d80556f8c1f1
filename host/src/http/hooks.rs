//! Web hooks out, for organizers.

use super::auth::Bearer;
use super::challenges::id;
use super::described::{ChangeRefusals, HookRefusals, ReadRefusals};
use super::dto::{HookInfo, LetterInfo, List, MadeHook, NewHook};
use super::extract::{Path, Sent};
use super::problem::Problem;
use super::state::{Api, blocking};
use super::steer::organized;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use gradus_core::domain::id::{ChallengeId, HookId};

/// The web hooks of a challenge, and how their letters fare, for its organizers.
#[utoipa::path(get, path = "/api/v1/challenges/{challenge}/hooks",
    tag = "hooks", operation_id = "list_hooks", params(("challenge" = String, Path)),
    responses((status = 200, body = List<HookInfo>), ReadRefusals), security(("token" = [])))]
pub async fn list(
    State(api): State<Api>,
    Bearer(token): Bearer,
    Path(challenge): Path<String>,
) -> Result<Json<List<HookInfo>>, Problem> {
    let challenge: ChallengeId = id(&challenge, "challenge")?;
    blocking(move || {
        let items = api.app.hooks(&token, &challenge)?.into_iter().map(Into::into).collect();
        Ok(Json(List { items, next_cursor: None }))
    })
    .await
}

/// Tells an address from now on what becomes of submissions to a challenge. The answer has the secret that letters are signed
/// with.
#[utoipa::path(post, path = "/api/v1/challenges/{challenge}/hooks",
    tag = "hooks", operation_id = "make_hook", params(("challenge" = String, Path)), request_body = NewHook,
    responses((status = 201, body = MadeHook), HookRefusals), security(("token" = [])))]
pub async fn make(
    State(api): State<Api>,
    Bearer(token): Bearer,
    Path(challenge): Path<String>,
    body: Result<Sent<NewHook>, Problem>,
) -> Result<(StatusCode, Json<MadeHook>), Problem> {
    let challenge = organized(&api, &token, &challenge).await?;
    let Sent(NewHook { url }) = body?;
    blocking(move || {
        let hook = api.app.add_hook(&token, &challenge, &url)?;
        tracing::info!(by = %token.id, %challenge, hook = %hook.id, "a web hook was made");
        Ok((StatusCode::CREATED, Json(hook.into())))
    })
    .await
}

fn hook(text: &str) -> Result<HookId, Problem> {
    text.parse().map_err(|_| Problem::bad_request("the id of a web hook has 26 letters and digits"))
}

/// Removes a web hook. What waits for it is not sent.
#[utoipa::path(delete, path = "/api/v1/challenges/{challenge}/hooks/{hook}",
    tag = "hooks", operation_id = "remove_hook", params(("challenge" = String, Path), ("hook" = String, Path)),
    responses((status = 204), ChangeRefusals), security(("token" = [])))]
pub async fn remove(
    State(api): State<Api>,
    Bearer(token): Bearer,
    Path((challenge, id)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let challenge = organized(&api, &token, &challenge).await?;
    let id = hook(&id)?;
    blocking(move || {
        api.app.remove_hook(&token, &challenge, id)?;
        tracing::info!(by = %token.id, %challenge, hook = %id, "a web hook was removed");
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// Sends a web hook a letter that says nothing, to see whether it arrives.
#[utoipa::path(post, path = "/api/v1/challenges/{challenge}/hooks/{hook}/test",
    tag = "hooks", operation_id = "try_hook", params(("challenge" = String, Path), ("hook" = String, Path)),
    responses((status = 202, body = LetterInfo), ChangeRefusals), security(("token" = [])))]
pub async fn test(
    State(api): State<Api>,
    Bearer(token): Bearer,
    Path((challenge, id)): Path<(String, String)>,
) -> Result<(StatusCode, Json<LetterInfo>), Problem> {
    let challenge = organized(&api, &token, &challenge).await?;
    let id = hook(&id)?;
    blocking(move || {
        let letter = api.app.try_hook(&token, &challenge, id)?;
        Ok((StatusCode::ACCEPTED, Json(LetterInfo { id: format!("msg_{letter}") })))
    })
    .await
}
