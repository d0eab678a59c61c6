/* SPDX-License-Identifier: Apache-2.0 */
/* The process's modules: loaded when a key first needs them, started anew when their tokens went away. */
#include <stdlib.h>
#include <time.h>

#include "base/port.h"
#include "device/pkcs11/shelf.h"

#define BUSY_NS 100000000                     /* a call that takes longer: slots of other tokens are let alone */
#define HANGS_NS (2 * UINT64_C(1000000000))   /* a call that takes longer may never return */
#define RESTART_NS (2 * UINT64_C(1000000000)) /* how long those who are inside are waited for */
#define RESTART_NAP_NS 1000000

static struct {
    pthread_mutex_t lock;
    uint64_t process; /* whose this is: what a parent had is not its child's */
    unsigned users;
    struct milgi__p11_source *sources;
    struct milgi__p11_module *modules;
} known = { .lock = PTHREAD_MUTEX_INITIALIZER };

void milgi__p11_attach(void)
{
    pthread_mutex_lock(&known.lock);
    if (known.process != milgi__port_process()) {
        known.process = milgi__port_process();
        known.users = 0;
        known.sources = NULL;
        known.modules = NULL;
        p11_kit_be_quiet(); /* it would write to standard error what device codes tell */
    }
    known.users++;
    pthread_mutex_unlock(&known.lock);
}

static void free_token(struct milgi__p11_token *token)
{
    pthread_cond_destroy(&token->returned);
    pthread_mutex_destroy(&token->lock);
    milgi__free_wiped(token, sizeof *token);
}

static void free_module(struct milgi__p11_module *module)
{
    while (module->tokens) {
        struct milgi__p11_token *token = module->tokens;
        module->tokens = token->next;
        free_token(token);
    }
    if (module->up)
        (void)p11_kit_module_finalize(module->f);
    p11_kit_module_release(module->f);
    pthread_mutex_destroy(&module->lock);
    pthread_rwlock_destroy(&module->life);
    free(module->file);
    milgi__free(module);
}

static void free_source(struct milgi__p11_source *source)
{
    if (!source)
        return;
    milgi__free(source->path);
    milgi__free(source->name);
    milgi__free(source);
}

static void free_all(void)
{
    while (known.sources) {
        struct milgi__p11_source *source = known.sources;
        known.sources = source->next;
        free_source(source);
    }
    while (known.modules) {
        struct milgi__p11_module *module = known.modules;
        known.modules = module->next;
        free_module(module);
    }
}

void milgi__p11_detach(void)
{
    pthread_mutex_lock(&known.lock);
    if (--known.users == 0)
        free_all();
    pthread_mutex_unlock(&known.lock);
}

/* --- loading ---------------------------------------------------------------------------------------------------- */

static bool same_text(const char *a, const char *b)
{
    return !a || !b ? a == b : strcmp(a, b) == 0;
}

/* Takes |f|. The same module may be reached by its path, by its name and among all: it is to have one life. */
static struct milgi__p11_module *adopt(CK_FUNCTION_LIST *f)
{
    char *file = p11_kit_module_get_filename(f);

    for (struct milgi__p11_module *m = known.modules; m; m = m->next) {
        if (!file || !m->file || strcmp(m->file, file) != 0)
            continue;
        free(file);
        p11_kit_module_release(f);
        return m;
    }
    struct milgi__p11_module *module = milgi__alloc(sizeof *module);
    if (!module || pthread_rwlock_init(&module->life, NULL) != 0) {
        milgi__free(module);
        free(file);
        p11_kit_module_release(f);
        return NULL;
    }
    (void)pthread_mutex_init(&module->lock, NULL);
    module->f = f;
    module->file = file;
    module->next = known.modules;
    known.modules = module;
    return module;
}

static int add_module(struct milgi__p11_source *source, CK_FUNCTION_LIST *f)
{
    if (source->n == MILGI__P11_MODULES) {
        p11_kit_module_release(f);
        return 0;
    }
    source->modules[source->n] = adopt(f);
    return !source->modules[source->n++] ? MILGI_CODE_PKCS11_MEMORY : 0;
}

static bool has_name(CK_FUNCTION_LIST *f, const char *name)
{
    char *its = p11_kit_module_get_name(f);
    bool same = !name || same_text(its, name);

    free(its);
    return same;
}

/* Modules that p11-kit is configured with: the one of this name, or all. */
static int load_configured(struct milgi__p11_source *source)
{
    CK_FUNCTION_LIST **all = p11_kit_modules_load(NULL, 0);
    int code = 0;

    for (size_t i = 0; all && all[i]; i++) {
        if (code == 0 && has_name(all[i], source->name))
            code = add_module(source, all[i]);
        else
            p11_kit_module_release(all[i]);
    }
    free(all);
    if (code == 0 && source->n == 0)
        code = MILGI_CODE_PKCS11_MODULE;
    return code;
}

