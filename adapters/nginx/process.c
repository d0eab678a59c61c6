/* SPDX-License-Identifier: Apache-2.0 */
/* nginx's loop behind the hooks of adapters/common, and the engine and the devices of a worker process. */
#include "adapter.h"

#include <dirent.h>
#include <sched.h>
#include <sys/syscall.h>

#define NS_PER_MS 1000000u
#define BUDGET_NS 200000u /* of a turn: who is established waits for no crowd of handshakes */
#define MEMORY_MIN (1u << 20)
#define TURN_NS 100000u /* the shortest that the kernel has */
#define HANDSHAKE_OPS \
    (MILGI_OP_BIT(MILGI_OP_KEYGEN) | MILGI_OP_BIT(MILGI_OP_DERIVE) | MILGI_OP_BIT(MILGI_OP_ENCAPS) | \
        MILGI_OP_BIT(MILGI_OP_DECAPS) | MILGI_OP_BIT(MILGI_OP_SIGN) | MILGI_OP_BIT(MILGI_OP_VERIFY) | \
        MILGI_OP_BIT(MILGI_OP_VERIFY_CHAIN))
#define RECORD_OPS (MILGI_OP_BIT(MILGI_OP_SEAL) | MILGI_OP_BIT(MILGI_OP_OPEN))

/* One that is to be made; |always|: handshakes are done there, however quick they are here. */
struct wanted_device {
    ngx_str_t spec;
    ngx_flag_t always;
};

struct main_conf {
    ngx_array_t devices; /* of struct wanted_device */
    ngx_flag_t records, background;
    size_t memory;
    ngx_uint_t wanted;
};

/* Of this process. */
struct process {
    struct milgi_loop loop; /* first */
    struct milgi_loop_hooks hooks;
    ngx_event_t turn, timer;
    ngx_connection_t nobody; /* whose they are */
    uint64_t timer_due;
    ngx_connection_t *engine; /* its descriptor's */
    struct milgi_device *devices[MILGI_DEVICES_MAX];
    ngx_uint_t devices_n;
    bool turning;
};

static struct process process;
struct milgi_loop *milgi__ngx_loop;
ngx_module_t ngx_milgi_module;

/* --- the loop ----------------------------------------------------------------------------------------------------- */

void milgi__ngx_turn(void)
{
    if (process.turning)
        return;
    if (process.turn.posted) { /* a macro of two statements */
        ngx_delete_posted_event(&process.turn);
    }
    process.turning = true;
    milgi__loop_turn(&process.loop);
    process.turning = false;
}

static void on_turn(ngx_event_t *event)
{
    (void)event;
    milgi__ngx_turn();
}

/* From a turn: behind what else nginx has to do; else behind all that epoll has brought. */
static void soon(struct milgi_loop *loop)
{
    (void)loop;
    ngx_post_event(&process.turn, process.turning ? &ngx_posted_next_events : &ngx_posted_events);
}

static void on_engine_fd(ngx_event_t *event)
{
    (void)event;
    soon(&process.loop);
}

static void start_timer(uint64_t now)
{
    uint64_t left_ms = process.timer_due > now ? (process.timer_due - now) / NS_PER_MS + 1 : 1;
    if (process.timer.timer_set)
        ngx_del_timer(&process.timer);
    ngx_add_timer(&process.timer, left_ms < 3600000 ? (ngx_msec_t)left_ms : 3600000);
}

/* nginx's clock is that of its last poll: what comes too early is set again. */
static void on_timer(ngx_event_t *event)
{
    uint64_t now = milgi__loop_now(&process.loop), due = process.timer_due;
    event->timedout = 0;
    if (due == UINT64_MAX)
        return;
    if (now < due) {
        start_timer(now);
        return;
    }
    process.timer_due = UINT64_MAX;
    milgi__loop_timer(&process.loop);
}

