"""BIND. Its views don't look at client subnets, so it serves static zones only."""

import subprocess

from .server import Server, first_line

KEY = "d2F5cG9zdCBiZW5jaG1hcmtzIG9uIGxvb3BiYWNrLi4="


class Bind(Server):
    name = "bind"
    program = "/usr/sbin/named"
    packages = ("bind9",)

    def written_file(self, zone):
        """It signs behind its answers, over many minutes for large zones; its tool is faster."""
        return zone.signed if zone.is_signed else zone.written

    def configure(self):
        config = self.directory / "named.conf"
        # Commands have an address of their own.
        key = f'key "bench" {{ algorithm hmac-sha256; secret "{KEY}"; }};\n'
        text = f"""{key}controls {{
  inet 127.0.0.2 port {self.port} allow {{ 127.0.0.1; }} keys {{ "bench"; }};
}};
options {{
  directory "{self.directory}";
  listen-on port {self.port} {{ 127.0.0.1; }};
  listen-on-v6 {{ none; }};
  pid-file none;
  session-keyfile none;
  recursion no;
  empty-zones-enable no;
  minimal-responses yes;
  notify no;
  tcp-clients 1000;
}};
"""
        for zone in self.zones:
            text += f'zone "{zone.origin}" {{ type primary; file "{self.zone_file(zone.origin)}"; }};\n'
        config.write_text(text)
        (self.directory / "rndc.conf").write_text(key + f"""options {{
  default-key "bench"; default-server 127.0.0.2; default-port {self.port};
}};
""")
        threads = len(self.cores)
        return [self.program, "-f", "-c", config, "-n", threads, "-U", threads]

    def reload(self, origin):
        subprocess.Popen(["rndc", "-c", self.directory / "rndc.conf", "reload", origin],
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def version(self):
        return first_line(self.program, "-v")
