# SPDX-License-Identifier: Apache-2.0
#
# The library: every core directory, one crypto flavour, the chosen devices. Each file is compiled once, position
# independent; libmilgi.a, libmilgi.so and the test-only variant with the fake crypto backend share the objects.

set(MILGI_PARTS "base;buf;op;engine;keys;cert;config;record;handshake;conn" CACHE STRING
  "Core directories below src/ to build, besides crypto and device; fewer only to work on a part alone")
set(core_sources)
foreach(dir ${MILGI_PARTS})
  file(GLOB_RECURSE found CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${dir}/*.c)
  list(APPEND core_sources ${found})
endforeach()

# --- crypto: a flavour is a directory; the files beside the directories are common to all ---------------------------
file(GLOB crypto_dirs CONFIGURE_DEPENDS LIST_DIRECTORIES true ${PROJECT_SOURCE_DIR}/src/crypto/*)
set(crypto_flavours)
foreach(path ${crypto_dirs})
  if(IS_DIRECTORY ${path})
    get_filename_component(flavour ${path} NAME)
    list(APPEND crypto_flavours ${flavour})
    file(GLOB crypto_${flavour} CONFIGURE_DEPENDS ${path}/*.c)
  endif()
endforeach()
if(NOT MILGI_CRYPTO IN_LIST crypto_flavours)
  message(FATAL_ERROR "MILGI_CRYPTO=${MILGI_CRYPTO}: must be one of ${crypto_flavours}")
endif()
file(GLOB crypto_common CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/crypto/*.c)
list(APPEND core_sources ${crypto_common})

# --- devices: one directory each; cpu is always there, since everything may spill to it -----------------------------
file(GLOB device_common CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/device/*.c)
list(APPEND core_sources ${device_common})
file(GLOB device_dirs CONFIGURE_DEPENDS LIST_DIRECTORIES true ${PROJECT_SOURCE_DIR}/src/device/*)
set(MILGI_DEVICES)
set(device_support worker)
# What a device needs of the system: without it the device is off unless asked for, and then that is an error.
set(device_pkcs11_needs P11KIT)
set(device_packages)
set(MILGI_PC_REQUIRES) # what users of the static library link too
set(MILGI_CONFIG_REQUIRES)
foreach(path ${device_dirs})
  get_filename_component(device ${path} NAME)
  if(NOT IS_DIRECTORY ${path} OR device IN_LIST device_support)
    continue()
  endif()
  file(GLOB_RECURSE found CONFIGURE_DEPENDS ${path}/*.c)
  if(NOT found)
    continue()
  endif()
  string(TOUPPER ${device} upper)
  set(needs ${device_${device}_needs})
  set(default ON)
  if(needs AND NOT TARGET PkgConfig::${needs})
    set(default OFF)
    message(STATUS "${needs} not found by pkg-config: no device '${device}'")
  endif()
  if(NOT device STREQUAL "cpu")
    option(MILGI_DEVICE_${upper} "Build the device '${device}'" ${default})
  endif()
  if(NOT device STREQUAL "cpu" AND NOT MILGI_DEVICE_${upper})
    continue()
  endif()
  if(needs AND NOT TARGET PkgConfig::${needs})
    message(FATAL_ERROR "MILGI_DEVICE_${upper} needs what pkg-config does not find: ${needs}")
  endif()
  list(APPEND MILGI_DEVICES ${device})
  list(APPEND core_sources ${found})
  if(needs)
    list(APPEND device_packages PkgConfig::${needs})
    string(APPEND MILGI_PC_REQUIRES ", ${${needs}_MODULE_NAME}")
    list(APPEND MILGI_CONFIG_REQUIRES "${needs}=${${needs}_MODULE_NAME}")
  endif()
endforeach()
if("pool" IN_LIST MILGI_DEVICES OR "pkcs11" IN_LIST MILGI_DEVICES)
  file(GLOB_RECURSE found CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/device/worker/*.c)
  list(APPEND core_sources ${found})
endif()
if("cpu" IN_LIST MILGI_DEVICES) # first in the table
  list(REMOVE_ITEM MILGI_DEVICES cpu)
  list(PREPEND MILGI_DEVICES cpu)
endif()
list(TRANSFORM MILGI_DEVICES REPLACE "^(.+)$" "X(\\1)" OUTPUT_VARIABLE device_rows)
list(JOIN device_rows "\n" MILGI_DEVICE_ROWS)
configure_file(${PROJECT_SOURCE_DIR}/cmake/builtin_devices.inc.in ${PROJECT_BINARY_DIR}/gen/builtin_devices.inc @ONLY)

if(NOT core_sources)
  return()
endif()

# --- targets --------------------------------------------------------------------------------------------------------
function(milgi_objects name)
  add_library(${name} OBJECT ${ARGN})
  target_include_directories(${name} PRIVATE
    ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src ${PROJECT_BINARY_DIR}/gen)
  target_compile_definitions(${name} PRIVATE MILGI_BUILDING)
  target_link_libraries(${name} PRIVATE OpenSSL::Crypto Threads::Threads ${device_packages})
endfunction()

function(milgi_library name type) # objects of the library follow
  list(TRANSFORM ARGN REPLACE "^(.+)$" "$<TARGET_OBJECTS:\\1>" OUTPUT_VARIABLE objects)
  add_library(${name} ${type} ${objects})
  set_target_properties(${name} PROPERTIES LINKER_LANGUAGE C)
  target_include_directories(${name} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  if(type STREQUAL "SHARED")
    target_link_libraries(${name} PRIVATE OpenSSL::Crypto Threads::Threads ${device_packages})
  else()
    target_link_libraries(${name} PUBLIC OpenSSL::Crypto Threads::Threads)
    target_link_libraries(${name} PRIVATE ${device_packages})
  endif()
endfunction()

milgi_objects(milgi_core_objects ${core_sources})
set(product_objects milgi_core_objects)
if(crypto_${MILGI_CRYPTO})
  milgi_objects(milgi_crypto_objects ${crypto_${MILGI_CRYPTO}})
  list(APPEND product_objects milgi_crypto_objects)
endif()

milgi_library(milgi_static STATIC ${product_objects})
set_target_properties(milgi_static PROPERTIES OUTPUT_NAME milgi EXPORT_NAME milgi_static)
add_library(milgi::milgi_static ALIAS milgi_static)

# Below 1.0 a minor version may change the interface: the name that programs look for says so, and so does the rule
# by which find_package takes a version.
if(PROJECT_VERSION_MAJOR EQUAL 0)
  set(MILGI_SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
  set(MILGI_COMPATIBILITY SameMinorVersion)
else()
  set(MILGI_SOVERSION ${PROJECT_VERSION_MAJOR})
  set(MILGI_COMPATIBILITY SameMajorVersion)
endif()
milgi_library(milgi_shared SHARED ${product_objects})
set_target_properties(milgi_shared PROPERTIES
  OUTPUT_NAME milgi EXPORT_NAME milgi VERSION ${PROJECT_VERSION} SOVERSION ${MILGI_SOVERSION})
add_library(milgi::milgi ALIAS milgi_shared)
if(NOT MILGI_SANITIZE)
  target_link_options(milgi_shared PRIVATE -Wl,-z,defs)
endif()

# What tests link: the library with its inside visible.
add_library(milgi_internal INTERFACE)
target_link_libraries(milgi_internal INTERFACE milgi_static)
target_include_directories(milgi_internal INTERFACE ${PROJECT_SOURCE_DIR}/src ${PROJECT_BINARY_DIR}/gen)

# The same library on the deterministic fake backend; for tests only, never installed.
if(crypto_fake AND NOT MILGI_CRYPTO STREQUAL "fake")
  milgi_objects(milgi_fake_objects ${crypto_fake})
  milgi_library(milgi_fake STATIC milgi_core_objects milgi_fake_objects)
  set_target_properties(milgi_fake PROPERTIES EXCLUDE_FROM_ALL ON)
  target_include_directories(milgi_fake PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/src> $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/gen>)
endif()
