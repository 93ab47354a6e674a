//! Where a file's text is cut into stretches, which are read apart and kept while they last.
//!
//! Cuts follow from the lines around them rather than from a count: a line that comes or goes
//! moves the cuts behind it along, and all stretches but its own are what they were.

use std::hash::{BuildHasher, Hasher};
use std::ops::Range;

use foldhash::quality::FixedState;
use memchr::{memchr, memmem};

/// How long stretches are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lengths {
    /// Octets before a cut is looked for.
    pub(super) min: usize,
    /// Octets from which on any line that can begin a stretch does.
    pub(super) max: usize,
    /// Of so many lines between, one ends a stretch.
    pub(super) lines: u64,
}

/// A changed record costs one stretch to read, and each stretch costs a place in every list.
pub(super) const LENGTHS: Lengths = Lengths { min: 48 << 10, max: 192 << 10, lines: 64 };

/// A piece of text that begins and ends with whole lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) range: Range<usize>,
    pub(super) digest: u64,
}

/// Cuts a text. `directives` are the places where lines begin with `$`: those that include
/// another file stand alone, so that what is around them is kept.
pub(super) fn stretches(text: &[u8], directives: &[usize], lengths: Lengths) -> Vec<Stretch> {
    let mut forced: Vec<usize> = Vec::new();
    for &at in directives {
        if text[at..].get(..8).is_some_and(|word| word.eq_ignore_ascii_case(b"$INCLUDE")) {
            forced.extend([at, line_end(text, at)]);
        }
    }
    forced.push(text.len());
    let mut stretches = Vec::new();
    let mut start = 0;
    for end in forced {
        while start < end {
            let cut = next_cut(&text[..end], start, lengths);
            stretches.push(Stretch { range: start..cut, digest: digest(&text[start..cut]) });
            start = cut;
        }
    }
    stretches
}

/// Where lines begin with `$`. One inside parentheses is found too: what is made of these places
/// is only a guess, which reading verifies.
pub(super) fn directives(text: &[u8]) -> Vec<usize> {
    let first = text.starts_with(b"$").then_some(0);
    first.into_iter().chain(memmem::find_iter(text, b"\n$").map(|newline| newline + 1)).collect()
}

fn next_cut(text: &[u8], start: usize, lengths: Lengths) -> usize {
    if text.len() - start <= lengths.min {
        return text.len();
    }
    let mut line = line_end(text, start + lengths.min);
    while line < text.len() {
        let end = line_end(text, line);
        let may_begin =
            text.get(end).is_none_or(|first| !matches!(first, b' ' | b'\t' | b'\r' | b'\n' | b')'));
        let is_long = end - start >= lengths.max;
        if may_begin && (is_long || digest(&text[line..end]).is_multiple_of(lengths.lines)) {
            return end;
        }
        line = end;
    }
    text.len()
}

/// Behind the line break at or after a place.
fn line_end(text: &[u8], at: usize) -> usize {
    memchr(b'\n', &text[at..]).map_or(text.len(), |newline| at + newline + 1)
}

/// What tells two texts apart.
pub(super) fn digest(octets: &[u8]) -> u64 {
    let mut hasher = FixedState::with_seed(0x6375_7473).build_hasher();
    hasher.write(octets);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn cut(text: &str) -> Vec<Stretch> {
        let lengths = Lengths { min: 400, max: 4000, lines: 16 };
        let stretches = stretches(text.as_bytes(), &directives(text.as_bytes()), lengths);
        let ends = [0].into_iter().chain(stretches.iter().map(|stretch| stretch.range.end));
        assert!(ends.zip(&stretches).all(|(end, stretch)| stretch.range.start == end));
        assert_eq!(stretches.last().map_or(0, |stretch| stretch.range.end), text.len());
        stretches
    }

    #[test]
    fn a_change_touches_its_own_stretch() {
        let lines: Vec<String> = (0..5000).map(|n| format!("host-{n} A 192.0.2.{}\n", n % 250)).collect();
        let before = cut(&lines.concat());
        assert!(before.len() > 100, "{}", before.len());
        let known: HashSet<u64> = before.iter().map(|stretch| stretch.digest).collect();
        for (from, to, with) in
            [(2500, 2501, "host-2500 A 203.0.113.9\n"), (70, 70, "x A 192.0.2.1\n"), (9, 12, "")]
        {
            let mut changed = lines.clone();
            changed.splice(from..to, [with.to_owned()]);
            let new = cut(&changed.concat()).iter().filter(|one| !known.contains(&one.digest)).count();
            assert!((1..4).contains(&new), "{new}");
        }
    }

    #[test]
    fn inclusions_stand_alone_and_owners_stay_with_their_records() {
        let text = format!("{}$include part\n{}", "a A 192.0.2.1\n".repeat(50), "b A 192.0.2.1\n".repeat(20));
        let include = text.find('$').unwrap();
        assert!(cut(&text).iter().any(|stretch| stretch.range == (include..include + 14)));
        let one_owner = format!("a A 192.0.2.1\n{}", " A 192.0.2.1\n".repeat(2000));
        assert_eq!(cut(&one_owner).len(), 1);
        assert!(cut("").is_empty());
    }
}
