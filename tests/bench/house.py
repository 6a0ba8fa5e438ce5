"""The appliance under measurement: a real `serve` on loopback, spoken to over TLS as any client.

Waiting is done on the stream of events, so that the server is not polled while it is measured.
"""

import http.client
import json
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time

import gauge
import jobs

CONFIG = """version: 2.1
jobs:
  job:
    machine: true
    steps:
      - run:
          name: job
          command: |
{script}
workflows:
  main:
    jobs: [job]
"""

ORG = "bench"

ENDED = ("success", "failed", "error", "canceled")

CALM = 5
"""Seconds after which a connection is not used again."""


class House:
    """One appliance and what it was told to run."""

    name = "appliance"

    def __init__(self, binary, folder, lines, slots=2):
        self.program = binary
        self.folder = os.path.join(folder, "house")
        self.data = os.path.join(self.folder, "data")
        self.slots = slots
        self.lines = lines
        self.server = None
        self.events = None
        self.used = 0

    def start(self):
        """Starts it on what is there; seconds until it answers a request."""
        os.makedirs(self.folder, exist_ok=True)
        self.log = os.path.join(self.folder, "serve.log")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        begun = time.monotonic()
        with open(self.log, "wb") as log:
            self.server = subprocess.Popen(
                [self.program, "serve", "--listen", f"127.0.0.1:{self.port}", "--s3-listen", "off",
                 "--slots", str(self.slots), "--log", "warn", "--data-dir", self.data],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        gauge.wait_for("the appliance", self._answers, pause=0.001)
        ready = time.monotonic() - begun
        self.tls = ssl.create_default_context(cafile=os.path.join(self.data, "tls/ca.pem"))
        return ready

    def _answers(self):
        if self.server.poll() is not None:
            raise SystemExit(f"the appliance ended: {open(self.log).read()}")
        try:
            return self._local("GET", "/readyz") is not None
        except (OSError, http.client.HTTPException):
            return False

    def _local(self, method, path, body=None):
        connection = http.client.HTTPConnection("localhost", timeout=30)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(os.path.join(self.data, "control.sock"))
        connection.request(method, path, body and json.dumps(body), {"content-type": "application/json"})
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        return data if answer.status < 300 else None

    def prepare(self):
        """An account, and one project for each job, pushed by git."""
        self._local("POST", "/api/appliance/v1/user", {"login": "bench", "role": "admin"})
        made = json.loads(self._local("POST", "/api/appliance/v1/user/bench/token", {"label": "bench"}))
        self.token = made["token"]
        for name, script in jobs.scripts(self.lines).items():
            self._push(name, script)
        self.connect()

    def _push(self, name, script):
        folder = os.path.join(self.folder, "copy", name)
        os.makedirs(os.path.join(folder, ".circleci"))
        with open(os.path.join(folder, ".circleci/config.yml"), "w") as file:
            file.write(CONFIG.format(script="\n".join(" " * 12 + line for line in script.splitlines())))
        url = f"https://bench:{self.token}@127.0.0.1:{self.port}/git/{ORG}/{name}.git"
        environment = os.environ | {
            "GIT_SSL_CAINFO": os.path.join(self.data, "tls/ca.pem"), "GIT_CONFIG_NOSYSTEM": "1", "HOME": folder}
        for arguments in (["init", "-q", "-b", "main"], ["add", "-A"],
                          ["-c", "user.name=b", "-c", "user.email=b@example.org", "commit", "-qm", "[ci skip] bench"],
                          ["push", "-q", url, "main"]):
            subprocess.run(["git", *arguments], cwd=folder, env=environment, check=True, stderr=subprocess.PIPE)

    def connect(self):
        """The stream of events and a connection for calls."""
        self.calls = self._connection()
        self.events = Events(self)

    def _connection(self):
        return http.client.HTTPSConnection("127.0.0.1", self.port, context=self.tls, timeout=120)

    def call(self, method, path, body=None, connection=None):
        connection = connection or self.calls
        if time.monotonic() - self.used > CALM:
            # The server has ended a connection that was quiet; the next request opens another.
            connection.close()
        self.used = time.monotonic()
        connection.request(method, path, body and json.dumps(body),
                           {"circle-token": self.token, "content-type": "application/json"})
        answer = connection.getresponse()
        data = answer.read()
        if answer.status >= 300:
            raise SystemExit(f"{method} {path}: {answer.status} {data[:300]}")
        return data

    def trigger(self, name):
        return json.loads(self.call("POST", f"/api/v2/project/gh/{ORG}/{name}/pipeline", {"branch": "main"}))["id"]

    def number(self, pipeline):
        return self._job(pipeline)["job_number"]

    def _job(self, pipeline):
        """The one of its one workflow; nothing yet where it is not planned."""
        workflow = self.events.workflow_of.get(pipeline)
        path = f"/api/v2/workflow/{workflow}/job"
        return json.loads(self.call("GET", path))["items"][0] if workflow else {"status": None}

    def output(self, name, pipeline, follow=False):
        path = f"/api/v2/project/gh/{ORG}/{name}/job/{self.number(pipeline)}/log"
        path += "?follow=true" if follow else ""
        return self.call("GET", path).decode()

    def once(self):
        """Seconds from a trigger to the trivial job's first line, and to its end."""
        asked = time.time()
        pipeline = self.trigger("trivial")
        ended = self.events.wait(pipeline)
        return jobs.at(self.output("trivial", pipeline)) - asked, ended - asked

    def throughput(self, count):
        """Two long jobs hold the slots until `count` are queued; then all are drained."""
        gauge.rest(self.program)
        spent = gauge.processor_seconds_with_children(gauge.processes(self.program))
        holds = [self.trigger("hold") for _ in range(self.slots)]
        # On a machine under pressure the governor gives fewer slots, and nothing here would be of two.
        gauge.wait_for("the held slots", lambda: all(self._job(hold)["status"] == "running" for hold in holds))
        queued = time.monotonic()
        pipelines = [self.trigger("trivial") for _ in range(count)]
        enqueue = count / (time.monotonic() - queued)
        gauge.wait_for("the last to be planned", lambda: pipelines[-1] in self.events.workflow_of)
        # As beside Laminar, one connection waits, whose answer comes with the end of a job.
        self.events.close()
        if any(self._state(hold) in ENDED for hold in holds):
            print("note: the queue began to drain before it was filled")
        for hold in holds:
            self.output("hold", hold, follow=True)
        begun = time.monotonic()
        self.output("trivial", pipelines[-1], follow=True)
        left = pipelines[-self.slots:]
        gauge.wait_for("the last jobs", lambda: all(self._state(pipeline) in ENDED for pipeline in left), pause=0.02)
        rate = count / (time.monotonic() - begun)
        gauge.rest(self.program)
        spent = gauge.processor_seconds_with_children(gauge.processes(self.program)) - spent
        states = [self._state(pipeline) for pipeline in pipelines]
        if states != ["success"] * count:
            raise SystemExit(f"not every job succeeded: {sorted(set(states))}")
        self.events = Events(self)
        return {"jobs_per_s": rate, "enqueue_per_s": enqueue, "cpu_per_job": spent * 1000 / (count + self.slots)}

    def _state(self, pipeline):
        """That of its one workflow."""
        return json.loads(self.call("GET", f"/api/v2/pipeline/{pipeline}/workflow"))["items"][0]["status"]

    def written_per_job(self, count):
        """Bytes that reach the disk for each trivial job, one after another."""
        before = gauge.written(gauge.processes(self.program))
        for _ in range(count):
            self.events.wait(self.trigger("trivial"))
        gauge.rest(self.program)
        return (gauge.written(gauge.processes(self.program)) - before) / count

    def flood(self, kind):
        gauge.rest(self.program)
        with gauge.PeakMemory(self.program) as peak:
            asked = time.time()
            pipeline = self.trigger(kind)
            done = self.events.wait(pipeline) - asked
        log = self.output(kind, pipeline)
        if log.count("\n" + jobs.LINE) < self.lines:
            raise SystemExit(f"the log of {kind} is not whole")
        return {"wall": jobs.wall(log), "done": done, "memory": peak.growth}

    def tail(self):
        """Seconds from a line's print to a client that follows the log through TLS."""
        pipeline = self.trigger("tail")
        gauge.wait_for("the job", lambda: pipeline in self.events.workflow_of)
        path = f"/api/v2/project/gh/{ORG}/tail/job/{self.number(pipeline)}/log?follow=true"
        connection = self._connection()
        connection.request("GET", path, headers={"circle-token": self.token})
        found = arrivals(connection.getresponse())
        self.events.wait(pipeline)
        return found

    def stop(self):
        if self.server and self.server.poll() is None:
            if self.events:
                self.events.close()
            self.server.terminate()
            self.server.wait(30)

    def remove(self):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def arrivals(answer):
    """How late each line with a time came."""
    found, rest = [], b""
    while block := answer.read1(1 << 16):
        now = time.time()
        *lines, rest = (rest + block).split(b"\n")
        found += [now - float(line.split()[1]) for line in lines if line.startswith(b"AT ")]
    return found


class Events:
    """Follows the event stream: which workflow is of which pipeline, and when it ended."""

    LIVE = ("running", "failing", "on_hold")

    def __init__(self, house):
        self.workflow_of, self.pipeline_of, self.ended = {}, {}, {}
        self.news = threading.Condition()
        self.connection = house._connection()
        self.connection.request("GET", "/events", headers={"circle-token": house.token})
        self.answer = self.connection.getresponse()
        if self.answer.status != 200:
            raise SystemExit(f"/events: {self.answer.status} {self.answer.read()}")
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        try:
            for line in self.answer:
                if line.startswith(b"data:"):
                    self._learn(json.loads(line[5:])["event"], time.time())
        except (OSError, ValueError, AttributeError, http.client.HTTPException):
            pass  # The stream was closed by the end of the measurement.

    def _learn(self, event, now):
        if event["type"] == "workflow_created":
            self.pipeline_of[event["workflow"]] = event["pipeline"]
            self.workflow_of[event["pipeline"]] = event["workflow"]
        if event["type"] == "workflow_changed" and event["state"] not in self.LIVE:
            with self.news:
                pipeline = self.pipeline_of.get(event["workflow"])
                if event["state"] != "success":
                    print(f"note: a workflow ended as {event['state']}")
                self.ended[pipeline] = now
                self.news.notify_all()

    def wait(self, pipeline, seconds=120):
        """When a pipeline's workflow ended."""
        with self.news:
            if not self.news.wait_for(lambda: pipeline in self.ended, seconds):
                raise SystemExit(f"pipeline {pipeline} did not end")
        return self.ended[pipeline]

    def close(self):
        try:
            self.connection.sock.shutdown(socket.SHUT_RDWR)
        except (OSError, AttributeError):
            pass
