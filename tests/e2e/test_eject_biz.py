"""Endpoints whose applications say in their replies that they are sick: eject.on biz:<codes>."""

import legacy
import wire
from legacy import Query, field

SICK = 5003


def result(code):
    """A struct with a BaseResp of that code."""
    inside = field(wire.STRUCT, 255, wire.string_field(1, "sick") + wire.i32_field(2, code) + b"\0")
    return field(wire.STRUCT, 0, inside + b"\0") + b"\0"


def in_body(code):
    return lambda connection, packet: connection.write(packet.answer(result(code)))


def in_header(code):
    return lambda connection, packet: connection.write(
        packet.answer(result(0), strs={"biz-status": str(code), "biz-message": "sick"}))


class Sick(legacy.Peers):
    def both(self, sick, **policy):
        """Two endpoints in turn, of which the first answers so, and a daemon in front of them."""
        self.sick, self.well = self.upstream(sick), self.upstream(in_body(0))
        return self.pinned([self.sick, self.well], balance="round_robin", retry="none",
                           metadata="base255", **policy)

    def ask(self, daemon, form, calls):
        caller = self.caller(daemon, form)
        for _ in range(calls):
            self.assertEqual(caller.call("ask", body=Query("x").body()).kind, wire.REPLY)

    def test_who_says_so_in_a_row_is_left_out(self):
        for form, sick in (("framed", in_body(SICK)), ("ttheader_framed", in_body(SICK)),
                           ("ttheader_bare", in_header(SICK))):
            with self.subTest(form=form):
                daemon = self.both(sick, eject={"on": ["reset", "biz:5001,%d" % SICK],
                                                "consecutive": 3, "for": "10m"})
                self.ask(daemon, form, 20)
                self.assertEqual(len(self.sick.packets), 3)
                self.assertEqual(len(self.well.packets), 17)
                self.assert_metric(daemon, 1, "bridle_ejections_total", service="svc")
                self.assert_logged(daemon, "last=biz_error")
                daemon.stop()

    def test_other_codes_and_other_lists_eject_nobody(self):
        for eject in ({"on": ["biz:5004"]}, {}):
            with self.subTest(eject=eject):
                daemon = self.both(in_body(SICK), eject={"consecutive": 1, **eject})
                self.ask(daemon, "framed", 10)
                self.assertEqual(len(self.sick.packets), 5)
                self.assert_metric(daemon, 0, "bridle_ejections_total", service="svc")
                daemon.stop()
