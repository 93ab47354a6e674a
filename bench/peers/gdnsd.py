"""gdnsd; steering by its geoip plugin, with monitoring set to always up."""

import subprocess

from .server import Server, first_line


class Gdnsd(Server):
    name = "gdnsd"
    program = "/usr/sbin/gdnsd"
    packages = ("gdnsd",)

    def zone_file(self, origin):
        return self.directory / "zones" / origin

    def zone_lines(self, zone):
        """Routed names have a record of its own kind instead of the static ones."""
        routes = {
            name: number
            for number, route in enumerate(self.steering.routes if self.steering else ())
            for name in route.names
        }
        for line in zone.lines():
            owner = line.partition(" ")[0]
            if owner not in routes:
                yield line
        for name, number in routes.items():
            yield f"{name} 20 DYNA geoip!route-{number}\n"

    def configure(self):
        config = self.directory / "config"
        config.write_text(f"""options => {{
  listen => ["127.0.0.1:{self.port}"],
  run_dir => "{self.directory}/run",
  state_dir => "{self.directory}/state",
  udp_threads => {len(self.cores)},
  udp_rcvbuf => 1048576,
  udp_sndbuf => 1048576,
  tcp_threads => {len(self.cores)},
}}
{self._plugin() if self.steering else ""}""")
        return [self.program, "-c", self.directory, "start"]

    def _plugin(self):
        steering = self.steering
        # Chains of regions are the same in all routes: a map has them once.
        chains = steering.routes[0].chains
        sites = {target.name: target for target in steering.targets}

        def chain(region):
            return f"[{', '.join(target.name for target in chains[region])}]"

        countries = ", ".join(f"{region.country} => {chain(region.name)}" for region in steering.regions)
        dcmap = ", ".join(
            f"{name} => {{ addrs_v4 => {{ a => {target.ipv4} }}, addrs_v6 => {{ a => {target.ipv6} }} }}"
            for name, target in sites.items()
        )
        resources = "\n".join(
            f"    route-{number} => {{ map => clients, dcmap => {{ {dcmap} }} }}"
            for number in range(len(steering.routes))
        )
        return f"""plugins => {{ geoip => {{
  service_types => up,
  maps => {{ clients => {{
    geoip2_db => "{steering.database}",
    datacenters => {chain("default")},
    map => {{ {steering.continent} => {{ {countries} }} }},
  }} }},
  resources => {{
{resources}
  }},
}} }}
"""

    def reload(self, origin):
        # Returns when it is done; the clock doesn't wait for that.
        subprocess.Popen(["gdnsdctl", "-c", self.directory, "reload-zones"], stderr=subprocess.DEVNULL)

    def version(self):
        return first_line(self.program, "version")
