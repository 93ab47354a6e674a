//! `GET /v1/bundles/ZONE`: a zone's signatures, for servers without its keys.

#![allow(unused_qualifications, reason = "the macro of descriptions writes paths in full")]

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::header::{CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::api::Problem;
use crate::bundles;
use crate::wire::name::Name;

/// Bundles of a directory; whoever has the one of an ETag is told so.
pub(super) fn router(directory: PathBuf) -> Router {
    Router::new().route("/v1/bundles/{zone}", get(bundle)).with_state(Arc::new(directory))
}

/// A signed zone's bundle, on a server with `[bundles]`; with its ETag whether there is another.
#[utoipa::path(get, path = "/v1/bundles/{zone}", params(
    ("zone" = String, Path, description = "The apex. A slash in it is written \\047.", example = "example.com")),
    responses(
    (status = 200, body = [u8], content_type = "application/octet-stream", headers(
        ("etag" = String, description = "What tells two bundles apart: for If-None-Match"))),
    (status = 304, description = "the bundle is the one of If-None-Match"),
    (status = 400, body = Problem),
    (status = 404, body = Problem)))]
pub(super) async fn bundle(
    State(directory): State<Arc<PathBuf>>,
    zone: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Path(zone) =
        zone.map_err(|rejection| Problem::new(StatusCode::BAD_REQUEST, rejection.body_text()))?;
    let apex = Name::parse(&zone, Some(&Name::root()))
        .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, error.to_string()))?;
    let path = bundles::path(&directory, &apex);
    let read = tokio::task::spawn_blocking(move || std::fs::read(path)).await;
    let octets = read.ok().and_then(Result::ok);
    let octets = octets.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, format!("no bundle of {apex}")))?;
    let tag = bundles::tag(&octets);
    let known = headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    if known == Some(&*tag) {
        return Ok((StatusCode::NOT_MODIFIED, [(ETAG, tag)]).into_response());
    }
    Ok(([(ETAG, tag), (CONTENT_TYPE, "application/octet-stream".to_owned())], octets).into_response())
}
