#include "base/completion.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "base/usage.h"

/* What can be typed: anywhere, or with one command. */
struct place {
	const char *command; /* NULL: anywhere */
	struct usage_option options[USAGE_OPTIONS_MAX];
	size_t n_options;
	struct slice operand; /* the first that can be completed; empty: none */
};

static const char *const file_kinds[] = {"PATH", "FILE", "PLAN"};
static const char *const asked_kinds[] = {
    "SERVICE", "SERVICE/METHOD", "ENDPOINT", "LISTENER", "REASON", "LEVEL"};

bool completion_shell_parse(const char *word, enum completion_shell *shell)
{
	static const char *const names[] = {
	    [COMPLETION_BASH] = "bash", [COMPLETION_ZSH] = "zsh", [COMPLETION_FISH] = "fish"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (strcmp(word, names[i]) == 0) {
			*shell = (enum completion_shell)i;
			return true;
		}
	}
	return false;
}

static bool is_one_of(struct slice word, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (slice_eq_str(word, list[i]))
			return true;
	return false;
}

static bool is_file(struct slice kind)
{
	return is_one_of(kind, file_kinds, ARRAY_LEN(file_kinds));
}

static bool is_asked(struct slice kind)
{
	return is_one_of(kind, asked_kinds, ARRAY_LEN(asked_kinds));
}

static bool is_words(struct slice kind)
{
	return kind.len && memchr(kind.data, '|', kind.len);
}

static bool is_program(struct slice kind)
{
	return slice_eq_str(kind, "COMMAND");
}

/* --- what there is --- */

/* The options of the program itself, which may stand anywhere. */
static void place_common(struct place *place, const struct completion_program *program)
{
	*place = (struct place){0};
	for (size_t i = 0; i < program->n_options; i++) {
		const struct completion_option *option = &program->options[i];

		assert(place->n_options < USAGE_OPTIONS_MAX);
		place->options[place->n_options++] = (struct usage_option){
		    .letter = (char)option->letter,
		    .name = slice_str(option->name),
		    .value = slice_str(option->value),
		    .help = slice_str(option->help),
		};
	}
}

/* What one command has of its own. */
static void place_command(struct place *place, const struct completion_command *command)
{
	struct usage usage;

	*place = (struct place){.command = command->name};
	usage_read(&usage, command->usage);
	memcpy(place->options, usage.options, usage.n_options * sizeof *place->options);
	place->n_options = usage.n_options;
	for (size_t i = usage.n_operands; i-- > 0;)
		if (is_file(usage.operands[i]) || is_asked(usage.operands[i]) ||
		    is_words(usage.operands[i]) || is_program(usage.operands[i]))
			place->operand = usage.operands[i];
}

/* --- bash --- */

/* Words with bars between them, with blanks between. */
static void print_words(struct slice words, FILE *to)
{
	for (size_t i = 0; i < words.len; i++)
		fputc(words.data[i] == '|' ? ' ' : words.data[i], to);
}

static void print_kind(struct slice kind, FILE *to)
{
	if (is_words(kind)) {
		fputs("words='", to);
		print_words(kind, to);
		fputs("' kind=words", to);
	} else {
		fprintf(to, "kind=%.*s", (int)kind.len, (const char *)kind.data);
	}
}

static void print_dashed(const struct usage_option *option, const char *between, FILE *to)
{
	if (option->letter)
		fprintf(to, "-%c%s", option->letter, option->name.len ? between : "");
	if (option->name.len)
		fprintf(to, "--%.*s", (int)option->name.len, (const char *)option->name.data);
}

static void bash_options(const struct place *place, FILE *to)
{
	fputs("\toptions+='", to);
	for (size_t i = 0; i < place->n_options; i++) {
		fputc(' ', to);
		print_dashed(&place->options[i], " ", to);
	}
	fputs("'\n", to);
}

static void bash_place(const struct place *place, FILE *to)
{
	if (place->n_options)
		bash_options(place, to);
	fputs("\tcase $previous in\n", to);
	for (size_t i = 0; i < place->n_options; i++) {
		if (place->options[i].value.len == 0)
			continue;
		fputs("\t", to);
		print_dashed(&place->options[i], " | ", to);
		fputs(") ", to);
		print_kind(place->options[i].value, to);
		fputs(" ;;\n", to);
	}
	if (place->operand.len) {
		fputs("\t*) [[ $kind ]] || ", to);
		print_kind(place->operand, to);
		fputs(" ;;\n", to);
	}
	fputs("\tesac\n", to);
}

