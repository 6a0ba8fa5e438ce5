"""The servers side by side: the appliance, nginx with the same bytes, and peers of the S3 protocol.

Each listens on loopback under a free port, keeps its data in a folder of its own, and is asked with
addresses signed for its own key. A peer whose program is absent is left out by name.
"""

import http.client
import json
import os
import shutil
import socket
import ssl
import subprocess

import gauge
from sign import presigned

BUCKET = "bench"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def family(pid):
    """A process and all its descendants."""
    found = [pid]
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children") as children:
                for child in children.read().split():
                    found += family(int(child))
    except OSError:
        pass
    return found


class Server:
    """What every server has; `durable` tells whether an answered PUT outlives a power cut, as `--strace` shows."""

    name = ""
    host = None
    region = "us-east-1"
    key, secret = "benchbenchbench00", "benchsecretbenchsecretbench00000"
    tls_port = None
    stores = True

    def __init__(self, folder):
        self.folder = os.path.join(folder, self.name)
        self.process = None
        self.port = free_port()

    def launch(self, command, environment=None):
        os.makedirs(self.folder, exist_ok=True)
        self.log = os.path.join(self.folder, "log")
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            cwd=self.folder, env=os.environ | (environment or {}))
        gauge.wait_for(self.name, self._listens, pause=0.05)

    def _listens(self):
        if self.process.poll() is not None:
            with open(self.log, errors="replace") as log:
                raise SystemExit(f"{self.name} ended: {log.read()[-2000:]}")
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            return True
        except OSError:
            return False

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def pids(self):
        return family(self.process.pid)

    def host_of(self, tls):
        return self.host or f"127.0.0.1:{self.tls_port if tls else self.port}"

    def address(self, method, key, tls=False, query=()):
        """Path and query of a signed request."""
        path = f"/{BUCKET}/{key}" if key else f"/{BUCKET}"
        return presigned(method, self.host_of(tls), path, self.key, self.secret, query, self.region)

    def connection(self, tls=False):
        if tls:
            context = ssl.create_default_context(cafile=self.authority)
            return http.client.HTTPSConnection("127.0.0.1", self.tls_port, context=context, timeout=120)
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)

    def ask(self, method, key, body=b"", query=()):
        connection = self.connection()
        headers = {"Host": self.host_of(False), "Content-Length": str(len(body))}
        connection.request(method, self.address(method, key, query=query), body, headers)
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        if answer.status >= 300:
            raise SystemExit(f"{self.name}: {method} {key}: {answer.status} {data[:300]}")
        return data

    def prepare(self):
        self.ask("PUT", "")

    def store(self, key, body):
        self.ask("PUT", key, body)


class Appliance(Server):
    """The real `serve`, over its own TLS port and, only because it is asked for, plain HTTP on loopback."""

    name = "appliance"
    host = "s3.bench.test"

    def __init__(self, program, folder):
        super().__init__(folder)
        self.program = program
        self.tls_port = free_port()
        self.data = os.path.join(self.folder, "data")
        self.authority = os.path.join(self.data, "tls/ca.pem")

    def start(self):
        self.launch([self.program, "serve", "--listen", "127.0.0.1:0", "--s3-listen", f"127.0.0.1:{self.tls_port}",
                     "--plain-listen", f"127.0.0.1:{self.port}", "--names", "bench.test", "--log", "warn",
                     "--data-dir", self.data])

    def prepare(self):
        made = subprocess.run(
            [self.program, "key", "create", "--owner", "bench", "--json", "--data-dir", self.data],
            check=True, capture_output=True, text=True)
        made = json.loads(made.stdout)
        self.key, self.secret = made["id"], made["secret"]
        super().prepare()


class Nginx(Server):
    """The limit of what is read: static files, no log, the same certificate and ciphers."""

    name = "nginx"
    stores = False

    def __init__(self, program, folder, appliance):
        super().__init__(folder)
        self.program = program
        self.appliance = appliance
        self.tls_port = free_port()
        self.authority = appliance.authority

    def start(self):
        files = os.path.join(self.folder, "files", BUCKET)
        os.makedirs(files)
        tls = os.path.join(self.appliance.data, "tls")
        with open(os.path.join(self.folder, "nginx.conf"), "w") as file:
            file.write(f"""
daemon off; worker_processes auto; pid nginx.pid; error_log stderr; user root;
events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; root {self.folder}/files;
  client_body_temp_path {self.folder}/b; proxy_temp_path {self.folder}/p; fastcgi_temp_path {self.folder}/f;
  uwsgi_temp_path {self.folder}/u; scgi_temp_path {self.folder}/s;
  server {{
    listen 127.0.0.1:{self.port}; listen 127.0.0.1:{self.tls_port} ssl;
    ssl_certificate {tls}/server.pem; ssl_certificate_key {tls}/server.key;
    ssl_protocols TLSv1.2 TLSv1.3;
  }}
}}""")
        self.launch([self.program, "-p", self.folder, "-c", os.path.join(self.folder, "nginx.conf")])

    def address(self, method, key, tls=False, query=()):
        return f"/{BUCKET}/{key}"

    def prepare(self):
        pass

    def store(self, key, body):
        with open(os.path.join(self.folder, "files", BUCKET, key), "wb") as file:
            file.write(body)


