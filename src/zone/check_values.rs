//! What single records shouldn't say: timers that break transfers, names that no host can have,
//! reverse names of no address.

use super::check::Finding;
use super::rdata::SIGN_HERE;
use super::{Owner, Rrset, Zone};
use crate::health::Tick;
use crate::health::tick::rfc3339;
use crate::wire::name::{Name, labels, parent};
use crate::wire::rtype::Rtype;

/// Longest MINIMUM: nobody notices for so long that a name has come (RFC 2308 5).
const MINIMUM_MAX: u32 = 86_400;

/// Looks every record over that can be judged by itself.
pub(super) fn values(zone: &Zone) -> Vec<Finding> {
    let mut findings = Vec::new();
    soa(zone, &mut findings);
    signatures(zone, &mut findings);
    for owner in zone.notable() {
        if labels(owner.name()).skip(1).any(|label| label == b"*") {
            let message = "a * that isn't the first label is no wildcard (RFC 4592 2.1.1)".to_owned();
            findings.push(odd(owner.name(), None, message, "is another name meant?"));
        }
        let mut is_host = false;
        for rrset in owner.rrsets() {
            match rrset.rtype() {
                Rtype::A | Rtype::AAAA if !is_host => {
                    is_host = true;
                    host(owner, rrset, &mut findings);
                }
                Rtype::NS => hosts(owner, rrset, 0, &mut findings),
                Rtype::MX => {
                    if !is_host {
                        host(owner, rrset, &mut findings);
                    }
                    hosts(owner, rrset, 2, &mut findings);
                    null_mx(owner, rrset, &mut findings);
                }
                Rtype::SRV => hosts(owner, rrset, 6, &mut findings),
                Rtype::NSEC3PARAM => rounds(owner, rrset, &mut findings),
                Rtype::DS | Rtype::CDS => signers(owner, rrset, 2, &mut findings),
                Rtype::DNSKEY | Rtype::CDNSKEY => signers(owner, rrset, 3, &mut findings),
                Rtype::PTR if is_no_address(owner.name()) => {
                    let message = "PTR stands at a name that is no address's".to_owned();
                    let help =
                        "write the octets behind the zone's, the last first: 11 in 100.51.198.in-addr.arpa";
                    findings.push(odd(owner.name(), Rtype::PTR, message, help));
                }
                _ => {}
            }
        }
    }
    findings
}

fn odd(owner: &[u8], rtype: impl Into<Option<Rtype>>, message: String, help: &'static str) -> Finding {
    Finding { owner: owner.to_vec(), rtype: rtype.into(), is_error: false, message, help: Some(help) }
}

/// Signatures of a file that comes signed aren't given with answers, however long they hold.
fn signatures(zone: &Zone, findings: &mut Vec<Finding>) {
    let signed = zone.notable().filter_map(|owner| Some((owner, owner.rrset(Rtype::RRSIG)?)));
    let ends = signed.flat_map(|(owner, rrset)| {
        let end = |rdata: &[u8]| Some(u32::from_be_bytes(rdata.get(8..12)?.try_into().ok()?));
        rrset.rdata().filter_map(end).map(move |end| (end, owner)).collect::<Vec<_>>()
    });
    let Some((end, owner)) = ends.min_by_key(|(end, _)| *end) else { return };
    let end = rfc3339(Tick(u64::from(end) * 1000));
    let message =
        format!("answers carry no signatures of a zone file; the first of those here ends at {end}");
    findings.push(odd(owner.name(), Rtype::RRSIG, message, SIGN_HERE));
}

/// What secondaries do by the SOA's numbers (RFC 1035 3.3.13, RFC 1912 2.2).
fn soa(zone: &Zone, findings: &mut Vec<Finding>) {
    let apex = zone.apex().as_wire();
    let soa = zone.soa();
    if soa.rdata().is_empty() {
        return;
    }
    let mut say = |message: String, help| findings.push(odd(apex, Rtype::SOA, message, help));
    let (refresh, retry, expire) = (soa.refresh(), soa.retry(), soa.expire());
    if retry >= refresh {
        let message = format!("RETRY {retry} isn't shorter than REFRESH {refresh}");
        say(message, "secondaries that missed a version are to try again soon: 3600 600, for example");
    }
    if expire <= refresh.saturating_add(retry) {
        let message = format!("EXPIRE {expire} isn't longer than REFRESH and RETRY together");
        say(message, "secondaries give the zone up after one failed refresh: two weeks are usual, 1209600");
    }
    if soa.minimum() > MINIMUM_MAX {
        let message = format!("MINIMUM {} is more than a day (RFC 2308 5)", soa.minimum());
        say(message, "so long resolvers keep that a name isn't there: 300 is usual");
    }
    // `hostmaster@example.com.` is a name of two labels, the first with an @.
    let behind = labels(soa.rdata()).map(|label| label.len() + 1).sum::<usize>() + 1;
    if let Some(mailbox) = soa.rdata().get(behind..).and_then(|rname| labels(rname).next())
        && mailbox.contains(&b'@')
    {
        let message = "RNAME has an @ (RFC 1035 3.3.13)".to_owned();
        say(message, "write a dot in its place: hostmaster.example.com.");
    }
}

const HOST_NAMES: &str = "host names are letters, digits and hyphens between them";