/* A timer that is to come later than the one that is set is found out when that ends. */
static void timer(struct milgi_loop *loop, uint64_t due_ns)
{
    bool sooner = !process.timer.timer_set || due_ns < process.timer_due;
    process.timer_due = due_ns;
    if (due_ns != UINT64_MAX && sooner)
        start_timer(milgi__loop_now(loop));
}

void milgi__ngx_counted(void)
{
    process.timer.cancelable = !process.loop.streams_n;
}

/* --- devices ------------------------------------------------------------------------------------------------------ */

/* Whatever is quick stays with the worker's own thread, unless all is to go there. */
static int route(struct milgi_engine *engine, struct milgi_device *device, bool always, bool records)
{
    int index = milgi_engine_add_device(engine, device);
    int rv = index < 0 ? index : 0;
    uint32_t ops = HANDSHAKE_OPS & device->caps.ops;
    if (!rv && device->ops->chunk_alloc)
        rv = milgi_engine_use_memory(engine, (unsigned)index);
    if (!rv)
        rv = always ? milgi_engine_route(engine, ops, (unsigned)index, 0)
                    : milgi_engine_route_first(engine, ops, 1u | 1u << index, 0);
    if (!rv && records)
        rv = milgi_engine_route(engine, RECORD_OPS & device->caps.ops, (unsigned)index, 1);
    return rv;
}

static ngx_int_t add_device(ngx_cycle_t *cycle, const struct main_conf *conf, const struct wanted_device *wanted)
{
    const char *why = NULL, *spec = (const char *)wanted->spec.data;
    struct milgi_device *device;
    if (!ngx_strcmp(spec, "cpu"))
        return NGX_OK;
    int rv = process.devices_n < MILGI_DEVICES_MAX - 1 ? milgi_device_new(spec, &device, &why) : MILGI_ELIMIT;
    if (rv) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0, "milgi_device %s: %s", spec, why ? why : milgi_error_text(rv));
        return NGX_ERROR;
    }
    process.devices[process.devices_n++] = device;
    rv = route(process.loop.engine, device, wanted->always, conf->records);
    if (rv)
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0, "milgi_device %s: %s", spec, milgi_error_text(rv));
    return rv ? NGX_ERROR : NGX_OK;
}

/*
 * The worker is to go on as soon as it has something to do, though threads of a device have the CPU: who asks for
 * shorter turns comes before who has longer ones (Linux 6.12; before that it changes nothing).
 */
static void go_first(void)
{
    struct {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime, deadline, period;
    } attr = { .size = sizeof attr }; /* struct sched_attr, which libc does not have */
    if (!process.devices_n || syscall(SYS_sched_getattr, 0, &attr, sizeof attr, 0) || attr.policy != SCHED_OTHER)
        return;
    attr.runtime = TURN_NS;
    (void)syscall(SYS_sched_setattr, 0, &attr, 0);
}

#define THREADS_MAX 256

/* Of this process: their number, at most THREADS_MAX. */
static size_t list_threads(pid_t list[THREADS_MAX])
{
    size_t n = 0;
    DIR *directory = opendir("/proc/self/task");
    const struct dirent *entry;
    while (directory && n < THREADS_MAX && (entry = readdir(directory)) != NULL)
        if (entry->d_name[0] != '.')
            list[n++] = (pid_t)atoi(entry->d_name);
    if (directory)
        closedir(directory);
    return n;
}

/* Threads that were not there |before| have what others leave of the processors. */
static void step_back(const pid_t *before, size_t before_n)
{
    pid_t now[THREADS_MAX];
    size_t n = list_threads(now);
    for (size_t i = 0; i < n; i++) {
        size_t k = 0;
        while (k < before_n && before[k] != now[i])
            k++;
        struct sched_param none = { 0 };
        if (k == before_n)
            (void)sched_setscheduler(now[i], SCHED_IDLE, &none);
    }
}