/* A loop that finds the command; options with a value take a word more. */
static void bash_find_command(const struct completion_program *program, FILE *to)
{
	fputs(
	    "\tlocal command='' i\n\tfor ((i = 1; i < ${#typed[@]} - 1; i++)); do\n\t\tcase ${typed[i]} in\n",
	    to);
	for (size_t i = 0; i < program->n_options; i++) {
		const struct completion_option *option = &program->options[i];

		if (option->value == NULL)
			continue;
		if (option->letter)
			fprintf(to, "\t\t-%c | --%s) ((i++)) ;;\n", option->letter, option->name);
		else
			fprintf(to, "\t\t--%s) ((i++)) ;;\n", option->name);
	}
	fputs(
	    "\t\t-*) ;;\n\t\t*)\n\t\t\tcommand=${typed[i]}\n\t\t\tbreak\n\t\t\t;;\n\t\tesac\n\tdone\n",
	    to);
}

static void bash_commands(const struct completion_program *program, FILE *to)
{
	struct place place;

	fputs("\tcase $command in\n\t'')\n\t[[ $kind ]] || words='", to);
	for (size_t i = 0; i < program->n_commands; i++)
		fprintf(to, "%s%s", i ? " " : "", program->commands[i].name);
	fputs("' kind=words\n\t;;\n", to);
	for (size_t i = 0; i < program->n_commands; i++) {
		place_command(&place, &program->commands[i]);
		if (place.n_options == 0 && place.operand.len == 0)
			continue;
		fprintf(to, "\t%s)\n", place.command);
		bash_place(&place, to);
		fputs("\t;;\n", to);
	}
	fputs("\tesac\n", to);
}

static void bash_print(const struct completion_program *program, FILE *to)
{
	const char *name = program->name;
	struct place place;

	fprintf(to,
	    "# Completion of %s for bash, as \"%s --completion bash\" prints it.\n"
	    "_%s()\n{\n"
	    "\tlocal typed current previous options='' words='' kind=''\n\n"
	    "\tread -ra typed <<<\"${COMP_LINE:0:COMP_POINT}x\"\n"
	    "\tcurrent=${typed[-1]%%x}\n"
	    "\tprevious=${typed[-2]-}\n",
	    name, name, name);
	fputs("\tif [[ $current == --*=* ]]; then\n"
	      "\t\tprevious=${current%%=*}\n"
	      "\t\tcurrent=${current#*=}\n"
	      "\tfi\n",
	    to);
	place_common(&place, program);
	bash_place(&place, to);
	if (program->n_commands) {
		bash_find_command(program, to);
		bash_commands(program, to);
	}
	fputs("\tif [[ $current == -* ]]; then\n"
	      "\t\twords=$options kind=words\n"
	      "\tfi\n"
	      "\tcase $kind in\n"
	      "\tPATH | FILE | PLAN)\n"
	      "\t\tcompopt -o filenames 2>/dev/null\n"
	      "\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$current\")\n"
	      "\t\t;;\n"
	      "\tCOMMAND) mapfile -t COMPREPLY < <(compgen -c -- \"$current\") ;;\n"
	      "\twords) mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\") ;;\n",
	    to);
	if (program->answers) {
		fputs("\t", to);
		for (size_t i = 0; i < ARRAY_LEN(asked_kinds); i++)
			fprintf(to, "%s%s", i ? " | " : "", asked_kinds[i]);
		fprintf(to, ")\n\t\twords=$(\"${typed[0]}\" --words \"$kind\" \"${typed[@]:1}\" "
			    "2>/dev/null)\n"
			    "\t\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\")\n"
			    "\t\t;;\n");
	}
	fputs(
	    "\tesac\n"
	    "\t# A colon parts words for the shell: what stands before the last one is there already.\n"
	    "\tif [[ $current == *:* && $COMP_WORDBREAKS == *:* ]]; then\n"
	    "\t\tCOMPREPLY=(\"${COMPREPLY[@]#\"${current%\"${current##*:}\"}\"}\")\n"
	    "\tfi\n}\n",
	    to);
	fprintf(to, "complete -F _%s %s\n", name, name);
}

/* --- zsh --- */

