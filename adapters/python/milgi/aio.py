# SPDX-License-Identifier: Apache-2.0
"""asyncio: open_connection(), start_server(), start_tls() and what is below them, with a milgi.Context in place of an
SSLContext.

    reader, writer = await milgi.aio.open_connection("example.org", 443, ssl=milgi.Context.client())

They work in any loop. In milgi.aio.EventLoop (milgi.aio.run(main())) the loop's own methods take a milgi.Context, too:
then asyncio.start_server(), aiohttp, uvicorn and the like serve over Milgi.

Unlike those of ssl these transports can close one direction before the other (write_eof(), eof_received() that returns
true), and end with milgi.TruncatedError when the peer has not said that it has ended.
"""

import asyncio
import functools
import ssl as _ssl
import weakref

from ._native import ffi, lib
from .asked import Info
from .context import Context
from .loop import HANDSHAKE_S, Engine, Host, Stream
from .errors import Error, UsageError

__all__ = ["engine", "create_connection", "create_server", "create_unix_connection", "create_unix_server", "start_tls",
           "connect_accepted_socket", "open_connection", "start_server", "EventLoop", "EventLoopPolicy", "Loop", "run",
           "facade"]


class _Host(Host):
    def __init__(self, loop):
        self.loop = loop
        self.soon = loop.call_soon
        self.later = loop.call_later

    def watch(self, fd, function):
        self.loop.add_reader(fd, function)

    def unwatch(self, fd):
        if not self.loop.is_closed():
            self.loop.remove_reader(fd)

    def spawn(self, awaitable, done):
        task = asyncio.ensure_future(awaitable, loop=self.loop)

        def over(task):
            error = asyncio.CancelledError() if task.cancelled() else task.exception()
            done(None if error else task.result(), error)
        task.add_done_callback(over)
        return task

    def complain(self, message, error, stream=None):
        self.loop.call_exception_handler({"message": message, "exception": error, "transport": stream and stream.up,
                                          "protocol": stream and stream.protocol})


_elsewhere = weakref.WeakKeyDictionary()  # of loops that take no attributes


async def _guard(made):
    try:
        yield
    finally:
        made.close()


def engine(loop=None, **options):
    """The engine of a loop (the running one), which is made, with |options| of milgi.loop.Engine, when it is first asked
    for. It ends with the loop: in asyncio.run(), and in milgi.aio.EventLoop, by itself; elsewhere call its close()."""
    loop = loop or asyncio.get_running_loop()
    found = getattr(loop, "_milgi_engine", None) or _elsewhere.get(loop)
    if found is not None and not found.closed:
        if options:
            raise UsageError("the loop has its engine already")
        return found
    made = Engine(_Host(loop), **options)
    try:
        loop._milgi_engine = made
    except AttributeError:
        _elsewhere[loop] = made
    if not isinstance(loop, Loop) and asyncio._get_running_loop() is loop:
        # asyncio.run() closes what asynchronous generators there are: one that ends the engine then.
        made.guard = _guard(made)
        try:
            made.guard.__anext__().send(None)
        except StopIteration:
            pass
    return made


class Transport(asyncio.Transport):
    """What the application has of a stream."""

    _start_tls_compatible = True  # TLS in TLS
    _sendfile_compatible = asyncio.constants._SendfileMode.FALLBACK

    def __init__(self, stream):
        super().__init__()
        self._stream = stream

    def get_extra_info(self, name, default=None):
        return self._stream.extra(name, default)

    def is_closing(self):
        return self._stream.closing or self._stream.over or self._stream.error is not None

    def close(self):
        self._stream.close()

    def abort(self):
        self._stream.abort()

    def _force_close(self, error):  # what asyncio calls when a protocol over this transport has failed
        self._stream.error = self._stream.error or error
        self._stream.abort()

    def set_protocol(self, protocol):
        self._stream.set_protocol(protocol)

    def get_protocol(self):
        return self._stream.protocol

    def is_reading(self):
        return not self._stream.paused and not self.is_closing()

    def pause_reading(self):
        self._stream.pause()

    def resume_reading(self):
        if self._stream.paused:
            self._stream.resume()

    def set_write_buffer_limits(self, high=None, low=None):
        high = (256 * 1024 if low is None else 4 * low) if high is None else high
        low = high // 4 if low is None else low
        if not high >= low >= 0:
            raise ValueError("high (%r) must be >= low (%r) must be >= 0" % (high, low))
        self._stream.high, self._stream.low = high, low
        self._stream.flow()

    def get_write_buffer_limits(self):
        return self._stream.low, self._stream.high

    def get_write_buffer_size(self):
        return self._stream.size()

    @property
    def _protocol_paused(self):  # asked by loop.sendfile()
        return self._stream._above_full

    def write(self, data):
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError("data: expecting a bytes-like instance, got %s" % type(data).__name__)
        if self._stream._eof_wanted:
            raise RuntimeError("Cannot call write() after write_eof()")
        if data:
            self._stream.write(data)

    def writelines(self, data):
        self.write(b"".join(data))

    def write_eof(self):
        self._stream.write_eof()

    def can_write_eof(self):
        return True


