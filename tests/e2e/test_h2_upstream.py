"""Applications that speak HTTP/2 in an unusual way, or refuse, or leave: what the caller gets, and
that what passes through is what was sent."""

import time

import h2
import h2_upstream
import hpack
from bridled import IS_SANITIZED, eventually
from h2_case import AT_ONCE, MIB, ONE_WORKER, Upstreams
from h2_upstream import REPLY_FIELDS, answer


class Heads(Upstreams):
    FIELDS = [("content-type", "application/grpc+thrift"), ("user-agent", "kitex/v0.16.3"),
              ("te", "trailers"), ("grpc-accept-encoding", "gzip"), ("x-b", "1"), ("x-a", "2"),
              ("x-b", "3"), ("rpc-persist-k", "v"), ("token-bin", "AAECAw"), ("x-empty", ""),
              ("destination-service", "other"), ("stream-log-id", "log-1"), ("via", "x")]

    def request(self, client, authority, scheme="http", path="/pkg.Echo/Echo", method="POST"):
        number = client.number()
        client.headers(number, [(":method", method), (":scheme", scheme), (":path", path),
                                (":authority", authority)] + self.FIELDS)
        client.data(number, h2.grpc(b"hello"), True)
        return number

    def test_the_application_sees_our_scheme_and_authority_and_everything_else_as_it_was(self):
        for name in (None, "app.sock"):
            client = self.begin(h2_upstream.echo, name=name)
            for i, (authority, scheme) in enumerate((("svc", "http"), ("localhost:1234", "https"),
                                                     ("%2Ftmp%2Fapp.sock", "unix"))):
                with self.subTest(authority=authority, scheme=scheme):
                    self.assert_echoed(client.over(self.request(client, authority, scheme)))
                    fields = self.service.calls()[i][1].blocks[0]
                    pseudo = dict(fields[:4])
                    self.assertEqual(pseudo, {":method": "POST", ":scheme": "http",
                                              ":path": "/pkg.Echo/Echo", ":authority": "svc"})
                    self.assertEqual(fields[4:], self.FIELDS)
            self.nothing_malformed()
            self.daemon.stop()

    def test_the_authority_is_the_services_name(self):
        self.service = self.h2_upstream()
        daemon = self.bridled({**ONE_WORKER, "listeners": [
            {"name": "in", "address": "127.0.0.1:0", "service": "local"}], "services": {
                "local": {"name": "shop.cart", "endpoints": [self.service.address]}}})
        client = self.client(daemon)
        self.assert_echoed(client.over(self.request(client, "x")))
        self.assertEqual(self.service.calls()[0][1].get(":authority"), "shop.cart")

    def test_answers_pass_unchanged(self):
        headers = [(":status", "200"), ("content-type", "application/grpc+thrift"), ("x-b", "1"),
                   ("x-a", "2"), ("x-b", "3"), ("grpc-encoding", "gzip"), ("server", "app"),
                   ("date", "today"), ("x-bin", "AAEC")]
        trailers = [("grpc-status", "77"), ("grpc-message", "a%0Ab"), ("biz-status", "404"),
                    ("biz-extra", '{"k":"v"}'), ("x-t", "1"), ("x-t", "2")]
        client = self.begin()
        (number,), ((peer, stream),) = self.held(client, 1)
        answer(peer, stream.number, b"bytes", trailers, headers)
        got = client.over(number)
        self.assertEqual(got.blocks, [headers, trailers])
        self.assertEqual(got.messages, [(0, b"bytes")])

    def test_trailers_alone(self):
        fields = REPLY_FIELDS + [("grpc-status", "1"), ("grpc-message", "no such method")]
        client = self.begin()
        (number,), ((peer, stream),) = self.held(client, 1)
        peer.headers(stream.number, fields, True)
        self.assertEqual(client.over(number).blocks, [fields])

    def test_any_http_call_to_a_pinned_service(self):
        client = self.begin()
        client.headers(1, [(":method", "GET"), (":scheme", "http"), (":authority", "x"),
                           (":path", "/any/where?q=1&r=%20"), ("accept", "text/html")], True)
        ((peer, stream),) = self.service.await_calls(1)
        self.assertEqual((stream.get(":method"), stream.get(":path"), stream.ended),
                         ("GET", "/any/where?q=1&r=%20", True))
        peer.headers(stream.number, [(":status", "404"), ("content-type", "text/plain"),
                                     ("content-length", "4")])
        peer.data(stream.number, b"gone", True)
        got = client.over(1)
        self.assertEqual((got.get(":status"), bytes(got.data)), ("404", b"gone"))

    def test_answers_without_a_body_and_with_any_status(self):
        client = self.begin()
        cases = [("HEAD", [(":status", "200"), ("content-length", "100")], None),
                 ("GET", [(":status", "204")], None),
                 ("GET", [(":status", "304"), ("content-length", "10")], None),
                 ("DELETE", [(":status", "200"), ("content-length", "3")], b"abc"),
                 ("OPTIONS", [(":status", "200")], b""), ("PUT", [(":status", "599")], b"why"),
                 ("PROPFIND", [(":status", "404"), ("x", "y")], b"z" * 20000)]
        for i, (method, fields, body) in enumerate(cases):
            with self.subTest(method=method, fields=fields):
                number = client.number()
                client.headers(number, [(":method", method), (":scheme", "http"), (":path", "/x"),
                                        (":authority", "x")], True)
                peer, stream = self.service.await_calls(i + 1)[-1]
                peer.headers(stream.number, fields, body is None)
                if body is not None:
                    peer.data(stream.number, body, True)
                got = client.over(number)
                self.assertEqual((stream.get(":method"), got.blocks, bytes(got.data), got.ended),
                                 (method, [fields], body or b"", True))

    def test_nobody_gets_a_tunnel(self):
        client = self.begin(h2_upstream.echo)
        for fields in ([(":method", "CONNECT"), (":authority", "bank:443")],
                       h2.call_fields()[1:] + [(":method", "CONNECT")],
                       [(":method", "CONNECT"), (":protocol", "websocket")] + h2.call_fields()[1:]):
            number = client.open(fields)
            stream = client.over(number)
            self.assertTrue(stream.reset is not None or
                            stream.trailers.get("grpc-status", "0") != "0", stream)
        self.assertEqual(self.service.calls(), [])
        self.assert_echoed(client.call())

    def test_interim_answers(self):
        client = self.begin()
        numbers, calls = self.held(client, 3)
        for (peer, stream), interim in zip(calls, (["100"], ["103"], ["100", "102", "103"])):
            for status in interim:
                peer.headers(stream.number, [(":status", status), ("x-early", "1")])
            answer(peer, stream.number)
        for number in numbers:
            got = client.over(number)
            self.assert_echoed(got)
            self.assertEqual(got.fields, REPLY_FIELDS)
        self.nothing_malformed()

    def test_interim_answers_without_end(self):
        client = self.begin(timeout={"call": "3s"})
        (number,), ((peer, stream),) = self.held(client, 1)
        before = self.daemon.rss()
        block = h2.pack_headers(stream.number, hpack.block([(":status", "103")] + [
            ("x-%d" % i, "v" * 100) for i in range(100)]))
        for _ in range(5000):
            if not peer.send(block):
                break
        got = client.over(number)
        self.assertNotEqual(got.trailers.get("grpc-status"), "0")
        if not IS_SANITIZED:
            self.assertLess(self.daemon.rss() - before, 16 * MIB)


