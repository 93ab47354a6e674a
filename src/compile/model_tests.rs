//! The answer path against a slow model that follows RFC 1034 4.3.2 step by step over a plain
//! list of records: RFC 4592 3.3 for wildcards, RFC 6672 3.2 for DNAME, RFC 2308 for denials, RFC
//! 6604 for the code behind a chain, RFC 4035 3.1.4.1 for DS, RFC 9471 for glue.

use std::collections::BTreeSet;
use std::sync::Arc;

use hickory_proto::op::Message;
use hickory_proto::rr::RData;
use proptest::prelude::*;

use super::shape::Shape;
use super::signer::Signing;
use super::tests::{ask, empty, try_parse};
use super::zone::{Above, RoutedOwners, Source};
use crate::limits::CNAME_CHAIN;
use crate::snapshot::{Edits, Snapshot, ZoneId};
use crate::wire::name::Name;
use crate::wire::query::rcode;
use crate::wire::rtype::Rtype;
use crate::zone::{Zone, rdata_text};

/// A name as text, in lower case and with its final dot, as all names here.
pub(super) type Text = String;

/// Owner, type, RDATA, as hickory-proto shows them.
type Record = (Text, Rtype, String);

/// What an answer must be.
#[derive(Debug, Default, PartialEq, Eq)]
struct Answer {
    rcode: u16,
    authoritative: bool,
    /// In order along the chain, each RRset sorted.
    answers: Vec<Record>,
    authority: BTreeSet<Record>,
    glue: BTreeSet<Record>,
}

/// A zone as a list.
#[derive(Clone, Debug)]
pub(super) struct Listed {
    apex: Text,
    records: Vec<Record>,
}

/// Where the search of one name in one zone ends.
enum End {
    /// 3b: at a delegation.
    Cut(Text),
    /// 3c: at a DNAME above the name.
    Dname(Text),
    /// 3a, or a wildcard of 3c: data of this owner.
    Data(Text),
    /// 3c: nothing.
    Nothing,
}

/// The whole algorithm.
fn answer(zones: &[Listed], qname: &str, qtype: Rtype) -> Answer {
    let mut answer = Answer { authoritative: true, ..Answer::default() };
    let mut name = qname.to_owned();
    let mut passed = BTreeSet::new();
    for link in 0..=CNAME_CHAIN {
        let is_first = link == 0;
        // A circle, or step 2: the zone that is the nearest ancestor.
        if !passed.insert(name.clone()) {
            return answer;
        }
        let Some(zone) = nearest(zones, &name, qtype) else {
            if is_first {
                answer.authoritative = false;
                answer.rcode = rcode::REFUSED;
            }
            return answer;
        };
        match zone.end(&name, qtype) {
            End::Cut(cut) => {
                answer.authoritative &= !is_first;
                let servers = zone.rrset(&cut, Rtype::NS);
                let inside = servers.iter().filter(|(_, _, server)| is_at_or_below(server, &cut));
                answer.glue = inside.flat_map(|(_, _, server)| zone.rrset(server, Rtype::A)).collect();
                answer.authority = servers.into_iter().collect();
                return answer;
            }
            End::Dname(owner) => {
                let dname = zone.rrset(&owner, Rtype::DNAME).remove(0);
                let target = format!("{}{}", name.strip_suffix(&owner).unwrap(), dname.2);
                if !answer.answers.contains(&dname) {
                    answer.answers.push(dname);
                }
                answer.answers.push((name, Rtype::CNAME, target.clone()));
                if qtype == Rtype::CNAME {
                    return answer;
                }
                name = target;
            }
            End::Data(owner) => {
                let found = zone.matching(&owner, qtype);
                let cname = zone.rrset(&owner, Rtype::CNAME);
                // RFC 4592 3.3.1: synthesised records have the name asked for.
                let own = |(_, rtype, data): Record| (name.clone(), rtype, data);
                if found.is_empty() && !cname.is_empty() {
                    let target = cname[0].2.clone();
                    answer.answers.extend(cname.into_iter().map(own));
                    name = target;
                    continue;
                }
                if found.is_empty() {
                    answer.authority = zone.rrset(&zone.apex, Rtype::SOA).into_iter().collect();
                }
                answer.answers.extend(found.into_iter().map(own));
                return answer;
            }
            End::Nothing => {
                answer.rcode = rcode::NXDOMAIN;
                answer.authority = zone.rrset(&zone.apex, Rtype::SOA).into_iter().collect();
                return answer;
            }
        }
    }
    answer
}

