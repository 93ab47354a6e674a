#!/usr/bin/env python3
"""Static answers over UDP: the server's CPU time for each query that it answered.

    bench/qps.py [--only echo,waypost,gdnsd,nsd,knot] [--names 10000] [--seconds 5] [--rounds 5] [--output DIR]

The servers run on core 0, dnsperf on core 1. Rounds are interleaved, so that a machine that
slows down slows all of them; what counts is the ratio to the bare echo of the same run.
"""

import argparse
import re
import statistics
import subprocess
import tempfile

import peers
import results
import zone

PORT = 5320
SERVER_CORE, CLIENT_CORE = 0, 1
WARM_UP_SECONDS = 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", help="servers, separated by commas")
    parser.add_argument("--names", type=int, default=10_000)
    parser.add_argument("--seconds", type=int, default=5, help="of each server in each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", help="directory of the JSON file")
    arguments = parser.parse_args()
    chosen = peers.choose(arguments.only, peers.ALL)
    peers.adopt_orphans()
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        queries = f"{directory}/queries"
        zone.write_queries(queries, arguments.names)
        servers = [kind(directory, PORT + i, [SERVER_CORE]) for i, kind in enumerate(chosen)]
        try:
            for server in servers:
                start(server, arguments.names)
                ask(server, queries, WARM_UP_SECONDS)
            rounds = {server.name: [] for server in servers}
            for _ in range(arguments.rounds):
                for server in servers:
                    rounds[server.name].append(ask(server, queries, arguments.seconds))
        finally:
            for server in servers:
                server.stop()
        versions = {server.name: server.version() for server in servers}
    figures = {"names": arguments.names, "seconds": arguments.seconds, "versions": versions, "rounds": rounds}
    path = results.save(f"static-{arguments.names}", figures, arguments.output)
    head = ["", "CPU per answer", "of the echo", "answers per second", "lost"]
    print(results.table(head, rows(rounds)))
    print(f"\nMedians of {arguments.rounds}; {arguments.names} names; raw figures in {path}")


def start(server, names):
    zone.prepare(server.zone_file(), names)()
    server.start()
    if not isinstance(server, peers.Echo):
        server.wait_for(zone.owner(names - 1), zone.address(names - 1))


def ask(server, queries, seconds):
    before = server.cpu_seconds()
    report = subprocess.run(
        ["taskset", "-c", str(CLIENT_CORE), "dnsperf", "-s", "127.0.0.1", "-p", str(server.port),
         "-d", queries, "-l", str(seconds), "-c", "8", "-T", "1", "-q", "200"],
        capture_output=True, text=True, check=True,
    ).stdout
    cpu = server.cpu_seconds() - before
    answered = int(figure(report, "Queries completed"))
    return {
        "answered": answered,
        "lost": int(figure(report, "Queries lost")),
        "per_second": float(figure(report, "Queries per second")),
        "noerror": int(figure(report, "Response codes", r"NOERROR (\d+)")),
        "cpu_seconds": cpu,
        "cpu_microseconds_per_answer": cpu * 1e6 / answered,
    }


def figure(report, title, form=r"([\d.]+)"):
    found = re.search(rf"{title}:\s+{form}", report)
    if found is None:
        raise SystemExit(f"dnsperf reports no \"{title}\":\n{report}")
    return found.group(1)


def rows(rounds):
    def median(name, key):
        return statistics.median(figures[key] for figures in rounds[name])

    for name in rounds:
        cost = median(name, "cpu_microseconds_per_answer")
        # Ratios of the same round: neighbours in time.
        ratio = "" if "echo" not in rounds else "{:.2f}x".format(statistics.median(
            own["cpu_microseconds_per_answer"] / echo["cpu_microseconds_per_answer"]
            for own, echo in zip(rounds[name], rounds["echo"])
        ))
        lost = sum(figures["lost"] for figures in rounds[name])
        yield name, f"{cost:.2f} µs", ratio, f"{median(name, 'per_second'):,.0f}", lost


if __name__ == "__main__":
    main()
