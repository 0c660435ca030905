"""A RabbitMQ of its own: below one directory, on free ports of 127.0.0.1, ended with the context."""

import contextlib
import http.client
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

import harness

PROGRAM = pathlib.Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
# What the Debian package starts (`/usr/sbin/rabbitmq-server`) would become the user `rabbitmq` and write to /var.
READY_SECONDS = 60.0
STOP_SECONDS = 20.0
CONFIGURATION = """\
listeners.tcp = none
stomp.listeners.tcp = none
stomp.default_user = guest
stomp.default_pass = guest
web_stomp.tcp.ip = 127.0.0.1
web_stomp.tcp.port = {port}
"""


class RabbitMQ:
    """A broker with `rabbitmq_web_stomp`; `url` is where STOMP is spoken."""

    def __init__(self, directory):
        self.directory = directory
        self.port = None
        self._stack = contextlib.ExitStack()

    @property
    def url(self):
        return f"ws://127.0.0.1:{self.port}/ws"

    def __enter__(self):
        programs = {"rabbitmq-server": PROGRAM.exists() and PROGRAM, "epmd": shutil.which("epmd")}
        for name, program in programs.items():
            if not program:
                raise harness.Failure(f"no {name}: install it (Debian: `apt-get install rabbitmq-server`)")
        with self._stack as stack:
            self._start(stack, programs)
            self._stack = stack.pop_all()
        return self

    def _start(self, stack, programs):
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)
        self.port, names, distribution = _free_ports(3)
        (self.directory / "rabbitmq.conf").write_text(CONFIGURATION.format(port=self.port))
        (self.directory / "plugins").write_text("[rabbitmq_web_stomp].\n")
        environment = os.environ | {
            "HOME": str(self.directory),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(names),
            "RABBITMQ_NODENAME": f"foghorn-check-{os.getpid()}@localhost",
            "RABBITMQ_DIST_PORT": str(distribution),
            "RABBITMQ_CONF_ENV_FILE": str(self.directory / "no-such-file"),
            "RABBITMQ_CONFIG_FILE": str(self.directory / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self.directory / "no-such-file"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.directory / "plugins"),
            "RABBITMQ_MNESIA_BASE": str(self.directory / "data"),
            "RABBITMQ_LOG_BASE": str(self.directory / "log"),
            "RABBITMQ_PID_FILE": str(self.directory / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +S 2:2 +sbwt none",
        }
        log = stack.enter_context((self.directory / "output").open("w"))
        options = {"cwd": self.directory, "env": environment, "stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
        # A node starts a daemon for names where it finds none; this one ends with the check.
        daemon = subprocess.Popen([programs["epmd"], "-address", "127.0.0.1", "-port", str(names)], **options)
        stack.callback(_end, daemon)
        # A group of its own: the program is a script that starts the node.
        node = subprocess.Popen([programs["rabbitmq-server"]], start_new_session=True, **options)
        stack.callback(_end_group, node)
        self._await_ready(node)

    def _await_ready(self, node):
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline and node.poll() is None:
            with contextlib.suppress(OSError, http.client.HTTPException):
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=1)
                connection.request("GET", "/ws")
                connection.getresponse()
                return
            time.sleep(0.1)
        output = (self.directory / "output").read_text(errors="replace").splitlines()[-20:]
        raise harness.Failure("RabbitMQ does not start:\n" + "\n".join(f"    {line}" for line in output))

    def version(self):
        """As it names itself at its start."""
        words = (self.directory / "output").read_text(errors="replace").split()
        return words[words.index("RabbitMQ", words.index("##")) + 1]

    def __exit__(self, *_):
        self._stack.close()


def _free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in sockets]


def _end(child):
    if child.poll() is None:
        child.terminate()
        child.wait()


def _end_group(child):
    """In good order if it does so in time; the group is the one that was started here."""
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
