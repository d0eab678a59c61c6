/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams as coroutines meet them, on a libuv loop. stream_test [NAME]; MILGI_TESTS_ECHO bytes are sent through the
 * echoes, MILGI_TESTS_CROWD connections are there at once.
 */
#include "rig.hpp"

extern "C" {
#include "crl.h"
}

#include <openssl/pem.h>

using milgi::stream;
using milgi::task;
using rig::loop;
using rig::pattern;

namespace {

const char *const devices[] = { nullptr, "pool:2", "chaos:seed=7,refuse=0.2,max_delay=100us,reorder=0.5", "batch:lanes=libcrypto",
    "chaos:seed=5,fail=0.05" };

/* --- who is in the tests ------------------------------------------------------------------------------------------ */

task<> echo(stream s, bool copies)
{
    std::array<std::byte, 5000> buffer;
    if (!co_await s.open())
        co_return;
    for (;;) {
        if (copies) {
            auto n = co_await s.read(buffer);
            if (!n || *n == 0 || !co_await s.write({ buffer.data(), *n }))
                break;
        } else {
            auto got = co_await s.receive();
            if (!got || got->bytes().empty() || !co_await s.send(std::move(*got)))
                break;
        }
    }
    (void)co_await s.shutdown();
    (void)co_await s.closed();
}

task<> send_pattern(stream &s, size_t len)
{
    std::array<std::byte, 7000> block;
    for (size_t at = 0; at < len;) {
        size_t n = std::min(block.size(), len - at);
        for (size_t i = 0; i < n; i++)
            block[i] = pattern(at + i);
        CHECK(co_await s.write({ block.data(), n }));
        at += n;
    }
    CHECK(co_await s.shutdown());
}

/* Until the peer's end: how much of the pattern came. */
task<size_t> read_pattern(stream &s)
{
    std::array<std::byte, 9000> block;
    for (size_t at = 0;;) {
        auto n = co_await s.read(block);
        CHECK(n);
        if (!*n)
            co_return at;
        for (size_t i = 0; i < *n; i++)
            CHECK(block[i] == pattern(at + i));
        at += *n;
    }
}

/* Sends and reads at once. */
task<> talk(stream &s, size_t len)
{
    CHECK(co_await s.open());
    auto sending = send_pattern(s, len);
    sending.start();
    CHECK(co_await read_pattern(s) == len);
    co_await sending;
    CHECK(co_await s.closed());
}

/* --- both ways ---------------------------------------------------------------------------------------------------- */

bool is_there(const char *device)
{
    milgi_device *tried = nullptr;
    bool there = !device || !milgi_device_new(device, &tried, nullptr);
    milgi_device_free(tried);
    return there;
}

void echoes_on_every_device()
{
    for (const char *device : devices)
        for (bool copies : { false, true }) {
            if (!is_there(device))
                continue;
            loop l(device);
            auto [client, server] = l.pair();
            echo(std::move(server), copies).detach();
            auto t = talk(client, rig::asked("MILGI_TESTS_ECHO", 600000));
            t.start();
            l.until([&] { return t.done(); });
            t.take();
            l.until_gone();
        }
}

void a_crowd_is_served()
{
    struct one {
        stream client;
        task<> doing;
    };
    for (const char *device : devices) {
        if (!is_there(device))
            continue;
        loop l(device);
        std::vector<std::unique_ptr<one>> crowd;
        for (size_t i = rig::asked("MILGI_TESTS_CROWD", 20); i--;) {
            auto [client, server] = l.pair();
            echo(std::move(server), i % 2).detach();
            crowd.push_back(std::make_unique<one>(one{ std::move(client), task<>() }));
            crowd.back()->doing = talk(crowd.back()->client, 20000);
            crowd.back()->doing.start();
        }
        l.until([&] { return std::all_of(crowd.begin(), crowd.end(), [](auto &o) { return o->doing.done(); }); });
        l.until_gone();
    }
}

/* --- backpressure ------------------------------------------------------------------------------------------------- */

task<> write_for_ever(stream &s, size_t &taken)
{
    std::array<std::byte, 10000> block{};
    while (co_await s.write(block))
        taken += block.size();
}

task<> read_some(stream &s, size_t want, size_t &got)
{
    std::array<std::byte, 4096> block;
    while (got < want) {
        auto n = co_await s.read(block);
        CHECK(n && *n);
        got += *n;
    }
}

void who_does_not_read_is_sent_no_more()
{
    loop l;
    auto [client, server] = l.pair();
    size_t taken = 0, before = 1, got = 0;
    auto writing = write_for_ever(client, taken);
    writing.start();
    while (taken != before || !taken) {
        before = taken;
        l.turns(200);
    }
    CHECK(taken < 4 * 1024 * 1024);
    auto reading = read_some(server, taken + 1000000, got);
    reading.start();
    l.until([&] { return reading.done(); });
    CHECK(taken > before);
}

task<> opened(stream &s)
{
    auto is_open = co_await s.open();
    CHECK(is_open);
}

task<> write_all(stream &s, const std::vector<std::byte> &data, bool &said)
{
    auto written = co_await s.write(data);
    said = static_cast<bool>(written);
}

task<> read_all(stream &s, std::vector<std::byte> &to, size_t want)
{
    std::array<std::byte, 4096> block;
    while (to.size() < want) {
        auto n = co_await s.read(block);
        CHECK(n && *n);
        to.insert(to.end(), block.begin(), block.begin() + static_cast<std::ptrdiff_t>(*n));
    }
}

/* Another has all the chunks: nothing is taken, nothing is lost. */
void who_has_no_memory_for_it_writes_later()
{
    loop l(nullptr, 1 << 20);
    auto [client, server] = l.pair();
    auto opening = opened(client);
    opening.start();
    l.until([&] { return opening.done(); });
    l.turns(50);
    std::vector<milgi::slice> hoard;
    for (uint32_t size = 65536; size >= 1024; size /= 4)
        while (auto one = milgi::slice::make(l.engine(), size))
            hoard.push_back(std::move(one));
    std::vector<std::byte> data(100000), got;
    for (size_t at = 0; at < data.size(); at++)
        data[at] = rig::pattern(at);
    bool said = false;
    auto writing = write_all(client, data, said);
    writing.start();
    auto reading = read_all(server, got, data.size());
    reading.start();
    l.turns(50);
    CHECK(!writing.done());
    hoard.clear();
    l.until([&] { return reading.done() && writing.done(); });
    CHECK(said && got == data);
}

task<> hold(stream &s, std::vector<milgi::received> &held)
{
    for (;;) {
        auto got = co_await s.receive();
        if (!got)
            break;
        held.push_back(std::move(*got));
    }
}

void what_is_held_is_credit_that_the_peer_does_not_have()
{
    loop l;
    auto [client, server] = l.pair();
    size_t taken = 0, before = 1;
    std::vector<milgi::received> held;
    auto writing = write_for_ever(client, taken);
    auto holding = hold(server, held);
    writing.start();
    holding.start();
    while (taken != before || !taken) {
        before = taken;
        l.turns(200);
    }
    CHECK(taken < 4 * 1024 * 1024);
    held.clear();
    l.until([&] { return taken > before + 100000; });
}

/* --- ends --------------------------------------------------------------------------------------------------------- */

task<> says_then_reads(stream &s, size_t len)
{
    co_await send_pattern(s, len);
    size_t got = co_await read_pattern(s); /* a variable: see adapters/cxx/README.md about gcc 12 */
    CHECK(got == len);
    CHECK(co_await s.closed());
}

task<> reads_then_says(stream &s, size_t len)
{
    size_t got = co_await read_pattern(s);
    CHECK(got == len);
    co_await send_pattern(s, len);
    CHECK(co_await s.closed());
}

void one_direction_ends_before_the_other()
{
    for (bool client_first : { true, false }) {
        loop l;
        auto [client, server] = l.pair();
        auto a = client_first ? says_then_reads(client, 300000) : reads_then_says(client, 300000);
        auto b = client_first ? reads_then_says(server, 300000) : says_then_reads(server, 300000);
        a.start();
        b.start();
        l.until([&] { return a.done() && b.done(); });
        CHECK(!client.info().established || client.get());
    }
}

task<milgi::failure> reads_to_failure(stream &s)
{
    std::array<std::byte, 100> block;
    for (;;) {
        auto n = co_await s.read(block);
        CHECK(!n || *n);
        if (!n)
            co_return n.error();
    }
}

task<> opens(stream &s, bool &is_open)
{
    is_open = static_cast<bool>(co_await s.open());
}

void who_leaves_in_the_middle_is_no_end_for_the_peer()
{
    for (int how = 0; how < 3; how++) {
        loop l;
        auto [client, server] = l.pair();
        bool is_open = false;
        auto opening = opens(client, is_open);
        auto reading = reads_to_failure(server);
        opening.start();
        reading.start();
        l.until([&] { return is_open; });
        if (how == 0)
            client = stream(); /* destroyed: an alert */
        else if (how == 1)
            client.reset();
        else
            milgi_stream_drop(client.get()); /* the transport ends, and nothing else */
        l.until([&] { return reading.done(); });
        milgi::failure why = reading.take();
        if (how == 0)
            CHECK(why.code == MILGI_EALERT && why.reason.alert_from_peer);
        else
            CHECK(why.code == MILGI_ETRUNCATED || why.code == MILGI_ETRANSPORT);
        CHECK(!why.text().empty());
    }
}

task<> writes_and_leaves(stream s, size_t len)
{
    co_await send_pattern(s, len); /* with a shutdown */
}

void who_ends_in_order_may_leave_at_once()
{
    loop l("pool:2");
    auto [client, server] = l.pair();
    writes_and_leaves(std::move(client), 700000).detach();
    auto reading = read_pattern(server);
    reading.start();
    l.until([&] { return reading.done(); });
    CHECK(reading.take() == 700000);
}

/* --- cancellation ------------------------------------------------------------------------------------------------- */

void a_reader_that_is_destroyed_takes_nothing_along()
{
    loop l;
    auto [client, server] = l.pair();
    for (int i = 0; i < 3; i++) { /* each waits, and is gone */
        auto waiting = reads_to_failure(server);
        waiting.start();
        l.turns(3);
    }
    auto sending = send_pattern(client, 100000);
    sending.start();
    auto reading = read_pattern(server);
    reading.start();
    l.until([&] { return reading.done(); });
    CHECK(reading.take() == 100000);
}

task<std::error_code> opens_with(stream &s)
{
    co_return(co_await s.open()).code();
}

task<std::error_code> closes_with(stream &s)
{
    co_return(co_await s.closed()).code();
}

void who_waits_for_a_stream_that_is_destroyed_is_told()
{
    loop l;
    auto both = l.pair();
    auto opening = opens_with(both.first);
    auto reading = reads_to_failure(both.first);
    auto closing = closes_with(both.first);
    opening.start();
    reading.start();
    closing.start();
    both.first = stream();
    CHECK(!opening.done() && !reading.done()); /* not from inside of that */
    l.until([&] { return opening.done() && reading.done() && closing.done(); });
    CHECK(opening.take() == std::errc::operation_canceled);
    CHECK(reading.take().code == std::errc::operation_canceled);
    CHECK(closing.take() == std::errc::operation_canceled);
}

void who_waits_is_told_when_the_loop_ends()
{
    loop l;
    auto both = l.pair();
    auto reading = reads_to_failure(both.first);
    reading.start();
    l.turns(3);
    l.stop();
    CHECK(reading.done());
    CHECK(reading.take().code == std::errc::operation_canceled);
}

/* At every turn of a handshake and what comes behind it, with ops in flight. */
void streams_are_destroyed_at_any_time()
{
    for (const char *device : { "pool:2", "chaos:seed=5,max_delay=100us,reorder=0.5" })
        for (unsigned turn = 0; turn < 24; turn++) {
            loop l(device);
            auto [client, server] = l.pair();
            size_t taken = 0;
            echo(std::move(server), turn % 2).detach();
            std::optional<task<>> writing = write_for_ever(client, taken);
            writing->start();
            for (unsigned i = 0; i < turn; i++)
                uv_run(&l.uv, UV_RUN_NOWAIT);
            if (turn % 3 == 0)
                writing.reset();
            client = stream();
            if (turn % 3 == 1)
                l.until_gone();
        }
}

task<> destroys_itself(stream s)
{
    std::array<std::byte, 10> block;
    (void)co_await s.open();
    (void)co_await s.read(block); /* here the loop's callback is above */
}

void a_stream_is_destroyed_from_its_own_callback()
{
    loop l;
    auto [client, server] = l.pair();
    destroys_itself(std::move(server)).detach();
    auto sending = send_pattern(client, 50000);
    sending.start();
    l.until_gone();
    CHECK(!client.get());
}

/* --- errors ------------------------------------------------------------------------------------------------------- */

void both_ends_are_told_of_a_wrong_name()
{
    loop l;
    auto [client, server] = l.pair("wrong.test");
    auto a = opens_with(client);
    auto b = reads_to_failure(server);
    a.start();
    b.start();
    l.until([&] { return a.done() && b.done(); });
    CHECK(a.take() == MILGI_EVERIFY);
    milgi::failure why = b.take();
    CHECK(why.code == MILGI_EALERT && why.reason.alert == MILGI_ALERT_BAD_CERTIFICATE);
    CHECK(why.text().find("bad_certificate, received") != std::string::npos);
}

void rubbish_is_refused()
{
    loop l;
    int fd[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) == 0);
    stream s = l.open(fd[0], l.server, nullptr);
    CHECK(write(fd[1], "GET / HTTP/1.1\r\n\r\n", 18) == 18);
    auto opening = opens_with(s);
    opening.start();
    l.until([&] { return opening.done(); });
    CHECK(opening.take() == MILGI_EPROTO);
    close(fd[1]);
    l.until_gone();
}

