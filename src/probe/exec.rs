//! The probe `exec`: a program with the interface of Nagios plugins.
//!
//! | exit | means |
//! | --- | --- |
//! | 0 | well |
//! | 1 | a warning: well, unless the probe says that it isn't |
//! | 2 | critical |
//! | 3 | unknown: nothing was learnt of the target |

use std::net::IpAddr;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;

use super::Exec;
use super::dial::Deadline;
use super::evidence::{Failure, Seen, of_socket};
use crate::limits::{PROBE_FIGURES, PROBE_OUTPUT_OCTETS, PROBE_PROGRAMS_AT_ONCE};

/// Programs run at one time: they cost more than a connection does.
static TURNS: Semaphore = Semaphore::const_new(PROBE_PROGRAMS_AT_ONCE);

/// All that a program finds in its environment, beside `WAYPOST_ADDRESS` and `WAYPOST_TARGET`.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

pub(super) async fn ask(
    exec: &Exec,
    address: IpAddr,
    target: &str,
    deadline: Deadline,
) -> Result<Seen, Failure> {
    let turn = deadline.limit("turn to run", TURNS.acquire()).await;
    // Others hang: that says nothing of this target.
    let _turn = turn.map_err(|failure| Failure { blocked: true, ..failure })?;
    let address = address.to_string();
    let filled = |text: &String| text.replace("{address}", &address).replace("{target}", target);
    let mut arguments = exec.argv.iter().map(filled);
    let program = arguments.next().unwrap_or_default();
    let spawned = Command::new(&program)
        .args(arguments)
        .env_clear()
        .envs([("PATH", PATH), ("LC_ALL", "C"), ("WAYPOST_ADDRESS", &address), ("WAYPOST_TARGET", target)])
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        // A group of its own, so that its children end with it.
        .process_group(0)
        .kill_on_drop(true)
        .spawn();
    let mut child = spawned.map_err(|error| {
        let failure = of_socket(&error);
        Failure::blocked(format!("{program} can't be run: {}", failure.evidence))
    })?;
    let group = Group::of(&child);
    let (code, output) = deadline.limit("end of the program", finish(&mut child)).await?;
    drop(group);
    judge(exec, code, &output)
}

/// Waits for the end; gives the exit code, and the output's beginning.
async fn finish(child: &mut Child) -> (Option<i32>, String) {
    let mut output = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        let mut stdout = stdout.take(PROBE_OUTPUT_OCTETS);
        // What can't be read isn't there; the exit code is what counts.
        let _ = stdout.read_to_end(&mut output).await;
    }
    let status = child.wait().await.ok();
    (status.and_then(|status| status.code()), String::from_utf8_lossy(&output).into_owned())
}

/// A program and its children. Ends them all when it goes out of scope: at the time-out, or with
/// the probe.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Group {
        Group(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // None is left after an orderly end.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

fn judge(exec: &Exec, code: Option<i32>, output: &str) -> Result<Seen, Failure> {
    let first = output.lines().next().unwrap_or_default();
    let said = first.split('|').next().unwrap_or_default().trim();
    let figures = performance(output);
    let evidence = |word: &str| if said.is_empty() { word.to_owned() } else { said.to_owned() };
    match code {
        Some(0) => Ok(Seen { evidence: evidence("exit 0"), figures }),
        Some(1) if exec.warning_is_healthy => Ok(Seen { evidence: evidence("exit 1"), figures }),
        Some(3) => Err(Failure::blocked(evidence("exit 3: unknown")).with(figures)),
        Some(code) => Err(Failure::new(evidence(&format!("exit {code}"))).with(figures)),
        None => Err(Failure::new("the program was killed")),
    }
}

/// Performance data behind a bar: `'label'=value[unit];warn;crit;min;max`.
fn performance(output: &str) -> Vec<(String, f64)> {
    let data = output.lines().filter_map(|line| line.split_once('|')).map(|(_, data)| data);
    data.flat_map(figures_of).take(PROBE_FIGURES).collect()
}

fn figures_of(data: &str) -> Vec<(String, f64)> {
    let mut figures = Vec::new();
    let mut rest = data.trim_start();
    while !rest.is_empty() {
        let (label, after) = match rest.strip_prefix('\'') {
            Some(quoted) => match quoted.split_once("'=") {
                Some((label, after)) => (label, after),
                None => break,
            },
            None => match rest.split_once('=') {
                Some((label, after)) => (label, after),
                None => break,
            },
        };
        let (value, behind) = after.split_once(char::is_whitespace).unwrap_or((after, ""));
        let number = value.split(';').next().unwrap_or_default();
        let number = number.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == '%');
        if let Ok(number) = number.parse::<f64>() {
            figures.push((label.to_owned(), number));
        }
        rest = behind.trim_start();
    }
    figures
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn performance_data() {
        let output = "DISK OK | /=2643MB;5948;5958;0;5968 'my disk'=1.5%;; x=U broken\nmore | load=0.25\n";
        let expected = [("/", 2643.0), ("my disk", 1.5), ("load", 0.25)];
        let expected: Vec<(String, f64)> =
            expected.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        assert_eq!(performance(output), expected);
        assert_eq!(performance("no bar"), []);
        assert_eq!(performance("| '="), []);
    }
}