static int load(struct milgi__p11_source *source)
{
    if (!source->path)
        return load_configured(source);
    CK_FUNCTION_LIST *f = p11_kit_module_load(source->path, 0);
    return !f ? MILGI_CODE_PKCS11_MODULE : add_module(source, f);
}

static char *copy_text(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = milgi__alloc_raw(size);

    if (copy)
        memcpy(copy, text, size);
    return copy;
}

static struct milgi__p11_source *new_source(const char *path, const char *name)
{
    struct milgi__p11_source *source = milgi__alloc(sizeof *source);

    if (!source)
        return NULL;
    if (path)
        source->path = copy_text(path);
    if (name)
        source->name = copy_text(name);
    if ((path && !source->path) || (name && !source->name)) {
        free_source(source);
        return NULL;
    }
    return source;
}

static int find_source(const char *path, const char *name, struct milgi__p11_source **out)
{
    for (struct milgi__p11_source *s = known.sources; s; s = s->next) {
        if (same_text(s->path, path) && same_text(s->name, name)) {
            *out = s;
            return 0;
        }
    }
    struct milgi__p11_source *source = new_source(path, name);
    if (!source)
        return MILGI_CODE_PKCS11_MEMORY;
    int code = load(source);
    if (code != 0) {
        free_source(source); /* modules that it did load stay known */
        return code;
    }
    source->next = known.sources;
    known.sources = source;
    *out = source;
    return 0;
}

int milgi__p11_source(const char *path, const char *name, struct milgi__p11_source **source)
{
    pthread_mutex_lock(&known.lock);
    int code = find_source(path, name, source);
    pthread_mutex_unlock(&known.lock);
    return code;
}

/* --- a module's lives ------------------------------------------------------------------------------------------- */

/* Under the write lock. */
static int start(struct milgi__p11_module *module)
{
    if (p11_kit_module_initialize(module->f) != CKR_OK)
        return MILGI_CODE_PKCS11_MODULE;
    module->up = true;
    module->epoch++;
    module->started_ns = milgi__port_monotonic_ns(NULL);
    return 0;
}

int milgi__p11_enter(struct milgi__p11_module *module)
{
    for (;;) {
        pthread_rwlock_rdlock(&module->life);
        if (module->up)
            return 0;
        pthread_rwlock_unlock(&module->life);
        pthread_rwlock_wrlock(&module->life);
        int code = module->up ? 0 : start(module);
        pthread_rwlock_unlock(&module->life);
        if (code != 0)
            return code;
    }
}

void milgi__p11_leave(struct milgi__p11_module *module)
{
    pthread_rwlock_unlock(&module->life);
}

/* --- who is inside ---------------------------------------------------------------------------------------------- */

void milgi__p11_call_begin(struct milgi__p11_module *module, CK_SLOT_ID slot, struct milgi__p11_call *call)
{
    call->slot = slot;
    call->begun_ns = milgi__port_monotonic_ns(NULL);
    pthread_mutex_lock(&module->lock);
    call->next = module->calls;
    module->calls = call;
    pthread_mutex_unlock(&module->lock);
}

void milgi__p11_call_end(struct milgi__p11_module *module, struct milgi__p11_call *call)
{
    pthread_mutex_lock(&module->lock);
    struct milgi__p11_call **at = &module->calls;
    while (*at != call)
        at = &(*at)->next;
    *at = call->next;
    pthread_mutex_unlock(&module->lock);
}

/* Under the lock. |slot| NULL: anywhere. */
static bool somebody_hangs(const struct milgi__p11_module *module, const CK_SLOT_ID *slot, uint64_t ns)
{
    uint64_t now_ns = milgi__port_monotonic_ns(NULL);

    for (const struct milgi__p11_call *call = module->calls; call; call = call->next) {
        if ((!slot || call->slot == *slot) && now_ns - call->begun_ns > ns)
            return true;
    }
    return false;
}

bool milgi__p11_hangs(struct milgi__p11_module *module, CK_SLOT_ID slot, P11KitUri *uri)
{
    pthread_mutex_lock(&module->lock);
    const struct milgi__p11_token *there = module->tokens;
    while (there && (there->slot != slot || there->epoch != module->epoch))
        there = there->next;
    bool own = there && p11_kit_uri_match_token_info(uri, (CK_TOKEN_INFO *)(uintptr_t)&there->info) == 1;
    bool hangs = !own && somebody_hangs(module, &slot, there ? BUSY_NS : HANGS_NS);
    pthread_mutex_unlock(&module->lock);
    return hangs;
}

/* --- started anew ----------------------------------------------------------------------------------------------- */

