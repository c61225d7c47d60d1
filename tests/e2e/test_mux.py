"""Multiplexed connections on both sides."""

import json
import threading
import time

import upstream
import wire
from bridled import TestCase, eventually
from sockets import PATIENCE

MIB = 1 << 20


class Backwards:
    """A mux server that answers the calls of a round in reverse order."""

    def __init__(self, round_of):
        self.round_of, self.waiting, self.lock = round_of, [], threading.Lock()

    def __call__(self, connection, packet):
        with self.lock:
            self.waiting.append((connection, packet))
            if len(self.waiting) < self.round_of:
                return
            ready, self.waiting = self.waiting, []
        for waiting, call in reversed(ready):
            waiting.answer(call)


class MuxServices(TestCase):
    def start(self, behaviour, **policy):
        self.service = self.upstream(behaviour)
        return self.pinned(self.service, config={"workers": 1}, protocol="ttheader",
                           multiplex=True, **policy)

    def ask_all(self, callers, rounds=1):
        for turn in range(rounds):
            questions = [c.send(text="%d of turn %d" % (i, turn), seq=1)
                         for i, c in enumerate(callers)]
            for caller, question in zip(callers, questions):
                answer = caller.receive()
                caller.must_answer(question, answer)
                self.assertEqual(answer.text, question.text)

    def test_many_callers_share_few_connections(self):
        daemon = self.start(Backwards(20))
        callers = [self.caller(daemon, wire.FORMS[i % 4]) for i in range(20)]
        self.ask_all(callers, 10)
        self.assertLessEqual(self.service.accepted, 2)
        for packet in self.service.packets:
            self.assertTrue(packet.header.flags & wire.OUT_OF_ORDER)
            self.assertNotEqual(packet.seq, 0)
            self.assertEqual(packet.header.seq, packet.seq)

    def test_metadata_passes_a_mux_connection(self):
        daemon = self.start(upstream.report)
        with self.caller(daemon, "ttheader_framed") as caller:
            answer = caller.call(strs={"RPC_PERSIST_A": "b"}, ints={10: "prod"}, seq=-5)
            seen = json.loads(answer.text)
            self.assertEqual((seen["strs"], seen["ints"]), ({"RPC_PERSIST_A": "b"}, {"10": "prod"}))
            self.assertEqual(answer.header.strs, {"BACK": "ward"})

    def test_a_late_reply_reaches_nobody(self):
        """Replies of the first round come when their slots are in use again."""
        late, lock = [], threading.Lock()

        def behaviour(connection, packet):
            with lock:
                if packet.method == "Late":
                    late.append((connection, packet))
                    return
                pending, late[:] = late[:], []
            for waiting, call in pending:
                waiting.answer(call)
            connection.answer(packet)
        daemon = self.start(behaviour, methods={"Late": {"timeout": "300ms"}})
        with self.caller(daemon, "ttheader_framed") as caller:
            for turn in range(6):
                self.assert_refused(caller.call("Late"), "timeout")
                for i in range(5):
                    text = "turn %d call %d" % (turn, i)
                    self.assertEqual(caller.call(text=text).text, text)

    def test_a_second_reply_changes_nothing(self):
        """Its call has ended: nobody waits for that sequence id any more."""
        def behaviour(connection, packet):
            connection.answer(packet)
            connection.write(packet.answer(wire.result("again")))
        daemon = self.start(behaviour)
        with self.caller(daemon, "ttheader_framed") as caller:
            for i in range(50):
                self.assertEqual(caller.call(text="call %d" % i).text, "call %d" % i)

    def test_a_reply_that_nobody_can_have_asked_for_is_believed_by_nobody(self):
        def behaviour(connection, packet):
            stray = packet.answer(wire.result("stray"), seq=packet.seq + 77777)
            stray.header.seq = stray.seq
            connection.write(stray)
            connection.answer(packet)
        daemon = self.start(behaviour)
        with self.caller(daemon, "ttheader_framed") as caller:
            for i in range(10):
                answer = caller.call(text="call %d" % i)
                if answer.exception:
                    self.assert_refused(answer, "reset")
                else:
                    self.assertEqual(answer.text, "call %d" % i)
            self.service.behaviour = upstream.echo
            self.assertEqual(caller.call(text="good").text, "good")

    def test_exceptions_find_their_call(self):
        daemon = self.start(upstream.fail)
        callers = [self.caller(daemon, wire.FORMS[i % 4]) for i in range(8)]
        questions = [c.send(seq=i) for i, c in enumerate(callers)]
        for caller, question in zip(callers, questions):
            answer = caller.receive()
            caller.must_answer(question, answer)
            self.assertEqual(answer.exception, (6, "biz error: no"))

    def test_a_broken_connection_fails_its_calls_and_no_others(self):
        daemon = self.start(upstream.silent)
        callers = [self.caller(daemon, "framed") for _ in range(6)]
        for caller in callers:
            caller.send()
        eventually(lambda: len(self.service.packets) == 6)
        self.service.drop_connections(upstream.Connection.reset)
        for caller in callers:
            self.assert_refused(caller.receive(), "reset", 6)
        self.service.behaviour = upstream.echo
        self.ask_all(callers)

    def test_the_farewell_frame_ends_a_connection_without_harm(self):
        """A mux server that stops says so in a frame with sequence id 0."""
        farewell = wire.Packet("ttheader_bare", wire.REPLY, "none", 0, b"\0",
                               wire.Header(0, strs={"crrst": "1"}))

        def behaviour(connection, packet):
            connection.answer(packet)
            connection.write(farewell)
        daemon = self.start(behaviour)
        with self.caller(daemon, "ttheader_framed") as caller:
            for i in range(10):
                answer = caller.call(text="call %d" % i)
                self.assertEqual(answer.text, "call %d" % i)
                self.assertNotIn("crrst", answer.header.strs)
        self.assertGreater(self.service.accepted, 1)

    def test_long_bodies_among_short_ones(self):
        daemon = self.start(upstream.echo)
        callers = [self.caller(daemon, "ttheader_framed") for _ in range(4)]
        for turn in range(3):
            texts = ["%d" % turn * size for size in (10, 300000, 20, 1 << 20)]
            writers = [threading.Thread(target=c.send, kwargs={"text": t})
                       for c, t in zip(callers, texts)]
            for writer in writers:
                writer.start()
            for caller, text in zip(callers, texts):
                self.assertEqual(caller.receive().text, text)
            for writer in writers:
                writer.join()


