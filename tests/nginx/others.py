# SPDX-License-Identifier: Apache-2.0
"""What is shown of nginx's modules beside nginx's own TLS, at the edges of its settings, and between servers."""

import contextlib
import hashlib
import os
import re
import socket
import ssl

import rig as kit
from cases import SHOW, V12, V13, exchange, pages, shown, sizes, streams
from rig import Backend, Nginx, check, connect, context, curl, equal, get, read_all, response, tls, wrap


def wrong_settings_of_streams_are_refused(rig):
    server = "server { listen 127.0.0.1:%%(s)d %s; %s return x; }"
    own = "ssl_certificate one.test.pem; ssl_certificate_key one.test.key;"
    many = "milgi_alpn %s;" % " ".join("p%d" % i for i in range(40))
    for stream, why in ((server % ("ssl", tls("one.test", own)), 'neither "ssl" nor "udp"'),
                        (server % ("udp", tls("one.test")), 'neither "ssl" nor "udp"'),
                        (server % ("", "milgi on;"), '"milgi on" needs a "milgi_certificate"'),
                        (server % ("", tls("one.test", 'milgi_alpn a "";')), '"milgi_alpn" directive has a name'),
                        (server % ("", tls("one.test", "milgi_alpn a %s;" % ("x" * 256))), '"milgi_alpn" directive has a name'),
                        (server % ("", tls("one.test", "milgi_alpn a; milgi_alpn b;")), "duplicate")):
        try:
            Nginx(rig, stream=stream).stop()
        except kit.Failed as failed:
            check(why in str(failed), "%s: %s" % (stream, failed))
        else:
            raise kit.Failed("this was taken: " + stream)
    try:
        Nginx(rig, "server { listen 127.0.0.1:%%(a)d; ssl on; %s }" % tls("one.test", own)).stop()
    except kit.Failed as failed:
        check('neither "ssl" nor' in str(failed), failed)
    else:
        raise kit.Failed("\"ssl on\" was taken")
    # What is beside it is not hurt.
    beside = "server { listen 127.0.0.1:%%(t)d ssl; %s return own; } server { listen 127.0.0.1:%%(u)d udp; return udp; }" % own
    with Nginx(rig, stream=server % ("", tls("one.test", many)) + beside) as n:
        for i in (0, 31, 39):
            with wrap(context(rig, alpn=["p%d" % i]), n.port("s")) as sock:
                equal((read_all(sock), sock.selected_alpn_protocol()), (b"x", "p%d" % i), "the name number %d" % i)
        with wrap(context(rig), n.port("t")) as sock:
            equal(sock.recv(10), b"own", "nginx's own TLS")


def faulty_requests_do_not_get_past_who_is_known(rig):
    """nginx answers a fault with a page of the server that is asked for, which is not for who is not its client."""
    server = "server { listen 127.0.0.1:%%(a)d http2; server_name %s; %s location / { return 200 %s; } }"
    for pages_of in ("error_page 400 421 = /secret;", "error_page 400 421 = @secret; location @secret { return 200 secret; }",
                     "recursive_error_pages on; error_page 400 421 = /secret;",
                     "error_page 400 421 = /secret; if ($uri = /secret) { return 200 secret; }",
                     "error_page 400 421 = /pass; location /pass { proxy_pass http://127.0.0.1:%(back)d; }"):
        asked = []
        with Backend(lambda sock: asked.append(sock.recv(65536))) as backend:
            http = server % ("one.test", tls("one.test"), "one") + server % (
                "closed.test", tls("closed.test", "milgi_verify_client on; milgi_client_certificate ca.pem; " + pages_of), "secret")
            with Nginx(rig, http, back=backend.port) as n:
                for more in ("", "Content-Length: x\r\n"):
                    with wrap(context(rig), n.port("a")) as sock:
                        sock.sendall(("GET / HTTP/1.1\r\nHost: closed.test\r\n%sConnection: close\r\n\r\n" % more).encode())
                        said = read_all(sock)
                    check(b"secret" not in said and re.search(b" 421 | 500 ", said), "%s with %r: %r" % (pages_of, more, said))
                said = curl(rig, n.port("a"), "/", "--http2", "-i", "-H", "Host: closed.test", "-H", "Content-Length: x")
                check(b"secret" not in said, "with HTTP/2: %r" % said)
                with wrap(context(rig, cert="client"), n.port("a"), "closed.test") as sock:
                    sock.sendall(b"GET / HTTP/1.1\r\nHost: closed.test\r\nContent-Length: x\r\nConnection: close\r\n\r\n")
                    said = read_all(sock)
                check(b" 421 " not in said, "who is known is told what was wrong: %r" % said)
            equal(len(asked), 1 if "pass" in pages_of else 0, "what the backend was asked")


