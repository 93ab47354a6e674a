//! The status page: what the server does now and why, and the operator's hand, for a browser.
//!
//! ```text
//! view (what is shown) -> html, tables (how) -> page.js keeps it fresh by the stream of events
//! order (forms)        -> writer's queue
//! ```
//!
//! Made on the server, so that it works without the script. Nothing of it comes from elsewhere.

mod forms;
mod html;
mod order;
mod tables;
mod view;

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Extension, Form, Router};
use serde::Deserialize;

use self::view::View;
use super::guard::{Forms, Guard, SIGN_IN, Who};
use super::session::is_same;
use crate::limits::ADMIN_REQUEST_OCTETS;
use crate::metrics::Metrics;
use crate::publish::Control;

/// Nothing that a page of ours is told to load comes from elsewhere, whatever a name or a probe's
/// evidence holds, and nobody frames its buttons.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

#[derive(Clone)]
struct Page {
    control: Control,
    metrics: Arc<Metrics>,
}

/// What needs a token, a session, or the socket.
pub(super) fn router(control: Control, metrics: Arc<Metrics>) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/order", post(order::take))
        .layer(DefaultBodyLimit::max(ADMIN_REQUEST_OCTETS))
        .layer(from_fn(guarded))
        .with_state(Page { control, metrics })
}

/// What tells nothing, and is open to everybody.
pub(super) fn open_router() -> Router {
    let asset =
        |media: &'static str, text: &'static str| get(async move || ([(header::CONTENT_TYPE, media)], text));
    Router::new()
        .route("/page.js", asset("text/javascript; charset=utf-8", include_str!("page.js")))
        .route("/page.css", asset("text/css; charset=utf-8", include_str!("page.css")))
        .route("/icon.svg", asset("image/svg+xml", include_str!("icon.svg")))
        .layer(from_fn(guarded))
}

/// Where one signs in and out, over TCP.
pub(super) fn sign_in_router(guard: Guard) -> Router {
    Router::new()
        .route(SIGN_IN, get(async || Html(html::sign_in(None).into_string())).post(sign_in))
        .route("/sign-out", post(sign_out))
        .layer(DefaultBodyLimit::max(ADMIN_REQUEST_OCTETS))
        .layer(from_fn(guarded))
        .with_state(guard)
}

async fn index(
    State(Page { control, metrics }): State<Page>,
    Extension(Who(name)): Extension<Who>,
    Extension(forms): Extension<Forms>,
) -> Html<String> {
    let view = View::gather(control.status(), &metrics);
    Html(html::page(&view, &name, &forms).into_string())
}

#[derive(Deserialize)]
struct SignIn {
    token: String,
}

async fn sign_in(State(guard): State<Guard>, Form(SignIn { token }): Form<SignIn>) -> Response {
    match guard.sign_in(&token) {
        Ok(cookie) => ([(header::SET_COOKIE, cookie)], Redirect::to("/")).into_response(),
        Err(problem) => {
            (problem.code(), Html(html::sign_in(Some(&problem.error)).into_string())).into_response()
        }
    }
}

#[derive(Deserialize)]
struct SignOut {
    seal: String,
}

async fn sign_out(State(guard): State<Guard>, headers: HeaderMap, Form(form): Form<SignOut>) -> Response {
    if !guard.is_sealed(&headers, &form.seal) {
        return (StatusCode::FORBIDDEN, "this form isn't of your session").into_response();
    }
    ([(header::SET_COOKIE, guard.sign_out(&headers))], Redirect::to(SIGN_IN)).into_response()
}

/// Whether a form was made for whoever sends it.
fn is_sealed(forms: &Forms, seal: &str) -> bool {
    !forms.seal.is_empty() && is_same(&forms.seal, seal)
}

/// Headers by which browsers guard a page. The address of the page stays here; with
/// `no-referrer` browsers would send `Origin: null` with our own forms.
async fn guarded(request: axum::extract::Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
