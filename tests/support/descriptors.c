#include "support/descriptors.h"

#include <dirent.h>
#include <stdlib.h>

int descriptors_open(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	if (dir == NULL)
		abort();
	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 3; /* ".", "..", and the directory itself */
}
