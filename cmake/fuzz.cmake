# SPDX-License-Identifier: Apache-2.0
#
# tests/fuzz/<name>_fuzz.c -> fuzz_<name>, on the real backend; tests/fuzz/fake/<name>_fuzz.c on the fake one.
# Corpora: tests/fuzz/corpus/<name>/.
if(NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
  message(FATAL_ERROR "libFuzzer targets need clang")
endif()
include(${PROJECT_SOURCE_DIR}/cmake/testlib.cmake)

function(milgi_fuzz_targets pattern lib)
  file(GLOB targets CONFIGURE_DEPENDS ${pattern})
  foreach(file ${targets})
    get_filename_component(name ${file} NAME)
    string(REGEX REPLACE "_fuzz\\.c$" "" name ${name})
    add_executable(fuzz_${name} ${file})
    target_link_libraries(fuzz_${name} PRIVATE ${lib})
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
    set_target_properties(fuzz_${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/fuzz)
  endforeach()
endfunction()

milgi_fuzz_targets(${PROJECT_SOURCE_DIR}/tests/fuzz/*_fuzz.c testlib)
if(TARGET testlib_fake)
  milgi_fuzz_targets(${PROJECT_SOURCE_DIR}/tests/fuzz/fake/*_fuzz.c testlib_fake)
endif()
