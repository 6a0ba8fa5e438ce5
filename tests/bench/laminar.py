"""Laminar under measurement, through its own client as its users call it.

The client's own start is part of a trigger there and is measured by itself, so that nobody has to
take it for the server's.
"""

import http.client
import os
import shutil
import socket
import subprocess
import time

import gauge
import house
import jobs


class Laminar:
    """One laminard with two executors."""

    name = "laminar"

    def __init__(self, laminard, laminarc, folder, lines):
        self.program, self.client = laminard, laminarc
        self.folder = os.path.join(folder, "laminar")
        self.lines = lines
        self.server = None

    def prepare_files(self):
        for sub in ("cfg/jobs", "cfg/contexts"):
            os.makedirs(os.path.join(self.folder, sub), exist_ok=True)
        with open(os.path.join(self.folder, "cfg/contexts/default.conf"), "w") as file:
            file.write("EXECUTORS=2\n")
        for name, script in jobs.scripts(self.lines).items():
            path = os.path.join(self.folder, f"cfg/jobs/{name}.run")
            with open(path, "w") as file:
                file.write(f"#!/bin/bash -e\n{script}\n")
            os.chmod(path, 0o755)

    def start(self):
        self.prepare_files()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        address = f"unix:{self.folder}/rpc.sock"
        if os.path.exists(f"{self.folder}/rpc.sock"):
            os.unlink(f"{self.folder}/rpc.sock")
        self.environment = os.environ | {
            "LAMINAR_HOME": self.folder, "LAMINAR_BIND_HTTP": f"127.0.0.1:{self.port}",
            "LAMINAR_BIND_RPC": address, "LAMINAR_HOST": address}
        begun = time.monotonic()
        with open(os.path.join(self.folder, "log.txt"), "ab") as log:
            self.server = subprocess.Popen([self.program], env=self.environment, stdout=log, stderr=log)
        gauge.wait_for("laminard", self._answers, pause=0.001)
        return time.monotonic() - begun

    def _answers(self):
        try:
            return self._get("/") is not None
        except (OSError, http.client.HTTPException):
            return False

    def _get(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        connection.request("GET", path)
        return connection.getresponse().read()

    def _client(self, *arguments):
        done = subprocess.run([self.client, *arguments], env=self.environment, capture_output=True, text=True)
        return done.stdout.split()

    def client_cost(self, count=20):
        """Seconds that a call of the client takes which asks for nothing but a list."""
        spent = []
        for _ in range(count):
            begun = time.monotonic()
            self._client("show-jobs")
            spent.append(time.monotonic() - begun)
        return gauge.median(spent)

    def _number(self, told):
        return next(word.rsplit(":", 1)[1] for word in told if ":" in word and word.rsplit(":", 1)[1].isdigit())

    def once(self):
        """Seconds from a trigger to the trivial job's first line, and to its end."""
        asked = time.time()
        told = self._client("run", "trivial")
        ended = time.time()
        log = self._get(f"/log/trivial/{self._number(told)}").decode()
        return jobs.at(log) - asked, ended - asked

    def throughput(self, count):
        """As for the appliance: two long jobs hold the executors until `count` are queued."""
        spent = gauge.processor_seconds_with_children(gauge.processes(self.program))
        holds = subprocess.Popen([self.client, "run", "hold", "hold"], env=self.environment, stdout=subprocess.DEVNULL)
        gauge.wait_for("the held executors", lambda: len(self._client("show-running")) >= 2)
        queued = time.monotonic()
        told = self._client("queue", *["trivial"] * count)
        enqueue = count / (time.monotonic() - queued)
        last = told[-1].rsplit(":", 1)[1]
        if holds.poll() is not None:
            print("note: Laminar's queue began to drain before it was filled")
        holds.wait()
        begun = time.monotonic()
        # Its answer comes with the end of the run: one connection, no polling.
        self._get(f"/log/trivial/{last}")
        gauge.wait_for("Laminar's last job", lambda: not self._client("show-queued") and not self._client("show-running"), pause=0.02)
        rate = count / (time.monotonic() - begun)
        spent = gauge.processor_seconds_with_children(gauge.processes(self.program)) - spent
        return {"jobs_per_s": rate, "enqueue_per_s": enqueue, "cpu_per_job": spent * 1000 / (count + 2)}

    def written_per_job(self, count):
        before = gauge.written(gauge.processes(self.program))
        for _ in range(count):
            self._client("run", "trivial")
        gauge.rest(self.program)
        return (gauge.written(gauge.processes(self.program)) - before) / count

    def flood(self, kind):
        gauge.rest(self.program)
        with gauge.PeakMemory(self.program) as peak:
            asked = time.time()
            told = self._client("run", kind)
            done = time.time() - asked
        log = self._get(f"/log/{kind}/{self._number(told)}").decode()
        return {"wall": jobs.wall(log), "done": done, "memory": peak.growth}

    def tail(self):
        told = self._client("start", "tail")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        connection.request("GET", f"/log/tail/{self._number(told)}")
        return house.arrivals(connection.getresponse())

    def stop(self):
        if self.server and self.server.poll() is None:
            self.server.terminate()
            self.server.wait(30)

    def remove(self):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
