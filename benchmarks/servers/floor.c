/* The floor in C: accept connections, and write to one after the other with send(2).
 *
 * floor PORT; told what to do as servers/control.py says. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { SIZE = 612, MOST = 1 << 16 };

static int connections[MOST], count;

static long long now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void sleep_until(long long ns) {
    struct timespec t = {ns / 1000000000, ns % 1000000000};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

static int listen_on(int port) {
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 4096)) {
        perror("floor");
        exit(1);
    }
    return listener;
}

static void accept_one(int listener) {
    int one = 1, connection = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    if (connection >= 0 && count < MOST) {
        setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        connections[count++] = connection;
    }
}

static void publish(void) {
    char data[SIZE + 1];
    int head = snprintf(data, sizeof data, "{\"type\":\"bench\",\"sent\":%lld,\"padding\":\"", now_ns());
    memset(data + head, 'x', SIZE - head - 2);
    memcpy(data + SIZE - 2, "\"}", 2);
    for (int i = 0; i < count; i++)
        send(connections[i], data, SIZE, MSG_NOSIGNAL);
}

static int publish_all(double hz, double seconds) {
    long long start = now_ns() + 100000000, period = 1e9 / hz;
    int ticks = 0, all = hz * seconds + 0.5;
    for (int i = 0; i < all; i++) {
        long long due = start + i * period;
        if (now_ns() >= due + period)
            continue;
        sleep_until(due);
        publish();
        ticks++;
    }
    return ticks;
}

int main(int argc, char **argv) {
    char line[256];
    double hz, seconds;
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    int port = argc > 1 ? atoi(argv[1]) : 0, listener = listen_on(port);
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("{\"port\": %d, \"pids\": [%d]}\n", port, getpid());
    struct pollfd ready[] = {{listener, POLLIN, 0}, {0, POLLIN, 0}};
    while (poll(ready, 2, -1) > 0) {
        if (ready[0].revents)
            accept_one(listener);
        if (ready[1].revents) {
            if (!fgets(line, sizeof line, stdin))
                break;
            if (sscanf(line, "go %lf %lf", &hz, &seconds) == 2)
                printf("{\"ticks\": %d, \"pause_ms\": null}\n", publish_all(hz, seconds));
        }
    }
    return 0;
}
