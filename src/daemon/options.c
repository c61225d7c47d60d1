#include "daemon/options.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "base/completion.h"
#include "base/mem.h"
#include "base/text.h"

struct option_row {
	int letter; /* above 255: there is no short form */
	const char *name;
	const char *value; /* what stands for the value in --help; NULL: takes none */
	const char *help;  /* NULL: for our own build, not offered */
	int action;        /* enum options_action, or -1 when it only sets something */
};

enum { LONG_SET = 256, LONG_SCHEMA, LONG_MANUAL, LONG_COMPLETION, LONG_UPGRADE };

static const struct option_row rows[] = {
    {'c', "config", "PATH", "file or directory of *.yaml (default " OPTIONS_CONFIG_PATH ")", -1},
    {'t', "check-config", NULL, "check the configuration, print all problems, exit 0 or 1",
	OPTIONS_CHECK},
    {'q', "quiet", NULL, "with -t: print errors only", -1},
    {'W', "warnings-are-errors", NULL, "with -t: a warning makes the check fail", -1},
    {'T', "dump-config", NULL, "print the effective configuration and where each value is from",
	OPTIONS_DUMP},
    {LONG_SET, "set", "KEY=VALUE", "put a value in place of the file's; may be repeated", -1},
    {LONG_SCHEMA, "schema", NULL, "print the JSON Schema of the configuration file",
	OPTIONS_SCHEMA},
    {LONG_MANUAL, "manual", NULL, NULL, OPTIONS_MANUAL},
    {LONG_COMPLETION, "completion", "SHELL", NULL, OPTIONS_COMPLETION},
    {LONG_UPGRADE, "upgrade", NULL, NULL, -1},
    {'s', "signal", "COMMAND", "tell the running daemon: reload, stop, quit, reopen or upgrade",
	OPTIONS_SIGNAL},
    {'v', "version", NULL, "print the version", OPTIONS_VERSION},
    {'V', "build", NULL, "print the version, the libraries and the protocols", OPTIONS_BUILD},
    {'h', "help", NULL, "print this", OPTIONS_HELP},
};

static const char *const command_names[] = {
    [COMMAND_RELOAD] = "reload",
    [COMMAND_STOP] = "stop",
    [COMMAND_QUIT] = "quit",
    [COMMAND_REOPEN] = "reopen",
    [COMMAND_UPGRADE] = "upgrade",
};

const char *options_command_name(enum options_command command)
{
	return command_names[command];
}

static const struct option_row *find_row(int letter)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].letter == letter)
			return &rows[i];
	return NULL;
}

/* What getopt_long wants to know, out of our table. */
static void build_tables(char *letters, struct option *longs)
{
	*letters++ = ':'; /* tell a missing value from an unknown option */
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		longs[i] = (struct option){rows[i].name,
		    rows[i].value ? required_argument : no_argument, NULL, rows[i].letter};
		if (rows[i].letter > 255)
			continue;
		*letters++ = (char)rows[i].letter;
		if (rows[i].value)
			*letters++ = ':';
	}
	*letters = '\0';
	longs[ARRAY_LEN(rows)] = (struct option){0};
}

static int parse_command(struct options *o, const char *word, FILE *errors)
{
	for (size_t i = 0; i < ARRAY_LEN(command_names); i++) {
		if (strcmp(word, command_names[i]) == 0) {
			o->command = (enum options_command)i;
			return 0;
		}
	}
	fprintf(errors,
	    "bridled: -s %s: no such command; there are reload, stop, quit, reopen, upgrade\n",
	    word);
	return -1;
}

static int take_option(
    struct options *o, const struct option_row *row, const char *value, FILE *errors)
{
	if (row->action >= 0 && o->action != OPTIONS_RUN &&
	    o->action != (enum options_action)row->action) {
		fprintf(errors, "bridled: --%s cannot stand with another action\n", row->name);
		return -1;
	}
	if (row->action >= 0)
		o->action = (enum options_action)row->action;
	switch (row->letter) {
	case 'c':
		o->config_path = value;
		break;
	case 'q':
		o->quiet = true;
		break;
	case 'W':
		o->warnings_are_errors = true;
		break;
	case LONG_SET:
		o->overrides[o->n_overrides++] = value;
		break;
	case LONG_UPGRADE:
		o->upgrades = true;
		break;
	case 's':
		return parse_command(o, value, errors);
	case LONG_COMPLETION:
		o->shell = value;
		break;
	}
	return 0;
}

static int refuse(int c, char **argv, FILE *errors)
{
	const char *word = argv[optind - 1];

	if (c == ':')
		fprintf(errors, "bridled: %s needs a value; see bridled --help\n", word);
	else if (optopt && optopt < 256 && find_row(optopt) == NULL)
		fprintf(errors, "bridled: there is no option -%c; see bridled --help\n", optopt);
	else
		fprintf(errors, "bridled: %s is not understood; see bridled --help\n", word);
	return -1;
}

