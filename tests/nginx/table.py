# SPDX-License-Identifier: Apache-2.0
"""Which cases there are, of what part of `full`, and on what devices."""

import cases
import edges
import others
import pressure

CASES = (  # part, devices in ci
    (cases.nothing_of_the_crypto_library_is_seen_from_outside, "pages", "cpu"),
    (cases.wrong_settings_are_refused, "pages", "cpu"),
    (cases.pages_in_each_version_and_protocol, "pages", "cpu pool:2"),
    (cases.in_plain_http_nothing_is_said, "pages", "cpu"),
    (cases.redirects_of_its_own_are_to_https, "pages", "cpu"),
    (cases.servers_are_found_by_the_name_the_client_wants, "pages", "pool:2"),
    (cases.of_several_certificates_the_one_that_fits_is_taken, "pages", "cpu"),
    (cases.alpn_goes_by_listen, "pages", "cpu"),
    (cases.clients_are_verified, "pages", "pool:2"),
    (cases.who_is_revoked_is_refused, "pages", "pool:2"),
    (cases.keys_are_opened_by_a_file_of_passphrases, "pages", "cpu"),
    (cases.who_was_let_in_by_one_server_is_not_by_another, "pages", "cpu"),
    (cases.sessions_are_resumed_by_tickets, "pages", "pool:2"),
    (cases.keepalive_and_pipelining, "pages", "cpu records"),
    (cases.much_both_ways, "bulk", "records"),
    (cases.slow_readers_get_all_of_it, "bulk", "cpu"),
    (cases.what_has_no_end_is_not_ended_in_order, "pages", "cpu"),
    (cases.streams_both_ways, "bulk", "records"),
    (cases.the_backend_ends_first, "pages", "pool:2"),
    (cases.the_client_ends_first, "pages", "pool:2"),
    (cases.stream_variables_alpn_and_clients, "pages", "cpu"),
    (cases.bad_input_hurts_nobody, "pages", "cpu pool:2"),
    (cases.who_goes_away_in_the_middle_leaves_nothing, "crowd", "pool:2 records"),
    (cases.reloads_lose_nobody, "life", "pool:2"),
    (cases.who_is_served_is_served_to_the_end, "life", "pool:2"),
    (cases.many_at_once, "crowd", "pool:2 first"),
    (cases.http2_by_nghttp, "pages", "cpu"),
    (cases.http2_ends_in_order, "life", "cpu pool:2"),
    (cases.upgrades_and_continues, "bulk", "records"),
    (cases.a_rate_that_is_limited_loses_nothing, "bulk", "cpu"),
    (cases.without_connections_left_some_wait_and_nobody_is_lost, "crowd", "cpu"),
    (pressure.who_finds_no_room_is_woken, "bulk", "cpu records"),
    (pressure.with_little_memory_all_arrives, "crowd", "cpu records"),
    (pressure.slow_writers_are_waited_for, "pages", "pool:2"),
    (pressure.slow_readers_of_streams_get_all_of_it, "bulk", "cpu"),
    (pressure.an_answer_of_streams_is_given_once, "bulk", "cpu"),
    (pressure.ends_of_workers_with_ops_in_flight, "life", "pool:2 records"),
    (pressure.what_cannot_be_is_found_before_workers_go, "life", "cpu"),
    (pressure.the_example_runs, "pages", "cpu"),
    (others.wrong_settings_of_streams_are_refused, "pages", "cpu"),
    (others.faulty_requests_do_not_get_past_who_is_known, "pages", "cpu"),
    (others.sessions_are_good_for_the_server_they_were_made_with, "pages", "pool:2"),
    (others.chains_are_sent_whole, "pages", "cpu"),
    (others.other_kinds_of_listeners, "pages", "pool:2"),
    (others.nginx_s_own_tls_on_the_other_end_of_pages, "others", "pool:2"),
    (others.nginx_s_own_tls_on_the_other_end_of_streams, "others", "records"),
    (edges.who_says_nothing_makes_room_for_who_does, "crowd", "cpu"),
    (edges.a_half_begun_handshake_makes_no_room, "crowd", "cpu"),
    (edges.what_is_asked_at_once_ends_in_order_when_the_worker_does, "life", "cpu"),
    (edges.the_socket_is_shut_down_behind_the_last_byte, "bulk", "cpu records"),
    (edges.a_worker_that_hurries_says_that_it_is_not_all, "life", "pool:2"),
    (edges.our_own_faults_are_errors_of_the_log, "pages", "cpu"),
    (edges.an_upstream_of_streams_that_is_reset_has_no_end, "pages", "cpu records"),
    (edges.bodies_that_are_passed_on_as_they_come, "pages", "pool:2"),
    (edges.an_answer_before_the_request_is_complete_ends_in_order, "pages", "cpu"),
    (edges.names_are_read_ahead_of_and_inside_of_tls, "pages", "cpu"),
    (edges.who_goes_away_is_not_served_on, "pages", "cpu"),
    (edges.an_upstream_of_streams_that_is_not_there_is_no_empty_answer, "pages", "cpu"),
    (edges.a_log_of_everything_hurts_nobody, "pages", "cpu"),
    (edges.what_is_upgraded_ends_in_order, "pages", "cpu"),
    (edges.addresses_of_one_port_are_told_apart, "pages", "cpu"),
    (edges.a_worker_waits_for_what_lingers, "life", "records"),
    (edges.what_is_copied_goes_where_https_says, "pages", "cpu"),
)
ONCE = (cases.nothing_of_the_crypto_library_is_seen_from_outside, cases.wrong_settings_are_refused,
        pressure.what_cannot_be_is_found_before_workers_go, pressure.the_example_runs,
        others.wrong_settings_of_streams_are_refused)
UNDER_VALGRIND = (cases.pages_in_each_version_and_protocol, cases.clients_are_verified, cases.much_both_ways, cases.keepalive_and_pipelining, cases.the_client_ends_first,
                  cases.the_backend_ends_first, cases.bad_input_hurts_nobody, cases.who_goes_away_in_the_middle_leaves_nothing, cases.who_is_served_is_served_to_the_end,
                  cases.what_has_no_end_is_not_ended_in_order, cases.http2_ends_in_order, cases.upgrades_and_continues,
                  cases.without_connections_left_some_wait_and_nobody_is_lost, edges.who_says_nothing_makes_room_for_who_does,
                  edges.a_worker_that_hurries_says_that_it_is_not_all, edges.an_upstream_of_streams_that_is_reset_has_no_end,
                  edges.an_answer_before_the_request_is_complete_ends_in_order)


PARTS = ("pages", "bulk", "crowd", "life", "others")
ALL = "cpu pool:2 first records batch chaos broken"
# Not where records go to a device, as the README says.
ELSEWHERE = {cases.http2_ends_in_order: "cpu pool:2 first batch", edges.a_worker_that_hurries_says_that_it_is_not_all: "cpu pool:2 first batch"}


def chosen(how, parts):
    """Name, case, devices."""
    for case, part, devices in CASES:
        if how == "full" and part not in (parts or PARTS):
            continue
        if how == "full" and case not in ONCE:
            devices = ELSEWHERE.get(case, ALL)
        if how == "valgrind":
            if case not in UNDER_VALGRIND:
                continue
            devices = "pool:2"
        yield case.__name__, case, devices.split()
