"""Streams of every kind at once, between callers and applications of many moods: nobody gets what is
meant for another, every call ends, and nothing is left behind.

$BRIDLE_CHAOS_SECONDS and $BRIDLE_CHAOS_SEED make it longer and different.
"""

import random
import threading
import time

import h2
import h2_upstream
import sockets
import tts
import wire
from bridled import TestCase, eventually
from peers import Grpc
from sockets import PATIENCE
from test_chaos import SECONDS, SEED, MoodyLoad

WORST = PATIENCE  # seconds that a call may take: each is bounded by a time far below


class Moods:
    """Chooses a mood for each stream when it begins, mostly the good one."""

    def __init__(self, seed, good, bad, share=0.25):
        self.random, self.good, self.bad = random.Random("%d %d" % (SEED, seed)), good, bad
        self.share, self.lock, self.chosen = share, threading.Lock(), {}

    def of(self, peer, number):
        with self.lock:
            key = (id(peer), number)
            if key not in self.chosen:
                is_bad = self.random.random() < self.share
                self.chosen[key] = self.random.choice(self.bad) if is_bad else self.good
            return self.chosen[key]

    def __call__(self, peer, frame):
        if frame is None or not frame.stream:
            return
        mood = self.of(peer, frame.stream)
        if mood is not self.good and isinstance(frame, h2.Frame) and frame.kind == h2.DATA:
            peer.update(0, max(1, len(frame.payload)))  # or the good ones would starve, too
        mood(peer, frame)


def aborts(peer, _number):
    sockets.reset(peer.sock)


# ---- applications that speak HTTP/2 ----

def begins(frame):
    return frame.kind == h2.HEADERS and frame.fields is not None and any(
        name == ":path" for name, _ in frame.fields)


def at_once(act):
    def mood(peer, frame):
        if begins(frame):
            act(peer, frame.stream)
    return mood


def on_data(act):
    def mood(peer, frame):
        if frame.kind == h2.DATA:
            act(peer, frame.stream)
    return mood


def half_a_reply(peer, number):
    peer.headers(number, h2_upstream.REPLY_FIELDS)
    peer.data(number, h2.grpc(b"half of a long one", length=1000))
    peer.rst(number, h2.INTERNAL_ERROR)


def reply_without_end(peer, number):
    peer.headers(number, h2_upstream.REPLY_FIELDS)


def reply_without_trailers(peer, number):
    peer.headers(number, h2_upstream.REPLY_FIELDS)
    peer.data(number, h2.grpc(b"x"), end=True)


def twice(peer, number):
    h2_upstream.answer(peer, number, b"early")
    peer.data(number, h2.grpc(b"too late"))


def goodbye(peer, number):
    peer.goaway(number)
    h2_upstream.answer(peer, number, b"early")


def goodbye_below(peer, number):
    peer.goaway(max(0, number - 2))


