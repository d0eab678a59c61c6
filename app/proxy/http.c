/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The built-in HTTP/1.1 server: GET and HEAD of two pages. Requests of one connection are answered one after the other;
 * when answers pile up the parser pauses, and what has come stays in slices that count against the client's credit.
 */
#include "proxy.h"
#include "common/pieces.h"

#include <http_parser.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define URL_MAX 2048u
#define HEADERS_MAX 16384u
#define BODY_MAX 65536u
#define FRESH_MS 1000 /* a new connection's first request may be on its way */

struct http {
    struct client *client;
    http_parser parser;
    char url[URL_MAX];
    size_t url_len, body_len, field_len;
    bool url_cut;
    bool has_host, maybe_host; /* the header field that is being read is Host so far */
    bool started;              /* a request has begun and is not answered */
    bool answered;             /* at least one was */
    bool last;                 /* the connection ends behind the present answer */
    bool full;                 /* no room for more answers */
    bool ended;                /* the client has: nothing comes behind |waiting| */
    char *unsent;              /* an answer for which there was no memory */
    size_t unsent_len;
    struct app_pieces waiting; /* input that there is no room to answer */
};

/* --- answers ------------------------------------------------------------------------------------------------------ */

static const char *phrase(int status)
{
    switch (status) {
    case 200: return "OK";
    case 400: return "Bad Request";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 431: return "Request Header Fields Too Large";
    default: return "Internal Server Error";
    }
}

/* A client that goes on sending behind the last answer is not listened to for longer than a request may take. */
static void finish(struct http *h)
{
    if (!h->last)
        return;
    milgi_stream_shutdown(h->client->stream);
    proxy_asking(h->client, true);
}

/* Sends |text|, which is to be freed, or keeps it until there is room. */
static void send_text(struct http *h, char *text, size_t len)
{
    int rv = milgi_stream_write(h->client->stream, text, len);
    if (rv == MILGI_ENOMEM) {
        h->unsent = text;
        h->unsent_len = len;
        h->full = true;
        return;
    }
    free(text);
    h->full = rv == MILGI_PAUSE;
    if (rv < 0)
        milgi_stream_abort(h->client->stream, MILGI_ALERT_INTERNAL_ERROR);
    else
        finish(h);
}

static void answer(struct http *h, int status, const char *type, const char *body, size_t body_len)
{
    char *text = NULL, date[64];
    size_t len = 0;
    time_t now = time(NULL);
    struct tm tm;
    FILE *out = open_memstream(&text, &len);
    if (!out) {
        milgi_stream_abort(h->client->stream, MILGI_ALERT_INTERNAL_ERROR);
        return;
    }
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &tm));
    fprintf(out, "HTTP/1.1 %d %s\r\nDate: %s\r\nServer: milgi/%s\r\n", status, phrase(status), date, MILGI_VERSION);
    fprintf(out, "Content-Type: %s; charset=utf-8\r\nContent-Length: %zu\r\n", type, body_len);
    fprintf(out, "Cache-Control: no-store\r\n");
    if (status == 405)
        fprintf(out, "Allow: GET, HEAD\r\n");
    fprintf(out, "%s\r\n", h->last ? "Connection: close\r\n" : "");
    if (h->parser.method != HTTP_HEAD)
        fwrite(body, 1, body_len, out);
    if (fclose(out)) {
        free(text);
        milgi_stream_abort(h->client->stream, MILGI_ALERT_INTERNAL_ERROR);
        return;
    }
    h->started = false;
    h->answered = true;
    proxy_asking(h->client, false);
    send_text(h, text, len);
}

static void answer_error(struct http *h, int status)
{
    char body[96];
    int len = snprintf(body, sizeof body, "%d %s\n", status, phrase(status));
    answer(h, status, "text/plain", body, (size_t)len);
}

static void answer_page(struct http *h, bool json)
{
    size_t len;
    char *body = json ? page_json(h->client, &len) : page_html(h->client, &len);
    if (body)
        answer(h, 200, json ? "application/json" : "text/html", body, len);
    else
        answer_error(h, 500);
    free(body);
}

/* --- requests ----------------------------------------------------------------------------------------------------- */

static bool path_is(const struct http *h, const char *path)
{
    struct http_parser_url parts;
    http_parser_url_init(&parts);
    if (http_parser_parse_url(h->url, h->url_len, 0, &parts))
        return false;
    size_t len = parts.field_data[UF_PATH].len;
    const char *at = h->url + parts.field_data[UF_PATH].off;
    if (!(parts.field_set & 1 << UF_PATH))
        return !strcmp(path, "/"); /* "GET https://host HTTP/1.1" */
    return len == strlen(path) && !memcmp(at, path, len);
}

static void respond(struct http *h)
{
    bool is_1 = h->parser.http_major == 1, is_1_1 = is_1 && h->parser.http_minor >= 1;
    h->last = !http_should_keep_alive(&h->parser) || h->parser.upgrade || h->url_cut || h->body_len > BODY_MAX;
    if (h->url_cut)
        answer_error(h, 414);
    else if (h->body_len > BODY_MAX)
        answer_error(h, 413);
    else if (!is_1 || (is_1_1 && !h->has_host))
        answer_error(h, 400);
    else if (h->parser.method != HTTP_GET && h->parser.method != HTTP_HEAD)
        answer_error(h, 405);
    else if (path_is(h, "/"))
        answer_page(h, false);
    else if (path_is(h, "/json"))
        answer_page(h, true);
    else
        answer_error(h, 404);
}

static int on_begin(http_parser *parser)
{
    struct http *h = parser->data;
    h->url_len = h->body_len = h->field_len = 0;
    h->url_cut = h->has_host = false;
    h->maybe_host = true;
    h->started = true;
    proxy_asking(h->client, true);
    return 0;
}

