# SPDX-License-Identifier: Apache-2.0
#
# How every C file of the project is compiled.

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

# Assertions stay in a release: a broken invariant of a TLS library must stop it. Hence no -DNDEBUG.
set(CMAKE_C_FLAGS_RELEASE "-O2 -g")
set(CMAKE_C_FLAGS_DEBUG "-O1 -g -fno-omit-frame-pointer")

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g")
set(CMAKE_CXX_FLAGS_DEBUG "-O1 -g -fno-omit-frame-pointer")

# In C++ a function may have the name of a struct, as many of ours do: that is no shadow.
add_compile_options(-Wall -Wextra -Wconversion $<$<COMPILE_LANGUAGE:C>:-Wshadow> $<$<COMPILE_LANGUAGE:CXX>:-pedantic>
                    $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes> $<$<COMPILE_LANGUAGE:C>:-Wmissing-prototypes> -Wvla
                    -fno-strict-aliasing)
if(MILGI_WERROR)
  add_compile_options(-Werror)
endif()
# Extensions of the language stay off; those of the C library (eventfd, accept4 ...) are for port.h, devices and adapters.
add_compile_definitions(_GNU_SOURCE)

if(MILGI_SANITIZE)
  add_compile_options(-fsanitize=${MILGI_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${MILGI_SANITIZE})
elseif(CMAKE_BUILD_TYPE STREQUAL "Release")
  add_compile_options(-fstack-protector-strong -D_FORTIFY_SOURCE=2)
  add_link_options(-Wl,-z,relro,-z,now)
endif()

# A fifth to a quarter of what a small record costs is calls from room to room (docs/performance.md).
set(whole OFF)
if(CMAKE_BUILD_TYPE STREQUAL "Release" AND CMAKE_C_COMPILER_ID STREQUAL "GNU" AND NOT MILGI_SANITIZE)
  set(whole ON)
endif()
option(MILGI_WHOLE "Have the compiler optimise the library as a whole (needs gcc)" ${whole})

find_program(CCACHE ccache)
if(CCACHE AND NOT CMAKE_C_COMPILER_LAUNCHER)
  set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE})
endif()
if(CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()
