//! Verdicts from outside: `POST /v1/verdicts`, and the webhook of an Alertmanager.

#![allow(unused_qualifications, reason = "the macro of descriptions writes paths in full")]

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::api::Problem;
use super::input::Body;
use crate::limits::{REASON_CHARACTERS, VERDICT_TTL_MOST};
use crate::publish::{Alert, Control, Verdict, Whom};

/// The version of Alertmanager's webhooks that is understood.
const ALERTMANAGER_VERSION: &str = "4";

/// What somebody tells of a target.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VerdictRequest {
    /// A site, a target, or ZONE/TARGET.
    pub target: String,
    /// The probe of type push that waits for it. Default: all without `alert`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<String>,
    /// How it is.
    pub state: VerdictState,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
    /// Seconds after which silence is a failure. Default: the probe's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<u64>,
}

/// How a target is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum VerdictState {
    /// Well.
    Up,
    /// Not well.
    Down,
}

/// Who was told.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct VerdictAnswer {
    /// Probes that the word was for.
    pub probes: usize,
}

/// A webhook of Alertmanager, as far as it is read.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct AlertmanagerRequest {
    /// Version of the form: "4".
    version: String,
    /// The alerts of a group.
    alerts: Vec<AlertmanagerAlert>,
}

/// One alert.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct AlertmanagerAlert {
    /// `firing` or `resolved`.
    status: AlertStatus,
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    #[serde(default)]
    fingerprint: String,
}

/// Whether an alert fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AlertStatus {
    /// It fires.
    Firing,
    /// It doesn't any more.
    Resolved,
}

type Answer = Result<Json<VerdictAnswer>, Problem>;

/// Tells how a target is, to its probes of type push.
#[utoipa::path(post, path = "/v1/verdicts", request_body = VerdictRequest, responses(
    (status = 200, body = VerdictAnswer), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn verdict(State(control): State<Control>, Body(request): Body<VerdictRequest>) -> Answer {
    let invalid = |text: String| Problem::new(StatusCode::BAD_REQUEST, text);
    let ttl = request.ttl.map(Duration::from_secs);
    if ttl.is_some_and(|ttl| ttl.is_zero() || ttl > VERDICT_TTL_MOST) {
        return Err(invalid(format!("write a ttl from 1 to {} seconds", VERDICT_TTL_MOST.as_secs())));
    }
    let is_up = request.state == VerdictState::Up;
    let evidence = request.evidence.unwrap_or_else(|| if is_up { "told up" } else { "told down" }.to_owned());
    if evidence.chars().count() > REASON_CHARACTERS {
        return Err(invalid(format!("the evidence is longer than {REASON_CHARACTERS} characters")));
    }
    let whom = Whom(request.target);
    let verdict = Verdict { whom, probe: request.probe, is_up, evidence, ttl };
    Ok(Json(VerdictAnswer { probes: control.verdict(verdict).await? }))
}

/// Takes alerts from an Alertmanager: those that match a probe's `alert` take its target down
/// while they fire.
#[utoipa::path(post, path = "/v1/verdicts/alertmanager", request_body = AlertmanagerRequest, responses(
    (status = 200, body = VerdictAnswer), (status = 400, body = Problem)))]
pub(super) async fn alertmanager(
    State(control): State<Control>,
    Body(request): Body<AlertmanagerRequest>,
) -> Answer {
    if request.version != ALERTMANAGER_VERSION {
        let text =
            format!("this is version {:?} of the webhook, not \"{ALERTMANAGER_VERSION}\"", request.version);
        return Err(Problem::new(StatusCode::BAD_REQUEST, text));
    }
    let alerts = request.alerts.into_iter().map(AlertmanagerAlert::read).collect();
    Ok(Json(VerdictAnswer { probes: control.alerts(alerts).await? }))
}

impl AlertmanagerAlert {
    fn read(self) -> Alert {
        let AlertmanagerAlert { status, labels, annotations, fingerprint } = self;
        let name = labels.get("alertname").cloned().unwrap_or_default();
        let summary = annotations.get("summary").or_else(|| annotations.get("description"));
        let words = match summary {
            Some(summary) => format!("{name}: {summary}"),
            None => name,
        };
        // Older senders give none; labels are what it is made from.
        let fingerprint = if fingerprint.is_empty() { format!("{labels:?}") } else { fingerprint };
        let words = words.chars().take(REASON_CHARACTERS).collect();
        Alert { fires: status == AlertStatus::Firing, labels, fingerprint, words }
    }
}
