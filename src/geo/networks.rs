//! Operators' networks from text: CIDR lists, and geofeeds (RFC 8805).

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;

use ipnet::IpNet;

use crate::diagnostic::Diagnostic;
use crate::limits;

/// Networks in one file. A longer file is refused with an error.
pub const FILE_NETWORKS: usize = 1_000_000;

/// What reading gave: the entries, and all that was found wrong. With an error among the findings
/// the entries aren't whole and mustn't be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read<T> {
    /// The entries, in the order of the file.
    pub entries: Vec<T>,
    /// Errors and warnings, in the order of the file; at most [`limits::DIAGNOSTICS`] and one
    /// that counts the rest.
    pub diagnostics: Vec<Diagnostic>,
}

/// One line of a geofeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeofeedEntry {
    /// The network.
    pub network: IpNet,
    /// ISO 3166-1 alpha-2 code, upper case. `None`: the operator says that the network is nowhere
    /// (RFC 8805 2.1.2).
    pub country: Option<String>,
    /// ISO 3166-2 code, upper case: `TW-TPE`.
    pub subdivision: Option<String>,
}

/// Reads a CIDR list: one network a line, `#` comments.
#[must_use]
pub fn read_list(path: &Path, text: &str) -> Read<IpNet> {
    let mut reader = FileReader::new(path, text);
    let mut entries = Vec::new();
    for line in reader.lines() {
        if let Some(network) = reader.network(line.content, line.offset, "") {
            entries.push(network);
        }
    }
    reader.finish(entries)
}

/// Reads a geofeed: `network,country,subdivision,city,postal code`, where all but the network may
/// be empty or missing.
#[must_use]
pub fn read_geofeed(path: &Path, text: &str) -> Read<GeofeedEntry> {
    let mut reader = FileReader::new(path, text);
    let mut entries = Vec::new();
    for line in reader.lines() {
        let fields = fields(line.content);
        let field = |number: usize| fields.get(number).copied().unwrap_or(("", 0));
        let (country, country_at) = field(1);
        let (subdivision, subdivision_at) = field(2);
        let (country, subdivision) = (country.to_ascii_uppercase(), subdivision.to_ascii_uppercase());
        let (network, network_at) = field(0);
        let place = format!("{country},{subdivision}");
        let Some(network) = reader.network(network, line.offset + network_at, &place) else { continue };

        if !country.is_empty() && !is_country(&country) {
            let found =
                reader.error(line.offset + country_at, format!("\"{country}\" isn't a country's code"));
            reader.report(found.help("write two letters as in ISO 3166-1, such as TW, or leave it empty"));
            continue;
        }
        let within_country = subdivision.strip_prefix(&country).is_some_and(|rest| rest.starts_with('-'));
        let known = !subdivision.is_empty() && !country.is_empty() && within_country;
        if !subdivision.is_empty() && !known {
            // Feeds of others have such lines; the country is still good.
            let message = format!("\"{subdivision}\" isn't a subdivision of \"{country}\", and is left out");
            let found = reader.warning(line.offset + subdivision_at, message);
            reader.report(
                found.help("write it as in ISO 3166-2: the country, a hyphen, the code; such as TW-TPE"),
            );
        }
        entries.push(GeofeedEntry {
            network,
            country: Some(country).filter(|country| !country.is_empty()),
            subdivision: Some(subdivision).filter(|_| known),
        });
    }
    reader.finish(entries)
}

/// Reads one network or one address.
///
/// # Errors
///
/// What is wrong, and what to write instead.
pub fn parse_network(text: &str) -> Result<IpNet, NetworkError> {
    let network = match text.parse::<IpNet>() {
        Ok(network) => network,
        Err(_) => match text.parse::<IpAddr>() {
            Ok(address) => IpNet::from(address),
            Err(_) => {
                return Err(NetworkError {
                    message: format!("\"{text}\" isn't a network"),
                    help: "write an address, a slash and the prefix length, such as 192.0.2.0/24 or \
                           2001:db8::/32"
                        .into(),
                });
            }
        },
    };
    if network.addr() != network.network() {
        return Err(NetworkError {
            message: format!("\"{text}\" has bits set behind its prefix"),
            help: format!("write {} for the network, or {} for the address", network.trunc(), network.addr()),
        });
    }
    if let IpAddr::V6(address) = network.addr()
        && let Some(ipv4) = address.to_ipv4_mapped()
    {
        return Err(NetworkError {
            message: format!("\"{text}\" is an IPv4 network in IPv6 form"),
            help: format!("write {ipv4}/{}", network.prefix_len().saturating_sub(96)),
        });
    }
    Ok(network)
}

