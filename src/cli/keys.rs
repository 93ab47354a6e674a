//! `waypost keys`: the keys of signed zones, on the disk. A running server follows within a minute.

use std::path::PathBuf;
use std::time::Instant;

use serde::Serialize;

use super::{ConfigArg, Failure};
use crate::dnssec::rollover::{Input, KeyMemory, Memory, Roll, Start, State};
use crate::dnssec::{Algorithm, DigestType, FLAGS_ENTRY, SigningKey, ds, key_file};
use crate::health::Tick;
use crate::health::tick::rfc3339;
use crate::keys::{Held, Signed, Store, ZoneStore, add_keys, id, keyring, may_begin, read_pair, role, turn};
use crate::limits::PARENT_TIME;
use crate::load::read_once;
use crate::publish::now;
use crate::wire::name::Name;
use crate::wire::rtype::Rtype;
use crate::zone::rdata_text;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    config: ConfigArg,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make the first keys of a zone, as its TOML says; a running server does so by itself
    Generate {
        #[command(flatten)]
        zone: ZoneArg,
        /// Though the parent has DS of other keys
        #[arg(long)]
        force: bool,
    },
    /// Show each key, where it is on its way, and what comes next
    List {
        #[command(flatten)]
        zone: ZoneArg,
        /// As one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Begin to replace keys; the rest goes by itself, when caches and the parent are ready
    Roll {
        #[command(flatten)]
        zone: ZoneArg,
        #[command(flatten)]
        what: RollArg,
    },
    /// Take in keys that BIND or another server made: their .key or .private files
    Import {
        #[command(flatten)]
        zone: ZoneArg,
        /// All keys that the zone is signed with now, at once
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Write the files of all keys into a directory, readable for their owner alone
    Export {
        #[command(flatten)]
        zone: ZoneArg,
        /// Where to
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
    /// Print the DS lines that the parent must have
    Ds(ZoneArg),
}

#[derive(Debug, clap::Args)]
struct ZoneArg {
    /// Zone that is signed here
    zone: String,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct RollArg {
    /// Another zone-signing key
    #[arg(long)]
    zsk: bool,
    /// Another key-signing key; the parent must have its DS for it to go on
    #[arg(long)]
    ksk: bool,
    /// Another key that signs all; the parent must have its DS for it to go on
    #[arg(long)]
    csk: bool,
    /// All keys anew, of this algorithm: ecdsap256sha256 or ed25519
    #[arg(long, value_name = "NAME")]
    algorithm: Option<Algorithm>,
}

/// One key, as it is listed.
#[derive(Debug, Serialize)]
struct Listed {
    tag: u16,
    algorithm: Algorithm,
    role: String,
    state: State,
    since: String,
    next: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_at: Option<String>,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let (Command::Ds(zone)
    | Command::Generate { zone, .. }
    | Command::List { zone, .. }
    | Command::Roll { zone, .. }
    | Command::Import { zone, .. }
    | Command::Export { zone, .. }) = &args.command;
    let (store, signed) = open(&args.config, &zone.zone)?;
    match &args.command {
        Command::Generate { force, .. } => generate(&store, &signed, *force),
        Command::List { json, .. } => list(&store, &signed, *json),
        Command::Roll { what, .. } => roll(&store, &signed, what),
        Command::Import { files, .. } => import(&store, &signed, files),
        Command::Export { directory, .. } => export(&store, &signed, directory),
        Command::Ds(_) => print_ds(&store, &signed),
    }
}

/// The keys of a zone, and how it is signed.
fn open(config: &ConfigArg, zone: &str) -> Result<(ZoneStore, Signed), Failure> {
    let apex = Name::parse(zone, Some(&Name::root()))
        .map_err(|error| Failure::Message(format!("{zone:?}: {error}")))?;
    let offline = read_once(&config.config);
    let found = offline.zones.iter().find(|(files, _)| files.apex == apex);
    let (Some((files, loaded)), Some(server)) = (found, &offline.server) else {
        offline.diagnostics.iter().filter(|found| found.is_error()).for_each(|error| eprintln!("{error}"));
        return Err(Failure::Message(format!("there is no good zone {apex} here")));
    };
    let leaving = || Signed::of_leaving(loaded, &Store::new(&server.keys).zone(&apex));
    let signed = Signed::of(loaded).or_else(leaving).ok_or_else(|| {
        let path = files.routes.display();
        Failure::Message(format!("{apex} isn't signed: add [dnssec] with sign = true to {path}"))
    })?;
    Ok((Store::new(&server.keys).zone(&signed.apex), signed))
}

/// Keys that are there: it is an error to have none.
fn held(store: &ZoneStore) -> Result<Held, Failure> {
    let held = store.read(now())?;
    if held.keys.is_empty() {
        let path = store.directory().display();
        let apex = store.apex();
        let message = format!("{apex} has no keys in {path} yet: run `waypost keys generate {apex}`");
        return Err(Failure::Message(message));
    }
    Ok(held)
}

fn generate(store: &ZoneStore, signed: &Signed, force: bool) -> Result<(), Failure> {
    if !force && store.is_empty(now())? {
        may_begin(store, signed, None, Instant::now() + PARENT_TIME)?;
    }
    let turn = turn(store, signed, None, now())?;
    if turn.made.is_empty() {
        return Err(Failure::Message(format!("{} has keys already: see `waypost keys list`", signed.apex)));
    }
    print_list(signed, &turn.memory, false)
}

fn list(store: &ZoneStore, signed: &Signed, json: bool) -> Result<(), Failure> {
    print_list(signed, &held(store)?.memory, json)
}

fn print_list(signed: &Signed, memory: &Memory, json: bool) -> Result<(), Failure> {
    let input = Input { now: now(), policy: &signed.policy, max_ttl: signed.max_ttl, parent: None };
    let listed: Vec<Listed> = memory.keys.iter().map(|key| listed(key, memory, &input)).collect();
    if json {
        println!("{}", serde_json::to_string_pretty(&listed)?);
        return Ok(());
    }
    if signed.is_leaving {
        println!("; the zone is to leave signing, and waits until the parent's DS are gone from all caches");
    }
    for key in &listed {
        let at = key.next_at.as_ref().map_or_else(String::new, |at| format!(" at {at}"));
        println!(
            "{:>5}  {:<15}  {}  {:<9}  since {}  next: {}{at}",
            key.tag,
            key.algorithm.name(),
            key.role,
            key.state,
            key.since,
            key.next
        );
    }
    Ok(())
}

fn listed(key: &KeyMemory, memory: &Memory, input: &Input<'_>) -> Listed {
    let outlook = memory.outlook(key, input);
    Listed {
        tag: key.id.tag,
        algorithm: key.id.algorithm,
        role: key.role.to_string(),
        state: key.state,
        since: rfc3339(key.since),
        next: outlook.what,
        next_at: outlook.when.map(rfc3339),
    }
}

fn roll(store: &ZoneStore, signed: &Signed, what: &RollArg) -> Result<(), Failure> {
    let roll = match what {
        RollArg { algorithm: Some(algorithm), .. } => Roll::Algorithm(*algorithm),
        RollArg { zsk: true, .. } => Roll::Zsk,
        RollArg { ksk: true, .. } => Roll::Ksk,
        RollArg { .. } => Roll::Csk,
    };
    let _lock = store.lock()?;
    let mut held = held(store)?;
    let wants = held.memory.roll(roll, &signed.policy).map_err(Failure::Message)?;
    add_keys(store, &mut held, &wants, now())?;
    store.write_memory(&held.memory, &signed.policy)?;
    print_list(signed, &held.memory, false)
}

fn import(store: &ZoneStore, signed: &Signed, files: &[PathBuf]) -> Result<(), Failure> {
    let mut new = Vec::new();
    for file in files {
        let (key, secret) = read_pair(&signed.apex, file)?;
        // Both files of one key may be named.
        if !new.iter().any(|(known, _): &(SigningKey, _)| known == &key) {
            new.push((key, secret));
        }
    }
    let _lock = store.lock()?;
    let mut held = store.read(now())?;
    let is_split =
        held.keys.iter().chain(new.iter().map(|(key, _)| key)).any(|key| key.flags() != FLAGS_ENTRY);
    let since: Tick = now();
    for (key, secret) in &new {
        if held.keys.iter().any(|known| known.tag() == key.tag()) {
            return Err(Failure::Message(format!("there is a key {} already", id(key))));
        }
        store.write_key(key, secret)?;
        held.memory.keys.push(KeyMemory {
            id: id(key),
            role: role(key.flags(), is_split),
            state: State::Active,
            since,
            start: Start::First,
        });
        held.keys.push(key.clone());
    }
    store.write_memory(&held.memory, &signed.policy)?;
    print_list(signed, &held.memory, false)
}

fn export(store: &ZoneStore, signed: &Signed, directory: &std::path::Path) -> Result<(), Failure> {
    let held = held(store)?;
    let to = ZoneStore::at(directory, &signed.apex);
    let _lock = store.lock()?;
    to.prepare()?;
    for key in &held.keys {
        let (key, secret) = read_pair(&signed.apex, &store.paths(id(key)).0)?;
        to.write_key(&key, &secret)?;
        println!("{}", directory.join(key_file::stem(&signed.apex, id(&key))).display());
    }
    Ok(())
}

fn print_ds(store: &ZoneStore, signed: &Signed) -> Result<(), Failure> {
    let held = held(store)?;
    let keyring = keyring(signed, &held);
    let line = |rdata: &[u8]| {
        println!("{} {} IN DS {}", signed.apex, signed.policy.parent_ds_ttl, rdata_text(Rtype::DS, rdata));
    };
    if keyring.cds().next().is_some() {
        keyring.cds().for_each(line);
        return Ok(());
    }
    let input = Input { now: now(), policy: &signed.policy, max_ttl: signed.max_ttl, parent: None };
    for (memory, key) in held.memory.keys.iter().zip(&held.keys).filter(|(memory, _)| memory.role.is_entry())
    {
        if let Some(when) = held.memory.outlook(memory, &input).when {
            println!("; not before {}: until then caches have what isn't signed", rfc3339(when));
        }
        line(&ds(&signed.apex, key.dnskey(), DigestType::Sha256));
    }
    Ok(())
}
