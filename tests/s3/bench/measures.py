"""What is measured, each for one server. Times in seconds, sizes in bytes.

Source of bytes written and CPU time: proc(5), see `tests/bench/gauge.py`.
"""

import concurrent.futures
import glob
import hashlib
import itertools
import json
import os
import random
import socket
import ssl
import subprocess
import threading
import time

import gauge

try:
    import blake3
except ImportError:
    blake3 = None

HERE = os.path.dirname(os.path.abspath(__file__))
KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30

BLOCK = 4 * MIB
"""Large bodies repeat so many bytes."""

SPREAD = {4 * KIB: 256, MIB: 16, 64 * MIB: 2}
"""Objects that a GET load goes over, by size."""


def label(size):
    for unit, name in ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if size >= unit:
            return f"{size // unit} {name}"
    return f"{size} B"


def wrk(script, url, host, arguments, connections, seconds, threads=2):
    """One run of the load tool; its summary."""
    command = ["wrk", "-t", str(min(threads, connections)), "-c", str(connections), "-d", f"{seconds}s",
               "--timeout", "60s", "--latency", "-H", f"Host: {host}", "-s", os.path.join(HERE, script), url,
               "--", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 120)
    lines = [line for line in done.stderr.splitlines() if line.startswith("{")]
    if not lines:
        raise SystemExit(f"wrk gave no summary: {done.stdout}{done.stderr}")
    found = json.loads(lines[-1])
    if found["refused"] or found.get("broken"):
        raise SystemExit(f"{url}: {found['refused']} requests were refused, {found.get('broken')} broken")
    return found


def load(server, method, addresses, folder, connections, seconds, tls=False, size=None):
    """Requests a second, bytes a second and the server's CPU seconds for one request."""
    listing = os.path.join(folder, f"{server.name}.addresses")
    with open(listing, "w") as file:
        file.write("\n".join(addresses) + "\n")
    port = server.tls_port if tls else server.port
    url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    arguments = [method, listing] + ([size] if size else [])
    pids = server.pids()
    before = gauge.processor_seconds(pids)
    found = wrk("load.lua", url, server.host_of(tls), arguments, connections, seconds)
    found["cpu"] = (gauge.processor_seconds(pids) - before) / max(1, found["requests"])
    found["rate"] = found["requests"] / found["seconds"]
    return found


def rest(pids, quiet=0.5, seconds=10):
    """Waits until these processes have been idle for `quiet` seconds: what they put off is written then."""
    end, before = time.monotonic() + seconds, gauge.processor_seconds(pids)
    while time.monotonic() < end:
        time.sleep(quiet)
        now = gauge.processor_seconds(pids)
        if now - before < 0.02 * quiet:
            return
        before = now