/* Between single quotes of zsh, in a part of a specification that ends at a colon or a bracket. */
static void zsh_text(struct slice text, FILE *to)
{
	for (size_t i = 0; i < text.len; i++) {
		char c = (char)text.data[i];

		if (c == '\'')
			fputs("'\\''", to);
		else if (strchr(":[]\\", c))
			fprintf(to, "\\%c", c);
		else
			fputc(c, to);
	}
}

/* ":VALUE:action" */
static void zsh_kind(const struct completion_program *program, struct slice kind, FILE *to)
{
	fputc(':', to);
	zsh_text(kind, to);
	fputc(':', to);
	if (is_file(kind))
		fputs("_files", to);
	else if (is_program(kind))
		fputs("_command_names -e", to);
	else if (is_asked(kind))
		fprintf(
		    to, "{_%s_asked %.*s}", program->name, (int)kind.len, (const char *)kind.data);
	else if (is_words(kind)) {
		fputc('(', to);
		print_words(kind, to);
		fputc(')', to);
	}
}

/* Specifications for _arguments, one in a line. */
static void zsh_place(const struct completion_program *program, const struct place *place, FILE *to)
{
	for (size_t i = 0; i < place->n_options; i++) {
		const struct usage_option *option = &place->options[i];

		fputs("\t\t", to);
		if (option->letter && option->name.len)
			fprintf(to, "{-%c,", option->letter);
		else if (option->letter)
			fprintf(to, "-%c", option->letter);
		if (option->name.len)
			fprintf(to, "--%.*s%s", (int)option->name.len,
			    (const char *)option->name.data, option->value.len ? "=" : "");
		fputs(option->letter && option->name.len ? "}'[" : "'[", to);
		zsh_text(option->help, to);
		fputc(']', to);
		if (option->value.len)
			zsh_kind(program, option->value, to);
		fputs("'\n", to);
	}
	if (place->operand.len) {
		fputs("\t\t'*", to);
		zsh_kind(program, place->operand, to);
		fputs("'\n", to);
	}
}

static void zsh_commands(const struct completion_program *program, FILE *to)
{
	struct place place;

	fputs("\t_arguments -C $common '1:command:->command' '*::word:->word'\n"
	      "\tcase $state in\n\tcommand)\n\t\tlocal -a commands=(\n",
	    to);
	for (size_t i = 0; i < program->n_commands; i++) {
		fprintf(to, "\t\t'%s:", program->commands[i].name);
		zsh_text(slice_str(program->commands[i].help), to);
		fputs("'\n", to);
	}
	fputs("\t\t)\n\t\t_describe command commands\n\t\treturn\n\t\t;;\n"
	      "\tword)\n\t\tlocal -a own\n\t\tcase $words[1] in\n",
	    to);
	for (size_t i = 0; i < program->n_commands; i++) {
		place_command(&place, &program->commands[i]);
		if (place.n_options == 0 && place.operand.len == 0)
			continue;
		fprintf(to, "\t\t%s) own=(\n", place.command);
		zsh_place(program, &place, to);
		fputs("\t\t) ;;\n", to);
	}
	fputs("\t\tesac\n\t\t_arguments $common $own\n\t\t;;\n\tesac\n", to);
}

static void zsh_print(const struct completion_program *program, FILE *to)
{
	const char *name = program->name;
	struct place place;

	fprintf(to, "#compdef %s\n# As \"%s --completion zsh\" prints it.\n", name, name);
	if (program->answers)
		fprintf(to,
		    "_%s_asked()\n{\n"
		    "\tlocal -a found\n"
		    "\tfound=(${(f)\"$(%s --words $1 $typed[2,-1] 2>/dev/null)\"})\n"
		    "\tcompadd -a found\n}\n",
		    name, name);
	fprintf(to,
	    "_%s()\n{\n"
	    "\tlocal context curcontext=$curcontext state line\n"
	    "\tlocal -a typed=($words)\n"
	    "\ttypeset -A opt_args\n"
	    "\tlocal -a common=(\n",
	    name);
	place_common(&place, program);
	zsh_place(program, &place, to);
	fputs("\t)\n", to);
	if (program->n_commands)
		zsh_commands(program, to);
	else
		fputs("\t_arguments $common\n", to);
	fprintf(to, "}\n_%s \"$@\"\n", name);
}

/* --- fish --- */

static void fish_text(struct slice text, FILE *to)
{
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] == '\'' || text.data[i] == '\\')
			fputc('\\', to);
		fputc(text.data[i], to);
	}
}

