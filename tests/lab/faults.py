"""What is done to the site `tw`, to the nameserver, and what is right meanwhile."""

import signal
import threading
import time

from nameservers import QUEUE_LIMIT

# One interval of probes, and a second to confirm what they saw.
INTERVAL_AND_A_SECOND = 6.0
# A lost connection is told at once, and so is the refusal of the next ones.
BY_TRIPWIRE = 0.5


class Row:
    """A fault.

    `site_is_dead`: the other site is right while it lasts; else the own one is, and nothing should
    move. `goal`: seconds until Waypost's last wrong answer at most. `at_most`: for how long the
    fault is watched; it ends sooner if all is right for a while.
    """

    service, rtype = "web", "A"
    site_is_dead = True
    goal = INTERVAL_AND_A_SECOND
    at_most = 32.0
    key = title = None
    # False where the fault lasts for `at_most` whatever happens.
    ends_when_right = True

    def begin(self, lab):
        raise NotImplementedError

    def end(self, lab):
        raise NotImplementedError

    def is_possible(self, lab):
        """Whether Waypost has what the row is about."""
        return True

    def is_dead_at(self, moment):
        """Whether the own site was dead then, while the fault lasts."""
        return self.site_is_dead


class Kill(Row):
    def __init__(self, service, title, goal):
        self.key, self.title, self.service, self.goal = f"kill-{service}", f"{title} killed", service, goal

    def begin(self, lab):
        getattr(lab.own, self.service).kill()

    def end(self, lab):
        getattr(lab.own, self.service).start()


class Hang(Row):
    """Connections are still accepted by the kernel; nobody speaks."""

    def __init__(self, service, title):
        self.key, self.title, self.service = f"hang-{service}", f"{title} hangs", service

    def begin(self, lab):
        getattr(lab.own, self.service).signal_all(signal.SIGSTOP)

    def end(self, lab):
        getattr(lab.own, self.service).signal_all(signal.SIGCONT)


class LinkDown(Row):
    key, title, service = "link-down", "link of the site down", "imap"

    def begin(self, lab):
        lab.own.host.link_down()

    def end(self, lab):
        lab.own.host.link_up()


class Filtered(Row):
    """Packets vanish without a word."""

    def __init__(self, key, title, rule, service, rtype="A"):
        self.key, self.title, self.rule, self.service, self.rtype = key, title, rule, service, rtype

    def begin(self, lab):
        lab.own.host.filter("input", self.rule)

    def end(self, lab):
        lab.own.host.unfilter()


class Loss(Filtered):
    """A bad line isn't a dead site."""

    site_is_dead = False
    ends_when_right = False

    def __init__(self):
        super().__init__("loss", "30% of packets lost", "numgen random mod 100 < 30", "web")


class ExpiredCertificate(Row):
    key, title = "expired", "certificate expired"

    def begin(self, lab):
        self.use(lab, "expired")

    def end(self, lab):
        self.use(lab, "good")

    @staticmethod
    def use(lab, kind):
        lab.own.web.use_certificate(kind)
        lab.own.web.reload()


class Http500(Row):
    key, title = "http-500", "HTTP 500"

    def begin(self, lab):
        lab.own.web.broken.touch()

    def end(self, lab):
        lab.own.web.broken.unlink()


class Refusal(Row):
    service = "smtp"

    def __init__(self, reply):
        code = reply.partition(" ")[0]
        self.key, self.title, self.reply = f"smtp-{code}", f"SMTP {code} to everybody", reply

    def begin(self, lab):
        self.refuse(lab, self.reply)

    def end(self, lab):
        self.refuse(lab, None)

    @staticmethod
    def refuse(lab, reply):
        lab.own.smtp.refuse(reply)
        lab.own.smtp.reload()


class FullQueue(Row):
    """The port answers as ever; only the exporter tells."""

    key, title, service = "queue", "mail queue full", "smtp"

    def begin(self, lab):
        lab.own.smtp.fill_queue(QUEUE_LIMIT + 100)

    def end(self, lab):
        lab.own.smtp.empty_queue()

    def is_possible(self, lab):
        return lab.waypost.has_queue_probe


class UplinkDead(Row):
    """The nameserver reaches no site, while its clients still reach it: nothing is known."""

    key, title = "uplink", "nameserver's own uplink dead"
    site_is_dead = False
    ends_when_right = False

    def begin(self, lab):
        for server in lab.servers:
            server.host.filter("output", "ip daddr 198.51.100.0/24")
            server.host.nft("add rule inet lab output ip6 daddr 2001:db8::/32 drop")

    def end(self, lab):
        for server in lab.servers:
            server.host.unfilter()


class Restart(Row):
    """The clock starts with the nameserver, whose site vanished before."""

    key, title, service = "restart", "nameserver restarted, site black-holed", "imap"
    goal = 0.0
    at_most = 15.0
    before = 22.0

    def begin(self, lab):
        lab.own.host.filter("input", "meta l4proto tcp")
        time.sleep(self.before)
        for server in lab.servers:
            server.kill()
        for server in lab.servers:
            server.start()

    def end(self, lab):
        lab.own.host.unfilter()


class Flapping(Row):
    """A second dead, a second alive, for a minute: a server that crashes as soon as it is
    started."""

    key, title = "flapping", "killed every other second for a minute"
    ends_when_right = False
    at_most = 60.0
    goal = None

    def begin(self, lab):
        self.dead = []
        self.thread = threading.Thread(target=self._flap, args=(lab,), daemon=True)
        self.thread.start()

    def _flap(self, lab):
        begin = time.monotonic()
        for second in range(0, int(self.at_most), 2):
            lab.own.web.kill()
            died = time.monotonic()
            time.sleep(max(0.0, begin + second + 1 - time.monotonic()))
            lab.own.web.start()
            self.dead.append((died, time.monotonic()))
            time.sleep(max(0.0, begin + second + 2 - time.monotonic()))

    def end(self, lab):
        self.thread.join()

    def is_dead_at(self, moment):
        return any(died <= moment < alive for died, alive in self.dead)


QUICK = ("kill-web", "hang-imap", "smtp-421")


def all_rows():
    return [
        Kill("web", "nginx", BY_TRIPWIRE),
        Kill("imap", "Dovecot", BY_TRIPWIRE),
        Kill("smtp", "Postfix", INTERVAL_AND_A_SECOND),
        Hang("web", "nginx"),
        Hang("imap", "Dovecot"),
        Hang("smtp", "Postfix"),
        LinkDown(),
        Filtered("drop", "firewall drops everything to the site", "meta l4proto tcp", "smtp"),
        Filtered("ipv6-dead", "IPv6 alone dead (AAAA)", "meta nfproto ipv6 meta l4proto tcp", "imap", "AAAA"),
        Loss(),
        ExpiredCertificate(),
        Http500(),
        Refusal("421 4.3.2 Service is not available"),
        Refusal("554 5.3.2 Mail is out of service"),
        FullQueue(),
        UplinkDead(),
        Restart(),
        Flapping(),
    ]
