//! `GET /v1/bundles/ZONE`: a zone's signatures, for servers without its keys.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
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

async fn bundle(
    State(directory): State<Arc<PathBuf>>,
    Path(zone): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
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
