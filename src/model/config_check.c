#include "model/config_check.h"

void config_check(const struct config *config, struct problems *problems)
{
	config_check_listeners(config, problems);
	config_check_services(config, problems);
}
void config_check_listeners(const struct config *config, struct problems *problems)
{
	(void)config;
	(void)problems;
}
void config_check_services(const struct config *config, struct problems *problems)
{
	(void)config;
	(void)problems;
}
