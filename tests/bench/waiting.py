#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A million waiting runs (memory, start, accuracy of timers), and comms.missedCalls on ten million calls. script/bench --waiting builds and calls it.

    waiting.py [--runs 1000000] [--calls 10000000] [--folder DIR] [--json]"""
import argparse
import datetime
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BINARIES = ROOT / "build/release/bin"
os.environ["PERIGEE_BIN"] = str(BINARIES / "perigee")
os.environ["PERIGEE_SOURCE"] = str(ROOT)
sys.path.insert(0, str(ROOT / "tests/e2e"))
import harness  # noqa: E402  (it reads the environment)

RULE = "name: Missed\ntrigger: {event: bench.Call}\nconditions:\n  - operator: comms.missedCalls\n    params: {contactId: \"{{ event.who }}\", count: 3}\nactions: [{set: {n: 1}}]\n"
ASKED = 300
BATCHES = 200


def memory_kib(pid):
    sizes = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, size = line.split(":")
        sizes[name] = int(size.split()[0])
    return sizes["Rss"], sizes["Anonymous"]


def fill(*arguments):
    done = subprocess.run([BINARIES / "bench_waiting", *map(str, arguments)], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit("the database could not be filled")
    return json.loads(done.stdout)


def start(service, result, name):
    begin = time.monotonic()
    service.start()
    result[name + "start_s"] = time.monotonic() - begin
    time.sleep(1)
    result[name + "rss_kib"], result[name + "anonymous_kib"] = memory_kib(service.process.pid)


def measure_runs(result, count):
    service = harness.Service("limits: {max_live_runs: 100000000}")
    try:
        filled = fill("runs", service.state, count, max(15, count // 20000))
        os.rename(os.path.join(service.state, "waiting.yaml"), os.path.join(service.rules, "waiting.yaml"))
        result["runs.fill_s"] = filled["seconds"]
        result["runs.database_mib"] = os.path.getsize(os.path.join(service.state, "perigee.db")) / 2**20
        start(service, result, "runs.")
        result["runs.late_for_timers"] = max(0, time.time() * 1000 - filled["due_ms"]) / 1000
        def woken():
            items = service.get("/v1/events?type=bench.Woken&limit=1000")["items"]
            return items if len(items) >= 100 else None
        items = harness.wait_for(woken, "the runs that are due", 300)
        late = sorted(wall_ms(e["received"]) - e["data"]["due"] for e in items)
        result["runs.late_p50_ms"], result["runs.late_p99_ms"], result["runs.late_max_ms"] = late[len(late) // 2], late[int(len(late) * 0.99)], late[-1]
        result["runs.early"] = sum(x < 0 for x in late)
    finally:
        service.close()


def wall_ms(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000


def ask(service, contact):
    """What a condition says that it cost, in the running service: in Lua with its way to the worker and back, and the query."""
    answer = service.request("POST", "/v1/operators/comms.missedCalls/call", {"params": {"contactId": f"contact-{contact:06}", "count": 3}}).json
    return answer["usage"]


def spent(service):
    """Conditions of the plugin so far, and CPU time of the workers for them."""
    comms, = (p for p in json.loads(service.cli("top", "--json").stdout)["plugins"] if p["id"] == "comms")
    return comms["calls"], comms["cpu_us"]


def load(service, batches):
    for k in batches:
        events = [{"specversion": "1.0", "id": f"{k}-{i}", "source": "bench", "type": "bench.Call", "data": {"who": f"contact-{(k * 100 + i) * 331 % 100000:06}"}} for i in range(100)]
        service.request("POST", "/v1/events", events, headers={"Content-Type": "application/cloudevents-batch+json"})
    calls = (batches.stop) * 100
    harness.wait_for(lambda: spent(service)[0] >= calls, "the conditions", 120)


def measure_calls(result, count):
    service = harness.Service(rules={"missed.yaml": RULE})
    try:
        filled = fill("calls", service.state, count)
        result["calls.fill_s"] = filled["seconds"]
        result["calls.query_us"] = filled["query_us"]
        result["calls.database_mib"] = os.path.getsize(os.path.join(service.state, "perigee.db")) / 2**20
        start(service, result, "calls.")
        event = service.emit("bench.Call", {"who": "contact-000331"})
        harness.wait_for(lambda: service.get(f"/v1/events/{event}")["state"] == "matched", "a verdict")
        verdict, = service.get(f"/v1/events/{event}/verdicts")["items"]
        result["calls.verdict"] = verdict["verdict"]
        for name, contact in (("same", lambda n: 331), ("each", lambda n: n * 331 % 100000)):
            usage = [ask(service, contact(n)) for n in range(ASKED)][ASKED // 10:]
            result[f"calls.alone_{name}_contact_us"] = statistics.median(u["wall_us"] for u in usage)
        load(service, range(0, BATCHES // 10))
        before = spent(service)
        load(service, range(BATCHES // 10, BATCHES))
        after = spent(service)
        result["calls.in_batches_cpu_us"] = (after[1] - before[1]) / (after[0] - before[0])
    finally:
        service.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=1000000)
    parser.add_argument("--calls", type=int, default=10000000)
    parser.add_argument("--folder", default=os.environ.get("TMPDIR", "/tmp"))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    os.environ["TMPDIR"] = tempfile.tempdir = options.folder
    result = {}
    if options.runs:
        measure_runs(result, options.runs)
    if options.calls:
        measure_calls(result, options.calls)
    if options.json:
        print(json.dumps({"runs": options.runs, "calls": options.calls, **result}, indent=1))
        return
    print(f"{options.runs:,} waiting runs, {options.calls:,} calls; load average {os.getloadavg()[0]:.1f}")
    for key, value in result.items():
        print(f"  {key:<36} {value:,.1f}" if isinstance(value, (int, float)) else f"  {key:<36} {value}")


if __name__ == "__main__":
    main()
