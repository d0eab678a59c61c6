/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Coroutines over TLS, in a libuv loop: an echo server, and a client for it.
 *
 *   example_cxx CHAIN.pem KEY.pem [PORT]              prints the port that it listens on; SIGTERM ends it
 *   example_cxx client CA.pem PORT BYTES [LITTLE]     sends so many bytes, ends its half, and reads what comes back, by
 *                                                     LITTLE bytes at a time
 */
#include <milgi.hpp>
#include <milgi_uv.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

uv_loop_t *loop;
uv_tcp_t tcp;
uv_signal_t term;
milgi_uv *uv;

/* --- what the README shows ---------------------------------------------------------------------------------------- */

milgi::task<> echo(milgi::stream s)
{
    for (;;) {
        auto data = co_await s.receive(); /* no copy, and the peer may send more when it has gone out again */
        if (!data)
            co_return; /* cut: so is our direction */
        if (data->bytes().empty())
            break;
        if (!co_await s.send(std::move(*data)))
            co_return;
    }
    (void)co_await s.shutdown();
    (void)co_await s.closed();
}

void serve(const char *chain, const char *key)
{
    static auto config = milgi::config::server().with(milgi::credential::load(chain, key).value()).freeze().value();
    uv_listen(reinterpret_cast<uv_stream_t *>(&tcp), 128, [](uv_stream_t *server, int status) {
        if (status)
            return;
        auto s = milgi::stream::make(milgi_uv_engine(uv), [&](auto *events, void *arg, milgi_stream **stream) {
            return milgi_uv_accept(uv, server, config.get(), events, arg, stream);
        });
        if (s)
            echo(std::move(*s)).detach();
        else
            std::fprintf(stderr, "a connection was not taken: %s\n", s.error().text().c_str());
    });
}

/* --- and the client ----------------------------------------------------------------------------------------------- */

std::byte pattern(size_t at)
{
    return static_cast<std::byte>(at * 31 + (at >> 9));
}

milgi::task<> send(milgi::stream &s, size_t len)
{
    std::array<std::byte, 16384> block;
    for (size_t at = 0; at < len;) {
        size_t n = std::min(block.size(), len - at);
        for (size_t i = 0; i < n; i++)
            block[i] = pattern(at + i);
        (co_await s.write({ block.data(), n })).value();
        at += n;
    }
    (co_await s.shutdown()).value();
}

milgi::task<int> client(milgi::stream s, size_t len, size_t little)
{
    std::vector<std::byte> block(little);
    (co_await s.open()).value();
    auto sending = send(s, len);
    sending.start();
    size_t at = 0;
    for (size_t n; (n = (co_await s.read(block)).value());)
        for (size_t i = 0; i < n; i++)
            if (block[i] != pattern(at++))
                co_return 1;
    co_await sending;
    (co_await s.closed()).value();
    std::printf("%zu bytes came back, %s\n", at, milgi_suite_name(s.info().suite));
    co_return at == len ? 0 : 1;
}

milgi::task<> run_client(milgi::stream s, size_t len, size_t little, int &status)
{
    try {
        status = co_await client(std::move(s), len, little);
    } catch (const milgi::error &e) {
        std::fprintf(stderr, "%s\n", e.what());
    }
    milgi_uv_stop(uv, nullptr, nullptr);
}

int connect(int argc, char **argv)
{
    sockaddr_in address;
    int status = 1;
    auto config = milgi::config::client().trusts(milgi::trust::load(argv[2]).value()).freeze().value();
    uv_ip4_addr("127.0.0.1", std::atoi(argv[3]), &address);
    auto s = milgi::stream::make(milgi_uv_engine(uv), [&](auto *events, void *arg, milgi_stream **stream) {
        return milgi_uv_connect(
            uv, reinterpret_cast<sockaddr *>(&address), config.get(), "localhost", events, arg, stream);
    });
    size_t little = argc > 5 ? std::strtoull(argv[5], nullptr, 10) : 16384;
    run_client(std::move(s).value(), std::strtoull(argv[4], nullptr, 10), little, status).detach();
    uv_run(loop, UV_RUN_DEFAULT);
    return status;
}

int listen(char **argv)
{
    sockaddr_in address;
    int len = sizeof address;
    uv_tcp_init(loop, &tcp);
    uv_signal_init(loop, &term);
    uv_signal_start(
        &term,
        [](uv_signal_t *signal, int) {
            uv_close(reinterpret_cast<uv_handle_t *>(signal), nullptr);
            uv_close(reinterpret_cast<uv_handle_t *>(&tcp), nullptr);
            milgi_uv_stop(uv, nullptr, nullptr); /* who waits is told, and ends */
        },
        SIGTERM);
    uv_ip4_addr("127.0.0.1", argv[3] ? std::atoi(argv[3]) : 0, &address);
    uv_tcp_bind(&tcp, reinterpret_cast<sockaddr *>(&address), 0);
    uv_tcp_getsockname(&tcp, reinterpret_cast<sockaddr *>(&address), &len);
    std::printf("port %d\n", ntohs(address.sin_port));
    std::fflush(stdout);
    serve(argv[1], argv[2]);
    uv_run(loop, UV_RUN_DEFAULT);
    return 0;
}

} // namespace

int main(int argc, char **argv)
{
    bool is_client = argc > 4 && !std::strcmp(argv[1], "client");
    if (argc < 3) {
        std::fprintf(stderr, "example_cxx CHAIN.pem KEY.pem [PORT]\nexample_cxx client CA.pem PORT BYTES [LITTLE]\n");
        return 2;
    }
    loop = uv_default_loop();
    if (milgi_uv_new(loop, nullptr, &uv)) {
        std::fprintf(stderr, "no engine\n");
        return 1;
    }
    try {
        int status = is_client ? connect(argc, argv) : listen(argv);
        return uv_loop_close(loop) ? 1 : status;
    } catch (const milgi::error &e) {
        std::fprintf(stderr, "%s\n", e.what());
        return 1;
    }
}
