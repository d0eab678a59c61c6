# SPDX-License-Identifier: Apache-2.0
#
# cmake --install: headers, libraries, adapters, pkg-config and CMake package files, the command and what belongs to it.
# Components for packages: runtime (the shared library), dev (what programs are built with), milgi (the command), and one
# for each module.
#
# Who links the shared library needs no development files of what it stands on (p11-kit, perhaps OpenSSL); who links the
# static one does. AWS-LC is inside both.
include(CMakePackageConfigHelpers)

set(libdir ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/milgi DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT dev
  FILES_MATCHING PATTERN "*.h")
install(FILES ${PROJECT_SOURCE_DIR}/scripts/gdb/milgi.py DESTINATION ${CMAKE_INSTALL_DATADIR}/milgi/gdb COMPONENT dev)
install(TARGETS milgi_shared EXPORT milgi-targets
  LIBRARY DESTINATION ${libdir} COMPONENT runtime NAMELINK_COMPONENT dev)
install(TARGETS milgi_static EXPORT milgi-static-targets ARCHIVE DESTINATION ${libdir} COMPONENT dev)
foreach(adapter ${MILGI_ADAPTERS})
  install(FILES $<TARGET_FILE:milgi_${adapter}> DESTINATION ${libdir} COMPONENT dev)
  install(FILES ${MILGI_ADAPTER_${adapter}_HEADERS} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT dev)
endforeach()

# Modules: each is a package of its own, whose name is a component's, too.
foreach(module ${MILGI_MODULES})
  install(TARGETS milgi_${module} EXPORT milgi-${module}-targets
    LIBRARY DESTINATION ${libdir} COMPONENT ${module} NAMELINK_COMPONENT dev)
endforeach()

# --- pkg-config: milgi, milgi-static; milgi-<adapter>, milgi-<adapter>-static -------------------------------------------
# Relative to where the file lies, so that an installed tree may be moved. What the shared library stands on is named by
# its libraries (Libs.private), not by packages: pkg-config would want those to be there even of who does not link them.
file(RELATIVE_PATH MILGI_PC_PREFIX /${libdir}/pkgconfig /)
string(REGEX REPLACE "/$" "" MILGI_PC_PREFIX ${MILGI_PC_PREFIX})
function(milgi_pkgconfig name description libs private requires)
  set(PC_NAME ${name})
  set(PC_DESCRIPTION ${description})
  set(PC_LIBS ${libs})
  set(PC_PRIVATE ${private})
  set(PC_REQUIRES ${requires})
  configure_file(${PROJECT_SOURCE_DIR}/milgi.pc.in ${PROJECT_BINARY_DIR}/${name}.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/${name}.pc DESTINATION ${libdir}/pkgconfig COMPONENT dev)
endfunction()

set(private)
set(requires)
if(MILGI_CRYPTO STREQUAL "openssl")
  set(private -lcrypto)
  set(requires "libcrypto >= 3.0")
endif()
foreach(need ${MILGI_CONFIG_REQUIRES})
  string(REGEX REPLACE "=.*" "" need ${need})
  list(TRANSFORM ${need}_LIBRARIES PREPEND -l OUTPUT_VARIABLE libraries)
  list(JOIN libraries " " libraries)
  string(APPEND private " ${libraries}")
endforeach()
string(STRIP "${private} -pthread" private)
string(APPEND requires "${MILGI_PC_REQUIRES}")
string(REGEX REPLACE "^, " "" requires "${requires}")
milgi_pkgconfig(milgi "${PROJECT_DESCRIPTION}" "-lmilgi" "${private}" "")
milgi_pkgconfig(milgi-static "${PROJECT_DESCRIPTION}, linked statically" "-l:libmilgi.a -pthread" "" "${requires}")
foreach(adapter ${MILGI_ADAPTERS})
  set(requires ${MILGI_ADAPTER_${adapter}_MODULE})
  milgi_pkgconfig(milgi-${adapter} "Milgi's adapter ${adapter}" "-lmilgi_${adapter}" "" "milgi ${requires}")
  milgi_pkgconfig(milgi-${adapter}-static "Milgi's adapter ${adapter}, with Milgi linked statically"
    "-lmilgi_${adapter}" "" "milgi-static ${requires}")
