/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `milgi proxy --workers N`: the master. It has the config and the listening socket, and no loop, engine, device or
 * thread, so that it can fork at any time. A worker makes all of these for itself.
 *
 * A RELOAD is a new generation: the config is read again, then workers are started with it, one after the other. Each
 * tells when it is ready. When all are they begin to serve, and those of the generation before drain; if one of them
 * fails, the new ones go, and nothing has happened. Connections that nobody has accepted wait in the one socket.
 */
#include "proxy.h"
#include "common/notify.h"
#include "common/say.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define READY_MS 30000      /* for a worker to make its engine and device */
#define SLACK_MS 10000      /* beyond what draining may take, before it is killed */
#define STEADY_MS 10000     /* a worker that has lived so long is replaced at once */
#define PAUSE_FIRST_MS 100  /* others after this, then twice as long each time, */
#define PAUSE_MAX_MS 10000  /* up to this */
#define RETIRED_PER_SEAT 8u /* more than these still drain: the next reload waits */
#define SAY_AGAIN_MS 200    /* when nobody reads what it says */
#define REPORT_MS 1000      /* for all workers to tell of themselves */
#define NEVER UINT64_MAX

enum state {
    STARTING,
    SERVING,
    RETIRED /* told to end, in one way or another */
};

struct worker {
    pid_t pid;
    int channel;
    bool hung_up; /* nothing comes from the channel any more */
    unsigned seat;
    enum state state;
    bool candidate; /* of the generation that is being started */
    bool ready;
    bool dismissed; /* killed before it served: that is no news */
    bool deaf;      /* retired, and takes no connections any more */
    bool asked;     /* for its report, and has not told */
    struct report *report;
    uint64_t begin_ms;
    uint64_t kill_ms; /* it is killed if it is still there then */
};

/* The place of one of the N that serve. */
struct seat {
    uint32_t pause_ms;
    uint64_t due_ms; /* when the next one is started; NEVER: somebody is there */
};

struct master {
    struct proxy *proxy;
    int signals;
    struct worker *workers;
    size_t n, room;
    struct seat seats[APP_MAX_WORKERS];
    struct app_material next; /* what the candidates serve with */
    unsigned ready_n;         /* candidates */
    bool mustering;           /* there are candidates, or are about to be */
    bool established;         /* one generation has served */
    bool reload_wanted, reload_told;
    bool switching;     /* the generation before may still take connections */
    uint64_t report_ms; /* when statistics are told, whoever has not answered; NEVER: nobody has asked for them */
    bool ending;
    int status;
};

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* --- telling workers ---------------------------------------------------------------------------------------------- */

static void order(struct worker *w, enum order what)
{
    char byte = (char)what;
    /* One that does not take it has ended, or will be killed for not ending. */
    ssize_t len = write(w->channel, &byte, 1);
    (void)len;
}

/* However it ends, it has a time for that. */
static void retire(struct master *m, struct worker *w, enum order how)
{
    uint64_t limit_ms = now_ms() + SLACK_MS + (how == ORDER_STOP ? 0 : m->proxy->options->drain_ms);
    w->state = RETIRED;
    w->kill_ms = limit_ms < w->kill_ms ? limit_ms : w->kill_ms;
    /* It may wait for a token, and hear nothing; nobody is connected to it. */
    w->dismissed = !w->ready;
    w->deaf |= w->dismissed || how == ORDER_STOP;
    if (w->dismissed)
        kill(w->pid, SIGKILL);
    else
        order(w, how);
}

static void retire_all(struct master *m, enum order how)
{
    for (size_t i = 0; i < m->n; i++)
        retire(m, &m->workers[i], m->workers[i].candidate ? ORDER_STOP : how);
}

/* --- starting them ------------------------------------------------------------------------------------------------ */

/* In the child: what is the master's goes, the rest is the worker's. */
static void become_worker(struct master *m, int channel, unsigned seat, bool candidate, struct report *report)
{
    static char name[40];
    struct proxy *p = m->proxy;
    for (size_t i = 0; i < m->n; i++)
        close(m->workers[i].channel);
    close(m->signals);
    free(m->workers);
    p->channel = channel;
    p->report = report;
    p->quiet = seat > 0 || m->established;
    signal(SIGHUP, SIG_IGN); /* is the master's */
    snprintf(name, sizeof name, "%s[%ld]", app_name, (long)getpid());
    app_name = name;
    app_say_forked();
    /* Of two configs it keeps one: a key that nobody uses is nowhere. */
    if (candidate && m->next.config)
        app_tls_adopt(&p->tls, &m->next);
    else
        app_material_free(&m->next);
    int status = proxy_serve(p);
    listeners_close(&p->listeners);
    app_say_last();
    exit(status);
}

