/* SPDX-License-Identifier: Apache-2.0 */
/* A program outside the project: it starts a handshake and looks at what would go to the network. */
#include <milgi/milgi.h>
#include <stdio.h>

static void show(struct milgi_conn *conn, void *arg, const struct milgi_iov *iov, size_t iov_n)
{
    *(int *)arg = iov_n && iov[0].len ? *(const unsigned char *)iov[0].data : -1;
    milgi_conn_free(conn);
}

int main(void)
{
    static const struct milgi_events events = { .on_output = show };
    struct milgi_config *config = milgi_config_new(MILGI_CLIENT);
    struct milgi_engine *engine;
    struct milgi_conn *conn;
    struct milgi_run_result result;
    int first = -1;

    if (!config || milgi_config_dangerously_accept_any_server(config) || milgi_config_freeze(config, NULL) ||
        milgi_engine_new(NULL, &engine) || milgi_conn_new(engine, config, "example.org", &events, &first, &conn))
        return 1;
    for (int turns = 0; first < 0 && turns < 100; turns++)
        milgi_engine_run(engine, 0, &result);
    printf("milgi %s: the first byte out is %d\n", milgi_version(), first);
    milgi_engine_free(engine);
    milgi_config_unref(config);
    /* a record with a handshake message in it */
    return first == 22 && milgi_version_number() == MILGI_VERSION_NUMBER ? 0 : 1;
}
