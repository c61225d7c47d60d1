#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/completion.h"
#include "base/mem.h"
#include "ctl/command.h"
#include "model/host.h"
#include "net/http_ask.h"

#define ANSWER_WITHIN_S 60 /* a reload reads files and binds addresses */

static const struct command *const commands[] = {
    &command_status,
    &command_services,
    &command_endpoints,
    &command_history,
    &command_listeners,
    &command_pools,
    &command_errors,
    &command_top,
    &command_config,
    &command_reload,
    &command_upgrade,
    &command_drain,
    &command_undrain,
    &command_disable,
    &command_enable,
    &command_weight,
    &command_log,
    &command_explain,
    &command_tap,
    &command_why,
    &command_simulate,
    &command_dump,
};

/* Options that are no command's own. What is done with each is said by take_common and parse. */
static const struct completion_option common_options[] = {
    {'S', "socket", "PATH", "the admin socket (default: where bridled has it by default)"},
    {0, "json", NULL, "print JSON"},
    {'V', "version", NULL, "print the version"},
    {'h', "help", NULL, "print this, or how one command is used"},
};

enum action { LINE_RUN, LINE_HELP, LINE_VERSION };

/* A command line taken apart. */
struct line {
	enum action action;
	const char *socket; /* NULL: the default */
	/* What the completions of shells ask, ahead of all else; NULL: they do not. */
	const char *completion; /* for this shell */
	const char *words;      /* that can stand for this */
	bool json;
	int argc; /* the command and its words; 0: there is none */
	char **argv;
};

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (strcmp(name, commands[i]->name) == 0)
			return commands[i];
	return NULL;
}

static void print_usage(const struct command *command, FILE *to)
{
	fprintf(to, "Usage: bridlectl [-S PATH] [--json] %s%s%s\n", command->name,
	    command->usage[0] ? " " : "", command->usage);
}

static void print_options(FILE *to)
{
	for (size_t i = 0; i < ARRAY_LEN(common_options); i++) {
		const struct completion_option *option = &common_options[i];
		char letter[8] = "    ", column[32];

		if (option->letter)
			snprintf(letter, sizeof letter, "-%c, ", option->letter);
		snprintf(column, sizeof column, "--%s%s%s", option->name, option->value ? " " : "",
		    option->value ? option->value : "");
		fprintf(to, "  %s%-14s %s\n", letter, column, option->help);
	}
}

static void print_help(FILE *to)
{
	fputs("Usage: bridlectl [-S PATH] [--json] COMMAND [WORD]...\n"
	      "Asks a running bridled, over its admin socket.\n\n",
	    to);
	print_options(to);
	fputc('\n', to);
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		char column[160];

		snprintf(column, sizeof column, "%s %.*s", commands[i]->name,
		    (int)strcspn(commands[i]->usage, "\n"), commands[i]->usage);
		if (strlen(column) > 30)
			fprintf(to, "  %s\n%34s%s\n", column, "", commands[i]->help);
		else
			fprintf(to, "  %-30s  %s\n", column, commands[i]->help);
	}
	fputs(
	    "\nExit status: 0 done, 1 refused or failed, 2 wrong command line, 3 no daemon answers.\n"
	    "Manual: bridlectl(1).\n",
	    to);
}

enum ctl_exit ctl_refuse(
    const struct ctl *ctl, const struct command *command, const char *format, ...)
{
	va_list args;

	fprintf(ctl->errors, "bridlectl: %s: ", command->name);
	va_start(args, format);
	vfprintf(ctl->errors, format, args);
	va_end(args);
	fputc('\n', ctl->errors);
	print_usage(command, ctl->errors);
	return CTL_USAGE;
}

enum ctl_exit ctl_ask(const struct ctl *ctl, const char *method, const char *target,
    struct slice body, struct http_answer *answer)
{
	struct err err;
	int fd = http_ask_open(ctl->socket, ANSWER_WITHIN_S, &err), rc;

	*answer = (struct http_answer){0};
	if (fd < 0) {
		fprintf(ctl->errors,
		    "bridlectl: no daemon answers at %s: %s\n"
		    "    -S says where the admin socket is, if not there\n",
		    ctl->socket, err.text);
		return CTL_UNREACHABLE;
	}
	rc = http_ask(fd, method, target, body, answer, &err);
	close(fd);
	if (rc == 0)
		return CTL_DONE;
	fprintf(ctl->errors, "bridlectl: %s: %s\n", ctl->socket, err.text);
	return CTL_UNREACHABLE;
}

/* --- the command line --- */

static bool is_word(const char *word, const char *letter, const char *name)
{
	return strcmp(word, name) == 0 || (letter && strcmp(word, letter) == 0);
}

/* An option that means the same before a command and after it. Returns how many words it took: 0
 * when it is none of them, -1 when its value is missing. */
