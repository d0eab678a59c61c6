/* SPDX-License-Identifier: Apache-2.0 */
/* What is wrong with a file, in words for whoever has to mend it. */
#include <stdarg.h>
#include <stdio.h>

#include "cert/cert.h"

#define BEGIN "-----BEGIN "
#define DASHES "-----"

/* --- texts ------------------------------------------------------------------------------------------------------ */

struct line {
    const char *p;
    size_t len; /* without what ends it */
    unsigned number;
};

static bool next_line(const char **p, const char *end, struct line *line)
{
    if (*p == end)
        return false;
    const char *stop = memchr(*p, '\n', (size_t)(end - *p));
    line->p = *p;
    line->len = (size_t)((stop ? stop : end) - *p);
    line->number++;
    *p = stop ? stop + 1 : end;
    while (line->len > 0 && (unsigned char)line->p[line->len - 1] <= ' ')
        line->len--;
    return true;
}

static const char *find(const char *p, size_t len, const char *what)
{
    size_t n = strlen(what);

    for (size_t i = 0; i + n <= len; i++) {
        if (memcmp(p + i, what, n) == 0)
            return p + i;
    }
    return NULL;
}

static bool begins_with(const struct line *line, const char *what)
{
    return line->len >= strlen(what) && memcmp(line->p, what, strlen(what)) == 0;
}

/* A line that was meant to begin or to end a block, and does not. */
static bool is_broken_mark(const struct line *line)
{
    static const char *const words[] = { "BEGIN ", "END " };

    for (size_t i = 0; i < MILGI__COUNT(words); i++) {
        char mark[16];
        size_t n = (size_t)snprintf(mark, sizeof mark, "%s%s", DASHES, words[i]);
        const char *word = find(line->p, line->len, mark + 2); /* even with fewer dashes */
        if (!word)
            continue;
        bool whole = begins_with(line, mark) && line->len > n + 5 &&
            memcmp(line->p + line->len - 5, DASHES, 5) == 0 && !find(line->p + n, line->len - n - 5, DASHES);
        if (!whole)
            return true;
    }
    return false;
}

/* The line where the first block at or behind |at| begins; 0: there is none. */
static unsigned line_of_block(const char *text, size_t len, size_t at)
{
    const char *p = text, *end = text + len;
    struct line line = { .number = 0 };

    while (next_line(&p, end, &line)) {
        if (line.p >= text + at && begins_with(&line, BEGIN))
            return line.number;
    }
    return 0;
}

/* --- what it is if it is no PEM --------------------------------------------------------------------------------- */

static bool is_blank(const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (p[i] > ' ')
            return false;
    }
    return true;
}

static bool is_utf16(const uint8_t *p, size_t len)
{
    if (len < 2)
        return false;
    return (p[0] == 0xff && p[1] == 0xfe) || (p[0] == 0xfe && p[1] == 0xff) || (p[0] == '-' && p[1] == 0) ||
        (p[0] == 0 && p[1] == '-');
}

/* A SEQUENCE, as everything in question begins. */
static bool is_der(const uint8_t *p, size_t len)
{
    return len > 2 && p[0] == 0x30 && (p[1] == 0x80 || (p[1] >= 0x81 && p[1] <= 0x84) || p[1] + 2u == len);
}

static enum milgi_problem_kind look(const void *text, size_t len)
{
    if (is_blank(text, len))
        return MILGI_PROBLEM_EMPTY;
    if (is_utf16(text, len))
        return MILGI_PROBLEM_UTF16;
    return is_der(text, len) ? MILGI_PROBLEM_DER : MILGI_PROBLEM_NO_BLOCK;
}

/* --- words ------------------------------------------------------------------------------------------------------ */

static const char usable[] = "usable are RSA and RSA-PSS of 2048 to 4096 bits, ECDSA on P-256, P-384 and P-521, and "
                             "Ed25519";

__attribute__((format(printf, 2, 3))) static void say(struct milgi_problem *problem, const char *format, ...)
{
    va_list args;
    size_t n = 0;

    if (problem->line != 0)
        n = (size_t)snprintf(problem->text, sizeof problem->text, "line %u: ", problem->line);
    va_start(args, format);
    vsnprintf(problem->text + n, sizeof problem->text - n, format, args);
    va_end(args);
}

static void say_no_block(struct milgi_problem *problem, const char *what)
{
    const char *wanted = problem->file == MILGI_FILE_KEY ? "private key"
        : problem->file == MILGI_FILE_CRLS               ? "CRL"
                                                         : "certificate";

    if (*what)
        say(problem, "holds no %s in PEM, but a %s", wanted, what);
    else
        say(problem, "holds no %s in PEM", wanted);
}

static void say_key(struct milgi_problem *problem, const char *what)
{
    switch (problem->kind) {
    case MILGI_PROBLEM_ENCRYPTED:
        say(problem, "is encrypted, and there is no passphrase for it");
        return;
    case MILGI_PROBLEM_PASSPHRASE:
        if (*what)
            say(problem, "is encrypted in a way that is not known here (%s): \"openssl pkey -aes256\" writes it anew",
                what);
        else
            say(problem, "is encrypted, and not with this passphrase");
        return;
    case MILGI_PROBLEM_PUBLIC_KEY: say(problem, "holds a public key, but no private key"); return;
    case MILGI_PROBLEM_KEY_WEAK: say(problem, "holds a key that is too weak (%s): %s", what, usable); return;
    case MILGI_PROBLEM_KEY_LARGE: say(problem, "holds a key that is too large (%s): %s", what, usable); return;
    case MILGI_PROBLEM_MISMATCH: say(problem, "is not the private key of the first certificate"); return;
    default: say(problem, "holds a key that cannot be used (%s): %s", what, usable);
    }
}

