/* SPDX-License-Identifier: Apache-2.0 */
/* The second half of milgi.hpp, which includes it: streams that coroutines wait for, and a coroutine to do so. */
#pragma once

namespace milgi {

namespace detail {

class core;
enum slot { opening, reading, writing, ending, deciding, slots };

/* A counted pointer to a core; one thread. */
class core_ref {
public:
    core_ref() noexcept = default;
    explicit core_ref(core *c) noexcept;
    core_ref(const core_ref &o) noexcept : core_ref(o.one) {}
    core_ref(core_ref &&o) noexcept : one(std::exchange(o.one, nullptr)) {}
    core_ref &operator=(core_ref o) noexcept
    {
        std::swap(one, o.one);
        return *this;
    }
    ~core_ref();
    core *operator->() const noexcept { return one; }
    explicit operator bool() const noexcept { return one; }

private:
    core *one = nullptr;
};

/* Somebody who waits in a slot of a core, or would. It is in the coroutine's frame and goes with that. */
class waiter {
public:
    waiter(core_ref c, slot s) noexcept;
    waiter(const waiter &) = delete;
    waiter &operator=(const waiter &) = delete;
    bool await_ready() noexcept;
    void await_suspend(std::coroutine_handle<> h) noexcept;

protected:
    /* Whether there is something to tell; in the slot of writing: whether all was taken. */
    virtual bool ready() noexcept = 0;
    ~waiter();
    /* Why it is told nothing else: misused, canceled, or the stream has ended. */
    failure why() const noexcept;

    core_ref c;
    const slot at;
    bool misused = false;

private:
    friend class core;
    std::coroutine_handle<> handle;
    bool waits = false;
};

/* Received plaintext: in a chunk, or beside it when the engine had none left to keep it in. */
struct piece {
    slice kept;
    std::vector<std::byte> copied;
    size_t first = 0; /* what is before has been taken */

    std::span<const std::byte> rest() const noexcept
    {
        return (kept ? kept.bytes() : std::span<const std::byte>(copied)).subspan(first);
    }
};

/* One stream, from its making to on_gone, or for as long as somebody refers to it. */
class core {
public:
    explicit core(milgi_engine *e) noexcept : engine(e) {}
    core(const core &) = delete;
    core &operator=(const core &) = delete;
    ~core() { refuse_all(); }

    /* Calls to the stream are allowed. */
    bool alive() const noexcept { return raw && !ended && !dropped; }
    /* Nobody waits in vain: who does is told. */
    bool over() const noexcept { return ended || dropped || gone; }

    void credit(size_t n) noexcept
    {
        if (n && alive())
            milgi_stream_consumed(raw, n);
    }

    /* 0 or MILGI_PAUSE: taken; MILGI_ENOMEM: not yet. */
    int noted(int rv) noexcept
    {
        paused = paused || rv == MILGI_PAUSE || rv == MILGI_ENOMEM;
        return rv;
    }

    void wake(slot s) noexcept
    {
        waiter *w = waiting[s];
        if (!w || !(over() || w->ready()))
            return;
        waiting[s] = nullptr;
        w->waits = false;
        w->handle.resume();
    }

    void wake_all() noexcept
    {
        core_ref self(this);
        for (unsigned s = 0; s < slots; s++)
            wake(static_cast<slot>(s));
    }

    /* What is gone has no questions; perhaps it has no engine either. */
    int decide(const milgi_decision &d, milgi_verdict verdict, void *with) noexcept
    {
        return gone ? MILGI_ESTALE : milgi_decide(engine, d, verdict, with);
    }

    /* The application has no stream any more. */
    void abandon() noexcept
    {
        bool open = alive();
        dropped = true;
        if (open && shut)
            milgi_stream_close(raw);
        else if (open)
            milgi_stream_cut(raw);
        pieces.clear();
        refuse_all();
        bool waited = std::any_of(waiting, waiting + slots, [](waiter *w) { return w != nullptr; });
        if (!waited || gone)
            return;
        refs++;
        if (milgi_engine_post(engine, [](void *arg) { canceled(arg); }, this)) /* then on_gone tells them */
            refs--;
    }

