# SPDX-License-Identifier: Apache-2.0
"""Workers and their master: reload, death, drain; and the reload of a single process."""

import hashlib
import os
import resource
import shutil
import signal
import ssl
import threading
import time

from kit import Client, Failure, Token, check, children_of, descriptors_of, limit, state_of, until

from cases.relay import echo

GET = "GET / HTTP/1.1\nHost: localhost\n\n"
LAST_GET = "GET / HTTP/1.1\nHost: localhost\nConnection: close\n\n"
POOL = ["--device", "pool:2", "--records", "device"]


# --- what is looked at ------------------------------------------------------------------------------------------------

def children(proxy):
    """The process ids of its workers."""
    return children_of(proxy.process.pid)


def descriptors_in(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def is_alive(pid):
    """Neither gone nor a zombie."""
    return state_of(pid) not in ([], ["Z"])


def settled(proxy, n):
    """Just |n| workers, all alive."""
    now = children(proxy)
    return now if len(now) == n and all(map(is_alive, now)) else None


def told(proxy, text):
    return proxy.err().count(text)


def reload(proxy):
    """SIGHUP, and waits until no connection can meet the old certificate any more."""
    before = told(proxy, ": reloaded\n")
    proxy.process.send_signal(signal.SIGHUP)
    until(lambda: told(proxy, ": reloaded\n") > before, f"it says that it has reloaded: {proxy.err()}")


class Renewed:
    """A certificate in files of its own, which can be replaced."""

    def __init__(self, world, name, key=None):
        self.pki, self.name, self.key = world.pki, name, key
        if key:
            self.renew()
        else:
            self.replace("server")

    def replace(self, other):
        """By rename, as tools do: nobody reads half a file."""
        for end in ("pem",) if self.key else ("key", "pem"):
            shutil.copy(self.pki.path(other, end), self.pki.path(self.name, end) + ".new")
            os.rename(self.pki.path(self.name, end) + ".new", self.pki.path(self.name, end))

    def renew(self):
        fresh = f"{self.name}-{time.monotonic_ns()}"
        self.pki.leaf(fresh, "ca", "localhost", "DNS:localhost,IP:127.0.0.1", "serverAuth", self.key)
        self.replace(fresh)
        return self.fingerprint()

    def write(self, text, end="pem"):
        with open(self.pki.path(self.name, end), "w") as out:
            out.write(text)

    def fingerprint(self):
        with open(self.pki.path(self.name)) as file:
            return hashlib.sha256(ssl.PEM_cert_to_DER_cert(file.read())).hexdigest()


def seen(client):
    return hashlib.sha256(client.tls.getpeercert(True)).hexdigest()


class Load:
    """Short connections, one after the other in several threads; every one must succeed."""

    def __init__(self, world, proxy, threads=4):
        self.port, self.pki = proxy.port, world.pki
        self.done, self.errors, self.ending = [], [], False
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(threads)]
        for thread in self.threads:
            thread.start()

    def run(self):
        while not self.ending and not self.errors:
            begin = time.monotonic()
            try:
                client = Client(self.port, self.pki)
                fingerprint = seen(client)
                status = client.ask(LAST_GET)[0]
                rest = client.read_end()
                client.close()
            except (OSError, Failure) as error:
                self.errors.append(f"{begin}: {error!r}")
                return
            if status != 200 or rest:
                self.errors.append(f"{begin}: status {status}")
            self.done.append((begin, fingerprint))

    def more(self, n=10):
        want = len(self.done) + n
        until(lambda: len(self.done) >= want or self.errors, "connections go on")
        check(not self.errors, f"a connection failed: {self.errors}")

    def end(self):
        self.ending = True
        for thread in self.threads:
            thread.join(limit())
        check(not self.errors, f"a connection failed: {self.errors}")

    def close(self):
        self.ending = True


def proxy_with(world, name, *arguments, workers=2):
    files = Renewed(world, name)
    return files, world.proxy("--workers", str(workers), *arguments, cert=name)


