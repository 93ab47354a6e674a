//! The demo without a terminal: one site dies and comes back, and all is told.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::events::Events;
use super::interrupt::Interrupt;
use super::{Failure, all_up, greeting, why};
use crate::demo::{CLIENTS, Demo, Table};
use crate::health::State;
use crate::publish::now;

/// The site that dies, whose clients are the first of [`CLIENTS`].
const SITE: &str = "tw";
/// How long each step may take.
const STEP: Duration = Duration::from_secs(30);
/// How often the server is asked meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(20);

pub(super) fn run(demo: &mut Demo, interrupt: &Interrupt) -> Result<(), Failure> {
    let mut events = Events::default();
    let country = CLIENTS[0].country;
    print_lines(&greeting(demo));
    wait(demo, interrupt, "every probe to succeed", |demo, _| all_up(demo))?;
    let before = wait(demo, interrupt, "clients to be sent to their own site", |_, table| {
        table.webmail(country) == SITE && table.mail(country).starts_with(SITE)
    })?
    .0;
    println!("{before}\n");

    let _ = events.new_lines(demo);
    println!("Site {SITE} dies: its sockets are closed, connections are refused.");
    demo.switch(SITE, false)?;
    let died = Instant::now();
    let (mut webmail, mut mail) = (None, None);
    let (without, _) = wait(demo, interrupt, "clients to be sent to another site", |demo, table| {
        if webmail.is_none() && !table.webmail(country).contains(SITE) {
            webmail = Some(died.elapsed());
        }
        if mail.is_none() && !table.mail(country).starts_with(SITE) {
            mail = Some(died.elapsed());
        }
        // The rest of the site is waited for, so that it comes back as a whole.
        webmail.is_some() && mail.is_some() && site_is_down(demo)
    })?;
    print_lines(&events.new_lines(demo));
    println!("{without}");
    let milliseconds = |span: Option<Duration>| span.unwrap_or_default().as_millis();
    println!(
        "After {} ms clients in {country} get webmail in {}; after {} ms their mail goes {}.\n",
        milliseconds(webmail),
        without.webmail(country),
        milliseconds(mail),
        without.mail(country)
    );
    print_lines(&why(demo)?);

    println!("\nSite {SITE} comes back: it listens again, at the same ports.");
    demo.switch(SITE, true)?;
    let (after, took) = wait(demo, interrupt, "clients to be sent back", |demo, table| {
        table.leads_as(&before) && all_up(demo)
    })?;
    print_lines(&events.new_lines(demo));
    println!("{after}\nAfter {} ms all is as before.", took.as_millis());
    Ok(())
}

/// Asks until the answers are as wanted; gives them, and how long it took.
fn wait(
    demo: &Demo,
    interrupt: &Interrupt,
    what: &str,
    mut done: impl FnMut(&Demo, &Table) -> bool,
) -> Result<(Table, Duration), Failure> {
    let began = Instant::now();
    loop {
        let table = demo.table()?;
        if done(demo, &table) {
            return Ok((table, began.elapsed()));
        }
        if interrupt.came() {
            return Err(Failure::Message("interrupted".to_owned()));
        }
        if began.elapsed() > STEP {
            return Err(Failure::Message(format!(
                "waited {} s in vain for {what}; the last answers were:\n{table}",
                STEP.as_secs()
            )));
        }
        sleep(LOOK_EVERY);
    }
}

/// Whether every target of the site is confirmed dead.
fn site_is_down(demo: &Demo) -> bool {
    let model = demo.status().model();
    demo.status().board().rows(now()).all(|row| {
        let zone = model.zones.get(&row.subject.zone);
        let mut targets = zone.iter().flat_map(|zone| &zone.routing.targets);
        let target = targets.find(|target| target.name == row.subject.target);
        let is_there = target.is_some_and(|target| target.site.as_deref() == Some(SITE));
        !is_there || row.standing.state == State::Down
    })
}

fn print_lines(lines: &[String]) {
    for line in lines {
        println!("{line}");
    }
}