class MuxCallers(TestCase):
    """A caller that sets flag bit 0 takes replies in any order."""

    def test_a_fast_call_overtakes_a_slow_one(self):
        release = threading.Event()
        self.addCleanup(release.set)

        def behaviour(connection, packet):
            if packet.text == "slow":
                release.wait(PATIENCE)
            connection.answer(packet)
        daemon = self.pinned(self.upstream(behaviour))
        with self.caller(daemon, "ttheader_framed", flags=wire.OUT_OF_ORDER) as caller:
            slow, fast = caller.send(text="slow"), caller.send(text="fast")
            answer = caller.receive()
            caller.must_answer(fast, answer)
            self.assertEqual(answer.text, "fast")
            release.set()
            caller.must_answer(slow, caller.receive())

    def test_others_get_theirs_in_order(self):
        def behaviour(connection, packet):
            if packet.text == "slow":
                threading.Timer(0.2, connection.answer, (packet,)).start()
            else:
                connection.answer(packet)
        daemon = self.pinned(self.upstream(behaviour))
        with self.caller(daemon, "ttheader_framed") as caller:
            caller.send(text="slow")
            caller.send(text="fast")
            self.assertEqual([caller.receive().text for _ in range(2)], ["slow", "fast"])

    def test_200_calls_of_one_connection(self):
        daemon = self.pinned(self.upstream(Backwards(1)))
        with self.caller(daemon, "ttheader_framed", flags=wire.OUT_OF_ORDER) as caller:
            questions = {}
            for i in range(200):
                question = caller.send(text="call %d" % i)
                questions[question.seq] = question
            for _ in range(200):
                answer = caller.receive()
                question = questions.pop(answer.seq)
                caller.must_answer(question, answer)
                self.assertEqual(answer.text, question.text)

    def test_a_refusal_waits_for_its_turn_and_ends_while_its_question_still_comes(self):
        """Another call's long reply holds the line; then the refused call's own body is awaited."""
        release = threading.Event()
        self.addCleanup(release.set)

        def behaviour(connection, packet):
            if packet.text != "long":
                connection.answer(packet)
                return
            data = packet.answer(wire.result("x" * MIB)).pack()
            connection.write(data[:MIB // 2])
            release.wait(PATIENCE)
            connection.write(data[MIB // 2:])
        service = self.upstream(behaviour)
        daemon = self.pinned(service)
        with self.caller(daemon, "ttheader_framed", flags=wire.OUT_OF_ORDER) as caller:
            caller.send(text="long")
            late = caller.packet(text="y" * MIB, ints={wire.RPC_TIMEOUT: "1000"})
            data = late.pack()
            caller.sock.sendall(data[:MIB // 2])
            eventually(lambda: service.accepted >= 2)
            time.sleep(1.2)  # until its time is up
            release.set()
            self.assertEqual(len(caller.receive().text), MIB)
            answer = caller.receive()
            caller.must_answer(late, answer)
            self.assert_refused(answer, "caller_deadline")
            caller.sock.sendall(data[MIB // 2:])
            self.assertEqual(caller.call(text="after").text, "after")
        self.assertEqual(daemon.get("/livez")[0], 200)

    def test_in_flight_bounds_what_one_connection_may_ask_at_once(self):
        waiting, lock = [], threading.Lock()

        def behaviour(connection, packet):
            with lock:
                waiting.append((connection, packet))
        service = self.upstream(behaviour)
        daemon = self.pinned(service, {"in_flight": 10})
        with self.caller(daemon, "ttheader_framed", flags=wire.OUT_OF_ORDER) as caller:
            for i in range(50):
                caller.send(text="call %d" % i)
            eventually(lambda: len(waiting) == 10)
            answered = 0
            while answered < 50:
                with lock:
                    self.assertLessEqual(len(waiting), 10)
                    ready, waiting[:] = waiting[:], []
                for connection, packet in ready:
                    connection.answer(packet)
                for _ in ready:
                    caller.receive()
                answered += len(ready)
        self.assertEqual(len(service.packets), 50)

    def test_mux_to_mux(self):
        service = self.upstream(Backwards(10))
        daemon = self.pinned(service, config={"workers": 1}, protocol="ttheader", multiplex=True)
        with self.caller(daemon, "ttheader_framed", flags=wire.OUT_OF_ORDER) as caller:
            questions = {q.seq: q for q in (caller.send(text="call %d" % i) for i in range(10))}
            order = []
            for _ in range(10):
                answer = caller.receive()
                order.append(answer.seq)
                self.assertEqual(answer.text, questions[answer.seq].text)
            self.assertEqual(order, sorted(questions, reverse=True))
