"""Children on cores of their own, what they cost, and how to talk to them."""

import os
import re
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
TICKS = os.sysconf("SC_CLK_TCK")


def say(text):
    print(text, file=sys.stderr, flush=True)


def program(name, package):
    """The path of an installed program; None, and a word about it, if it is missing."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if not path:
        say(f"SKIPPED: {name} is missing ({package})")
    return path


def on_cores(cores):
    return lambda: os.sched_setaffinity(0, set(cores))


def raise_descriptors(wanted=65536):
    """As many descriptors as this user may have, and as the kernel allows to root."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(wanted, hard), max(wanted, hard)))
    except (ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


class Process:
    """A child on its own cores and in its own process group; `figures` sum over its whole tree."""

    def __init__(self, label, command, cores, **options):
        self.label, self.log = label, tempfile.TemporaryFile("w+")
        options = {"stdout": self.log, "stderr": self.log, **options}
        self.child = subprocess.Popen(
            [str(part) for part in command], preexec_fn=on_cores(cores), start_new_session=True, **options
        )

    def fail(self, what):
        self.log.seek(0)
        sys.exit(f"{self.label}: {what}\n{self.log.read()}")

    def wait_until_serving(self, connect, path):
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            if self.child.poll() is not None:
                self.fail(f"ended with {self.child.returncode} at the start")
            try:
                with connect() as stream:
                    if b" 200 " in ask(stream, path, "close").split(b"\r\n")[0]:
                        return
                self.fail("does not answer with 200")
            except OSError:
                time.sleep(0.02)
        self.fail("does not listen after 10 s")

    def tree(self):
        parents = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    status = (entry / "stat").read_text().rpartition(")")[2].split()
                except OSError:
                    continue
                parents.setdefault(int(status[1]), []).append(int(entry.name))
        found = [self.child.pid]
        for pid in found:
            found.extend(parents.get(pid, []))
        return found

    def cpu(self):
        """User and system seconds so far."""
        user = system = 0
        for pid in self.tree():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            user, system = user + int(fields[11]), system + int(fields[12])
        return user / TICKS, system / TICKS

    def resident(self):
        """Resident bytes."""
        pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self.tree()]
        return sum(pages) * resource.getpagesize()

    def stop(self):
        try:
            os.killpg(self.child.pid, signal.SIGTERM)
            self.child.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(self.child.pid, signal.SIGKILL)
            self.child.wait()
        except ProcessLookupError:
            pass


def ask(stream, path, connection, host="origin"):
    """One small request on an open connection; the answer's bytes, whole."""
    request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: {connection}\r\n\r\n"
    stream.sendall(request.encode())
    answer = b""
    while True:
        head, end, body = answer.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        if end and length and len(body) >= int(length[1]):
            return answer
        received = stream.recv(65536)
        if not received:
            return answer
        answer += received


def connector(port, tls=False):
    """What opens connections to a proxy."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    def connect():
        stream = socket.create_connection(("127.0.0.1", port), 10)
        return context.wrap_socket(stream) if tls else stream

    return connect


def make_certificate(path):
    """A certificate (ECDSA, P-256) and its key in one file, as HAProxy wants it."""
    openssl = program("openssl", "apt-get install openssl") or sys.exit("no certificate without it")
    key = path.with_suffix(".key")
    run = subprocess.run(
        [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
         "-keyout", key, "-out", path], capture_output=True, text=True)
    if run.returncode:
        sys.exit(f"openssl: {run.stderr}")
    path.write_text(path.read_text() + key.read_text())


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_origin(loadtest, cores, *options):
    """The load tester's origin; its first address is in `address`, all of them in `addresses`."""
    path = Path(loadtest)
    if not path.exists():
        sys.exit(f"{path} is missing: cargo build --release --workspace")
    origin = Process("origin", [path, "origin", *options], cores, stdout=subprocess.PIPE)
    words = origin.child.stdout.readline().decode().split()
    if words[:1] != ["listening"]:
        origin.fail("does not start")
    origin.address = words[1]
    return origin