class _Stream(Stream):
    def __init__(self, loop, transport, context, protocol, *, server_hostname, session, waiter, call_connection_made):
        super().__init__(engine(loop), context, server_hostname, session)
        self.below = transport
        self.waiter = waiter
        self.made = not call_connection_made
        self.up = Transport(self)
        self._extra = {"sslcontext": context}
        self._mine = False  # the application has no transport of the same
        self.set_protocol(protocol)

    def set_protocol(self, protocol):
        self.protocol = protocol
        self.buffered = isinstance(protocol, asyncio.BufferedProtocol)

    def extra(self, name, default=None):
        if name in self._extra:
            return self._extra[name]
        return self.below.get_extra_info(name, default)

    # --- the transport below ---

    def below_write(self, data):
        self.below.write(data)

    def below_size(self):
        return self.below.get_write_buffer_size()

    def below_fd(self):
        sock = self.below.get_extra_info("socket")
        return -1 if sock is None else sock.fileno()

    def below_read(self, on):
        if on:
            self.below.resume_reading()
        else:
            self.below.pause_reading()

    def below_shut(self):
        if self.below.can_write_eof() and not self.below.is_closing():
            try:
                self.below.write_eof()
            except OSError:  # the peer is gone: reading tells
                pass
        else:
            self.below.close()

    def below_close(self):
        self.below.abort()

    # --- the application ---

    def _wake(self, error=None):
        waiter, self.waiter = self.waiter, None
        if waiter is not None and not waiter.done():
            if error is None:
                waiter.set_result(self.up)
            else:
                waiter.set_exception(error)

    def above_open(self):
        info = Info(self)
        self._extra.update(ssl_object=info, peercert=info.getpeercert(), cipher=info.cipher(), compression=None)
        if not self.made:
            self.made = True
            self.protocol.connection_made(self.up)
        self._wake()

    def above_data(self, size):
        if not self.buffered:
            self.protocol.data_received(self.take(size))
            return
        room = self.protocol.get_buffer(size)
        if not len(room):
            raise RuntimeError("get_buffer() returned an empty buffer")
        self.protocol.buffer_updated(self.take_into(room, min(size, len(room))))

    def above_end(self):
        if self.made and not self.protocol.eof_received():
            self.up.close()

    def above_lost(self, error):
        waited = self.waiter is not None
        if not self.established:
            failure = error or ConnectionAbortedError("TLS was given up during the handshake")
            self._wake(failure)
            if not waited and self.context.on_failure:
                self.context.on_failure(failure, self.up)
            elif not waited and not isinstance(failure, OSError):
                self.engine.host.complain("TLS handshake failed", failure, self)
        if self.made:
            self.protocol.connection_lost(error)

    def let_go(self):
        super().let_go()
        self.protocol = None

    def above_pause(self):
        if self.made and self.established:
            self.protocol.pause_writing()

    def above_resume(self):
        if self.made and self.established:
            self.protocol.resume_writing()