task<> throws(stream &s)
{
    (co_await s.open()).value();
}

void an_exception_comes_where_it_was_asked_for()
{
    loop l;
    auto [client, server] = l.pair("wrong.test");
    auto t = throws(client);
    t.start();
    l.until([&] { return t.done(); });
    bool caught = false;
    try {
        t.take();
    } catch (const milgi::error &e) {
        CHECK(e.code() == MILGI_EVERIFY && e.reason().reason.alert == MILGI_ALERT_BAD_CERTIFICATE);
        CHECK(std::string(e.what()).find("certificate") != std::string::npos);
        caught = true;
    }
    CHECK(caught);
}

void one_reads_at_a_time()
{
    loop l;
    auto [client, server] = l.pair();
    auto first = reads_to_failure(client);
    auto second = reads_to_failure(client);
    first.start();
    second.start();
    CHECK(second.done() && second.take().code == MILGI_EINVAL);
    CHECK(!first.done());
}

/* What is awaited may be kept first: it is when two of them wait that there is one too many, not when there are two. */
task<std::error_code> waits_for(stream::receive_waiter &kept, size_t &got)
{
    auto data = co_await kept;
    got = data ? data->bytes().size() : 0;
    co_return data ? std::error_code() : data.code();
}

void what_is_awaited_may_be_kept_first()
{
    loop l;
    auto [client, server] = l.pair();
    size_t got[3] = {};
    auto first = server.receive(), second = server.receive(), third = server.receive();
    auto a = waits_for(first, got[0]), b = waits_for(second, got[1]), c = waits_for(third, got[2]);
    a.start();
    b.start();
    CHECK(b.done() && b.take() == milgi::code_of(MILGI_EINVAL));
    auto sending = send_pattern(client, 5000);
    sending.start();
    l.until([&] { return a.done(); });
    CHECK(!a.take() && got[0] > 0);
    c.start(); /* which was made while the first was waiting for its turn */
    l.until([&] { return c.done(); });
    CHECK(!c.take() && got[0] + got[2] <= 5000);
}

