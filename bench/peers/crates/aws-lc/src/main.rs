// SPDX-License-Identifier: Apache-2.0
use aws_lc_sys as _; // linked

include!("../../start.rs");
