/*
 * Runs a fuzz target over files, and over the files of folders, with any compiler: the corpora are
 * tests. With libFuzzer the target is linked without this.
 */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz.h"

#define FILE_MAX (1u << 20)

static void replay_file(const char *path)
{
	uint8_t *room = malloc(FILE_MAX), *exact;
	FILE *file = fopen(path, "rb");
	size_t len;

	if (room == NULL || file == NULL) {
		perror(path);
		exit(EXIT_FAILURE);
	}
	len = fread(room, 1, FILE_MAX, file);
	fclose(file);
	exact = malloc(len ? len : 1); /* so that a sanitizer sees a byte read too many */
	if (exact == NULL)
		abort();
	memcpy(exact, room, len);
	LLVMFuzzerTestOneInput(exact, len);
	free(exact);
	free(room);
}

static unsigned replay_folder(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	unsigned count = 0;

	if (dir == NULL) {
		perror(path);
		exit(EXIT_FAILURE);
	}
	while ((entry = readdir(dir))) {
		char whole[4096];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(whole, sizeof whole, "%s/%s", path, entry->d_name);
		replay_file(whole);
		count++;
	}
	closedir(dir);
	return count;
}

int main(int argc, char **argv)
{
	unsigned count = 0;

	for (int i = 1; i < argc; i++) {
		struct stat st;

		if (stat(argv[i], &st) < 0) {
			perror(argv[i]);
			return EXIT_FAILURE;
		}
		if (S_ISDIR(st.st_mode)) {
			count += replay_folder(argv[i]);
		} else {
			replay_file(argv[i]);
			count++;
		}
	}
	printf("%s: %u inputs\n", argv[0], count);
	return count ? EXIT_SUCCESS : EXIT_FAILURE;
}
