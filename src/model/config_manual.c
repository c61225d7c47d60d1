#include "model/config_dump.h"

void config_manual(FILE *to)
{
	(void)to;
}
