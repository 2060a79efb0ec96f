/* Stands between a program and the calls of the C library that change files: LD_PRELOAD this.
 *
 * Each call that changed something below the folder $DISK_FAULTS_ROOT is noted in the file
 * $DISK_FAULTS_LOG, from which tests/helpers/disk/cut.py makes what a disk may hold after a power
 * cut. And one call can be made to fail: see disk_faults_arm. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind {
    OPEN = 'o', WRITE = 'w', TRUNCATE = 't', RENAME = 'r', LINK = 'l', UNLINK = 'u',
    MKDIR = 'd', RMDIR = 'x', SYNC = 's', SYNC_ALL = 'S',
};

/* Path, the other path and the data follow. */
struct record {
    uint8_t kind, pad[7];
    uint64_t inode, offset, size;
    uint32_t path, other;
    uint64_t data;
};

static pthread_mutex_t lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static char root[PATH_MAX];
static size_t root_len;
static int log_file = -1;
static long calls, failing_call = -1;
static int failing_error, failing_lasts;

__attribute__((constructor)) static void begin(void) {
    const char *name = getenv("DISK_FAULTS_LOG"), *folder = getenv("DISK_FAULTS_ROOT");
    if (folder && realpath(folder, root)) root_len = strlen(root);
    if (name) log_file = (int)syscall(SYS_openat, AT_FDCWD, name,
                                      O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

/* From now on the call of this number, from 0, that changes something fails with the error; if
 * `lasts`, all further ones too that need room, as on a disk that is full. Below 0: none. */
__attribute__((visibility("default"))) void disk_faults_arm(long number, int error, int lasts) {
    calls = 0;
    failing_call = number;
    failing_error = error;
    failing_lasts = lasts;
}

/* How many such calls there were since then. */
__attribute__((visibility("default"))) long disk_faults_calls(void) { return calls; }

static int inside(const char *path) {
    return root_len && !strncmp(path, root, root_len) && (path[root_len] == '/' || !path[root_len]);
}

static int path_of(int fd, char *path) {
    char link[40];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, PATH_MAX - 1);
    if (len < 0) return 0;
    path[len] = 0;
    return inside(path);
}

/* The absolute path that a name means, links in its folder resolved; 0 if it isn't below the root. */
static int path_at(int folder, const char *name, char *path) {
    char whole[2 * PATH_MAX], parent[PATH_MAX];
    whole[0] = 0;
    if (name[0] != '/') {
        if (folder == AT_FDCWD) {
            if (!getcwd(whole, PATH_MAX)) return 0;
        } else if (!path_of(folder, whole)) {
            return 0;
        }
        strcat(whole, "/");
    }
    strncat(whole, name, PATH_MAX - 1);
    char *last = strrchr(whole, '/');
    while (last > whole && !last[1]) {
        *last = 0;
        last = strrchr(whole, '/');
    }
    *last = 0;
    if (!realpath(*whole ? whole : "/", parent)) return 0;
    if (snprintf(path, PATH_MAX, "%s/%s", parent, last + 1) >= PATH_MAX) return 0;
    return inside(path);
}

static void note(enum kind kind, uint64_t inode, uint64_t offset, uint64_t size, const char *path,
                 const char *other, const struct iovec *data, int count, uint64_t octets) {
    if (log_file < 0) return;
    struct record record = {.kind = kind, .inode = inode, .offset = offset, .size = size,
                            .path = (uint32_t)strlen(path), .other = (uint32_t)strlen(other),
                            .data = octets};
    struct iovec parts[IOV_MAX];
    int used = 0;
    parts[used++] = (struct iovec){&record, sizeof record};
    parts[used++] = (struct iovec){(void *)path, record.path};
    parts[used++] = (struct iovec){(void *)other, record.other};
    for (int i = 0; i < count && octets && used < IOV_MAX; i++) {
        size_t len = data[i].iov_len < octets ? data[i].iov_len : octets;
        parts[used++] = (struct iovec){data[i].iov_base, len};
        octets -= len;
    }
    if (octets || syscall(SYS_writev, log_file, parts, used) < 0) abort();
}

static void note_names(enum kind kind, const char *path, const char *other) {
    struct stat about = {0};
    if (kind == OPEN) lstat(path, &about);
    note(kind, about.st_ino, 0, 0, path, other, NULL, 0, 0);
}

/* Whether this call is to fail, and errno then. */
static int fails(int needs_room) {
    long number = calls++;
    if (failing_call < 0 || number < failing_call) return 0;
    if (number > failing_call && !(failing_lasts && needs_room)) return 0;
    errno = failing_error;
    return 1;
}

#define REAL(name, result, ...) \
    static result (*real)(__VA_ARGS__); \
    if (!real) real = (result (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)
#define ALONE(value) \
    do { \
        pthread_mutex_lock(&lock); \
        __typeof__(value) result_ = (value); \
        int error_ = errno; \
        pthread_mutex_unlock(&lock); \
        errno = error_; \
        return result_; \
    } while (0)

/* Opening */

static int open_in(int folder, const char *name, int flags, mode_t mode) {
    char path[PATH_MAX];
    int changes = (flags & (O_CREAT | O_TRUNC)) && path_at(folder, name, path);
    int there = changes && !faccessat(folder, name, F_OK, AT_SYMLINK_NOFOLLOW);
    int makes = changes && !there && (flags & O_CREAT);
    if ((makes || (there && (flags & O_TRUNC))) && fails(makes)) return -1;
    int fd = (int)syscall(SYS_openat, folder, name, flags | O_LARGEFILE, mode);
    if (fd < 0 || !changes) return fd;
    struct stat about;
    fstat(fd, &about);
    if (makes) note_names(OPEN, path, "");
    else if (flags & O_TRUNC) note(TRUNCATE, about.st_ino, 0, 0, path, "", NULL, 0, 0);
    return fd;
}

#define MODE(flags) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | __O_TMPFILE)) { \
        va_list more; \
        va_start(more, flags); \
        mode = (mode_t)va_arg(more, int); \
        va_end(more); \
    }
#define OPENS(name, at) \
    int name(const char *path, int flags, ...) { MODE(flags) ALONE(open_in(AT_FDCWD, path, flags, mode)); } \
    int at(int folder, const char *path, int flags, ...) { MODE(flags) ALONE(open_in(folder, path, flags, mode)); }
OPENS(open, openat)
OPENS(open64, openat64)
int creat(const char *path, mode_t mode) {
    ALONE(open_in(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode));
}
int creat64(const char *path, mode_t mode) { return creat(path, mode); }

/* Writing. A disk that gets full takes the first half. */

static ssize_t write_parts(int fd, const struct iovec *parts, int count, off64_t offset) {
    char path[PATH_MAX];
    struct iovec half = parts[0];
    int noted = path_of(fd, path);
    if (noted && fails(1)) {
        if (errno != ENOSPC || calls - 1 != failing_call || half.iov_len < 2) return -1;
        half.iov_len /= 2;
        parts = &half;
        count = 1;
    }
    ssize_t done = offset < 0 ? syscall(SYS_writev, fd, parts, count)
                              : syscall(SYS_pwritev, fd, parts, count, offset, 0);
    if (done > 0 && noted) {
        struct stat about;
        fstat(fd, &about);
        if (offset < 0) offset = lseek64(fd, 0, SEEK_CUR) - done;
        note(WRITE, about.st_ino, (uint64_t)offset, (uint64_t)done, path, "", parts, count,
             (uint64_t)done);
    }
    return done;
}

static ssize_t write_one(int fd, const void *data, size_t len, off64_t offset) {
    struct iovec part = {(void *)data, len};
    return write_parts(fd, &part, 1, offset);
}

ssize_t write(int fd, const void *data, size_t len) { ALONE(write_one(fd, data, len, -1)); }
ssize_t pwrite(int fd, const void *data, size_t len, off_t at) { ALONE(write_one(fd, data, len, at)); }
ssize_t pwrite64(int fd, const void *data, size_t len, off64_t at) { ALONE(write_one(fd, data, len, at)); }
ssize_t writev(int fd, const struct iovec *parts, int count) { ALONE(write_parts(fd, parts, count, -1)); }
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) { ALONE(write_parts(fd, parts, count, at)); }
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t at) { ALONE(write_parts(fd, parts, count, at)); }

