"""What is printed: Markdown tables, and on which machine they were made."""

import datetime
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path


def print_row(cells, head=False):
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)
    if head:
        print("|" + "---|" * len(cells))


def first_line(*command):
    """What a program says of its version."""
    run = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    return (run.stdout + run.stderr).strip().split("\n")[0]


def describe_machine(what):
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    control = Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text().strip()
    return (f"{datetime.date.today()}, Linux {platform.release()}, {control}, {os.cpu_count()} x "
            f"{cpu[1] if cpu else platform.machine()}; {what}")


def wrk_version():
    path = shutil.which("wrk")
    return first_line(path, "-v").split(" Copyright")[0] if path else None
