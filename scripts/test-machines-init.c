/*
 * The first process of the machines that scripts/test-machines boots.
 *
 * It runs /wakerace once for each line of /commands, then prints the files in /work to the console and switches the machine
 * off. A line of /commands is a name and the arguments. The output of a run goes to NAME.out.
 *
 * It writes two files of its own:
 *
 *   statuses   a line for each run: its name, its exit status, and the milliseconds that it took
 *   affinity   the CPUs that each thread of a run could use, as /proc/PID/task/TID/status shows them, a line for each
 *              change: the name of the run, the thread's id, and the list of CPUs
 *
 * The console carries text only and is slow. So each file is packed (a block in the format of LZ4) and printed as base64,
 * between two lines that begin with MARK. Of a page (.html) only the hash is printed: FNV-1a of 64 bits.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MARK "==wakerace=="
#define MAX_ARGUMENTS 64
#define MAX_THREADS 4096
/* klogctl(2) has no names for these two. */
#define READ_ALL 3
#define CONSOLE_OFF 6

static struct {
    int id;
    char cpus[64];
} threads[MAX_THREADS];
static int thread_count;

static long long milliseconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* Writes a line if the list of CPUs is not the one that the thread had before. */
static void note_thread(FILE *affinity, const char *name, int id, const char *cpus)
{
    int at = 0;

    while (at < thread_count && threads[at].id != id)
        at++;
    if (at == MAX_THREADS || (at < thread_count && !strcmp(threads[at].cpus, cpus)))
        return;
    if (at == thread_count)
        thread_count++;
    threads[at].id = id;
    snprintf(threads[at].cpus, sizeof(threads[at].cpus), "%s", cpus);
    fprintf(affinity, "%s %d %s\n", name, id, cpus);
}

static void note_affinity(FILE *affinity, const char *name, pid_t process)
{
    char path[64], line[256], cpus[64];
    struct dirent *entry;
    DIR *tasks;

    snprintf(path, sizeof(path), "/proc/%d/task", process);
    tasks = opendir(path);
    while (tasks && (entry = readdir(tasks))) {
        FILE *status;

        snprintf(path, sizeof(path), "/proc/%d/task/%.10s/status", process, entry->d_name);
        status = entry->d_name[0] == '.' ? NULL : fopen(path, "r");
        while (status && fgets(line, sizeof(line), status))
            if (sscanf(line, "Cpus_allowed_list: %63s", cpus) == 1)
                note_thread(affinity, name, atoi(entry->d_name), cpus);
        if (status)
            fclose(status);
    }
    if (tasks)
        closedir(tasks);
}

static void run(char *command, FILE *statuses, FILE *affinity)
{
    char *arguments[MAX_ARGUMENTS + 1] = { "/wakerace" }, *name = strtok(command, " \n"), output[64];
    int count = 1, status = 0;
    long long begin = milliseconds();
    pid_t process;

    if (!name)
        return;
    while (count < MAX_ARGUMENTS && (arguments[count] = strtok(NULL, " \n")))
        count++;
    snprintf(output, sizeof(output), "%.50s.out", name);
    process = fork();
    if (process == 0) {
        int file = open(output, O_WRONLY | O_CREAT | O_TRUNC, 0644);

        dup2(file, 1);
        dup2(file, 2);
        execv(arguments[0], arguments);
        perror(arguments[0]);
        _exit(127);
    }
    thread_count = 0;
    while (waitpid(process, &status, WNOHANG) == 0) {
        note_affinity(affinity, name, process);
        usleep(10000);
    }
    fprintf(statuses, "%s %d %lld\n", name, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
            milliseconds() - begin);
}

static void print_hash(const char *name, FILE *file)
{
    unsigned long long hash = 0xcbf29ce484222325ULL;
    int byte;

    while ((byte = getc(file)) != EOF)
        hash = (hash ^ (unsigned char)byte) * 0x100000001b3ULL;
    printf("%s hash %s %016llx\n", MARK, name, hash);
}

/* A length of LZ4 beyond what its 4 bits in the token hold: bytes that are added up, the last one below 255. */
static unsigned char *put_length(unsigned char *to, size_t length)
{
    for (; length >= 255; length -= 255)
        *to++ = 255;
    *to++ = length;
    return to;
}

/* One sequence of LZ4: literals, then a match `distance` bytes back. `match` is 0 for the last one. */
static unsigned char *put_sequence(unsigned char *to, const unsigned char *literals, size_t count, size_t distance, size_t match)
{
    size_t more = match ? match - 4 : 0;

    *to++ = (count < 15 ? count : 15) << 4 | (more < 15 ? more : 15);
    if (count >= 15)
        to = put_length(to, count - 15);
    memcpy(to, literals, count);
    to += count;
    if (!match)
        return to;
    *to++ = distance & 255;
    *to++ = distance >> 8;
    return more >= 15 ? put_length(to, more - 15) : to;
}

