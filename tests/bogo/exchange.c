/* SPDX-License-Identifier: Apache-2.0 */
/* One connection with the runner: its socket, the engine's turns, its end. */
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_MAX 16384
#define DRAIN_MS 5000

/* --- socket ----------------------------------------------------------------------------------------------------- */

static int dial(const struct shim_options *o)
{
    struct sockaddr_in v4 = { .sin_family = AF_INET,
        .sin_port = htons((uint16_t)o->port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6,
        .sin6_port = htons((uint16_t)o->port),
        .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    const struct sockaddr *address = o->ipv6 ? (const void *)&v6 : (const void *)&v4;
    socklen_t len = o->ipv6 ? sizeof v6 : sizeof v4;
    int on = 1, fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    uint8_t id[8];
    for (unsigned i = 0; i < sizeof id; i++)
        id[i] = (uint8_t)(o->shim_id >> 8 * i);
    if (fd >= 0 && !setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) && !connect(fd, address, len) &&
        send(fd, id, sizeof id, MSG_NOSIGNAL) == (ssize_t)sizeof id && !fcntl(fd, F_SETFL, O_NONBLOCK))
        return fd;
    perror("cannot connect to the runner");
    if (fd >= 0)
        close(fd);
    return -1;
}

/* What is still on its way to us is read, so that no reset overtakes what we have sent. */
static void hang_up(int fd)
{
    uint8_t rest[4096];
    struct pollfd p = { .fd = fd, .events = POLLIN };
    shutdown(fd, SHUT_WR);
    while (poll(&p, 1, DRAIN_MS) > 0) {
        ssize_t n = recv(fd, rest, sizeof rest, 0);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
            break;
    }
    close(fd);
}

/* --- moving bytes ----------------------------------------------------------------------------------------------- */

static bool has_output(const struct shim_exchange *x)
{
    return x->out.at < x->out.n && x->out.allowed;
}

static void send_some(struct shim_exchange *x)
{
    struct shim_output *out = &x->out;
    while (has_output(x)) {
        const struct milgi_iov *piece = &out->iov[out->at];
        size_t len = piece->len - out->sent;
        if (len > out->allowed)
            len = (size_t)out->allowed;
        ssize_t n = send(x->fd, (const uint8_t *)piece->data + out->sent, len, MSG_NOSIGNAL);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n < 0)
            n = (ssize_t)(piece->len - out->sent); /* nobody is left: what he has sent before is still read */
        else if (out->allowed != UINT64_MAX)
            out->allowed -= (uint64_t)n;
        out->sent += (size_t)n;
        milgi_conn_output_done(x->conn, (size_t)n);
        if (out->sent == piece->len) {
            out->sent = 0;
            out->at++;
        }
    }
    if (out->at == out->n)
        out->at = out->n = 0;
}

static void read_some(struct shim_exchange *x)
{
    while (!x->eof && !x->closed && !milgi_conn_input_paused(x->conn)) {
        struct milgi_chunk *chunk = milgi_conn_chunk(x->conn, READ_MAX);
        if (!chunk)
            return;
        ssize_t n = recv(x->fd, milgi_chunk_data(chunk), READ_MAX, 0);
        if (n > 0) {
            milgi_conn_receive(x->conn, (struct milgi_slice){ chunk, milgi_chunk_data(chunk), (uint32_t)n });
            continue;
        }
        milgi_chunk_unref(chunk);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        x->eof = true;
        milgi_conn_receive_eof(x->conn, n < 0 ? errno : 0);
    }
}

/* --- turns ------------------------------------------------------------------------------------------------------ */

static void answer_late(struct shim_exchange *x)
{
    struct milgi_decision decision;
    while (shim_late_due(x->late, &decision))
        shim_answer(x, &decision);
}

static bool all_sent(const struct shim_exchange *x)
{
    return x->out.at == x->out.n && !milgi_conn_output_pending(x->conn);
}

/* All is done that the flags want, without an end that both sides agreed on. */
static bool is_done(const struct shim_exchange *x)
{
    return x->closed || x->failed || (x->shut && !x->options->check_close_notify && all_sent(x));
}

static void wait_for_more(struct shim_exchange *x, const struct milgi_run_result *run)
{
    uint64_t now = milgi_engine_now(x->late->engine), ns = 0;
    bool read = !x->eof && !x->closed && !milgi_conn_input_paused(x->conn);
    struct pollfd p[2] = {
        { .fd = milgi_engine_fd(x->late->engine), .events = POLLIN },
        { .fd = x->fd, .events = (short)((read ? POLLIN : 0) | (has_output(x) ? POLLOUT : 0)) },
    };
    if (run->next == MILGI_RUN_WAIT && run->deadline_ns > now)
        ns = (run->deadline_ns - now) * SHIM_SLOWER;
    struct timespec timeout = { (time_t)(ns / 1000000000), (long)(ns % 1000000000) };
    bool busy = run->next == MILGI_RUN_AGAIN || x->late->decisions_n || x->late->runnable;
    if (busy)
        timeout = (struct timespec){ 0 };
    nfds_t n = p[1].events ? 2 : 1;
    ppoll(p, n, run->next == MILGI_RUN_IDLE && !busy ? NULL : &timeout, NULL);
}

