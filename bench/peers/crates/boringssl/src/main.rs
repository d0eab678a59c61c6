// SPDX-License-Identifier: Apache-2.0
use boring_sys as _; // linked

include!("../../start.rs");
