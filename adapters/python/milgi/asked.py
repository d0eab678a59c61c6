# SPDX-License-Identifier: Apache-2.0
"""What the application is asked during a handshake and answers, and what it is told of the connection afterwards."""

import weakref

from ._native import ffi, lib
from .context import Certificate, Context, Credential, Session, encode
from .errors import TransportError, check, cstring, text


def verdict(number):
    """What is wrong with a peer's certificate, by a context that only reports it; None: nothing."""
    return text(lib.milgi_peer_verdict_text(number)) if number else None


class Hello:
    """What a question is about. Of a client's first message, or of what stands for it."""

    def __init__(self, stream, info):
        self.transport = stream.up
        self.server_name = text(info.server_name)
        self.alpn = [ffi.buffer(info.alpn[i].data, info.alpn[i].len)[:].decode("ascii", "backslashreplace")
                     for i in range(info.alpn_n)]
        self.schemes = [text(lib.milgi_scheme_name(info.schemes[i])) for i in range(info.schemes_n)]
        self.verdict = verdict(info.verdict)
        self.chain = [Certificate(ffi.buffer(info.chain[i].data, info.chain[i].len)) for i in range(info.chain_n)]


def buffers(array, n):
    return [ffi.buffer(array[i].data, array[i].len)[:] for i in range(n)]


def arguments(kind, stream, info):
    if kind == "open_ticket":
        return (buffers(info.psk_identities, info.psk_identities_n),)
    if kind == "seal_tickets":
        return ([encode(info.sessions[i]) for i in range(info.sessions_n)],)
    if kind == "find_session":
        return (ffi.buffer(info.session_id.data, info.session_id.len)[:],)
    if kind == "store_session":
        return (ffi.buffer(info.session_id.data, info.session_id.len)[:], encode(info.session))
    return (Hello(stream, info),)


def answer(kind, result, keep):
    """What is decided, and what goes with it: what it points to is put into |keep|."""
    if result is None and kind in ("choose_certificate", "choose_alpn", "choose_context"):
        return lib.MILGI_DEFAULT, ffi.NULL
    if result is None or result is False or (kind == "check_peer" and result is not True):
        return lib.MILGI_REFUSE, ffi.NULL
    value = ffi.NULL
    if kind in ("choose_certificate", "choose_context"):
        if not isinstance(result, Credential if kind == "choose_certificate" else Context):
            raise TypeError("%s: %r is no answer" % (kind, result))
        keep.append(result)
        value = result._c
    elif kind == "choose_alpn":
        value = ffi.new("char[]", cstring(result))
    elif kind == "open_ticket":
        session = Session(result[1])
        value = ffi.new("struct milgi_ticket_opened *", {"at": result[0], "session": session._c})
        keep.append(session)
    elif kind == "find_session":
        keep.append(Session(result))
        value = keep[-1]._c
    elif kind == "seal_tickets":
        value = ffi.new("struct milgi_tickets_sealed *")
        for i, ticket in enumerate(result):
            if ticket:
                keep.append(ffi.from_buffer(ticket))
                value.ticket[i].data, value.ticket[i].len = keep[-1], len(ticket)
    keep.append(value)
    return lib.MILGI_ACCEPT, value


KINDS = {bit: name for name, bit in Context.QUESTIONS.items()}


class Info:
    """What was negotiated: what of an SSLObject can be asked after the handshake."""

    def __init__(self, stream):
        info = ffi.new("struct milgi_conn_info *")
        c = stream._c
        lib.milgi_conn_info(lib.milgi_stream_conn(stream._stream), info)
        self._of = weakref.ref(stream)
        self.context = stream.context
        self.server_side = stream.context.server_side
        self.server_hostname = text(info.server_name)
        self.version_number = info.version
        self.suite, self.group = text(lib.milgi_suite_name(info.suite)), text(lib.milgi_group_name(info.group))
        self.alpn = text(info.alpn)
        self.session_reused = bool(info.resumed)
        self.peer_authenticated, self.peer_verdict = bool(info.peer_authenticated), verdict(info.peer_verdict)
        self.peer_chain = [Certificate(data) for data in buffers(c.chain, c.chain_n)]

    def version(self):
        return {0x0303: "TLSv1.2", 0x0304: "TLSv1.3"}.get(self.version_number)

    def cipher(self):
        bits = 128 if "_128_" in (self.suite or "") else 256
        return self.suite, self.version(), bits

    def compression(self):
        return None

    def selected_alpn_protocol(self):
        return self.alpn

    def getpeercert(self, binary_form=False):
        if not self.peer_chain:
            return None
        leaf = self.peer_chain[0]
        if binary_form:
            return leaf.der
        return leaf.as_dict() if self.peer_authenticated else {}

    def get_channel_binding(self, cb_type="tls-exporter"):
        kinds = {"tls-exporter": 0, "tls-server-end-point": 1, "tls-unique": 2}
        if cb_type not in kinds:
            raise ValueError("%r: channel bindings are %s" % (cb_type, ", ".join(kinds)))
        out, size = ffi.new("uint8_t[64]"), ffi.new("size_t *", 64)
        check(lib.milgi_conn_channel_binding(self._conn(), kinds[cb_type], out, size), "channel binding")
        return ffi.buffer(out, size[0])[:]

    def export_keying_material(self, label, length, context=None):
        out = ffi.new("uint8_t[]", length)
        given = ffi.NULL if context is None else ffi.from_buffer(context)
        check(lib.milgi_conn_export(self._conn(), cstring(label), given, len(context or b""), out, length), "exporter")
        return ffi.buffer(out)[:]

    def update_keys(self, ask_peer=False):
        check(lib.milgi_conn_update_keys(self._conn(), ask_peer), "key update")

    def idle(self):
        """For how many seconds nothing has moved on the wire: no byte has come, and the peer's host has acknowledged
        none."""
        self._conn()
        return lib.milgi_stream_idle_ms(self._of()._stream) / 1e3

    def _conn(self):
        stream = self._of()
        conn = lib.milgi_stream_conn(stream._stream) if stream is not None and not stream.over else ffi.NULL
        if not conn:
            raise TransportError("closed", code=lib.MILGI_ECLOSED)
        return conn
