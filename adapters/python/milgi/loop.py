# SPDX-License-Identifier: Apache-2.0
"""An engine in an event loop, and a stream over a transport, whatever they are: aio.py and tx.py fill in which.

Nothing of Python runs inside a turn of the engine but what begins with milgi_py_ here. What a turn has to tell is noted (bridge.h) and
handled here after it, stream by stream; if that takes long the rest goes into the loop's next round.
"""

import collections
import inspect
import os
import time
from asyncio import CancelledError

from ._native import ffi, lib
from .asked import KINDS, answer, arguments
from .context import Session, signer
from .errors import TransportError, UsageError, check, cstring, of_reason, text

NEVER = (1 << 64) - 1
PIECE = 65536  # of what is written, at once
ROUND_S = 0.002  # of events, before the loop has its turn
HANDSHAKE_S = 60.0  # for the handshake, by default


def _interrupted(kind, error, traceback):
    """Inside of one of the functions below, from where nothing comes up: a signal's handler has raised, as Ctrl-C's does.
    The engine is to have its turn nevertheless, and somebody to see the exception."""
    engine = ffi.from_handle(traceback.tb_frame.f_locals["handle"])
    engine = getattr(engine, "engine", engine)
    engine._raised = error
    engine._scheduled = False
    engine._soon()


@ffi.def_extern(onerror=_interrupted)
def milgi_py_soon(handle):
    ffi.from_handle(handle)._soon()


@ffi.def_extern(onerror=_interrupted)
def milgi_py_passed(handle, fd):
    stream = ffi.from_handle(handle)
    fd[0] = stream.below_fd()
    return stream._unsettled - stream.below_held()


@ffi.def_extern(onerror=_interrupted)
def milgi_py_keylog(function, conn, line):
    handle = lib.milgi_py_handle(conn)
    stream = ffi.from_handle(handle)
    stream.engine._lines.append((stream, ffi.from_handle(function), text(line)))
    stream.engine._soon()


class Host:
    """What an engine needs of an event loop."""

    def soon(self, function):
        raise NotImplementedError

    def later(self, seconds, function):
        """Something with cancel()."""
        raise NotImplementedError

    def watch(self, fd, function):
        raise NotImplementedError

    def unwatch(self, fd):
        raise NotImplementedError

    def spawn(self, awaitable, done):
        """Calls done(result, None) or done(None, exception) when it is over. Returns something with cancel()."""
        raise NotImplementedError

    def complain(self, message, error, stream=None):
        raise NotImplementedError


OPS = {"SEAL": 0, "OPEN": 1, "KEYGEN": 2, "DERIVE": 3, "ENCAPS": 4, "DECAPS": 5, "SIGN": 6, "VERIFY": 7,
       "VERIFY_CHAIN": 8}