/// The zone that answers for a name. DS of an apex is the parent's, if that is here: what is here
/// above it isn't, if it delegates a name between (RFC 4035 3.1.4.1).
fn nearest<'z>(zones: &'z [Listed], name: &str, qtype: Rtype) -> Option<&'z Listed> {
    let mut above: Vec<&Listed> = zones.iter().filter(|zone| is_at_or_below(name, &zone.apex)).collect();
    above.sort_by_key(|zone| std::cmp::Reverse(zone.apex.len()));
    match above.as_slice() {
        [child, above, ..] if qtype == Rtype::DS && child.apex == name => {
            let is_parent = !matches!(above.end(name, qtype), End::Cut(_) | End::Dname(_));
            Some(if is_parent { above } else { child })
        }
        [nearest, ..] => Some(nearest),
        [] => None,
    }
}

impl Listed {
    /// Step 3, from the apex down.
    fn end(&self, name: &str, qtype: Rtype) -> End {
        let mut encloser = self.apex.clone();
        loop {
            if encloser != self.apex && !encloser.starts_with("*.") && self.has(&encloser, Rtype::NS) {
                let is_parents = qtype == Rtype::DS && encloser == name;
                return if is_parents { End::Data(encloser) } else { End::Cut(encloser) };
            }
            if encloser == name {
                return End::Data(encloser);
            }
            if !encloser.starts_with("*.") && self.has(&encloser, Rtype::DNAME) {
                return End::Dname(encloser);
            }
            let next = one_label_more(&encloser, name);
            if !self.exists(&next) {
                let wildcard = format!("*.{encloser}");
                return if self.exists(&wildcard) { End::Data(wildcard) } else { End::Nothing };
            }
            encloser = next;
        }
    }

    /// RFC 4592 2.2.2: a name exists if it or anything below it has records.
    fn exists(&self, name: &str) -> bool {
        self.records.iter().any(|(owner, _, _)| is_at_or_below(owner, name))
    }

    fn has(&self, owner: &str, rtype: Rtype) -> bool {
        !self.rrset(owner, rtype).is_empty()
    }

    fn rrset(&self, owner: &str, rtype: Rtype) -> Vec<Record> {
        let mut rrset: Vec<Record> =
            self.records.iter().filter(|record| record.0 == owner && record.1 == rtype).cloned().collect();
        rrset.sort();
        rrset.dedup();
        rrset
    }

    /// What the QTYPE matches; for ANY the RRset of the least type (RFC 8482 4.1).
    fn matching(&self, owner: &str, qtype: Rtype) -> Vec<Record> {
        if qtype != Rtype::ANY {
            return self.rrset(owner, qtype);
        }
        let types = self.records.iter().filter(|record| record.0 == owner).map(|record| record.1);
        types.min().map_or(Vec::new(), |least| self.rrset(owner, least))
    }
}

fn is_at_or_below(name: &str, ancestor: &str) -> bool {
    name == ancestor || name.ends_with(&format!(".{ancestor}"))
}

/// The ancestor of `name` that is one label longer than `encloser`.
fn one_label_more(encloser: &str, name: &str) -> String {
    let above = name.strip_suffix(encloser).unwrap().trim_end_matches('.');
    format!("{}.{encloser}", above.rsplit('.').next().unwrap())
}

