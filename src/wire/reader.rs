//! Reads octets of a message without ever leaving it.

/// A position in octets; every read either succeeds whole or returns nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'m> {
    octets: &'m [u8],
    at: usize,
}

impl<'m> Reader<'m> {
    /// Starts at the first octet.
    pub(crate) fn new(octets: &'m [u8]) -> Reader<'m> {
        Reader { octets, at: 0 }
    }

    /// How many octets have been read.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// Whether nothing is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.at == self.octets.len()
    }

    /// All octets that are left.
    pub(crate) fn rest(&self) -> &'m [u8] {
        &self.octets[self.at..]
    }

    /// The next `length` octets.
    pub(crate) fn take(&mut self, length: usize) -> Option<&'m [u8]> {
        let taken = self.octets.get(self.at..self.at.checked_add(length)?)?;
        self.at += length;
        Some(taken)
    }

    /// The next octet.
    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|octets| octets[0])
    }

    /// The next two octets, in network order.
    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.take(2).map(|octets| u16::from_be_bytes([octets[0], octets[1]]))
    }

    /// Passes over a name, compressed or not, without following its pointer.
    pub(crate) fn skip_name(&mut self) -> Option<()> {
        loop {
            match self.u8()? {
                0 => return Some(()),
                length @ 1..=63 => {
                    self.take(usize::from(length))?;
                }
                192.. => {
                    self.u8()?;
                    return Some(());
                }
                _ => return None,
            }
        }
    }
}
