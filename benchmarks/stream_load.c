// A load generator for streamed chat completions: one thread, epoll, 127.0.0.1 only, Linux.
//
//   gcc -O2 -o stream_load stream_load.c && ./stream_load PORT AT_ONCE TOTAL MODEL LIMIT_S KEY [PATH]
//
// Runs TOTAL streams, AT_ONCE at a time, each on a connection it keeps for the next, for at most LIMIT_S seconds, and
// prints one JSON line. A chunk's delay is its age on arrival (fake_upstream.c stamps each with the monotonic clock);
// the first byte is that of the first chunk's text, counted from when the request was begun.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

typedef struct {
    int fd;  // -1: no connection
    size_t sent;
    int64_t begun_ns;
    char head[8192];
    size_t head_len;
    bool head_done, chunked, closes, has_chunk, done_seen;
    int64_t stamp;
    int stamp_digits;  // -1: not inside a stamp
    int done_matched, end_matched;
} Stream;

typedef struct { int64_t *values; size_t count, cap; } Samples;

static int epoll_fd, port, total, started, in_flight, succeeded, failed;
static char *request, first_failure[160];
static size_t request_len;
static Samples first_byte_ns, delay_ns;

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void record(Samples *s, int64_t value) {
    if (s->count == s->cap) {
        s->cap = s->cap * 2 + 4096;
        s->values = realloc(s->values, s->cap * sizeof *s->values);
    }
    s->values[s->count++] = value;
}

static void watch(Stream *s, int operation, uint32_t events) {
    struct epoll_event e = {events, {.ptr = s}};
    epoll_ctl(epoll_fd, operation, s->fd, &e);
}

