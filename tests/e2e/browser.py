"""A headless browser, driven over WebDriver by its own driver; nothing but the standard library."""

import base64
import http.client
import json
import os
import shutil
import subprocess
import tempfile
import time

from sockets import PATIENCE

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--disable-dev-shm-usage", "--hide-scrollbars"]
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the key of a reference; source: WebDriver, 11


def is_there():
    return bool(CHROMIUM and DRIVER)


class Browser:
    """One window of the given size. `flags`: more switches of the browser."""

    def __init__(self, width=1280, height=900, flags=()):
        self.profile = tempfile.mkdtemp(prefix="brw")
        self.driver = subprocess.Popen([DRIVER, "--port=0"], stdin=subprocess.DEVNULL,
                                       stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                       start_new_session=True)
        self.session = None
        try:
            self.port = self.read_port()
            self.session = self.open(width, height, flags)
        except BaseException:
            self.close()
            raise

    def read_port(self):
        for line in self.driver.stdout:
            words = line.decode(errors="replace").split()
            if b"started successfully on port" in line:
                return int(words[-1].rstrip("."))
        raise AssertionError("chromedriver did not start")

    def open(self, width, height, flags):
        arguments = [*FLAGS, *flags, "--user-data-dir=" + self.profile,
                     "--window-size=%d,%d" % (width, height)]
        wanted = {"browserName": "chrome",
                  "goog:loggingPrefs": {"browser": "ALL"},
                  "goog:chromeOptions": {"binary": CHROMIUM, "args": arguments}}
        answer = self.ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        return answer["sessionId"]

    def ask(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=4 * PATIENCE)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            value = json.loads(connection.getresponse().read())["value"]
        finally:
            connection.close()
        if isinstance(value, dict) and "error" in value:
            raise AssertionError("%s: %s" % (value["error"], value["message"]))
        return value

    def command(self, method, path, body=None):
        return self.ask(method, "/session/%s%s" % (self.session, path), body)

    def go(self, url):
        self.command("POST", "/url", {"url": url})

    def run(self, script, *args):
        """What `return` in the script gives."""
        return self.command("POST", "/execute/sync", {"script": script, "args": list(args)})

    def devtools(self, command, **params):
        return self.command("POST", "/goog/cdp/execute", {"cmd": command, "params": params})

    def resize(self, width, height):
        """The page's own size; a window cannot be that narrow."""
        self.devtools("Emulation.setDeviceMetricsOverride", width=width, height=height,
                      deviceScaleFactor=1, mobile=width < 600)

    def prefer(self, scheme):
        self.devtools("Emulation.setEmulatedMedia",
                      features=[{"name": "prefers-color-scheme", "value": scheme}])

    def text(self):
        return self.run("return document.body.innerText")

    def picture(self, path=None):
        """The whole page as PNG, into a file if there is a path."""
        height = self.run("return document.documentElement.scrollHeight")
        width = self.run("return innerWidth")
        taken = self.devtools("Page.captureScreenshot", captureBeyondViewport=True, clip={
            "x": 0, "y": 0, "width": width, "height": height, "scale": 1})
        picture = base64.b64decode(taken["data"])
        if path:
            with open(path, "wb") as file:
                file.write(picture)
        return picture

    def complaints(self):
        """What the console has got to say since it was asked last."""
        return self.command("POST", "/se/log", {"type": "browser"})

    def close(self):
        try:
            if self.session:
                self.ask("DELETE", "/session/" + self.session)
        except (OSError, AssertionError):
            pass
        self.session = None
        self.driver.terminate()
        self.driver.wait()
        self.driver.stdout.close()
        for _ in range(50):  # the browser's own processes may end a moment later
            shutil.rmtree(self.profile, ignore_errors=True)
            if not os.path.exists(self.profile):
                break
            time.sleep(0.1)
