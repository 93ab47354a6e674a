//! Requests and answers below `/v1`.

#![allow(unused_qualifications, reason = "the macro of descriptions writes paths in full")]

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

pub use super::description::description;
use super::guard::Who;
use super::input::{Asked, Body};
use super::{hook, verdicts};
use crate::health::Desired;
use crate::health::tick::rfc3339;
use crate::limits;
use crate::model::effect::{Effect, Stranded};
use crate::model::event::Event;
use crate::model::explain::{Asker, Explanation, explain};
use crate::publish::{Control, Done, Hand, HealthDocument, Inspector, Refused, Whom, Wish, now};
use crate::wire::name::Name;

/// All requests that are answered.
pub(super) fn router(control: Control) -> Router {
    Router::new()
        .route("/v1/health", get(health))
        .route("/v1/explain", get(explanation))
        .route("/v1/events", get(events))
        .route("/v1/drain", post(drain))
        .route("/v1/undrain", post(undrain))
        .route("/v1/force", post(force))
        .route("/v1/failback", post(failback))
        .route("/v1/doubt/accept", post(accept))
        .route("/v1/verdicts", post(verdicts::verdict))
        .route("/v1/verdicts/alertmanager", post(verdicts::alertmanager))
        .route("/v1/openapi.json", get(openapi))
        .layer(DefaultBodyLimit::max(limits::ADMIN_REQUEST_OCTETS))
        .with_state(control)
}

/// Why a request wasn't fulfilled.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    #[serde(skip)]
    #[schema(ignore)]
    status: u16,
    /// Seconds after which it may be tried again.
    #[serde(skip)]
    #[schema(ignore)]
    retry_after: Option<u64>,
    /// In one sentence.
    pub error: String,
    /// Routes that would have no eligible target, and where.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stranded: Vec<Stranded>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, error: impl Into<String>) -> Problem {
        Problem { status: status.as_u16(), retry_after: None, error: error.into(), stranded: Vec::new() }
    }

    /// What was refused may be tried again after so long.
    pub(super) fn after(self, wait: Duration) -> Problem {
        Problem { retry_after: Some(wait.as_secs().max(1)), ..self }
    }

    /// The header that says so.
    pub(super) fn retry_after(&self) -> Option<[(header::HeaderName, String); 1]> {
        self.retry_after.map(|seconds| [(header::RETRY_AFTER, seconds.to_string())])
    }

    /// The status that it is answered with.
    pub(super) fn code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Problem {
        let status = match refused {
            Refused::Whom(_) => StatusCode::NOT_FOUND,
            Refused::Invalid(_) => StatusCode::BAD_REQUEST,
            Refused::Nothing(_) | Refused::Stranded(_) | Refused::Overloaded(_) => StatusCode::CONFLICT,
            Refused::Ending => StatusCode::SERVICE_UNAVAILABLE,
        };
        let problem = Problem::new(status, refused.to_string());
        match refused {
            Refused::Stranded(stranded) => Problem { stranded, ..problem },
            _ => problem,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        match self.retry_after() {
            Some(retry_after) => (self.code(), retry_after, Json(self)).into_response(),
            None => (self.code(), Json(self)).into_response(),
        }
    }
}

/// Whom to drain or to force, and for how long.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"whom": "tw", "state": "up", "seconds": 3600, "reason": "kernel update"}))]
pub struct OrderRequest {
    /// A site, a target, or ZONE/TARGET.
    pub whom: String,
    /// `up` or `down`; needed by `/v1/force` alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Desired>,
    /// Seconds after which it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Also if clients are left without an eligible target.
    #[serde(default)]
    pub force: bool,
}

/// What was done.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct OrderAnswer {
    /// In one line.
    pub text: String,
    /// When it ends by itself.
    pub until: Option<String>,
    /// Seconds after which no cache that keeps to TTLs holds an older answer.
    pub settled_after: u64,
    /// Which answers changed.
    pub effects: Vec<Effect>,
    /// Zones of the targets concerned.
    pub zones: Vec<String>,
}

impl From<Done> for OrderAnswer {
    fn from(done: Done) -> OrderAnswer {
        let mut zones: Vec<String> = done.targets.into_iter().map(|(zone, _)| zone).collect();
        zones.dedup();
        OrderAnswer {
            zones,
            text: done.text,
            until: done.until.map(rfc3339),
            settled_after: done.settled_after.as_secs(),
            effects: done.effects,
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct HealthQuery {
    /// Only this target.
    #[param(example = "web-tw")]
    target: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ExplainQuery {
    /// The name to be asked for.
    #[param(example = "webmail.example.com")]
    name: String,
    /// The client: an address, or a network as a resolver would send it.
    #[param(example = "192.0.2.1")]
    from: String,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct EventsQuery {
    /// Only events with a higher number.
    #[serde(default)]
    since: u64,
    /// Seconds to wait for one, if there is none yet.
    #[serde(default)]
    wait: u64,
}

type Answer<T> = Result<Json<T>, Problem>;

/// Every target's state.
#[utoipa::path(get, path = "/v1/health", params(HealthQuery), responses(
    (status = 200, body = Vec<HealthDocument>), (status = 404, body = Problem)))]
pub(super) async fn health(
    State(control): State<Control>,
    Asked(query): Asked<HealthQuery>,
) -> Answer<Vec<HealthDocument>> {
    let unknown = || Problem::new(StatusCode::NOT_FOUND, "there is no such target");
    Inspector::new(Arc::clone(control.status()))
        .health_documents(query.target.as_deref())
        .map(Json)
        .ok_or_else(unknown)
}

/// Which answer a client gets, and why.
#[utoipa::path(get, path = "/v1/explain", params(ExplainQuery), responses(
    (status = 200, body = Explanation), (status = 404, body = Problem)))]
