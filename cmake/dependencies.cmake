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
pkg_check_modules(EVENT REQUIRED IMPORTED_TARGET libevent libevent_openssl libevent_pthreads)

# What `perigee version` and `perigee doctor` tell.
set(PERIGEE_LINKED "lua ${LUA_VERSION},sqlite3 ${SQLite3_VERSION},libcurl ${CURL_VERSION_STRING},libevent ${EVENT_libevent_VERSION},libyaml ${YAML_VERSION},jansson ${JANSSON_VERSION},pcre2 ${PCRE2_VERSION},openssl ${OPENSSL_VERSION}")
