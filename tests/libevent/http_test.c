/* SPDX-License-Identifier: Apache-2.0 */
/* evhttp over Milgi: what it serves has come over TLS. */
#include <arpa/inet.h>
#include <event2/http.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>

#include "rig.h"

static void on_request(struct evhttp_request *request, void *arg)
{
    ++*(unsigned *)arg;
    evhttp_send_reply(request, 200, "OK", NULL);
}

static int ask_in_the_clear(struct evhttp_bound_socket *bound)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: event.test\r\n\r\n";
    struct sockaddr_in address;
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(getsockname(evhttp_bound_socket_get_fd(bound), (struct sockaddr *)&address, &len), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(send(fd, request, sizeof request - 1, 0), sizeof request - 1);
    return fd;
}

/* Of descriptors that are not there yet, one may be made. Returns the limit that there was. */
static struct rlimit leave_one_descriptor(int some)
{
    struct rlimit limit, before;
    int next = fcntl(some, F_DUPFD_CLOEXEC, 0);
    assert_true(next > 0);
    close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    limit = before;
    limit.rlim_cur = (rlim_t)next + 1;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    return before;
}

/* The request is there when the connection is accepted. With no descriptor for a pair there cannot be TLS. */
static void what_comes_in_the_clear_is_not_served(void **state)
{
    (void)state;
    for (int short_of = 0; short_of < 2; short_of++) {
        struct rig r;
        struct rlimit limit = { 0 };
        unsigned served = 0;
        char byte;
        rig_open(&r, NULL, NULL);
        struct evhttp *http = evhttp_new(r.base);
        evhttp_set_gencb(http, on_request, &served);
        assert_int_equal(milgi_event_serve(r.event, http, r.server), 0);
        int client = ask_in_the_clear(evhttp_bind_socket_with_handle(http, "127.0.0.1", 0));
        if (short_of)
            limit = leave_one_descriptor(client);
        while (recv(client, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN)
            turns(&r, 1);
        turns(&r, 20);
        if (short_of)
            assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
        assert_int_equal(served, 0);
        close(client);
        evhttp_free(http);
        rig_close(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_comes_in_the_clear_is_not_served),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
