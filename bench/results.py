"""What a run leaves behind: a table to read, and the raw figures in JSON with their machine."""

import datetime
import json
import os
import pathlib
import platform
import re


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as cpuinfo:
        model = re.search(r"model name\s*:\s*(.*)", cpuinfo.read())
    return {
        "cpu": model.group(1).strip() if model else platform.machine(),
        "cores": os.cpu_count(),
        "kernel": platform.release().split("-")[0],
    }


def save(name, figures, directory=None):
    """Writes bench/results/<date>-<cpu>/<name>.json, or into `directory`."""
    here = machine()
    if directory is None:
        cpu = re.sub(r"[^a-z0-9]+", "-", here["cpu"].lower()).strip("-")
        day = datetime.date.today().isoformat()
        directory = pathlib.Path(__file__).resolve().parent / "results" / f"{day}-{cpu}"
    path = pathlib.Path(directory) / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"machine": here, **figures}, indent=1) + "\n")
    return path


def table(head, rows):
    """A Markdown table."""
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
