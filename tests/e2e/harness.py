# SPDX-License-Identifier: Apache-2.0
"""The real program on loopback, for end-to-end tests: a service in a folder of its own, its command line, its HTTP API.

Nothing here sleeps for a fixed time: wait_for() asks until the condition holds or a generous deadline passes."""
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.parse

BIN = os.environ["PERIGEE_BIN"]
SOURCE = os.environ["PERIGEE_SOURCE"]
DEADLINE = 60.0


def wait_for(condition, what, deadline=DEADLINE):
    """Returns the first true value of condition()."""
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {deadline:.0f} s in vain for {what}")
        time.sleep(0.01)


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.status} {self.body[:300]!r}"


class Service:
    """One service with its own state, rules and configuration."""

    def __init__(self, config=None, rules=None, env=None, rule_folders=None):
        self.dir = tempfile.mkdtemp(prefix="perigee-e2e-")
        os.chmod(self.dir, 0o755)
        self.state = os.path.join(self.dir, "state")
        self.rules = os.path.join(self.dir, "rules")
        os.mkdir(self.rules)
        self.config_file = os.path.join(self.dir, "perigee.yaml")
        self.log_file = os.path.join(self.dir, "log")
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("PERIGEE_")}
        self.env.update({"HOME": self.dir, "XDG_CONFIG_HOME": self.dir, "XDG_STATE_HOME": self.dir, "NO_COLOR": "1"})
        self.env.update(env or {})
        self.process = None
        self.write_config(config or "", rule_folders or [self.rules])
        for name, text in (rules or {}).items():
            self.write_rule(name, text)

    def write_config(self, extra, rule_folders):
        with open(self.config_file, "w") as f:
            f.write(f"state_dir: {self.state}\nrules: {json.dumps(rule_folders)}\nhttp: {{listen: \"127.0.0.1:0\"}}\n{extra}\n")

    def write_rule(self, name, text):
        path = os.path.join(self.rules, name)
        with open(path + ".tmp", "w") as f:
            f.write(text)
        os.replace(path + ".tmp", path)

    # --- life ---

    def start(self, *arguments, ready=True):
        try:
            os.unlink(os.path.join(self.state, "http.url"))
        except FileNotFoundError:
            pass
        with open(self.log_file, "ab") as log:
            self.process = subprocess.Popen([BIN, "run", "--config", self.config_file, *arguments], env=self.env, stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL, cwd=self.dir)
        if ready:
            self.wait_ready()
        return self

    def wait_ready(self):
        wait_for(self.is_ready, "the service to be ready")

    def is_ready(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the service ended with {self.process.returncode}:\n{self.log_text()[-3000:]}")
        try:
            with open(os.path.join(self.state, "http.url")) as f:
                url = f.read().strip()
            if not url:
                return False
            self.port = int(url.rsplit(":", 1)[1])
            return self.request("GET", "/readyz").status == 200
        except (OSError, http.client.HTTPException):
            return False

    def log_text(self):
        with open(self.log_file, errors="replace") as f:
            return f.read()

    def kill(self):
        """SIGKILL: nothing is tidied up."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self, expect=0):
        """SIGTERM; the service drains and ends well."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            code = self.process.wait(DEADLINE)
            assert code == expect, f"the service ended with {code}:\n{self.log_text()[-3000:]}"

    def restart(self):
        self.kill()
        self.start()

    def close(self):
        try:
            self.stop()
            text = self.log_text() if os.path.exists(self.log_file) else ""
            for mark in ("AddressSanitizer", "LeakSanitizer", "runtime error:"):
                assert mark not in text, text[-6000:]
        finally:
            if self.process and self.process.poll() is None:
                self.process.kill()
            shutil.rmtree(self.dir, ignore_errors=True)

    # --- talking to it ---

    @property
    def token(self):
        with open(os.path.join(self.state, "token")) as f:
            return f.read().strip()

    def request(self, method, path, body=None, headers=None, token=True):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        headers = dict(headers or {})
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
            headers.setdefault("Content-Type", "application/json")
        if token and path.startswith("/v1") or path == "/metrics":
            headers.setdefault("Authorization", "Bearer " + self.token)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return Answer(response.status, dict((k.lower(), v) for k, v in response.getheaders()), response.read())
        finally:
            connection.close()

    def raw(self, data, limit=65536):
        """Sends bytes as they are and reads what comes until the connection closes or the answer is whole."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE) as s:
            try:
                s.sendall(data)
                s.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            got = b""
            try:
                while len(got) < limit:
                    part = s.recv(65536)
                    if not part:
                        break
                    got += part
            except OSError:
                pass
            return got

    def emit(self, type, data=None, **attributes):
        query = urllib.parse.urlencode({"type": type, **attributes})
        answer = self.request("POST", f"/v1/events?{query}", {} if data is None else data)
        assert answer.status == 202, answer
        return answer.json["id"]

    def get(self, path):
        """A busy service may answer 503 with Retry-After (reading is bounded in time): ask again, as any client would."""
        answer = self.request("GET", path)
        end = time.monotonic() + DEADLINE
        while answer.status == 503 and "retry-after" in answer.headers and time.monotonic() < end:
            time.sleep(0.05)
            answer = self.request("GET", path)
        assert answer.status == 200, answer
        return answer.json

    def put(self, type, entity):
        answer = self.request("POST", f"/v1/data/{type}", entity)
        assert answer.status == 200, answer
        return answer.json

    def matched(self, event):
        """Waits until the event has its verdicts and returns them as {rule: verdict}."""
        wait_for(lambda: self.get(f"/v1/events/{event}")["state"] != "journaled", f"{event} to be matched")
        return {v["rule"]: v for v in self.get(f"/v1/events/{event}/verdicts")["items"]}

    def runs_of(self, event, ended=True):
        """Waits for the event's runs to end and returns them with their steps."""
        self.matched(event)

        def fetch():
            items = self.get(f"/v1/runs?limit=1000&event={event}")["items"]
            return None if ended and any("ended" not in r for r in items) else items

        end = time.monotonic() + DEADLINE
        items = fetch()
        while items is None:
            if time.monotonic() > end:
                raise AssertionError(f"the runs of {event} do not end: {self.get(f'/v1/runs?event={event}')}")
            time.sleep(0.01)
            items = fetch()
        return [self.get("/v1/runs/" + r["id"]) for r in items]

    def outbox(self):
        return list(reversed(self.get("/v1/outbox?limit=1000")["items"]))

    def cli(self, *arguments, stdin=None, expect=None, config=True):
        extra = ["--config", self.config_file] if config else []
        result = subprocess.run([BIN, *arguments, *extra], env=self.env, input=stdin, capture_output=True, text=True, timeout=DEADLINE, cwd=self.dir)
        if expect is not None and result.returncode != expect:
            raise AssertionError(f"perigee {' '.join(arguments)} ended with {result.returncode}, not {expect}:\n{result.stdout}\n{result.stderr}")
        assert "AddressSanitizer" not in result.stderr and "runtime error:" not in result.stderr, result.stderr
        return result


class Case(unittest.TestCase):
    """A test with services that are closed after it, also when it fails."""

    def service(self, *args, start=True, **kw):
        service = Service(*args, **kw)
        self.addCleanup(service.close)
        if start:
            service.start()
        return service


def main():
    unittest.main(verbosity=1)
