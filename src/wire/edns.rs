//! EDNS (RFC 6891): a query's OPT record and an answer's, with the options that matter here.

use super::client_subnet::ClientSubnet;
use super::cookie::{self, Cookie};
use super::reader::Reader;
use super::rtype::Rtype;
use crate::limits::{MESSAGE_OCTETS, PADDING_BLOCK_OCTETS};

const OPTION_NSID: u16 = 3;
const OPTION_CLIENT_SUBNET: u16 = 8;
const OPTION_COOKIE: u16 = 10;
const OPTION_KEEPALIVE: u16 = 11;
const OPTION_PADDING: u16 = 12;
const OPTION_EXTENDED_ERROR: u16 = 15;

/// Octets of an OPT record without options.
const OPT_OCTETS: usize = 11;
/// Octets of an option without its data.
const OPTION_OCTETS: usize = 4;
/// DNSSEC OK among the flags (RFC 3225 3). All others are ignored (RFC 6891 6.1.4).
const DNSSEC_OK: u16 = 0x8000;

/// What a query's OPT record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edns<'q> {
    /// EDNS version; anything but 0 is answered with BADVERS.
    pub version: u8,
    /// Octets of UDP payload that the client takes.
    pub payload: u16,
    /// DNSSEC OK: the client wants signatures (RFC 3225).
    pub dnssec_ok: bool,
    /// The client asks who answers (RFC 5001).
    pub nsid: bool,
    /// The network that the query comes from, if a resolver says so (RFC 7871).
    pub subnet: Option<ClientSubnet<'q>>,
    /// What shows that the client isn't forged (RFC 7873).
    pub cookie: Option<Cookie<'q>>,
    /// Whether the client asks how long a connection may be silent (RFC 7828).
    pub keepalive: Keepalive,
    /// Whether the query is padded (RFC 7830). With what, doesn't matter.
    pub padding: bool,
}

/// The edns-tcp-keepalive option of a query. Datagrams may have any; in streams it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keepalive {
    /// There is none.
    Absent,
    /// It is there, empty as it must be in queries (RFC 7828 3.1).
    Asked,
    /// It holds something.
    Malformed,
}

/// Why an answer is as it is (RFC 8914 4), beside its response code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtendedError(pub u16);

impl ExtendedError {
    /// The client isn't one of those who may ask this.
    pub const PROHIBITED: ExtendedError = ExtendedError(18);
    /// The name is in no zone of this server.
    pub const NOT_AUTHORITATIVE: ExtendedError = ExtendedError(20);
    /// This kind of query isn't offered here.
    pub const NOT_SUPPORTED: ExtendedError = ExtendedError(21);
    /// The zone is configured, and there are no data to answer from.
    pub const INVALID_DATA: ExtendedError = ExtendedError(24);
    /// Nobody can have data of that type (RFC 9824 3.5).
    pub const INVALID_QUERY_TYPE: ExtendedError = ExtendedError(30);
}

impl Edns<'_> {
    /// Nothing said. What a malformed record is known to be, at least.
    pub(super) const SILENT: Edns<'static> = Edns {
        version: 0,
        payload: 0,
        dnssec_ok: false,
        nsid: false,
        subnet: None,
        cookie: None,
        keepalive: Keepalive::Absent,
        padding: false,
    };
}

impl<'q> Edns<'q> {
    /// Reads an OPT record behind its owner and type. Nothing if it is malformed, or an option of
    /// those understood here is; then what its fixed part says is known all the same.
    pub(super) fn read(&mut self, reader: &mut Reader<'q>) -> Option<()> {
        self.payload = reader.u16()?;
        let _extended_rcode = reader.u8()?;
        self.version = reader.u8()?;
        self.dnssec_ok = reader.u16()? & DNSSEC_OK != 0;
        let length = reader.u16()?;
        let options = reader.take(usize::from(length))?;
        // RFC 6891 6.1.3: what options of another version look like, only that version knows.
        if self.version == 0 && self.read_options(Reader::new(options)).is_none() {
            let Edns { version, payload, dnssec_ok, .. } = *self;
            *self = Edns { version, payload, dnssec_ok, ..Edns::SILENT };
            return None;
        }
        Some(())
    }

