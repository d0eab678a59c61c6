/* SPDX-License-Identifier: Apache-2.0 */
/* See room.h. */
#include "room.h"

#define HOUR_MS 3600000u

static void on_accepted(void *arg, int fd)
{
    struct room *r = arg;
    if (fd < 0) {
        r->refused_n++;
        return;
    }
    assert_true(r->served_n < ROOM_MAX);
    struct end *e = &r->served[r->served_n++];
    assert_int_equal(milgi_uring_open(r->u, fd, r->server, NULL, &events, e, &e->stream), 0);
}

static struct milgi_config *patient(struct milgi_config *config)
{
    assert_int_equal(milgi_config_set_limit(config, MILGI_LIMIT_HANDSHAKE_NS, HOUR_MS * UINT64_C(1000000)), 0);
    return configs_freeze(config);
}

void room_open(struct room *r, const char *device)
{
    struct milgi_stream_options options;
    memset(r, 0, sizeof *r);
    r->descriptors = descriptors();
    milgi_stream_options_init(&options);
    options.linger_ms = options.flush_ms = options.flush_total_ms = HOUR_MS;
    memset(options.engine.op_timeout_ns, 0, sizeof options.engine.op_timeout_ns);
    assert_int_equal(milgi_uring_new(&options, &r->u), 0);
    if (device)
        r->device = device_for(milgi_uring_engine(r->u), device);
    r->root = identity_root(IDENTITY_P256, "root");
    r->leaf = identity_leaf(r->root, IDENTITY_P256, "DNS:uring.test");
    r->server = patient(configs_begin(MILGI_SERVER, r->leaf, NULL));
    r->client = patient(configs_begin(MILGI_CLIENT, NULL, r->root));
    r->fd = listener(&r->address);
    assert_int_equal(listen(r->fd, ROOM_MAX), 0);
    assert_int_equal(milgi_uring_listen(r->u, r->fd, on_accepted, r, &r->listener), 0);
}

void connect_to(struct room *r, struct end *e)
{
    struct sockaddr *to = (struct sockaddr *)&r->address;
    assert_int_equal(
        milgi_uring_connect(r->u, to, sizeof r->address, r->client, "uring.test", &events, e, &e->stream), 0);
}

void room_close(struct room *r)
{
    milgi_uring_stop(r->u, NULL, NULL);
    while (milgi_uring_run(r->u, 20000) >= 0) {
    }
    close(r->fd);
    milgi_device_free(r->device);
    milgi_config_unref(r->server);
    milgi_config_unref(r->client);
    identity_free(r->leaf);
    identity_free(r->root);
    assert_int_equal(descriptors(), r->descriptors);
}

void run_for(struct room *r, const bool *what)
{
    while (!*what)
        assert_true(milgi_uring_run(r->u, 20000) >= 0);
}

void run_for_bytes(struct room *r, const struct end *e, size_t len)
{
    while (e->got_len < len && !e->closed)
        assert_true(milgi_uring_run(r->u, 20000) >= 0);
    assert_int_equal(e->got_len, len);
}
