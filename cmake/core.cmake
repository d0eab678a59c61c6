# SPDX-License-Identifier: Apache-2.0
#
# The library: every core directory, one crypto flavour, the chosen devices. Each file is compiled once, position
# independent; libmilgi.a, libmilgi.so and the test-only variant with the fake crypto backend share the objects.

set(MILGI_PARTS "base;buf;op;engine;keys;cert;session;config;record;handshake;conn" CACHE STRING
  "Core directories below src/ to build, besides crypto and device; fewer only to work on a part alone")
if("config" IN_LIST MILGI_PARTS AND NOT "session" IN_LIST MILGI_PARTS) # in a build directory from before there was it
  list(APPEND MILGI_PARTS session)
endif()
set(core_sources)
foreach(dir ${MILGI_PARTS})
  file(GLOB_RECURSE found CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${dir}/*.c)
  list(APPEND core_sources ${found})
endforeach()

# --- crypto: the files beside the directories are common to all -------------------------------------------------------
file(GLOB crypto_common CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/crypto/*.c)
list(APPEND core_sources ${crypto_common})
set(crypto_sources)
foreach(dir ${crypto_directories})
  file(GLOB found CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/crypto/${dir}/*.c)
  list(APPEND crypto_sources ${found})
endforeach()
file(GLOB crypto_fake CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/crypto/fake/*.c)

# --- AES-GCM by instructions of the processor: a file and a row for each instruction set, the least first ------------
option(MILGI_KERNEL "AES-GCM by instructions of the processor, where that is faster than the crypto library" ON)
set(kernel_dir ${PROJECT_SOURCE_DIR}/src/crypto/kernel)
list(APPEND core_sources ${kernel_dir}/gcm.c ${kernel_dir}/choose.c)
set(kernels)
if(MILGI_KERNEL AND CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64)$" AND CMAKE_SIZEOF_VOID_P EQUAL 8)
  set(kernels aesni vaes256 vaes512)
  set(kernel_lines)
  if(MILGI_SANITIZE) # stack traces want lines; where each inlined variable is would take half of the compiler's time
    set(kernel_lines -g1)
  endif()
  set(kernel_aesni_flags ${kernel_lines} -msse4.1 -maes -mpclmul)
  set(kernel_vaes256_flags ${kernel_lines} -mavx2 -maes -mpclmul -mvaes -mvpclmulqdq)
  set(kernel_vaes512_flags ${kernel_vaes256_flags} -mavx512f -mavx512bw -mavx512vl)
  foreach(kernel ${kernels})
    set_source_files_properties(${kernel_dir}/${kernel}.c PROPERTIES COMPILE_OPTIONS "${kernel_${kernel}_flags}")
    list(APPEND core_sources ${kernel_dir}/${kernel}.c)
  endforeach()
  list(APPEND core_sources ${kernel_dir}/cpu.c)
endif()
list(TRANSFORM kernels REPLACE "^(.+)$" "&milgi__gcm_\\1," OUTPUT_VARIABLE kernel_rows)
list(JOIN kernel_rows "\n" kernel_rows)
file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/gen/gcm_kernels.inc CONTENT "@kernel_rows@\n" @ONLY)

# --- the lanes of the device `batch`, where scripts/crypto_mb/setup has brought them ----------------------------------
if(DEFINED ENV{MILGI_PACKAGES})
  set(crypto_mb $ENV{MILGI_PACKAGES}/crypto_mb)
else()
  set(crypto_mb ${PROJECT_SOURCE_DIR}/build/packages/crypto_mb)
endif()
set(MILGI_CRYPTO_MB AUTO CACHE STRING
  "Public-key ops in vector lanes by Intel's crypto_mb (scripts/crypto_mb/setup): ON, OFF, or AUTO: if it is there")
set_property(CACHE MILGI_CRYPTO_MB PROPERTY STRINGS AUTO ON OFF)
set(has_crypto_mb OFF)
if(EXISTS ${crypto_mb}/crypto_mb.o AND CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64)$" AND CMAKE_SIZEOF_VOID_P EQUAL 8)
  set(has_crypto_mb ON)
endif()
if(NOT MILGI_CRYPTO_MB STREQUAL "AUTO" AND MILGI_CRYPTO_MB AND NOT has_crypto_mb)
  message(FATAL_ERROR "crypto_mb is not in ${crypto_mb}, or not for this processor: scripts/crypto_mb/setup brings it")
elseif(NOT MILGI_CRYPTO_MB STREQUAL "AUTO" AND NOT MILGI_CRYPTO_MB)
  set(has_crypto_mb OFF)
endif()
set(crypto_mb_objects)

# --- devices: one directory each; cpu is always there, since everything may spill to it -----------------------------
file(GLOB device_common CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/device/*.c)
list(APPEND core_sources ${device_common})
file(GLOB found CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/device/module/*.c)
list(APPEND core_sources ${found})
file(GLOB device_dirs CONFIGURE_DEPENDS LIST_DIRECTORIES true ${PROJECT_SOURCE_DIR}/src/device/*)
set(MILGI_DEVICES)
set(device_support worker lanes module)
set(device_modules dpdk) # shared objects of their own: modules.cmake
# What a device needs of the system: without it the device is off unless asked for, and then that is an error.
set(device_pkcs11_needs P11KIT)
set(device_packages)
set(MILGI_PC_REQUIRES) # what users of the static library link too
set(MILGI_CONFIG_REQUIRES)
foreach(path ${device_dirs})
  get_filename_component(device ${path} NAME)
  if(NOT IS_DIRECTORY ${path} OR device IN_LIST device_support OR device IN_LIST device_modules)
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
if("pool" IN_LIST MILGI_DEVICES OR "pkcs11" IN_LIST MILGI_DEVICES OR "afalg" IN_LIST MILGI_DEVICES)
  file(GLOB_RECURSE found CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/device/worker/*.c)
  list(APPEND core_sources ${found})
endif()
if("batch" IN_LIST MILGI_DEVICES OR "pool" IN_LIST MILGI_DEVICES)
  file(GLOB found CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/device/lanes/*.c)
  list(APPEND core_sources ${found})
  set(lanes_kinds)
  if(has_crypto_mb)
    set(lanes_kinds "&milgi__lanes_mb,")
    set_source_files_properties(${PROJECT_SOURCE_DIR}/src/device/lanes/mb.c PROPERTIES
      COMPILE_OPTIONS "-isystem;${crypto_mb}/include")
    set(crypto_mb_objects ${crypto_mb}/crypto_mb.o)
  else()
    list(REMOVE_ITEM core_sources ${PROJECT_SOURCE_DIR}/src/device/lanes/mb.c)
  endif()
  file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/gen/lanes_kinds.inc CONTENT "${lanes_kinds}\n" @ONLY)
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

# Below 1.0 a minor version may change the interface: the name that programs look for says so, and so does the rule
# by which find_package takes a version.
if(PROJECT_VERSION_MAJOR EQUAL 0)
  set(MILGI_SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
  set(MILGI_COMPATIBILITY SameMinorVersion)
else()
  set(MILGI_SOVERSION ${PROJECT_VERSION_MAJOR})
  set(MILGI_COMPATIBILITY SameMajorVersion)
endif()

# Where modules are, seen from a command that is installed.
file(RELATIVE_PATH modules_from_bindir /prefix/${CMAKE_INSTALL_BINDIR} /prefix/${CMAKE_INSTALL_LIBDIR})
set_source_files_properties(${PROJECT_SOURCE_DIR}/src/device/module/load.c PROPERTIES COMPILE_DEFINITIONS
  "MILGI_MODULES_VERSION=\"${MILGI_SOVERSION}\";MILGI_MODULES_FROM_BINDIR=\"${modules_from_bindir}\"")

# --- targets --------------------------------------------------------------------------------------------------------
function(milgi_objects name)
  add_library(${name} OBJECT ${ARGN})
  target_include_directories(${name} PRIVATE
    ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src ${PROJECT_BINARY_DIR}/gen)
  target_compile_definitions(${name} PRIVATE MILGI_BUILDING)
  target_link_libraries(${name} PRIVATE Threads::Threads ${device_packages})
  if(MILGI_WHOLE)
    target_compile_options(${name} PRIVATE -flto --param=max-inline-insns-auto=30 --param=inline-min-speedup=15)
  endif()
endfunction()

# All objects as one, which the compiler has optimised as a whole: what is asked across rooms is inlined then. Whoever
# links it needs no compiler for that, and sees an object like any other. Without MILGI_WHOLE: the objects themselves.
function(milgi_whole result) # objects of the library follow
  list(TRANSFORM ARGN REPLACE "^(.+)$" "$<TARGET_OBJECTS:\\1>" OUTPUT_VARIABLE objects)
  if(MILGI_WHOLE)
    list(JOIN ARGN "+" file)
    set(whole ${PROJECT_BINARY_DIR}/${file}.o)
    get_property(known GLOBAL PROPERTY milgi_whole)
    if(NOT whole IN_LIST known)
      separate_arguments(flags UNIX_COMMAND "${CMAKE_C_FLAGS} ${CMAKE_C_FLAGS_RELEASE}")
      # gcc 12 sees overflows on ways that it has made itself and that nothing goes; each file was judged alone before.
      list(APPEND flags -Wno-stringop-overflow)
      add_custom_command(OUTPUT ${whole}
        COMMAND ${CMAKE_C_COMPILER} ${flags} -fPIC -ffunction-sections -r -nostdlib -flto=auto
          -flinker-output=nolto-rel -o ${whole} ${objects}
        DEPENDS ${objects} COMMAND_EXPAND_LISTS VERBATIM COMMENT "Optimising ${file} as a whole")
      add_custom_target(${file}-whole DEPENDS ${whole})
      set_property(GLOBAL APPEND PROPERTY milgi_whole ${whole})
    endif()
    set(objects ${whole})
  endif()
  set(${result} ${objects} PARENT_SCOPE)
endfunction()

function(milgi_library name type) # objects of the library follow
  milgi_whole(objects ${ARGN})
  add_library(${name} ${type} ${objects} ${crypto_mb_objects})
  if(MILGI_WHOLE)
    list(JOIN ARGN "+" file)
    add_dependencies(${name} ${file}-whole)
  endif()
  set_target_properties(${name} PROPERTIES LINKER_LANGUAGE C)
  target_include_directories(${name} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  if(type STREQUAL "SHARED")
    target_link_libraries(${name} PRIVATE Threads::Threads ${CMAKE_DL_LIBS} ${device_packages})
  else()
    target_link_libraries(${name} PUBLIC Threads::Threads ${CMAKE_DL_LIBS})
    target_link_libraries(${name} PRIVATE ${device_packages})
  endif()
endfunction()

# AWS-LC goes into the library: into the archive as its objects, into the shared one as far as it is used. Nobody sees it
# from outside, since its names are prefixed and hidden.
function(milgi_with_libcrypto name)
  get_target_property(type ${name} TYPE)
  if(MILGI_CRYPTO STREQUAL "openssl")
    if(type STREQUAL "SHARED_LIBRARY")
      target_link_libraries(${name} PRIVATE OpenSSL::Crypto)
    else()
      target_link_libraries(${name} PUBLIC OpenSSL::Crypto)
    endif()
  elseif(type STREQUAL "SHARED_LIBRARY")
    target_link_libraries(${name} PRIVATE ${awslc_archive})
    target_link_options(${name} PRIVATE -Wl,--gc-sections)
  else()
    target_sources(${name} PRIVATE ${awslc_objects})
  endif()
endfunction()

milgi_objects(milgi_core_objects ${core_sources})
set(product_objects milgi_core_objects)
milgi_objects(milgi_crypto_objects ${crypto_sources})
target_link_libraries(milgi_crypto_objects PRIVATE milgi_libcrypto)
list(APPEND product_objects milgi_crypto_objects)

milgi_library(milgi_static STATIC ${product_objects})
milgi_with_libcrypto(milgi_static)
set_target_properties(milgi_static PROPERTIES OUTPUT_NAME milgi EXPORT_NAME milgi_static)
add_library(milgi::milgi_static ALIAS milgi_static)

milgi_library(milgi_shared SHARED ${product_objects})
milgi_with_libcrypto(milgi_shared)
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
if(crypto_fake)
  milgi_objects(milgi_fake_objects ${crypto_fake})
  milgi_library(milgi_fake STATIC milgi_core_objects milgi_fake_objects)
  set_target_properties(milgi_fake PROPERTIES EXCLUDE_FROM_ALL ON)
  target_include_directories(milgi_fake PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/src> $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/gen>)
endif()
