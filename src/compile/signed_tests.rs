//! Signed zones, their answers judged by a slow reader of RFC 4035 5 and RFC 5155 8 that knows
//! nothing of the zone but its key; signatures are verified by hickory-proto.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::dnssec::Verifier;
use hickory_proto::dnssec::rdata::{DNSKEY, DNSSECRData, RRSIG};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{DNSClass, Name as TheirName, RData, Record, RecordType};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};
use proptest::prelude::*;

use super::model_tests::{Listed, question, signed_snapshot, zones};
use super::outcomes::Outcomes;
use super::signer::{Signer, Signing};
use super::tests::{ask, ask_signed};
use crate::dnssec::{Algorithm, Denial, FLAGS_ENTRY, Keyring, Member, SigningKey};
use crate::snapshot::Snapshot;
use crate::wire::name::Name;
use crate::wire::rtype::Rtype;
use crate::zone::Zone;

pub(crate) const NOW: u64 = 1_800_000_000;

pub(crate) fn keyring(apex: &Name) -> Arc<Keyring> {
    let member = Member {
        key: SigningKey::generate(Algorithm::Ed25519, FLAGS_ENTRY).unwrap().0,
        is_published: true,
        signs_keys: true,
        signs_zone: true,
        is_wanted_in_parent: true,
    };
    Arc::new(Keyring::new(apex, vec![member], Vec::new(), 3600, Duration::from_secs(21 * 86_400)))
}

pub(crate) fn signing(apex: &Name, denial: Denial) -> Signing {
    let signer = Arc::new(Signer::new(keyring(apex), denial, None));
    Signing { signer, outcomes: Arc::new(Outcomes::new()), now: NOW }
}

/// A validator with the zones' keys.
struct Validator {
    keys: BTreeMap<TheirName, Vec<DNSKEY>>,
    /// Names that a zone gives to others.
    cuts: Vec<TheirName>,
}

/// What the denying records of an answer say.
struct Denials {
    nsec: Vec<(TheirName, TheirName, BTreeSet<RecordType>)>,
    nsec3: Vec<(Vec<u8>, Vec<u8>, BTreeSet<RecordType>)>,
}

impl Validator {
    fn new(zones: &[Arc<Zone>], signings: &BTreeMap<Name, Signing>) -> Validator {
        let keys = signings.iter().map(|(apex, signing)| {
            let keys = signing.signer.keyring().dnskeys().map(|rdata| {
                let mut wire = vec![0, 0, 48, 0, 1, 0, 0, 0, 0];
                wire.extend((rdata.len() as u16).to_be_bytes());
                wire.extend_from_slice(rdata);
                match Record::read(&mut BinDecoder::new(&wire)).unwrap().data {
                    RData::DNSSEC(DNSSECRData::DNSKEY(key)) => key,
                    other => panic!("{other:?}"),
                }
            });
            (TheirName::from_ascii(apex.to_string()).unwrap(), keys.collect())
        });
        let cuts = zones.iter().flat_map(|zone| {
            let delegated = zone.owners().filter(|owner| owner.rrset(Rtype::NS).is_some());
            let names = delegated.filter_map(|owner| Name::from_wire(owner.name()).ok());
            names.filter(|name| name != zone.apex())
        });
        let cuts = cuts.map(|cut| TheirName::from_ascii(cut.to_string()).unwrap()).collect();
        Validator { keys: keys.collect(), cuts }
    }

