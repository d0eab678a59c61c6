/* SPDX-License-Identifier: Apache-2.0 */
/* What everything passes through on its way to standard error. */
#include "common/show.h"

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char secret[] = "pin-value";

/* Arguments with a PIN in them, from the URI's scheme on. */
static char *const *arguments;
static int arguments_n;

/* --- secrets ------------------------------------------------------------------------------------------------------ */

static int hex(char c)
{
    const char *digits = "0123456789abcdef", *at = c ? strchr(digits, tolower((unsigned char)c)) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* One character, or its %XX; |*len| is how long that is. */
static char character(const char *text, size_t *len)
{
    int high = *text == '%' ? hex(text[1]) : -1, low = high < 0 ? -1 : hex(text[2]);
    *len = low < 0 ? 1 : 3;
    return low < 0 ? *text : (char)(high * 16 + low);
}

/* The length of "pin-value=" at |text|, 0: it is not there. */
static size_t name_len(const char *text)
{
    size_t at = 0, len;
    for (const char *s = secret; *s; s++, at += len)
        if (tolower((unsigned char)character(text + at, &len)) != *s)
            return 0;
    while (text[at] == ' ')
        at++;
    return character(text + at, &len) == '=' ? at + len : 0;
}

static bool has_secret(const char *text)
{
    for (; *text; text++)
        if (name_len(text))
            return true;
    return false;
}

/* Where the URI in an argument begins. */
static const char *uri_in(const char *text)
{
    for (const char *at = text; *at; at++)
        if (!strncasecmp(at, "pkcs11:", 7))
            return at;
    return text;
}

void app_show_arguments(int argc, char **argv)
{
    arguments = argv;
    arguments_n = argc;
}

/* The length of an argument with a PIN that begins at |text|. */
static size_t argument_len(const char *text)
{
    for (int i = 0; i < arguments_n; i++) {
        const char *uri = uri_in(arguments[i]);
        size_t len = strlen(uri);
        if (len && !strncmp(text, uri, len) && has_secret(uri))
            return len;
    }
    return 0;
}

/* Of a value that is known to be in a URI: there nothing else ends it. */
static size_t exact_len(const char *value, const char *end, bool in_query)
{
    const char *at = value;
    while (at < end && *at != '&' && (in_query || (*at != ';' && *at != '?')))
        at++;
    return (size_t)(at - value);
}

/* Of a value in the midst of a sentence. */
static size_t likely_len(const char *value)
{
    size_t len = strspn(value, " ");
    while (value[len] && !strchr(";&\"'<> \t\n\r", value[len]) &&
        !(value[len] == ':' && (!value[len + 1] || value[len + 1] == ' ')))
        len++;
    return len;
}

static void without_secrets(FILE *out, const char *text)
{
    const char *known_end = NULL;
    bool in_query = false;
    while (*text) {
        if (!known_end || text >= known_end) {
            size_t known = argument_len(text);
            known_end = known ? text + known : NULL;
            in_query = false;
        }
        in_query |= *text == '?';
        size_t name = name_len(text), value = 0;
        if (name)
            value = known_end ? exact_len(text + name, known_end, in_query) : likely_len(text + name);
        fwrite(text, 1, name ? name : 1, out);
        if (name)
            fputs("...", out);
        text += name ? name + value : 1;
    }
}

/* --- what a terminal would obey ----------------------------------------------------------------------------------- */

/* The length of the character at |text|, which ends with a zero, and its number; 0: it is no UTF-8. */
static size_t decode(const unsigned char *text, uint32_t *code)
{
    static const struct {
        unsigned char mask, lead, first;
        uint32_t least;
    } forms[] = { { 0x80, 0, 0x7f, 0 }, { 0xe0, 0xc0, 0x1f, 0x80 }, { 0xf0, 0xe0, 0x0f, 0x800 },
        { 0xf8, 0xf0, 0x07, 0x10000 } };
    for (size_t len = 1; len <= 4; len++) {
        if ((*text & forms[len - 1].mask) != forms[len - 1].lead)
            continue;
        *code = *text & forms[len - 1].first;
        for (size_t i = 1; i < len; i++) {
            if ((text[i] & 0xc0) != 0x80)
                return 0;
            *code = *code << 6 | (text[i] & 0x3f);
        }
        bool is_surrogate = *code >= 0xd800 && *code <= 0xdfff;
        return *code >= forms[len - 1].least && *code <= 0x10ffff && !is_surrogate ? len : 0;
    }
    return 0;
}

static bool is_harmless(uint32_t code)
{
    static const struct {
        uint32_t first, last;
    } strange[] = { { 0, 0x1f }, { 0x7f, 0x9f }, { 0xad, 0xad }, { 0x61c, 0x61c }, { 0x180e, 0x180e },
        { 0x200b, 0x200f }, { 0x2028, 0x202e }, { 0x2060, 0x206f }, { 0xfeff, 0xfeff }, { 0xfff9, 0xfffb },
        { 0xe0000, 0xe0fff } };
    for (size_t i = 0; i < sizeof strange / sizeof strange[0]; i++)
        if (code >= strange[i].first && code <= strange[i].last)
            return false;
    return true;
}

static void escaped(FILE *out, const char *text, bool lines)
{
    uint32_t code = 0;
    while (*text) {
        size_t len = decode((const unsigned char *)text, &code);
        bool as_is = len && ((lines && code == '\n') || is_harmless(code));
        len = len ? len : 1;
        for (size_t i = 0; i < len; i++)
            if (as_is)
                fputc(text[i], out);
            else
                fprintf(out, "\\x%02x", (unsigned char)text[i]);
        text += len;
    }
}

/* --- both --------------------------------------------------------------------------------------------------------- */

char *app_show(const char *text, bool lines)
{
    char *cut = NULL, *shown = NULL;
    size_t len;
    FILE *out = open_memstream(&cut, &len);
    if (!out)
        return NULL;
    without_secrets(out, text);
    if (fclose(out) || !(out = open_memstream(&shown, &len))) {
        free(cut);
        return NULL;
    }
    escaped(out, cut, lines);
    free(cut);
    if (fclose(out)) {
        free(shown);
        return NULL;
    }
    return shown;
}