class SigningRequests:
    """Certificates for a key that is in a token: only the test has it besides."""

    def __init__(self, world, name):
        self.key = world.pki.path(f"{name}-token", "key")
        shutil.copy(world.pki.path("server", "key"), self.key)
        self.token = Token(os.path.join(world.work, f"{name}-token"), self.key)
        self.files = Renewed(world, name, self.key)

    def proxy(self, world, *arguments):
        return world.proxy(*arguments, cert=self.files.name, key=self.token.uri, environment=self.token.environment)


# --- reload -----------------------------------------------------------------------------------------------------------

def reload_under_load(world, files, proxy, workers=2):
    before = until(lambda: settled(proxy, workers), "the workers")
    descriptors = len(descriptors_of(proxy))
    client = world.client(proxy)
    check(client.ask(GET)[0] == 200, "no answer")
    inside = max(descriptors_in(pid) for pid in before)  # of the one that serves, with a connection
    client.close()
    load = world.keep(Load(world, proxy))
    load.more()
    times = []
    for _ in range(4):
        fingerprint = files.renew()
        reload(proxy)
        times.append((time.monotonic(), fingerprint))
        load.more()
    load.end()
    for begin, fingerprint in load.done:
        now = [wanted for when, wanted in times if when <= begin]
        check(not now or fingerprint in [wanted for when, wanted in times[len(now) - 1:]],
              "an old certificate was shown after the reload")
    after = until(lambda: settled(proxy, workers), "the old workers are gone, and no zombie is left")
    check(not set(before) & set(after), "a worker with the old certificate is left")
    until(lambda: len(descriptors_of(proxy)) == descriptors, "the master leaks descriptors")
    until(lambda: all(descriptors_in(pid) < inside for pid in after), "workers inherit what is not theirs")
    check(proxy.stop() == 0, "the exit status is not 0")
    for pid in after:
        check(not os.path.exists(f"/proc/{pid}"), "a worker outlives the master")
    check(len(load.done) >= 50, "too few connections to tell")


def test_reloads_under_load_lose_nothing(world):
    reload_under_load(world, *proxy_with(world, "load-cpu"))


def test_reloads_under_load_lose_nothing_on_pool(world):
    reload_under_load(world, *proxy_with(world, "load-pool", *POOL))


def test_reloads_under_load_lose_nothing_on_pkcs11(world):
    if not Token.module():
        return
    key = SigningRequests(world, "load-token")
    proxy = key.proxy(world, "--workers", "2")
    reload_under_load(world, key.files, proxy)


def test_a_token_that_cannot_be_had_leaves_the_old_workers_serving(world):
    if not Token.module():
        return
    key = SigningRequests(world, "locked")
    proxy = key.proxy(world, "--workers", "2")
    load = world.keep(Load(world, proxy, threads=2))
    load.more(4)
    before, old = children(proxy), key.files.fingerprint()
    key.token.set_pin("9999")
    key.files.renew()
    proxy.process.send_signal(signal.SIGHUP)
    until(lambda: told(proxy, "not reloaded: what was there stays in use") == 1, "the failure is told")
    check("PIN" in proxy.err() and "9999" not in proxy.err(), f"the reason: {proxy.err()}")
    load.more(4)
    until(lambda: children(proxy) == before, "only the old workers are there")
    client = world.client(proxy)
    check(seen(client) == old, "it shows another certificate")
    client.close()
    key.token.set_pin(Token.PIN)
    reload(proxy)
    load.end()
    client = world.client(proxy)
    check(seen(client) == key.files.fingerprint(), "it does not show the new certificate")
    client.close()
    check(proxy.stop() == 0, "the exit status is not 0")


def test_a_worker_on_pkcs11_that_is_killed_is_replaced(world):
    if not Token.module():
        return
    proxy = SigningRequests(world, "killed-token").proxy(world, "--workers", "2")
    before = until(lambda: settled(proxy, 2), "two workers")
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    until(lambda: (settled(proxy, 2) or before) != before, "they are replaced")
    for _ in range(6):
        client = world.client(proxy)
        check(client.ask(LAST_GET)[0] == 200, "nobody serves")
        client.close()


