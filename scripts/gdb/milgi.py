# SPDX-License-Identifier: Apache-2.0
"""Milgi's objects in gdb: `source milgi.py`, then print them. Needs the debug information of libmilgi.

    (gdb) print *conn            phase, keys' epochs, queues, failure; no secrets
    (gdb) print *engine          connections, ops, devices
    (gdb) print *op
    (gdb) milgi conns ENGINE     all connections of an engine, a line each
"""

import gdb
import gdb.printing


def words(*names):
    return lambda number: names[int(number)] if 0 <= int(number) < len(names) else str(int(number))


phase = words("new", "handshaking", "established", "failing", "ending", "closed", "freed")
in_state = words("open", "ended", "closed", "closed and ended")
out_state = words("open", "closing", "closed")
op_type = words("SEAL", "OPEN", "KEYGEN", "DERIVE", "ENCAPS", "DECAPS", "SIGN", "VERIFY", "VERIFY_CHAIN")
op_status = words("PENDING", "OK", "REJECTED", "BROKEN", "CANCELLED", "LOST")
op_state = words("free", "made", "waiting", "in flight", "lent", "abandoned")
dev_state = words("none", "serving", "retired", "leaving", "abandoned")
NO_OP = -1
NO_ALERT = 256


def text(pointer):
    return pointer.string() if int(pointer) else "-"


class Failure:
    def __init__(self, value):
        self.value = value

    def to_string(self):
        v = self.value
        if not int(v["error"]):
            return "no failure"
        parts = [f"error {int(v['error'])}: {text(v['detail'])}"]
        if int(v["alert"]) != NO_ALERT:
            parts.append(f"alert {int(v['alert'])}")
        if int(v["op"]) != NO_OP:
            parts.append(f"op {op_type(v['op'])}")
        if int(v["device_code"]):
            parts.append(f"code {int(v['device_code'])}")
        return ", ".join(parts)


class Op:
    def __init__(self, value):
        self.value = value

    def to_string(self):
        v = self.value
        number = int(v["e"]["generation"]) << 32 | int(v["e"]["id"])
        return (f"op {number}: {op_type(v['type'])} 0x{int(v['alg']):04x}, {op_state(v['e']['state'])}, "
                f"device {int(v['dev'])}, {op_status(v['status'])}, code {int(v['device_code'])}")


class Chunk:
    def __init__(self, value):
        self.value = value

    def to_string(self):
        v = self.value
        return f"chunk of {int(v['size'])} bytes, {int(v['refs'])} references, of owner {int(v['owner']):x}"


class Slice:
    def __init__(self, value):
        self.value = value

    def to_string(self):
        v = self.value
        if not int(v["chunk"]):
            return "no slice"
        at = int(v["data"]) - int(v["chunk"]["data"])
        return f"{int(v['len'])} bytes from {at} of chunk {int(v['chunk']):#x}"


def ops_of(owner):
    op = owner["first_op"]
    while int(op):
        yield op.dereference()
        op = op["e"]["owner_next"]


def conn_id(owner):
    return (int(owner["generation"]) << 32 | int(owner["index"])) + 1


class Conn:
    """By hand, so that no secret is shown."""

    def __init__(self, value):
        self.value = value

    def to_string(self):
        v = self.value
        role = "client" if int(v["config"]["role"]) == 0 else "server"
        return f"connection {conn_id(v['owner']):x}: {role}, {phase(v['phase'])}"

    def children(self):
        v = self.value
        yield "in", in_state(v["in"]) + (", paused" if v["in_paused"] else "")
        yield "out", out_state(v["out"]) + (", full" if v["want_room"] else "")
        yield "epochs", (f"read {int(v['level'][0]) + int(v['updates_in'])}, "
                         f"write {int(v['level'][1]) + int(v['updates_out'])}")
        yield "bytes", f"{int(v['bytes_in'])} in, {int(v['unconsumed'])} not consumed; {int(v['bytes_out'])} out"
        yield "output", f"{int(v['output']['len'])} bytes with the network or on their way to it"
        yield "failure", Failure(v["failure"]).to_string()
        for i, op in enumerate(ops_of(v["owner"])):
            yield f"op[{i}]", Op(op).to_string()


class Engine:
    def __init__(self, value):
        self.value = value

    def to_string(self):
        v = self.value
        return (f"engine: {int(v['turns'])} turns, {int(v['owners']['n'])} connections, {int(v['slab']['alive'])} ops alive, "
                f"{int(v['orphans'])} orphans")

    def children(self):
        v = self.value
        for i in range(int(v["devs_n"])):
            d = v["dev"][i]
            if not int(d["state"]):
                continue
            flight = sum(int(d["flight"][cls]["n"]) for cls in range(2))
            waiting = sum(int(d["line"][cls]["n"]) for cls in range(2))
            yield f"dev[{i}]", (f"{text(d['stat']['name'])}: {dev_state(d['state'])}, {waiting} waiting, {flight} in flight, "
                                f"{int(d['lent']['n'])} lent")


PRINTERS = {"milgi__failure": Failure, "milgi_op": Op, "milgi_chunk": Chunk, "milgi_slice": Slice, "milgi_conn": Conn,
            "milgi_engine": Engine}


def conns_of(engine):
    """All owners of an engine that are connections, which is all there are."""
    conn = gdb.lookup_type("struct milgi_conn")
    offset = next(field.bitpos // 8 for field in conn.fields() if field.name == "owner")
    for i in range(int(engine["owners"]["blocks_n"])):
        slots = engine["owners"]["blocks"][i]["slot"]
        for j in range(slots.type.range()[1] + 1):
            owner = slots[j]["owner"]
            if int(owner):
                yield gdb.Value(int(owner) - offset).cast(conn.pointer()).dereference()


class Milgi(gdb.Command):
    """milgi conns ENGINE: all connections of an engine, a line each."""

    def __init__(self):
        super().__init__("milgi", gdb.COMMAND_DATA)

    def invoke(self, argument, from_tty):
        what, _, expression = argument.partition(" ")
        if what != "conns" or not expression:
            raise gdb.GdbError("milgi conns ENGINE")
        value = gdb.parse_and_eval(expression)
        if value.type.strip_typedefs().code == gdb.TYPE_CODE_PTR:
            value = value.dereference()
        for conn in conns_of(value):
            print(f"{int(conn.address):#x} {Conn(conn).to_string()}")


def register():
    printers = gdb.printing.RegexpCollectionPrettyPrinter("milgi")
    for name, printer in PRINTERS.items():
        printers.add_printer(name, f"^{name}$", printer)
    gdb.printing.register_pretty_printer(None, printers, replace=True)
    Milgi()


register()
