# SPDX-License-Identifier: Apache-2.0
"""A rule with an outgoing HTTP call for each event, against a bare loop of libcurl that calls the same server as often over as many
connections. Used by measure.py."""
import json
import subprocess
import time
import urllib.request

import harness

WIDE = 8  # calls under way to one host: perigee's own bound
RULE = """name: Calls
trigger: {{event: bench.Call}}
actions:
  - operator: http.request
    params: {{method: POST, url: "http://127.0.0.1:{port}/", json: {{message: "somebody is at the door", n: "{{{{ event.n }}}}"}}}}
"""


def counts(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/counts") as answer:
        return json.load(answer)


def measure(result, options, program, binaries, cpu_s):
    server = subprocess.Popen([binaries / "baseline_outgoing", "serve"], stdout=subprocess.PIPE, text=True)
    port = int(server.stdout.readline())
    service = harness.Service(f"plugins: {{http: {{config: {{hosts: ['127.0.0.1:{port}']}}}}}}", {"call.yaml": RULE.format(port=port)})
    try:
        service.start()
        got = program("baseline_outgoing", "call", port, options.events, WIDE)
        result["outgoing.bare.per_s"], result["outgoing.bare.cpu_us"] = got["per_s"], got["cpu_us"]
        result["outgoing.bare.connections"] = counts(port)["connections"]
        before, begun = cpu_s(service.process.pid), time.monotonic()
        program("bench_load", "rate", service.port, "bench.Call", 16, 10, options.events, PERIGEE_TOKEN=service.token)
        result["outgoing.perigee.per_s"] = options.events / (time.monotonic() - begun)
        result["outgoing.perigee.cpu_us"] = (cpu_s(service.process.pid) - before) / options.events * 1e6
        told = counts(port)
        result["outgoing.perigee.connections"] = told["connections"]
        if told["requests"] != options.events:
            raise SystemExit(f"outgoing: {options.events} events, {told['requests']} calls")
    finally:
        service.close()
        server.kill()
        server.communicate()


def report(row):
    print(f"\nAn outgoing HTTP call for each event, {WIDE} under way, against a bare loop of libcurl's multi interface")
    for who, text in (("bare", "bare loop: calls"), ("perigee", "perigee: events to the end of their runs")):
        row(text, f"outgoing.{who}.per_s", "/s")
        row("  CPU time for each", f"outgoing.{who}.cpu_us", "us", 1)
        row("  connections that it made", f"outgoing.{who}.connections", "")