def test_a_broken_certificate_is_told_and_the_old_one_stays(world):
    for workers in (1, 2):
        files, proxy = proxy_with(world, f"broken-{workers}", workers=workers)
        first = files.fingerprint()
        load = world.keep(Load(world, proxy, threads=2))
        good = open(world.pki.path(files.name)).read()
        other = open(world.pki.path("second", "key")).read()
        for n, (text, end, why) in enumerate((("garbage\n", "pem", "is not what it should be"), (other, "key", "match"),
                                              (None, "pem", "No such file")), 1):
            if text is None:
                os.remove(world.pki.path(files.name))
            else:
                files.write(text, end)
            proxy.process.send_signal(signal.SIGHUP)
            until(lambda: told(proxy, "not reloaded: what was there stays in use") == n, "the failure is told")
            check(f"{files.name}.pem" in proxy.err(), f"the file is not named: {proxy.err()}")
            if text is None:
                check(why in proxy.err(), f"the reason is not told: {proxy.err()}")
            load.more(4)
            client = world.client(proxy)
            check(seen(client) == first, "it shows another certificate")
            client.close()
            files.replace("server")
        check(open(world.pki.path(files.name)).read() == good, "the test's own files")
        load.end()
        second = files.renew()
        reload(proxy)
        client = world.client(proxy)
        check(seen(client) == second, "it does not show the new certificate")
        client.close()
        check(proxy.stop() == 0, "the exit status is not 0")


def test_workers_that_cannot_be_started_leave_the_old_ones_serving(world):
    files, proxy = proxy_with(world, "starved")
    first = files.fingerprint()
    before = until(lambda: settled(proxy, 2), "the workers")
    open_now = len(descriptors_of(proxy))
    soft, hard = resource.prlimit(proxy.process.pid, resource.RLIMIT_NOFILE)
    load = world.keep(Load(world, proxy, threads=2))
    files.renew()
    # there is no descriptor for a channel; then there is, but none for what a worker needs beyond it
    for n, spare in enumerate((1, 4), 1):
        resource.prlimit(proxy.process.pid, resource.RLIMIT_NOFILE, (open_now + spare, hard))
        proxy.process.send_signal(signal.SIGHUP)
        until(lambda: told(proxy, "not reloaded: what was there stays in use") == n, f"the failure is told: {proxy.err()}")
        until(lambda: settled(proxy, 2) == before, "only the old workers are there")
        load.more(4)
    resource.prlimit(proxy.process.pid, resource.RLIMIT_NOFILE, (soft, hard))
    client = world.client(proxy)
    check(seen(client) == first, "it shows another certificate")
    client.close()
    reload(proxy)
    load.end()
    client = world.client(proxy)
    check(seen(client) == files.fingerprint(), "it does not show the new certificate")
    client.close()


def test_a_single_process_reloads_in_place(world):
    files, proxy = proxy_with(world, "single", workers=1)
    old = world.client(proxy)
    before = seen(old)
    after = files.renew()
    reload(proxy)
    new = world.client(proxy)
    check(seen(new) == after != before, "the new connection does not show the new certificate")
    check(old.ask(GET)[0] == 200 and new.ask(GET)[0] == 200, "one of them does not go on")
    check(not children(proxy), "it has children")


def test_clients_that_are_trusted_change_with_a_reload(world):
    ca = world.pki.path("trusted")
    shutil.copy(world.pki.path("ca"), ca)
    for workers in ("1", "2"):
        shutil.copy(world.pki.path("ca"), ca)
        proxy = world.proxy("--workers", workers, "--client-ca", ca)
        check(world.client(proxy, cert="alice").ask(GET)[0] == 200, "alice is not let in")
        shutil.copy(world.pki.path("other-ca"), ca)
        reload(proxy)
        check(world.client(proxy, cert="mallory").ask(GET)[0] == 200, "the new authority is not trusted")
        try:
            world.client(proxy, cert="alice").ask(GET)
        except OSError:
            continue
        raise Failure("the old authority is still trusted")


def test_the_key_log_is_opened_anew(world):
    for workers in ("1", "2"):
        log = os.path.join(world.work, f"keys-{workers}.log")
        proxy = world.proxy("--workers", workers, "--keylog", log)
        check(world.client(proxy).ask(GET)[0] == 200, "no answer")
        os.rename(log, log + ".old")
        reload(proxy)
        check(world.client(proxy).ask(GET)[0] == 200, "no answer")
        for name in (log, log + ".old"):
            lines = open(name).read().splitlines()
            check(lines and all(len(line.split()) == 3 for line in lines), f"{name}: {lines}")
            check(os.stat(name).st_mode & 0o77 == 0, "others may read it")


