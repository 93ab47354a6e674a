//! Answers as sets: what two servers must agree on, whatever order, case and compression they
//! choose, and whatever they add that nobody needs.

use std::collections::BTreeSet;
use std::fmt;

use waypost::wire::name::Name;
use waypost::wire::query::rcode;
use waypost::wire::rtype::Rtype;
use waypost::zone::rdata_text;

/// A record: owner and RDATA uncompressed, their names in lower case.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Record {
    pub owner: Vec<u8>,
    pub rtype: Rtype,
    pub ttl: u32,
    pub rdata: Vec<u8>,
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let owner = Name::from_wire(&self.owner).unwrap();
        write!(f, "{owner} {} {} {}", self.ttl, self.rtype, rdata_text(self.rtype, &self.rdata))
    }
}

/// A message as it came, its names written out.
pub struct Message {
    pub flags: u16,
    pub question: Vec<u8>,
    /// Answer, authority, additional.
    pub sections: [Vec<Record>; 3],
    /// The OPT record: its TTL field, which has the flags, and the extended RCODE above them.
    pub edns: Option<u32>,
}

/// What must be equal.
#[derive(Clone, PartialEq, Eq)]
pub struct Canonical {
    pub rcode: u16,
    pub authoritative: bool,
    pub truncated: bool,
    pub answers: BTreeSet<Record>,
    pub authority: BTreeSet<Record>,
    /// Addresses of servers within the delegated zone: a referral is of no use without them
    /// (RFC 9471 3.1). Everything else in the additional section is optional.
    pub glue: BTreeSet<Record>,
}

impl fmt::Debug for Canonical {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flag = |set, text| if set { text } else { "" };
        write!(
            f,
            "{}",
            match self.rcode {
                rcode::NOERROR => "NOERROR".to_owned(),
                rcode::NXDOMAIN => "NXDOMAIN".to_owned(),
                rcode::REFUSED => "REFUSED".to_owned(),
                other => format!("RCODE {other}"),
            }
        )?;
        write!(f, "{}{}", flag(self.authoritative, " aa"), flag(self.truncated, " tc"))?;
        let sections = [("answer", &self.answers), ("authority", &self.authority), ("glue", &self.glue)];
        for (name, records) in sections {
            for (number, record) in records.iter().enumerate().take(6) {
                write!(
                    f,
                    "\n      {}{record:?}",
                    if number == 0 { format!("{name}: ") } else { String::new() }
                )?;
            }
            if records.len() > 6 {
                write!(f, "\n      ({} in all)", records.len())?;
            }
        }
        Ok(())
    }
}

impl Message {
    /// Reads a whole message; nothing may be left over.
    pub fn read(octets: &[u8]) -> Option<Message> {
        let mut at = 12;
        let number = |at: usize| Some(u16::from_be_bytes([*octets.get(at)?, *octets.get(at + 1)?]));
        if number(4)? > 1 {
            return None;
        }
        let question_at = at;
        if number(4)? == 1 {
            name(octets, &mut at)?;
            at += 4;
        }
        let question = octets.get(question_at..at)?.to_vec();
        let mut edns = None;
        let mut sections = [Vec::new(), Vec::new(), Vec::new()];
        for (section, count_at) in sections.iter_mut().zip([6, 8, 10]) {
            for _ in 0..number(count_at)? {
                let owner = name(octets, &mut at)?;
                let rtype = Rtype(number(at)?);
                let ttl = u32::from(number(at + 4)?) << 16 | u32::from(number(at + 6)?);
                let end = at + 10 + usize::from(number(at + 8)?);
                at += 10;
                if rtype == Rtype::OPT {
                    edns = Some(ttl);
                    at = end;
                    continue;
                }
                section.push(Record { owner, rtype, ttl, rdata: rdata(octets, &mut at, rtype, end)? });
            }
        }
        let whole = at == octets.len();
        whole.then_some(Message { flags: number(2)?, question, sections, edns })
    }

    /// Reduces it. `apexes` are the zones that the servers have, in lower case: their own NS records
    /// may stand in any authority section and mean nothing there.
    pub fn canonical(self, apexes: &BTreeSet<Vec<u8>>) -> Canonical {
        let [answers, authority, additional] = self.sections;
        let truncated = self.flags & 0x0200 != 0;
        let mut canonical = Canonical {
            rcode: if truncated {
                0
            } else {
                self.flags & 15 | (self.edns.unwrap_or(0) >> 20 & 0xff0) as u16
            },
            authoritative: self.flags & 0x0400 != 0,
            truncated,
            answers: BTreeSet::new(),
            authority: BTreeSet::new(),
            glue: BTreeSet::new(),
        };
        // What is left of a truncated answer is each server's choice; the client comes again.
        if !truncated {
            canonical.answers.extend(answers);
            let is_needed = |record: &Record| record.rtype != Rtype::NS || !apexes.contains(&record.owner);
            canonical.authority.extend(authority.into_iter().filter(is_needed));
            let servers: BTreeSet<&[u8]> = canonical
                .authority
                .iter()
                .filter(|record| record.rtype == Rtype::NS && record.rdata.ends_with(&record.owner))
                .map(|record| &*record.rdata)
                .collect();
            let is_glue = |record: &Record| servers.contains(&*record.owner);
            canonical.glue = additional.into_iter().filter(is_glue).collect();
        }
        canonical
    }
}

/// A name, its pointers followed, in lower case.
fn name(octets: &[u8], at: &mut usize) -> Option<Vec<u8>> {
    let mut name = Vec::new();
    let mut from = *at;
    let mut is_behind_pointer = false;
    loop {
        let length = usize::from(*octets.get(from)?);
        if length >= 0xc0 {
            let to = (length & 0x3f) << 8 | usize::from(*octets.get(from + 1)?);
            // Pointers lead back, so they come to an end.
            if to >= from {
                return None;
            }
            if !is_behind_pointer {
                *at = from + 2;
            }
            is_behind_pointer = true;
            from = to;
            continue;
        }
        name.extend_from_slice(octets.get(from..=from + length)?);
        from += 1 + length;
        if name.len() > 255 || length > 63 {
            return None;
        }
        if length == 0 {
            if !is_behind_pointer {
                *at = from;
            }
            return Some(name.to_ascii_lowercase());
        }
    }
}

fn rdata(octets: &[u8], at: &mut usize, rtype: Rtype, end: usize) -> Option<Vec<u8>> {
    let (before, names) = match rtype {
        Rtype::NS | Rtype::CNAME | Rtype::PTR | Rtype::DNAME => (0, 1),
        Rtype::SOA => (0, 2),
        Rtype::MX => (2, 1),
        Rtype::SRV => (6, 1),
        _ => (0, 0),
    };
    let mut rdata = octets.get(*at..*at + before)?.to_vec();
    *at += before;
    for _ in 0..names {
        rdata.extend(name(octets, at)?);
    }
    rdata.extend(octets.get(*at..end)?);
    *at = end;
    Some(rdata)
}
