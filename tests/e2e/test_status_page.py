"""The status page, as curl sees it and in a real browser."""

import http.client
import re
import time
import unittest

import browser
import middleman
import sockets
import upstream
from bridled import REQUIRED, TestCase, UnixHTTP, allow, eventually

# Text that would be markup, were it taken for it; each wants to leave a trace.
HOSTILE = '<img src=x onerror="window.trace=1"><script>window.trace=2</script>\'"&amp;'
READ_ONLY = re.compile(r"read-only pages are served.*address=(\S+)")


def fetch(connection, method="GET"):
    try:
        connection.request(method, "/")
        answer = connection.getresponse()
        return answer, answer.read().decode()
    finally:
        connection.close()


class Page(TestCase):
    def config(self, services, **more):
        return {"admin": {"socket": self.path("admin.sock"), "http": "127.0.0.1:0"},
                "node": {"service": "test.node"},
                "listeners": [{"name": "in", "address": "127.0.0.1:0", "service": "svc"}],
                "services": {"svc": services[0], **{"s%d" % i: s for i, s in enumerate(services)
                                                    if i}}, **more}

    def read_only(self, daemon, starts=1):
        """The read-only address, after so many starts."""
        def lines():
            found = READ_ONLY.findall(daemon.errors())
            return len(found) >= starts and found
        return eventually(lines, what="its log line")[-1]


class Served(Page):
    def faces(self, daemon):
        yield lambda: UnixHTTP(daemon.admin_path)
        yield lambda: http.client.HTTPConnection(self.read_only(daemon), timeout=sockets.PATIENCE)

    def test_both_faces_have_the_page_and_only_what_carries_its_nonce_may_run(self):
        daemon = self.bridled(self.config([{"endpoints": [self.upstream().address]}]))
        nonces = set()
        for face in self.faces(daemon):
            answer, page = fetch(face())
            self.assertEqual(answer.status, 200)
            self.assertEqual(answer.getheader("Content-Type"), "text/html; charset=utf-8")
            self.assertEqual(answer.getheader("X-Content-Type-Options"), "nosniff")
            policy = dict(part.strip().split(" ", 1) for part in
                          answer.getheader("Content-Security-Policy").split(";"))
            self.assertEqual(policy["default-src"], "'none'")
            self.assertEqual(policy["connect-src"], "'self'")
            nonce = re.fullmatch(r"'nonce-([0-9a-f]{32})'", policy["script-src"])[1]
            self.assertEqual(policy["style-src"], policy["script-src"])
            self.assertEqual(re.findall(r'<(\w+) nonce="(\w+)"', page),
                             [("style", nonce), ("script", nonce)])
            self.assertEqual(page.count("<script"), 1)
            self.assertNotIn("@NONCE@", page)
            nonces.add(nonce)
        self.assertEqual(len(nonces), 2)

    def test_it_is_whole_and_names_nothing_elsewhere(self):
        daemon = self.bridled(self.config([{"endpoints": [self.upstream().address]}]))
        _, page = fetch(UnixHTTP(daemon.admin_path))
        self.assertTrue(page.startswith("<!doctype html>"))
        self.assertTrue(page.endswith("</html>\n"))
        self.assertEqual([url for url in re.findall(r"https?://[^'\"\s]+", page)
                          if url != "http://www.w3.org/2000/svg"], [])
        self.assertEqual(re.findall(r"\b(?:innerHTML|outerHTML|insertAdjacentHTML|document\.write"
                                    r"|eval|\ssrc=)\b", page), [])

    def test_head_tells_its_length_and_other_methods_are_refused(self):
        daemon = self.bridled(self.config([{"endpoints": [self.upstream().address]}]))
        _, page = fetch(UnixHTTP(daemon.admin_path))
        answer, body = fetch(UnixHTTP(daemon.admin_path), "HEAD")
        self.assertEqual((answer.status, body), (200, ""))
        self.assertEqual(int(answer.getheader("Content-Length")), len(page.encode()))
        self.assertEqual(fetch(UnixHTTP(daemon.admin_path), "POST")[0].status, 405)


