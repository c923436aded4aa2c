# SPDX-License-Identifier: Apache-2.0
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(CURL 7.88 REQUIRED)
find_package(SQLite3 3.40 REQUIRED)
find_package(OpenSSL 3.0 REQUIRED)
include(cmake/lua.cmake)
pkg_check_modules(YAML REQUIRED IMPORTED_TARGET yaml-0.1)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(EVENT REQUIRED IMPORTED_TARGET libevent libevent_pthreads)

# libcurl is not linked but loaded by name: libcurl.so.4, from .../libcurl.so -> libcurl.so.4.8.0.
get_target_property(curl_file CURL::libcurl IMPORTED_LOCATION)
if(NOT curl_file)
  get_target_property(curl_file CURL::libcurl IMPORTED_LOCATION_RELEASE)
endif()
file(REAL_PATH "${curl_file}" curl_file)
get_filename_component(curl_file "${curl_file}" NAME)
if(NOT curl_file MATCHES "^libcurl[^/]*[.]so[.][0-9]+")
  message(FATAL_ERROR "libcurl must be a shared library, not ${curl_file}: perigee loads it when it is needed")
endif()
set(PERIGEE_LIBCURL "${CMAKE_MATCH_0}")

# What `perigee version` and `perigee doctor` tell.
set(PERIGEE_LINKED "lua ${LUA_VERSION},sqlite3 ${SQLite3_VERSION},libcurl ${CURL_VERSION_STRING},libevent ${EVENT_libevent_VERSION},libyaml ${YAML_VERSION},jansson ${JANSSON_VERSION},pcre2 ${PCRE2_VERSION},openssl ${OPENSSL_VERSION}")
