/* One screen of top as JSON. */
#ifndef BRIDLE_CTL_TOP_JSON_H
#define BRIDLE_CTL_TOP_JSON_H

#include "ctl/top_rows.h"

/* The caller owns it. @seconds: between the two samples. */
struct cJSON *top_json(const struct top_rows *rows, double seconds);

#endif
