/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers of the protocol into words. */
#include "common/facts.h"

#include <stdio.h>
#include <string.h>

static void tell_identity(struct milgi_iov identity, char *out, size_t cap)
{
    const unsigned char *p = identity.data;
    bool is_text = true;
    size_t at = 0;
    for (size_t i = 0; i < identity.len; i++)
        is_text = is_text && p[i] >= 0x20 && p[i] < 0x7f;
    for (size_t i = 0; i < identity.len && at + 3 < cap; i++)
        at += (size_t)snprintf(out + at, cap - at, is_text ? "%c" : "%02x", p[i]);
}

struct facts facts_of(const struct milgi_conn *conn)
{
    struct milgi_conn_info info;
    milgi_conn_info(conn, &info);
    struct facts f = {
        .protocol = info.version == MILGI_TLS_1_3 ? "TLSv1.3" : info.version == MILGI_TLS_1_2 ? "TLSv1.2"
                                                                                              : NULL,
        .suite = milgi_suite_name(info.suite),
        .group = milgi_group_name(info.group),
        .scheme = milgi_scheme_name(info.signature_scheme),
        .alpn = info.alpn,
        .server_name = info.server_name,
        .hello_retry = info.hello_retry,
        .peer_authenticated = info.peer_authenticated,
        .resumed = info.resumed,
    };
    tell_identity(info.psk_identity, f.psk, sizeof f.psk);
    return f;
}

const char *facts_advice(const struct milgi_reason *reason)
{
    bool is_long = strstr(reason->detail, "longer than the limit");
    return is_long && !reason->alert_from_peer ? "--max-message allows for more" : NULL;
}

/* json_string() takes UTF-8 only, and a subject is whatever a certificate says. */
static json_t *text(const char *text)
{
    json_t *value = text ? json_string(text) : NULL;
    return value ? value : json_null();
}

json_t *facts_json(const struct facts *f, const char *subject)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:b, s:o, s:b, s:o}",
        "protocol", text(f->protocol),
        "suite", text(f->suite),
        "group", text(f->group),
        "signature_scheme", text(f->scheme),
        "alpn", text(f->alpn),
        "server_name", text(f->server_name),
        "hello_retry", f->hello_retry,
        "resumed", f->resumed,
        "psk_identity", text(*f->psk ? f->psk : NULL),
        "peer_authenticated", f->peer_authenticated,
        "peer_subject", text(subject));
}

char *facts_line(json_t *object)
{
    char *text = object ? json_dumps(object, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
    for (char *at = text; at && (at = strchr(at, 0x7f));)
        *at = '?';
    json_decref(object);
    return text;
}
