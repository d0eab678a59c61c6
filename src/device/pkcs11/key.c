/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One key of one engine: found by its URI when it is first needed, and again when its token went and came back.
 *
 * Whether an object is the right one is not taken from its attributes, which tokens have or have not: the first
 * signature is verified with the certificate's key.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "base/port.h"
#include "device/pkcs11/shelf.h"

#define CANDIDATES 16 /* objects that fit a URI */
#define ATTRIBUTES 8  /* of a search */
#define SLOTS_MAX 256
#define RAW_MAX MILGI_SIGNATURE_MAX
/* With what is known, found anew, in a module started anew, and again if others did that meanwhile. */
#define TRIES 4
/* For a token that is there but does not tell which it is, and ns between two. */
#define LOOKS 10
#define LOOK_NAP 20000000
#define FINDER_S 1 /* how long another thread's search for the same key is waited for */

struct place {
    struct milgi__p11_token *token;
    unsigned epoch;
    CK_OBJECT_HANDLE object;
    bool always; /* wants the PIN for every signature */
};

struct milgi__p11_key {
    _Atomic unsigned refs;
    struct milgi__ward *ward;
    enum milgi__key_type type;
    uint8_t *spki; /* of the certificate */
    size_t spki_len;
    const struct milgi__p11_options *options;
    struct milgi__p11_pin pin;
    P11KitUri *uri;
    int uri_code; /* what is wrong with the URI */
    pthread_mutex_t lock;
    pthread_cond_t looked;
    unsigned finders; /* threads that look for it */
    bool found;
    struct place place;
    _Atomic(struct milgi__p11_source *) source;
    _Atomic uint64_t rest_until_ns;
    _Atomic int rest_code;
};

/* One signature on its way. */
struct work {
    struct milgi__p11_key *key;
    struct milgi__crypto *cx;
    struct milgi_op_sign *op;
    uint16_t scheme;
    uint8_t digest[19 + MILGI__SIGN_HASH_MAX]; /* with room for a DigestInfo before it */
    size_t digest_len;
    CK_RSA_PKCS_PSS_PARAMS pss;
    CK_MECHANISM mechanism;
    uint64_t tried_ns; /* when the last attempt began */
    bool revived;
    bool was_found; /* by an earlier op */
};

/* --- codes ------------------------------------------------------------------------------------------------------ */

int milgi__p11_code(CK_RV rv)
{
    switch (rv) {
    case CKR_OK: return 0;
    case CKR_HOST_MEMORY:
    case CKR_DEVICE_MEMORY: return MILGI_CODE_PKCS11_MEMORY;
    case CKR_PIN_INCORRECT:
    case CKR_PIN_INVALID:
    case CKR_PIN_LEN_RANGE: return MILGI_CODE_PKCS11_PIN_WRONG;
    case CKR_PIN_LOCKED: return MILGI_CODE_PKCS11_PIN_LOCKED;
    case CKR_PIN_EXPIRED: return MILGI_CODE_PKCS11_PIN_CHANGE;
    case CKR_SESSION_COUNT: return MILGI_CODE_PKCS11_SESSIONS;
    case CKR_MECHANISM_INVALID:
    case CKR_MECHANISM_PARAM_INVALID:
    case CKR_KEY_TYPE_INCONSISTENT:
    case CKR_KEY_SIZE_RANGE:
    case CKR_FUNCTION_NOT_SUPPORTED: return MILGI_CODE_PKCS11_MECHANISM;
    case CKR_KEY_FUNCTION_NOT_PERMITTED: return MILGI_CODE_PKCS11_NOT_ALLOWED;
    case CKR_SESSION_HANDLE_INVALID:
    case CKR_SESSION_CLOSED:
    case CKR_OBJECT_HANDLE_INVALID:
    case CKR_KEY_HANDLE_INVALID:
    case CKR_USER_NOT_LOGGED_IN:
    case CKR_OPERATION_ACTIVE:
    case CKR_OPERATION_NOT_INITIALIZED:
    case CKR_CRYPTOKI_NOT_INITIALIZED:
    case CKR_SLOT_ID_INVALID:
    case CKR_TOKEN_NOT_PRESENT:
    case CKR_TOKEN_NOT_RECOGNIZED:
    case CKR_DEVICE_REMOVED:
    case CKR_DEVICE_ERROR:
    case CKR_FUNCTION_FAILED:
    case CKR_GENERAL_ERROR: return MILGI_CODE_PKCS11_GONE;
    default: break;
    }
    CK_RV room = INT32_MAX - MILGI_CODE_PKCS11_OTHER; /* vendors' codes have the highest bit */
    return MILGI_CODE_PKCS11_OTHER + (int)(rv & room);
}

