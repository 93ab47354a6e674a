//! Domain names in uncompressed wire format (RFC 1035 3.1), checked once when made.
//!
//! Names keep the case they were written in and compare without it (RFC 4343); their order is
//! the canonical one of DNSSEC (RFC 4034 6.1), so a sorted list of names is a zone in order.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;

/// Octets of the longest name in wire format, the root's zero octet included (RFC 1035 2.3.4).
pub const NAME_OCTETS_MAX: usize = 255;
/// Octets of the longest label (RFC 1035 2.3.4).
pub const LABEL_OCTETS_MAX: usize = 63;

/// An owned domain name.
///
/// Invariant `name-whole`: the octets are labels of 1 to 63 octets, each behind its length, then
/// the root's zero; at most 255 in all.
#[derive(Clone)]
pub struct Name {
    /// Shared by all that name the same: a zone's apex stands in a dozen maps.
    wire: Arc<[u8]>,
}

/// Why octets or text are no domain name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameError {
    /// The name would be longer than 255 octets in wire format.
    TooLong,
    /// A label is longer than 63 octets.
    LabelTooLong,
    /// Two dots follow each other, or the text begins with one.
    EmptyLabel,
    /// A backslash escape is neither `\DDD` up to 255 nor a backslash with one character.
    BadEscape,
    /// The text is relative and no origin was given, or there is no text.
    Relative,
    /// The wire form ends early, goes on after the root or has a label type that isn't plain.
    Malformed,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NameError::TooLong => "name is longer than 255 octets",
            NameError::LabelTooLong => "label is longer than 63 octets",
            NameError::EmptyLabel => "empty label (two dots in a row)",
            NameError::BadEscape => {
                "bad escape: write \\DDD with a decimal number up to 255, or \\ before one character"
            }
            NameError::Relative => "name isn't absolute and there is no origin",
            NameError::Malformed => "malformed name",
        })
    }
}

impl std::error::Error for NameError {}

impl Name {
    /// The root, `.`.
    #[must_use]
    pub fn root() -> Name {
        Name { wire: Arc::new([0]) }
    }

    /// Checks octets in uncompressed wire format, which the name must fill to their end.
    ///
    /// # Errors
    /// [`NameError`] when a limit is passed or the form is broken.
    pub fn from_wire(wire: &[u8]) -> Result<Name, NameError> {
        if wire.len() > NAME_OCTETS_MAX {
            return Err(NameError::TooLong);
        }
        let mut at = 0;
        loop {
            match wire.get(at) {
                Some(0) if at + 1 == wire.len() => return Ok(Name { wire: wire.into() }),
                Some(&length) if length != 0 && usize::from(length) <= LABEL_OCTETS_MAX => {
                    at += 1 + usize::from(length);
                }
                _ => return Err(NameError::Malformed),
            }
        }
    }

    /// Reads presentation format (RFC 1035 5.1): `\DDD` and `\X` escapes, `@` for the origin,
    /// names without a final dot completed by the origin.
    ///
    /// # Errors
    /// [`NameError`] when a limit is passed, an escape is bad, or a relative name has no origin.
    pub fn parse(text: &str, origin: Option<&Name>) -> Result<Name, NameError> {
        let mut wire = Vec::with_capacity(text.len() + 2);
        parse_into(text.as_bytes(), origin.map(Name::as_wire), &mut wire)?;
        Ok(Name { wire: wire.into() })
    }

    /// The octets: uncompressed, the root's zero last, in the case as written.
    #[must_use]
    pub fn as_wire(&self) -> &[u8] {
        &self.wire
    }

