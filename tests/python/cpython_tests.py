# SPDX-License-Identifier: Apache-2.0
"""CPython's own tests of TLS over asyncio (Debian's libpython3.11-testsuite), with Milgi where they have the loop's TLS.

The contexts that the tests make are ssl's: those that a thread with a blocking socket uses stay ssl's, so it is the other
stack there; those that a loop is given become a milgi.Context of the same settings. Each test that does not fit stands
below, with why.
"""

import asyncio
import os
import ssl
import sys
import unittest

import milgi
import milgi.aio as aio
from own import Proxy, judge, only

INSIDE = "is about insides of asyncio.sslproto"
CANNOT = {
    "TestSSL.test_create_connection_ssl_failed_certificate":
        "a client that verifies is to connect without a name: Milgi's says which name it wants, or that it takes anybody",
    "TestSSL.test_flush_before_shutdown": INSIDE,
    "TestSSL.test_shutdown_timeout_handler_not_set": "takes a connection that was cut for one that has ended",
}


class Both(ssl.SSLContext):
    """ssl's, and Milgi's when a loop asks."""

    def load_cert_chain(self, certfile, keyfile=None, password=None):
        super().load_cert_chain(certfile, keyfile, password)
        self.files = (os.fspath(certfile), os.fspath(keyfile or certfile))

    @property
    def milgi(self):
        made = getattr(self, "made", None)
        if made is None:
            if self.protocol == ssl.PROTOCOL_TLS_SERVER:
                credential = milgi.Credential(only(self.files[0], "CERTIFICATE"), only(self.files[1], "PRIVATE KEY"))
                made = milgi.Context.server(credential, policy="compatible")
            else:
                made = milgi.Context.client(policy="compatible", sessions=0,
                                            dangerously_accept_any_server=self.verify_mode == ssl.CERT_NONE)
            self.made = made
        return made


def server_context(certfile, keyfile=None):
    context = Both(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certfile, keyfile)
    return context


def client_context(disable_verify=True):
    context = Both(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    if disable_verify:
        context.verify_mode = ssl.CERT_NONE
    return context


def tests_of(kinds, names):
    for kind in kinds:
        for test in unittest.defaultTestLoader.loadTestsFromTestCase(kind):
            name = test.id().rsplit(".", 2)
            if not names or name[-1] in names:
                yield "%s.%s" % (name[-2], name[-1]), test


def main():
    try:
        from test.test_asyncio import test_ssl, test_sslproto, utils
    except ImportError:
        print("Skipped: no test.test_asyncio here: libpython3.11-testsuite")
        sys.exit(77)
    asyncio.set_event_loop_policy(aio.EventLoopPolicy())
    test_ssl.ssl = test_sslproto.ssl = Proxy(ssl, SSLError=(ssl.SSLError, milgi.Error))
    test_ssl.TestSSL._create_server_ssl_context = lambda self, *args: server_context(*args)
    test_ssl.TestSSL._create_client_ssl_context = lambda self, **kwargs: client_context(**kwargs)
    utils.simple_server_sslcontext = lambda: server_context(utils.ONLYCERT, utils.ONLYKEY)
    utils.simple_client_sslcontext = client_context
    aio.Transport._test__append_write_backlog = aio.Transport.write
    tests = tests_of((test_ssl.TestSSL, test_sslproto.SelectorStartTLSTests), sys.argv[1:])
    judge(((name, test, lambda test, result: test.run(result)) for name, test in tests), CANNOT.get)


if __name__ == "__main__":
    main()
