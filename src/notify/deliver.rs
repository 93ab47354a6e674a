//! Hands one receiver what waits for it, one message after the other, until it is aborted.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::attempt::{Outcome, post};
use super::message::Message;
use super::queue::Queue;
use super::receiver::{Channel, Receiver};
use super::tally::Tally;
use super::{Pace, alertmanager, email, slack, teams, webhook};
use crate::limits;
use crate::publish::now;

/// How long to wait between attempts: twice as long each time, and by chance, so that servers that
/// failed together don't come again together.
#[derive(Debug)]
pub(super) struct Backoff {
    pace: Pace,
    failures: u32,
}

impl Backoff {
    pub(super) fn new(pace: Pace) -> Backoff {
        Backoff { pace, failures: 0 }
    }

    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// The time until the next attempt; what the receiver asked for goes before.
    pub(super) fn next(&mut self, after: Option<Duration>) -> Duration {
        let doubled = self.pace.backoff.saturating_mul(1 << self.failures.min(16));
        self.failures += 1;
        let most = doubled.min(self.pace.backoff_most);
        let chance = f64::from(random()) / f64::from(u32::MAX);
        after.unwrap_or(Duration::ZERO).max(most.mul_f64(0.5 + chance / 2.0))
    }
}

fn random() -> u32 {
    let mut octets = [0; 4];
    // Without chance the longest wait is as good.
    match getrandom::fill(&mut octets) {
        Ok(()) => u32::from_ne_bytes(octets),
        Err(_) => u32::MAX,
    }
}

/// Hands over what waits, and what comes.
pub(super) async fn run(
    receiver: Receiver,
    queue: Arc<Queue>,
    came: Arc<Notify>,
    tally: Arc<Tally>,
    pace: Pace,
) {
    let mut backoff = Backoff::new(pace);
    loop {
        tally.wait(queue.len());
        let Some((number, message)) = queue.next() else {
            came.notified().await;
            continue;
        };
        let name = &receiver.name;
        if now().since(message.at) > limits::NOTIFY_AGE {
            tracing::error!(notify = name, summary = message.summary, "given up: not taken for too long");
            tally.dropped(1);
            remove(&queue, number).await;
            continue;
        }
        match send(&receiver, &message, pace).await {
            Outcome::Taken(said) => {
                tracing::debug!(notify = name, said, "taken");
                tally.sent();
                backoff.reset();
                remove(&queue, number).await;
            }
            Outcome::Refused(why) => {
                tracing::error!(notify = name, why, summary = message.summary, "refused, and given up");
                tally.failed();
                tally.dropped(1);
                remove(&queue, number).await;
            }
            Outcome::Later(why, after) => {
                tally.failed();
                queue.failed(number);
                let wait = backoff.next(after);
                tracing::warn!(notify = name, why, again_in = ?wait, "not taken");
                sleep(wait).await;
            }
        }
    }
}

/// One attempt, within its time.
pub(super) async fn send(receiver: &Receiver, message: &Message, pace: Pace) -> Outcome {
    let template = &receiver.template;
    let attempt = async {
        match &receiver.channel {
            Channel::Webhook { endpoint, secret } => {
                webhook::send(endpoint, secret.as_deref(), message, template, now()).await
            }
            Channel::Slack(endpoint) => post(endpoint, &[], slack::body(message, template)).await,
            Channel::Teams(endpoint) => post(endpoint, &[], teams::body(message, template)).await,
            Channel::Alertmanager(endpoint) => alertmanager::send_test(endpoint, message, pace).await,
            Channel::Email(email) => email::send(email, message, template, pace.patience).await,
        }
    };
    let silent = || Outcome::later(format!("no answer within {:?}", pace.patience));
    timeout(pace.patience, attempt).await.unwrap_or_else(|_| silent())
}

async fn remove(queue: &Arc<Queue>, number: u64) {
    let queue = Arc::clone(queue);
    let _ = tokio::task::spawn_blocking(move || queue.remove(number)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound_and_follow_the_receiver() {
        let pace =
            Pace { backoff: Duration::from_secs(1), backoff_most: Duration::from_secs(8), ..Pace::default() };
        let mut backoff = Backoff::new(pace);
        for most in [1, 2, 4, 8, 8, 8] {
            let wait = backoff.next(None).as_secs_f64();
            assert!((f64::from(most) / 2.0..=f64::from(most)).contains(&wait), "{wait} of {most}");
        }
        assert_eq!(backoff.next(Some(Duration::from_secs(60))), Duration::from_secs(60));
        backoff.reset();
        assert!(backoff.next(None) <= Duration::from_secs(1));
    }
}