/* Packs a file. `out` must have room for all of it and for a byte more in 255, and 16. Returns the packed size. */
static size_t pack(const unsigned char *in, size_t size, unsigned char *out)
{
    static size_t seen[1 << 16]; /* the last place of each hash of four bytes, plus 1 */
    size_t at = 0, begin = 0;
    unsigned char *to = out;

    memset(seen, 0, sizeof(seen));
    while (at + 4 <= size) {
        unsigned int word;
        size_t before, match = 4;

        memcpy(&word, in + at, 4);
        word = word * 2654435761u >> 16;
        before = seen[word];
        seen[word] = at + 1;
        if (!before || at - (before - 1) > 65535 || memcmp(in + before - 1, in + at, 4)) {
            at++;
            continue;
        }
        while (at + match < size && in[before - 1 + match] == in[at + match])
            match++;
        to = put_sequence(to, in + begin, at - begin, at - (before - 1), match);
        at += match;
        begin = at;
    }
    return put_sequence(to, in + begin, size - begin, 0, 0) - out;
}

static void print_base64(const unsigned char *data, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t at = 0; at < size; at += 3) {
        unsigned int word = data[at] << 16 | (at + 1 < size ? data[at + 1] << 8 : 0) | (at + 2 < size ? data[at + 2] : 0);

        putchar(digits[word >> 18]);
        putchar(digits[word >> 12 & 63]);
        putchar(at + 1 < size ? digits[word >> 6 & 63] : '=');
        putchar(at + 2 < size ? digits[word & 63] : '=');
        if (at % 57 == 54)
            putchar('\n');
    }
}

static void print_packed(const char *name, FILE *file)
{
    size_t size;
    unsigned char *data, *packed;

    fseek(file, 0, SEEK_END);
    size = ftell(file);
    rewind(file);
    data = malloc(size + 1);
    packed = malloc(size + size / 255 + 16);
    if (!data || !packed || fread(data, 1, size, file) != size) {
        printf("%s failed %s\n", MARK, name);
        return;
    }
    printf("%s file %s\n", MARK, name);
    print_base64(packed, pack(data, size, packed));
    printf("\n%s end %zu\n", MARK, size);
    free(data);
    free(packed);
}

static void print_files(void)
{
    DIR *folder = opendir(".");
    struct dirent *entry;

    while (folder && (entry = readdir(folder))) {
        const char *dot = strrchr(entry->d_name, '.');
        FILE *file = entry->d_type == DT_REG ? fopen(entry->d_name, "r") : NULL;

        if (file && dot && !strcmp(dot, ".html"))
            print_hash(entry->d_name, file);
        else if (file)
            print_packed(entry->d_name, file);
        if (file)
            fclose(file);
    }
    if (folder)
        closedir(folder);
}

static void write_messages(void)
{
    static char messages[1 << 20];
    int length = klogctl(READ_ALL, messages, sizeof(messages));
    FILE *file = fopen("messages", "w");

    if (file && length > 0)
        fwrite(messages, 1, length, file);
    if (file)
        fclose(file);
}

int main(void)
{
    FILE *commands = fopen("/commands", "r"), *statuses, *affinity, *page;
    char line[1024];

    mkdir("/proc", 0755);
    mkdir("/sys", 0755);
    mkdir("/work", 0755);
    mount("proc", "/proc", "proc", 0, NULL);
    mount("sysfs", "/sys", "sysfs", 0, NULL);
    mount("tmpfs", "/work", "tmpfs", 0, NULL);
    if (chdir("/work") || !commands)
        puts(MARK " failed");
    page = fopen("page-size", "w");
    fprintf(page, "%ld\n", sysconf(_SC_PAGESIZE));
    fclose(page);
    statuses = fopen("statuses", "w");
    affinity = fopen("affinity", "w");
    printf("%s started\n", MARK);
    fflush(stdout);
    while (commands && fgets(line, sizeof(line), commands)) {
        printf("%s run %s", MARK, line);
        fflush(stdout);
        run(line, statuses, affinity);
    }
    fclose(statuses);
    fclose(affinity);
    write_messages();
    /* The kernel's own messages would be printed between the lines of a file. */
    klogctl(CONSOLE_OFF, NULL, 0);
    print_files();
    printf("%s done\n", MARK);
    fflush(stdout);
    sleep(1);
    reboot(RB_POWER_OFF);
    return 1;
}
