/* SPDX-License-Identifier: Apache-2.0
 *
 * replay.c - feed the files of the given folders to a fuzz target, once each: the seeds in every test run.
 */
#include "fuzz.h"
#include <dirent.h>
#include <string.h>

enum { INPUT_MAX = 1 << 20 };

static bool replay_file(const char *path)
{
    static uint8_t room[INPUT_MAX];
    FILE *file = fopen(path, "rb");
    uint8_t *exact;
    size_t len;

    if (file == NULL) {
        perror(path);
        return false;
    }
    len = fread(room, 1, sizeof(room), file);
    fclose(file);
    /* A block of exactly this length: a read past the end is then seen by the sanitizer. */
    exact = malloc(len > 0 ? len : 1);
    if (exact == NULL)
        return false;
    memcpy(exact, room, len);
    fprintf(stderr, "%s\n", path); /* the last line is the one that ended the program */
    LLVMFuzzerTestOneInput(exact, len);
    free(exact);
    return true;
}

static int replay_folder(const char *folder)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    char path[4096];
    int n = 0;

    if (dir == NULL) {
        perror(folder);
        return -1;
    }
    while ((entry = readdir(dir)) != NULL && n >= 0) {
        if (entry->d_name[0] == '.')
            continue;
        if (snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name) >= (int)sizeof(path) ||
            !replay_file(path))
            n = -1;
        else
            n++;
    }
    closedir(dir);
    return n;
}

int main(int argc, char **argv)
{
    LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    for (int i = 1; i < argc; i++) {
        int n = replay_folder(argv[i]);

        if (n <= 0) {
            fprintf(stderr, "%s: no seed could be replayed\n", argv[i]);
            return 1;
        }
        printf("%s: %d seeds\n", argv[i], n);
    }
    return argc > 1 ? 0 : 2;
}
