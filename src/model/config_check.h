/*
 * The rules that hold between values: what one of them alone cannot tell. They look at a bound
 * configuration, say what is wrong with places and remedies, and change nothing.
 */
#ifndef BRIDLE_MODEL_CONFIG_CHECK_H
#define BRIDLE_MODEL_CONFIG_CHECK_H

#include "model/config.h"

void config_check(const struct config *config, struct problems *problems);

/* Its parts. */
void config_check_listeners(const struct config *config, struct problems *problems);
void config_check_services(const struct config *config, struct problems *problems);

#endif
