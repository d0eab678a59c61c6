/* SPDX-License-Identifier: Apache-2.0 */
/* The TLS side of the load: a config and an engine for all clients. */
#include "load.h"

#include <stdlib.h>
#include <string.h>

void must(int rv, const char *what)
{
    if (rv >= 0)
        return;
    fprintf(stderr, "milgi_load: %s: %s\n", what, milgi_error_text(rv));
    exit(1);
}

uint64_t now_ms(void)
{
    return uv_hrtime() / 1000000;
}

static void fail(const char *what)
{
    fprintf(stderr, "milgi_load: %s\n", what);
    exit(1);
}

/* --- a ClientHello to be sent by hand ----------------------------------------------------------------------------- */

static void on_hello(struct milgi_conn *conn, void *arg, const struct milgi_iov *iov, size_t iov_n)
{
    struct side *side = arg;
    (void)conn;
    for (size_t i = 0; i < iov_n; i++) {
        uint8_t *grown = realloc(side->hello, side->hello_len + iov[i].len);
        if (!grown)
            fail("no memory");
        memcpy(grown + side->hello_len, iov[i].data, iov[i].len);
        side->hello = grown;
        side->hello_len += iov[i].len;
    }
}

static void make_hello(struct side *side)
{
    static const struct milgi_events events = { .on_output = on_hello };
    struct milgi_engine *engine;
    struct milgi_conn *conn;
    struct milgi_run_result result;
    must(milgi_engine_new(NULL, &engine), "engine");
    must(milgi_conn_new(engine, side->config, side->options->name, &events, side, &conn), "connection");
    for (int turns = 0; turns < 100 && !side->hello_len; turns++)
        milgi_engine_run(engine, 0, &result);
    milgi_conn_free(conn);
    milgi_engine_free(engine);
    if (side->hello_len < 64 || side->hello[0] != 22)
        fail("no ClientHello");
}

/* ------------------------------------------------------------------------------------------------------------------ */

static void make_config(struct side *side, uint64_t credit)
{
    struct milgi_trust *trust;
    const char *why = NULL;
    side->config = milgi_config_new(MILGI_CLIENT);
    if (!side->config)
        fail("no memory");
    must(milgi_trust_new_file(side->options->ca, &trust), side->options->ca);
    must(milgi_config_set_trust(side->config, trust), "trust");
    milgi_trust_unref(trust);
    must(milgi_config_set_limit(side->config, MILGI_LIMIT_CREDIT, credit), "credit");
    must(milgi_config_set_limit(side->config, MILGI_LIMIT_INPUT, 16384), "input");
    must(milgi_config_set_limit(side->config, MILGI_LIMIT_OUTPUT, 65536), "output");
    /* How long a handshake takes in a crowd is what is to be seen, not a failure. */
    must(milgi_config_set_limit(side->config, MILGI_LIMIT_HANDSHAKE_NS, UINT64_C(120000000000)), "deadline");
    must(milgi_config_freeze(side->config, &why), why ? why : "config");
}

void side_open(struct side *side, uv_loop_t *loop, const struct load_options *options, uint64_t credit)
{
    char host[64];
    const char *colon = strrchr(options->connect, ':');
    *side = (struct side){ .loop = loop, .options = options };
    if (!colon || (size_t)(colon - options->connect) >= sizeof host)
        fail("--connect ADDRESS:PORT");
    memcpy(host, options->connect, (size_t)(colon - options->connect));
    host[colon - options->connect] = '\0';
    if (uv_ip4_addr(host, atoi(colon + 1), (struct sockaddr_in *)&side->address))
        fail("--connect ADDRESS:PORT");
    make_config(side, credit);
    make_hello(side);
    must(milgi_uv_new(loop, NULL, &side->uv), "engine");
}

void side_shook(struct side *side, uint64_t begin_ms)
{
    uint64_t took = now_ms() - begin_ms;
    side->slowest_ms = took > side->slowest_ms ? took : side->slowest_ms;
}

void side_close(struct side *side)
{
    milgi_uv_stop(side->uv, NULL, NULL);
    uv_run(side->loop, UV_RUN_DEFAULT);
    milgi_config_unref(side->config);
    free(side->hello);
}