static bool make_room(struct master *m)
{
    if (m->n < m->room)
        return true;
    size_t room = m->room ? 2 * m->room : 16;
    struct worker *workers = realloc(m->workers, room * sizeof *workers);
    if (!workers)
        return false;
    m->workers = workers;
    m->room = room;
    return true;
}

/* False: it has complained. */
static bool start_worker(struct master *m, unsigned seat, bool candidate)
{
    int ends[2];
    if (!make_room(m) || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends)) {
        app_complain("cannot start a worker: %s", strerror(errno));
        return false;
    }
    fflush(NULL);
    app_tls_renew(&m->proxy->tls); /* it begins where we are, and we keep no older keys */
    struct report *report = report_new();
    pid_t pid = fork();
    if (!pid) {
        close(ends[0]);
        become_worker(m, ends[1], seat, candidate, report);
    }
    close(ends[1]);
    if (pid < 0) {
        app_complain("cannot start a worker: %s", strerror(errno));
        report_free(report);
        close(ends[0]);
        return false;
    }
    uint64_t now = now_ms();
    m->workers[m->n++] = (struct worker){
        .pid = pid,
        .channel = ends[0],
        .seat = seat,
        .candidate = candidate,
        .report = report,
        .begin_ms = now,
        .kill_ms = now + READY_MS,
    };
    return true;
}

static void serve(struct worker *w)
{
    w->state = SERVING;
    w->candidate = false;
    w->kill_ms = NEVER;
    order(w, ORDER_SERVE);
}

/* --- a generation ------------------------------------------------------------------------------------------------- */

static void dismiss_candidates(struct master *m)
{
    m->mustering = false;
    app_material_free(&m->next);
    for (size_t i = 0; i < m->n; i++)
        if (m->workers[i].candidate)
            retire(m, &m->workers[i], ORDER_STOP);
}

static void not_reloaded(const struct master *m)
{
    app_complain("not reloaded: what was there stays in use");
    if (!m->ending)
        app_notify("READY=1");
}

static void muster_failed(struct master *m, int status)
{
    dismiss_candidates(m);
    if (m->established) {
        not_reloaded(m);
        return;
    }
    m->status = status;
    m->ending = true;
}

static void muster_next(struct master *m)
{
    if (!start_worker(m, m->ready_n, true))
        muster_failed(m, APP_FAILED);
}

static void muster(struct master *m)
{
    m->mustering = true;
    m->ready_n = 0;
    muster_next(m);
}

/* All of them are ready: from here on they are those that serve. */
static void take_over(struct master *m)
{
    m->mustering = false;
    if (m->next.config)
        app_tls_adopt(&m->proxy->tls, &m->next);
    for (size_t i = 0; i < m->n; i++) {
        struct worker *w = &m->workers[i];
        if (w->candidate)
            serve(w);
        else if (w->state != RETIRED)
            retire(m, w, ORDER_RETIRE);
    }
    for (unsigned i = 0; i < m->proxy->options->workers; i++)
        m->seats[i] = (struct seat){ .due_ms = NEVER };
    m->switching = m->established;
    if (m->established)
        return;
    m->established = true;
    proxy_announce(m->proxy);
}

static void reload(struct master *m)
{
    unsigned retired = 0;
    if (!m->reload_wanted || m->mustering || m->ending || !m->established)
        return;
    for (size_t i = 0; i < m->n; i++)
        retired += m->workers[i].state == RETIRED;
    if (retired >= RETIRED_PER_SEAT * m->proxy->options->workers) {
        if (!m->reload_told)
            app_complain("the reload waits: %u workers still drain", retired);
        m->reload_told = true;
        return;
    }
    m->reload_wanted = m->reload_told = false;
    app_notify_reloading();
    if (app_tls_load(&m->proxy->tls, MILGI_SERVER, m->proxy->options, RELOAD_PATIENCE_MS, &m->next))
        not_reloaded(m);
    else
        muster(m);
}

