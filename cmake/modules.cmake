# SPDX-License-Identifier: Apache-2.0
#
# Devices that are modules (src/device/module/module.h): for each a shared object libmilgi-<name>.so beside the library's,
# which names nothing of the library and which the library does not name. Each has an option, MILGI_DEVICE_<NAME>: AUTO
# (it is built where what it stands on is found), ON or OFF.

# What a module has for itself of the core: a few functions without state.
set(module_own ${PROJECT_SOURCE_DIR}/src/base/base.c ${PROJECT_SOURCE_DIR}/src/device/spec.c)
set(MILGI_MODULES)

function(milgi_module name found) # what it links follows
  string(TOUPPER ${name} upper)
  set(MILGI_DEVICE_${upper} AUTO CACHE STRING "Build the module for the device '${name}': ON, OFF, or AUTO: if it can be")
  set_property(CACHE MILGI_DEVICE_${upper} PROPERTY STRINGS AUTO ON OFF)
  set(wanted ${MILGI_DEVICE_${upper}})
  if(NOT wanted STREQUAL "AUTO" AND wanted AND NOT found)
    message(FATAL_ERROR "MILGI_DEVICE_${upper}: what the device '${name}' stands on is not found by pkg-config")
  elseif(NOT found OR (NOT wanted STREQUAL "AUTO" AND NOT wanted))
    message(STATUS "no module for the device '${name}'")
    return()
  endif()
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/device/${name}/*.c)
  add_library(milgi_${name} SHARED ${sources} ${module_own})
  add_library(milgi::${name} ALIAS milgi_${name})
  target_include_directories(milgi_${name} PRIVATE ${PROJECT_SOURCE_DIR}/src ${PROJECT_BINARY_DIR}/gen
    PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_compile_definitions(milgi_${name} PRIVATE MILGI_BUILDING MILGI_MODULE_FOR="${PROJECT_VERSION}")
  target_link_libraries(milgi_${name} PRIVATE Threads::Threads ${ARGN})
  set_target_properties(milgi_${name} PROPERTIES OUTPUT_NAME milgi-${name} EXPORT_NAME ${name}
    VERSION ${PROJECT_VERSION} SOVERSION ${MILGI_SOVERSION} LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR})
  if(NOT PROJECT_IS_TOP_LEVEL) # for who wants it
    set_target_properties(milgi_${name} PROPERTIES EXCLUDE_FROM_ALL ON)
  endif()
  if(NOT MILGI_SANITIZE)
    target_link_options(milgi_${name} PRIVATE -Wl,-z,defs)
  endif()
  set(MILGI_MODULES ${MILGI_MODULES} ${name} PARENT_SCOPE)
endfunction()

# --- dpdk ---------------------------------------------------------------------------------------------------------------
# Of its many libraries four; its drivers are loaded by itself.
if(PkgConfig_FOUND)
  pkg_check_modules(DPDK QUIET libdpdk>=22.11)
endif()
set(dpdk_libraries)
foreach(library rte_eal rte_cryptodev rte_mempool rte_mbuf)
  find_library(DPDK_${library} ${library} HINTS ${DPDK_LIBRARY_DIRS})
  if(NOT DPDK_${library})
    set(DPDK_FOUND FALSE)
  endif()
  list(APPEND dpdk_libraries ${DPDK_${library}})
endforeach()
milgi_module(dpdk "${DPDK_FOUND}" ${dpdk_libraries})
if(TARGET milgi_dpdk)
  # Its headers are in GNU's C, and partly experimental; they are not ours to judge.
  set_target_properties(milgi_dpdk PROPERTIES C_EXTENSIONS ON)
  list(JOIN DPDK_CFLAGS_OTHER " " dpdk_options)
  target_include_directories(milgi_dpdk SYSTEM PRIVATE ${DPDK_INCLUDE_DIRS})
  target_compile_options(milgi_dpdk PRIVATE "SHELL:${dpdk_options}")
  target_compile_definitions(milgi_dpdk PRIVATE ALLOW_EXPERIMENTAL_API)
endif()
