/* SPDX-License-Identifier: Apache-2.0 */
/* Lines about connections. No text of a peer reaches a terminal or breaks a line. */
#include "access_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/facts.h"
#include "common/say.h"
#include "common/show.h"
#include "proxy.h"

#define TOLD_MOST 10u /* failed handshakes in a second */
#define SECOND_MS 1000u

void access_log_open(struct access_log *log, const struct app_options *o)
{
    /* A FIFO that nobody reads is refused at once. */
    const int flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK;
    if (!o->access_log)
        return;
    int fd = strcmp(o->access_log, "-") ? open(o->access_log, flags, 0640) : fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    if (fd < 0) {
        app_complain("--access-log %s: %s: %s", o->access_log, strerror(errno),
            log->open ? "the file that was open stays in use" : "there is no log");
        return;
    }
    access_log_close(log);
    app_outlet_init(&log->outlet, fd);
    log->text = o->log_text;
    log->open = true;
}

void access_log_close(struct access_log *log)
{
    if (!log->open)
        return;
    app_outlet_flush(&log->outlet);
    app_outlet_fini(&log->outlet);
    close(log->outlet.fd);
    log->open = false;
}

/* --- what is known of a client ------------------------------------------------------------------------------------ */

/* Texts are borrowed, for one line. */
struct account {
    char time[40], from[APP_ADDRESS_TEXT];
    struct facts facts;
    const char *subject, *end, *fault;
    const char *alert; /* NULL: none */
    uint64_t bytes_in, bytes_out, duration_ms;
    bool established, in_order;
    bool ktls;      /* the kernel was to have its records; */
    bool kernel[2]; /* and has, by enum milgi_direction */
};

static void write_time(char text[40])
{
    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    size_t len = gmtime_r(&now.tv_sec, &utc) ? strftime(text, 32, "%Y-%m-%dT%H:%M:%S", &utc) : 0;
    snprintf(text + len, 40 - len, ".%03ldZ", now.tv_nsec / 1000000);
}

/* Whose doing the end was, as far as can be said. */
static const char *fault_of(const struct client *c, const struct milgi_reason *reason)
{
    static const char *const whose[] = { /* by enum milgi_fault */
        "nobody's", "the client's", "the client's or the network's", "a device's", "ours", "ours"
    };
    if (c->why == relay_failed)
        return "the backend's";
    if (!reason)
        return "ours";
    if (reason->cls == MILGI_CLASS_PEER && reason->alert >= MILGI_ALERT_BAD_CERTIFICATE &&
        reason->alert <= MILGI_ALERT_UNKNOWN_CA)
        return "ours or the client's"; /* it did not like our certificate */
    return whose[reason->fault];
}

static struct account account_of(const struct client *c, const struct milgi_reason *reason, const char *why)
{
    const struct proxy *p = c->proxy;
    bool late = c->life.list == &p->shaking && !p->draining && !p->stopping; /* it has kept us waiting */
    struct account a = { .subject = c->subject, .fault = !reason && late ? "the client's" : fault_of(c, reason) };
    struct milgi_conn *conn = c->stream ? milgi_stream_conn(c->stream) : NULL;
    write_time(a.time);
    if (c->ends.from.ss_family == AF_UNSPEC)
        snprintf(a.from, sizeof a.from, "unknown");
    else
        app_address_text((const struct sockaddr *)&c->ends.from, a.from);
    a.duration_ms = uv_now(&c->proxy->loop) - c->begin_ms;
    a.end = reason && !reason->error ? "in order" : reason && !c->why ? reason->detail
                                                                      : why;
    a.in_order = reason && !reason->error;
    a.alert = reason && reason->error && reason->alert != MILGI_ALERT_NONE ? milgi_alert_name(reason->alert) : NULL;
    a.ktls = p->options->ktls;
    if (!conn)
        return a;
    a.kernel[MILGI_SEND] = milgi_stream_in_kernel(c->stream, MILGI_SEND);
    a.kernel[MILGI_RECEIVE] = milgi_stream_in_kernel(c->stream, MILGI_RECEIVE);
    struct milgi_conn_info info;
    milgi_conn_info(conn, &info);
    a.facts = facts_of(conn);
    a.established = info.established;
    a.bytes_in = info.bytes_in;
    a.bytes_out = info.bytes_out;
    return a;
}

/* --- a line ------------------------------------------------------------------------------------------------------- */

/* Not to break the line, nor to be taken for a field of its own. To be freed; "-" for nothing. */
static char *quoted(const char *text)
{
    char *shown = text && *text ? app_show(text, false) : NULL;
    if (!shown)
        return strdup("-");
    size_t len = strlen(shown);
    char *out = malloc(2 * len + 3), *p = out;
    if (!out) {
        free(shown);
        return NULL;
    }
    *p++ = '"';
    for (const char *at = shown; *at; at++) {
        if (*at == '"' || *at == '\\')
            *p++ = '\\';
        *p++ = *at;
    }
    *p++ = '"';
    *p = 0;
    free(shown);
    return out;
}

static const char *kernel_text(const struct account *a)
{
    static const char *const texts[] = { " kernel=-", " kernel=receives", " kernel=sends", " kernel=both" };
    return a->ktls ? texts[a->kernel[MILGI_SEND] * 2 + a->kernel[MILGI_RECEIVE]] : "";
}

