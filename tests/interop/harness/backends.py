# SPDX-License-Identifier: Apache-2.0
"""Plain TCP servers behind the proxy, threads of the harness. Each serves every connection the same way."""

import hashlib
import socket
import threading

from .proc import Failure

BLOCK = 1 << 17


class Backend:
    """Accepts on a free port; serve(connection) is what the subclass does; results are put where a case can wait."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.results = []
        self._changed = threading.Condition()
        self._open = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._run, args=(connection,), daemon=True).start()

    def _run(self, connection):
        self._open.add(connection)
        try:
            result = self.serve(connection)
        except OSError as error:
            result = f"backend: {error}"
        finally:
            self._open.discard(connection)
            connection.close()
        with self._changed:
            self.results.append(result)
            self._changed.notify_all()

    def wait_result(self, deadline):
        with self._changed:
            while not self.results:
                self._changed.wait(deadline.left("the backend to see the end of its connection"))
            result = self.results[0]
        if isinstance(result, str):
            raise Failure(result)
        return result

    def close(self):
        self.listener.close()
        for connection in list(self._open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class Echo(Backend):
    """Sends everything back; ends its side after the client's end, or after |limit| bytes if that is given."""

    def __init__(self, limit=None):
        self.limit = limit
        super().__init__()

    def serve(self, connection):
        total = 0
        buffer = memoryview(bytearray(BLOCK))
        while total != self.limit:
            n = connection.recv_into(buffer)
            if n == 0:
                break
            connection.sendall(buffer[:n])
            total += n
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(BLOCK):
            pass
        return (total, None)


def read_to_end(connection):
    digest, total = hashlib.sha256(), 0
    while data := connection.recv(BLOCK):
        digest.update(data)
        total += len(data)
    return (total, digest.hexdigest())


class Collect(Backend):
    """Answers only after the client has ended its direction: shows that the other one was left open."""

    def serve(self, connection):
        total, digest = read_to_end(connection)
        connection.sendall(f"collected {total} {digest}\n".encode())
        connection.shutdown(socket.SHUT_WR)
        return (total, digest)


class Greet(Backend):
    """Speaks and ends its own direction at once, then reads to the end."""

    def serve(self, connection):
        connection.sendall(b"greetings\n")
        connection.shutdown(socket.SHUT_WR)
        return read_to_end(connection)


class Responder(Backend):
    """Has one OCSP response for whatever it is asked, by HTTP."""

    def __init__(self, path):
        with open(path, "rb") as response:
            self.response = response.read()
        super().__init__()

    def serve(self, connection):
        asked = b""
        while b"\r\n\r\n" not in asked:
            asked += connection.recv(BLOCK) or b"\r\n\r\n"
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/ocsp-response\r\n"
                           b"Content-Length: %d\r\n\r\n" % len(self.response) + self.response)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(BLOCK):
            pass
        return (len(asked), None)


class Pictures(Backend):
    """A page with pictures, each request on a connection of its own."""

    PAGE = b"<!DOCTYPE html><html><body><p>pictures</p><img src='/a.svg'><img src='/b.svg'><img src='/c.svg'></body></html>"
    PICTURE = b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'><rect width='9' height='9'/></svg>"

    def serve(self, connection):
        asked = b""
        while b"\r\n\r\n" not in asked:
            data = connection.recv(BLOCK)
            if not data:
                return (0, None)
            asked += data
        kind, body = (b"image/svg+xml", self.PICTURE) if b".svg " in asked.split(b"\r\n")[0] else (b"text/html", self.PAGE)
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n%b"
                           % (kind, len(body), body))
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(BLOCK):
            pass
        return (len(asked), None)


class HttpEcho(Backend):
    """One HTTP/1.1 request per connection; the answer's body is the request's, sent back while it comes in."""

    def serve(self, connection):
        head = b""
        while b"\r\n\r\n" not in head:
            data = connection.recv(BLOCK)
            if not data:
                return (0, None)
            head += data
        head, _, body = head.partition(b"\r\n\r\n")
        length = 0
        for line in head.split(b"\r\n"):
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % length)
        total = len(body)
        connection.sendall(body)
        while total < length:
            data = connection.recv(BLOCK)
            if not data:
                raise OSError("the request's body was cut short")
            connection.sendall(data)
            total += len(data)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(BLOCK):
            pass
        return (total, None)
