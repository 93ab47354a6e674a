//! What passes tell, over a scratch directory.

use std::fs;
use std::path::Path;

use super::stamp::Standing;
use super::{Loader, Pass, zone};

const ZONE: &str = "$TTL 60\n@ SOA ns1 h 1 1 1 1 60\n@ NS ns1\nns1 A 192.0.2.1\n";

fn directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("zones")).unwrap();
    write(&directory, "waypost.toml", "[regions.tw]\nnetworks = [\"192.0.2.0/24\"]\n");
    write(&directory, "zones/a.example.zone", ZONE);
    write(&directory, "zones/b.example.zone", ZONE);
    directory
}

fn write(directory: &tempfile::TempDir, inside: &str, text: &str) {
    fs::write(directory.path().join(inside), text).unwrap();
}

fn loader(directory: &tempfile::TempDir) -> Loader {
    Loader::new(&directory.path().join("waypost.toml"))
}

fn zones(pass: &Pass) -> Vec<String> {
    pass.zones.iter().map(|(files, _)| files.apex.to_string()).collect()
}

#[test]
fn a_pass_tells_what_changed_and_nothing_else() {
    let directory = directory();
    let mut loader = loader(&directory);
    assert_eq!(zones(&loader.pass()), ["a.example.", "b.example."]);
    assert!(loader.pass().is_unchanged());
    // The same content in another file is no change.
    write(&directory, "zones/new", ZONE);
    fs::rename(directory.path().join("zones/new"), directory.path().join("zones/a.example.zone")).unwrap();
    assert!(loader.pass().is_unchanged());
    write(&directory, "zones/b.example.zone", &format!("{ZONE}www A 192.0.2.2\n"));
    assert_eq!(zones(&loader.pass()), ["b.example."]);
    write(&directory, "zones/b.example.toml", "[targets.x]\n");
    let pass = loader.pass();
    assert!(pass.zones[0].1.is_err(), "{pass:?}");
    // A mistake is told once.
    assert!(loader.pass().is_unchanged());
}

#[test]
fn reading_everything_anew_still_tells_what_is_gone() {
    let directory = directory();
    let mut loader = loader(&directory);
    loader.pass();
    fs::remove_file(directory.path().join("zones/b.example.zone")).unwrap();
    loader.forget();
    let pass = loader.pass();
    assert_eq!(zones(&pass), ["a.example."]);
    assert_eq!(pass.gone.iter().map(ToString::to_string).collect::<Vec<_>>(), ["b.example."]);
}

#[test]
fn regions_are_taken_when_their_files_are_good_too() {
    let directory = directory();
    let mut loader = loader(&directory);
    loader.pass();
    let config = "[regions.my]\nnetwork_files = [\"my.txt\"]\n[regions.tw]\nnetworks = [\"192.0.2.0/24\"]\n";
    write(&directory, "waypost.toml", config);
    let pass = loader.pass();
    assert!(pass.server.is_none() && pass.zones.is_empty(), "{pass:?}");
    assert!(pass.diagnostics().any(|found| found.path == Path::new(&directory.path().join("my.txt"))));
    // Zones go on under the configuration before.
    write(&directory, "zones/b.example.zone", &format!("{ZONE}www A 192.0.2.2\n"));
    assert_eq!(zones(&loader.pass()), ["b.example."]);
    write(&directory, "my.txt", "198.51.100.0/24\n");
    let pass = loader.pass();
    assert!(matches!(pass.server, Some(Ok(_))) && matches!(pass.geography, Some(Ok(_))));
    assert_eq!(zones(&pass), ["a.example.", "b.example."]);
}

#[test]
fn one_zone_in_two_files_is_told() {
    let directory = directory();
    write(&directory, "zones/B.Example.zone", ZONE);
    let pass = loader(&directory).pass();
    assert_eq!(pass.zones.len(), 2);
    assert!(pass.diagnostics().any(|found| found.is_error() && found.message.contains("is the same zone")));
}

#[test]
fn a_changed_zone_is_read_without_a_look_at_the_others() {
    let directory = directory();
    let mut loader = loader(&directory);
    loader.pass();
    let path = |inside: &str| directory.path().join(inside);
    let over = |loader: &mut Loader, paths: &[&str]| {
        let changed = paths.iter().map(|inside| path(inside)).collect();
        loader.pass_over(&changed).map(|pass| zones(&pass))
    };
    let changed = format!("{ZONE}www A 192.0.2.2\n");
    write(&directory, "zones/a.example.zone", &changed);
    write(&directory, "zones/b.example.zone", &changed);
    let none: &[&str] = &[];
    assert_eq!(over(&mut loader, &["zones/b.example.zone"]).unwrap(), ["b.example."]);
    assert_eq!(over(&mut loader, &["zones/b.example.zone"]).unwrap(), none);
    // An editor's file that is gone again, and routes that weren't there.
    assert_eq!(over(&mut loader, &["zones/a.example.zone", "zones/.a.tmp"]).unwrap(), ["a.example."]);
    write(&directory, "zones/b.example.toml", "[targets.x]\nipv4 = \"192.0.2.9\"\n");
    assert_eq!(over(&mut loader, &["zones/b.example.toml"]).unwrap(), ["b.example."]);
    // What else may have happened takes a look at everything.
    write(&directory, "zones/c.example.zone", ZONE);
    assert_eq!(over(&mut loader, &["zones/c.example.zone"]), None);
    assert_eq!(over(&mut loader, &["waypost.toml"]), None);
    fs::remove_file(path("zones/a.example.zone")).unwrap();
    assert_eq!(over(&mut loader, &["zones/a.example.zone"]), None);
    assert_eq!(loader.pass().gone.len(), 1);
}