    static const milgi_stream_events events;

    milgi_engine *const engine;
    milgi_stream *raw = nullptr;
    unsigned refs = 0;
    std::deque<piece> pieces;
    std::deque<milgi_decision> decisions;
    milgi_reason reason{ 0, MILGI_CLASS_NONE, MILGI_FAULT_NONE, MILGI_ALERT_NONE, false, -1, 0, "" };
    bool opened = false;     /* on_open came */
    bool peer_ended = false; /* on_end */
    bool ended = false;      /* on_close */
    bool dropped = false;    /* abandon() */
    bool gone = false;       /* on_gone */
    bool paused = false;     /* until on_room */
    bool shut = false;       /* our direction has ended in order */
    waiter *waiting[slots]{};

private:
    static core &of(void *arg) noexcept { return *static_cast<core *>(arg); }

    static void canceled(void *arg) noexcept
    {
        core &c = of(arg);
        c.wake_all();
        core_ref last(&c);
        c.refs--;
    }

    void refuse_all() noexcept
    {
        while (!decisions.empty()) {
            milgi_decision d = decisions.front();
            decisions.pop_front();
            (void)decide(d, MILGI_REFUSE, nullptr);
        }
    }

    void take(const milgi_slice &from)
    {
        milgi_slice kept;
        piece p;
        if (milgi_slice_keep(&from, &kept) == 0)
            p.kept = slice(kept);
        else
            p.copied.assign(reinterpret_cast<std::byte *>(from.data), reinterpret_cast<std::byte *>(from.data) + from.len);
        pieces.push_back(std::move(p));
    }

    void on_data(const milgi_slice *from, size_t n) noexcept
    {
        try {
            for (size_t i = 0; i < n; i++)
                if (from[i].len)
                    take(from[i]);
        } catch (...) { /* what follows a gap must not be read */
            (void)milgi_stream_abort(raw, MILGI_ALERT_INTERNAL_ERROR);
            return;
        }
        wake(reading);
    }

    void on_decide(const milgi_decision &d) noexcept
    {
        try {
            decisions.push_back(d);
        } catch (...) {
            (void)decide(d, MILGI_REFUSE, nullptr);
        }
        wake(deciding);
    }