void what_is_wrong_with_a_file_is_said()
{
    auto missing = milgi::credential::load("/nonexistent/chain.pem", "/nonexistent/key.pem");
    CHECK(!missing && missing.code() == MILGI_EFILE && !missing.error().note.empty());
    auto config = milgi::config::server().freeze();
    CHECK(!config && config.code() == MILGI_EINVAL && config.error().text().find("credential") != std::string::npos);
    auto first = milgi::config::client().alpn({ "" }).versions(0x0304, 0x0304).freeze(); /* the first fault stays */
    CHECK(!first && first.code() == MILGI_EINVAL);
    CHECK(!milgi::device::make("no such device") && milgi::code_of(MILGI_ETIMEOUT) == std::errc::timed_out);
}

/* Why is said, the descriptor stays the caller's, and nothing is left. */
void a_stream_that_cannot_be_made_is_not()
{
    loop l;
    int fd[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) == 0);
    auto s = milgi::stream::make(l.engine(), [&](auto *events, void *arg, milgi_stream **out) {
        return milgi_uv_open(l.adapter, fd[0], l.client.get(), "no..name", events, arg, out);
    });
    CHECK(!s && s.code() == MILGI_EINVAL);
    CHECK(close(fd[0]) == 0 && close(fd[1]) == 0);
}

