//! `POST /order`: what the page's forms ask for. They work without the script, so the answer is a
//! page of its own; the script shows the same on the page that it is on.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use axum::{Extension, Form};
use serde::Deserialize;

use super::{Shown, html, is_sealed};
use crate::admin::api::Problem;
use crate::admin::guard::{Forms, Who};
use crate::admin::hook;
use crate::health::Desired;
use crate::model::effect::Stranded;
use crate::publish::{Done, Hand, Refused, Whom, Wish};

/// A form that was filled in.
#[derive(Debug, Deserialize)]
pub(super) struct Filled {
    seal: String,
    wish: Wished,
    #[serde(default)]
    whom: String,
    #[serde(default)]
    reason: String,
    /// Minutes; empty: until it is taken back.
    #[serde(default)]
    minutes: String,
    /// `on` if it was ticked.
    #[serde(default)]
    force: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Wished {
    Drain,
    Undrain,
    Failback,
    Accept,
}

/// Carries a form out.
pub(super) async fn take(
    State(Shown { control, .. }): State<Shown>,
    Extension(Who(by)): Extension<Who>,
    Extension(forms): Extension<Forms>,
    Form(filled): Form<Filled>,
) -> Response {
    if !is_sealed(&forms, &filled.seal) {
        let text = "this form is from before you signed in: load the page again";
        return (StatusCode::FORBIDDEN, Html(html::refused(text, &[]).into_string())).into_response();
    }
    let hand = match filled.hand(&by) {
        Ok(hand) => hand,
        Err(text) => {
            return (StatusCode::BAD_REQUEST, Html(html::refused(&text, &[]).into_string())).into_response();
        }
    };
    let (whom, reason) = (hand.whom.0.clone(), hand.reason.clone());
    match control.order(hand).await {
        Ok(done) => {
            if filled.wish == Wished::Drain {
                hook::drained(&done, &whom, &by, reason.as_deref());
            }
            Html(html::done(&done).into_string()).into_response()
        }
        Err(refused) => told(refused),
    }
}

fn told(refused: Refused) -> Response {
    let (text, stranded): (String, &[Stranded]) = match &refused {
        Refused::Stranded(routes) => {
            ("Refused, since no eligible target would be left for".to_owned(), routes)
        }
        other => (other.to_string(), &[]),
    };
    let page = html::refused(&text, stranded).into_string();
    (Problem::from(refused).code(), Html(page)).into_response()
}

impl Filled {
    fn hand(&self, by: &str) -> Result<Hand, String> {
        let filled_in = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let span = match filled_in(&self.minutes) {
            Some(minutes) => {
                let minutes: u32 =
                    minutes.parse().map_err(|_| format!("{minutes:?} is no number of minutes"))?;
                Some(Duration::from_secs(u64::from(minutes) * 60)).filter(|span| !span.is_zero())
            }
            None => None,
        };
        let wish = match self.wish {
            Wished::Drain => Wish::Order(Desired::Drained, span),
            Wished::Undrain => Wish::TakeBack,
            Wished::Failback => Wish::Failback,
            Wished::Accept => Wish::Believe,
        };
        Ok(Hand {
            whom: Whom(self.whom.clone()),
            wish,
            by: by.to_owned(),
            reason: filled_in(&self.reason),
            force: self.force == "on",
        })
    }
}

/// The line that is told of what was done.
pub(super) fn settled(done: &Done) -> String {
    format!("Caches that keep to TTLs follow within {}.", crate::health::tick::short(done.settled_after))
}
