"""A Prometheus on a free port, in a directory of its own, that ends with the check."""

import json
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

import harness

READY_SECONDS = 30.0
ANSWER_SECONDS = 30.0
STOP_SECONDS = 15.0


class Prometheus:
    """Scrapes these addresses each second, and evaluates the rules as often; a context manager."""

    def __init__(self, directory, rules, addresses):
        self._directory = directory
        self._log = directory / "prometheus.log"
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(rules)],
            "scrape_configs": [{"job_name": "foghorn", "static_configs": [{"targets": addresses}]}],
        }
        self._config = directory / "prometheus.yml"
        # JSON is YAML, too.
        self._config.write_text(json.dumps(config))
        self._child = None
        self.url = None

    def __enter__(self):
        harness.run("promtool", "check", "config", self._config)
        self._child = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={self._config}",
                f"--storage.tsdb.path={self._directory / 'series'}",
                # The kernel chooses a port, and the log tells which.
                "--web.listen-address=127.0.0.1:0",
                "--web.enable-lifecycle",
                "--log.format=json",
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._log.open("w"),
        )
        try:
            self._wait_until_it_scrapes_itself()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_):
        self._end()

    def _end(self):
        self._child.terminate()
        try:
            self._child.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()

    def _wait_until_it_scrapes_itself(self):
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            if self._child.poll() is not None:
                break
            address = self._address()
            if address is not None:
                self.url = f"http://{address}"
                if self._is_ready():
                    self._scrape_itself(address)
                    return
            time.sleep(0.05)
        raise harness.Failure(f"Prometheus is not ready:\n{self._log.read_text()}")

    def _address(self):
        for line in self._log.read_text().splitlines():
            if '"msg":"Listening on"' in line:
                return json.loads(line)["address"]
        return None

    def _is_ready(self):
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=ANSWER_SECONDS) as answer:
                return answer.status == 200
        except (OSError, urllib.error.HTTPError):
            return False

    def _scrape_itself(self, address):
        """It has metrics of a process as well, which must not be taken for those of a Foghorn."""
        config = json.loads(self._config.read_text())
        config["scrape_configs"].append({"job_name": "prometheus", "static_configs": [{"targets": [address]}]})
        self._config.write_text(json.dumps(config))
        request = urllib.request.Request(f"{self.url}/-/reload", method="POST")
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS):
            pass

    def ask(self, path, **parameters):
        """The data that the API answers; a question that is refused is a `Failure` with the reason."""
        query = urllib.parse.urlencode(parameters, doseq=True)
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=ANSWER_SECONDS) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise harness.Failure(json.load(error)["error"]) from None

    def value(self, expression):
        """The value of this moment of an expression that gives one series; 0 if it gives none yet."""
        found = self.ask("query", query=expression)["result"]
        return float(found[0]["value"][1]) if found else 0.0

    def now(self, expression):
        """The series of this moment, without their values."""
        return [series["metric"] for series in self.ask("query", query=expression)["result"]]

    def lately(self, expression, seconds=120):
        """The series of the last minutes, each as its labels and its values that are numbers."""
        now = time.time()
        found = self.ask("query_range", query=expression, start=now - seconds, end=now, step=1)["result"]
        for series in found:
            values = [float(value) for _, value in series["values"]]
            yield series["metric"], [value for value in values if value == value]


class Redis:
    """A Redis on a free port that keeps nothing; a context manager."""

    def __init__(self, directory):
        self._directory = directory
        self._child = None
        self.url = None

    def __enter__(self):
        # It cannot be told to pick a port itself.
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{port}"
        options = ["--port", port, "--bind", "127.0.0.1", "--save", "", "--maxmemory-policy", "noeviction"]
        command = ["redis-server", *options, "--dir", self._directory]
        self._child = subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL)
        return self

    def __exit__(self, *_):
        self._child.kill()
        self._child.wait()
