//! What is left of a body when its request was refused. A connection that is closed in the middle of a body would often
//! take the answer with it, and most clients look for one only when they have sent all; so it is read on, for a moment.

use axum::body::{Body, BodyDataStream};
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use futures_util::StreamExt as _;
use futures_util::stream::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// For so long.
const MOMENT: Duration = Duration::from_secs(2);

/// Hands the request on; reads on what is left of its body if the answer is a refusal.
pub async fn read_on(request: Request, next: Next) -> Response {
    // Who asked first whether to send it has not, and a read would call for it.
    if request.headers().contains_key(header::EXPECT) {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let unread = Arc::new(Mutex::new(body.into_data_stream()));
    let handed = Arc::clone(&unread);
    let body = Body::from_stream(poll_fn(move |cx| lock(&handed).poll_next_unpin(cx)));
    let response = next.run(Request::from_parts(parts, body)).await;
    // Whose body came too slowly sends nothing now either.
    let slow = response.status() == StatusCode::REQUEST_TIMEOUT;
    if !slow && (response.status().is_client_error() || response.status().is_server_error()) {
        let until = Instant::now() + MOMENT;
        let mut rest = poll_fn(|cx| lock(&unread).poll_next_unpin(cx));
        while let Ok(Some(Ok(_))) = timeout_at(until, rest.next()).await {}
    }
    response
}

fn lock(body: &Mutex<BodyDataStream>) -> MutexGuard<'_, BodyDataStream> {
    // A panic while it was polled leaves a body that is at its end, or fails again.
    body.lock().unwrap_or_else(PoisonError::into_inner)
}
