# SPDX-License-Identifier: Apache-2.0
# Lua 5.4: the newest that pkg-config knows under one of the names that systems give it (PKG_CONFIG_PATH for one elsewhere), or the one
# that -DPERIGEE_LUA names. 5.4.8 has the corrections of all memory faults that the sandbox guards against; the guards stay on
# with every version. As a shared library: the backstop for single slow instructions has to tell liblua's code from ours.
set(PERIGEE_LUA "" CACHE STRING "pkg-config module of the Lua to link; empty: the newest 5.4")
set(best_version 0)
foreach(module ${PERIGEE_LUA} lua5.4 lua54 lua-5.4 lua)
  pkg_check_modules(LUA_TRY QUIET ${module})
  if(LUA_TRY_FOUND AND LUA_TRY_VERSION VERSION_GREATER best_version AND LUA_TRY_VERSION VERSION_GREATER_EQUAL 5.4 AND LUA_TRY_VERSION VERSION_LESS 5.5)
    set(best_version ${LUA_TRY_VERSION})
    set(best_module ${module})
  endif()
  unset(LUA_TRY_FOUND CACHE)
  unset(LUA_TRY_VERSION CACHE)
  if(module STREQUAL PERIGEE_LUA)
    break()
  endif()
endforeach()
if(NOT best_module)
  message(FATAL_ERROR "no Lua 5.4: install liblua5.4-dev, or name its pkg-config module with -DPERIGEE_LUA=")
endif()
pkg_check_modules(LUA REQUIRED IMPORTED_TARGET ${best_module})
message(STATUS "Lua ${LUA_VERSION} (${best_module})")
