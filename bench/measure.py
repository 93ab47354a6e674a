"""One measurement: load from its core, and what the server on its own spent meanwhile."""

import contextlib
import json
import os
import random
import statistics
import subprocess
import tempfile

import dns
import peers

SERVER_CORE, CLIENT_CORE = 0, 1
FIRST_PORT = 5320
# Enough that a server is never without work, and its batches are full.
# Socket buffers of the usual size hold them all.
OUTSTANDING = 128
WARM_UP_SECONDS = 0.5
# Of each server's answers, before anything is timed.
VERIFIED = 400


def closed(server, questions, seconds, outstanding=OUTSTANDING):
    """As many queries as the server can answer: its rate, and its CPU time for each."""
    return _load(server, "closed", questions, seconds, outstanding)


def at_rate(server, questions, seconds, rate):
    """A fixed rate: latency."""
    return _load(server, "open", questions, seconds, max(1, round(rate)))


def tcp(server, questions, seconds, connections, pipelined):
    """Connections that stay open."""
    return _load(server, "tcp", questions, seconds, connections, pipelined)


def _load(server, kind, questions, seconds, *numbers):
    command = ["taskset", "-c", CLIENT_CORE, peers.LOAD, kind, f"127.0.0.1:{server.port}", questions, seconds,
               *numbers]
    total, user = server.busy_seconds()
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{server.name}: {done.stderr}")
    total, user = (after - before for after, before in zip(server.busy_seconds(), (total, user)))
    report = json.loads(done.stdout)
    answered = max(1, report["answered"])
    return {
        "per_second": report["per_second"],
        "cpu_us": total * 1e6 / answered,
        "user_us": user * 1e6 / answered,
        "busy": total / report["seconds"],
        "answered": report["answered"],
        "lost": report["lost"],
        "rcodes": report["rcodes"],
        "answer_octets": report["answer_octets"],
        **{key.replace("p99.9", "p999"): value for key, value in report["latency"].items()},
        "delay_p999": report["delay"]["p99.9"],
    }


def full_and_half_load(server, questions, seconds):
    """Everything that a table of a workload has of one server in one round."""
    full = closed(server, questions, seconds)
    half = at_rate(server, questions, seconds, full["per_second"] / 2)
    latency = {key: half[key] for key in ("p50", "p99", "p999", "most", "delay_p999")}
    return {
        **full, **latency,
        "lost": full["lost"] + half["lost"],
        "memory_octets": server.peak_memory_octets(),
    }


def steady(kinds, options, zones, questions, steering_of=lambda kind: None):
    """Rounds of all servers under full load, and under half of it."""
    path = options.scratch / "questions"
    verified = write_questions(path, questions)
    with fleet(kinds, zones, verified, steering_of) as servers:
        for server in servers:
            closed(server, path, WARM_UP_SECONDS)
        rounds = interleaved(
            servers, options.rounds, lambda server: full_and_half_load(server, path, options.seconds)
        )
        return {"rounds": rounds, "versions": versions(servers)}


@contextlib.contextmanager
def fleet(kinds, zones, verified, steering_of=lambda kind: None):
    """All servers, started, verified and warm; the echo's answers as long as theirs are."""
    servers = []
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        # The echo comes last: it needs to know how long answers are.
        for kind in sorted(kinds, key=lambda kind: kind is peers.Echo):
            servers.append(kind(directory, FIRST_PORT + len(servers), [SERVER_CORE], zones, steering_of(kind)))
        try:
            sizes = []
            for server in servers:
                if isinstance(server, peers.Echo):
                    server.octets = round(statistics.median(sizes)) if sizes else 0
                    server.start()
                    server.wait_for(AnyAnswer())
                else:
                    server.start()
                    server.wait_for(verified[0])
                    sizes.append(verify(server, verified))
            yield sorted(servers, key=lambda server: kinds.index(type(server)))
        finally:
            for server in servers:
                server.stop()


class AnyAnswer(dns.Expected):
    """What the echo gives."""

    def __init__(self):
        super().__init__("any.example", "A", [])

    def is_met_by(self, answer):
        return True


def verify(server, questions):
    """Ends the run if an answer of the server is wrong; returns the median of answers' octets."""
    octets = []
    with dns.Client(server.port) as client:
        for expected in random.Random(VERIFIED).sample(questions, min(VERIFIED, len(questions))):
            answer = client.ask(expected)
            if answer is None or not expected.is_met_by(answer):
                seen = "nothing" if answer is None else f"RCODE {answer.rcode}, {answer.data}"
                raise SystemExit(f"{server.name} answers \"{expected.line()}\" wrongly: {seen}, "
                                 f"not RCODE {expected.rcode}, {expected.data}")
            octets.append(answer.octets)
    return statistics.median(octets)


def write_questions(path, questions):
    """Writes them for the load generator; returns some, for verifying and waiting."""
    kept = []
    with open(path, "w", encoding="ascii") as out:
        for number, expected in enumerate(questions):
            out.write(expected.line() + "\n")
            if number < 4000:
                kept.append(expected)
    return kept


def interleaved(servers, rounds, measure):
    """{server: [figures of each round]}: a machine that slows down slows all of them."""
    figures = {server.name: [] for server in servers}
    for _ in range(rounds):
        for server in servers:
            figures[server.name].append(measure(server))
    return figures


def versions(servers):
    return {server.name: server.version() for server in servers}


def all_cores():
    return sorted({SERVER_CORE, CLIENT_CORE} | set(range(os.cpu_count())))
