// A fast fake OpenAI upstream for measuring: one thread, epoll, 127.0.0.1 only, Linux.
//
//   gcc -O2 -o fake_upstream fake_upstream.c && ./fake_upstream PORT
//
// POST anything: the model's name picks the answer (times in ms):
//   json[-DELAY[-BYTES]]       one JSON completion of about BYTES (1024)
//   sse-CHUNKS-GAP[-DELAY]     with "stream": true: headers after DELAY, then CHUNKS chunks GAP apart;
//                              the text of each is T<monotonic ns>; so that a reader can tell how old it is
// GET /stats: counters; a request whose client left before its end counts as aborted. GET anything else: models.
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

enum { MAX_CONNECTIONS = 16384, READ_BYTES = 65536, UNSENT_LIMIT = 262144 };
static const int64_t MS = 1000000;

enum Phase { IDLE, JSON_DUE, HEADERS_DUE, STREAMING };

typedef struct {
    int fd;
    char *in, *out;
    size_t in_len, in_cap, out_len, out_sent, out_cap;
    bool watches_write;
    enum Phase phase;
    char model[128];
    int chunks_sent, chunks_total;
    int64_t gap_ns;
    size_t answer_bytes;
    int timer;  // place in `timers`, -1 for none
} Conn;

// Dense, so that looking for the next one due stays cheap with hundreds of streams.
static struct { int64_t due_ns; Conn *conn; } timers[MAX_CONNECTIONS];
static int timer_count, epoll_fd, open_connections;
static long requests, aborted, done;
static int active;
static int64_t last_abort_ns;

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void set_timer(Conn *c, int64_t due_ns) {
    if (c->timer < 0) {
        c->timer = timer_count++;
        timers[c->timer].conn = c;
    }
    timers[c->timer].due_ns = due_ns;
}

static void clear_timer(Conn *c) {
    if (c->timer < 0) return;
    timers[c->timer] = timers[--timer_count];
    timers[c->timer].conn->timer = c->timer;
    c->timer = -1;
}

static void drop(Conn *c) {
    if (c->phase != IDLE) {
        aborted++;
        active--;
        last_abort_ns = now_ns();
    }
    clear_timer(c);
    close(c->fd);
    open_connections--;
    free(c->in);
    free(c->out);
    free(c);
}

static void append(Conn *c, const char *bytes, size_t n) {
    if (c->out_len + n > c->out_cap) {
        c->out_cap = (c->out_len + n) * 2 + 4096;
        c->out = realloc(c->out, c->out_cap);
    }
    memcpy(c->out + c->out_len, bytes, n);
    c->out_len += n;
}

static void watch_write(Conn *c, bool wanted) {
    if (c->watches_write == wanted) return;
    struct epoll_event e = {EPOLLIN | EPOLLRDHUP | (wanted ? EPOLLOUT : 0), {.ptr = c}};
    epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &e);
    c->watches_write = wanted;
}

// False: the client is gone.
static bool flush(Conn *c) {
    while (c->out_sent < c->out_len) {
        ssize_t n = send(c->fd, c->out + c->out_sent, c->out_len - c->out_sent, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN) return false;
        if (n < 0) {
            watch_write(c, true);
            return true;
        }
        c->out_sent += n;
    }
    c->out_len = c->out_sent = 0;
    watch_write(c, false);
    return true;
}

#define OPENAI_HEADERS "x-request-id: req_fake\r\nopenai-processing-ms: 12\r\nx-ratelimit-remaining-requests: 9999\r\n"

static void append_json(Conn *c, const char *body, size_t n) {
    char head[300];
    append(c, head, sprintf(head, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n" OPENAI_HEADERS
                                  "content-length: %zu\r\n\r\n", n));
    append(c, body, n);
}

