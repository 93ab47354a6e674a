//! The one parser of queries.
//!
//! It reads the header, the question and the OPT record, checks all that RFC 1035, 6891 and 7871
//! ask of them, and folds the name to lower case once; nothing behind it looks at the octets of a
//! query again, save to echo the question as it was spelled.

use super::edns::Edns;
use super::name::{LABEL_OCTETS_MAX, NAME_OCTETS_MAX};
use super::reader::Reader;
use super::rtype::Rtype;

/// Octets of a message's header (RFC 1035 4.1.1).
pub const HEADER_OCTETS: usize = 12;

/// QR: a response.
const RESPONSE: u16 = 0x8000;
/// The kind of query; 0 is QUERY.
const OPCODE: u16 = 0x7800;

/// Octets of a name that are folded together, whether or not they are all its own: a compiler makes
/// a few vector instructions of it, and a loop of what is left over would cost more.
const FOLDED_TOGETHER: usize = 32;

/// Response codes (RFC 1035 4.1.1, RFC 6891 9).
pub mod rcode {
    /// No error.
    pub const NOERROR: u16 = 0;
    /// The query is malformed.
    pub const FORMERR: u16 = 1;
    /// The server can't answer now.
    pub const SERVFAIL: u16 = 2;
    /// The name doesn't exist.
    pub const NXDOMAIN: u16 = 3;
    /// The kind of query isn't implemented.
    pub const NOTIMP: u16 = 4;
    /// The server won't answer this.
    pub const REFUSED: u16 = 5;
    /// A DNAME substitution would be too long (RFC 6672 2.2).
    pub const YXDOMAIN: u16 = 6;
    /// The EDNS version isn't known (RFC 6891 6.1.3).
    pub const BADVERS: u16 = 16;
    /// The server cookie isn't valid (RFC 7873 8).
    pub const BADCOOKIE: u16 = 23;

    /// As the registry of DNS parameters writes them (RFC 6895 2.3). 9 and 16 mean more than one
    /// thing there; these are what they mean in answers.
    pub const WORDS: [(&str, u16); 10] = [
        ("NOERROR", NOERROR),
        ("FORMERR", FORMERR),
        ("SERVFAIL", SERVFAIL),
        ("NXDOMAIN", NXDOMAIN),
        ("NOTIMP", NOTIMP),
        ("REFUSED", REFUSED),
        ("YXDOMAIN", YXDOMAIN),
        ("NOTAUTH", 9),
        ("BADVERS", BADVERS),
        ("BADCOOKIE", BADCOOKIE),
    ];

    /// A code in words: `NXDOMAIN`, or `RCODE10` for one without.
    #[must_use]
    pub fn word(code: u16) -> std::borrow::Cow<'static, str> {
        let known = WORDS.iter().find(|(_, known)| *known == code);
        known.map_or_else(|| format!("RCODE{code}").into(), |(word, _)| (*word).into())
    }
}

/// A query that can be answered.
#[derive(Debug)]
pub struct Query<'q> {
    /// The name asked for, in lower case.
    pub name: &'q LowerName,
    /// The type asked for.
    pub qtype: Rtype,
    /// The class asked for.
    pub qclass: u16,
    /// The question section as the client spelled it.
    pub question: &'q [u8],
    /// What the OPT record says, if there was one.
    pub edns: Option<Edns<'q>>,
}

/// A query that can't be.
#[derive(Debug, PartialEq, Eq)]
pub enum Rejected<'q> {
    /// Not a query at all (too short, or a response): to answer would feed loops.
    Drop,
    /// Answered with this code and no data.
    Answer {
        /// The code, extended ones included.
        rcode: u16,
        /// Octets of the question section that may be echoed: all of it, or none.
        question_octets: usize,
        /// What is known of the OPT record, if there was one: then the answer has one too.
        edns: Option<Edns<'q>>,
    },
    /// No question but a cookie: a client asks for ours (RFC 7873 5.4).
    Cookie(Edns<'q>),
}

/// A domain name in lower-case wire form; lives on the stack.
#[derive(Clone)]
pub struct LowerName {
    /// Behind the name stands whatever was there before.
    octets: [u8; NAME_OCTETS_MAX.next_multiple_of(FOLDED_TOGETHER)],
    length: u8,
    labels: u8,
}