/* Codes that say that the key cannot be had: the next op would only find the same. */
static bool is_lasting(int code)
{
    switch (code) {
    case MILGI_CODE_PKCS11_MODULE:
    case MILGI_CODE_PKCS11_NO_TOKEN:
    case MILGI_CODE_PKCS11_TOKENS:
    case MILGI_CODE_PKCS11_NO_PIN:
    case MILGI_CODE_PKCS11_PIN_SOURCE:
    case MILGI_CODE_PKCS11_PIN_WRONG:
    case MILGI_CODE_PKCS11_PIN_LOCKED:
    case MILGI_CODE_PKCS11_PIN_LAST:
    case MILGI_CODE_PKCS11_PIN_CHANGE:
    case MILGI_CODE_PKCS11_NO_OBJECT:
    case MILGI_CODE_PKCS11_MISMATCH:
    case MILGI_CODE_PKCS11_GONE: return true;
    default: return false;
    }
}

/* --- what is asked of the token --------------------------------------------------------------------------------- */

/* RFC 8017 9.2, notes: DigestInfo up to the hash. */
static const uint8_t info_sha256[19] = { 0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04,
    0x02, 0x01, 0x05, 0x00, 0x04, 0x20 };
static const uint8_t info_sha384[19] = { 0x30, 0x41, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04,
    0x02, 0x02, 0x05, 0x00, 0x04, 0x30 };
static const uint8_t info_sha512[19] = { 0x30, 0x51, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04,
    0x02, 0x03, 0x05, 0x00, 0x04, 0x40 };

static void ask_pkcs1(struct work *w)
{
    const uint8_t *info = w->digest_len == 32 ? info_sha256 : w->digest_len == 48 ? info_sha384
                                                                                  : info_sha512;

    memmove(w->digest + sizeof info_sha256, w->digest, w->digest_len);
    memcpy(w->digest, info, sizeof info_sha256);
    w->digest_len += sizeof info_sha256;
    w->mechanism.mechanism = CKM_RSA_PKCS;
}

static void ask_pss(struct work *w)
{
    w->pss.hashAlg = w->digest_len == 32 ? CKM_SHA256 : w->digest_len == 48 ? CKM_SHA384
                                                                            : CKM_SHA512;
    w->pss.mgf = w->digest_len == 32 ? CKG_MGF1_SHA256 : w->digest_len == 48 ? CKG_MGF1_SHA384
                                                                             : CKG_MGF1_SHA512;
    /*= RFC8446 4.2.3: "The length of the Salt MUST be equal to the length of the output of the digest algorithm." */
    w->pss.sLen = w->digest_len;
    w->mechanism.mechanism = CKM_RSA_PKCS_PSS;
    w->mechanism.pParameter = &w->pss;
    w->mechanism.ulParameterLen = sizeof w->pss;
}

static bool is_ec(enum milgi__key_type type)
{
    return type == MILGI__KEY_P256 || type == MILGI__KEY_P384 || type == MILGI__KEY_P521;
}

/* 0 or a device code. */
static int prepare(struct work *w)
{
    const struct milgi__scheme *scheme = milgi__scheme(w->scheme);
    const uint8_t *input;
    size_t len;

    if (!milgi__sign_input(w->op, MILGI_OP_SIGN, &input, &len))
        return MILGI_CODE_MALFORMED;
    bool other_curve = (w->op->any_curve || w->op->hashed) && scheme && is_ec(scheme->key) && is_ec(w->key->type);
    if (!scheme || (scheme->key != w->key->type && !other_curve))
        return MILGI_CODE_NO_KEY;
    if (milgi__sign_hash(w->cx, w->scheme, input, len, w->digest, &w->digest_len) != 0)
        return MILGI_CODE_CRYPTO;
    if (w->op->hashed && (w->digest_len == 0 || w->digest_len != len))
        return MILGI_CODE_MALFORMED;
    if (w->op->hashed)
        memcpy(w->digest, input, len);
    w->mechanism = (CK_MECHANISM){ 0 };
    switch (w->scheme) {
    case MILGI_SIG_ED25519: w->mechanism.mechanism = CKM_EDDSA; break;
    case MILGI_SIG_ECDSA_SECP256R1_SHA256:
    case MILGI_SIG_ECDSA_SECP384R1_SHA384:
    case MILGI_SIG_ECDSA_SECP521R1_SHA512: w->mechanism.mechanism = CKM_ECDSA; break;
    case MILGI_SIG_RSA_PKCS1_SHA256:
    case MILGI_SIG_RSA_PKCS1_SHA384:
    case MILGI_SIG_RSA_PKCS1_SHA512: ask_pkcs1(w); break;
    default: ask_pss(w); break;
    }
    return 0;
}

