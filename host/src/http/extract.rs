//! Axum's extractors with our problem documents: every refusal has a code.

use super::problem::Problem;
use super::state::Api;
use super::upload::too_slow;
use axum::Json;
use axum::extract::{FromRequest, FromRequestParts, Path as AxumPath, Query as AxumQuery, Request};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

/// The query of a request.
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = AxumQuery::<T>::from_request_parts(parts, state).await;
        query.map(|query| Self(query.0)).map_err(|refused| Problem::bad_request(refused.body_text()))
    }
}

/// The parameters of a request's path.
pub struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = AxumPath::<T>::from_request_parts(parts, state).await;
        path.map(|path| Self(path.0)).map_err(|refused| Problem::bad_request(refused.body_text()))
    }
}

/// The JSON body of a request, all of it within the time that another body may pause for.
pub struct Sent<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Api> for Sent<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        let body = tokio::time::timeout(api.limits.idle, Json::<T>::from_request(request, api)).await;
        let body = body.map_err(|_| too_slow("the body came too slowly"))?;
        body.map(|Json(body)| Self(body)).map_err(|refused| Problem::bad_request(refused.body_text()))
    }
}
