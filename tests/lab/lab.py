"""The whole laboratory, and one row of its table."""

import ipaddress
import random
import shutil
import time

import nameservers
from asker import Asker
from certificates import Authority
from nameservers import OTHER, OWN, owner
from sites import Site

# A row begins at any moment of the peers' and our intervals, and with a fresh cache.
INTERVAL = 5.0
CALM = 3.0
SETTLING = 60.0
RETURNING = 40.0


class Lab:
    def __init__(self, network, directory, kinds):
        names = [f"{owner(name)}.{kind.name}.example" for kind in kinds for name in ("web", "imap", "smtp")]
        authority = Authority(directory / "ca", names)
        self.sites = {name: Site(network, name, ipv4, directory, authority)
                      for name, ipv4 in ((OWN, "198.51.100.10"), (OTHER, "198.51.100.26"))}
        self.own = self.sites[OWN]
        self.servers = [kind(network, f"192.0.2.{16 * number + 10}", directory, self.sites, authority.root)
                        for number, kind in enumerate(kinds)]
        self.waypost = next((server for server in self.servers if isinstance(server, nameservers.Waypost)), None)
        self.resolver = nameservers.Resolver(network, "203.0.113.10", directory, self.servers)
        self.client = network.host("client", "203.0.113.26")
        self.directory = directory

    def start(self):
        for site in self.sites.values():
            site.start()
        for site in self.sites.values():
            site.wait_until_listening()
        self.resolver.start()

    def ask(self, row):
        return Asker(self.client, self.resolver, self.servers,
                     lambda server: f"{owner(row.service)}.{server.zone}", row.rtype)

    def address(self, site, row):
        return ipaddress.ip_address(self.sites[site].host.address(row.rtype)).packed

    def run(self, row, waits_for_caches, waits_for_return):
        """{server: figures} of one fault; all nameservers are new, so that no row remembers
        another."""
        for server in self.servers:
            if server.process is not None:
                server.kill()
            shutil.rmtree(server.directory / "state", ignore_errors=True)
            server.start()
        own = self.address(OWN, row)
        with self.ask(row) as asker:
            self.settle(asker, own)
            time.sleep(random.uniform(0, INTERVAL))
            self.resolver.forget()
            time.sleep(0.3)
            begin = time.monotonic()
            row.begin(self)
            if row.key == "restart":
                begin = time.monotonic()
            self.watch(asker, row, own, begin, waits_for_caches)
            if row.key == "flapping":
                row.thread.join()
            over = time.monotonic()
            row.end(self)
            healed = time.monotonic()
            if waits_for_return:
                self.wait(asker.direct, lambda sample: own in (sample.addresses or ()), 1.0, RETURNING)
            end = time.monotonic()
        return {server.name: self.figures(row, own, asker.direct[server.name],
                                          asker.cached[server.name] if waits_for_caches else None,
                                          begin, over, healed, end) for server in self.servers}

    def settle(self, asker, own):
        if not self.wait(asker.direct, lambda sample: sample.addresses == {own}, 2.0, SETTLING):
            for name, series in asker.direct.items():
                seen = [sample.addresses for sample in series.latest(0.5)]
                log = (self.directory / name / "log").read_text(errors="replace")[-3000:]
                print(f"{name}: {seen}\n{log}")
            raise SystemExit("not everybody sends clients to their own site before the fault")

    @staticmethod
    def wait(places, is_right, calm, at_most):
        """Until everybody has been right for so long."""
        begin = time.monotonic()
        while time.monotonic() < begin + at_most:
            time.sleep(0.1)
            latest = [series.latest(calm) for series in places.values()]
            if time.monotonic() > begin + calm and all(
                    samples and all(is_right(sample) for sample in samples) for samples in latest):
                return True
        return False

    def watch(self, asker, row, own, begin, waits_for_caches):
        places = {name: asker.direct[name] for name in asker.direct}
        if waits_for_caches:
            places |= {f"{name} cached": series for name, series in asker.cached.items()}
        if row.ends_when_right:
            self.wait(places, lambda sample: sample.addresses and own not in sample.addresses, CALM, row.at_most)
        else:
            time.sleep(max(0.0, begin + row.at_most - time.monotonic()))

    @staticmethod
    def figures(row, own, direct, cached, begin, over, healed, end):
        def wrong(sample):
            # Silence is no wrong answer, and in a busy machine no news; it is told apart.
            if sample.addresses is None:
                return False
            if not sample.addresses:
                return True
            return (own in sample.addresses) if row.is_dead_at(sample.at) else (
                not row.site_is_dead and own not in sample.addresses)

        def last_wrong(series):
            asked = [sample for sample in series.samples if begin <= sample.at < over]
            bad = [sample.at for sample in asked if wrong(sample)]
            if not bad:
                return 0.0
            # Wrong to the end: it was never noticed.
            return None if row.ends_when_right and bad[-1] > over - 1.0 else bad[-1] - begin

        during = [sample for sample in direct.samples if begin <= sample.at < over]
        answered = [sample for sample in direct.samples if begin <= sample.at < end and sample.addresses is not None]
        back = [sample.at for sample in direct.samples
                if healed <= sample.at < end and own not in (sample.addresses or ())]
        first = next((sample.at + sample.took - begin for sample in answered), None)
        return {
            "server_seconds": last_wrong(direct),
            **({"resolver_seconds": last_wrong(cached)} if cached else {}),
            "wrong": sum(map(wrong, during)),
            "asked": len(during),
            "unanswered": sum(sample.addresses is None for sample in during),
            "changes": sum(before.addresses != after.addresses for before, after in zip(answered, answered[1:])),
            "back_seconds": (back[-1] - healed) if back else 0.0,
            "first_answer_seconds": first if row.key == "restart" else None,
        }