def test_many_reloads_at_once_end_with_the_last(world):
    backend = world.backend(echo)
    files, proxy = proxy_with(world, "storm", "--backend", backend.address, "--drain", "2")
    client = world.client(proxy)
    last = files.renew()
    for _ in range(200):
        proxy.process.send_signal(signal.SIGHUP)
        time.sleep(0.002)
        check(len(children(proxy)) <= 2 * 8 + 6, "too many workers at once")
    until(lambda: settled(proxy, 2), "the old workers are gone")
    check(client.read_cut() == b"", "something came")
    client.close()
    client = world.client(proxy)
    client.send(b"x")
    check(seen(client) == last and client.read(1) == b"x", "it does not serve with the new certificate")
    client.close()


# --- connections that are older than the reload -----------------------------------------------------------------------

def test_connections_outlive_the_reload(world):
    backend = world.backend(echo)
    files, proxy = proxy_with(world, "outlive", "--backend", backend.address)
    clients = [world.client(proxy) for _ in range(4)]
    files.renew()
    reload(proxy)
    time.sleep(1.5)  # longer than a silent connection is left alone after SIGTERM
    for client in clients:
        client.send(b"still there?")
        check(client.read(12) == b"still there?", "it was cut")
        client.close()
    until(lambda: settled(proxy, 2), "the old workers are gone")


def test_connections_that_do_not_end_are_cut_with_an_alert(world):
    backend = world.backend(echo)
    files, proxy = proxy_with(world, "endless", "--backend", backend.address, "--drain", "0.5")
    client = world.client(proxy)
    client.send(b"x")
    check(client.read(1) == b"x", "no echo")
    files.renew()
    reload(proxy)
    check(client.read_cut() == b"", "something came")
    client.close()
    until(lambda: settled(proxy, 2), "the old workers are gone")


def test_sigterm_during_a_reload_ends_all_of_them(world):
    backend = world.backend(echo)
    files, proxy = proxy_with(world, "both", "--backend", backend.address, "--drain", "60")
    client = world.client(proxy)
    client.send(b"x")
    check(client.read(1) == b"x", "no echo")
    files.renew()
    reload(proxy)
    pids = children(proxy)
    check(len(pids) > 2, "the old worker did not wait for its connection")
    proxy.process.send_signal(signal.SIGTERM)
    check(client.read_cut() == b"", "something came")
    client.close()
    check(proxy.wait() == 0, "the exit status is not 0")
    check(not any(os.path.exists(f"/proc/{pid}") for pid in pids), "a worker is left")


def test_sigterm_to_the_whole_group_drains(world):
    def slow(sock):
        sock.recv(1)
        for _ in range(10):
            sock.sendall(b"x" * 1000)
            time.sleep(0.1)
    backend = world.backend(slow)
    proxy = world.proxy("--workers", "2", "--backend", backend.address, start_new_session=True)
    client = world.client(proxy)
    client.send(b"?")
    check(client.read(), "nothing came")
    pids = until(lambda: settled(proxy, 2), "the workers")
    os.killpg(proxy.process.pid, signal.SIGTERM)
    got = len(client.read_end())
    check(got >= 8000, f"the answer was cut at {got} bytes")
    client.close()
    check(proxy.wait() == 0, "the exit status is not 0")
    check(not any(os.path.exists(f"/proc/{pid}") for pid in pids), "a worker is left")


def test_sigint_ends_at_once(world):
    backend = world.backend(echo)
    for workers in ("1", "2"):
        proxy = world.proxy("--workers", workers, "--backend", backend.address, "--drain", "1000")
        client = world.client(proxy)
        client.send(b"x")
        check(client.read(1) == b"x", "no echo")
        pids = children(proxy)
        proxy.process.send_signal(signal.SIGINT)
        check(proxy.wait() == 0, "the exit status is not 0")
        check(not any(os.path.exists(f"/proc/{pid}") for pid in pids), "a worker is left")


# --- death ------------------------------------------------------------------------------------------------------------