/// What the server makes of it.
fn served(snapshot: &Snapshot, name: &str, rtype: Rtype) -> Answer {
    let message = Message::from_vec(&ask(snapshot, name, rtype)).unwrap();
    let records = |section: &[hickory_proto::rr::Record]| -> Vec<Record> {
        let shown = |record: &hickory_proto::rr::Record| {
            let rtype = Rtype(u16::from(record.record_type()));
            // hickory-proto reads DS with another feature alone.
            let data = match &record.data {
                RData::Unknown { rdata, .. } => rdata_text(rtype, &rdata.anything),
                known => known.to_string(),
            };
            (record.name.to_string(), rtype, data.to_lowercase())
        };
        section.iter().map(shown).collect()
    };
    let mut answers = records(&message.answers);
    for rrset in answers.chunk_by_mut(|a, b| (&a.0, a.1) == (&b.0, b.1)) {
        rrset.sort();
    }
    let authority: BTreeSet<Record> = records(&message.authorities).into_iter().collect();
    let within = |server: &str| authority.iter().any(|ns| ns.2 == server && is_at_or_below(server, &ns.0));
    let glue = records(&message.additionals).into_iter().filter(|record| within(&record.0)).collect();
    Answer {
        rcode: u16::from(message.metadata.response_code),
        authoritative: message.metadata.authoritative,
        answers,
        authority,
        glue,
    }
}

fn snapshot(zones: &[Arc<Zone>]) -> Snapshot {
    signed_snapshot(zones, &|_| None)
}

/// Zones beside each other, some of them signed.
pub(super) fn signed_snapshot(zones: &[Arc<Zone>], signing: &dyn Fn(&Name) -> Option<Signing>) -> Snapshot {
    let routed = Arc::new(RoutedOwners::new());
    let mut edits = Edits::default();
    let mut common = Vec::new();
    for (number, zone) in zones.iter().enumerate() {
        let children: Vec<_> = zones
            .iter()
            .map(|other| other.apex().clone())
            .filter(|other| other != zone.apex() && other.is_at_or_below(zone.apex()))
            .collect();
        let above = zones
            .iter()
            .filter(|other| other.apex() != zone.apex() && zone.apex().is_at_or_below(other.apex()))
            .max_by_key(|other| other.apex().label_count());
        let parent = above
            .filter(|above| !Shape::of(above, &routed).hides(above.apex(), zone.apex().to_lower().as_wire()))
            .map(|above| Above { zone: Arc::clone(above), signing: signing(above.apex()) });
        let id = ZoneId(number as u32);
        let signing = signing(zone.apex());
        let (parent, signing) = (parent.as_ref(), signing.as_ref());
        let source = Source { zone, id, routed: &routed, children: &children, parent, signing };
        let shape = Arc::new(Shape::of(zone, &routed));
        source.all(&shape, &mut edits).unwrap();
        common.push(Some(Arc::new(source.common(source.denial(&shape, None)).unwrap())));
    }
    empty().with_owners(&edits, common.into())
}

/// Few labels, so that owners meet: below, above, beside each other.
fn owner(apex: &'static str) -> impl Strategy<Value = Text> {
    let label = prop::sample::select(vec!["a", "b", "*", "c"]);
    prop::collection::vec(label, 0..=4).prop_map(move |mut labels| {
        labels.push(apex);
        labels.join(".")
    })
}

fn record(apex: &'static str) -> impl Strategy<Value = Record> {
    let targets = [
        "a.example.",
        "b.example.",
        "c.example.",
        "a.b.example.",
        "c.a.example.",
        "a.c.b.example.",
        "none.example.",
        "ns.elsewhere.test.",
    ];
    let target = prop::sample::select(targets.to_vec());
    let data = prop_oneof![
        3 => (1..4u8).prop_map(|n| (Rtype::A, format!("192.0.2.{n}"))),
        1 => Just((Rtype::TXT, "x".to_owned())),
        1 => target.clone().prop_map(|target| (Rtype::MX, format!("1 {target}"))),
        2 => target.clone().prop_map(|target| (Rtype::CNAME, target.to_owned())),
        2 => target.clone().prop_map(|target| (Rtype::NS, target.to_owned())),
        1 => target.prop_map(|target| (Rtype::DNAME, target.to_owned())),
        1 => Just((Rtype::DS, "1 13 2 ab".to_owned())),
    ];
    (owner(apex), data).prop_map(|(owner, (rtype, data))| (owner, rtype, data))
}

