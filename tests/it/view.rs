//! The view from behind resolvers: with client subnets and without, with aggressive use of denials
//! and without, unbound and Knot Resolver. Families and sites fail and recover meanwhile, and
//! clients of all regions ask in every order.
//!
//! Two promises. Nobody is told that a family isn't there which any site offers: resolvers keep
//! denials for everybody (RFC 7871 7.4, RFC 8020, RFC 8198). And nobody gets another region's
//! answer, which is what a wrong scope leads to.

use std::fs;
use std::time::{Duration, Instant};

use crate::lab::{Lab, MY, Server, TW, VN, stdout, wait_for};
use crate::namespace::{Daemon, Namespace, with_prefix};

const SERVER: &str = "198.51.100.53";

/// What clients ask for.
const NAME: &str = "webmail.mail.example.";

/// A site's addresses; an address that is taken off the machine is a dead one.
struct Site {
    region: &'static str,
    client: &'static str,
    ipv4: &'static str,
    /// The first site has none: its clients get the next one's.
    ipv6: Option<&'static str>,
}

const SITES: [Site; 3] = [
    Site { region: "tw", client: TW, ipv4: "198.51.100.10", ipv6: None },
    Site { region: "my", client: MY, ipv4: "198.51.100.20", ipv6: Some("2001:db8:2::10") },
    Site { region: "vn", client: VN, ipv4: "198.51.100.30", ipv6: Some("2001:db8:3::10") },
];

/// Each region's chain, by places in `SITES`.
const CHAINS: [[usize; 3]; 3] = [[0, 1, 2], [1, 2, 0], [2, 1, 0]];

const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];

/// What happens: addresses that die, and that come back. No address dies so often that flap
/// damping holds it down.
const EVENTS: [(&[&str], &[&str]); 9] = [
    (&["2001:db8:3::10"], &[]),
    (&["198.51.100.30"], &[]),
    // No site offers IPv6 that lives: it is given as though it did.
    (&["2001:db8:2::10"], &[]),
    (&[], &["2001:db8:3::10"]),
    (&[], &["2001:db8:2::10", "198.51.100.30"]),
    (&["198.51.100.10"], &[]),
    // One after the other: were both changes at once, a third site's turn could come between.
    (&["198.51.100.20"], &[]),
    (&[], &["198.51.100.10"]),
    (&[], &["198.51.100.20"]),
];

/// Seconds that routed answers are kept.
const TTL: u64 = 1;

const ROOT: &str = "\
$TTL 3600
. SOA a.root.example. hostmaster.example. 1 3600 600 86400 60
. NS a.root.example.
a.root.example. A 198.51.100.53
mail.example. NS ns1.mail.example.
ns1.mail.example. A 198.51.100.53
";

const ZONE: &str = "\
$TTL 300
@ SOA ns1 hostmaster 1 3600 600 86400 60
@ NS ns1
ns1 A 198.51.100.53
";

/// An address that is gone fails at once, so the time-out can be long: a busy machine kills nobody.
fn routes() -> String {
    let mut text = format!(
        "[probes.alive]\ntype = \"tcp\"\nport = 53\ninterval = \"200ms\"\ntimeout = \"5s\"\n\
         confirm_interval = \"50ms\"\nhold = \"0s\"\n\
         [routes.webmail]\ntype = \"address\"\nttl = {TTL}\nshort_ttl = {TTL}\ndefault = [\"my\", \"vn\", \"tw\"]\n"
    );
    for (site, chain) in SITES.iter().zip(CHAINS) {
        text += &format!("{} = {:?}\n", site.region, chain.map(|place| SITES[place].region));
    }
    for Site { region, ipv4, ipv6, .. } in &SITES {
        text += &format!("[targets.{region}]\nipv4 = \"{ipv4}\"\nprobes = [\"alive\"]\n");
        text += &ipv6.map_or_else(String::new, |ipv6| format!("ipv6 = \"{ipv6}\"\n"));
    }
    text
}

/// A resolver, and where it seems to be to a server that isn't told clients' subnets.
struct Resolver {
    name: &'static str,
    address: &'static str,
    /// Its own region; none if it tells subnets.
    region: Option<usize>,
    _daemon: Daemon,
}

const PORT: &str = "5300";