/// Reads and checks a query. Its name is folded into `name`, whose octets would cost more to move
/// than to read; one can serve for query after query.
///
/// # Errors
/// [`Rejected`] says what the client gets instead of an answer.
#[inline]
pub fn parse<'q>(message: &'q [u8], name: &'q mut LowerName) -> Result<Query<'q>, Rejected<'q>> {
    let mut reader = Reader::new(message);
    let header = Header::read(&mut reader).ok_or(Rejected::Drop)?;
    if header.flags & RESPONSE != 0 {
        return Err(Rejected::Drop);
    }
    let read = read(reader, &header, message, name);
    if header.flags & OPCODE == 0 { read } else { Err(not_implemented(read)) }
}

/// Other opcodes may have other formats. Where the message reads like a query, the answer has
/// what a query's would have; where it doesn't, the header alone.
fn not_implemented<'q>(read: Result<Query<'q>, Rejected<'q>>) -> Rejected<'q> {
    let (question_octets, edns) = read.map_or((0, None), |query| (query.question.len(), query.edns));
    Rejected::Answer { rcode: rcode::NOTIMP, question_octets, edns }
}

/// Reads the sections behind a header.
#[inline]
fn read<'q>(
    mut reader: Reader<'q>,
    header: &Header,
    message: &'q [u8],
    name: &'q mut LowerName,
) -> Result<Query<'q>, Rejected<'q>> {
    // RFC 9619: a query has one question. Behind others there may be an OPT record all the same.
    let has_one = header.questions == 1;
    let asked = if has_one { read_question(&mut reader, name) } else { skip_questions(&mut reader, header) };
    let Some((qtype, qclass)) = asked else {
        return Err(Rejected::Answer { rcode: rcode::FORMERR, question_octets: 0, edns: None });
    };
    let question = if has_one { &message[HEADER_OCTETS..reader.position()] } else { &[] };
    let formerr = |edns| Rejected::Answer { rcode: rcode::FORMERR, question_octets: question.len(), edns };
    for _ in 0..u32::from(header.answers) + u32::from(header.authority) {
        skip_record(&mut reader).ok_or_else(|| formerr(None))?;
    }
    let mut edns = None;
    for _ in 0..header.additional {
        let is_root = reader.clone().u8() == Some(0);
        let mut ahead = reader;
        if ahead.skip_name().and_then(|()| ahead.u16()) != Some(Rtype::OPT.0) {
            skip_record(&mut reader).ok_or_else(|| formerr(edns))?;
            continue;
        }
        reader = ahead;
        // RFC 6891 6.1.1: one OPT, owned by the root.
        if edns.is_some() || !is_root || edns.insert(Edns::SILENT).read(&mut reader).is_none() {
            return Err(formerr(edns.or(Some(Edns::SILENT))));
        }
    }
    if !reader.is_empty() {
        return Err(formerr(edns));
    }
    match edns {
        Some(other) if other.version != 0 => {
            Err(Rejected::Answer { rcode: rcode::BADVERS, question_octets: question.len(), edns })
        }
        Some(asking) if header.questions == 0 && asking.cookie.is_some() => Err(Rejected::Cookie(asking)),
        _ if !has_one => Err(formerr(edns)),
        _ => Ok(Query { name, qtype: Rtype(qtype), qclass, question, edns }),
    }
}

fn read_question(reader: &mut Reader<'_>, name: &mut LowerName) -> Option<(u16, u16)> {
    name.read(reader)?;
    Some((reader.u16()?, reader.u16()?))
}

/// None at all, or several.
fn skip_questions(reader: &mut Reader<'_>, header: &Header) -> Option<(u16, u16)> {
    for _ in 0..header.questions {
        reader.skip_name()?;
        reader.take(4)?;
    }
    Some((0, 0))
}

struct Header {
    flags: u16,
    questions: u16,
    answers: u16,
    authority: u16,
    additional: u16,
}

impl Header {
    fn read(reader: &mut Reader<'_>) -> Option<Header> {
        let _id = reader.u16()?;
        Some(Header {
            flags: reader.u16()?,
            questions: reader.u16()?,
            answers: reader.u16()?,
            authority: reader.u16()?,
            additional: reader.u16()?,
        })
    }
}

fn skip_record(reader: &mut Reader<'_>) -> Option<()> {
    reader.skip_name()?;
    reader.take(8)?;
    let length = reader.u16()?;
    reader.take(usize::from(length))?;
    Some(())
}

