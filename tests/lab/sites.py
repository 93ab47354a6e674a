"""A site: real nginx, Dovecot and Postfix, and an exporter of Postfix's deferred queue."""

import pathlib
import shutil
import signal
import subprocess
import sys
import time

from network import family, run, send

HERE = pathlib.Path(__file__).resolve().parent
PORTS = {"web": 443, "imap": 993, "smtp": 25}
EXPORTER_PORT = 9154


class Service:
    """A daemon with all its processes, of which the first stays in the foreground."""

    def __init__(self, site, name):
        self.host, self.site, self.name = site.host, site, name
        self.directory = site.directory / name
        self.directory.mkdir(parents=True)
        self.process = None

    def start(self):
        self.process = self.host.start(*self.command(), log=self.directory / "log")

    def signal_all(self, kind):
        for pid in family(self.process.pid):
            send(pid, kind)

    def kill(self):
        """All at once, as when memory is out: nobody says good-bye."""
        self.signal_all(signal.SIGKILL)
        self.process.wait()

    def reload(self):
        send(self.process.pid, signal.SIGHUP)


class Nginx(Service):
    """HTTPS, and HTTP for those who can't check TLS."""

    def __init__(self, site):
        super().__init__(site, "web")
        self.broken = self.directory / "broken"
        (self.directory / "logs").mkdir()
        self.certificate = self.directory / "site.pem"
        self.use_certificate("good")
        (self.directory / "nginx.conf").write_text(f"""daemon off;
pid {self.directory}/pid;
user root;
worker_processes 1;
error_log {self.directory}/error.log;
events {{ }}
http {{
  access_log off;
  client_body_temp_path {self.directory}/body;
  proxy_temp_path {self.directory}/proxy;
  fastcgi_temp_path {self.directory}/fastcgi;
  uwsgi_temp_path {self.directory}/uwsgi;
  scgi_temp_path {self.directory}/scgi;
  server {{
    listen 80; listen [::]:80; listen 443 ssl; listen [::]:443 ssl;
    ssl_certificate {self.certificate};
    ssl_certificate_key {site.authority.key};
    location / {{
      if (-f {self.broken}) {{ return 500; }}
      return 200 "well\\n";
    }}
  }}
}}
""")

    def use_certificate(self, kind):
        shutil.copy(self.site.authority.certificate(kind), self.certificate)

    def command(self):
        return "/usr/sbin/nginx", "-c", self.directory / "nginx.conf", "-p", self.directory


class Dovecot(Service):
    """IMAP and IMAPS."""

    def __init__(self, site):
        super().__init__(site, "imap")
        (self.directory / "dovecot.conf").write_text(f"""base_dir = {self.directory}/run
state_dir = {self.directory}/state
instance_name = lab-{site.name}
log_path = {self.directory}/dovecot.log
protocols = imap
ssl = yes
ssl_cert = <{site.authority.certificate("good")}
ssl_key = <{site.authority.key}
mail_location = maildir:{self.directory}/mail
passdb {{
  driver = static
  args = password=lab
}}
""")

    def command(self):
        return "/usr/sbin/dovecot", "-F", "-c", self.directory / "dovecot.conf"


class Postfix(Service):
    """SMTP. Only what greets senders runs: nothing here is to be delivered."""

    def __init__(self, site):
        super().__init__(site, "smtp")
        self.queue = self.directory / "queue"
        self.config = self.directory / "config"
        self.data = self.directory / "data"
        for directory in (self.queue, self.config, self.data):
            directory.mkdir()
        shutil.chown(self.data, "postfix")
        (self.config / "master.cf").write_text("""smtp inet n - n - - smtpd
anvil unix - - n - 1 anvil
proxymap unix - - n - - proxymap
rewrite unix - - n - - trivial-rewrite
cleanup unix n - n - 0 cleanup
tlsmgr unix - - n 1000? 1 tlsmgr
postlog unix-dgram n - n - 1 postlogd
""")
        self.refuse(None)
        run("/usr/sbin/postfix", "-c", self.config, "check")

    def refuse(self, reply):
        """Answers everybody's connection by this reply; None: serves them."""
        restriction = f"smtpd_client_restrictions = check_client_access static:{{{reply}}}\n" if reply else ""
        (self.config / "main.cf").write_text(f"""compatibility_level = 3.6
queue_directory = {self.queue}
data_directory = {self.data}
myhostname = mx-{self.site.name}.example
mydestination =
inet_interfaces = all
smtpd_peername_lookup = no
smtpd_delay_reject = no
smtpd_relay_restrictions = reject
alias_maps =
alias_database =
maillog_file = {self.directory}/mail.log
maillog_file_prefixes = {self.directory}
{restriction}""")

    def command(self):
        # -d: stays in the foreground. The queue's lock of a killed one is free at once.
        return "/usr/lib/postfix/sbin/master", "-d", "-c", self.config

    def reload(self):
        """An idle smtpd would greet one more client with what it read when it started."""
        super().reload()
        for pid in family(self.process.pid)[1:]:
            if pathlib.Path(f"/proc/{pid}/comm").read_text(encoding="ascii") == "smtpd\n":
                send(pid, signal.SIGTERM)

    def fill_queue(self, messages):
        for number in range(messages):
            (self.queue / "deferred" / f"{number:06X}").touch()

    def empty_queue(self):
        for message in (self.queue / "deferred").iterdir():
            message.unlink()


class Exporter(Service):
    def __init__(self, site, queue):
        super().__init__(site, "exporter")
        self.queue = queue

    def command(self):
        return sys.executable, HERE / "exporter.py", EXPORTER_PORT, self.queue / "deferred"


class Site:
    def __init__(self, network, name, ipv4, directory, authority):
        self.name = name
        self.host = network.host(name, ipv4)
        self.directory = directory / name
        self.authority = authority
        self.web, self.imap, self.smtp = Nginx(self), Dovecot(self), Postfix(self)
        self.exporter = Exporter(self, self.smtp.queue)

    def start(self):
        for service in (self.web, self.imap, self.smtp, self.exporter):
            service.start()

    def wait_until_listening(self, seconds=15):
        deadline = time.monotonic() + seconds
        wanted = {*PORTS.values(), EXPORTER_PORT}
        while True:
            said = subprocess.run(["ip", "netns", "exec", self.host.namespace, "ss", "-Hltn"],
                                  capture_output=True, text=True, check=True).stdout
            missing = wanted - {int(line.split()[3].rpartition(":")[2]) for line in said.splitlines()}
            if not missing:
                return
            if time.monotonic() > deadline:
                logs = "\n".join(path.read_text(errors="replace")[-1000:]
                                 for path in self.directory.rglob("*log") if path.is_file())
                raise SystemExit(f"nothing listens at ports {sorted(missing)} of {self.name}:\n{logs}")
            time.sleep(0.05)
