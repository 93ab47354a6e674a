//! The frame of the page, and its small pages. Everything that is put in is escaped.

use maud::{DOCTYPE, Markup, html};

use super::order::settled;
use super::tables;
use super::view::View;
use crate::admin::guard::{Forms, SIGN_IN};
use crate::health::tick::rfc3339;
use crate::model::effect::{Effect, Stranded};
use crate::publish::Done;

/// The whole page, for one reader.
pub(super) fn page(view: &View, name: &str, forms: &Forms) -> Markup {
    let newest = view.events.first().map_or(0, |event| event.id);
    frame(
        "Waypost: status",
        html! {
            a.skip href="#main" { "Skip to the status" }
            header.top {
                (brand())
                nav aria-label="Sections" {
                    @for (id, title) in tables::SECTIONS { a href={ "#" (id) } { (title) } }
                }
                div.who {
                    span #live data-live="server" { "Not live: load the page again to renew it" }
                    span.name { (name) }
                    @if forms.is_session {
                        form method="post" action="/sign-out" {
                            input type="hidden" name="seal" value=(forms.seal);
                            button.quiet type="submit" { "Sign out" }
                        }
                    }
                }
            }
            div.said #said role="status" aria-live="polite" {}
            p.unseen #news role="log" aria-live="polite" aria-label="News" {}
            main #main tabindex="-1" data-newest=(newest) {
                (tables::summary(view))
                (tables::doubt(view, forms))
                (tables::sites(view, forms))
                (tables::targets(view, forms))
                (tables::answers(view))
                (tables::timeline(view))
                (tables::zones(view))
                (tables::queries(view))
            }
            footer {
                p { "As of " time datetime=(rfc3339(view.now)) { (rfc3339(view.now)) } ". "
                    "Waypost " (env!("CARGO_PKG_VERSION")) ". The same by command: "
                    code { "waypost health" } ", " code { "explain" } ", " code { "events" } "." }
            }
        },
    )
}

/// Where one signs in.
pub(super) fn sign_in(error: Option<&str>) -> Markup {
    small(
        "Waypost: sign in",
        html! {
            h1 { "Sign in" }
            @if let Some(error) = error { p.problem role="alert" { (error) } }
            form.stacked method="post" action=(SIGN_IN) {
                label for="token" { "Token" }
                input #token type="password" name="token" autocomplete="current-password" required autofocus
                    aria-describedby="about-token";
                p.muted #about-token { "A line of the file that " code { "[admin] tokens" } " names. "
                    "You stay signed in for twelve hours." }
                button.main type="submit" { "Sign in" }
            }
        },
    )
}

/// What an order did.
pub(super) fn done(done: &Done) -> Markup {
    small(
        "Waypost: done",
        html! {
            h1 { "Done" }
            div #result data-good {
                p { (done.text) ". " @if done.effects.is_empty() { "No answer changed." } @else { (settled(done)) } }
                (effects(&done.effects))
            }
            (back())
        },
    )
}

/// Why an order wasn't carried out.
pub(super) fn refused(text: &str, stranded: &[Stranded]) -> Markup {
    small(
        "Waypost: not done",
        html! {
            h1 { "Not done" }
            div.problem #result {
                p { (text) @if !stranded.is_empty() { ":" } }
                @if !stranded.is_empty() {
                    ul {
                        @for Stranded { route, zone, rtype, regions } in stranded {
                            li { "route " (route) " of " (zone) " (" (rtype) ") in " (regions.join(", ")) }
                        }
                    }
                    p { "Tick the box of the form to do it all the same: those routes then answer as though "
                        "all were healthy." }
                }
            }
            (back())
        },
    )
}

/// Which answers changed.
pub(super) fn effects(effects: &[Effect]) -> Markup {
    html! {
        @if !effects.is_empty() {
            ul.effects {
                @for Effect { name, rtype, regions, old, new } in effects {
                    li {
                        span { (name) " " (rtype) " for " (regions.join(", ")) ": " }
                        span.data { (old) } " → " span.data { (new) }
                    }
                }
            }
        }
    }
}

fn back() -> Markup {
    html! { p { a href="/" autofocus { "Back to the status" } } }
}

fn brand() -> Markup {
    html! { a.brand href="/" { img src="/icon.svg" alt="" width="24" height="24"; "Waypost" } }
}

fn small(title: &str, content: Markup) -> Markup {
    frame(
        title,
        html! {
            header.top { (brand()) }
            main.small { (content) }
        },
    )
}

fn frame(title: &str, body: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                link rel="stylesheet" href="/page.css";
                link rel="icon" href="/icon.svg" type="image/svg+xml";
                script src="/page.js" defer {}
            }
            body { (body) }
        }
    }
}
