/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Milgi for C++20, in one header: owners for what the C interface counts and frees, results instead of numbers, and
 * coroutines over a stream of whatever loop (milgi_stream.h).
 *
 *   milgi::task<> echo(milgi::stream s)
 *   {
 *       std::array<std::byte, 16384> buffer;
 *       if (!co_await s.open())
 *           co_return;
 *       for (;;) {
 *           auto n = co_await s.read(buffer);
 *           if (!n || *n == 0 || !co_await s.write({ buffer.data(), *n }))
 *               break;
 *       }
 *       (void)co_await s.shutdown();
 *       (void)co_await s.closed();
 *   }
 *
 * THREADS. As in <milgi/milgi.h>: a stream and all that waits for it belong to the loop's thread.
 *
 * ERRORS. What can fail returns a result<T>: a value, or a failure with a std::error_code (those of Milgi compare with
 * enum milgi_error: `e.code == MILGI_ETRUNCATED`) and, when a connection ended, the reason. Nothing here throws but
 * result<T>::value(), and what allocates memory outside of callbacks. Coroutines are resumed from the loop's callbacks:
 * what one of them throws must stay in its promise, as milgi::task keeps it; a coroutine type that lets it out of
 * resume() ends the process, since there is C above.
 *
 * WAITING. One coroutine at a time waits for each of open, read, write, closed and decision of a stream; a second one is
 * told MILGI_EINVAL. Whoever waits may be destroyed: it waits no more, and nothing that came is lost; of a write that is
 * destroyed it is not known how much was taken. When the stream itself is destroyed, whoever still waits for it is
 * resumed in the engine's next turn with std::errc::operation_canceled.
 */
#pragma once

/* Clang 14 has coroutines, but does not say so to the standard library. */
#if defined(__clang__) && __clang_major__ < 15 && !defined(__cpp_impl_coroutine)
#define __cpp_impl_coroutine 201902L
#endif

#include <milgi/milgi.h>
#include <milgi_stream.h>

#include <algorithm>
#include <coroutine>
#include <cstddef>
#include <cstring>
#include <deque>
#include <exception>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <variant>
#include <vector>

namespace milgi {

/* --- errors ------------------------------------------------------------------------------------------------------- */

class error_category final : public std::error_category {
public:
    const char *name() const noexcept override { return "milgi"; }
    std::string message(int code) const override { return milgi_error_text(code); }
    std::error_condition default_error_condition(int code) const noexcept override
    {
        switch (code) {
        case MILGI_EINVAL: return std::errc::invalid_argument;
        case MILGI_ENOMEM: return std::errc::not_enough_memory;
        case MILGI_ETIMEOUT: return std::errc::timed_out;
        case MILGI_EUNSUPPORTED: return std::errc::not_supported;
        default: return { code, *this };
        }
    }
};

inline const std::error_category &category() noexcept
{
    static const error_category one;
    return one;
}

inline std::error_code code_of(int error) noexcept
{
    return { error, category() };
}

/* Why something failed. |reason| is that of a connection; its error is 0 when there was none, and detail never NULL. */
struct failure {
    std::error_code code;
    milgi_reason reason{ 0, MILGI_CLASS_NONE, MILGI_FAULT_NONE, MILGI_ALERT_NONE, false, -1, 0, "" };
    std::string note; /* of a file or a config: what is wrong with it */

    failure(std::error_code c) noexcept : code(c) {}
    explicit failure(int error) noexcept : code(code_of(error)) {}
    failure(int error, std::string text) noexcept : code(code_of(error)), note(std::move(text)) {}
    explicit failure(const milgi_reason &r) noexcept : code(code_of(r.error)), reason(r) {}

