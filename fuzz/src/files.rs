//! Any text as a zone file and as both TOML files.

use std::cell::Cell;
use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use waypost::compile::shape::Shape;
use waypost::compile::zone::{RoutedOwners, Source};
use waypost::diagnostic::Diagnostic;
use waypost::limits::DIAGNOSTICS;
use waypost::snapshot::{Edits, ZoneId};
use waypost::wire::name::Name;
use waypost::zone::{self, Files, Zone};

/// Parts the zone file from the file that it may include.
const PARTS: &[u8] = b"\n;;include\n";

/// Files that a zone has at most. With more, files that include each other take long, which is
/// their author's wish and no find.
const FILES: usize = 32;

/// One text for the zone file, another for whatever it includes, and how many were read.
struct Texts<'a>(&'a [u8], &'a [u8], Cell<usize>);

impl Files for Texts<'_> {
    fn read(&self, path: &Path) -> io::Result<Bytes> {
        let count = self.2.replace(self.2.get() + 1);
        if count >= FILES {
            return Err(io::ErrorKind::NotFound.into());
        }
        let text = if path == Path::new("z") { self.0 } else { self.1 };
        Ok(text.to_vec().into())
    }
}

#[test]
fn zones() {
    bolero::check!().for_each(|text: &[u8]| {
        let parts = text.windows(PARTS.len()).position(|window| window == PARTS);
        let (text, included) = parts.map_or((text, &b""[..]), |at| (&text[..at], &text[at + PARTS.len()..]));
        match load(&Texts(text, included, Cell::default())) {
            Ok(zone) => {
                let mut written = String::new();
                zone::write(&zone, &mut written).unwrap();
                let again = load(&Texts(written.as_bytes(), b"", Cell::default()));
                let again = again.unwrap_or_else(|errors| panic!("{}\n{written}", shown(&errors)));
                assert_eq!(zone::diff(&zone, &again), [], "{written}");
                assert_eq!(zone.record_count(), again.record_count(), "{written}");
                compile(&zone);
            }
            Err(errors) => {
                assert!(errors.iter().any(Diagnostic::is_error));
                assert!(errors.len() <= DIAGNOSTICS + 1, "{}", errors.len());
                shown(&errors);
            }
        }
    });
}

fn load(files: &Texts<'_>) -> Result<Arc<Zone>, Vec<Diagnostic>> {
    let apex = Name::parse("example.", None).unwrap();
    zone::load(Path::new("z"), &apex, files, None, &|_| false).map(|loaded| loaded.zone.into())
}

fn compile(zone: &Arc<Zone>) {
    let routed = Arc::new(RoutedOwners::new());
    let source = Source { zone, id: ZoneId(0), routed: &routed, children: &[], parent: None, signing: None };
    // An RRset may be too large for a message; that is an error with a name, and no panic.
    let _ = source.all(&Arc::new(Shape::of(zone, &routed)), &mut Edits::default());
    source.common(None).unwrap();
}

fn shown(errors: &[Diagnostic]) -> String {
    errors.iter().map(|error| format!("{error}\n")).collect()
}

#[test]
fn server_toml() {
    bolero::check!().for_each(|text: &[u8]| {
        let text = String::from_utf8_lossy(text);
        if let Err(errors) = waypost::config::server::parse(Path::new("waypost.toml"), &text) {
            assert!(errors.iter().any(Diagnostic::is_error), "{text}");
            shown(&errors);
        }
    });
}

#[test]
fn zone_toml() {
    let apex = Name::parse("example.com.", None).unwrap();
    let regions = ["tw", "my", "vn"].map(str::to_owned);
    bolero::check!().for_each(|text: &[u8]| {
        let text = String::from_utf8_lossy(text);
        if let Err(errors) = waypost::config::zone::parse(Path::new("z.toml"), &text, &apex, &regions) {
            assert!(errors.iter().any(Diagnostic::is_error), "{text}");
            shown(&errors);
        }
    });
}