/* --- decisions, ALPN, client certificates -------------------------------------------------------------------------- */

task<> chooses(stream &s, milgi::credential with, unsigned &asked, bool answers)
{
    for (;;) {
        auto d = co_await s.decision();
        if (!d)
            break;
        asked++;
        CHECK(d->kind() == MILGI_DECIDE_CREDENTIAL && d->info()->server_name == std::string("other.test"));
        if (answers)
            CHECK(d->accept(with));
    }
}

void a_name_is_chosen_for_later()
{
    for (bool answers : { true, false }) {
        loop l;
        l.server = l.server_with(l.leaf).asks(MILGI_DECIDE_CREDENTIAL).freeze().value();
        auto [client, server] = l.pair("other.test");
        unsigned asked = 0;
        auto choosing = chooses(server, loop::credential_of(l.other), asked, answers);
        choosing.start();
        auto opening = opens_with(client);
        opening.start();
        l.until([&] { return opening.done(); });
        CHECK(asked == 1);
        CHECK(opening.take() == (answers ? std::error_code() : milgi::code_of(MILGI_EALERT))); /* unanswered: refused */
    }
}

void a_question_outlives_its_stream_and_its_loop()
{
    std::optional<milgi::decision> kept;
    {
        loop l;
        l.server = l.server_with(l.leaf).asks(MILGI_DECIDE_CREDENTIAL).freeze().value();
        auto [client, server] = l.pair();
        auto keeps = [](stream &s, std::optional<milgi::decision> &to) -> task<> {
            to.emplace(std::move(co_await s.decision()).value());
        };
        auto keeping = keeps(server, kept);
        keeping.start();
        l.until([&] { return keeping.done(); });
        CHECK(kept->info());
    }
    CHECK(kept->info().code() == MILGI_ESTALE);
    CHECK(kept->refuse().code() == MILGI_ESTALE);
}

