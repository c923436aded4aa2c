#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A full disk: new events get 503, what was acknowledged stays, and with room again the service goes on by itself."""
import http.client
import json
import os
import re
import resource
import subprocess
import unittest

import harness

RULES = {
    "count.yaml": "name: Count\ntrigger: {event: load.Tick}\nactions:\n  - set: {seen: \"{{ event.n }}\"}\n",
    "late.yaml": "name: Late\ntrigger: {event: t.Late}\nactions:\n  - delay: 1s\n  - operator: notify.send\n    params: {message: late}\n",
}
MIB = 1 << 20
SHIM = os.path.join(os.path.dirname(harness.BIN), "../tests/shims/readonly.so")


class FullDisk(harness.Case):
    def fill(self, p, acknowledged, most=4000):
        """Sends events until the service refuses one; returns the refusal."""
        for n in range(len(acknowledged), most):
            answer = p.request("POST", f"/v1/events?type=load.Tick&source=disk&id={n}", {"n": n, "padding": "x" * 16000})
            if answer.status != 202:
                return answer
            acknowledged[n] = answer.json["id"]
        raise AssertionError("the disk never filled up")

    def metric(self, p, name):
        text = p.request("GET", "/metrics").body.decode()
        return int(re.search(rf"^perigee_{name} (\d+)$", text, re.M)[1])

    def check_refusal(self, p, answer):
        self.assertEqual(answer.status, 503, answer)
        self.assertGreaterEqual(int(answer.headers["retry-after"]), 1)
        self.assertEqual(answer.headers["content-type"], "application/problem+json")
        ready = p.request("GET", "/readyz")
        self.assertEqual(ready.status, 503, ready)
        self.assertIn("the disk is full", ready.json["detail"])
        store = p.get("/v1/status")["store"]
        self.assertEqual(store["state"], "full")
        self.assertRegex(store["reason"], "no space left|the disk is full|does not take writes")
        self.assertEqual(self.metric(p, "store_full"), 1)
        for path in ("/v1/data/contact", "/hooks/device/events"):
            self.assertEqual(p.request("POST", path, {"id": "x"}).status, 503, path)
        self.assertEqual(p.request("GET", "/healthz").status, 200)

    def check_kept(self, p, acknowledged):
        """Everything that was acknowledged is there, once, and has its run."""
        seen, after = {}, ""
        while True:
            page = p.get(f"/v1/events?type=load.Tick&limit=200{after}")
            for event in page["items"]:
                self.assertNotIn(event["data"]["n"], seen)
                seen[event["data"]["n"]] = event["id"]
            if "next" not in page:
                break
            after = "&after=" + page["next"]
        self.assertEqual({n: seen.get(n) for n in acknowledged}, acknowledged)
        harness.wait_for(lambda: p.get("/v1/status")["unmatched"] == 0 and p.get("/v1/status")["live_runs"] == 0, "the backlog")
        last = acknowledged[max(acknowledged)]
        self.assertEqual([r["state"] for r in p.get(f"/v1/runs?event={last}")["items"]], ["succeeded"])

    def check_goes_on(self, p, acknowledged):
        harness.wait_for(lambda: p.request("GET", "/readyz").status == 200, "the service to accept events again")
        self.assertEqual(p.get("/v1/status")["store"], {"state": "good"})
        self.assertEqual(self.metric(p, "store_full"), 0)
        n = len(acknowledged)
        acknowledged[n] = p.emit("load.Tick", {"n": n}, source="disk", id=str(n))
        self.check_kept(p, acknowledged)
        p.restart()
        self.check_kept(p, acknowledged)

    def lines(self, p, text):
        return sum(text in line for line in p.log_text().splitlines())

    def small_disk(self, p, size):
        os.makedirs(p.state, exist_ok=True)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "none", p.state], capture_output=True, text=True)
        if done.returncode:
            self.skipTest("a small file system can not be mounted: " + done.stderr)
        self.addCleanup(subprocess.run, ["umount", "-l", p.state], check=True)

    @unittest.skipUnless(os.geteuid() == 0, "only the superuser can mount a small file system")
    def test_a_small_file_system(self):
        p = self.service(rules=RULES, start=False)
        self.small_disk(p, "12m")
        p.start()
        self.assertTrue(os.path.exists(os.path.join(p.state, "reserve")))
        acknowledged = {}
        late = p.emit("t.Late")
        answer = self.fill_up(p, acknowledged)
        self.assertGreater(len(acknowledged), 100)
        self.check_refusal(p, answer)
        self.assertFalse(os.path.exists(os.path.join(p.state, "reserve")))
        self.assertEqual(self.lines(p, "no event is accepted"), self.metric(p, "store_full_total"))
        # The end of what was begun finds room in what was held back.
        p.request("POST", f"/v1/runs/{p.get(f'/v1/runs?event={late}')['items'][0]['id']}/cancel", {})
        p.kill()
        p.start(ready=False)
        harness.wait_for(lambda: self.answers(p), "the service to be back on the full disk")
        self.assertEqual(p.request("POST", "/v1/events?type=load.Tick&source=disk&id=refused", {}).status, 503)
        subprocess.run(["mount", "-o", "remount,size=64m", p.state], check=True)
        self.check_goes_on(p, acknowledged)

    def answers(self, p):
        if p.process.poll() is not None:
            raise AssertionError(p.log_text()[-2000:])
        try:
            with open(os.path.join(p.state, "http.url")) as f:
                p.port = int(f.read().strip().rsplit(":", 1)[1])
            return p.request("GET", "/readyz").status == 503 and "full" in p.get("/v1/status")["store"]["state"]
        except (OSError, IndexError, ValueError, http.client.HTTPException, json.JSONDecodeError):
            return False

    def fill_up(self, p, acknowledged):
        """Somebody else takes what the service has set free, too."""
        ballast = 0
        while True:
            answer = self.fill(p, acknowledged)
            disk = os.statvfs(p.state)
            with open(os.path.join(p.state, f"ballast{ballast}"), "wb") as f:
                f.write(bytes(max(0, disk.f_bavail * disk.f_frsize - 700 * 1024)))
            ballast += 1
            if p.request("GET", "/readyz").status == 503:
                return answer

    def test_a_disk_that_turns_read_only(self):
        """As file systems do after a fault: nothing is accepted, everything is kept, and it goes on when writing goes again."""
        p = self.service(rules=RULES, start=False)
        flag = os.path.join(p.dir, "read-only")
        p.env.update({"LD_PRELOAD": SHIM, "READONLY_FLAG": flag, "READONLY_FOLDER": p.state,
                      "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"})
        p.start()
        acknowledged = {n: p.emit("load.Tick", {"n": n}, source="disk", id=str(n)) for n in range(20)}
        late = p.emit("t.Late")
        harness.wait_for(lambda: p.get("/v1/status")["unmatched"] == 0, "the events to be matched")
        open(flag, "w").close()
        answer = harness.wait_for(lambda: self.refused(p), "a refusal")
        self.check_refusal(p, answer)
        why = p.get("/v1/status")["store"]["reason"]
        self.assertRegex(why, "does not take writes|[Rr]ead-only")
        self.assertIn(why, p.cli("doctor", expect=None).stdout)
        self.assertEqual(p.get(f"/v1/events/{acknowledged[7]}")["data"]["n"], 7)  # what is stored can be read
        self.assertNotEqual(p.get(f"/v1/runs?event={late}")["items"][0]["state"], "failed")
        self.assertGreaterEqual(self.lines(p, "no event is accepted"), 1)
        os.unlink(flag)
        self.check_goes_on(p, acknowledged)
        harness.wait_for(lambda: p.get(f"/v1/runs?event={late}")["items"][0]["state"] == "succeeded", "the run that slept")

    def refused(self, p):
        answer = p.request("POST", "/v1/events?type=load.Tick&source=disk&id=refused", {"n": 999})
        return answer if answer.status != 202 else None

    @unittest.skipUnless(os.geteuid() == 0, "only the superuser can mount a small file system")
    def test_a_start_on_a_read_only_disk(self):
        p = self.service(rules=RULES, start=False)
        self.small_disk(p, "64m")
        p.start()
        acknowledged = {0: p.emit("load.Tick", {"n": 0}, source="disk", id="0")}
        p.kill()
        subprocess.run(["mount", "-o", "remount,ro", p.state], check=True)
        done = subprocess.run([harness.BIN, "run", "--config", p.config_file], env=p.env, capture_output=True, text=True, timeout=harness.DEADLINE)
        self.assertEqual(done.returncode, 1, done)
        last = done.stderr.splitlines()[-1]
        self.assertIn(p.state, last)
        self.assertRegex(last, "(?i)read-only")
        subprocess.run(["mount", "-o", "remount,rw", p.state], check=True)
        p.start()
        self.check_goes_on(p, acknowledged)

    def test_a_limit_on_the_size_of_files(self):
        p = self.service(rules=RULES)
        acknowledged = {}
        resource.prlimit(p.process.pid, resource.RLIMIT_FSIZE, (4 * MIB, resource.RLIM_INFINITY))
        answer = self.fill(p, acknowledged)
        self.check_refusal(p, answer)
        resource.prlimit(p.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        self.check_goes_on(p, acknowledged)
        self.assertGreaterEqual(self.lines(p, "there is room on the disk again"), 1)

    def test_a_sender_that_repeats_gets_through(self):
        """The usual client: it repeats what was refused, and ends with each event once."""
        p = self.service(rules=RULES)
        resource.prlimit(p.process.pid, resource.RLIMIT_FSIZE, (2 * MIB, resource.RLIM_INFINITY))
        acknowledged, refused = {}, 0
        while len(acknowledged) < 400:
            n = len(acknowledged)
            answer = p.request("POST", f"/v1/events?type=load.Tick&source=disk&id={n}", {"n": n, "padding": "x" * 16000})
            if answer.status == 202:
                acknowledged[n] = answer.json["id"]
                continue
            self.assertEqual(answer.status, 503, answer)
            if not refused:
                resource.prlimit(p.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            refused += 1
        self.assertGreater(refused, 0)
        self.check_kept(p, acknowledged)


if __name__ == "__main__":
    harness.main()
