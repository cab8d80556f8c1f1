//! Who is asking: the bearer token of a request.

use super::problem::Problem;
use super::state::{Api, blocking};
use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use gradus_core::domain::token::{Role, Token};
use std::sync::Arc;

/// The token that a request came with.
pub struct Bearer(pub Token);

async fn bearer(parts: &Parts, api: &Api) -> Result<Option<Token>, Problem> {
    let Some(value) = parts.headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let wrong = || {
        let detail = "this token is not known here, or was revoked; ask the operator for a new one";
        Problem::new(StatusCode::UNAUTHORIZED, "invalid-token", detail)
    };
    let text = value.to_str().map_err(|_| wrong())?;
    let (scheme, token) = text.split_once(' ').ok_or_else(wrong)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(wrong());
    }
    let (app, token) = (Arc::clone(&api.app), token.trim().to_owned());
    let known = blocking(move || Ok(app.authenticate(&token)?)).await?;
    let known = known.ok_or_else(wrong)?;
    api.pace.token(known.id, parts.extensions.get())?;
    Ok(Some(known))
}

impl FromRequestParts<Api> for Bearer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let missing = || {
            let detail = "this needs a token: send `Authorization: Bearer gradus_…`, or use `gradus login`";
            Problem::new(StatusCode::UNAUTHORIZED, "missing-token", detail)
        };
        bearer(parts, api).await?.map(Self).ok_or_else(missing)
    }
}

impl OptionalFromRequestParts<Api> for Bearer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Option<Self>, Problem> {
        Ok(bearer(parts, api).await?.map(Self))
    }
}

/// # Errors
/// The bearer is no operator of the whole server: one who is narrowed to challenges could make a token that is not.
pub fn operator(token: &Token) -> Result<(), Problem> {
    let refused = |detail| Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", detail));
    match token.role {
        Role::Operator if token.challenges.is_empty() => Ok(()),
        Role::Operator => refused("this needs an operator's token that is not narrowed to challenges"),
        Role::Organizer | Role::Participant => refused("this needs an operator's token"),
    }
}
