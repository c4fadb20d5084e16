/* The only program of the image orch/helper: no libc, a few KB, nothing to pull.
 *
 *   /orch-helper hold               answers each TCP connection to PORT with ANSWER_BYTES and closes it; exits 0 on
 *                                   SIGTERM and SIGINT. A container that runs it keeps its networks on the node.
 *   /orch-helper reach MS IP...     asks the holders at these IPv4 addresses, all at once, within MS milliseconds; one
 *                                   line for each: "IP ok", or "IP" and one of the words below; exit 0 when all are ok
 *       refused      the host answers, but nobody holds there
 *       unreachable  the network says that there is no way
 *       timeout      nothing came back
 *       stalled      connected, but the answer did not all come: large packets are lost (MTU)
 *       wrong        somebody else answers at that port
 *       errno N      anything else, see errno(3)
 *   /orch-helper routes             prints /proc/net/route, and /proc/net/ipv6_route where there is one
 *
 * Exit 1: it did not succeed. Exit 2: wrong arguments. build.sh makes the binaries; image.py knows the port, too.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>

enum { PORT = 4711, ANSWER_BYTES = 16384, MOST = 1024 };
enum { OUT = 1, ERR = 2 };

/* ---- the kernel: results are -errno on failure ---- */

static long sys(long n, long a, long b, long c, long d, long e, long f)
{
#if defined(__x86_64__)
    register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
#elif defined(__aarch64__)
    register long x8 __asm__("x8") = n, x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d, x4 __asm__("x4") = e, x5 __asm__("x5") = f;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return x0;
#else
#error "no system calls for this architecture"
#endif
}

#define SYS(name, a, b, c, d, e, f) sys(SYS_##name, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

/* The kernel puts argc, argv[] and a null at the stack's top. */
#if defined(__x86_64__)
__asm__(".globl _start\n_start: xor %ebp, %ebp\n mov %rsp, %rdi\n and $-16, %rsp\n call begin\n");
#else
__asm__(".globl _start\n_start: mov x29, #0\n mov x30, #0\n mov x0, sp\n bl begin\n");
#endif

static _Noreturn void leave(int code)
{
    for (;;)
        SYS(exit_group, code, 0, 0, 0, 0, 0);
}

/* ---- text ---- */

static int same(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return *a == *b;
}

static void put(int fd, const char *data, long length)
{
    while (length > 0) {
        long done = SYS(write, fd, data, length, 0, 0, 0);
        if (done == -EINTR)
            continue;
        if (done <= 0)
            leave(1);
        data += done, length -= done;
    }
}

static void say(int fd, const char *text)
{
    long length = 0;
    while (text[length])
        length++;
    put(fd, text, length);
}

static void say_number(int fd, unsigned number)
{
    char text[12];
    int at = sizeof text;
    do
        text[--at] = '0' + number % 10;
    while (number /= 10);
    put(fd, text + at, sizeof text - at);
}

/* Reads a number of at most `most` and moves behind it; -1: there is none. */
static long number(const char **text, long most)
{
    long value = -1;
    for (; **text >= '0' && **text <= '9'; (*text)++) {
        value = (value < 0 ? 0 : value * 10) + (**text - '0');
        if (value > most)
            return -1;
    }
    return value;
}

/* 0: `text` is no dotted quad. */
static int is_address(const char *text, struct in_addr *address)
{
    unsigned char *bytes = (unsigned char *)address;
    for (int i = 0; i < 4; i++) {
        long byte = number(&text, 255);
        if (byte < 0 || *text != "...\0"[i])
            return 0;
        bytes[i] = byte, text++;
    }
    return 1;
}

static _Noreturn void usage(void)
{
    say(ERR, "usage: orch-helper hold | reach MILLISECONDS IPV4... | routes\n");
    leave(2);
}

static long checked(long result, const char *what)
{
    if (result >= 0)
        return result;
    say(ERR, "orch-helper: "), say(ERR, what), say(ERR, ": errno "), say_number(ERR, -result), say(ERR, "\n");
    leave(1);
}

/* ---- hold ---- */

static char answer[ANSWER_BYTES]; /* "orchorchorch..." */

static char expected(long at) { return "orch"[at & 3]; }

static long wait_ms(struct pollfd *fds, long count, long ms) /* ms < 0: for ever */
{
    struct timespec span = {ms / 1000, ms % 1000 * 1000000};
    return SYS(ppoll, fds, count, ms < 0 ? 0 : &span, 0, 0, 0);
}

static int listener(void)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    int yes = 1, room = 4 * ANSWER_BYTES, fd;
    fd = checked(SYS(socket, AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, 0, 0, 0), "socket");
    SYS(setsockopt, fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes, 0);
    /* Inherited by each connection: the whole answer fits, so one send and close leave the rest to the kernel, and a
     * client that reads nothing keeps nobody waiting. */
    SYS(setsockopt, fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room, 0);
    checked(SYS(bind, fd, &any, sizeof any, 0, 0, 0), "bind");
    checked(SYS(listen, fd, 1024, 0, 0, 0, 0), "listen");
    return fd;
}