/// Names of hosts are letters, digits and hyphens (RFC 952, RFC 1123 2.1); resolver libraries
/// refuse others, and so do mail servers.
fn host(owner: Owner<'_>, rrset: Rrset<'_>, findings: &mut Vec<Finding>) {
    let name = owner.name();
    let host = if name.starts_with(b"\x01*") { parent(name).unwrap_or(name) } else { name };
    if !is_host_name(host) {
        let rtype = rrset.rtype();
        let message = format!("{rtype} stands at a name that no host can have (RFC 1123 2.1)");
        findings.push(odd(name, rtype, message, HOST_NAMES));
    }
}

/// The same of hosts in RDATA, where their names begin behind so many octets.
fn hosts(owner: Owner<'_>, rrset: Rrset<'_>, behind: usize, findings: &mut Vec<Finding>) {
    for rdata in rrset.rdata() {
        let target = &rdata[behind.min(rdata.len())..];
        if !is_host_name(target) {
            let rtype = rrset.rtype();
            let shown = Name::from_wire(target).map_or_else(|_| String::new(), |name| name.to_string());
            let message = format!("{rtype} names {shown}, which no host can have (RFC 1123 2.1)");
            findings.push(odd(owner.name(), rtype, message, HOST_NAMES));
        }
    }
}

/// Keys whose algorithm, at this octet of RDATA, or whose digest nobody should rely on any more:
/// resolvers take such a zone for an unsigned one (RFC 9904, RFC 9905, RFC 9906).
fn signers(owner: Owner<'_>, rrset: Rrset<'_>, at: usize, findings: &mut Vec<Finding>) {
    let rtype = rrset.rtype();
    let is_digest = matches!(rtype, Rtype::DS | Rtype::CDS);
    for rdata in rrset.rdata() {
        // RFC 8078 4: 0 asks that DS go away.
        let algorithm = rdata.get(at).copied().unwrap_or_default();
        if matches!(algorithm, 1 | 3 | 5 | 6 | 7 | 12) {
            let message = format!("{rtype} is of algorithm {algorithm}, which must not be used (RFC 9904)");
            findings.push(odd(owner.name(), rtype, message, "sign with 13, ECDSAP256SHA256, or 15, ED25519"));
        }
        let retired = match rdata.get(3) {
            Some(1) => Some("SHA-1 (RFC 9905)"),
            Some(3) => Some("GOST (RFC 9906)"),
            _ => None,
        };
        if let Some(digest) = retired.filter(|_| is_digest) {
            let message = format!("{rtype} has a digest of {digest}, which must not be used");
            findings.push(odd(owner.name(), rtype, message, "make it with digest type 2, SHA-256"));
        }
    }
}

/// Rounds and salt of NSEC3: resolvers take a zone with many for an unsigned one.
fn rounds(owner: Owner<'_>, rrset: Rrset<'_>, findings: &mut Vec<Finding>) {
    for rdata in rrset.rdata() {
        let [_, _, high, low, salt, ..] = rdata else { continue };
        let rounds = u16::from_be_bytes([*high, *low]);
        if rounds > 0 || *salt > 0 {
            let message =
                format!("NSEC3PARAM has {rounds} further rounds and {salt} octets of salt (RFC 9276 3.1)");
            let help = "sign with neither: NSEC3PARAM 1 0 0 -";
            findings.push(odd(owner.name(), Rtype::NSEC3PARAM, message, help));
        }
    }
}

/// Whether a host can have a name.
pub(super) fn is_host_name(name: &[u8]) -> bool {
    labels(name).all(|label| {
        let is_good = |octet: &u8| octet.is_ascii_alphanumeric() || *octet == b'-';
        label.iter().all(is_good) && label.first() != Some(&b'-') && label.last() != Some(&b'-')
    })
}

/// `MX 0 .` says that the domain takes no mail, and is alone (RFC 7505 3).
fn null_mx(owner: Owner<'_>, exchangers: Rrset<'_>, findings: &mut Vec<Finding>) {
    let is_null = |rdata: &[u8]| rdata.get(2..) == Some(&[0]);
    if exchangers.count() > 1 && exchangers.rdata().any(is_null) {
        let message = "MX . stands beside other exchangers (RFC 7505 3)".to_owned();
        findings.push(odd(
            owner.name(),
            Rtype::MX,
            message,
            "it says that there is no mail: keep it alone, or take it out",
        ));
    }
}

/// Whether a name in a reverse tree can't be an address's. Names of parts of a /24 are anything
/// (RFC 2317), with one label more.
fn is_no_address(name: &[u8]) -> bool {
    let lower = name.to_ascii_lowercase();
    let all: Vec<&[u8]> = labels(&lower).collect();
    let is_number = |label: &&[u8]| std::str::from_utf8(label).is_ok_and(|text| text.parse::<u8>().is_ok());
    match all.as_slice() {
        [b"*", ..] => false,
        [octets @ .., b"in-addr", b"arpa"] => match octets.len() {
            4 => !octets.iter().all(is_number),
            5 => !octets[2..].iter().all(is_number),
            _ => true,
        },
        [nibbles @ .., b"ip6", b"arpa"] => {
            nibbles.len() != 32
                || !nibbles.iter().all(|label| matches!(label, [hex] if hex.is_ascii_hexdigit()))
        }
        _ => false,
    }
}
