"""A disk whose cache flush takes as long as on flash at the edge.

The disk of a virtual machine often answers a flush at once, from the memory of its host: nothing that
waits for the disk costs anything there. eMMC, SD cards and solid-state disks without a capacitor take one
to ten milliseconds. This is a file system (ext4) on a loop device over one file, whose flushes wait.

Reads and writes go straight to the file (FUSE passthrough, Linux 6.9); a flush comes here, one at a time,
waits, and is then done. Needs root. Source: the kernel's include/uapi/linux/fuse.h.
"""

import ctypes
import errno
import fcntl
import os
import signal
import struct
import subprocess
import time

LOOKUP, FORGET, GETATTR, SETATTR, OPEN, STATFS = 1, 2, 3, 4, 14, 17
RELEASE, FSYNC, FLUSH, INIT, INTERRUPT, BATCH_FORGET = 18, 20, 25, 26, 36, 42
SILENT = (FORGET, BATCH_FORGET, INTERRUPT)

INIT_EXT = 1 << 30
PASSTHROUGH = 1 << (37 - 32)
"""In the second half of the flags."""
OPEN_PASSTHROUGH = 1 << 7
BACKING_OPEN = 1 << 30 | 16 << 16 | 229 << 8 | 1
ROOT, DISK = 1, 2
HOUR = 3600
SIZE = 4 << 30
"""Only what is written takes room."""

libc = ctypes.CDLL(None, use_errno=True)


class SlowDisk:
    """A folder on such a disk, for a block's length."""

    def __init__(self, folder, flush_ms, size=SIZE):
        self.pause, self.size = flush_ms / 1000, size
        self.backing = os.path.join(folder, "disk.img")
        self.point = os.path.join(folder, "fuse")
        self.folder = os.path.join(folder, "disk")

    def __enter__(self):
        os.mkdir(self.point)
        os.mkdir(self.folder)
        self.file = os.open(self.backing, os.O_RDWR | os.O_CREAT)
        os.ftruncate(self.file, self.size)
        subprocess.run(["mkfs.ext4", "-q", "-E", "nodiscard", self.backing], check=True)
        self.device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        self._mount()
        # A process of its own, so that what it does delays nothing here.
        self.server = os.fork()
        if self.server == 0:
            self._serve()
        subprocess.run(["mount", "-o", "loop", os.path.join(self.point, "disk"), self.folder], check=True)
        return self.folder

    def __exit__(self, *_):
        # Another program's mount namespace may hold copies of the mounts: no end would come, and no place be free.
        for place in (self.folder, self.point):
            subprocess.run(["umount", "--lazy", place], check=False)
        os.close(self.device)
        os.kill(self.server, signal.SIGKILL)
        os.waitpid(self.server, 0)
        os.close(self.file)
        os.unlink(self.backing)

    def _mount(self):
        data = f"fd={self.device},rootmode=40000,user_id=0,group_id=0"
        if libc.mount(b"bench", self.point.encode(), b"fuse", 0, data.encode()) != 0:
            raise OSError(ctypes.get_errno(), f"mounting {self.point}")

    def _serve(self):
        """Answers until the file system is unmounted."""
        while True:
            try:
                request = os.read(self.device, 1 << 18)
            except OSError as error:
                os._exit(0 if error.errno == errno.ENODEV else 1)
            _, opcode, unique, node = struct.unpack_from("<IIQQ", request)
            if opcode in SILENT:
                continue
            try:
                error, body = 0, self._answer(opcode, node, request[40:])
            except OSError as refused:
                error, body = -refused.errno, b""
            os.write(self.device, struct.pack("<IiQ", 16 + len(body), error, unique) + body)

    def _answer(self, opcode, node, body):
        if opcode == INIT:
            major, minor, readahead = struct.unpack_from("<III", body)
            return struct.pack("<IIIIHHIIHHIIH", major, min(minor, 45), readahead, INIT_EXT, 16, 12, 1 << 17, 1,
                               32, 0, PASSTHROUGH, 1, 0).ljust(64, b"\0")
        if opcode == LOOKUP:
            if body.rstrip(b"\0") != b"disk":
                raise OSError(errno.ENOENT, "")
            return struct.pack("<QQQQII", DISK, 0, HOUR, HOUR, 0, 0) + self._attributes(DISK)
        if opcode in (GETATTR, SETATTR):
            return struct.pack("<QII", HOUR, 0, 0) + self._attributes(node)
        if opcode == OPEN:
            # A bytearray, so that the call's own value comes back.
            backing = fcntl.ioctl(self.device, BACKING_OPEN, bytearray(struct.pack("<iIQ", self.file, 0, 0)))
            return struct.pack("<QIi", 0, OPEN_PASSTHROUGH, backing)
        if opcode == FSYNC:
            time.sleep(self.pause)
            os.fdatasync(self.file)
            return b""
        if opcode in (RELEASE, FLUSH):
            return b""
        if opcode == STATFS:
            return bytes(80)
        raise OSError(errno.ENOSYS, "")

    def _attributes(self, node):
        mode, size = (0o040755, 0) if node == ROOT else (0o100600, self.size)
        return struct.pack("<QQQQQQIIIIIIIIII", node, size, size // 512, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)