    fn read_options(&mut self, mut options: Reader<'q>) -> Option<()> {
        while !options.is_empty() {
            let code = options.u16()?;
            let length = options.u16()?;
            let data = options.take(usize::from(length))?;
            match code {
                // RFC 5001 2.1: what it holds in a query means nothing.
                OPTION_NSID => self.nsid = true,
                OPTION_CLIENT_SUBNET if self.subnet.is_none() => {
                    self.subnet = Some(ClientSubnet::read(data)?);
                }
                // RFC 7873 5.2: the first one counts, others are ignored.
                OPTION_COOKIE if self.cookie.is_none() => self.cookie = Some(Cookie::read(data)?),
                OPTION_KEEPALIVE => {
                    self.keepalive = if data.is_empty() { Keepalive::Asked } else { Keepalive::Malformed };
                }
                OPTION_PADDING => self.padding = true,
                _ => {}
            }
        }
        Some(())
    }
}

/// What an answer's OPT record says.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'a> {
    /// UDP payload that this server takes.
    pub payload: u16,
    /// The upper eight bits of the response code.
    pub extended_rcode: u8,
    /// DNSSEC OK, copied from the query (RFC 3225 3).
    pub dnssec_ok: bool,
    /// Who answers, if asked.
    pub nsid: Option<&'a [u8]>,
    /// The query's client subnet, and the prefix length for which the answer holds.
    pub subnet: Option<(ClientSubnet<'a>, u8)>,
    /// The client's cookie and ours, if it sent one.
    pub cookie: Option<[u8; cookie::ANSWER_OCTETS]>,
    /// How long a connection may be silent, in units of 100 ms, if asked.
    pub keepalive: Option<u16>,
    /// Why there are no data.
    pub extended_error: Option<ExtendedError>,
}

impl Reply<'_> {
    /// Octets that [`write`](Reply::write) will take.
    #[must_use]
    pub fn octets(&self) -> usize {
        let option = |octets: usize| OPTION_OCTETS + octets;
        OPT_OCTETS
            + self.nsid.map_or(0, |nsid| option(nsid.len()))
            + self.subnet.map_or(0, |(subnet, _)| option(subnet.received.len()))
            + self.cookie.map_or(0, |cookie| option(cookie.len()))
            + self.keepalive.map_or(0, |_| option(2))
            + self.extended_error.map_or(0, |_| option(2))
    }

    /// Writes the OPT record at `at`, where it must fit; returns the position behind it.
    pub fn write(&self, out: &mut [u8], at: usize) -> usize {
        let options = (self.octets() - OPT_OCTETS) as u16;
        let record = &mut out[at..at + OPT_OCTETS];
        record[0] = 0;
        record[1..3].copy_from_slice(&Rtype::OPT.0.to_be_bytes());
        record[3..5].copy_from_slice(&self.payload.to_be_bytes());
        record[5..9].copy_from_slice(&[self.extended_rcode, 0, u8::from(self.dnssec_ok) << 7, 0]);
        record[9..11].copy_from_slice(&options.to_be_bytes());
        let mut end = at + OPT_OCTETS;
        if let Some(nsid) = self.nsid {
            end = write_option(out, end, OPTION_NSID, nsid);
        }
        if let Some((subnet, scope)) = self.subnet {
            let start = end;
            end = write_option(out, end, OPTION_CLIENT_SUBNET, subnet.received);
            out[start + OPTION_OCTETS + 3] = scope;
        }
        if let Some(cookie) = &self.cookie {
            end = write_option(out, end, OPTION_COOKIE, cookie);
        }
        if let Some(idle) = self.keepalive {
            end = write_option(out, end, OPTION_KEEPALIVE, &idle.to_be_bytes());
        }
        if let Some(ExtendedError(code)) = self.extended_error {
            end = write_option(out, end, OPTION_EXTENDED_ERROR, &code.to_be_bytes());
        }
        end
    }
}

