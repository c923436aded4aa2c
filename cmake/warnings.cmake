# SPDX-License-Identifier: Apache-2.0
# For those who work on it: whoever only builds it should not fail because another compiler warns of more.
option(PERIGEE_WERROR "warnings are errors" OFF)
# Every target of ours links perigee_flags.
add_library(perigee_flags INTERFACE)
target_compile_definitions(perigee_flags INTERFACE _GNU_SOURCE PERIGEE_VERSION="${PROJECT_VERSION}")
target_compile_options(perigee_flags INTERFACE
  -Wall -Wextra $<$<BOOL:${PERIGEE_WERROR}>:-Werror> -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wwrite-strings
  -Wundef -Wvla -Wformat=2 -Wimplicit-fallthrough -Wno-unused-parameter -fstack-protector-strong -fvisibility=hidden)
if(PERIGEE_SANITIZE)
  target_compile_options(perigee_flags INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=all)
  target_link_options(perigee_flags INTERFACE -fsanitize=address,undefined)
endif()
if(PERIGEE_FAILPOINTS)
  target_compile_definitions(perigee_flags INTERFACE PERIGEE_FAILPOINTS)
endif()
if(PERIGEE_FUZZ) # the layers report their coverage to the fuzzers
  target_compile_options(perigee_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
