/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/lua_vm_watch.h"

#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "plugin/lua_vm_internal.h"

/* Some single instructions can not be counted: a rehash of colliding keys, a comparison of two long strings. A signal
 * that arrives while the thread executes liblua's own code may jump out at any instant: liblua holds no lock, calls
 * nothing of ours that does (the allocator is the arena), and the state is dropped. Anywhere else (libc, a host
 * function, our own code) the handler does nothing, and the timer fires again a little later. So host functions need no
 * marks; as with the other limits, they must own nothing while they are inside a function of Lua.
 *
 * Considered and left: a thread that looks at all workers (a wake-up every few ms also when nothing runs), and a timer
 * for every call (0.7 us; armed by the first look at the clock it costs short calls nothing). */

#define WATCH_SIGNAL (SIGRTMIN + 5)
#define AGAIN_NS 1000000

/* Where liblua's code lies; fixed once it is known. */
static struct {
    uintptr_t from, to;
} code;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t thread_end;

static _Thread_local struct {
    struct peri_vm *volatile vm;
    timer_t timer;
    bool made, armed, turn;
    int64_t expires_ns; /* armed: at this processor time, and then every AGAIN_NS */
} self;

static uintptr_t interrupted_at(const void *context)
{
    const ucontext_t *uc = context;
#if defined(__x86_64__)
    return (uintptr_t)uc->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    return (uintptr_t)uc->uc_mcontext.pc;
#else
    (void)uc;
    return 0;
#endif
}

static void on_signal(int signal, siginfo_t *info, void *context)
{
    struct peri_vm *vm = self.vm;
    uintptr_t at = interrupted_at(context);
    if (!vm || at < code.from || at >= code.to || vm->reading)
        return;
    peri_vm_end_late(vm);
}

static bool holds(const struct dl_phdr_info *info, uintptr_t address, uintptr_t *ret_from, uintptr_t *ret_to)
{
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        uintptr_t from = info->dlpi_addr + p->p_vaddr, to = from + p->p_memsz;
        if (p->p_type == PT_LOAD && (p->p_flags & PF_X) && address >= from && address < to) {
            *ret_from = from;
            *ret_to = to;
            return true;
        }
    }
    return false;
}

static int find_code(struct dl_phdr_info *info, size_t size, void *arg)
{
    uintptr_t from, to, lua = (uintptr_t)lua_newstate, own = (uintptr_t)peri_vm_watch_begin;
    if (!holds(info, lua, &from, &to))
        return 0;
    if (own < from || own >= to) { /* linked into one object with ours: then a signal can not tell them apart */
        code.from = from;
        code.to = to;
    }
    return 1;
}

static void forget_timer(void *arg)
{
    if (self.made)
        timer_delete(self.timer);
    self.made = false;
}

static void set_up(void)
{
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART | SA_NODEFER};
    sigemptyset(&action.sa_mask);
#if defined(__x86_64__) || defined(__aarch64__)
    dl_iterate_phdr(find_code, NULL);
#endif
    if (pthread_key_create(&thread_end, forget_timer) != 0 || sigaction(WATCH_SIGNAL, &action, NULL) != 0)
        code.from = code.to = 0;
}

static bool make_timer(void)
{
    struct sigevent event;
    memset(&event, 0, sizeof(event));
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = WATCH_SIGNAL;
    event._sigev_un._tid = gettid();
    if (timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &self.timer) != 0)
        return false;
    self.made = true;
    pthread_setspecific(thread_end, &self); /* any value but NULL: forget_timer runs when the thread ends */
    return true;
}

int peri_vm_watch_works(void)
{
    pthread_once(&once, set_up);
    return code.to != 0;
}

void peri_vm_watch_begin(struct peri_vm *vm)
{
    self.vm = vm;
}

static struct timespec to_timespec(int64_t ns)
{
    return (struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
}

void peri_vm_watch_arm(int64_t now_ns, int64_t left_ns)
{
    if (!peri_vm_watch_works() || (!self.made && !make_timer()))
        return;
    left_ns += AGAIN_NS;
    if (self.armed && self.expires_ns > now_ns && self.expires_ns - now_ns <= left_ns)
        return; /* set for an earlier entry: early is as good, as the signal looks at the clock */
    struct itimerspec when = {.it_value = to_timespec(left_ns), .it_interval = to_timespec(AGAIN_NS)};
    self.armed = timer_settime(self.timer, 0, &when, NULL) == 0;
    self.expires_ns = now_ns + left_ns;
}

int64_t peri_vm_watch_left(void)
{
    struct itimerspec left;
    if (!self.armed || timer_gettime(self.timer, &left) != 0)
        return -1;
    return (int64_t)left.it_value.tv_sec * 1000000000 + left.it_value.tv_nsec;
}

static void disarm(void)
{
    static const struct itimerspec never;
    if (self.armed)
        timer_settime(self.timer, 0, &never, NULL);
    self.armed = false;
}

void peri_vm_watch_end(void)
{
    self.vm = NULL;
    if (!self.turn)
        disarm();
}

void peri_vm_watch_turn(int begins)
{
    self.turn = begins != 0;
    if (!self.turn)
        disarm();
}