def sessions_are_good_for_the_server_they_were_made_with(rig):
    """One's ticket lets nobody into another that wants to know its clients, nor into one with other authorities."""
    server = "server { listen 127.0.0.1:%%(a)d; server_name %s; %s location / { %s } }"
    known = "milgi_verify_client on; milgi_client_certificate %s.pem;"
    http = server % ("one.test", tls("one.test"), SHOW) + server % ("closed.test", tls("closed.test", known % "ca"), SHOW)
    http += server % ("two.test", tls("two.test", known % "other-ca"), SHOW)
    with Nginx(rig, http) as n:
        for version in (V12, V13):
            for name, cert in (("one.test", None), ("closed.test", "client")):
                c = context(rig, version, cert=cert)
                with wrap(c, n.port("a"), name) as sock:
                    get(sock, host=name)
                    session = sock.session
                for other in ("one.test", "two.test", "closed.test"):
                    let_in = other == name or other == "one.test" or (other == "closed.test" and cert)
                    try:
                        with wrap(c, n.port("a"), other, session=session) as sock:
                            says = shown(get(sock, host=other)[1])
                            check(let_in, "%s was let in by %s with a session of %s" % (cert, other, name))
                            equal(says["reused"], "r" if other == name else ".", "%s with a session of %s" % (other, name))
                    except ssl.SSLError as error:
                        check(not let_in and "ALERT" in str(error), "%s with a session of %s: %s" % (other, name, error))


def other_kinds_of_listeners(rig):
    """Sockets of the file system, IPv6, several addresses of one port, and in stream who says where a client comes from."""
    http = "server { listen unix:sock; listen [::1]:%%(a)d; listen %%(a)d; listen 127.0.0.2:%%(a)d; %s location / { %s } }" % (tls("one.test"), SHOW)
    stream = 'server { listen 127.0.0.1:%%(s)d proxy_protocol; %s return "$proxy_protocol_addr $milgi_protocol"; }' % tls("one.test")
    stream += 'server { listen unix:other; %s return "$milgi_protocol"; }' % tls("one.test")
    with Nginx(rig, http, stream) as n:
        for family, address in ((socket.AF_UNIX, "sock"), (socket.AF_INET6, ("::1", n.port("a"))), (socket.AF_INET, ("127.0.0.1", n.port("a"))),
                                (socket.AF_INET, ("127.0.0.2", n.port("a"))), (socket.AF_UNIX, "other")):
            raw = socket.socket(family)
            raw.settimeout(kit.PATIENCE)
            raw.connect(os.path.join(n.work, address) if family == socket.AF_UNIX else address)
            with context(rig).wrap_socket(raw, server_hostname="one.test", suppress_ragged_eofs=False) as sock:
                if address == "other":
                    equal(read_all(sock), b"TLSv1.3", "on " + address)
                else:
                    equal(shown(get(sock)[1])["protocol"], "TLSv1.3", "on %s" % (address,))
        for at_once in (True, False):
            raw = connect(n.port("s"))
            raw.sendall(b"PROXY TCP4 192.0.2.7 192.0.2.8 1000 2000\r\n")
            if not at_once:
                n.count()  # takes a while
            with context(rig).wrap_socket(raw, server_hostname="one.test", suppress_ragged_eofs=False) as sock:
                equal(read_all(sock), b"192.0.2.7 TLSv1.3", "what came before TLS")
        n.all_closed()


OWN = "ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate one.test.pem; ssl_certificate_key one.test.key; ssl_client_certificate ca.pem; ssl_verify_client optional;"
UPSTREAM = """proxy_ssl_verify on; proxy_ssl_trusted_certificate ca.pem; proxy_ssl_name one.test; proxy_ssl_server_name on;
              proxy_ssl_certificate client.pem; proxy_ssl_certificate_key client.key; proxy_ssl_protocols %s;"""


def nginx_s_own_tls_on_the_other_end_of_pages(rig):
    """As a client (proxy_ssl) of Milgi's servers, with connections that stay and that are resumed; and in front and behind in a row."""
    for version in ("TLSv1.2", "TLSv1.3"):
        up = "proxy_http_version 1.1; proxy_set_header Connection ''; proxy_set_header Host one.test; client_max_body_size 0; " + UPSTREAM % version
        files = "root .; client_max_body_size 0; location /put/ { dav_methods PUT; create_full_put_path on; } location = /show { %s }" % SHOW
        http = "upstream milgi { server 127.0.0.1:%(a)d; keepalive 4; } upstream own { server 127.0.0.1:%(o)d; }"
        http += pages("milgi_verify_client on; milgi_client_certificate ca.pem; " + files)
        http += "server { listen 127.0.0.1:%%(o)d ssl; %s %s location / { proxy_pass https://milgi; } }" % (OWN, up)
        http += "server { listen 127.0.0.1:%%(f)d; %s %s location / { proxy_pass https://own; } }" % (tls("one.test"), up)
        http += "server { listen 127.0.0.1:%%(n)d; %s %s proxy_ssl_session_reuse on; location / { proxy_pass https://127.0.0.1:%%(a)d; } }" % (
            tls("one.test"), up)
        with Nginx(rig, http) as n:
            data = os.urandom(sizes(rig)[0])
            with open(os.path.join(n.work, "file"), "wb") as file:
                file.write(data)
            for port in ("o", "f"):
                for _ in range(3):
                    says = curl(rig, n.port(port), "/show")
                    check(b"|" in says, "%r; %s" % (says, n.errors()[-1000:]))
                    says = shown(says)
                    equal((says["protocol"], says["verify"]), (version, "SUCCESS"), "what Milgi's server has seen")
                equal(hashlib.sha256(curl(rig, n.port(port), "/file")).digest(), hashlib.sha256(data).digest(), "a file")
                curl(rig, n.port(port), "/put/" + port, "-T", os.path.join(n.work, "file"))
                with open(os.path.join(n.work, "put", port), "rb") as file:
                    equal(hashlib.sha256(file.read()).digest(), hashlib.sha256(data).digest(), "a file that is put")
            reused = [shown(curl(rig, n.port("n"), "/show"))["reused"] for _ in range(4)]
            equal(reused[0], ".", "the first")
            check("r" in reused[1:], "resumed: %s" % reused)