    void on_gone() noexcept
    {
        core_ref self(this);
        refs--; /* the loop's */
        gone = true;
        raw = nullptr;
        decisions.clear();
        wake_all();
    }
};

inline const milgi_stream_events core::events = [] {
    milgi_stream_events e{};
    e.on_open = [](milgi_stream *, void *arg) {
        of(arg).opened = true;
        of(arg).wake(opening);
    };
    e.on_data = [](milgi_stream *, void *arg, const milgi_slice *from, size_t n) { of(arg).on_data(from, n); };
    e.on_end = [](milgi_stream *, void *arg) {
        of(arg).peer_ended = true;
        of(arg).wake(reading);
    };
    e.on_room = [](milgi_stream *, void *arg) {
        of(arg).paused = false;
        of(arg).wake(writing);
    };
    e.on_decide = [](milgi_stream *, void *arg, const milgi_decision *d) { of(arg).on_decide(*d); };
    e.on_close = [](milgi_stream *, void *arg, const milgi_reason *why) {
        of(arg).reason = *why;
        of(arg).ended = true;
        of(arg).wake_all();
    };
    e.on_gone = [](void *arg) { of(arg).on_gone(); };
    return e;
}();

inline core_ref::core_ref(core *c) noexcept : one(c)
{
    if (one)
        one->refs++;
}

inline core_ref::~core_ref()
{
    if (one && --one->refs == 0)
        delete one;
}

inline waiter::waiter(core_ref of, slot s) noexcept : c(std::move(of)), at(s) {}

/* One waits at a time: which is seen when somebody waits, since it may have been kept before. */
inline bool waiter::await_ready() noexcept
{
    misused = !c || c->waiting[at];
    return misused || c->over() || ready();
}

inline void waiter::await_suspend(std::coroutine_handle<> h) noexcept
{
    handle = h;
    waits = true;
    c->waiting[at] = this;
}

inline waiter::~waiter()
{
    if (waits)
        c->waiting[at] = nullptr;
}

inline failure waiter::why() const noexcept
{
    if (misused)
        return failure(MILGI_EINVAL);
    if (c->ended)
        return c->reason.error ? failure(c->reason) : failure(MILGI_ECLOSED);
    return failure(std::make_error_code(std::errc::operation_canceled));
}

} // namespace detail

/* Received plaintext without a copy. The peer may send as much again when it is destroyed: its thread is the loop's. */
class received {
public:
    received() noexcept = default;
    received(detail::core_ref core, detail::piece taken) noexcept : c(std::move(core)), one(std::move(taken)) {}
    received(received &&) noexcept = default;
    received &operator=(received &&o) noexcept
    {
        std::swap(c, o.c);
        std::swap(one, o.one);
        return *this;
    }
    ~received()
    {
        if (c)
            c->credit(one.rest().size());
    }
    /* Empty: the peer has ended its direction. */
    std::span<const std::byte> bytes() const noexcept { return one.rest(); }

private:
    friend class stream;
    detail::core_ref c;
    detail::piece one;
};

/*
 * A question of the handshake (milgi_config_set_ask()), to be answered now or later. One that is destroyed without an
 * answer is refused. accept()'s |with| as enum milgi_verdict says: borrowed.
 */
class decision {
public:
    decision(detail::core_ref core, milgi_decision d) noexcept : c(std::move(core)), token(d) {}
    decision(decision &&) noexcept = default;
    decision &operator=(decision &&o) noexcept
    {
        std::swap(c, o.c);
        std::swap(token, o.token);
        return *this;
    }
    ~decision()
    {
        if (c)
            (void)c->decide(token, MILGI_REFUSE, nullptr);
    }
    unsigned kind() const noexcept { return token.kind; } /* enum milgi_decision_kind */
    result<decision_info> info() const noexcept
    {
        decision_info told;
        int rv = c && !c->gone ? milgi_decision_info(c->engine, token, &told) : MILGI_ESTALE;
        return rv ? result<decision_info>(failure(rv)) : told;
    }
    result<> accept(void *with = nullptr) noexcept { return answer(MILGI_ACCEPT, with); }
    result<> accept(const credential &with) noexcept { return answer(MILGI_ACCEPT, with.get()); }
    result<> accept(const config &with) noexcept { return answer(MILGI_ACCEPT, with.get()); }
    result<> refuse() noexcept { return answer(MILGI_REFUSE, nullptr); }
    result<> as_by_default() noexcept { return answer(MILGI_DEFAULT, nullptr); }

private:
    result<> answer(milgi_verdict verdict, void *with) noexcept
    {
        int rv = c ? c->decide(token, verdict, with) : MILGI_ESTALE;
        if (rv != MILGI_EINVAL) /* then it is still open */
            c = {};
        return result_of(rv);
    }
    detail::core_ref c;
    milgi_decision token;
};

/*
 * A stream of whatever loop. When it is destroyed it ends: in order, behind what was sent, if shutdown() was called
 * before; else it is cut, and the peer is told so by an alert. Ops in flight, and output on its way, outlive it.
 */
class stream {
    using core = detail::core;
    using waiter = detail::waiter;

public:
    stream() noexcept = default;
    stream(stream &&) noexcept = default;
    stream &operator=(stream o) noexcept
    {
        std::swap(c, o.c);
        return *this;
    }
    ~stream()
    {
        if (c)
            c->abandon();
    }