class Pings(Upstreams):
    def test_pings_are_answered_here_and_never_passed_on(self):
        client = self.begin()
        (number,), ((peer, stream),) = self.held(client, 1)
        client.acknowledges.discard(h2.PING)
        peer.acknowledges.discard(h2.PING)
        for end in (client, peer):
            for data in (b"\0" * 8, b"\xff" * 8, bytes.fromhex("02041010090e0707"), b"12345678"):
                end.ping(data)
                end.until(lambda e=end, d=data: d in e.pings_answered)
            self.assertEqual(len(end.pings_answered), 4)
        answer(peer, stream.number)
        self.assert_echoed(client.over(number))
        for end in (client, peer):
            pings = [f.payload for f in end.frames if f.kind == h2.PING and not f.flags & h2.ACK]
            self.assertNotIn(b"12345678", pings)

    def test_settings_for_an_application(self):
        """No push, and nothing that it would have to keep much for."""
        client = self.begin(h2_upstream.echo)
        self.assert_echoed(client.call())
        settings = self.service.peer().settings
        self.assertEqual(settings.get(h2.ENABLE_PUSH), 0)
        self.assertLessEqual(settings.get(h2.HEADER_TABLE_SIZE, 4096), 4096)

    def test_an_idle_connection_is_left_in_peace(self):
        """Kitex closes connections that ping more often than every five minutes."""
        client = self.begin(h2_upstream.echo)
        self.assert_echoed(client.call())
        time.sleep(1)
        self.assertEqual([f for f in self.service.peer().frames if f.kind == h2.PING and
                          not f.flags & h2.ACK], [])


