#!/usr/bin/env python3
"""Drives the dashboard in headless Chromium as a person would, through the WebDriver protocol.

Arguments: tour BASE_URL ONE_TIME_PASSWORD SCREENSHOT_FOLDER PIPELINE_PATH
           flood BASE_URL ONE_TIME_PASSWORD SCREENSHOT_FOLDER PIPELINE_PATH JOB_PATH LINES
For the tour the pipeline has a job `hold` that waits for approval, and after it a job `ship` that
prints "shipped" and keeps an artifact; with the parameter `urgent` there is a workflow `express`. For the flood the job after `hold` prints LINES numbered
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
        self.call("POST", "/url", {"url": url})

    def find(self, css):
        return self.call("POST", "/element", {"using": "css selector", "value": css})[ELEMENT]

    def type(self, css, text):
        self.call("POST", f"/element/{self.find(css)}/value", {"text": text})

    def click(self, css):
        self.call("POST", f"/element/{self.find(css)}/click", {})

    def script(self, text):
        return self.call("POST", "/execute/sync", {"script": text, "args": []})

    def text(self):
        return self.script("return document.body.innerText")

    def shot(self, path):
        with open(path, "wb") as file:
            file.write(base64.b64decode(self.call("GET", "/screenshot")))

    def close(self):
        self.call("DELETE", "")


def wait_for(what, check):
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        try:
            value = check()
        except urllib.error.HTTPError:
            value = None
        if value:
            return value
        time.sleep(0.05)
    raise SystemExit(f"gave up waiting for {what}")


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


def tour(browser, base, shots, pipeline):
    # The pipeline waits for an approval; the page moves on by itself after it.
    browser.open(base + pipeline)
    wait_for("the approval", lambda: browser.find("form[action$='/approve'] button"))
    browser.shot(os.path.join(shots, "hold.png"))
    browser.click("form[action$='/approve'] button")
    wait_for("the approval to be told", lambda: "approved by admin" in browser.text())
    link = "a[href^='/gh/']"
    wait_for("the job to succeed", lambda: "ship" in browser.text() and browser.find(link))
    browser.shot(os.path.join(shots, "pipeline.png"))

    # The job's page shows its output, live or kept.
    address = wait_for("the link of the job", lambda: browser.script(
        "return [...document.querySelectorAll(\"a[href^='/gh/']\")].filter(a => a.textContent.includes('ship')).map(a => a.getAttribute('href'))[0]"))
    address = base + address
    browser.open(address)
    wait_for("the end of the job", lambda: "Success" in browser.text())
    browser.script("document.querySelectorAll('details').forEach(d => d.open = true)")
    wait_for("the job's output", lambda: "shipped" in browser.text())
    browser.shot(os.path.join(shots, "job.png"))

    # The artifact is listed and downloads.
    browser.open(address + "/artifacts")
    wait_for("the artifact", lambda: "cargo.txt" in browser.text())
    browser.shot(os.path.join(shots, "artifacts.png"))
    kept = browser.script(
        "return fetch([...document.querySelectorAll('a')].find(a => a.textContent.includes('cargo.txt')).href).then(r => r.text())")
    if kept.strip() != "crates":
        raise SystemExit(f"the artifact holds {kept!r}")

    # Another pipeline, by hand and with a parameter of the configuration.
    browser.open(base + "/")
    browser.click("a[href^='/?project=']")
    wait_for("the button", lambda: browser.find("a[href$='/trigger']"))
    browser.click("a[href$='/trigger']")
    wait_for("the parameter", lambda: browser.find("select[name='parameter.urgent']"))
    browser.type("select[name='parameter.urgent']", "true")
    browser.shot(os.path.join(shots, "trigger.png"))
    browser.click("form[method=post][action$='/trigger'] button")
    wait_for("the second pipeline", lambda: "express" in browser.text())


WATCH = """
window.seen = { most: 0, gaps: [] };
let last = performance.now();
const look = () => {
  const now = performance.now();
  seen.gaps.push(now - last);
  last = now;
  seen.most = Math.max(seen.most, document.querySelectorAll('ol.log li').length);
  requestAnimationFrame(look);
};
requestAnimationFrame(look);
"""

LINES_MOST = 8000
"""List items in the page, of all steps together."""


def button(browser, text):
    """Presses the tool whose label begins so."""
    return browser.script(
        f"const found = [...document.querySelectorAll('button.tool')].find(b => b.textContent.startsWith('{text}'));"
        "found?.click(); return Boolean(found)")


def last_line(browser):
    # The very last may be a line that has no text yet.
    return browser.script(
        "return [...document.querySelectorAll('ol.log li')].slice(-2).map(li => li.lastChild.textContent).filter(Boolean).at(-1) ?? ''")


def hold(browser, shots):
    """Lets go and takes up again, if the machine is fast enough to do so before the job's end."""
    # The button goes with the stream.
    live = "[...document.querySelectorAll('button.tool')].map(b => b.textContent).find(t => t.startsWith('Follow'))"
    if not button(browser, "Follow"):
        return "not held: the job was over"
    held = wait_for("what comes to be counted", lambda: browser.script(
        f"const text = {live} ?? 'over'; return text === 'over' || text.includes('new lines') ? text : null"))
    browser.shot(os.path.join(shots, "flood-held.png"))
    button(browser, "Follow")
    return held


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
    held = hold(browser, shots)
    wait_for("the last line", lambda: last_line(browser).endswith(f"{lines} of {lines}"))
    browser.shot(os.path.join(shots, "flood.png"))
    browser.script("document.querySelector('.earlier:not([hidden])').click()")
    wait_for("earlier lines", lambda: browser.script("return document.querySelectorAll('ol.log li').length") > 600)
    most, gaps, heap = browser.script(
        "return [seen.most, seen.gaps.sort((a, b) => a - b), performance.memory.usedJSHeapSize]")
    late = gaps[int(len(gaps) * 0.99)]
    print(f"{lines} lines: at most {most} in the page, {held}, frames 99 % within {late:.0f} ms, "
          f"longest {gaps[-1]:.0f} ms, {heap / 2**20:.1f} MiB of script memory")
    if most > LINES_MOST:
        raise SystemExit(f"the page held {most} lines, {LINES_MOST} at most are wanted")


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
