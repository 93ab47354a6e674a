#!/usr/bin/env python3
"""Instructions of the query path's parts, counted by callgrind, against kept figures.

    bench/micro.py            compares; ends with an error if a part became slower
    bench/micro.py --keep     writes the kept figures anew, for review with the change that moved them

Instructions don't depend on what else the machine does. Needs valgrind. Another compiler makes
other instructions: the kept figures name theirs.
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys
import tempfile

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
KEPT = REPOSITORY / "bench/micro/instructions.json"
QUERIES = 1000
# What differs between two runs without a change: tables are seeded, and memcpy suits the processor.
TOLERANCE = 0.03
PARTS = "micro::parts::"


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--keep", action="store_true", help="write the kept figures anew")
    arguments = parser.parse_args()
    found = count(build())
    compiler = first_line("rustc", "--version")
    if arguments.keep:
        KEPT.write_text(json.dumps({"compiler": compiler, "instructions": found}, indent=2) + "\n")
    kept = json.loads(KEPT.read_text())
    slower = compare(found, kept["instructions"])
    if kept["compiler"] != compiler:
        print(f"\nThe kept figures are of {kept['compiler']}; this is {compiler}.")
    if slower:
        print(f"\nSlower: {', '.join(slower)}. If it is worth it, keep the new figures: bench/micro.py --keep")
        sys.exit(1)


def build():
    """The program's path."""
    lines = subprocess.run(
        ["cargo", "bench", "--locked", "--no-run", "--bench", "micro", "--message-format", "json"],
        cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, check=True,
    ).stdout.splitlines()
    messages = (json.loads(line) for line in lines if line.startswith("{"))
    return next(
        message["executable"] for message in messages
        if message.get("executable") and message["target"]["name"] == "micro"
    )


def count(program):
    """Instructions for each query, by part."""
    with tempfile.TemporaryDirectory() as directory:
        profile = pathlib.Path(directory) / "profile"
        subprocess.run(
            ["valgrind", "--tool=callgrind", "--collect-atstart=no", f"--toggle-collect={PARTS}*",
             f"--callgrind-out-file={profile}", program, "--once"],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=True,
        )
        totals = read(profile.read_text())
    return {name: round(total / QUERIES, 1) for name, total in sorted(totals.items())}


def read(profile):
    """Inclusive costs of the functions in `parts`: their own lines and those of their calls.

    A function is "fn=(number) name", later only "fn=(number)"; behind it stand lines of a position
    and a cost, those behind "calls=" with all that the call cost.
    """
    names, totals, current = {}, {}, None
    for line in profile.splitlines():
        named = re.match(r"c?fn=\((\d+)\)(?: (.*))?", line)
        if named:
            number, name = named.groups()
            if name:
                names[number] = name
            if line.startswith("fn="):
                name = names[number]
                current = name.removeprefix(PARTS) if name.startswith(PARTS) else None
        elif current and re.match(r"[+\-*\d]", line):
            totals[current] = totals.get(current, 0) + int(line.split()[-1])
    return totals


def compare(found, kept):
    """Prints both; the parts that became slower."""
    slower = []
    print(f"{'instructions a query':24}{'kept':>10}{'now':>10}")
    for name in sorted({*found, *kept}):
        was, now = kept.get(name), found.get(name)
        if was is None or now is None:
            slower.append(name)
            print(f"{name:24}{was or '-':>10}{now or '-':>10}  in one of both only")
            continue
        change = now / was - 1
        print(f"{name:24}{was:10.1f}{now:10.1f}  {change:+.1%}")
        if change > TOLERANCE:
            slower.append(name)
    return slower


def first_line(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.partition("\n")[0]


if __name__ == "__main__":
    main()
