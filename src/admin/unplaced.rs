//! `GET /v1/unplaced`: networks of clients that no region has.

#![allow(unused_qualifications, reason = "the macro of descriptions writes paths in full")]

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};

use crate::publish::Control;
use crate::querylog::{self, Unplaced};

/// What is counted, and what is known of regions now.
#[derive(Clone)]
pub(super) struct Counted {
    control: Control,
    queries: querylog::Handle,
}

/// Networks that fell to `default`.
pub(super) fn router(control: Control, queries: querylog::Handle) -> Router {
    Router::new().route("/v1/unplaced", get(unplaced)).with_state(Counted { control, queries })
}

/// Client networks that fell to `default` most often, as far as a sample of queries tells.
#[utoipa::path(get, path = "/v1/unplaced", responses((status = 200, body = Unplaced)))]
pub(super) async fn unplaced(State(Counted { control, queries }): State<Counted>) -> Json<Unplaced> {
    Json(queries.unplaced(&control.status().model().geography))
}