static void loop(struct shim_exchange *x)
{
    struct milgi_run_result run;
    for (;;) {
        x->late->runnable = false;
        milgi_engine_run(x->late->engine, 0, &run);
        answer_late(x);
        if (x->looked_n)
            shim_read_looked(x);
        send_some(x);
        if (is_done(x))
            return;
        if (x->unfinished && all_sent(x)) {
            shim_unfinished_write(x);
            continue;
        }
        wait_for_more(x, &run);
        read_some(x);
    }
}

/* --- how it ended ----------------------------------------------------------------------------------------------- */

/* An end that the flags allow: in order, or, unless they look at it, cut. */
static bool ended_well(const struct shim_exchange *x)
{
    const struct shim_options *o = x->options;
    if (!x->established)
        return false;
    if (!x->closed)
        return true; /* we were done first */
    if (o->send_alert)
        return x->reason.error == MILGI_EREFUSED;
    return !x->reason.error || (x->reason.error == MILGI_ETRUNCATED && !o->check_close_notify);
}

/* "MILGI_EPROTO: sent decode_error: malformed KeyUpdate" */
static void tell_reason(const struct milgi_reason *reason)
{
    const char *alert = reason->alert == MILGI_ALERT_NONE ? "no alert" : milgi_alert_name(reason->alert);
    const char *way = reason->alert_from_peer ? "received" : "sent";
    fprintf(stderr, "%s: %s %s: %s\n", milgi_error_name(reason->error), way, alert, reason->detail);
}

/*
 * It failed for want of a version that the flags allow and Milgi has not: whatever the test is about has not been seen.
 */
static bool lacks_version(const struct shim_exchange *x)
{
    bool ours = x->reason.error == MILGI_ENEGOTIATE, told = x->reason.error == MILGI_EALERT && !x->established;
    bool theirs = told && !x->options->server; /* a client that has a ServerHello thinks of something else */
    return x->closed && (ours || theirs) && x->reason.alert == MILGI_ALERT_PROTOCOL_VERSION &&
        shim_wants_older(x->options);
}

static int judge(struct shim_exchange *x, const char **why)
{
    struct milgi_conn_info info;
    milgi_conn_info(x->conn, &info);
    x->stays = info.resumed && info.version == MILGI_TLS_1_2;
    if (!x->failed && ended_well(x))
        shim_expect_sessions(x, &info);
    if (lacks_version(x)) {
        *why = "versions below TLS 1.2";
        return SHIM_ABSENT;
    }
    if (!x->failed && ended_well(x) && x->options->async && !shim_late_count(x->late)) {
        fprintf(stderr, "nothing was late\n");
        return 1;
    }
    if (!x->failed && ended_well(x))
        return 0;
    if (x->closed)
        tell_reason(&x->reason);
    return 1;
}

static int begin(struct shim_exchange *x, const char **why)
{
    const struct milgi_events *events = x->options->no_ticket ? &shim_events_without_sessions : &shim_events;
    x->fd = dial(x->options);
    if (x->resumes && !x->options->server && !x->kept->session) {
        *why = "no session to offer";
        return 1;
    }
    if (x->fd < 0 ||
        milgi_conn_new(x->late->engine, x->config->config, x->config->server_name, events, x, &x->conn))
        return 1;
    struct milgi_session *session = x->kept->session;
    struct milgi_session_info info = { 0 };
    if (session)
        milgi_session_info(session, &info);
    if (x->options->no_ticket && info.version == MILGI_TLS_1_2 && !info.by_id)
        session = NULL;
    return !x->options->server && milgi_conn_set_session(x->conn, session) ? 1 : 0;
}

int shim_exchange(const struct shim_options *o, struct shim_late *late, struct shim_kept *kept, bool resumes,
    const char **why)
{
    struct shim_config config = { 0 };
    struct shim_exchange x = { .options = o, .kept = kept, .resumes = resumes, .config = &config, .late = late };
    x.out.allowed = UINT64_MAX;
    x.fd = -1;
    int rv = shim_config(&x, &config, why);
    if (rv)
        return rv;
    *why = NULL;
    rv = begin(&x, why);
    if (!rv) {
        loop(&x);
        rv = judge(&x, why);
    }
    milgi_conn_free(x.conn);
    if (x.fd >= 0)
        hang_up(x.fd);
    free(x.out.iov);
    free(x.looked);
    shim_config_fini(&config);
    if (x.session || !x.stays) { /* one of TLS 1.2 that was resumed will do once more */
        milgi_session_unref(kept->session);
        kept->session = x.session;
    }
    return rv;
}
