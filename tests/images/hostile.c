/* What a shell cannot try: system calls that a run must not have, and floods that a shell is too slow for.
 *
 *   hostile calls        a line for each forbidden call: its name and how it went
 *   hostile files N DIR  makes N empty files
 *   hostile fill FILE    writes until the disk is full or somebody ends it
 *   hostile threads N    starts threads that sleep, as many as it gets; prints how many
 *   hostile socket FILE  leaves a socket
 *   hostile sparse FILE N  leaves a file of N bytes without any
 *   hostile eat N        takes N MiB of memory and holds it for a moment
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static void tell(const char *name, long result) {
    if (result >= 0) printf("%s allowed\n", name);
    else printf("%s %s\n", name, errno == EPERM ? "EPERM" : errno == ENOSYS ? "ENOSYS" : errno == EACCES ? "EACCES" : strerror(errno));
    fflush(stdout);
}

/* In a child, as some of these end the caller. */
#define TRY(name, call) do { \
    fflush(stdout); \
    pid_t child = fork(); \
    if (child == 0) { errno = 0; tell(name, (long)(call)); _exit(0); } \
    int status; waitpid(child, &status, 0); \
    if (WIFSIGNALED(status)) { printf("%s killed\n", name); fflush(stdout); } \
} while (0)

#ifdef __x86_64__
static long int80(void) {
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(20L) : "memory");
    return result;
}
#endif

static void calls(void) {
    char buffer[256] = {0};
    TRY("keyctl", syscall(SYS_keyctl, 0, -3, 1, 0, 0));
    TRY("add_key", syscall(SYS_add_key, "user", "a", "b", 1, -3));
    TRY("request_key", syscall(SYS_request_key, "user", "a", "b", -3));
    TRY("vsock", socket(40, SOCK_STREAM, 0));
    TRY("packet", socket(17, SOCK_RAW, 0));
    TRY("alg", socket(38, SOCK_SEQPACKET, 0));
    TRY("raw", socket(AF_INET, SOCK_RAW, 1));
    TRY("io_uring_setup", syscall(425, 8, buffer));
    TRY("userfaultfd", syscall(SYS_userfaultfd, 1));
    TRY("perf_event_open", syscall(SYS_perf_event_open, buffer, 0, -1, -1, 0));
    TRY("bpf", syscall(SYS_bpf, 0, buffer, sizeof buffer));
    TRY("unshare", unshare(CLONE_NEWUSER));
    TRY("setns", setns(open("/proc/self/ns/net", O_RDONLY), 0));
    TRY("clone", syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0));
    TRY("clone3", syscall(435, buffer, 64));
    TRY("ptrace", ptrace(PTRACE_TRACEME, 0, 0, 0));
    TRY("process_vm_readv", syscall(SYS_process_vm_readv, getpid(), 0, 0, 0, 0, 0));
    TRY("mount", syscall(SYS_mount, "none", "/tmp", "tmpfs", 0, 0));
    TRY("umount2", syscall(SYS_umount2, "/proc", 2));
    TRY("pivot_root", syscall(SYS_pivot_root, "/", "/"));
    TRY("fsopen", syscall(430, "tmpfs", 0));
    TRY("open_tree", syscall(428, -100, "/", 1));
    TRY("chroot", chroot("/tmp"));
    TRY("mknod", mknod("/out/device", S_IFCHR | 0666, 0x103));
    TRY("setuid", setuid(0));
    TRY("reboot", syscall(SYS_reboot, 0, 0, 0, 0));
    TRY("kexec_load", syscall(SYS_kexec_load, 0, 0, 0, 0));
    TRY("init_module", syscall(SYS_init_module, buffer, 0, ""));
    TRY("syslog", syscall(SYS_syslog, 3, buffer, sizeof buffer));
    TRY("personality", syscall(SYS_personality, 0x0040000));
    TRY("open_by_handle_at", syscall(SYS_open_by_handle_at, 0, buffer, 0));
    TRY("sethostname", sethostname("x", 1));
#ifdef __x86_64__
    TRY("int80", int80());
#endif
    TRY("unix", socket(AF_UNIX, SOCK_STREAM, 0));
}

static void *sleeper(void *nothing) { pause(); return nothing; }

int main(int count, char **words) {
    const char *what = count > 1 ? words[1] : "";
    if (!strcmp(what, "calls")) { calls(); return 0; }
    if (!strcmp(what, "files") && count == 4) {
        long most = atol(words[2]);
        char path[512];
        for (long at = 0; at < most; at++) {
            snprintf(path, sizeof path, "%s/%ld", words[3], at);
            int file = open(path, O_CREAT | O_WRONLY, 0644);
            if (file < 0) { perror(path); return 3; }
            close(file);
        }
        return 0;
    }
    if (!strcmp(what, "fill") && count == 3) {
        static char block[1 << 20];
        memset(block, 'x', sizeof block);
        int file = open(words[2], O_CREAT | O_WRONLY, 0644);
        if (file < 0) { perror(words[2]); return 3; }
        while (write(file, block, sizeof block) > 0) {}
        perror("write");
        return 4;
    }
    if (!strcmp(what, "threads") && count == 3) {
        long most = atol(words[2]), got = 0;
        pthread_attr_t small;
        pthread_attr_init(&small);
        pthread_attr_setstacksize(&small, 65536);
        pthread_t thread;
        while (got < most && !pthread_create(&thread, &small, sleeper, 0)) got++;
        printf("%ld threads\n", got);
        return got < most ? 5 : 0;
    }
    if (!strcmp(what, "socket") && count == 3) {
        struct sockaddr_un name = {.sun_family = AF_UNIX};
        strncpy(name.sun_path, words[2], sizeof name.sun_path - 1);
        int at = socket(AF_UNIX, SOCK_STREAM, 0);
        return bind(at, (struct sockaddr *)&name, sizeof name) ? 6 : 0;
    }
    if (!strcmp(what, "sparse") && count == 4) {
        int file = open(words[2], O_CREAT | O_WRONLY, 0644);
        return ftruncate(file, atol(words[3])) ? 7 : 0;
    }
    if (!strcmp(what, "eat") && count == 3) {
        size_t size = (size_t)atol(words[2]) << 20;
        char *memory = malloc(size);
        if (!memory) return 8;
        memset(memory, 'x', size);
        usleep(200000);
        return 0;
    }
    fprintf(stderr, "hostile: what?\n");
    return 2;
}
