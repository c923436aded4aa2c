/* SPDX-License-Identifier: Apache-2.0 */
/* libcurl comes with the first outgoing call. Debian's needs 25 libraries, four of them for TLS, and each is relocated
 * when it is mapped: 4 MiB of a service that calls nobody. So the program is not linked to it; each of libcurl's
 * functions that is used here goes by way of a table that http_curl_load fills. Their declarations are libcurl's own,
 * so its header goes on checking every use. The names are not exported: a plugin with a libcurl of its own meets that.
 */
#include "io/http_client_internal.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <string.h>

/* clang-format off */
#define FUNCTIONS(F)                                                                                                   \
    F(curl_global_init) F(curl_global_cleanup) F(curl_free)                                                            \
    F(curl_easy_init) F(curl_easy_setopt) F(curl_easy_getinfo) F(curl_easy_perform) F(curl_easy_cleanup)               \
    F(curl_easy_reset) F(curl_easy_strerror)                                                                           \
    F(curl_multi_init) F(curl_multi_setopt) F(curl_multi_assign) F(curl_multi_socket_action)                           \
    F(curl_multi_info_read) F(curl_multi_add_handle) F(curl_multi_remove_handle) F(curl_multi_cleanup)                 \
    F(curl_slist_append) F(curl_slist_free_all)                                                                        \
    F(curl_url) F(curl_url_set) F(curl_url_get) F(curl_url_cleanup) F(curl_url_strerror)
/* clang-format on */

static struct {
#define F(name) __typeof__(name) *name;
    FUNCTIONS(F)
#undef F
} libcurl;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool loaded;

/* Fills the table; the reason otherwise, which the next dlerror() forgets. */
static const char *load(void)
{
    static const struct {
        const char *name;
        void *place;
    } functions[] = {
#define F(name) {#name, &libcurl.name},
        FUNCTIONS(F)
#undef F
    };
    /* Never closed: what TLS libraries leave for the end of the process must still be there then. */
    void *object = dlopen(PERIGEE_LIBCURL, RTLD_NOW | RTLD_LOCAL);
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        void *symbol = object ? dlsym(object, functions[i].name) : NULL;
        if (!symbol) {
            const char *why = dlerror();
            return why ? why : PERIGEE_LIBCURL;
        }
        memcpy(functions[i].place, &symbol, sizeof(symbol));
    }
    return NULL;
}

/* Tried again by each call while it fails: memory may have been missing, or the library is being upgraded. */
enum peri_status http_curl_load(struct peri_error *err)
{
    enum peri_status st = PERI_OK;
    pthread_mutex_lock(&lock);
    const char *why = loaded ? NULL : load();
    if (why) {
        st =
            peri_error_set(err, PERI_EIO, "http.library", "libcurl can not be loaded, so nothing can be sent: %s", why);
        err->retryable = true;
    }
    loaded = st == PERI_OK;
    pthread_mutex_unlock(&lock);
    return st;
}

enum peri_status peri_http_client_check(struct peri_error *err)
{
    return http_curl_load(err);
}

/* ---- libcurl's functions ---- */

/* An option takes a long, a pointer or a curl_off_t, as its number says. */
#define FORWARD(function, handle, option)                                                                              \
    va_list ap;                                                                                                        \
    va_start(ap, option);                                                                                              \
    __typeof__((function)(handle, option)) rc;                                                                         \
    if ((option) < CURLOPTTYPE_OBJECTPOINT)                                                                            \
        rc = (function)(handle, option, va_arg(ap, long));                                                             \
    else if ((option) >= CURLOPTTYPE_OFF_T && (option) < CURLOPTTYPE_BLOB)                                             \
        rc = (function)(handle, option, va_arg(ap, curl_off_t));                                                       \
    else                                                                                                               \
        rc = (function)(handle, option, va_arg(ap, void *));                                                           \
    va_end(ap);                                                                                                        \
    return rc

CURLcode(curl_easy_setopt)(CURL *easy, CURLoption option, ...)
{
    FORWARD(libcurl.curl_easy_setopt, easy, option);
}

CURLMcode(curl_multi_setopt)(CURLM *multi, CURLMoption option, ...)
{
    FORWARD(libcurl.curl_multi_setopt, multi, option);
}

CURLcode(curl_easy_getinfo)(CURL *easy, CURLINFO info, ...)
{
    va_list ap;
    va_start(ap, info);
    CURLcode rc = (libcurl.curl_easy_getinfo)(easy, info, va_arg(ap, void *));
    va_end(ap);
    return rc;
}

CURLcode curl_global_init(long flags)
{
    return libcurl.curl_global_init(flags);
}

void curl_global_cleanup(void)
{
    libcurl.curl_global_cleanup();
}

void curl_free(void *p)
{
    if (p) /* nothing of libcurl's can be there before it is */
        libcurl.curl_free(p);
}

CURL *curl_easy_init(void)
{
    return libcurl.curl_easy_init();
}

CURLcode curl_easy_perform(CURL *easy)
{
    return libcurl.curl_easy_perform(easy);
}

void curl_easy_cleanup(CURL *easy)
{
    if (easy)
        libcurl.curl_easy_cleanup(easy);
}

void curl_easy_reset(CURL *easy)
{
    libcurl.curl_easy_reset(easy);
}

const char *curl_easy_strerror(CURLcode rc)
{
    return libcurl.curl_easy_strerror(rc);
}

CURLM *curl_multi_init(void)
{
    return libcurl.curl_multi_init();
}

CURLMcode curl_multi_assign(CURLM *multi, curl_socket_t fd, void *arg)
{
    return libcurl.curl_multi_assign(multi, fd, arg);
}

CURLMcode curl_multi_socket_action(CURLM *multi, curl_socket_t fd, int what, int *ret_running)
{
    return libcurl.curl_multi_socket_action(multi, fd, what, ret_running);
}

CURLMsg *curl_multi_info_read(CURLM *multi, int *ret_left)
{
    return libcurl.curl_multi_info_read(multi, ret_left);
}

CURLMcode curl_multi_add_handle(CURLM *multi, CURL *easy)
{
    return libcurl.curl_multi_add_handle(multi, easy);
}

CURLMcode curl_multi_remove_handle(CURLM *multi, CURL *easy)
{
    return libcurl.curl_multi_remove_handle(multi, easy);
}

CURLMcode curl_multi_cleanup(CURLM *multi)
{
    return libcurl.curl_multi_cleanup(multi);
}

struct curl_slist *curl_slist_append(struct curl_slist *list, const char *text)
{
    return libcurl.curl_slist_append(list, text);
}

void curl_slist_free_all(struct curl_slist *list)
{
    if (list)
        libcurl.curl_slist_free_all(list);
}

CURLU *curl_url(void)
{
    return libcurl.curl_url();
}

CURLUcode curl_url_set(CURLU *url, CURLUPart what, const char *part, unsigned int flags)
{
    return libcurl.curl_url_set(url, what, part, flags);
}

/* Not under libcurl's name: whether it takes a const handle depends on its version. */
CURLUcode http_curl_url_get(CURLU *url, CURLUPart what, char **ret_part)
{
    return libcurl.curl_url_get(url, what, ret_part, 0);
}

void curl_url_cleanup(CURLU *url)
{
    if (url)
        libcurl.curl_url_cleanup(url);
}

const char *curl_url_strerror(CURLUcode rc)
{
    return libcurl.curl_url_strerror(rc);
}