/* Nobody may copy past the log: who can't, writes. */
ssize_t copy_file_range(int from, off64_t *at, int to, off64_t *where, size_t len, unsigned flags) {
    char path[PATH_MAX];
    if (path_of(to, path)) return errno = ENOSYS, -1;
    return syscall(SYS_copy_file_range, from, at, to, where, len, flags);
}
ssize_t sendfile64(int to, int from, off64_t *at, size_t len) {
    char path[PATH_MAX];
    if (path_of(to, path)) return errno = ENOTSOCK, -1;
    return syscall(SYS_sendfile, to, from, at, len);
}
ssize_t sendfile(int to, int from, off_t *at, size_t len) { return sendfile64(to, from, at, len); }

static int cut(int fd, off64_t len) {
    char path[PATH_MAX];
    struct stat about;
    int noted = path_of(fd, path);
    if (noted && fails(0)) return -1;
    int result = (int)syscall(SYS_ftruncate, fd, len);
    if (!result && noted && !fstat(fd, &about))
        note(TRUNCATE, about.st_ino, 0, (uint64_t)len, path, "", NULL, 0, 0);
    return result;
}

int ftruncate(int fd, off_t len) { ALONE(cut(fd, len)); }
int ftruncate64(int fd, off64_t len) { ALONE(cut(fd, len)); }

