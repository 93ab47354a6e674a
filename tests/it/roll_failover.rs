//! A site dies while a key rolls, and lives again later in the roll: no answer is bogus, and clients
//! are sent elsewhere and home before the keys take their next step. One nameserver, and a signer with
//! an edge that has no keys, behind one resolver that validates from the parent's key down.

use std::fs;
use std::time::{Duration, Instant};

use crate::edges::{
    Carrier, PROPAGATION, Parent, Resolver, are_settled, bundle, carry, first_bundle, keys, node, roll,
};
use crate::lab::{Lab, Server, free_port, wait_for};
use crate::site::{Kind, Service};

const TW_SITE: &str = "127.0.1.10";
const MY_SITE: &str = "127.0.1.20";

/// Long enough for probes to tell and caches to forget, on a machine that does much else.
const STEP: &str = "12s";

/// Has the routes of this node send clients to services that are probed.
fn probed(lab: &Lab, port: u16) {
    let text = fs::read_to_string(lab.path("zones/mail.example.toml")).unwrap();
    let propagation = |time: &str| format!("propagation = \"{time}\"");
    assert!(text.contains(&propagation(PROPAGATION)), "{text}");
    let text = text.replace(&propagation(PROPAGATION), &propagation(STEP));
    let mut text = text.replace("192.0.2.", "127.0.1.");
    for address in [TW_SITE, MY_SITE] {
        let line = format!("ipv4 = \"{address}\"\n");
        assert!(text.contains(&line), "{text}");
        text = text.replace(&line, &format!("{line}probes = [\"web\"]\n"));
    }
    text += &format!(
        "[probes.web]\ntype = \"http\"\nhost = \"webmail.mail.example\"\nport = {port}\ninterval = \"500ms\"\n\
         timeout = \"500ms\"\nhold = \"1s\"\n"
    );
    lab.write("zones/mail.example.toml", &text);
}

/// Where the signer's keys are on their way.
fn states(signer: &Lab) -> Vec<String> {
    let text = fs::read_to_string(signer.path("keys/mail.example/state.json")).unwrap();
    let memory: serde_json::Value = serde_json::from_str(&text).unwrap();
    let keys = memory["keys"].as_array().unwrap();
    keys.iter().map(|key| key["state"].as_str().unwrap().to_owned()).collect()
}

/// Rolls a key. The site that answers dies in one step of it, and lives again in a later one.
fn rolls_amid(
    (parent, signer, server): (&mut Parent, &Lab, &Server),
    resolver: &Resolver,
    home: &mut Service,
    (kind, dies_when, lives_when): (&str, &str, &str),
) {
    wait_for("the site at home answers", Duration::from_secs(30), || {
        (resolver.sweep() && resolver.webmail() == TW_SITE).then_some(())
    });
    keys(signer, &["roll", "mail.example", kind]);
    let started = Instant::now();
    let mut looked = started;
    let (mut steps, mut has_ds) = ([(dies_when, MY_SITE, false), (lives_when, TW_SITE, false)], false);
    // The step at hand: when it begins the site dies, or lives again.
    let mut at = 0;
    loop {
        resolver.sweep();
        let states = states(signer);
        let told = format!("{kind} after {:?}: {states:?}", started.elapsed());
        let has = |state: &str| states.iter().any(|one| one == state);
        if let Some((when, site, has_begun)) = steps.get_mut(at) {
            if !*has_begun && has(when) {
                *has_begun = true;
                if at == 0 { home.down() } else { home.up() }
            }
            if *has_begun {
                assert!(has(when), "clients weren't sent to {site} in time: {told}");
                if resolver.webmail() == *site {
                    println!("clients are sent to {site}: {told}");
                    at += 1;
                }
            }
        }
        if has("submitted") && !has_ds {
            has_ds = true;
            parent.take_ds(&[signer]);
        }
        if at == 2 && states == ["active", "active"] {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(180), "{told}\n{}", server.log());
        // Otherwise it looks once a minute.
        if looked.elapsed() > Duration::from_secs(1) {
            looked = Instant::now();
            server.signal("HUP");
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(resolver.sweep(), "all is secure");
}

fn through_zsk_and_ksk(has_edge: bool) {
    let mut parent = Parent::start();
    let port = free_port(&[TW_SITE, MY_SITE]);
    let [mut home, _other] = [TW_SITE, MY_SITE].map(|address| Service::start(Kind::Http, address, port));
    let role = |role: &str| if has_edge { format!("[bundles]\nrole = \"{role}\"\n") } else { String::new() };
    let signer = node(parent.server.address, "keys = \"ksk+zsk\"", &role("signer"));
    probed(&signer, port);
    let first = signer.start();
    let edge = has_edge.then(|| {
        let lab = node(parent.server.address, "keys = \"ksk+zsk\"", &role("edge"));
        probed(&lab, port);
        carry(&first_bundle(&signer), &bundle(&lab));
        let server = lab.start();
        let carrier = Carrier::start(bundle(&signer), bundle(&lab));
        (carrier, server, lab)
    });
    let mut addresses = vec![first.address];
    addresses.extend(edge.iter().map(|(_, server, _)| server.address));
    let resolver = Resolver::start(&parent, &addresses);
    let whole = |listed: &str| are_settled(listed, 2);
    roll((&mut parent, &signer, &first), &resolver, &[], &whole, &[&signer]);
    // Before the new key signs, and when the old one has left off; before the parent has the new key's
    // DS, and while caches forget the old one's.
    for step in [("--zsk", "published", "retired"), ("--ksk", "published", "retired")] {
        rolls_amid((&mut parent, &signer, &first), &resolver, &mut home, step);
    }
    if let Some((carrier, server, _lab)) = edge {
        drop(carrier);
        server.stop();
    }
    first.stop();
}

#[test]
fn a_site_dies_while_keys_of_one_server_roll() {
    through_zsk_and_ksk(false);
}

#[test]
fn a_site_dies_while_keys_roll_and_an_edge_without_keys_answers_too() {
    through_zsk_and_ksk(true);
}
