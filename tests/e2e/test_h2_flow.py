"""Windows of HTTP/2 go from end to end: a slow reader slows its writer, and nobody else."""

import threading
import time

import h2
import h2_upstream
from bridled import IS_SANITIZED, eventually
from h2_case import AT_ONCE, MIB, Upstreams
from h2_upstream import OK, REPLY_FIELDS, answer


class Flow(Upstreams):
    """Windows go from end to end: a slow reader slows its writer, and nobody else."""

    def test_windows_of_one_byte_for_answers(self):
        client = self.begin(h2_upstream.Pour(200))
        client.set({h2.INITIAL_WINDOW_SIZE: 1})
        client.settle()
        number = client.ask()
        stream = client.stream(number)
        for size in range(1, 201):
            client.until(lambda s=size: stream.received == s)
            client.update(number, 1)
        self.assertEqual(stream.received, 200)
        self.assertEqual({len(f.payload) for f in client.frames if f.kind == h2.DATA}, {1})

    def test_windows_of_one_byte_for_requests(self):
        """The application opens byte by byte, for its streams and for the connection."""
        client = self.begin(settings={h2.INITIAL_WINDOW_SIZE: 1})
        warm = client.ask(b"")
        ((peer, first),) = self.service.await_calls(1)
        message = h2.grpc(bytes(range(200)))
        number = client.number()
        client.headers(number, h2.call_fields())
        client.data(number, message, True)
        _, stream = self.service.await_calls(2)[1]
        for size in range(1, len(message) + 1):
            peer.until(lambda s=size: stream.received == s)
            self.assertEqual(stream.received, size)
            peer.update(stream.number, 1)
        peer.until(lambda: stream.ended)
        self.assertEqual(bytes(stream.data), message)
        answer(peer, stream.number)
        self.assert_echoed(client.over(number))
        peer.update(first.number, 100)
        peer.until(lambda: first.ended)
        answer(peer, first.number)
        self.assert_echoed(client.over(warm))

    @staticmethod
    def padded(peer, number, data):
        """Padding counts in the windows as what it pads does."""
        frame = h2.pack(h2.DATA, h2.PADDED, number, b"\xff" + data + b"\0" * 255)
        size = len(frame) - 9
        while size:
            size -= peer.take_window(number, size)
        peer.send(frame)

    def test_padding_gives_its_windows_back(self):
        def answer_padded(peer, frame):
            if frame is not None and frame.is_end:
                threading.Thread(target=send, args=(peer, frame.stream), daemon=True).start()

        def send(peer, number):
            peer.headers(number, REPLY_FIELDS)
            for i in range(1000):
                self.padded(peer, number, h2.grpc(b"%04d" % i))
            peer.headers(number, OK, True)
        client = self.begin(answer_padded, updates=True)
        client.updates = True
        number = client.open()
        for i in range(1000):
            self.padded(client, number, h2.grpc(b"%04d" % i))
        client.data(number, b"", True)
        stream = client.over(number)
        expected = [(0, b"%04d" % i) for i in range(1000)]
        self.assertEqual(self.service.calls()[0][1].messages, expected)
        self.assertEqual((stream.messages, stream.trailers["grpc-status"]), (expected, "0"))

    def test_windows_of_64_kib_both_ways(self):
        client = self.begin(h2_upstream.echo)
        message = bytes(range(256)) * 12000
        number = client.open()
        stream = client.stream(number)
        client.updates = True
        client.flow(number, h2.grpc(message), True)
        client.over(number)
        self.assert_echoed(stream, message)
        self.nothing_malformed()

    def good_calls(self, client, count=20):
        for i in range(count):
            began = time.monotonic()
            stream = client.call(b"good %d" % i, path="/pkg.Echo/Good")
            self.assert_echoed(stream, b"good %d" % i)
            self.assertLess(time.monotonic() - began, AT_ONCE)
            client.update(0, stream.received)

    def by_path(self, other):
        def behave(peer, frame):
            stream = frame is not None and peer.streams.get(frame.stream)
            if not frame or frame.stream == 0 or stream and stream.blocks and dict(
                    stream.blocks[0])[":path"] != "/pkg.Echo/Good":
                other(peer, frame)
            else:
                h2_upstream.echo(peer, frame)
        return behave

    def test_answers_that_are_not_taken_slow_their_writers_alone(self):
        pour = h2_upstream.Pour(4 * MIB)
        client = self.begin(self.by_path(pour))
        before = self.daemon.rss()
        client.update(0, MIB)
        client.set({h2.INITIAL_WINDOW_SIZE: 1000})
        slow = [client.ask(path="/pkg.Echo/Pour") for _ in range(100)]
        self.service.await_calls(100)
        for number in slow:
            client.until(lambda n=number: client.find(n).received == 1000)
        self.good_calls(client)
        time.sleep(0.3)
        for peer in self.service.peers:
            for number, left in pour.left.get(peer, {}).items():
                self.assertLess(4 * MIB - left, 256 << 10, "taken from stream %d" % number)
        if not IS_SANITIZED:
            self.assertLess(self.daemon.rss() - before, 32 * MIB)
        fast = self.client(self.daemon)
        self.good_calls(fast)
        client.rst(slow[0])
        self.good_calls(client, 3)

    def test_as_many_slow_streams_as_are_allowed_slow_nobody_else(self):
        pour = h2_upstream.Pour(MIB)
        client, others = self.begin(self.by_path(pour)), self.client(self.daemon)
        client.set({h2.INITIAL_WINDOW_SIZE: 0})
        client.settle()
        slow = [client.ask(path="/pkg.Echo/Pour") for _ in range(1000)]
        self.service.await_calls(1000)
        for number in slow:
            client.until(lambda n=number: client.find(n).blocks)
        self.good_calls(others)

    def test_ten_thousand_streams_at_once(self):
        clients = [self.begin(updates=True)]
        clients += [self.client(self.daemon) for _ in range(9)]
        before = self.daemon.rss()
        numbers = [[client.open() for _ in range(1000)] for client in clients]
        calls = self.service.await_calls(10000, 60)
        for client, mine in zip(clients, numbers):
            for number in mine:
                client.data(number, h2.grpc(b"%d" % number), True)
        for peer, stream in calls:
            peer.until(lambda s=stream: s.ended, 60)
        if not IS_SANITIZED:
            self.assertLess(self.daemon.rss() - before, 128 * MIB)
        for peer, stream in calls:
            answer(peer, stream.number, stream.messages[0][1])
        for client, mine in zip(clients, numbers):
            for number in mine:
                self.assert_echoed(client.over(number, 60), b"%d" % number)
        self.assert_metric(self.daemon, 10000, "bridle_calls_total", reason="ok")

    def test_a_connection_that_is_not_read_slows_its_writers_alone(self):
        pour = h2_upstream.Pour(4 * MIB)
        fast = self.begin(self.by_path(pour))
        slow = self.client(self.daemon, reads=False, settings={
            h2.INITIAL_WINDOW_SIZE: h2.MAX_WINDOW})
        slow.update(0, h2.MAX_WINDOW - h2.DEFAULT_WINDOW)
        before = self.daemon.rss()
        for _ in range(50):
            slow.ask(path="/pkg.Echo/Pour")
        self.service.await_calls(50)
        self.good_calls(fast)
        if not IS_SANITIZED:
            self.assertLess(self.daemon.rss() - before, 32 * MIB)
        self.good_calls(fast)

    def test_requests_that_are_not_taken_slow_their_callers_alone(self):
        client = self.begin(self.by_path(h2_upstream.silent), updates="connection")
        client.await_settings()
        before = self.daemon.rss()
        taken = []
        for _ in range(30):
            number = client.open(path="/pkg.Echo/Held")
            stream = client.stream(number)
            sent = 0
            client.data(number, h2.grpc(b"", length=4 * MIB))
            stream.window -= 5
            client.window -= 5
            try:
                while sent < 2 * MIB:
                    size = client.take_window(number, 16384, 0.2)
                    client.data(number, b"x" * size)
                    sent += size
            except AssertionError:
                pass
            taken.append(sent)
        self.assertLess(max(taken), 512 << 10)
        if not IS_SANITIZED:
            self.assertLess(self.daemon.rss() - before, 32 * MIB)
        self.good_calls(self.client(self.daemon))
        self.good_calls(client)

    def test_what_was_taken_from_the_connection_comes_back(self):
        """Bytes of calls that end in every way return to the caller's window of the connection."""
        client = self.begin(self.by_path(h2_upstream.silent), updates=True)
        client.await_settings()
        client.settle()
        for turn in range(40):
            number = client.open(path="/pkg.Echo/Held")
            client.flow(number, h2.grpc(b"x" * 50000, length=60000))
            if turn % 2:
                client.rst(number)
            else:
                found = [(p, s) for p, s in self.service.await_calls(turn + 1)
                         if s.reset is None]
                found[-1][0].rst(found[-1][1].number, h2.INTERNAL_ERROR)
                client.over(number)
        client.settle()
        self.good_calls(client, 5)

    def test_what_is_taken_from_the_application_comes_back(self):
        """Also the bytes of answers whose callers are gone."""
        pour = h2_upstream.Pour(60000)
        client = self.begin(self.by_path(pour))
        for _ in range(60):
            client.set({h2.INITIAL_WINDOW_SIZE: 10})
            number = client.ask(path="/pkg.Echo/Pour")
            client.until(lambda n=number: client.find(n).received >= 10)
            client.rst(number)
        eventually(lambda: all(min(p.window, 65535) > 60000 for p in self.service.peers),
                   what="the windows of the application's connections")
