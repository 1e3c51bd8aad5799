/* A Lambda function in C, without any library: it greets whoever its event names.
 *
 *   musl-gcc -static -O2 -o bootstrap bootstrap.c
 *   mayfly deploy hello ./bootstrap
 *   mayfly invoke hello --payload '{"name":"Ada"}'
 *
 * A function's program is its own runtime: a loop that asks the Runtime API for an event (GET …/next) and posts its
 * answer (POST …/ID/response), over one HTTP connection that is kept. See the Lambda developer guide, "Using the
 * Lambda runtime API".
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MESSAGE_MAX = 64 << 10, ID_MAX = 64, NAME_MAX_LEN = 100 };

static int api;
static char message[MESSAGE_MAX];

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void connect_to_api(void) {
    const char *address = getenv("AWS_LAMBDA_RUNTIME_API");
    char host[64];
    unsigned port;
    if (!address || sscanf(address, "%63[^:]:%u", host, &port) != 2) {
        fprintf(stderr, "AWS_LAMBDA_RUNTIME_API names no address: this program runs as a function\n");
        exit(2);
    }
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    inet_pton(AF_INET, host, &to.sin_addr);
    api = socket(AF_INET, SOCK_STREAM, 0);
    if (api < 0 || connect(api, (struct sockaddr *)&to, sizeof to) < 0)
        die("connecting to the Runtime API");
}

/* Sends a request and reads its answer, which ends with a 0. Returns the answer's body; `message` is its head. */
static char *ask(const char *request, size_t len) {
    while (len > 0) {
        ssize_t sent = write(api, request, len);
        if (sent <= 0)
            die("write");
        request += sent;
        len -= (size_t)sent;
    }
    size_t have = 0, body_len = 0;
    char *body = NULL;
    while (!body || have < (size_t)(body - message) + body_len) {
        if (have == sizeof message - 1) {
            fprintf(stderr, "an event of more than %d bytes\n", MESSAGE_MAX);
            exit(1);
        }
        ssize_t got = read(api, message + have, sizeof message - 1 - have);
        if (got <= 0)
            die("read");
        have += (size_t)got;
        message[have] = 0;
        char *end = body ? NULL : strstr(message, "\r\n\r\n");
        if (end) {
            *end = 0; /* the head is a text of its own */
            body = end + 4;
            const char *length = strcasestr(message, "\r\ncontent-length:");
            body_len = length ? strtoul(length + 17, NULL, 10) : 0;
        }
    }
    return body;
}

/* Copies the event's "name", as far as it needs no escaping; a real function brings a JSON parser. */
static void find_name(const char *event, char name[NAME_MAX_LEN + 1]) {
    const char *at = strstr(event, "\"name\"");
    if (!at || sscanf(at + 6, " : \"%100[^\"\\]\"", name) != 1)
        strcpy(name, "stranger");
}

int main(void) {
    connect_to_api();
    static const char next[] =
        "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: runtime\r\n\r\n";
    for (int count = 1;; count++) {
        const char *event = ask(next, sizeof next - 1);
        char id[ID_MAX + 1], name[NAME_MAX_LEN + 1], answer[256], request[1024];
        const char *header = strcasestr(message, "\r\nlambda-runtime-aws-request-id:");
        if (!header || sscanf(header + 32, " %64[^\r]", id) != 1) {
            fprintf(stderr, "an event without an id\n");
            return 1;
        }
        find_name(event, name);
        printf("greeting %s\n", name); /* goes to the function's log */
        fflush(stdout);
        int len = snprintf(answer, sizeof answer,
                           "{\"message\":\"Hello, %s, from a microVM\",\"events_here\":%d}", name, count);
        len = snprintf(request, sizeof request,
                       "POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\r\n"
                       "Host: runtime\r\nContent-Length: %d\r\n\r\n%s",
                       id, len, answer);
        ask(request, (size_t)len);
    }
}
