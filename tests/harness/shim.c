/* Faults of a machine, loaded between a program and its C library by LD_PRELOAD: a full disk, a slow disk, a wall clock
 * that jumps, a clock that fails. The program maps the file with the settings, and the test writes it; see shim.rs. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

struct settings {
    int64_t clock_s;     /* added to the wall clock */
    int64_t sync_ms;     /* waited before each fsync */
    int64_t disk_full;   /* 1: writes to files whose path contains `path_part` fail with ENOSPC */
    int64_t clock_fails; /* the clock fails once, at this read from now on; 0: never */
    char path_part[224];
};

static volatile struct settings *settings;

__attribute__((constructor)) static void map_settings(void) {
    const char *path = getenv("SHIM_SETTINGS");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *map = mmap(NULL, sizeof(struct settings), PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (map != MAP_FAILED)
        settings = map;
}

#define NEXT(name) \
    static __typeof__(&name) next; \
    if (!next) \
        next = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

static int no_space(int fd) {
    char link[64], path[4096];
    if (!settings || !settings->disk_full)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    return strstr(path, (const char *)settings->path_part) != NULL;
}

#define REFUSE_IF_FULL(fd) \
    if (no_space(fd)) { \
        errno = ENOSPC; \
        return -1; \
    }

ssize_t write(int fd, const void *bytes, size_t n) {
    NEXT(write);
    REFUSE_IF_FULL(fd)
    return next(fd, bytes, n);
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at) {
    NEXT(pwrite);
    REFUSE_IF_FULL(fd)
    return next(fd, bytes, n, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t n, off64_t at) {
    NEXT(pwrite64);
    REFUSE_IF_FULL(fd)
    return next(fd, bytes, n, at);
}

ssize_t writev(int fd, const struct iovec *pieces, int n) {
    NEXT(writev);
    REFUSE_IF_FULL(fd)
    return next(fd, pieces, n);
}

ssize_t pwritev(int fd, const struct iovec *pieces, int n, off_t at) {
    NEXT(pwritev);
    REFUSE_IF_FULL(fd)
    return next(fd, pieces, n, at);
}

ssize_t pwritev64(int fd, const struct iovec *pieces, int n, off64_t at) {
    NEXT(pwritev64);
    REFUSE_IF_FULL(fd)
    return next(fd, pieces, n, at);
}

int fallocate(int fd, int mode, off_t at, off_t n) {
    NEXT(fallocate);
    REFUSE_IF_FULL(fd)
    return next(fd, mode, at, n);
}

int posix_fallocate(int fd, off_t at, off_t n) {
    NEXT(posix_fallocate);
    return no_space(fd) ? ENOSPC : next(fd, at, n);
}

int posix_fallocate64(int fd, off64_t at, off64_t n) {
    NEXT(posix_fallocate64);
    return no_space(fd) ? ENOSPC : next(fd, at, n);
}

static void sync_slowly(void) {
    if (settings && settings->sync_ms > 0)
        usleep((useconds_t)(settings->sync_ms * 1000));
}

int fsync(int fd) {
    NEXT(fsync);
    sync_slowly();
    return next(fd);
}

int fdatasync(int fd) {
    NEXT(fdatasync);
    sync_slowly();
    return next(fd);
}

static int64_t clock_reads; /* since clock_fails was set */

static int clock_fails(void) {
    if (!settings || settings->clock_fails == 0) {
        __atomic_store_n(&clock_reads, 0, __ATOMIC_RELAXED);
        return 0;
    }
    return __atomic_add_fetch(&clock_reads, 1, __ATOMIC_RELAXED) == settings->clock_fails;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    NEXT(clock_gettime);
    if (clock_fails()) {
        errno = EINVAL;
        return -1;
    }
    int done = next(clock, now);
    if (done == 0 && settings && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += settings->clock_s;
    return done;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    NEXT(gettimeofday);
    int done = next(now, zone);
    if (done == 0 && settings)
        now->tv_sec += settings->clock_s;
    return done;
}

time_t time(time_t *also) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (also)
        *also = now.tv_sec;
    return now.tv_sec;
}
