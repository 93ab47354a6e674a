//! Forms by which orders are given. Those that ask something open as a popover, which browsers do
//! without the script.

use maud::{Markup, html};

use super::tables::id;
use crate::admin::guard::Forms;
use crate::limits::REASON_CHARACTERS;

/// Asks for how long and why, and drains.
pub(super) fn drain(forms: &Forms, whom: &str, name: &str) -> Markup {
    let panel = id("drain", whom);
    let field = |name: &str| format!("{panel}-{name}");
    html! {
        button type="button" popovertarget=(panel) aria-label={ "Drain " (name) "…" } { "Drain…" }
        div.panel #(panel) popover role="dialog" aria-labelledby=(field("title")) {
            form.stacked method="post" action="/order" {
                (hidden(forms, "drain", whom))
                h3 #(field("title")) { "Drain " (name) }
                p.muted { "Its clients are sent to what comes next in each chain." }
                label for=(field("reason")) { "Reason" }
                input #(field("reason")) name="reason" maxlength=(REASON_CHARACTERS) autofocus;
                label for=(field("minutes")) { "For how many minutes" }
                input #(field("minutes")) name="minutes" inputmode="numeric" pattern="[0-9]{1,9}" placeholder="until it is taken back";
                label.tick for=(field("force")) {
                    input #(field("force")) type="checkbox" name="force";
                    span { "Also if clients are left without an eligible target" }
                }
                div.actions {
                    button.main type="submit" { "Drain " (name) }
                    button type="button" popovertarget=(panel) popovertargetaction="hide" { "Cancel" }
                }
            }
        }
    }
}

/// Takes an order back.
pub(super) fn take_back(forms: &Forms, whom: &str, name: &str) -> Markup {
    single(forms, "undrain", whom, "Undrain", &format!("Undrain {name}"))
}

/// Gives a recovered target its clients back.
pub(super) fn failback(forms: &Forms, whom: &str, name: &str) -> Markup {
    single(forms, "failback", whom, "Fail back", &format!("Fail back to {name}"))
}

/// Says that doubted failures are real.
pub(super) fn accept(forms: &Forms) -> Markup {
    single(forms, "accept", "", "The failures are real", "The failures are real")
}

fn single(forms: &Forms, wish: &str, whom: &str, word: &str, label: &str) -> Markup {
    html! {
        form #(id(wish, whom)) method="post" action="/order" {
            (hidden(forms, wish, whom))
            button type="submit" aria-label=(label) { (word) }
        }
    }
}

fn hidden(forms: &Forms, wish: &str, whom: &str) -> Markup {
    html! {
        input type="hidden" name="seal" value=(forms.seal);
        input type="hidden" name="wish" value=(wish);
        input type="hidden" name="whom" value=(whom);
    }
}