    /* "the peer's certificate was not accepted: ... (alert unknown_ca, sent)" */
    std::string text() const
    {
        std::string all = code.message();
        const char *detail = note.empty() ? reason.detail : note.c_str();
        if (*detail)
            all.append(": ").append(detail);
        if (reason.alert != MILGI_ALERT_NONE)
            all.append(" (alert ").append(milgi_alert_name(reason.alert)).append(
                reason.alert_from_peer ? ", received)" : ", sent)");
        return all;
    }
};

/* What result<T>::value() throws. */
class error : public std::system_error {
public:
    explicit error(failure f) : std::system_error(f.code, f.text()), why(std::move(f)) {}
    const failure &reason() const noexcept { return why; }

private:
    failure why;
};

/* A T, or why there is none. error() only where there is none, the others only where there is one. */
template <class T = void> class [[nodiscard]] result {
public:
    result(T value) noexcept : has(std::in_place_index<0>, std::move(value)) {}
    result(failure why) noexcept : has(std::in_place_index<1>, std::move(why)) {}
    explicit operator bool() const noexcept { return has.index() == 0; }
    T &operator*() noexcept { return *std::get_if<0>(&has); }
    T *operator->() noexcept { return std::get_if<0>(&has); }
    const failure &error() const noexcept { return *std::get_if<1>(&has); }
    std::error_code code() const noexcept { return *this ? std::error_code{} : error().code; }
    T value() &&
    {
        if (!*this)
            throw milgi::error(error());
        return std::move(**this);
    }

private:
    std::variant<T, failure> has;
};

template <> class [[nodiscard]] result<void> {
public:
    result() noexcept = default;
    result(failure why) noexcept : failed(std::move(why)) {}
    explicit operator bool() const noexcept { return !failed; }
    const failure &error() const noexcept { return *failed; }
    std::error_code code() const noexcept { return failed ? failed->code : std::error_code{}; }
    void value() const
    {
        if (failed)
            throw milgi::error(*failed);
    }

private:
    std::optional<failure> failed;
};

/* Of a C function that returns 0 or a negative code. */
inline result<> result_of(int rv) noexcept
{
    return rv < 0 ? result<>(failure(rv)) : result<>();
}

/* --- what is counted ---------------------------------------------------------------------------------------------- */

/* A reference of its own on a T; empty after a move. get() is borrowed from it. */
template <class T, T *(*Ref)(T *), void (*Unref)(T *)> class counted {
public:
    counted() noexcept = default;
    explicit counted(T *taken) noexcept : one(taken) {}
    counted(const counted &o) noexcept : one(o.one ? Ref(o.one) : nullptr) {}
    counted(counted &&o) noexcept : one(std::exchange(o.one, nullptr)) {}
    counted &operator=(counted o) noexcept
    {
        std::swap(one, o.one);
        return *this;
    }
    ~counted() { Unref(one); }
    T *get() const noexcept { return one; }
    explicit operator bool() const noexcept { return one; }

private:
    T *one = nullptr;
};

/* The structs whose names are functions', too. */
using conn_info = struct milgi_conn_info;
using decision_info = struct milgi_decision_info;

using session = counted<milgi_session, milgi_session_ref, milgi_session_unref>;
using session_cache = counted<milgi_session_cache, milgi_session_cache_ref, milgi_session_cache_unref>;
using ticket_keys = counted<milgi_ticket_keys, milgi_ticket_keys_ref, milgi_ticket_keys_unref>;

/* A certificate chain and its key. The failure's note says what is wrong, and where. Any thread. */
class credential : public counted<milgi_credential, milgi_credential_ref, milgi_credential_unref> {
public:
    using counted::counted;
    /* |passphrase|: of a key that is encrypted; "": there is none. */
    static result<credential> load(const char *chain_file, const char *key_file, std::string_view passphrase = {})
    {
        milgi_credential *one;
        milgi_problem problem;
        int rv = milgi_credential_load_encrypted(
            chain_file, key_file, passphrase.empty() ? nullptr : passphrase.data(), passphrase.size(), &one, &problem);
        return rv ? result<credential>(failure(rv, problem.text)) : credential(one);
    }
    static result<credential> pem(std::string_view chain, std::string_view key, std::string_view passphrase = {})
    {
        milgi_credential *one;
        milgi_problem problem;
        int rv = milgi_credential_load_pem_encrypted(chain.data(), chain.size(), key.data(), key.size(),
            passphrase.empty() ? nullptr : passphrase.data(), passphrase.size(), &one, &problem);
        return rv ? result<credential>(failure(rv, problem.text)) : credential(one);
    }
};

/* Whose certificates are accepted. Any thread. */
class trust : public counted<milgi_trust, milgi_trust_ref, milgi_trust_unref> {
public:
    using counted::counted;
    static result<trust> load(const char *file)
    {
        milgi_trust *one;
        milgi_problem problem;
        int rv = milgi_trust_load(file, &one, &problem);
        return rv ? result<trust>(failure(rv, problem.text)) : trust(one);
    }
    static result<trust> pem(std::string_view text)
    {
        milgi_trust *one;
        milgi_problem problem;
        int rv = milgi_trust_load_pem(text.data(), text.size(), &one, &problem);
        return rv ? result<trust>(failure(rv, problem.text)) : trust(one);
    }
    /* Before it is given to a config, by one thread: CRLs in PEM, and of whom they must speak. */
    result<void> add_crls(std::string_view text, milgi_crl_check check = MILGI_CRL_CHECK_ALL)
    {
        milgi_problem problem;
        if (int rv = milgi_trust_add_crls_pem(get(), text.data(), text.size(), &problem))
            return failure(rv, problem.text);
        if (int rv = milgi_trust_set_crl_check(get(), check))
            return failure(rv);
        return {};
    }
};

/* A frozen config: immutable, for any thread. Made by its builder, from milgi_config_new()'s safe defaults. */
class config : public counted<milgi_config, milgi_config_ref, milgi_config_unref> {
public:
    using counted::counted;
    config(counted taken) noexcept : counted(std::move(taken)) {}

