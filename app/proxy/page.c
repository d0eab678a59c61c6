/* SPDX-License-Identifier: Apache-2.0 */
/* The two pages: the connection's parameters and the devices' state, for people and for programs. */
#include "proxy.h"
#include "common/facts.h"

#include <stdlib.h>
#include <string.h>

/* --- HTML: readable without its style too ------------------------------------------------------------------------- */

static const char head[] =
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>milgi</title>\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<style>\n"
    ":root { color-scheme: light dark; --line: #8884; --accent: #0a7d6c; }\n"
    "body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }\n"
    "h1 { font-size: 1.6rem; margin: 0; } h1 small { font-weight: normal; opacity: .6; }\n"
    "h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; border-bottom: 2px solid var(--accent); }\n"
    "table { border-collapse: collapse; width: 100%; }\n"
    "th, td { text-align: left; padding: .35rem .6rem .35rem 0; border-bottom: 1px solid var(--line); }\n"
    "td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }\n"
    "th { font-weight: 600; vertical-align: top; } .facts th { width: 14rem; } td { overflow-wrap: anywhere; }\n"
    "@media (max-width: 40rem) {\n"
    "body { margin: 1rem auto; } .facts th { width: 8rem; }\n"
    ".stack tr:first-child { display: none; } .stack tr { display: block; padding: .5rem 0; }\n"
    ".stack tr { border-bottom: 2px solid var(--line); }\n"
    ".stack td { display: flex; justify-content: space-between; text-align: right; border: 0; padding: .1rem 0; }\n"
    ".stack td::before { content: attr(data-of); font-weight: 600; padding-right: 1rem; text-align: left; }\n}\n"
    "a { color: var(--accent); }\n</style>\n</head>\n<body>\n";

static void put_text(FILE *out, const char *text)
{
    for (; *text; text++) {
        switch (*text) {
        case '<': fputs("&lt;", out); break;
        case '>': fputs("&gt;", out); break;
        case '&': fputs("&amp;", out); break;
        case '"': fputs("&quot;", out); break;
        default: fputc(*text, out);
        }
    }
}

static void put_fact(FILE *out, const char *label, const char *value)
{
    fprintf(out, "<tr><th scope=\"row\">%s</th> <td>", label);
    put_text(out, value ? value : "none");
    fputs("</td></tr>\n", out);
}

static void put_number(FILE *out, const char *label, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    put_fact(out, label, text);
}

static void put_connection(FILE *out, const struct client *c)
{
    struct facts f = facts_of(milgi_stream_conn(c->stream));
    fputs("<h2>This connection</h2>\n<table class=\"facts\">\n", out);
    put_fact(out, "Protocol", f.protocol);
    put_fact(out, "Suite", f.suite);
    put_fact(out, "Group", f.group);
    put_fact(out, "Signature scheme", f.scheme);
    put_fact(out, "ALPN", f.alpn);
    put_fact(out, "Server name (SNI)", f.server_name);
    put_fact(out, "Hello retry", f.hello_retry ? "yes" : "no");
    put_fact(out, "Resumed", f.resumed ? "yes" : "no");
    if (*f.psk)
        put_fact(out, "External PSK", f.psk);
    put_fact(out, "Client certificate", c->subject);
    fputs("</table>\n", out);
}

static uint64_t sum(const uint64_t counts[MILGI_OP_TYPES])
{
    uint64_t total = 0;
    for (int i = 0; i < MILGI_OP_TYPES; i++)
        total += counts[i];
    return total;
}

static const char *spec_of(const struct milgi_device_stats *d)
{
    return d->spec && *d->spec ? d->spec : d->name;
}

static const char *state_of(const struct milgi_device_stats *d)
{
    return d->in_service ? "in service" : "out of service";
}

static void put_devices(FILE *out, const struct milgi_engine_stats *s)
{
    static const char *const columns[] = { "Operations", "In flight", "Waiting", "Rejected", "Broken", "Lost", "Re-run",
        "Spilled", "Full" };
    fputs("<h2>Devices</h2>\n<table class=\"stack\">\n<tr><th>Device</th> <th>State</th>", out);
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++)
        fprintf(out, " <th class=\"n\">%s</th>", columns[i]);
    fputs("</tr>\n", out);
    for (unsigned i = 0; i < s->devices_n; i++) {
        const struct milgi_device_stats *d = &s->device[i];
        const uint64_t numbers[] = { sum(d->completed), d->in_flight, d->waiting, d->rejected, d->broken, d->lost,
            d->rerun, d->spilled, d->full };
        fputs("<tr><td data-of=\"Device\">", out);
        put_text(out, spec_of(d));
        fprintf(out, "</td> <td data-of=\"State\">%s</td>", state_of(d));
        for (size_t k = 0; k < sizeof numbers / sizeof numbers[0]; k++)
            fprintf(out, " <td class=\"n\" data-of=\"%s\">%llu</td>", columns[k], (unsigned long long)numbers[k]);
        fputs("</tr>\n", out);
    }
    fputs("</table>\n", out);
}