endforeach()

foreach(module ${MILGI_MODULES})
  milgi_pkgconfig(milgi-${module} "Milgi's device ${module}" "-lmilgi-${module}" "" "milgi")
endforeach()

# --- find_package(milgi): see milgi-config.cmake.in --------------------------------------------------------------------
set(package_dir ${libdir}/cmake/milgi)
set(MILGI_CONFIG_ADAPTERS)
foreach(adapter ${MILGI_ADAPTERS})
  list(APPEND MILGI_CONFIG_ADAPTERS "${adapter}=${MILGI_ADAPTER_${adapter}_MODULE}")
endforeach()
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/milgi-config.cmake.in ${PROJECT_BINARY_DIR}/milgi-config.cmake
  INSTALL_DESTINATION ${package_dir} PATH_VARS CMAKE_INSTALL_LIBDIR CMAKE_INSTALL_INCLUDEDIR)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/milgi-config-version.cmake COMPATIBILITY ${MILGI_COMPATIBILITY})
install(FILES ${PROJECT_BINARY_DIR}/milgi-config.cmake ${PROJECT_BINARY_DIR}/milgi-config-version.cmake
  DESTINATION ${package_dir} COMPONENT dev)
install(EXPORT milgi-targets NAMESPACE milgi:: DESTINATION ${package_dir} COMPONENT dev)
install(EXPORT milgi-static-targets NAMESPACE milgi:: DESTINATION ${package_dir} COMPONENT dev)
foreach(module ${MILGI_MODULES}) # of whose own package these are a part: without it there is no target
  install(EXPORT milgi-${module}-targets NAMESPACE milgi:: DESTINATION ${package_dir} COMPONENT ${module})
endforeach()

# --- the command --------------------------------------------------------------------------------------------------------
if(TARGET milgi)
  install(TARGETS milgi RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT milgi)
endif()

# --- what belongs to it ---------------------------------------------------------------------------------------------------
function(milgi_man page component)
  string(REGEX REPLACE "^.*\\." "" section ${page})
  set(out ${PROJECT_BINARY_DIR}/man/${page})
  add_custom_command(OUTPUT ${out}
    COMMAND sh -c "mkdir -p man && \"$0\" \"$1\" ${PROJECT_VERSION} >\"$2\""
      ${PROJECT_SOURCE_DIR}/scripts/man-page ${PROJECT_SOURCE_DIR}/docs/${page}.md ${out}
    DEPENDS ${PROJECT_SOURCE_DIR}/scripts/man-page ${PROJECT_SOURCE_DIR}/docs/${page}.md
    WORKING_DIRECTORY ${PROJECT_BINARY_DIR} VERBATIM)
  install(FILES ${out} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section} COMPONENT ${component})
  set(man_pages ${man_pages} ${out} PARENT_SCOPE)
endfunction()

set(man_pages)
milgi_man(milgi.3 dev)
if(TARGET milgi)
  milgi_man(milgi.1 milgi)
  install(FILES ${PROJECT_SOURCE_DIR}/packaging/milgi.bash-completion RENAME milgi
    DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions COMPONENT milgi)
  configure_file(${PROJECT_SOURCE_DIR}/packaging/milgi-proxy.service.in ${PROJECT_BINARY_DIR}/milgi-proxy.service @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/milgi-proxy.service DESTINATION lib/systemd/system COMPONENT milgi)
  install(FILES ${PROJECT_SOURCE_DIR}/packaging/milgi.sysusers RENAME milgi.conf
    DESTINATION lib/sysusers.d COMPONENT milgi)
endif()
add_custom_target(milgi_man ALL DEPENDS ${man_pages})

# All that is installed, for who builds nothing else: scripts/install.
set(installed milgi_shared milgi_static milgi_man)
if(TARGET milgi)
  list(APPEND installed milgi)
endif()
foreach(part ${MILGI_ADAPTERS} ${MILGI_MODULES})
  list(APPEND installed milgi_${part})
endforeach()
add_custom_target(milgi_installed DEPENDS ${installed})