    /*
     * Over what an adapter makes: |make| calls milgi_uv_accept(), milgi_uv_connect() ... with what it is given.
     * |engine| is the adapter's. Its failure is that of |make|.
     *
     *   auto s = milgi::stream::make(milgi_uv_engine(uv), [&](auto *events, void *arg, milgi_stream **out) {
     *       return milgi_uv_connect(uv, address, config.get(), "example.org", events, arg, out);
     *   });
     */
    template <class Make> static result<stream> make(milgi_engine *engine, Make &&make)
    {
        stream s;
        core *one = new core(engine);
        s.c = detail::core_ref(one);
        one->refs++; /* the loop's, until on_gone */
        int rv = make(&core::events, static_cast<void *>(one), &one->raw);
        if (!rv)
            return s;
        one->refs--;
        one->raw = nullptr;
        return failure(rv);
    }

    class open_waiter : public waiter {
    public:
        explicit open_waiter(detail::core_ref of) noexcept : waiter(std::move(of), detail::opening) {}
        result<> await_resume() noexcept { return !misused && c->opened ? result<>() : result<>(why()); }

    private:
        bool ready() noexcept override { return c->opened; }
    };
    /* The handshake is complete. Who waits for it finds all of info() as it is in on_open. */
    open_waiter open() noexcept { return open_waiter(c); }

    class read_waiter : public waiter {
    public:
        read_waiter(detail::core_ref of, std::span<std::byte> to) noexcept
            : waiter(std::move(of), detail::reading), buffer(to)
        {
        }
        result<size_t> await_resume() noexcept
        {
            size_t n = 0;
            if (misused)
                return why();
            while (n < buffer.size() && !c->pieces.empty()) {
                detail::piece &p = c->pieces.front();
                size_t some = std::min(p.rest().size(), buffer.size() - n);
                std::memcpy(buffer.data() + n, p.rest().data(), some);
                n += some;
                p.first += some;
                if (p.rest().empty())
                    c->pieces.pop_front();
            }
            c->credit(n);
            return n || buffer.empty() || (c->peer_ended && !c->dropped) ? result<size_t>(n) : result<size_t>(why());
        }

    private:
        bool ready() noexcept override { return !c->pieces.empty() || c->peer_ended || buffer.empty(); }
        std::span<std::byte> buffer;
    };
    /*
     * Up to all of |buffer|, which stays there meanwhile: how much. 0: the peer has ended its direction in order; a
     * stream that was cut says MILGI_ETRUNCATED, behind what came. The peer may send more when this has taken it.
     */
    read_waiter read(std::span<std::byte> buffer) noexcept { return { c, buffer }; }

    class receive_waiter : public waiter {
    public:
        explicit receive_waiter(detail::core_ref of) noexcept : waiter(std::move(of), detail::reading) {}
        result<received> await_resume() noexcept
        {
            if (misused)
                return why();
            if (c->pieces.empty())
                return c->peer_ended && !c->dropped ? result<received>(received()) : result<received>(why());
            received got(c, std::move(c->pieces.front()));
            c->pieces.pop_front();
            return got;
        }

    private:
        bool ready() noexcept override { return !c->pieces.empty() || c->peer_ended; }
    };
    /* The same without a copy; in the place of 0 what it gives is empty. */
    receive_waiter receive() noexcept { return receive_waiter(c); }

    class write_waiter : public waiter {
    public:
        write_waiter(detail::core_ref of, std::span<const std::byte> what) noexcept
            : waiter(std::move(of), detail::writing), rest(what)
        {
        }
        write_waiter(detail::core_ref of, slice what) noexcept
            : waiter(std::move(of), detail::writing), chunk(std::move(what))
        {
        }
        write_waiter(detail::core_ref of, received what) noexcept
            : waiter(std::move(of), detail::writing), from(std::move(what)), rest(from.bytes())
        {
            if (from.one.kept)
                share();
        }
        result<> await_resume() noexcept
        {
            if (complete)
                return {};
            return misused || c->over() ? why() : failure(error);
        }

    private:
        static constexpr size_t PIECE = 16384; /* a record's worth: less than any limit on what may wait */

