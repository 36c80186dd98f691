/* Counts what a program copies and allocates: preloaded by scripts/cost-growth. Only calls of the C library's
 * functions are seen; copies of a few bytes that the compiler writes out in place are not. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct counts {
    atomic_uint_fast64_t copies, copied, allocations, allocated;
};

static struct counts before;
static struct counts *counts = &before;

/* What is counted lies in the file that COUNT_FILE names, for others to read. */
__attribute__((constructor)) static void share(void) {
    const char *path = getenv("COUNT_FILE");
    int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    void *shared = mmap(NULL, sizeof(struct counts), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (shared != MAP_FAILED)
        counts = shared;
}

static void add(atomic_uint_fast64_t *times, atomic_uint_fast64_t *bytes, size_t size) {
    atomic_fetch_add_explicit(times, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(bytes, size, memory_order_relaxed);
}

/* Not memcpy itself, which would be ourselves. */
static void *move(void *to, const void *from, size_t size) {
    void *end = to;
    if (to <= from || (const char *)from + size <= (char *)to)
        __asm__ volatile("rep movsb" : "+D"(end), "+S"(from), "+c"(size) : : "memory");
    else
        for (char *t = to; size-- > 0;)
            t[size] = ((const char *)from)[size];
    return to;
}

void *memcpy(void *to, const void *from, size_t size) {
    add(&counts->copies, &counts->copied, size);
    return move(to, from, size);
}

void *memmove(void *to, const void *from, size_t size) {
    add(&counts->copies, &counts->copied, size);
    return move(to, from, size);
}

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

void *malloc(size_t size) {
    add(&counts->allocations, &counts->allocated, size);
    return __libc_malloc(size);
}

void *calloc(size_t number, size_t size) {
    add(&counts->allocations, &counts->allocated, number * size);
    return __libc_calloc(number, size);
}

void *realloc(void *old, size_t size) {
    add(&counts->allocations, &counts->allocated, size);
    return __libc_realloc(old, size);
}

int posix_memalign(void **out, size_t alignment, size_t size) {
    add(&counts->allocations, &counts->allocated, size);
    *out = __libc_memalign(alignment, size);
    return *out ? 0 : 12;
}
