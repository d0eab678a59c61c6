/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libevent's own TLS, over OpenSSL, as the other end. MILGI_TESTS_FULL: 100 MB, and a crowd of 1000, on each device;
 * see docs/testing.md. ctest-timeout: 900
 */
#include <event2/bufferevent_ssl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "rig.h"

static const char *const devices[] = { NULL, "pool:2", "batch",
    "chaos:seed=7,refuse=0.2,max_delay=100us,reorder=0.5", "chaos:seed=5,fail=0.05" };

static bool full;

struct foreign {
    SSL_CTX *ctx;
    SSL *ssl;
    struct bufferevent *bev;
    size_t got_len;
    bool eof, connected;
};

static void on_foreign_read(struct bufferevent *bev, void *arg)
{
    struct foreign *f = arg;
    f->got_len += evbuffer_get_length(bufferevent_get_input(bev));
    bufferevent_write_buffer(bev, bufferevent_get_input(bev));
}

static void on_foreign_event(struct bufferevent *bev, short what, void *arg)
{
    struct foreign *f = arg;
    (void)bev;
    f->eof = f->eof || what & BEV_EVENT_EOF;
    f->connected = f->connected || what & BEV_EVENT_CONNECTED;
}

static void foreign_open(struct rig *r, struct foreign *f, int fd, bool server, int version)
{
    *f = (struct foreign){ .ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method()) };
    if (server) {
        assert_int_equal(SSL_CTX_use_certificate(f->ctx, r->leaf->certificate), 1);
        assert_int_equal(SSL_CTX_use_PrivateKey(f->ctx, r->leaf->private_key), 1);
    }
    assert_int_equal(SSL_CTX_set_min_proto_version(f->ctx, version), 1);
    assert_int_equal(SSL_CTX_set_max_proto_version(f->ctx, version), 1);
    f->ssl = SSL_new(f->ctx);
    if (!server)
        SSL_set_tlsext_host_name(f->ssl, "event.test");
    evutil_make_socket_nonblocking(fd);
    f->bev = bufferevent_openssl_socket_new(r->base, fd, f->ssl,
        server ? BUFFEREVENT_SSL_ACCEPTING : BUFFEREVENT_SSL_CONNECTING, BEV_OPT_CLOSE_ON_FREE);
    assert_non_null(f->bev);
    bufferevent_setcb(f->bev, on_foreign_read, NULL, on_foreign_event, f);
    bufferevent_enable(f->bev, EV_READ | EV_WRITE);
}

static void foreign_close(struct foreign *f, bool in_order)
{
    if (in_order)
        SSL_shutdown(f->ssl);
    else
        SSL_set_quiet_shutdown(f->ssl, 1);
    bufferevent_free(f->bev);
    SSL_CTX_free(f->ctx);
}

static void allow_both_versions(struct milgi_config **config)
{
    assert_int_equal(milgi_config_set_versions(*config, 0x0303, 0x0304), 0);
}

/* Both versions at our end, and one of these devices. False: it is not here. */
static bool begin(struct rig *r, const char *name)
{
    struct milgi_device *device = NULL;
    if (name && milgi_device_new(name, &device, NULL) == MILGI_EUNSUPPORTED) {
        print_message("not tested: no device %s here\n", name);
        return false;
    }
    milgi_device_free(device);
    rig_open(r, name, NULL);
    if (full)
        event_del(r->limit); /* ctest's is enough */
    milgi_config_unref(r->server);
    milgi_config_unref(r->client);
    r->server = configs_begin(MILGI_SERVER, r->leaf, NULL);
    r->client = configs_begin(MILGI_CLIENT, NULL, r->root);
    allow_both_versions(&r->server);
    allow_both_versions(&r->client);
    configs_freeze(r->server);
    configs_freeze(r->client);
    return true;
}

