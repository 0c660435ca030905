"""What the checks from outside share: the server under test, cached tool environments, tidy endings.

Every check starts its own server on a free port in an empty directory, and ends only what it started.
"""

import collections
import contextlib
import hashlib
import os
import pathlib
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
READY_PREFIX = "listening on "
READY_SECONDS = 15.0
# `shutdown.grace` is 10 s by default; a server that needs longer is broken.
STOP_SECONDS = 15.0


class Failure(Exception):
    """A check cannot run, or did not hold; the text is meant for the reader of the log."""


def work_directory(name):
    """A directory for downloads and reports: `$CI_WORK_DIR/name`, by default `.ci/work/name`."""
    base = os.environ.get("CI_WORK_DIR")
    path = (pathlib.Path(base).resolve() if base else ROOT / ".ci" / "work") / name
    path.mkdir(parents=True, exist_ok=True)
    return path


def release_binary():
    """The path of the release binary, whether it exists or not."""
    target = os.environ.get("CARGO_TARGET_DIR")
    base = ROOT / target if target else ROOT / "target"
    return base / "release" / "foghorn"


def run(*command, **options):
    """Runs a command to its end; prints its output only if it fails."""
    done = subprocess.run(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        **options,
    )
    if done.returncode != 0:
        words = " ".join(str(part) for part in command)
        raise Failure(f"`{words}` ended with status {done.returncode}:\n{done.stdout.rstrip()}")
    return done.stdout


def certificate(directory):
    """Makes a certificate for 127.0.0.1 and its key; the paths of both."""
    paths = directory / "certificate.pem", directory / "key.pem"
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"]
    name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    run("openssl", "req", "-x509", *kind, *name, "-out", paths[0], "-keyout", paths[1])
    return paths


def python_environment(directory, requirements):
    """A virtual environment of the running Python with `requirements` in it; made once per content of that file."""
    stamp = directory / "stamp"
    wanted = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    python = directory / "venv" / "bin" / "python"
    if stamp.is_file() and stamp.read_text() == wanted and python.exists():
        return python
    print(f"preparing a Python environment from {requirements.relative_to(ROOT)}", flush=True)
    run(sys.executable, "-m", "venv", "--clear", directory / "venv")
    run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", requirements)
    stamp.write_text(wanted)
    return python


def node_modules(directory):
    """Installs what `package-lock.json` in `directory` pins; done once per content of that file."""
    lock = directory / "package-lock.json"
    stamp = directory / "node_modules" / ".foghorn-stamp"
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    print(f"installing {lock.relative_to(ROOT)}", flush=True)
    run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=directory)
    stamp.write_text(wanted)


class Server:
    """A running `foghorn serve` on a free port of 127.0.0.1; a context manager.

    Leaving the context sends SIGTERM; an exit status other than 0, or none in time, is a `Failure`.
    """

    def __init__(self, binary, *options, certificate=None, stderr=None):
        """With `certificate`, a pair of paths as from `certificate()`, it speaks TLS; with `stderr` its log goes there."""
        self._stderr = stderr
        self.binary = pathlib.Path(binary).resolve()
        self.listen = "127.0.0.1:0"
        self.options = options
        if certificate:
            self.listen = "tls:127.0.0.1:0"
            self.options += ("--tls-certificate", certificate[0], "--tls-key", certificate[1])
        self.http_url = None
        self._child = None
        self._killed = False
        self._stack = contextlib.ExitStack()
        self._log = collections.deque(maxlen=60)
        # Lines of the log that should never be there.
        self.alarms = []

    @property
    def address(self):
        return self.http_url.partition("://")[2]

    @property
    def ws_url(self):
        return "ws" + self.http_url.removeprefix("http")

    @property
    def pid(self):
        return self._child.pid

    def __enter__(self):
        if not self.binary.is_file():
            raise Failure(f"no server at {self.binary}: run `cargo build --release` first, or give --binary")
        directory = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="foghorn-check-"))
        self._child = subprocess.Popen(
            [self.binary, "serve", "--listen", self.listen, *self.options],
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._stderr or subprocess.PIPE,
            text=True,
            errors="replace",
        )
        lines = queue.Queue()
        threading.Thread(target=_pass_on, args=(self._child.stdout, lines.put), daemon=True).start()
        if self._stderr is None:
            threading.Thread(target=_pass_on, args=(self._child.stderr, self._note), daemon=True).start()
        try:
            self.http_url = self._ready_url(lines)
        except BaseException:
            self._kill()
            self._stack.close()
            raise
        return self

    def _ready_url(self, lines):
        deadline = time.monotonic() + READY_SECONDS
        while (left := deadline - time.monotonic()) > 0:
            try:
                line = lines.get(timeout=left)
            except queue.Empty:
                break
            if line is None:
                raise Failure(f"the server ended before it was ready\n{self.log()}")
            _, found, url = line.partition(READY_PREFIX)
            if found:
                return url.split()[0].rstrip("/")
        raise Failure(f"no ready line within {READY_SECONDS:.0f} s\n{self.log()}")

    def _note(self, line):
        self._log.append(line)
        if line is not None and (" ERROR " in line or "panicked" in line):
            self.alarms.append(line.rstrip())

    def log(self):
        """The last lines of the server's own log."""
        return "\n".join(f"    server: {line.rstrip()}" for line in list(self._log) if line is not None)

    def signal(self, number):
        """Sends it a signal."""
        self._child.send_signal(number)

    def ended(self):
        """The status that it ends with by itself; leaving the context expects nothing of it any more."""
        status = self._child.wait(timeout=STOP_SECONDS)
        self._killed = True
        return status

    def kill(self):
        """Ends it by SIGKILL; leaving the context expects nothing of it any more."""
        if self._child.poll() is not None:
            raise Failure(f"the server ended by itself with status {self._child.returncode}\n{self.log()}")
        self._kill()
        self._killed = True

    def __exit__(self, kind, error, trace):
        try:
            if kind is not None or self._killed:
                self._kill()
                return
            self._stop()
        finally:
            self._stack.close()

    def _stop(self):
        if self._child.poll() is not None:
            raise Failure(f"the server ended by itself with status {self._child.returncode}\n{self.log()}")
        self._child.send_signal(signal.SIGTERM)
        try:
            status = self._child.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._kill()
            raise Failure(f"the server did not stop within {STOP_SECONDS:.0f} s of SIGTERM\n{self.log()}") from None
        if status != 0:
            raise Failure(f"the server ended with status {status} after SIGTERM\n{self.log()}")

    def _kill(self):
        if self._child.poll() is None:
            self._child.kill()
            self._child.wait()


def _pass_on(stream, accept):
    for line in stream:
        accept(line)
    accept(None)


def main(check):
    """Runs `check()` and turns its result into an exit status; SIGTERM unwinds, so that nothing is left running."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(check())
    except Failure as failure:
        print(f"error: {failure}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