class _Below(asyncio.BufferedProtocol):
    """The protocol of the transport below: straight into the engine's chunks."""

    def __init__(self, loop, context, protocol, *, server_hostname=None, session=None, waiter=None,
                 handshake_timeout=None, call_connection_made=True):
        self._loop = loop
        self._make = functools.partial(_Stream, context=context, protocol=protocol, server_hostname=server_hostname,
                                       session=session, waiter=waiter, call_connection_made=call_connection_made)
        self.protocol, self._waiter = protocol, waiter
        self._first = call_connection_made
        self._timeout = HANDSHAKE_S if handshake_timeout is None else handshake_timeout
        self._timer = None
        self.stream = None
        self._spare, self._is_spare = None, False
        self._len = ffi.new("size_t *")

    def connection_made(self, transport):
        if self._first and self._waiter is not None and self._waiter.cancelled():
            transport.abort()
            return
        try:
            self.stream = self._make(self._loop, transport)
        except Exception as e:
            transport.abort()
            if self._waiter is None or self._waiter.done():
                raise
            self._waiter.set_exception(e)
            return
        self._c = self.stream._c
        transport.set_write_buffer_limits(high=0)
        self._timer = self._loop.call_later(self._timeout, self._late)

    def _late(self):
        if not self.stream.established and not self.stream.over:
            self.stream.error = ConnectionAbortedError("the SSL handshake is taking longer than %s s" % self._timeout)
            self.stream.cut()

    def get_buffer(self, hint):
        pointer = lib.milgi_py_room(self._c, self._len)
        self._is_spare = not pointer
        if pointer:
            return ffi.buffer(pointer, self._len[0])
        if self._spare is None:
            self._spare = bytearray(4096)
        return self._spare

    def buffer_updated(self, n):
        if self._is_spare:
            self.stream.feed(bytes(memoryview(self._spare)[:n]))
        else:
            self.stream.fed(n)

    def eof_received(self):
        if self.stream is None:
            return False
        self.stream.eof()
        return True

    def connection_lost(self, error):
        if self._timer is not None:
            self._timer.cancel()
        if self.stream is not None:
            self.stream.lost(error)

    def pause_writing(self):
        pass

    def resume_writing(self):
        if self.stream is not None:
            self.stream.settle()


# --- contexts --------------------------------------------------------------------------------------------------------------

class _Facade(_ssl.SSLContext):
    """A milgi.Context for those who insist on an ssl.SSLContext before they pass it on to the loop. ssl itself cannot
    use it."""

    def __new__(cls, context):
        self = super().__new__(cls, _ssl.PROTOCOL_TLS_SERVER if context.server_side else _ssl.PROTOCOL_TLS_CLIENT)
        self.milgi = context
        return self

    def __init__(self, context):
        pass

    def wrap_bio(self, *args, **kwargs):
        raise UsageError("this context is Milgi's: run in milgi.aio.EventLoop")

    def wrap_socket(self, *args, **kwargs):
        raise UsageError("this context is Milgi's: run in milgi.aio.EventLoop")


def facade(context):
    """|context| as something that passes for an ssl.SSLContext, as aiohttp's client wants one; in EventLoop only."""
    return _Facade(context)


def _milgi(context):
    """The milgi.Context that is meant, or None."""
    return context if isinstance(context, Context) else getattr(context, "milgi", None)


def _want(context, handshake_timeout=None):
    if handshake_timeout is not None and handshake_timeout <= 0:
        raise ValueError("ssl_handshake_timeout should be a positive number, got %r" % handshake_timeout)
    found = _milgi(context)
    if found is None:
        raise TypeError("ssl is to be a milgi.Context, not %r" % (context,))
    return found


# --- connections ------------------------------------------------------------------------------------------------------------

def _own(loop, name):
    """The loop's own method, not that of Loop, which comes here."""
    return getattr(super(Loop, loop) if isinstance(loop, Loop) else loop, name)


async def _connected(loop, context, make_protocol, connect, *args, server_hostname=None, session=None, timeout=None, **kwargs):
    waiter, made = loop.create_future(), []

    def make():
        made.append(_Below(loop, context, make_protocol(), server_hostname=server_hostname, session=session, waiter=waiter,
                           handshake_timeout=timeout))
        return made[-1]
    try:
        _, below = await _own(loop, connect)(make, *args, **kwargs)
        return await waiter, below.protocol
    except BaseException:
        waiter.cancel()  # nobody asks it any more
        for below in made:  # not every loop closes what it has connected for who is cancelled
            if below.stream is not None and not below.stream.over and below.stream.error is None:
                below.stream.abort()
                loop.call_soon(below.connection_lost, None)  # uvloop has closed it and tells nobody
        raise


def _client_name(context, server_hostname, host):
    if server_hostname is None and not host:
        raise ValueError("You must set server_hostname when using ssl without a host")
    return (server_hostname if server_hostname is not None else host) or None