class Goaways(Upstreams):
    def test_calls_above_the_last_stream_are_saved(self):
        client = self.begin()
        numbers, calls = self.held(client, 6)
        peer, first = calls[0]
        self.assertEqual({p for p, _ in calls}, {peer})
        self.assertEqual([s.number for _, s in calls], sorted(s.number for _, s in calls))
        peer.goaway(calls[1][1].number)
        for _, stream in calls[:2]:
            answer(peer, stream.number)
        other = self.service.peer(1)
        other.until(lambda: len([s for s in other.streams.values() if s.ended]) == 4,
                    what="the four others")
        self.assertEqual({s.messages[0][1] for s in other.streams.values()},
                         {b"hello %d" % i for i in range(2, 6)})
        for stream in list(other.streams.values()):
            self.assertEqual(stream.blocks[0], first.blocks[0])
            answer(other, stream.number)
        for number in numbers:
            self.assert_echoed(client.over(number))
        self.nothing_malformed()

    def test_a_graceful_end_costs_no_call(self):
        """As Kitex ends: the highest id, a PING, later the real id, and reset code 1000."""
        client = self.begin()
        numbers, calls = self.held(client, 2)
        peer = calls[0][0]
        peer.goaway(h2.MAX_WINDOW, text=b"graceful shutdown")
        peer.ping(bytes.fromhex("0106010800030309"))
        peer.until(lambda: peer.pings_answered)
        last = max(peer.streams)
        number = client.ask(b"new")
        other = self.service.peer(1)
        other.until(lambda: any(s.ended for s in other.streams.values()))
        answer(other, max(other.streams), b"new")
        self.assert_echoed(client.over(number), b"new")
        peer.goaway(last)
        self.assertEqual(max(peer.streams), last)
        answer(peer, calls[0][1].number)
        self.assert_echoed(client.over(numbers[0]))
        peer.headers(calls[1][1].number, REPLY_FIELDS)
        peer.rst(calls[1][1].number, 1000)
        self.assertEqual(client.over(numbers[1]).reset, 1000)
        peer.close()
        self.assertEqual(client.goaways, [])

    def test_a_goaway_with_an_error_ends_what_it_does_not_cover(self):
        client = self.begin()
        numbers, calls = self.held(client, 3)
        peer = calls[0][0]
        peer.goaway(calls[0][1].number, h2.ENHANCE_YOUR_CALM, b"too_many_pings")
        peer.close()
        other = self.service.peer(1)
        other.until(lambda: len([s for s in other.streams.values() if s.ended]) == 2)
        for stream in other.streams.values():
            answer(other, stream.number)
        self.assert_status(client.over(numbers[0]), 14, "reset")
        for number in numbers[1:]:
            self.assert_echoed(client.over(number))

    def test_a_goaway_before_any_call(self):
        client = self.begin()
        ended = []

        def leave_first(peer, frame):
            if frame is not None and frame.kind == h2.SETTINGS and not ended:
                ended.append(peer)
                peer.goaway(0)
            elif ended and peer is not ended[0]:
                h2_upstream.echo(peer, frame)
        self.service.behaviour = leave_first
        for _ in range(5):
            self.assert_echoed(client.call())
        self.assertEqual(len(ended), 1)

    def test_a_lying_goaway(self):
        """A last id that grows, and one of a stream that nobody opened."""
        client = self.begin()
        (number,), ((peer, stream),) = self.held(client, 1)
        peer.goaway(stream.number)
        peer.goaway(stream.number + 1000)
        answer(peer, stream.number)
        self.assertTrue(client.over(number).is_over)
        self.service.behaviour = h2_upstream.echo
        self.assert_echoed(client.call())

    def test_calls_under_load_survive_connections_that_end_all_the_time(self):
        """Every tenth call ends its connection politely, below itself."""
        last = {}

        def leave_often(peer, frame):
            if frame is None or not frame.is_end:
                return
            if frame.stream % 20 == 19 and peer not in last:
                last[peer] = frame.stream - 2
                peer.goaway(last[peer])
            elif frame.stream <= last.get(peer, h2.MAX_WINDOW):
                answer(peer, frame.stream)
        client = self.begin(leave_often)
        for _ in range(20):
            for number in [client.ask() for _ in range(10)]:
                self.assert_echoed(client.over(number))
        self.assertGreater(len(last), 10)