# What is inside has its licence, which stands beside ours in each package that it is in.
function(milgi_licences package component)
  set(doc ${CMAKE_INSTALL_DATADIR}/doc/${package})
  install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${doc} COMPONENT ${component})
  if(has_crypto_mb)
    install(FILES ${crypto_mb}/LICENSE RENAME LICENSE.crypto_mb DESTINATION ${doc} COMPONENT ${component})
  endif()
  if(MILGI_CRYPTO STREQUAL "awslc")
    install(FILES ${MILGI_AWSLC}/LICENSE RENAME LICENSE.AWS-LC DESTINATION ${doc} COMPONENT ${component})
  endif()
endfunction()
milgi_licences(libmilgi${MILGI_SOVERSION} runtime)
milgi_licences(libmilgi-dev dev)
if(TARGET milgi)
  milgi_licences(milgi milgi)
endif()

# --- cpack: milgi, libmilgi<version>, libmilgi-dev for Debian (scripts/deb), and what a machine can build of modules --------
include(cmake/nginx.cmake)
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_CONTACT "Milgi <milgi@localhost>")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_ALL milgi runtime dev ${MILGI_MODULES} ${MILGI_NGINX_PACKAGES})
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_MILGI_PACKAGE_NAME milgi)
set(CPACK_DEBIAN_MILGI_PACKAGE_SECTION net)
set(CPACK_DEBIAN_MILGI_PACKAGE_DEPENDS passwd)
set(CPACK_DEBIAN_MILGI_PACKAGE_RECOMMENDS ca-certificates)
set(CPACK_DEBIAN_MILGI_PACKAGE_CONTROL_EXTRA ${PROJECT_SOURCE_DIR}/packaging/deb/postinst
  ${PROJECT_SOURCE_DIR}/packaging/deb/prerm ${PROJECT_SOURCE_DIR}/packaging/deb/postrm)
set(CPACK_COMPONENT_MILGI_DESCRIPTION "TLS proxy and client on Milgi
 A TLS 1.3 terminating proxy and a verifying client, whose private keys may be
 in tokens and whose crypto may be done by threads and other devices.")
set(CPACK_DEBIAN_RUNTIME_PACKAGE_NAME libmilgi${MILGI_SOVERSION})
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SECTION libs)
set(CPACK_COMPONENT_RUNTIME_DESCRIPTION "TLS library with a push structure, for asynchronous crypto
 The shared library.")
set(CPACK_DEBIAN_DEV_PACKAGE_NAME libmilgi-dev)
set(CPACK_DEBIAN_DEV_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEV_PACKAGE_DEPENDS "libmilgi${MILGI_SOVERSION} (= ${PROJECT_VERSION})")
set(CPACK_DEBIAN_DEV_PACKAGE_SUGGESTS "libuv1-dev, libevent-dev, liburing-dev, libp11-kit-dev")
if(MILGI_CRYPTO STREQUAL "openssl")
  string(APPEND CPACK_DEBIAN_DEV_PACKAGE_SUGGESTS ", libssl-dev")
endif()
set(CPACK_COMPONENT_DEV_DESCRIPTION "TLS library with a push structure, development files
 Headers, static libraries, adapters, pkg-config and CMake package files.")
if("dpdk" IN_LIST MILGI_MODULES)
  set(CPACK_DEBIAN_DPDK_PACKAGE_NAME milgi-dpdk)
  set(CPACK_DEBIAN_DPDK_PACKAGE_SECTION libs)
  # What DPDK has its memory pools from is a driver, which no program links: without it no cryptodev begins.
  get_filename_component(mempool ${DPDK_rte_mempool} REALPATH)
  if(mempool MATCHES "\\.so\\.([0-9]+)")
    set(CPACK_DEBIAN_DPDK_PACKAGE_DEPENDS librte-mempool-ring${CMAKE_MATCH_1})
  else()
    set(CPACK_DEBIAN_DPDK_PACKAGE_DEPENDS librte-meta-mempool)
  endif()
  set(CPACK_DEBIAN_DPDK_PACKAGE_RECOMMENDS librte-meta-crypto)
  set(CPACK_DEBIAN_DPDK_PACKAGE_ENHANCES "milgi, libmilgi${MILGI_SOVERSION}")
  set(CPACK_COMPONENT_DPDK_DESCRIPTION "cryptodevs of DPDK for Milgi
 A module that milgi and programs on libmilgi load for the device dpdk.")
endif()
include(CPack)