/* How many words are before "--"; what is behind it belongs to the command of `run`. */
static int own_words(int argc, char **argv)
{
	int n = 1;

	while (n < argc && strcmp(argv[n], "--") != 0)
		n++;
	return n < argc ? n : argc;
}

/* What is no option: nothing, or run and, behind the first @own words, a command. */
static int take_words(struct options *o, int own, int argc, char **argv, FILE *errors)
{
	bool is_run = optind < own && strcmp(argv[optind], "run") == 0;
	int next = is_run ? optind + 1 : optind;

	if (next < own || (!is_run && own + 1 < argc)) {
		fprintf(errors, "bridled: %s: no argument is expected; see bridled --help\n",
		    argv[next < own ? next : own + 1]);
		return -1;
	}
	if (!is_run)
		return 0;
	if (own + 1 >= argc) {
		fputs("bridled: run: which command? bridled run [OPTION]... -- COMMAND [WORD]...\n",
		    errors);
		return -1;
	}
	if (o->action != OPTIONS_RUN) {
		fputs("bridled: run cannot stand with another action\n", errors);
		return -1;
	}
	o->command_line = argv + own + 1;
	return 0;
}

int options_parse(struct options *o, int argc, char **argv, FILE *errors)
{
	char letters[2 * ARRAY_LEN(rows) + 2];
	struct option longs[ARRAY_LEN(rows) + 1];
	int c, own = own_words(argc, argv);

	*o = (struct options){.config_path = OPTIONS_CONFIG_PATH};
	o->argv = argv;
	o->overrides = mem_calloc((size_t)argc, sizeof *o->overrides);
	build_tables(letters, longs);
	optind = 0; /* start anew, also for a second parse in one process */
	opterr = 0;
	while ((c = getopt_long(own, argv, letters, longs, NULL)) != -1) {
		if (c == ':' || c == '?')
			return refuse(c, argv, errors);
		if (take_option(o, find_row(c), optarg, errors) < 0)
			return -1;
	}
	if (take_words(o, own, argc, argv, errors) < 0)
		return -1;
	if (o->action != OPTIONS_CHECK && (o->quiet || o->warnings_are_errors)) {
		fprintf(errors, "bridled: -%c means something with -t only; see bridled --help\n",
		    o->quiet ? 'q' : 'W');
		return -1;
	}
	return 0;
}

void options_fini(struct options *o)
{
	free(o->overrides);
	o->overrides = NULL;
}

void options_help(FILE *to)
{
	fputs(
	    "Usage: bridled [OPTION]...\n"
	    "       bridled run [OPTION]... -- COMMAND [WORD]...\n"
	    "A sidecar proxy for services that speak the Kitex protocols. Runs in the foreground; with run,\n"
	    "the application that it stands beside runs under it, and its exit status is returned.\n\n",
	    to);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char column[64];

		if (rows[i].help == NULL)
			continue;
		snprintf(column, sizeof column, "--%s%s%s", rows[i].name, rows[i].value ? " " : "",
		    rows[i].value ? rows[i].value : "");
		if (rows[i].letter < 256)
			fprintf(to, "  -%c, %-24s %s\n", rows[i].letter, column, rows[i].help);
		else
			fprintf(to, "      %-24s %s\n", column, rows[i].help);
	}
	fputs("\nExit status: 0 clean stop, 1 failure, 2 wrong command line, 75 address in use,\n"
	      "78 error in the configuration. Manual: bridled(8), bridled.yaml(5).\n",
	    to);
}

/* The words of -s, with bars between them, as a string. */
static void join_commands(struct text *words)
{
	for (size_t i = 0; i < ARRAY_LEN(command_names); i++)
		text_printf(words, "%s%s", i ? "|" : "", command_names[i]);
	text_add(words, slice_of("", 1));
}

int options_completion(const char *word, FILE *to)
{
	struct completion_option offered[ARRAY_LEN(rows)];
	static const struct completion_command run = {
	    "run", "-- COMMAND", "start the application under the sidecar"};
	struct completion_program program = {
	    .name = "bridled", .options = offered, .commands = &run, .n_commands = 1};
	enum completion_shell shell;
	struct text words = {0};

	if (!completion_shell_parse(word, &shell))
		return -1;
	join_commands(&words);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct option_row *row = &rows[i];

		if (row->help)
			offered[program.n_options++] = (struct completion_option){
			    .letter = row->letter < 256 ? row->letter : 0,
			    .name = row->name,
			    .value = row->letter == 's' ? words.bytes : row->value,
			    .help = row->help,
			};
	}
	completion_print(&program, shell, to);
	text_fini(&words);
	return 0;
}
