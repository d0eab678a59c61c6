/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What servers are verified against, and the verification itself: an operation of the library's, made by hand on the
 * inline device, since it is asked for in ways that connections do not have: without a name, for a name that is not the
 * one that was sent, and for its verdict alone.
 */
#include "shim.h"

#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>
#include <time.h>

static struct milgi_device *cpu;
static pthread_once_t cpu_once = PTHREAD_ONCE_INIT;

static void make_cpu(void)
{
    if (milgi_device_new("cpu", &cpu, NULL))
        cpu = NULL;
}

/* --- anchors ----------------------------------------------------------------------------------------------------- */

/* Under the lock. */
static bool load(struct anchors *a, struct anchors_view *v)
{
    pthread_once(&cpu_once, make_cpu);
    if (!a->qp)
        a->qp = cpu ? cpu->ops->qp_open(cpu, NULL) : NULL;
    if (!a->qp || v->loaded)
        return a->qp;
    milgi_key_init(&v->key, NULL, v->dev);
    v->key.kind = MILGI_KEY_TRUST;
    v->key.loaded.trust = v->trust;
    v->dev[0] = cpu->ops->key_load(a->qp, &v->key);
    v->loaded = v->dev[0] != NULL;
    return v->loaded;
}

static int view_new(const X509_STORE *store, enum milgi_crl_check check, struct milgi_trust **trust)
{
    int rv = store->pem.len ? milgi_trust_new_pem(store->pem.data, store->pem.len, trust) : 0;
    if (!rv && *trust && check != MILGI_CRL_CHECK_NONE && store->crls.len)
        rv = milgi_trust_add_crls_pem(*trust, store->crls.data, store->crls.len, NULL);
    if (!rv && *trust)
        rv = milgi_trust_set_crl_check(*trust, check);
    return rv;
}

struct anchors *milgi__ssl_anchors_new(const X509_STORE *store, unsigned long flags)
{
    struct anchors *a = calloc(1, sizeof *a);
    int rv = MILGI_ENOMEM;
    if (a) {
        a->refs = 1;
        pthread_mutex_init(&a->lock, NULL);
        rv = view_new(store, MILGI_CRL_CHECK_NONE, &a->view[MILGI_CRL_CHECK_NONE].trust);
        bool looks = store->crls.len || flags & X509_V_FLAG_CRL_CHECK;
        for (int i = MILGI_CRL_CHECK_LEAF; looks && !rv && i <= MILGI_CRL_CHECK_ALL; i++)
            rv = view_new(store, (enum milgi_crl_check)i, &a->view[i].trust);
        if (!rv)
            return a;
        milgi__ssl_anchors_unref(a);
    }
    milgi__ssl_error_of(rv, "certificates to verify with");
    return NULL;
}

void milgi__ssl_anchors_unref(struct anchors *a)
{
    if (!a || --a->refs != 0)
        return;
    for (size_t i = 0; i < sizeof a->view / sizeof *a->view; i++) {
        if (a->view[i].loaded)
            cpu->ops->key_free(a->qp, &a->view[i].key, a->view[i].dev[0]);
        milgi_trust_unref(a->view[i].trust);
    }
    if (a->qp)
        cpu->ops->qp_close(a->qp);
    pthread_mutex_destroy(&a->lock);
    free(a);
}

/* --- chains ------------------------------------------------------------------------------------------------------ */

static void chain_free(struct chain *chain)
{
    for (size_t i = 0; i < chain->n; i++)
        X509_free(chain->x[i]);
    free(chain);
}

struct chain *milgi__ssl_chain_new(const struct milgi_iov *certs, size_t n)
{
    struct chain *chain = calloc(1, sizeof *chain + n * sizeof(X509 *));
    if (!chain)
        return NULL;
    chain->refs = 1;
    for (; chain->n < n; chain->n++) {
        const unsigned char *at = certs[chain->n].data;
        chain->x[chain->n] = d2i_X509(NULL, &at, (long)certs[chain->n].len);
        if (!chain->x[chain->n]) {
            chain_free(chain);
            return NULL;
        }
    }
    return chain;
}

void milgi__ssl_chain_unref(struct chain *chain)
{
    if (chain && --chain->refs == 0)
        chain_free(chain);
}

/* --- verification ------------------------------------------------------------------------------------------------ */

static bool self_issued(const X509 *x)
{
    return X509_NAME_cmp(&x->subject, &x->issuer) == 0;
}

static long verdict_without_anchors(const struct chain *chain)
{
    for (size_t i = 0; i < chain->n; i++)
        if (self_issued(chain->x[i]))
            return i == 0 ? X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT : X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN;
    return X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY;
}

/* The certificates as the operation wants them: each behind its length. */
static uint8_t *chain_bytes(const struct chain *chain, size_t *len)
{
    *len = 0;
    for (size_t i = 0; i < chain->n; i++)
        *len += 3 + chain->x[i]->len;
    uint8_t *bytes = malloc(*len + 1), *at = bytes;
    for (size_t i = 0; bytes && i < chain->n; i++) {
        size_t n = chain->x[i]->len;
        *at++ = (uint8_t)(n >> 16);
        *at++ = (uint8_t)(n >> 8);
        *at++ = (uint8_t)n;
        memcpy(at, chain->x[i]->der, n);
        at += n;
    }
    return bytes;
}

