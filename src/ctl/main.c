/* The program bridlectl. */
#include "ctl/command.h"

int main(int argc, char **argv)
{
	return (int)ctl_run(argc, argv, stdout, stderr);
}