/* Told when no connection can meet the old certificate any more. */
static void tell_switched(struct master *m)
{
    for (size_t i = 0; i < m->n; i++)
        if (m->workers[i].state == RETIRED && !m->workers[i].deaf)
            return;
    if (m->switching && !m->ending) {
        app_complain("reloaded");
        app_notify("READY=1");
    }
    m->switching = false;
}

/* --- those who die ------------------------------------------------------------------------------------------------ */

static void tell_death(const struct worker *w, int how, const char *then)
{
    if (w->dismissed)
        return;
    if (WIFSIGNALED(how))
        app_complain("worker %ld was killed by signal %d%s", (long)w->pid, WTERMSIG(how), then);
    else if (WEXITSTATUS(how) || w->state != RETIRED)
        app_complain("worker %ld ended with status %d%s", (long)w->pid, WEXITSTATUS(how), then);
}

static void vacate(struct master *m, unsigned number, bool steady)
{
    struct seat *seat = &m->seats[number];
    if (steady)
        seat->pause_ms = 0;
    else if (seat->pause_ms)
        seat->pause_ms = 2 * seat->pause_ms < PAUSE_MAX_MS ? 2 * seat->pause_ms : PAUSE_MAX_MS;
    else
        seat->pause_ms = PAUSE_FIRST_MS;
    seat->due_ms = now_ms() + seat->pause_ms;
}

static void died(struct master *m, size_t i, int how)
{
    struct worker w = m->workers[i];
    bool was_here = w.state != RETIRED && !w.candidate && !m->ending;
    close(w.channel);
    report_free(w.report);
    m->workers[i] = m->workers[--m->n];
    if (w.state != RETIRED && w.candidate) {
        if (WIFSIGNALED(how))
            tell_death(&w, how, "");
        muster_failed(m, WIFEXITED(how) && WEXITSTATUS(how) ? WEXITSTATUS(how) : APP_FAILED);
        return;
    }
    tell_death(&w, how, was_here ? ": another will take its place" : "");
    if (was_here)
        vacate(m, w.seat, now_ms() - w.begin_ms >= STEADY_MS);
}

static void reap(struct master *m)
{
    for (size_t i = 0; i < m->n;) {
        int how;
        if (waitpid(m->workers[i].pid, &how, WNOHANG) == m->workers[i].pid)
            died(m, i, how);
        else
            i++;
    }
}

/* --- what time brings --------------------------------------------------------------------------------------------- */

static void fill_seats(struct master *m, uint64_t now)
{
    if (m->ending || !m->established)
        return;
    for (unsigned i = 0; i < m->proxy->options->workers; i++) {
        struct seat *seat = &m->seats[i];
        if (seat->due_ms > now)
            continue;
        seat->due_ms = NEVER;
        if (!start_worker(m, i, false))
            vacate(m, i, false);
    }
}

static void kill_late(struct master *m, uint64_t now)
{
    for (size_t i = 0; i < m->n; i++) {
        struct worker *w = &m->workers[i];
        if (w->kill_ms > now)
            continue;
        if (w->state == STARTING)
            app_complain("worker %ld is not ready after %d s", (long)w->pid, READY_MS / 1000);
        w->kill_ms = NEVER;
        kill(w->pid, SIGKILL);
    }
}

static int until_next(const struct master *m)
{
    uint64_t now = now_ms(), next = app_say_pending() ? now + SAY_AGAIN_MS : NEVER;
    next = m->report_ms < next ? m->report_ms : next;
    for (size_t i = 0; i < m->n; i++)
        next = m->workers[i].kill_ms < next ? m->workers[i].kill_ms : next;
    for (unsigned i = 0; i < m->proxy->options->workers && !m->ending && m->established; i++)
        next = m->seats[i].due_ms < next ? m->seats[i].due_ms : next;
    if (next == NEVER)
        return -1;
    return next > now ? (int)(next - now < 3600000 ? next - now : 3600000) : 0;
}

/* --- what it is told ---------------------------------------------------------------------------------------------- */

static void on_ready(struct master *m, struct worker *w)
{
    if (w->ready || w->state == RETIRED)
        return;
    w->ready = true;
    if (!w->candidate)
        serve(w);
    else if (++m->ready_n == m->proxy->options->workers)
        take_over(m);
    else
        muster_next(m);
}