static void echo(const char *device, bool server, int version, bool in_order, size_t len)
{
    struct rig r;
    struct foreign f;
    int fd[2];
    if (!begin(&r, device))
        return;
    socket_pair(fd);
    struct end *e = server ? &r.b : &r.a;
    e->send_len = len;
    foreign_open(&r, &f, fd[1], !server, version);
    if (server)
        server_on(&r, fd[0]);
    else
        client_on(&r, fd[0]);
    run_until_got(&r, e, len);
    assert_true(e->connected && f.connected);
    assert_int_equal(f.got_len, len);
    assert_int_equal(SSL_version(f.ssl), version);
    foreign_close(&f, in_order);
    run_until(&r, in_order ? &e->eof : &e->error);
    assert_int_equal(e->eof, in_order);
    assert_int_equal(e->error, !in_order);
    if (!in_order)
        assert_int_equal(e->reason.error, MILGI_ETRUNCATED);
    rig_close(&r);
}

static void an_end_by_openssl_is_met_in_both_roles_and_versions(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof devices / sizeof devices[0]; i++)
        for (int server = 0; server < 2; server++) {
            echo(devices[i], server, TLS1_3_VERSION, true, full ? 100u << 20 : 300000);
            echo(devices[i], server, TLS1_2_VERSION, true, full ? 100u << 20 : 300000);
        }
}

static void an_end_by_openssl_without_close_notify_is_an_error(void **state)
{
    (void)state;
    for (int server = 0; server < 2; server++) {
        echo("pool:2", server, TLS1_3_VERSION, false, 300000);
        echo("pool:2", server, TLS1_2_VERSION, false, 300000);
    }
}

/* In each role by turns, all at once; each goes when it has had its bytes back. */
static void a_crowd_of_openssls_is_met(void **state)
{
    size_t n = full ? 1000 : 6;
    (void)state;
    for (size_t k = 0; k < sizeof devices / sizeof devices[0]; k++) {
        struct rig r;
        if (!begin(&r, devices[k]))
            continue;
        struct end *ends = calloc(n, sizeof *ends);
        struct foreign *others = calloc(n, sizeof *others);
        assert_true(ends && others);
        for (size_t i = 0; i < n; i++) {
            int fd[2];
            struct bufferevent *bev;
            bool server = i % 2;
            socket_pair(fd);
            foreign_open(&r, &others[i], fd[1], !server, i % 3 ? TLS1_3_VERSION : TLS1_2_VERSION);
            assert_int_equal(milgi_bufferevent_new(r.event, fd[0], server ? r.server : r.client,
                                 server ? NULL : "event.test", 0, &bev),
                0);
            ends[i].send_len = 20000;
            end_start(&r, &ends[i], bev);
        }
        assert_int_equal(milgi_event_streams(r.event), n);
        for (size_t i = 0; i < n; i++)
            run_until_got(&r, &ends[i], 20000);
        for (size_t i = 0; i < n; i++)
            foreign_close(&others[i], true);
        for (size_t i = 0; i < n; i++) {
            run_until(&r, &ends[i].eof);
            assert_false(ends[i].error);
            end_free(&ends[i]);
        }
        free(ends);
        free(others);
        rig_close(&r);
    }
}

static void our_end_is_openssls_eof(void **state)
{
    struct rig r;
    struct foreign f;
    int fd[2];
    (void)state;
    rig_open(&r, NULL, NULL);
    socket_pair(fd);
    r.b.send_len = 200000;
    r.b.shut_when_sent = true;
    foreign_open(&r, &f, fd[1], false, TLS1_3_VERSION);
    server_on(&r, fd[0]);
    run_until(&r, &f.eof);
    assert_int_equal(f.got_len, 200000);
    foreign_close(&f, true);
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_end_by_openssl_is_met_in_both_roles_and_versions),
        cmocka_unit_test(an_end_by_openssl_without_close_notify_is_an_error),
        cmocka_unit_test(a_crowd_of_openssls_is_met),
        cmocka_unit_test(our_end_is_openssls_eof),
    };
    full = is_full_run();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