static void append_completion(Conn *c) {
    char start[400], end[400];
    int start_len = sprintf(start,
        "{\"id\":\"chatcmpl-fake\",\"object\":\"chat.completion\",\"created\":1760000000,\"model\":\"%s\","
        "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"refusal\":null,\"annotations\":[],\"content\":\"", c->model);
    int end_len = sprintf(end,
        "\"},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":19,\"completion_tokens\":10,"
        "\"total_tokens\":29},\"service_tier\":\"default\",\"system_fingerprint\":\"fp_fake\"}");
    size_t frame = start_len + end_len, text = c->answer_bytes > frame ? c->answer_bytes - frame : 10;
    char *body = malloc(frame + text);
    memcpy(body, start, start_len);
    for (size_t i = 0; i < text; i++) body[start_len + i] = "lorem ipsum dolor sit amet "[i % 27];
    memcpy(body + start_len + text, end, end_len);
    append_json(c, body, frame + text);
    free(body);
}

static void append_chunk(Conn *c, int64_t now) {
    char event[600], size[16];
    bool is_last = c->chunks_sent + 1 == c->chunks_total;
    int n = sprintf(event,
        "data: {\"id\":\"chatcmpl-fake\",\"object\":\"chat.completion.chunk\",\"created\":1760000000,\"model\":\"%s\","
        "\"service_tier\":\"default\",\"system_fingerprint\":\"fp_fake\",\"choices\":[{\"index\":0,\"delta\":{%s"
        "\"content\":\"T%lld; \"},\"logprobs\":null,\"finish_reason\":%s}]}\n\n",
        c->model, c->chunks_sent == 0 ? "\"role\":\"assistant\"," : "", (long long)now, is_last ? "\"stop\"" : "null");
    append(c, size, sprintf(size, "%x\r\n", n));
    append(c, event, n);
    append(c, "\r\n", 2);
    c->chunks_sent++;
}

static void finish(Conn *c) {
    c->phase = IDLE;
    active--;
    done++;
    clear_timer(c);
}

// What a connection has to do when its time has come.
static void step(Conn *c, int64_t due_ns, int64_t now) {
    if (c->phase == JSON_DUE) {
        append_completion(c);
        finish(c);
    } else if (c->out_len - c->out_sent > UNSENT_LIMIT) {
        set_timer(c, now + (c->gap_ns > MS ? c->gap_ns : MS));  // the reader is slow: wait for it
    } else {
        if (c->phase == HEADERS_DUE) {
            static const char head[] = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
                                       "cache-control: no-cache\r\n" OPENAI_HEADERS
                                       "transfer-encoding: chunked\r\n\r\n";
            append(c, head, sizeof head - 1);
            c->phase = STREAMING;
        }
        append_chunk(c, now);
        set_timer(c, due_ns + c->gap_ns);
        if (c->chunks_sent == c->chunks_total) {
            append(c, "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n", 24);
            finish(c);
        }
    }
    if (!flush(c)) drop(c);
}

static void read_model(Conn *c, const char *body, size_t n) {
    strcpy(c->model, "json");
    const char *end = body + n, *key = memmem(body, n, "\"model\"", 7);
    const char *from = key ? memchr(key + 7, '"', end - key - 7) : NULL;
    const char *to = from ? memchr(from + 1, '"', end - from - 1) : NULL;
    if (to && to - from < (long)sizeof c->model) {
        memcpy(c->model, from + 1, to - from - 1);
        c->model[to - from - 1] = 0;
    }
}

static void start_answer(Conn *c, const char *body, size_t n) {
    int delay_ms = 0, gap_ms = 0, bytes = 1024;
    read_model(c, body, n);
    c->chunks_sent = 0;
    c->chunks_total = 100;
    if (memmem(body, n, "\"stream\":true", 13) || memmem(body, n, "\"stream\": true", 14)) {
        sscanf(c->model, "sse-%d-%d-%d", &c->chunks_total, &gap_ms, &delay_ms);
        c->phase = HEADERS_DUE;
    } else {
        sscanf(c->model, "json-%d-%d", &delay_ms, &bytes);
        c->phase = JSON_DUE;
    }
    c->gap_ns = gap_ms * MS;
    c->answer_bytes = bytes;
    active++;
    set_timer(c, now_ns() + delay_ms * MS);
}

static void append_stats(Conn *c) {
    char b[300];
    append_json(c, b, sprintf(b, "{\"requests\":%ld,\"aborted\":%ld,\"done\":%ld,\"active\":%d,\"connections\":%d,"
                                 "\"last_abort_ns\":%lld}",
                              requests, aborted, done, active, open_connections, (long long)last_abort_ns));
}

