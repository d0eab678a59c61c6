/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of IDENTITY:SECRET, the secret in hexadecimal, and perhaps :sha384; empty ones and those that begin with #. */
#include "common/psk.h"
#include "common/file.h"
#include "common/say.h"

#include <string.h>

static int digit(char c)
{
    const char *digits = "0123456789abcdef", *at = c ? strchr(digits, c >= 'A' && c <= 'F' ? c + 'a' - 'A' : c) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* |text| in its own place as bytes; their number, 0: it is not hexadecimal. */
static size_t unhex(char *text)
{
    size_t len = strlen(text);
    if (len % 2)
        return 0;
    for (size_t i = 0; i < len; i += 2) {
        int high = digit(text[i]), low = digit(text[i + 1]);
        if (high < 0 || low < 0)
            return 0;
        text[i / 2] = (char)(high << 4 | low);
    }
    return len / 2;
}

/* What is wrong with |line|; NULL: it has been added. */
static const char *add_line(struct milgi_config *config, enum milgi_role role, char *line)
{
    struct milgi_psk_source source = { .role = role, .identity = line };
    char *secret = strchr(line, ':'), *hash = secret ? strchr(secret + 1, ':') : NULL;
    if (!secret || secret == line)
        return "must be IDENTITY:SECRET";
    source.identity_len = (size_t)(secret - line);
    *secret++ = 0;
    if (hash)
        *hash++ = 0;
    bool sha384 = hash && !strcmp(hash, "sha384");
    if (hash && !sha384 && strcmp(hash, "sha256") != 0)
        return "what stands behind the secret must be sha256 or sha384";
    source.hash = sha384 ? MILGI_PSK_SHA384 : MILGI_PSK_SHA256;
    source.secret = secret;
    source.secret_len = unhex(secret);
    if (!source.secret_len)
        return "the secret must be hexadecimal";
    struct milgi_psk *psk = NULL;
    int rv = milgi_psk_new(&source, &psk);
    if (!rv)
        rv = milgi_config_add_psk(config, psk);
    milgi_psk_unref(psk);
    if (rv == MILGI_EWEAK)
        return "the secret is too short: 16 bytes at least";
    if (rv == MILGI_EINVAL)
        return psk ? "it is one too many: a client offers four" : "identity or secret is too long";
    return rv ? milgi_error_text(rv) : NULL;
}

static bool add_lines(struct milgi_config *config, enum milgi_role role, const char *file, char *text)
{
    unsigned number = 0, found = 0;
    for (char *line = text, *next; line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = 0;
        number++;
        line[strcspn(line, "\r")] = 0;
        if (!*line || *line == '#')
            continue;
        const char *fault = add_line(config, role, line);
        if (fault) {
            app_complain("%s: line %u: %s", file, number, fault);
            return false;
        }
        found++;
    }
    if (!found)
        app_complain("%s: no PSK is in it", file);
    return found != 0;
}

bool app_psks_load(
    struct milgi_config *config, enum milgi_role role, const struct app_options *o, uint32_t patience_ms)
{
    char *text = NULL;
    size_t len = 0;
    if (o->psk_ke && milgi_config_set_psk_ke(config, o->psk_ke))
        return false;
    if (o->psk_only && milgi_config_set_psk_only(config, true))
        return false;
    if (!o->psk_file)
        return true;
    const char *fault = app_file_read(o->psk_file, patience_ms, &text, &len);
    if (fault) {
        app_complain("%s: %s", o->psk_file, fault);
        return false;
    }
    bool is_text = strlen(text) == len;
    bool added = is_text && add_lines(config, role, o->psk_file, text);
    if (!is_text)
        app_complain("%s: this is no text", o->psk_file);
    app_file_free(text, len);
    return added;
}
