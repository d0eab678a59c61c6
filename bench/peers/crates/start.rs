// SPDX-License-Identifier: Apache-2.0
// main() of a peer: that of the C side.
extern "C" {
    fn peer_main(argc: std::ffi::c_int, argv: *mut *mut std::ffi::c_char) -> std::ffi::c_int;
}

fn main() {
    let arguments = std::env::args().map(|argument| std::ffi::CString::new(argument).unwrap());
    let mut pointers: Vec<_> = arguments.map(std::ffi::CString::into_raw).collect();
    let count = pointers.len() as std::ffi::c_int;
    pointers.push(std::ptr::null_mut());
    std::process::exit(unsafe { peer_main(count, pointers.as_mut_ptr()) });
}
