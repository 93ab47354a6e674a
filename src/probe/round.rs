//! A job's question, and while nobody answers it, the questions that would confirm a failure.
//!
//! ```text
//! asked --------------- nothing until the time-out ---> failed  \
//!    +- a sixth of it ----> asked ------------------- > failed   > a verdict, at the first time-out
//!    +- and another ------------> asked, five in all  > failed  /
//!
//! asked -> refused -> asked -> refused -> asked -> refused      a verdict, in a tenth of a second
//! ```
//!
//! One after the other, a target that hangs would be served until as many time-outs have passed as
//! failures make a verdict. Five, where three make the verdict: a line that loses a third of its packets
//! is taken for dead far less often, and the verdict on what is dead comes no later.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant, sleep_until};

use super::ask::Answer;
use super::dial::Deadline;
use super::{Asker, Check, Job};
use crate::health::{Outcome, Report};
use crate::limits::{ASKED_BESIDE, REFUSAL_CONFIRMATION};

/// Reports in the order in which they came: failures, or one that isn't a failure at the end.
///
/// `usual` is how long the last healthy answer took; none where a failure was seen last, so that
/// there is nothing to confirm. Further questions are left out where `budget` has no place for them.
pub(super) async fn ask(
    asker: &Asker,
    job: &Job,
    usual: Option<Duration>,
    budget: &Arc<Semaphore>,
) -> Vec<Report> {
    let pace = job.spec.pace;
    let started = Instant::now();
    let deadline = Deadline::new(started, pace.timeout).with_usual(usual.unwrap_or_default());
    let first = asker.ask_until(job.address, &job.key.subject.target, &job.spec, deadline);
    tokio::pin!(first);
    // A program is a heavier thing than a connection.
    let confirming = pace.fall.saturating_sub(1);
    let (mut asked, mut most) = match (&job.spec.check, usual) {
        (Check::Exec(_) | Check::File(_), _) | (_, None) => (0, 0),
        _ => (0, confirming.max(ASKED_BESIDE)),
    };
    let apart = pace.confirm_interval.min(pace.timeout / (ASKED_BESIDE + 2));
    // Who is always slow isn't asked twice each time.
    let mut next = started + apart.max(usual.unwrap_or_default() * 2);
    let mut further: JoinSet<Answer> = JoinSet::new();
    let mut reports: Vec<Report> = Vec::new();
    let mut is_first_over = false;
    let mut is_refused = false;
    loop {
        tokio::select! {
            answer = &mut first, if !is_first_over => {
                is_first_over = true;
                is_refused = answer.is_refused;
                if is_refused {
                    // It was told plainly: no more than makes a verdict.
                    most = most.min(confirming);
                }
                next = Instant::now() + pace.confirm_interval.min(REFUSAL_CONFIRMATION);
                reports.push(answer.report);
            }
            Some(Ok(answer)) = further.join_next() => {
                is_refused &= answer.is_refused;
                reports.push(answer.report);
            }
            () = sleep_until(next), if asked < most && (reports.is_empty() || is_refused) => {
                asked += 1;
                next += if is_refused { apart.min(REFUSAL_CONFIRMATION) } else { apart };
                if let Ok(place) = budget.clone().try_acquire_owned() {
                    let (asker, job) = (asker.clone(), job.clone());
                    further.spawn(async move {
                        let _place = place;
                        asker.ask_until(job.address, &job.key.subject.target, &job.spec, deadline).await
                    });
                }
            }
        }
        let is_answered = reports.last().is_some_and(|report| report.outcome != Outcome::Failed);
        let is_confirming = is_refused && asked < most;
        if is_answered || (is_first_over && further.is_empty() && !is_confirming) {
            return reports;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;
    use crate::health::{Pace, ProbeKey, Subject};
    use crate::probe::spec::{Mail, Protocol, Spec};
    use crate::probe::{Encryption, ProberOptions};
    use crate::route::model::Family;
    use crate::wire::name::Name;

    const USUAL: Option<Duration> = Some(Duration::from_millis(5));

    fn job(port: u16) -> Job {
        let zone = Name::parse("example.com.", None).unwrap();
        let subject = Subject { zone, target: "imap-tw".to_owned(), family: Family::V4 };
        let (timeout, confirm_interval) = (Duration::from_millis(600), Duration::from_millis(100));
        let pace = Pace { timeout, confirm_interval, ..Pace::default() };
        let mail = Mail { protocol: Protocol::Imap, port, encryption: Encryption::None, ehlo: None };
        let spec = Spec { name: "imap".to_owned(), check: Check::Mail(mail), pace, tripwire: None };
        Job {
            key: ProbeKey { subject, probe: "imap".to_owned() },
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            spec,
        }
    }

    async fn listener() -> (TcpListener, u16) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        (listener, port)
    }

    async fn round(port: u16, usual: Option<Duration>, places: usize) -> (Vec<Outcome>, Duration) {
        let (asker, budget) = (Asker::new(&ProberOptions::default()), Arc::new(Semaphore::new(places)));
        let started = Instant::now();
        let reports = ask(&asker, &job(port), usual, &budget).await;
        // Those that were given up leave theirs as soon as they are dropped.
        let all = budget.acquire_many(u32::try_from(places).unwrap());
        tokio::time::timeout(Duration::from_secs(5), all).await.expect("places come back").unwrap().forget();
        (reports.iter().map(|report| report.outcome).collect(), started.elapsed())
    }

    #[tokio::test]
    async fn a_target_that_hangs_has_failed_as_often_as_it_takes_after_one_time_out() {
        let (_listener, port) = listener().await;
        let (outcomes, took) = round(port, USUAL, 8).await;
        assert_eq!(outcomes, [Outcome::Failed; 5]);
        assert!(took >= Duration::from_millis(590) && took < Duration::from_millis(1100), "{took:?}");
    }

    #[tokio::test]
    async fn nothing_is_confirmed_twice_nor_beyond_the_budget() {
        let (_listener, port) = listener().await;
        assert_eq!(round(port, None, 8).await.0, [Outcome::Failed]);
        assert_eq!(round(port, USUAL, 1).await.0, [Outcome::Failed; 2]);
        // Who is slow as a rule has more time: the second begins after 550 ms.
        let slow = Some(Duration::from_millis(275));
        assert_eq!(round(port, slow, 8).await.0, [Outcome::Failed; 2]);
    }

    #[tokio::test]
    async fn a_refusal_is_told_and_confirmed_at_once() {
        let port = listener().await.1;
        let (outcomes, took) = round(port, USUAL, 8).await;
        assert_eq!(outcomes, [Outcome::Failed; 3]);
        assert!(took < Duration::from_millis(500), "{took:?}");
    }

    #[tokio::test]
    async fn the_answer_to_a_later_question_clears_one_that_was_lost() {
        let (listener, port) = listener().await;
        let server = tokio::spawn(async move {
            // More than make a verdict.
            let mut lost = Vec::new();
            for _ in 0..3 {
                lost.push(listener.accept().await.unwrap());
            }
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"* OK ready\r\n* BYE bye\r\na OK done\r\n").await.unwrap();
            (lost, stream)
        });
        let (outcomes, took) = round(port, USUAL, 8).await;
        assert_eq!(outcomes, [Outcome::Healthy]);
        assert!(took < Duration::from_millis(590), "{took:?}");
        server.abort();
    }
}