static long perform(struct anchors *a, struct anchors_view *v, struct milgi_op *op, int depth, int *alert)
{
    struct milgi_op *given = op, *taken = NULL;
    struct milgi_op_chain *c = &op->u.chain;

    pthread_mutex_lock(&a->lock);
    bool done = load(a, v) && cpu->ops->enqueue(a->qp, &given, 1) == 1 && cpu->ops->dequeue(a->qp, &taken, 1) == 1;
    pthread_mutex_unlock(&a->lock);
    *alert = MILGI_ALERT_INTERNAL_ERROR;
    if (!done || (op->status != MILGI_OP_OK && op->status != MILGI_OP_REJECTED))
        return X509_V_ERR_UNSPECIFIED;
    if (op->status == MILGI_OP_REJECTED) {
        *alert = c->alert;
        return c->verdict != X509_V_OK ? c->verdict : X509_V_ERR_UNSPECIFIED;
    }
    if (depth >= 0 && c->path_n > (unsigned)depth + 2) {
        *alert = MILGI_ALERT_UNKNOWN_CA;
        return X509_V_ERR_CERT_CHAIN_TOO_LONG;
    }
    *alert = MILGI_ALERT_NONE;
    return X509_V_OK;
}

/* For one name, or none. */
static long verify_name(struct anchors *a, const struct verify_query *query, const void *name, size_t len, bool is_ip,
    int *alert)
{
    size_t bytes_len;
    uint8_t *bytes = chain_bytes(query->chain, &bytes_len);
    struct anchors_view *v = &a->view[a->view[query->crls].trust ? query->crls : MILGI_CRL_CHECK_NONE];
    struct milgi_op op = { .type = MILGI_OP_VERIFY_CHAIN, .cls = MILGI_OP_CLASS_HANDSHAKE, .key = &v->key };
    struct milgi_op_chain *c = &op.u.chain;
    long verdict = X509_V_ERR_UNSPECIFIED;

    *alert = MILGI_ALERT_INTERNAL_ERROR;
    if (bytes && len <= sizeof c->name && bytes_len <= UINT32_MAX) {
        c->chain = (struct milgi_slice){ NULL, bytes, (uint32_t)bytes_len };
        c->now_s = query->now_s;
        c->purpose = MILGI_PURPOSE_SERVER;
        c->name_is_ip = is_ip;
        c->name_len = (uint16_t)len;
        if (len)
            memcpy(c->name, name, len);
        verdict = perform(a, v, &op, query->depth, alert);
    }
    free(bytes);
    if (verdict == X509_V_OK && query->crls != MILGI_CRL_CHECK_NONE && !a->view[query->crls].trust) {
        *alert = MILGI_ALERT_CERTIFICATE_UNKNOWN;
        return X509_V_ERR_UNABLE_TO_GET_CRL; /* there are no CRLs at all */
    }
    return verdict;
}

long milgi__ssl_verify(struct anchors *a, const struct verify_query *query, int *alert)
{
    long verdict = X509_V_ERR_UNSPECIFIED;

    *alert = MILGI_ALERT_UNKNOWN_CA;
    if (!query->chain || !query->chain->n)
        return X509_V_ERR_INVALID_CALL;
    if (!a->view[MILGI_CRL_CHECK_NONE].trust)
        return verdict_without_anchors(query->chain);
    if (query->ip_len)
        verdict = verify_name(a, query, query->ip, query->ip_len, true, alert);
    if (query->hosts_n == 0 && !query->ip_len)
        return verify_name(a, query, NULL, 0, false, alert);
    if (query->ip_len && verdict != X509_V_OK)
        return verdict;
    for (size_t i = 0; i < query->hosts_n; i++) {
        const char *host = query->hosts[i];
        verdict = verify_name(a, query, host, strlen(host), false, alert);
        if (verdict != X509_V_ERR_HOSTNAME_MISMATCH)
            break;
    }
    return verdict;
}

/* --- stores ------------------------------------------------------------------------------------------------------ */

int milgi__ssl_store_add(struct text *pem, const uint8_t *der, size_t len)
{
    struct text one = { 0 };
    struct milgi_trust *trust = NULL;

    if (!milgi__ssl_pem_write(&one, "CERTIFICATE", der, len))
        return 0;
    int rv = milgi_trust_new_pem(one.data, one.len, &trust), ok = rv != MILGI_ENOMEM;
    if (!rv)
        ok = milgi__ssl_append(pem, one.data, one.len);
    milgi_trust_unref(trust);
    milgi__ssl_text_free(&one);
    return ok;
}