impl LowerName {
    /// Reads an uncompressed name; a question has nothing before it to point to.
    fn read(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        let ahead = reader.rest();
        let (mut root_at, mut labels) = (0, 0);
        loop {
            match usize::from(*ahead.get(root_at)?) {
                0 => break,
                length @ 1..=LABEL_OCTETS_MAX => root_at += 1 + length,
                _ => return None,
            }
            labels += 1;
            // The root's octet must still fit; so there are at most 127 labels.
            if root_at >= NAME_OCTETS_MAX {
                return None;
            }
        }
        let length = root_at + 1;
        (self.length, self.labels) = (length as u8, labels);
        let name = reader.take(length)?;
        // Lengths of labels are below any letter, so the whole form can be folded at once. What the
        // message has behind the name is folded with it: reading back a copy that was written in other
        // widths would have the processor wait for it.
        let (chunks, _) = self.octets.as_chunks_mut::<FOLDED_TOGETHER>();
        for (chunk, at) in chunks.iter_mut().zip((0..length).step_by(FOLDED_TOGETHER)) {
            match ahead[at..].first_chunk() {
                Some(octets) => *chunk = *octets,
                None => chunk[..length - at].copy_from_slice(&name[at..]),
            }
            chunk.make_ascii_lowercase();
        }
        Some(())
    }

    /// The root, to read a name into.
    #[must_use]
    pub const fn root() -> LowerName {
        LowerName { octets: [0; _], length: 1, labels: 0 }
    }

    /// Reads a whole name in wire form, of any case.
    #[must_use]
    pub fn from_wire(wire: &[u8]) -> Option<LowerName> {
        let mut reader = Reader::new(wire);
        let mut name = LowerName::root();
        name.read(&mut reader)?;
        reader.is_empty().then_some(name)
    }

    /// The octets in wire form.
    #[must_use]
    pub fn as_wire(&self) -> &[u8] {
        &self.octets[..usize::from(self.length)]
    }

    /// Number of labels, without the root.
    #[must_use]
    pub fn label_count(&self) -> usize {
        usize::from(self.labels)
    }

    /// The name without its first `labels` labels, which must not be more than it has.
    #[must_use]
    pub fn suffix(&self, labels: usize) -> &[u8] {
        let wire = self.as_wire();
        let at = (0..labels).fold(0, |at, _| at + 1 + usize::from(wire[at]));
        &wire[at..]
    }

    /// The name without its first `labels` labels, without one more, and so on to the root; each
    /// with the number of labels that it lacks.
    pub fn suffixes(&self, labels: usize) -> impl Iterator<Item = (usize, &[u8])> {
        let mut rest = Some(self.suffix(labels));
        (labels..).map_while(move |lacking| {
            let suffix = rest?;
            rest = match suffix.first() {
                Some(0) | None => None,
                Some(&length) => suffix.get(1 + usize::from(length)..),
            };
            Some((lacking, suffix))
        })
    }
}

impl std::fmt::Debug for LowerName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for label in super::name::labels(self.as_wire()) {
            write!(f, "{}.", label.escape_ascii())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(flags: u16, counts: [u16; 4], rest: &[u8]) -> Vec<u8> {
        let mut octets = vec![0x12, 0x34];
        octets.extend(flags.to_be_bytes());
        octets.extend(counts.iter().flat_map(|count| count.to_be_bytes()));
        octets.extend(rest);
        octets
    }

    const QUESTION: &[u8] = b"\x03WwW\x07example\x00\x00\x01\x00\x01";

    fn is_dropped(message: &[u8]) -> bool {
        parse(message, &mut LowerName::root()).unwrap_err() == Rejected::Drop
    }

