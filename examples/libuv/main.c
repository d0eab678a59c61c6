/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS over TCP in a libuv loop: an echo server and a client of it, both in one loop and one engine.
 *
 *   example_libuv CHAIN.pem KEY.pem CA.pem [DEVICE]
 *
 * The server's certificate must be for "localhost". DEVICE is a device description such as pool:2. Exit status 0: the
 * client got back what it had sent, and both ends were in order.
 */
#include <milgi_uv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGE "pushed through a device and back\n"

struct example {
    uv_loop_t loop;
    uv_tcp_t listener;
    struct milgi_uv *uv;
    struct milgi_config *server, *client;
    char got[64];
    size_t got_len;
    int in_order; /* of the two ends */
};

static void must(int rc, const char *what)
{
    if (rc >= 0)
        return;
    fprintf(stderr, "%s: %s\n", what, milgi_error_text(rc));
    exit(1);
}

/* --- the server: what comes goes back, and so does the end ------------------------------------------------------- */

static void server_data(struct milgi_uv_stream *stream, void *arg, const struct milgi_slice *slices, size_t slices_n)
{
    (void)arg;
    for (size_t i = 0; i < slices_n; i++) {
        struct milgi_slice kept;
        /* The slice is lent; one with a reference of its own can be sent as it is, without a copy. */
        must(milgi_slice_keep(&slices[i], &kept), "slice");
        must(milgi_uv_send(stream, kept), "send");
        milgi_uv_consumed(stream, slices[i].len);
    }
}

static void server_end(struct milgi_uv_stream *stream, void *arg)
{
    (void)arg;
    milgi_uv_shutdown(stream);
}

static void on_close(struct milgi_uv_stream *stream, void *arg, const struct milgi_reason *reason)
{
    struct example *e = arg;
    (void)stream;
    if (reason->error)
        fprintf(stderr, "%s: %s\n", milgi_error_text(reason->error), reason->detail);
    else
        e->in_order++;
}

static const struct milgi_uv_events server_events = {
    .on_data = server_data,
    .on_end = server_end,
    .on_close = on_close,
};

static void on_connection(uv_stream_t *listener, int status)
{
    struct example *e = listener->data;
    struct milgi_uv_stream *stream;
    must(status ? MILGI_ETRANSPORT : 0, "listen");
    must(milgi_uv_accept(e->uv, listener, e->server, &server_events, e, &stream), "accept");
    uv_close((uv_handle_t *)listener, NULL); /* one client is enough */
}

/* --- the client --------------------------------------------------------------------------------------------------- */

static void client_open(struct milgi_uv_stream *stream, void *arg)
{
    struct milgi_conn_info info;
    (void)arg;
    milgi_conn_info(milgi_uv_conn(stream), &info);
    printf("%s, %s\n", milgi_suite_name(info.suite), milgi_group_name(info.group));
    must(milgi_uv_write(stream, MESSAGE, strlen(MESSAGE)), "write");
    milgi_uv_shutdown(stream);
}

static void client_data(struct milgi_uv_stream *stream, void *arg, const struct milgi_slice *slices, size_t slices_n)
{
    struct example *e = arg;
    for (size_t i = 0; i < slices_n; i++) {
        size_t room = sizeof e->got - e->got_len, n = slices[i].len < room ? slices[i].len : room;
        memcpy(e->got + e->got_len, slices[i].data, n);
        e->got_len += n;
        milgi_uv_consumed(stream, slices[i].len);
    }
}

static const struct milgi_uv_events client_events = {
    .on_open = client_open,
    .on_data = client_data,
    .on_close = on_close,
};

/* --- both --------------------------------------------------------------------------------------------------------- */

static void make_configs(struct example *e, char **argv)
{
    struct milgi_credential *credential;
    struct milgi_trust *trust;
    e->server = milgi_config_new(MILGI_SERVER);
    e->client = milgi_config_new(MILGI_CLIENT);
    must(milgi_credential_new_file(argv[1], argv[2], &credential), argv[1]);
    must(milgi_config_add_credential(e->server, credential), "credential");
    must(milgi_trust_new_file(argv[3], &trust), argv[3]);
    must(milgi_config_set_trust(e->client, trust), "trust");
    must(milgi_config_freeze(e->server, NULL), "server");
    must(milgi_config_freeze(e->client, NULL), "client");
    milgi_credential_unref(credential);
    milgi_trust_unref(trust);
}

static void start(struct example *e)
{
    struct sockaddr_storage address;
    struct milgi_uv_stream *stream;
    int len = sizeof address;
    uv_ip4_addr("127.0.0.1", 0, (struct sockaddr_in *)&address);
    uv_tcp_init(&e->loop, &e->listener);
    e->listener.data = e;
    uv_tcp_bind(&e->listener, (struct sockaddr *)&address, 0);
    must(uv_listen((uv_stream_t *)&e->listener, 1, on_connection) ? MILGI_ETRANSPORT : 0, "listen");
    uv_tcp_getsockname(&e->listener, (struct sockaddr *)&address, &len);
    must(milgi_uv_connect(e->uv, (struct sockaddr *)&address, e->client, "localhost", &client_events, e, &stream),
        "connect");
}

int main(int argc, char **argv)
{
    struct example e = { 0 };
    struct milgi_device *device = NULL;
    if (argc < 4) {
        fprintf(stderr, "example_libuv CHAIN.pem KEY.pem CA.pem [DEVICE]\n");
        return 2;
    }
    uv_loop_init(&e.loop);
    must(milgi_uv_new(&e.loop, NULL, &e.uv), "engine");
    if (argc > 4) {
        must(milgi_device_new(argv[4], &device, NULL), argv[4]);
        int index = milgi_engine_add_device(milgi_uv_engine(e.uv), device);
        must(index, argv[4]);
        must(milgi_engine_route(milgi_uv_engine(e.uv), device->caps.ops, (unsigned)index, 1), argv[4]);
    }
    make_configs(&e, argv);
    start(&e);
    uv_run(&e.loop, UV_RUN_DEFAULT); /* until both streams are gone */
    milgi_uv_stop(e.uv, NULL, NULL);
    uv_run(&e.loop, UV_RUN_DEFAULT); /* until the engine is */
    uv_loop_close(&e.loop);
    milgi_device_free(device);
    milgi_config_unref(e.server);
    milgi_config_unref(e.client);
    fwrite(e.got, 1, e.got_len, stdout);
    bool same = e.got_len == strlen(MESSAGE) && !memcmp(e.got, MESSAGE, e.got_len);
    return same && e.in_order == 2 ? 0 : 1;
}