fn unbound(
    lab: &Lab,
    namespace: &Namespace,
    name: &'static str,
    address: &'static str,
    modules: &str,
    is_aggressive: bool,
    region: Option<usize>,
) -> Resolver {
    let place = lab.directory.path().display();
    let from =
        region.map_or_else(String::new, |region| format!("outgoing-interface: 127.0.0.{}", region + 2));
    let is_aggressive = if is_aggressive { "yes" } else { "no" };
    let subnets = if modules.contains("subnetcache") {
        format!("send-client-subnet: {SERVER}\n  client-subnet-always-forward: yes")
    } else {
        String::new()
    };
    let config = format!(
        "server:\n  directory: \"{place}\"\n  chroot: \"\"\n  username: \"\"\n  pidfile: \"\"\n  use-syslog: no\n  \
         interface: {address}@{PORT}\n  do-ip6: no\n  \
         local-zone: \"example.\" nodefault\n  module-config: \"{modules}\"\n  \
         aggressive-nsec: {is_aggressive}\n  qname-minimisation: yes\n  {subnets}\n  {from}\n\
         stub-zone:\n  name: \".\"\n  stub-addr: {SERVER}\nremote-control:\n  control-enable: no\n"
    );
    let path = lab.path(&format!("{name}.conf"));
    fs::write(&path, config).unwrap();
    let mut command = namespace.command("/usr/sbin/unbound");
    command.args(["-d", "-c"]).arg(path);
    Resolver { name, address, region, _daemon: Daemon::start(command) }
}

/// It has no client subnets at all.
fn knot_resolver(lab: &Lab, namespace: &Namespace, address: &'static str, region: usize) -> Resolver {
    let run = lab.path("kresd");
    fs::create_dir(&run).unwrap();
    let from = region + 2;
    let config = format!(
        "net.listen('{address}', {PORT}, {{ kind = 'dns' }})\nnet.ipv6 = false\nnet.outgoing_v4('127.0.0.{from}')\n\
         trust_anchors.remove('.')\ncache.size = 10 * MB\ncache.min_ttl(0)\n\
         modules = {{ 'hints' }}\nmodules.unload('priming')\nhints.root({{ ['a.root.example.'] = {{ '{SERVER}' }} }})\n"
    );
    fs::write(run.join("config"), config).unwrap();
    let mut command = namespace.command("/usr/sbin/kresd");
    command.arg("-n").arg("-c").arg(run.join("config")).arg(&run);
    Resolver { name: "kresd", address, region: Some(region), _daemon: Daemon::start(command) }
}

/// Which site's address each region's clients get of a family, by who is alive.
#[derive(Clone, Debug)]
struct Truth {
    dead: Vec<&'static str>,
}

impl Truth {
    fn address(&self, region: usize, family: &str) -> &'static str {
        let of = |place: &usize| match family {
            "A" => Some(SITES[*place].ipv4),
            _ => SITES[*place].ipv6,
        };
        let chain: Vec<&str> = CHAINS[region].iter().filter_map(of).collect();
        // With all of a family dead, the first as though it were well.
        chain.iter().find(|address| !self.dead.contains(address)).copied().unwrap_or(chain[0])
    }
}

