//! `GET /metrics`, for collectors.

#![allow(unused_qualifications, reason = "the macro of descriptions writes paths in full")]

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::api::Problem;
use crate::metrics::{MEDIA_TYPE, Metrics};

pub(super) fn router(metrics: Arc<Metrics>) -> Router {
    Router::new().route("/metrics", get(render)).with_state(metrics)
}

/// All metrics, as OpenMetrics text.
#[utoipa::path(get, path = "/metrics", responses(
    (status = 200, body = String, content_type = "application/openmetrics-text"),
    (status = 500, body = Problem)))]
pub(super) async fn render(State(metrics): State<Arc<Metrics>>) -> Result<Response, Problem> {
    let failed = |error: std::fmt::Error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string());
    Ok(([(CONTENT_TYPE, MEDIA_TYPE)], metrics.render().map_err(failed)?).into_response())
}
