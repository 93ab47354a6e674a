"""PowerDNS with its geoip backend, whose zones are YAML; and with Lua records in it."""

import subprocess

from .server import Server, first_line


class PowerDns(Server):
    name = "powerdns"
    program = "/usr/sbin/pdns_server"
    packages = ("pdns-server", "pdns-backend-geoip")
    needs = ("lib/*/pdns/libgeoipbackend.so",)
    has_lua = False

    def zone_file(self, origin):
        return self.directory / f"{origin}.yaml"

    def zone_lines(self, zone):
        """Ours is the only zone of the file."""
        routes = self._routes()
        yield f"domains:\n- domain: {zone.origin}\n  ttl: 20\n  records:\n"
        for owner, rtype, data in zone.records():
            if owner in routes:
                continue
            data = self._absolute(rtype, data, zone.origin)
            # Several records of one owner stand together.
            if rtype != "NS":
                yield f"    {self._name(owner, zone.origin)}:\n"
            yield f"      - {rtype.lower()}: '{data}'\n"
        for name, route in routes.items():
            kind = self._lua if self.has_lua else self._places
            yield from kind(name, route, zone.origin)
        if routes and not self.has_lua:
            yield "  services:\n"
            for name in routes:
                full = self._name(name, zone.origin)
                yield f"    {full}: ['%cc.{full}', 'other.{full}']\n"
        else:
            yield "  services: {}\n"

    def _routes(self):
        return {name: route for route in (self.steering.routes if self.steering else ()) for name in route.names}

    def _places(self, name, route, origin):
        """A name for each country, which the service of the name chooses from."""
        places = [(region.country.lower(), region.name) for region in self.steering.regions]
        for label, region in [*places, ("other", "default")]:
            target = route.chains[region][0]
            yield f"    {label}.{self._name(name, origin)}:\n"
            yield f"      - a: '{target.ipv4}'\n      - aaaa: '{target.ipv6}'\n"

    def _lua(self, name, route, origin):
        yield f"    {self._name(name, origin)}:\n"
        for rtype in ("A", "AAAA"):
            code = ";"
            for region in self.steering.regions:
                address = route.chains[region.name][0].address(rtype)
                code += f"if country('{region.country}') then return '{address}' end "
            code += f"return '{route.chains['default'][0].address(rtype)}'"
            yield f"      - lua: {rtype} \"{code}\"\n"

    @staticmethod
    def _name(owner, origin):
        return origin if owner == "@" else f"{owner}.{origin}"

    @staticmethod
    def _absolute(rtype, data, origin):
        """Names in data, which YAML has without an origin and without the last dot."""
        places = {"NS": [0], "MX": [1], "SOA": [0, 1]}.get(rtype, [])
        words = data.split(" ")
        for place in places:
            word = words[place]
            words[place] = word[:-1] if word.endswith(".") else f"{word}.{origin}"
        return " ".join(words)

    def configure(self):
        zone, = self.zones
        origin = zone.origin
        (self.directory / "pdns.conf").write_text(f"""launch=geoip
geoip-zones-file={self.zone_file(origin)}
geoip-database-files={self.steering.database if self.steering else ""}
edns-subnet-processing={"yes" if self.steering else "no"}
enable-lua-records={"shared" if self.has_lua else "no"}
local-address=127.0.0.1
local-port={self.port}
socket-dir={self.directory}
receiver-threads={len(self.cores)}
distributor-threads={len(self.cores)}
max-tcp-connections=1000
max-tcp-connections-per-client=0
loglevel=3
log-dns-queries=no
disable-syslog=yes
geoip-dnssec-keydir={self.directory}
""")
        if zone.is_signed:
            subprocess.run(
                ["pdnsutil", f"--config-dir={self.directory}", "add-zone-key", origin, "ksk", "active", "ecdsa256"],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True,
            )
        return [self.program, f"--config-dir={self.directory}", "--daemon=no", "--guardian=no"]

    def version(self):
        return first_line(self.program, "--version").rpartition("] ")[2]


class PowerDnsLua(PowerDns):
    name = "powerdns-lua"
    has_lua = True