    /// Whether this is the root.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.wire.len() == 1
    }

    /// The same name with ASCII letters in lower case.
    #[must_use]
    pub fn to_lower(&self) -> Name {
        // Lengths are at most 63, below any letter, so folding the whole form is safe.
        if self.wire.iter().any(u8::is_ascii_uppercase) {
            Name { wire: self.wire.to_ascii_lowercase().into() }
        } else {
            self.clone()
        }
    }

    /// The name without its first label; none for the root.
    #[must_use]
    pub fn parent(&self) -> Option<Name> {
        parent(&self.wire).map(|wire| Name { wire: wire.into() })
    }

    /// Labels from the first to the last, without the root.
    pub fn labels(&self) -> impl Iterator<Item = &[u8]> {
        labels(&self.wire)
    }

    /// Number of labels, without the root.
    #[must_use]
    pub fn label_count(&self) -> usize {
        self.labels().count()
    }

    /// Whether the first label is `*` alone (RFC 4592 2.1.1).
    #[must_use]
    pub fn is_wildcard(&self) -> bool {
        self.wire.starts_with(b"\x01*")
    }

    /// Whether this name is `ancestor` or lies below it.
    #[must_use]
    pub fn is_at_or_below(&self, ancestor: &Name) -> bool {
        is_at_or_below(&self.wire, &ancestor.wire)
    }

    /// This name with `label` put before it.
    ///
    /// # Errors
    /// [`NameError`] when the label or the result is too long, or the label is empty.
    pub fn child(&self, label: &[u8]) -> Result<Name, NameError> {
        if label.is_empty() {
            return Err(NameError::EmptyLabel);
        }
        let mut wire = Vec::with_capacity(1 + label.len() + self.wire.len());
        wire.push(label_length(label.len())?);
        wire.extend_from_slice(label);
        wire.extend_from_slice(&self.wire);
        if wire.len() > NAME_OCTETS_MAX {
            return Err(NameError::TooLong);
        }
        Ok(Name { wire: wire.into() })
    }

    /// The name in the reverse tree of an address (RFC 1035 3.5, RFC 3596 2.5).
    #[must_use]
    pub fn reverse(address: IpAddr) -> Name {
        let text = match address {
            IpAddr::V4(v4) => {
                let [a, b, c, d] = v4.octets();
                format!("{d}.{c}.{b}.{a}.in-addr.arpa.")
            }
            IpAddr::V6(v6) => {
                let nibbles = v6.octets().into_iter().rev().flat_map(|octet| [octet & 15, octet >> 4]);
                nibbles.map(|nibble| format!("{nibble:x}.")).collect::<String>() + "ip6.arpa."
            }
        };
        Name::parse(&text, None).expect("reverse names are short and absolute")
    }
}

/// Reads presentation format, as [`Name::parse`] does, from octets that need not be UTF-8, and
/// puts the wire form behind what `out` holds. After an error `out` holds more, of no meaning.
///
/// # Errors
/// [`NameError`], as [`Name::parse`].
pub fn parse_into(text: &[u8], origin: Option<&[u8]>, out: &mut Vec<u8>) -> Result<(), NameError> {
    match text {
        b"" => return Err(NameError::Relative),
        b"@" => {
            out.extend_from_slice(origin.ok_or(NameError::Relative)?);
            return Ok(());
        }
        b"." => {
            out.push(0);
            return Ok(());
        }
        _ => {}
    }
    let start = out.len();
    let mut label_at = start;
    out.push(0);
    let mut at = 0;
    let mut absolute = false;
    while at < text.len() {
        let octet = match text[at] {
            b'.' => {
                let length = out.len() - label_at - 1;
                if length == 0 {
                    return Err(NameError::EmptyLabel);
                }
                out[label_at] = label_length(length)?;
                at += 1;
                absolute = at == text.len();
                label_at = out.len();
                out.push(0);
                continue;
            }
            b'\\' => {
                let (octet, used) = unescape(&text[at + 1..]).ok_or(NameError::BadEscape)?;
                at += used;
                octet
            }
            plain => plain,
        };
        at += 1;
        out.push(octet);
        if out.len() - start > NAME_OCTETS_MAX {
            return Err(NameError::TooLong);
        }
    }
    if !absolute {
        out[label_at] = label_length(out.len() - label_at - 1)?;
        out.extend_from_slice(origin.ok_or(NameError::Relative)?);
    }
    if out.len() - start > NAME_OCTETS_MAX {
        return Err(NameError::TooLong);
    }
    Ok(())
}

/// Labels of a name in wire format, from the first to the last, without the root.
pub fn labels(wire: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = wire;
    std::iter::from_fn(move || {
        let (&length, after) = rest.split_first()?;
        if length == 0 {
            return None;
        }
        let (label, after) = after.split_at_checked(usize::from(length))?;
        rest = after;
        Some(label)
    })
}

/// The wire form without its first label; none for the root.
#[must_use]
pub fn parent(wire: &[u8]) -> Option<&[u8]> {
    match wire.first() {
        None | Some(0) => None,
        Some(&length) => wire.get(1 + usize::from(length)..),
    }
}