static ngx_int_t make_devices(ngx_cycle_t *cycle, const struct main_conf *conf)
{
    pid_t before[THREADS_MAX];
    size_t before_n = list_threads(before);
    const struct wanted_device *wanted = conf->devices.elts;
    for (ngx_uint_t i = 0; i < conf->devices.nelts; i++)
        if (add_device(cycle, conf, &wanted[i]) != NGX_OK)
            return NGX_ERROR;
    if (conf->background)
        step_back(before, before_n);
    return NGX_OK;
}

/* --- the process -------------------------------------------------------------------------------------------------- */

static ngx_int_t watch_engine(ngx_cycle_t *cycle)
{
    ngx_connection_t *c = ngx_get_connection(milgi_engine_fd(process.loop.engine), cycle->log);
    if (!c)
        return NGX_ERROR;
    process.engine = c;
    c->log = c->read->log = c->write->log = cycle->log;
    c->read->handler = on_engine_fd;
    c->read->channel = 1; /* no peer's: not to be waited for, nor told to end */
    return ngx_add_event(c->read, NGX_READ_EVENT, NGX_LEVEL_EVENT);
}

/* The engine and its devices. */
static ngx_int_t make_engine(ngx_cycle_t *cycle, const struct main_conf *conf)
{
    process.turn.handler = on_turn;
    process.timer.handler = on_timer;
    process.turn.log = process.timer.log = cycle->log;
    process.nobody.fd = (ngx_socket_t)-1;
    process.turn.data = process.timer.data = &process.nobody; /* a log of level debug says whose a timer is */
    process.timer.cancelable = 1;
    process.timer_due = UINT64_MAX;
    process.hooks = milgi__ngx_hooks;
    process.hooks.soon = soon;
    process.hooks.timer = timer;
    struct milgi_stream_options options;
    milgi_stream_options_init(&options);
    options.budget_ns = BUDGET_NS;
    options.engine.memory_limit = conf->memory ? conf->memory : options.engine.memory_limit;
    int rv = milgi__loop_init(&process.loop, &process.hooks, &options);
    if (rv) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0, "milgi: no engine: %s", milgi_error_text(rv));
        return NGX_ERROR;
    }
    milgi__ngx_loop = &process.loop;
    return make_devices(cycle, conf);
}

static void free_engine(void)
{
    milgi_engine_free(process.loop.engine);
    milgi__ngx_loop = NULL;
    for (ngx_uint_t i = 0; i < process.devices_n; i++)
        milgi_device_free(process.devices[i]);
}

static ngx_int_t init_process(ngx_cycle_t *cycle)
{
    const struct main_conf *conf = (struct main_conf *)ngx_get_conf(cycle->conf_ctx, ngx_milgi_module);
    if (!conf->wanted || (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE))
        return NGX_OK;
    if (make_engine(cycle, conf) != NGX_OK || watch_engine(cycle) != NGX_OK)
        return NGX_ERROR;
    go_first();
    ngx_log_error(NGX_LOG_NOTICE, cycle->log, 0, "milgi %s is ready", milgi_version());
    return NGX_OK;
}

static void exit_process(ngx_cycle_t *cycle)
{
    (void)cycle;
    if (!milgi__ngx_loop)
        return;
    milgi__loop_stop(&process.loop);
    process.engine->fd = (ngx_socket_t)-1; /* the engine's */
    free_engine();
}

/* --- its settings ------------------------------------------------------------------------------------------------- */

void milgi__ngx_wanted(ngx_conf_t *cf)
{
    ((struct main_conf *)ngx_get_conf(cf->cycle->conf_ctx, ngx_milgi_module))->wanted = 1;
}

static void *create_conf(ngx_cycle_t *cycle)
{
    struct main_conf *conf = ngx_pcalloc(cycle->pool, sizeof *conf);
    if (!conf || ngx_array_init(&conf->devices, cycle->pool, 2, sizeof(struct wanted_device)) != NGX_OK)
        return NULL;
    conf->records = conf->background = NGX_CONF_UNSET;
    conf->memory = NGX_CONF_UNSET_SIZE;
    return conf;
}

