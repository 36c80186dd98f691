"""The loads: what a request of each workload is, and one run of wrk or ringway-loadtest against one proxy."""

import json
import re
import subprocess
import sys
import time

from .process import on_cores

CLOSE = ["-H", "Connection: close"]
# As nginx and HAProxy with OpenSSL 3.0 have no ML-KEM, the comparison leaves it out but for `tls-hybrid`.
HANDSHAKES = ["--close", "--insecure", "--key-exchange"]
# name: (path, further arguments of the load, connections unless told otherwise). Names with `tls`: in TLS;
# handshakes are made and counted by ringway-loadtest, all else by wrk.
WORKLOADS = {
    "keepalive": ("/1024", [], [8, 64, 512]),
    "close": ("/1024", CLOSE, [8, 64, 512]),
    "100k": ("/102400", [], [8, 64]),
    "10m": ("/10485760", [], [8]),
    # The same requests over relayed connections: ping-pong, and floods.
    "tcp": ("/1024", [], [8, 64, 512]),
    "tcp-10m": ("/10485760", [], [8]),
    "tls": ("/1024", [], [8, 64, 512]),
    "tls-100k": ("/102400", [], [8, 64]),
    "tls-full": ("/1024", [*HANDSHAKES, "x25519"], [16]),
    # A client keeps 8 tickets for a server: more connections at once would at times find none.
    "tls-resumed": ("/1024", [*HANDSHAKES, "x25519", "--handshakes", "resumed"], [8]),
    "tls-hybrid": ("/1024", [*HANDSHAKES, "hybrid"], [16]),
}
BODIES = ("100k", "10m", "tcp-10m", "tls-100k")


def handshakes(workload):
    """Whether it is about handshakes, which wrk cannot make at will."""
    return workload.startswith("tls-") and workload != "tls-100k"


class Round:
    """One run of the load against one proxy, and what it cost that."""

    def __init__(self, proxy, command, cores, read, bytes_each=0):
        command = [str(part) for part in command]
        before, start = proxy.cpu(), time.monotonic()
        run = subprocess.run(command, capture_output=True, text=True, preexec_fn=on_cores(cores))
        wall, after = time.monotonic() - start, proxy.cpu()
        try:
            requests = read(self, run.stdout)
        except (TypeError, ValueError, KeyError):
            requests = 0
        if requests == 0:
            proxy.fail(f"the load got nothing: {run.stdout}{run.stderr}(exit code {proxy.child.poll()})")
        cpu = sum(after) - sum(before)
        self.requests = requests
        self.micros = cpu * 1e6 / requests
        self.user_micros = (after[0] - before[0]) * 1e6 / requests
        self.busy = cpu / wall
        self.resident = proxy.resident()
        self.gbit_per_cpu = bytes_each * 8e-9 * requests / cpu if cpu else 0


def closed_round(args, wrk, proxy, connections, seconds, cores):
    """As many requests as the proxy takes, one after the other on each connection."""
    path, more, _ = WORKLOADS[args.workload]
    if handshakes(args.workload):
        command = [args.loadtest, "run", proxy.url + path, "--connections", connections, "--duration", seconds,
                   "--json", *more]
        return Round(proxy, command, cores, lambda done, text: read_loadtest(done, text, args.workload), int(path[1:]))
    # wrk gives each thread as many connections as the others.
    threads = len(cores) if connections >= len(cores) else 1
    command = [wrk, f"-t{threads}", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", *more, proxy.url + path]
    return Round(proxy, command, cores, read_wrk, int(path[1:]))


def open_round(args, proxy, connections, seconds, cores, rate):
    """So many requests a second, whatever the proxy does; each is timed from the moment it was due."""
    path, more, _ = WORKLOADS[args.workload]
    if more and not handshakes(args.workload):
        sys.exit(f"no latencies at a fixed rate of {args.workload}")
    trust = ["--insecure"] if proxy.url.startswith("https") and not more else []
    command = [args.loadtest, "run", proxy.url + path, "--connections", connections, "--duration", seconds,
               "--warmup", "0.5", "--rate", f"{rate:.0f}", "--json", *more, *trust]
    return Round(proxy, command, cores, read_latencies, int(path[1:]))


def read_wrk(done, report):
    done.rate = float(re.search(r"Requests/sec: +([\d.]+)", report)[1])
    bad = re.findall(r"(?:connect|read|write|timeout) (\d+)", report)
    bad += re.findall(r"Non-2xx or 3xx responses: (\d+)", report)
    done.errors = sum(map(int, bad))
    return int(re.search(r"(\d+) requests in ", report)[1])


def read_loadtest(done, report, workload):
    report = json.loads(report)
    made = report["handshakes"]
    # The first handshakes of a run have no session to resume. Any other of the wrong kind is an error.
    wrong = max(0, made["full"] - report["plan"]["connections"]) if workload == "tls-resumed" else made["resumed"]
    done.rate, done.errors = report["per_second"], report["errors"] + wrong
    return report["answers"]


def read_latencies(done, report):
    report = json.loads(report)
    done.rate, done.errors = report["per_second"], report["errors"]
    done.latency = report["latency_us"]
    done.late = report["open_loop"]["tester_lag_us"]["p99"]
    done.kept_up = report["open_loop"]["kept_up"]
    # The load that was not counted, while it warmed up, cost the proxy as much.
    return report["answers"] + report["warm_up"]["answers"]
