//! Renders RRsets into answers, with name compression (RFC 1035 4.1.4).
//!
//! Only the types of RFC 1035 have their RDATA's names compressed (RFC 3597 4), and of these not
//! CNAME: the next link of a chain points into its target, which must stand there whole.

use std::fmt;

use super::name::{labels, parent};
use super::query::HEADER_OCTETS;
use super::rendered::{Counts, Meaning, POINTER_MAX, encode_full, encode_plain, encode_signed, plain_header};
use super::rtype::{CLASS_IN, Rtype};
use crate::limits::CNAME_CHAIN;

/// Octets of the longest body: with header, question and OPT it fits a message.
const BODY_OCTETS_MAX: usize = 65_535 - HEADER_OCTETS - 255 - 4 - 300;

/// Pointers reach this far into a body at most, so that they still reach when the body begins
/// later: behind a longer name and a chain, of which each link is a DNAME and a CNAME at most.
const POINTED_OCTETS_MAX: usize = POINTER_MAX - HEADER_OCTETS - 255 - 4 - (CNAME_CHAIN + 1) * 2 * (12 + 255);

/// Names remembered for compression. Further ones are written whole: larger, never wrong.
const SUFFIXES_MAX: usize = 256;

/// Where records go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    /// Answer.
    Answer,
    /// Authority.
    Authority,
    /// Additional records that the answer needs: glue within the delegated zone.
    Additional,
    /// Additional records that may be left out when space is short.
    Optional,
}

/// An answer with more octets than a message holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge;

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "answer is longer than a message's 65535 octets")
    }
}

impl std::error::Error for TooLarge {}

/// Collects the records of one answer, section by section.
#[derive(Debug)]
pub struct Renderer<'a> {
    /// The name that pointers into the question are counted in.
    owner: &'a [u8],
    anchored: bool,
    counts: Counts,
    section: Section,
    body: Vec<u8>,
    pointers: Vec<(u16, Meaning)>,
    /// Places in the body where a name's labels begin, written out.
    suffixes: Vec<(Box<[u8]>, u16)>,
    plain: bool,
    /// Octets and counts before the signatures.
    unsigned: Option<(u16, Counts)>,
}

