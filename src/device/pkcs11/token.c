/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions and logins. */
#include "base/port.h"
#include "device/pkcs11/shelf.h"

/* --- sessions --------------------------------------------------------------------------------------------------- */

/*
 * A session carries one operation at a time, so each worker that is at it has one of its own. A token that has fewer
 * makes them wait for one another.
 */
static CK_RV take_session(struct milgi__p11_token *token, CK_SESSION_HANDLE *handle)
{
    for (;;) {
        if (token->idle_n > 0) {
            *handle = token->idle[--token->idle_n];
            return CKR_OK;
        }
        CK_RV rv = token->module->f->C_OpenSession(token->slot, CKF_SERIAL_SESSION, NULL, NULL, handle);
        if (rv != CKR_SESSION_COUNT || token->out_n == 0)
            return rv;
        pthread_cond_wait(&token->returned, &token->lock);
    }
}

CK_RV milgi__p11_session_get(struct milgi__p11_token *token, struct milgi__p11_session *session)
{
    pthread_mutex_lock(&token->lock);
    CK_RV rv = take_session(token, &session->handle);
    session->generation = token->generation;
    if (rv == CKR_OK)
        token->out_n++;
    pthread_mutex_unlock(&token->lock);
    return rv;
}

void milgi__p11_session_put(struct milgi__p11_token *token, const struct milgi__p11_session *session, bool usable)
{
    pthread_mutex_lock(&token->lock);
    token->out_n--;
    if (usable && session->generation == token->generation && token->idle_n < MILGI__P11_SESSIONS)
        token->idle[token->idle_n++] = session->handle;
    else
        (void)token->module->f->C_CloseSession(session->handle);
    if (token->idle_n + token->out_n == 0)
        token->logged_in = false; /* PKCS #11: with the last session of an application its login ends */
    pthread_cond_signal(&token->returned);
    pthread_mutex_unlock(&token->lock);
}

void milgi__p11_token_reset(struct milgi__p11_token *token, unsigned generation)
{
    pthread_mutex_lock(&token->lock);
    if (token->generation == generation) { /* else somebody else has seen it too */
        token->generation++;
        token->logged_in = false;
        while (token->idle_n > 0)
            (void)token->module->f->C_CloseSession(token->idle[--token->idle_n]);
    }
    pthread_mutex_unlock(&token->lock);
}

/* --- PINs ------------------------------------------------------------------------------------------------------- */

struct pin {
    uint8_t text[MILGI__P11_PIN_MAX];
    size_t len;
};

static int set_pin(struct pin *pin, const void *text, size_t len)
{
    if (len > sizeof pin->text)
        return MILGI_CODE_PKCS11_PIN_SOURCE;
    memcpy(pin->text, text, len);
    pin->len = len;
    return 0;
}

/* A program may answer for sources of its own, or for all: p11_kit_pin_register_callback(). */
static bool asked_program(struct pin *pin, const struct milgi__p11_pin *from, P11KitPinFlags flags, int *code)
{
    P11KitPin *given = p11_kit_pin_request(
        !from->source ? P11_KIT_PIN_FALLBACK : from->source, from->uri, "private key", flags);
    size_t len;

    if (!given)
        return false;
    const unsigned char *text = p11_kit_pin_get_value(given, &len);
    *code = set_pin(pin, text, len);
    milgi__wipe((void *)(uintptr_t)text, len);
    p11_kit_pin_unref(given);
    return true;
}

/*
 * RFC 7512 2.4: a path or a file: URI. What it says of commands ("|command") is not followed: whoever can write a
 * configuration should not be able to run programs by that.
 */
static int read_pin_file(struct pin *pin, const char *source)
{
    static const char scheme[] = "file:";
    size_t len;

    if (strncmp(source, scheme, sizeof scheme - 1) == 0) {
        source += sizeof scheme - 1;
        if (strncmp(source, "//", 2) == 0) /* an empty authority */
            source += 2;
    }
    uint8_t *text = milgi__port_read_file(source, &len);
    if (!text)
        return MILGI_CODE_PKCS11_PIN_SOURCE;
    size_t size = len;
    while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r'))
        len--;
    int code = len == 0 ? MILGI_CODE_PKCS11_PIN_SOURCE : set_pin(pin, text, len);
    milgi__free_wiped(text, size);
    return code;
}

static int get_pin(struct pin *pin, const struct milgi__p11_pin *from, P11KitPinFlags flags)
{
    int code = 0;

    if (from->value)
        return set_pin(pin, from->value, strlen(from->value));
    if (asked_program(pin, from, flags, &code))
        return code;
    return !from->source ? MILGI_CODE_PKCS11_NO_PIN : read_pin_file(pin, from->source);
}

/* --- what was refused ------------------------------------------------------------------------------------------- */