/// A zone in both forms. Records that a zone can't have together are left out, later ones first.
fn zone(
    apex: &'static str,
    fixed: &'static [(&'static str, Rtype, &'static str)],
) -> impl Strategy<Value = (Listed, Arc<Zone>)> {
    prop::collection::vec(record(apex), 0..14).prop_map(move |random| {
        let soa = format!("ns.elsewhere.test. h.{apex} 1 1 1 1 60");
        let mut listed = Listed { apex: apex.to_owned(), records: Vec::new() };
        listed.records.push((apex.to_owned(), Rtype::SOA, soa));
        listed.records.push((apex.to_owned(), Rtype::NS, "ns.elsewhere.test.".to_owned()));
        listed.records.extend(
            fixed.iter().map(|(owner, rtype, data)| ((*owner).to_owned(), *rtype, (*data).to_owned())),
        );
        let read = |listed: &Listed| {
            let line = |(owner, rtype, data): &Record| format!("{owner} 60 {rtype} {data}\n");
            try_parse(apex, &listed.records.iter().map(line).collect::<String>())
        };
        let mut zone = read(&listed).expect("a zone without errors");
        for record in random {
            listed.records.push(record);
            match read(&listed) {
                Some(good) => zone = good,
                None => drop(listed.records.pop()),
            }
        }
        (listed, zone)
    })
}

/// A zone alone, or with a child of which it knows, or with one below somebody else's.
pub(super) fn zones() -> impl Strategy<Value = Vec<(Listed, Arc<Zone>)>> {
    const DELEGATED: &[(&str, Rtype, &str)] =
        &[("b.example.", Rtype::NS, "a.b.example."), ("a.b.example.", Rtype::A, "192.0.2.9")];
    const BELOW: &[(&str, Rtype, &str)] = &[("c.example.", Rtype::NS, "ns.elsewhere.test.")];
    prop_oneof![
        4 => zone("example.", &[]).prop_map(|zone| vec![zone]),
        2 => (zone("example.", DELEGATED), zone("b.example.", &[])).prop_map(|(a, b)| vec![a, b]),
        1 => (zone("example.", BELOW), zone("b.c.example.", &[])).prop_map(|(a, b)| vec![a, b]),
    ]
}

pub(super) fn question() -> impl Strategy<Value = (Text, Rtype)> {
    let label = prop::sample::select(vec!["a", "b", "*", "c", "none"]);
    let apex = prop::sample::select(vec!["example.", "example.", "example.", "test."]);
    let name = (prop::collection::vec(label, 0..=5), apex).prop_map(|(mut labels, apex)| {
        labels.push(apex);
        labels.join(".")
    });
    let types = [
        Rtype::A,
        Rtype::A,
        Rtype::NS,
        Rtype::CNAME,
        Rtype::DNAME,
        Rtype::DS,
        Rtype::TXT,
        Rtype::MX,
        Rtype::SOA,
        Rtype::ANY,
        Rtype(65_280),
    ];
    (name, prop::sample::select(types.to_vec()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn answers_are_those_of_the_rfcs(zones in zones(), questions in prop::collection::vec(question(), 60)) {
        let (listed, zones): (Vec<Listed>, Vec<Arc<Zone>>) = zones.into_iter().unzip();
        let snapshot = snapshot(&zones);
        for (name, rtype) in questions {
            let expected = answer(&listed, &name, rtype);
            prop_assert_eq!(served(&snapshot, &name, rtype), expected, "{} {}", name, rtype);
        }
    }
}