/// Why a text isn't a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkError {
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: String,
}

/// A line with something on it, without comment and blanks around.
struct Line<'a> {
    content: &'a str,
    /// Where the content begins in the file.
    offset: usize,
}

/// What both formats have in common: lines, networks that come twice, and findings.
struct FileReader<'a> {
    path: &'a Path,
    text: &'a str,
    /// Where each network stood first, and with what place.
    seen: HashMap<IpNet, (usize, String)>,
    diagnostics: Vec<Diagnostic>,
    unreported: usize,
    has_error: bool,
}

impl<'a> FileReader<'a> {
    fn new(path: &'a Path, text: &'a str) -> FileReader<'a> {
        let (seen, diagnostics) = (HashMap::new(), Vec::new());
        FileReader { path, text, seen, diagnostics, unreported: 0, has_error: false }
    }

    fn lines(&self) -> impl Iterator<Item = Line<'a>> + use<'a> {
        let text = self.text;
        text.split_inclusive('\n').filter_map(move |line| {
            let start = line.as_ptr().addr() - text.as_ptr().addr();
            let body = line[..comment(line)].trim_start_matches('\u{feff}');
            let content = body.trim();
            let offset = start + (content.as_ptr().addr() - line.as_ptr().addr());
            (!content.is_empty()).then_some(Line { content, offset })
        })
    }

    /// Reads a network, unless it or the file's length is at fault.
    fn network(&mut self, text: &str, offset: usize, place: &str) -> Option<IpNet> {
        let network = match parse_network(text) {
            Ok(network) => network,
            Err(error) => {
                let found = self.error(offset, error.message).help(error.help);
                self.report(found);
                return None;
            }
        };
        if let Some((first, first_place)) = self.seen.get(&network) {
            let first_line = self.warning(*first, "").line;
            let found = if first_place == place {
                self.warning(offset, format!("{network} stands in line {first_line} already"))
            } else {
                let message =
                    format!("{network} stands in line {first_line} with another place, which is used");
                self.warning(offset, message)
            };
            self.report(found.help("delete one of the lines"));
            return None;
        }
        if self.seen.len() == FILE_NETWORKS {
            if !self.has_error {
                let found = self.error(offset, format!("more than {FILE_NETWORKS} networks in one file"));
                self.report(found.help("split it into several files, or join networks"));
            }
            return None;
        }
        self.seen.insert(network, (offset, place.to_owned()));
        Some(network)
    }

    fn error(&self, offset: usize, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(self.path, message).at(self.text, offset)
    }

    fn warning(&self, offset: usize, message: impl Into<String>) -> Diagnostic {
        Diagnostic::warning(self.path, message).at(self.text, offset)
    }

    fn report(&mut self, found: Diagnostic) {
        self.has_error |= found.is_error();
        if self.diagnostics.len() < limits::DIAGNOSTICS {
            self.diagnostics.push(found);
        } else {
            self.unreported += 1;
        }
    }

    fn finish<T>(mut self, entries: Vec<T>) -> Read<T> {
        if self.unreported > 0 {
            let message = format!("{} more findings aren't shown", self.unreported);
            self.diagnostics.push(if self.has_error {
                Diagnostic::error(self.path, message)
            } else {
                Diagnostic::warning(self.path, message)
            });
        }
        Read { entries, diagnostics: self.diagnostics }
    }
}

/// Where a comment begins, or the end of the line. A `#` inside quotes is none.
fn comment(line: &str) -> usize {
    let mut quoted = false;
    for (place, character) in line.char_indices() {
        match character {
            '"' => quoted = !quoted,
            '#' if !quoted => return place,
            _ => {}
        }
    }
    line.len()
}

/// Fields of a CSV line (RFC 4180), without blanks and quotes around, and where each begins.
fn fields(line: &str) -> Vec<(&str, usize)> {
    let mut quoted = false;
    line.split(|character| {
        quoted ^= character == '"';
        character == ',' && !quoted
    })
    .map(|field| {
        let content = field.trim().trim_matches('"').trim();
        (content, content.as_ptr().addr() - line.as_ptr().addr())
    })
    .collect()
}