static void listen_to(struct master *m, struct worker *w)
{
    char what[16];
    ssize_t len = read(w->channel, what, sizeof what);
    w->hung_up = !len || (len < 0 && errno != EAGAIN && errno != EINTR);
    /* Starting another moves the workers in memory. */
    size_t at = (size_t)(w - m->workers);
    for (ssize_t i = 0; i < len; i++) {
        m->workers[at].deaf |= what[i] == TOLD_DEAF;
        m->workers[at].asked &= what[i] != TOLD_REPORT;
        if (what[i] == TOLD_READY)
            on_ready(m, &m->workers[at]);
    }
}

static void end(struct master *m, bool at_once)
{
    if (!m->ending)
        app_notify("STOPPING=1");
    dismiss_candidates(m);
    listeners_close(&m->proxy->listeners);
    retire_all(m, at_once || m->ending ? ORDER_STOP : ORDER_DRAIN);
    m->ending = true;
}

/* Each tells of its own engine; the master of all together. */
static void ask_for_reports(struct master *m)
{
    m->report_ms = now_ms() + REPORT_MS;
    for (size_t i = 0; i < m->n; i++) {
        struct worker *w = &m->workers[i];
        w->asked = w->ready && w->report;
        if (w->asked)
            kill(w->pid, SIGUSR1);
    }
}

static void tell_reports(struct master *m, uint64_t now)
{
    size_t waiting = 0, n = 0;
    for (size_t i = 0; i < m->n; i++)
        waiting += m->workers[i].asked;
    if (m->report_ms == NEVER || (waiting && now < m->report_ms))
        return;
    m->report_ms = NEVER;
    const struct report **reports = calloc(m->n + 1, sizeof(struct report *));
    long *pids = calloc(m->n + 1, sizeof *pids);
    for (size_t i = 0; reports && pids && i < m->n; i++) {
        const struct worker *w = &m->workers[i];
        if (!w->ready)
            continue;
        reports[n] = w->asked ? NULL : w->report;
        pids[n++] = (long)w->pid;
    }
    char *text = reports && pids ? report_all(reports, pids, n) : NULL;
    if (text)
        app_report("statistics", text);
    else
        app_complain("no memory for the statistics");
    free(text);
    free(reports);
    free(pids);
}

static void on_signals(struct master *m)
{
    struct signalfd_siginfo info;
    while (read(m->signals, &info, sizeof info) == sizeof info) {
        if (info.ssi_signo == SIGHUP)
            m->reload_wanted = true;
        else if (info.ssi_signo == SIGUSR1)
            ask_for_reports(m);
        else if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
            end(m, info.ssi_signo == SIGINT);
    }
    reap(m); /* several children that die may make one signal */
}

/* False: it cannot, for want of memory. */
static bool wait_and_listen(struct master *m)
{
    size_t n = m->n;
    struct pollfd *fds = calloc(n + 1, sizeof *fds);
    if (!fds)
        return false;
    fds[0] = (struct pollfd){ .fd = m->signals, .events = POLLIN };
    for (size_t i = 0; i < n; i++)
        fds[1 + i] = (struct pollfd){ .fd = m->workers[i].hung_up ? -1 : m->workers[i].channel, .events = POLLIN };
    int got = poll(fds, (nfds_t)n + 1, until_next(m));
    bool failed = got < 0 && errno != EINTR;
    for (size_t i = 0; got > 0 && i < n; i++)
        if (fds[1 + i].revents)
            listen_to(m, &m->workers[i]);
    if (got > 0 && fds[0].revents)
        on_signals(m);
    free(fds);
    return !failed;
}

/* --- its life ----------------------------------------------------------------------------------------------------- */

static void run(struct master *m)
{
    muster(m);
    while (m->n || !m->ending) {
        uint64_t now = now_ms();
        kill_late(m, now);
        fill_seats(m, now);
        tell_switched(m);
        tell_reports(m, now);
        reload(m);
        if (app_say_pending())
            app_say_again();
        if (!wait_and_listen(m)) {
            struct timespec pause = { .tv_nsec = 100000000 };
            nanosleep(&pause, NULL); /* for memory */
            reap(m);
        }
    }
}

int proxy_master(struct proxy *p)
{
    struct master m = { .proxy = p, .report_ms = NEVER };
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGCHLD);
    sigaddset(&signals, SIGUSR1);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    signal(SIGCHLD, SIG_DFL); /* ignored, it would leave nothing to wait for */
    m.signals = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (m.signals < 0) {
        app_complain("no descriptor for signals: %s", strerror(errno));
        return APP_FAILED;
    }
    run(&m);
    app_material_free(&m.next);
    free(m.workers);
    close(m.signals);
    return m.status;
}
