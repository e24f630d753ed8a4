/*
 * Makes one call of a program fail, or all from one on, among those that change the files below a folder: open for
 * writing, write, pwrite, fsync, fdatasync, ftruncate, rename, unlink.
 *
 * Preloaded into a process (LD_PRELOAD).
 *
 *   $FAIL_FOLDER  the folder
 *   $FAIL_AT      which call fails, from 1
 *   $FAIL_WITH    eio, enospc, or short: a write stores half of its data, and the next write fails with ENOSPC; calls
 *                 that write no data fail with EIO
 *   $FAIL_WHILE   a file: while it is there, the calls that follow fail too; without it, only the one does
 *   $FAIL_NOTE    a file that is made when a call fails, with the call's name in it
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

enum { MOST_FILES = 4096 };
enum verdict { GO_ON, FAIL, SHORTEN };

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static int watched[MOST_FILES];
static long calls;
static int next_write_fails;

static int is_watched_path(const char *path) {
    const char *folder = getenv("FAIL_FOLDER");
    return folder && strncmp(path, folder, strlen(folder)) == 0;
}

static int is_watched(int file) { return file >= 0 && file < MOST_FILES && watched[file]; }

static void note(const char *call) {
    int file = (int)syscall(SYS_openat, AT_FDCWD, getenv("FAIL_NOTE"), O_CREAT | O_WRONLY | O_APPEND, 0644);
    if (file < 0) _exit(99);
    syscall(SYS_write, file, call, strlen(call));
    syscall(SYS_write, file, "\n", 1);
    syscall(SYS_close, file);
}

/* Counts a call that writes so many bytes, and says what becomes of it; sets errno if it fails. */
static enum verdict judge(const char *call, size_t length) {
    pthread_mutex_lock(&turn);
    const char *with = getenv("FAIL_WITH"), *control = getenv("FAIL_WHILE");
    enum verdict verdict = GO_ON;
    int error = strcmp(with, "enospc") == 0 ? ENOSPC : EIO;
    long at = atol(getenv("FAIL_AT"));
    calls++;
    if (length > 0 && next_write_fails) {
        next_write_fails = 0;
        verdict = FAIL;
        error = ENOSPC;
        note(call);
    } else if (calls == at || (calls > at && control && syscall(SYS_faccessat, AT_FDCWD, control, F_OK) == 0)) {
        verdict = FAIL;
        if (length > 1 && strcmp(with, "short") == 0) {
            verdict = SHORTEN;
            next_write_fails = 1;
        } else {
            note(call);
        }
    }
    pthread_mutex_unlock(&turn);
    if (verdict == FAIL) errno = error;
    return verdict;
}

static int open_watched(const char *path, int flags, int mode) {
    int is_inside = is_watched_path(path);
    if (is_inside && (flags & (O_WRONLY | O_RDWR | O_CREAT)) && judge("open", 0) == FAIL) return -1;
    int file = (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    if (file >= 0 && file < MOST_FILES) watched[file] = is_inside;
    return file;
}

int open(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    int mode = va_arg(rest, int);
    va_end(rest);
    return open_watched(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    int mode = va_arg(rest, int);
    va_end(rest);
    return open_watched(path, flags, mode);
}

int close(int file) {
    if (file >= 0 && file < MOST_FILES) watched[file] = 0;
    return (int)syscall(SYS_close, file);
}

/* Shortens the length if the call is to store less; says whether it fails. */
static int write_fails(const char *call, int file, size_t *length) {
    if (!is_watched(file)) return 0;
    enum verdict verdict = judge(call, *length);
    if (verdict == SHORTEN) *length /= 2;
    return verdict == FAIL;
}

ssize_t pwrite64(int file, const void *data, size_t length, off64_t offset) {
    if (write_fails("pwrite", file, &length)) return -1;
    return syscall(SYS_pwrite64, file, data, length, offset);
}

ssize_t pwrite(int file, const void *data, size_t length, off_t offset) {
    return pwrite64(file, data, length, offset);
}

ssize_t write(int file, const void *data, size_t length) {
    if (write_fails("write", file, &length)) return -1;
    return syscall(SYS_write, file, data, length);
}

int ftruncate64(int file, off64_t length) {
    if (is_watched(file) && judge("ftruncate", 0) == FAIL) return -1;
    return (int)syscall(SYS_ftruncate, file, length);
}

int ftruncate(int file, off_t length) { return ftruncate64(file, length); }

/* Nothing is really synced: what is tested is what comes of the answer. */
int fsync(int file) { return is_watched(file) && judge("fsync", 0) == FAIL ? -1 : 0; }
int fdatasync(int file) { return is_watched(file) && judge("fdatasync", 0) == FAIL ? -1 : 0; }

int unlink(const char *path) {
    if (is_watched_path(path) && judge("unlink", 0) == FAIL) return -1;
    return (int)syscall(SYS_unlink, path);
}

int rename(const char *from, const char *to) {
    if (is_watched_path(from) && judge("rename", 0) == FAIL) return -1;
    return (int)syscall(SYS_rename, from, to);
}