    /// The code, how much of the question is echoed, and whether an OPT record comes with it.
    fn code(message: &[u8]) -> (u16, usize, bool) {
        match parse(message, &mut LowerName::root()).unwrap_err() {
            Rejected::Answer { rcode, question_octets, edns } => (rcode, question_octets, edns.is_some()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn reads_and_folds() {
        let octets = message(0x0100, [1, 0, 0, 0], QUESTION);
        let mut name = LowerName::root();
        let query = parse(&octets, &mut name).unwrap();
        assert_eq!(query.name.as_wire(), b"\x03www\x07example\x00");
        assert_eq!(query.name.suffix(1), b"\x07example\x00");
        assert_eq!(query.name.suffix(2), b"\x00");
        assert_eq!(query.question, QUESTION);
        assert_eq!((query.qtype, query.qclass), (Rtype::A, 1));
        assert!(query.edns.is_none());
    }

    #[test]
    fn what_is_no_query_gets_nothing() {
        assert!(is_dropped(&[]));
        assert!(is_dropped(&[0; 11]));
        assert!(is_dropped(&message(0x8000, [1, 0, 0, 0], QUESTION)));
    }

    #[test]
    fn rfc_9619_one_question() {
        assert_eq!(code(&message(0, [0, 0, 0, 0], &[])), (rcode::FORMERR, 0, false));
        let two = [QUESTION, QUESTION].concat();
        assert_eq!(code(&message(0, [2, 0, 0, 0], &two)), (rcode::FORMERR, 0, false));
        assert_eq!(code(&message(0, [3, 0, 0, 0], &two)), (rcode::FORMERR, 0, false));
        let opt = [&two[..], &[0, 0, 41, 16, 0, 0, 0, 0, 0, 0, 0]].concat();
        assert_eq!(code(&message(0, [2, 0, 0, 1], &opt)), (rcode::FORMERR, 0, true));
    }

    #[test]
    fn other_opcodes_are_not_implemented() {
        let update = message(0x2800, [1, 0, 0, 0], QUESTION);
        assert_eq!(code(&update), (rcode::NOTIMP, QUESTION.len(), false));
        assert_eq!(code(&message(0x7800, [0, 0, 0, 0], &[])), (rcode::NOTIMP, 0, false));
        assert_eq!(code(&message(0x7800, [9, 9, 9, 9], b"anything")), (rcode::NOTIMP, 0, false));
    }

    #[test]
    fn malformed_questions() {
        for rest in [
            &b""[..],
            b"\x03ww",
            b"\x00\x00\x01\x00",
            b"\xc0\x0c\x00\x01\x00\x01",
            b"\x40aaaa\x00\x00\x01\x00\x01",
        ] {
            assert_eq!(code(&message(0, [1, 0, 0, 0], rest)), (rcode::FORMERR, 0, false), "{rest:?}");
        }
        let long = [&[63; 1][..], &[b'x'; 63]].concat().repeat(4);
        let long = [&long[..], b"\x00\x00\x01\x00\x01"].concat();
        assert_eq!(code(&message(0, [1, 0, 0, 0], &long)), (rcode::FORMERR, 0, false));
        let trailing = [QUESTION, b"\x00"].concat();
        assert_eq!(code(&message(0, [1, 0, 0, 0], &trailing)), (rcode::FORMERR, QUESTION.len(), false));
    }

    #[test]
    fn rfc_6891_versions_and_single_opt() {
        let opt = |version: u8| [0, 0, 41, 16, 0, 0, version, 0, 0, 0, 0];
        let with = |opts: &[&[u8]]| {
            let rest = [QUESTION, &opts.concat()[..]].concat();
            message(0, [1, 0, 0, opts.len() as u16], &rest)
        };
        assert!(parse(&with(&[&opt(0)]), &mut LowerName::root()).unwrap().edns.is_some());
        assert_eq!(code(&with(&[&opt(1)])), (rcode::BADVERS, QUESTION.len(), true));
        assert_eq!(code(&with(&[&opt(0), &opt(0)])), (rcode::FORMERR, QUESTION.len(), true));
        let owned = [&b"\x01x"[..], &opt(0)].concat();
        assert_eq!(code(&with(&[&owned])), (rcode::FORMERR, QUESTION.len(), true));
        assert_eq!(code(&with(&[&opt(0)[..9]])), (rcode::FORMERR, QUESTION.len(), true));
    }

    #[test]
    fn longest_name_fits() {
        let mut longest = [&[63; 1][..], &[b'X'; 63]].concat().repeat(3);
        longest.extend([&[61; 1][..], &[b'x'; 61], b"\x00"].concat());
        assert_eq!(longest.len(), 255);
        assert_eq!(LowerName::from_wire(&longest).unwrap().as_wire(), longest.to_ascii_lowercase());
        let many = [b"\x01a".repeat(127), vec![0]].concat();
        assert_eq!(LowerName::from_wire(&many).unwrap().label_count(), 127);
    }
}