static char *text_line(const struct account *a)
{
    char *line = NULL, *name = quoted(a->facts.server_name), *alpn = quoted(a->facts.alpn);
    char *subject = quoted(a->subject), *end = quoted(a->end);
    const char *version = a->established ? a->facts.protocol : NULL, *suite = a->established ? a->facts.suite : NULL;
    int len = asprintf(&line,
        "%s %s sni=%s version=%s suite=%s group=%s alpn=%s subject=%s in=%llu out=%llu ms=%llu %s end=%s alert=%s%s\n",
        a->time, a->from, name ? name : "-", version ? version : "-", suite ? suite : "-",
        a->established && a->facts.group ? a->facts.group : "-", alpn ? alpn : "-", subject ? subject : "-",
        (unsigned long long)a->bytes_in, (unsigned long long)a->bytes_out, (unsigned long long)a->duration_ms,
        a->established ? "established" : "failed", end ? end : "-", a->alert ? a->alert : "-", kernel_text(a));
    free(name);
    free(alpn);
    free(subject);
    free(end);
    return len < 0 ? NULL : line;
}

static char *json_line(const struct account *a)
{
    json_t *line = facts_json(&a->facts, a->subject);
    if (!line)
        return NULL;
    json_object_set_new(line, "time", json_string(a->time));
    json_object_set_new(line, "client", json_string(a->from));
    json_object_set_new(line, "bytes_in", json_integer((json_int_t)a->bytes_in));
    json_object_set_new(line, "bytes_out", json_integer((json_int_t)a->bytes_out));
    json_object_set_new(line, "duration_ms", json_integer((json_int_t)a->duration_ms));
    json_object_set_new(line, "established", json_boolean(a->established));
    json_object_set_new(line, "in_order", json_boolean(a->in_order));
    json_object_set_new(line, "end", json_string(a->end));
    json_object_set_new(line, "alert", a->alert ? json_string(a->alert) : json_null());
    json_object_set_new(line, "fault", json_string(a->fault));
    if (a->ktls) {
        json_object_set_new(line, "kernel_sends", json_boolean(a->kernel[MILGI_SEND]));
        json_object_set_new(line, "kernel_receives", json_boolean(a->kernel[MILGI_RECEIVE]));
    }
    char *text = facts_line(line), *whole = NULL;
    if (text && asprintf(&whole, "%s\n", text) < 0)
        whole = NULL;
    free(text);
    return whole;
}

void access_log_end(
    struct access_log *log, const struct client *c, const struct milgi_reason *reason, const char *why)
{
    if (!log->open)
        return;
    struct account a = account_of(c, reason, why);
    char *line = log->text ? text_line(&a) : json_line(&a);
    bool lost = line && !app_outlet_put(&log->outlet, line, strlen(line));
    free(line);
    if (lost && log->outlet.error && log->outlet.dropped == 1)
        app_complain("--access-log: lines are missing: %s", strerror(log->outlet.error));
    uint64_t dropped = app_outlet_dropped(&log->outlet);
    if (dropped)
        app_complain("--access-log: %llu lines were dropped: they were not taken in time", (unsigned long long)dropped);
}

/* --- handshakes that fail ----------------------------------------------------------------------------------------- */

void failures_tell(struct failures *f)
{
    if (f->held_back)
        app_complain("%llu more handshakes have failed", (unsigned long long)f->held_back);
    f->held_back = 0;
}

static void on_later(uv_timer_t *timer)
{
    struct proxy *p = timer->data;
    failures_tell(&p->failures);
}

/* Whether one more may be told in this second. */
static bool may_tell(struct proxy *p)
{
    struct failures *f = &p->failures;
    uint64_t now = uv_now(&p->loop);
    if (now - f->window_ms >= SECOND_MS) {
        f->window_ms = now;
        f->told = 0;
        failures_tell(f);
    }
    if (f->told < TOLD_MOST) {
        f->told++;
        return true;
    }
    f->held_back++;
    if (!p->stopping && !uv_is_active((uv_handle_t *)&p->later))
        uv_timer_start(&p->later, on_later, SECOND_MS, 0);
    return false;
}

/* Who looks whether somebody listens, and goes without a whole record. */
static bool is_probe(const struct client *c, const struct milgi_reason *reason)
{
    struct milgi_conn *conn = c->stream ? milgi_stream_conn(c->stream) : NULL;
    if (c->why == preface_nothing)
        return true;
    if (!reason || (reason->error != MILGI_ETRUNCATED && reason->error != MILGI_ETRANSPORT))
        return false;
    struct milgi_conn_info info = { .records_in = 0 };
    if (conn)
        milgi_conn_info(conn, &info);
    return info.records_in == 0;
}

void failures_count(struct client *c, const struct milgi_reason *reason, const char *why)
{
    struct proxy *p = c->proxy;
    if (is_probe(c, reason)) {
        p->counts.probes++;
        return;
    }
    p->counts.failed++;
    if (!may_tell(p))
        return;
    struct account a = account_of(c, reason, why);
    char *name = quoted(a.facts.server_name), *subject = quoted(c->subject);
    bool shown = c->subject && subject;
    const char *code = reason && reason->cls == MILGI_CLASS_DEVICE ? milgi_device_code_text(reason->device_code) : NULL;
    const char *advice = reason ? facts_advice(reason) : NULL;
    app_complain("%s: the handshake failed: %s%s%s%s%s (name %s%s%s, alert %s%s, fault %s)", a.from, a.end,
        code ? ": " : "", code ? code : "", advice ? ": " : "", advice ? advice : "", name ? name : "-",
        shown ? ", certificate " : "", shown ? subject : "", a.alert ? a.alert : "none",
        reason && a.alert && reason->alert_from_peer ? " from the client" : "", a.fault);
    free(name);
    free(subject);
}
