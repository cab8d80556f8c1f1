//! Tokens: the operator makes, lists and revokes them; everybody may ask who they are.

use super::auth::{Bearer, operator};
use super::challenges::{PageQuery, id};
use super::described::{ChangeRefusals, ReadRefusals};
use super::dto::{List, MadeToken, NewToken, TokenInfo};
use super::extract::{Path, Query, Sent};
use super::problem::Problem;
use super::state::{Api, blocking};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use gradus_core::app::Refusal;
use gradus_core::domain::id::{ChallengeId, EntrantId, TokenId};
use gradus_core::domain::token::{Role, Token};

fn info(token: &Token) -> TokenInfo {
    let role = match token.role {
        Role::Operator => "operator",
        Role::Organizer => "organizer",
        Role::Participant => "participant",
    };
    TokenInfo {
        id: token.id.to_string(),
        role: role.to_owned(),
        subject: token.subject.to_string(),
        challenges: token.challenges.iter().map(ToString::to_string).collect(),
        created_at: token.created_at,
        revoked_at: token.revoked_at,
    }
}

/// All tokens, without their secrets.
#[utoipa::path(get, path = "/api/v1/tokens", tag = "tokens", operation_id = "list_tokens", params(PageQuery),
    responses((status = 200, body = List<TokenInfo>), ReadRefusals), security(("token" = [])))]
pub async fn list(
    State(api): State<Api>,
    Bearer(token): Bearer,
    Query(page): Query<PageQuery>,
) -> Result<Json<List<TokenInfo>>, Problem> {
    operator(&token)?;
    let (limit, after) = (page.limit()?, page.cursor::<TokenId>()?);
    blocking(move || {
        let mut found = api.app.store.tokens(after, limit + 1).map_err(Refusal::from)?;
        let more = found.len() > limit;
        found.truncate(limit);
        let next_cursor = found.last().filter(|_| more).map(|token| token.id.to_string());
        Ok(Json(List { items: found.iter().map(info).collect(), next_cursor }))
    })
    .await
}

/// Makes a token. Its text is in the answer and nowhere else.
#[utoipa::path(post, path = "/api/v1/tokens", tag = "tokens", operation_id = "make_token", request_body = NewToken,
    responses((status = 201, body = MadeToken), ChangeRefusals),
    security(("token" = [])))]
pub async fn make(
    State(api): State<Api>,
    Bearer(token): Bearer,
    body: Result<Sent<NewToken>, Problem>,
) -> Result<(StatusCode, Json<MadeToken>), Problem> {
    operator(&token)?;
    let Sent(new) = body?;
    let role = match new.role.as_str() {
        "operator" => Role::Operator,
        "organizer" => Role::Organizer,
        "participant" => Role::Participant,
        _ => return Err(Problem::bad_request("`role` is operator, organizer or participant")),
    };
    let wrong = |error: gradus_core::domain::id::BadSlug| Problem::bad_request(error.to_string());
    let subject: EntrantId = new.subject.parse().map_err(wrong)?;
    let challenges = new.challenges.iter().map(|text| text.parse::<ChallengeId>().map_err(wrong));
    let challenges = challenges.collect::<Result<Vec<_>, _>>()?;
    blocking(move || {
        let (made, text) = api.app.grant(Some(&token), role, subject, challenges)?;
        tracing::info!(by = %token.id, made = %made.id, role = ?made.role, "a token was made");
        Ok((StatusCode::CREATED, Json(MadeToken { token: text, info: info(&made) })))
    })
    .await
}

/// Revokes a token: from now on it is refused.
#[utoipa::path(delete, path = "/api/v1/tokens/{token}",
    tag = "tokens", operation_id = "revoke_token", params(("token" = String, Path)),
    responses((status = 204), ChangeRefusals), security(("token" = [])))]
pub async fn revoke(
    State(api): State<Api>,
    Bearer(token): Bearer,
    Path(revoked): Path<String>,
) -> Result<StatusCode, Problem> {
    operator(&token)?;
    let revoked: TokenId = id(&revoked, "token")?;
    blocking(move || {
        api.app.revoke(&token, revoked)?;
        tracing::info!(by = %token.id, %revoked, "a token was revoked");
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// Who the bearer is.
#[utoipa::path(get, path = "/api/v1/me", tag = "tokens", operation_id = "show_bearer",
    responses((status = 200, body = TokenInfo), ReadRefusals), security(("token" = [])))]
pub async fn me(Bearer(token): Bearer) -> Json<TokenInfo> {
    Json(info(&token))
}
