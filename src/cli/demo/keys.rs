//! The demo on a terminal: a key for each site.

use std::io::{self, Write, stdout};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use crossterm::terminal::{disable_raw_mode, enable_raw_mode};

use super::events::Events;
use super::interrupt::Interrupt;
use super::{Failure, all_up, greeting, why};
use crate::demo::{Demo, Table};

/// How long a key is waited for before the server is asked again.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long the first probes are waited for, whose events would drive the greeting off the screen.
const FIRST_PROBES: Duration = Duration::from_secs(5);

/// The terminal gives keys as they are pressed, until this is dropped.
struct Raw;

impl Raw {
    fn enter() -> io::Result<Raw> {
        enable_raw_mode()?;
        Ok(Raw)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // A terminal that is gone needs no restoring.
        let _ = disable_raw_mode();
    }
}

/// What a key means.
#[derive(Debug, PartialEq, Eq)]
enum Action {
    Toggle(String),
    Why,
    Quit,
    Nothing,
}

pub(super) fn run(demo: &mut Demo, interrupt: &Interrupt) -> Result<(), Failure> {
    let began = Instant::now();
    while !all_up(demo) && began.elapsed() < FIRST_PROBES && !interrupt.came() {
        sleep(LOOK_EVERY);
    }
    let mut events = Events::default();
    let _ = events.new_lines(demo);
    let _raw = Raw::enter()?;
    say(&greeting(demo))?;
    let sites: Vec<String> = demo.sites().iter().map(|site| site.name().to_owned()).collect();
    say(&[keys_line(&sites), String::new()])?;
    let mut shown: Option<Table> = None;
    while !interrupt.came() {
        say(&events.new_lines(demo))?;
        let table = demo.table()?;
        if shown.as_ref() != Some(&table) {
            say(&table.to_string().lines().map(str::to_owned).collect::<Vec<_>>())?;
            shown = Some(table);
        }
        if !event::poll(LOOK_EVERY)? {
            continue;
        }
        let Event::Key(key) = event::read()? else { continue };
        match action(&key, &sites) {
            Action::Toggle(site) => {
                let up = !demo.sites().iter().any(|candidate| candidate.name() == site && candidate.is_up());
                demo.switch(&site, up)?;
                let done = if up { "listens again" } else { "is closed: connections are refused" };
                say(&[format!("-- {site} {done}")])?;
            }
            Action::Why => say(&why(demo)?)?,
            Action::Quit => break,
            Action::Nothing => {}
        }
    }
    Ok(())
}

/// `Keys: t, m, v take a site down or up; w why; q quit`.
fn keys_line(sites: &[String]) -> String {
    let keys: Vec<String> =
        sites.iter().filter_map(|site| Some(format!("{} {site}", site.chars().next()?))).collect();
    format!("Keys: {} (down and up again), w why, q quit", keys.join(", "))
}

/// A site's key is its first letter.
fn action(key: &KeyEvent, sites: &[String]) -> Action {
    if key.kind == KeyEventKind::Release {
        return Action::Nothing;
    }
    match key.code {
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Action::Quit,
        KeyCode::Char('q') => Action::Quit,
        KeyCode::Char('w') => Action::Why,
        KeyCode::Char(letter) => match sites.iter().find(|site| site.starts_with(letter)) {
            Some(site) => Action::Toggle(site.clone()),
            None => Action::Nothing,
        },
        _ => Action::Nothing,
    }
}

/// In raw mode a line feed alone doesn't return to the left.
fn say(lines: &[String]) -> io::Result<()> {
    let mut out = stdout().lock();
    for line in lines {
        write!(out, "{line}\r\n")?;
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_what_they_mean() {
        let sites = ["tw", "my", "vn"].map(str::to_owned);
        let pressed = |letter, modifiers| action(&KeyEvent::new(KeyCode::Char(letter), modifiers), &sites);
        assert_eq!(pressed('m', KeyModifiers::NONE), Action::Toggle("my".to_owned()));
        assert_eq!(pressed('w', KeyModifiers::NONE), Action::Why);
        assert_eq!(pressed('q', KeyModifiers::NONE), Action::Quit);
        assert_eq!(pressed('c', KeyModifiers::CONTROL), Action::Quit);
        assert_eq!(pressed('c', KeyModifiers::NONE), Action::Nothing);
        assert_eq!(keys_line(&sites), "Keys: t tw, m my, v vn (down and up again), w why, q quit");
    }
}
