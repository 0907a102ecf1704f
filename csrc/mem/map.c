/* SPDX-License-Identifier: GPL-2.0-or-later
 * Host mappings behind the segments: sparse anonymous RAM and copy-on-write views of files. */
#include "mem/map.h"

#include "error.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static size_t host_page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

static size_t align_up(size_t value, size_t to)
{
    return (value + to - 1) & ~(to - 1);
}

/* Anonymous and without reservation, between two host pages that nothing may touch: what runs over an end of guest
 * memory ends there.  Huge pages would back 2 MB for each page that the guest touches. */
static void *map_anonymous(size_t size)
{
    size_t guard = host_page_size();
    size_t inside = align_up(size, guard);
    uint8_t *map = mmap(NULL, inside + 2 * guard, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (map == MAP_FAILED) {
        return NULL;
    }
    if (mprotect(map + guard, inside, PROT_READ | PROT_WRITE) != 0) {
        int reason = errno;
        munmap(map, inside + 2 * guard);
        errno = reason;
        return NULL;
    }
    madvise(map + guard, inside, MADV_NOHUGEPAGE);
    return map + guard;
}

static void unmap(void *map, size_t size)
{
    size_t guard = host_page_size();
    munmap((uint8_t *)map - guard, align_up(size, guard) + 2 * guard);
}

pe_status pe_map_ram(pe_mem_segment *segment, pe_error *err)
{
    segment->map_size = segment->size;
    segment->map = map_anonymous(segment->map_size);
    if (!segment->map) {
        return pe_fail(err, PE_ERR_MEMORY,
                       "the host refuses 0x%" PRIx64 " bytes of address space for guest memory at 0x%" PRIx64 ": %s",
                       segment->size, segment->base, strerror(errno));
    }
    segment->host = segment->map;
    return PE_OK;
}

/* Bytes between the end of the view and the end of the last host page of the file show what follows in the file. */
static void clear_tail(const pe_mem_segment *segment)
{
    size_t page = host_page_size();
    uint8_t *end = segment->host + segment->file_size;
    uint8_t *map = segment->map;
    size_t used = (size_t)(end - map);
    memset(end, 0, align_up(used, page) - used);
}

static pe_status open_regular(const char *path, uint64_t offset, uint64_t size, int *fd, pe_error *err)
{
    struct stat info;
    *fd = open(path, O_RDONLY | O_CLOEXEC);
    if (*fd < 0) {
        return pe_fail(err, PE_ERR_IO, "cannot open %s: %s", path, strerror(errno));
    }
    if (fstat(*fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        close(*fd);
        return pe_fail(err, PE_ERR_IO, "%s is not a regular file", path);
    }
    uint64_t length = (uint64_t)info.st_size;
    if (offset > length || size > length - offset) {
        close(*fd);
        return pe_fail(err, PE_ERR_IO,
                       "%s has 0x%" PRIx64 " bytes; a view of 0x%" PRIx64 " bytes at offset 0x%" PRIx64
                       " goes beyond its end",
                       path, length, size, offset);
    }
    return PE_OK;
}

pe_status pe_map_file(pe_mem_segment *segment, const char *path, uint64_t offset, pe_error *err)
{
    int fd;
    pe_status status = open_regular(path, offset, segment->file_size, &fd, err);
    if (status != PE_OK) {
        return status;
    }
    /* The file is mapped over the start of an anonymous reservation, which leaves zeros behind its last page. */
    size_t page = host_page_size();
    size_t skew = (size_t)(offset & (page - 1));
    segment->map_size = align_up(skew + segment->size, page);
    segment->map = map_anonymous(segment->map_size);
    void *view = MAP_FAILED;
    if (segment->map) {
        view = mmap(segment->map, skew + segment->file_size, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, fd, (off_t)(offset - skew));
    }
    int reason = errno;
    close(fd);
    if (view == MAP_FAILED) {
        if (segment->map) {
            unmap(segment->map, segment->map_size);
        }
        return pe_fail(err, PE_ERR_MEMORY, "cannot map 0x%" PRIx64 " bytes of %s: %s", segment->file_size, path,
                       strerror(reason));
    }
    segment->host = (uint8_t *)segment->map + skew;
    clear_tail(segment);
    return PE_OK;
}

void pe_map_release(pe_mem_segment *segment)
{
    unmap(segment->map, segment->map_size);
}

pe_status pe_map_reset(pe_mem_segment *segment, pe_error *err)
{
    if (madvise(segment->map, segment->map_size, MADV_DONTNEED) != 0) {
        return pe_fail(err, PE_ERR_MEMORY, "cannot give the pages of segment 0x%" PRIx64 " back to the host: %s",
                       segment->base, strerror(errno));
    }
    if (segment->is_file) {
        clear_tail(segment);
    }
    return PE_OK;
}