#[test]
fn routes_that_come_while_the_directory_is_listed_are_read() {
    let directory = directory();
    let mut loader = loader(&directory);
    let mut pass = Pass::default();
    loader.pass_server(&mut pass);
    let server = loader.server().cloned().unwrap();
    let before = Standing::of(&server.zones);
    let listing = zone::list(&server.zones, None).unwrap();
    assert!(listing.zones.iter().all(|files| listing.lacks_routes(files)));
    write(&directory, "zones/b.example.toml", "[targets.x]\nipv4 = \"192.0.2.9\"\n");
    loader.take_listing(listing, &before, &server, &mut pass);
    assert_eq!(zones(&pass), ["a.example.", "b.example."]);
    let targets =
        |pass: &Pass, place: usize| pass.zones[place].1.as_ref().unwrap().config.routing.targets.len();
    assert_eq!((targets(&pass, 0), targets(&pass, 1)), (0, 1));
    // Later too, whatever the listing of another pass said.
    write(&directory, "zones/a.example.toml", "[targets.x]\nipv4 = \"192.0.2.9\"\n");
    let pass = loader.pass();
    assert_eq!((zones(&pass), targets(&pass, 0)), (vec!["a.example.".to_owned()], 1));
}

#[test]
fn names_that_come_are_seen_by_how_their_directory_stands() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    // Just made: more may happen within the same tick of the clock.
    assert!(Standing::of(directory.path()).may_have_changed());
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(10);
    fs::File::open(directory.path()).unwrap().set_modified(old).unwrap();
    let standing = Standing::of(directory.path());
    assert!(!standing.may_have_changed());
    write(&directory, "a", "");
    assert!(standing.may_have_changed());
    fs::File::open(directory.path()).unwrap().set_modified(old).unwrap();
    let standing = Standing::of(directory.path());
    fs::rename(path("a"), path("b")).unwrap();
    assert!(standing.may_have_changed());
    assert!(Standing::of(&path("c")).may_have_changed());
}

#[test]
fn an_included_file_is_a_file_of_all_that_include_it_and_of_no_other() {
    let directory = directory();
    let including = |inside: &str| write(&directory, inside, &format!("{ZONE}$INCLUDE part\n"));
    write(&directory, "zones/part", "www A 192.0.2.2\n");
    including("zones/a.example.zone");
    including("zones/b.example.zone");
    let mut loader = loader(&directory);
    loader.pass();
    let over = |loader: &mut Loader| {
        let path = directory.path().join("zones/part");
        let is_alone = loader.is_alone(&path);
        (is_alone, loader.pass_over(&[path].into()).map(|pass| zones(&pass)))
    };
    write(&directory, "zones/part", "www A 192.0.2.3\n");
    assert_eq!(over(&mut loader), (false, Some(vec!["a.example.".to_owned(), "b.example.".to_owned()])));
    write(&directory, "zones/a.example.zone", ZONE);
    assert_eq!(zones(&loader.pass()), ["a.example."]);
    write(&directory, "zones/part", "www A 192.0.2.4\n");
    assert_eq!(over(&mut loader), (false, Some(vec!["b.example.".to_owned()])));
    fs::remove_file(directory.path().join("zones/b.example.zone")).unwrap();
    loader.pass();
    write(&directory, "zones/part", "www A 192.0.2.5\n");
    assert_eq!(over(&mut loader), (false, None));
}

#[test]
fn a_zone_of_one_file_is_alone_and_what_is_doubted_is_told_again() {
    let directory = directory();
    write(&directory, "zones/b.example.toml", "[targets.x]\nipv4 = \"192.0.2.9\"\n");
    let mut loader = loader(&directory);
    loader.pass();
    let path = |inside: &str| directory.path().join(inside);
    assert!(loader.is_alone(&path("zones/a.example.zone")));
    assert!(!loader.is_alone(&path("zones/b.example.zone")));
    assert!(!loader.is_alone(&path("zones/b.example.toml")));
    assert!(!loader.is_alone(&path("zones/c.example.zone")));
    assert!(!loader.is_alone(&path("waypost.toml")));
    write(&directory, "zones/a.example.zone", "nonsense");
    let changed = [path("zones/a.example.zone")].into();
    assert!(loader.pass_over(&changed).unwrap().zones[0].1.is_err());
    loader.doubt(&changed);
    assert!(loader.pass_over(&changed).is_none());
    assert_eq!(zones(&loader.pass()), ["a.example."]);
}

#[test]
fn a_named_pipe_is_an_error_of_its_zone_alone_and_nobody_waits_for_it() {
    let directory = directory();
    let made =
        std::process::Command::new("mkfifo").arg(directory.path().join("zones/b.example.toml")).status();
    assert!(made.unwrap().success());
    let pass = loader(&directory).pass();
    let [(_, good), (_, bad)] = &pass.zones[..] else { panic!("{pass:?}") };
    assert!(good.is_ok());
    let error = bad.as_ref().err().map(|error| format!("{error:?}")).unwrap_or_default();
    assert!(error.contains("named pipe"), "{error}");
}