static int add_block(struct text *pem, const char *block, size_t block_len)
{
    uint8_t *der = NULL;
    size_t len = 0;
    X509 *x = NULL;

    if (milgi__ssl_pem_decode(block, block_len, &der, &len)) {
        const unsigned char *from = der;
        x = d2i_X509(NULL, &from, (long)len); /* what may stand behind it says what it is trusted for */
    }
    int ok = x && milgi__ssl_store_add(pem, x->der, x->len);
    X509_free(x);
    free(der);
    return ok;
}

int milgi__ssl_store_add_crls(X509_STORE *store, const struct text *text, const char *name)
{
    struct milgi_problem problem = { 0 };
    struct text pem = { 0 };
    size_t at = 0, begin, end;
    int n = 0, ok = 1;

    for (; ok && milgi__ssl_pem_next(text, &at, "X509 CRL", &begin, &end); n++)
        ok = milgi__ssl_append(&pem, text->data + begin, end - begin) && milgi__ssl_append(&pem, "\n", 1);
    if (ok && n == 0)
        LIB_ERR(ERR_LIB_PEM, PEM_R_NO_START_LINE, name);
    if (ok && n > 0 && milgi_trust_add_crls_pem(NULL, pem.data, pem.len, &problem)) {
        LIB_ERR(ERR_LIB_X509, ERR_R_PASSED_INVALID_ARGUMENT, problem.text);
        ok = 0;
    }
    ok = ok && n > 0 && milgi__ssl_append(&store->crls, pem.data, pem.len);
    milgi__ssl_text_free(&pem);
    return ok ? n : 0;
}

int milgi__ssl_store_load_crls(X509_STORE *store, const char *name)
{
    struct text text;

    if (!milgi__ssl_read_file(name, &text))
        return 0;
    int n = milgi__ssl_store_add_crls(store, &text, name);
    milgi__ssl_text_free(&text);
    return n;
}

static bool has_crl(const struct text *text)
{
    size_t at = 0, begin, end;
    return milgi__ssl_pem_next(text, &at, "X509 CRL", &begin, &end);
}

/* All certificates of it, or none, when one of them cannot be read; and its CRLs. */
static int add_file(X509_STORE *store, const char *name)
{
    struct text text, pem = { 0 };
    size_t at = 0, begin, end, n = 0;
    int ok = 1;

    if (!milgi__ssl_read_file(name, &text))
        return 0;
    for (; ok && milgi__ssl_pem_next(&text, &at, "CERTIFICATE", &begin, &end); n++)
        ok = add_block(&pem, text.data + begin, end - begin);
    bool crls = ok && has_crl(&text);
    ok = ok && (!crls || milgi__ssl_store_add_crls(store, &text, name) > 0);
    if (!ok || (n == 0 && !crls))
        LIB_ERR(ok ? ERR_LIB_PEM : ERR_LIB_X509, ok ? PEM_R_NO_START_LINE : ERR_R_PASSED_INVALID_ARGUMENT, name);
    ok = ok && (n || crls) && (!pem.len || milgi__ssl_append(&store->pem, pem.data, pem.len));
    milgi__ssl_text_free(&pem);
    milgi__ssl_text_free(&text);
    return ok;
}

/* All files of it that hold certificates which can be read; those that cannot are not there. */
static int add_dir(X509_STORE *store, const char *name)
{
    struct dirent **entries;
    if (!*name) {
        SSL_ERR(ERR_R_PASSED_INVALID_ARGUMENT, "a directory without a name");
        return 0;
    }
    int n = scandir(name, &entries, NULL, alphasort);
    if (n < 0) /* there is nothing in it: OpenSSL would see that when it looks for an issuer */
        return 1;
    for (int i = 0; i < n; i++) {
        char *path;
        struct stat st;
        if (asprintf(&path, "%s/%s", name, entries[i]->d_name) >= 0) {
            if (stat(path, &st) == 0 && S_ISREG(st.st_mode) && !add_file(store, path))
                ERR_clear_error();
            free(path);
        }
        free(entries[i]);
    }
    free(entries);
    return 1;
}

int milgi__ssl_store_load(X509_STORE *store, const char *file, const char *dir)
{
    if (!file && !dir) {
        SSL_ERR(ERR_R_PASSED_NULL_PARAMETER, "neither a file nor a directory");
        return 0;
    }
    return (!file || add_file(store, file)) && (!dir || add_dir(store, dir));
}

/* Where distributions keep them, the usual first; SSL_CERT_FILE and SSL_CERT_DIR say another place. */
int milgi__ssl_store_defaults(X509_STORE *store, bool with_file, bool with_dir)
{
    static const char *const files[] = { "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem" };
    const char *file = secure_getenv("SSL_CERT_FILE"), *dir = secure_getenv("SSL_CERT_DIR");
    struct stat st;

    for (size_t i = 0; !file && with_file && i < sizeof files / sizeof *files; i++)
        if (stat(files[i], &st) == 0)
            file = files[i];
    /* That one of them is not there is no error: then there are no anchors in it. */
    if (with_file && file && !add_file(store, file))
        ERR_clear_error();
    if (with_dir && dir && !add_dir(store, dir))
        ERR_clear_error();
    return 1;
}
