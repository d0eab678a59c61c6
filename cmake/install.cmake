# SPDX-License-Identifier: Apache-2.0
#
# cmake --install: headers, both libraries, pkg-config and CMake package files, the command.
include(CMakePackageConfigHelpers)

install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/milgi DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(TARGETS milgi_static milgi_shared EXPORT milgi-targets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(TARGET milgi)
  install(TARGETS milgi RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()

# Relative to where milgi.pc lies, so that an installed tree may be moved.
file(RELATIVE_PATH MILGI_PC_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/$" "" MILGI_PC_PREFIX ${MILGI_PC_PREFIX})
configure_file(${PROJECT_SOURCE_DIR}/milgi.pc.in ${PROJECT_BINARY_DIR}/milgi.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/milgi.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/milgi)
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/milgi-config.cmake.in
  ${PROJECT_BINARY_DIR}/milgi-config.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/milgi-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/milgi-config.cmake ${PROJECT_BINARY_DIR}/milgi-config-version.cmake
  DESTINATION ${package_dir})
install(EXPORT milgi-targets NAMESPACE milgi:: DESTINATION ${package_dir})