/*
 * Whoever is inside has handles of this life: so it ends when all are out. Nobody is kept out meanwhile, as a writer
 * that waits would do: one that hangs in there would hold up all others.
 */
static bool end_life(struct milgi__p11_module *module)
{
    static const struct timespec nap = { .tv_nsec = RESTART_NAP_NS };
    uint64_t until_ns = milgi__port_monotonic_ns(NULL) + RESTART_NS;

    while (pthread_rwlock_trywrlock(&module->life) != 0) {
        pthread_mutex_lock(&module->lock);
        bool hangs = somebody_hangs(module, NULL, HANGS_NS);
        pthread_mutex_unlock(&module->lock);
        if (hangs || milgi__port_monotonic_ns(NULL) >= until_ns)
            return false;
        nanosleep(&nap, NULL);
    }
    return true;
}

static bool is_needed(struct milgi__p11_module *module, uint64_t since_ns, const struct milgi__p11_token *mine)
{
    bool needed = false;

    pthread_mutex_lock(&module->lock);
    for (struct milgi__p11_token *token = module->tokens; token; token = token->next)
        needed |= token != mine && atomic_load(&token->last_good_ns) > since_ns;
    pthread_mutex_unlock(&module->lock);
    return needed;
}

static bool has_ended(const struct milgi__p11_module *module, uint64_t tried_ns)
{
    return !module->up || module->started_ns >= tried_ns;
}

bool milgi__p11_is_anew(struct milgi__p11_module *module, uint64_t tried_ns)
{
    pthread_rwlock_rdlock(&module->life);
    bool ended = has_ended(module, tried_ns);
    pthread_rwlock_unlock(&module->life);
    return ended;
}

static bool has_done_good(const struct milgi__p11_module *module, const struct milgi__p11_token *mine)
{
    return mine && mine->module == module && atomic_load(&mine->last_good_ns) > module->started_ns;
}

bool milgi__p11_restart(struct milgi__p11_module *module, uint64_t tried_ns, uint64_t since_ns,
    const struct milgi__p11_token *mine)
{
    if (is_needed(module, since_ns, mine) || !end_life(module))
        return false;
    bool wanted = !has_ended(module, tried_ns) && (module->started_ns < since_ns || has_done_good(module, mine));
    if (wanted) {
        (void)p11_kit_module_finalize(module->f);
        module->up = false;
        (void)start(module);
    }
    bool anew = has_ended(module, tried_ns); /* also if somebody was faster */
    pthread_rwlock_unlock(&module->life);
    return anew;
}

/* --- tokens ----------------------------------------------------------------------------------------------------- */

static bool is_same_token(const CK_TOKEN_INFO *a, const CK_TOKEN_INFO *b)
{
    return memcmp(a->label, b->label, sizeof a->label) == 0 &&
        memcmp(a->manufacturerID, b->manufacturerID, sizeof a->manufacturerID) == 0 &&
        memcmp(a->model, b->model, sizeof a->model) == 0 &&
        memcmp(a->serialNumber, b->serialNumber, sizeof a->serialNumber) == 0;
}

static struct milgi__p11_token *new_token(struct milgi__p11_module *module, const CK_TOKEN_INFO *info)
{
    struct milgi__p11_token *token = milgi__alloc(sizeof *token);

    if (!token)
        return NULL;
    if (milgi__crypto_random(NULL, token->salt, sizeof token->salt) != 0) {
        milgi__free(token);
        return NULL;
    }
    (void)pthread_mutex_init(&token->lock, NULL);
    (void)pthread_cond_init(&token->returned, NULL);
    token->module = module;
    token->info = *info;
    token->next = module->tokens;
    module->tokens = token;
    return token;
}

static struct milgi__p11_token *find_token(struct milgi__p11_module *module, const CK_TOKEN_INFO *info)
{
    for (struct milgi__p11_token *token = module->tokens; token; token = token->next) {
        if (is_same_token(&token->info, info))
            return token;
    }
    return new_token(module, info);
}

struct milgi__p11_token *milgi__p11_token(struct milgi__p11_module *module, CK_SLOT_ID slot, const CK_TOKEN_INFO *info)
{
    pthread_mutex_lock(&module->lock);
    struct milgi__p11_token *token = find_token(module, info);
    pthread_mutex_unlock(&module->lock);
    if (!token)
        return NULL;
    pthread_mutex_lock(&token->lock);
    token->info.flags = info->flags;
    if (token->epoch != module->epoch || token->slot != slot) {
        /* What there was went with the module's last life, or is in a slot where this token is no more. */
        token->generation++;
        token->logged_in = false;
        token->idle_n = 0;
        token->epoch = module->epoch;
        token->slot = slot;
    }
    pthread_mutex_unlock(&token->lock);
    return token;
}
