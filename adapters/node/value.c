/* SPDX-License-Identifier: Apache-2.0 */
/* Values between C and JavaScript. Those that cannot be made are undefined: there is no memory then. */
#include <string.h>

#include "addon.h"

napi_value node__undefined(napi_env env)
{
    napi_value v = NULL;
    napi_get_undefined(env, &v);
    return v;
}

napi_value node__number(napi_env env, double value)
{
    napi_value v;
    return napi_create_double(env, value, &v) ? node__undefined(env) : v;
}

napi_value node__bool(napi_env env, bool value)
{
    napi_value v;
    return napi_get_boolean(env, value, &v) ? node__undefined(env) : v;
}

napi_value node__string(napi_env env, const char *text)
{
    napi_value v;
    napi_status bad = text ? napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &v) : napi_get_null(env, &v);
    return bad ? node__undefined(env) : v;
}

napi_value node__bytes(napi_env env, const void *data, size_t len)
{
    napi_value v;
    void *copy;
    if (napi_create_buffer(env, len, &copy, &v))
        return node__undefined(env);
    if (len)
        memcpy(copy, data, len);
    return v;
}

napi_value node__iov_list(napi_env env, const struct milgi_iov *iov, size_t n)
{
    napi_value list;
    if (napi_create_array_with_length(env, n, &list))
        return node__undefined(env);
    for (size_t i = 0; i < n; i++)
        napi_set_element(env, list, (uint32_t)i, node__bytes(env, iov[i].data, iov[i].len));
    return list;
}

void node__set(napi_env env, napi_value object, const char *name, napi_value value)
{
    napi_set_named_property(env, object, name, value);
}

bool node__get_int(napi_env env, napi_value value, int64_t *out)
{
    return napi_get_value_int64(env, value, out) == napi_ok;
}

bool node__get_bool(napi_env env, napi_value value, bool *out)
{
    return napi_get_value_bool(env, value, out) == napi_ok;
}

bool node__get_bytes(napi_env env, napi_value value, const uint8_t **data, size_t *len)
{
    bool is = false;
    void *at = NULL;
    if (napi_is_buffer(env, value, &is) || !is || napi_get_buffer_info(env, value, &at, len))
        return false;
    *data = at;
    return true;
}

bool node__get_string(napi_env env, napi_value value, char *out, size_t cap)
{
    size_t len;
    if (napi_get_value_string_utf8(env, value, NULL, 0, &len) || len >= cap)
        return false;
    return napi_get_value_string_utf8(env, value, out, cap, &len) == napi_ok && strlen(out) == len;
}

bool node__is_null(napi_env env, napi_value value)
{
    napi_valuetype type;
    return napi_typeof(env, value, &type) || type == napi_null || type == napi_undefined;
}

napi_value node__args(napi_env env, napi_callback_info info, napi_value args[ARGS_MAX])
{
    size_t n = ARGS_MAX;
    napi_value self = NULL;
    napi_get_cb_info(env, info, &n, args, &self, NULL);
    return self;
}

napi_value node__throw(napi_env env, int error, const char *text)
{
    napi_throw_error(env, milgi_error_name(error), text ? text : milgi_error_text(error));
    return NULL;
}

struct host *node__host(napi_env env)
{
    void *host = NULL;
    napi_get_instance_data(env, &host);
    return host;
}