/* The token's answer, as TLS has it. */
static int take_signature(struct work *w, const uint8_t *raw, CK_ULONG len)
{
    size_t out_len = sizeof w->op->sig;

    if (w->mechanism.mechanism == CKM_ECDSA) {
        if (milgi__ecdsa_der(raw, len, w->op->sig, &out_len) != 0)
            return MILGI_CODE_PKCS11_GONE;
    } else {
        memcpy(w->op->sig, raw, len);
        out_len = len;
    }
    w->op->sig_len = (uint16_t)out_len;
    return 0;
}

/* From inside of the module. */
static int sign(struct work *w, const struct place *place, CK_SESSION_HANDLE session)
{
    CK_FUNCTION_LIST *f = place->token->module->f;
    bool whole = w->digest_len == 0; /* it is the message that is signed */
    const uint8_t *data = w->digest;
    size_t data_len = w->digest_len;
    uint8_t raw[RAW_MAX];
    CK_ULONG len = sizeof raw;

    if (whole && !milgi__sign_input(w->op, MILGI_OP_SIGN, &data, &data_len))
        return MILGI_CODE_MALFORMED;
    CK_RV rv = f->C_SignInit(session, &w->mechanism, place->object);
    if (rv != CKR_OK)
        return milgi__p11_code(rv);
    if (place->always) {
        int code = milgi__p11_login_again(place->token, session, &w->key->pin);
        if (code != 0)
            return code;
    }
    rv = f->C_Sign(session, (CK_BYTE_PTR)(uintptr_t)data, data_len, raw, &len);
    if (rv != CKR_OK)
        return milgi__p11_code(rv);
    return len > sizeof raw ? MILGI_CODE_PKCS11_GONE : take_signature(w, raw, len);
}

static int verify(const struct work *w)
{
    const struct milgi__p11_key *key = w->key;
    const uint8_t *input;
    size_t len;

    if (!milgi__sign_input(w->op, MILGI_OP_SIGN, &input, &len))
        return MILGI__BROKEN;
    return (w->op->hashed ? milgi__verify_hashed : w->op->any_curve ? milgi__verify_any_curve
                                                                    : milgi__verify)(
        w->cx, key->spki, key->spki_len, w->scheme, input, len, w->op->sig, w->op->sig_len);
}

/* --- finding the token ------------------------------------------------------------------------------------------ */

struct search {
    struct milgi__p11_key *key;
    struct milgi__p11_token *token;
    unsigned tokens_n; /* that fit, and differ */
    unsigned up_n;     /* modules that could be asked */
    unsigned silent_n; /* tokens that are there and say nothing of themselves */
    int code;          /* why one could not */
};

static CK_RV ask_slot(struct milgi__p11_module *module, CK_SLOT_ID slot, CK_SLOT_INFO *slot_info, CK_TOKEN_INFO *info)
{
    struct milgi__p11_call call;

    milgi__p11_call_begin(module, slot, &call);
    CK_RV rv = module->f->C_GetSlotInfo(slot, slot_info);
    if (rv == CKR_OK)
        rv = module->f->C_GetTokenInfo(slot, info);
    milgi__p11_call_end(module, &call);
    return rv;
}