static void put_operations(FILE *out, const struct milgi_engine_stats *s)
{
    fputs("<h2>Operations done</h2>\n<table class=\"stack\">\n<tr><th>Type</th>", out);
    for (unsigned i = 0; i < s->devices_n; i++) {
        fputs(" <th class=\"n\">", out);
        put_text(out, s->device[i].name);
        fputs("</th>", out);
    }
    fputs("</tr>\n", out);
    for (int type = 0; type < MILGI_OP_TYPES; type++) {
        fprintf(out, "<tr><td data-of=\"Type\">%s</td>", milgi_op_type_name(type));
        for (unsigned i = 0; i < s->devices_n; i++)
            fprintf(out, " <td class=\"n\" data-of=\"%s\">%llu</td>", s->device[i].name,
                (unsigned long long)s->device[i].completed[type]);
        fputs("</tr>\n", out);
    }
    fputs("</table>\n", out);
}

static void put_proxy(FILE *out, const struct proxy *p, const struct milgi_engine_stats *s)
{
    fputs("<h2>Server</h2>\n<table class=\"facts\">\n", out);
    put_number(out, "Connections", p->clients_n);
    put_number(out, "Accepted", p->counts.accepted);
    put_number(out, "Established", p->counts.established);
    put_number(out, "Failed handshakes", p->counts.failed);
    put_number(out, "Buffer bytes in use", s->memory);
    put_number(out, "Buffer bytes at most", s->memory_peak);
    put_number(out, "Bytes sealed", s->bytes_sealed);
    put_number(out, "Bytes opened", s->bytes_opened);
    fputs("</table>\n", out);
}

char *page_html(const struct client *c, size_t *len)
{
    struct milgi_engine_stats stats;
    char *text = NULL;
    FILE *out = open_memstream(&text, len);
    if (!out)
        return NULL;
    milgi_engine_stats(app_tls_engine(&c->proxy->tls), &stats);
    fputs(head, out);
    fprintf(out, "<h1>milgi <small>%s</small></h1>\n<p>TLS as a push structure, made for asynchronous crypto. "
                 "The same <a href=\"/json\">as JSON</a>.</p>\n",
        MILGI_VERSION);
    put_connection(out, c);
    put_devices(out, &stats);
    put_operations(out, &stats);
    put_proxy(out, c->proxy, &stats);
    fputs("</body>\n</html>\n", out);
    if (fclose(out)) {
        free(text);
        return NULL;
    }
    return text;
}

/* --- JSON --------------------------------------------------------------------------------------------------------- */

static void set_count(json_t *object, const char *key, uint64_t count)
{
    json_object_set_new(object, key, json_integer((json_int_t)count));
}

static json_t *ops_json(const struct milgi_device_stats *d)
{
    json_t *ops = json_object();
    for (int type = 0; type < MILGI_OP_TYPES; type++) {
        json_t *counts = json_object();
        set_count(counts, "submitted", d->submitted[type]);
        set_count(counts, "completed", d->completed[type]);
        json_object_set_new(ops, milgi_op_type_name(type), counts);
    }
    return ops;
}

static json_t *device_json(const struct milgi_device_stats *d)
{
    json_t *device = json_object();
    json_object_set_new(device, "name", json_string(d->name));
    json_object_set_new(device, "spec", json_string(spec_of(d)));
    json_object_set_new(device, "in_service", json_boolean(d->in_service));
    set_count(device, "in_flight", d->in_flight);
    set_count(device, "waiting", d->waiting);
    set_count(device, "quarantined", d->quarantined);
    set_count(device, "ok", d->ok);
    set_count(device, "rejected", d->rejected);
    set_count(device, "broken", d->broken);
    set_count(device, "cancelled", d->cancelled);
    set_count(device, "lost", d->lost);
    set_count(device, "rerun", d->rerun);
    set_count(device, "spilled", d->spilled);
    set_count(device, "full", d->full);
    json_object_set_new(device, "ops", ops_json(d));
    return device;
}

static json_t *server_json(const struct proxy *p, const struct milgi_engine_stats *s)
{
    json_t *server = json_object();
    json_object_set_new(server, "version", json_string(MILGI_VERSION));
    set_count(server, "connections", p->clients_n);
    set_count(server, "accepted", p->counts.accepted);
    set_count(server, "established", p->counts.established);
    set_count(server, "failed", p->counts.failed);
    set_count(server, "memory", s->memory);
    set_count(server, "memory_peak", s->memory_peak);
    set_count(server, "bytes_sealed", s->bytes_sealed);
    set_count(server, "bytes_opened", s->bytes_opened);
    set_count(server, "bytes_copied", s->bytes_copied);
    set_count(server, "turns", s->turns);
    set_count(server, "ops_alive", s->ops_alive);
    set_count(server, "orphans", s->orphans);
    return server;
}

char *page_json(const struct client *c, size_t *len)
{
    struct milgi_engine_stats stats;
    struct facts facts = facts_of(milgi_stream_conn(c->stream));
    milgi_engine_stats(app_tls_engine(&c->proxy->tls), &stats);
    json_t *devices = json_array();
    for (unsigned i = 0; i < stats.devices_n; i++)
        json_array_append_new(devices, device_json(&stats.device[i]));
    json_t *page = json_pack("{s:o, s:o, s:o}", "connection", facts_json(&facts, c->subject), "devices", devices,
        "server", server_json(c->proxy, &stats));
    char *text = page ? json_dumps(page, JSON_INDENT(2)) : NULL;
    json_decref(page);
    *len = text ? strlen(text) : 0;
    return text;
}
