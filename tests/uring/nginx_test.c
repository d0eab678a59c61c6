/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nginx, with its own TLS, between a client and a server that are both in the ring: it is the server of the one and the
 * client of the other, and each sends through it.
 * ctest-wrap: uv_run uv_stop
 */
#include "folder.h"
#include "room.h"

#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/un.h>
#include <sys/wait.h>

#define MODULE "/usr/lib/nginx/modules/ngx_stream_module.so"
#define BOTH_WAYS 700000u

extern char **environ;

struct nginx {
    pid_t process;
    struct sockaddr_un address[2]; /* by the version that it speaks, on both sides */
};

static const char *const versions[] = { "TLSv1.2", "TLSv1.3" };
static struct nginx the;

/* It outlives a test that was killed by minutes at most. */
static pid_t start(char *only)
{
    static char name[] = "timeout", limit[] = "300", nginx[] = "nginx", prefix[] = "-p", conf[] = "-c", log[] = "-e",
                to[] = "stderr";
    char dir[64], file[96];
    snprintf(dir, sizeof dir, "%s", folder());
    snprintf(file, sizeof file, "%s", folder_path("conf"));
    char *arguments[] = { name, limit, nginx, prefix, dir, conf, file, log, to, only, NULL };
    pid_t process;
    return posix_spawnp(&process, name, NULL, NULL, arguments, environ) ? -1 : process;
}

static bool ends_well(pid_t process)
{
    int status = 0;
    return process > 0 && waitpid(process, &status, 0) == process && status == 0;
}

/* Through it, verified as it is on our side. */
static void write_server(FILE *out, unsigned i, const struct room *r)
{
    struct sockaddr_un *address = &the.address[i];
    address->sun_family = AF_UNIX;
    snprintf(address->sun_path, sizeof address->sun_path, "%s/socket%u", folder(), i);
    fprintf(out,
        "server { listen unix:%s ssl; ssl_certificate leaf.pem; ssl_certificate_key key.pem; ssl_protocols %s;\n"
        "proxy_pass 127.0.0.1:%u; proxy_ssl on; proxy_ssl_protocols %s; proxy_ssl_verify on;\n"
        "proxy_ssl_name uring.test; proxy_ssl_server_name on; proxy_ssl_trusted_certificate root.pem; }\n",
        address->sun_path, versions[i], ntohs(r->address.sin_port), versions[i]);
}

static void configure(const struct room *r)
{
    free(identity_write(folder(), "leaf.pem", r->leaf->chain_pem));
    free(identity_write(folder(), "key.pem", r->leaf->key_pem));
    free(identity_write(folder(), "root.pem", r->root->cert_pem));
    FILE *out = fopen(folder_path("conf"), "we");
    assert_non_null(out);
    fprintf(out, "%sdaemon off; master_process off; pid pid; error_log stderr;\nevents {}\nstream {\n",
        access(MODULE, R_OK) ? "" : "load_module " MODULE ";\n");
    for (unsigned i = 0; i < 2; i++)
        write_server(out, i, r);
    fprintf(out, "}\n");
    assert_int_equal(fclose(out), 0);
}

/* It listens, or has ended. */
static bool answers(void)
{
    for (;;) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        bool there = !connect(fd, (struct sockaddr *)&the.address[1], sizeof the.address[1]);
        close(fd);
        if (there || waitpid(the.process, NULL, WNOHANG))
            return there;
        usleep(10000);
    }
}

/* Behind a test that has failed, too. */
static int nginx_end(void **state)
{
    (void)state;
    if (the.process > 0) {
        kill(the.process, SIGTERM);
        waitpid(the.process, NULL, 0);
    }
    the.process = -1;
    return 0;
}

static struct milgi_config *of_both_versions(struct milgi_config *before, struct milgi_config *config)
{
    milgi_config_unref(before);
    assert_int_equal(milgi_config_set_versions(config, 0x0303, 0x0304), 0);
    return configs_freeze(config);
}

static uint16_t version_of(const struct end *e)
{
    struct milgi_conn_info info;
    milgi_conn_info(milgi_stream_conn(e->stream), &info);
    return info.version;
}

/* It closes both when either ends: the other one has an end in order; to who was first it says none (1.22). */
static void end_through(struct room *r, struct end *first, struct end *second)
{
    assert_int_equal(milgi_stream_shutdown(first->stream), 0);
    run_for(r, &second->ended);
    if (second->stream)
        assert_int_equal(milgi_stream_shutdown(second->stream), 0);
    run_for(r, &first->gone);
    run_for(r, &second->gone);
    assert_int_equal(second->reason.error, 0);
    assert_true(first->reason.error == 0 || first->reason.error == MILGI_ETRUNCATED);
}

static void through(struct room *r, unsigned version, bool client_first)
{
    struct end client = { .send_len = BOTH_WAYS };
    unsigned before = r->served_n;
    const struct sockaddr *to = (const struct sockaddr *)&the.address[version];
    int rv = milgi_uring_connect(
        r->u, to, sizeof the.address[version], r->client, "uring.test", &events, &client, &client.stream);
    assert_int_equal(rv, 0);
    run_for(r, &client.opened);
    while (r->served_n == before || !r->served[before].opened)
        assert_true(milgi_uring_run(r->u, 20000) >= 0);
    struct end *served = &r->served[before];
    assert_int_equal(version_of(&client), 0x0303 + version);
    assert_int_equal(version_of(served), 0x0303 + version);
    served->send_len = BOTH_WAYS;
    send_more(served);
    run_for_bytes(r, &client, BOTH_WAYS);
    run_for_bytes(r, served, BOTH_WAYS);
    end_through(r, client_first ? &client : served, client_first ? served : &client);
}

static void bytes_cross_nginxs_own_tls_in_both_roles(void **state)
{
    static const char *const devices[] = { NULL, "pool:2" };
    (void)state;
    for (unsigned d = 0; d < 2; d++) {
        static struct room r;
        room_open(&r, devices[d]);
        r.server = of_both_versions(r.server, configs_begin(MILGI_SERVER, r.leaf, NULL));
        r.client = of_both_versions(r.client, configs_begin(MILGI_CLIENT, NULL, r.root));
        configure(&r);
        char only_test[] = "-tq";
        bool usable = ends_well(start(only_test));
        if (usable) {
            the.process = start(NULL);
            assert_true(answers());
            for (unsigned i = 0; i < 4; i++)
                through(&r, i / 2, i % 2);
        }
        nginx_end(NULL);
        room_close(&r);
        if (!usable) {
            print_message("not tested: no nginx here that has TLS for streams\n");
            skip();
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(bytes_cross_nginxs_own_tls_in_both_roles, nginx_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