def nginx_s_own_tls_on_the_other_end_of_streams(rig):
    """Client, Milgi, proxy_ssl, nginx's own server, proxy_ssl, Milgi, backend."""
    data = os.urandom(sizes(rig)[0] // 4)
    for version in ("TLSv1.2", "TLSv1.3"):
        up = "proxy_ssl on; " + UPSTREAM % version
        stream = "server { listen 127.0.0.1:%%(x)d; %s %s proxy_pass 127.0.0.1:%%(y)d; }" % (tls("one.test"), up)
        stream += "server { listen 127.0.0.1:%%(y)d ssl; %s %s proxy_pass 127.0.0.1:%%(s)d; }" % (OWN, up)
        stream += streams("milgi_verify_client on; milgi_client_certificate ca.pem;")
        with Backend(kit.echo) as backend, Nginx(rig, stream=stream, back=backend.port) as n:
            for client in (V12, V13):
                with wrap(context(rig, client), n.port("x")) as sock:
                    equal(hashlib.sha256(exchange(sock, data)).digest(), hashlib.sha256(data).digest(), "echo through all of them")
            n.all_closed()
        # Whose certificate is not known, or another's, is no upstream; and the client hears of it.
        for wrong in ("proxy_ssl_trusted_certificate other-ca.pem;", "proxy_ssl_name two.test;"):
            word = wrong.split()[0]
            bad = re.sub(word + " [^;]*;", wrong, stream.split("server {")[1])
            with Backend(kit.echo) as backend, Nginx(rig, stream="server {" + bad.replace("%(y)d", "%(s)d") + streams(), back=backend.port) as n:
                with contextlib.suppress(ssl.SSLError, ConnectionError), wrap(context(rig), n.port("x")) as sock:
                    raise kit.Failed("an upstream that is not the one: %r" % sock.recv(1))
                check("upstream SSL certificate" in n.errors(), "no reason in the log")
                n.all_closed()
                n.allowed = ("upstream SSL certificate",)


def chains_are_sent_whole(rig):
    """A certificate of an authority below the one that is known."""
    work = rig.work
    if not os.path.exists(os.path.join(work, "deep.pem")):
        with open(os.path.join(work, "extensions"), "w", encoding="ascii") as file:
            file.write("[ca]\nbasicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n[leaf]\nsubjectAltName=DNS:deep.test\n")
        for name, by, section in (("between", "ca", "ca"), ("deep", "between", "leaf")):
            kit.run("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", name + ".key", "-out",
                    name + ".csr", "-subj", "/CN=" + name, cwd=work)
            kit.run("openssl", "x509", "-req", "-in", name + ".csr", "-CA", by + ".pem", "-CAkey", by + ".key", "-CAcreateserial", "-days", "2",
                    "-extfile", "extensions", "-extensions", section, "-out", name + ".pem", cwd=work)
        with open(os.path.join(work, "deep.pem"), "a", encoding="ascii") as file, open(os.path.join(work, "between.pem"), encoding="ascii") as more:
            file.write(more.read())
    http = "server { listen 127.0.0.1:%%(a)d; %s location / { %s } }" % (
        tls("deep", "milgi_verify_client on; milgi_client_certificate ca.pem;"), SHOW)
    with Nginx(rig, http) as n:
        for version in (V12, V13):
            with wrap(context(rig, version, cert="deep"), n.port("a"), "deep.test") as sock:
                says = shown(response_of(sock))
                equal(says["verify"], "SUCCESS", "a client with such a chain")
                check("CN=between" in says["i_dn"], "who issued it: %s" % says["i_dn"])


def response_of(sock):
    sock.sendall(b"GET / HTTP/1.1\r\nHost: deep.test\r\n\r\n")
    return response(sock)[1]