        bool done() const noexcept { return rest.empty() && !chunk; }
        void share() noexcept
        {
            milgi_slice s = from.one.kept.get();
            chunk = slice(milgi_slice{ milgi_chunk_ref(s.chunk), s.data + from.one.first,
                s.len - static_cast<uint32_t>(from.one.first) });
            rest = {};
        }
        int give() noexcept
        {
            if (!chunk)
                return milgi_stream_write(c->raw, rest.data(), std::min(rest.size(), PIECE));
            int rv = milgi_stream_send(c->raw, chunk.get());
            if (rv >= 0)
                (void)chunk.release();
            return rv;
        }
        /* All is taken, and there is room for more. */
        bool ready() noexcept override
        {
            while (!error && !c->paused && !done()) {
                bool copies = !chunk;
                int rv = c->noted(give());
                if (rv < 0 && rv != MILGI_ENOMEM)
                    error = rv;
                else if (rv >= 0 && copies)
                    rest = rest.subspan(std::min(rest.size(), PIECE));
            }
            complete = done() && !c->paused && !error;
            return error || complete;
        }
        received from; /* has its credit back when this is done */
        std::span<const std::byte> rest;
        slice chunk;
        int error = 0;
        bool complete = false;
    };
    /* All of |data|, which stays there meanwhile, has been taken, and the peer takes more. */
    write_waiter write(std::span<const std::byte> data) noexcept { return { c, data }; }
    write_waiter write(std::string_view text) noexcept { return { c, std::as_bytes(std::span(text)) }; }
    /* Without a copy: |data| is not written any more. Of what another stream received the credit returns with this. */
    write_waiter send(slice data) noexcept { return { c, std::move(data) }; }
    write_waiter send(received data) noexcept { return { c, std::move(data) }; }

    class shutdown_waiter {
    public:
        explicit shutdown_waiter(int result) noexcept : rv(result) {}
        bool await_ready() const noexcept { return true; }
        void await_suspend(std::coroutine_handle<>) const noexcept {}
        result<> await_resume() const noexcept { return result_of(rv); }

    private:
        int rv;
    };
    /* Our direction ends in order, behind what was sent; the peer may go on. Waits for nothing: closed() does. */
    shutdown_waiter shutdown() noexcept
    {
        int rv = c && c->alive() ? milgi_stream_shutdown(c->raw) : MILGI_ECLOSED;
        if (!rv)
            c->shut = true;
        return shutdown_waiter(rv);
    }

    class closed_waiter : public waiter {
    public:
        explicit closed_waiter(detail::core_ref of) noexcept : waiter(std::move(of), detail::ending) {}
        result<> await_resume() noexcept
        {
            return !misused && c->ended && !c->reason.error ? result<>() : result<>(why());
        }

    private:
        bool ready() noexcept override { return false; }
    };
    /* TLS has ended: no failure if both directions did in order. What was not read keeps it from ending. */
    closed_waiter closed() noexcept { return closed_waiter(c); }

    class decision_waiter : public waiter {
    public:
        explicit decision_waiter(detail::core_ref of) noexcept : waiter(std::move(of), detail::deciding) {}
        result<milgi::decision> await_resume() noexcept
        {
            if (misused || c->decisions.empty())
                return why();
            milgi_decision d = c->decisions.front();
            c->decisions.pop_front();
            return milgi::decision(c, d);
        }

    private:
        bool ready() noexcept override { return !c->decisions.empty(); }
    };
    /* The next question. Who asks (config::builder::asks()) and does not wait here lets handshakes time out. */
    decision_waiter decision() noexcept { return decision_waiter(c); }

    /* As milgi_stream_cut() and ..._reset(), now. What waits is told in the engine's next turn. */
    void reset() noexcept
    {
        if (!c)
            return;
        milgi_stream *raw = c->dropped ? nullptr : c->raw;
        c->dropped = true;
        if (raw)
            milgi_stream_reset(raw);
        c->abandon();
        c = {};
    }
    int abort(int alert) noexcept { return c && c->alive() ? milgi_stream_abort(c->raw, alert) : MILGI_ECLOSED; }