/* Of a PIN no more is kept than whether another is the same; the salt is this token's struct's. */
static bool digest_pin(const struct pin *pin, const struct milgi__p11_token *token, uint8_t out[MILGI__HASH_MAX])
{
    struct milgi__crypto *cx = milgi__crypto_new();

    if (!cx)
        return false;
    int rv = milgi__hmac(cx, MILGI__SHA256, token->salt, sizeof token->salt, pin->text, pin->len, out);
    milgi__crypto_free(cx);
    return rv == 0;
}

/* When there were too many to remember, no other is tried either. */
static bool is_refused(const struct milgi__p11_token *token, const uint8_t digest[MILGI__HASH_MAX])
{
    if (token->refused_n == MILGI__P11_REFUSED)
        return true;
    for (unsigned i = 0; i < token->refused_n; i++) {
        if (milgi__ct_equal(token->refused[i], digest, MILGI__P11_PIN_LEN) == 1)
            return true;
    }
    return false;
}

static void remember(struct milgi__p11_token *token, const uint8_t digest[MILGI__HASH_MAX])
{
    CK_TOKEN_INFO info;

    memcpy(token->refused[token->refused_n++], digest, MILGI__P11_PIN_LEN);
    if (token->module->f->C_GetTokenInfo(token->slot, &info) == CKR_OK)
        token->counts = (info.flags & CKF_USER_PIN_COUNT_LOW) != 0;
}

/* A right PIN has been given since, perhaps a new one: then one wrong try is harmless again. */
static void forgive(struct milgi__p11_token *token, CK_FLAGS flags)
{
    static const CK_FLAGS wrong = CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY | CKF_USER_PIN_LOCKED;

    if (token->counts && (flags & wrong) == 0)
        token->refused_n = 0;
}

/* --- logging in ------------------------------------------------------------------------------------------------- */

static int try_pin(struct milgi__p11_token *token, CK_SESSION_HANDLE session, CK_USER_TYPE user, struct pin *pin)
{
    uint8_t digest[MILGI__HASH_MAX];

    if (!digest_pin(pin, token, digest))
        return MILGI_CODE_PKCS11_MEMORY;
    if (is_refused(token, digest))
        return MILGI_CODE_PKCS11_PIN_WRONG;
    CK_RV rv = token->module->f->C_Login(session, user, pin->text, (CK_ULONG)pin->len);
    int code = rv == CKR_USER_ALREADY_LOGGED_IN ? 0 : milgi__p11_code(rv);
    if (code == MILGI_CODE_PKCS11_PIN_WRONG)
        remember(token, digest);
    return code;
}

/* Under the token's lock, so that no two threads give the same wrong PIN. */
static int login(struct milgi__p11_token *token, CK_SESSION_HANDLE session, CK_USER_TYPE user,
    const struct milgi__p11_pin *from)
{
    CK_TOKEN_INFO info;
    struct pin pin;

    CK_RV rv = token->module->f->C_GetTokenInfo(token->slot, &info);
    if (rv != CKR_OK)
        return milgi__p11_code(rv);
    if (info.flags & CKF_USER_PIN_LOCKED)
        return MILGI_CODE_PKCS11_PIN_LOCKED;
    forgive(token, info.flags);
    P11KitPinFlags flags = user == CKU_USER ? P11_KIT_PIN_FLAGS_USER_LOGIN : P11_KIT_PIN_FLAGS_CONTEXT_LOGIN;
    int code = get_pin(&pin, from, flags);
    if (code == MILGI_CODE_PKCS11_NO_PIN && (info.flags & CKF_PROTECTED_AUTHENTICATION_PATH)) {
        rv = token->module->f->C_Login(session, user, NULL, 0);
        return rv == CKR_USER_ALREADY_LOGGED_IN ? 0 : milgi__p11_code(rv);
    }
    /* A supervisor that starts a program again and again must not use up the last try. */
    if (code == 0 && (info.flags & CKF_USER_PIN_FINAL_TRY))
        code = MILGI_CODE_PKCS11_PIN_LAST;
    if (code == 0)
        code = try_pin(token, session, user, &pin);
    milgi__wipe(&pin, sizeof pin);
    return code;
}

int milgi__p11_login(struct milgi__p11_token *token, CK_SESSION_HANDLE session, const struct milgi__p11_pin *pin)
{
    int code = 0;

    pthread_mutex_lock(&token->lock);
    if (!token->logged_in && (token->info.flags & CKF_LOGIN_REQUIRED)) {
        code = login(token, session, CKU_USER, pin);
        token->logged_in = code == 0;
    }
    pthread_mutex_unlock(&token->lock);
    return code;
}

int milgi__p11_login_again(
    struct milgi__p11_token *token, CK_SESSION_HANDLE session, const struct milgi__p11_pin *pin)
{
    pthread_mutex_lock(&token->lock);
    int code = login(token, session, CKU_CONTEXT_SPECIFIC, pin);
    pthread_mutex_unlock(&token->lock);
    return code;
}
