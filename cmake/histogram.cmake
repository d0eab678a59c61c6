# SPDX-License-Identifier: Apache-2.0
#
# HdrHistogram_c, behind src/engine/histogram.c: what is installed, else its source from MILGI_HDR_SOURCE, which
# scripts/setup-histogram fills; compiled into libmilgi under names of its own, so that it meets no other copy in a
# program. Sets hdr_objects, hdr_include, and the target milgi_hdr for who links the library.
set(MILGI_HDR_SOURCE ${PROJECT_SOURCE_DIR}/build/packages/hdr_histogram CACHE PATH
  "Where hdr_histogram.c is when HdrHistogram_c is not installed")
find_path(HDR_INCLUDE hdr/hdr_histogram.h)
find_library(HDR_LIBRARY hdr_histogram)

set(hdr_objects)
set(MILGI_HDR_LIBS)
add_library(milgi_hdr INTERFACE)
target_link_libraries(milgi_hdr INTERFACE m)
if(HDR_INCLUDE AND HDR_LIBRARY)
  message(STATUS "HdrHistogram_c: ${HDR_LIBRARY}")
  set(hdr_include ${HDR_INCLUDE})
  set(MILGI_HDR_LIBS -lhdr_histogram)
  target_link_libraries(milgi_hdr INTERFACE $<BUILD_INTERFACE:${HDR_LIBRARY}> $<INSTALL_INTERFACE:hdr_histogram>)
  return()
endif()
set(hdr_header ${MILGI_HDR_SOURCE}/hdr_histogram.h)
if(NOT EXISTS ${MILGI_HDR_SOURCE}/hdr_histogram.c OR NOT EXISTS ${hdr_header})
  message(FATAL_ERROR "HdrHistogram_c is not installed, and its source is not in ${MILGI_HDR_SOURCE}.\n"
    "Run scripts/setup-packages build (it takes the source from an npm package), or install the library, or name a "
    "directory with hdr_histogram.c: -DMILGI_HDR_SOURCE=DIRECTORY.")
endif()

# Each function that its header declares is called milgi__ and its name, in its source and in ours.
set(hdr_include ${PROJECT_BINARY_DIR}/gen)
file(READ ${hdr_header} text)
string(REGEX MATCHALL "hdr_[a-z0-9_]+\\(" names "${text}")
list(REMOVE_DUPLICATES names)
list(TRANSFORM names REPLACE "^(.*)\\($" "#define \\1 milgi__\\1" OUTPUT_VARIABLE defines)
list(JOIN defines "\n" defines)
file(CONFIGURE OUTPUT ${hdr_include}/hdr/hdr_names.h CONTENT "#pragma once\n${defines}\n" @ONLY)
file(CONFIGURE OUTPUT ${hdr_include}/hdr/hdr_histogram.h
  CONTENT "#pragma once\n#include <hdr/hdr_names.h>\n#include \"${hdr_header}\"\n" @ONLY)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${hdr_header})

add_library(milgi_hdr_objects OBJECT ${MILGI_HDR_SOURCE}/hdr_histogram.c)
target_include_directories(milgi_hdr_objects PRIVATE ${MILGI_HDR_SOURCE})
# Not our text: its warnings are nobody's, and its atomics want asm, which is an extension.
target_compile_options(milgi_hdr_objects PRIVATE -w "SHELL:-include ${hdr_include}/hdr/hdr_names.h")
set_target_properties(milgi_hdr_objects PROPERTIES C_EXTENSIONS ON)
set(hdr_objects milgi_hdr_objects)
