#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A provider on loopback that behaves as badly as real ones do, and counts what it has delivered for each idempotency key.

What one request meets is its *manner*:

    ok        200, delivered
    refuse    429 with Retry-After, not delivered
    busy      503, not delivered
    reject    422, not delivered: trying again is of no use
    error     500, not delivered, which the caller cannot know
    lost      delivered, then the connection ends without an answer
    drop      the connection ends before anything was done
    late      delivered at once, answered after `late` seconds
    timeout   delivered, never answered: the connection stays open until the caller gives up or the provider closes
    down      (whole provider, see down()) connections are refused

They come from a script, per key or in order (say()), else from chance with a seed (Provider(weights=...)), else "ok".

The key is the header Idempotency-Key, else a member "key" of the JSON body. With honours=True a key that was delivered is
answered as the first time and not delivered again, as providers do that know such keys. Either way:

    provider.deliveries[key]   how often it took effect
    provider.requests[key]     manners that its requests met, in order
    provider.bodies[key]       the distinct bodies that came with it (one, if the sender keeps its word)

GET /deliveries/<key> answers {"key", "count", "id"} or 404: for operators that look up what became of a call.
For a process of its own: flaky_provider.py --port N --log FILE [--seed N] [--weights ok=8,lost=1,...] [--honours]; each delivery is
a line of JSON in FILE, synced before the answer, so that it outlives every kill."""
import argparse
import collections
import http.server
import json
import os
import random
import socket
import threading
import urllib.parse

MANNERS = ("ok", "refuse", "busy", "reject", "error", "lost", "drop", "late", "timeout")
CHAOS = {"ok": 60, "refuse": 8, "busy": 8, "error": 6, "lost": 6, "drop": 6, "late": 4, "timeout": 2}
ANSWERS = {"refuse": 429, "busy": 503, "reject": 422, "error": 500}


class Provider:
    def __init__(self, port=0, weights=None, seed=1, honours=False, late=0.3, retry_after=1, log=None):
        self.weights, self.random, self.honours = weights, random.Random(seed), honours
        self.late, self.retry_after = late, retry_after
        self.deliveries, self.requests, self.bodies = collections.Counter(), collections.defaultdict(list), collections.defaultdict(set)
        self.ids, self.order = {}, []
        self.lock, self.closing = threading.Lock(), threading.Event()
        self.script, self.scripts = collections.deque(), collections.defaultdict(collections.deque)
        self.log = open(log, "a") if log else None
        self.port, self.server = port, None
        self.up()

    # --- what it will do ---

    def say(self, *manners, key=None):
        """The next requests (with this key) meet these manners."""
        assert set(manners) <= set(MANNERS), manners
        with self.lock:
            (self.scripts[key] if key is not None else self.script).extend(manners)
        return self

    def manner(self, key):
        if self.scripts.get(key):
            return self.scripts[key].popleft()
        if self.script:
            return self.script.popleft()
        if not self.weights:
            return "ok"
        return self.random.choices(list(self.weights), list(self.weights.values()))[0]

    # --- life ---

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def host(self):
        return f"127.0.0.1:{self.port}"

    def up(self):
        """Listens, on the same port as before."""
        provider = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *args):
                pass

            def do_GET(self):
                provider.look_up(self)

            def do_POST(self):
                provider.handle(self)

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False
            request_queue_size = 256

            def handle_error(self, request, client_address):
                pass  # callers that have gone away

        self.closing.clear()
        self.server = Server(("127.0.0.1", self.port), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()

    def down(self):
        """Connections are refused until up()."""
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def close(self):
        self.down()
        if self.log:
            self.log.close()

    # --- requests ---

    def deliver(self, key, body):
        """Under the lock. Returns the id of the delivery that counts for the key."""
        if not (self.honours and self.deliveries[key]):
            self.deliveries[key] += 1
            self.order.append(key)
            self.ids[key] = f"d{len(self.order)}"
            if self.log:
                self.log.write(json.dumps({"key": key, "id": self.ids[key], "body": body}) + "\n")
                self.log.flush()
                os.fsync(self.log.fileno())
        return self.ids[key]

    def handle(self, h):
        raw = h.rfile.read(int(h.headers.get("Content-Length", 0))).decode()
        try:
            body = json.loads(raw)
        except ValueError:
            body = raw
        key = h.headers.get("Idempotency-Key") or (body.get("key") if isinstance(body, dict) else None) or ""
        with self.lock:
            manner = self.manner(key)
            self.requests[key].append(manner)
            self.bodies[key].add(raw)
            delivered = self.deliver(key, body) if manner in ("ok", "lost", "late", "timeout") else None
        if manner in ("lost", "drop"):
            self.hang_up(h)
        elif manner == "timeout":
            self.closing.wait()
            self.hang_up(h)
        elif delivered:
            if manner == "late":
                self.closing.wait(self.late)
            self.answer(h, 200, {"id": delivered, "key": key})
        else:
            self.answer(h, ANSWERS[manner], {"error": manner}, {"Retry-After": str(self.retry_after)} if manner == "refuse" else {})

    def look_up(self, h):
        key = urllib.parse.unquote(h.path.partition("/deliveries/")[2])
        with self.lock:
            manner = self.manner("GET " + key) if self.scripts.get("GET " + key) else "ok"
            count = self.deliveries.get(key, 0)
        if manner != "ok":
            self.answer(h, ANSWERS.get(manner, 503), {"error": manner})
        elif count:
            self.answer(h, 200, {"key": key, "count": count, "id": self.ids[key]})
        else:
            self.answer(h, 404, {"error": "no such key"})

    @staticmethod
    def hang_up(h):
        h.close_connection = True
        try:
            h.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    @staticmethod
    def answer(h, status, value, headers=None):
        data = json.dumps(value).encode()
        try:
            h.send_response(status)
            for name, text in {"Content-Type": "application/json", "Content-Length": str(len(data)), **(headers or {})}.items():
                h.send_header(name, text)
            h.end_headers()
            h.wfile.write(data)
        except OSError:
            h.close_connection = True  # nobody waits for it any more; what was delivered stays delivered


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--log")
    parser.add_argument("--honours", action="store_true")
    parser.add_argument("--weights", help="ok=8,lost=1,...; default: every manner now and then")
    arguments = parser.parse_args()
    weights = CHAOS
    if arguments.weights:
        weights = {name: float(n) for name, n in (part.split("=") for part in arguments.weights.split(","))}
    provider = Provider(arguments.port, weights, arguments.seed, arguments.honours, log=arguments.log)
    print(provider.url, flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
