/* SPDX-License-Identifier: Apache-2.0 */
/* The error queue of each thread: a ring of the last 16, as errors are told and taken. */
#include "shim.h"

#include <errno.h>
#include <unistd.h>

#define RING 16u
#define DETAIL 160u

struct entry {
    unsigned long code;
    const char *file;
    int line;
    char detail[DETAIL];
};

static _Thread_local struct {
    struct entry entry[RING];
    unsigned first, n;
    char taken[DETAIL]; /* of the entry that was taken last, for who asks for its text */
} queue;

void milgi__ssl_error(int lib, int reason, const char *file, int line, const char *detail)
{
    if (queue.n == RING) {
        queue.first = (queue.first + 1) % RING;
        queue.n--;
    }
    struct entry *e = &queue.entry[(queue.first + queue.n++) % RING];
    e->code = lib == ERR_LIB_SYS ? 0x80000000UL | (unsigned long)reason : ERR_PACK(lib, 0, reason);
    e->file = file;
    e->line = line;
    snprintf(e->detail, sizeof e->detail, "%s", detail ? detail : "");
}

static int reason_of_error(int error)
{
    switch (error) {
    case MILGI_ENOMEM: return ERR_R_MALLOC_FAILURE;
    case MILGI_EINVAL: return ERR_R_PASSED_INVALID_ARGUMENT;
    case MILGI_EUNSUPPORTED: return ERR_R_UNSUPPORTED;
    default: return ERR_R_INTERNAL_ERROR;
    }
}

void milgi__ssl_error_of(int error, const char *detail)
{
    char text[DETAIL];
    snprintf(text, sizeof text, "%s%s%s", milgi_error_text(error), detail ? ": " : "", detail ? detail : "");
    SSL_ERR(reason_of_error(error), text);
}

/* The reason that goes with an alert that we have sent. */
static int reason_of_alert(int alert, bool server)
{
    switch (alert) {
    case MILGI_ALERT_UNEXPECTED_MESSAGE: return SSL_R_UNEXPECTED_MESSAGE;
    case MILGI_ALERT_BAD_RECORD_MAC: return SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC;
    case MILGI_ALERT_RECORD_OVERFLOW: return SSL_R_DATA_LENGTH_TOO_LONG;
    case MILGI_ALERT_HANDSHAKE_FAILURE: return SSL_R_NO_SHARED_CIPHER;
    case MILGI_ALERT_DECODE_ERROR: return SSL_R_LENGTH_MISMATCH;
    case MILGI_ALERT_PROTOCOL_VERSION: return SSL_R_UNSUPPORTED_PROTOCOL;
    case MILGI_ALERT_NO_APPLICATION_PROTOCOL: return SSL_R_NO_APPLICATION_PROTOCOL;
    case MILGI_ALERT_CERTIFICATE_REQUIRED: return SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE;
    case MILGI_ALERT_ILLEGAL_PARAMETER: return SSL_R_BAD_VALUE;
    case MILGI_ALERT_MISSING_EXTENSION:
    case MILGI_ALERT_UNSUPPORTED_EXTENSION: return SSL_R_BAD_EXTENSION;
    default: return server ? ERR_R_INTERNAL_ERROR : SSL_R_LIBRARY_BUG;
    }
}

void milgi__ssl_error_of_reason(const struct milgi_reason *reason, bool server)
{
    char text[DETAIL];
    const char *word = milgi_error_text(reason->error);

    switch (reason->error) {
    case MILGI_EALERT: SSL_ERR(SSL_AD_REASON_OFFSET + reason->alert, "the peer's alert"); return;
    case MILGI_ETRUNCATED: SSL_ERR(SSL_R_UNEXPECTED_EOF_WHILE_READING, NULL); return;
    case MILGI_EVERIFY:
        if (reason->alert == MILGI_ALERT_CERTIFICATE_REQUIRED) {
            SSL_ERR(SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, NULL);
            return;
        }
        SSL_ERR(SSL_R_CERTIFICATE_VERIFY_FAILED, X509_verify_cert_error_string(reason->device_code));
        return;
    case MILGI_EDEVICE:
    case MILGI_ENOMEM:
    case MILGI_ETIMEOUT:
        snprintf(text, sizeof text, "%s: %s", word, reason->detail);
        SSL_ERR(reason_of_error(reason->error), text);
        return;
    default:
        snprintf(text, sizeof text, "%s: %s", word, reason->detail);
        if (reason->alert == MILGI_ALERT_NONE)
            SSL_ERR(reason_of_error(reason->error), text);
        else
            SSL_ERR(reason_of_alert(reason->alert, server), text);
    }
}

/* --- taking them ------------------------------------------------------------------------------------------------- */

static unsigned long look(unsigned at, bool take, const char **file, int *line, const char **data, int *flags)
{
    if (file)
        *file = "";
    if (line)
        *line = 0;
    if (data)
        *data = "";
    if (flags)
        *flags = 0;
    if (queue.n == 0)
        return 0;
    const struct entry *e = &queue.entry[(queue.first + at) % RING];
    if (file)
        *file = e->file;
    if (line)
        *line = e->line;
    if (flags && e->detail[0])
        *flags = ERR_TXT_STRING;
    if (take) {
        memcpy(queue.taken, e->detail, sizeof queue.taken);
        queue.first = (queue.first + 1) % RING;
        queue.n--;
    }
    if (data)
        *data = take ? queue.taken : e->detail;
    return e->code;
}

