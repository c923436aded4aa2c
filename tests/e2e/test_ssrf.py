#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""No plugin reaches the inside: every spelling of a private address, names that lead there, names that change, redirects.

The test makes a network of its own (unshare) in which "the internet" and "the inside" are addresses of its loopback, with a name server
that answers what it is told. Servers on all of them count the connections they get."""
import collections
import http.server
import json
import os
import socket
import socketserver
import struct
import subprocess
import sys
import threading
import unittest

import harness

PORT = 8099
PUBLIC, PUBLIC_DEAD, PUBLIC6 = "93.184.216.34", "93.184.216.35", "2606:4700::1"
INSIDE = ["127.0.0.1", "127.0.0.2", "10.1.2.3", "172.16.9.9", "192.168.7.7", "169.254.169.254", "100.64.1.1", "::1", "fd00::7", "fec0::7"]
NAMES = {  # name -> addresses; a list of lists is given one after the other
    "public.test": [PUBLIC], "public6.test": [PUBLIC6], "loop.test": ["127.0.0.1"], "loop6.test": ["::1"], "ten.test": ["10.1.2.3"],
    "meta.test": ["169.254.169.254"], "cgnat.test": ["100.64.1.1"], "ula.test": ["fd00::7"], "zero.test": ["0.0.0.0"], "zero6.test": ["::"],
    "mapped.test": ["::ffff:127.0.0.1"], "nat64.test": ["64:ff9b::7f00:1"], "sixtofour.test": ["2002:7f00:1::"], "compat.test": ["::7f00:1"],
    "mixed.test": [PUBLIC_DEAD, "10.1.2.3"], "mixed6.test": [PUBLIC_DEAD, "::1"], "printer.test": ["192.168.7.7"], "asked.test": ["192.168.7.7"],
    "rebind.test": [[PUBLIC], ["127.0.0.1"]], "rebind10.test": [[PUBLIC], [PUBLIC_DEAD, "10.1.2.3"]],
}
SPELLINGS = ["127.0.0.1", "2130706433", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "017700000001", "127.1", "127.0.1", "0", "0.0.0.0", "[::1]", "[::]",
             "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[64:ff9b::127.0.0.1]", "[fd00::7]", "[fec0::7]", "[fe80::1%25lo]", "10.1.2.3",
             "167838211", "0x0a010203", "012.1.2.3", "10.1.515", "172.16.9.9", "192.168.7.7", "169.254.169.254", "2852039166", "0xa9fea9fe",
             "0251.0376.0251.0376", "169.254.43518", "localhost", "localhost.", "LOCALHOST", "127.0.0.1.", "127。0。0。1", "①②⑦.⓪.⓪.①"]
# What the plugin asks for and gets: the name alone opens nothing inside.
ASKED = sorted({"*.test", *(f"[{a}]" if ":" in a else a for a in INSIDE),
                *(s.lower() for s in SPELLINGS if s.isascii() and "%" not in s and not s.endswith("."))})
LUA = """return { actions = {
  ["ssrf.get"] = { execute = function(p, ctx)
    local answer = ctx.http.get(p.url, { timeout_ms = 5000 })
    return { status = answer.status, body = answer.body }
  end },
  ["ssrf.mail"] = { execute = function(p, ctx)
    return ctx.smtp.send({ host = p.host, port = p.port, security = "plain", from = "a@b.test", to = "c@d.test", message = "x", timeout_ms = 5000 })
  end } } }"""


class NameServer(socketserver.BaseRequestHandler):
    asked = collections.Counter()

    def handle(self):
        data, sock = self.request
        labels, at = [], 12
        while data[at]:
            labels.append(data[at + 1:at + 1 + data[at]].decode())
            at += 1 + data[at]
        kind, = struct.unpack("!H", data[at + 1:at + 3])
        name = ".".join(labels).lower()
        found = NAMES.get(name)
        if found and isinstance(found[0], list):
            NameServer.asked[name] += kind == 1
            found = found[min(NameServer.asked[name], len(found)) - 1] if NameServer.asked[name] else []
        family, want = (socket.AF_INET, 1) if kind == 1 else (socket.AF_INET6, 28)
        answers = [socket.inet_pton(family, a) for a in found or [] if (":" in a) == (kind == 28)] if kind == want else []
        head = data[:2] + struct.pack("!HHHHH", 0x8180 if found else 0x8183, 1, len(answers), 0, 0)
        body = b"".join(b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 0, len(a)) + a for a in answers)
        sock.sendto(head + data[12:at + 5] + body, self.client_address)


class Handler(http.server.BaseHTTPRequestHandler):
    """/to?URL sends the caller there."""
    protocol_version = "HTTP/1.0"  # one connection a request

    def do_GET(self):
        where = self.path.partition("/to?")[2]
        self.send_response(302 if where else 200)
        if where:
            self.send_header("Location", where)
        self.end_headers()
        if not where:
            self.wfile.write(b"hello")

    def log_message(self, *args):
        pass


class Counting(http.server.ThreadingHTTPServer):
    daemon_threads = True
    connections = collections.Counter()

    def __init__(self, address):
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.at = address
        super().__init__((address, PORT), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def get_request(self):
        Counting.connections[self.at] += 1
        return super().get_request()


class Ssrf(harness.Case):
    @classmethod
    def setUpClass(cls):
        for address in [PUBLIC, PUBLIC6] + INSIDE:
            cls.addClassCleanup(Counting(address).server_close)
        cls.names = socketserver.ThreadingUDPServer(("127.0.0.1", 53), NameServer)
        threading.Thread(target=cls.names.serve_forever, daemon=True).start()
        cls.addClassCleanup(cls.names.server_close)

    def setUp(self):
        Counting.connections.clear()
        NameServer.asked.clear()
        self.p = self.service(start=False)
        plugins = os.path.join(self.p.dir, "plugins")
        os.makedirs(os.path.join(plugins, "ssrf"))
        self.p.write_config(f"plugin_path: ['{plugins}']", [self.p.rules])
        with open(os.path.join(plugins, "ssrf", "plugin.json"), "w") as f:
            json.dump({"id": "ssrf", "name": "ssrf", "version": "1.0.0", "type": "operator", "apiVersion": "1.0", "entrypoint": "./init.lua",
                       "permissions": ["network:outbound:" + host for host in ASKED]}, f)
        with open(os.path.join(plugins, "ssrf", "init.lua"), "w") as f:
            f.write(LUA)
        self.p.cli("plugins", "approve", "ssrf", "--yes", "--host", f"printer.test:{PORT}", expect=0)
        self.p.start()

    def get(self, url):
        answer = self.p.request("POST", "/v1/operators/ssrf.get/call", {"params": {"url": url}}).json
        return answer["result"]["status"] if answer["ok"] else answer["error"]["code"]

    def inside(self):
        return {a: n for a, n in Counting.connections.items() if a in INSIDE}

    def test_the_outside_is_reached(self):
        self.assertEqual(self.get(f"http://public.test:{PORT}/"), 200)
        self.assertEqual(self.get(f"http://public6.test:{PORT}/"), 200)
        self.assertEqual(Counting.connections, {PUBLIC: 1, PUBLIC6: 1})

    def test_no_spelling_of_an_address_leads_inside(self):
        codes = {}
        for host in SPELLINGS:
            for user in ("", "public.test@", "public.test:80@"):
                codes[user + host] = self.get(f"http://{user}{host}:{PORT}/")
        self.assertEqual({h: c for h, c in codes.items() if c not in ("http.blocked", "denied", "http.url", "http.dns", "bad_argument")}, {})
        self.assertGreater(sum(c == "http.blocked" for c in codes.values()), 10, codes)
        self.assertEqual(self.inside(), {})

    def test_no_name_leads_inside(self):
        for name, addresses in NAMES.items():
            if not isinstance(addresses[0], list) and name not in ("public.test", "public6.test", "printer.test"):
                self.assertEqual(self.get(f"http://{name}:{PORT}/"), "http.blocked", name)
                self.assertEqual(self.get(f"http://{name.upper()}.:{PORT}/"), "http.blocked", name)
        self.assertEqual(Counting.connections, {})

    def test_a_name_that_changes_its_mind_leads_nowhere(self):
        for name in ("rebind.test", "rebind10.test"):
            self.assertEqual(self.get(f"http://{name}:{PORT}/"), 200)
            self.assertEqual(NameServer.asked[name], 1)
        self.p.restart()  # what it remembers of names is gone
        for name in ("rebind.test", "rebind10.test"):
            self.assertEqual(self.get(f"http://{name}:{PORT}/"), "http.blocked")
            self.assertEqual(NameServer.asked[name], 2)
        self.assertEqual(Counting.connections, {PUBLIC: 2})

    def test_a_redirect_leads_nowhere(self):
        for target in (f"http://127.0.0.1:{PORT}/", f"http://loop.test:{PORT}/", f"http://meta.test:{PORT}/", f"http://[::1]:{PORT}/", f"http://2130706433:{PORT}/",
                       "file:///etc/passwd", f"gopher://127.0.0.1:{PORT}/_x", f"//127.0.0.1:{PORT}/"):
            self.assertIn(self.get(f"http://public.test:{PORT}/to?{target}"), (302, "http.blocked", "denied", "http.url", "http.redirect"), target)
        self.assertEqual(self.inside(), {})

    def test_mail_neither(self):
        for host in ("127.0.0.1", "loop.test", "ten.test", "mixed.test", "mapped.test"):
            answer = self.p.request("POST", "/v1/operators/ssrf.mail/call", {"params": {"host": host, "port": PORT}}).json
            self.assertFalse(answer["ok"], host)
        self.assertEqual(self.inside(), {})

    def test_what_the_operator_names_is_reached_and_only_that(self):
        self.assertEqual(self.get(f"http://printer.test:{PORT}/"), 200)
        self.assertEqual(self.inside(), {"192.168.7.7": 1})
        self.assertEqual(self.get(f"http://asked.test:{PORT}/"), "http.blocked")  # the same address under a name that nobody gave
        self.assertEqual(self.get(f"http://192.168.7.7:{PORT}/"), "http.blocked")
        self.assertEqual(self.get("http://printer.test:9/"), "http.blocked")  # another port
        self.assertEqual(self.inside(), {"192.168.7.7": 1})


def isolated():
    """Runs the test in a network of its own; with one, or without leave to make one, there is nothing to do."""
    if os.environ.get("SSRF_NETWORK"):
        return False
    setup = ["ip link set lo up"] + [f"ip addr add {a}/{128 if ':' in a else 32} dev lo{' nodad' if ':' in a else ''}"
                                     for a in [PUBLIC, PUBLIC_DEAD, PUBLIC6] + INSIDE if a not in ("127.0.0.1", "127.0.0.2", "::1")]
    setup += ["echo 'nameserver 127.0.0.1' > \"$1/resolv.conf\"", "mount --bind \"$1/resolv.conf\" /etc/resolv.conf",
              "SSRF_NETWORK=1; export SSRF_NETWORK", "shift; exec \"$@\""]
    import tempfile
    with tempfile.TemporaryDirectory(prefix="perigee-ssrf-") as folder:
        if subprocess.run(["unshare", "-rmn", "sh", "-c", "ip link set lo up"], capture_output=True, check=False).returncode:
            print("skipped: this system lets nobody make a network of its own")
            sys.exit(0)
        done = subprocess.run(["unshare", "-rmn", "sh", "-ec", "\n".join(setup), "sh", folder, sys.executable, "-B", *sys.argv], check=False)
        sys.exit(done.returncode)


if __name__ == "__main__":
    isolated()
    harness.main()