/* Names */

#define NAMES(kind, room, call, from_folder, from, to_folder, to) \
    char one[PATH_MAX], other[PATH_MAX]; \
    int noted = path_at(from_folder, from, one); \
    int also = path_at(to_folder, to, other); \
    if ((noted || also) && fails(room)) return -1; \
    int result = (int)(call); \
    if (!result && (noted || also)) note_names(kind, one, other); \
    return result

static int rename_in(int folder, const char *from, int other_folder, const char *to, unsigned flags) {
    NAMES(RENAME, 1, syscall(SYS_renameat2, folder, from, other_folder, to, flags), folder, from,
          other_folder, to);
}
static int link_in(int folder, const char *from, int other_folder, const char *to, int flags) {
    NAMES(LINK, 1, syscall(SYS_linkat, folder, from, other_folder, to, flags), folder, from,
          other_folder, to);
}
int rename(const char *from, const char *to) { ALONE(rename_in(AT_FDCWD, from, AT_FDCWD, to, 0)); }
int renameat(int a, const char *from, int b, const char *to) { ALONE(rename_in(a, from, b, to, 0)); }
int renameat2(int a, const char *from, int b, const char *to, unsigned flags) {
    ALONE(rename_in(a, from, b, to, flags));
}
int link(const char *from, const char *to) { ALONE(link_in(AT_FDCWD, from, AT_FDCWD, to, 0)); }
int linkat(int a, const char *from, int b, const char *to, int flags) {
    ALONE(link_in(a, from, b, to, flags));
}

static int unlink_in(int folder, const char *name, int flags) {
    char path[PATH_MAX];
    int noted = path_at(folder, name, path) && !faccessat(folder, name, F_OK, AT_SYMLINK_NOFOLLOW);
    if (noted && fails(0)) return -1;
    int result = (int)syscall(SYS_unlinkat, folder, name, flags);
    if (!result && noted) note_names(flags & AT_REMOVEDIR ? RMDIR : UNLINK, path, "");
    return result;
}
int unlink(const char *name) { ALONE(unlink_in(AT_FDCWD, name, 0)); }
int unlinkat(int folder, const char *name, int flags) { ALONE(unlink_in(folder, name, flags)); }
int rmdir(const char *name) { ALONE(unlink_in(AT_FDCWD, name, AT_REMOVEDIR)); }

static int mkdir_in(int folder, const char *name, mode_t mode) {
    char path[PATH_MAX];
    int noted = path_at(folder, name, path) && faccessat(folder, name, F_OK, AT_SYMLINK_NOFOLLOW);
    if (noted && fails(1)) return -1;
    int result = (int)syscall(SYS_mkdirat, folder, name, mode);
    if (!result && noted) note_names(MKDIR, path, "");
    return result;
}
int mkdir(const char *name, mode_t mode) { ALONE(mkdir_in(AT_FDCWD, name, mode)); }
int mkdirat(int folder, const char *name, mode_t mode) { ALONE(mkdir_in(folder, name, mode)); }

/* Bringing it to the disk. What is noted is as it was before the call: what comes while it runs
 * may not be on the disk. The disk of a test needn't really be waited for. */

static int sync_one(int fd, enum kind kind) {
    char path[PATH_MAX];
    struct stat about;
    if (!path_of(fd, path)) return 0;
    if (fails(0)) return -1;
    if (!fstat(fd, &about)) note(kind, about.st_ino, 0, 0, path, "", NULL, 0, 0);
    return 0;
}
int fsync(int fd) { ALONE(sync_one(fd, SYNC)); }
int fdatasync(int fd) { ALONE(sync_one(fd, SYNC)); }
int syncfs(int fd) { ALONE(sync_one(fd, SYNC_ALL)); }