unsigned long ERR_get_error(void)
{
    return look(0, true, NULL, NULL, NULL, NULL);
}

unsigned long ERR_get_error_line(const char **file, int *line)
{
    return look(0, true, file, line, NULL, NULL);
}

unsigned long ERR_get_error_line_data(const char **file, int *line, const char **data, int *flags)
{
    return look(0, true, file, line, data, flags);
}

unsigned long ERR_get_error_all(const char **file, int *line, const char **func, const char **data, int *flags)
{
    if (func)
        *func = "";
    return look(0, true, file, line, data, flags);
}

unsigned long ERR_peek_error(void)
{
    return look(0, false, NULL, NULL, NULL, NULL);
}

unsigned long ERR_peek_error_data(const char **data, int *flags)
{
    return look(0, false, NULL, NULL, data, flags);
}

unsigned long ERR_peek_last_error(void)
{
    return look(queue.n - 1, false, NULL, NULL, NULL, NULL);
}

void ERR_clear_error(void)
{
    queue.n = 0;
}

/* --- as text ----------------------------------------------------------------------------------------------------- */

const char *ERR_lib_error_string(unsigned long e)
{
    switch (ERR_GET_LIB(e)) {
    case ERR_LIB_SYS: return "system library";
    case ERR_LIB_PEM: return "PEM routines";
    case ERR_LIB_X509: return "x509 certificate routines";
    case ERR_LIB_ASN1: return "asn1 encoding routines";
    case ERR_LIB_SSL: return "SSL routines";
    case ERR_LIB_BIO: return "BIO routines";
    default: return NULL;
    }
}

const char *ERR_func_error_string(unsigned long e)
{
    (void)e;
    return NULL;
}

static const char *common_reason(int reason)
{
    switch (reason) {
    case ERR_R_MALLOC_FAILURE: return "malloc failure";
    case ERR_R_SHOULD_NOT_HAVE_BEEN_CALLED: return "called although it should not have been";
    case ERR_R_PASSED_NULL_PARAMETER: return "passed a null parameter";
    case ERR_R_INTERNAL_ERROR: return "internal error";
    case ERR_R_DISABLED: return "disabled";
    case ERR_R_PASSED_INVALID_ARGUMENT: return "passed an invalid argument";
    case ERR_R_UNSUPPORTED: return "unsupported";
    default: return NULL;
    }
}

const char *ERR_reason_error_string(unsigned long e)
{
    if (ERR_SYSTEM_ERROR(e))
        return NULL;
    if (ERR_GET_LIB(e) == ERR_LIB_X509 && ERR_GET_REASON(e) == X509_R_KEY_VALUES_MISMATCH)
        return "key values mismatch";
    if (ERR_GET_LIB(e) == ERR_LIB_PEM && ERR_GET_REASON(e) == PEM_R_NO_START_LINE)
        return "no start line";
    switch (ERR_GET_LIB(e) == ERR_LIB_SSL ? ERR_GET_REASON(e) : 0) {
#define MILGI_SSL_X(name, value, text) \
    case value: return text;
        MILGI_SSL_REASONS(MILGI_SSL_X)
#undef MILGI_SSL_X
    default: return common_reason(ERR_GET_REASON(e));
    }
}

void ERR_error_string_n(unsigned long e, char *buf, size_t n)
{
    char number[32], word[128];
    const char *lib = ERR_lib_error_string(e), *reason = ERR_reason_error_string(e);

    if (ERR_SYSTEM_ERROR(e) && strerror_r(ERR_GET_REASON(e), word, sizeof word) == 0)
        reason = word;
    if (!reason) {
        snprintf(number, sizeof number, "reason(%d)", ERR_GET_REASON(e));
        reason = number;
    }
    snprintf(buf, n, "error:%08lX:%s::%s", e, lib ? lib : "lib(0)", reason);
}

char *ERR_error_string(unsigned long e, char *buf)
{
    static _Thread_local char own[256];
    ERR_error_string_n(e, buf ? buf : own, 256);
    return buf ? buf : own;
}

void ERR_print_errors_cb(int (*each)(const char *text, size_t len, void *arg), void *arg)
{
    const char *file, *data;
    int line;
    unsigned long e;

    while ((e = ERR_get_error_line_data(&file, &line, &data, NULL)) != 0) {
        char text[256], whole[600];
        ERR_error_string_n(e, text, sizeof text);
        const char *slash = strrchr(file, '/');
        int n = snprintf(whole, sizeof whole, "%s:%s:%d:%s\n", text, slash ? slash + 1 : file, line, data);
        if (each(whole, (size_t)n < sizeof whole ? (size_t)n : sizeof whole - 1, arg) <= 0)
            break;
    }
}

static int to_file(const char *text, size_t len, void *arg)
{
    return fwrite(text, 1, len, arg) == len;
}

void ERR_print_errors_fp(FILE *file)
{
    ERR_print_errors_cb(to_file, file);
}

static int to_bio(const char *text, size_t len, void *arg)
{
    return BIO_write(arg, text, (int)len);
}

void ERR_print_errors(BIO *bio)
{
    ERR_print_errors_cb(to_bio, bio);
}