def fill(server, size):
    """The objects of a GET load, the same bytes on every server."""
    seeded = random.Random(size)
    for number in range(SPREAD[size]):
        server.store(f"get-{size}-{number}", seeded.randbytes(min(size, MIB)) * max(1, size // MIB))


def get(server, size, folder, connections, seconds, tls):
    addresses = [server.address("GET", f"get-{size}-{number}", tls) for number in range(SPREAD[size])]
    return load(server, "GET", addresses, folder, connections, seconds, tls)


def put_small(server, size, folder, connections, seconds, keys):
    """PUT under changing keys, every body of its own; with bytes written for each byte stored."""
    addresses = [server.address("PUT", f"put-{number}") for number in range(keys)]
    pids = server.pids()
    before = gauge.written(pids)
    found = load(server, "PUT", addresses, folder, connections, seconds, size=size)
    rest(pids)
    found["wear"] = (gauge.written(pids) - before) / max(1, found["requests"] * size)
    return found


class Sender:
    """Sends large bodies over plain connections without reading them into this process."""

    def __init__(self, folder, size):
        self.size = size
        self.path = os.path.join(folder, "body")
        with open(self.path, "wb") as file:
            file.write(random.Random(1).randbytes(BLOCK))

    def pour(self, link, left):
        with open(self.path, "rb") as file:
            while left > 0:
                left -= link.sendfile(file, 0, min(left, BLOCK))

    def blocks(self, receives):
        """One body in blocks: the same one again and again, or all that a thread sends over loopback."""
        block = bytearray(random.Random(2).randbytes(256 * KIB))
        if not receives:
            yield from itertools.repeat(block, self.size // len(block))
            return
        with socket.create_server(("127.0.0.1", 0)) as door:
            sending = socket.create_connection(door.getsockname())
            link, _ = door.accept()
        thread = threading.Thread(target=lambda: (self.pour(sending, self.size), sending.close()))
        thread.start()
        with link:
            while length := link.recv_into(block):
                yield memoryview(block)[:length]
        thread.join()

    def send(self, server, key, unique, stop_before=0):
        """One PUT; with `stop_before` the last bytes are kept back and the connection is given to the caller."""
        head = unique.to_bytes(8, "big")
        link = socket.create_connection(("127.0.0.1", server.port), timeout=120)
        path = server.address("PUT", key)
        link.sendall(f"PUT {path} HTTP/1.1\r\nHost: {server.host_of(False)}\r\nContent-Length: {self.size}\r\n"
                     "Connection: close\r\n\r\n".encode() + head)
        self.pour(link, self.size - len(head) - stop_before)
        if stop_before:
            return link
        answer = link.makefile("rb").readline()
        link.close()
        if b" 200" not in answer:
            raise SystemExit(f"{server.name}: PUT {key}: {answer!r}")
        return None


def together(connections, work, count):
    """Runs `work(number)` for each number, `connections` at a time; the seconds that it took."""
    begun = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(connections) as threads:
        list(threads.map(work, range(count)))
    return time.monotonic() - begun


def put_large(server, sender, connections, count):
    """Bytes a second of `count` uploads over `connections` at a time; with bytes written for each stored."""
    pids = server.pids()
    cpu, wear = gauge.processor_seconds(pids), gauge.written(pids)
    seconds = together(connections, lambda number: sender.send(server, f"large-{number}", time.monotonic_ns()), count)
    rest(pids)
    total = count * sender.size
    return {"rate": total / seconds, "cpu": (gauge.processor_seconds(pids) - cpu) / count,
            "wear": (gauge.written(pids) - wear) / total}


def floor_large(folder, sender, connections, count, **parts):
    """The same work without a server, on as many threads: the hash that clients expect (`md5`), the one that
    every stored byte carries (`blake3`), a synced file (`disk`); with `receives` the bytes come over loopback."""
    disk, receives = parts.get("disk"), parts.get("receives")

    def work(number):
        hashes = [hashlib.md5(usedforsecurity=False)] if parts.get("md5") else []
        if parts.get("blake3"):
            hashes.append(blake3.blake3())
        path = os.path.join(folder, f"floor-{number}")
        file = os.open(path, os.O_CREAT | os.O_WRONLY) if disk else None
        for block in sender.blocks(receives):
            for one in hashes:
                one.update(block)
            if disk:
                os.write(file, block)
        if disk:
            os.fsync(file)
            os.close(file)

    seconds = together(connections, work, count)
    # Kept until then, as a store keeps its objects: memory that a removed file gave back is warm.
    for path in glob.glob(os.path.join(folder, "floor-*")):
        os.unlink(path)
    return count * sender.size / seconds


def many_keys(server, keys, connections=16):
    """Fills a bucket with keys that anybody may write for so long; how many there are."""
    policy = {"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": "*", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::bench/many/*"}]}
    server.ask("PUT", "", json.dumps(policy).encode(), [("policy", "")])
    made = 0
    while made < keys:
        arguments = [f"/bench/many/{made:09d}-"]
        url = f"http://127.0.0.1:{server.port}"
        made += wrk("many.lua", url, server.host_of(False), arguments, connections, 10)["requests"]
        print(f"  {made} of {keys} keys", flush=True)
    server.ask("DELETE", "", b"", [("policy", "")])
    return made


def listing(server, folder, seconds):
    """Pages of 1,000 keys from places all over the bucket, one after the other."""
    fields = lambda after: [("list-type", "2"), ("max-keys", "1000"), ("prefix", "many/"), ("start-after", after)]
    addresses, after = [], "many/"
    for number in range(64):
        after = f"many/{random.Random(number).randrange(0, 1000000):09d}-0/{random.Random(-number).randrange(0, 50000):09d}"
        addresses.append(server.address("GET", "", query=fields(after)))
    addresses.append(server.address("GET", "", query=fields("many/")))
    return load(server, "GET", addresses, folder, 1, seconds)


def uploads_memory(server, folder, uploads, size):
    """Memory while `uploads` bodies of `size` come in at the same time; they are cut before their end."""
    sender = Sender(folder, size)
    idle = gauge.memory([server.process.pid])
    links, peak, over = [], [0, 0], threading.Event()

    def watch():
        while not over.wait(gauge.TICK):
            rss, pss = gauge.memory([server.process.pid])
            peak[0], peak[1] = max(peak[0], rss), max(peak[1], pss)

    def work(number):
        links.append(sender.send(server, f"memory-{number}", number, stop_before=KIB))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        together(uploads, work, uploads)
    finally:
        over.set()
        watcher.join()
    for link in links:
        link.close()
    return {"idle": idle[0], "peak": peak[0]}


def syncs(server, size, count):
    """Calls that wait for the disk, for each of `count` PUTs one after the other; None without strace."""
    strace = subprocess.Popen(
        ["strace", "-f", "-c", "-e", "trace=fsync,fdatasync,sync_file_range,msync,sync,syncfs",
         *[word for pid in server.pids() for word in ("-p", str(pid))]],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        gauge.wait_for("strace", lambda: _traced(server.process.pid), seconds=10)
        for number in range(count):
            server.store(f"sync-{number}", random.randbytes(size))
    finally:
        strace.send_signal(2)
        report = strace.communicate(timeout=30)[1]
    rows = [line.split() for line in report.splitlines()]
    calls = [int(row[3]) for row in rows if len(row) >= 5 and row[-1] in ("fsync", "fdatasync", "msync", "sync", "syncfs")]
    return sum(calls) / count


def _traced(pid):
    with open(f"/proc/{pid}/status") as status:
        return any(line.startswith("TracerPid:") and line.split()[1] != "0" for line in status)


def cipher(server):
    """The cipher that a client and the server agree on."""
    context = ssl.create_default_context(cafile=server.authority)
    with socket.create_connection(("127.0.0.1", server.tls_port)) as link:
        with context.wrap_socket(link, server_hostname="127.0.0.1") as tls:
            return tls.cipher()[0]