    /* The first error stays, and freeze() tells it. */
    class builder {
    public:
        explicit builder(milgi_role role) noexcept : one(milgi_config_new(role)), rv(one ? 0 : MILGI_ENOMEM) {}
        /* |setter|: any milgi_config_set_...(): called with the config, returns as they do. */
        template <class F> builder &set(F &&setter)
        {
            if (!rv)
                rv = setter(one.get());
            return *this;
        }
        builder &with(const credential &c)
        {
            return set([&](milgi_config *m) { return milgi_config_add_credential(m, c.get()); });
        }
        builder &trusts(const trust &t)
        {
            return set([&](milgi_config *m) { return milgi_config_set_trust(m, t.get()); });
        }
        builder &alpn(std::initializer_list<const char *> protocols)
        {
            return set([&](milgi_config *m) { return milgi_config_set_alpn(m, protocols.begin(), protocols.size()); });
        }
        builder &client_auth(milgi_client_auth mode)
        {
            return set([&](milgi_config *m) { return milgi_config_set_client_auth(m, mode); });
        }
        builder &versions(uint16_t min, uint16_t max)
        {
            return set([&](milgi_config *m) { return milgi_config_set_versions(m, min, max); });
        }
        builder &sessions(const session_cache &cache)
        {
            return set([&](milgi_config *m) { return milgi_config_set_session_cache(m, cache.get()); });
        }
        builder &tickets(const ticket_keys &keys)
        {
            return set([&](milgi_config *m) { return milgi_config_set_ticket_keys(m, keys.get()); });
        }
        /* |decisions|: MILGI_DECIDE_*, which stream::decision() brings. */
        builder &asks(unsigned decisions)
        {
            return set([&](milgi_config *m) { return milgi_config_set_ask(m, decisions); });
        }
        result<config> freeze()
        {
            const char *why = nullptr;
            if (!rv)
                rv = milgi_config_freeze(one.get(), &why);
            return rv ? result<config>(failure(rv, why ? why : "")) : config(std::move(one));
        }

