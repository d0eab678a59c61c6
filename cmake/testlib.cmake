# SPDX-License-Identifier: Apache-2.0
#
# tests/lib/*.c: what tests and fuzz targets share, once against each crypto backend.
if(PkgConfig_FOUND)
  pkg_check_modules(CMOCKA IMPORTED_TARGET cmocka)
endif()
file(GLOB testlib_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/lib/*.c)

# This one looks into the library's libcrypto, which may have headers of its own.
get_target_property(directories milgi_libcrypto INTERFACE_INCLUDE_DIRECTORIES)
if(directories)
  set_source_files_properties(${PROJECT_SOURCE_DIR}/tests/lib/inside.c PROPERTIES
    INCLUDE_DIRECTORIES "${directories}")
endif()

function(milgi_testlib name lib)
  if(testlib_sources)
    add_library(${name} STATIC EXCLUDE_FROM_ALL ${testlib_sources})
    set(scope PUBLIC)
  else()
    add_library(${name} INTERFACE)
    set(scope INTERFACE)
  endif()
  target_include_directories(${name} ${scope} ${PROJECT_SOURCE_DIR}/tests/lib ${PROJECT_SOURCE_DIR}/tests)
  if(CMOCKA_FOUND)
    target_link_libraries(${name} ${scope} PkgConfig::CMOCKA)
  endif()
  target_link_libraries(${name} ${scope} ${lib} OpenSSL::Crypto m) # OpenSSL: what the tests make certificates with
endfunction()

milgi_testlib(testlib milgi_internal)
if(TARGET milgi_fake)
  milgi_testlib(testlib_fake milgi_fake)
endif()
