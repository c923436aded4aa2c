#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A backup of the running service, a start with it, and the way back from a damaged database."""
import json
import os
import shutil
import sqlite3
import threading

import harness

RULES = {
    "note.yaml": "name: Note\ntrigger: {event: t.Note}\nactions:\n  - operator: notify.send\n    params: {message: \"note {{ event.n }}\"}\n",
    "late.yaml": "name: Late\ntrigger: {event: t.Late}\nactions:\n  - delay: 2s\n  - operator: notify.send\n    params: {message: late}\n",
}


class Backup(harness.Case):
    def database(self, p):
        return os.path.join(p.state, "perigee.db")

    def copy(self, p, name="copy.db"):
        return os.path.join(p.dir, name)

    def test_of_a_running_service(self):
        p = self.service(rules=RULES)
        stop, sent = threading.Event(), []

        def send():
            while not stop.is_set():
                sent.append(p.emit("t.Note", {"n": len(sent)}))

        thread = threading.Thread(target=send)
        thread.start()
        try:
            harness.wait_for(lambda: len(sent) > 50, "some events")
            first = json.loads(p.cli("backup", self.copy(p), "--json", expect=0).stdout)
            harness.wait_for(lambda: len(sent) > first["events"] + 50, "some more")
            second = json.loads(p.cli("backup", self.copy(p), "--json", expect=0).stdout)
        finally:
            stop.set()
            thread.join()
        self.assertGreater(first["events"], 50)
        self.assertGreater(second["events"], first["events"])
        p.cli("backup", self.database(p), expect=1)
        self.assertEqual(os.stat(self.copy(p)).st_mode & 0o077, 0)
        # Another service begins with the copy and goes on.
        q = self.service(rules=RULES, start=False)
        os.makedirs(q.state, mode=0o700)
        shutil.copy(self.copy(p), self.database(q))
        q.start()
        harness.wait_for(lambda: q.get("/v1/status")["unmatched"] == 0 and q.get("/v1/status")["live_runs"] == 0, "the backlog of the copy")
        self.assertEqual(len(q.get("/v1/events?limit=1000")["items"]), second["events"])
        run, = q.runs_of(q.emit("t.Note", {"n": -1}))
        old = q.get("/v1/runs/run-1")
        self.assertNotEqual(run["steps"][0]["idempotency_key"].split(".")[0], old["steps"][0]["idempotency_key"].split(".")[0])

    def test_a_kill_in_the_middle_leaves_the_old_copy_or_the_new_one(self):
        p = self.service(rules=RULES)
        p.runs_of(p.emit("t.Note", {"n": 1}))
        p.cli("backup", self.copy(p), expect=0)
        old = os.stat(self.copy(p)).st_ino
        for point in ("backup.checked", "backup.copied", "backup.renamed"):
            p.env["PERIGEE_FAILPOINT"] = point
            p.cli("backup", self.copy(p), expect=-9)
            del p.env["PERIGEE_FAILPOINT"]
            self.assertEqual(os.stat(self.copy(p)).st_ino == old, point != "backup.renamed")
            with sqlite3.connect(self.copy(p)) as db:
                self.assertEqual(db.execute("PRAGMA quick_check").fetchone(), ("ok",))
        self.assertEqual(p.runs_of(p.emit("t.Note", {"n": 2}))[0]["state"], "succeeded")
        p.cli("backup", self.copy(p), expect=0)
        self.assertEqual([name for name in os.listdir(p.dir) if "copy.db" in name], ["copy.db"])

    def test_a_replacement_that_is_stopped_halfway_is_finished_by_the_next(self):
        p = self.service(rules=RULES)
        ids = [p.runs_of(p.emit("t.Note", {"n": n}))[0]["id"] for n in range(3)]
        p.kill()  # what it has written is in the WAL
        p.env["PERIGEE_FAILPOINT"] = "replace.dropped"
        p.cli("recover", "--replace", p.state, expect=-9)
        del p.env["PERIGEE_FAILPOINT"]
        self.assertIn("stopped halfway", p.cli("recover", "--replace", p.state, expect=0).stdout)
        p.start()
        self.assertEqual(sorted(r["id"] for r in p.get("/v1/runs")["items"]), ids)

    def test_without_a_service(self):
        p = self.service(rules=RULES)
        p.runs_of(p.emit("t.Note", {"n": 1}))
        p.stop()
        self.assertIn("1 events", p.cli("backup", self.copy(p), expect=0).stdout)
        self.assertEqual(p.cli("backup", os.path.join(p.dir, "nowhere", "x.db")).returncode, 1)

    def test_restored_over_a_newer_database_it_says_what_is_missing(self):
        p = self.service(rules=RULES)
        p.runs_of(p.emit("t.Note", {"n": 1}))
        p.cli("backup", self.copy(p), expect=0)
        for n in range(5):
            last = p.emit("t.Note", {"n": n})
        p.runs_of(last)
        p.stop()
        for name in ("", "-wal", "-shm"):
            if os.path.exists(self.database(p) + name):
                os.unlink(self.database(p) + name)
        shutil.copy(self.copy(p), self.database(p))
        p.start()
        self.assertEqual(p.get("/v1/status")["store"]["behind"], {"acknowledged": 6, "stored": 1})
        self.assertEqual(p.emit("t.Note", {"n": 9}), "ev-7")


