/* SPDX-License-Identifier: Apache-2.0 */
/* A libuv loop with two streams over a socket pair, and what a test in C++ says. */
#pragma once

#include <milgi.hpp>
#include <milgi_uv.h>

extern "C" {
#include "configs.h"
}

#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <sys/socket.h>
#include <unistd.h>

#define CHECK(what) \
    do { \
        if (!(what)) { \
            std::fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #what); \
            std::abort(); \
        } \
    } while (0)

namespace rig {

inline std::byte pattern(size_t at)
{
    return static_cast<std::byte>(at * 31 + (at >> 9));
}

/* How many bytes: MILGI_TESTS_ECHO, or |usual|. */
inline size_t asked(const char *name, size_t usual)
{
    const char *text = std::getenv(name);
    return text ? std::strtoull(text, nullptr, 10) : usual;
}

inline unsigned descriptors()
{
    unsigned n = 0;
    for (int fd = 0; fd < 4096; fd++)
        if (lseek(fd, 0, SEEK_CUR) >= 0 || errno != EBADF)
            n++;
    return n;
}

/* A loop with an adapter, |device| beside the cpu for all that it takes, and configs for both ends. */
class loop {
public:
    explicit loop(const char *spec = nullptr, size_t memory = 0)
    {
        CHECK(uv_loop_init(&uv) == 0 && uv_loop_close(&uv) == 0); /* makes what libuv keeps for the process */
        before = descriptors();
        CHECK(uv_loop_init(&uv) == 0);
        milgi_stream_options options;
        milgi_stream_options_init(&options);
        options.linger_ms = 200;
        options.engine.memory_limit = memory ? memory : options.engine.memory_limit;
        CHECK(milgi_uv_new(&uv, &options, &adapter) == 0);
        if (spec) {
            device = milgi::device::make(spec).value();
            int index = milgi_engine_add_device(engine(), device.get());
            CHECK(index > 0);
            CHECK(milgi_engine_route(engine(), device.get()->caps.ops, static_cast<unsigned>(index), 1) == 0);
        }
        root = identity_root(IDENTITY_P256, "root");
        leaf = identity_leaf(root, IDENTITY_P256, "DNS:cxx.test");
        other = identity_leaf(root, IDENTITY_P256, "DNS:other.test");
        server = server_with(leaf).freeze().value();
        client = client_trusting(root).freeze().value();
        uv_timer_init(&uv, &limit);
        limit.data = this;
        uv_timer_start(
            &limit, [](uv_timer_t *t) { static_cast<loop *>(t->data)->late = true; }, 120000, 0);
        uv_unref(reinterpret_cast<uv_handle_t *>(&limit));
    }
    loop(const loop &) = delete;
    ~loop()
    {
        stop();
        device = {};
        identity_free(leaf);
        identity_free(other);
        identity_free(root);
        CHECK(descriptors() == before);
    }

    /* The adapter's end: no stream is left, and no engine. */
    void stop()
    {
        if (!adapter)
            return;
        milgi_uv_stop(std::exchange(adapter, nullptr), nullptr, nullptr);
        uv_close(reinterpret_cast<uv_handle_t *>(&limit), nullptr);
        uv_run(&uv, UV_RUN_DEFAULT);
        CHECK(uv_loop_close(&uv) == 0);
    }

    static milgi::credential credential_of(const identity *of)
    {
        return milgi::credential::pem(of->chain_pem, of->key_pem).value();
    }
    milgi::config::builder server_with(const identity *of) const
    {
        return milgi::config::server().with(credential_of(of));
    }
    milgi::config::builder client_trusting(const identity *anchor) const
    {
        return milgi::config::client().trusts(milgi::trust::pem(anchor->cert_pem).value());
    }

    milgi_engine *engine() const { return milgi_uv_engine(adapter); }
    milgi::stream open(int fd, const milgi::config &config, const char *name) const
    {
        return milgi::stream::make(engine(), [&](auto *events, void *arg, milgi_stream **out) {
            return milgi_uv_open(adapter, fd, config.get(), name, events, arg, out);
        }).value();
    }
    /* Client and server, in this order. */
    std::pair<milgi::stream, milgi::stream> pair(const char *name = "cxx.test") const
    {
        int fd[2];
        CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) == 0);
        return { open(fd[0], client, name), open(fd[1], server, nullptr) };
    }

    /* Until it is so. */
    template <class F> void until(F &&so)
    {
        while (!so()) {
            CHECK(!late);
            uv_run(&uv, UV_RUN_ONCE);
        }
    }
    void until_gone()
    {
        until([&] { return milgi_uv_streams(adapter) == 0; });
    }
    void turns(unsigned n)
    {
        while (n--)
            uv_run(&uv, UV_RUN_NOWAIT);
    }

    uv_loop_t uv;
    milgi_uv *adapter = nullptr;
    identity *root, *leaf, *other;
    milgi::config server, client;

private:
    milgi::device device;
    uv_timer_t limit;
    unsigned before;
    bool late = false;
};

} // namespace rig
