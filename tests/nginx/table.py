# SPDX-License-Identifier: Apache-2.0
"""Which cases there are, and on what devices."""

import cases
import others
import pressure

CASES = (  # devices in ci
    (cases.nothing_of_the_crypto_library_is_seen_from_outside, "cpu"),
    (cases.wrong_settings_are_refused, "cpu"),
    (cases.pages_in_each_version_and_protocol, "cpu pool:2"),
    (cases.in_plain_http_nothing_is_said, "cpu"),
    (cases.redirects_of_its_own_are_to_https, "cpu"),
    (cases.servers_are_found_by_the_name_the_client_wants, "pool:2"),
    (cases.of_several_certificates_the_one_that_fits_is_taken, "cpu"),
    (cases.alpn_goes_by_listen, "cpu"),
    (cases.clients_are_verified, "pool:2"),
    (cases.who_was_let_in_by_one_server_is_not_by_another, "cpu"),
    (cases.sessions_are_resumed_by_tickets, "pool:2"),
    (cases.keepalive_and_pipelining, "cpu records"),
    (cases.much_both_ways, "records"),
    (cases.slow_readers_get_all_of_it, "cpu"),
    (cases.what_has_no_end_is_not_ended_in_order, "cpu"),
    (cases.streams_both_ways, "records"),
    (cases.the_backend_ends_first, "pool:2"),
    (cases.the_client_ends_first, "pool:2"),
    (cases.stream_variables_alpn_and_clients, "cpu"),
    (cases.bad_input_hurts_nobody, "cpu pool:2"),
    (cases.who_goes_away_in_the_middle_leaves_nothing, "pool:2 records"),
    (cases.reloads_lose_nobody, "pool:2"),
    (cases.who_is_served_is_served_to_the_end, "pool:2"),
    (cases.many_at_once, "pool:2 first"),
    (cases.http2_by_nghttp, "cpu"),
    (cases.http2_ends_in_order, "cpu pool:2"),
    (cases.upgrades_and_continues, "records"),
    (cases.a_rate_that_is_limited_loses_nothing, "cpu"),
    (cases.without_connections_left_some_wait_and_nobody_is_lost, "cpu"),
    (pressure.who_finds_no_room_is_woken, "cpu records"),
    (pressure.with_little_memory_all_arrives, "cpu records"),
    (pressure.slow_writers_are_waited_for, "pool:2"),
    (pressure.slow_readers_of_streams_get_all_of_it, "cpu"),
    (pressure.an_answer_of_streams_is_given_once, "cpu"),
    (pressure.ends_of_workers_with_ops_in_flight, "pool:2 records"),
    (pressure.what_cannot_be_is_found_before_workers_go, "cpu"),
    (pressure.the_example_runs, "cpu"),
    (others.wrong_settings_of_streams_are_refused, "cpu"),
    (others.faulty_requests_do_not_get_past_who_is_known, "cpu"),
    (others.sessions_are_good_for_the_server_they_were_made_with, "pool:2"),
    (others.chains_are_sent_whole, "cpu"),
    (others.other_kinds_of_listeners, "pool:2"),
    (others.nginx_s_own_tls_on_the_other_end_of_pages, "pool:2"),
    (others.nginx_s_own_tls_on_the_other_end_of_streams, "records"),
)
ONCE = (cases.nothing_of_the_crypto_library_is_seen_from_outside, cases.wrong_settings_are_refused,
        pressure.what_cannot_be_is_found_before_workers_go, pressure.the_example_runs,
        others.wrong_settings_of_streams_are_refused)
UNDER_VALGRIND = (cases.pages_in_each_version_and_protocol, cases.clients_are_verified, cases.much_both_ways, cases.keepalive_and_pipelining, cases.the_client_ends_first,
                  cases.the_backend_ends_first, cases.bad_input_hurts_nobody, cases.who_goes_away_in_the_middle_leaves_nothing, cases.who_is_served_is_served_to_the_end,
                  cases.what_has_no_end_is_not_ended_in_order, cases.http2_ends_in_order, cases.upgrades_and_continues,
                  cases.without_connections_left_some_wait_and_nobody_is_lost)


def chosen(how):
    """Name, case, devices."""
    for case, devices in CASES:
        if how == "full" and case is cases.http2_ends_in_order:  # not where records go to a device, as the README says
            devices = "cpu pool:2 first batch"
        elif how == "full" and case not in ONCE:
            devices = "cpu pool:2 first records batch chaos broken"
        if how == "valgrind":
            if case not in UNDER_VALGRIND:
                continue
            devices = "pool:2"
        yield case.__name__, case, devices.split()
