/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nobody is asked for anything: UI_create_method() is NULL, and what would ask is never called. For programs that have
 * an engine ask, whether there are engines or not.
 */
#pragma once

#include <openssl/crypto.h>

typedef struct ui_string_st UI_STRING;
typedef int milgi_ssl_ui_call(UI *ui);
typedef int milgi_ssl_ui_text(UI *ui, UI_STRING *text);

static inline UI_METHOD *UI_create_method(const char *name)
{
    (void)name;
    return NULL;
}
static inline UI_METHOD *UI_OpenSSL(void)
{
    return NULL;
}
static inline int milgi_ssl_ui_nobody(UI *ui)
{
    (void)ui;
    return 0;
}
static inline int milgi_ssl_ui_nothing(UI *ui, UI_STRING *text)
{
    (void)ui;
    (void)text;
    return 0;
}
static inline int milgi_ssl_ui_set(UI_METHOD *method, milgi_ssl_ui_call *call, milgi_ssl_ui_text *text)
{
    (void)method;
    (void)call;
    (void)text;
    return -1;
}
#define UI_destroy_method(method) ((void)(method))
#define UI_method_set_opener(method, f) milgi_ssl_ui_set((method), (f), NULL)
#define UI_method_set_closer(method, f) milgi_ssl_ui_set((method), (f), NULL)
#define UI_method_set_reader(method, f) milgi_ssl_ui_set((method), NULL, (f))
#define UI_method_set_writer(method, f) milgi_ssl_ui_set((method), NULL, (f))
#define UI_method_get_opener(method) ((void)(method), milgi_ssl_ui_nobody)
#define UI_method_get_closer(method) ((void)(method), milgi_ssl_ui_nobody)
#define UI_method_get_reader(method) ((void)(method), milgi_ssl_ui_nothing)
#define UI_method_get_writer(method) ((void)(method), milgi_ssl_ui_nothing)