async def create_connection(protocol_factory, host=None, port=None, *, ssl, server_hostname=None, session=None,
                            ssl_handshake_timeout=None, ssl_shutdown_timeout=None, loop=None, **kwargs):
    """As loop.create_connection(). |session|: a milgi.Session, or bytes of one, to come back on."""
    loop, context = loop or asyncio.get_running_loop(), _want(ssl, ssl_handshake_timeout)
    name = _client_name(context, server_hostname, host)
    return await _connected(loop, context, protocol_factory, "create_connection", host, port, server_hostname=name,
                            session=session, timeout=ssl_handshake_timeout, **kwargs)


async def create_unix_connection(protocol_factory, path=None, *, ssl, server_hostname=None, session=None,
                                 ssl_handshake_timeout=None, ssl_shutdown_timeout=None, loop=None, **kwargs):
    loop, context = loop or asyncio.get_running_loop(), _want(ssl, ssl_handshake_timeout)
    name = _client_name(context, server_hostname, None)
    return await _connected(loop, context, protocol_factory, "create_unix_connection", path, server_hostname=name,
                            session=session, timeout=ssl_handshake_timeout, **kwargs)


async def _serve(name, protocol_factory, *args, ssl, ssl_handshake_timeout=None, ssl_shutdown_timeout=None, loop=None,
                 **kwargs):
    loop, context = loop or asyncio.get_running_loop(), _want(ssl, ssl_handshake_timeout)
    return await _own(loop, name)(lambda: _Below(
        loop, context, protocol_factory(), handshake_timeout=ssl_handshake_timeout), *args, **kwargs)


async def create_server(protocol_factory, host=None, port=None, **kwargs):
    """As loop.create_server()."""
    return await _serve("create_server", protocol_factory, host, port, **kwargs)


async def create_unix_server(protocol_factory, path=None, **kwargs):
    return await _serve("create_unix_server", protocol_factory, path, **kwargs)


async def connect_accepted_socket(protocol_factory, sock, *, ssl, ssl_handshake_timeout=None, ssl_shutdown_timeout=None,
                                  loop=None):
    loop, context = loop or asyncio.get_running_loop(), _want(ssl, ssl_handshake_timeout)
    return await _connected(loop, context, protocol_factory, "connect_accepted_socket", sock, timeout=ssl_handshake_timeout)


async def start_tls(transport, protocol, sslcontext, *, server_side=False, server_hostname=None, session=None,
                    ssl_handshake_timeout=None, ssl_shutdown_timeout=None, loop=None):
    """As loop.start_tls(): the transport that |protocol| is to use from now on."""
    loop, context = loop or asyncio.get_running_loop(), _want(sslcontext, ssl_handshake_timeout)
    if not all(hasattr(transport, name) for name in ("write", "pause_reading", "set_protocol")):
        raise TypeError("transport %r is not supported by start_tls()" % transport)
    if server_side != context.server_side:
        raise UsageError("the context is a %s's" % ("server" if context.server_side else "client"))
    reader = getattr(protocol, "_stream_reader", None)
    if reader is not None and reader._buffer:  # whoever put it there is not who the handshake will be with
        transport.abort()
        raise UsageError("%d bytes came before TLS did, and were not read" % len(reader._buffer))
    waiter = loop.create_future()
    below = _Below(loop, context, protocol, server_hostname=None if server_side else server_hostname, session=session,
                   waiter=waiter, handshake_timeout=ssl_handshake_timeout, call_connection_made=False)
    transport.pause_reading()
    transport.set_protocol(below)
    loop.call_soon(below.connection_made, transport)
    resuming = loop.call_soon(transport.resume_reading)
    try:
        return await waiter
    except BaseException:
        transport.close()
        resuming.cancel()
        raise


# --- streams ---------------------------------------------------------------------------------------------------------------

class _ReaderProtocol(asyncio.StreamReaderProtocol):
    """Over these transports the peer's end leaves our own direction open."""

    def eof_received(self):
        super().eof_received()
        return True

    def connection_lost(self, error):
        super().connection_lost(error)


