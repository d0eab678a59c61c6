# SPDX-License-Identifier: Apache-2.0
#
# The libcrypto that the library stands on, as the target milgi_libcrypto: headers, and what is linked. A flavour is a
# list of directories below src/crypto/.
set(MILGI_CRYPTO awslc CACHE STRING "The libcrypto: awslc (built in, hidden) or openssl (OpenSSL >= 3.0 of the system)")
set_property(CACHE MILGI_CRYPTO PROPERTY STRINGS awslc openssl)
set(crypto_directories_awslc libcrypto awslc)
set(crypto_directories_openssl libcrypto openssl3)
set(crypto_directories ${crypto_directories_${MILGI_CRYPTO}})
if(NOT crypto_directories)
  message(FATAL_ERROR "MILGI_CRYPTO=${MILGI_CRYPTO}: must be awslc or openssl")
endif()

# OpenSSL is what tests and benchmarks have for a peer, whatever the library stands on.
if(MILGI_CRYPTO STREQUAL "openssl" OR MILGI_TESTS OR MILGI_BENCH OR MILGI_FUZZ)
  find_package(OpenSSL 3.0 REQUIRED COMPONENTS Crypto OPTIONAL_COMPONENTS SSL)
endif()

add_library(milgi_libcrypto INTERFACE)
if(MILGI_CRYPTO STREQUAL "openssl")
  target_link_libraries(milgi_libcrypto INTERFACE OpenSSL::Crypto)
else()
  if(DEFINED ENV{MILGI_PACKAGES})
    set(packages $ENV{MILGI_PACKAGES})
  else()
    set(packages ${PROJECT_SOURCE_DIR}/build/packages)
  endif()
  set(MILGI_AWSLC ${packages}/awslc CACHE PATH "AWS-LC, as scripts/awslc/setup builds it")
  set(awslc_archive ${MILGI_AWSLC}/libcrypto.a)
  if(NOT EXISTS ${awslc_archive})
    message(FATAL_ERROR "AWS-LC is not in ${MILGI_AWSLC}: scripts/awslc/setup builds it (a minute, once), or take "
      "-DMILGI_CRYPTO=openssl")
  endif()
  file(GLOB awslc_objects CONFIGURE_DEPENDS ${MILGI_AWSLC}/objects/*.o)
  target_include_directories(milgi_libcrypto SYSTEM INTERFACE ${MILGI_AWSLC}/include)
endif()
