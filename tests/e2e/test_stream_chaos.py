"""Callers and applications that do anything at any moment, in HTTP/2 and in TTHeader Streaming. A
good caller next to them is served all the time, and in the end nothing of them is left.

A failure names the seed; threads decide the rest.
"""

import random
import re
import threading
import time

import h2
import h2_upstream
import tts
from bridled import TestCase, eventually
from h2_case import FAR_AWAY, TIMES
from h2_upstream import REPLY_FIELDS

SEED, SECONDS = 4, 6


class Chaos(TestCase):
    def begin(self, services, good):
        for service in services + [good]:
            self.addCleanup(service.close)
        times = {"call": "1s", "idle": "1s", "stream": "3s"}
        self.daemon = self.bridled({
            "node": {"service": "test.node"},
            "listeners": [
                {"name": "in", "address": "127.0.0.1:0", "service": "svc", "in_flight": 50,
                 "timeout": TIMES},
                {"name": "good", "address": "127.0.0.1:0", "service": "good"}],
            "services": {
                "svc": {"endpoints": [s.address for s in services], "timeout": times},
                "good": {"endpoints": [good.address]}}})
        self.services, self.wrong = services, []

    def run_callers(self, talk, good_call):
        end = time.monotonic() + SECONDS

        def run(seed):
            generator = random.Random(seed)
            while time.monotonic() < end:
                try:
                    talk(generator)
                except ConnectionError as error:
                    self.wrong.append(error)
        threads = [threading.Thread(target=run, args=(SEED + i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        slowest = 0
        try:
            while time.monotonic() < end:
                began = time.monotonic()
                good_call()
                slowest = max(slowest, time.monotonic() - began)
                time.sleep(0.02)
        finally:
            for thread in threads:
                thread.join()
        self.assertLess(slowest, FAR_AWAY)
        self.assertEqual(self.wrong, [], "seed %d" % SEED)
        eventually(lambda: self.daemon.metric("bridle_downstream_connections", listener="in") == 0,
                   60, "the end of the callers")
        eventually(lambda: all(e["in_flight"] == 0 for e in
                               self.daemon.get_json("/services/svc")["endpoints"]),
                   what="the end of their calls")
        self.assertEqual([m for s in self.services for m in s.malformed], [])

    @staticmethod
    def leave(client, generator):
        client.abort() if generator.random() < 0.3 else client.close()


class Http2(Chaos):
    def behave(self, peer, frame):
        if frame is None:
            return
        chance, pick, number = random.random(), random.choice, frame.stream
        if not number:
            last = max(peer.streams or [1])
            if chance < 0.005:
                peer.goaway(pick((h2.MAX_WINDOW, last, max(1, last - 4))))
            elif chance < 0.01:
                peer.set({h2.INITIAL_WINDOW_SIZE: pick((0, 1, 100, 65535, 1 << 20))})
            elif chance < 0.012:
                peer.set({h2.MAX_CONCURRENT_STREAMS: pick((0, 1, 10, 1000))})
        elif chance < 0.03:
            peer.rst(number, pick((0, 1, 2, 7, 8, 11, 1000)))
        elif chance < 0.06:
            peer.headers(number, REPLY_FIELDS)
        elif chance < 0.08:
            peer.headers(number, [(":status", "103"), ("x", "y")])
        elif chance < 0.1:
            room = max(0, min(peer.window, peer.find(number).window))
            peer.data(number, h2.grpc(b"z" * pick((0, 1, 1000, 20000)))[:room])
        elif chance < 0.11:
            peer.headers(number, REPLY_FIELDS + [("grpc-status", "5")], True)
        elif chance < 0.112:
            peer.send(random.randbytes(20))
        elif chance < 0.13:
            peer.update(0, pick((1, 1000, 65535)))
        elif chance < 0.15:
            peer.ping()
        elif frame.is_end and chance < 0.9:
            h2_upstream.echo(peer, frame)

    def talk(self, generator):
        pick = generator.choice
        client = h2.Client(self.daemon.address(), updates=generator.random() < 0.8, settings={
            h2.INITIAL_WINDOW_SIZE: pick((0, 1, 1000, 65535, 1 << 20))})
        numbers = [client.open()]
        for _ in range(generator.randrange(200)):
            chance, number = generator.random(), pick(numbers)
            if client.is_closed:
                break
            if chance < 0.4:
                more = [("grpc-timeout", pick(("100m", "1S")))] if chance < 0.2 else ()
                numbers.append(client.ask(b"m" * pick((0, 5, 1000, 8000)), more=more))
            elif chance < 0.6:
                numbers.append(client.open())
            elif chance < 0.7:
                client.rst(number, pick((0, 1, 8, 1000)))
            elif chance < 0.8:
                client.data(number, h2.grpc(b"d" * pick((0, 10, 3000))), chance < 0.75)
            elif chance < 0.82:
                client.headers(number, [("trail", "er")], True)
            elif chance < 0.86:
                client.update(number, pick((1, 1000)))
            elif chance < 0.88:
                client.set({h2.INITIAL_WINDOW_SIZE: pick((0, 100, 65535))})
            elif chance < 0.885:
                client.pause()
            elif chance < 0.9:
                client.resume()
            elif chance < 0.95:
                time.sleep(generator.random() * 0.01)
        self.leave(client, generator)
        self.wrong += client.malformed

    def test_h9_whatever_happens_the_neighbour_is_served_and_nothing_is_left(self):
        self.begin([h2_upstream.Upstream(self.behave, updates=True) for _ in range(2)],
                   h2_upstream.Upstream(h2_upstream.echo))
        good = h2.Client(self.daemon.address("good"), updates=True)
        self.addCleanup(good.close)
        self.run_callers(self.talk, lambda: self.assertEqual(good.call().messages,
                                                             [(0, b"hello")]))


class TTHeaderStreaming(Chaos):
    def behave(self, peer, frame):
        if frame is None:
            return
        chance, pick, number = random.random(), random.choice, frame.stream
        if chance < 0.02:
            peer.rst(number, pick((12006, 12012, 6)), "no", pick(("app", "a,b", None)))
        elif chance < 0.04:
            peer.header(number)
        elif chance < 0.06:
            peer.data(number, "z" * pick((0, 10, 70000)))
        elif chance < 0.07:
            peer.trailer(number)
        elif chance < 0.08:
            peer.trailer(number, tts.exception(number, tts.INTERNAL, "no"))
        elif chance < 0.085:
            peer.header(number + 1000)
        elif chance < 0.087:
            peer.send(random.randbytes(30))
        elif chance < 0.088:
            peer.frame(None, number)
        elif chance < 0.11:
            peer.frame("9", number, b"x")
        else:
            tts.echo(peer, frame)

    def talk(self, generator):
        pick = generator.choice
        client = tts.Client(self.daemon.address(), reads=generator.random() < 0.95)
        numbers = [client.open()]
        for _ in range(generator.randrange(150)):
            chance, number = generator.random(), pick(numbers)
            if client.is_closed:
                break
            if chance < 0.3:
                numbers.append(client.open())
            elif chance < 0.6:
                client.data(number, "d" * pick((0, 100, 5000, 90000)))
            elif chance < 0.75:
                client.trailer(number)
            elif chance < 0.85:
                client.rst(number)
            elif chance < 0.88:
                client.frame(pick((tts.META, "9")), number, b"?")
            elif chance < 0.89:
                client.data(-number, "of no stream")
            elif chance < 0.9:
                client.pause()
            elif chance < 0.92:
                client.resume()
            elif chance < 0.95:
                time.sleep(generator.random() * 0.01)
        self.leave(client, generator)
        self.wrong += client.malformed
        for number in numbers:
            kinds = "".join(f.kind for f in client.of(number))
            if not re.fullmatch("(2[139]*[45]?|5)?", kinds):
                self.wrong.append("order %s" % kinds)

    def test_whatever_happens_the_neighbour_is_served_and_nothing_is_left(self):
        self.begin([tts.Upstream(self.behave) for _ in range(2)], tts.Upstream(tts.echo))
        good = tts.Client(self.daemon.address("good"))
        self.addCleanup(good.close)

        def good_call():
            number = good.call(("a", "b"))
            self.assertEqual(good.over(number).exception, None)
            self.assertEqual([f.text for f in good.of(number, tts.DATA)], ["a", "b"])
        self.run_callers(self.talk, good_call)
