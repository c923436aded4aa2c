/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "app/cli.h"
#include "memory.h"

/* perigee, with memory that runs out when a test says so: the limit lies in the file $PERIGEE_MEMORY, which the test
 * has mapped as well (tests/e2e/test_memory.py). */
int main(int argc, char **argv)
{
    const char *path = getenv("PERIGEE_MEMORY");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd >= 0) {
        void *shared = mmap(NULL, sizeof(struct memory_limit), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (shared != MAP_FAILED)
            memory_limit = shared;
        close(fd);
    }
    return peri_main(argc, argv);
}