@unittest.skipUnless(browser.is_there() or REQUIRED, "no chromium")
class Shown(Page):
    @classmethod
    def setUpClass(cls):
        cls.browser = browser.Browser()
        cls.addClassCleanup(cls.browser.close)

    def setUp(self):
        super().setUp()
        self.addCleanup(self.browser.go, "about:blank")
        self.browser.go("about:blank")
        self.browser.complaints()
        self.browser.resize(1280, 900)
        self.browser.prefer("light")

    def open(self, daemon):
        self.browser.go("http://%s/" % self.read_only(daemon))
        self.shows("ready")

    def shows(self, text, seconds=sockets.PATIENCE):
        eventually(lambda: text in self.browser.text(), seconds, "the page to show " + text)

    def is_content(self):
        self.assertEqual(self.browser.complaints(), [])

    def test_a_service_that_a_reload_adds_is_there_within_two_seconds(self):
        one = {"endpoints": [self.upstream().address]}
        daemon = self.bridled(self.config([one]))
        self.open(daemon)
        self.shows("svc")
        self.assertNotIn("shop.added", self.browser.text())
        daemon.reload(self.config([one, {"name": "shop.added", **one}]))
        began = time.monotonic()
        self.shows("shop.added")
        self.assertLess(time.monotonic() - began, allow(2))
        daemon.reload(self.config([one]))
        eventually(lambda: "shop.added" not in self.browser.text(), what="that it goes")
        self.is_content()

    def test_calls_rates_reasons_and_failures_are_shown(self):
        daemon = self.bridled(self.config([{"endpoints": [self.upstream(upstream.fail).address]}]))
        self.open(daemon)
        caller = self.caller(daemon)

        def calls_are_shown():
            caller.call("Broken")
            return re.search(r"app_exception \d", self.browser.text()) and \
                self.browser.run("return document.querySelectorAll('.trouble').length") > 1
        eventually(calls_are_shown, what="the reason and a rate")
        self.shows("Broken")
        self.is_content()

    def test_it_fits_a_phone(self):
        long = "a" * 60
        daemon = self.bridled(self.config([
            {"name": "x." + long, "endpoints": [
                {"address": self.upstream().address, "tags": {long: long}, "zone": long}]},
            {"endpoints": ["[2001:db8:1234:5678:9abc:def0:1234:5678]:65535"]}]))
        self.open(daemon)
        self.caller(daemon).call()
        self.browser.resize(360, 740)
        self.shows(long)
        self.assertEqual(self.browser.run("return innerWidth"), 360)
        self.assertLessEqual(self.browser.run("return document.documentElement.scrollWidth"), 360)
        wide = self.browser.run(
            "return [...document.querySelectorAll('body *')].filter(e => "
            "e.getBoundingClientRect().right > 361 && !e.closest('.hidden, thead'))"
            ".map(e => e.outerHTML.slice(0, 200))")
        self.assertEqual(wide, [])
        self.is_content()

    def test_the_dark_is_dark(self):
        daemon = self.bridled(self.config([{"endpoints": [self.upstream().address]}]))
        self.open(daemon)

        def colours():
            return self.browser.run(
                "return [getComputedStyle(document.body).backgroundColor, "
                "getComputedStyle(document.body).color].map("
                "c => c.match(/[0-9]+/g).slice(0, 3).reduce((sum, v) => sum + +v, 0))")
        paper, ink = colours()
        self.assertGreater(paper, 600)
        self.assertLess(ink, 200)
        light = self.browser.picture()
        self.browser.prefer("dark")
        paper, ink = colours()
        self.assertLess(paper, 200)
        self.assertGreater(ink, 600)
        self.assertNotEqual(self.browser.picture(), light)
        self.is_content()

    def test_names_tags_and_methods_from_outside_are_text(self):
        daemon = self.bridled(self.config([
            {"endpoints": [{"address": self.upstream(upstream.fail).address,
                            "zone": HOSTILE, "tags": {"env": HOSTILE}}]}]))
        self.caller(daemon).call(HOSTILE)
        self.open(daemon)
        self.shows("onerror")
        eventually(lambda: self.browser.text().count("onerror") >= 3,
                   what="zone, tag and method")
        self.assertIsNone(self.browser.run("return window.trace === undefined ? null : 1"))
        self.assertEqual(self.browser.run("return document.querySelectorAll('img').length"), 0)
        self.assertEqual(self.browser.run("return document.scripts.length"), 1)
        self.is_content()

    def test_it_says_when_nobody_answers_and_goes_on_after_a_restart(self):
        config = self.config([{"endpoints": [self.upstream().address]}])
        daemon = self.bridled(config)
        door = middleman.Middleman(self, self.read_only(daemon))
        self.browser.go("http://%s/" % door.address)
        self.shows("ready")
        self.caller(daemon).call()
        daemon.stop()
        self.shows("not reachable")
        self.assertIn("svc", self.browser.text())  # what it said last
        daemon.start()
        host, _, port = self.read_only(daemon, starts=2).rpartition(":")
        door.server = (host, int(port))
        pid = "pid %d" % daemon.process.pid
        self.shows(pid)
        self.assertNotIn("not reachable", self.browser.text())
        # Requests that nobody answered are what the console has got to say; no script failed.
        self.assertEqual([entry for entry in self.browser.complaints()
                          if entry["source"] != "network"], [])

    def test_draining_and_a_refused_reload_are_said(self):
        config = self.config([{"endpoints": [self.upstream().address]}])
        daemon = self.bridled(config)
        self.open(daemon)
        daemon.write_config({**config, "nonsense": 1})
        self.assertEqual(daemon.get("/reload", "POST")[0], 409)
        self.shows("The last reload was refused")
        self.assertEqual(daemon.get("/drain", "POST")[0], 200)
        self.shows("draining")
        self.shows("callers are asked to go elsewhere")
        self.is_content()

    def test_services_are_reachable_by_keyboard_and_say_whether_they_are_open(self):
        daemon = self.bridled(self.config([{"endpoints": [self.upstream().address]}]))
        self.open(daemon)
        state = "return document.querySelector('button.name').getAttribute('aria-expanded')"
        press = ("document.querySelector('button.name').focus(); "
                 "document.activeElement.click()")
        self.assertEqual(self.browser.run(state), "true")
        self.shows("Endpoints")
        self.browser.run(press)
        self.assertEqual(self.browser.run(state), "false")
        self.assertEqual(self.browser.run(
            "return document.getElementById(document.querySelector('button.name')"
            ".getAttribute('aria-controls')).hidden"), True)
        self.is_content()