pub(super) async fn explanation(
    State(control): State<Control>,
    Asked(query): Asked<ExplainQuery>,
) -> Answer<Explanation> {
    let invalid = |text: String| Problem::new(StatusCode::BAD_REQUEST, text);
    let name = Name::parse(&query.name, Some(&Name::root())).map_err(|error| invalid(error.to_string()))?;
    let asker = match (query.from.parse::<IpAddr>(), query.from.parse::<IpNet>()) {
        (Ok(address), _) => Asker { address, subnet: None },
        (_, Ok(network)) => Asker { address: network.network(), subnet: Some(network.prefix_len()) },
        _ => return Err(invalid(format!("{:?} is no address", query.from))),
    };
    let status = control.status();
    let explained = explain(&status.model(), &status.board(), &name, None, asker, now());
    explained
        .map(Json)
        .ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, format!("{name} is in no zone here")))
}

/// What happened, the oldest first.
#[utoipa::path(get, path = "/v1/events", params(EventsQuery), responses(
    (status = 200, body = Vec<Event>)))]
pub(super) async fn events(
    State(control): State<Control>,
    Asked(EventsQuery { since, wait }): Asked<EventsQuery>,
) -> Json<Vec<Event>> {
    let journal = control.status().journal();
    // Before the look at what is there, so that nothing falls between.
    let mut told = journal.subscribe();
    let known = journal.since(since);
    let owned = |events: Vec<Arc<Event>>| Json(events.iter().map(|event| Event::clone(event)).collect());
    if !known.is_empty() || wait == 0 {
        return owned(known);
    }
    let patience = Duration::from_secs(wait).min(limits::ADMIN_EVENTS_WAIT);
    let _ = tokio::time::timeout(patience, told.recv()).await;
    owned(journal.since(since))
}

/// This description.
async fn openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], description())
}

/// Takes a site or target out of service.
#[utoipa::path(post, path = "/v1/drain", request_body = OrderRequest, responses(
    (status = 200, body = OrderAnswer), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn drain(
    State(control): State<Control>,
    Extension(Who(by)): Extension<Who>,
    Body(request): Body<OrderRequest>,
) -> Answer<OrderAnswer> {
    let done = order(&control, &by, &request, Desired::Drained).await?;
    hook::drained(&done, &request.whom, &by, request.reason.as_deref());
    Ok(Json(done.into()))
}

/// Takes an order back, whichever it was.
#[utoipa::path(post, path = "/v1/undrain", request_body = OrderRequest, responses(
    (status = 200, body = OrderAnswer), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn undrain(
    State(control): State<Control>,
    Extension(Who(by)): Extension<Who>,
    Body(request): Body<OrderRequest>,
) -> Answer<OrderAnswer> {
    Ok(Json(control.order(hand(&by, &request, Wish::TakeBack)).await?.into()))
}

/// Has a site or target served, or not served, whatever its probes say.
#[utoipa::path(post, path = "/v1/force", request_body = OrderRequest, responses(
    (status = 200, body = OrderAnswer), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn force(
    State(control): State<Control>,
    Extension(Who(by)): Extension<Who>,
    Body(request): Body<OrderRequest>,
) -> Answer<OrderAnswer> {
    let state = request.state.filter(|state| matches!(state, Desired::Up | Desired::Down));
    let invalid = || Problem::new(StatusCode::BAD_REQUEST, "write \"up\" or \"down\" as `state`");
    Ok(Json(order(&control, &by, &request, state.ok_or_else(invalid)?).await?.into()))
}

/// Lets a recovered site or target have its clients back.
#[utoipa::path(post, path = "/v1/failback", request_body = OrderRequest, responses(
    (status = 200, body = OrderAnswer), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn failback(
    State(control): State<Control>,
    Extension(Who(by)): Extension<Who>,
    Body(request): Body<OrderRequest>,
) -> Answer<OrderAnswer> {
    Ok(Json(control.order(hand(&by, &request, Wish::Failback)).await?.into()))
}

/// Says that the failures which the server doubts are real.
#[utoipa::path(post, path = "/v1/doubt/accept", responses(
    (status = 200, body = OrderAnswer), (status = 409, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn accept(
    State(control): State<Control>,
    Extension(Who(by)): Extension<Who>,
) -> Answer<OrderAnswer> {
    Ok(Json(control.order(hand(&by, &OrderRequest::default(), Wish::Believe)).await?.into()))
}

async fn order(
    control: &Control,
    by: &str,
    request: &OrderRequest,
    desired: Desired,
) -> Result<Done, Problem> {
    let span = request.seconds.map(Duration::from_secs);
    Ok(control.order(hand(by, request, Wish::Order(desired, span))).await?)
}

fn hand(by: &str, request: &OrderRequest, wish: Wish) -> Hand {
    Hand {
        whom: Whom(request.whom.clone()),
        wish,
        by: by.to_owned(),
        reason: request.reason.clone(),
        force: request.force,
    }
}
