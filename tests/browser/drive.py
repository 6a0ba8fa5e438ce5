#!/usr/bin/env python3
"""Drives the dashboard in headless Chromium as a person would, through the WebDriver protocol.

Arguments: tour BASE_URL ONE_TIME_PASSWORD SCREENSHOT_FOLDER PIPELINE_PATH
           flood BASE_URL ONE_TIME_PASSWORD SCREENSHOT_FOLDER PIPELINE_PATH JOB_PATH LINES
For the tour the pipeline is the first of its project and has a job `hold` that waits for approval, and after it a job `ship` that
prints "shipped" and keeps an artifact and a report; with the parameter `urgent` there is a workflow `express`. For the flood the job after `hold` prints LINES numbered
lines, the last of which ends in `LINES of LINES`. Ends with 0 when everything was seen; each wait
has a deadline.
Needs Python's own library, chromium and chromedriver alone.
"""

import base64
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

DEADLINE = 40
FLAGS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--ignore-certificate-errors",
]
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


class Browser:
    """One browser session."""

    def __init__(self, driver_url, profile, width, height, dark):
        flags = FLAGS + [f"--user-data-dir={profile}", f"--window-size={width},{height}"]
        if dark:
            flags.append("--force-dark-mode")
        wanted = {"alwaysMatch": {"acceptInsecureCerts": True, "goog:chromeOptions": {"args": flags}}}
        self.root = driver_url
        made = self.call("POST", "/session", {"capabilities": wanted})
        self.root = f"{driver_url}/session/{made['sessionId']}"

    def call(self, method, path, body=None):
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.root + path, data=data, method=method)
        with urllib.request.urlopen(request, timeout=DEADLINE) as answer:
            return json.load(answer)["value"]

    def open(self, url):
        """Chromium gives up a page when the network changes, and links of jobs come and go."""
        def there():
            self.call("POST", "/url", {"url": url})
            return self.script("return location.href").startswith(url)
        wait_for(f"the page {url}", there)

    def find(self, css):
        return self.call("POST", "/element", {"using": "css selector", "value": css})[ELEMENT]

    def type(self, css, text):
        self.call("POST", f"/element/{self.find(css)}/value", {"text": text})

    def click(self, css):
        self.call("POST", f"/element/{self.find(css)}/click", {})

    def script(self, text):
        return self.call("POST", "/execute/sync", {"script": text, "args": []})

    def wheel(self, element, down):
        """Turns the wheel over what a script gives; pixels, up when negative."""
        turn = {"type": "scroll", "x": 0, "y": 0, "deltaX": 0, "deltaY": down, "duration": 0,
                "origin": self.script(f"return {element}")}
        self.call("POST", "/actions", {"actions": [{"type": "wheel", "id": "wheel", "actions": [turn]}]})

    def text(self):
        return self.script("return document.body.innerText")

    def shot(self, path):
        with open(path, "wb") as file:
            file.write(base64.b64decode(self.call("GET", "/screenshot")))

    def close(self):
        self.call("DELETE", "")


def wait_for(what, check):
    end, last = time.monotonic() + DEADLINE, None
    while time.monotonic() < end:
        try:
            value = check()
        except urllib.error.HTTPError as error:
            value, last = None, error.read().decode(errors="replace")[:300]
        if value:
            return value
        time.sleep(0.05)
    raise SystemExit(f"gave up waiting for {what}; the last refusal of the driver: {last}")


def log_in(browser, base, password):
    # With the one-time password, which must be changed before anything else.
    browser.open(base)
    browser.type("input[name=login]", "admin")
    browser.type("input[name=password]", password)
    browser.click("button[type=submit]")
    wait_for("the form for a new password", lambda: browser.find("input[name=new]"))
    fresh = "a-long-enough-password"
    browser.type("input[name=old]", password)
    browser.type("input[name=new]", fresh)
    browser.type("input[name=again]", fresh)
    browser.click("form[action='/account/password'] button")
    wait_for("the password to be taken", lambda: "One-time" not in browser.text())


def look_at(browser, name, seen):
    """Opens the page about an artifact from the list of them."""
    address = wait_for(f"the link of {name}", lambda: browser.script(
        f"return [...document.querySelectorAll('a.file')].find(a => a.textContent.includes('{name}'))?.href"))
    browser.open(address)
    wait_for(f"the page about {name}", seen)


def in_tab(browser, handle, deed):
    """Does something in another tab, and comes back."""
    here = browser.call("GET", "/window")
    browser.call("POST", "/window", {"handle": handle})
    done = deed()
    browser.call("POST", "/window", {"handle": here})
    return done


def beside(browser, url):
    """Opens a page in another tab, and marks it: a page that is loaded again has no mark."""
    made = browser.call("POST", "/window/new", {"type": "tab"})["handle"]
    in_tab(browser, made, lambda: (browser.open(url), browser.script("window.marked = true")))
    return made