    /// Checks signatures of all RRsets of a section; names that were expanded from a wildcard, each
    /// with its closest encloser. `zone` is the zone that must have signed.
    fn section(&self, records: &[Record], is_referral: bool) -> Result<Vec<(TheirName, TheirName)>, String> {
        let mut sets: BTreeMap<(TheirName, RecordType), Vec<&Record>> = BTreeMap::new();
        let mut signatures: BTreeMap<(TheirName, RecordType), Vec<&RRSIG>> = BTreeMap::new();
        let mut dnames = Vec::new();
        for record in records {
            match &record.data {
                RData::DNSSEC(DNSSECRData::RRSIG(rrsig)) => {
                    if rrsig.input().original_ttl < record.ttl {
                        return Err(format!("{record}: TTL above the signed one"));
                    }
                    let of = (record.name.clone(), rrsig.input().type_covered);
                    signatures.entry(of).or_default().push(rrsig);
                }
                _ => {
                    if record.record_type() == RecordType::from(39) {
                        dnames.push(record.name.clone());
                    }
                    sets.entry((record.name.clone(), record.record_type())).or_default().push(record);
                }
            }
        }
        if let Some(orphan) = signatures.keys().find(|of| !sets.contains_key(of)) {
            return Err(format!("a signature of nothing: {orphan:?}"));
        }
        let mut expanded = Vec::new();
        for ((owner, rtype), set) in sets {
            let is_made = rtype == RecordType::CNAME
                && dnames.iter().any(|dname| dname != &owner && dname.zone_of(&owner));
            let is_unsigned = is_made || is_referral && rtype == RecordType::NS;
            let made = signatures.remove(&(owner.clone(), rtype)).unwrap_or_default();
            if is_unsigned {
                if !made.is_empty() {
                    return Err(format!("{owner} {rtype} must not be signed"));
                }
                continue;
            }
            if made.is_empty() {
                return Err(format!("{owner} {rtype} isn't signed"));
            }
            for rrsig in made {
                let input = rrsig.input();
                let keys = self.keys.get(&input.signer_name).ok_or("signed by nobody")?;
                if !input.signer_name.zone_of(&owner) || rtype == RecordType::DS && input.signer_name == owner
                {
                    return Err(format!("{owner} {rtype} is signed by {}", input.signer_name));
                }
                let verifies =
                    |key: &DNSKEY| key.verify_rrsig(&owner, DNSClass::IN, rrsig, set.iter().copied()).is_ok();
                if !keys.iter().any(verifies) {
                    return Err(format!("{owner} {rtype}: the signature is wrong"));
                }
                if owner.num_labels() > input.num_labels {
                    let encloser = owner.trim_to(input.num_labels.into());
                    expanded.push((owner.clone(), encloser));
                }
            }
        }
        Ok(expanded)
    }

    /// Whether an answer proves what it says.
    fn judge(&self, message: &Message, name: &str, rtype: Rtype) -> Result<(), String> {
        let mut at = TheirName::from_ascii(name).unwrap();
        let asked = RecordType::from(rtype.0);
        let is_cname_wanted = matches!(rtype, Rtype::CNAME | Rtype::ANY | Rtype::RRSIG)
            || rtype == Rtype::NSEC
                && !message.answers.iter().any(|record| record.record_type() == RecordType::CNAME);
        let mut last = at.clone();
        let mut seen = BTreeSet::new();
        let mut is_looping = false;
        loop {
            if is_cname_wanted {
                break;
            }
            let link = message.answers.iter().find_map(|record| match &record.data {
                RData::CNAME(target) if record.name == at => Some(target.0.clone()),
                _ => None,
            });
            let Some(next) = link else { break };
            if !seen.insert(at.clone()) {
                is_looping = true;
                break;
            }
            last = std::mem::replace(&mut at, next);
        }
        // A loop, or a name of somebody else: what was found is all.
        let zone_of = |name: &TheirName| {
            self.keys.keys().filter(|apex| apex.zone_of(name)).max_by_key(|apex| apex.num_labels())
        };
        let zone = zone_of(&at);
        let is_at_apex_ds = rtype == Rtype::DS && self.keys.contains_key(&at);
        let is_here = zone.is_some() && !is_looping;
        let has_soa = message.authorities.iter().any(|record| record.record_type() == RecordType::SOA);
        let is_referral =
            !has_soa && message.authorities.iter().any(|record| record.record_type() == RecordType::NS);
        if rtype != Rtype::RRSIG || message.answers.is_empty() {
            self.answers(message, is_referral, &at)?;
        }
        let denials = Denials::of(&message.authorities);
        let has_answer = message
            .answers
            .iter()
            .any(|record| record.name == at && (asked == record.record_type() || is_cname_wanted));
        if !is_here || has_answer || seen.len() > crate::limits::CNAME_CHAIN {
            return Ok(());
        }
        // A DNAME whose target would be too long ends the answer.
        if message.metadata.response_code == ResponseCode::YXDomain {
            return Ok(());
        }
        let apex = zone.unwrap();
        if is_referral {
            let cut = message.authorities.iter().find(|record| record.record_type() == RecordType::NS);
            let cut = &cut.unwrap().name;
            if message.authorities.iter().any(|record| record.record_type() == RecordType::DS) {
                return Ok(());
            }
            let types = denials.matching(cut).ok_or("nothing says that there is no DS")?;
            let is_cut = types.contains(&RecordType::NS)
                && !types.contains(&RecordType::DS)
                && !types.contains(&RecordType::SOA);
            return is_cut.then_some(()).ok_or("the bitmap isn't one of a cut without DS".into());
        }
        // Behind a wildcard's CNAME into another zone the resolver goes on by itself.
        if !has_soa && at != last && zone_of(&last) != zone && !message.authorities.is_empty() {
            return Ok(());
        }
        if !has_soa {
            return Err("neither data nor denial".into());
        }
        if message.metadata.response_code == ResponseCode::NXDomain {
            let encloser = denials.encloser(&at, apex)?;
            let wildcard = encloser.prepend_label("*").unwrap();
            return denials.covers(&wildcard).then_some(()).ok_or("a * may be there".into());
        }
        // RFC 4035 5.4: at the name itself, or at the wildcard when nothing is closer.
        let is_denied = |owner: &TheirName, types: &BTreeSet<RecordType>| {
            // RFC 4592 4.2 leaves NS at a wildcard open.
            let is_parent =
                types.contains(&RecordType::NS) && !types.contains(&RecordType::SOA) && !owner.is_wildcard();
            !types.contains(&asked)
                && !types.contains(&RecordType::CNAME)
                && (!is_parent || rtype == Rtype::DS)
                && (!is_at_apex_ds || self.is_top(&at) || !types.contains(&RecordType::SOA))
        };
        if let Some(types) = denials.matching(&at) {
            return is_denied(&at, types).then_some(()).ok_or(format!("the bitmap {types:?} has the type"));
        }
        if denials.is_nonterminal(&at) {
            return Ok(());
        }
        let encloser = denials.encloser(&at, apex)?;
        let wildcard = encloser.prepend_label("*").unwrap();
        match denials.matching(&wildcard) {
            Some(types) => {
                is_denied(&wildcard, types).then_some(()).ok_or("the wildcard's bitmap has the type".into())
            }
            None if denials.is_nonterminal(&wildcard) => Ok(()),
            None => Err(format!("nothing denies the type at {at} or {wildcard}")),
        }
    }

