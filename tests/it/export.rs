//! A signed zone as a file, made of what a server answers: for tools that judge whole zones, and for
//! other servers to serve. Signatures are the server's own.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::SocketAddr;

use waypost::snapshot::denial::nsec3_hash;
use waypost::wire::name::{Name, labels};
use waypost::wire::rtype::Rtype;

use crate::differential::message::{Message, Record};
use crate::differential::{Mode, Question, client, wire};

const MODE: Mode = Mode { edns: true, dnssec_ok: true, tcp: true };

/// Types that a signed zone has besides those of its file.
pub const SIGNED_TYPES: [Rtype; 6] =
    [Rtype::NSEC, Rtype::NSEC3PARAM, Rtype::DNSKEY, Rtype::CDS, Rtype::CDNSKEY, Rtype(65280)];

/// All records of a zone, by asking for these owners, which must be all that it has.
pub fn export(server: SocketAddr, apex: &str, owners: &BTreeSet<Vec<u8>>, types: &BTreeSet<Rtype>) -> String {
    let mut walk = Walk { server, apex: wire(apex), records: BTreeSet::new() };
    let types = || types.iter().copied().chain(SIGNED_TYPES);
    let mut questions: Vec<Question> = Vec::new();
    for owner in owners {
        questions.extend(types().map(|rtype| Question { name: owner.clone(), rtype }));
        // The name right behind it and all that is below it, so that its own NSEC says so.
        if *owner != walk.apex {
            let first = usize::from(owner[0]);
            let behind = [&[owner[0] + 1], &owner[1..=first], b"0", &owner[first + 1..]].concat();
            questions.push(Question { name: behind, rtype: Rtype::A });
        }
    }
    walk.ask(&questions);
    walk.close();
    let mut text = String::new();
    for Record { owner, rtype, ttl, rdata } in &walk.records {
        let hex: String = rdata.iter().map(|octet| format!("{octet:02x}")).collect();
        let owner = Name::from_wire(owner).unwrap();
        writeln!(text, "{owner} {ttl} IN TYPE{} \\# {} {hex}", rtype.0, rdata.len()).unwrap();
    }
    // Tools want the SOA first.
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_by_key(|line| !line.contains(" IN TYPE6 "));
    lines.join("\n") + "\n"
}

/// The type of a record, or that which a signature covers.
fn covered(record: &Record) -> Rtype {
    match record.rtype {
        Rtype::RRSIG => Rtype(u16::from_be_bytes([record.rdata[0], record.rdata[1]])),
        rtype => rtype,
    }
}

struct Walk {
    server: SocketAddr,
    apex: Vec<u8>,
    records: BTreeSet<Record>,
}

impl Walk {
    fn ask(&mut self, questions: &[Question]) {
        let queries: Vec<Vec<u8>> = questions.iter().map(|question| question.query(MODE)).collect();
        for octets in client::tcp(self.server, &queries) {
            self.take(Message::read(&octets).unwrap());
        }
    }

    /// Keeps what is signed under its own name, and of referrals servers with their addresses. The
    /// denials' SOA has another TTL.
    fn take(&mut self, message: Message) {
        let is_referral = message.flags & 0x0400 == 0;
        let [answers, authority, additional] = message.sections;
        let is_soa = |record: &Record| covered(record) == Rtype::SOA;
        let beside = authority.into_iter().filter(|record| !is_soa(record));
        let both: Vec<Record> = answers.into_iter().chain(beside).collect();
        let is_own = |record: &Record| {
            record.rtype == Rtype::RRSIG
                && labels(&record.owner).filter(|label| *label != b"*").count()
                    == usize::from(record.rdata[3])
        };
        let signed: BTreeSet<(Vec<u8>, Rtype)> = both
            .iter()
            .filter(|record| is_own(record))
            .map(|record| (record.owner.clone(), covered(record)))
            .collect();
        for record in both {
            let is_signed = signed.contains(&(record.owner.clone(), covered(&record)));
            let is_cut = is_referral && record.rtype == Rtype::NS;
            if is_signed || is_cut {
                self.records.insert(record);
            }
        }
        if is_referral {
            let addresses = additional.into_iter().filter(|record| record.owner.ends_with(&self.apex));
            // Those in the zone proper come signed.
            self.records.extend(addresses.filter(|record| record.rtype != Rtype::RRSIG));
        }
    }

    /// Asks for names whose hashes are where links of an NSEC3 chain are missing.
    fn close(&mut self) {
        for _ in 0..8 {
            self.close_some();
        }
    }

    fn close_some(&mut self) {
        let chain: BTreeMap<Vec<u8>, Vec<u8>> = self
            .records
            .iter()
            .filter(|record| record.rtype == Rtype::NSEC3)
            .map(|record| (base32(&record.owner[1..33]), record.rdata[6..26].to_vec()))
            .collect();
        let missing = chain.values().filter(|next| !chain.contains_key(*next));
        let made: BTreeMap<[u8; 20], Vec<u8>> = (0..20_000)
            .map(|number| {
                let label = format!("n{number}");
                let name = [&[label.len() as u8], label.as_bytes(), &self.apex].concat();
                (nsec3_hash(&name), name)
            })
            .collect();
        let question = |next: &Vec<u8>| {
            let start: [u8; 20] = next.as_slice().try_into().unwrap();
            let (_, name) = made.range(start..).next().or_else(|| made.first_key_value()).unwrap();
            Question { name: name.clone(), rtype: Rtype::A }
        };
        let questions: Vec<Question> = missing.map(question).collect();
        self.ask(&questions);
    }
}

/// Base 32 with the extended hex alphabet, in lower case (RFC 4648 7).
fn base32(text: &[u8]) -> Vec<u8> {
    let digit = |octet: u8| if octet.is_ascii_digit() { octet - b'0' } else { octet - b'a' + 10 };
    let (mut bits, mut count, mut octets) = (0u32, 0, Vec::new());
    for &octet in text {
        bits = bits << 5 | u32::from(digit(octet.to_ascii_lowercase()));
        count += 5;
        if count >= 8 {
            count -= 8;
            octets.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    octets
}