static int on_url(http_parser *parser, const char *at, size_t len)
{
    struct http *h = parser->data;
    size_t room = sizeof h->url - h->url_len;
    h->url_cut |= len > room;
    len = len < room ? len : room;
    memcpy(h->url + h->url_len, at, len);
    h->url_len += len;
    return 0;
}

/* A field's name may come in pieces. */
static int on_field(http_parser *parser, const char *at, size_t len)
{
    static const char host[] = "host";
    struct http *h = parser->data;
    h->maybe_host = h->maybe_host && h->field_len + len <= 4 && !strncasecmp(at, host + h->field_len, len);
    h->field_len += len;
    return 0;
}

static int on_value(http_parser *parser, const char *at, size_t len)
{
    struct http *h = parser->data;
    (void)at;
    (void)len;
    h->has_host |= h->maybe_host && h->field_len == 4;
    h->maybe_host = true;
    h->field_len = 0;
    return 0;
}

static int on_body(http_parser *parser, const char *at, size_t len)
{
    struct http *h = parser->data;
    (void)at;
    h->body_len += len;
    return h->body_len > BODY_MAX; /* an error: the rest is not worth reading */
}

static int on_complete(http_parser *parser)
{
    struct http *h = parser->data;
    respond(h);
    if (h->full || h->last)
        http_parser_pause(parser, 1);
    return 0;
}

static const http_parser_settings settings = {
    .on_message_begin = on_begin,
    .on_url = on_url,
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_body = on_body,
    .on_message_complete = on_complete,
};

/* --- input -------------------------------------------------------------------------------------------------------- */

/* How much of |data| was parsed: less than |len| when there is no room for the next answer. */
static size_t parse(struct http *h, const uint8_t *data, size_t len)
{
    if (h->last)
        return len;
    /* From its first byte on, which may be an empty line before it, a request has to be whole in time. */
    proxy_asking(h->client, true);
    size_t n = http_parser_execute(&h->parser, &settings, (const char *)data, len);
    enum http_errno error = HTTP_PARSER_ERRNO(&h->parser);
    if (error == HPE_PAUSED)
        return h->last ? len : n;
    if (error == HPE_OK)
        return h->parser.upgrade ? len : n;
    h->last = true;
    h->parser.method = HTTP_GET; /* the answer has a body, whatever was asked */
    answer_error(h, error == HPE_HEADER_OVERFLOW ? 431 : error == HPE_CB_body ? 413
                                                                              : 400);
    return len;
}

static void http_data(struct client *c, const struct milgi_slice *slices, size_t slices_n)
{
    struct http *h = c->state;
    for (size_t i = 0; i < slices_n; i++) {
        struct milgi_slice rest = slices[i];
        size_t done = h->full || h->waiting.first ? 0 : parse(h, rest.data, rest.len);
        milgi_stream_consumed(c->stream, done);
        rest.data += done;
        rest.len -= (uint32_t)done;
        if (rest.len && !app_pieces_keep(&h->waiting, &rest)) {
            milgi_stream_abort(c->stream, MILGI_ALERT_INTERNAL_ERROR);
            return;
        }
    }
}

/* The client sends nothing more, and what it sent is answered. */
static void end_if_over(struct http *h)
{
    if (!h->ended || h->waiting.first || h->full || h->last)
        return;
    h->last = true;
    finish(h);
}

static void http_room(struct client *c)
{
    struct http *h = c->state;
    char *unsent = h->unsent;
    h->unsent = NULL;
    h->full = false;
    if (unsent)
        send_text(h, unsent, h->unsent_len);
    if (h->full)
        return;
    http_parser_pause(&h->parser, 0);
    while (h->waiting.first && !h->full) {
        struct milgi_slice slice = h->waiting.first->slice;
        size_t done = parse(h, slice.data, slice.len);
        milgi_stream_consumed(c->stream, done);
        app_pieces_done(&h->waiting, done);
    }
    end_if_over(h);
}

static void http_end(struct client *c)
{
    struct http *h = c->state;
    h->ended = true;
    end_if_over(h);
}

/* --- its life ----------------------------------------------------------------------------------------------------- */

static bool http_open(struct client *c)
{
    struct http *h = calloc(1, sizeof *h);
    if (!h)
        return false;
    h->client = c;
    http_parser_set_max_header_size(HEADERS_MAX);
    http_parser_init(&h->parser, HTTP_REQUEST);
    h->parser.data = h;
    c->state = h;
    return true;
}

static void http_closed(struct client *c, bool in_order)
{
    struct http *h = c->state;
    (void)in_order;
    app_pieces_clear(&h->waiting);
    free(h->unsent);
    free(h);
    proxy_done(c);
}

/* Many such clients would have all connections, each with a byte now and then. */
static void http_late(struct client *c)
{
    struct http *h = c->state;
    if (h->last) {
        proxy_close(c);
        return;
    }
    h->last = true;
    h->parser.method = HTTP_GET;
    answer_error(h, 408);
}

static bool http_busy(const struct client *c, bool patient)
{
    const struct http *h = c->state;
    bool is_fresh = !h->answered && (patient || uv_now(&c->proxy->loop) - c->life.since_ms < FRESH_MS);
    return h->started || h->full || h->waiting.first || is_fresh;
}

static bool http_at_rest(const struct client *c)
{
    const struct http *h = c->state;
    return !h->started && !h->full && !h->waiting.first;
}

const struct service http_service = {
    .open = http_open,
    .data = http_data,
    .end = http_end,
    .room = http_room,
    .closed = http_closed,
    .busy = http_busy,
    .late = http_late,
    .at_rest = http_at_rest,
};