class S3sFs(Server):
    name = "s3s-fs"

    def __init__(self, program, folder):
        super().__init__(folder)
        self.program = program

    def start(self):
        os.makedirs(os.path.join(self.folder, "data"), exist_ok=True)
        self.launch([self.program, "--host", "127.0.0.1", "--port", str(self.port), "--access-key", self.key,
                     "--secret-key", self.secret, os.path.join(self.folder, "data")], {"RUST_LOG": "error"})


class S3rver(Server):
    name = "s3rver"
    key = secret = "S3RVER"

    def __init__(self, program, folder):
        super().__init__(folder)
        self.program = program

    def start(self):
        self.launch([self.program, "--silent", "-a", "127.0.0.1", "-p", str(self.port),
                     "-d", os.path.join(self.folder, "data")])


class Moto(Server):
    name = "moto"

    def __init__(self, program, folder):
        super().__init__(folder)
        self.program = program

    def start(self):
        self.launch([self.program, "-H", "127.0.0.1", "-p", str(self.port)])


class Garage(Server):
    """One node, told to sync data and metadata: its own default does not."""

    name = "garage"
    region = "garage"

    def __init__(self, program, folder):
        super().__init__(folder)
        self.program = program

    def _tell(self, *arguments):
        return subprocess.run([self.program, "-c", os.path.join(self.folder, "garage.toml"), *arguments],
                              check=True, capture_output=True, text=True).stdout

    def start(self):
        os.makedirs(self.folder, exist_ok=True)
        with open(os.path.join(self.folder, "garage.toml"), "w") as file:
            file.write(f"""
metadata_dir = "{self.folder}/meta"
data_dir = "{self.folder}/data"
db_engine = "lmdb"
metadata_fsync = true
data_fsync = true
replication_factor = 1
rpc_bind_addr = "127.0.0.1:{free_port()}"
rpc_secret = "{'0' * 63}1"
[s3_api]
s3_region = "garage"
api_bind_addr = "127.0.0.1:{self.port}"
root_domain = ".s3.garage"
""")
        os.chmod(file.name, 0o600)
        self.launch([self.program, "-c", file.name, "server"], {"RUST_LOG": "error"})

    def prepare(self):
        node = gauge.wait_for("garage's node", lambda: self._node(), pause=0.2)
        self._tell("layout", "assign", "-z", "here", "-c", "50G", node)
        self._tell("layout", "apply", "--version", "1")
        self.key, self.secret = "GK" + "0" * 24, "1" * 64
        gauge.wait_for("garage's layout", self._has_key, pause=0.2)
        self._tell("bucket", "create", BUCKET)
        self._tell("bucket", "allow", "--read", "--write", "--owner", BUCKET, "--key", self.key)

    def _node(self):
        try:
            return self._tell("node", "id", "-q").split("@")[0].strip()
        except subprocess.CalledProcessError:
            return None

    def _has_key(self):
        try:
            self._tell("key", "import", "--yes", self.key, self.secret)
            return True
        except subprocess.CalledProcessError:
            return False


def chosen(options, folder):
    """The appliance first, then all whose programs are here."""
    appliance = Appliance(options.binary, folder)
    found = [appliance]
    for make, program, flag in ((lambda path: Nginx(path, folder, appliance), options.nginx, "nginx"),
                                (lambda path: Garage(path, folder), options.garage, "garage"),
                                (lambda path: S3sFs(path, folder), options.s3s_fs, "s3s-fs"),
                                (lambda path: S3rver(path, folder), options.s3rver, "s3rver"),
                                (lambda path: Moto(path, folder), options.moto, "moto")):
        if program and shutil.which(program):
            found.append(make(shutil.which(program)))
        else:
            print(f"{flag}: absent, left out (name its program with --{flag})")
    return found
