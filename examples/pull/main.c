/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS the blocking way: a client that asks, waits and reads, and a server in a thread of its own.
 *
 *   example_pull CHAIN.pem KEY.pem CA.pem [DEVICE]
 *
 * The server's certificate must be for "localhost". DEVICE is a device description such as pool:2. Exit status 0: the
 * client got its answer, and both ends were in order.
 */
#include <milgi_pull.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct side {
    struct milgi_config *config;
    struct milgi_device *device;
    struct milgi_engine *engine; /* one per thread */
    const char *name;
    int fd;
};

static void must(ssize_t rv, const char *what)
{
    if (rv >= 0)
        return;
    fprintf(stderr, "%s: %s\n", what, milgi_error_text((int)rv));
    exit(1);
}

static struct milgi_pull *begin(struct side *s, const char *device)
{
    struct milgi_pull *pull;
    must(milgi_engine_new(NULL, &s->engine), "engine");
    if (device) {
        must(milgi_device_new(device, &s->device, NULL), device);
        int index = milgi_engine_add_device(s->engine, s->device);
        must(index, device);
        must(milgi_engine_route(s->engine, s->device->caps.ops, (unsigned)index, 1), device);
    }
    must(milgi_pull_new(s->engine, s->config, s->name, s->fd, NULL, &pull), "connection");
    return pull;
}

static void end(struct side *s, struct milgi_pull *pull)
{
    char more;
    must(milgi_pull_shutdown(pull), "shutdown");
    must(milgi_pull_read(pull, &more, 1), "end"); /* 0: the other side has ended in order too */
    milgi_pull_free(pull);
    milgi_engine_free(s->engine);
    milgi_device_free(s->device);
    milgi_config_unref(s->config);
    close(s->fd);
}

static void *serve(void *arg)
{
    struct side *s = arg;
    struct milgi_pull *pull = begin(s, NULL);
    char question[64], answer[80];
    ssize_t n = milgi_pull_read(pull, question, sizeof question);
    must(n, "question");
    int len = snprintf(answer, sizeof answer, "you asked: %.*s", (int)n, question);
    must(milgi_pull_write(pull, answer, (size_t)len), "answer");
    end(s, pull);
    return NULL;
}

static void make_configs(struct side *server, struct side *client, char **argv)
{
    struct milgi_credential *credential;
    struct milgi_trust *trust;
    server->config = milgi_config_new(MILGI_SERVER);
    client->config = milgi_config_new(MILGI_CLIENT);
    must(milgi_credential_new_file(argv[1], argv[2], &credential), argv[1]);
    must(milgi_config_add_credential(server->config, credential), "credential");
    must(milgi_trust_new_file(argv[3], &trust), argv[3]);
    must(milgi_config_set_trust(client->config, trust), "trust");
    must(milgi_config_freeze(server->config, NULL), "server");
    must(milgi_config_freeze(client->config, NULL), "client");
    milgi_credential_unref(credential);
    milgi_trust_unref(trust);
}

int main(int argc, char **argv)
{
    struct side server = { 0 }, client = { .name = "localhost" };
    pthread_t thread;
    char answer[80];
    int fd[2];
    if (argc < 4) {
        fprintf(stderr, "example_pull CHAIN.pem KEY.pem CA.pem [DEVICE]\n");
        return 2;
    }
    make_configs(&server, &client, argv);
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fd))
        return 1;
    client.fd = fd[0];
    server.fd = fd[1];
    if (pthread_create(&thread, NULL, serve, &server))
        return 1;
    struct milgi_pull *pull = begin(&client, argc > 4 ? argv[4] : NULL);
    must(milgi_pull_handshake(pull), "handshake");
    must(milgi_pull_write(pull, "anybody there?", 14), "question");
    ssize_t n = milgi_pull_read(pull, answer, sizeof answer);
    must(n, "answer");
    printf("%.*s\n", (int)n, answer);
    end(&client, pull);
    pthread_join(thread, NULL);
    return n == 25 && !memcmp(answer, "you asked: anybody there?", 25) ? 0 : 1;
}
