//! An answer, read strictly: every octet must belong to something.

use super::packet::{CNAME, DNAME, ID, NS, OPT, QR};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// As it is spelled, with a final dot.
    pub owner: String,
    pub rtype: u16,
    pub class: u16,
    pub ttl: u32,
    pub rdata: Vec<u8>,
    /// The name in the RDATA of NS, CNAME and DNAME.
    pub target: Option<String>,
}

#[derive(Clone, Debug)]
pub struct ReplyOpt {
    pub payload: u16,
    pub extended_rcode: u8,
    pub version: u8,
    pub flags: u16,
    pub options: Vec<(u16, Vec<u8>)>,
}

#[derive(Clone, Debug)]
pub struct Reply {
    pub octets: Vec<u8>,
    pub flags: u16,
    /// The question section, as octets.
    pub question: Vec<u8>,
    pub answers: Vec<Record>,
    pub authority: Vec<Record>,
    /// Without the OPT record.
    pub additional: Vec<Record>,
    pub opt: Option<ReplyOpt>,
}

impl Reply {
    pub fn read(octets: &[u8]) -> Reply {
        let mut reader = Reader { octets, at: 0 };
        assert_eq!(reader.u16(), ID);
        let flags = reader.u16();
        assert!(flags & QR != 0, "a response");
        let counts = [(); 4].map(|()| reader.u16());
        let start = reader.at;
        for _ in 0..counts[0] {
            reader.name();
            reader.take(4);
        }
        let question = octets[start..reader.at].to_vec();
        let mut opt = None;
        let mut section = |count: u16| {
            let mut records = Vec::new();
            for _ in 0..count {
                let record = reader.record();
                if record.rtype == OPT {
                    assert!(opt.is_none() && record.owner == ".", "one OPT, owned by the root");
                    opt = Some(ReplyOpt::of(&record));
                } else {
                    records.push(record);
                }
            }
            records
        };
        let (answers, authority, additional) = (section(counts[1]), section(counts[2]), section(counts[3]));
        assert_eq!(reader.at, octets.len(), "octets behind the last record");
        Reply { octets: octets.to_vec(), flags, question, answers, authority, additional, opt }
    }

    /// The response code with its upper bits from the OPT record (RFC 6891 6.1.3).
    pub fn rcode(&self) -> u16 {
        u16::from(self.opt.as_ref().map_or(0, |opt| opt.extended_rcode)) << 4 | self.flags & 15
    }

    pub fn has(&self, flags: u16) -> bool {
        self.flags & flags == flags
    }

    /// The only option of that code.
    pub fn option(&self, code: u16) -> Option<&[u8]> {
        let mut found = self.opt.as_ref()?.options.iter().filter(|(number, _)| *number == code);
        let data = found.next().map(|(_, data)| &data[..]);
        assert!(found.next().is_none(), "option {code} twice");
        data
    }

    /// INFO-CODE of the extended error (RFC 8914 2).
    pub fn extended_error(&self) -> Option<u16> {
        self.option(15).map(|data| u16::from_be_bytes([data[0], data[1]]))
    }

    /// Whether there is no data, and no referral.
    pub fn is_bare(&self) -> bool {
        self.answers.is_empty() && self.authority.is_empty() && self.additional.is_empty()
    }

    /// Types and owners of the answer section.
    pub fn answered(&self) -> Vec<(u16, &str)> {
        self.answers.iter().map(|record| (record.rtype, record.owner.as_str())).collect()
    }

    /// RDATA of the answer section, sorted.
    pub fn data(&self) -> Vec<&[u8]> {
        let mut data: Vec<&[u8]> = self.answers.iter().map(|record| &record.rdata[..]).collect();
        data.sort_unstable();
        data
    }
}

impl ReplyOpt {
    fn of(record: &Record) -> ReplyOpt {
        let mut reader = Reader { octets: &record.rdata, at: 0 };
        let mut options = Vec::new();
        while reader.at < record.rdata.len() {
            let (code, length) = (reader.u16(), reader.u16());
            options.push((code, reader.take(length.into()).to_vec()));
        }
        let [extended_rcode, version, high, low] = record.ttl.to_be_bytes();
        let flags = u16::from_be_bytes([high, low]);
        ReplyOpt { payload: record.class, extended_rcode, version, flags, options }
    }
}

struct Reader<'o> {
    octets: &'o [u8],
    at: usize,
}

impl<'o> Reader<'o> {
    fn take(&mut self, octets: usize) -> &'o [u8] {
        self.at += octets;
        &self.octets[self.at - octets..self.at]
    }

    fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.take(2).try_into().unwrap())
    }

    fn record(&mut self) -> Record {
        let owner = self.name();
        let (rtype, class) = (self.u16(), self.u16());
        let ttl = u32::from(self.u16()) << 16 | u32::from(self.u16());
        let length = usize::from(self.u16());
        let start = self.at;
        let target = matches!(rtype, NS | CNAME | DNAME).then(|| self.name());
        if target.is_some() {
            assert_eq!(self.at, start + length, "the name fills its RDATA");
        }
        self.at = start;
        let rdata = self.take(length).to_vec();
        Record { owner, rtype, class, ttl, rdata, target }
    }

    /// A name; pointers lead back alone (RFC 1035 4.1.4), and to 255 octets at most.
    fn name(&mut self) -> String {
        let mut text = String::new();
        let mut octets = 0;
        let mut at = self.at;
        let mut end = None;
        loop {
            let length = usize::from(self.octets[at]);
            if length >= 0xc0 {
                let to = (length & 0x3f) << 8 | usize::from(self.octets[at + 1]);
                assert!(to < at, "a pointer forward");
                end = end.or(Some(at + 2));
                at = to;
                continue;
            }
            assert!(length < 64);
            octets += 1 + length;
            at += 1 + length;
            if length == 0 {
                break;
            }
            for octet in &self.octets[at - length..at] {
                text.push(char::from(*octet));
            }
            text.push('.');
        }
        assert!(octets <= 255);
        self.at = end.unwrap_or(at);
        if text.is_empty() { ".".to_owned() } else { text }
    }
}
