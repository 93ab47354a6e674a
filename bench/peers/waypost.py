"""Waypost."""

from .server import REPOSITORY, Server, first_line


class Waypost(Server):
    name = "waypost"
    program = REPOSITORY / "target/release/waypost"

    def zone_file(self, origin):
        return self.directory / "zones" / f"{origin}.zone"

    def configure(self):
        config = self.directory / "waypost.toml"
        text = f"""[server]
listen = ["127.0.0.1:{self.port}"]
workers = {len(self.cores)}
zones = "zones"
state = "state"
"""
        if self.steering:
            text += self._regions()
        routed = {route.origin for route in self.steering.routes} if self.steering else set()
        for zone in self.zones:
            beside = "[dnssec]\nsign = true\n" if zone.is_signed else ""
            beside += self._routes(zone.origin) if zone.origin in routed else ""
            if beside:
                (self.directory / "zones" / f"{zone.origin}.toml").write_text(beside)
        config.write_text(text)
        return [self.program, "run", "--config", config]

    def _regions(self):
        text = f'[geoip]\ndatabase = "{self.steering.database}"\n' if self.steering.database else ""
        for region in self.steering.regions:
            text += f"[regions.{region.name}]\n"
            if region.country:
                text += f'countries = ["{region.country}"]\n'
            if region.network:
                text += f'networks = ["{region.network}"]\n'
        return text

    def _routes(self, origin):
        steering = self.steering
        text = ""
        if steering.probe_port:
            text += f"""[probes.tcp]
type = "tcp"
port = {steering.probe_port}
interval = "100ms"
timeout = "50ms"
confirm_interval = "10ms"
hold = "0s"
"""
        for target in steering.targets:
            text += f'[targets.{target.name}]\nipv4 = "{target.ipv4}"\n'
            text += f'ipv6 = "{target.ipv6}"\n' if target.ipv6 else ""
            text += 'probes = ["tcp"]\n' if steering.probe_port else ""
        for number, route in enumerate(steering.routes):
            text += f'[routes.route-{number}]\ntype = "address"\n'
            text += f"names = {list(route.names)}\n".replace("'", '"')
            for region, chain in route.chains.items():
                text += f"{region} = {[target.name for target in chain]}\n".replace("'", '"')
        return text

    def reload(self, origin):
        """It watches its files."""

    def version(self):
        return first_line(self.program, "--version")
