//! What goes wrong, when, and what probes see of it.

use std::net::IpAddr;
use std::time::Duration;

use super::files::SITES;
use super::random::Random;
use crate::health::{Contact, Outcome};

/// What may happen in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Everything at one site fails for a while.
    SiteDies,
    /// One address in a few fails for a while.
    AddressDies,
    /// One address in a few fails and comes back, again and again.
    Flaps,
    /// Some probes fail by chance.
    Noise,
    /// The prober itself is silent.
    Silence,
    /// The nameserver's own uplink is down: every probe fails.
    Uplink,
    /// Files change: chains, targets, operators' states, probes, regions, slips.
    Reload,
    /// The server starts again from its disk.
    Restart,
    /// An operator releases a target.
    Release,
    /// The clock is set forward.
    ClockForward,
    /// The clock is set back.
    ClockBack,
    /// Some probes are turned away, which says nothing of their targets.
    Blocked,
    /// An operator drains or forces a target or a site, for a while or until it is taken back.
    Order,
    /// An operator takes an order back.
    TakeBack,
    /// An operator says that the failures are real, whether anybody doubts them or not.
    Accept,
    /// A maintenance window is written into the file, or taken out.
    Window,
    /// Those who tell how targets are fall silent for a while.
    Hush,
    /// Somebody tells that a target or a site is well, or isn't.
    Word,
    /// An alert fires, or is resolved.
    Alert,
    /// Some canaries, or all of them, don't answer for a while.
    Canaries,
    /// The server is away for a while, and the clock may be set meanwhile.
    Away,
    /// Host names that others serve resolve to something else, or don't.
    Names,
}

const ALL: [Fault; 22] = [
    Fault::SiteDies,
    Fault::AddressDies,
    Fault::Flaps,
    Fault::Noise,
    Fault::Silence,
    Fault::Uplink,
    Fault::Reload,
    Fault::Restart,
    Fault::Release,
    Fault::ClockForward,
    Fault::ClockBack,
    Fault::Names,
    Fault::Blocked,
    Fault::Order,
    Fault::TakeBack,
    Fault::Accept,
    Fault::Window,
    Fault::Hush,
    Fault::Word,
    Fault::Alert,
    Fault::Canaries,
    Fault::Away,
];

#[derive(Debug)]
pub(super) struct Faults {
    /// The kinds of this run.
    kinds: Vec<Fault>,
    next: Duration,
    /// Those that last, with what they hit and until when.
    lasting: Vec<(Fault, usize, Duration)>,
}

impl Faults {
    pub(super) fn random(random: &mut Random) -> Faults {
        let mut kinds: Vec<Fault> = ALL.into_iter().filter(|_| random.chance(50)).collect();
        if kinds.is_empty() {
            kinds.push(Fault::SiteDies);
        }
        Faults { kinds, next: Duration::from_secs(random.between(1..=10)), lasting: Vec::new() }
    }

    /// When the next one begins.
    pub(super) fn next(&self) -> Duration {
        self.next
    }

    pub(super) fn begin(&mut self, at: Duration, random: &mut Random) -> Fault {
        let fault = random.pick(&self.kinds);
        self.next = at + Duration::from_millis(random.between(100..=9_000));
        self.lasting.retain(|(_, _, end)| *end > at);
        let end = at + Duration::from_millis(random.between(500..=40_000));
        self.lasting.push((fault, random.below(60), end));
        fault
    }

    /// Whether a kind of fault is one of this run.
    pub(super) fn has(&self, kind: Fault) -> bool {
        self.kinds.contains(&kind)
    }

    /// Those who tell fall silent now.
    pub(super) fn hush(&mut self, at: Duration, random: &mut Random) {
        self.lasting.push((Fault::Hush, 0, at + Duration::from_secs(random.between(5..=30))));
    }

    pub(super) fn end(&mut self) {
        self.lasting.clear();
    }

    /// Whether those who tell are silent.
    pub(super) fn is_hushed(&self, at: Duration) -> bool {
        self.lasting.iter().any(|(fault, _, end)| *fault == Fault::Hush && *end > at)
    }

    /// What a probe of an address sees; nothing if the prober is silent.
    pub(super) fn result(&self, address: IpAddr, at: Duration, random: &mut Random) -> Option<Outcome> {
        let octet = octet(address);
        let family = usize::from(address.is_ipv6());
        let is_canary = matches!(address, IpAddr::V4(address) if address.octets()[0] == 192);
        let mut healthy = true;
        for (fault, hit, end) in self.lasting.iter().filter(|(_, _, end)| *end > at) {
            let is_one_hit = (octet + family) % 4 == hit % 4;
            healthy &= match fault {
                Fault::Canaries => !is_canary || *hit % 2 == octet % 2 && *hit < 40,
                // They stand outside of all sites.
                Fault::SiteDies | Fault::AddressDies | Fault::Flaps if is_canary => true,
                Fault::SiteDies => octet % SITES.len() != hit % SITES.len(),
                Fault::AddressDies => !is_one_hit,
                Fault::Flaps => {
                    !is_one_hit || ((*end - at).as_millis() / (500 * (hit % 9 + 1)) as u128).is_multiple_of(2)
                }
                Fault::Noise => !random.chance(20),
                Fault::Silence => return None,
                Fault::Blocked if is_one_hit => return Some(Outcome::Blocked),
                Fault::Uplink => false,
                _ => true,
            };
        }
        Some(if healthy { Outcome::Healthy } else { Outcome::Failed })
    }

    /// What a failure says of the network: half of what dies is silent, and half of it refuses.
    pub(super) fn contact(&self, address: IpAddr, at: Duration) -> Contact {
        let octet = octet(address);
        let mut contact = Contact::Silent;
        for (fault, hit, _) in self.lasting.iter().filter(|(_, _, end)| *end > at) {
            let is_one_hit = (octet + usize::from(address.is_ipv6())) % 4 == hit % 4;
            match fault {
                Fault::Uplink => return Contact::Silent,
                Fault::SiteDies if octet % SITES.len() == hit % SITES.len() && hit / 3 % 2 == 0 => {
                    contact = Contact::Answered;
                }
                Fault::AddressDies | Fault::Flaps if is_one_hit && hit / 4 % 2 == 0 => {
                    contact = Contact::Answered;
                }
                _ => {}
            }
        }
        contact
    }
}

fn octet(address: IpAddr) -> usize {
    match address {
        IpAddr::V4(address) => usize::from(address.octets()[3]),
        IpAddr::V6(address) => usize::from(address.octets()[15]),
    }
}