impl<'a> Renderer<'a> {
    /// An answer to questions for `owner`, in wire form. For a wildcard owner the question's name
    /// will be another, longer one below the same parent.
    #[must_use]
    pub fn new(owner: &'a [u8]) -> Renderer<'a> {
        Renderer {
            owner,
            anchored: false,
            counts: Counts::default(),
            section: Section::Answer,
            body: Vec::new(),
            pointers: Vec::new(),
            suffixes: Vec::new(),
            plain: true,
            unsigned: None,
        }
    }

    /// An answer to questions for any name at or below `ancestor`: the zone's negative answer, a
    /// referral, a DNAME.
    #[must_use]
    pub fn anchored(ancestor: &'a [u8]) -> Renderer<'a> {
        Renderer { anchored: true, plain: false, ..Renderer::new(ancestor) }
    }

    /// An answer shared by questions for several names: nothing but the records' own owner points
    /// into the question.
    #[must_use]
    pub fn shared() -> Renderer<'static> {
        Renderer::new(&[0])
    }

    /// Adds a record of the question's own name (or of the ancestor, when anchored).
    pub fn own_record(&mut self, section: Section, rtype: Rtype, ttl: u32, rdata: &[u8]) {
        self.count(section);
        self.point(Meaning::Owner(0));
        self.fixed_and_rdata(rtype, ttl, rdata);
    }

    /// Adds a record of another name.
    pub fn record(&mut self, section: Section, name: &[u8], rtype: Rtype, ttl: u32, rdata: &[u8]) {
        self.count(section);
        self.plain = false;
        self.compressed(name);
        self.fixed_and_rdata(rtype, ttl, rdata);
    }

    /// What follows are signatures, for clients that want them: in the answer or authority section
    /// up to the end.
    pub fn begin_signatures(&mut self) {
        // Past 64 KiB `finish` refuses the whole.
        self.unsigned = Some((self.body.len() as u16, self.counts));
    }

    /// The answer's octets, for [`Rendered::read`](super::rendered::Rendered::read).
    ///
    /// # Errors
    /// [`TooLarge`] when no message could hold it.
    pub fn finish(self) -> Result<Vec<u8>, TooLarge> {
        if self.body.len() > BODY_OCTETS_MAX || self.pointers.len() > usize::from(u16::MAX) {
            return Err(TooLarge);
        }
        let octets = match u8::try_from(self.counts.answers) {
            Ok(answers) if self.plain => encode_plain(answers, &self.body),
            _ => encode_full(self.counts, self.owner.len() as u8, self.anchored, &self.pointers, &self.body),
        };
        let octets = match self.unsigned {
            Some((at, counts)) => encode_signed(at, counts.answers, counts.authority, &octets),
            None => octets,
        };
        // An entry gives each answer's length in 16 bits, its list of pointers included.
        if octets.len() > usize::from(u16::MAX) { Err(TooLarge) } else { Ok(octets) }
    }

    fn count(&mut self, section: Section) {
        debug_assert!(section >= self.section, "sections come in order");
        self.section = section;
        match section {
            Section::Answer => self.counts.answers += 1,
            Section::Authority => self.counts.authority += 1,
            Section::Additional => self.counts.additional += 1,
            Section::Optional => {
                if self.counts.optional == 0 {
                    self.counts.optional_at = self.body.len() as u16;
                }
                self.counts.optional += 1;
                self.counts.additional += 1;
            }
        }
        if section != Section::Answer {
            self.plain = false;
        }
    }

    fn fixed_and_rdata(&mut self, rtype: Rtype, ttl: u32, rdata: &[u8]) {
        self.body.extend(rtype.0.to_be_bytes());
        self.body.extend(CLASS_IN.to_be_bytes());
        self.body.extend(ttl.to_be_bytes());
        let length_at = self.body.len();
        self.body.extend([0, 0]);
        let (before, names) = match rtype {
            Rtype::NS | Rtype::PTR => (0, 1),
            Rtype::MX => (2, 1),
            Rtype::SOA => (0, 2),
            _ => (rdata.len(), 0),
        };
        let (fixed, mut rest) = rdata.split_at(before.min(rdata.len()));
        self.body.extend(fixed);
        for _ in 0..names {
            let octets = labels(rest).map(|label| 1 + label.len()).sum::<usize>() + 1;
            let (name, after) = rest.split_at(octets.min(rest.len()));
            self.compressed(name);
            rest = after;
        }
        self.body.extend(rest);
        let length = (self.body.len() - length_at - 2) as u16;
        self.body[length_at..length_at + 2].copy_from_slice(&length.to_be_bytes());
    }

    /// Writes a name, the longest known suffix as a pointer.
    fn compressed(&mut self, name: &[u8]) {
        let mut rest = name;
        while rest.len() > 1 {
            if let Some(meaning) = self.known(rest) {
                self.plain = false;
                self.point(meaning);
                return;
            }
            if self.body.len() <= POINTED_OCTETS_MAX && self.suffixes.len() < SUFFIXES_MAX {
                self.suffixes.push((rest.to_ascii_lowercase().into(), self.body.len() as u16));
            }
            let Some(after) = parent(rest) else { break };
            self.body.extend(&rest[..rest.len() - after.len()]);
            rest = after;
        }
        self.body.push(0);
    }

    fn known(&self, suffix: &[u8]) -> Option<Meaning> {
        let mut rest = Some(self.owner);
        while let Some(name) = rest.filter(|name| name.len() >= suffix.len()) {
            if name.eq_ignore_ascii_case(suffix) {
                // A wildcard's first label isn't in the question.
                let offset = self.owner.len() - name.len();
                let is_asterisk = offset == 0 && self.owner.starts_with(b"\x01*");
                return (!is_asterisk).then_some(Meaning::Owner(offset as u8));
            }
            rest = parent(name);
        }
        let place = self.suffixes.iter().find(|(known, _)| known.eq_ignore_ascii_case(suffix));
        place.map(|(_, at)| Meaning::Body(*at))
    }

    fn point(&mut self, meaning: Meaning) {
        let body_at = HEADER_OCTETS + self.owner.len() + 4;
        let to = match meaning {
            Meaning::Owner(offset) => HEADER_OCTETS + usize::from(offset),
            Meaning::Body(offset) => body_at + usize::from(offset),
        };
        // Past 64 KiB `finish` refuses the whole, so the position may wrap here.
        self.pointers.push((self.body.len() as u16, meaning));
        self.body.extend((0xc000 | to as u16).to_be_bytes());
    }
}

/// Whether so many records of a type are rendered in the plain form whatever they hold: none of
/// their names is compressed.
#[must_use]
pub fn is_plain(rtype: Rtype, count: usize) -> bool {
    let has_names = matches!(rtype, Rtype::NS | Rtype::PTR | Rtype::MX | Rtype::SOA);
    // A DNAME is anchored: it answers for names below.
    !has_names && rtype != Rtype::DNAME && count <= usize::from(u8::MAX)
}

/// Writes the answer of one RRset that [`is_plain`], as a [`Renderer`] would, which has lists to keep
/// for names that there aren't.
pub fn plain<'r>(rtype: Rtype, ttl: u32, rdatas: impl Iterator<Item = &'r [u8]>, out: &mut Vec<u8>) {
    let header_at = out.len();
    out.extend(plain_header(0));
    let mut answers = 0u8;
    let [type_high, type_low] = rtype.0.to_be_bytes();
    let [class_high, class_low] = CLASS_IN.to_be_bytes();
    let [a, b, c, d] = ttl.to_be_bytes();
    for rdata in rdatas {
        let [high, low] = (rdata.len() as u16).to_be_bytes();
        let owner = 0xc0 | (HEADER_OCTETS >> 8) as u8;
        out.extend([owner, HEADER_OCTETS as u8, type_high, type_low, class_high, class_low]);
        out.extend([a, b, c, d, high, low]);
        out.extend(rdata);
        answers += 1;
    }
    out[header_at..][..2].copy_from_slice(&plain_header(answers));
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::Message;
    use hickory_proto::serialize::binary::BinDecodable;
    use proptest::prelude::*;

    use super::super::name::Name;
    use super::super::rendered::{Place, Rendered};
    use super::*;

    fn wire(text: &str) -> Vec<u8> {
        Name::parse(text, None).unwrap().as_wire().to_vec()
    }

    /// A whole message around an answer, read by another implementation.
    fn message(octets: &[u8], question: &str, chain: &[u8]) -> Message {
        let rendered = Rendered::read(octets).unwrap();
        let name = wire(question);
        let mut out = vec![0; 2000];
        out[2] = 0x84;
        out[5] = 1;
        let answers = rendered.answers + u16::from(!chain.is_empty());
        out[6..8].copy_from_slice(&answers.to_be_bytes());
        out[8..10].copy_from_slice(&rendered.authority.to_be_bytes());
        out[10..12].copy_from_slice(&rendered.additional.to_be_bytes());
        out[12..12 + name.len()].copy_from_slice(&name);
        let body_at = 12 + name.len() + 4;
        out[body_at - 3] = 1;
        out[body_at - 1] = 1;
        let mut place = Place { owner_at: 12, owner_octets: name.len(), body_at };
        if !chain.is_empty() {
            let cname = [&[0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 1, 0, chain.len() as u8], chain].concat();
            out[body_at..body_at + cname.len()].copy_from_slice(&cname);
            place =
                Place { owner_at: body_at + 12, owner_octets: chain.len(), body_at: body_at + cname.len() };
        }
        rendered.write(&mut out, place, rendered.octets()).unwrap();
        out.truncate(place.body_at + rendered.octets());
        Message::from_bytes(&out).unwrap()
    }

    fn shown(records: &[hickory_proto::rr::Record]) -> Vec<String> {
        records.iter().map(ToString::to_string).collect()
    }

    fn mx(owner: &[u8]) -> Vec<u8> {
        let mut renderer = Renderer::new(owner);
        for (preference, host) in
            [(10, "mx1.example.com."), (20, "mx2.other.example."), (30, "mx3.other.example.")]
        {
            let rdata = [&[0, preference][..], &wire(host)].concat();
            renderer.own_record(Section::Answer, Rtype::MX, 300, &rdata);
        }
        renderer.finish().unwrap()
    }

    #[test]
    fn exact_owner_compresses_onto_the_question() {
        let owner = wire("example.com.");
        let octets = mx(&owner);
        let expected = ["10 mx1.example.com.", "20 mx2.other.example.", "30 mx3.other.example."]
            .map(|x| format!("example.com. 300 IN MX {x}"));
        assert_eq!(shown(&message(&octets, "example.com.", &[]).answers), expected);
        // 12 octets a record, preference, and names of 4 + 2, 4 + 15 + 1... and 4 + 2 octets.
        assert_eq!(Rendered::read(&octets).unwrap().octets(), 3 * 12 + 3 * 2 + 6 + 19 + 6);
    }

    #[test]
    fn wildcard_and_shared_answers_fit_any_name() {
        let wildcard = wire("*.example.com.");
        for octets in [mx(&wildcard), {
            let mut renderer = Renderer::shared();
            for (preference, host) in
                [(10, "mx1.example.com."), (20, "mx2.other.example."), (30, "mx3.other.example.")]
            {
                let rdata = [&[0, preference][..], &wire(host)].concat();
                renderer.own_record(Section::Answer, Rtype::MX, 300, &rdata);
            }
            renderer.finish().unwrap()
        }] {
            for question in ["a.example.com.", "very.long.name.of.many.labels.example.com."] {
                let answers = shown(&message(&octets, question, &[]).answers);
                assert_eq!(answers[0], format!("{question} 300 IN MX 10 mx1.example.com."));
                assert_eq!(answers[2], format!("{question} 300 IN MX 30 mx3.other.example."));
            }
        }
    }

    #[test]
    fn negative_answers_find_their_apex() {
        let apex = wire("example.com.");
        let mut renderer = Renderer::anchored(&apex);
        let soa = [&wire("ns1.example.com.")[..], &wire("hostmaster.example.com."), &[0; 20]].concat();
        renderer.own_record(Section::Authority, Rtype::SOA, 60, &soa);
        let octets = renderer.finish().unwrap();
        for (question, chain) in
            [("example.com.", ""), ("x.y.example.com.", ""), ("www.example.net.", "no.such.example.com.")]
        {
            let chain = if chain.is_empty() { vec![] } else { wire(chain) };
            let message = message(&octets, question, &chain);
            let shown = shown(&message.authorities);
            assert_eq!(
                shown,
                ["example.com. 60 IN SOA ns1.example.com. hostmaster.example.com. 0 0 0 0 0"],
                "{question}"
            );
        }
    }

    #[test]
    fn links_of_a_chain_point_at_their_cname() {
        let owner = wire("host.example.com.");
        let mut plain = Renderer::new(&owner);
        plain.own_record(Section::Answer, Rtype::A, 20, &[192, 0, 2, 1]);
        plain.own_record(Section::Answer, Rtype::A, 20, &[192, 0, 2, 2]);
        let message = message(&plain.finish().unwrap(), "www.example.net.", &owner);
        assert_eq!(
            shown(&message.answers),
            [
                "www.example.net. 1 IN CNAME host.example.com.",
                "host.example.com. 20 IN A 192.0.2.1",
                "host.example.com. 20 IN A 192.0.2.2"
            ]
        );
        let mx = self::message(&mx(&owner), "www.example.net.", &owner);
        assert_eq!(shown(&mx.answers)[1], "host.example.com. 300 IN MX 10 mx1.example.com.");
    }

    proptest! {
        #[test]
        fn the_plain_form_is_written_as_it_is_rendered(
            rtype in prop::sample::select(vec![Rtype::A, Rtype::AAAA, Rtype::TXT, Rtype::CNAME]),
            ttl: u32,
            rdatas in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..5),
        ) {
            let owner = wire("host.example.com.");
            let mut renderer = Renderer::new(&owner);
            rdatas.iter().for_each(|rdata| renderer.own_record(Section::Answer, rtype, ttl, rdata));
            let mut written = Vec::new();
            plain(rtype, ttl, rdatas.iter().map(Vec::as_slice), &mut written);
            prop_assert!(is_plain(rtype, rdatas.len()));
            prop_assert_eq!(written, renderer.finish().unwrap());
        }
    }

    #[test]
    fn optional_additional_can_be_left_out() {
        let cut = wire("sub.example.com.");
        let mut renderer = Renderer::anchored(&cut);
        renderer.own_record(Section::Authority, Rtype::NS, 60, &wire("ns.sub.example.com."));
        renderer.record(Section::Additional, &wire("ns.sub.example.com."), Rtype::A, 60, &[192, 0, 2, 1]);
        renderer.record(Section::Optional, &wire("ns.example.com."), Rtype::A, 60, &[192, 0, 2, 2]);
        let octets = renderer.finish().unwrap();
        let rendered = Rendered::read(&octets).unwrap();
        assert_eq!((rendered.authority, rendered.additional, rendered.optional), (1, 2, 1));
        assert!(rendered.octets_needed() < rendered.octets());
        let message = message(&octets, "www.sub.example.com.", &[]);
        assert_eq!(shown(&message.additionals)[1], "ns.example.com. 60 IN A 192.0.2.2");
    }

    #[test]
    fn too_large_for_any_message() {
        let owner = wire("big.example.com.");
        let mut renderer = Renderer::new(&owner);
        for _ in 0..300 {
            renderer.own_record(Section::Answer, Rtype::TXT, 1, &[255; 256]);
        }
        assert_eq!(renderer.finish(), Err(TooLarge));
        // The body alone would fit; with its pointers it doesn't.
        let mut renderer = Renderer::new(&owner);
        for _ in 0..4_000 {
            renderer.own_record(Section::Answer, Rtype::A, 1, &[192, 0, 2, 1]);
        }
        assert_eq!(renderer.finish(), Err(TooLarge));
    }
}
