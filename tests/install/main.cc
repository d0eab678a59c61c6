/* SPDX-License-Identifier: Apache-2.0 */
/* The same program outside the project as main.c, in C++: its callbacks are functions of C++. */
#include <milgi/milgi.h>

#include <cstdio>

static void show(struct milgi_conn *conn, void *arg, const struct milgi_iov *iov, size_t iov_n)
{
    *static_cast<int *>(arg) = iov_n && iov[0].len ? *static_cast<const unsigned char *>(iov[0].data) : -1;
    milgi_conn_free(conn);
}

int main()
{
    milgi_events events = milgi_events();
    events.on_output = show;
    milgi_config *config = milgi_config_new(MILGI_CLIENT);
    milgi_engine *engine;
    milgi_conn *conn;
    milgi_run_result result;
    int first = -1;

    if (!config || milgi_config_dangerously_accept_any_server(config) || milgi_config_freeze(config, nullptr) ||
        milgi_engine_new(nullptr, &engine) || milgi_conn_new(engine, config, "example.org", &events, &first, &conn))
        return 1;
    for (int turns = 0; first < 0 && turns < 100; turns++)
        milgi_engine_run(engine, 0, &result);
    std::printf("milgi %s from C++: the first byte out is %d\n", milgi_version(), first);
    milgi_engine_free(engine);
    milgi_config_unref(config);
    return first == 22 && milgi_version_number() == MILGI_VERSION_NUMBER ? 0 : 1;
}
