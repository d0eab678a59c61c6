/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of a device's description. */
#include "device/spec.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Reads the digits at *|text|; false: there are none, or their number is larger than |max|. */
static bool read_digits(const char **text, uint64_t max, uint64_t *out)
{
    const char *p = *text;
    uint64_t v = 0;

    if (!is_digit(*p))
        return false;
    for (; is_digit(*p); p++) {
        uint64_t digit = (uint64_t)(*p - '0');
        if (v > max / 10 || v * 10 > max - digit)
            return false;
        v = v * 10 + digit;
    }
    *text = p;
    *out = v;
    return true;
}

bool milgi__spec_number(const char *value, uint64_t max, uint64_t *n)
{
    return value && read_digits(&value, max, n) && *value == '\0';
}

bool milgi__spec_time(const char *value, uint64_t *ns)
{
    static const struct {
        const char *unit;
        uint64_t ns;
    } units[] = { { "", 1 }, { "ns", 1 }, { "us", 1000 }, { "ms", 1000000 }, { "s", 1000000000 } };
    uint64_t n;

    if (!value || !read_digits(&value, UINT64_MAX, &n))
        return false;
    for (size_t i = 0; i < MILGI__COUNT(units); i++) {
        if (strcmp(value, units[i].unit) != 0)
            continue;
        if (n > UINT64_MAX / units[i].ns)
            return false;
        *ns = n * units[i].ns;
        return true;
    }
    return false;
}

bool milgi__spec_size(const char *value, uint64_t *bytes)
{
    static const char units[] = "kmg";
    uint64_t n;

    if (!value || !read_digits(&value, UINT64_MAX, &n))
        return false;
    if (*value == '\0') {
        *bytes = n;
        return true;
    }
    const char *unit = strchr(units, *value);
    unsigned shift = !unit ? 0 : 10 * (unsigned)(unit - units + 1);
    if (!unit || value[1] != '\0' || n > UINT64_MAX >> shift)
        return false;
    *bytes = n << shift;
    return true;
}

/* By hand, since strtod() hears on the locale. */
bool milgi__spec_fraction(const char *value, double *f)
{
    uint64_t whole, part = 0;
    double scale = 1;

    if (!value || !read_digits(&value, 100, &whole))
        return false;
    if (*value == '.') {
        const char *digits = ++value;
        if (!read_digits(&value, 1000000000, &part))
            return false;
        for (; digits < value; digits++)
            scale *= 10;
    }
    double v = (double)whole + (double)part / scale;
    if (*value == '%') {
        v /= 100;
        value++;
    }
    if (*value != '\0' || v > 1)
        return false;
    *f = v;
    return true;
}

static bool said_before(const struct milgi__spec *spec, const char *key)
{
    for (unsigned i = 0; i < spec->n; i++) {
        if (strcmp(spec->key[i], key) == 0)
            return true;
    }
    return false;
}

/* One "key=value" or "word"; ends it in place. */
static bool take_word(struct milgi__spec *spec, char *word)
{
    char *value = strchr(word, '=');

    if (value)
        *value++ = '\0';
    if (*word == '\0' || (value && *value == '\0'))
        return false;
    if (spec->n == MILGI__COUNT(spec->key) || said_before(spec, word))
        return false;
    spec->key[spec->n] = word;
    spec->value[spec->n++] = value;
    return true;
}

/* The comma that ends |word|: one that stands in parentheses belongs to a value. NULL: none; *|whole| if they match. */
static char *end_of_word(char *word, bool *whole)
{
    unsigned deep = 0;

    *whole = true;
    for (; *word != '\0' && (*word != ',' || deep > 0); word++) {
        *whole = *whole && (*word != ')' || deep > 0);
        deep += *word == '(';
        deep -= *word == ')' && deep > 0;
    }
    *whole = *whole && deep == 0;
    return *word == '\0' ? NULL : word;
}

int milgi__spec_parse(struct milgi__spec *spec, const char *text)
{
    size_t len = !text ? 0 : strlen(text);

    memset(spec, 0, sizeof *spec);
    if (len == 0 || len >= sizeof spec->text)
        return MILGI_EINVAL;
    memcpy(spec->text, text, len);
    char *word = strchr(spec->text, ':');
    if (!word)
        return 0;
    if (word == spec->text)
        return MILGI_EINVAL;
    *word++ = '\0';
    for (;;) {
        bool whole;
        char *comma = end_of_word(word, &whole);
        if (comma)
            *comma = '\0';
        if (!whole || !take_word(spec, word))
            return MILGI_EINVAL;
        if (!comma)
            return 0;
        word = comma + 1;
    }
}

static bool read_value(const struct milgi__spec_word *word, const char *value)
{
    uint64_t n = 0;

    switch (word->kind) {
    case MILGI__SPEC_FLAG:
        *(bool *)word->to = true;
        return !value;
    case MILGI__SPEC_TEXT:
        *(const char **)word->to = value;
        return value != NULL;
    case MILGI__SPEC_FRACTION: return milgi__spec_fraction(value, word->to);
    case MILGI__SPEC_NUMBER:
        if (!milgi__spec_number(value, word->max, &n))
            return false;
        break;
    case MILGI__SPEC_TIME:
        if (!milgi__spec_time(value, &n) || n > word->max)
            return false;
        break;
    }
    if (n < word->min)
        return false;
    *(uint64_t *)word->to = n;
    return true;
}

static int read_word(const char *key, const char *value, const struct milgi__spec_word *words, size_t n,
    const char *unknown, const char **why)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(key, words[i].key) != 0)
            continue;
        if (read_value(&words[i], value))
            return 0;
        *why = words[i].why;
        return MILGI_EINVAL;
    }
    *why = unknown;
    return MILGI_EINVAL;
}

int milgi__spec_read(const struct milgi__spec *spec, unsigned from, const struct milgi__spec_word *words, size_t n,
    const char *unknown, const char **why)
{
    for (unsigned i = from; i < spec->n; i++) {
        int error = read_word(spec->key[i], spec->value[i], words, n, unknown, why);
        if (error != 0)
            return error;
    }
    return 0;
}