/// Asks for both families for clients of all regions, in an order; the answers in that order.
fn ask(
    namespace: &Namespace,
    server: &str,
    port: &str,
    order: [usize; 3],
    families: [&'static str; 2],
) -> Vec<(usize, &'static str, String)> {
    let mut dig = namespace.command("dig");
    let mut asked = Vec::new();
    for region in order {
        for family in families {
            dig.args([&format!("@{server}"), "-p", port, NAME, family, "+noall", "+comments", "+answer"]);
            dig.args(["+time=2", "+tries=2", &format!("+subnet={}", SITES[region].client)]);
            asked.push((region, family));
        }
    }
    // Every browser asks for this too, and its denial mustn't deny the others (RFC 8198).
    dig.args([&format!("@{server}"), "-p", port, NAME, "HTTPS", "+noall", "+comments", "+answer"]);
    let said = stdout(&mut dig);
    let answers: Vec<&str> = said.split(";; Got answer:").skip(1).collect();
    assert_eq!(answers.len(), asked.len() + 1, "{server}: {said}");
    let data = |answer: &str| {
        assert!(answer.contains("status: NOERROR"), "{server}: {answer}");
        let records = answer.lines().filter(|line| line.starts_with(NAME));
        records.filter_map(|line| line.split_whitespace().last()).collect::<Vec<_>>().join(" ")
    };
    asked.into_iter().zip(answers).map(|((region, family), answer)| (region, family, data(answer))).collect()
}

#[test]
fn no_client_is_denied_a_family_or_given_another_region_s_answer() {
    let lab = Lab::new();
    lab.write("zones/root.zone", ROOT);
    lab.write("zones/mail.example.zone", ZONE);
    lab.write("zones/mail.example.toml", &routes());
    let config = fs::read_to_string(lab.path("waypost.toml")).unwrap();
    // Every address answers probes at port 53, as long as the machine has it.
    let listen = r#"listen = ["0.0.0.0:53", "[::]:53"]"#;
    lab.write("waypost.toml", &config.replace(r#"listen = ["127.0.0.1:0"]"#, listen));
    let all = SITES.iter().flat_map(|site| [Some(site.ipv4), site.ipv6]).flatten();
    let addresses: Vec<&str> = all.chain([SERVER]).collect();
    let namespace = Namespace::new(&addresses);
    let mut run = namespace.command(env!("CARGO_BIN_EXE_waypost"));
    run.arg("run");
    let server = Server::start_with(lab.directory.path(), run);
    let subnets = |name, address, aggressive| {
        unbound(&lab, &namespace, name, address, "subnetcache validator iterator", aggressive, None)
    };
    let plain = |name, address, aggressive, region| {
        unbound(&lab, &namespace, name, address, "validator iterator", aggressive, Some(region))
    };
    let resolvers = [
        subnets("subnets", "127.0.0.11", false),
        subnets("subnets-aggressive", "127.0.0.12", true),
        plain("plain", "127.0.0.13", false, 0),
        plain("plain-aggressive", "127.0.0.14", true, 2),
        knot_resolver(&lab, &namespace, "127.0.0.15", 0),
    ];
    for resolver in &resolvers {
        wait_for(&format!("{} answers", resolver.name), Duration::from_secs(15), || {
            let address = format!("@{}", resolver.address);
            let mut dig = namespace.command("dig");
            dig.args([&address, "-p", PORT, "mail.example", "NS", "+short", "+time=1", "+tries=1"]);
            (dig.output().unwrap().stdout == b"ns1.mail.example.\n").then_some(())
        });
    }

    let mut before = Truth { dead: Vec::new() };
    let mut rounds = 0;
    let settled = |truth: &Truth| {
        let answers = ask(&namespace, SERVER, "53", ORDERS[0], ["A", "AAAA"]);
        answers.iter().all(|(region, family, data)| data == truth.address(*region, family))
    };
    wait_for("all sites are up", Duration::from_secs(10), || settled(&before).then_some(()));
    let mut look = |old: &Truth, new: &Truth| {
        let order = ORDERS[rounds % ORDERS.len()];
        let families = if (rounds / ORDERS.len()).is_multiple_of(2) { ["A", "AAAA"] } else { ["AAAA", "A"] };
        rounds += 1;
        for resolver in &resolvers {
            for (client, family, data) in ask(&namespace, resolver.address, PORT, order, families) {
                let region = resolver.region.unwrap_or(client);
                let possible = [old.address(region, family), new.address(region, family)];
                assert!(
                    possible.contains(&data.as_str()),
                    "{} gives {} {family} {data:?} and not {possible:?}; dead are {:?}, round {rounds}",
                    resolver.name,
                    SITES[client].region,
                    new.dead
                );
            }
        }
    };
    let started = Instant::now();
    for (dying, reviving) in EVENTS {
        let mut after = before.clone();
        for (verb, changed) in [("del", dying), ("add", reviving)] {
            for address in changed {
                let mut ip = namespace.command("ip");
                stdout(ip.args(["address", verb, &with_prefix(address), "dev", "lo"]));
            }
        }
        after.dead.retain(|address| !reviving.contains(address));
        after.dead.extend(dying);
        // While it is found out, either truth may be told, and never a denial.
        wait_for(&format!("{:?} is known", after.dead), Duration::from_secs(10), || {
            look(&before, &after);
            settled(&after).then_some(())
        });
        // Caches hold answers of before for their TTL, counted in whole seconds; then no more.
        std::thread::sleep(Duration::from_secs(TTL) + Duration::from_millis(1_200));
        for _ in ORDERS {
            look(&after, &after);
        }
        before = after;
    }
    println!("{rounds} rounds over {} resolvers in {:?}", resolvers.len(), started.elapsed());
    server.stop();
}
