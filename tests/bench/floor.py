"""The floor: plain bash, no server. What no runner of jobs can beat on this machine."""

import subprocess
import time

import jobs


class Floor:
    """Runs the jobs' scripts directly."""

    name = "floor"

    def __init__(self, lines):
        self.scripts = jobs.scripts(lines)

    def once(self):
        """Seconds from the call to the trivial job's first line, and to its end."""
        asked = time.time()
        out = subprocess.run(["bash", "-c", self.scripts["trivial"]], capture_output=True, text=True)
        return jobs.at(out.stdout) - asked, time.time() - asked

    def throughput(self, count):
        """Jobs a second, two at a time."""
        begun = time.monotonic()
        subprocess.run(
            ["xargs", "-P2", "-n1", "bash", "-c", self.scripts["trivial"]],
            input="\n".join(map(str, range(count))), text=True, stdout=subprocess.DEVNULL, check=True)
        return {"jobs_per_s": count / (time.monotonic() - begun)}

    def flood(self, kind):
        """The job's wall through a pipe that is read as fast as can be."""
        begun = time.monotonic()
        child = subprocess.Popen(["bash", "-c", self.scripts[kind]], stdout=subprocess.PIPE)
        last = b""
        while block := child.stdout.read1(1 << 20):
            last = (last + block)[-400:]
        child.wait()
        return {"wall": jobs.wall(last.decode()), "done": time.monotonic() - begun}