    private:
        counted one;
        int rv;
    };
    static builder client() noexcept { return builder(MILGI_CLIENT); }
    static builder server() noexcept { return builder(MILGI_SERVER); }
};

/* --- what has one owner ------------------------------------------------------------------------------------------- */

/* The owner of a T; empty after a move. get() is borrowed from it. */
template <class T, auto Free> class owned {
public:
    owned() noexcept = default;
    explicit owned(T *taken) noexcept : one(taken) {}
    owned(owned &&o) noexcept : one(o.release()) {}
    owned &operator=(owned o) noexcept
    {
        std::swap(one, o.one);
        return *this;
    }
    ~owned()
    {
        if (one)
            (void)Free(one);
    }
    T *get() const noexcept { return one; }
    T *release() noexcept { return std::exchange(one, nullptr); }
    explicit operator bool() const noexcept { return one; }

private:
    T *one = nullptr;
};

/* A device, to be destroyed behind the engines that use it. */
class device : public owned<milgi_device, milgi_device_free> {
public:
    using owned::owned;
    static result<device> make(const char *spec)
    {
        milgi_device *one;
        const char *why = nullptr;
        int rv = milgi_device_new(spec, &one, &why);
        return rv ? result<device>(failure(rv, why ? why : "")) : device(one);
    }
};

/* An engine without a loop: for conn. A loop's adapter has its own. Not to be destroyed from a callback. */
class engine : public owned<milgi_engine, milgi_engine_free> {
public:
    using owned::owned;
    static result<engine> make(const milgi_engine_options *options = nullptr) noexcept
    {
        milgi_engine *one;
        int rv = milgi_engine_new(options, &one);
        return rv ? result<engine>(failure(rv)) : engine(one);
    }
    result<milgi_run_result> run(uint64_t budget_ns = 0) noexcept
    {
        milgi_run_result next;
        int rv = milgi_engine_run(get(), budget_ns, &next);
        return rv ? result<milgi_run_result>(failure(rv)) : next;
    }
};

/* A range of a chunk, with a reference on it. Its engine's thread. */
class slice {
public:
    slice() noexcept = default;
    explicit slice(milgi_slice taken) noexcept : one(taken) {}
    slice(slice &&o) noexcept : one(o.release()) {}
    slice &operator=(slice o) noexcept
    {
        std::swap(one, o.one);
        return *this;
    }
    ~slice() { milgi_chunk_unref(one.chunk); }
    /* A new chunk of |size| bytes, to be written; empty: the engine's pool is. */
    static slice make(milgi_engine *engine, uint32_t size) noexcept
    {
        milgi_chunk *chunk = milgi_chunk_new(engine, size);
        return chunk ? slice(milgi_slice{ chunk, milgi_chunk_data(chunk), size }) : slice();
    }
    std::span<std::byte> room() noexcept { return { reinterpret_cast<std::byte *>(one.data), one.len }; }
    std::span<const std::byte> bytes() const noexcept { return { reinterpret_cast<std::byte *>(one.data), one.len }; }
    explicit operator bool() const noexcept { return one.chunk; }
    const milgi_slice &get() const noexcept { return one; }
    milgi_slice release() noexcept { return std::exchange(one, milgi_slice{}); }

private:
    milgi_slice one{};
};

/* What a connection tells, as in <milgi/conn.h>; called from engine::run(). */
class handler {
public:
    virtual void on_output(std::span<const milgi_iov> output) noexcept = 0;
    virtual void on_data(std::span<const milgi_slice> slices) noexcept = 0;
    virtual void on_pause() noexcept {}
    virtual void on_resume() noexcept {}
    virtual void on_room() noexcept {}
    virtual void on_established() noexcept {}
    virtual void on_decide(const milgi_decision &) noexcept {}
    virtual void on_alert(int) noexcept {}
    virtual void on_session(milgi_session *) noexcept {}
    virtual void on_closed(const milgi_reason &reason) noexcept = 0;

protected:
    ~handler() = default;
};

/* A connection without a transport: bytes in and out by hand. get() is for every milgi_conn_...(). */
class conn : public owned<milgi_conn, milgi_conn_free> {
public:
    using owned::owned;
    /* |server_name| may be NULL for a server; |to| is borrowed until the connection is destroyed. */
    static result<conn> make(
        milgi_engine *engine, const milgi::config &config, const char *server_name, handler &to) noexcept
    {
        milgi_conn *one;
        int rv = milgi_conn_new(engine, config.get(), server_name, &events, &to, &one);
        return rv ? result<conn>(failure(rv)) : conn(one);
    }

private:
    static handler &of(void *arg) noexcept { return *static_cast<handler *>(arg); }
    static inline const milgi_events events = [] {
        milgi_events e{};
        e.on_output = [](milgi_conn *, void *arg, const milgi_iov *iov, size_t n) { of(arg).on_output({ iov, n }); };
        e.on_data = [](milgi_conn *, void *arg, const milgi_slice *slices, size_t n) { of(arg).on_data({ slices, n }); };
        e.on_pause = [](milgi_conn *, void *arg) { of(arg).on_pause(); };
        e.on_resume = [](milgi_conn *, void *arg) { of(arg).on_resume(); };
        e.on_room = [](milgi_conn *, void *arg) { of(arg).on_room(); };
        e.on_established = [](milgi_conn *, void *arg) { of(arg).on_established(); };
        e.on_decide = [](milgi_conn *, void *arg, const milgi_decision *d) { of(arg).on_decide(*d); };
        e.on_alert = [](milgi_conn *, void *arg, int alert) { of(arg).on_alert(alert); };
        e.on_session = [](milgi_conn *, void *arg, milgi_session *s) { of(arg).on_session(s); };
        e.on_closed = [](milgi_conn *, void *arg, const milgi_reason *r) { of(arg).on_closed(*r); };
        return e;
    }();
};

} // namespace milgi

template <> struct std::is_error_code_enum<milgi_error> : std::true_type {};
inline std::error_code make_error_code(milgi_error error) noexcept
{
    return milgi::code_of(error);
}

#include <milgi_coroutine.hpp>