def press(browser, key):
    browser.call("POST", "/actions", {"actions": [{"type": "key", "id": "keys", "actions": [
        {"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]}]})


def keys_off_and_on(browser, base):
    """Single keys do nothing where they were switched off."""
    told = lambda: browser.script("return document.querySelector('#notice').textContent")
    browser.open(base + "/account")
    for state, expected in [("off", False), ("on", True)]:
        browser.click("[data-keys] input")
        wait_for("the switch", lambda: told().endswith(f"are {state}."))
        press(browser, "\ue00c")  # Escape puts the notice away.
        press(browser, "?")
        if ("next failure" in told()) != expected:
            raise SystemExit(f"keys are {state}, and the page says {told()!r}")


def tour(browser, base, shots, pipeline):
    keys_off_and_on(browser, base)
    # The pipeline waits for an approval; the page moves on by itself after it, and so do the tabs of its
    # job, which has the pipeline's own number.
    job = base + pipeline.removeprefix("/pipelines")
    artifacts = beside(browser, job + "/artifacts")
    browser.open(base + pipeline)
    wait_for("the approval", lambda: browser.find("form[action$='/approve'] button"))
    browser.shot(os.path.join(shots, "hold.png"))
    browser.click("form[action$='/approve'] button")
    wait_for("the approval to be told", lambda: "approved by admin" in browser.text())
    link = "a[href^='/gh/']"
    wait_for("the job to succeed", lambda: "ship" in browser.text() and browser.find(link))
    browser.shot(os.path.join(shots, "pipeline.png"))
    wait_for("the artifact on a page that was open before", lambda: in_tab(browser, artifacts, lambda:
             "cargo.txt" in browser.text() and browser.script("return window.marked")))

    # The job's page shows its output, live or kept.
    address = wait_for("the link of the job", lambda: browser.script(
        "return [...document.querySelectorAll(\"a[href^='/gh/']\")].filter(a => a.textContent.includes('ship')).map(a => a.getAttribute('href'))[0]"))
    address = base + address
    browser.open(address)
    wait_for("the end of the job", lambda: "Success" in browser.text())
    browser.script("document.querySelectorAll('details').forEach(d => d.open = true)")
    wait_for("the job's output", lambda: "shipped" in browser.text())
    wait_for("a line by the keyboard", lambda: (
        browser.script("document.querySelector('ol.log').focus()"), press(browser, "\ue007"),
        browser.script("return document.activeElement.matches('.log li > a')"))[-1])
    browser.shot(os.path.join(shots, "job.png"))

    # Artifacts are listed, looked at, and download; a report has its style and no script.
    browser.open(address + "/artifacts")
    wait_for("the artifact", lambda: "cargo.txt" in browser.text())
    browser.shot(os.path.join(shots, "artifacts.png"))
    look_at(browser, "cargo.txt", lambda: "crates" in browser.text())
    kept = browser.script(
        "return fetch([...document.querySelectorAll('a')].find(a => a.textContent.includes('Download')).href).then(r => r.text())")
    if kept.strip() != "crates":
        raise SystemExit(f"the artifact holds {kept!r}")
    browser.open(address + "/artifacts")
    look_at(browser, "index.html", lambda: browser.find("iframe"))
    browser.shot(os.path.join(shots, "report.png"))
    browser.call("POST", "/frame", {"id": {ELEMENT: browser.find("iframe")}})
    wait_for("the report's style", lambda: browser.script(
        "return getComputedStyle(document.querySelector('h1')).color") == "rgb(0, 128, 128)")
    if "a script ran" in browser.text():
        raise SystemExit("a script of the report ran")
    browser.call("POST", "/frame", {"id": None})

    # Another pipeline, by hand and with a parameter of the configuration.
    browser.open(base + "/")
    browser.click("a[href^='/?project=']")
    wait_for("the button", lambda: browser.find("a[href$='/trigger']"))
    browser.click("a[href$='/trigger']")
    wait_for("the parameter", lambda: browser.find("select[name='parameter.urgent']"))
    browser.type("select[name='parameter.urgent']", "true")
    browser.shot(os.path.join(shots, "trigger.png"))
    browser.click("form[action$='/trigger'] button.primary")
    wait_for("the second pipeline", lambda: "express" in browser.text())


WATCH = """
window.seen = { most: 0, gaps: [], late: [] };
let last = performance.now();
const look = () => {
  const now = performance.now();
  seen.gaps.push(now - last);
  last = now;
  requestAnimationFrame(look);
};
requestAnimationFrame(look);
const count = () => document.querySelectorAll('ol.log').forEach((log) => { seen.most = Math.max(seen.most, log.childElementCount); });
new MutationObserver(count).observe(document.querySelector('#main'), { childList: true, subtree: true });
new PerformanceObserver((list) => list.getEntries().forEach((frame) => seen.late.push(
  [frame.duration, frame.scripts.reduce((sum, script) => sum + script.duration, 0)]
))).observe({ type: 'long-animation-frame' });
"""

LINES_MOST = 2000
"""Lines in the box of one step, whatever comes, whenever somebody looks."""

BOX = "[...document.querySelectorAll('ol.log')].at(-1)"
FIRST = f"return {BOX}.firstElementChild?.value ?? 0"
AT_END = f"const log = {BOX}; return log.scrollHeight - log.scrollTop - log.clientHeight < 5"


def button(browser, text):
    """Presses the tool whose label begins so."""
    return browser.script(
        f"const found = [...document.querySelectorAll('button.tool')].find(b => b.textContent.startsWith('{text}'));"
        "found?.click(); return Boolean(found)")


def last_line(browser):
    # The very last may be a line that has no text yet.
    return browser.script(
        "return [...document.querySelectorAll('ol.log li')].slice(-2).map(li => li.lastChild.textContent).filter(Boolean).at(-1) ?? ''")


def in_view(browser):
    """Number of the line in the middle of the log's box."""
    return browser.script(
        f"const box = {BOX}.getBoundingClientRect();"
        "return document.elementFromPoint(box.left + 90, box.top + box.height / 2)?.closest('li')?.value ?? 0")


def is_live(browser):
    return browser.script("return Boolean(document.querySelector('button.tool[aria-pressed][title^=Keep]'))")


def read_meanwhile(browser, shots):
    """Scrolls up while the log grows, and takes up again; if the machine is fast enough to do so
    before the job's end."""
    browser.wheel(BOX, -400)
    label = "return [...document.querySelectorAll('button.tool')].map(b => b.textContent).find(t => t.startsWith('Follow'))"
    told = wait_for("what comes to be counted", lambda: "over" if not is_live(browser) else
                    (lambda text: text if text and "new lines" in text else None)(browser.script(label)))
    if told == "over":
        return "not held: the job was over"
    before = in_view(browser)
    time.sleep(0.5)
    if in_view(browser) != before:
        raise SystemExit(f"a reader at line {before} was moved to {in_view(browser)}")
    browser.shot(os.path.join(shots, "flood-held.png"))
    button(browser, "Follow")
    wait_for("the end of the log after it is followed again", lambda: browser.script(AT_END))
    return told


def read_back(browser, lines):
    """Scrolls up by the wheel: older lines come, newer ones go, and the other way round."""
    begun = browser.script(FIRST)
    aim = max(1, begun - 3000)
    wait_for("older lines", lambda: browser.wheel(BOX, -1500) or browser.script(FIRST) <= aim)
    wait_for("newer lines", lambda: browser.wheel(BOX, 2500) or
             (last_line(browser).endswith(f"{lines} of {lines}") and browser.script(AT_END)))


def flood(browser, base, shots, pipeline, job, lines):
    """A long log while it is printed: followed, left, taken up again, read back."""
    browser.open(base + pipeline)
    approve = wait_for("the approval", lambda: browser.script(
        "return document.querySelector(\"form[action$='/approve']\")?.getAttribute('action')"))
    # The job begins under the eyes of its page, however slow the machine is.
    browser.open(base + job)
    browser.script(WATCH)
    browser.script(f"return fetch('{approve}', {{ method: 'POST' }}).then(answer => answer.status)")
    wait_for("the first lines", lambda: "of " + lines in last_line(browser))
    held = read_meanwhile(browser, shots)
    wait_for("the last line", lambda: last_line(browser).endswith(f"{lines} of {lines}"))
    browser.shot(os.path.join(shots, "flood.png"))
    gaps, late = browser.script("return [seen.gaps.sort((a, b) => a - b), seen.late]")
    read_back(browser, lines)
    middle = int(lines) // 2
    step = browser.script(f"return {BOX}.closest('details').dataset.step")
    browser.script(f"location.hash = '#S{step}L{middle}'")
    wait_for("the line of a link", lambda: abs(in_view(browser) - middle) < 5)
    browser.shot(os.path.join(shots, "flood-line.png"))
    most, heap = browser.script("return [seen.most, performance.memory.usedJSHeapSize]")
    print(f"{lines} lines: at most {most} in the box, {held}, frames 99 % within {gaps[int(len(gaps) * 0.99)]:.0f} ms, "
          f"longest {gaps[-1]:.0f} ms, {len(late)} late of which the script's own longest "
          f"{max([own for _, own in late], default=0):.0f} ms, {heap / 2**20:.1f} MiB of script memory")
    if most > LINES_MOST:
        raise SystemExit(f"the box held {most} lines, {LINES_MOST} at most are wanted")


def main():
    way, base, password, shots, *rest = sys.argv[1:]
    with tempfile.TemporaryDirectory() as profile:
        driver = subprocess.Popen(
            ["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            port = wait_for("chromedriver", lambda: next(
                (word.strip(".") for line in driver.stdout for word in line.split()[-1:] if "started successfully on port" in line), None))
            browser = Browser(f"http://127.0.0.1:{port}", profile, 1360, 900, False)
            try:
                log_in(browser, base, password)
                {"tour": tour, "flood": flood}[way](browser, base, shots, *rest)
            except SystemExit:
                browser.shot(os.path.join(shots, "failed.png"))
                print(browser.text(), file=sys.stderr)
                raise
            finally:
                browser.close()
        finally:
            driver.terminate()
            driver.wait(DEADLINE)


main()
