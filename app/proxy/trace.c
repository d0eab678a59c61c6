/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events as lines: {"time": ms of the machine's monotonic clock, "pid", "conn", "name", "data"}. Each line is one
 * write to a file that is appended to, so that those of several workers stay whole; all that is text in them is the
 * library's own or a device's description. Nobody waits for whoever reads them: lines that find no room are counted.
 */
#include "trace.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/say.h"

#define LINE 2048 /* below PIPE_BUF: a pipe takes it whole or not at all */

struct line {
    char text[LINE];
    size_t len;
};

static void add(struct line *l, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(struct line *l, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(l->text + l->len, LINE - l->len, format, args);
    va_end(args);
    if (n > 0)
        l->len = (size_t)n < LINE - l->len ? l->len + (size_t)n : LINE - 1;
}

/* In quotation marks; at most 128 bytes of it. */
static void add_text(struct line *l, const char *text)
{
    add(l, "\"");
    for (size_t i = 0; text && text[i] && i < 128; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\')
            add(l, "\\%c", c);
        else if (c >= 0x20 && c < 0x7f)
            add(l, "%c", c);
        else
            add(l, "?");
    }
    add(l, "\"");
}

static void add_name(struct line *l, const char *name, uint16_t number)
{
    if (name)
        add_text(l, name);
    else
        add(l, "\"0x%04x\"", number);
}

static void begin(struct line *l, uint64_t time_ns, uint64_t conn, const char *name)
{
    l->len = 0;
    add(l, "{\"time\":%" PRIu64 ".%06u,\"pid\":%d,", time_ns / 1000000, (unsigned)(time_ns % 1000000), (int)getpid());
    if (conn)
        add(l, "\"conn\":\"%" PRIx64 "\",", conn);
    add(l, "\"name\":\"tls:%s\",\"data\":{", name);
}

static void put(struct trace *t, struct line *l)
{
    struct line word;
    add(l, "}}\n");
    uint64_t dropped = app_outlet_dropped(&t->outlet);
    if (dropped) {
        word.len = 0;
        add(&word, "{\"pid\":%d,\"name\":\"tls:dropped\",\"data\":{\"lines\":%" PRIu64 "}}\n", (int)getpid(), dropped);
        app_outlet_put(&t->outlet, word.text, word.len);
    }
    if (app_outlet_put(&t->outlet, l->text, l->len) || t->told)
        return;
    t->told = true;
    app_complain("--trace %s: events are missing: %s", t->file,
        t->outlet.error ? strerror(t->outlet.error) : "nobody reads it fast enough");
}

/* --- what belongs to each kind ------------------------------------------------------------------------------------ */

static const char *alg_name(const struct milgi_trace_event *e)
{
    switch (e->u.op.type) {
    case MILGI_OP_SEAL:
    case MILGI_OP_OPEN: return milgi_suite_name(e->u.op.alg);
    case MILGI_OP_KEYGEN:
    case MILGI_OP_DERIVE:
    case MILGI_OP_ENCAPS:
    case MILGI_OP_DECAPS: return milgi_group_name(e->u.op.alg);
    default: return milgi_scheme_name(e->u.op.alg);
    }
}

static void add_op(struct line *l, const struct milgi_trace_event *e)
{
    add(l, "\"op\":\"%s\",\"id\":%" PRIu64 ",\"device\":%u", milgi_op_type_name(e->u.op.type), e->u.op.id,
        e->u.op.device);
    if (e->u.op.alg) {
        add(l, ",\"alg\":");
        add_name(l, alg_name(e), e->u.op.alg);
    }
    if (e->u.op.len)
        add(l, ",\"len\":%" PRIu32, e->u.op.len);
    if (e->kind != MILGI_TRACE_OP_END)
        return;
    add(l, ",\"status\":\"%s\",\"took_us\":%.3f", milgi_op_status_name(e->u.op.status),
        (double)e->u.op.took_ns / 1000);
    if (e->u.op.worked_ns)
        add(l, ",\"worked_us\":%.3f", (double)e->u.op.worked_ns / 1000);
    if (e->u.op.code)
        add(l, ",\"code\":%" PRId32, e->u.op.code);
}

static void add_closed(struct line *l, const struct milgi_reason *reason)
{
    add(l, "\"error\":\"%s\",\"in_order\":%s", milgi_error_name(reason->error), reason->error ? "false" : "true");
    if (!reason->error)
        return;
    if (reason->alert != MILGI_ALERT_NONE)
        add(l, ",\"alert\":\"%s\",\"from_peer\":%s", milgi_alert_name(reason->alert),
            reason->alert_from_peer ? "true" : "false");
    if (reason->op >= 0)
        add(l, ",\"op\":\"%s\"", milgi_op_type_name(reason->op));
    if (reason->device_code)
        add(l, ",\"code\":%d", reason->device_code);
    add(l, ",\"detail\":");
    add_text(l, reason->detail);
}

static void add_data(struct line *l, const struct milgi_trace_event *e)
{
    switch (e->kind) {
    case MILGI_TRACE_STEP:
        add(l, "\"step\":");
        add_text(l, e->u.step.name);
        break;
    case MILGI_TRACE_OP_START:
    case MILGI_TRACE_OP_SENT:
    case MILGI_TRACE_OP_END: add_op(l, e); break;
    case MILGI_TRACE_KEY:
        add(l, "\"direction\":\"%s\",\"epoch\":%" PRIu64 ",\"suite\":", e->u.key.write ? "write" : "read",
            e->u.key.epoch);
        add_name(l, milgi_suite_name(e->u.key.suite), e->u.key.suite);
        break;
    case MILGI_TRACE_STALE: add(l, "\"records\":%" PRIu32, e->u.stale.records); break;
    case MILGI_TRACE_ALERT_SENT:
    case MILGI_TRACE_ALERT_RECEIVED:
        add(l, "\"alert\":\"%s\",\"number\":%d", milgi_alert_name(e->u.alert.alert), e->u.alert.alert);
        break;
    case MILGI_TRACE_PAUSE:
    case MILGI_TRACE_RESUME: add(l, "\"cause\":\"%s\"", milgi_trace_cause_name((int)e->u.pause.cause)); break;
    case MILGI_TRACE_CLOSED: add_closed(l, &e->u.closed); break;
    default: break;
    }
}

static void on_event(void *ctx, const struct milgi_trace_event *event)
{
    const char *name = milgi_trace_kind_name((int)event->kind);
    struct line line;
    if (!name)
        return;
    begin(&line, event->time_ns, event->conn, name);
    add_data(&line, event);
    put(ctx, &line);
}

/* --- life --------------------------------------------------------------------------------------------------------- */

/* What is needed to read the others: when that was for the rest of the world, and which device is which. */
static void put_begin(struct trace *t, struct milgi_engine *engine)
{
    struct milgi_engine_stats s;
    struct timespec wall;
    struct line line;
    milgi_engine_stats(engine, &s);
    clock_gettime(CLOCK_REALTIME, &wall);
    begin(&line, milgi_engine_now(engine), 0, "begin");
    add(&line, "\"milgi\":\"%s\",\"unix_time\":%lld.%09ld,\"devices\":[", milgi_version(), (long long)wall.tv_sec,
        wall.tv_nsec);
    for (unsigned i = 0; i < s.devices_n; i++) {
        add(&line, i ? "," : "");
        add_text(&line, s.device[i].name);
    }
    add(&line, "]");
    put(t, &line);
}

bool trace_open(struct trace *t, const char *file, struct milgi_engine *engine)
{
    if (!file)
        return true;
    /* A FIFO that nobody reads is refused at once. */
    int fd = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0600);
    if (fd < 0) {
        app_complain("--trace %s: %s%s", file, errno == ENXIO ? "nobody reads it" : strerror(errno),
            t->file ? ": the file that was open stays in use" : "");
        return false;
    }
    trace_close(t);
    app_outlet_init(&t->outlet, fd);
    t->file = file;
    t->told = false;
    put_begin(t, engine);
    milgi_engine_set_trace(engine, on_event, t);
    return true;
}

void trace_close(struct trace *t)
{
    if (!t->file)
        return;
    app_outlet_flush(&t->outlet);
    app_outlet_fini(&t->outlet);
    close(t->outlet.fd);
    t->file = NULL;
}
