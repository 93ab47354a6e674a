"""NSD, with as many server processes as cores."""

import subprocess

from .server import Server, first_line


class Nsd(Server):
    name = "nsd"
    program = "/usr/sbin/nsd"
    packages = ("nsd",)

    def written_file(self, zone):
        """It doesn't sign."""
        return zone.signed if zone.is_signed else zone.written

    def configure(self):
        config = self.directory / "nsd.conf"
        text = f"""server:
  ip-address: 127.0.0.1@{self.port}
  server-count: {len(self.cores)}
  username: ""
  chroot: ""
  database: ""
  zonesdir: "{self.directory}"
  pidfile: "{self.directory}/nsd.pid"
  xfrdfile: "{self.directory}/xfrd.state"
  zonelistfile: "{self.directory}/zone.list"
  xfrdir: "{self.directory}"
  minimal-responses: yes
  tcp-count: 1000
  rrl-ratelimit: 0
  receive-buffer-size: 4194304
  send-buffer-size: 4194304
remote-control:
  control-enable: yes
  control-interface: "{self.directory}/control"
"""
        for zone in self.zones:
            text += f"zone:\n  name: {zone.origin}\n  zonefile: {self.zone_file(zone.origin)}\n"
        config.write_text(text)
        return [self.program, "-d", "-c", config]

    def reload(self, origin):
        subprocess.Popen(["nsd-control", "-c", self.directory / "nsd.conf", "reload", origin],
                         stdout=subprocess.DEVNULL)

    def version(self):
        return first_line(self.program, "-v")