static void look_at_slot(struct search *s, struct milgi__p11_module *module, CK_SLOT_ID slot)
{
    CK_SLOT_INFO slot_info;
    CK_TOKEN_INFO info;

    if (milgi__p11_hangs(module, slot, s->key->uri))
        return;
    CK_RV rv = ask_slot(module, slot, &slot_info, &info);
    s->silent_n += rv == CKR_GENERAL_ERROR || rv == CKR_FUNCTION_FAILED;
    if (rv != CKR_OK)
        return;
    if (!(info.flags & CKF_TOKEN_INITIALIZED) || p11_kit_uri_match_slot_info(s->key->uri, &slot_info) != 1 ||
        p11_kit_uri_match_token_info(s->key->uri, &info) != 1)
        return;
    CK_SLOT_ID wanted = p11_kit_uri_get_slot_id(s->key->uri);
    if (wanted != (CK_SLOT_ID)-1 && wanted != slot)
        return;
    if (s->token && s->token->module == module && s->token->slot == slot)
        return;
    struct milgi__p11_token *token = milgi__p11_token(module, slot, &info);
    if (!token)
        s->code = MILGI_CODE_PKCS11_MEMORY;
    else if (s->tokens_n++ == 0)
        s->token = token;
}

static CK_RV look_at_slots(struct search *s, struct milgi__p11_module *module)
{
    CK_SLOT_ID slots[SLOTS_MAX];
    CK_ULONG n = MILGI__COUNT(slots);
    CK_INFO info;

    CK_RV rv = module->f->C_GetInfo(&info);
    if (rv != CKR_OK || p11_kit_uri_match_module_info(s->key->uri, &info) != 1)
        return rv;
    rv = module->f->C_GetSlotList(CK_TRUE, slots, &n);
    for (CK_ULONG i = 0; rv == CKR_OK && i < n; i++)
        look_at_slot(s, module, slots[i]);
    return rv;
}

static int look_for_token(struct milgi__p11_key *key, const struct milgi__p11_source *source,
    struct milgi__p11_token **token, bool *again)
{
    struct search s = { .key = key };

    for (unsigned i = 0; i < source->n; i++) {
        struct milgi__p11_module *module = source->modules[i];
        int code = milgi__p11_enter(module);
        if (code == 0) {
            code = milgi__p11_code(look_at_slots(&s, module));
            milgi__p11_leave(module);
        }
        s.up_n += code == 0;
        if (code != 0)
            s.code = code;
    }
    *token = s.token;
    *again = s.silent_n > 0;
    if (s.tokens_n > 1)
        return MILGI_CODE_PKCS11_TOKENS;
    if (s.tokens_n == 1)
        return 0;
    return s.up_n == 0 && s.code != 0 ? s.code : MILGI_CODE_PKCS11_NO_TOKEN;
}

/* A token in software says nothing of itself while another process, just beginning, logs in: it writes to its file. */
static int find_token(
    struct milgi__p11_key *key, const struct milgi__p11_source *source, struct milgi__p11_token **token)
{
    static const struct timespec nap = { .tv_nsec = LOOK_NAP };

    for (unsigned looks = 1;; looks++) {
        bool again;
        int code = look_for_token(key, source, token, &again);
        if (code != MILGI_CODE_PKCS11_NO_TOKEN || !again || looks == LOOKS)
            return code;
        nanosleep(&nap, NULL);
    }
}

/* --- finding the object ----------------------------------------------------------------------------------------- */

static CK_KEY_TYPE key_type(enum milgi__key_type type)
{
    switch (type) {
    case MILGI__KEY_RSA:
    case MILGI__KEY_RSA_PSS: return CKK_RSA;
    case MILGI__KEY_ED25519: return CKK_EC_EDWARDS;
    default: return CKK_EC;
    }
}

static int find_objects(
    struct milgi__p11_key *key, CK_FUNCTION_LIST *f, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE *objects, CK_ULONG *n)
{
    CK_OBJECT_CLASS cls = CKO_PRIVATE_KEY;
    CK_KEY_TYPE type = key_type(key->type);
    CK_ATTRIBUTE wanted[ATTRIBUTES] = { { CKA_CLASS, &cls, sizeof cls }, { CKA_KEY_TYPE, &type, sizeof type } };
    CK_ULONG wanted_n = 2, said_n = 0;
    const CK_ATTRIBUTE *said = p11_kit_uri_get_attributes(key->uri, &said_n);

    for (CK_ULONG i = 0; i < said_n && wanted_n < MILGI__COUNT(wanted); i++) {
        if (said[i].type != CKA_CLASS)
            wanted[wanted_n++] = said[i];
    }
    CK_RV rv = f->C_FindObjectsInit(session, wanted, wanted_n);
    if (rv != CKR_OK)
        return milgi__p11_code(rv);
    rv = f->C_FindObjects(session, objects, CANDIDATES, n);
    (void)f->C_FindObjectsFinal(session);
    if (rv != CKR_OK)
        return milgi__p11_code(rv);
    return *n == 0 ? MILGI_CODE_PKCS11_NO_OBJECT : 0;
}