fn is_country(text: &str) -> bool {
    text.len() == 2 && text.bytes().all(|octet| octet.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(diagnostics: &[Diagnostic]) -> Vec<String> {
        diagnostics
            .iter()
            .map(|found| {
                format!(
                    "{}:{} {} | {}",
                    found.line,
                    found.column,
                    found.message,
                    found.help.as_deref().unwrap_or("")
                )
            })
            .collect()
    }

    #[test]
    fn lists() {
        let read = read_list(
            Path::new("office.txt"),
            "\u{feff}# offices\r\n192.0.2.0/25 # first floor\r\n\r\n\t2001:db8::/48\r\n198.51.100.7",
        );
        let networks: Vec<String> = read.entries.iter().map(ToString::to_string).collect();
        assert_eq!(networks, ["192.0.2.0/25", "2001:db8::/48", "198.51.100.7/32"]);
        assert_eq!(read.diagnostics, []);
    }

    #[test]
    fn all_errors_of_a_list_at_once() {
        let read = read_list(
            Path::new("x"),
            "192.0.2.1/24\n  192.0.2.0/33\n::ffff:192.0.2.0/120\n192.0.2.0/24\n192.0.2.0/24\n",
        );
        assert_eq!(
            shown(&read.diagnostics),
            [
                "1:1 \"192.0.2.1/24\" has bits set behind its prefix | write 192.0.2.0/24 for the network, or 192.0.2.1 for the address",
                "2:3 \"192.0.2.0/33\" isn't a network | write an address, a slash and the prefix length, such as 192.0.2.0/24 or 2001:db8::/32",
                "3:1 \"::ffff:192.0.2.0/120\" is an IPv4 network in IPv6 form | write 192.0.2.0/24",
                "5:1 192.0.2.0/24 stands in line 4 already | delete one of the lines",
            ]
        );
        assert!(read.diagnostics[2].is_error() && !read.diagnostics[3].is_error());
    }

    #[test]
    fn geofeeds() {
        let read = read_geofeed(
            Path::new("feed.csv"),
            "# prefix,country,region,city,postal\n\
             192.0.2.0/25,TW,TW-TPE,Taipei,\n\
             192.0.2.128/25, my ,,\"Shah Alam, #1\",\n\
             198.51.100.0/24,,,,\n\
             2001:db8::/32,\"VN\",VN-HN\n\
             203.0.113.0/24\n",
        );
        assert_eq!(read.diagnostics, []);
        let entry = |network: &str, country: Option<&str>, subdivision: Option<&str>| GeofeedEntry {
            network: network.parse().unwrap(),
            country: country.map(str::to_owned),
            subdivision: subdivision.map(str::to_owned),
        };
        assert_eq!(
            read.entries,
            [
                entry("192.0.2.0/25", Some("TW"), Some("TW-TPE")),
                entry("192.0.2.128/25", Some("MY"), None),
                entry("198.51.100.0/24", None, None),
                entry("2001:db8::/32", Some("VN"), Some("VN-HN")),
                entry("203.0.113.0/24", None, None),
            ]
        );
    }

    #[test]
    fn all_errors_of_a_geofeed_at_once() {
        let read = read_geofeed(
            Path::new("x"),
            "192.0.2.0/24,Taiwan,,,\n192.0.2.0/25,TW,JP-13,,\n192.0.2.0/25,JP,,,\nTW,192.0.2.0/24\n",
        );
        assert_eq!(
            shown(&read.diagnostics),
            [
                "1:14 \"TAIWAN\" isn't a country's code | write two letters as in ISO 3166-1, such as TW, or leave it empty",
                "2:17 \"JP-13\" isn't a subdivision of \"TW\", and is left out | write it as in ISO 3166-2: the country, a hyphen, the code; such as TW-TPE",
                "3:1 192.0.2.0/25 stands in line 2 with another place, which is used | delete one of the lines",
                "4:1 \"TW\" isn't a network | write an address, a slash and the prefix length, such as 192.0.2.0/24 or 2001:db8::/32",
            ]
        );
        assert_eq!(read.entries.len(), 1);
        assert_eq!(read.entries[0].country.as_deref(), Some("TW"));
    }

    #[test]
    fn many_findings_are_counted() {
        let read = read_list(Path::new("x"), &"nonsense\n".repeat(150));
        assert_eq!(read.diagnostics.len(), limits::DIAGNOSTICS + 1);
        assert_eq!(read.diagnostics.last().unwrap().message, "50 more findings aren't shown");
        assert!(read.diagnostics.last().unwrap().is_error());
    }
}
