// SPDX-License-Identifier: Apache-2.0
//! Milgi's C interface as it is. The manual is in the headers, `<milgi/milgi.h>` and those that it includes.
#![allow(non_camel_case_types, non_upper_case_globals, non_snake_case)]
#![allow(clippy::all)]

include!("bindings.rs");
