/*
 * Records what a program does to the files below a folder, in one total order, together with what it prints.
 *
 * Preloaded into a process (LD_PRELOAD). $RECORD_FOLDER is the folder, $RECORD_LOG the file that takes the
 * record. Each event is: the operation (1 byte), the lengths of two paths (2 bytes each), a number (8 bytes), the
 * length of the data (8 bytes), the paths, the data; numbers in the machine's byte order. Operations:
 *
 *   C  a file was made           W  data was written at an offset      T  a file was cut or grown to a length
 *   S  a file or folder was synced   R  a file was renamed             U  a file was removed
 *   A  the program printed something: an acknowledgement
 *
 * Files whose name ends in -shm are left out: they are memory shared by processes, and no process survives.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

enum { MOST_FILES = 4096 };

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static char *recorded[MOST_FILES];
static int log_file = -1;

static void put(const void *data, size_t length) {
    const char *rest = data;
    while (length > 0) {
        long written = syscall(SYS_write, log_file, rest, length);
        if (written <= 0) _exit(99);
        rest += written;
        length -= (size_t)written;
    }
}

/* The turn is held by the caller. */
static void event(char operation, const char *path, const char *other, int64_t number, const void *data,
                  int64_t length) {
    if (log_file < 0) {
        log_file = (int)syscall(SYS_openat, AT_FDCWD, getenv("RECORD_LOG"), O_CREAT | O_WRONLY | O_APPEND, 0644);
        if (log_file < 0) _exit(98);
    }
    uint16_t lengths[2] = {(uint16_t)strlen(path), (uint16_t)strlen(other)};
    put(&operation, 1);
    put(lengths, sizeof lengths);
    put(&number, sizeof number);
    put(&length, sizeof length);
    put(path, lengths[0]);
    put(other, lengths[1]);
    put(data, (size_t)length);
}

static int is_recorded_path(const char *path) {
    const char *folder = getenv("RECORD_FOLDER");
    size_t length = strlen(path);
    int is_shared_memory = length > 4 && strcmp(path + length - 4, "-shm") == 0;
    return folder && strncmp(path, folder, strlen(folder)) == 0 && !is_shared_memory;
}

static int is_recorded(int file) { return file >= 0 && file < MOST_FILES && recorded[file]; }

static int open_recorded(const char *path, int flags, int mode) {
    pthread_mutex_lock(&turn);
    int is_new = (flags & O_CREAT) && syscall(SYS_faccessat, AT_FDCWD, path, F_OK) != 0;
    int file = (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    if (file >= 0 && file < MOST_FILES) {
        recorded[file] = is_recorded_path(path) ? strdup(path) : NULL;
        if (recorded[file] && is_new) event('C', path, "", 0, "", 0);
        if (recorded[file] && (flags & O_TRUNC)) event('T', path, "", 0, "", 0);
    }
    pthread_mutex_unlock(&turn);
    return file;
}

int open(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    int mode = va_arg(rest, int);
    va_end(rest);
    return open_recorded(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    int mode = va_arg(rest, int);
    va_end(rest);
    return open_recorded(path, flags, mode);
}

int close(int file) {
    if (file >= 0 && file < MOST_FILES) recorded[file] = NULL;
    return (int)syscall(SYS_close, file);
}

ssize_t pwrite64(int file, const void *data, size_t length, off64_t offset) {
    if (!is_recorded(file)) return syscall(SYS_pwrite64, file, data, length, offset);
    pthread_mutex_lock(&turn);
    ssize_t written = syscall(SYS_pwrite64, file, data, length, offset);
    if (written > 0) event('W', recorded[file], "", offset, data, written);
    pthread_mutex_unlock(&turn);
    return written;
}

ssize_t pwrite(int file, const void *data, size_t length, off_t offset) {
    return pwrite64(file, data, length, offset);
}

ssize_t write(int file, const void *data, size_t length) {
    if (file != STDOUT_FILENO && !is_recorded(file)) return syscall(SYS_write, file, data, length);
    pthread_mutex_lock(&turn);
    ssize_t written;
    if (file == STDOUT_FILENO) {
        event('A', "", "", 0, data, (int64_t)length);
        written = (ssize_t)length;
    } else {
        off_t offset = lseek(file, 0, (fcntl(file, F_GETFL) & O_APPEND) ? SEEK_END : SEEK_CUR);
        written = syscall(SYS_write, file, data, length);
        if (written > 0) event('W', recorded[file], "", offset, data, written);
    }
    pthread_mutex_unlock(&turn);
    return written;
}

int ftruncate64(int file, off64_t length) {
    if (!is_recorded(file)) return (int)syscall(SYS_ftruncate, file, length);
    pthread_mutex_lock(&turn);
    int result = (int)syscall(SYS_ftruncate, file, length);
    if (result == 0) event('T', recorded[file], "", length, "", 0);
    pthread_mutex_unlock(&turn);
    return result;
}

int ftruncate(int file, off_t length) { return ftruncate64(file, length); }

/* Nothing is really synced: the replay says what a disk would have. */
static int sync_recorded(int file) {
    if (is_recorded(file)) {
        pthread_mutex_lock(&turn);
        event('S', recorded[file], "", 0, "", 0);
        pthread_mutex_unlock(&turn);
    }
    return 0;
}

int fsync(int file) { return sync_recorded(file); }
int fdatasync(int file) { return sync_recorded(file); }

int unlink(const char *path) {
    pthread_mutex_lock(&turn);
    int result = (int)syscall(SYS_unlink, path);
    if (result == 0 && is_recorded_path(path)) event('U', path, "", 0, "", 0);
    pthread_mutex_unlock(&turn);
    return result;
}

int rename(const char *from, const char *to) {
    pthread_mutex_lock(&turn);
    int result = (int)syscall(SYS_rename, from, to);
    if (result == 0 && is_recorded_path(from)) event('R', from, to, 0, "", 0);
    pthread_mutex_unlock(&turn);
    return result;
}