def test_a_worker_that_is_killed_is_replaced(world):
    files, proxy = proxy_with(world, "killed")
    load = world.keep(Load(world, proxy, threads=1))
    load.more(2)
    load.ending = True  # whoever is with a worker that is killed is cut
    for thread in load.threads:
        thread.join(limit())
    for _ in range(3):
        before = until(lambda: settled(proxy, 2), "two workers")
        os.kill(before[0], signal.SIGKILL)
        until(lambda: f"worker {before[0]} was killed by signal 9: another will take its place" in proxy.err(), "the death is told")
        client = world.client(proxy)  # by the other one, or the new one
        check(client.ask(LAST_GET)[0] == 200, "nobody serves")
        client.close()
        after = until(lambda: settled(proxy, 2), "it is replaced")
        check(before[1] in after and before[0] not in after, "the wrong one has gone")
    files.renew()
    reload(proxy)
    check(world.client(proxy).ask(GET)[0] == 200, "it does not serve")


def test_a_worker_that_dies_again_and_again_is_replaced_ever_more_slowly(world):
    proxy = world.proxy("--workers", "2")
    first = until(lambda: settled(proxy, 2), "two workers")
    begin, deaths, survivor = time.monotonic(), 0, first[1]
    while time.monotonic() - begin < 3:
        for pid in children(proxy):
            if pid != survivor and is_alive(pid):
                os.kill(pid, signal.SIGKILL)
                deaths += 1
                until(lambda pid=pid: pid not in children(proxy), "it is gone")
        time.sleep(0.01)
    # 0.1 + 0.2 + 0.4 + 0.8 + 1.6 s: the fifth pause goes beyond the third second
    check(2 <= deaths <= 6, f"{deaths} deaths in 3 s")
    check(world.client(proxy).ask(GET)[0] == 200, "the other one does not serve")
    until(lambda: settled(proxy, 2), "it is replaced in the end")


def test_a_worker_told_to_end_is_replaced_and_loses_nothing(world):
    proxy = world.proxy("--workers", "2")
    load = world.keep(Load(world, proxy))
    before = until(lambda: settled(proxy, 2), "two workers")
    load.more()
    os.kill(before[0], signal.SIGTERM)
    until(lambda: (settled(proxy, 2) or before) != before, "it is replaced")
    load.more()
    load.end()


def test_workers_end_with_their_master(world):
    proxy = world.proxy("--workers", "2")
    pids = until(lambda: settled(proxy, 2), "two workers")
    check(world.client(proxy).ask(GET)[0] == 200, "no answer")
    proxy.process.kill()
    proxy.process.wait()
    until(lambda: not any(map(is_alive, pids)), "the workers end")


# --- beginning and limits ---------------------------------------------------------------------------------------------

def test_a_device_that_cannot_be_made_is_told_once(world):
    pki = world.pki
    status, out, err = world.run("proxy", "--listen", "127.0.0.1:0", "--cert", pki.path("server"), "--key",
                                 pki.path("server", "key"), "--workers", "3", "--device", "pool:100000")
    check(status == 2 and not out, f"status {status}, {out!r}")
    check(err.count("--device pool:100000") == 1, err)


def test_the_limit_of_connections_is_all_workers_together(world):
    proxy = world.proxy("--workers", "2", "--max-conns", "2")
    first, second = world.client(proxy), world.client(proxy)
    check(first.ask(GET)[0] == 200 and second.ask(GET)[0] == 200, "one of them is not served")
    third = world.raw(proxy)
    third.settimeout(0.7)
    context = ssl.create_default_context(cafile=world.pki.path("ca"))
    try:
        context.wrap_socket(third, server_hostname="localhost")
    except TimeoutError:
        pass
    else:
        raise Failure("a third connection was served")
    first.close()
    check(world.client(proxy).ask(GET)[0] == 200, "there is room again, but nobody was let in")


def test_the_port_is_free_when_all_have_ended(world):
    proxy = world.proxy("--workers", "2")
    port = proxy.port
    check(proxy.stop() == 0, "the exit status is not 0")
    check(world.client(world.proxy("--workers", "2", listen=f"127.0.0.1:{port}")).ask(GET)[0] == 200, "no answer")
