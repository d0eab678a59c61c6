# SPDX-License-Identifier: Apache-2.0
#
# The shim that is shaped like OpenSSL's libssl (adapters/ssl): libmilgi_ssl.a, and libmilgi_ssl.so on libmilgi.so; and
# in ${PROJECT_BINARY_DIR}/ssl what a program that looks for OpenSSL finds there instead: include/, lib/ with libssl.so and
# libcrypto.so, which are both the shim, and lib/pkgconfig. `cmake --install DIR --component ssl` puts the same below
# LIBDIR/milgi-ssl; nothing else does, so that no program finds it by chance.
#
# Its names are those of OpenSSL's libcrypto, too. So there is none where Milgi stands on the system's: only a libcrypto
# that is inside of Milgi, with its names hidden, stays what it is.
set(MILGI_SSL AUTO CACHE STRING "The shim that is shaped like OpenSSL's libssl: ON, OFF, or AUTO, where AWS-LC is built in")
set_property(CACHE MILGI_SSL PROPERTY STRINGS AUTO ON OFF)
if(NOT MILGI_CRYPTO STREQUAL "awslc")
  if(MILGI_SSL AND NOT MILGI_SSL STREQUAL "AUTO")
    message(FATAL_ERROR "MILGI_SSL is ON, but the libcrypto is not inside of the library (MILGI_CRYPTO=${MILGI_CRYPTO})")
  endif()
  return()
elseif(NOT MILGI_SSL)
  return()
endif()

set(ssl_dir ${PROJECT_SOURCE_DIR}/adapters/ssl)
file(GLOB ssl_sources CONFIGURE_DEPENDS ${ssl_dir}/*.c ${PROJECT_SOURCE_DIR}/adapters/pull/*.c)
list(REMOVE_ITEM ssl_sources ${ssl_dir}/libcrypto.c)
add_library(milgi_ssl_objects OBJECT ${ssl_sources})
target_include_directories(milgi_ssl_objects PUBLIC ${ssl_dir}/include PRIVATE ${ssl_dir} ${PROJECT_SOURCE_DIR}/adapters/pull)
target_link_libraries(milgi_ssl_objects PRIVATE milgi_static)

# What it wants of AWS-LC is seen by one file, since both have the same headers. The archive finds it in libmilgi.a; the
# shared library, which cannot look into libmilgi.so, has a few digests once more.
add_library(milgi_ssl_libcrypto OBJECT ${ssl_dir}/libcrypto.c)
target_link_libraries(milgi_ssl_libcrypto PRIVATE milgi_libcrypto)

add_library(milgi_ssl STATIC $<TARGET_OBJECTS:milgi_ssl_objects> $<TARGET_OBJECTS:milgi_ssl_libcrypto>)
target_include_directories(milgi_ssl PUBLIC ${ssl_dir}/include)
target_link_libraries(milgi_ssl PUBLIC milgi_static Threads::Threads)

add_library(milgi_ssl_shared SHARED $<TARGET_OBJECTS:milgi_ssl_objects> $<TARGET_OBJECTS:milgi_ssl_libcrypto>)
target_include_directories(milgi_ssl_shared PUBLIC ${ssl_dir}/include)
target_link_libraries(milgi_ssl_shared PRIVATE milgi_shared ${awslc_archive} Threads::Threads)
target_link_options(milgi_ssl_shared PRIVATE -Wl,--gc-sections)
set_target_properties(milgi_ssl_shared PROPERTIES OUTPUT_NAME milgi_ssl VERSION ${PROJECT_VERSION} SOVERSION ${MILGI_SOVERSION})
if(NOT MILGI_SANITIZE)
  target_link_options(milgi_ssl_shared PRIVATE -Wl,-z,defs)
endif()

# --- what programs find -------------------------------------------------------------------------------------------------
set(ssl_prefix ${PROJECT_BINARY_DIR}/ssl)
file(MAKE_DIRECTORY ${ssl_prefix}/lib/pkgconfig)
if(IS_SYMLINK ${ssl_prefix}/include)
  file(REMOVE ${ssl_prefix}/include)
endif()
file(MAKE_DIRECTORY ${ssl_prefix}/include/openssl)
file(GLOB ssl_headers CONFIGURE_DEPENDS ${ssl_dir}/include/openssl/*.h)
foreach(header ${ssl_headers})
  get_filename_component(name ${header} NAME)
  file(CREATE_LINK ${header} ${ssl_prefix}/include/openssl/${name} SYMBOLIC)
endforeach()
# Headers of OpenSSL's that the shim has not: the compiler would take those of the system instead, and mix the two.
foreach(name aes asn1t async blowfish camellia cast cmac cmp cms comp core core_names cryptoerr ct des dsa
    dtls1 e_os2 ebcdic ec ecdh ecdsa encoder ess hmac http idea kdf lhash macros md2 md4 md5 mdc2 modes obj_mac
    param_build params pkcs12 pkcs7 provider rc2 rc4 rc5 ripemd rsa seed self_test srp srtp store symhacks trace ts txt_db
    whrlpool)
  list(APPEND ssl_headers ${ssl_prefix}/include/openssl/${name}.h)
  file(WRITE ${ssl_prefix}/include/openssl/${name}.h "#error \"openssl/${name}.h is not in Milgi's shim (adapters/ssl)\"\n")
endforeach()
foreach(name libssl libcrypto)
  file(CREATE_LINK ../../libmilgi_ssl.so ${ssl_prefix}/lib/${name}.so SYMBOLIC)
endforeach()
foreach(name openssl libssl libcrypto)
  file(WRITE ${ssl_prefix}/lib/pkgconfig/${name}.pc
    "prefix=\${pcfiledir}/../..\nlibdir=\${prefix}/lib\nincludedir=\${prefix}/include\n\n"
    "Name: ${name}\nDescription: Milgi's shim in the shape of OpenSSL\nVersion: 3.0.0\n"
    "Libs: -L\${libdir} -lssl -lcrypto\nCflags: -I\${includedir}\n")
endforeach()
if(MILGI_INSTALL)
  set(ssl_to ${CMAKE_INSTALL_LIBDIR}/milgi-ssl)
  install(FILES ${ssl_headers} DESTINATION ${ssl_to}/include/openssl COMPONENT ssl EXCLUDE_FROM_ALL)
  install(DIRECTORY ${ssl_prefix}/lib/pkgconfig DESTINATION ${ssl_to}/lib COMPONENT ssl EXCLUDE_FROM_ALL)
  install(FILES ${ssl_prefix}/lib/libssl.so ${ssl_prefix}/lib/libcrypto.so DESTINATION ${ssl_to}/lib
    COMPONENT ssl EXCLUDE_FROM_ALL)
  install(TARGETS milgi_ssl milgi_ssl_shared COMPONENT ssl EXCLUDE_FROM_ALL
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()