void what_was_negotiated_is_there_when_it_is_open()
{
    loop l;
    auto trust = milgi::trust::pem(l.root->cert_pem).value();
    l.server = l.server_with(l.leaf).alpn({ "h2", "http/1.1" }).trusts(trust).freeze().value();
    l.client = l.client_trusting(l.root).alpn({ "http/1.1" }).with(loop::credential_of(l.other)).freeze().value();
    auto [client, server] = l.pair();
    auto looks = [](stream &s) -> task<> {
        CHECK(co_await s.open());
        milgi::conn_info info = s.info();
        CHECK(info.alpn == std::string("http/1.1") && info.peer_authenticated && info.peer_chain_n);
    };
    auto a = looks(client), b = looks(server);
    a.start();
    b.start();
    l.until([&] { return a.done() && b.done(); });
    a.take();
    b.take();
}

/* --- CRLs, and keys that are encrypted ---------------------------------------------------------------------------- */

std::string taken(char *text)
{
    std::string copy = text;
    std::free(text);
    return copy;
}

/* What a client that looks at CRLs makes of the server. */
int judged(bool is_revoked)
{
    loop l;
    crl_options of = {};
    of.issuer = l.root;
    of.revoked[0] = is_revoked ? l.leaf : l.other;
    auto trust = milgi::trust::pem(l.root->cert_pem).value();
    CHECK(trust.add_crls("nothing").code() == MILGI_EPARSE);
    CHECK(trust.add_crls(taken(crl_new(&of)), MILGI_CRL_CHECK_LEAF));
    l.server = l.server_with(l.leaf).freeze().value();
    l.client = milgi::config::client().trusts(trust).freeze().value();
    CHECK(trust.add_crls("nothing").code() == MILGI_EINVAL); /* it is in use */
    auto [client, server] = l.pair();
    auto opens = [](stream &s) -> task<int> {
        auto opened = co_await s.open();
        co_return opened ? 0 : opened.error().code.value();
    };
    auto a = opens(client), b = opens(server);
    a.start();
    b.start();
    l.until([&] { return a.done() && b.done(); });
    b.take();
    return a.take();
}

void a_server_that_is_revoked_is_refused()
{
    CHECK(judged(false) == 0);
    CHECK(judged(true) == MILGI_EVERIFY);
}

void a_key_is_read_with_its_passphrase()
{
    loop l;
    BIO *bio = BIO_new(BIO_s_mem());
    char word[] = "sesame";
    CHECK(PEM_write_bio_PKCS8PrivateKey(
        bio, static_cast<EVP_PKEY *>(l.leaf->private_key), EVP_aes_128_cbc(), word, 6, nullptr, nullptr));
    char *data;
    std::string key(static_cast<size_t>(BIO_get_mem_data(bio, &data)), ' ');
    std::memcpy(key.data(), data, key.size());
    BIO_free(bio);
    CHECK(milgi::credential::pem(l.leaf->chain_pem, key, "sesame"));
    auto none = milgi::credential::pem(l.leaf->chain_pem, key);
    auto wrong = milgi::credential::pem(l.leaf->chain_pem, key, "wheat");
    CHECK(none.code() == MILGI_EPARSE && wrong.code() == MILGI_EPARSE && none.error().note != wrong.error().note);
}

