/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handshakes that forget to start one of their ops or decisions. For tests that have these lines in their comment:
 *   ctest-wrap: milgi__start_keygen milgi__start_derive milgi__start_sign milgi__start_verify milgi__start_chain
 *   ctest-wrap: milgi__start_decision milgi__start_ticket milgi__settle milgi__start_encaps milgi__start_decaps
 */
#pragma once

extern int forget_slot; /* enum milgi__slot that no handshake starts; -1: none is forgotten */
