"""`metadata: proxy_v2`: an application hears who is behind a connection before the first call."""

import os

import proxy_protocol
import upstream
from bridled import TestCase, eventually
from proxy_protocol import TCP4, UNIX


class Introduced(TestCase):
    def application(self, behaviour=upstream.echo, name=None, **kwargs):
        service = proxy_protocol.Application(behaviour, name and self.path(name), **kwargs)
        self.addCleanup(service.close)
        self.addCleanup(lambda: self.assertEqual(service.malformed, []))
        return service

    def serving(self, application, listener=None, config=None, **policy):
        return self.pinned(application, listener, {"workers": 1, **(config or {})},
                           metadata="proxy_v2", **policy)


class Facts(Introduced):
    def test_of_a_tcp_caller(self):
        application = self.application()
        daemon = self.serving(application)
        with self.caller(daemon) as caller:
            self.assertEqual(caller.call(text="hi").text, "hi")
            (seen,) = application.introductions
            self.assertEqual(seen.family, TCP4)
            self.assertEqual(seen.source, caller.sock.getsockname())
            self.assertEqual(seen.destination, caller.sock.getpeername())
            self.assertEqual(set(seen.facts), {"service", "id", "listener"})
            self.assertEqual((seen.facts["service"], seen.facts["listener"]), ("svc", "in"))
            self.assertRegex(seen.facts["id"], "^[0-9a-f]{16}$")

    def test_of_a_unix_caller(self):
        application = self.application(name="app.sock")
        path = self.path("in.sock")
        daemon = self.serving(application, {"address": "unix:" + path, "caller": "node"})
        with self.caller(daemon) as caller:
            self.assertEqual(caller.call(text="hi").text, "hi")
        (seen,) = application.introductions
        self.assertEqual((seen.family, seen.source, seen.destination),
                         (UNIX, b"", path.encode()))
        del seen.facts["id"]
        self.assertEqual(seen.facts, {"service": "svc", "listener": "in", "caller": "test.node",
                                      "uid": os.getuid(), "pid": os.getpid()})
