//! Axum's extractors with our problem documents: every refusal has a code.

use super::problem::Problem;
use axum::extract::{FromRequestParts, Path as AxumPath, Query as AxumQuery};
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
