"""Long bodies, many messages on one connection, half-closed connections, any segmentation."""

import socket
import threading
import time

import upstream
import wire
from bridled import TestCase, eventually
from sockets import PATIENCE

MIB = 1 << 20


def letters(count):
    return ("0123456789abcdef" * (count // 16 + 1))[:count]


class Bodies(TestCase):
    def test_long_bodies_pass_both_ways_in_every_form(self):
        service = self.upstream(upstream.echo)
        text = letters(MIB)
        for protocol in ("same", "buffered", "framed", "ttheader_framed", "ttheader_bare"):
            daemon = self.pinned(service, protocol=protocol)
            for form in wire.FORMS:
                with self.subTest(form=form, protocol=protocol), \
                        self.caller(daemon, form) as caller:
                    for size in (64 * 1024 - 1, 64 * 1024 + 1, MIB):
                        self.assertEqual(caller.call(text=text[:size]).text, text[:size])
            daemon.stop()

    def test_20_mib_pass_both_ways(self):
        service = self.upstream(upstream.echo)
        daemon = self.pinned(service)
        text = letters(20 * MIB)
        for form in ("framed", "ttheader_framed", "buffered"):
            with self.subTest(form=form), self.caller(daemon, form, timeout=60) as caller:
                self.assertEqual(caller.call(text=text).text, text)
                self.assertEqual(caller.call(text="after").text, "after")

    def test_a_long_body_is_relayed_as_it_arrives(self):
        """The service has the head before the caller has sent the whole."""
        arrived = threading.Event()
        service = self.upstream(on_accept=lambda sock: sock.recv(1, socket.MSG_PEEK) and
                                arrived.set() or True)
        daemon = self.pinned(service)
        with self.caller(daemon) as caller:
            question = caller.packet(text=letters(MIB))
            data = question.pack()
            caller.sock.sendall(data[:MIB // 2])
            self.assertTrue(arrived.wait(PATIENCE))
            caller.sock.sendall(data[MIB // 2:])
            self.assertEqual(len(caller.receive().text), MIB)

    def test_long_kitex_protobuf_bodies_pass(self):
        service = self.upstream(upstream.echo)
        daemon = self.pinned(service, protocol="ttheader")
        for form in wire.FRAMED_FORMS:
            with self.subTest(form=form), \
                    self.caller(daemon, form, magic=wire.KITEXPB) as caller:
                self.assertEqual(caller.call(text=letters(MIB)).text, letters(MIB))

    def test_a_message_above_the_limit_is_refused_before_it_is_there(self):
        service = self.upstream(upstream.echo)
        daemon = self.pinned(service, {"max_message": "100KiB"})
        with self.caller(daemon, "framed") as caller:
            self.assertEqual(len(caller.call(text=letters(90000)).text), 90000)
            data = caller.packet(text=letters(200000)).pack()
            caller.sock.sendall(data[:1000])
            try:  # where the method and the sequence id are known there is an answer first
                self.assert_refused(caller.receive(), "too_large")
            except (EOFError, ConnectionError):
                pass
        self.assertEqual(len(service.packets), 1)
        self.assert_metric(daemon, 1, "bridle_calls_total", reason="too_large")


class Breaks(TestCase):
    """A long body that breaks off: what was begun cannot be unsaid, so the connection ends."""

    def test_a_reply_that_breaks_off_is_never_completed(self):
        def behaviour(connection, packet):
            if packet.text != "break":
                connection.answer(packet)
                return
            data = packet.answer(wire.result(letters(MIB))).pack()
            connection.write(data[:MIB // 2])
            connection.close()
        daemon = self.pinned(self.upstream(behaviour), protocol="framed")
        for form in wire.FORMS:
            with self.subTest(form=form), self.caller(daemon, form) as caller:
                caller.send(text="break")
                with self.assertRaises((EOFError, ConnectionError)):
                    caller.receive()
            with self.caller(daemon, form) as caller:
                self.assertEqual(caller.call(text="x").text, "x")
        reasons = [line["reason"] for line in daemon.access_log(8)]
        self.assertEqual(reasons.count("reset"), 4)

    def test_a_call_that_breaks_off_does_not_spoil_a_connection_of_others(self):
        service = self.upstream(upstream.echo)
        daemon = self.pinned(service, config={"workers": 1})
        for form in wire.FORMS:
            with self.subTest(form=form):
                with self.caller(daemon, form) as caller:
                    data = caller.packet(text=letters(MIB)).pack()
                    caller.sock.sendall(data[:MIB // 2])
                with self.caller(daemon, form) as caller:
                    for i in range(5):
                        self.assertEqual(caller.call(text="call %d" % i).text, "call %d" % i)
        self.assertEqual(service.malformed, [])

    def test_an_answer_before_the_end_of_the_question(self):
        """A service that refuses a long call when it has read its head."""
        def on_accept(sock):
            head = sock.recv(1000, socket.MSG_PEEK)
            name = head[12:16]
            body = wire.exception_body(6, "too long for me")
            sock.sendall(wire.frame(wire.message(name.decode(), wire.EXCEPTION, int.from_bytes(
                head[16:20], "big"), body)))
            sock.recv(10 * MIB)
            time.sleep(0.05)
            sock.close()
        daemon = self.pinned(self.upstream(on_accept=on_accept))
        with self.caller(daemon) as caller:
            data = caller.packet(text=letters(8 * MIB))
            writer = threading.Thread(target=lambda: send_all(caller.sock, data.pack()))
            writer.start()
            answer = caller.receive()
            self.assertEqual(answer.kind, wire.EXCEPTION)
            caller.close()
            writer.join()
        with self.caller(daemon) as caller:
            self.assertIsNotNone(caller.call())


def send_all(sock, data):
    """Or as much of it as the other side wants."""
    try:
        sock.sendall(data)
    except OSError:
        pass


class Pipelines(TestCase):
    def test_1000_calls_at_once_are_answered_in_order(self):
        daemon = self.pinned(self.upstream(upstream.echo))
        for form in wire.FORMS:
            with self.subTest(form=form), self.caller(daemon, form) as caller:
                questions = [caller.packet(text="call %d" % i) for i in range(1000)]
                writer = threading.Thread(target=caller.sock.sendall, args=(
                    b"".join(q.pack() for q in questions),))
                writer.start()
                for question in questions:
                    answer = caller.receive()
                    caller.must_answer(question, answer)
                    self.assertEqual(answer.text, question.text)
                writer.join()

    def test_equal_sequence_ids_do_not_mix(self):
        daemon = self.pinned(self.upstream(upstream.echo))
        with self.caller(daemon) as caller:
            caller.sock.sendall(b"".join(
                caller.packet(text="call %d" % i, seq=7).pack() for i in range(100)))
            self.assertEqual([caller.receive().text for _ in range(100)],
                             ["call %d" % i for i in range(100)])

    def test_the_forms_may_change_between_messages(self):
        daemon = self.pinned(self.upstream(upstream.echo), protocol="framed")
        with self.caller(daemon) as caller:
            forms = wire.FORMS * 5
            for form in forms:
                caller.form = form
                caller.send(text=form)
            for form in forms:
                answer = caller.receive()
                self.assertEqual((answer.form, answer.text), (form, form))

    def test_kitex_protobuf_and_thrift_may_share_a_connection(self):
        daemon = self.pinned(self.upstream(upstream.echo))
        with self.caller(daemon) as caller:
            for magic in (wire.THRIFT, wire.KITEXPB) * 3:
                caller.magic = magic
                self.assertEqual(caller.call(text="x").text, "x")

    def test_a_burst_of_callers(self):
        daemon = self.pinned(self.upstream(upstream.echo))
        callers = [self.caller(daemon, wire.FORMS[i % 4]) for i in range(200)]
        questions = [c.send(text="caller %d" % i) for i, c in enumerate(callers)]
        for caller, question in zip(callers, questions):
            answer = caller.receive()
            caller.must_answer(question, answer)
            self.assertEqual(answer.text, question.text)

    def test_connections_are_spread_over_the_workers(self):
        daemon = self.pinned(self.upstream(upstream.echo), config={"workers": 2})
        callers = [self.caller(daemon) for _ in range(8)]
        for caller in callers:
            caller.call()
        workers = daemon.get_json("/status")["workers"]
        self.assertEqual([w["connections"] for w in workers], [4, 4])


class Segments(TestCase):
    def test_byte_by_byte(self):
        daemon = self.pinned(self.upstream(upstream.echo), protocol="framed")
        for form in wire.FORMS:
            with self.subTest(form=form), self.caller(daemon, form) as caller:
                for byte in caller.packet(text="slow").pack():
                    caller.sock.sendall(bytes((byte,)))
                self.assertEqual(caller.receive().text, "slow")

    def test_replies_byte_by_byte(self):
        def drip(connection, packet):
            for byte in packet.answer(wire.result(packet.text)).pack():
                connection.write(bytes((byte,)))
        daemon = self.pinned(self.upstream(drip))
        for form in wire.FORMS:
            with self.subTest(form=form), self.caller(daemon, form) as caller:
                self.assertEqual(caller.call(text="slow").text, "slow")


class HalfClose(TestCase):
    def test_100_callers_that_say_all_they_have_to_say(self):
        daemon = self.pinned(self.upstream(upstream.echo))
        for form in wire.FORMS:
            with self.subTest(form=form):
                for i in range(25):
                    with self.caller(daemon, form) as caller:
                        caller.send(text="last words %d" % i)
                        caller.sock.shutdown(socket.SHUT_WR)
                        self.assertEqual(caller.receive().text, "last words %d" % i)
                        self.assertEqual(caller.sock.recv(1), b"")

    def test_all_that_was_asked_before_the_end_is_answered(self):
        def slow(connection, packet):
            time.sleep(0.01)
            upstream.echo(connection, packet)
        daemon = self.pinned(self.upstream(slow))
        with self.caller(daemon) as caller:
            for i in range(20):
                caller.send(text="call %d" % i)
            caller.sock.shutdown(socket.SHUT_WR)
            self.assertEqual([caller.receive().text for _ in range(20)],
                             ["call %d" % i for i in range(20)])
            self.assertEqual(caller.sock.recv(1), b"")

    def test_the_connection_is_gone_afterwards(self):
        daemon = self.pinned(self.upstream(upstream.echo))
        with self.caller(daemon) as caller:
            caller.call()
            caller.sock.shutdown(socket.SHUT_WR)
            self.assertEqual(caller.sock.recv(1), b"")
        eventually(lambda: daemon.metric("bridle_downstream_connections") == 0)