class StreamWriter(asyncio.StreamWriter):
    async def start_tls(self, sslcontext, *, server_hostname=None, ssl_handshake_timeout=None, session=None):
        server_side = self._protocol._client_connected_cb is not None
        await self.drain()
        self._transport = await start_tls(
            self._transport, self._protocol, sslcontext, server_side=server_side, server_hostname=server_hostname,
            ssl_handshake_timeout=ssl_handshake_timeout, session=session, loop=self._loop)
        self._protocol._transport = self._transport
        reader = self._protocol._stream_reader
        if reader is not None:
            reader._transport = self._transport


async def open_connection(host=None, port=None, *, ssl, limit=2 ** 16, **kwargs):
    """As asyncio.open_connection(). writer.write_eof() ends our direction alone."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=limit, loop=loop)
    protocol = _ReaderProtocol(reader, loop=loop)
    transport, _ = await create_connection(lambda: protocol, host, port, ssl=ssl, **kwargs)
    return reader, StreamWriter(transport, protocol, reader, loop)


async def start_server(client_connected_cb, host=None, port=None, *, ssl, limit=2 ** 16, **kwargs):
    """As asyncio.start_server(). A reader's end does not close the connection: writer.close() does."""
    loop = asyncio.get_running_loop()

    def factory():
        reader = asyncio.StreamReader(limit=limit, loop=loop)
        return _ReaderProtocol(reader, client_connected_cb, loop=loop)
    return await create_server(factory, host, port, ssl=ssl, **kwargs)


# --- a loop whose own methods take a milgi.Context --------------------------------------------------------------------------

class Loop:
    """Mix it into an event loop's class, before it: class MyLoop(milgi.aio.Loop, uvloop.Loop)."""

    async def create_connection(self, protocol_factory, host=None, port=None, *, ssl=None, **kwargs):
        if _milgi(ssl):
            return await create_connection(protocol_factory, host, port, ssl=ssl, loop=self, **kwargs)
        return await super().create_connection(protocol_factory, host, port, ssl=ssl, **kwargs)

    async def create_unix_connection(self, protocol_factory, path=None, *, ssl=None, **kwargs):
        if _milgi(ssl):
            return await create_unix_connection(protocol_factory, path, ssl=ssl, loop=self, **kwargs)
        return await super().create_unix_connection(protocol_factory, path, ssl=ssl, **kwargs)

    async def create_server(self, protocol_factory, host=None, port=None, *, ssl=None, **kwargs):
        if _milgi(ssl):
            return await create_server(protocol_factory, host, port, ssl=ssl, loop=self, **kwargs)
        return await super().create_server(protocol_factory, host, port, ssl=ssl, **kwargs)

    async def create_unix_server(self, protocol_factory, path=None, *, ssl=None, **kwargs):
        if _milgi(ssl):
            return await create_unix_server(protocol_factory, path, ssl=ssl, loop=self, **kwargs)
        return await super().create_unix_server(protocol_factory, path, ssl=ssl, **kwargs)

    async def connect_accepted_socket(self, protocol_factory, sock, *, ssl=None, **kwargs):
        if _milgi(ssl):
            return await connect_accepted_socket(protocol_factory, sock, ssl=ssl, loop=self, **kwargs)
        return await super().connect_accepted_socket(protocol_factory, sock, ssl=ssl, **kwargs)

    async def start_tls(self, transport, protocol, sslcontext, **kwargs):
        if _milgi(sslcontext):
            return await start_tls(transport, protocol, sslcontext, loop=self, **kwargs)
        return await super().start_tls(transport, protocol, sslcontext, **kwargs)

    def close(self):
        if not self.is_running() and not self.is_closed() and getattr(self, "_milgi_engine", None):
            self._milgi_engine.close()
        super().close()


class EventLoop(Loop, asyncio.SelectorEventLoop):
    pass


class EventLoopPolicy(asyncio.DefaultEventLoopPolicy):
    _loop_factory = EventLoop


def run(main, *, debug=None, loop_factory=EventLoop):
    """asyncio.run() in an EventLoop, or in what |loop_factory| makes."""
    loop = loop_factory()
    try:
        asyncio.set_event_loop(loop)
        if debug is not None:
            loop.set_debug(debug)
        return loop.run_until_complete(main)
    finally:
        try:
            tasks = asyncio.all_tasks(loop)
            for task in tasks:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            loop.run_until_complete(loop.shutdown_asyncgens())
            if hasattr(loop, "shutdown_default_executor"):
                loop.run_until_complete(loop.shutdown_default_executor())
        finally:
            asyncio.set_event_loop(None)
            loop.close()