// Answers one whole request from the input; false when there is none yet.
static bool take_request(Conn *c) {
    if (c->phase != IDLE) return false;
    char *head_end = memmem(c->in, c->in_len, "\r\n\r\n", 4);
    if (!head_end) return false;
    *head_end = 0;
    const char *length = strcasestr(c->in, "\r\ncontent-length:");
    size_t head_len = head_end - c->in + 4, body_len = length ? strtoul(length + 17, NULL, 10) : 0;
    *head_end = '\r';
    if (c->in_len < head_len + body_len) return false;
    requests++;
    if (!strncmp(c->in, "GET /stats", 10)) {
        append_stats(c);
    } else if (!strncmp(c->in, "GET ", 4)) {
        static const char models[] = "{\"object\":\"list\",\"data\":[{\"id\":\"json\",\"object\":\"model\","
                                     "\"created\":1760000000,\"owned_by\":\"fake\"}]}";
        append_json(c, models, sizeof models - 1);
    } else {
        start_answer(c, c->in + head_len, body_len);
    }
    c->in_len -= head_len + body_len;
    memmove(c->in, c->in + head_len + body_len, c->in_len);
    return true;
}

// False: the client is gone.
static bool read_input(Conn *c) {
    for (;;) {
        if (c->in_cap - c->in_len < READ_BYTES) {
            c->in_cap = c->in_cap * 2 + READ_BYTES;
            c->in = realloc(c->in, c->in_cap);
        }
        ssize_t n = recv(c->fd, c->in + c->in_len, READ_BYTES, 0);
        if (n == 0) return false;
        if (n < 0) return errno == EAGAIN;
        c->in_len += n;
        if (n < READ_BYTES) return true;
    }
}

static void accept_all(int listener) {
    int fd, on = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        if (open_connections == MAX_CONNECTIONS) {
            close(fd);
            continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        Conn *c = calloc(1, sizeof *c);
        c->fd = fd;
        c->timer = -1;
        open_connections++;
        struct epoll_event e = {EPOLLIN | EPOLLRDHUP, {.ptr = c}};
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e);
    }
}

static void handle(Conn *c, uint32_t events) {
    if ((events & ~EPOLLOUT) && !read_input(c)) {
        drop(c);
        return;
    }
    while (take_request(c)) {}
    if (!flush(c)) drop(c);
}

static void run_due_timers(void) {
    int64_t now = now_ns();
    for (int i = timer_count - 1; i >= 0; i--)  // backwards: a cleared timer is replaced by the last one, already seen
        if (timers[i].due_ns <= now) step(timers[i].conn, timers[i].due_ns, now);
}

static int wait_for_events(struct epoll_event *events, int max) {
    int64_t next = INT64_MAX;
    for (int i = 0; i < timer_count; i++)
        if (timers[i].due_ns < next) next = timers[i].due_ns;
    if (next == INT64_MAX) return epoll_wait(epoll_fd, events, max, -1);
    int64_t rest = next - now_ns();
    if (rest < 0) rest = 0;
    struct timespec timeout = {rest / 1000000000, rest % 1000000000};
    return epoll_pwait2(epoll_fd, events, max, &timeout, NULL);
}

static int listen_on(int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(fd, (struct sockaddr *)&a, sizeof a) || listen(fd, 4096)) {
        perror("fake_upstream: listen");
        exit(1);
    }
    return fd;
}

int main(int argc, char **argv) {
    static struct epoll_event events[1024];
    if (argc != 2) {
        fprintf(stderr, "usage: fake_upstream PORT\n");
        return 2;
    }
    int listener = listen_on(atoi(argv[1]));
    epoll_fd = epoll_create1(0);
    struct epoll_event e = {EPOLLIN, {.ptr = NULL}};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &e);
    for (;;) {
        int n = wait_for_events(events, 1024);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr) handle(events[i].data.ptr, events[i].events);
            else accept_all(listener);
        }
        run_due_timers();
    }
}