/* What completes a value or a word. */
static void fish_kind(const struct completion_program *program, struct slice kind, FILE *to)
{
	if (is_file(kind)) {
		fputs(" -F", to);
	} else if (is_words(kind)) {
		fputs(" -x -a '", to);
		print_words(kind, to);
		fputc('\'', to);
	} else if (is_asked(kind)) {
		fprintf(to, " -x -a '(__%s_asked %.*s)'", program->name, (int)kind.len,
		    (const char *)kind.data);
	} else if (is_program(kind)) {
		fputs(" -x -a '(__fish_complete_subcommand)'", to);
	} else {
		fputs(" -x", to);
	}
}

static void fish_line(const struct completion_program *program, const struct place *place, FILE *to)
{
	fprintf(to, "complete -c %s", program->name);
	if (place->command)
		fprintf(to, " -n 'test \"$(__%s_command)\" = %s'", program->name, place->command);
}

static void fish_place(
    const struct completion_program *program, const struct place *place, FILE *to)
{
	for (size_t i = 0; i < place->n_options; i++) {
		const struct usage_option *option = &place->options[i];

		fish_line(program, place, to);
		if (option->letter)
			fprintf(to, " -s %c", option->letter);
		if (option->name.len)
			fprintf(
			    to, " -l %.*s", (int)option->name.len, (const char *)option->name.data);
		if (option->value.len) {
			fputs(" -r", to);
			fish_kind(program, option->value, to);
		}
		fputs(" -d '", to);
		fish_text(option->help, to);
		fputs("'\n", to);
	}
	if (place->operand.len) {
		fish_line(program, place, to);
		fish_kind(program, place->operand, to);
		fputc('\n', to);
	}
}

/* A function that prints the command that is typed; options with a value take a word more. */
static void fish_find_command(const struct completion_program *program, FILE *to)
{
	fprintf(to,
	    "function __%s_command\n"
	    "\tset -l typed (commandline -opc)\n"
	    "\tset -e typed[1]\n"
	    "\twhile set -q typed[1]\n"
	    "\t\tswitch $typed[1]\n",
	    program->name);
	for (size_t i = 0; i < program->n_options; i++) {
		const struct completion_option *option = &program->options[i];

		if (option->value == NULL)
			continue;
		fprintf(to, "\t\t\tcase --%s", option->name);
		if (option->letter)
			fprintf(to, " -%c", option->letter);
		fputs("\n\t\t\t\tset -e typed[1]\n", to);
	}
	fputs("\t\t\tcase '-*'\n"
	      "\t\t\tcase '*'\n"
	      "\t\t\t\techo $typed[1]\n"
	      "\t\t\t\treturn\n"
	      "\t\tend\n"
	      "\t\tset -e typed[1]\n"
	      "\tend\n"
	      "end\n",
	    to);
}

static void fish_commands(const struct completion_program *program, FILE *to)
{
	const char *name = program->name;
	struct place place;

	fish_find_command(program, to);
	if (program->answers)
		fprintf(to,
		    "function __%s_asked\n"
		    "\tset -l typed (commandline -opc)\n"
		    "\t$typed[1] --words $argv[1] $typed[2..-1] 2>/dev/null\n"
		    "end\n",
		    name);
	for (size_t i = 0; i < program->n_commands; i++) {
		fprintf(to, "complete -c %s -n 'test -z \"$(__%s_command)\"' -a %s -d '", name,
		    name, program->commands[i].name);
		fish_text(slice_str(program->commands[i].help), to);
		fputs("'\n", to);
	}
	for (size_t i = 0; i < program->n_commands; i++) {
		place_command(&place, &program->commands[i]);
		fish_place(program, &place, to);
	}
}

static void fish_print(const struct completion_program *program, FILE *to)
{
	struct place place;

	fprintf(to, "# Completion of %s for fish, as \"%s --completion fish\" prints it.\n",
	    program->name, program->name);
	fprintf(to, "complete -c %s -f\n", program->name);
	place_common(&place, program);
	fish_place(program, &place, to);
	if (program->n_commands)
		fish_commands(program, to);
}

void completion_print(
    const struct completion_program *program, enum completion_shell shell, FILE *to)
{
	switch (shell) {
	case COMPLETION_BASH:
		bash_print(program, to);
		break;
	case COMPLETION_ZSH:
		zsh_print(program, to);
		break;
	case COMPLETION_FISH:
		fish_print(program, to);
		break;
	}
}
