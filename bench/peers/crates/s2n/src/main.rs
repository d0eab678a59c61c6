// SPDX-License-Identifier: Apache-2.0
use s2n_tls_sys as _; // linked

include!("../../start.rs");