class Engine:
    """One per event loop.

    |devices|: where crypto is done beside the loop's own thread, by their descriptions (docs/devices.md), each alone or
    with the names of the ops that it gets ("chaos:seed=7", "all"). By default it is a thread for each processor, at most
    four, that get what would hold up the loop: signatures by RSA.
    """

    def __init__(self, host, devices=None, *, budget=0.0, op_timeout=0.0, memory_limit=0, conn_limit=0, linger=0.0,
                 flush=0.0, flush_total=120.0):
        self.host = host
        self.flush_total = flush_total
        self.streams = set()
        self._tasks = set()
        self._handle = ffi.new_handle(self)
        self._scheduled = self._draining = self.closed = False
        self._handling = self._closes = False  # a stream's events; close() waits for that
        self._raised = None  # by a signal's handler, where it could not come up
        self._lines = []  # of key logs
        self._timer, self._timer_at = None, 0.0
        options = ffi.new("struct milgi_py_options *", {
            "budget_ns": int(budget * 1e9), "op_timeout_ns": int(op_timeout * 1e9), "memory_limit": memory_limit,
            "conn_limit": conn_limit, "linger_ms": int(linger * 1e3), "flush_ms": int(flush * 1e3),
            "flush_total_ms": int(flush_total * 1e3)})
        out = ffi.new("struct milgi_py_loop **")
        check(lib.milgi_py_loop_new(options, lib.milgi_py_soon, lib.milgi_py_passed, self._handle, out), "engine")
        self._c = out[0]
        self._engine = lib.milgi_py_engine(self._c)
        self._devices = []
        self._signer = lib.milgi_py_signer_new()
        check(lib.milgi_engine_add_device(self._engine, self._signer), "keys in Python")
        self._sign = ffi.new("struct milgi_py_sign *")
        self._fd = lib.milgi_engine_fd(self._engine)
        try:
            for device in ("pool:%d" % min(4, os.cpu_count() or 1),) if devices is None else devices:
                self.add_device(*((device,) if isinstance(device, str) else device))
        except BaseException:
            self._free()
            raise

    def add_device(self, spec, ops=None):
        """|ops| None: what would hold up the loop; "all", or names separated by commas: those."""
        out, why = ffi.new("struct milgi_device **"), ffi.new("const char **")
        rv = lib.milgi_device_new(cstring(spec), out, why)
        if rv < 0:
            raise UsageError("device %s: %s" % (spec, text(why[0]) or text(lib.milgi_error_text(rv))), code=rv)
        index = lib.milgi_engine_add_device(self._engine, out[0])
        if index < 0:
            lib.milgi_device_free(out[0])
        check(index, "device " + spec)
        self._devices.append(out[0])
        if ops:
            bits = sum(1 << OPS[name] for name in (OPS if ops == "all" else ops.split(",")))
            check(lib.milgi_engine_route(self._engine, bits, index, 0), "device " + spec)
        return index

    # With no stream there is nothing to wait for: then the loop has nothing of it, no descriptor and no timer.

    def joins(self, stream):
        if not self.streams:
            self.host.watch(self._fd, self._turn)
        self.streams.add(stream)

    def leaves(self, stream):
        self.streams.discard(stream)
        if not self.streams and not self.closed:
            self.host.unwatch(self._fd)
            self._stop_timer()

    # --- turns --------------------------------------------------------------------------------------------------------

    def _soon(self):
        if not self._scheduled and not self.closed:
            self._scheduled = True
            self.host.soon(self._turn)

    def _turn(self):
        self._scheduled = False
        if self._raised is not None:
            self._soon()
            error, self._raised = self._raised, None
            raise error
        if self.closed:
            return
        lib.milgi_py_turn(self._c)
        while not self.closed and lib.milgi_py_signer_next(self._signer, self._sign):
            self._ask_for_signature(self._sign)
        self.drain()

    def _on_timer(self):
        self._timer = None
        if not self.closed:
            lib.milgi_py_timer(self._c)
            self.drain()

    def rearm(self):
        if self.closed:
            return
        due = lib.milgi_py_due(self._c)
        if due == NEVER or not self.streams:
            self._stop_timer()
            return
        at = time.monotonic() + due / 1e9 + 0.001
        if self._timer is not None and self._timer_at <= at:
            return  # it finds out for itself that it is early
        self._stop_timer()
        self._timer_at = at
        self._timer = self.host.later(due / 1e9 + 0.001, self._on_timer)

    def _stop_timer(self):
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _again(self):
        self._draining = False
        if not self.closed:
            self.drain()

    def drain(self):
        """Handles what streams have to tell."""
        if self._draining or self.closed:
            return
        ends = time.monotonic() + ROUND_S
        self._draining = True
        more = True
        try:
            while self._lines and not self._closes:
                stream, function, line = self._lines.pop(0)
                self._tell(self.call, stream._complain, function, line, stream.up)
            while not self._closes:
                stream = lib.milgi_py_next(self._c)
                if not stream:
                    more = False
                    break
                self._tell(ffi.from_handle(stream.handle).handle)
                if time.monotonic() > ends:
                    break
            if self._closes:
                self.close()
        finally:
            if more and not self.closed:
                self.host.soon(self._again)
            else:
                self._draining = False
            self.rearm()

    def _tell(self, function, *args):
        """Of what may close() the engine: that waits until it has returned."""
        self._handling = True
        try:
            function(*args)
        finally:
            self._handling = False

    # --- keys that are functions --------------------------------------------------------------------------------------

    def _ask_for_signature(self, sign):
        ident = sign.id
        function = signer(sign.key)
        scheme, message = text(lib.milgi_scheme_name(sign.scheme)), ffi.buffer(sign.data, sign.len)[:]

        def done(signature, error):
            if self.closed:
                return
            try:
                if error is not None:
                    raise error
                signature = bytes(signature)
            except (Exception, CancelledError) as e:
                self.host.complain("a key's function has failed", e)
                signature = b""
            lib.milgi_py_signer_answer(self._signer, ident, signature, len(signature))
            self._soon()
        if function is None:
            done(None, KeyError("the credential is gone"))
        else:
            self.call(done, function, scheme, message)

    def call(self, done, function, *args):
        """done(result, error) of a function that may be a coroutine's; now, or later."""
        try:
            result = function(*args)
        except Exception as e:  # the application's: whatever it is, somebody waits for the answer
            done(None, e)
            return
        if inspect.isawaitable(result):
            task, is_over = None, False

            def over(result, error):
                nonlocal is_over
                is_over = True
                self._tasks.discard(task)
                done(result, error)
            task = self.host.spawn(result, over)
            if not is_over:
                self._tasks.add(task)
        else:
            done(result, None)

    # --- its end ------------------------------------------------------------------------------------------------------

    def close(self):
        """Ends all its connections, at once, and gives back threads and descriptors. Within a call to a protocol: as soon
        as that has returned."""
        if self.closed:
            return
        if self._handling:
            self._closes = True
            return
        for task in list(self._tasks):
            task.cancel()
        lib.milgi_py_loop_stop(self._c)
        streams = list(self.streams)
        self.closed = True
        self._stop_timer()
        if streams:
            self.host.unwatch(self._fd)
        for stream in streams:
            try:
                stream.engine_closed()
            except Exception as e:  # the application's; the others are told all the same
                self.host.complain("Fatal error: an application's callback has failed", e, stream)
        self._free()

    def _free(self):
        self.closed = True
        lib.milgi_py_loop_free(self._c)
        for device in self._devices:
            lib.milgi_device_free(device)
        lib.milgi_device_free(self._signer)