class Resets(Upstreams):
    def test_a_refused_stream_is_saved(self):
        client = self.begin()
        (number,), ((peer, stream),) = self.held(client, 1)
        peer.rst(stream.number, h2.REFUSED_STREAM)
        _, again = self.service.await_calls(2)[1]
        eventually(lambda: again.ended)
        owner = next(p for p, s in self.service.calls() if s is again)
        self.assertEqual((again.messages, again.blocks[0]), (stream.messages, stream.blocks[0]))
        answer(owner, again.number)
        self.assert_echoed(client.over(number))
        self.assertEqual(self.daemon.access_log(1)[0]["attempts"], 2)

    def test_a_refused_stream_goes_to_another_endpoint(self):
        def refuse(peer, frame):
            if frame is not None and frame.is_end:
                peer.rst(frame.stream, h2.REFUSED_STREAM)
        bad, good = self.h2_upstream(refuse), self.h2_upstream(h2_upstream.echo)
        daemon = self.pinned([bad, good], config=ONE_WORKER)
        client = self.client(daemon)
        for _ in range(20):
            self.assert_echoed(client.call())
        self.assertEqual(len(good.calls()), 20)

    def test_refused_for_good(self):
        def refuse(peer, frame):
            if frame is not None and frame.is_end:
                peer.rst(frame.stream, h2.REFUSED_STREAM)
        client = self.begin(refuse)
        stream = client.call()
        self.assertTrue(stream.reset == h2.REFUSED_STREAM or
                        stream.trailers.get("grpc-status") == "14", stream)
        self.assertEqual(len(self.service.calls()), 3)  # retry.attempts is 2

    def test_a_long_request_is_not_kept_for_another_attempt(self):
        client = self.begin(retry={"buffer": "1KiB"})
        number = client.ask(b"x" * 10000)
        ((peer, stream),) = self.service.await_calls(1)
        peer.until(lambda: stream.ended)
        peer.rst(stream.number, h2.REFUSED_STREAM)
        got = client.over(number)
        self.assertTrue(got.reset == h2.REFUSED_STREAM or
                        got.trailers.get("grpc-status") == "14", got)
        self.assertEqual(len(self.service.calls()), 1)

    def test_a_reset_after_headers_reaches_the_caller_as_it_is(self):
        client = self.begin()
        codes = list(range(14)) + [1000, 0xDEADBEEF, 0xFFFFFFFF]
        numbers, calls = self.held(client, len(codes))
        for (peer, stream), code in zip(calls, codes):
            peer.headers(stream.number, REPLY_FIELDS)
            peer.data(stream.number, h2.grpc(b"part"))
            peer.rst(stream.number, code)
        for number, code in zip(numbers, codes):
            got = client.over(number)
            self.assertEqual((got.reset, got.ended, got.fields), (code, False, REPLY_FIELDS))
        self.assertEqual(len(self.service.calls()), len(codes))
        self.assertEqual(client.goaways, [])

    def test_a_reset_before_headers_is_a_failure(self):
        client = self.begin()
        codes = [0, 1, 2, 3, 5, 6, 8, 11, 12, 1000]
        numbers, calls = self.held(client, len(codes))
        for (peer, stream), code in zip(calls, codes):
            peer.rst(stream.number, code)
        for number, code in zip(numbers, codes):
            with self.subTest(code=code):
                got = client.over(number)
                if got.ended:
                    self.assertNotIn(got.trailers.get("grpc-status"), ("0", None), got)
                else:
                    self.assertEqual(got.reset, code)
        self.assertEqual(len(self.service.calls()), len(codes))

    def test_an_answer_before_the_end_of_the_request(self):
        """With the NO_ERROR that tells a caller to stop sending."""
        client = self.begin()
        number = client.open()
        client.data(number, h2.grpc(b"first"))
        ((peer, stream),) = self.service.await_calls(1)
        answer(peer, stream.number, b"early")
        peer.rst(stream.number, h2.NO_ERROR)
        got = client.over(number)
        self.assert_echoed(got, b"early")
        client.until(lambda: got.reset is not None)
        self.assertEqual(got.reset, h2.NO_ERROR)
        client.data(number, h2.grpc(b"late"), True)
        client.settle()
        self.assertEqual(client.goaways, [])

    def test_a_canceled_call_is_canceled_at_the_application_at_once(self):
        client = self.begin()
        for begun in (True, False):
            number = client.open()
            client.data(number, h2.grpc(b"x"), begun)
            peer, stream = self.service.await_calls(1 if begun else 2)[-1]
            client.rst(number, h2.CANCEL)
            began = time.monotonic()
            peer.until(lambda s=stream: s.reset is not None)
            self.assertEqual(stream.reset, h2.CANCEL)
            self.assertLess(time.monotonic() - began, AT_ONCE)
        for line in self.daemon.access_log(2):
            self.assertEqual(line["reason"], "canceled")

    def test_a_cancel_of_the_application_reaches_the_caller_at_once(self):
        client = self.begin()
        number = client.open()
        client.data(number, h2.grpc(b"x"))
        ((peer, stream),) = self.service.await_calls(1)
        peer.headers(stream.number, REPLY_FIELDS)
        peer.rst(stream.number, h2.CANCEL)
        self.assertEqual(client.over(number, AT_ONCE).reset, h2.CANCEL)

    def test_a_caller_that_is_gone_leaves_no_call_behind(self):
        client = self.begin()
        numbers, calls = self.held(client, 10)
        self.assertEqual(len(numbers), 10)
        client.abort()
        for peer, stream in calls:
            peer.until(lambda s=stream: s.reset == h2.CANCEL)
        self.assert_metric(self.daemon, 0, "bridle_downstream_connections")

    def test_a_deadline_answers_the_caller_and_cancels_at_the_application(self):
        client = self.begin()
        number = client.ask(more=[("grpc-timeout", "1S")])
        ((peer, stream),) = self.service.await_calls(1)
        rest = stream.get("grpc-timeout")
        self.assertRegex(rest, r"^[0-9]{1,8}[HMSmun]$")
        got = client.over(number, AT_ONCE)
        self.assert_status(got, 4)
        self.assertIn("context deadline exceeded", got.trailers["grpc-message"])
        peer.until(lambda: stream.reset == h2.CANCEL)

    def test_the_time_that_is_passed_on_is_what_is_left(self):
        units = {"H": 3600e6, "M": 60e6, "S": 1e6, "m": 1e3, "u": 1, "n": 1e-3}
        client = self.begin(h2_upstream.echo)
        for i, (stated, most) in enumerate((("60S", 60e6), ("51500m", 51.5e6), ("2M", 120e6),
                                            ("59900000u", 59.9e6),
                                            ("99999999H", 99999999 * 3600e6))):
            self.assert_echoed(client.call(more=[("grpc-timeout", stated)]))
            got = self.service.calls()[i][1].get("grpc-timeout")
            left = float(got[:-1]) * units[got[-1]]
            self.assertTrue(min(0.5 * most, 86400e6) < left <= most, (stated, got))
            self.assertLessEqual(len(got), 9)
        self.assert_echoed(client.call())
        self.assertIsNone(self.service.calls()[-1][1].get("grpc-timeout"))