static bool wants_pin_always(CK_FUNCTION_LIST *f, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object)
{
    CK_BBOOL always = CK_FALSE;
    CK_ATTRIBUTE attribute = { CKA_ALWAYS_AUTHENTICATE, &always, sizeof always };

    return f->C_GetAttributeValue(session, object, &attribute, 1) == CKR_OK && always == CK_TRUE;
}

/* Whichever object makes a signature that the certificate's key verifies. */
static int try_objects(struct work *w, struct place *place, CK_SESSION_HANDLE session)
{
    CK_FUNCTION_LIST *f = place->token->module->f;
    CK_OBJECT_HANDLE objects[CANDIDATES];
    CK_ULONG n = 0;

    int code = find_objects(w->key, f, session, objects, &n);
    if (code != 0)
        return code;
    int worst = 0;
    for (CK_ULONG i = 0; i < n; i++) {
        place->object = objects[i];
        place->always = wants_pin_always(f, session, objects[i]);
        code = sign(w, place, session);
        if (code == 0 && verify(w) == 0)
            return 0;
        if (code == 0)
            code = MILGI_CODE_PKCS11_MISMATCH;
        worst = worst == 0 ? code : worst;
        if (code == MILGI_CODE_PKCS11_GONE)
            break;
    }
    return worst;
}

/* --- with a session --------------------------------------------------------------------------------------------- */

/* A session whose operation was begun and not ended is of no more use. */
static bool is_usable(int code)
{
    return code == 0 || code == MILGI_CODE_PKCS11_NO_OBJECT || code == MILGI_CODE_PKCS11_MECHANISM;
}

typedef int (*task)(struct work *w, struct place *place, CK_SESSION_HANDLE session);

static int known_object(struct work *w, struct place *place, CK_SESSION_HANDLE session)
{
    return sign(w, place, session);
}

static int with_session(struct work *w, struct place *place, task todo)
{
    struct milgi__p11_token *token = place->token;
    struct milgi__p11_session session;

    int code = milgi__p11_code(milgi__p11_session_get(token, &session));
    if (code != 0) {
        if (code == MILGI_CODE_PKCS11_GONE)
            milgi__p11_token_reset(token, session.generation);
        return code;
    }
    code = milgi__p11_login(token, session.handle, &w->key->pin);
    if (code == 0)
        code = todo(w, place, session.handle);
    milgi__p11_session_put(token, &session, is_usable(code));
    if (code == MILGI_CODE_PKCS11_GONE)
        milgi__p11_token_reset(token, session.generation);
    return code;
}

/* Handles are of one life of the module. */
static int inside(struct work *w, struct place *place, task todo)
{
    struct milgi__p11_module *module = place->token->module;
    struct milgi__p11_call call;

    int code = milgi__p11_enter(module);
    if (code != 0)
        return code;
    milgi__p11_call_begin(module, place->token->slot, &call);
    code = module->epoch == place->epoch ? with_session(w, place, todo) : MILGI_CODE_PKCS11_GONE;
    milgi__p11_call_end(module, &call);
    if (code == 0)
        atomic_store(&place->token->last_good_ns, milgi__port_monotonic_ns(NULL));
    milgi__p11_leave(module);
    return code;
}

static int find_and_sign(struct work *w, struct place *place)
{
    struct milgi__p11_key *key = w->key;
    const char *path = p11_kit_uri_get_module_path(key->uri);
    const char *name = !path ? p11_kit_uri_get_module_name(key->uri) : NULL;
    struct milgi__p11_source *source;

    if (!path && !name)
        path = key->options->module;
    int code = milgi__p11_source(path, name, &source);
    if (code != 0)
        return code;
    atomic_store(&key->source, source);
    code = find_token(key, source, &place->token);
    if (code != 0)
        return code;
    place->epoch = place->token->epoch;
    return inside(w, place, try_objects);
}

/* Under the lock. One looks for all; when that one hangs, others look too. */
static void wait_for_finder(struct milgi__p11_key *key)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += FINDER_S;
    while (key->finders > 0 && !key->found) {
        if (pthread_cond_timedwait(&key->looked, &key->lock, &until) != 0)
            return;
    }
}