    /* For what else milgi_stream.h and an adapter have; NULL when it is gone. Do not end it. */
    milgi_stream *get() const noexcept { return c ? c->raw : nullptr; }
    /* What was negotiated; all zeros when the connection is gone. */
    conn_info info() const noexcept
    {
        conn_info told{};
        milgi_conn *conn = get() ? milgi_stream_conn(get()) : nullptr;
        if (conn)
            milgi_conn_info(conn, &told);
        return told;
    }
    explicit operator bool() const noexcept { return static_cast<bool>(c); }

private:
    detail::core_ref c;
};

/* --- a coroutine -------------------------------------------------------------------------------------------------- */

template <class T> class task;

namespace detail {

struct promise_base {
    struct last {
        bool await_ready() noexcept { return false; }
        template <class P> std::coroutine_handle<> await_suspend(std::coroutine_handle<P> h) noexcept
        {
            std::coroutine_handle<> then = h.promise().next;
            if (h.promise().detached)
                h.destroy();
            return then ? then : std::noop_coroutine();
        }
        void await_resume() noexcept {}
    };
    std::suspend_always initial_suspend() noexcept { return {}; }
    last final_suspend() noexcept { return {}; }
    void unhandled_exception() noexcept
    {
        if (detached)
            std::terminate(); /* nobody would ever hear of it */
        thrown = std::current_exception();
    }
    void rethrow()
    {
        if (thrown)
            std::rethrow_exception(thrown);
    }
    std::coroutine_handle<> next;
    std::exception_ptr thrown;
    bool begun = false, detached = false;
};

template <class T> struct promise : promise_base {
    task<T> get_return_object() noexcept;
    void return_value(T value) noexcept { got.emplace(std::move(value)); }
    T take()
    {
        rethrow();
        return std::move(*got);
    }
    std::optional<T> got;
};

template <> struct promise<void> : promise_base {
    task<void> get_return_object() noexcept;
    void return_void() noexcept {}
    void take() { rethrow(); }
};

} // namespace detail

/*
 * A coroutine that begins when it is awaited, started or detached. Destroying it cancels it where it waits, with all
 * that it waits for: not from inside itself. What it throws comes out where it is awaited, or out of take().
 */
template <class T = void> class [[nodiscard]] task {
public:
    using promise_type = detail::promise<T>;
    task() noexcept = default; /* none */
    explicit task(std::coroutine_handle<promise_type> h) noexcept : handle(h) {}
    task(task &&o) noexcept : handle(std::exchange(o.handle, nullptr)) {}
    task &operator=(task o) noexcept
    {
        std::swap(handle, o.handle);
        return *this;
    }
    ~task()
    {
        if (handle)
            handle.destroy();
    }

    /* Runs it until it waits for the first time. Once. */
    void start()
    {
        handle.promise().begun = true;
        handle.resume();
    }
    /* The same, and it goes on by itself, to its end. An exception ends the process. */
    void detach() &&
    {
        auto h = std::exchange(handle, nullptr);
        h.promise().detached = true;
        h.resume();
    }
    bool done() const noexcept { return handle.done(); }
    /* What it returned, when it is done. */
    T take() { return handle.promise().take(); }

    bool await_ready() const noexcept { return handle.done(); }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<> h) noexcept
    {
        handle.promise().next = h;
        if (std::exchange(handle.promise().begun, true))
            return std::noop_coroutine();
        return handle;
    }
    T await_resume() { return handle.promise().take(); }

private:
    std::coroutine_handle<promise_type> handle = nullptr;
};

namespace detail {

template <class T> task<T> promise<T>::get_return_object() noexcept
{
    return task<T>(std::coroutine_handle<promise>::from_promise(*this));
}

inline task<void> promise<void>::get_return_object() noexcept
{
    return task<void>(std::coroutine_handle<promise>::from_promise(*this));
}

} // namespace detail

} // namespace milgi