class Recover(harness.Case):
    def test_the_way_back(self):
        p = self.service(rules=RULES)
        notes = [p.emit("t.Note", {"n": n, "padding": "x" * 300}) for n in range(60)]
        p.runs_of(notes[-1])
        late = p.emit("t.Late")
        harness.wait_for(lambda: [r for r in p.get(f"/v1/runs?event={late}")["items"] if r["state"] == "sleeping"], "the run to sleep")
        p.stop()
        database = os.path.join(p.state, "perigee.db")
        with open(database, "r+b") as f:
            data = f.read()
            at = data.index(b'"n": 7,')
            f.seek(at + 5)
            f.write(b"8")
        p.start()
        self.assertEqual(p.request("GET", f"/v1/events/{notes[7]}").status, 503)
        self.assertIn("stop it first", p.cli("recover", "--replace", p.state, expect=1).stderr)
        done = p.cli("recover", p.state, "--json", expect=1)
        answer = json.loads(done.stdout)
        self.assertEqual(answer["lost"], 1)
        self.assertEqual({t["table"]: t["lost"] for t in answer["tables"] if not t["complete"]}, {"events": 1})
        p.stop()
        with open(database, "rb") as f:
            damaged = f.read()
        shown = p.cli("recover", "--replace", p.state, expect=1).stdout
        self.assertRegex(shown, r"events +60 +1")
        kept = [name for name in os.listdir(p.state) if ".damaged-" in name and name.endswith("Z")]
        self.assertEqual(len(kept), 1)
        with open(os.path.join(p.state, kept[0]), "rb") as f:
            self.assertEqual(f.read(), damaged)
        p.start()
        self.assertEqual(p.get(f"/v1/events/{notes[8]}")["data"]["n"], 8)
        self.assertEqual(p.request("GET", f"/v1/events/{notes[7]}").status, 404)
        paused, = p.get("/v1/runs?state=paused")["items"]
        self.assertEqual(paused["rule"], "late")
        outbox = len(p.outbox())
        self.assertEqual(p.cli("runs", "resume", "all", expect=0).stdout.strip(), paused["id"])
        run, = p.runs_of(late)
        self.assertEqual(run["state"], "succeeded")
        self.assertEqual([m["body"] for m in p.outbox()[outbox:]], ["late"])
        p.cli("runs", "resume", paused["id"], expect=1)
        self.assertEqual(p.get("/v1/status")["store"], {"state": "good"})
        run, = p.runs_of(p.emit("t.Note", {"n": 99}))
        self.assertEqual(run["state"], "succeeded")

    def test_nothing_there(self):
        p = self.service(start=False)
        self.assertEqual(p.cli("recover", os.path.join(p.dir, "none"), config=False).returncode, 1)


if __name__ == "__main__":
    harness.main()