static int attempt(struct work *w)
{
    struct milgi__p11_key *key = w->key;
    struct place place = { 0 };

    pthread_mutex_lock(&key->lock);
    wait_for_finder(key);
    w->was_found = key->found;
    if (!key->found) {
        key->finders++;
        pthread_mutex_unlock(&key->lock);
        int code = find_and_sign(w, &place);
        pthread_mutex_lock(&key->lock);
        key->finders--;
        if (code == 0) {
            key->place = place;
            key->found = true;
        }
        pthread_cond_broadcast(&key->looked);
        pthread_mutex_unlock(&key->lock);
        return code;
    }
    place = key->place;
    pthread_mutex_unlock(&key->lock);
    int code = inside(w, &place, known_object);
    if (code != MILGI_CODE_PKCS11_GONE)
        return code;
    pthread_mutex_lock(&key->lock);
    if (key->found && key->place.object == place.object && key->place.epoch == place.epoch)
        key->found = false;
    pthread_mutex_unlock(&key->lock);
    return code;
}

/* --- recovery --------------------------------------------------------------------------------------------------- */

static bool is_resting(struct milgi__p11_key *key, int *code)
{
    uint64_t until = atomic_load(&key->rest_until_ns);

    if (until == 0 || milgi__port_monotonic_ns(NULL) >= until)
        return false;
    *code = atomic_load(&key->rest_code);
    return true;
}

static void rest(struct milgi__p11_key *key, int code)
{
    if (!is_lasting(code) || key->options->retry_ns == 0)
        return;
    atomic_store(&key->rest_code, code);
    atomic_store(&key->rest_until_ns, milgi__port_monotonic_ns(NULL) + key->options->retry_ns);
}

/*
 * Some modules see what comes back only when they are started anew, the client of a remote token among them. Once per
 * signature, unless others do it. False: that would not help. Called outside of every lock.
 */
static bool revive(struct work *w)
{
    struct milgi__p11_key *key = w->key;
    uint64_t retry_ns = key->options->retry_ns;
    uint64_t since_ns = w->tried_ns > retry_ns ? w->tried_ns - retry_ns : 0;
    bool any = false;

    struct milgi__p11_source *source = atomic_load(&key->source);
    pthread_mutex_lock(&key->lock);
    const struct milgi__p11_token *mine = key->place.token;
    pthread_mutex_unlock(&key->lock);
    for (unsigned i = 0; source && i < source->n; i++)
        any |= milgi__p11_is_anew(source->modules[i], w->tried_ns) ||
            (!w->revived && milgi__p11_restart(source->modules[i], w->tried_ns, since_ns, mine));
    w->revived = true;
    return any;
}

static int sign_until_clear(struct work *w)
{
    int code = 0;

    for (unsigned tries = 1;; tries++) {
        if (is_resting(w->key, &code))
            return code;
        w->tried_ns = milgi__port_monotonic_ns(NULL);
        code = attempt(w);
        bool missing = code == MILGI_CODE_PKCS11_GONE || code == MILGI_CODE_PKCS11_NO_TOKEN;
        if (!missing || tries == TRIES)
            return code;
        if (!w->was_found && !revive(w))
            return code;
    }
}

int milgi__p11_key_sign(struct milgi__p11_key *key, struct milgi__crypto *cx, uint16_t scheme, struct milgi_op_sign *s)
{
    struct work w = { .key = key, .cx = cx, .op = s, .scheme = scheme };

    int code = prepare(&w);
    if (code != 0)
        return code;
    if (key->uri_code != 0)
        return key->uri_code;
    if (is_resting(key, &code))
        return code;
    code = sign_until_clear(&w);
    if (code != 0)
        rest(key, code);
    milgi__wipe(w.digest, sizeof w.digest);
    return code;
}

/* --- making ----------------------------------------------------------------------------------------------------- */

/* The PIN is taken out of p11-kit's hands, which would not wipe it. */
static bool take_pin(struct milgi__p11_key *key)
{
    const char *value = p11_kit_uri_get_pin_value(key->uri);

    key->pin.uri = key->uri;
    key->pin.source = p11_kit_uri_get_pin_source(key->uri);
    if (!key->pin.source && !value)
        key->pin.source = key->options->pin_source;
    if (!value)
        return true;
    size_t len = strlen(value);
    key->pin.value = milgi__alloc_raw(len + 1);
    if (!key->pin.value)
        return false;
    memcpy(key->pin.value, value, len + 1);
    milgi__wipe((void *)(uintptr_t)value, len);
    p11_kit_uri_set_pin_value(key->uri, NULL);
    return true;
}

