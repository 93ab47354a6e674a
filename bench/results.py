"""Where a run's figures are kept: bench/results/<date>-<cpu>/, JSON with the machine."""

import datetime
import json
import os
import pathlib
import platform
import re

RESULTS = pathlib.Path(__file__).resolve().parent / "results"


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as cpuinfo:
        model = re.search(r"model name\s*:\s*(.*)", cpuinfo.read())
    return {
        "cpu": model.group(1).strip() if model else platform.machine(),
        "cores": os.cpu_count(),
        "kernel": platform.release().split("-")[0],
    }


def directory():
    cpu = re.sub(r"[^a-z0-9]+", "-", machine()["cpu"].lower()).strip("-")
    return RESULTS / f"{datetime.date.today().isoformat()}-{cpu}"


def save(place, name, figures):
    """Figures need no more digits than they have meaning."""
    place.mkdir(parents=True, exist_ok=True)
    path = place / f"{name}.json"
    path.write_text(json.dumps({"machine": machine(), **rounded(figures)}, indent=1) + "\n")
    return path


def load(place, name):
    """None if that wasn't measured."""
    path = place / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def rounded(value):
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {key: rounded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [rounded(inner) for inner in value]
    return value
