"""Knot DNS; steering by its geoip module, which has each name's answers in memory."""

import subprocess

from .server import Server, first_line


class Knot(Server):
    name = "knot"
    program = "/usr/sbin/knotd"
    packages = ("knot", "knot-module-geoip")
    needs = ("lib/*/knot/modules-*/geoip.so",)

    def configure(self):
        config = self.directory / "knot.conf"
        text = f"""server:
  rundir: "{self.directory}"
  listen: 127.0.0.1@{self.port}
  udp-workers: {len(self.cores)}
  tcp-workers: {len(self.cores)}
  background-workers: {len(self.cores)}
  edns-client-subnet: on
control:
  listen: knot.sock
database:
  storage: "{self.directory}"
"""
        module = ""
        if self.steering:
            module = "    module: mod-geoip/steering\n"
            text += self._steering()
        text += f"""policy:
  - id: bench
    manual: on
    single-type-signing: on
    signing-threads: {len(self.cores)}
template:
  - id: default
    storage: "{self.directory}"
    journal-content: none
    zonefile-sync: -1
{module}zone:
"""
        for zone in self.zones:
            text += f"  - domain: {zone.origin}\n    file: {self.zone_file(zone.origin)}\n"
            if zone.is_signed:
                text += "    dnssec-signing: on\n    dnssec-policy: bench\n"
        config.write_text(text)
        # The module signs when it is loaded, with keys that are there before the server starts.
        for zone in self.zones:
            if zone.is_signed:
                key = ("generate", "algorithm=ECDSAP256SHA256", "ksk=yes", "zsk=yes")
                subprocess.run(["keymgr", "-c", config, zone.origin, *key], stdout=subprocess.DEVNULL, check=True)
        return [self.program, "-c", config]

    def _steering(self):
        steering = self.steering
        by_country = bool(steering.database)
        geo = self.directory / "geo.conf"
        with open(geo, "w", encoding="ascii") as out:
            for route in steering.routes:
                for name in route.names:
                    out.write(f"{name}.{route.origin}:\n")
                    for region in steering.regions:
                        place = f'geo: "{region.country}"' if by_country else f"net: {region.network}"
                        out.write(f"  - {place}\n{self._addresses(route.chains[region.name][0])}")
                    if by_country:
                        out.write(f'  - geo: "*"\n{self._addresses(route.chains["default"][0])}')
        text = f'mod-geoip:\n  - id: steering\n    config-file: "{geo}"\n    ttl: 20\n'
        if by_country:
            text += f'    mode: geodb\n    geodb-file: "{steering.database}"\n    geodb-key: country/iso_code\n'
        else:
            text += "    mode: subnet\n"
        return text

    @staticmethod
    def _addresses(target):
        return f"    A: {target.ipv4}\n" + (f"    AAAA: {target.ipv6}\n" if target.ipv6 else "")

    def reload(self, origin):
        subprocess.Popen(["knotc", "-s", self.directory / "knot.sock", "zone-reload", origin],
                         stdout=subprocess.DEVNULL)

    def version(self):
        return first_line(self.program, "--version")
