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

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Extension, Form, Router};
use serde::Deserialize;

use self::view::View;
use super::Shown;
use super::guard::{Forms, Guard, SIGN_IN, Who};
use super::session::is_same;
use crate::limits::ADMIN_REQUEST_OCTETS;

/// Nothing that a page of ours is told to load comes from elsewhere, whatever a name or a probe's
/// evidence holds, and nobody frames its buttons.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// What needs a token, a session, or the socket.
pub(super) fn router(shown: Shown) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/order", post(order::take))
        .layer(DefaultBodyLimit::max(ADMIN_REQUEST_OCTETS))
        .layer(from_fn(guarded))
        .with_state(shown)
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
    State(shown): State<Shown>,
    Extension(Who(name)): Extension<Who>,
    Extension(forms): Extension<Forms>,
) -> Html<String> {
    let view = View::gather(&shown);
    Html(html::page(&view, &name, &forms).into_string())
}

#[derive(Deserialize)]
struct SignIn {
    token: String,
}

async fn sign_in(
    State(guard): State<Guard>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    Form(SignIn { token }): Form<SignIn>,
) -> Response {
    let problem = match guard.sign_in(&token, client.ip()) {
        Ok(cookie) => return ([(header::SET_COOKIE, cookie)], Redirect::to("/")).into_response(),
        Err(problem) => problem,
    };
    let page = Html(html::sign_in(Some(&problem.error)).into_string());
    match problem.retry_after() {
        Some(retry_after) => (problem.code(), retry_after, page).into_response(),
        None => (problem.code(), page).into_response(),
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::view::{Address, Probe, Regional, Routed, Site, Target};
    use super::*;
    use crate::config::server::Hook;
    use crate::geo::How;
    use crate::health::{Desired, State, Tick};
    use crate::metrics::Placed;
    use crate::model::effect::{Effect, Stranded};
    use crate::model::event::{Event, Kind};
    use crate::model::explain::RoutedAnswer;
    use crate::publish::{Done, ZoneStatus};
    use crate::querylog::{Unplaced, UnplacedNetwork, UnplacedZone};

    /// Ends an attribute and an element, and begins a script.
    const HOSTILE: &str = "'\"></td><script>alert(1)</script>&amp;";

    fn hostile() -> String {
        HOSTILE.to_owned()
    }

    fn effect() -> Effect {
        Effect { name: hostile(), rtype: hostile(), regions: vec![hostile()], old: hostile(), new: hostile() }
    }

    /// A view of which every text was written by somebody hostile.
    fn view() -> View {
        let probe = Probe {
            name: hostile(),
            last: Some((Tick(1_000), hostile(), Duration::from_millis(12))),
            blocked: Some(hostile()),
            is_damped: true,
        };
        let address = Address {
            address: Some([192, 0, 2, 1].into()),
            state: State::Down,
            desired: Desired::Auto,
            since: Tick(1_000),
            is_stale: true,
            is_held: true,
            probes: vec![probe],
        };
        let target = Target {
            zone: hostile(),
            name: hostile(),
            site: Some(hostile()),
            is_canary: false,
            is_eligible: false,
            addresses: vec![address],
            said: Some(hostile()),
            is_ordered: false,
            is_waiting: true,
        };
        let answer = RoutedAnswer {
            rtype: hostile(),
            route: hostile(),
            records: vec![hostile()],
            ttl: 20,
            failed_open: true,
            trail: vec![hostile(), format!("TTL {HOSTILE}")],
        };
        let event = Event {
            subject: Some(hostile()),
            cause: Some(hostile()),
            evidence: Some(format!("another {HOSTILE}")),
            effects: vec![effect()],
            ..Event::new(Tick(1_000), Kind::Transition, hostile())
        };
        let zone = ZoneStatus { source: hostile(), error: Some((hostile(), 2)), ..ZoneStatus::default() };
        View {
            now: Tick(2_000),
            doubt: Some(hostile()),
            sites: vec![Site {
                name: hostile(),
                order: Some(hostile()),
                is_waiting: true,
                ..Site::default()
            }],
            targets: vec![target],
            targets_left_out: 1,
            routes: vec![Routed {
                zone: hostile(),
                owners: vec![hostile(), hostile()],
                rtype: hostile(),
                answers: vec![Regional { regions: vec![hostile()], answer }],
            }],
            routes_left_out: 1,
            events: vec![Arc::new(event)],
            zones: vec![(hostile(), zone)],
            zones_left_out: 1,
            placed: vec![Placed { region: hostile(), by_subnet: true, how: How::Default, count: 1 }],
            unplaced: Unplaced {
                networks: vec![UnplacedNetwork {
                    network: hostile(),
                    by_subnet: true,
                    sampled: 2,
                    overcounted: 1,
                    zones: vec![UnplacedZone { zone: hostile(), sampled: 1 }],
                    known: Some(hostile()),
                }],
                sample: Some(1),
                since: Some(hostile()),
                ..Unplaced::default()
            },
        }
    }

    #[test]
    fn nothing_from_files_probes_or_people_becomes_markup() {
        let forms = Forms { seal: hostile(), is_session: true };
        let done = Done {
            text: hostile(),
            until: None,
            settled_after: Duration::ZERO,
            effects: vec![effect()],
            drain_hook: Hook::default(),
            targets: vec![],
        };
        let stranded =
            Stranded { route: hostile(), zone: hostile(), rtype: hostile(), regions: vec![hostile()] };
        let pages = [
            html::page(&view(), HOSTILE, &forms),
            html::done(&done),
            html::refused(HOSTILE, &[stranded]),
            html::sign_in(Some(HOSTILE)),
        ];
        for page in pages {
            let text = page.into_string();
            assert!(text.contains("&lt;script&gt;alert(1)"), "the text is shown: {text}");
            assert_eq!(text.matches("<script").count(), 1, "its own script alone: {text}");
            assert!(!text.contains("'\">") && !text.contains("</td><script"), "{text}");
        }
        assert_eq!(html::page(&view(), HOSTILE, &forms).into_string().matches(HOSTILE).count(), 0);
    }

    #[test]
    fn a_form_without_a_seal_is_nobodys() {
        let forms = |seal: &str| Forms { seal: seal.to_owned(), is_session: false };
        assert!(is_sealed(&forms("s3al"), "s3al"));
        assert!(!is_sealed(&forms("s3al"), "") && !is_sealed(&forms(""), ""));
    }
}