static int take_common(struct line *line, char **words)
{
	static const char socket_is[] = "--socket=";

	if (is_word(words[0], "-h", "--help")) {
		line->action = LINE_HELP;
	} else if (is_word(words[0], NULL, "--json")) {
		line->json = true;
	} else if (strncmp(words[0], socket_is, sizeof socket_is - 1) == 0) {
		line->socket = words[0] + sizeof socket_is - 1;
	} else if (is_word(words[0], "-S", "--socket")) {
		line->socket = words[1];
		return words[1] ? 2 : -1;
	} else {
		return 0;
	}
	return 1;
}

/* Returns how many words it took. */
static int take_asked(struct line *line, int argc, char **argv)
{
	if (argc < 3)
		return 0;
	if (strcmp(argv[1], "--completion") == 0)
		line->completion = argv[2];
	else if (strcmp(argv[1], "--words") == 0)
		line->words = argv[2];
	return line->completion || line->words ? 2 : 0;
}

/* Takes the common options out; what is left belongs to the command. The array keeps its order. */
static int parse(struct line *line, int argc, char **argv, FILE *errors)
{
	bool is_plain = false; /* after -- all words are the command's */

	*line = (struct line){.argv = mem_calloc((size_t)argc + 1, sizeof *argv)};
	for (int i = 1 + take_asked(line, argc, argv), took; i < argc; i += took) {
		took = is_plain ? 0 : take_common(line, argv + i);
		if (took < 0) {
			fprintf(
			    errors, "bridlectl: %s needs a value; see bridlectl --help\n", argv[i]);
			return -1;
		}
		if (took > 0)
			continue;
		took = 1;
		if (line->argc == 0 && is_word(argv[i], "-V", "--version")) {
			line->action = LINE_VERSION;
		} else if (line->argc == 0 && argv[i][0] == '-') {
			fprintf(errors, "bridlectl: there is no option %s; see bridlectl --help\n",
			    argv[i]);
			return -1;
		} else {
			is_plain = is_plain || strcmp(argv[i], "--") == 0;
			line->argv[line->argc++] = argv[i];
		}
	}
	return 0;
}

static const char *default_socket(struct arena *arena)
{
	return host_admin_socket(arena, getenv("RUNTIME_DIRECTORY"), getenv("XDG_RUNTIME_DIR"));
}

static enum ctl_exit run_words(const struct line *line, struct ctl *ctl)
{
	struct arena arena;

	arena_init(&arena, NULL, 0);
	ctl->socket = line->socket ? line->socket : default_socket(&arena);
	ctl_words(ctl, line->words);
	arena_fini(&arena);
	return CTL_DONE;
}

static enum ctl_exit run_command(const struct line *line, struct ctl *ctl)
{
	const struct command *command = find_command(line->argv[0]);
	struct arena arena;
	enum ctl_exit code;

	if (command == NULL) {
		fprintf(ctl->errors, "bridlectl: there is no command %s; see bridlectl --help\n",
		    line->argv[0]);
		return CTL_USAGE;
	}
	if (line->action == LINE_HELP) {
		print_usage(command, ctl->out);
		fprintf(ctl->out, "%s\n", command->help);
		return CTL_DONE;
	}
	arena_init(&arena, NULL, 0);
	ctl->socket = line->socket ? line->socket : default_socket(&arena);
	optind = 0; /* for commands with options of their own; start anew */
	opterr = 0;
	code = command->run(line->argc, line->argv, ctl);
	arena_fini(&arena);
	return code;
}

static enum ctl_exit print_completion(const char *word, FILE *out, FILE *errors)
{
	struct completion_command offered[ARRAY_LEN(commands)];
	struct completion_program program = {
	    .name = "bridlectl",
	    .options = common_options,
	    .n_options = ARRAY_LEN(common_options),
	    .commands = offered,
	    .n_commands = ARRAY_LEN(commands),
	    .answers = true,
	};
	enum completion_shell shell;

	if (!completion_shell_parse(word, &shell)) {
		fprintf(errors, "bridlectl: --completion %s: there are bash, zsh and fish\n", word);
		return CTL_USAGE;
	}
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		offered[i] = (struct completion_command){
		    commands[i]->name, commands[i]->usage, commands[i]->help};
	completion_print(&program, shell, out);
	return CTL_DONE;
}

static enum ctl_exit act(const struct line *line, FILE *out, FILE *errors)
{
	struct ctl ctl = {.json = line->json, .out = out, .errors = errors};

	if (line->completion)
		return print_completion(line->completion, out, errors);
	if (line->words)
		return run_words(line, &ctl);
	if (line->action == LINE_VERSION) {
		fprintf(out, "bridlectl %s\n", PACKAGE_VERSION);
		return CTL_DONE;
	}
	if (line->argc)
		return run_command(line, &ctl);
	if (line->action == LINE_HELP) {
		print_help(out);
		return CTL_DONE;
	}
	fputs("bridlectl: which command? see bridlectl --help\n", errors);
	return CTL_USAGE;
}

enum ctl_exit ctl_run(int argc, char **argv, FILE *out, FILE *errors)
{
	struct line line;
	enum ctl_exit code = CTL_USAGE;

	if (parse(&line, argc, argv, errors) == 0)
		code = act(&line, out, errors);
	free(line.argv);
	if (fflush(out) != 0 && code == CTL_DONE)
		code = CTL_FAILED;
	return code;
}