    /// Whether its parent isn't here, as behind a cut to others: then the zone itself denies DS
    /// (RFC 4035 3.1.4.1).
    fn is_top(&self, apex: &TheirName) -> bool {
        let above = self.keys.keys().filter(|other| *other != apex && other.zone_of(apex));
        let Some(nearest) = above.max_by_key(|other| other.num_labels()) else { return true };
        self.cuts.iter().any(|cut| cut != apex && cut.zone_of(apex) && nearest.zone_of(cut))
    }

    fn answers(&self, message: &Message, is_referral: bool, at: &TheirName) -> Result<(), String> {
        let denials = Denials::of(&message.authorities);
        for (owner, encloser) in self.section(&message.answers, false)? {
            let closer = owner.trim_to(encloser.iter().count() + 1);
            let is_denied = denials.covers(&closer) || denials.covers(&owner) && denials.nsec3.is_empty();
            if !is_denied {
                return Err(format!(
                    "{owner} (on the way to {at}) is expanded, and something closer may be there"
                ));
            }
        }
        self.section(&message.authorities, is_referral).map(|_| ())
    }
}

impl Denials {
    fn of(records: &[Record]) -> Denials {
        let mut denials = Denials { nsec: Vec::new(), nsec3: Vec::new() };
        for record in records {
            match &record.data {
                RData::DNSSEC(DNSSECRData::NSEC(nsec)) => {
                    let types = nsec.type_bit_maps().collect();
                    denials.nsec.push((record.name.clone(), nsec.next_domain_name().clone(), types));
                }
                RData::DNSSEC(DNSSECRData::NSEC3(nsec3)) => {
                    let label = record.name.iter().next().unwrap().to_ascii_lowercase();
                    let hash = from_base32(&label);
                    let types = nsec3.type_bit_maps().collect();
                    denials.nsec3.push((hash, nsec3.next_hashed_owner_name().to_vec(), types));
                }
                _ => {}
            }
        }
        denials
    }

    fn matching(&self, name: &TheirName) -> Option<&BTreeSet<RecordType>> {
        let hash = hash(name);
        let nsec = self.nsec.iter().find(|(owner, ..)| owner == name).map(|(.., types)| types);
        nsec.or_else(|| self.nsec3.iter().find(|(owner, ..)| *owner == hash).map(|(.., types)| types))
    }

    /// RFC 4034 4.1.1, RFC 5155 8.3: strictly between owner and next. Not by what stands at a cut or
    /// DNAME above the name (RFC 6840 4.1, 4.3).
    fn covers(&self, name: &TheirName) -> bool {
        let hash = hash(name);
        let is_above = |owner: &TheirName, types: &BTreeSet<RecordType>| {
            owner.zone_of(name)
                && owner != name
                && !owner.is_wildcard()
                && (types.contains(&RecordType::from(39))
                    || types.contains(&RecordType::NS) && !types.contains(&RecordType::SOA))
        };
        self.nsec.iter().any(|(owner, next, types)| {
            !is_above(owner, types) && is_between(name, owner, next) && !(name.zone_of(next))
        }) || self.nsec3.iter().any(|(owner, next, _)| is_between(&hash, owner, next))
    }