static _Noreturn void hold(void)
{
    /* Blocked and read from a descriptor: PID 1 would not get them otherwise, and there is no handler to return from. */
    unsigned long ends = 1UL << (SIGTERM - 1) | 1UL << (SIGINT - 1);
    checked(SYS(rt_sigprocmask, SIG_BLOCK, &ends, 0, sizeof ends, 0, 0), "sigprocmask");
    int signals = checked(SYS(signalfd4, -1, &ends, sizeof ends, 0, 0, 0), "signalfd");
    struct pollfd fds[] = {{.fd = signals, .events = POLLIN}, {.fd = listener(), .events = POLLIN}};
    for (long i = 0; i < ANSWER_BYTES; i++)
        answer[i] = expected(i);
    for (;;) {
        wait_ms(fds, 2, -1);
        if (fds[0].revents)
            leave(0);
        if (!fds[1].revents)
            continue;
        long client = SYS(accept4, fds[1].fd, 0, 0, SOCK_NONBLOCK | SOCK_CLOEXEC, 0, 0);
        if (client < 0) {
            wait_ms(fds, 1, 100); /* no memory, no descriptors: try again later, don't spin */
            continue;
        }
        SYS(sendto, client, answer, ANSWER_BYTES, MSG_NOSIGNAL, 0, 0);
        SYS(close, client, 0, 0, 0, 0, 0);
    }
}

/* ---- reach ---- */

enum { OK = 0, WAITING = -1, TIMEOUT = -2, STALLED = -3, WRONG = -4 }; /* or an errno */

static struct pollfd asked[MOST]; /* fd < 0: done */
static long got[MOST];
static int state[MOST];

static long now_ms(void)
{
    struct timespec now;
    SYS(clock_gettime, CLOCK_MONOTONIC, &now, 0, 0, 0, 0);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void finish(int i, int result)
{
    state[i] = result;
    SYS(close, asked[i].fd, 0, 0, 0, 0, 0);
    asked[i].fd = -1;
}

static void ask(int i, const char *text)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    if (!is_address(text, &to.sin_addr))
        usage();
    asked[i].fd = checked(SYS(socket, AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, 0, 0, 0), "socket");
    asked[i].events = POLLIN;
    state[i] = WAITING;
    long result = SYS(connect, asked[i].fd, &to, sizeof to, 0, 0, 0);
    if (result < 0 && result != -EINPROGRESS)
        finish(i, -result);
}

/* Takes what has come; true when that was the end, one way or the other. */
static int has_ended(int i)
{
    static char piece[4096];
    long length = SYS(recvfrom, asked[i].fd, piece, sizeof piece, 0, 0, 0);
    if (length == -EAGAIN || length == -EINTR)
        return 0;
    for (long at = 0; at < length; at++)
        if (piece[at] != expected(got[i] + at))
            return finish(i, WRONG), 1;
    if (length > 0)
        got[i] += length;
    if (length > 0 && got[i] <= ANSWER_BYTES)
        return 0;
    return finish(i, length < 0 ? -length : got[i] == ANSWER_BYTES ? OK : WRONG), 1;
}

static int is_connected(int i)
{
    struct sockaddr_in peer;
    int length = sizeof peer;
    return SYS(getpeername, asked[i].fd, &peer, &length, 0, 0, 0) == 0;
}

static void report(int i, const char *address)
{
    static const char *const words[] = {[-TIMEOUT] = "timeout", [-STALLED] = "stalled", [-WRONG] = "wrong"};
    say(OUT, address), say(OUT, " ");
    if (state[i] == OK)
        say(OUT, "ok");
    else if (state[i] < 0)
        say(OUT, words[-state[i]]);
    else if (state[i] == ECONNREFUSED)
        say(OUT, "refused");
    else if (state[i] == EHOSTUNREACH || state[i] == ENETUNREACH)
        say(OUT, "unreachable");
    else if (state[i] == ETIMEDOUT)
        say(OUT, "timeout");
    else
        say(OUT, "errno "), say_number(OUT, state[i]);
    say(OUT, "\n");
}

static int reach(long ms, int count, char **addresses)
{
    long end = now_ms() + ms, left;
    int waiting = 0, bad = 0;
    for (int i = 0; i < count; i++)
        ask(i, addresses[i]);
    for (int i = 0; i < count; i++)
        waiting += state[i] == WAITING;
    while (waiting > 0 && (left = end - now_ms()) > 0) {
        wait_ms(asked, count, left);
        for (int i = 0; i < count; i++)
            if (asked[i].fd >= 0 && asked[i].revents)
                waiting -= has_ended(i);
    }
    for (int i = 0; i < count; i++) {
        if (state[i] == WAITING)
            finish(i, is_connected(i) ? STALLED : TIMEOUT);
        report(i, addresses[i]);
        bad |= state[i] != OK;
    }
    return bad;
}

/* ---- routes ---- */

static void copy(const char *path, int is_needed)
{
    static char piece[4096];
    long length, fd = SYS(openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0, 0, 0);
    if (fd == -ENOENT && !is_needed)
        return;
    checked(fd, path);
    while ((length = checked(SYS(read, fd, piece, sizeof piece, 0, 0, 0), path)) > 0)
        put(OUT, piece, length);
    SYS(close, fd, 0, 0, 0, 0, 0);
}

__attribute__((used)) _Noreturn void begin(long *stack)
{
    long argc = stack[0];
    char **argv = (char **)(stack + 1);
    if (argc == 2 && same(argv[1], "hold"))
        hold();
    if (argc == 2 && same(argv[1], "routes")) {
        copy("/proc/net/route", 1);
        copy("/proc/net/ipv6_route", 0);
        leave(0);
    }
    if (argc < 4 || argc - 3 > MOST || !same(argv[1], "reach"))
        usage();
    const char *span = argv[2];
    long ms = number(&span, 3600000);
    if (ms < 0 || *span)
        usage();
    leave(reach(ms, argc - 3, argv + 3));
}