H2_BAD = [at_once(act) for act in (
    lambda peer, number: peer.headers(number, [
        (":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "9")], True),
    lambda peer, number: peer.headers(number, [(":status", "503")], True),
    lambda peer, number: peer.rst(number, h2.REFUSED_STREAM),
    lambda peer, number: peer.rst(number, h2.CANCEL), lambda peer, number: peer.rst(number, 1000),
    lambda peer, number: peer.data(number, b"before the headers"),
    lambda peer, number: peer.send(b"\xff" * 64), aborts,
    half_a_reply, reply_without_end, reply_without_trailers, twice, goodbye, goodbye_below)] + [
        lambda peer, frame: None, on_data(half_a_reply), on_data(aborts),
        on_data(lambda peer, number: peer.rst(number, h2.NO_ERROR))]


def echo_thrift(peer, frame):
    """Takes the arguments {1: x}, gives the result {0: x}."""
    stream = peer.streams[frame.stream]
    if frame.kind == h2.DATA and frame.payload:
        peer.update(0, len(frame.payload))
        if not frame.is_end:
            peer.update(frame.stream, len(frame.payload))
    if not stream.ended or frame.kind not in (h2.DATA, h2.HEADERS):
        return
    (_, message), = stream.messages
    _, end = wire.decode(message, 0, wire.STRUCT)
    if len(set(message[7:-1].split())) > 2 or end != len(message):
        raise ValueError("not Thrift as it was sent: %r" % message[:100])
    peer.headers(stream.number, h2_upstream.REPLY_FIELDS)
    result = h2.grpc(message[:1] + b"\0\0" + message[3:])
    threading.Thread(target=h2_upstream.echo_long, args=(peer, stream.number, result),
                     daemon=True).start()


# ---- applications that stream over TTHeader ----

def tts_at_once(act):
    def mood(peer, frame):
        if frame.kind == tts.HEADER:
            act(peer, frame.stream)
    return mood


def tts_ends(peer, number):
    peer.header(number)
    peer.trailer(number)


TTS_BAD = [tts_at_once(act) for act in (
    tts_ends, lambda peer, number: peer.trailer(number), lambda peer, number: peer.rst(number),
    lambda peer, number: (peer.header(number), peer.header(number)),
    lambda peer, number: peer.data(number, "before the header"),
    lambda peer, number: (peer.header(number),
                          peer.trailer(number, tts.exception(number, 6, "no"))),
    lambda peer, number: peer.frame("9", number), aborts,
    lambda peer, number: peer.send(b"\xff" * 64))] + [lambda peer, frame: None]


# ---- callers ----

class Caller(threading.Thread):
    """Calls on connections of its own until it is told to stop; `failed` says what must not be."""

    def __init__(self, address, seed):
        super().__init__(daemon=True)
        self.address, self.random = address, random.Random("%s %d" % (seed, SEED))
        self.ends, self.calls, self.good, self.late, self.failed = False, 0, 0, 0, []

    def run(self):
        while not self.ends:
            try:
                self.one_connection()
            except (AssertionError, EOFError, OSError, ValueError) as error:
                self.failed.append(repr(error))

    def one_connection(self):
        raise NotImplementedError

    def text(self):
        """All of it says whose it is."""
        return "%07d " % next(sockets.sequence) * self.random.choice((1, 10, 2500, 9000))


class H2Caller(Caller):
    def one_connection(self):
        settings = self.random.choice(((), {h2.INITIAL_WINDOW_SIZE: 1},
                                       {h2.INITIAL_WINDOW_SIZE: 1000}))
        client = h2.Client(self.address, settings=settings, updates=True)
        try:
            for _ in range(self.random.randrange(1, 15)):
                if client.is_closed or client.goaways or self.ends:
                    break
                self.some_calls(client)
            if client.malformed:
                self.failed.append(client.malformed)
        finally:
            (client.abort if self.random.randrange(4) == 0 else client.close)()

    def some_calls(self, client):
        for number, pieces in [self.begin(client) for _ in range(self.random.randrange(1, 6))]:
            if self.random.randrange(8) == 0:
                client.rst(number)
            else:
                self.judge(client.over(number, WORST), pieces)
            self.calls += 1

    def begin(self, client):
        """Sends within the windows; a stream that is reset on the way is for `judge`."""
        text = self.text().encode()
        pieces = [text] if self.random.randrange(2) else [text, text[::-1]]
        number = client.open(more=[("grpc-timeout", "800m")])
        try:
            client.flow(number, b"".join(h2.grpc(piece) for piece in pieces), end=True,
                        seconds=WORST)
        except EOFError:
            pass
        return number, pieces

    def judge(self, stream, pieces):
        status = stream.trailers.get("grpc-status")
        self.late += status == "4"
        if status != "0":
            return
        if stream.messages in ([(0, piece) for piece in pieces], [(0, b"early")]):
            self.good += 1
        else:
            self.failed.append("status 0 of %r: %r" % (stream.number, stream.messages[:2]))


class TTSCaller(Caller):
    def one_connection(self):
        client = tts.Client(self.address)
        try:
            for _ in range(self.random.randrange(1, 15)):
                if client.is_closed or self.ends:
                    break
                self.some_calls(client)
            if client.malformed:
                self.failed.append(client.malformed)
        finally:
            (client.abort if self.random.randrange(4) == 0 else client.close)()

    def some_calls(self, client):
        running = []
        for _ in range(self.random.randrange(1, 6)):
            texts = [self.text() for _ in range(self.random.randrange(1, 4))]
            number = client.call(texts)
            if self.random.randrange(8):
                running.append((number, texts))
            else:
                client.rst(number)
        for number, texts in running:
            client.until(lambda n=number: client.is_closed or any(
                f.stream == n and f.kind in (tts.TRAILER, tts.RST) for f in client.frames), WORST,
                         "the end of %d" % number)
            self.judge([f for f in client.of(number)], texts)
            self.calls += 1

    def judge(self, frames, texts):
        kinds = "".join(f.kind for f in frames)
        if tts.TRAILER in kinds and not kinds.startswith(tts.HEADER):
            self.failed.append("a trailer without a header: %r" % frames[:3])
        got = [f.text for f in frames if f.kind == tts.DATA]
        if got == ["before the header"]:
            return
        if got != texts[:len(got)]:
            self.failed.append("of %r: %r" % (texts[0][:10], [text[:10] for text in got]))
        end = frames[-1].exception if frames else None
        self.late += end is not None and end[0] == tts.STREAM_TIMEOUT
        if frames and frames[-1].kind == tts.TRAILER and end is None:
            self.good += got == texts


class Chaos(TestCase):
    def endure(self, daemon, callers):
        for caller in callers:
            caller.start()
        try:
            time.sleep(SECONDS)
            eventually(lambda: sum(caller.calls for caller in callers) > 30, what="some calls")
        finally:
            for caller in callers:
                caller.ends = True
        for caller in callers:
            caller.join(2 * WORST)
            self.assertFalse(caller.is_alive())
            self.assertEqual(caller.failed[:3], [])
        in_time = sum(caller.calls - caller.late for caller in callers)
        self.assertGreater(sum(caller.good for caller in callers), in_time // 10)
        eventually(lambda: daemon.metric("bridle_downstream_connections") == 0)
        eventually(lambda: not any(e["in_flight"] for service in daemon.get_json("/services")
                                   for e in service["endpoints"]), what="the end of all calls")
        self.assertTrue(daemon.is_alive())

    def services(self, kind, good, bad, count=3, **kwargs):
        """The last one has no bad moods, or there would be none to go on with."""
        found = []
        for seed in range(count):
            service = kind(Moods(seed, good, bad, share=0.0 if seed == count - 1 else 0.25),
                           **kwargs)
            self.addCleanup(service.close)
            found.append(service)
        return found

    def test_grpc(self):
        services = self.services(h2_upstream.Upstream, h2_upstream.echo, H2_BAD)
        daemon = self.pinned(services, protocol="grpc", timeout={"call": "500ms", "idle": "500ms"},
                             config={"workers": 2})
        self.endure(daemon, [H2Caller(daemon.address(), "grpc %d" % n) for n in range(4)])

    def test_ttheader_streaming(self):
        services = self.services(tts.Upstream, tts.echo, TTS_BAD)
        daemon = self.pinned(services, protocol="ttheader_streaming",
                             timeout={"call": "500ms", "idle": "500ms"}, config={"workers": 2})
        self.endure(daemon, [TTSCaller(daemon.address(), "tts %d" % n) for n in range(4)])

    def test_thrift_callers_of_grpc_applications(self):
        services = self.services(h2_upstream.Upstream, echo_thrift, H2_BAD)
        daemon = self.pinned(services, protocol="grpc", aliases=["pkg.Echo"],
                             timeout={"call": "1s"}, config={"workers": 2})
        loads = [MoodyLoad(daemon.address(), form) for form in wire.FORMS]
        for load in loads:
            load.__enter__()
        time.sleep(SECONDS)
        for load in loads:
            load.ends = True
        for load in loads:
            load.__exit__()
            self.assertEqual(load.failed[:3], [])
            load.must_have_succeeded(0.1)
        self.assertEqual([error for s in services for error in s.malformed
                          if "not Thrift" in str(error)], [])
        eventually(lambda: daemon.metric("bridle_downstream_connections") == 0)


class Refusals(Grpc):
    def test_a_call_that_is_refused_is_sent_again_as_it_was(self):
        """Behind it are others, whose bytes lie where its own were read."""
        for refusal in (lambda peer, number: peer.rst(number, h2.REFUSED_STREAM),
                        lambda peer, number: peer.goaway(max(0, number - 2))):
            refused = set()

            def behaviour(peer, frame, refusal=refusal, refused=refused):
                if frame is None or not frame.stream:
                    return
                if begins(frame) and frame.stream % 4 == 3 and len(refused) < 3:
                    refused.add((id(peer), frame.stream))
                    refusal(peer, frame.stream)
                elif (id(peer), frame.stream) not in refused:
                    echo_thrift(peer, frame)
                elif frame.kind == h2.DATA and frame.payload:
                    peer.update(0, len(frame.payload))
            server = self.raw_server(behaviour)
            daemon = self.pinned(server, protocol="grpc", aliases=["pkg.Svc"],
                                 config={"workers": 1})
            for form in wire.FORMS:
                with self.subTest(form=form), self.caller(daemon, form) as caller:
                    refused.clear()
                    caller.call(text="first")
                    texts = ["%07d " % n * 2500 for n in range(8)]
                    for text in texts:
                        caller.send(text=text)
                    for text in texts:
                        answer = caller.receive()
                        self.assertEqual((answer.exception, answer.text), (None, text))
                    self.assertEqual(len(refused), 3)
            self.assertEqual(server.malformed, [])
            daemon.stop()
