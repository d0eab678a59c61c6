/* SPDX-License-Identifier: Apache-2.0 */
/* Results as JSON, written as they come. */
#include <math.h>

#include "bench.h"

static void quoted(FILE *file, const char *text)
{
    fputc('"', file);
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            fprintf(file, "\\%c", c);
        else if (c < 0x20)
            fprintf(file, "\\u%04x", c);
        else
            fputc(c, file);
    }
    fputc('"', file);
}

static void lead(struct bench_json *json, const char *name)
{
    if (json->behind)
        fputc(',', json->file);
    if (json->depth > 0)
        fprintf(json->file, "\n%*s", (int)(json->depth * 2), "");
    if (name) {
        quoted(json->file, name);
        fputs(": ", json->file);
    }
    json->behind = true;
}

void bench_json_open(struct bench_json *json, const char *name, char bracket)
{
    if (!json->file)
        return;
    lead(json, name);
    fputc(bracket, json->file);
    json->depth++;
    json->behind = false;
}

void bench_json_close(struct bench_json *json, char bracket)
{
    if (!json->file)
        return;
    json->depth--;
    fprintf(json->file, "\n%*s%c", (int)(json->depth * 2), "", bracket);
    json->behind = true;
    if (json->depth == 0)
        fputc('\n', json->file);
}

void bench_json_text(struct bench_json *json, const char *name, const char *value)
{
    if (!json->file)
        return;
    lead(json, name);
    quoted(json->file, value);
}

void bench_json_number(struct bench_json *json, const char *name, double value)
{
    if (!json->file)
        return;
    lead(json, name);
    if (isfinite(value))
        fprintf(json->file, "%.10g", value);
    else
        fputs("null", json->file);
}

void bench_json_bool(struct bench_json *json, const char *name, bool value)
{
    if (!json->file)
        return;
    lead(json, name);
    fputs(value ? "true" : "false", json->file);
}