static void begin(Stream *s) {
    if (started == total) {
        if (s->fd >= 0) close(s->fd);
        s->fd = -1;
        return;
    }
    int fd = s->fd;
    memset(s, 0, sizeof *s);
    s->fd = fd;
    s->stamp_digits = -1;
    s->begun_ns = now_ns();
    started++;
    in_flight++;
    if (fd >= 0) {
        watch(s, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
        return;
    }
    int on = 1;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    connect(s->fd, (struct sockaddr *)&a, sizeof a);
    watch(s, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT);
}

static void end(Stream *s, bool good, bool keep) {
    in_flight--;
    if (good) succeeded++;
    else failed++;
    if (!good && !*first_failure) {
        snprintf(first_failure, sizeof first_failure, "%.60s", s->head_len ? s->head : strerror(errno));
        for (char *p = first_failure; *p; p++) if (*p < ' ' || *p == '"' || *p == '\\') *p = ' ';
    }
    if (!keep) {
        close(s->fd);
        s->fd = -1;
    }
    begin(s);
}

// Returns how many of the bytes belonged to the head.
static size_t read_head(Stream *s, const char *bytes, size_t n) {
    size_t before = s->head_len, room = sizeof s->head - 1 - before;
    size_t copied = n < room ? n : room;
    memcpy(s->head + before, bytes, copied);
    s->head_len += copied;
    s->head[s->head_len] = 0;
    char *stop = strstr(s->head, "\r\n\r\n");
    if (!stop) return n;
    s->head_len = stop + 4 - s->head;
    *stop = 0;
    s->head_done = true;
    s->chunked = strcasestr(s->head, "\r\ntransfer-encoding: chunked") != NULL;
    s->closes = strcasestr(s->head, "\r\nconnection: close") != NULL;
    return s->head_len - before;
}

static bool matched(const char *word, int *place, char c) {
    *place = c == word[*place] ? *place + 1 : c == word[0];
    if (word[*place]) return false;
    *place = 0;
    return true;
}

// True: the stream has come to its proper end.
static bool read_body(Stream *s, const char *bytes, size_t n, int64_t now) {
    for (size_t i = 0; i < n; i++) {
        char c = bytes[i];
        if (s->done_seen) {
            if (s->chunked && matched("0\r\n\r\n", &s->end_matched, c)) return true;
        } else if (s->stamp_digits >= 0 && c >= '0' && c <= '9') {
            s->stamp = s->stamp * 10 + (c - '0');
            s->stamp_digits++;
        } else {
            if (c == ';' && s->stamp_digits > 8) {
                if (!s->has_chunk) record(&first_byte_ns, now - s->begun_ns);
                s->has_chunk = true;
                record(&delay_ns, now - s->stamp);
            }
            s->stamp_digits = c == 'T' ? 0 : -1;
            s->stamp = 0;
            s->done_seen = matched("[DONE]", &s->done_matched, c);
        }
    }
    return false;
}

static void handle(Stream *s, uint32_t events) {
    static char buffer[262144];
    if (events & EPOLLOUT) {
        ssize_t n = send(s->fd, request + s->sent, request_len - s->sent, 0);
        if (n < 0 && errno != EAGAIN) {
            end(s, false, false);
            return;
        }
        if (n > 0) s->sent += n;
        if (s->sent == request_len) watch(s, EPOLL_CTL_MOD, EPOLLIN);
    }
    if (!(events & ~EPOLLOUT)) return;
    ssize_t n = recv(s->fd, buffer, sizeof buffer, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {
        end(s, s->done_seen && !s->chunked, false);
        return;
    }
    int64_t now = now_ns();
    size_t head = s->head_done ? 0 : read_head(s, buffer, n);
    if (s->head_done && strncmp(s->head + 8, " 200", 4)) end(s, false, false);
    else if (s->head_done && read_body(s, buffer + head, n - head, now)) end(s, true, !s->closes);
}

static int ascending(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void print_percentiles(const char *name, Samples *s) {
    const struct { const char *name; double share; } wanted[] = {{"p50", .5}, {"p99", .99}, {"max", 1}};
    qsort(s->values, s->count, sizeof *s->values, ascending);
    printf(",\"%s\":{", name);
    for (int i = 0; i < 3; i++) {
        printf("%s\"%s\":", i ? "," : "", wanted[i].name);
        if (s->count) printf("%.1f", s->values[(size_t)(wanted[i].share * (s->count - 1))] / 1e3);
        else printf("null");
    }
    printf("}");
}

static void make_request(const char *model, const char *key, const char *path) {
    char *body;
    int body_len = asprintf(&body,
        "{\"model\":\"%s\",\"stream\":true,\"messages\":[{\"role\":\"system\",\"content\":\"You are a helpful "
        "assistant.\"},{\"role\":\"user\",\"content\":\"Say hello.\"}]}", model);
    request_len = asprintf(&request,
        "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAuthorization: Bearer %s\r\n"
        "Content-Type: application/json\r\nAccept: text/event-stream\r\nUser-Agent: stream_load\r\n"
        "Content-Length: %d\r\n\r\n%s", path, port, key, body_len, body);
    free(body);
}

int main(int argc, char **argv) {
    static struct epoll_event events[1024];
    if (argc < 7) {
        fprintf(stderr, "usage: stream_load PORT AT_ONCE TOTAL MODEL LIMIT_S KEY [PATH]\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    port = atoi(argv[1]);
    total = atoi(argv[3]);
    make_request(argv[4], argv[6], argc > 7 ? argv[7] : "/v1/chat/completions");
    epoll_fd = epoll_create1(0);
    int at_once = atoi(argv[2]);
    Stream *streams = calloc(at_once, sizeof *streams);
    int64_t start = now_ns(), deadline = start + atoi(argv[5]) * 1000000000LL;
    for (int i = 0; i < at_once; i++) {
        streams[i].fd = -1;
        begin(&streams[i]);
    }
    while (in_flight && now_ns() < deadline) {
        int n = epoll_wait(epoll_fd, events, 1024, 200);
        for (int i = 0; i < n; i++) handle(events[i].data.ptr, events[i].events);
    }
    double elapsed_s = (now_ns() - start) / 1e9;
    printf("{\"succeeded\":%d,\"failed\":%d,\"unfinished\":%d,\"elapsed_s\":%.3f,\"chunks\":%zu,\"chunks_per_s\":%.1f",
           succeeded, failed, in_flight, elapsed_s, delay_ns.count, delay_ns.count / elapsed_s);
    print_percentiles("first_byte_us", &first_byte_ns);
    print_percentiles("chunk_delay_us", &delay_ns);
    printf(",\"first_failure\":\"%s\"}\n", first_failure);
    return 0;
}
