"""Waypost and its peers, each in a network of its own with a zone of its own, and the resolver in
front of all of them.

Every zone has the same three names, `webmail`, `imap` and `smtp`, which belong to the site `tw`,
and to `my` while that is dead. Peers are tuned as one who knows them would: everyone asks every
five seconds and waits two seconds for an answer.
"""

import pathlib
import signal
import subprocess

from network import family, run, send
from sites import EXPORTER_PORT, PORTS

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent.parent
TTL = 20
OWN, OTHER = "tw", "my"
# Messages that wait in a healthy site's queue at most.
QUEUE_LIMIT = 500


class Nameserver:
    name = None
    program = None
    package = None

    def __init__(self, network, ipv4, directory, sites, root):
        self.host = network.host(self.name, ipv4)
        self.directory = directory / self.name
        self.directory.mkdir()
        self.sites = sites
        self.root = root
        self.process = None
        self.zone = f"{self.name}.example"
        self.configure()

    def configure(self):
        raise NotImplementedError

    def command(self):
        raise NotImplementedError

    def environment(self):
        return {}

    def version(self):
        raise NotImplementedError

    def start(self):
        self.process = self.host.start(*self.command(), log=self.directory / "log", cwd=self.directory,
                                       env=self.environment())

    def kill(self):
        for pid in family(self.process.pid):
            send(pid, signal.SIGKILL)
        self.process.wait()

    def zone_file(self, routed):
        return f"""$ORIGIN {self.zone}.
$TTL {TTL}
@ SOA ns1 hostmaster 1 3600 600 86400 60
@ NS ns1
ns1 A {self.host.address()}
""" + "".join(routed(name) for name in PORTS)


class Waypost(Nameserver):
    name = "waypost"
    program = REPOSITORY / "target/debug/waypost"
    # What a site's exporter says counts where the probe for it exists.
    has_queue_probe = True

    def configure(self):
        zones = self.directory / "zones"
        zones.mkdir()
        (self.directory / "waypost.toml").write_text(f"""[server]
listen = ["{self.host.address()}:53"]
zones = "zones"
state = "state"
identity = "ns1.{self.zone}"
inspect = ["192.0.2.0/24"]
""")
        (zones / f"{self.zone}.zone").write_text(self.zone_file(
            lambda name: f"{owner(name)} A {self.sites[OWN].host.address()}\n"
                         f"{owner(name)} AAAA {self.sites[OWN].host.address('AAAA')}\n"))
        self.has_queue_probe = self._configure_targets(zones / f"{self.zone}.toml", True)
        if not self.has_queue_probe:
            self._configure_targets(zones / f"{self.zone}.toml", False)

    def _configure_targets(self, place, with_queue):
        """Everything by default but what has to be said. Tells whether the server takes it."""
        text = f"""[probes.web]
type = "https"
host = "webmail.{self.zone}"
path = "/healthz"

[probes.imap]
type = "imaps"
tls_name = "imap.{self.zone}"

[probes.smtp]
type = "smtp"
"""
        if with_queue:
            text += f"""
[probes.queue]
type = "prometheus"
port = {EXPORTER_PORT}
metric = 'postfix_queue_length{{queue="deferred"}}'
below = {QUEUE_LIMIT}
"""
        for name in PORTS:
            probes = '["smtp", "queue"]' if with_queue and name == "smtp" else f'["{name}"]'
            for site in self.sites.values():
                text += f"""
[targets.{name}-{site.name}]
site = "{site.name}"
ipv4 = "{site.host.address()}"
ipv6 = "{site.host.address("AAAA")}"
probes = {probes}
"""
            text += f"""
[routes.{name}]
name = "{owner(name)}"
type = "address"
default = ["{name}-{OWN}", "{name}-{OTHER}"]
"""
        place.write_text(text)
        check = subprocess.run([self.program, "check"], cwd=self.directory, capture_output=True, text=True,
                               check=False)
        if check.returncode != 0 and not with_queue:
            raise SystemExit(check.stdout + check.stderr)
        return check.returncode == 0

    def command(self):
        return self.program, "run"

    def environment(self):
        return {"SSL_CERT_FILE": str(self.root)}

    def version(self):
        return said(self.program, "--version").rpartition(" ")[2]