/// Pads a message whose OPT record stands from `opt_at` to its `end`, by an option of zeroes behind
/// all others (RFC 7830 3), to the next whole block (RFC 8467 4.1). Where a message can't have so
/// many octets, to as many as it can. The new end.
pub fn pad(out: &mut [u8], opt_at: usize, end: usize) -> usize {
    let data_at = end + OPTION_OCTETS;
    let padded = data_at.next_multiple_of(PADDING_BLOCK_OCTETS).min(MESSAGE_OCTETS).min(out.len());
    let Some(octets) = padded.checked_sub(data_at) else { return end };
    out[end..end + 2].copy_from_slice(&OPTION_PADDING.to_be_bytes());
    out[end + 2..data_at].copy_from_slice(&(octets as u16).to_be_bytes());
    out[data_at..padded].fill(0);
    let options = padded - opt_at - OPT_OCTETS;
    out[opt_at + OPT_OCTETS - 2..opt_at + OPT_OCTETS].copy_from_slice(&(options as u16).to_be_bytes());
    padded
}

fn write_option(out: &mut [u8], at: usize, code: u16, data: &[u8]) -> usize {
    out[at..at + 2].copy_from_slice(&code.to_be_bytes());
    out[at + 2..at + OPTION_OCTETS].copy_from_slice(&(data.len() as u16).to_be_bytes());
    let end = at + OPTION_OCTETS + data.len();
    out[at + OPTION_OCTETS..end].copy_from_slice(data);
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_each_option_and_counts_its_octets() {
        let received = [0, 1, 20, 0, 192, 0, 0x20];
        let subnet = ClientSubnet::read(&received).unwrap();
        let reply = Reply {
            payload: 1232,
            extended_rcode: 1,
            dnssec_ok: true,
            nsid: Some(b"ns1"),
            subnet: Some((subnet, 18)),
            cookie: Some([7; cookie::ANSWER_OCTETS]),
            keepalive: Some(300),
            extended_error: Some(ExtendedError::PROHIBITED),
        };
        let mut out = [0xff; 128];
        let end = reply.write(&mut out, 2);
        assert_eq!(end - 2, reply.octets());
        let expected = [
            &[0, 0, 41, 4, 208, 1, 0, 128, 0, 0, 58][..],
            &[0, 3, 0, 3, b'n', b's', b'1'],
            &[0, 8, 0, 7, 0, 1, 20, 18, 192, 0, 0x20],
            &[0, 10, 0, 24],
            &[7; 24],
            &[0, 11, 0, 2, 1, 44],
            &[0, 15, 0, 2, 0, 18],
        ]
        .concat();
        assert_eq!(out[2..end], expected);
    }

    #[test]
    fn rfc8467_4_1_padding_fills_blocks_as_far_as_a_message_goes() {
        let opt = [0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0];
        let blocks = [(11, 468), (464, 468), (465, 936), (468, 936), (932, 936), (65_000, 65_052)];
        // Longer than the last whole block: to the end, and not at all without room for an option.
        let ends = [(65_100, 65_520), (65_516, 65_520), (65_517, 65_535), (65_531, 65_535), (65_532, 65_532)];
        for (end, padded) in blocks.into_iter().chain(ends) {
            let mut out = vec![0xff; MESSAGE_OCTETS];
            let opt_at = end - OPT_OCTETS;
            out[opt_at..end].copy_from_slice(&opt);
            assert_eq!(pad(&mut out, opt_at, end), padded, "{end}");
            let options = usize::from(u16::from_be_bytes([out[end - 2], out[end - 1]]));
            assert_eq!(options, padded - end);
            if options > 0 {
                assert_eq!(out[end..end + 2], [0, 12]);
                assert_eq!(out[end + 2..end + 4], ((options - 4) as u16).to_be_bytes());
                assert!(out[end + 4..padded].iter().all(|octet| *octet == 0));
            }
        }
        // Never past what the transport takes.
        assert_eq!(pad(&mut [0; 100], 0, 11), 100);
    }

    #[test]
    fn what_is_certain_stays_when_an_option_is_malformed() {
        let record = [4, 208, 0, 0, 0x80, 0, 0, 4, 0, 10, 0, 0];
        let mut edns = Edns::SILENT;
        assert_eq!(edns.read(&mut Reader::new(&record)), None);
        assert!(edns.dnssec_ok && edns.payload == 1232 && edns.cookie.is_none());
    }
}