static bool is_private_key(const CK_ATTRIBUTE *cls)
{
    CK_OBJECT_CLASS its;

    if (cls->ulValueLen != sizeof its)
        return false;
    memcpy(&its, cls->pValue, sizeof its);
    return its == CKO_PRIVATE_KEY;
}

static int parse(struct milgi__p11_key *key, const char *uri)
{
    if (p11_kit_uri_parse(uri, P11_KIT_URI_FOR_ANY, key->uri) != P11_KIT_URI_OK)
        return MILGI_CODE_PKCS11_URI;
    const CK_ATTRIBUTE *cls = p11_kit_uri_get_attribute(key->uri, CKA_CLASS);
    if (p11_kit_uri_any_unrecognized(key->uri) || (cls && !is_private_key(cls)))
        return MILGI_CODE_PKCS11_URI;
    return take_pin(key) ? 0 : MILGI_CODE_PKCS11_MEMORY;
}

/* What the URI says of the token and of nothing else: no PIN, no object. To be freed by free(). */
static char *token_name(P11KitUri *uri)
{
    P11KitUri *token = p11_kit_uri_new();
    char *name = NULL;

    if (!token)
        return NULL;
    *p11_kit_uri_get_token_info(token) = *p11_kit_uri_get_token_info(uri);
    *p11_kit_uri_get_slot_info(token) = *p11_kit_uri_get_slot_info(uri);
    *p11_kit_uri_get_module_info(token) = *p11_kit_uri_get_module_info(uri);
    p11_kit_uri_set_slot_id(token, p11_kit_uri_get_slot_id(uri));
    p11_kit_uri_set_module_path(token, p11_kit_uri_get_module_path(uri));
    p11_kit_uri_set_module_name(token, p11_kit_uri_get_module_name(uri));
    static const P11KitUriType what = P11_KIT_URI_FOR_TOKEN | P11_KIT_URI_FOR_SLOT | P11_KIT_URI_FOR_MODULE;
    if (p11_kit_uri_format(token, what, &name) != P11_KIT_URI_OK)
        name = NULL;
    p11_kit_uri_free(token);
    return name;
}

static void free_key(struct milgi__p11_key *key)
{
    if (key->ward)
        milgi__ward_put(key->ward);
    if (key->pin.value)
        milgi__free_wiped(key->pin.value, strlen(key->pin.value));
    p11_kit_uri_free(key->uri);
    milgi__free(key->spki);
    pthread_cond_destroy(&key->looked);
    pthread_mutex_destroy(&key->lock);
    milgi__free(key);
}

static bool fill(struct milgi__p11_key *key, const struct milgi_credential *credential, struct milgi__wards *wards)
{
    key->type = credential->type;
    key->spki_len = credential->spki_len;
    key->spki = milgi__alloc_raw(credential->spki_len);
    key->uri = p11_kit_uri_new();
    if (!key->spki || !key->uri)
        return false;
    memcpy(key->spki, credential->spki, credential->spki_len);
    key->uri_code = parse(key, credential->uri);
    if (!wards)
        return true;
    char *name = token_name(key->uri);
    key->ward = milgi__ward_get(wards, !name ? "pkcs11:" : name);
    free(name);
    return key->ward != NULL;
}

struct milgi__p11_key *milgi__p11_key_new(const struct milgi_credential *credential,
    const struct milgi__p11_options *options, struct milgi__wards *wards)
{
    struct milgi__p11_key *key = milgi__alloc(sizeof *key);

    if (!key)
        return NULL;
    (void)pthread_mutex_init(&key->lock, NULL);
    (void)pthread_cond_init(&key->looked, NULL);
    atomic_init(&key->refs, 1);
    key->options = options;
    if (fill(key, credential, wards))
        return key;
    free_key(key);
    return NULL;
}

void milgi__p11_key_ref(struct milgi__p11_key *key)
{
    (void)atomic_fetch_add(&key->refs, 1);
}

void milgi__p11_key_unref(struct milgi__p11_key *key)
{
    if (key && atomic_fetch_sub(&key->refs, 1) == 1)
        free_key(key);
}

struct milgi__ward *milgi__p11_key_ward(const struct milgi__p11_key *key)
{
    return key->ward;
}