/// Whether the name `wire` is `ancestor` or lies below it, without regard to case.
#[must_use]
pub fn is_at_or_below(wire: &[u8], ancestor: &[u8]) -> bool {
    let mut rest = Some(wire);
    while let Some(name) = rest {
        if name.len() <= ancestor.len() {
            return name.eq_ignore_ascii_case(ancestor);
        }
        rest = parent(name);
    }
    false
}

/// Reads one escape (RFC 1035 5.1) behind its backslash: the octet, and how many characters it took.
pub(crate) fn unescape(after: &[u8]) -> Option<(u8, usize)> {
    match after {
        [a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', ..] => {
            let number = u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0');
            u8::try_from(number).ok().map(|octet| (octet, 3))
        }
        [b'0'..=b'9', ..] | [] => None,
        [octet, ..] => Some((*octet, 1)),
    }
}

fn label_length(octets: usize) -> Result<u8, NameError> {
    if octets > LABEL_OCTETS_MAX {
        return Err(NameError::LabelTooLong);
    }
    u8::try_from(octets).map_err(|_| NameError::LabelTooLong)
}

impl PartialEq for Name {
    fn eq(&self, other: &Name) -> bool {
        self.wire.eq_ignore_ascii_case(&other.wire)
    }
}

impl Eq for Name {}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for octet in self.wire.iter() {
            state.write_u8(octet.to_ascii_lowercase());
        }
    }
}

/// RFC 4034 6.1: label by label from the right, in lower case.
impl Ord for Name {
    fn cmp(&self, other: &Name) -> Ordering {
        // Maps of zones compare names by the million: from the left and without a list of labels,
        // where of the labels that differ the last one counts.
        let counts = (self.label_count(), other.label_count());
        let mut ours = without_labels(&self.wire, counts.0.saturating_sub(counts.1));
        let mut theirs = without_labels(&other.wire, counts.1.saturating_sub(counts.0));
        let mut order = counts.0.cmp(&counts.1);
        // Names of one zone share their end as it is, which costs one step to see.
        while ours != theirs {
            let (Some((our, after_ours)), Some((their, after_theirs))) =
                (split_label(ours), split_label(theirs))
            else {
                break;
            };
            let folded = our.iter().map(u8::to_ascii_lowercase);
            match folded.cmp(their.iter().map(u8::to_ascii_lowercase)) {
                Ordering::Equal => {}
                unequal => order = unequal,
            }
            (ours, theirs) = (after_ours, after_theirs);
        }
        order
    }
}

/// The first label of a name in wire format, and the name without it; none for the root.
fn split_label(wire: &[u8]) -> Option<(&[u8], &[u8])> {
    match wire.split_first() {
        None | Some((0, _)) => None,
        Some((&length, after)) => after.split_at_checked(usize::from(length)),
    }
}

fn without_labels(mut wire: &[u8], count: usize) -> &[u8] {
    for _ in 0..count {
        wire = parent(wire).unwrap_or_default();
    }
    wire
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Name) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            return f.write_str(".");
        }
        for label in self.labels() {
            let mut rest = label;
            while let Some(&octet) = rest.first() {
                // Nearly all of a name is plain, and written as a whole.
                let plain = rest.iter().position(|octet| !is_plain(*octet)).unwrap_or(rest.len());
                let (run, after) = rest.split_at(plain.max(1));
                rest = after;
                match octet {
                    _ if plain > 0 => f.write_str(std::str::from_utf8(run).map_err(|_| fmt::Error)?)?,
                    0x21..=0x7e => write!(f, "\\{}", char::from(octet))?,
                    _ => write!(f, "\\{octet:03}")?,
                }
            }
            f.write_str(".")?;
        }
        Ok(())
    }
}

