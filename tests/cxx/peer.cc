/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The other end of tests/ssl/matrix/ends.c, which says what both say to each other: coroutines over libuv's streams.
 *
 * peer DEVICE server CERTIFICATE KEY
 * peer DEVICE client PORT ANCHOR WAY BYTES CONNECTIONS
 *
 * DEVICE besides the cpu, or "cpu". Servers take both versions, clients offer both, or with ENDS_TLS12 TLS 1.2 alone.
 */
#include "rig.hpp"

#include <csignal>
#include <string>

using milgi::stream;
using milgi::task;
using rig::pattern;

namespace {

constexpr size_t HEAD = 9;

uv_loop_t loop;
milgi_uv *uv;
milgi::config config;
std::string way;
uint64_t bytes;
unsigned shaking, done_n, failed_n, wrong_n, gone_n, alive;

/* A millisecond. */
class nap {
public:
    nap() : timer(new uv_timer_t) { uv_timer_init(&loop, timer); }
    nap(const nap &) = delete;
    ~nap()
    {
        uv_close(reinterpret_cast<uv_handle_t *>(timer), [](uv_handle_t *t) { delete reinterpret_cast<uv_timer_t *>(t); });
    }
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> who)
    {
        timer->data = who.address();
        uv_timer_start(
            timer, [](uv_timer_t *t) { std::coroutine_handle<>::from_address(t->data).resume(); }, 1, 0);
    }
    void await_resume() const noexcept {}

private:
    uv_timer_t *timer;
};

/* --- both ends ---------------------------------------------------------------------------------------------------- */

/* All of |len| bytes of the pattern, and our end behind them. */
task<> say(stream &s, uint64_t len)
{
    std::array<std::byte, 16384> block;
    size_t most = way == "slow-write" ? 300 : block.size();
    for (uint64_t at = 0; at < len;) {
        size_t n = std::min<uint64_t>(most, len - at);
        for (size_t i = 0; i < n; i++)
            block[i] = pattern(at + i);
        (co_await s.write({ block.data(), n })).value();
        at += n;
        if (way == "slow-write")
            co_await nap();
    }
    (co_await s.shutdown()).value();
}

/* To the peer's end: that it was all of |len| bytes of the pattern. */
task<> hear(stream &s, uint64_t len)
{
    std::array<std::byte, 16384> block;
    size_t most = way == "slow-read" ? 4096 : block.size();
    uint64_t at = 0;
    for (;;) {
        size_t n = (co_await s.read({ block.data(), most })).value();
        if (!n)
            break;
        for (size_t i = 0; i < n; i++)
            wrong_n += block[i] != pattern(at + i);
        at += n;
        if (way == "slow-read")
            co_await nap();
    }
    wrong_n += at != len;
}

/* --- a server ----------------------------------------------------------------------------------------------------- */

task<> echo(stream &s, bool copies)
{
    std::array<std::byte, 5000> block;
    for (;;) {
        if (copies) {
            size_t n = (co_await s.read(block)).value();
            if (!n)
                break;
            (co_await s.write({ block.data(), n })).value();
        } else {
            auto got = (co_await s.receive()).value();
            if (got.bytes().empty())
                break;
            (co_await s.send(std::move(got))).value();
        }
    }
    (co_await s.shutdown()).value();
}

task<> attend(stream &s)
{
    std::array<std::byte, HEAD> head;
    uint64_t len = 0;
    (co_await s.open()).value();
    for (size_t have = 0; have < HEAD;) {
        size_t n = (co_await s.read({ head.data() + have, HEAD - have })).value();
        if (!n)
            co_return;
        have += n;
    }
    for (size_t i = 1; i < HEAD; i++)
        len = len << 8 | static_cast<unsigned>(head[i]);
    if (head[0] == std::byte{ 'f' }) {
        co_await say(s, len);
        co_await hear(s, len);
    } else {
        co_await echo(s, len % 2);
    }
    (co_await s.closed()).value();
}

task<> serve(stream s)
{
    try {
        co_await attend(s);
        done_n++;
    } catch (const milgi::error &) { /* who has gone, or was not understood: the client judges */
        failed_n++;
    }
}

int server(char **argv)
{
    static uv_tcp_t tcp;
    static uv_signal_t term;
    sockaddr_in address;
    int len = sizeof address;
    config = milgi::config::server().with(milgi::credential::load(argv[3], argv[4]).value()).versions(0x0303, 0x0304)
                 .freeze().value();
    uv_tcp_init(&loop, &tcp);
    uv_signal_init(&loop, &term);
    uv_signal_start(
        &term,
        [](uv_signal_t *signal, int) {
            uv_close(reinterpret_cast<uv_handle_t *>(signal), nullptr);
            uv_close(reinterpret_cast<uv_handle_t *>(&tcp), nullptr);
            milgi_uv_stop(std::exchange(uv, nullptr), nullptr, nullptr);
        },
        SIGTERM);
    uv_ip4_addr("127.0.0.1", 0, &address);
    uv_tcp_bind(&tcp, reinterpret_cast<sockaddr *>(&address), 0);
    CHECK(uv_listen(reinterpret_cast<uv_stream_t *>(&tcp), 1024, [](uv_stream_t *from, int status) {
        if (status)
            return;
        auto s = stream::make(milgi_uv_engine(uv), [&](auto *events, void *arg, milgi_stream **out) {
            return milgi_uv_accept(uv, from, config.get(), events, arg, out);
        });
        if (s)
            serve(std::move(*s)).detach();
        else
            wrong_n++;
    }) == 0);
    uv_tcp_getsockname(&tcp, reinterpret_cast<sockaddr *>(&address), &len);
    std::printf("port %d\n", ntohs(address.sin_port));
    std::fflush(stdout);
    uv_run(&loop, UV_RUN_DEFAULT);
    std::printf("served %u, failed %u, wrong %u\n", done_n, failed_n, wrong_n);
    return wrong_n != 0;
}

