"""The yardstick: no name server, only its sockets. It answers anything."""

from .server import REPOSITORY, Server


class Echo(Server):
    name = "echo"
    program = REPOSITORY / "bench/echo/target/release/echo"
    # Octets of each answer; set to the median of what the others send.
    octets = 0

    def prepare(self, zone):
        return lambda: None

    def configure(self):
        return [self.program, f"127.0.0.1:{self.port}", self.octets, len(self.cores)]
