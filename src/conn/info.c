/* SPDX-License-Identifier: Apache-2.0 */
/* What can be asked of a connection, and the answers to what it asks. */
#include "conn/session.h"
#include "conn/turn.h"
#include "crypto/x509.h"

#define LABEL_MAX 249u /* of an exporter */

/* What the connection has no copy of, or not yet: it goes with the handshake. */
static void info_of_handshake(const struct milgi_conn *c, struct milgi_conn_info *info)
{
    const struct milgi__hs_result *r = milgi__hs_result(c->hs->hs);
    info->peer_chain = r->peer_chain;
    info->peer_chain_n = r->peer_chain_n;
    info->ocsp_response = r->ocsp_response;
    info->scts = r->scts;
    info->peer_verdict = r->verdict;
    if (c->outcome)
        return;
    info->version = r->version;
    info->suite = r->suite;
    info->group = r->group;
    info->signature_scheme = r->scheme;
    info->hello_retry = r->hello_retry;
    info->resumed = r->resumed;
    info->psk_identity = milgi__psk_identity(r->psk);
    info->session_id = milgi__hs_session_id(c->hs->hs);
    info->alpn = r->alpn[0] ? r->alpn : NULL;
    info->credential = r->credential;
    if (!info->server_name)
        info->server_name = r->server_name;
}

static void info_of_outcome(const struct milgi__outcome *o, struct milgi_conn_info *info)
{
    info->version = milgi__version_of(o->suite)->id;
    info->suite = o->suite->id;
    info->group = o->group;
    info->signature_scheme = o->scheme;
    info->established = true;
    info->hello_retry = o->hello_retry;
    info->peer_authenticated = o->peer_authenticated;
    info->peer_verdict = o->verdict;
    info->resumed = o->resumed;
    const char *text = (const char *)o->kept + o->kept_len;
    info->server_name = o->server_name_size ? text : NULL;
    info->alpn = o->alpn_size ? text + o->server_name_size : NULL;
    info->credential = o->credential;
}

void *milgi_conn_arg(const struct milgi_conn *c)
{
    return c->arg;
}

void milgi_conn_info(const struct milgi_conn *c, struct milgi_conn_info *info)
{
    const struct milgi__peer_chain *chain = c->outcome ? NULL : c->peer_chain;
    *info = (struct milgi_conn_info){
        .server_name = c->server_name,
        .peer_chain = chain && chain->n != 0 ? chain->certificate : NULL,
        .peer_chain_n = chain ? chain->n : 0,
        .session_id = chain ? chain->session_id : (struct milgi_iov){ NULL, 0 },
        .bytes_in = c->bytes_in,
        .bytes_out = c->bytes_out,
        .records_in = c->records_in,
        .records_out = c->records_out,
        .key_updates_in = c->updates_in,
        .key_updates_out = c->updates_out,
        .stale_opens = milgi__transport_stale(c->transport),
    };
    if (c->outcome)
        info_of_outcome(c->outcome, info);
    if (c->outcome) {
        info->psk_identity = milgi__conn_psk(c);
        info->session_id = milgi__conn_session_id(c);
    }
    if (c->hs && c->hs->hs)
        info_of_handshake(c, info);
}

const char *milgi_peer_verdict_text(int verdict)
{
    return milgi__verdict_text(verdict);
}

int milgi_conn_export(struct milgi_conn *c, const char *label, const void *context, size_t context_len, uint8_t *out,
    size_t out_len)
{
    if (milgi__engine_foreign(c->engine))
        return MILGI_EFORK;
    /*= Before the barrier nobody gives out exporters. */
    if (!c->outcome)
        return MILGI_EINVAL;
    const struct milgi__suite *suite = c->outcome->suite;
    /* TLS 1.2's function takes any label (RFC 5705 4), that of TLS 1.3 none that is empty: it sees to that itself. */
    if (!label || strlen(label) > LABEL_MAX || (!context && context_len) || out_len == 0 ||
        out_len > 255 * milgi__hash_len(suite->hash))
        return MILGI_EINVAL;
    if (c->phase >= MILGI__CLOSED)
        return MILGI_ECLOSED; /* its secrets are wiped */
    /*= RFC7627 6.1: "a TLS exporter [RFC5705] no longer provides a unique key bound to the current session" */
    if (!c->outcome->exports)
        return MILGI_EUNSUPPORTED;
    return milgi__conn_version(c)->export(milgi__engine_crypto(c->engine), suite, c->outcome->kept, label, context,
        context_len, out, out_len);
}

/*= RFC8446 7.5: "Implementations SHOULD provide a separate interface for the early exporter; this avoids the exporter
 *= user accidentally using an early exporter when a regular one is desired or vice versa." */
int milgi_conn_export_early(struct milgi_conn *c, const char *label, const void *context, size_t context_len,
    uint8_t *out, size_t out_len)
{
    enum milgi__hash hash;
    if (milgi__engine_foreign(c->engine))
        return MILGI_EFORK;
    if (!label || !*label || strlen(label) > LABEL_MAX || (!context && context_len))
        return MILGI_EINVAL;
    if (c->phase >= MILGI__CLOSED)
        return MILGI_ECLOSED;
    const uint8_t *secret = c->hs && c->hs->hs ? milgi__hs_early(c->hs->hs, &hash) : NULL;
    if (!secret)
        return MILGI_EINVAL;
    return milgi__export13(milgi__engine_crypto(c->engine), hash, secret, label, context, context_len, out, out_len);
}

static struct milgi__hs *hs_of(struct milgi_engine *engine, const struct milgi_decision *decision,
    struct milgi_conn **conn)
{
    struct milgi__owner *owner = milgi__engine_find(engine, decision->index, decision->generation);
    if (!owner || owner->ops != &milgi__conn_owner_ops)
        return NULL;
    *conn = milgi__conn_of(owner);
    return milgi__conn_hs(*conn);
}

int milgi_decide(struct milgi_engine *engine, struct milgi_decision decision, enum milgi_verdict verdict, void *result)
{
    struct milgi_conn *c;
    if (milgi__engine_foreign(engine))
        return MILGI_EFORK;
    struct milgi__hs *hs = hs_of(engine, &decision, &c);
    if (!hs)
        return MILGI_ESTALE;
    int rv = milgi__hs_decide(hs, decision.kind, verdict, result);
    if (rv == 0)
        milgi__engine_ready(engine, &c->owner);
    return rv;
}

int milgi_decision_info(struct milgi_engine *engine, struct milgi_decision decision, struct milgi_decision_info *info)
{
    struct milgi_conn *c;
    if (milgi__engine_foreign(engine))
        return MILGI_EFORK;
    struct milgi__hs *hs = hs_of(engine, &decision, &c);
    return hs ? milgi__hs_decision_info(hs, decision.kind, info) : MILGI_ESTALE;
}
