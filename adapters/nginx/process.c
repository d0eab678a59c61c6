/* SPDX-License-Identifier: Apache-2.0 */
/* nginx's loop behind the hooks of adapters/common, and the engine and the devices of a worker process. */
#include <sys/socket.h>

#include "adapter.h"

#define NS_PER_MS 1000000u
#define HANDSHAKE_OPS \
    (MILGI_OP_BIT(MILGI_OP_KEYGEN) | MILGI_OP_BIT(MILGI_OP_DERIVE) | MILGI_OP_BIT(MILGI_OP_ENCAPS) | \
        MILGI_OP_BIT(MILGI_OP_DECAPS) | MILGI_OP_BIT(MILGI_OP_SIGN) | MILGI_OP_BIT(MILGI_OP_VERIFY) | \
        MILGI_OP_BIT(MILGI_OP_VERIFY_CHAIN))
#define RECORD_OPS (MILGI_OP_BIT(MILGI_OP_SEAL) | MILGI_OP_BIT(MILGI_OP_OPEN))

struct main_conf {
    ngx_array_t devices; /* of ngx_str_t */
    ngx_flag_t records;
    ngx_uint_t wanted;
};

/* Of this process. */
struct process {
    struct milgi_loop loop; /* first */
    struct milgi_loop_hooks hooks;
    ngx_event_t turn, timer;
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

static ngx_int_t add_device(ngx_cycle_t *cycle, const struct main_conf *conf, const char *spec)
{
    const char *why = NULL;
    struct milgi_device *device;
    if (!ngx_strcmp(spec, "cpu"))
        return NGX_OK;
    int rv = process.devices_n < MILGI_DEVICES_MAX - 1 ? milgi_device_new(spec, &device, &why) : MILGI_ELIMIT;
    if (rv) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0, "milgi_device %s: %s", spec, why ? why : milgi_error_text(rv));
        return NGX_ERROR;
    }
    process.devices[process.devices_n++] = device;
    struct milgi_engine *engine = process.loop.engine;
    int index = milgi_engine_add_device(engine, device);
    rv = index < 0 ? index : 0;
    if (!rv && device->ops->chunk_alloc)
        rv = milgi_engine_use_memory(engine, (unsigned)index);
    if (!rv)
        rv = milgi_engine_route(engine, HANDSHAKE_OPS & device->caps.ops, (unsigned)index, 0);
    if (!rv && conf->records)
        rv = milgi_engine_route(engine, RECORD_OPS & device->caps.ops, (unsigned)index, 1);
    if (rv)
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0, "milgi_device %s: %s", spec, milgi_error_text(rv));
    return rv ? NGX_ERROR : NGX_OK;
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

static ngx_int_t init_process(ngx_cycle_t *cycle)
{
    const struct main_conf *conf = (struct main_conf *)ngx_get_conf(cycle->conf_ctx, ngx_milgi_module);
    if (!conf->wanted || (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE))
        return NGX_OK;
    if (!(ngx_event_flags & NGX_USE_EPOLL_EVENT)) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0, "milgi: needs \"use epoll\"");
        return NGX_ERROR;
    }
    process.turn.handler = on_turn;
    process.timer.handler = on_timer;
    process.turn.log = process.timer.log = cycle->log;
    process.timer.cancelable = 1;
    process.timer_due = UINT64_MAX;
    process.hooks = milgi__ngx_hooks;
    process.hooks.soon = soon;
    process.hooks.timer = timer;
    int rv = milgi__loop_init(&process.loop, &process.hooks, NULL);
    if (rv) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0, "milgi: no engine: %s", milgi_error_text(rv));
        return NGX_ERROR;
    }
    milgi__ngx_loop = &process.loop;
    const ngx_str_t *spec = conf->devices.elts;
    for (ngx_uint_t i = 0; i < conf->devices.nelts; i++)
        if (add_device(cycle, conf, (const char *)spec[i].data) != NGX_OK)
            return NGX_ERROR;
    return watch_engine(cycle);
}

static void exit_process(ngx_cycle_t *cycle)
{
    (void)cycle;
    if (!milgi__ngx_loop)
        return;
    milgi__loop_stop(&process.loop);
    process.engine->fd = (ngx_socket_t)-1; /* the engine's */
    milgi_engine_free(process.loop.engine);
    milgi__ngx_loop = NULL;
    for (ngx_uint_t i = 0; i < process.devices_n; i++)
        milgi_device_free(process.devices[i]);
}

/* --- its settings ------------------------------------------------------------------------------------------------- */

void milgi__ngx_wanted(ngx_conf_t *cf)
{
    ((struct main_conf *)ngx_get_conf(cf->cycle->conf_ctx, ngx_milgi_module))->wanted = 1;
}

static void *create_conf(ngx_cycle_t *cycle)
{
    struct main_conf *conf = ngx_pcalloc(cycle->pool, sizeof *conf);
    if (!conf || ngx_array_init(&conf->devices, cycle->pool, 2, sizeof(ngx_str_t)) != NGX_OK)
        return NULL;
    conf->records = NGX_CONF_UNSET;
    return conf;
}

static char *init_conf(ngx_cycle_t *cycle, void *data)
{
    struct main_conf *conf = data;
    (void)cycle;
    ngx_conf_init_value(conf->records, 0);
    return NGX_CONF_OK;
}

/* Whether there is such a device is found out where it is made: in a worker. */
static char *set_device(ngx_conf_t *cf, ngx_command_t *command, void *data)
{
    struct main_conf *conf = data;
    const ngx_str_t *value = cf->args->elts;
    ngx_str_t *device = ngx_array_push(&conf->devices);
    (void)command;
    if (!device)
        return NGX_CONF_ERROR;
    *device = value[1];
    return NGX_CONF_OK;
}

static ngx_command_t commands[] = {
    { ngx_string("milgi_device"), NGX_MAIN_CONF | NGX_DIRECT_CONF | NGX_CONF_TAKE1, set_device, 0, 0, NULL },
    { ngx_string("milgi_records"), NGX_MAIN_CONF | NGX_DIRECT_CONF | NGX_CONF_FLAG, ngx_conf_set_flag_slot, 0,
        offsetof(struct main_conf, records), NULL },
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