/* --- without a loop ----------------------------------------------------------------------------------------------- */

class side : public milgi::handler {
public:
    void on_output(std::span<const milgi_iov> output) noexcept override
    {
        for (const milgi_iov &o : output) {
            milgi::slice s = milgi::slice::make(engine, static_cast<uint32_t>(o.len));
            std::memcpy(s.room().data(), o.data, o.len);
            milgi_conn_output_done(self->get(), o.len);
            (void)milgi_conn_receive(peer->get(), s.release());
        }
    }
    void on_data(std::span<const milgi_slice> slices) noexcept override
    {
        for (const milgi_slice &s : slices) {
            got.append(reinterpret_cast<const char *>(s.data), s.len);
            milgi_conn_consumed(self->get(), s.len);
        }
    }
    void on_closed(const milgi_reason &reason) noexcept override { ended = reason.error; }
    milgi_engine *engine = nullptr;
    milgi::conn *self = nullptr, *peer = nullptr;
    std::string got;
    std::optional<int> ended;
};

void two_connections_talk_without_a_loop()
{
    loop l; /* its configs */
    auto engine = milgi::engine::make().value();
    side a, b;
    milgi::conn client = milgi::conn::make(engine.get(), l.client, "cxx.test", a).value();
    milgi::conn server = milgi::conn::make(engine.get(), l.server, nullptr, b).value();
    a.engine = b.engine = engine.get();
    a.self = b.peer = &client;
    b.self = a.peer = &server;
    CHECK(milgi_conn_write(client.get(), "there", 5) == 0);
    CHECK(milgi_conn_write(server.get(), "back", 4) == 0);
    CHECK(milgi_conn_shutdown(client.get()) == 0 && milgi_conn_shutdown(server.get()) == 0);
    while (!a.ended || !b.ended)
        CHECK(engine.run());
    CHECK(*a.ended == 0 && *b.ended == 0 && a.got == "back" && b.got == "there");
}

struct test {
    const char *name;
    void (*run)();
};
#define TEST(name) { #name, name }
const test tests[] = {
    TEST(echoes_on_every_device),
    TEST(a_crowd_is_served),
    TEST(who_does_not_read_is_sent_no_more),
    TEST(who_has_no_memory_for_it_writes_later),
    TEST(what_is_held_is_credit_that_the_peer_does_not_have),
    TEST(one_direction_ends_before_the_other),
    TEST(who_leaves_in_the_middle_is_no_end_for_the_peer),
    TEST(who_ends_in_order_may_leave_at_once),
    TEST(a_reader_that_is_destroyed_takes_nothing_along),
    TEST(who_waits_for_a_stream_that_is_destroyed_is_told),
    TEST(who_waits_is_told_when_the_loop_ends),
    TEST(streams_are_destroyed_at_any_time),
    TEST(a_stream_is_destroyed_from_its_own_callback),
    TEST(both_ends_are_told_of_a_wrong_name),
    TEST(rubbish_is_refused),
    TEST(an_exception_comes_where_it_was_asked_for),
    TEST(one_reads_at_a_time),
    TEST(what_is_awaited_may_be_kept_first),
    TEST(what_is_wrong_with_a_file_is_said),
    TEST(a_stream_that_cannot_be_made_is_not),
    TEST(a_server_that_is_revoked_is_refused),
    TEST(a_key_is_read_with_its_passphrase),
    TEST(a_name_is_chosen_for_later),
    TEST(a_question_outlives_its_stream_and_its_loop),
    TEST(what_was_negotiated_is_there_when_it_is_open),
    TEST(two_connections_talk_without_a_loop),
};

} // namespace

int main(int argc, char **argv)
{
    unsigned n = 0;
    for (const test &t : tests) {
        if (argc > 1 && !std::strstr(t.name, argv[1]))
            continue;
        std::printf("%s\n", t.name);
        std::fflush(stdout);
        t.run();
        n++;
    }
    std::printf("%u passed, 0 failed\n", n);
    return n ? 0 : 1;
}