/*
 * A worker that cannot have its engine ends, and so would all that come in the place of those that serve. This is no
 * process for threads and sessions of devices, which are not there in the workers that it forks: another tries, and
 * says what is wrong.
 */
static char *check_engine(ngx_cycle_t *cycle, const struct main_conf *conf)
{
    const ngx_event_conf_t *events = ngx_event_get_conf(cycle->conf_ctx, ngx_event_core_module);
    int ends[2];
    char good = 0;
    if (!conf->wanted || ngx_process == NGX_PROCESS_SIGNALLER)
        return NGX_CONF_OK;
    if (ngx_strcmp(events->name, "epoll") != 0) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0, "milgi: needs \"use epoll\"");
        return NGX_CONF_ERROR;
    }
    if (pipe2(ends, O_CLOEXEC))
        return NGX_CONF_ERROR;
    pid_t pid = fork();
    if (!pid) {
        good = make_engine(cycle, conf) == NGX_OK;
        if (milgi__ngx_loop)
            free_engine();
        _exit(good && write(ends[1], &good, 1) == 1 ? 0 : 1);
    }
    close(ends[1]);
    while (pid > 0 && read(ends[0], &good, 1) < 0 && ngx_errno == NGX_EINTR)
        continue;
    close(ends[0]);
    while (pid > 0 && waitpid(pid, NULL, 0) < 0 && ngx_errno == NGX_EINTR) /* nginx may have been first */
        continue;
    return good ? NGX_CONF_OK : NGX_CONF_ERROR;
}

static char *init_conf(ngx_cycle_t *cycle, void *data)
{
    struct main_conf *conf = data;
    ngx_conf_init_value(conf->records, 0);
    ngx_conf_init_value(conf->background, 0);
    ngx_conf_init_size_value(conf->memory, 0);
    return check_engine(cycle, conf);
}

static char *set_device(ngx_conf_t *cf, ngx_command_t *command, void *data)
{
    struct main_conf *conf = data;
    const ngx_str_t *value = cf->args->elts;
    (void)command;
    if (cf->args->nelts == 3 && ngx_strcmp(value[2].data, "always") != 0)
        return "takes no second word but \"always\"";
    struct wanted_device *device = ngx_array_push(&conf->devices);
    if (!device)
        return NGX_CONF_ERROR;
    *device = (struct wanted_device){ value[1], cf->args->nelts == 3 };
    return NGX_CONF_OK;
}

static char *check_memory(ngx_conf_t *cf, void *post, void *data)
{
    (void)cf;
    (void)post;
    return *(size_t *)data < MEMORY_MIN ? "is less than 1m" : NGX_CONF_OK;
}

static ngx_conf_post_t memory_post = { check_memory };

static ngx_command_t commands[] = {
    { ngx_string("milgi_device"), NGX_MAIN_CONF | NGX_DIRECT_CONF | NGX_CONF_TAKE12, set_device, 0, 0, NULL },
    { ngx_string("milgi_records"), NGX_MAIN_CONF | NGX_DIRECT_CONF | NGX_CONF_FLAG, ngx_conf_set_flag_slot, 0,
        offsetof(struct main_conf, records), NULL },
    { ngx_string("milgi_background"), NGX_MAIN_CONF | NGX_DIRECT_CONF | NGX_CONF_FLAG, ngx_conf_set_flag_slot, 0,
        offsetof(struct main_conf, background), NULL },
    { ngx_string("milgi_memory"), NGX_MAIN_CONF | NGX_DIRECT_CONF | NGX_CONF_TAKE1, ngx_conf_set_size_slot, 0,
        offsetof(struct main_conf, memory), &memory_post },
    ngx_null_command,
};

static ngx_core_module_t context = { ngx_string("milgi"), create_conf, init_conf };

ngx_module_t ngx_milgi_module = {
    NGX_MODULE_V1,
    .ctx = &context,
    .commands = commands,
    .type = NGX_CORE_MODULE,
    .init_process = init_process,
    .exit_process = exit_process,
};