/* --- a client ----------------------------------------------------------------------------------------------------- */

task<> talk(stream &s, bool &open)
{
    std::array<std::byte, HEAD> head{ way == "first" ? std::byte{ 'f' } : std::byte{ 'e' } };
    for (size_t i = 1; i < HEAD; i++)
        head[i] = static_cast<std::byte>(bytes >> 8 * (HEAD - 1 - i));
    (co_await s.open()).value();
    open = true;
    shaking--;
    while (shaking && way != "abrupt")
        co_await nap();
    (co_await s.write(head)).value();
    if (way == "first") {
        co_await hear(s, bytes);
        co_await say(s, bytes);
    } else {
        auto saying = say(s, bytes);
        saying.start();
        co_await hear(s, bytes);
        co_await saying;
    }
    (co_await s.closed()).value();
}

struct visit {
    stream s;
    task<> doing;
};

/* By a pointer: who ends a visit from outside destroys both. */
task<> meet(visit *v)
{
    bool open = false;
    try {
        co_await talk(v->s, open);
        done_n++;
    } catch (const milgi::error &e) {
        failed_n++;
        shaking -= !open;
        if (way != "abrupt" && way != "try")
            std::fprintf(stderr, "%s\n", e.what());
    }
    alive--;
}

std::unique_ptr<visit> begin(int port)
{
    sockaddr_in address;
    uv_ip4_addr("127.0.0.1", port, &address);
    const char *name = std::getenv("ENDS_NAME");
    auto v = std::make_unique<visit>();
    v->s = stream::make(milgi_uv_engine(uv), [&](auto *events, void *arg, milgi_stream **out) {
        return milgi_uv_connect(
            uv, reinterpret_cast<sockaddr *>(&address), config.get(), name ? name : "localhost", events, arg, out);
    }).value();
    shaking++;
    alive++;
    v->doing = meet(v.get());
    v->doing.start();
    return v;
}

/* One after the other goes, each a turn later than the one before. */
void come_and_go(int port, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        auto v = begin(port);
        for (unsigned turn = 0; turn < i % 40; turn++)
            uv_run(&loop, UV_RUN_NOWAIT);
        gone_n += !v->doing.done();
        if (i % 3 == 1 && v->s.get())
            v->s.reset();
        if (i % 3 == 2 && v->s.get())
            milgi_stream_drop(v->s.get());
    }
}

int client(char **argv)
{
    int port = std::atoi(argv[3]);
    unsigned n = static_cast<unsigned>(std::strtoul(argv[7], nullptr, 10));
    uint16_t max = std::getenv("ENDS_TLS12") ? 0x0303 : 0x0304;
    config = milgi::config::client().trusts(milgi::trust::load(argv[4]).value()).versions(0x0303, max).freeze().value();
    way = argv[5];
    bytes = std::strtoull(argv[6], nullptr, 10);
    if (way == "abrupt") {
        come_and_go(port, n);
    } else {
        std::vector<std::unique_ptr<visit>> visits;
        while (visits.size() < n)
            visits.push_back(begin(port));
        while (alive)
            uv_run(&loop, UV_RUN_ONCE);
    }
    milgi_uv_stop(std::exchange(uv, nullptr), nullptr, nullptr);
    uv_run(&loop, UV_RUN_DEFAULT);
    std::printf("%s: %u well, %u failed, %u gone, %u wrong\n", argv[5], done_n, failed_n, gone_n, wrong_n);
    return wrong_n || (way == "abrupt" ? gone_n * 2 < n : way == "try" ? done_n * 2 < n : done_n != n);
}

int with_device(int argc, char **argv)
{
    milgi::device device;
    if (std::strcmp(argv[1], "cpu")) {
        device = milgi::device::make(argv[1]).value();
        int index = milgi_engine_add_device(milgi_uv_engine(uv), device.get());
        CHECK(index > 0);
        CHECK(milgi_engine_route(milgi_uv_engine(uv), device.get()->caps.ops, static_cast<unsigned>(index), 1) == 0);
    }
    int status = argc == 8 ? client(argv) : server(argv);
    config = {};
    CHECK(uv_loop_close(&loop) == 0);
    return status;
}

} // namespace

int main(int argc, char **argv)
{
    if (argc != 5 && argc != 8)
        return 2;
    CHECK(uv_loop_init(&loop) == 0 && uv_loop_close(&loop) == 0); /* makes what libuv keeps for the process */
    unsigned before = rig::descriptors();
    CHECK(uv_loop_init(&loop) == 0 && milgi_uv_new(&loop, nullptr, &uv) == 0);
    try {
        int status = with_device(argc, argv);
        CHECK(rig::descriptors() == before);
        return status;
    } catch (const milgi::error &e) {
        std::fprintf(stderr, "%s\n", e.what());
        return 1;
    }
}
