//! The HTTP API: parse → one use case → map. Decides nothing that a use case can.

pub mod auth;
pub mod backup;
pub mod challenges;
pub mod connections;
pub mod counted;
pub mod described;
pub mod desk;
pub mod dto;
pub mod events;
pub mod extract;
pub mod forges;
pub mod health;
pub mod hooks;
pub mod pace;
pub mod problem;
pub mod reserving;
pub mod state;
pub mod steer;
pub mod submissions;
pub mod tokens;
pub mod unread;
pub mod upload;

use self::state::Api;
use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::get;
use std::sync::Arc;
use std::time::Instant;
use utoipa::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Bytes of a JSON body, at most.
const JSON: usize = 64 << 10;

/// What the description says of the whole.
#[derive(OpenApi)]
#[openapi(
    info(title = "Gradus", description = "The grading engine. Errors are RFC 9457 documents with a stable `code`."),
    components(schemas(dto::ProblemInfo)),
    modifiers(&Bearer)
)]
struct Described;

struct Bearer;

impl utoipa::Modify for Bearer {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        let components = api.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

fn described() -> (Router<Api>, utoipa::openapi::OpenApi) {
    OpenApiRouter::with_openapi(Described::openapi())
        .routes(routes!(challenges::list))
        .routes(routes!(challenges::show, challenges::publish))
        .routes(routes!(challenges::file))
        .routes(routes!(challenges::quota, steer::grant))
        .routes(routes!(steer::show, steer::set))
        .routes(routes!(steer::list))
        .routes(routes!(steer::audit))
        .routes(routes!(steer::challenge_audit))
        .routes(routes!(hooks::list, hooks::make))
        .routes(routes!(hooks::remove))
        .routes(routes!(hooks::test))
        .routes(routes!(challenges::leaderboard))
        .routes(routes!(challenges::operation))
        .routes(routes!(submissions::list))
        .routes(routes!(submissions::submit))
        .routes(routes!(submissions::check))
        .routes(routes!(submissions::show))
        .routes(routes!(submissions::cancel))
        .routes(routes!(submissions::report))
        .routes(routes!(submissions::log))
        .routes(routes!(submissions::artifact))
        .routes(routes!(events::events))
        .routes(routes!(tokens::list, tokens::make))
        .routes(routes!(tokens::revoke))
        .routes(routes!(tokens::me))
        .routes(routes!(backup::backup))
        .routes(routes!(forges::list, forges::make))
        .routes(routes!(forges::remove))
        .routes(routes!(forges::pushes))
        .routes(routes!(forges::users))
        .routes(routes!(forges::link))
        .routes(routes!(forges::hear))
        .routes(routes!(forges::standings))
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .routes(routes!(health::version))
        .routes(routes!(health::metrics))
        .split_for_parts()
}

/// All routes.
pub fn router(api: Api) -> Router {
    let (router, mut description) = described();
    described::complete(&mut description);
    let text = description.to_pretty_json().unwrap_or_default();
    router
        .route("/api/openapi.json", get(move || async move { ([("content-type", "application/json")], text) }))
        .fallback(problem::no_route)
        .method_not_allowed_fallback(problem::no_method)
        // Small JSON. Bodies of submissions and challenges are bounded where they are read, each by its own cap.
        .layer(DefaultBodyLimit::max(JSON))
        .layer(middleware::from_fn_with_state(Arc::clone(&api), pace::pace))
        .layer(middleware::from_fn(unread::read_on))
        .layer(middleware::from_fn(measure))
        .with_state(api)
}

/// Counts and times each request, by its route and never by what it names.
async fn measure(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    // A client may make methods up; labels must not grow with them.
    let known = ["GET", "POST", "PUT", "DELETE", "HEAD"];
    let method = known.into_iter().find(|known| request.method() == known).unwrap_or("other").to_owned();
    let began = Instant::now();
    let response = next.run(request).await;
    let status = response.status().as_u16().to_string();
    let labels = [("route", route), ("method", method), ("status", status)];
    metrics::counter!("gradus_http_requests_total", &labels).increment(1);
    metrics::histogram!("gradus_http_request_seconds", &labels[..2]).record(began.elapsed().as_secs_f64());
    response
}