class Stream:
    """TLS over a transport. Below it is the transport, above it the application's protocol: a subclass has both.

    Methods that begin with below_ and above_ are the subclass's; it calls the others, from the loop.
    """

    def __init__(self, engine, context, server_name=None, session=None):
        if engine.closed:
            raise TransportError("the engine is closed", code=lib.MILGI_ECLOSED)
        self.engine, self.context = engine, context
        self._ask_of = context  # whose functions are asked: the context's that was chosen
        self.up = None  # what the application has of it
        self.established = self.over = self.paused = False
        self.closing = False  # the application wants no more
        self.error = None
        self._told = False  # above_lost() was called
        self._patience = None  # with a peer that does not take what is left to be written
        self._end = self._closed = False  # wait for what was read to be delivered
        self._delivering = False
        self._backlog, self._backlog_len = collections.deque(), 0
        self._full = True  # until it is open, and the application has heard of it
        self._eof_wanted = self._eof_sent = False
        self._unsettled = 0  # bytes that the transport was given and may not have
        self._kept = []
        self.high, self.low = 256 * 1024, 64 * 1024
        self._above_full = False
        self._handle = ffi.new_handle(self)
        name = ffi.NULL if server_name is None else cstring(server_name, "ascii" if server_name.isascii() else "idna")
        if session is not None and not isinstance(session, Session):
            session = Session(session)
        out = ffi.new("struct milgi_py_stream **")
        check(lib.milgi_py_stream_new(engine._c, context._c, name, session._c if session else ffi.NULL, self._handle, out),
              "connection")
        self._c = ffi.gc(out[0], lib.milgi_py_free)
        self._stream = ffi.cast("struct milgi_stream *", self._c)
        engine.joins(self)

    # --- the transport tells ------------------------------------------------------------------------------------------

    def feed(self, data):
        if not self.over:
            check(lib.milgi_py_feed(self._c, ffi.from_buffer(data), len(data)))
            self._now()

    def fed(self, n):
        """|n| bytes have been read to where milgi_py_room() said."""
        lib.milgi_py_read(self._c, n)
        self._now()

    def eof(self):
        if not self.over:
            lib.milgi_py_eof(self._c)
            self._now()

    def lost(self, error):
        """The transport is closed: nothing can be done with it any more."""
        if self.over:
            return
        number = getattr(error, "errno", None) or (0 if error is None else 103)
        lib.milgi_py_lost(self._c, number)
        self.handle()
        if self.over:
            return
        lib.milgi_py_gone(self._c)
        self._gone()

    def settle(self):
        """The transport may have taken more of what it was given."""
        left = min(self.below_size(), self._unsettled)
        if left < self._unsettled and not self.over:
            done, self._unsettled = self._unsettled - left, left
            lib.milgi_py_written(self._c, done)
            self._now()
            self.flow()

    def engine_closed(self):
        self.handle()
        if not self.over:
            lib.milgi_py_gone(self._c)
            self._gone(TransportError("the event loop is closed", code=lib.MILGI_ECLOSED))

    def _gone(self, error=None):
        self.over = True
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        self.engine.leaves(self)
        self._backlog.clear()
        self._backlog_len = 0
        self._closed = True
        self.error = self.error or (error if not self.closing else None)
        if self._told:
            self.let_go()
        else:
            self.deliver()

    def _now(self):
        """Reading stops or goes on at once, though other events are being handled; the rest is for the turn."""
        if self._c.todo & lib.MILGI_PY_READ:
            self._c.todo &= ~lib.MILGI_PY_READ
            self._read()
        if self._c.todo & lib.MILGI_PY_CLOSE:
            self.engine.drain()

    # --- what is to be done -------------------------------------------------------------------------------------------

    def handle(self):
        try:
            self._handle_todo()
        except Exception as e:
            self.fault(e)

    def fault(self, error):
        """The application has raised."""
        self.engine.host.complain("Fatal error: an application's callback has failed", error, self)
        self.error = self.error or error
        self.cut()

    def _handle_todo(self):
        c = self._c
        todo, c.todo = c.todo, 0
        if todo & lib.MILGI_PY_OUT:
            self._push()
        if todo & lib.MILGI_PY_DECIDE:
            self._ask()
        if todo & lib.MILGI_PY_READ:
            self._read()
        if todo & lib.MILGI_PY_SHUT:
            self.below_shut()
            lib.milgi_py_shut(c)
        if todo & lib.MILGI_PY_CLOSED:
            self._closed = True
            if not self.closing:
                self.error = self.error or of_reason(c.reason)
        if todo & lib.MILGI_PY_CLOSE:
            self.below_close()
        if todo & lib.MILGI_PY_OPEN and not lib.milgi_stream_conn(self._stream):
            # It was lost or dropped before anybody heard of it: to the application it never was open.
            todo &= ~(lib.MILGI_PY_OPEN | lib.MILGI_PY_SESSION | lib.MILGI_PY_END)
            self._skip(self._unread())
        if todo & lib.MILGI_PY_OPEN:
            self.established = True
            self.above_open()
            self._full = False
            if not self.over:
                self._pump()
        if todo & lib.MILGI_PY_SESSION:
            self._sessions()
        if todo & lib.MILGI_PY_ROOM:
            self._full = False
            self._pump()
        if todo & lib.MILGI_PY_END:
            self._end = True
        if todo & (lib.MILGI_PY_DATA | lib.MILGI_PY_END | lib.MILGI_PY_CLOSED):
            self.deliver()
        if todo & (lib.MILGI_PY_OUT | lib.MILGI_PY_ROOM | lib.MILGI_PY_OPEN):
            self.flow()

    def _push(self):
        c = self._c
        if not c.out_n:
            return
        # Copied: transports keep what they are given for longer than a connection that is dropped keeps its memory.
        data = b"".join([ffi.buffer(c.out[i].data, c.out[i].len) for i in range(c.out_n)])
        c.out_n = 0
        self._unsettled += len(data)
        self.below_write(data)
        self.settle()

    def _read(self):
        c = self._c
        if c.reads and c.held_n:
            check(lib.milgi_py_feed(c, ffi.NULL, 0))
        if not self.over:
            self.below_read(bool(c.reads) and not c.held_n)

    def _sessions(self):
        c = self._c
        n, c.sessions_n = c.sessions_n, 0
        for session in [Session(_c=c.sessions[i]) for i in range(n)]:
            if self.context.on_session:
                self.engine.call(self._complain, self.context.on_session, session, self.up)

    def _complain(self, result, error):
        if error is not None:
            self.engine.host.complain("an application's callback has failed", error, self)

    def _ask(self):
        c = self._c
        n, c.asked_n = c.asked_n, 0
        for decision in [ffi.new("struct milgi_decision *", c.asked[i]) for i in range(n)]:
            info = ffi.new("struct milgi_decision_info *")
            if lib.milgi_decision_info(self.engine._engine, decision[0], info) == 0:
                self._ask_one(decision, info)

    def _ask_one(self, decision, info):
        kind = KINDS[decision.kind]

        def done(result, error):
            verdict, value, keep = lib.MILGI_REFUSE, ffi.NULL, self._kept
            if self.engine.closed:
                return
            try:
                if error is not None:
                    raise error
                verdict, value = answer(kind, result, keep)
                if kind == "choose_context" and verdict == lib.MILGI_ACCEPT:
                    self._ask_of = result
            except (Exception, CancelledError) as e:
                self.engine.host.complain("%s has failed" % kind, e, self)
            if lib.milgi_decide(self.engine._engine, decision[0], verdict, value) == lib.MILGI_EINVAL:
                self.engine.host.complain("%s: %r is no answer" % (kind, result), ValueError(kind), self)
                lib.milgi_decide(self.engine._engine, decision[0], lib.MILGI_REFUSE, ffi.NULL)
        self.engine.call(done, self._ask_of.ask[kind], *arguments(kind, self, info))

    # --- up -----------------------------------------------------------------------------------------------------------

    def deliver(self):
        """What was read, then the peer's end, then the connection's, as far as the application takes it."""
        if self._delivering or self._told:
            return
        self._delivering = True
        try:
            while not self.paused and not self.closing:
                size = self._unread()
                if not size:
                    break
                self.above_data(size)
            if self.closing:
                self._skip(self._unread())
            elif self._unread():
                return
            if self._end and not self.closing and not (self.paused and not self._closed):
                self._end = False
                self.above_end()
        finally:
            self._delivering = False
        # In order: when the transport is closed, too, for all that was written is with it then.
        if self._closed and not self._unread() and (self.over or self.error is not None) and not self._told:
            self._told = True
            self.above_lost(self.error)
            if self.over:
                self.let_go()

    def let_go(self):
        """Nothing more comes of it: its memory is not to wait for Python's collector."""
        self.up = self._handle = None

    def _unread(self):
        return lib.milgi_stream_unread(self._stream)

    def _skip(self, size):
        if size:
            lib.milgi_stream_read(self._stream, ffi.NULL, size, ffi.new("size_t *"))

    def take(self, size):
        """All of |size| bytes that there are, as bytes."""
        length, parts = ffi.new("size_t *"), []
        while size:
            first = lib.milgi_stream_peek(self._stream, length)
            n = min(length[0], size)
            parts.append(ffi.buffer(first, n)[:])
            self._skip(n)
            size -= n
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def take_into(self, buffer, size):
        """So many at most. Returns how many."""
        got = ffi.new("size_t *")
        lib.milgi_stream_read(self._stream, ffi.from_buffer(buffer, require_writable=True), size, got)
        return got[0]

    # --- down ---------------------------------------------------------------------------------------------------------

    def write(self, data):
        if self._closed or self.over or self.closing or self._eof_wanted:
            return
        data = data if isinstance(data, bytes) else bytes(data)  # whose length is in bytes
        self._backlog.append(data)
        self._backlog_len += len(data)
        if not self._full:
            self._pump()
        self.flow()

    def _pump(self):
        """Writes as much as is taken now."""
        while self._backlog and not self._full:
            data = self._backlog[0]
            done = self._offer(data)
            self._backlog_len -= done
            if done == len(data):
                self._backlog.popleft()
            else:
                self._backlog[0] = memoryview(data)[done:]
                if not self._full:
                    break
        if not self._backlog:
            self._settle_end()

    def _offer(self, data):
        """How many bytes of it were taken."""
        start, at, piece = ffi.from_buffer(data), 0, PIECE
        while at < len(data) and not self._full:
            n = min(piece, len(data) - at)
            rv = lib.milgi_stream_write(self._stream, start + at, n)
            if rv == lib.MILGI_ELIMIT and n > 1 and not lib.milgi_conn_output_full(lib.milgi_stream_conn(self._stream)):
                piece = n // 2
                continue
            if rv == lib.MILGI_ECLOSED:
                return len(data)
            self._full = rv != 0
            if rv >= 0:
                at += n
        return at

    def _settle_end(self):
        if self.closing:
            lib.milgi_stream_close(self._stream)
            self.engine.rearm()
        elif self._eof_wanted and not self._eof_sent:
            self._eof_sent = True
            lib.milgi_stream_shutdown(self._stream)

    def write_eof(self):
        self._eof_wanted = True
        if not self._backlog and not self.over:
            self._settle_end()

    def close(self):
        """In order: all that was written is sent, what comes is not wanted."""
        if self.closing or self.over:
            return
        self.closing = True
        self.deliver()
        if not self._backlog or not self.established:
            self._settle_end()
        elif not self.over:  # a peer that does not take it does not hold the connection for ever
            self._patience = self.engine.host.later(self.engine.flush_total, self.cut)
        self._now()

    def abort(self):
        """Now."""
        self.closing = True
        if not self.over:
            lib.milgi_stream_drop(self._stream)
            self.engine.drain()
            self.engine.rearm()

    def cut(self):
        """In the middle of something: with a fatal alert."""
        self.closing = self._closed = True
        if not self.over:
            lib.milgi_stream_cut(self._stream)
            self.engine.rearm()
        self.deliver()

    def pause(self):
        self.paused = True

    def resume(self):
        self.paused = False
        self.engine.host.soon(self._resumed)

    def _resumed(self):
        if not self.paused:
            try:
                self.deliver()
            except Exception as e:
                self.fault(e)

    def size(self):
        """Bytes that are on their way out."""
        conn = ffi.NULL if self.over else lib.milgi_stream_conn(self._stream)
        return self._backlog_len + (lib.milgi_conn_output_pending(conn) if conn else 0)

    def flow(self):
        if self.over:
            return
        size = self.size()
        if self._above_full != (size > (self.low if self._above_full else self.high)):
            self._above_full = not self._above_full
            try:
                self.above_pause() if self._above_full else self.above_resume()
            except Exception as e:  # whoever writes has not done it
                self.engine.host.complain("an application's callback has failed", e, self)

    # --- a subclass's -------------------------------------------------------------------------------------------------

    def below_write(self, data):
        """Takes all of |data|."""
        raise NotImplementedError

    def below_size(self):
        """How many bytes of that the transport still holds; settle() is called when it gets less."""
        raise NotImplementedError

    def below_held(self):
        """The same, by what it is now."""
        return self.below_size()

    def below_fd(self):
        """The socket's descriptor, at the very bottom; -1: there is none that is known."""
        return -1

    def below_read(self, on):
        raise NotImplementedError

    def below_shut(self):
        """All is written: ends sending."""
        raise NotImplementedError

    def below_close(self):
        """Closes the transport; lost() follows, not from here."""
        raise NotImplementedError

    def above_open(self):
        raise NotImplementedError

    def above_data(self, size):
        """Takes some of |size| bytes, at least one, by take() or take_into()."""
        raise NotImplementedError

    def above_end(self):
        raise NotImplementedError

    def above_lost(self, error):
        raise NotImplementedError

    def above_pause(self):
        raise NotImplementedError

    def above_resume(self):
        raise NotImplementedError