class Limits(Upstreams):
    """SETTINGS of the application."""

    def test_one_stream_at_a_time(self):
        held, most = {}, []

        def one_by_one(peer, frame):
            """What was opened before the limit was known does not count."""
            if frame is None or not frame.stream:
                return
            mine = held.setdefault(peer, set())
            if frame.kind == h2.HEADERS:
                mine.add(frame.stream)
                if any(f.kind == h2.SETTINGS and f.flags & h2.ACK for f in peer.frames):
                    most.append(len(mine))
            if frame.is_end:
                mine.discard(frame.stream)
                answer(peer, frame.stream)
        client = self.begin(one_by_one, settings={h2.MAX_CONCURRENT_STREAMS: 1})
        self.assert_echoed(client.call())
        for _ in range(10):
            for number in [client.ask() for _ in range(20)]:
                self.assert_echoed(client.over(number))
        self.assertEqual(set(most), {1})

    def test_none_at_all_and_later_some(self):
        def refuse(peer, frame):
            if frame is not None and frame.kind == h2.HEADERS:
                peer.rst(frame.stream, h2.REFUSED_STREAM)
        client = self.begin(refuse, settings={h2.MAX_CONCURRENT_STREAMS: 0},
                            timeout={"call": "1s"})
        for _ in range(4):
            began = time.monotonic()
            got = client.call()
            self.assertIn(got.trailers.get("grpc-status"), ("4", "14", "8"), got)
            self.assertLess(time.monotonic() - began, 1 + AT_ONCE)
        for peer in self.service.peers:
            kinds = [(f.kind, f.flags & h2.ACK) for f in peer.frames]
            known = kinds.index((h2.SETTINGS, h2.ACK))
            self.assertNotIn(h2.HEADERS, [kind for kind, _ in kinds[known:]])
        self.service.settings = {h2.MAX_CONCURRENT_STREAMS: 10}
        self.service.behaviour = h2_upstream.echo
        for peer in self.service.peers:
            peer.set({h2.MAX_CONCURRENT_STREAMS: 10})
            peer.until(lambda p=peer: p.is_closed or len(
                [f for f in p.frames if f.kind == h2.SETTINGS and f.flags & h2.ACK]) == 2)
        self.assert_echoed(client.call())

    def test_a_limit_that_changes_is_obeyed_at_once(self):
        client = self.begin(settings={h2.MAX_CONCURRENT_STREAMS: 100})
        numbers, calls = self.held(client, 5)
        peer = calls[0][0]
        peer.set({h2.MAX_CONCURRENT_STREAMS: 5})
        peer.until(lambda: any(f.kind == h2.SETTINGS and f.flags & h2.ACK for f in peer.frames))
        more = [client.ask(b"more") for _ in range(5)]
        other = self.service.peer(1)
        other.until(lambda: len([s for s in other.streams.values() if s.ended]) == 5)
        self.assertEqual(len([s for s in peer.streams.values() if s.blocks]), 5)
        for _, stream in calls:
            answer(peer, stream.number)
        for stream in list(other.streams.values()):
            answer(other, stream.number, b"more")
        for number in numbers:
            self.assert_echoed(client.over(number))
        for number in more:
            self.assert_echoed(client.over(number), b"more")

    def test_a_small_frame_size_and_table(self):
        """16 384 is the least that can be asked for; a table may be switched off."""
        client = self.begin(h2_upstream.echo, settings={h2.MAX_FRAME_SIZE: 16384,
                                                        h2.HEADER_TABLE_SIZE: 0,
                                                        h2.MAX_HEADER_LIST_SIZE: 1000})
        client.updates = True
        for _ in range(5):
            number = client.open()
            client.flow(number, h2.grpc(b"x" * 60000), True)
            self.assert_echoed(client.over(number), b"x" * 60000)
        self.nothing_malformed()

    def test_settings_that_break_the_rules(self):
        for settings in ({h2.INITIAL_WINDOW_SIZE: 1 << 31}, {h2.MAX_FRAME_SIZE: 100},
                         {h2.ENABLE_PUSH: 1}):
            with self.subTest(settings=settings):
                service = self.h2_upstream(h2_upstream.silent, settings=settings)
                daemon = self.pinned(service, config=ONE_WORKER, timeout={"call": "2s"})
                got = self.client(daemon).call()
                self.assertIn(got.trailers.get("grpc-status"), ("13", "14"), got)
                service.peer().closed()
                daemon.stop()