class Gdnsd(Nameserver):
    """No TLS here: nginx's health is asked over HTTP, beside whether 443 is open. A death is
    believed at the second failure, a return at the second success."""

    name = "gdnsd"
    program = "/usr/sbin/gdnsd"
    package = "gdnsd"

    def configure(self):
        (self.directory / "zones").mkdir()
        (self.directory / "zones" / self.zone).write_text(
            self.zone_file(lambda name: f"{owner(name)} {TTL} DYNA metafo!{name}\n"))
        pace = "interval => 5, timeout => 2, up_thresh => 2, ok_thresh => 2, down_thresh => 2"
        types = "\n".join(f"  {name} => {{ plugin => tcp_connect, port => {port}, {pace} }}"
                          for name, port in PORTS.items())
        addresses = ", ".join(
            f"{site.name} => {{ addrs_v4 => {{ a => {site.host.address()} }}, "
            f"addrs_v6 => {{ a => {site.host.address('AAAA')} }} }}" for site in self.sites.values())
        resources = "\n".join(
            f"    {name} => {{ service_types => [{name}{', health' if name == 'web' else ''}], "
            f"datacenters => [{OWN}, {OTHER}], dcmap => {{ {addresses} }} }}" for name in PORTS)
        (self.directory / "config").write_text(f"""options => {{
  listen => ["{self.host.address()}"],
  run_dir => "{self.directory}/run",
  state_dir => "{self.directory}/state",
}}
service_types => {{
{types}
  health => {{ plugin => http_status, port => 80, url_path => "/healthz", vhost => "webmail.{self.zone}", {pace} }}
}}
plugins => {{ metafo => {{ resources => {{
{resources}
}} }} }}
""")

    def command(self):
        return self.program, "-c", self.directory, "start"

    def version(self):
        return said(self.program, "version").rpartition(" ")[2]


class PowerDns(Nameserver):
    """`ifurlup` for the web server, `ifportup` for the others, which takes the first address that
    is up in the order given. It trusts the root that it finds as the system's."""

    name = "powerdns"
    program = "/usr/sbin/pdns_server"
    package = "pdns-server pdns-backend-geoip"

    def configure(self):
        (self.directory / "zone.yaml").write_text(f"""domains:
- domain: {self.zone}
  ttl: {TTL}
  records:
    {self.zone}:
      - soa: ns1.{self.zone} hostmaster.{self.zone} 1 3600 600 86400 60
      - ns: ns1.{self.zone}
    ns1.{self.zone}:
      - a: {self.host.address()}
""" + "".join(self._name(name) for name in PORTS) + "  services: {}\n")
        (self.directory / "pdns.conf").write_text(f"""launch=geoip
geoip-zones-file={self.directory}/zone.yaml
geoip-database-files=
enable-lua-records=shared
lua-health-checks-interval=5
local-address={self.host.address()}
socket-dir={self.directory}
query-cache-ttl=0
cache-ttl=0
negquery-cache-ttl=0
security-poll-suffix=
loglevel=4
disable-syslog=yes
""")

    def _name(self, name):
        text = f"    {owner(name)}.{self.zone}:\n"
        for rtype in ("A", "AAAA"):
            first, second = (f"'{self.sites[site].host.address(rtype)}'" for site in (OWN, OTHER))
            if name == "web":
                url = f"https://webmail.{self.zone}/healthz"
                code = f"ifurlup('{url}', {{{{{first}}}, {{{second}}}}}, {{timeout=2}})"
            else:
                code = (f";local up = ifportup({PORTS[name]}, {{{first}, {second}}}, {{selector='all', timeout=2}}) "
                        "return up[1]")
            text += f'      - lua: {rtype} "{code}"\n'
        return text

    def command(self):
        # The mounts are this process's own.
        script = ('mount --bind "$0" /etc/ssl/certs/ca-certificates.crt && exec "$@"')
        return ("unshare", "--mount", "sh", "-c", script, self.root,
                self.program, f"--config-dir={self.directory}", "--daemon=no", "--guardian=no")

    def version(self):
        return said(self.program, "--version").partition("Server ")[2].partition(" ")[0]


class Resolver:
    """unbound, with its cache."""

    def __init__(self, network, ipv4, directory, nameservers):
        self.host = network.host("resolver", ipv4)
        self.directory = directory / "resolver"
        self.directory.mkdir()
        self.process = None
        self.nameservers = nameservers
        stubs = "".join(f'stub-zone:\n  name: "{server.zone}"\n  stub-addr: {server.host.address()}\n'
                        for server in nameservers)
        (self.directory / "unbound.conf").write_text(f"""server:
  interface: {self.host.address()}
  access-control: 0.0.0.0/0 allow
  directory: "{self.directory}"
  pidfile: "{self.directory}/pid"
  chroot: ""
  username: ""
  use-syslog: no
  do-daemonize: no
  do-ip6: no
  module-config: "iterator"
remote-control:
  control-enable: yes
  control-interface: {self.directory}/control
  control-use-cert: no
{stubs}""")

    def start(self):
        self.process = self.host.start("/usr/sbin/unbound", "-d", "-c", self.directory / "unbound.conf",
                                       log=self.directory / "log")

    def forget(self):
        """Empties the cache: what is asked next is held for its whole TTL."""
        for server in self.nameservers:
            run("/usr/sbin/unbound-control", "-c", self.directory / "unbound.conf", "flush_zone", server.zone)


ALL = (Waypost, Gdnsd, PowerDns)


def owner(name):
    """The name in the zone that a service has."""
    return {"web": "webmail"}.get(name, name)


def said(*command):
    """The first line; not every program ends well after it told its version."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip().partition("\n")[0]
