/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device whose private keys are on other machines: signatures are asked for at key servers, over mutual TLS by Milgi
 * itself, in Cloudflare's keyless protocol (gokeyless speaks it, and `milgi keyserver`).
 *
 * It is a device like the built-in ones: give it to any number of engines, in any event loop, for credentials made by
 * milgi_credential_new_uri(chain, len, "keyless:", ...); milgi_device_free() ends it. It has a thread of its own, with
 * an engine, a libuv loop and one connection to each server. Nothing that an engine calls blocks. The conventions of
 * <milgi/milgi.h> hold.
 *
 * WHICH SERVER. Each request goes to the server from which an answer is to be expected first, by what is in flight
 * there and how fast it was. When no answer has come after as long as 95 of 100 took lately, it goes to a second one,
 * too, and the first good answer counts; such requests are at most |hedge_percent| of all. A server that says nothing,
 * not even to a ping, is left alone until it does, and what it had not answered is asked elsewhere; so is what was
 * under way on a connection that ends. One whose signature does not verify, as engines find out, is left alone for a
 * minute, and that signature is asked for elsewhere. An error goes to the op only when no server is left that could do
 * better, or the time is over.
 */
#pragma once

#include <milgi/device_keyless.h>
#include <milgi/milgi.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MILGI_KEYLESS_SERVERS_MAX 16

struct milgi_keyless_options {
    /* "host:port,[v6]:port": names are resolved when they are connected to, without blocking. Copied. */
    const char *servers;
    /* A client's, frozen: whom it trusts, and the certificate that the servers want. A reference is taken. */
    struct milgi_config *config;
    const char *server_name; /* whose certificate is wanted, of every server; NULL: the host of each. Copied */
    uint64_t timeout_ns;     /* for a signature, with all that is tried for it; default 5 s, 1 ms to 1 h */
    uint32_t hedge_percent;  /* default 10; 0: no request is sent twice because the first answer takes long */
    uint32_t depth;          /* ops in flight per engine; default 16384, 1 to 65536 */
    uint64_t ping_ns;        /* a connection that is idle is asked whether it is alive; default 10 s, 1 ms to 1 h */
    /*
     * The device's, set before its thread begins, so that nothing is missed; may be NULL. |part| is "host:port". When
     * milgi_device_free() has begun nothing more is told.
     */
    void (*on_part)(void *ctx, struct milgi_device *device, const char *part, int code);
    void *part_ctx;
};

/* Fills in the defaults; servers and config are NULL. */
void milgi_keyless_options_init(struct milgi_keyless_options *options);

/*
 * Makes the device, and begins to connect. On failure *|device| is NULL and, when |why| is not NULL, *|why| is a static
 * text. Make it after fork(): in another process than its maker's it opens no queue pair, what is given to one of
 * before comes back BROKEN with MILGI_CODE_KEYLESS_FORK, and milgi_device_free() does nothing. Returns 0, MILGI_EINVAL
 * (an option), MILGI_ELIMIT (no thread or descriptor) or MILGI_ENOMEM. As milgi_uv_new() it has the process ignore
 * SIGPIPE, unless the application has said what becomes of that.
 */
MILGI_MUST_CHECK int milgi_keyless_new(
    const struct milgi_keyless_options *options, struct milgi_device **device, const char **why);

/* What it has done so far. Any thread. */
struct milgi_keyless_stats {
    uint64_t requests;  /* ops that came */
    uint64_t sent;      /* requests to servers, repeated ones too */
    uint64_t hedged;    /* of these: because an answer took long */
    uint64_t moved;     /* of these: because a server was lost or does not answer */
    uint64_t late;      /* answers that nobody waited for any more */
    uint64_t failed;    /* ops that came back BROKEN */
    uint64_t wrong;     /* signatures that do not verify; their servers are left alone for a minute */
    uint64_t connected; /* connections that stood */
    uint32_t up;        /* servers that answer now */
};
void milgi_keyless_stats(struct milgi_device *device, struct milgi_keyless_stats *stats);

#ifdef __cplusplus
}
#endif