/// Whether an octet stands for itself in presentation format.
fn is_plain(octet: u8) -> bool {
    octet.is_ascii_graphic() && !matches!(octet, b'.' | b'\\' | b'"' | b'(' | b')' | b';' | b'@' | b'$')
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text, None).unwrap()
    }

    #[test]
    fn text_reads_back() {
        let origin = name("example.com.");
        for (text, shown) in [
            ("www", "www.example.com."),
            ("@", "example.com."),
            (".", "."),
            ("a\\.b.c.", "a\\.b.c."),
            ("\\000\\255x.", "\\000\\255x."),
            ("WWW.Example.COM.", "WWW.Example.COM."),
        ] {
            let parsed = Name::parse(text, Some(&origin)).unwrap();
            assert_eq!(parsed.to_string(), shown);
            assert_eq!(Name::parse(shown, None).unwrap().as_wire(), parsed.as_wire());
            assert_eq!(Name::from_wire(parsed.as_wire()).unwrap().as_wire(), parsed.as_wire());
        }
    }

    #[test]
    fn limits_are_errors() {
        let label = "x".repeat(63);
        assert!(Name::parse(&format!("{label}."), None).is_ok());
        assert_eq!(Name::parse(&format!("{label}x."), None), Err(NameError::LabelTooLong));
        let longest = format!("{label}.{label}.{label}.{}.", "x".repeat(61));
        assert_eq!(name(&longest).as_wire().len(), 255);
        assert_eq!(Name::parse(&format!("x.{longest}"), None), Err(NameError::TooLong));
        assert_eq!(Name::parse("x", Some(&name(&longest))), Err(NameError::TooLong));
        for (text, error) in [
            ("", NameError::Relative),
            ("www", NameError::Relative),
            ("a..b.", NameError::EmptyLabel),
            (".a.", NameError::EmptyLabel),
            ("a\\", NameError::BadEscape),
            ("a\\256.", NameError::BadEscape),
            ("a\\25", NameError::BadEscape),
        ] {
            assert_eq!(Name::parse(text, None), Err(error), "{text:?}");
        }
        for wire in [&[][..], &[1], &[1, b'a'], &[0, 0], &[64; 66], &[0xc0, 0x0c]] {
            assert_eq!(Name::from_wire(wire), Err(NameError::Malformed), "{wire:?}");
        }
    }

    #[test]
    fn canonical_order_of_rfc_4034() {
        let order = [
            "example.",
            "a.example.",
            "yljkjljk.a.example.",
            "Z.a.example.",
            "zABC.a.EXAMPLE.",
            "z.example.",
            "\\001.z.example.",
            "*.z.example.",
            "\\200.z.example.",
        ];
        for pair in order.windows(2) {
            assert!(name(pair[0]) < name(pair[1]), "{pair:?}");
        }
        assert_eq!(name("A.example."), name("a.EXAMPLE."));
        assert!(Name::root() < name("com.") && name("com.") > Name::root());
        assert_eq!(Name::root().cmp(&Name::root()), Ordering::Equal);
    }

    proptest! {
        #[test]
        fn order_is_that_of_labels_from_the_right(
            one in prop::collection::vec("[abAB\\[]{1,2}", 0..4),
            other in prop::collection::vec("[abAB\\[]{1,2}", 0..4),
        ) {
            let folded = |labels: &[String]| -> Vec<String> {
                labels.iter().rev().map(|label| label.to_ascii_lowercase()).collect()
            };
            let named = |labels: &[String]| name(&(labels.join(".") + "."));
            prop_assert_eq!(named(&one).cmp(&named(&other)), folded(&one).cmp(&folded(&other)));
        }

        #[test]
        fn any_octets_read_back_as_text(labels in prop::collection::vec(
            prop::collection::vec(any::<u8>(), 1..20), 0..5)) {
            let mut wire: Vec<u8> = Vec::new();
            for label in &labels {
                wire.push(label.len() as u8);
                wire.extend(label);
            }
            wire.push(0);
            let shown = Name::from_wire(&wire).unwrap().to_string();
            let read = name(&shown);
            prop_assert_eq!(read.as_wire(), &wire);
        }
    }

    #[test]
    fn ancestry() {
        let apex = name("Example.com.");
        assert!(name("a.b.example.COM.").is_at_or_below(&apex));
        assert!(apex.is_at_or_below(&apex));
        assert!(apex.is_at_or_below(&Name::root()));
        assert!(!name("badexample.com.").is_at_or_below(&apex));
        assert!(!name("com.").is_at_or_below(&apex));
        assert_eq!(apex.child(b"www").unwrap(), name("www.example.com."));
        assert_eq!(name("www.example.com.").parent().unwrap(), apex);
        assert_eq!(Name::root().parent().map(|n| n.to_string()), None);
    }

    #[test]
    fn reverse_names() {
        assert_eq!(Name::reverse("192.0.2.5".parse().unwrap()), name("5.2.0.192.in-addr.arpa."));
        let v6 = Name::reverse("2001:db8::1".parse().unwrap()).to_string();
        assert!(v6.starts_with("1.0.0.0.") && v6.ends_with("8.b.d.0.1.0.0.2.ip6.arpa."), "{v6}");
    }
}