static void put_in_words(struct milgi_problem *problem, const char *what)
{
    switch (problem->kind) {
    case MILGI_PROBLEM_NONE:
    case MILGI_PROBLEM_OTHER: say(problem, "%s", milgi_error_text(problem->error)); return;
    case MILGI_PROBLEM_UNREADABLE: say(problem, "cannot be read"); return;
    case MILGI_PROBLEM_EMPTY: say(problem, "is empty"); return;
    case MILGI_PROBLEM_UTF16: say(problem, "is UTF-16: PEM is plain ASCII, save it as such or as UTF-8"); return;
    case MILGI_PROBLEM_DER:
        say(problem,
            "is binary, not PEM: convert it with \"openssl %s -inform DER\", or with \"openssl pkcs12 -nodes\" if it "
            "is PKCS #12",
            problem->file == MILGI_FILE_KEY        ? "pkey"
                : problem->file == MILGI_FILE_CRLS ? "crl"
                                                   : "x509");
        return;
    case MILGI_PROBLEM_NO_BLOCK: say_no_block(problem, what); return;
    case MILGI_PROBLEM_LINES:
        say(problem, "a PEM block is broken here: lines are glued together, cut, or missing");
        return;
    case MILGI_PROBLEM_UNKNOWN_BLOCK: say(problem, "a block \"%s\" is not understood here", what); return;
    case MILGI_PROBLEM_CONTENT: say(problem, "the %s that begins here is malformed", what); return;
    case MILGI_PROBLEM_CRL: say(problem, "the CRL that begins here %s", what); return;
    case MILGI_PROBLEM_URI: say(problem, "%s", what); return;
    case MILGI_PROBLEM_ORDER:
        say(problem, "the certificate of the private key has to be the first, before those of its issuers");
        return;
    default: say_key(problem, what);
    }
}

/* --- problems --------------------------------------------------------------------------------------------------- */

int milgi__problem(
    struct milgi_problem *problem, int error, enum milgi_problem_kind kind, enum milgi_problem_file file)
{
    if (!problem)
        return error;
    *problem = (struct milgi_problem){ .error = error, .kind = kind, .file = file };
    put_in_words(problem, "");
    return error;
}

int milgi__problem_of_uri(struct milgi_problem *problem, const char *what)
{
    if (!problem)
        return MILGI_EINVAL;
    *problem = (struct milgi_problem){ .error = MILGI_EINVAL, .kind = MILGI_PROBLEM_URI, .file = MILGI_FILE_KEY };
    put_in_words(problem, what);
    return MILGI_EINVAL;
}

int milgi__problem_of_pem(struct milgi_problem *problem, int error, enum milgi_problem_file file,
    const struct milgi__pem_fault *fault, const void *pem, size_t len)
{
    enum milgi_problem_kind kind = fault->kind;

    if (!problem)
        return error;
    if (kind == MILGI_PROBLEM_NONE) /* no memory */
        return milgi__problem(problem, error, MILGI_PROBLEM_OTHER, MILGI_FILE_NONE);
    if (kind == MILGI_PROBLEM_NO_BLOCK)
        kind = look(pem, len);
    *problem = (struct milgi_problem){ .error = error, .kind = kind, .file = file };
    if (kind == MILGI_PROBLEM_LINES || kind == MILGI_PROBLEM_UNKNOWN_BLOCK || kind == MILGI_PROBLEM_CONTENT ||
        kind == MILGI_PROBLEM_CRL)
        problem->line = line_of_block(pem, len, fault->at);
    put_in_words(problem, fault->what);
    return error;
}

int milgi__pem_lines(struct milgi_problem *problem, enum milgi_problem_file file, const void **pem, size_t *len)
{
    static const uint8_t mark[3] = { 0xef, 0xbb, 0xbf };
    struct line line = { .number = 0 };

    if (*len >= sizeof mark && memcmp(*pem, mark, sizeof mark) == 0) {
        *pem = (const uint8_t *)*pem + sizeof mark;
        *len -= sizeof mark;
    }
    const char *p = *pem;
    while (next_line(&p, (const char *)*pem + *len, &line)) {
        if (!is_broken_mark(&line))
            continue;
        if (problem) {
            *problem = (struct milgi_problem){ MILGI_EPARSE, MILGI_PROBLEM_LINES, file, line.number, "" };
            put_in_words(problem, "");
        }
        return MILGI_EPARSE;
    }
    return 0;
}

/* --- warnings --------------------------------------------------------------------------------------------------- */

bool milgi_credential_warning(
    const struct milgi_credential *credential, int64_t now_s, struct milgi_problem *warning)
{
    struct milgi__cert_walk walk = { .p = credential->chain, .left = credential->chain_len };
    int64_t from_s, to_s;

    *warning = (struct milgi_problem){ .kind = MILGI_PROBLEM_NONE };
    for (unsigned i = 1; milgi__cert_walk_next(&walk); i++) {
        if (milgi__cert_validity(walk.der, walk.der_len, &from_s, &to_s) != 0 || (now_s >= from_s && now_s <= to_s))
            continue;
        bool early = now_s < from_s;
        char subject[80] = "";
        (void)milgi__cert_subject(walk.der, walk.der_len, subject, sizeof subject);
        warning->file = MILGI_FILE_CHAIN;
        warning->kind = early ? MILGI_PROBLEM_NOT_YET_VALID : MILGI_PROBLEM_EXPIRED;
        say(warning, "certificate %u (%s) %s %lld hours %s", i, subject, early ? "is not valid until" : "expired",
            (long long)((early ? from_s - now_s : now_s - to_s) / 3600), early ? "from now" : "ago");
        return true;
    }
    return false;
}