    /// Names below it are there, and it isn't itself in the chain.
    fn is_nonterminal(&self, name: &TheirName) -> bool {
        self.nsec
            .iter()
            .any(|(owner, next, _)| is_between(name, owner, next) && name.zone_of(next) && name != next)
    }

    /// The closest encloser that is proved.
    fn encloser(&self, name: &TheirName, apex: &TheirName) -> Result<TheirName, String> {
        let mut encloser = name.base_name();
        while encloser.iter().count() >= apex.iter().count() {
            let closer = name.trim_to(encloser.iter().count() + 1);
            let is_there = if self.nsec3.is_empty() {
                self.covers(name)
                    && self
                        .nsec
                        .iter()
                        .any(|(owner, next, _)| encloser.zone_of(owner) || encloser.zone_of(next))
            } else {
                self.matching(&encloser).is_some()
            };
            if is_there {
                return (self.covers(&closer) || self.nsec3.is_empty())
                    .then_some(encloser)
                    .ok_or(format!("{closer} may be there"));
            }
            encloser = encloser.base_name();
        }
        Err(format!("no encloser of {name} is shown"))
    }
}

fn is_between<T: Ord>(this: &T, owner: &T, next: &T) -> bool {
    if owner < next { owner < this && this < next } else { owner < this || this < next }
}

fn hash(name: &TheirName) -> Vec<u8> {
    crate::snapshot::denial::nsec3_hash(&wire(name).to_ascii_lowercase()).to_vec()
}

fn wire(name: &TheirName) -> Vec<u8> {
    let mut wire = Vec::new();
    for label in name.iter() {
        wire.push(label.len() as u8);
        wire.extend_from_slice(label);
    }
    wire.push(0);
    wire
}

fn from_base32(label: &[u8]) -> Vec<u8> {
    let digits: Vec<u64> =
        label.iter().map(|digit| char::from(*digit).to_digit(32).unwrap().into()).collect();
    let number = |group: &[u64]| group.iter().fold(0, |number, digit| number << 5 | digit);
    digits.chunks(8).flat_map(|group| number(group).to_be_bytes()[3..].to_vec()).collect()
}

/// Whether what a snapshot answers for a zone proves what it says.
pub(crate) fn proves(
    snapshot: &Snapshot,
    zone: &Arc<Zone>,
    signing: &Signing,
    name: &str,
    rtype: Rtype,
) -> Result<(), String> {
    let signings = BTreeMap::from([(zone.apex().clone(), signing.clone())]);
    let validator = Validator::new(&[Arc::clone(zone)], &signings);
    let message = Message::from_bytes(&ask_signed(snapshot, name, rtype)).unwrap();
    validator.judge(&message, name, rtype).map_err(|why| format!("{name} {rtype}: {why}\n{message}"))
}

fn check(
    snapshot: &Snapshot,
    plain: &Snapshot,
    validator: &Validator,
    name: &str,
    rtype: Rtype,
) -> Result<(), String> {
    let octets = ask_signed(snapshot, name, rtype);
    let message = Message::from_bytes(&octets).unwrap();
    validator.judge(&message, name, rtype).map_err(|why| format!("{name} {rtype}: {why}\n{message}"))?;
    // Those who don't ask for signatures see nothing of them.
    let is_of_dnssec = matches!(rtype, Rtype::RRSIG | Rtype::NSEC | Rtype::DNSKEY);
    if !is_of_dnssec && ask(snapshot, name, rtype) != ask(plain, name, rtype) {
        return Err(format!("{name} {rtype}: another answer without DO"));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn signed_answers_prove_what_they_say(
        zones in zones(), questions in prop::collection::vec(question(), 60), is_hashed: bool,
    ) {
        let zones: Vec<Arc<Zone>> = zones.into_iter().map(|(_, zone): (Listed, _)| zone).collect();
        let denial = if is_hashed { Denial::Nsec3 } else { Denial::Nsec };
        let signings: BTreeMap<Name, Signing> =
            zones.iter().map(|zone| (zone.apex().clone(), signing(zone.apex(), denial))).collect();
        let snapshot = signed_snapshot(&zones, &|apex| signings.get(apex).cloned());
        let plain = signed_snapshot(&zones, &|_| None);
        let validator = Validator::new(&zones, &signings);
        for (name, rtype) in questions {
            for rtype in [rtype, Rtype::RRSIG, Rtype::NSEC, Rtype::DNSKEY] {
                if let Err(why) = check(&snapshot, &plain, &validator, &name, rtype) {
                    prop_assert!(false, "{}", why);
                }
            }
        }
    }
}
